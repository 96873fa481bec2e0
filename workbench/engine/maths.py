"""Compiled mathematics that vectorises: exp, log and select for the shapes' own source.

Numba calls libm for ``exp`` point by point; these are branch-free polynomials that LLVM turns into
vector code. They carry their own fast-math flags: a caller's ``reassoc`` would optimise the
rounding trick away, and ``nnan``/``ninf`` would make failures invisible.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""For functions only compiled code calls: half the time to compile them is their wrappers."""
FLAGS = {"contract", "reassoc", "arcp", "nsz"}
"""Fast-math flags of the kernels: never nnan or ninf, NaN must stay visible."""


def _bits(source: Any, target: Any, llvm: Any) -> Any:
    @intrinsic
    def cast(typing: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], llvm)

        return target(source), generate

    return cast


_to_int = _bits(types.float64, types.int64, ir.IntType(64))
_to_float = _bits(types.int64, types.float64, ir.DoubleType())
_to_int32 = _bits(types.float32, types.int32, ir.IntType(32))
_to_float32 = _bits(types.int32, types.float32, ir.FloatType())


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, forceinline=True, **INNER)
def exp64(x):  # type: ignore[no-untyped-def]
    """Exponential to 2 ulp for -700 < x < 700, constant outside: 2^k times a Taylor polynomial."""
    x = min(max(x, -700.0), 700.0)
    t = x * 1.4426950408889634 + 6755399441055744.0
    k = t - 6755399441055744.0
    r = x - k * 0.693147180369123816490
    r = r - k * 1.90821492927058770002e-10
    p = 2.08767569878681e-09
    p = p * r + 2.505210838544172e-08
    p = p * r + 2.755731922398589e-07
    p = p * r + 2.755731922398589e-06
    p = p * r + 2.48015873015873e-05
    p = p * r + 0.0001984126984126984
    p = p * r + 0.001388888888888889
    p = p * r + 0.008333333333333333
    p = p * r + 0.041666666666666664
    p = p * r + 0.16666666666666666
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return _to_float(_to_int(p) + (_to_int(t) << 52))


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, forceinline=True, **INNER)
def exp32(x):  # type: ignore[no-untyped-def]
    """Exponential in single precision, 1e-7, for -80 < x < 80."""
    x = min(max(x, np.float32(-80.0)), np.float32(80.0))
    t = x * np.float32(1.4426950408889634) + np.float32(12582912.0)
    k = t - np.float32(12582912.0)
    r = x - k * np.float32(0.69314575195)
    r = r - k * np.float32(1.4286068203e-6)
    p = np.float32(1.3888889e-3)
    p = p * r + np.float32(8.3333333e-3)
    p = p * r + np.float32(4.1666667e-2)
    p = p * r + np.float32(1.6666667e-1)
    p = p * r + np.float32(0.5)
    p = p * r + np.float32(1.0)
    p = p * r + np.float32(1.0)
    return _to_float32(_to_int32(p) + (_to_int32(t) << np.int32(23)))


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, forceinline=True, **INNER)
def log64(x):  # type: ignore[no-untyped-def]
    """Natural logarithm to 1e-15: exponent plus an atanh series; NaN where there is none."""
    bits = _to_int(x) - 0x3FE6A09E667F3BCD  # sqrt(1/2)
    k = float(bits >> 52)
    m = _to_float(_to_int(x) - ((bits >> 52) << 52))
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    p = 1.0 / 21.0
    p = p * z + 1.0 / 19.0
    p = p * z + 1.0 / 17.0
    p = p * z + 1.0 / 15.0
    p = p * z + 1.0 / 13.0
    p = p * z + 1.0 / 11.0
    p = p * z + 1.0 / 9.0
    p = p * z + 1.0 / 7.0
    p = p * z + 1.0 / 5.0
    p = p * z + 1.0 / 3.0
    p = p * z + 1.0
    value = k * 0.6931471805599453 + 2.0 * s * p
    return value if x > 0.0 else np.nan


@njit(nogil=True, error_model="numpy", fastmath=FLAGS, forceinline=True, **INNER)
def where(condition, yes, no):  # type: ignore[no-untyped-def]
    """Choose one of two numbers."""
    return yes if condition else no


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, forceinline=True, **INNER)
def atan64(x):  # type: ignore[no-untyped-def]
    """Arc tangent to 1e-15: reflected into [0, 1], moved by pi/8 steps, then its series."""
    a = abs(x)
    big = a > 1.0
    t = 1.0 / a if big else a
    # atan t = atan c + atan((t - c) / (1 + t c)) with c = tan(pi/8) (or 0, or 1) leaves |u| < 0.2
    c = 0.0 if t < 0.198912367379658 else (0.41421356237309503 if t < 0.6681786379192989 else 1.0)
    base = (
        0.0
        if t < 0.198912367379658
        else (0.39269908169872414 if t < 0.6681786379192989 else 0.7853981633974483)
    )
    u = (t - c) / (1.0 + t * c)
    z = u * u
    p = 1.0 / 21.0
    p = 1.0 / 19.0 - p * z
    p = 1.0 / 17.0 - p * z
    p = 1.0 / 15.0 - p * z
    p = 1.0 / 13.0 - p * z
    p = 1.0 / 11.0 - p * z
    p = 1.0 / 9.0 - p * z
    p = 1.0 / 7.0 - p * z
    p = 1.0 / 5.0 - p * z
    p = 1.0 / 3.0 - p * z
    p = u - u * z * p
    p = base + p
    p = 1.5707963267948966 - p if big else p
    return -p if x < 0.0 else p


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, forceinline=True, **INNER)
def lgamma(x):  # type: ignore[no-untyped-def]
    """Logarithm of the gamma function, x > 0: Stirling's series at x + 8, straight code."""
    y = x + 8.0
    product = x * (x + 1.0) * (x + 2.0) * (x + 3.0) * (x + 4.0) * (x + 5.0) * (x + 6.0) * (x + 7.0)
    z = 1.0 / (y * y)
    tail = (
        1.0 / 12.0
        - z
        * (
            1.0 / 360.0
            - z * (1.0 / 1260.0 - z * (1.0 / 1680.0 - z * (1.0 / 1188.0 - z * (691.0 / 360360.0))))
        )
    ) / y
    return (y - 0.5) * log64(y) - y + 0.9189385332046727 + tail - log64(product)


@njit(nogil=True, error_model="numpy", fastmath={"contract"}, forceinline=True, **INNER)
def digamma(x):  # type: ignore[no-untyped-def]
    """Logarithmic derivative of the gamma function, x > 0: asymptotic series at x + 8."""
    y = x + 8.0
    back = 1.0 / x + 1.0 / (x + 1.0) + 1.0 / (x + 2.0) + 1.0 / (x + 3.0)
    back += 1.0 / (x + 4.0) + 1.0 / (x + 5.0) + 1.0 / (x + 6.0) + 1.0 / (x + 7.0)
    z = 1.0 / (y * y)
    tail = z * (
        1.0 / 12.0
        - z
        * (
            1.0 / 120.0
            - z * (1.0 / 252.0 - z * (1.0 / 240.0 - z * (1.0 / 132.0 - z * (691.0 / 32760.0))))
        )
    )
    return log64(y) - 0.5 / y - tail - back

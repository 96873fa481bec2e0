"""Shapes as compiled tile functions: the source of `spectra.shapes`, called by address.

A tile function evaluates one primitive over up to a tile of points: it adds the weighted value to
the model and writes (or adds) ``multiplier * weight * derivative`` into rows of the Jacobian tile.
Every shape is its own small C function with one signature, so that the kernels that call it are
compiled once for all models, and a user's own shape joins without recompiling anything.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import types as python_types
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic
from numba.np.unsafe.ndarray import to_fixed_tuple

from spectra import _wofz
from spectra.shapes import Shape

from . import maths
from .cache import KEPT, compiled

MAX_PARAMS = 12

_SCALAR64: dict[str, Any] = {
    "exp": maths.exp64,
    "log": maths.log64,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "atan": maths.atan64,
    "where": maths.where,
    "erf": math.erf,
    "lgamma": maths.lgamma,
    "digamma": maths.digamma,
}
_SCALAR32: dict[str, Any] = {**_SCALAR64, "exp": maths.exp32}
_FAST = ("contract", "reassoc", "arcp", "nsz")


def _stub(name: str, real: Any) -> Any:
    """Make a module of compiled maths under NumPy's names, for shapes that write ``np.exp``."""
    module = python_types.ModuleType(name)
    for key, value in vars(real).items():
        if not key.startswith("__"):
            setattr(module, key, value)
    return module


def scalar(function: Callable[..., Any], single: bool = False) -> Any:
    """Compile a shape's source (or a helper of one) for single points.

    Parameters
    ----------
    function : callable
        Plain arithmetic and the names of ``spectra._maths``.
    single : bool
        In float32: the constants of the source become float32 too.
    """
    names = _SCALAR32 if single else _SCALAR64
    bound = dict(function.__globals__)
    for name in set(function.__code__.co_names) & set(bound):
        value = bound[name]
        if name in names:
            bound[name] = names[name]
        elif name in ("wofz", "erfcx"):
            bound[name] = scalar(getattr(_wofz, name), single)
        elif isinstance(value, python_types.FunctionType):
            bound[name] = scalar(value, single)
        elif value is np:
            bound[name] = _stub("np", np)
            bound[name].exp, bound[name].where = names["exp"], names["where"]
        elif single and isinstance(value, float):
            bound[name] = np.float32(value)
    code = function.__code__
    if single:
        code = code.replace(
            co_consts=tuple(np.float32(c) if isinstance(c, float) else c for c in code.co_consts)
        )
    made = python_types.FunctionType(
        code, bound, function.__name__, function.__defaults__, function.__closure__
    )
    # inlined even when long: only then does LLVM vectorise the loop over the points
    return njit(
        nogil=True, error_model="numpy", fastmath=maths.FLAGS, forceinline=True, **maths.INNER
    )(made)


def _scatter(add: bool) -> Any:
    """Make the intrinsic that puts all derivatives of a point into their rows, unrolled."""

    @intrinsic
    def scatter(typing: Any, base: Any, rows: Any, factors: Any, values: Any, i: Any) -> Any:
        number = base.dtype
        signature = types.void(base, rows, factors, values, i)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pointer, row, factor, value, at = args
            for k in range(len(values)):
                place = builder.add(builder.extract_value(row, k), at)
                target = builder.gep(pointer, [place])
                item = context.cast(builder, builder.extract_value(value, k), values[k], number)
                item = builder.fmul(builder.extract_value(factor, k), item, flags=_FAST)
                if add:
                    item = builder.fadd(builder.load(target), item, flags=_FAST)
                builder.store(item, target)
            return context.get_dummy_value()

        return signature, generate

    return scatter


_SET, _ADD = _scatter(False), _scatter(True)


@intrinsic
def _times(typing: Any, weight: Any, values: Any) -> Any:
    """Multiply every derivative of a point with its weight."""
    out = types.UniTuple(weight, len(values))

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        items = []
        for k in range(len(values)):
            item = context.cast(builder, builder.extract_value(args[1], k), values[k], weight)
            items.append(builder.fmul(args[0], item, flags=_FAST))
        return context.make_tuple(builder, out, items)

    return out(weight, values), generate


def signature(single: bool) -> Any:
    """Return the C signature: x, weight, n, args, factors, rows, J, model, add."""
    number = types.float32 if single else types.float64
    pointer = types.CPointer(number)
    return types.void(
        pointer,
        pointer,
        types.int64,
        pointer,
        pointer,
        types.CPointer(types.int64),
        pointer,
        pointer,
        types.int64,
    )


def _tile(point: Any, count: int) -> Callable[..., None]:
    """Make the loop over points around a compiled scalar shape of ``count`` parameters."""

    def tile(x, weight, n, args, factors, rows, jac, model, add):  # type: ignore[no-untyped-def]
        arguments = to_fixed_tuple(carray(args, count), count)
        multiply = to_fixed_tuple(carray(factors, count), count)
        place = to_fixed_tuple(carray(rows, count), count)
        xs = carray(x, n)
        ws = carray(weight, n)
        out = carray(model, n)
        if add == 1:
            for i in range(n):
                value, derivatives = point(xs[i], *arguments)
                out[i] += ws[i] * value
                _ADD(jac, place, multiply, _times(ws[i], derivatives), i)
        else:
            for i in range(n):
                value, derivatives = point(xs[i], *arguments)
                out[i] += ws[i] * value
                _SET(jac, place, multiply, _times(ws[i], derivatives), i)

    return tile


def source_key(shape: Shape) -> str:
    """Hash of the shape's compiled source: changes when the formula does."""
    return _source_key(shape.function)


@lru_cache(maxsize=256)  # a powder pattern asks for each of its hundreds of lines
def _source_key(function: Callable[..., Any]) -> str:
    try:
        text = inspect.getsource(function)
    except OSError:
        text = repr(function.__code__.co_code) + repr(function.__code__.co_consts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def address(shape: Shape, single: bool = False) -> int:
    """Return the address of a shape's tile function, compiled or loaded from the cache.

    Raises
    ------
    numba.core.errors.NumbaError
        If the shape's source cannot be compiled (a user's function may be anything).
    """
    name = f"{shape.name}-{source_key(shape)}-{single}"
    if name in KEPT:
        return int(KEPT[name].address)
    tile = _tile(scalar(shape.function, single), len(shape.params))
    return compiled(tile, signature(single), name)


@intrinsic
def _call64(
    typing: Any,
    where: Any,
    x: Any,
    w: Any,
    n: Any,
    a: Any,
    f: Any,
    r: Any,
    j: Any,
    m: Any,
    add: Any,
) -> Any:
    return _call(types.float64, where, x, w, n, a, f, r, j, m, add)


@intrinsic
def _call32(
    typing: Any,
    where: Any,
    x: Any,
    w: Any,
    n: Any,
    a: Any,
    f: Any,
    r: Any,
    j: Any,
    m: Any,
    add: Any,
) -> Any:
    return _call(types.float32, where, x, w, n, a, f, r, j, m, add)


def _call(number: Any, *given: Any) -> Any:
    """Codegen of an indirect call through an integer address."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        double = ir.DoubleType() if number is types.float64 else ir.FloatType()
        pointer, whole = double.as_pointer(), ir.IntType(64)
        kinds = [pointer, pointer, whole, pointer, pointer, whole.as_pointer(), pointer, pointer]
        kind = ir.FunctionType(ir.VoidType(), [*kinds, whole])
        target = builder.inttoptr(args[0], kind.as_pointer())
        values = [
            builder.inttoptr(v, k) if isinstance(k, ir.PointerType) else v
            for v, k in zip(args[1:], [*kinds, whole], strict=True)
        ]
        builder.call(target, values)
        return context.get_dummy_value()

    return types.void(*(types.int64 for _ in given)), generate


call64, call32 = _call64, _call32

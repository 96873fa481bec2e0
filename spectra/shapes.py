"""Line shapes and co-fitted backgrounds: each written once, value and derivatives together.

A shape is one elementwise function ``f(x, *params) -> (value, (d value / d param, ...))`` in plain
arithmetic and the names of `spectra._maths` (``exp``, ``where`` ...), without branches: the same
source serves NumPy arrays (params may be columns that broadcast against x) and, compiled with
scalars, the batch engine. Helpers a shape calls are written in the same way. ``area`` is the
integral over the axis, exactly; a parameter named ``fwhm`` is the true full width at half maximum
(widths of ingredients have longer names: ``fwhm_gaussian``). This module holds the registry and the
symmetric peaks; `spectra._asymmetric`, `spectra._tailed` and `spectra._cofitted` register the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ._maths import atan, erf, erfcx, exp, log, sqrt, where, wofz
from ._wofz import wofz_integral, wofz_slopes
from .errors import ModelError

Array = npt.NDArray[np.float64]
ShapeFunction = Callable[..., tuple[Any, tuple[Any, ...]]]

PI = float(np.pi)
LN2 = float(np.log(2.0))
SQRT_LN2_PI = float(np.sqrt(LN2 / np.pi))
SQRT_PI = float(np.sqrt(np.pi))
SIGMA = float(1.0 / np.sqrt(8.0 * LN2))
"""Standard deviation of a Gaussian over its full width at half maximum."""


@dataclass(frozen=True)
class Shape:
    """A registered shape.

    Parameters
    ----------
    name : str
        Name used in components and recipes.
    function : callable
        ``f(x, *params) -> (value, derivatives)``, elementwise in x.
    params : tuple of str
        Parameter names in the order of the function.
    defaults : mapping
        Values (held fixed) of parameters a component leaves out.
    linear : tuple of str
        Parameters in which the value is linear (jointly).
    background : bool
        Whether the shape is a background (no area).
    center, width : tuple of str
        Parameters that are positions, and widths: an engine lets a position move by no more than a
        width per step, and a width by no more than half of itself.
    limits : mapping of str to (low, high)
        Where a parameter has a meaning; an engine must not leave it, and the contract suite draws
        from it.
    window : tuple of str, optional
        Names of two parameters, offsets from ``center``: ``area`` is the integral between them, for
        shapes whose integral over the whole axis diverges.
    cumulative : callable, optional
        ``C(x, *params) -> (value, derivatives)``: the integral of the shape from -infinity to x,
        what an active Shirley background is made of.
    """

    name: str
    function: ShapeFunction
    params: tuple[str, ...]
    defaults: Mapping[str, float] = field(default_factory=dict)
    linear: tuple[str, ...] = ("area",)
    background: bool = False
    center: tuple[str, ...] = ()
    width: tuple[str, ...] = ()
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    window: tuple[str, str] | None = None
    cumulative: ShapeFunction | None = None


SHAPES: dict[str, Shape] = {}


def shape(
    *params: str,
    defaults: Mapping[str, float] | None = None,
    linear: tuple[str, ...] = ("area",),
    background: bool = False,
    center: tuple[str, ...] | None = None,
    width: tuple[str, ...] | None = None,
    limits: Mapping[str, tuple[float, float]] | None = None,
    window: tuple[str, str] | None = None,
    cumulative: ShapeFunction | None = None,
) -> Callable[[ShapeFunction], ShapeFunction]:
    """Register the decorated function under its own name; see `Shape` for the arguments.

    ``center`` defaults to the parameter of that name, ``width`` to those that begin with ``fwhm``;
    widths and mixings get their natural limits (positive; 0 to 1).
    """
    places = center if center is not None else tuple(p for p in params if p == "center")
    widths = width if width is not None else tuple(p for p in params if p.startswith("fwhm"))
    natural = {p: (0.0, float("inf")) for p in widths}
    natural.update({p: (0.0, 1.0) for p in params if p == "mixing"})

    def register(function: ShapeFunction) -> ShapeFunction:
        name = function.__name__
        if name in SHAPES:
            raise ModelError(f"shape {name!r} is registered twice")
        SHAPES[name] = Shape(
            name,
            function,
            params,
            dict(defaults or {}),
            linear,
            background,
            places,
            widths,
            {**natural, **(limits or {})},
            window,
            cumulative,
        )
        return function

    return register


# Untyped on purpose: the functions below run on arrays and, compiled, on scalars.


def gaussian_cumulative(x, area, center, fwhm):  # type: ignore[no-untyped-def]
    """Integral of `gaussian` up to x."""
    u = (x - center) / fwhm
    g = exp(-4.0 * LN2 * u * u) * (2.0 * SQRT_LN2_PI / fwhm)
    step = 0.5 + 0.5 * erf(2.0 * sqrt(LN2) * u)
    return area * step, (step, -area * g, -area * g * u)


@shape("area", "center", "fwhm", cumulative=gaussian_cumulative)
def gaussian(x, area, center, fwhm):  # type: ignore[no-untyped-def]
    """Gaussian of integral ``area``."""
    u = (x - center) / fwhm
    g = exp(-4.0 * LN2 * u * u) * (2.0 * SQRT_LN2_PI / fwhm)
    du = 8.0 * LN2 * u
    value = area * g
    return value, (g, value * du / fwhm, value * (du * u - 1.0) / fwhm)


def lorentzian_cumulative(x, area, center, fwhm):  # type: ignore[no-untyped-def]
    """Integral of `lorentzian` up to x."""
    u = 2.0 * (x - center) / fwhm
    line = 2.0 / (PI * fwhm * (1.0 + u * u))
    step = 0.5 + atan(u) / PI
    return area * step, (step, -area * line, -0.5 * area * line * u)


@shape("area", "center", "fwhm", cumulative=lorentzian_cumulative)
def lorentzian(x, area, center, fwhm):  # type: ignore[no-untyped-def]
    """Lorentzian of integral ``area``."""
    u = 2.0 * (x - center) / fwhm
    q = 1.0 / (1.0 + u * u)
    line = q * (2.0 / PI / fwhm)
    value = area * line
    return value, (line, value * 4.0 * u * q / fwhm, value * (2.0 * u * u * q - 1.0) / fwhm)


def pseudo_voigt_cumulative(x, area, center, fwhm, mixing):  # type: ignore[no-untyped-def]
    """Integral of `pseudo_voigt` up to x."""
    u = 2.0 * (x - center) / fwhm
    g = exp(-LN2 * u * u) * (2.0 * SQRT_LN2_PI / fwhm)
    lo = 2.0 / (PI * fwhm * (1.0 + u * u))
    step_g = 0.5 + 0.5 * erf(sqrt(LN2) * u)
    step_l = 0.5 + atan(u) / PI
    step = (1.0 - mixing) * step_g + mixing * step_l
    s = (1.0 - mixing) * g + mixing * lo
    return area * step, (step, -area * s, -0.5 * area * s * u, area * (step_l - step_g))


@shape("area", "center", "fwhm", "mixing", defaults={"mixing": 0.3},
       cumulative=pseudo_voigt_cumulative)  # fmt: skip
def pseudo_voigt(x, area, center, fwhm, mixing):  # type: ignore[no-untyped-def]
    """Sum of a Gaussian (1 - mixing) and a Lorentzian (mixing) of one fwhm; integral ``area``.

    The mixing is a share of area. CasaXPS's SGL(p) mixes heights instead: see `sgl_mixing`.
    """
    u = 2.0 * (x - center) / fwhm
    q = 1.0 / (1.0 + u * u)
    g = exp(-LN2 * u * u) * (2.0 * SQRT_LN2_PI / fwhm)
    lo = q * (2.0 / PI / fwhm)
    s = (1.0 - mixing) * g + mixing * lo
    z = 2.0 * LN2 * (1.0 - mixing) * g + 2.0 * q * mixing * lo
    return area * s, (
        s,
        2.0 * area * u * z / fwhm,
        area * (u * u * z - s) / fwhm,
        area * (lo - g),
    )


def sgl_mixing(share: float) -> float:
    """Return the area share of the Lorentzian in a sum of heights, CasaXPS's SGL(100 share)."""
    gaussian_area = (1.0 - share) * SQRT_PI / (2.0 * float(np.sqrt(LN2)))
    lorentzian_area = share * PI / 2.0
    return lorentzian_area / (gaussian_area + lorentzian_area)


def _product_scale(mixing):  # type: ignore[no-untyped-def]
    """S and dS/dm with exp(-ln2 (1-m) S) / (1 + m S) = 1/2: makes ``fwhm`` of the product true.

    Newton from 1 on a concave function whose root lies in [0.93, 1]: four steps reach 1e-16.
    """
    s = 1.0 + 0.0 * mixing
    for _ in range(4):
        slope = LN2 * (1.0 - mixing) + mixing / (1.0 + mixing * s)
        s = s - (LN2 * (1.0 - mixing) * s + log(1.0 + mixing * s) - LN2) / slope
    slope = LN2 * (1.0 - mixing) + mixing / (1.0 + mixing * s)
    return s, (LN2 * s - s / (1.0 + mixing * s)) / slope


def gl_product_width(mixing: float) -> float:
    """Return the true fwhm of CasaXPS's GL(100 mixing) over its width parameter."""
    return float(np.sqrt(_product_scale(float(mixing))[0]))


@shape("area", "center", "fwhm", "mixing", defaults={"mixing": 0.3})
def gl_product(x, area, center, fwhm, mixing):  # type: ignore[no-untyped-def]
    """Product of a Gaussian and a Lorentzian, exp(-ln2 (1-m) S u^2) / (1 + m S u^2).

    u = 2 (x - center) / fwhm; S(m) makes ``fwhm`` true (`gl_product_width` gives CasaXPS's width).
    Integral of exp(-a t^2) / (1 + b t^2) = (pi / sqrt b) exp(a/b) erfc(sqrt(a/b)). The derivative
    by ``mixing`` is infinite at 1 (the tails of a pure Lorentzian); it is taken at 1 - 1e-9 there.
    """
    m = where(mixing < 1e-10, 1e-10, where(mixing > 1.0 - 1e-9, 1.0 - 1e-9, mixing))
    s, ds = _product_scale(m)
    u = 2.0 * (x - center) / fwhm
    u2 = where(u * u > 1e30, 1e30, u * u)
    q = 1.0 / (1.0 + m * s * u2)
    h = exp(-LN2 * (1.0 - m) * s * u2) * q
    r = sqrt(LN2 * (1.0 - m) / m)
    e = erfcx(r)
    root = sqrt(m * s)
    line = h * 2.0 * root / (PI * e * fwhm)
    dh = 2.0 * (LN2 * (1.0 - m) + m * q) * s  # -d ln h / d u = u dh
    # d ln(area norm): root and e by m; de/dr = 2 r e - 2 / sqrt(pi), dr/dm = -ln2 / (2 r m^2)
    de = (2.0 * r * e - 2.0 / SQRT_PI) * (-0.5 * LN2 / (r * m * m))
    dm_h = u2 * (LN2 * s - s * q) - u2 * ds * (LN2 * (1.0 - m) + m * q)
    dm = dm_h + 0.5 / m + 0.5 * ds / s - de / e
    value = area * line
    return value, (
        line,
        value * dh * u * 2.0 / fwhm,
        value * (dh * u2 - 1.0) / fwhm,
        value * dm,
    )


def voigt_fwhm(fwhm_gaussian: float, fwhm_lorentzian: float) -> float:
    """Return the width of a Voigt line, true within 0.02 % (Olivero, Longbothum, JQSRT 17, 233)."""
    narrow = 0.2166 * fwhm_lorentzian * fwhm_lorentzian + fwhm_gaussian * fwhm_gaussian
    return 0.5346 * fwhm_lorentzian + float(np.sqrt(narrow))


def voigt_cumulative(x, area, center, fwhm_gaussian, fwhm_lorentzian):  # type: ignore[no-untyped-def]
    """Integral of `voigt` up to x."""
    least = 1e-5 * fwhm_lorentzian
    thin = fwhm_gaussian < least
    sigma = SIGMA * where(thin, least, fwhm_gaussian)
    k = 0.7071067811865476 / sigma
    a = (x - center) * k
    b = 0.5 * fwhm_lorentzian * k + 0.0 * a
    re, im = wofz(a, b)
    step = 0.5 + wofz_integral(a, b) / SQRT_PI
    unit = area / SQRT_PI
    return area * step, (
        step,
        -unit * k * re,
        where(thin, 0.0, SIGMA * unit * (b * im - a * re) / sigma),
        -0.5 * unit * k * im,
    )


@shape("area", "center", "fwhm_gaussian", "fwhm_lorentzian", cumulative=voigt_cumulative)
def voigt(x, area, center, fwhm_gaussian, fwhm_lorentzian):  # type: ignore[no-untyped-def]
    """Convolution of a Gaussian and a Lorentzian; integral ``area``.

    V = Re w(z) / (sigma sqrt(2 pi)), z = (x - center + i gamma) / (sigma sqrt 2); derivatives from
    w' = -2 z w + 2 i / sqrt(pi). A Gaussian width below 1e-5 of the Lorentzian one (exactly zero,
    say) is taken as that: the line then differs from a Lorentzian by 1e-10.
    """
    least = 1e-5 * fwhm_lorentzian
    thin = fwhm_gaussian < least
    sigma = SIGMA * where(thin, least, fwhm_gaussian)
    k = 0.7071067811865476 / sigma
    a = (x - center) * k
    b = 0.5 * fwhm_lorentzian * k
    re, im = wofz(a, b)
    slope_re, slope_im, shrink, _ = wofz_slopes(a, b, re, im)
    norm = k / SQRT_PI
    line = norm * re
    width = -norm * shrink / sigma
    return area * line, (
        line,
        -area * norm * k * slope_re,
        where(thin, 0.0, area * SIGMA * width),
        -0.5 * area * norm * k * slope_im,
    )


@shape("area", "shift", defaults={"shift": 0.0})
def template(x, area, shift):  # type: ignore[no-untyped-def]
    """Stand in for a tabulated `Curve`: ``area * y(x - shift)``, interpolated by the engine."""
    raise ModelError("a template is evaluated from its curve, not as a function")


# Registered on import; at the end because they need the registry above.
from . import _asymmetric, _cofitted, _skewed, _tailed  # noqa: E402, F401

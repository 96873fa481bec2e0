"""Line shapes and co-fitted backgrounds: each written once, value and derivatives together.

A shape is one elementwise function ``f(x, *params) -> (value, (d value / d param, ...))`` in plain
arithmetic and the functions of `spectra.shapes`' maths (``exp``, ``where`` ...): the same source
serves NumPy arrays and, compiled, the batch engine. ``area`` is the integral over the axis, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .errors import ModelError

Array = npt.NDArray[np.float64]
ShapeFunction = Callable[..., tuple[Array, tuple[Array, ...]]]

LN2 = float(np.log(2.0))
SQRT_LN2_PI = float(np.sqrt(LN2 / np.pi))


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
        Parameters in which the value is linear.
    background : bool
        Whether the shape is a background (no area).
    """

    name: str
    function: ShapeFunction
    params: tuple[str, ...]
    defaults: Mapping[str, float] = field(default_factory=dict)
    linear: tuple[str, ...] = ("area",)
    background: bool = False


SHAPES: dict[str, Shape] = {}


def shape(
    *params: str,
    defaults: Mapping[str, float] | None = None,
    linear: tuple[str, ...] = ("area",),
    background: bool = False,
) -> Callable[[ShapeFunction], ShapeFunction]:
    """Register the decorated function under its own name."""

    def register(function: ShapeFunction) -> ShapeFunction:
        name = function.__name__
        if name in SHAPES:
            raise ModelError(f"shape {name!r} is registered twice")
        SHAPES[name] = Shape(name, function, params, dict(defaults or {}), linear, background)
        return function

    return register


@shape("area", "center", "fwhm")
def gaussian(x, area, center, fwhm):  # type: ignore[no-untyped-def]
    """Gaussian of integral ``area``."""
    u = (x - center) / fwhm
    g = np.exp(-4.0 * LN2 * u * u) * (2.0 * SQRT_LN2_PI / fwhm)
    du = 8.0 * LN2 * u
    value = area * g
    return value, (g, value * du / fwhm, value * (du * u - 1.0) / fwhm)


@shape("area", "center", "fwhm")
def lorentzian(x, area, center, fwhm):  # type: ignore[no-untyped-def]
    """Lorentzian of integral ``area``."""
    u = 2.0 * (x - center) / fwhm
    q = 1.0 / (1.0 + u * u)
    line = q * (2.0 / np.pi / fwhm)
    value = area * line
    return value, (line, value * 4.0 * u * q / fwhm, value * (2.0 * u * u * q - 1.0) / fwhm)


@shape("area", "center", "fwhm", "mixing", defaults={"mixing": 0.3})
def pseudo_voigt(x, area, center, fwhm, mixing):  # type: ignore[no-untyped-def]
    """Sum of a Gaussian (1 - mixing) and a Lorentzian (mixing) of one fwhm; integral ``area``."""
    u = 2.0 * (x - center) / fwhm
    q = 1.0 / (1.0 + u * u)
    g = np.exp(-LN2 * u * u) * (2.0 * SQRT_LN2_PI / fwhm)
    lo = q * (2.0 / np.pi / fwhm)
    s = (1.0 - mixing) * g + mixing * lo
    z = 2.0 * LN2 * (1.0 - mixing) * g + 2.0 * q * mixing * lo
    return area * s, (
        s,
        2.0 * area * u * z / fwhm,
        area * (u * u * z - s) / fwhm,
        area * (lo - g),
    )


@shape("c0", "c1", "c2", "x0", defaults={"c1": 0.0, "c2": 0.0, "x0": 0.0},
       linear=("c0", "c1", "c2"), background=True)  # fmt: skip
def polynomial(x, c0, c1, c2, x0):  # type: ignore[no-untyped-def]
    """Quadratic in ``x - x0``."""
    d = x - x0
    one = d * 0.0 + 1.0
    return c0 + c1 * d + c2 * d * d, (one, d, d * d, -c1 - 2.0 * c2 * d)


@shape("area", "shift", defaults={"shift": 0.0})
def template(x, area, shift):  # type: ignore[no-untyped-def]
    """Placeholder of a tabulated `Curve`: ``area * y(x - shift)``, interpolated by the engine."""
    raise ModelError("a template is evaluated from its curve, not as a function")

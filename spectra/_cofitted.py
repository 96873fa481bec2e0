"""Co-fitted backgrounds and edges: registered like peaks, ``background=True``."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._maths import exp, log, where
from .shapes import (
    gaussian_cumulative,
    lorentzian_cumulative,
    shape,
)


@shape("c0", "c1", "c2", "c3", "c4", "x0",
       defaults={"c1": 0.0, "c2": 0.0, "c3": 0.0, "c4": 0.0, "x0": 0.0},
       linear=("c0", "c1", "c2", "c3", "c4"), background=True)  # fmt: skip
def polynomial(x, c0, c1, c2, c3, c4, x0):
    """Polynomial in ``x - x0`` up to degree 4; give x0 near the data, or powers are all alike."""
    d = x - x0
    one = d * 0.0 + 1.0
    d2 = d * d
    value = c0 + d * (c1 + d * (c2 + d * (c3 + d * c4)))
    slope = c1 + d * (2.0 * c2 + d * (3.0 * c3 + d * 4.0 * c4))
    return value, (one, d, d2, d2 * d, d2 * d2, -slope)


@shape("c0", "c1", "c2", "c3", "c4", "low", "high",
       defaults={"c1": 0.0, "c2": 0.0, "c3": 0.0, "c4": 0.0},
       linear=("c0", "c1", "c2", "c3", "c4"), background=True)  # fmt: skip
def chebyshev(x, c0, c1, c2, c3, c4, low, high):
    """Chebyshev series up to degree 4 on [low, high] (fix both); hardly correlated terms."""
    span = high - low
    t = (2.0 * x - low - high) / span
    one = t * 0.0 + 1.0
    t2 = 2.0 * t * t - 1.0
    t3 = 2.0 * t * t2 - t
    t4 = 2.0 * t * t3 - t2
    value = c0 + c1 * t + c2 * t2 + c3 * t3 + c4 * t4
    # T_n' = n U_(n-1)
    u2 = 4.0 * t * t - 1.0
    u3 = 2.0 * t * (2.0 * t2)
    slope = c1 + 4.0 * c2 * t + 3.0 * c3 * u2 + 4.0 * c4 * u3
    return value, (one, t, t2, t3, t4, slope * (t - 1.0) / span, -slope * (t + 1.0) / span)


@shape("height", "x0", "decay", defaults={"x0": 0.0}, linear=("height",), background=True,
       width=("decay",), limits={"decay": (0.0, float("inf"))})  # fmt: skip
def exponential(x, height, x0, decay):
    """``height exp(-(x - x0) / decay)``; x0 is where the height is read (fix it).

    The exponent is held within +-200, beyond which no spectrum reaches.
    """
    t = (x0 - x) / decay
    inside = (t > -200.0) & (t < 200.0)
    e = exp(where(t > 200.0, 200.0, where(t < -200.0, -200.0, t)))
    slope = where(inside, height * e / decay, 0.0)
    return height * e, (e, slope, -slope * t)


@shape("height", "x0", "exponent", defaults={"x0": 1.0}, linear=("height",), background=True)
def power(x, height, x0, exponent):
    """``height (x / x0)^exponent`` for positive x and x0 (fix x0), zero elsewhere."""
    r = x / x0
    good = r > 1e-12
    logarithm = log(where(good, r, 1.0))
    t = exponent * logarithm
    p = where(good, exp(where(t > 200.0, 200.0, where(t < -200.0, -200.0, t))), 0.0)
    free = good & (t < 200.0) & (t > -200.0)
    value = height * p
    return value, (
        p,
        where(free, -exponent * value / x0, 0.0),
        where(free, value * logarithm, 0.0),
    )


@shape("height", "center", "fwhm_edge", linear=("height",), background=True)
def step_erf(x, height, center, fwhm_edge):
    """Step up by ``height`` towards high x: the integral of a Gaussian of width ``fwhm_edge``."""
    return gaussian_cumulative(x, height, center, fwhm_edge)


@shape("height", "center", "fwhm_edge", linear=("height",), background=True)
def step_arctan(x, height, center, fwhm_edge):
    """Step up by ``height`` towards high x: the integral of a Lorentzian (absorption edge)."""
    return lorentzian_cumulative(x, height, center, fwhm_edge)

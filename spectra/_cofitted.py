"""Co-fitted backgrounds and edges: registered like peaks, ``background=True``."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._asymmetric import doniach_sunjic_cumulative
from ._maths import erf, exp, log, where
from .shapes import (
    SIGMA,
    gaussian_cumulative,
    lorentzian_cumulative,
    pseudo_voigt_cumulative,
    shape,
    voigt_cumulative,
)

INF = float("inf")


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
       width=("decay",), limits={"decay": (0.0, INF)})  # fmt: skip
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


# -- active Shirley: scale times the area of the peaks at lower x ----------------------------------
#
# One shape per peak shape that has a cumulative integral, with the peak's own parameters (tied to
# it by expressions: `spectra.backgrounds.active_shirley` writes them) and a common ``scale``, in
# 1 / axis unit. Any engine fits them as they are. Bilinear in area and scale: only ``scale`` counts
# as linear.

_SCALE = {"scale": 0.02}


@shape("area", "center", "fwhm", "scale", defaults=_SCALE, linear=("scale",), background=True)
def shirley_gaussian(x, area, center, fwhm, scale):
    """``scale`` times the integral of a `gaussian` up to x."""
    c, d = gaussian_cumulative(x, area, center, fwhm)
    return scale * c, (scale * d[0], scale * d[1], scale * d[2], c)


@shape("area", "center", "fwhm", "scale", defaults=_SCALE, linear=("scale",), background=True)
def shirley_lorentzian(x, area, center, fwhm, scale):
    """``scale`` times the integral of a `lorentzian` up to x."""
    c, d = lorentzian_cumulative(x, area, center, fwhm)
    return scale * c, (scale * d[0], scale * d[1], scale * d[2], c)


@shape("area", "center", "fwhm", "mixing", "scale", defaults={"mixing": 0.3, **_SCALE},
       linear=("scale",), background=True)  # fmt: skip
def shirley_pseudo_voigt(x, area, center, fwhm, mixing, scale):
    """``scale`` times the integral of a `pseudo_voigt` up to x."""
    c, d = pseudo_voigt_cumulative(x, area, center, fwhm, mixing)
    return scale * c, (scale * d[0], scale * d[1], scale * d[2], scale * d[3], c)


@shape("area", "center", "fwhm_gaussian", "fwhm_lorentzian", "scale", defaults=_SCALE,
       linear=("scale",), background=True)  # fmt: skip
def shirley_voigt(x, area, center, fwhm_gaussian, fwhm_lorentzian, scale):
    """``scale`` times the integral of a `voigt` up to x."""
    c, d = voigt_cumulative(x, area, center, fwhm_gaussian, fwhm_lorentzian)
    return scale * c, (scale * d[0], scale * d[1], scale * d[2], scale * d[3], c)


@shape("area", "center", "fwhm_lorentzian", "asymmetry", "window_low", "window_high", "scale",
       defaults={"window_low": -5.0, "window_high": 15.0, **_SCALE}, linear=("scale",),
       background=True, limits={"asymmetry": (0.0, 0.5)})  # fmt: skip
def shirley_doniach_sunjic(
    x, area, center, fwhm_lorentzian, asymmetry, window_low, window_high, scale
):
    """``scale`` times the integral of a `doniach_sunjic` up to x."""
    c, d = doniach_sunjic_cumulative(
        x, area, center, fwhm_lorentzian, asymmetry, window_low, window_high
    )
    s = scale
    return s * c, (s * d[0], s * d[1], s * d[2], s * d[3], s * d[4], s * d[5], c)


@shape("area", "center", "fwhm_onset", "b", "c", "sign", "d", linear=("b",), background=True,
       defaults={"b": 2866.0, "c": 1643.0, "sign": 1.0, "d": 0.0},
       limits={"c": (0.0, INF), "d": (0.0, INF)})  # fmt: skip
def active_tougaard(x, area, center, fwhm_onset, b, c, sign, d):
    """Losses of a line: ``area b T / ((c + sign T^2)^2 + d T^2)``, T = x - center > 0.

    Tougaard's cross-section folded with a line that is narrow against sqrt(c) (some 20 eV or more):
    the ramp T is rounded by a Gaussian of ``fwhm_onset``, the rest of the kernel is smooth already.
    U2: sign 1, d 0 (b 2866, c 1643 eV^2); U3: sign -1. ``b`` is the free scale, ``area`` and
    ``center`` are tied to the line's. The error is of the order fwhm^2 / c.
    """
    sigma = SIGMA * fwhm_onset
    z = (x - center) / sigma
    z = where(z > 1e6, 1e6, where(z < -1e6, -1e6, z))
    rise = 0.5 + 0.5 * erf(0.7071067811865476 * z)
    g = exp(-0.5 * z * z) * 0.3989422804014327
    # the ramp's own formula cancels far below the onset, where it is nothing
    ramp = where(z < -8.0, 0.0, sigma * (z * rise + g))
    t2 = ramp * ramp
    base = c + sign * t2
    q = 1.0 / (base * base + d * t2)
    loss = ramp * q
    k = b * loss
    slope = b * q * (1.0 - (4.0 * sign * base + 2.0 * d) * t2 * q)
    square = area * b * ramp * q * q
    return area * k, (
        k,
        -area * slope * rise,
        area * slope * SIGMA * g,
        area * loss,
        -square * 2.0 * base,
        -square * 2.0 * base * t2,
        -square * t2,
    )

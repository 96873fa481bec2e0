"""Pseudo-Voigts with two sides: split widths, and Stancik's sigmoidal width."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._asymmetric import NODES, WEIGHTS
from ._maths import exp, log, sqrt, where
from .shapes import LN2, PI, SQRT_LN2_PI, shape


@shape("area", "center", "fwhm", "mixing", "asymmetry",
       defaults={"mixing": 0.3, "asymmetry": 0.0}, limits={"asymmetry": (-0.95, 0.95)})  # fmt: skip
def split_pseudo_voigt(x, area, center, fwhm, mixing, asymmetry):
    """Pseudo-Voigt with half widths fwhm/2 (1 + asymmetry) above and (1 - asymmetry) below.

    ``center`` is the maximum, ``fwhm`` and ``area`` are true; positive asymmetry leans to high x.
    """
    high = x > center
    stretch = where(high, 1.0 + asymmetry, 1.0 - asymmetry)
    u = 2.0 * (x - center) / (fwhm * stretch)
    q = 1.0 / (1.0 + u * u)
    g = exp(-LN2 * u * u) * (2.0 * SQRT_LN2_PI / fwhm)
    lo = q * (2.0 / PI / fwhm)
    s = (1.0 - mixing) * g + mixing * lo
    z = 2.0 * LN2 * (1.0 - mixing) * g + 2.0 * q * mixing * lo
    return area * s, (
        s,
        2.0 * area * u * z / (fwhm * stretch),
        area * (u * u * z - s) / fwhm,
        area * (lo - g),
        area * u * u * z / stretch * where(high, 1.0, -1.0),
    )


def _excess(k):
    """Return the areas of Gaussian and Lorentzian with width 2 / (1 + e^(k t)), and d/dk; k >= 0.

    With y = t (1 + e^(k t)) / 2 and L(y) a line of unit area and width, the area is
    int L(y) dy/dt dt - int L(y) k t e^(k t) / 2 dt, and the first term is 1. The second is folded
    at t = 0, where its halves nearly cancel, and done with t = sinh v.
    """
    kk = where(k < 1e-6, 1e-6, k)
    # beyond k t = 20 nothing is left, nor beyond t = 8 of the Gaussian
    reach_l = 0.5 * log(20.0 / kk + sqrt(400.0 / (kk * kk) + 1.0))
    reach_g = 0.5 * 2.7764722807237177
    area_g, area_l = 1.0 + 0.0 * kk, 1.0 + 0.0 * kk
    slope_g, slope_l = 0.0 * kk, 0.0 * kk
    for j in range(32):
        t, weight = _sinh_node(reach_g, j)
        f, df = _folded(t, kk)
        up, down, up_k, down_k = f[0], f[1], df[0], df[1]
        g_up = exp(-4.0 * LN2 * up * up)
        g_down = exp(-4.0 * LN2 * down * down)
        c = 2.0 * SQRT_LN2_PI * weight
        area_g = area_g - c * (g_up * f[2] - g_down * f[3])
        slope_g = slope_g - c * (
            g_up * (df[2] - 8.0 * LN2 * up * up_k * f[2])
            - g_down * (df[3] - 8.0 * LN2 * down * down_k * f[3])
        )
        t, weight = _sinh_node(reach_l, j)
        f, df = _folded(t, kk)
        up, down, up_k, down_k = f[0], f[1], df[0], df[1]
        l_up = 1.0 / (1.0 + 4.0 * up * up)
        l_down = 1.0 / (1.0 + 4.0 * down * down)
        c = 2.0 / PI * weight
        area_l = area_l - c * (l_up * f[2] - l_down * f[3])
        slope_l = slope_l - c * (
            l_up * (df[2] - 8.0 * l_up * up * up_k * f[2])
            - l_down * (df[3] - 8.0 * l_down * down * down_k * f[3])
        )
    return area_g, area_l, slope_g, slope_l


def _sinh_node(reach, j):
    e = exp(reach + reach * NODES[j])
    return 0.5 * (e - 1.0 / e), reach * WEIGHTS[j] * 0.5 * (e + 1.0 / e)


def _folded(t, k):
    """Return y and k t e^(k t) / 2 at t and at -t (signs taken out), and d/dk of all."""
    e = exp(where(k * t > 40.0, 40.0, k * t))
    up = 0.5 * t * (1.0 + e)
    down = 0.5 * t * (1.0 + 1.0 / e)
    f_up = 0.5 * k * t * e
    f_down = 0.5 * k * t / e
    return (up, down, f_up, f_down), (
        0.5 * t * t * e,
        -0.5 * t * t / e,
        0.5 * t * e * (1.0 + k * t),
        0.5 * t / e * (1.0 - k * t),
    )


@shape("area", "center", "fwhm_core", "mixing", "skew",
       defaults={"mixing": 0.3, "skew": 0.0}, limits={"skew": (-1.0, 1.0)})  # fmt: skip
def sigmoid_pseudo_voigt(x, area, center, fwhm_core, mixing, skew):
    """Pseudo-Voigt whose width changes along x as a sigmoid.

    width(x) = 2 fwhm_core / (1 + exp(skew (x - center) / fwhm_core)) (Stancik and Brauns, Vib.
    Spectrosc. 47, 66 (2008)). ``skew`` is their a times the width, without a unit; positive skew
    has its tail at low x. Their form does not keep the integral: it is divided by its own, so that
    ``area`` is true.
    """
    t = (x - center) / fwhm_core
    side = where(skew < 0.0, -1.0, 1.0)
    area_g, area_l, slope_g, slope_l = _excess(side * skew)
    norm = 1.0 / ((1.0 - mixing) * area_g + mixing * area_l)
    kt = skew * t
    kt = where(kt > 30.0, 30.0, where(kt < -30.0, -30.0, kt))
    e = exp(kt)
    r = 0.5 * (1.0 + e)  # width at the center over width here
    u = t * r
    u2 = u * u
    q = 1.0 / (1.0 + 4.0 * u2)
    g = 2.0 * SQRT_LN2_PI * exp(-4.0 * LN2 * u2)
    lo = 2.0 / PI * q
    s = (1.0 - mixing) * g + mixing * lo
    # d s / d u = -u z
    z = 8.0 * LN2 * (1.0 - mixing) * g + 8.0 * q * mixing * lo
    line = r * s * norm / fwhm_core
    value = area * line
    half = 0.5 * e
    scale = area * norm / fwhm_core
    by_t = scale * (skew * half * s - r * u * z * (r + kt * half))
    by_skew = scale * (t * half * s - r * u * z * t * t * half)
    by_norm = value * norm * side * ((1.0 - mixing) * slope_g + mixing * slope_l)
    return value, (
        line,
        -by_t / fwhm_core,
        -(by_t * t + value) / fwhm_core,
        scale * r * (lo - g) - value * norm * (area_l - area_g),
        by_skew - by_norm,
    )

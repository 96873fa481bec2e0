"""Asymmetric peaks of photoemission: Doniach-Sunjic, CasaXPS's LA and LF.

All have their tail towards high x: on a binding energy axis the side of the losses.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from ._maths import atan, cos, digamma, exp, lgamma, log, sin, sqrt, where, wofz
from ._wofz import wofz_slopes
from .shapes import LN2, PI, SIGMA, SQRT_PI, shape

INF = float("inf")

# -- Doniach-Sunjic --------------------------------------------------------------------------------
#
# With Z = gamma - i t, t = x - center, the line is Re[k Z^(a - 1)], k = exp(-i pi a / 2)
# (Doniach, Sunjic, J. Phys. C 3, 285 (1970)), its derivatives and its integral are powers of Z too.


def _power(t, gamma, alpha, order, c, dc, c_next):
    """Return derivative ``order`` of the line by t, and that one's derivatives by t, gamma, alpha.

    ``c`` is (a - 1)(a - 2)... with ``order`` factors, ``dc`` its derivative, ``c_next`` one more.
    """
    half_log = 0.5 * log(t * t + gamma * gamma)
    phi = atan(t / gamma)
    e = alpha - 1.0 - order
    m = exp(e * half_log)
    theta = -0.5 * PI * (alpha + order) - e * phi
    near = m * exp(-half_log) * c_next
    value = m * cos(theta)
    by_alpha = c * m * (half_log * cos(theta) + (phi + 0.5 * PI) * sin(theta)) + dc * value
    return c * value, near * sin(theta + phi), near * cos(theta + phi), by_alpha


def _integral(t, gamma, alpha):
    """Return r^a sin(a (pi/2 + phi)) / a, an integral of the line, and its derivative by alpha."""
    half_log = 0.5 * log(t * t + gamma * gamma)
    psi = 0.5 * PI + atan(t / gamma)
    grow = exp(alpha * half_log)
    b = alpha * psi
    value = sin(b) / alpha
    # (b cos b - sin b) / a^2 loses its digits at small b: series
    small = b * b < 1e-4
    tail = where(
        small,
        -b * psi * psi / 3.0 * (1.0 - 0.1 * b * b),
        (b * cos(b) - sin(b)) / (alpha * alpha),
    )
    return grow * value, grow * (value * half_log + tail)


def _edge(t, gamma, alpha, sigma):
    """Return the smoothed line's integral up to t, and d/dt, d/dgamma, d/dalpha, d/dsigma.

    exp(sigma^2/2 d^2/dt^2) to the second term: for edges of the window several widths away.
    """
    f = _power(t, gamma, alpha, 0, 1.0, 0.0, alpha - 1.0)[0]
    whole, whole_alpha = _integral(t, gamma, alpha)
    c1 = alpha - 1.0
    c2 = c1 * (alpha - 2.0)
    c3 = c2 * (alpha - 3.0)
    c4 = c3 * (alpha - 4.0)
    dc3 = 3.0 * alpha * alpha - 12.0 * alpha + 11.0
    g, g_t, g_gamma, g_alpha = _power(t, gamma, alpha, 1, c1, 1.0, c2)
    h, h_t, h_gamma, h_alpha = _power(t, gamma, alpha, 3, c3, dc3, c4)
    s = 0.5 * sigma * sigma
    q = 0.5 * s * s
    # d whole / d gamma = Re[i k Z^(a-1)]
    half_log = 0.5 * log(t * t + gamma * gamma)
    theta = -0.5 * PI * alpha - (alpha - 1.0) * atan(t / gamma)
    whole_gamma = -exp((alpha - 1.0) * half_log) * sin(theta)
    return (
        whole + s * g + q * h,
        f + s * g_t + q * h_t,
        whole_gamma + s * g_gamma + q * h_gamma,
        whole_alpha + s * g_alpha + q * h_alpha,
        sigma * (g + s * h),
    )


def doniach_sunjic_maximum(fwhm_lorentzian: float, asymmetry: float) -> float:
    """Return how far the maximum of `doniach_sunjic` lies above its ``center``."""
    return float(0.5 * fwhm_lorentzian * np.tan(0.5 * PI * asymmetry / (2.0 - asymmetry)))


_DS_WINDOW = {"window_low": -5.0, "window_high": 15.0}


def doniach_sunjic_cumulative(x, area, center, fwhm_lorentzian, asymmetry, window_low, window_high):
    """Integral of `doniach_sunjic` up to x; beyond the window it goes on growing."""
    alpha = where(asymmetry < 1e-8, 1e-8, asymmetry)
    gamma = 0.5 * fwhm_lorentzian
    zero = 0.0 * gamma
    here = _edge(x - center, gamma, alpha, zero)
    low = _edge(window_low + zero, gamma, alpha, zero)
    high = _edge(window_high + zero, gamma, alpha, zero)
    norm = 1.0 / (high[0] - low[0])
    step = here[0] * norm
    scale = area * norm
    return area * step, (
        step,
        -scale * here[1],
        0.5 * scale * (here[2] - step * (high[2] - low[2])),
        scale * (here[3] - step * (high[3] - low[3])),
        scale * step * low[1],
        -scale * step * high[1],
    )


@shape("area", "center", "fwhm_lorentzian", "asymmetry", "window_low", "window_high",
       defaults=_DS_WINDOW, window=("window_low", "window_high"),
       limits={"asymmetry": (0.0, 0.5)}, cumulative=doniach_sunjic_cumulative)  # fmt: skip
def doniach_sunjic(x, area, center, fwhm_lorentzian, asymmetry, window_low, window_high):
    """Doniach-Sunjic line with the area of a stated window.

    Its integral diverges: ``area`` is that from center + window_low to center + window_high (hold
    both, and state them with the area). ``fwhm_lorentzian`` is the lifetime width 2 gamma; the
    maximum lies above ``center``, see `doniach_sunjic_maximum`.
    """
    alpha = where(asymmetry < 1e-8, 1e-8, asymmetry)
    gamma = 0.5 * fwhm_lorentzian
    zero = 0.0 * gamma
    f, f_t, f_gamma, f_alpha = _power(x - center, gamma, alpha, 0, 1.0, 0.0, alpha - 1.0)
    low = _edge(window_low + zero, gamma, alpha, zero)
    high = _edge(window_high + zero, gamma, alpha, zero)
    norm = 1.0 / (high[0] - low[0])
    line = f * norm
    value = area * line
    return value, (
        line,
        -area * norm * f_t,
        0.5 * norm * (area * f_gamma - value * (high[2] - low[2])),
        norm * (area * f_alpha - value * (high[3] - low[3])),
        value * norm * low[1],
        -value * norm * high[1],
    )


# The convolution with a Gaussian: Z^(a-1) = (sin(pi a)/pi) int u^(a-1) / (u + Z) du is a sum of
# Lorentzians (with their dispersion) of width gamma + u, each of which becomes a w(z). Trapezoidal
# rule in ln u, error 2 exp(-pi^2 / step) ~ 6e-10; both ends are lumped into one term each that has
# the right zeroth and first moment.
_STEP = 0.45
_FIRST = -21
_LAST = 24
_RATIO = float(np.exp(_STEP))
_START = float(np.exp(_STEP * _FIRST))
_END = float(np.exp(_STEP * (_LAST + 1)))
_COUNT = _LAST - _FIRST + 1


def _low_lump(alpha, u0):
    """Return place and weight of all nodes below u0 in one, and the derivatives of both by alpha.

    The sum of h u^a over the nodes below u0 is h u0^a / (e^(a h) - 1), that of h u^(a + 1) alike.
    """
    y = alpha * _STEP
    e0 = exp(y)
    e1 = exp(y + _STEP)
    # b = y / (e^y - 1) by its series: y is small, and 0 without asymmetry
    b = 1.0 - y / 2.0 + y * y / 12.0 - y**4 / 720.0 + y**6 / 30240.0 - y**8 / 1209600.0
    db = -0.5 + y / 6.0 - y**3 / 180.0 + y**5 / 5040.0 - y**7 / 151200.0
    ratio = sin(PI * alpha) / (PI * alpha)
    grow = exp(alpha * log(u0))
    weight = ratio * grow * b
    slope = (cos(PI * alpha) - ratio) / alpha * grow * b
    slope = slope + weight * log(u0) + ratio * grow * db * _STEP
    u = u0 * (y / b) / (e1 - 1.0)
    return u, u * _STEP * (e0 * b / y - e1 / (e1 - 1.0)), weight, slope


def _high_lump(alpha, u0):
    """Return the same for all nodes from u0 on, by the sums of h u^(a - 1) and h u^(a - 2)."""
    s = sin(PI * alpha) / PI
    log_u = log(u0)
    grow = exp(alpha * log_u)
    p1 = exp((alpha - 1.0) * _STEP)
    p2 = exp((alpha - 2.0) * _STEP)
    a1 = _STEP * grow / u0 / (1.0 - p1)
    a2 = _STEP * grow / (u0 * u0) / (1.0 - p2)
    d1 = log_u + _STEP * p1 / (1.0 - p1)
    d2 = log_u + _STEP * p2 / (1.0 - p2)
    u = a1 / a2
    weight = s * a1 * u
    return u, u * (d1 - d2), weight, cos(PI * alpha) * a1 * u + weight * (2.0 * d1 - d2)


@shape("area", "center", "fwhm_lorentzian", "fwhm_gaussian", "asymmetry",
       "window_low", "window_high", defaults=_DS_WINDOW, window=("window_low", "window_high"),
       limits={"asymmetry": (0.0, 0.5)})  # fmt: skip
def doniach_sunjic_gaussian(
    x, area, center, fwhm_lorentzian, fwhm_gaussian, asymmetry, window_low, window_high
):
    """Convolve `doniach_sunjic` with a Gaussian (the resolution); ``area`` again over the window.

    Relative accuracy 1e-6 for window edges at least eight Gaussian sigma from the center.
    """
    alpha = where(asymmetry < 1e-6, 1e-6, asymmetry)
    gamma = 0.5 * fwhm_lorentzian
    least = 1e-4 * fwhm_lorentzian
    thin = fwhm_gaussian < least
    sigma = SIGMA * where(thin, least, fwhm_gaussian)
    k = 0.7071067811865476 / sigma
    t = x - center
    a = t * k
    turn_re = cos(0.5 * PI * alpha)
    turn_im = -sin(0.5 * PI * alpha)
    scale = gamma + sigma
    f = 0.0 * a
    f_t = f
    f_gamma = f
    f_sigma = f
    f_alpha = f
    start = scale * _START
    low_u, low_du, low_weight, low_slope = _low_lump(alpha, start)
    high_u, high_du, high_weight, high_slope = _high_lump(alpha, scale * _END)
    # nodes between: u and u^a by recurrence
    u_next = start
    log_u = log(start)
    grow = _STEP * exp(alpha * log_u)
    growth = exp(alpha * _STEP)
    share = sin(PI * alpha) / PI
    dshare = cos(PI * alpha)
    for j in range(_COUNT + 2):
        first = j == 0
        last = j == _COUNT + 1
        ends = first | last
        u = where(first, low_u, where(last, high_u, u_next))
        du = where(first, low_du, where(last, high_du, 0.0))
        weight = where(first, low_weight, where(last, high_weight, share * grow))
        slope = where(first, low_slope,
                      where(last, high_slope, (dshare + share * log_u) * grow))  # fmt: skip
        u_next = where(ends, u_next, u_next * _RATIO)
        grow = where(ends, grow, grow * growth)
        log_u = where(ends, log_u, log_u + _STEP)
        b = (gamma + u) * k
        re, im = wofz(a, b + 0.0 * a)
        w_re = turn_re * re - turn_im * im
        w_im = turn_re * im + turn_im * re
        d_re, d_im, s_re, s_im = wofz_slopes(a, b, re, im)
        p_re = turn_re * d_re - turn_im * d_im
        p_im = turn_re * d_im + turn_im * d_re
        f = f + weight * w_re
        f_t = f_t + weight * p_re
        f_gamma = f_gamma - weight * p_im
        f_sigma = f_sigma - weight * (turn_re * s_re - turn_im * s_im)
        f_alpha = f_alpha + slope * w_re + 0.5 * PI * weight * w_im - weight * du * k * p_im
    unit = SQRT_PI * k
    low = _edge(window_low + 0.0 * gamma, gamma, alpha, sigma)
    high = _edge(window_high + 0.0 * gamma, gamma, alpha, sigma)
    norm = 1.0 / (high[0] - low[0])
    line = unit * f * norm
    value = area * line
    scaled = area * unit * norm
    return value, (
        line,
        -scaled * k * f_t,
        0.5 * (scaled * k * f_gamma - value * norm * (high[2] - low[2])),
        where(thin, 0.0, SIGMA * (scaled * f_sigma / sigma - value * norm * (high[4] - low[4]))),
        scaled * f_alpha - value * norm * (high[3] - low[3]),
        value * norm * low[1],
        -value * norm * high[1],
    )


# -- LA and LF -------------------------------------------------------------------------------------


def _half_area(p):
    """Return integral of (1 + v^2)^-p from 0 to infinity, and the derivative of its logarithm."""
    value = 0.5 * SQRT_PI * exp(lgamma(p - 0.5) - lgamma(p))
    return value, digamma(p - 0.5) - digamma(p)


def _half_width(p):
    """Return v at half maximum, sqrt(2^(1/p) - 1), and its derivative."""
    two = exp(LN2 / p)
    v = sqrt(two - 1.0)
    return v, -0.5 * two * LN2 / (p * p * v)


_LA_LIMITS = {"alpha": (0.5, INF), "beta": (0.5, INF)}


@shape("area", "center", "fwhm", "alpha", "beta", limits=_LA_LIMITS)
def la(x, area, center, fwhm, alpha, beta):
    """CasaXPS's LA(alpha, beta, 0): a Lorentzian to the power alpha above, beta below ``center``.

    Smaller powers, longer tails; both above 1/2, or the area diverges. ``fwhm`` is the true width;
    CasaXPS's width parameter is ``2 fwhm / (s(alpha) + s(beta))``, s(p) = sqrt(2^(1/p) - 1).
    Integral of (1 + v^2)^-p over a half line: sqrt(pi) Gamma(p - 1/2) / (2 Gamma(p)).
    """
    s_a, ds_a = _half_width(alpha)
    s_b, ds_b = _half_width(beta)
    i_a, di_a = _half_area(alpha)
    i_b, di_b = _half_area(beta)
    s = s_a + s_b
    total = i_a + i_b
    unit = fwhm / s
    v = (x - center) / unit
    high = v > 0.0
    p = where(high, alpha, beta)
    v2 = where(v * v > 1e30, 1e30, v * v)
    fall = log(1.0 + v2)
    line = exp(-p * fall) / (unit * total)
    q = v2 / (1.0 + v2)
    by_log_unit = 2.0 * p * q - 1.0
    value = area * line
    return value, (
        line,
        value * 2.0 * p * v / (1.0 + v2) / unit,
        value * by_log_unit / fwhm,
        value * (-by_log_unit * ds_a / s - i_a * di_a / total - where(high, fall, 0.0)),
        value * (-by_log_unit * ds_b / s - i_b * di_b / total - where(high, 0.0, fall)),
    )


_X32, _W32 = np.polynomial.legendre.leggauss(32)
NODES = tuple(float(v) for v in _X32)
WEIGHTS = tuple(float(v) for v in _W32)
"""Gauss-Legendre rule on [-1, 1]."""
_REACH = 7.5


def _asinh(s):
    return log(s + sqrt(s * s + 1.0))


def _half_convolved(t, gamma, sigma, p):
    """Convolve half a line, L(s)^p for s > 0, with a Gaussian.

    With s = gamma sinh v the half line is smooth in v, and the Gaussian cuts out the stretch
    t +- 7.5 sigma of it: Gauss-Legendre on that. Returns the value and the derivatives by t, gamma,
    sigma, p.
    """
    low = t - _REACH * sigma
    high = t + _REACH * sigma
    v_low = _asinh(where(low > 0.0, low, 0.0) / gamma)
    v_high = _asinh(where(high > 0.0, high, 0.0) / gamma)
    middle = 0.5 * (v_high + v_low)
    reach = 0.5 * (v_high - v_low)
    f = 0.0 * t
    f_t = f
    f_gamma = f
    f_sigma = f
    f_p = f
    for j in range(32):
        e = exp(middle + reach * NODES[j])
        sinh = 0.5 * (e - 1.0 / e)
        s = gamma * sinh
        fall = log(1.0 + sinh * sinh)
        z = (t - s) / sigma
        term = WEIGHTS[j] * (e + 1.0 / e) * exp(-p * fall - 0.5 * z * z)
        f = f + term
        f_t = f_t - term * z
        f_sigma = f_sigma + term * (z * z - 1.0)
        f_gamma = f_gamma + term * (sinh * sinh / (1.0 + sinh * sinh))
        f_p = f_p - term * fall
    unit = 0.5 * gamma * reach / (sigma * 2.5066282746310002)
    return (
        unit * f,
        unit * f_t / sigma,
        unit * f_gamma * 2.0 * p / gamma,
        unit * f_sigma / sigma,
        unit * f_p,
    )


@shape("area", "center", "fwhm_lorentzian", "fwhm_gaussian", "alpha", "beta", limits=_LA_LIMITS)
def la_gaussian(x, area, center, fwhm_lorentzian, fwhm_gaussian, alpha, beta):
    """CasaXPS's LA(alpha, beta, m): the two powers of a Lorentzian convolved with a Gaussian.

    ``fwhm_lorentzian`` is that of the plain Lorentzian (CasaXPS's width), ``fwhm_gaussian`` is in
    axis units (CasaXPS's m is a number of channels). Quadrature, accurate to 1e-8 of the peak.
    """
    gamma = 0.5 * fwhm_lorentzian
    least = 1e-4 * fwhm_lorentzian
    thin = fwhm_gaussian < least
    sigma = SIGMA * where(thin, least, fwhm_gaussian)
    t = x - center
    i_a, di_a = _half_area(alpha)
    i_b, di_b = _half_area(beta)
    total = gamma * (i_a + i_b)
    up = _half_convolved(t, gamma, sigma, alpha)
    down = _half_convolved(-t, gamma, sigma, beta)
    line = (up[0] + down[0]) / total
    value = area * line
    scale = area / total
    return value, (
        line,
        -scale * (up[1] - down[1]),
        0.5 * (scale * (up[2] + down[2]) - value / gamma),
        where(thin, 0.0, SIGMA * scale * (up[3] + down[3])),
        scale * up[4] - value * i_a * di_a / (i_a + i_b),
        scale * down[4] - value * i_b * di_b / (i_a + i_b),
    )


# LF: the power is p at the center and rises to 3 far out, p(s) = 3 - (3 - p) q with
# q = 1 / (1 + 4 (s / end)^2), so that the tails of a slow power come to an end (Major, Shah, Avval,
# Fernandez, Fairley, Linford, Vacuum Technology & Coating, April 2020).
_LAST_POWER = 3.0


def _half_finite(t, gamma, sigma, p, end):
    """Convolve half an LF line for s > 0 with a Gaussian, as `_half_convolved` does.

    Returns the value and the derivatives by t, gamma, sigma, p, end.
    """
    low = t - _REACH * sigma
    high = t + _REACH * sigma
    v_low = _asinh(where(low > 0.0, low, 0.0) / gamma)
    v_high = _asinh(where(high > 0.0, high, 0.0) / gamma)
    middle = 0.5 * (v_high + v_low)
    reach = 0.5 * (v_high - v_low)
    less = _LAST_POWER - p
    f = 0.0 * t
    f_t = f
    f_gamma = f
    f_sigma = f
    f_p = f
    f_end = f
    for j in range(32):
        e = exp(middle + reach * NODES[j])
        sinh = 0.5 * (e - 1.0 / e)
        s = gamma * sinh
        fall = log(1.0 + sinh * sinh)
        q = 1.0 / (1.0 + 4.0 * s * s / (end * end))
        power = _LAST_POWER - less * q
        z = (t - s) / sigma
        term = WEIGHTS[j] * (e + 1.0 / e) * exp(-power * fall - 0.5 * z * z)
        f = f + term
        f_t = f_t - term * z
        f_sigma = f_sigma + term * (z * z - 1.0)
        f_gamma = f_gamma + term * power * (sinh * sinh / (1.0 + sinh * sinh))
        f_p = f_p - term * fall * q
        f_end = f_end + term * fall * less * q * q * s * s
    unit = 0.5 * gamma * reach / (sigma * 2.5066282746310002)
    return (
        unit * f,
        unit * f_t / sigma,
        unit * f_gamma * 2.0 / gamma,
        unit * f_sigma / sigma,
        unit * f_p,
        unit * f_end * 8.0 / (end * end * end),
    )


def _half_finite_area(gamma, p, end):
    """Return the integral of half an LF line, and its derivatives by gamma, p, end.

    Gauss-Legendre in v, s = gamma sinh v, on two stretches to where nothing is left.
    """
    reach = 0.25 * _asinh(40.0 * (end + gamma) / gamma)
    less = _LAST_POWER - p
    f = 0.0 * reach
    f_gamma = f
    f_p = f
    f_end = f
    for j in range(64):
        node = NODES[j // 2]
        weight = WEIGHTS[j // 2]
        first = 1.0 + 2.0 * (j % 2)  # middles of the two stretches
        e = exp(reach * (first + node))
        sinh = 0.5 * (e - 1.0 / e)
        s = gamma * sinh
        fall = log(1.0 + sinh * sinh)
        q = 1.0 / (1.0 + 4.0 * s * s / (end * end))
        power = _LAST_POWER - less * q
        term = weight * (e + 1.0 / e) * exp(-power * fall)
        f = f + term
        f_gamma = f_gamma + term * power * (sinh * sinh / (1.0 + sinh * sinh))
        f_p = f_p - term * fall * q
        f_end = f_end + term * fall * less * q * q * s * s
    unit = 0.5 * gamma * reach
    return (
        unit * f,
        unit * f_gamma * 2.0 / gamma,
        unit * f_p,
        unit * f_end * 8.0 / (end * end * end),
    )


@shape("area", "center", "fwhm_lorentzian", "fwhm_gaussian", "alpha", "beta", "damping",
       limits={"alpha": (0.0, INF), "beta": (0.0, INF), "damping": (0.0, INF)})  # fmt: skip
def lf(x, area, center, fwhm_lorentzian, fwhm_gaussian, alpha, beta, damping):
    """CasaXPS's LF(alpha, beta, w, m): LA whose powers rise to 3 far from the center.

    An asymmetric line of finite area: the power is alpha (above) or beta (below ``center``) there
    and halfway to 3 at ``damping`` / 2. CasaXPS's w is ``damping`` over ``fwhm_lorentzian``, its m
    a number of channels; its exported curves are followed within 1e-4. ``alpha`` and ``beta`` may
    be below 1/2 here.
    """
    gamma = 0.5 * fwhm_lorentzian
    least = 1e-4 * fwhm_lorentzian
    thin = fwhm_gaussian < least
    sigma = SIGMA * where(thin, least, fwhm_gaussian)
    t = x - center
    a = _half_finite_area(gamma, alpha, damping)
    b = _half_finite_area(gamma, beta, damping)
    up = _half_finite(t, gamma, sigma, alpha, damping)
    down = _half_finite(-t, gamma, sigma, beta, damping)
    scale = 1.0 / (a[0] + b[0])
    line = scale * (up[0] + down[0])
    value = area * line
    scaled = area * scale
    return value, (
        line,
        -scaled * (up[1] - down[1]),
        0.5 * (scaled * (up[2] + down[2]) - value * scale * (a[1] + b[1])),
        where(thin, 0.0, SIGMA * scaled * (up[3] + down[3])),
        scaled * up[4] - value * scale * a[2],
        scaled * down[4] - value * scale * b[2],
        scaled * (up[5] + down[5]) - value * scale * (a[3] + b[3]),
    )

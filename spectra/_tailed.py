"""Peaks with exponential tails and plateaus: detector tails, Hypermet lines, layers."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._maths import atan, cos, erf, erfcx, exp, log, sin, sqrt, where
from .shapes import LN2, PI, SIGMA, SQRT_LN2_PI, shape

INF = float("inf")
_ROOT_2PI = 2.5066282746310002
_ROOT_LN2_2 = float(2.0 * LN2**0.5)


def _tailed_gaussian(t, sigma, tail):
    """Convolve a Gaussian with exp(-s/tail)/tail, s > 0 (tail > 0); d/dt, d/dsigma, d/dtail.

    With D = d/dt this is (1 + tail D)^-1 G: for tails below 0.02 sigma its series in Hermite
    polynomials, else the closed form with erfcx, from whose value the derivatives follow.
    """
    z = t / sigma
    z = where(z > 1e8, 1e8, where(z < -1e8, -1e8, z))
    g = exp(-0.5 * z * z) / (sigma * _ROOT_2PI)
    r = tail / sigma
    short = r < 0.02
    tau = where(short, sigma, tail)
    # closed form
    q = (sigma / tau - z) * 0.7071067811865476
    low = q < 0.0
    e = g * sigma * _ROOT_2PI * erfcx(where(low, -q, q))
    fall = 0.5 * (sigma / tau) * (sigma / tau) - t / tau
    far = where(low & (fall > -700.0), exp(where(low & (fall > -700.0), fall, 0.0)), 0.0)
    f = where(low, 2.0 * far - e, e) / (2.0 * tau)
    f_t = (g - f) / tau
    f_sigma = sigma * (-z / sigma * g - f_t) / tau
    moment = where(f > 0.0, f * (t * tau - tau * tau - sigma * sigma), 0.0)
    f_tau = (moment + sigma * sigma * g) / (tau * tau * tau)
    # series: sum r^n He_n(z) G and its derivatives by He' = n He_(n-1), (He_n G)' = -He_(n+1) G / s
    y = where(z > 40.0, 40.0, where(z < -40.0, -40.0, z))
    h0, h1 = 1.0 + 0.0 * y, y
    power = where(short, 1.0, 0.0)
    step = where(short, r, 0.0)
    s = 0.0 * y
    s_t = s
    s_sigma = s
    s_tau = s
    for n in range(9):
        h2 = y * h1 - (n + 1.0) * h0
        s = s + power * h0
        s_t = s_t - power * h1
        s_sigma = s_sigma + power * h2
        s_tau = s_tau + (n + 1.0) * power * h1
        h0, h1 = h1, h2
        power = power * step
    return (
        where(short, g * s, f),
        where(short, g * s_t / sigma, f_t),
        where(short, g * s_sigma / sigma, f_sigma),
        where(short, g * s_tau / sigma, f_tau),
    )


@shape("area", "center", "fwhm_gaussian", "tail")
def gaussian_tail(x, area, center, fwhm_gaussian, tail):
    """Gaussian convolved with a one-sided exponential of decay length ``|tail|``.

    Positive tails point to high x, negative ones to low x, 0 is the Gaussian itself (all smooth in
    between). ``center`` is that of the Gaussian; the mean is ``center + tail``.
    """
    side = where(tail < 0.0, -1.0, 1.0)
    f, f_t, f_sigma, f_tau = _tailed_gaussian(
        side * (x - center), SIGMA * fwhm_gaussian, side * tail
    )
    return area * f, (f, -area * side * f_t, area * SIGMA * f_sigma, area * side * f_tau)


def _exp_integral(x, y):
    """Return J(z) = e^z E1(z) = int_0^inf e^-s / (s + z) ds, z = x + i y, y > 0, and J'(z).

    Continued fraction where |z| + Re z > 2.5; near the negative axis the power series, or from
    |z| = 26 on the asymptotic one.
    """
    r = sqrt(x * x + y * y)
    smooth = r + x > 2.5
    large = r > 26.0
    # continued fraction 1/(z+1 - 1/(z+3 - 4/(z+5 - ...))), from its tail upwards
    cx = where(smooth, x, 10.0)
    cy = where(smooth, y, 1.0)
    dr, di = cx + 121.0, cy
    for k in range(60, 0, -1):
        h = k * k / (dr * dr + di * di)
        dr, di = cx + (2.0 * k - 1.0) - h * dr, cy + h * di
    h = 1.0 / (dr * dr + di * di)
    c_re, c_im = h * dr, -h * di
    # power series e^z (-gamma - ln z - sum (-z)^k / (k k!))
    use = (r + x <= 2.5) & (r <= 26.0)
    px = where(use, x, -1.0)
    py = where(use, y, 1.0)
    tr, ti = 1.0 + 0.0 * px, 0.0 * px
    sr, si = tr * 0.0, tr * 0.0
    for k in range(1, 101):
        tr, ti = (-px * tr + py * ti) / k, (-px * ti - py * tr) / k
        sr, si = sr + tr / k, si + ti / k
    pr = sqrt(px * px + py * py)
    arg = _angle(px, py)
    br, bi = -0.5772156649015329 - log(pr) - sr, -arg - si
    grow = exp(px)
    p_re = grow * (cos(py) * br - sin(py) * bi)
    p_im = grow * (cos(py) * bi + sin(py) * br)
    # asymptotic series 1/z (1 - 1/z + 2/z^2 - ...), and that of J' = -1/z^2 (1 - 2/z + 6/z^2 ...)
    ax = where(large, x, 30.0)
    ay = where(large, y, 0.0)
    n2 = ax * ax + ay * ay
    ir, ii = ax / n2, -ay / n2
    tr, ti = ir, ii
    a_re, a_im = ir, ii
    d_re, d_im = 0.0 * ir, 0.0 * ir
    for k in range(1, 25):
        # J' = J - 1/z: the same series without its first term
        nr, ni = -k * (tr * ir - ti * ii), -k * (tr * ii + ti * ir)
        d_re, d_im = d_re + nr, d_im + ni
        tr, ti = nr, ni
        a_re, a_im = a_re + tr, a_im + ti
    j_re = where(large, a_re, where(smooth, c_re, p_re))
    j_im = where(large, a_im, where(smooth, c_im, p_im))
    n2 = where(large, 1.0, x * x + y * y)
    return (
        j_re,
        j_im,
        where(large, d_re, j_re - x / n2),
        where(large, d_im, j_im + y / n2),
    )


def _angle(x, y):
    """Return the argument of x + i y for y > 0: pi/2 - atan(x / y)."""
    return 0.5 * PI - atan(x / y)


@shape("area", "center", "fwhm_core", "mixing", "tail", defaults={"mixing": 0.3})
def pseudo_voigt_tail(x, area, center, fwhm_core, mixing, tail):
    """Pseudo-Voigt (of width ``fwhm_core``) convolved with an exponential of length ``|tail|``.

    Positive tails point to high x, negative ones to low x. The Gaussian part has a closed form with
    erfcx, the Lorentzian one is Im of e^z E1(z).
    """
    side = where(tail < 0.0, -1.0, 1.0)
    t = side * (x - center)
    g, g_t, g_sigma, g_tau = _tailed_gaussian(t, SIGMA * fwhm_core, side * tail)
    gamma = 0.5 * fwhm_core
    # below 1e-6 of the width the tail only shifts the line, by less than can be seen
    tau = where(side * tail < 1e-6 * fwhm_core, 1e-6 * fwhm_core, side * tail)
    zr, zi = -t / tau, gamma / tau + 0.0 * t
    _, ji, dr, di = _exp_integral(zr, zi)
    unit = 1.0 / (PI * tau)
    lo = -unit * ji
    lo_t = unit * di / tau
    lo_gamma = -unit * dr / tau
    lo_tau = unit * (ji + zr * di + zi * dr) / tau
    f = (1.0 - mixing) * g + mixing * lo
    f_t = (1.0 - mixing) * g_t + mixing * lo_t
    f_tau = (1.0 - mixing) * g_tau + mixing * lo_tau
    return area * f, (
        f,
        -area * side * f_t,
        area * ((1.0 - mixing) * SIGMA * g_sigma + 0.5 * mixing * lo_gamma),
        area * (lo - g),
        area * side * f_tau,
    )


@shape("area", "center", "fwhm_gaussian", "tail_share", "tail",
       defaults={"tail_share": 0.0, "tail": 1.0},
       limits={"tail_share": (0.0, 1.0), "tail": (0.0, INF)})  # fmt: skip
def hypermet(x, area, center, fwhm_gaussian, tail_share, tail):
    """Germanium detector line: a Gaussian, and the share ``tail_share`` with a low-energy tail.

    Incomplete charge collection (Phillips and Marlow, Nucl. Instrum. Methods 137, 525 (1976)).
    ``area`` holds both parts; the shelf below the peak is a `step_erf` of negative height.
    """
    u = (x - center) / fwhm_gaussian
    g = exp(-4.0 * LN2 * u * u) * (2.0 * SQRT_LN2_PI / fwhm_gaussian)
    f, f_t, f_sigma, f_tau = _tailed_gaussian(center - x, SIGMA * fwhm_gaussian, tail)
    line = (1.0 - tail_share) * g + tail_share * f
    slope = 8.0 * LN2 * u
    return area * line, (
        line,
        area * ((1.0 - tail_share) * g * slope / fwhm_gaussian + tail_share * f_t),
        area * ((1.0 - tail_share) * g * (slope * u - 1.0) / fwhm_gaussian
                + tail_share * SIGMA * f_sigma),
        area * (f - g),
        area * tail_share * f_tau,
    )  # fmt: skip


@shape("area", "low_edge", "high_edge", "fwhm_low", "fwhm_high",
       center=("low_edge", "high_edge"))  # fmt: skip
def slab(x, area, low_edge, high_edge, fwhm_low, fwhm_high):
    """Plateau between two edges, each smeared by a Gaussian of its own: a layer in depth or energy.

    ``area / (high_edge - low_edge)`` times the difference of two error functions; the smearing
    leaves the integral as it is. Edges closer than 1e-6 of the widths are held that far apart.
    """
    least = 1e-6 * (fwhm_low + fwhm_high)
    length = high_edge - low_edge
    length = where((length < least) & (length > -least), least, length)
    a = (x - low_edge) / fwhm_low
    b = (x - high_edge) / fwhm_high
    plateau = 0.5 * (erf(_ROOT_LN2_2 * a) - erf(_ROOT_LN2_2 * b)) / length
    g_a = exp(-4.0 * LN2 * a * a) * (2.0 * SQRT_LN2_PI / fwhm_low) / length
    g_b = exp(-4.0 * LN2 * b * b) * (2.0 * SQRT_LN2_PI / fwhm_high) / length
    return area * plateau, (
        plateau,
        area * (plateau / length - g_a),
        area * (g_b - plateau / length),
        -area * g_a * a,
        area * g_b * b,
    )

"""The Faddeeva function and erfcx in plain arithmetic, for compiled shapes.

w(z), z = x + i y, y >= 0. Near: Weideman's n = 32 polynomial (SIAM J. Numer. Anal. 31, 1497
(1994)), unrolled because compilers vectorise only straight code: L = (n / sqrt 2)^(1/2),
Z = (L + i z) / (L - i z), w = 2 P(Z) / (L - i z)^2 + 1 / (sqrt(pi) (L - i z)).
Far, |z| > 15: the asymptotic series, 9 terms.
``scipy.special`` agrees to 4e-14 of the peak.
"""

from __future__ import annotations

from typing import Any

from ._maths import atan, exp, where

_L = 4.756828460010884
_FAR = 225.0


def wofz(x: Any, y: Any) -> tuple[Any, Any]:
    """Real and imaginary part of w(x + i y), y >= 0: near or far by |z|^2 = 225."""
    r2 = x * x + y * y
    far = r2 > _FAR
    nr, ni = near(where(far, 1.0, x), where(far, 1.0, y))
    fr, fi = distant(where(far, x, 16.0), where(far, y, 16.0))
    return where(far, fr, nr), where(far, fi, ni)


def distant(x: Any, y: Any) -> tuple[Any, Any]:
    """Asymptotic series (i / sqrt(pi)) sum (2 k - 1)!! / 2^k z^-(2 k + 1), 9 terms; |z| > 15."""
    d = 1.0 / (x * x + y * y)
    ir, ii = x * d, -y * d
    sr, si = ir * ir - ii * ii, 2.0 * ir * ii
    pr, pi = 7918.06640625, 0.0 * x
    pr, pi = pr * sr - pi * si + 1055.7421875, pr * si + pi * sr
    pr, pi = pr * sr - pi * si + 162.421875, pr * si + pi * sr
    pr, pi = pr * sr - pi * si + 29.53125, pr * si + pi * sr
    pr, pi = pr * sr - pi * si + 6.5625, pr * si + pi * sr
    pr, pi = pr * sr - pi * si + 1.875, pr * si + pi * sr
    pr, pi = pr * sr - pi * si + 0.75, pr * si + pi * sr
    pr, pi = pr * sr - pi * si + 0.5, pr * si + pi * sr
    pr, pi = pr * sr - pi * si + 1.0, pr * si + pi * sr
    return (
        -0.5641895835477563 * (pr * ii + pi * ir),
        0.5641895835477563 * (pr * ir - pi * ii),
    )


def erfcx(x: Any) -> Any:
    """exp(x^2) erfc(x) = w(i x) for x >= 0, by reflection below; x > -26."""
    low = x < 0.0
    a = where(low, -x, x)
    re, _ = wofz(a * 0.0, a)
    return where(low, 2.0 * exp(where(low, a * a, 0.0)) - re, re)


def near(x: Any, y: Any) -> tuple[Any, Any]:
    """Weideman's approximation; |z| < 15 or so."""
    dr = _L + y
    nr = _L - y
    d2 = 1.0 / (dr * dr + x * x)
    ir = dr * d2
    ii = x * d2
    zr = nr * ir - x * ii
    zi = nr * ii + x * ir
    pr = -1.3031797863050087e-12
    pi = 0.0
    pr, pi = pr * zr - pi * zi + 3.7408812931653625e-12, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 8.03036789996389e-12, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -2.154363207783877e-11, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -5.5442359481664624e-11, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 1.1658251093523774e-10, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 4.153743091833453e-10, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -5.231020481196329e-10, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -3.208015091723369e-09, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 8.124889456846652e-10, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 2.3797556779897417e-08, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 2.2930439065099966e-08, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -1.4813078915120977e-07, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -4.1840763702169776e-07, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 4.2558331375750085e-07, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 4.40153173157855e-06, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 6.821031944001985e-06, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -2.140961920171075e-05, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -0.00013075449254615346, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -0.0002453298027002143, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.0003925913607007031, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.004519541105349217, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.019006155784845408, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.05730440352983722, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.14060716226893769, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.2954445107150873, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.5460139720639341, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.9019254893647999, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 1.345544169234545, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 1.8256696296324815, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 2.2635372999002676, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 2.5722534081245696, pr * zi + pi * zr
    sr, si = ir * ir - ii * ii, 2.0 * ir * ii
    return (
        2.0 * (pr * sr - pi * si) + 0.5641895835477563 * ir,
        2.0 * (pr * si + pi * sr) + 0.5641895835477563 * ii,
    )


def wofz_integral(x: Any, y: Any) -> Any:
    """Integral of Re w(s + i y) over s from 0 to x, to 1e-13 everywhere.

    Weideman's form has an elementary one: dZ/dz = 2 i L / (L - i z)^2, so that it is
    Im Q(Z) / L + atan(x / (L + y)) / sqrt(pi) with Q' = P.
    """
    dr = _L + y
    nr = _L - y
    d2 = 1.0 / (dr * dr + x * x)
    ir = dr * d2
    ii = x * d2
    zr = nr * ir - x * ii
    zi = nr * ii + x * ir
    pr = -4.0724368322031523e-14
    pi = 0.0
    pr, pi = pr * zr - pi * zi + 1.2067359010210847e-13, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 2.676789299987963e-13, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -7.42883864753061e-13, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -1.980084267202308e-12, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 4.3178707753791756e-12, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 1.5975934968590206e-11, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -2.0924081924785315e-11, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -1.336672954884737e-10, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 3.532560633411588e-11, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 1.0817071263589735e-09, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 1.091925669766665e-09, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -7.406539457560489e-09, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -2.2021454580089354e-08, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 2.364351743097227e-08, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 2.589136312693265e-07, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 4.2631449650012405e-07, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -1.4273079467807167e-06, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -9.339606610439533e-06, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + -1.887152328463187e-05, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 3.271594672505859e-05, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.00041086737321356523, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.0019006155784845407, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.006367155947759691, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.01757589528361721, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.0422063586735839, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.09100232867732234, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.18038509787295998, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.3363860423086362, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 0.6085565432108272, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 1.1317686499501338, pr * zi + pi * zr
    pr, pi = pr * zr - pi * zi + 2.5722534081245696, pr * zi + pi * zr
    imaginary = pr * zi + pi * zr
    return imaginary / _L + 0.5641895835477563 * atan(x / dr)


def wofz_slopes(x: Any, y: Any, re: Any, im: Any) -> tuple[Any, Any, Any, Any]:
    """Real and imaginary parts of w' and of w + z w', from w itself.

    w' = -2 z w + 2 i / sqrt(pi) loses |z|^2 in digits: from |z|^2 = 400 on by the series
    w = (i / sqrt(pi)) sum c_k z^-(2 k + 1), c_k = (2 k - 1)!! / 2^k, term by term.
    """
    r2 = x * x + y * y
    far = r2 > 400.0
    near_re = -2.0 * (x * re - y * im)
    near_im = -2.0 * (x * im + y * re) + 1.1283791670955126
    # s = 1 / z^2
    d = where(far, r2, 400.0)
    ir, ii = x / d, -y / d
    sr, si = ir * ir - ii * ii, 2.0 * ir * ii
    # w' = -(i / sqrt(pi)) s (1 + 3/2 s + 15/4 s^2 + 105/8 s^3 + 945/16 s^4 + 10395/32 s^5)
    pr, pi = 324.84375, 0.0 * x
    pr, pi = pr * sr - pi * si + 59.0625, pr * si + pi * sr
    pr, pi = pr * sr - pi * si + 13.125, pr * si + pi * sr
    pr, pi = pr * sr - pi * si + 3.75, pr * si + pi * sr
    pr, pi = pr * sr - pi * si + 1.5, pr * si + pi * sr
    pr, pi = pr * sr - pi * si + 1.0, pr * si + pi * sr
    pr, pi = pr * sr - pi * si, pr * si + pi * sr
    far_re, far_im = 0.5641895835477563 * pi, -0.5641895835477563 * pr
    # w + z w' = -(i / sqrt(pi)) s / z (1 + 3 s + 45/4 s^2 + 105/2 s^3 + 4725/16 s^4 ...)
    pr, pi = 1949.0625, 0.0 * x
    pr, pi = pr * sr - pi * si + 295.3125, pr * si + pi * sr
    pr, pi = pr * sr - pi * si + 52.5, pr * si + pi * sr
    pr, pi = pr * sr - pi * si + 11.25, pr * si + pi * sr
    pr, pi = pr * sr - pi * si + 3.0, pr * si + pi * sr
    pr, pi = pr * sr - pi * si + 1.0, pr * si + pi * sr
    pr, pi = pr * sr - pi * si, pr * si + pi * sr
    pr, pi = pr * ir - pi * ii, pr * ii + pi * ir
    return (
        where(far, far_re, near_re),
        where(far, far_im, near_im),
        where(far, 0.5641895835477563 * pi, re + x * near_re - y * near_im),
        where(far, -0.5641895835477563 * pr, im + x * near_im + y * near_re),
    )

"""Line shapes: the contract over the registry, the contract's own tests, and external truth."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import integrate, special

from spectra import _maths, _wofz, shapes
from spectra.shapes import SHAPES, Shape, gaussian

from .contracts import shape_contract as contract
from .shared_data import data

REAL = [s for s in SHAPES.values() if s.name != "template"]


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("shape", REAL, ids=lambda s: s.name)
def test_contract(shape, check):
    check(shape)


# -- the contract finds what it is for -------------------------------------------------------------


def plain(x, area, center, fwhm):
    """Nothing wrong with it."""
    return gaussian(x, area, center, fwhm)


def dummy(function, **changes):
    good = Shape(
        "dummy",
        function,
        ("area", "center", "fwhm"),
        center=("center",),
        width=("fwhm",),
        limits={"fwhm": (0.0, np.inf)},
    )
    return dataclasses.replace(good, **changes)


def test_contract_accepts_a_good_shape():
    for check in contract.CHECKS:
        check(dummy(plain, cumulative=shapes.gaussian_cumulative))


def wrong_area(x, area, center, fwhm):
    """One per cent too much."""
    v, d = shapes.gaussian(x, 1.01 * area, center, fwhm)
    return v, (1.01 * d[0], d[1], d[2])


def wrong_width(x, area, center, fwhm):
    """Sigma called fwhm."""
    v, d = shapes.gaussian(x, area, center, 2.3548 * fwhm)
    return v, (d[0], d[1], 2.3548 * d[2])


def wrong_derivative(x, area, center, fwhm):
    """The sign of the center's derivative."""
    v, d = shapes.gaussian(x, area, center, fwhm)
    return v, (d[0], -d[1], d[2])


def missing_derivative(x, area, center, fwhm):
    """Two instead of three."""
    v, d = shapes.gaussian(x, area, center, fwhm)
    return v, d[:2]


def not_linear(x, area, center, fwhm):
    """Quadratic in area."""
    v, d = shapes.gaussian(x, area, center, fwhm)
    return area * v, (2.0 * v, area * d[1], area * d[2])


def not_finite(x, area, center, fwhm):
    """Nothing over nothing at the center."""
    v, d = shapes.gaussian(x, area, center, fwhm)
    return v * (x - center) / (x - center), d


def overflowing(x, area, center, fwhm):
    """A growing exponential far from the center."""
    v, d = shapes.gaussian(x, area, center, fwhm)
    return v / (1.0 + 1e-300 * _maths.exp(x * x)), d


def looks_around(x, area, center, fwhm):
    """Normalised over the points it was given."""
    v, d = shapes.gaussian(x, area, center, fwhm)
    return v / np.sum(v), d


def two_maxima(x, area, center, fwhm):
    """A pair of lines."""
    a, b = (shapes.gaussian(x, area, center + s * fwhm, fwhm) for s in (-0.8, 0.8))
    return 0.5 * (a[0] + b[0]), tuple(0.5 * (i + j) for i, j in zip(a[1], b[1], strict=True))


def uses_numpy(x, area, center, fwhm):
    """Right numbers, but a library no compiler is given."""
    return shapes.gaussian(np.asarray(x), area, center, fwhm)


def wrong_cumulative(x, area, center, fwhm):
    """Falls instead of rising."""
    v, d = shapes.gaussian_cumulative(x, area, center, fwhm)
    return area - v, (1.0 - d[0], -d[1], -d[2])


@pytest.mark.parametrize(
    ("bad", "check"),
    [
        (dummy(wrong_area), contract.check_area),
        (dummy(wrong_width), contract.check_width),
        (dummy(two_maxima), contract.check_width),
        (dummy(wrong_derivative), contract.check_derivatives),
        (dummy(missing_derivative), contract.check_signature),
        (dummy(plain, center=("centre",)), contract.check_signature),
        (dummy(not_linear), contract.check_linear),
        (dummy(not_finite), contract.check_finite),
        (dummy(overflowing), contract.check_finite),
        (dummy(looks_around), contract.check_elementwise),
        (dummy(uses_numpy), contract.check_plain),
        (dummy(plain, cumulative=wrong_cumulative), contract.check_cumulative),
    ],
    ids=lambda v: getattr(v, "__name__", None) or v.function.__name__,
)
def test_contract_refuses(bad, check):
    with pytest.raises(AssertionError):
        check(bad)


def test_a_name_is_registered_once():
    from spectra.errors import ModelError

    with pytest.raises(ModelError, match="twice"):
        shapes.shape("area", "center", "fwhm")(shapes.gaussian)


# -- external truth --------------------------------------------------------------------------------

X = np.linspace(-12.0, 18.0, 241) + 0.01


def value(name, **params):
    shape = SHAPES[name]
    return np.asarray(shape.function(X, *(params[k] for k in shape.params))[0])


def convolved(function, kernel, reach, breaks=()):
    """int function(t - s) kernel(s) ds by adaptive quadrature."""
    return np.array([
        integrate.quad(
            lambda s, t=t: float(function(t - s) * kernel(s)), -reach, reach,
            points=sorted({p for p in (0.0, t, *breaks) if abs(p) < reach}),
            epsabs=1e-12, epsrel=1e-11, limit=400,
        )[0]
        for t in X[::12]
    ])  # fmt: skip


def normal(s, sigma):
    return np.exp(-0.5 * (s / sigma) ** 2) / (sigma * np.sqrt(2.0 * np.pi))


@pytest.mark.parametrize("x", [0.0, 0.3, 4.0, 14.9, 15.1, 300.0])
@pytest.mark.parametrize("y", [1e-9, 1e-3, 0.5, 4.0, 14.0, 40.0])
def test_plain_wofz_is_scipys(x, y):
    re, im = _wofz.wofz(np.array([x]), np.array([y]))
    truth = special.wofz(x + 1j * y)
    assert abs(re[0] - truth.real) < 5e-14
    assert abs(im[0] - truth.imag) < 5e-14


def test_plain_erfcx_is_scipys():
    x = np.linspace(-20.0, 500.0, 2001)
    np.testing.assert_allclose(_wofz.erfcx(x), special.erfcx(x), rtol=1e-13)


@pytest.mark.parametrize(("fg", "fl"), [(1.0, 1e-6), (1.0, 0.4), (0.3, 2.0), (1e-4, 1.0)])
def test_voigt_is_scipys(fg, fl):
    got = value("voigt", area=2.0, center=1.0, fwhm_gaussian=fg, fwhm_lorentzian=fl)
    truth = 2.0 * special.voigt_profile(X - 1.0, fg * shapes.SIGMA, 0.5 * fl)
    np.testing.assert_allclose(got, truth, atol=1e-9 * truth.max())


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8, 1.0])
def test_voigt_width(share):
    fg, fl = 1.0 - share, share
    x = np.linspace(-3.0, 3.0, 600_001)
    y = np.asarray(shapes.voigt(x, 1.0, 0.0, fg, fl)[0])
    found = np.ptp(x[y >= 0.5 * y.max()])
    assert shapes.voigt_fwhm(fg, fl) == pytest.approx(found, rel=3e-4)


@pytest.mark.parametrize(("alpha", "fg"), [(0.02, 0.5), (0.15, 0.2), (0.15, 1.5), (0.45, 0.7)])
def test_doniach_sunjic_convolved(alpha, fg):
    window = {"window_low": -12.0, "window_high": 16.0}
    gamma = 0.3

    def line(t):
        value = shapes.SHAPES["doniach_sunjic"].function(
            t, 1.0, 0.0, 2.0 * gamma, alpha, *window.values()
        )
        return value[0]

    sigma = fg * shapes.SIGMA
    truth = convolved(line, lambda s: normal(s, sigma), 9.0 * sigma)
    got = value("doniach_sunjic_gaussian", area=1.0, center=0.0, fwhm_lorentzian=2.0 * gamma,
                fwhm_gaussian=fg, asymmetry=alpha, **window)[::12]  # fmt: skip
    # the areas in the window differ by what the Gaussian carries over its ends
    scale = np.sum(truth * got) / np.sum(got * got)
    assert scale == pytest.approx(1.0, abs=2e-3)
    np.testing.assert_allclose(got * scale, truth, atol=2e-7 * truth.max())


def test_doniach_sunjic_without_asymmetry_is_lorentzian():
    wide = {"window_low": -1e7, "window_high": 1e7}
    got = value("doniach_sunjic", area=2.0, center=1.0, fwhm_lorentzian=0.8, asymmetry=0.0, **wide)
    truth = value("lorentzian", area=2.0, center=1.0, fwhm=0.8)
    np.testing.assert_allclose(got, truth, rtol=1e-5)


def test_doniach_sunjic_formula_and_maximum():
    """Against the formula of Doniach and Sunjic (1970), with the tail at high binding energy."""
    alpha, gamma = 0.2, 0.4
    t = X - 1.0
    direct = np.cos(np.pi * alpha / 2 - (1 - alpha) * np.arctan(t / gamma))
    direct = direct / (t * t + gamma * gamma) ** ((1 - alpha) / 2)
    got = value("doniach_sunjic", area=1.0, center=1.0, fwhm_lorentzian=0.8, asymmetry=alpha,
                window_low=-8.0, window_high=8.0)  # fmt: skip
    assert np.ptp(got / direct) < 1e-12 * np.max(got / direct)
    from spectra._asymmetric import doniach_sunjic_maximum

    at = doniach_sunjic_maximum(0.8, alpha)
    x = np.linspace(0.0, 0.4, 400_001)
    y = np.asarray(SHAPES["doniach_sunjic"].function(x, 1.0, 0.0, 0.8, alpha, -8.0, 8.0)[0])
    assert x[np.argmax(y)] == pytest.approx(at, abs=2e-6)


@pytest.mark.parametrize(
    ("fg", "alpha", "beta"), [(0.05, 1.2, 3.0), (1.0, 0.8, 2.5), (5.0, 2.0, 1.0)]
)
def test_la_convolved(fg, alpha, beta):
    fl = 0.7
    sigma = fg * shapes.SIGMA

    def line(t):
        p = np.where(t > 0.0, alpha, beta)
        return (1.0 + (2.0 * t / fl) ** 2) ** -p

    area = integrate.quad(line, -np.inf, 0.0)[0] + integrate.quad(line, 0.0, np.inf)[0]
    truth = convolved(line, lambda s: normal(s, sigma), 9.0 * sigma) / area
    got = value("la_gaussian", area=1.0, center=0.0, fwhm_lorentzian=fl, fwhm_gaussian=fg,
                alpha=alpha, beta=beta)[::12]  # fmt: skip
    np.testing.assert_allclose(got, truth, atol=3e-7 * truth.max())


def test_la_is_casaxps_la():
    """The true width against CasaXPS's; powers above (alpha) and below (beta) the line."""
    alpha, beta, casa = 1.3, 2.4, 0.9
    fwhm = casa / 2.0 * (np.sqrt(2 ** (1 / alpha) - 1) + np.sqrt(2 ** (1 / beta) - 1))
    got = value("la", area=1.0, center=1.0, fwhm=fwhm, alpha=alpha, beta=beta)
    direct = (1.0 + 4.0 * ((X - 1.0) / casa) ** 2) ** -np.where(X > 1.0, alpha, beta)
    assert np.ptp(got / direct) < 1e-12 * np.max(got / direct)


def test_lf_without_damping_is_la():
    common = {"area": 1.0, "center": 0.5, "fwhm_lorentzian": 0.8, "fwhm_gaussian": 0.5,
              "alpha": 1.6, "beta": 2.5}  # fmt: skip
    lf = value("lf", **common, damping=1e5)
    la = value("la_gaussian", **common)
    np.testing.assert_allclose(lf, la, rtol=1e-5)


@pytest.mark.parametrize("tail", [1e-4, 0.03, 0.5, 4.0, -1.3])
@pytest.mark.parametrize("mixing", [0.0, 0.6, 1.0])
def test_tailed_lines(tail, mixing):
    def line(t):
        return shapes.pseudo_voigt(t, 1.0, 0.0, 0.9, mixing)[0]

    def tailed(t):
        """Integrate line(t - tail s) exp(-s) over s > 0, in pieces around the line."""
        cuts = [0.0, 40.0, *((t + d) / tail for d in (-6.0, -2.0, -0.5, 0.0, 0.5, 2.0, 6.0))]
        cuts = sorted({min(max(c, 0.0), 40.0) for c in cuts})
        return sum(
            integrate.quad(lambda s: float(line(t - tail * s)) * np.exp(-s), a, b, epsabs=1e-13)[0]
            for a, b in itertools.pairwise(cuts)
        )

    truth = np.array([tailed(t) for t in X[::12]])
    got = value("pseudo_voigt_tail", area=1.0, center=0.0, fwhm_core=0.9, mixing=mixing, tail=tail)[
        ::12
    ]
    np.testing.assert_allclose(got, truth, atol=1e-9)
    if mixing == 0.0:
        same = value("gaussian_tail", area=1.0, center=0.0, fwhm_gaussian=0.9, tail=tail)[::12]
        np.testing.assert_allclose(same, got, atol=1e-14)


def test_gaussian_tail_is_smooth_through_zero_and_where_its_series_begins():
    def at(tail):
        shape = SHAPES["gaussian_tail"].function
        return np.concatenate([np.ravel(v) for v in (lambda r: (r[0], *r[1]))(
            shape(X, 1.0, 0.0, 1.0, tail))])  # fmt: skip

    np.testing.assert_allclose(at(1e-12), at(-1e-12), atol=1e-10)
    edge = 0.02 * shapes.SIGMA
    np.testing.assert_allclose(at(edge * (1 - 1e-9)), at(edge * (1 + 1e-9)), atol=1e-8)


def test_hypermet_tail_is_on_the_low_side():
    y = value("hypermet", area=1.0, center=3.0, fwhm_gaussian=1.0, tail_share=0.2, tail=2.0)
    mean = np.sum(X * y) / np.sum(y)
    assert mean == pytest.approx(3.0 - 0.2 * 2.0, abs=5e-3)


def test_sigmoid_width_is_stanciks():
    """Stancik and Brauns' formula, up to the factor that makes the area true."""
    fwhm, m, skew = 1.1, 0.4, -0.5
    width = 2.0 * fwhm / (1.0 + np.exp(skew * X / fwhm))
    direct = m * (2.0 / np.pi) * width / (width**2 + 4.0 * X**2)
    direct += (
        (1 - m) * np.sqrt(4 * np.log(2) / np.pi) / width * np.exp(-4 * np.log(2) * (X / width) ** 2)
    )
    got = value("sigmoid_pseudo_voigt", area=1.0, center=0.0, fwhm_core=fwhm, mixing=m, skew=skew)
    near = np.abs(X) < 6.0
    ratio = got[near] / direct[near]
    assert np.ptp(ratio) < 1e-10


def test_slab_is_a_layer():
    y = value("slab", area=6.0, low_edge=-2.0, high_edge=4.0, fwhm_low=0.3, fwhm_high=1.0)
    assert y[np.argmin(np.abs(X - 1.0))] == pytest.approx(1.0, abs=1e-9)
    assert y[np.argmin(np.abs(X + 2.0))] == pytest.approx(0.5, abs=0.05)


def test_gl_product_is_casaxps_gl():
    m, casa = 0.3, 1.2
    got = value(
        "gl_product", area=1.0, center=0.0, fwhm=casa * shapes.gl_product_width(m), mixing=m
    )
    u = X / casa
    direct = np.exp(-4 * np.log(2) * (1 - m) * u * u) / (1 + 4 * m * u * u)
    near = np.abs(u) < 8.0
    assert np.ptp((got / direct)[near]) < 1e-12 * np.max(got / direct)


def casaxps_columns():
    path = data("xps/casaxps_feo/FeO_analyzed_lineshapes_cols.txt")
    rows = []
    for line in path.read_text(encoding="latin-1").splitlines():
        try:
            row = [float(v) for v in line.split("\t") if v.strip()]
        except ValueError:
            continue
        if len(row) > 10:
            rows.append(row)
    table = np.array(rows)
    return table[np.argsort(table[:, 8])]


@pytest.mark.parametrize(("column", "center", "fwhm", "area"),
                         [(3, 716.00, 8.0, 35837.06), (5, 729.89, 7.8295, 17705.16)])  # fmt: skip
def test_pseudo_voigt_is_casaxps_sgl(column, center, fwhm, area):
    """The SGL(30) curves CasaXPS exported for FeO, from the parameters it printed."""
    table = casaxps_columns()
    x, truth = table[:, 8], (table[:, column] - table[:, 6])
    inside = (x > 700.5) & (x < 748.5)
    got = np.asarray(shapes.pseudo_voigt(x, 1.0, center, fwhm, shapes.sgl_mixing(0.3))[0])
    scale = np.sum(truth[inside] * got[inside]) / np.sum(got[inside] ** 2)
    assert np.max(np.abs(scale * got - truth)[inside]) < 2e-3 * truth.max()
    # exported in counts of a 2 s dwell; CasaXPS's areas are counts/s times eV inside the region
    assert 0.5 * scale == pytest.approx(area, rel=0.05)


@pytest.mark.parametrize(("column", "center"), [(2, 709.047), (4, 722.128)])
def test_lf_follows_casaxps_lf(column, center):
    """The LF(0.54,10,80,100,6) curves CasaXPS exported for FeO, at the positions it stored."""
    from scipy.optimize import least_squares

    table = casaxps_columns()
    x, y = table[:, 8], table[:, column] - table[:, 6]
    inside = (x > 700.5) & (x < 748.5)
    x, y = x[inside], y[inside] / np.max(y[inside])
    function = SHAPES["lf"].function
    start = np.array([10.0, center, 2.0, 3.5, 150.0])

    def everything(p):
        area, at, lorentzian, gaussian, damping = p * start
        return area, at, lorentzian, gaussian, 0.54, 10.0, damping

    def residual(p):
        return np.asarray(function(x, *everything(p))[0]) - y

    def slope(p):
        every = function(x, *everything(p))[1]
        return np.stack([every[k] for k in (0, 1, 2, 3, 6)], axis=1) * start

    found = least_squares(residual, np.ones(5), jac=slope, bounds=(0.01, 100.0))
    _, at, lorentzian, gaussian, damping = found.x * start
    assert np.sqrt(np.mean(found.fun**2)) < 1.5e-4
    assert at == pytest.approx(center, abs=0.002)
    assert damping / lorentzian == pytest.approx(80.0, rel=0.02)  # its w
    assert gaussian / lorentzian == pytest.approx(1.703, rel=0.002)


@pytest.mark.slow
@pytest.mark.parametrize("shape", REAL, ids=lambda s: s.name)
def test_compiles_to_the_same_numbers(shape):
    """The source, with scalar functions bound to the names of `_maths`, under numba."""
    import math
    import types

    numba = pytest.importorskip("numba")
    njit = numba.njit(error_model="numpy")

    def choose(c, a, b):
        return a if c else b

    names = ("exp", "log", "sqrt", "sin", "cos", "atan", "erf", "lgamma")
    bound = {name: getattr(math, name) for name in names}
    bound["where"] = njit(choose)

    def psi(x):
        out = 0.0
        while x < 12.0:
            out -= 1.0 / x
            x += 1.0
        y = 1.0 / (x * x)
        series = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y / 132))))
        return out + math.log(x) - 0.5 / x - series

    bound["digamma"] = njit(psi)
    done = {}

    def rebuild(function):
        if function not in done:
            names = dict(function.__globals__)
            for name in function.__code__.co_names:
                used = names.get(name)
                if name in ("wofz", "erfcx") and name in _maths.NAMES:
                    used = getattr(_wofz, name)
                if name in bound:
                    names[name] = bound[name]
                elif isinstance(used, types.FunctionType):
                    names[name] = rebuild(used)
            done[function] = njit(types.FunctionType(function.__code__, names, function.__name__))
        return done[function]

    compiled = rebuild(shape.function)
    values = next(contract.samples(shape))
    x = contract.grid(shape, values)
    truth, derivatives = contract.evaluate(shape.function, x, values)
    rows = [compiled(float(xi), *values.values()) for xi in x]
    np.testing.assert_allclose([r[0] for r in rows], truth, atol=1e-11 * np.max(np.abs(truth)))
    for k, d in enumerate(derivatives):
        got = [r[1][k] for r in rows]
        np.testing.assert_allclose(got, d, atol=1e-7 * np.max(np.abs(d)))

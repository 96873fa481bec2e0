"""Static backgrounds against known truth and CasaXPS's own; co-fitted ones recovered by fits."""

from __future__ import annotations

import numpy as np
import pytest

from spectra import backgrounds
from spectra.backgrounds import STATIC, active_shirley, active_tougaard, cross_section
from spectra.component import Component, Components, Param, doublet
from spectra.convention import spectrum
from spectra.errors import ModelError
from spectra.shapes import SHAPES

from .test_shapes import casaxps_columns

X = np.linspace(155.0, 175.0, 401)
KNOBS = {"baseline": {"method": "asls"}, "step": {"center": 164.0, "width": 1.5},
         "polynomial": {"peaks": (158.5, 169.0)}}  # fmt: skip


def peaks(x=X):
    out = np.zeros_like(x)
    for area, center, width in ((900.0, 161.6, 1.1), (450.0, 162.8, 1.1), (700.0, 165.0, 1.6)):
        out += np.asarray(SHAPES["gaussian"].function(x, area, center, width)[0])
    return out


def shirley_truth(x=X, scale=0.05, base=200.0):
    """Peaks, and the background that is their integral from low x, from the closed form."""
    back = np.full_like(x, base)
    for area, center, width in ((900.0, 161.6, 1.1), (450.0, 162.8, 1.1), (700.0, 165.0, 1.6)):
        back += scale * np.asarray(SHAPES["gaussian"].cumulative(x, area, center, width)[0])
    return back


@pytest.mark.parametrize("name", STATIC)
def test_every_static_background(name):
    """One shape, finite, input untouched, the same for any units of intensity, NaN bridged."""
    y = peaks() + shirley_truth()
    kept = y.copy()
    function, knobs = STATIC[name], KNOBS.get(name, {})
    ground, params = function(X, y, **knobs)
    assert np.array_equal(y, kept)
    assert ground.shape == y.shape
    assert np.isfinite(ground).all()
    assert params["converged"]
    scaled, _ = function(X, 1e4 * y, **knobs)
    np.testing.assert_allclose(scaled, 1e4 * ground, rtol=1e-6)
    holes = y.copy()
    holes[[40, 41, 333]] = np.nan
    bridged, _ = function(X, holes, **knobs)
    assert np.max(np.abs(bridged - ground)) < 0.02 * np.ptp(y)
    counts, _ = function(X, y.astype(int), **knobs)
    assert np.max(np.abs(counts - ground)) < 0.02 * np.ptp(y)


@pytest.mark.parametrize("name", STATIC)
def test_nothing_finite_gives_nan_and_not_converged(name):
    ground, params = STATIC[name](X, np.full_like(X, np.nan), **KNOBS.get(name, {}))
    assert np.isnan(ground).all()
    assert not params["converged"]


@pytest.mark.parametrize("name", STATIC)
@pytest.mark.parametrize(
    ("x", "y", "between", "says"),
    [
        (X[::-1], X, None, "ascend"),
        (X, X[:-1], None, "shape"),
        (X, X, (170.0, 160.0), "between"),
        (X, X, (10.0, 20.0), "points lie between"),
        (X[:2], X[:2], None, "three"),
    ],
)
def test_refusals_say_what_to_do(name, x, y, between, says):
    with pytest.raises(ModelError, match=says):
        STATIC[name](x, y, between=between, **KNOBS.get(name, {}))


def test_shirley_finds_the_integral_of_the_peaks():
    truth = shirley_truth()
    ground, params = backgrounds.shirley(X, peaks() + truth)
    assert np.max(np.abs(ground - truth)) < 2e-4 * np.ptp(truth)
    assert params["area"] == pytest.approx(2050.0, rel=1e-3)


def test_shirley_on_an_uneven_axis():
    x = np.unique(np.concatenate([np.linspace(155, 175, 150), np.linspace(160, 167, 300)]))
    truth = shirley_truth(x)
    ground, _ = backgrounds.shirley(x, peaks(x) + truth)
    assert np.max(np.abs(ground - truth)) < 1e-3 * np.ptp(truth)


def test_shirley_in_a_window_is_constant_outside():
    truth = shirley_truth()
    ground, _ = backgrounds.shirley(X, peaks() + truth, between=(158.0, 169.0))
    inside = (X >= 158.0) & (X <= 169.0)
    assert np.max(np.abs(ground - truth)[inside]) < 1e-3 * np.ptp(truth)
    assert np.ptp(ground[X < 158.0]) == 0.0
    assert np.ptp(ground[X > 169.0]) == 0.0


def test_shirley_without_any_peak_is_not_called_converged():
    y = 100.0 + 2.0 * (X - X[0])
    ground, params = backgrounds.shirley(X, y)
    np.testing.assert_allclose(ground, y)
    assert not params["converged"]


def test_offset_shirley_moves_the_ends():
    y = peaks() + shirley_truth()
    plain, _ = backgrounds.shirley(X, y)
    moved, params = backgrounds.offset_shirley(X, y, offset_high=-20.0)
    assert moved[0] == pytest.approx(plain[0])
    assert moved[-1] == pytest.approx(plain[-1] - 20.0)
    assert params["converged"]


def test_average_steadies_the_ends():
    rng = np.random.default_rng(1)
    y = rng.poisson(peaks() + shirley_truth()).astype(float)
    _, one = backgrounds.linear(X, y, between=(158.0, 170.0))
    _, many = backgrounds.linear(X, y, between=(158.0, 170.0), average=21)
    assert abs(many["low"] - 200.0) < abs(one["low"] - 200.0) + 5.0
    assert many["low"] == pytest.approx(200.0, abs=4 * np.sqrt(200.0 / 21))


def test_cross_section_has_tougaards_maximum_and_norm():
    """U2: maximum at sqrt(C / 3); integral B / (2 C)."""
    b, c, sign, d = backgrounds.CROSS_SECTIONS["universal"]
    t = np.linspace(0.0, 4000.0, 2_000_001)
    k = cross_section(t, b=b, c=c, sign=sign, d=d)
    assert t[np.argmax(k)] == pytest.approx(np.sqrt(c / 3.0), abs=0.01)
    assert np.sum(k) * (t[1] - t[0]) == pytest.approx(b / (2.0 * c), rel=1e-3)
    assert cross_section(-5.0, b=b, c=c) == 0.0
    assert cross_section(3.0, b=b, c=c, gap=6.0) == 0.0


@pytest.mark.parametrize("material", ["universal", "polymer"])
@pytest.mark.parametrize("even", [True, False])
def test_tougaard_finds_the_losses_put_in(material, even):
    """Primary peaks with their losses added generation by generation, and taken off again."""
    x = np.linspace(600.0, 800.0, 2001)
    if not even:
        x = np.unique(np.concatenate([np.linspace(600.0, 800.0, 2001), np.linspace(608, 615, 150)]))
    primary = np.asarray(SHAPES["gaussian"].function(x, 1000.0, 611.0, 2.0)[0])
    b, c, sign, d = backgrounds.CROSS_SECTIONS[material]
    kernel = {"b": 0.9 * b, "c": c, "sign": sign, "d": d}
    width = np.gradient(x)
    k = cross_section(x[:, None] - x[None, :], **kernel)
    y = np.linalg.solve(np.eye(x.size) - k * width, primary)  # y = primary + K y
    ground, params = backgrounds.tougaard(x, y, material=material)
    assert params["b"] == pytest.approx(0.9 * b, rel=2e-3)
    assert np.max(np.abs(y - ground - primary)) < 5e-3 * primary.max()
    fixed, _ = backgrounds.tougaard(x, y, material=material, b=0.9 * b, scale="fixed")
    assert np.max(np.abs(y - fixed - primary)) < 5e-3 * primary.max()


def test_tougaard_is_casaxps_u3():
    """FeO, Fe 2p: CasaXPS's region 'U 3 Tougaard' (C 551, D 436) found B = 335.446."""
    table = casaxps_columns()
    x, counts, casa = table[:, 8], table[:, 1], table[:, 6]
    low, high = 1486.61 - 786.7632, 1486.61 - 737.52081
    ground, params = backgrounds.tougaard(
        x, counts, between=(low, high), material="polymer", average=3
    )
    inside = (x >= low) & (x <= high)
    assert params["b"] == pytest.approx(335.446, rel=0.01)
    assert params["low"] == pytest.approx(casa[inside][0], abs=0.01)
    assert params["high"] == pytest.approx(casa[inside][-1], abs=0.01)
    assert np.max(np.abs(ground - casa)[inside]) < 0.012 * np.ptp(casa[inside])


def test_tougaard_names_its_materials():
    with pytest.raises(ModelError, match="SiO2"):
        backgrounds.tougaard(X, X, material="SiO")


def test_step_background():
    ground, _ = backgrounds.step(X, peaks() + shirley_truth(), center=164.0, width=1.0)
    assert ground[0] == pytest.approx(200.0, abs=0.1)
    assert np.all(np.diff(ground) >= 0.0)
    middle = np.interp(164.0, X, ground)
    assert middle == pytest.approx(0.5 * (ground[0] + ground[-1]), rel=1e-3)
    with pytest.raises(ModelError, match="width"):
        backgrounds.step(X, X, center=164.0, width=0.0)
    with pytest.raises(ModelError, match="outside"):
        backgrounds.step(X, X, center=1e9, width=1e-3)


@pytest.mark.parametrize(
    ("method", "knobs"),
    [("arpls", {"lam": 1e6}), ("modpoly", {"poly_order": 2}), ("snip", {"max_half_window": 40}),
     ("asls", {"lam": 1e6, "p": 0.01}), ("imor", {})],
)  # fmt: skip
def test_baseline_is_pybaselines(method, knobs):
    from pybaselines import Baseline

    y = peaks() + 100.0 + 0.5 * (X - 165.0) ** 2
    ground, _ = backgrounds.baseline(X, y, method=method, knobs=knobs)
    direct, _ = getattr(Baseline(x_data=X), method)(y, **knobs)
    np.testing.assert_allclose(ground, direct)
    bright = y.copy()
    bright[200] = 1e6
    masked, _ = backgrounds.baseline(
        X, bright, method=method, knobs=knobs, valid=np.arange(X.size) != 200
    )
    assert np.max(np.abs(masked - ground)) < 0.05 * np.ptp(y)


def test_baseline_refuses_by_name():
    with pytest.raises(ModelError, match="arpls"):
        backgrounds.baseline(X, X, method="arpl")
    with pytest.raises(ModelError, match="lam"):
        backgrounds.baseline(X, X, method="arpls", knobs={"lamda": 1e5})
    with pytest.raises(ModelError, match="baseline: arpls"):
        backgrounds.baseline(X, X, method="arpls", knobs={"lam": -1.0})


def model():
    return Components([
        Component(
            name="sulfide", species="Li2S", shape="pseudo_voigt",
            params={"area": Param(value=3000.0, min=0.0), "center": Param(value=160.4),
                    "fwhm": Param(value=1.3, min=0.3, max=3.0),
                    "mixing": Param(value=0.3, vary=False)},
            lines=doublet(1.18, 0.5),
        ),
        Component(
            name="thiophosphate", shape="gaussian",
            params={"area": 2000.0, "center": 162.0, "fwhm": 1.2},
        ),
        Component(name="base", shape="polynomial", role="background",
                  params={"c0": 100.0, "x0": Param(value=165.0, vary=False)}),
    ])  # fmt: skip


TRUTH = {
    "sulfide.area": 4000.0,
    "sulfide.center": 160.5,
    "sulfide.fwhm": 1.1,
    "thiophosphate.area": 1500.0,
    "thiophosphate.center": 161.9,
    "thiophosphate.fwhm": 1.3,
    "base.c0": 150.0,
}


def fitted(comps, truth):
    """Noise from the model at the truth, fitted from the start values: pulls of the parameters."""
    import workbench.engine.plan as plan
    from workbench.fit import fit

    known = comps
    for name, value in truth.items():
        known = known.set(name, value=value)
    built = plan.build(known)
    x = np.linspace(152.0, 175.0, 461)
    mean = plan.model(built, x, built.start[None])[0]
    rng = np.random.default_rng(3)
    ds = spectrum(rng.poisson(mean), x, technique="xps", axis_name="binding_energy")
    result = fit(ds, comps, engine="lmfit")
    value = {n: float(result["value"].sel(param=n)) for n in truth}
    error = {n: float(result["stderr"].sel(param=n)) for n in truth}
    return {n: (value[n] - truth[n]) / error[n] for n in truth}, mean, x


def test_active_shirley_is_found_with_its_peaks():
    comps = active_shirley(model())
    assert "shirley_scale" in comps.common
    pulls, mean, _x = fitted(comps, {**TRUTH, "shirley_scale": 0.06})
    assert max(map(abs, pulls.values())) < 4.0
    # far above the peaks the background has risen by scale times their area
    top = 0.06 * (4000.0 + 1500.0)
    assert mean[-1] - 150.0 == pytest.approx(top, rel=0.04)
    assert mean[0] - 150.0 < 0.06 * top


def test_active_tougaard_is_found_with_its_peaks():
    comps = active_tougaard(model())
    pulls, mean, _ = fitted(comps, {**TRUTH, "tougaard_b": 4000.0})
    assert max(map(abs, pulls.values())) < 4.0
    assert mean[-1] > 160.0


def test_active_tougaard_is_the_static_one_for_a_narrow_line():
    x = np.linspace(600.0, 700.0, 1001)
    line = np.asarray(SHAPES["gaussian"].function(x, 1000.0, 620.0, 1.5)[0])
    b, c, sign, d = backgrounds.CROSS_SECTIONS["universal"]
    active = SHAPES["active_tougaard"].function(x, 1000.0, 620.0, 1.5, b, c, sign, d)[0]
    once, _ = backgrounds.tougaard(x, line, b=b, scale="fixed")
    assert np.max(np.abs(active - once)) < 3e-3 * np.max(once)


def test_active_backgrounds_name_what_they_cannot_do():
    comps = Components([
        Component(name="ge", shape="la",
                  params={"area": 1.0, "center": 1.0, "fwhm": 1.0, "alpha": 1.2, "beta": 2.0}),
    ])  # fmt: skip
    with pytest.raises(ModelError, match=r"'ge'.*voigt"):
        active_shirley(comps)
    steps = Components([
        Component(name="edge", shape="step_erf",
                  params={"height": 1.0, "center": 1.0, "fwhm_edge": 1.0}),
    ])  # fmt: skip
    with pytest.raises(ModelError, match="'edge'"):
        active_tougaard(steps)


def test_tougaard_curve_is_the_static_background():
    y = peaks() + 50.0
    curve = backgrounds.tougaard_curve(X, y, material="SiO2")
    b = backgrounds.CROSS_SECTIONS["SiO2"][0]
    static, _ = backgrounds.tougaard(X, y, material="SiO2", b=b, scale="fixed")
    np.testing.assert_allclose(np.array(curve.y) + y[0], static, atol=1e-9 * y.max())
    Component(name="losses", shape="template", role="background", params={"area": 1.0}, curve=curve)


def test_shirley_and_tougaard_are_those_of_lmfitxps():
    """The same 13 points through lmfitxps 4.2.0 (shirley_calculate, tougaard_calculate)."""
    x = 160.0 + 0.5 * np.arange(13)
    y = np.array([0, 2, 5, 14, 60, 150, 90, 40, 52, 30, 24, 22, 20.0])
    ground, _ = backgrounds.shirley(x, y, tolerance=1e-10)
    want = [0, 0.052699, 0.234367, 0.722654, 2.634425, 8.028962, 13.929694, 16.621035, 18.169269,
            19.37242, 19.774384, 19.94437, 20]  # fmt: skip
    np.testing.assert_allclose(ground, want, atol=2e-6)
    u2 = [0, 0, 0.014295, 0.064303, 0.21426, 0.792684, 2.441809, 4.729773, 7.295038, 10.218736,
          13.338362, 16.605466, 20]  # fmt: skip
    u3 = [0, 0, 0.013766, 0.061993, 0.206785, 0.76524, 2.358668, 4.579332, 7.090391, 9.982708,
          13.114376, 16.454399, 20]  # fmt: skip
    for material, curve, b in (("universal", u2, 77202.15), ("polymer", u3, 8354.19)):
        ground, params = backgrounds.tougaard(x, y, material=material)
        np.testing.assert_allclose(ground, curve, atol=3e-5)
        assert params["b"] == pytest.approx(b, rel=1e-5)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_polynomial_beside_the_peaks(order):
    truth = np.polynomial.polynomial.polyval(
        (X - 165.0) / 10.0, [400.0, 30.0, -12.0, 5.0][: order + 1]
    )
    ground, params = backgrounds.polynomial(X, peaks() + truth, peaks=(157.0, 170.0), order=order)
    np.testing.assert_allclose(ground, truth, rtol=1e-6)
    assert params["coefficients"].size == order + 1
    with pytest.raises(ModelError, match="beside"):
        backgrounds.polynomial(X, truth, peaks=(155.0, 174.95), order=2)

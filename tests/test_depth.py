"""Lithium profiles from NDP: known answers of Monte Carlo files, coverage, speed."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

import workbench as wb
from spectra.convention import spectrum
from spectra.errors import CalibrationError, ModelError
from spectra.techniques._ndp_response import Detector, Layer, cell_response
from spectra.techniques._ndp_stopping import ALPHA, TRITON
from spectra.techniques.ndp import sensitivity_of
from tests.shared_data import data
from workbench.depth import MAH_PER_NMOL, depth_profile
from workbench.depth.bands import TILT
from workbench.depth.local import LESS
from workbench.depth.solve import nonnegative

DETECTOR = {"fwhm_keV": 18.0, "dead_ug_cm2": 11.65, "cos_min": 0.985}
DENSITY = {"LiF": 2.635, "Kapton": 1.42, "Al": 2.699, "Cu": 8.96}
PURE = 1e3 / 25.9378  # nmol of lithium in one ug of LiF
PER_1E15 = 0.0759 * 0.602214076  # 1e15 6Li per nmol of natural lithium


def stack(*layers):
    return [
        {
            "name": f"layer{i}",
            "formula": {"Kapton": "C22H10N2O5"}.get(name, name),
            "density_g_cm3": DENSITY[name],
            "thickness_nm": 1000.0 * um,
            "species": "LiF" if holds else None,
        }
        for i, (name, um, holds) in enumerate(layers)
    ]


def opened(name, low=500.0, live=None):
    ds = wb.open(data(f"ndp/{name}"))
    if live:
        ds.attrs["live_time_s"] = live
    ds = wb.calibrate(
        ds,
        "known",
        slope_keV=0.7144,
        offset_keV=-12.45,
        counts_per_nmol_s=sensitivity_of(40 / 3600),
    )
    return wb.select(ds, {"particle_energy": (low, 2900.0)})


def test_gradient_comes_back():
    ds = opened("ndp_syn_LiF_3000nm_gradient.spe")
    film = stack(("LiF", 3.0, True))
    found = depth_profile(ds, film, DETECTOR)
    truth = 1.0 - 0.7 * found["depth_nm"].values / 3000.0
    share = found["lithium"].values / PURE
    assert float(found["total"]) * PER_1E15 == pytest.approx(905.429, rel=0.015)
    assert np.sqrt(np.mean((share - truth) ** 2)) < 0.025
    assert 0.9 < float(found["redchi"]) < 1.1
    # The file's stopping powers (NIST) are not the matrix's (catima): the bands know.
    held = np.abs(share - truth) <= 1.96 * found["stderr"].values / PURE
    assert held.mean() >= 0.93
    alone = np.abs(share - truth) <= 1.96 * found["stderr_statistical"].values / PURE
    assert alone.mean() < 0.7
    assert float(found["total_stderr_systematic"] / found["total"]) < 0.005
    # Channel by channel the fronts are smeared; the label says so.
    naive = depth_profile(ds, film, DETECTOR, method="naive")
    error = np.abs(naive["lithium"].values / PURE - truth)
    assert np.all(error[[0, -1]] > 2 * np.abs(share - truth)[[0, -1]])
    assert error[[0, -1]].min() > 0.1
    assert naive.attrs["method"] == "naive"
    assert "channel-by-channel" in naive.attrs["note"]


def test_second_table_of_stopping_moves_depths_not_totals():
    ds = opened("ndp_syn_LiF_3000nm_gradient.spe")
    found = depth_profile(ds, stack(("LiF", 3.0, True)), DETECTOR, tables=True)
    assert abs(float(found["total_systematic"] / found["total"])) < 0.005
    share = np.abs(found["systematic"].values) / PURE
    assert 0.005 < share.max() < 0.1


@pytest.mark.parametrize("weight", ["evidence", "discrepancy"])
def test_gap_between_two_films_is_found_not_told(weight):
    ds = opened("ndp_syn_bilayer_LiF500_Al1000_LiF800.spe", 300.0)
    layers = stack(("LiF", 0.5, True), ("Al", 1.0, False), ("LiF", 0.8, True))
    found = depth_profile(ds, layers, DETECTOR, weight=weight)
    by = found["amount"].groupby("layer").sum() * PER_1E15
    assert float(found["total"]) * PER_1E15 == pytest.approx(603.6, rel=0.015)
    assert float(by.sel(layer="layer0")) == pytest.approx(603.62 * 5 / 13, rel=0.02)
    assert float(by.sel(layer="layer1")) < 2.0
    assert float(by.sel(layer="layer2")) == pytest.approx(603.62 * 8 / 13, rel=0.02)


def test_growing_film_under_a_window_keeps_its_total():
    # The window takes 270 keV; 2 % of its stopping is found as a shift of all energies.
    ds = opened("ndp_syn_timeseries_Kapton7p5_Cu2_LiF.csv", 1900.0, 3600.0)
    layers = stack(("Kapton", 7.5, False), ("Cu", 2.0, False), ("LiF", 3.0, True))
    found = depth_profile(ds, layers, DETECTOR, ions="tritons", shift_keV="fit")
    um = np.array([0.05, 0.15, 0.3, 0.5, 0.75, 1.0, 1.3, 1.6, 1.9, 2.2, 2.5, 2.8])
    truth = um * 263.5 * PURE
    pull = (found["total"].values - truth) / found["total_stderr"].values
    assert np.abs(pull).max() < 3.0
    np.testing.assert_allclose(found["total"].values[4:], truth[4:], rtol=0.015)
    assert 2.0 < float(found["shift"]) < 12.0
    # Lithium reaches as deep as the film is thick.
    share = found["lithium"].values / PURE
    deep = (share > 0.5).sum(axis=1) * 50.0
    np.testing.assert_allclose(deep[3:], 1000 * um[3:], atol=160.0)
    assert found["total_mAh"].values[-1] == pytest.approx(found["total"].values[-1] * MAH_PER_NMOL)
    assert found["total_ug"].values[-1] == pytest.approx(73.78 * 6.94 / 25.94 * 10, rel=0.02)


def wrong_ions(rng, relative):
    """Ions whose stopping powers are off as the tables are from NIST's: even, and to low energy."""
    return tuple(
        replace(ion, level=relative * rng.normal(), tilt=relative * TILT[ion.name] * rng.normal())
        for ion in (TRITON, ALPHA)
    )


def simulated(n, seed, kind, per=2.0, relative=0.0, drift=0.0):
    """Profiles on cells four times finer than those sought; counts from the matrix itself."""
    rng = np.random.default_rng(seed)
    layer = Layer(name="film", formula="Li3PS4", areal_ug_cm2=560.0, species="Li")
    detector = Detector(fwhm_keV=18.0)
    energy = np.arange(600.0, 2850.0, 0.7144)
    edges = np.append(energy - 0.3572, energy[-1] + 0.3572)
    ions = wrong_ions(rng, relative) if relative else (TRITON, ALPHA)
    cells = np.linspace(0.0, 560.0, 241)
    matrix = cell_response([layer], 0, cells, edges - drift, detector, ions)
    s, t = (np.arange(240) + 0.5) / 240, np.linspace(0.0, 1.0, n)[:, None]
    if kind == "waves":
        content = 5 * (1 + 0.4 * np.cos(2 * np.pi * (s - t)))
        content = content + 2.5 * t * np.exp(-0.5 * ((s - 0.35) / 0.1) ** 2)
    elif kind == "bump":
        content = 5 + 10 * np.exp(-0.5 * ((s - 0.3 - 0.3 * t) / 0.06) ** 2)
    else:
        content = 8 * (1 - np.tanh((s - 0.2 - 0.5 * t) / 0.15))
    counts = rng.poisson(per * content * (560.0 / 240) @ matrix + 1.0)
    ds = spectrum(
        counts,
        energy,
        technique="ndp",
        axis_name="particle_energy",
        outer={"time": 60.0 * np.arange(n)},
        attrs={"calibration": "simulated", "counts_per_nmol_s": per / 100, "live_time_s": 100.0},
    )
    return ds, layer, detector, content.reshape(n, 60, 4).mean(axis=2)


def held(kind, seeds, shift=0.0, drift_keV=0.0):
    """Share of cells whose band holds the truth, over series with stopping powers drawn anew."""
    inside = []
    for seed in seeds:
        drift = drift_keV * np.random.default_rng(1000 + seed).normal()
        ds, layer, detector, truth = simulated(8, seed, kind, relative=0.02, drift=drift)
        found = depth_profile(ds, [layer], detector, kernels=False, shift_keV=shift)
        inside.append(((found["low"].values <= truth) & (truth <= found["high"].values)).mean())
    return float(np.mean(inside))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["waves", "front"])
def test_bands_cover_whatever_the_stopping_powers(kind):
    assert 0.93 <= held(kind, range(40)) <= 0.975


@pytest.mark.slow
def test_bands_cover_with_a_drift_that_is_fitted():
    assert 0.93 <= held("front", range(25), shift="fit", drift_keV=4.0) <= 0.98


@pytest.mark.parametrize("kind", ["waves", "front"])
def test_bands_cover_and_totals_are_unbiased(kind):
    ds, layer, detector, truth = simulated(80, 3, kind)
    # The series is made with the matrix's own stopping powers: statistics alone.
    found = depth_profile(ds, [layer], detector, kernels=False, stopping=0.0)
    inside = (found["low"].values <= truth) & (truth <= found["high"].values)
    # a fifth of the cells before the front hold no lithium: a band from 0 upwards cannot miss that
    some = truth > 0.5
    assert 0.93 <= inside[some].mean() <= 0.975
    assert inside.mean() <= 0.985
    total = truth.sum(axis=1) * 560.0 / 60
    pull = (found["total"].values - total) / found["total_stderr"].values
    assert abs(pull.mean()) < 0.35
    assert 0.75 < pull.std() < 1.25


@pytest.mark.parametrize("kind", ["waves", "front"])
def test_draws_of_the_posterior_cover_too(kind):
    ds, layer, detector, truth = simulated(40, 3, kind)
    found = depth_profile(ds, [layer], detector, method="posterior", kernels=False, stopping=0.0)
    inside = (found["low"].values <= truth) & (truth <= found["high"].values)
    assert 0.93 <= inside.mean() <= 0.98
    assert found.attrs["method"] == "posterior"
    total = truth.sum(axis=1) * 560.0 / 60
    pull = (found["total"].values - total) / found["total_stderr"].values
    assert 0.7 < pull.std() < 1.3
    smooth = depth_profile(ds, [layer], detector, kernels=False, stopping=0.0)
    apart = found["lithium"] - smooth["lithium"]
    assert np.abs(apart / smooth["stderr"]).mean() < 0.5
    # The same again gives the same numbers.
    again = depth_profile(ds, [layer], detector, method="posterior", kernels=False, stopping=0.0)
    np.testing.assert_array_equal(found["high"], again["high"])


@pytest.mark.parametrize(("per", "least"), [(0.3, 0.86), (1.2, 0.93), (6.0, 0.93)])
def test_bands_hold_a_bump_that_one_weight_for_all_depths_smooths_away(per, least):
    # 0.14 of the depth wide (fwhm), 1,000 to 20,000 counts of lithium per spectrum
    ds, layer, detector, truth = simulated(30, 4, "bump", per=per)
    found = depth_profile(ds, [layer], detector, kernels=False, stopping=0.0)
    inside = (found["low"].values <= truth) & (truth <= found["high"].values)
    assert least <= inside.mean() <= 0.975
    weight = LESS * float(found["weight"])
    one = depth_profile(ds, [layer], detector, kernels=False, stopping=0.0, weight=weight)
    before = (one["low"].values <= truth) & (truth <= one["high"].values)
    assert before.mean() < inside.mean() - 0.01


def test_five_hundred_spectra_within_the_time():
    ds, layer, detector, _ = simulated(500, 5, "front")
    start = time.process_time()  # of all threads: what other programs take does not count
    found = depth_profile(ds, [layer], detector)
    assert time.process_time() - start < 30.0
    assert found["lithium"].dims == ("time", "depth")
    assert found["kernel"].dims == ("time", "depth", "from_depth")


def test_kernel_and_resolution_say_what_can_be_seen():
    ds = opened("ndp_syn_LiF_3000nm_gradient.spe")
    film = stack(("LiF", 3.0, True))
    rough = depth_profile(ds, film, DETECTOR, weight=1e-3)
    smooth = depth_profile(ds, film, DETECTOR, weight=10.0)
    # Lithium is kept: the kernel's rows of an even profile sum to one.
    np.testing.assert_allclose(smooth["kernel"].sum("from_depth").values, 1.0, atol=0.02)
    assert (smooth["resolution"] > rough["resolution"]).mean() > 0.95
    assert (smooth["stderr_statistical"] < rough["stderr_statistical"]).all()
    nm = rough["resolution"].values / 0.2635
    assert 30.0 < nm.min() < nm.max() < 1000.0


def test_masked_channels_and_live_times_do_not_move_the_profile():
    ds, layer, detector, truth = simulated(4, 7, "waves", per=20.0)
    energy = ds["particle_energy"]
    # A burst of noise, masked; and one spectrum counted twice as long.
    noisy = ds.copy(deep=True)
    burst = ((energy > 1500) & (energy < 1510)).values
    noisy["intensity"].values[:, burst] += 5000
    noisy["valid"] = ("particle_energy", ~burst, {"units": "1"})
    noisy["live_time"] = ("time", np.array([100.0, 100.0, 200.0, 100.0]), {"units": "s"})
    noisy["intensity"].values[2] *= 2
    found = depth_profile(noisy, [layer], detector)
    total = truth.sum(axis=1) * 560.0 / 60
    np.testing.assert_allclose(found["total"].values, total, rtol=0.015)


def test_empty_and_masked_spectra_do_not_spoil_the_series():
    ds, layer, detector, truth = simulated(3, 1, "waves")
    ds = ds.copy(deep=True)
    ds["intensity"].values[1] = 0
    valid = np.ones(ds["intensity"].shape, dtype=bool)
    valid[2] = False
    ds["valid"] = (ds["intensity"].dims, valid, {"units": "1"})
    found = depth_profile(ds, [layer], detector)
    total = truth[0].sum() * 560.0 / 60
    assert float(found["total"][0]) == pytest.approx(total, abs=4 * float(found["total_stderr"][0]))
    assert 0.0 <= float(found["total"][1]) < 3.0 * float(found["total_stderr"][1])
    assert np.isnan(found["total"].values[2])
    assert np.isnan(found["high"].values[2]).all()


def test_block_pivoting_agrees_with_scipy():
    from scipy.optimize import nnls

    rng = np.random.default_rng(2)
    a = rng.normal(size=(20, 40, 12))
    b = rng.normal(size=(20, 40))
    found = nonnegative(np.swapaxes(a, 1, 2) @ a, np.einsum("nij,ni->nj", a, b))
    for one, m, y in zip(found, a, b, strict=True):
        np.testing.assert_allclose(one, nnls(m, y)[0], atol=1e-9)


def test_refusals_say_what_to_do():
    ds, layer, detector, _ = simulated(2, 1, "waves")
    with pytest.raises(ModelError, match="no layer has a species"):
        depth_profile(ds, [layer.model_copy(update={"species": None})], detector)
    with pytest.raises(ModelError, match="8 to 200"):
        depth_profile(ds, [layer], detector, cells=3)
    with pytest.raises(ModelError, match="weight"):
        depth_profile(ds, [layer], detector, weight=-1.0)
    del ds.attrs["counts_per_nmol_s"]
    with pytest.raises(CalibrationError, match="sensitivity"):
        depth_profile(ds, [layer], detector)

"""A drifting energy scale: one shift per spectrum, bands that hold, sharp fronts that stay."""

from __future__ import annotations

import numpy as np
import pytest

from spectra.convention import spectrum
from spectra.errors import ModelError
from spectra.techniques._ndp_response import Detector, Layer, cell_response
from workbench.depth import depth_profile


def drifting(n, seed, kind, span_keV):
    """A series whose energies move by `span_keV` from first to last."""
    rng = np.random.default_rng(seed)
    layer = Layer(name="film", formula="Li3PS4", areal_ug_cm2=560.0, species="Li")
    detector = Detector(fwhm_keV=18.0)
    energy = np.arange(600.0, 2850.0, 0.7144)
    edges = np.append(energy - 0.3572, energy[-1] + 0.3572)
    cells = np.linspace(0.0, 560.0, 241)
    s, t = (np.arange(240) + 0.5) / 240, np.linspace(0.0, 1.0, n)[:, None]
    if kind == "waves":
        content = 5 * (1 + 0.4 * np.cos(2 * np.pi * (s - t)))
        content = content + 2.5 * t * np.exp(-0.5 * ((s - 0.35) / 0.1) ** 2)
    else:
        content = 8 * (1 - np.tanh((s - 0.2 - 0.5 * t) / 0.15))
    drift = span_keV * np.linspace(-0.5, 0.5, n)
    counts = [
        rng.poisson(
            2.0 * content[i] * (560 / 240) @ cell_response([layer], 0, cells, edges - d, detector)
            + 1.0
        )
        for i, d in enumerate(drift)
    ]
    ds = spectrum(
        np.array(counts),
        energy,
        technique="ndp",
        axis_name="particle_energy",
        outer={"time": 60.0 * np.arange(n)},
        attrs={"calibration": "simulated", "counts_per_nmol_s": 0.02, "live_time_s": 100.0},
    )
    return ds, layer, detector, content.reshape(n, 60, 4).mean(axis=2), drift


def share(found, truth):
    return float(((found["low"].values <= truth) & (truth <= found["high"].values)).mean())


def test_drift_is_found_and_the_bands_know_it():
    ds, layer, detector, truth, drift = drifting(24, 1, "front", 8.0)
    given = {"kernels": False, "stopping": 0.0}
    common = depth_profile(ds, [layer], detector, shift_keV="fit", **given)
    found = depth_profile(ds, [layer], detector, shift_keV="each", **given)
    assert share(common, truth) < 0.85
    assert 0.93 <= share(found, truth) <= 0.99
    pull = (found["shift"].values - drift) / found["shift_stderr"].values
    assert np.abs(pull).max() < 4.0
    assert 0.6 < pull.std() < 1.4
    assert (found["status"] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["waves", "front"])
def test_coverage_with_drift(kind):
    held = []
    for seed in range(6):
        for span in (2.0, 8.0):
            ds, layer, detector, truth, _ = drifting(16, seed, kind, span)
            found = depth_profile(ds, [layer], detector, shift_keV="each", kernels=False,
                                  stopping=0.0)  # fmt: skip
            held.append(share(found, truth))
    assert 0.93 <= np.mean(held) <= 0.98


def test_masked_and_empty_spectra_go_along():
    ds, layer, detector, _, drift = drifting(6, 2, "waves", 4.0)
    ds = ds.copy(deep=True)
    valid = np.ones(ds["intensity"].shape, dtype=bool)
    valid[3] = False
    ds["valid"] = (ds["intensity"].dims, valid, {"units": "1"})
    found = depth_profile(ds, [layer], detector, shift_keV="each")
    assert np.isnan(found["total"].values[3])
    assert np.isnan(found["shift_stderr"].values[3])
    good = [0, 1, 2, 4, 5]
    assert np.abs(found["shift"].values - drift)[good].max() < 4.0
    valid[1, :400] = False
    ds["valid"] = (ds["intensity"].dims, valid, {"units": "1"})
    with pytest.raises(ModelError, match="same masked"):
        depth_profile(ds, [layer], detector, shift_keV="each")


@pytest.mark.parametrize("extra", [{"method": "posterior"}, {"in_time": 1.0}])
def test_other_ways_to_smooth_take_the_shifts_along(extra):
    ds, layer, detector, truth, drift = drifting(5, 3, "waves", 6.0)
    found = depth_profile(ds, [layer], detector, shift_keV="each", stopping=0.0, **extra)
    assert np.abs(found["shift"].values - drift).max() < 4.0
    assert share(found, truth) > 0.8


def test_each_is_not_for_a_growing_layer():
    ds, layer, detector, _, _ = drifting(2, 1, "waves", 1.0)
    plated = Layer(name="plated", formula="Li", species="Li", grows=True)
    with pytest.raises(ModelError, match="growing"):
        depth_profile(ds, [plated, layer], detector, shift_keV="each")

"""NDP: energy scale and sensitivity from a thin reference film; monitor instead of clock."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from spectra.convention import spectrum
from spectra.errors import CalibrationError
from spectra.techniques.ndp import sensitivity_of
from tests.shared_data import data

FILM = {
    "peaks": {"triton": 3830.0, "alpha": 2890.0},
    "film": "LiF",
    "film_ug_cm2": 7.905,
    "detector": {"dead_ug_cm2": 11.65, "cos_min": 0.985},
    "reference_nmol_cm2": 13.93 / (0.0759 * 0.602214076),
}


def test_thin_film_gives_scale_and_sensitivity():
    ds = wb.open(data("ndp/ndp_syn_reference_LiF_30nm.spe"))
    found = wb.calibrate(ds, "lines", **FILM)
    energy = found["particle_energy"].values
    channel = ds["channel"].values
    assert found.attrs["channel_keV"] == pytest.approx(0.7144, rel=5e-4)
    truth = 0.7144 * channel - 12.45
    inside = (truth > 1500) & (truth < 2800)
    np.testing.assert_allclose(energy[inside], truth[inside], atol=0.8)
    # 12,000 counts of each ion: 1 % of statistics.
    assert found.attrs["counts_per_nmol_s"] == pytest.approx(sensitivity_of(40 / 3600), rel=0.025)
    assert "lines triton, alpha" in found.attrs["calibration"]
    assert "dead layer" not in found.attrs["calibration"]
    bare = wb.calibrate(ds, "lines", **{**FILM, "detector": {}})
    assert bare.attrs["channel_keV"] < 0.99 * found.attrs["channel_keV"]
    assert "dead_ug_cm2" in bare.attrs["calibration"]


def test_boron_lines_and_a_wrong_place():
    rng = np.random.default_rng(1)
    channel = np.arange(2048.0)
    mean = np.full(2048, 0.5)
    for energy, counts in ((1472.35, 9400), (840.0, 9400), (1776.0, 600), (1013.0, 600)):
        mean += counts * np.exp(-0.5 * (channel - (energy - 5) / 0.95) ** 2 / 64) / (8 * 2.5066)
    ds = spectrum(rng.poisson(mean), channel, technique="ndp", axis_name="channel")
    peaks = {
        "boron_alpha": 1540.0,
        "boron_lithium": 880.0,
        "boron_alpha_ground": 1860.0,
        "boron_lithium_ground": 1060.0,
    }
    found = wb.calibrate(ds, "lines", peaks=peaks)
    assert found.attrs["channel_keV"] == pytest.approx(0.95, rel=1e-3)
    assert float(found["particle_energy"][0]) == pytest.approx(5.0, abs=1.0)
    with pytest.raises(CalibrationError, match="boron_alpha"):
        wb.calibrate(ds, "lines", peaks={"boron_alpha": 300.0, "boron_lithium": 880.0})
    with pytest.raises(CalibrationError, match="one peak"):
        wb.calibrate(ds, "lines", peaks={"boron_alpha": 1545.0, "boron_lithium": 1540.0})


def test_monitor_replaces_the_clock():
    ds = spectrum(
        np.ones((3, 50), dtype=int),
        np.arange(50.0),
        technique="ndp",
        axis_name="channel",
        outer={"time": [0.0, 100.0, 200.0]},
        attrs={"live_time_s": 95.0, "real_time_s": 100.0},
    )
    out = wb.correct(ds, "monitor", counts=(1000.0, 500.0, 2000.0), reference_per_s=10.0)
    np.testing.assert_allclose(out["live_time"].values, [95.0, 47.5, 190.0])
    with pytest.raises(CalibrationError, match="one per spectrum"):
        wb.correct(ds, "monitor", counts=(1.0,), reference_per_s=10.0)
    with pytest.raises(CalibrationError, match="no variable 'monitor'"):
        wb.correct(ds, "monitor", reference_per_s=10.0)

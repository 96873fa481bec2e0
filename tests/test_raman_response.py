"""Intensity response by NIST glasses: two real instruments agree after it; Poisson errors hold."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from spectra.errors import CalibrationError
from spectra.techniques import raman
from spectra.techniques._raman_response import CERTIFIED, LASER_NM, certified, response_at
from tests.test_raman_axis import bwtek, horiba, made
from workbench.demo import pulls_of
from workbench.errors import RecipeError


@pytest.mark.parametrize("glass", CERTIFIED)
def test_certified_curves_have_their_maximum_at_one(glass):
    # The certificates are normalised so; a wrong digit in a coefficient would show.
    curve = certified(glass, np.linspace(*CERTIFIED[glass], 2000))
    assert curve.max() == pytest.approx(1.0, abs=0.004)
    assert curve.min() > 0.0


def ratio(ds, low, high):
    """Photons of a band over those of the ring mode at 1001 1/cm, over a straight ground."""

    def area(first, last):
        x, y = ds["raman_shift"].values, ds["intensity"].values
        inside = (x > first) & (x < last)
        xs, ys = x[inside], y[inside]
        ground = np.interp(xs, xs[[0, -1]], ys[[0, -1]])
        return np.trapezoid((ys - ground) / response_at(ds.attrs, xs), xs)

    return area(low, high) / area(975.0, 1050.0)


def scattering(laser_nm, shift):
    """The wavenumber cubed with which photons are scattered, over that at 1010 1/cm."""
    first = 1e7 / laser_nm
    return ((first - shift) / (first - 1010.0)) ** 3


@pytest.mark.parametrize(
    ("low", "high", "raw", "after"),
    [(600.0, 645.0, 1.6, 1.25), (1560.0, 1640.0, 1.3, 1.06), (3015.0, 3095.0, 15.0, 1.3)],
)
def test_two_instruments_agree_on_polystyrene(low, high, raw, after):
    # 785 nm (SRM 2241) and 532 nm (SRM 2242a): the CH band differs twentyfold before.
    near = horiba("PST10_iR785_OP01_40000msx4.txt")
    glass = raman.intensity_response(horiba("NIST785_Lens_80000x5_2.txt"), "2241")
    near_done = wb.correct(near, "intensity_response", **glass)
    green = bwtek("PST10_iR532_Probe_100_3000msx7.txt")
    glass = raman.intensity_response(bwtek("NIST532_Probe_3000msx8_1.txt"), "2242a")
    green_done = wb.correct(green, "intensity_response", **glass)
    assert near_done["intensity"].equals(near["intensity"])
    middle = 0.5 * (low + high)

    def factor(a, b):
        value = ratio(a, low, high) / scattering(785.0, middle)
        value /= ratio(b, low, high) / scattering(532.0, middle)
        return max(value, 1.0 / value)

    assert factor(near, green) > raw
    assert factor(near_done, green_done) < after


def falling(x):
    """Sensitivity that falls to half over the spectrum."""
    return np.exp(-(x - 150.0) / 720.0)


def test_amounts_are_those_of_an_even_instrument_and_errors_stay_poisson():
    ds = wb.simulate("raman", settings={"size": 12, "drift": 0.0}, seed=3)
    x = ds["raman_shift"].values
    rng = np.random.default_rng(8)
    seen = ds.copy(deep=True)
    # Thinned counts are Poisson again, with the mean times the sensitivity.
    seen["intensity"] = (ds["intensity"].dims, rng.binomial(ds["intensity"].values, falling(x)),
                         ds["intensity"].attrs)  # fmt: skip
    nodes = np.linspace(x[0], x[-1], 30)
    done = wb.correct(seen, "intensity_response", shift=nodes, response=falling(nodes))
    assert done["intensity"].equals(seen["intensity"])
    np.testing.assert_allclose(done["transmission"], falling(x), rtol=1e-6)
    model = {"baseline": "cubic"}

    def pulls(spectrum):
        comps = wb.propose(spectrum, ["Li6PS5Cl", "Li2S"], settings=model)
        fit = wb.fit(spectrum, comps, statistic="poisson")
        return pulls_of(wb.quantify(fit), ds["truth"])

    right = pulls(done)
    assert np.abs(right.mean(["y", "x"])).max() < 0.25
    assert 0.85 < float(right.std()) < 1.15
    wrong = pulls(seen)
    assert np.abs(wrong.mean(["y", "x"])).max() > 5.0
    fit = wb.fit(done, wb.propose(done, ["Li2S"]), statistic="poisson")
    assert "sensitivity" in wb.quantify(fit).attrs["note"]


def test_a_known_response_comes_back_from_a_measured_glass():
    x = np.linspace(100.0, 3600.0, 1200)
    rng = np.random.default_rng(0)
    counts = rng.poisson(2e4 * certified("2241", x) * falling(0.7 * x))
    ds = made(x, counts.astype(float), laser_nm=785.0)
    found = raman.intensity_response(ds, "2241")
    done = wb.correct(ds, "intensity_response", **found)
    inside = (x > 205.0) & (x < 3495.0)
    true = falling(0.7 * x)[inside]
    got = done["transmission"].values[inside]
    np.testing.assert_allclose(got / got.mean(), true / true.mean(), rtol=0.03)
    assert found["error"] < 0.01


def test_wrong_glasses_are_refused():
    x = np.linspace(100.0, 3600.0, 1200)
    ds = made(x, 1e4 * certified("2241", x), laser_nm=532.0)
    with pytest.raises(CalibrationError, match="certified for 785 nm, the laser is 532 nm"):
        raman.intensity_response(ds, "2241")
    with pytest.raises(CalibrationError, match="allowed: 2241"):
        raman.intensity_response(ds, "9999")
    dark = made(x, np.random.default_rng(0).normal(0.0, 1.0, x.size), laser_nm=785.0)
    with pytest.raises(CalibrationError, match="fifty are the least"):
        raman.intensity_response(dark, "2241")
    with pytest.raises(RecipeError, match="must be positive"):
        wb.correct(ds, "intensity_response", shift=(1.0, 2.0), response=(1.0, 0.0))
    assert set(LASER_NM) == set(CERTIFIED)

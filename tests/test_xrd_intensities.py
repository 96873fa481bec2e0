"""Beam beside the sample and texture, from the intensities of single lines; weighed mixtures."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import references
import workbench as wb
from references.diffraction import cell_volume, formula_units, reflections
from spectra.convention import spectrum
from spectra.errors import CalibrationError, ModelError
from spectra.techniques import xrd
from spectra.techniques._xrd_model import overflow
from tests.shared_data import data
from workbench.errors import RecipeError

WAVE = 1.5405929
SHARES = {"TiO2": 0.4, "ZnO": 0.6}


def made(shares, *, full_deg=0.0, scatter=0.0, seed=1, counts=2e6):
    """A pattern at one wavelength; a beam of cosine squared profile goes beside the sample."""
    rng = np.random.default_rng(seed)
    lib = references.load()
    x = np.arange(20.0, 95.0, 0.02)
    y = np.full(x.size, 0.0)
    for name, share in shares.items():
        volume = cell_volume(name, lib)
        density = lib[name].molar_mass * formula_units(name, lib) / volume
        # reflections of one direction come from the same grains
        off: dict[tuple[int, ...], float] = {}
        for r in reflections(
            name, d_min=1.05, library=lib, energy_keV=round(12.398419843 / WAVE, 5)
        ):
            sine = WAVE / (2 * r.d)
            theta = np.arcsin(sine)
            lp = (1 + np.cos(2 * theta) ** 2) / (sine**2 * np.cos(theta))
            area = share / density / volume**2 * r.multiplicity * r.f2 * lp
            area *= np.exp(-2 * 0.5 * (sine / WAVE) ** 2)
            if full_deg:
                u = min(1.0, 0.5 * sine / np.sin(np.radians(full_deg / 2)))
                area *= u + np.sin(np.pi * u) / np.pi
            key = tuple(np.abs(r.hkl) // np.gcd.reduce(r.hkl))
            area *= off.setdefault(key, float(np.exp(scatter * rng.standard_normal())))
            at = 2 * np.degrees(theta)
            y += area * np.exp(-4 * np.log(2) * ((x - at) / 0.15) ** 2)
    y *= counts / y.sum()
    y = rng.poisson(y + 0.1 * counts / x.size)
    ds = spectrum(y, x, technique="xrd", axis_name="two_theta", attrs={"wavelength_A": WAVE})
    ds.attrs["calibration"] = "simulated"
    return ds


def freely(ds, names):
    return wb.fit(ds, wb.propose(ds, list(names), settings={"intensities": "free"}))


def amounts(ds, names):
    return wb.quantify(wb.fit(ds, wb.propose(ds, list(names))))


def test_share_of_the_beam():
    # a short sample takes sine / full, as in an even beam; a long one all of it
    assert overflow(0.01, 0.2) == pytest.approx(0.05, rel=0.01)
    assert overflow(0.9, 0.2) == pytest.approx(1.0, abs=1e-6)
    assert np.all(overflow([0.1, 0.2], 0.0) == 1.0)


def test_lines_of_a_powder_have_the_computed_intensities():
    ds = made(SHARES)
    table = xrd.intensities(ds, freely(ds, SHARES))
    assert set(table["species"].values) == set(SHARES)
    assert table.sizes["line"] > 20
    pull = (table["ratio"] - 1.0) / np.hypot(table["ratio_stderr"], 0.02)
    assert float(np.abs(pull).max()) < 5.0
    assert xrd.overflow_of(table) == {}
    found = xrd.texture_of(table)
    assert max(found["scatter"].values()) < 0.03
    assert all(2.0 < n < 15.0 for n in found["directions"].values())


@pytest.mark.parametrize("full_deg", [34.0, 40.0])
def test_a_short_sample_is_noticed_and_corrected(full_deg):
    ds = made(SHARES, full_deg=full_deg)
    known = np.array(list(SHARES.values()))
    before = amounts(ds, SHARES)["amount"].sel(species=list(SHARES)).values
    table = xrd.intensities(ds, freely(ds, SHARES))
    found = xrd.overflow_of(table)
    # the model's beam has tails, so its angle need not be quite the same
    assert found["full_deg"] == pytest.approx(full_deg, rel=0.25)
    out = wb.correct(ds, "overflow", **found)
    after = amounts(out, SHARES)["amount"].sel(species=list(SHARES)).values
    assert np.abs(after - known).max() < 0.012
    assert np.abs(after - known).max() < 0.5 * np.abs(before - known).max()
    again = xrd.intensities(out, freely(out, SHARES))
    with pytest.raises(ModelError, match="already"):
        xrd.overflow_of(again)


def test_a_sample_of_known_size():
    ds = made(SHARES, full_deg=33.0)
    sine = np.sin(np.radians(33.0 / 2))
    sample = 145.0 * np.radians(0.917) / sine
    out = wb.correct(ds, "overflow", sample_mm=sample, divergence_deg=0.917, radius_mm=145.0)
    assert out.attrs["overflow_sine"] == pytest.approx(sine)
    with pytest.raises(CalibrationError, match="no beam goes beside"):
        wb.correct(ds, "overflow", sample_mm=60.0, divergence_deg=0.25, radius_mm=145.0)
    with pytest.raises(CalibrationError, match="give divergence_deg"):
        wb.correct(ds, "overflow", sample_mm=20.0)
    with pytest.raises(RecipeError, match="give sample_mm, or full_deg"):
        wb.correct(ds, "overflow", divergence_deg=1.0)


def test_geometry_that_the_file_tells():
    ds = wb.open(data(f"xrd/{next(iter(WEIGHED))}"))
    assert ds.attrs["goniometer_radius_mm"] == 145.0
    # 1.52 mm, 95 mm from the focus
    assert ds.attrs["divergence_deg"] == pytest.approx(0.9167, abs=1e-3)
    out = wb.correct(ds, "overflow", sample_mm=8.7)
    told = wb.correct(ds, "overflow", sample_mm=8.7, divergence_deg=0.9167, radius_mm=145.0)
    assert out.attrs["overflow_sine"] == pytest.approx(told.attrs["overflow_sine"], rel=1e-3)
    cut = ds.isel(two_theta=(ds["two_theta"] > 30) & (ds["two_theta"] < 40))
    one = wb.propose(cut, ["ZnO"], settings={"radius_mm": 145.0})
    assert str(wb.propose(cut, ["ZnO"])["ZnO"].params) == str(one["ZnO"].params)
    assert "divergence_deg" not in wb.open(data("xrd/XRD-918-16_10.xrdml")).attrs


def test_texture_widens_the_errors_to_what_they_are():
    pulls, naive = [], []
    for seed in range(8):
        ds = made(SHARES, scatter=0.12, seed=seed)
        table = xrd.intensities(ds, freely(ds, SHARES))
        out = wb.correct(ds, "texture", **xrd.texture_of(table))
        found = amounts(out, SHARES).sel(species="ZnO")
        off = float(found["amount"]) - 0.6
        pulls.append(off / float(found["stderr"]))
        naive.append(off / float(amounts(ds, SHARES).sel(species="ZnO")["stderr"]))
    assert np.sqrt(np.mean(np.square(naive))) > 5.0
    assert 0.4 < np.sqrt(np.mean(np.square(pulls))) < 1.6


def test_tied_intensities_tell_nothing_of_lines():
    ds = made(SHARES)
    fit = wb.fit(ds, wb.propose(ds, list(SHARES)))
    with pytest.raises(ModelError, match="free"):
        xrd.intensities(ds, fit)


WEIGHED = {
    "TiO2_0p4009-ZnO_0p6010--8min.xrdml": {"TiO2": 0.4002, "ZnO": 0.5998},
    "NiO_0p2030-Li2CO3_0p2999-TiO2_0p5025--8min.xrdml": {
        "NiO": 0.2019, "Li2CO3": 0.2983, "TiO2": 0.4998,
    },
}  # fmt: skip


@cache
def pattern(file):
    ds = wb.open(data(f"xrd/{file}"))
    ds = ds.isel(two_theta=(ds["two_theta"] > 19) & (ds["two_theta"] < 99))
    return ds, xrd.intensities(ds, freely(ds, WEIGHED[file]))


def test_weighed_anatase_and_zincite():
    file = next(iter(WEIGHED))
    ds, table = pattern(file)
    # 101 of anatase at 25.3 deg has 0.7 of what its other lines say; those agree among themselves
    anatase = table.isel(line=np.flatnonzero(table["species"] == "TiO2"))
    first = float(anatase["ratio"].sel(line=anatase["hkl"].values == "1 0 1")[0])
    high = anatase["ratio"].values[
        (anatase["two_theta"].values > 45.0) & (anatase["computed"].values > 0.08)
    ]
    assert first / np.median(high) == pytest.approx(0.70, abs=0.03)
    assert np.std(high / np.median(high)) < 0.08
    found = xrd.overflow_of(table)
    # 1.52 mm of slit 95 mm from the focus, at 145 mm: 2.3 mm of beam, on a sample of 8 to 9 mm
    assert 2.32 / np.sin(np.radians(found["full_deg"] / 2)) == pytest.approx(8.7, abs=0.7)
    out = wb.correct(ds, "overflow", **found)
    again = xrd.intensities(out, freely(out, WEIGHED[file]))
    amount = amounts(wb.correct(out, "texture", **xrd.texture_of(again)), WEIGHED[file])
    off = amount["amount"].sel(species="TiO2") - 0.4002
    assert abs(float(off)) < 0.012  # 0.366 without
    assert abs(float(off)) < 2.0 * float(amount["stderr"].sel(species="TiO2"))
    # the rest has the sign of microabsorption
    grains = wb.correct(out, "microabsorption", diameter_um=4.0)  # that serves the other mixture
    best = amounts(grains, WEIGHED[file])["amount"].sel(species="TiO2")
    assert float(best) == pytest.approx(0.4002, abs=0.008)


def test_weighed_mixture_with_textured_carbonate():
    file = list(WEIGHED)[1]
    ds, table = pattern(file)
    assert xrd.overflow_of(table) == {}
    told = xrd.texture_of(table)
    assert told["scatter"]["Li2CO3"] > 0.25
    amount = amounts(wb.correct(ds, "texture", **told), WEIGHED[file])
    for name, share in WEIGHED[file].items():
        one = amount.sel(species=name)
        assert abs(float(one["amount"]) - share) < 2.0 * float(one["stderr"]), name
        assert float(one["stderr"]) > 0.008
    assert "scatter" in amount.attrs["note"]

"""Raman: WiRE files against other decodes, calibration, masked cosmic rays, honest maps."""

from __future__ import annotations

import struct

import numpy as np
import pytest

import references
import workbench as wb
from spectra import Component, Components, Param
from spectra.convention import spectrum
from spectra.errors import CalibrationError, FormatError
from spectra.shapes import SHAPES
from tests.shared_data import data
from workbench.demo import pulls_of
from workbench.limits import detection

# File: outer dims with sizes, points, sum of counts where the README (or rosettasciio) states one.
FILES = [
    ("6x6.wdf", {"y": 6, "x": 6}, 1015, None),
    ("line.wdf", {"point": 235}, 1015, None),
    ("sp.wdf", {}, 1015, None),
    ("raman_example.wdf", {}, 1011, None),
    ("spectra_1.wdf", {}, 572, None),
    ("renishaw_test_zscan.wdf", {"z": 40}, 1015, 246187),
    ("renishaw_test_timeseries.wdf", {"time": 3}, 1007, 1.26162e7),
    ("renishaw_test_map.wdf", {"y": 3, "x": 3}, 47, 665.057),
    ("renishaw_test_linescan.wdf", {"point": 5}, 40, 118.876),
    ("renishaw_test_spectrum.wdf", {}, 36, 2606.16),
]


@pytest.mark.parametrize(("name", "outer", "points", "total"), FILES)
def test_shapes_and_sums(name, outer, points, total):
    ds = wb.open(data(f"raman/renishaw/{name}"))
    sizes = dict(ds["intensity"].sizes)
    axis = ds["intensity"].dims[-1]
    assert sizes.pop(axis) == points
    assert sizes == outer
    if total is not None:
        assert float(ds["intensity"].sum()) == pytest.approx(total, rel=1e-5)


def test_the_vendors_text_export_is_the_same_spectrum():
    ds = wb.open(data("raman/renishaw/raman_example.wdf"))
    table = np.loadtxt(data("raman/renishaw/raman_example.txt"))
    table = table[np.argsort(table[:, 0])]
    np.testing.assert_allclose(ds["raman_shift"], table[:, 0], atol=1e-5)
    np.testing.assert_allclose(ds["intensity"], table[:, 1], atol=1e-3)
    assert float(ds["intensity"].mean()) == pytest.approx(364.2936, abs=1e-3)
    top = float(ds["raman_shift"][int(ds["intensity"].values.argmax())])
    assert top == pytest.approx(1581.730, abs=1e-3)


def test_depth_series_has_its_focus_and_a_constant_one_has_none():
    ds = wb.open(data("raman/renishaw/renishaw_test_zscan.wdf"))
    np.testing.assert_allclose(ds["z"].values[[0, -1]], [-10.0, 9.5])
    fixed = wb.open(data("raman/renishaw/renishaw_test_focustrack_invariant.wdf"))
    assert "z" not in fixed["intensity"].dims


def test_time_of_a_series_is_windows_time():
    # Ticks of 100 ns in the file: 30 884 593 and 30 445 497 between the three spectra.
    ds = wb.open(data("raman/renishaw/renishaw_test_timeseries.wdf"))
    np.testing.assert_allclose(np.diff(ds["time"]), [3.0884593, 3.0445497], atol=1e-6)


def test_a_map_keeps_its_stage_coordinates():
    ds = wb.open(data("raman/renishaw/6x6.wdf"))
    np.testing.assert_allclose(np.diff(ds["x"]), 6.0, atol=1e-6)
    np.testing.assert_allclose(np.diff(ds["y"]), 6.0, atol=1e-6)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.6, 0.999])
def test_a_truncated_file_names_the_byte(tmp_path, share):
    content = data("raman/renishaw/sp.wdf").read_bytes()
    path = tmp_path / "cut.wdf"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(FormatError, match=r"cut\.wdf: .* ends at byte \d+ of \d+"):
        wb.open(path)


def test_a_block_of_no_length_does_not_hang(tmp_path):
    path = tmp_path / "loop.wdf"
    path.write_bytes(struct.pack("<4sIQ", b"WDF1", 0, 0) * 4)
    with pytest.raises(FormatError, match="has length 0"):
        wb.open(path)


def test_an_undefined_axis_is_refused():
    with pytest.raises(FormatError, match="axis unit"):
        wb.open(data("raman/renishaw/renishaw_test_undefined.wdf"))


def band(name, shape, center, fwhm, area):
    params = {
        "area": Param(value=area, min=0.0),
        "center": Param(value=center, min=center - fwhm, max=center + fwhm),
        "fwhm": Param(value=fwhm, min=0.2 * fwhm, max=4 * fwhm),
    }
    return Component(name=name, shape=shape, params=params)


def test_carbon_bands_of_a_real_map():
    # D about 1350 and G 1583.6 1/cm (README of the data).
    ds = wb.select(wb.open(data("raman/renishaw/6x6.wdf")), {"raman_shift": (1250.0, 1700.0)})
    line = {"c0": Param(value=1000.0), "c1": Param(), "x0": Param(value=1450.0, vary=False)}
    ground = Component(name="ground", shape="polynomial", role="background", params=line)
    comps = Components([band("D", "lorentzian", 1355.0, 40.0, 5e4),
                        band("G", "lorentzian", 1584.0, 20.0, 1e5), ground])  # fmt: skip
    fit = wb.fit(ds, comps)
    g = fit["value"].sel(param="G.center")
    assert g.dims == ("y", "x")
    assert float(g.mean()) == pytest.approx(1583.6, abs=2.0)
    assert float(fit["stderr"].sel(param="G.center").max()) < 2.0


def test_wavelength_becomes_raman_shift_with_the_laser():
    ds = wb.open(data("raman/renishaw/renishaw_test_map.wdf"))
    with pytest.raises(CalibrationError, match="calibrate"):
        wb.propose(ds, ["Li2S"])
    shifted = wb.calibrate(ds, "laser", wavelength_nm=325.0)
    expected = 1e7 / 325.0 - 1e7 / ds["wavelength"].values
    np.testing.assert_allclose(shifted["raman_shift"], expected)
    with pytest.raises(CalibrationError, match="already"):
        wb.calibrate(shifted, "laser", wavelength_nm=325.0)


def test_a_known_band_puts_the_scale_right():
    history = wb.plating()
    ds = wb.simulate("raman", history, settings={"size": 4, "drift": 0.0}, seed=1)
    moved = wb.calibrate(ds, "shift", by=4.2)
    back = wb.calibrate(moved, "line", at=427.0)
    np.testing.assert_allclose(back["raman_shift"], ds["raman_shift"], atol=0.5)
    with pytest.raises(CalibrationError, match="outside the spectrum"):
        wb.calibrate(ds, "line", at=1580.0)


def test_cosmic_rays_are_masked_and_counts_stay():
    clean = wb.simulate("raman", settings={"size": 6}, seed=5)
    ds = clean.copy(deep=True)
    ds["intensity"][2, 3, 150] += 40_000
    masked = wb.correct(ds, "spikes")
    assert masked["intensity"].equals(ds["intensity"])
    assert not bool(masked["valid"][2, 3, 150])
    assert float((~masked["valid"]).mean()) < 0.01
    comps = wb.propose(masked, ["Li6PS5Cl", "Li2S"])
    with_mask = wb.quantify(wb.fit(masked, comps, statistic="poisson"))["amount"][2, 3]
    without = wb.quantify(wb.fit(clean, comps, statistic="poisson"))["amount"][2, 3]
    np.testing.assert_allclose(with_mask, without, rtol=0.05)


def test_a_band_of_two_points_in_every_pixel_is_no_cosmic_ray():
    rng = np.random.default_rng(3)
    x = np.arange(200.0, 900.0, 4.0)
    share = rng.uniform(0.2, 1.0, (12, 1))
    mean = 300.0 + 6000.0 * share * np.exp(-(((x - 521.0) / 3.0) ** 2))
    counts = rng.poisson(mean)
    counts[4, 100] += 3000
    ds = spectrum(counts, x, technique="raman", axis_name="raman_shift",
                  outer={"point": np.arange(12)})  # fmt: skip
    valid = wb.correct(ds, "spikes")["valid"].values
    assert valid[:, np.abs(x - 521.0) < 12.0].all()
    assert not valid[4, 100]
    assert (~valid).sum() <= 4


STANDARDS = {
    "calibration/FMNT-M_Ho785/PST10_iR785_OP01_40000msx4.txt": (620.9, 1001.4, 1031.8, 1602.3),
    "calibration/FMNT-M_BW532/PST10_iR532_Probe_100_3000msx7.txt": (620.9, 1001.4, 1031.8, 1602.3),
    "calibration/FMNT-M_BW532/S0N10_iR532_Probe_100_30000msx3.txt": (520.45,),
    "renishaw/spectra_1.wdf": (345.4, 686.5),
}


@pytest.mark.parametrize("name", STANDARDS)
def test_real_narrow_lines_of_one_spectrum_are_no_cosmic_rays(name):
    path = data(f"raman/{name}")
    try:
        ds = wb.open(path)
    except FormatError:
        ds = wb.open(path, technique="raman")
    masked = wb.correct(ds, "spikes")
    x, valid = ds["raman_shift"].values, masked["valid"].values
    for line in STANDARDS[name]:
        assert valid[np.abs(x - line) < 8.0].all()
    # A ray of one point, or of two, on the ground and on a slope, is found in the same spectrum.
    hurt = ds.copy(deep=True)
    high = 3.0 * float(ds["intensity"].quantile(0.9))
    at = [int(np.argmin(np.abs(x - place))) for place in (250.0, 450.0, 800.0)]
    hurt["intensity"] = hurt["intensity"].astype(float)
    for k, width in zip(at, (1, 2, 1), strict=True):
        hurt["intensity"][k : k + width] += high
    found = wb.correct(hurt, "spikes")
    assert not found["valid"].values[at].any()
    assert "in 1 of 1 spectra at " in found.attrs["spikes_masked"]


def test_map_amounts_come_back_with_honest_errors():
    ds = wb.simulate("raman", settings={"size": 12}, seed=3)
    fit = wb.fit(ds, wb.propose(ds, ["Li6PS5Cl", "Li2S"]), statistic="poisson")
    pulls = pulls_of(wb.quantify(fit), ds["truth"]).values
    assert abs(pulls.mean()) < 0.2
    assert 0.8 < pulls.std() < 1.2


def test_a_static_baseline_is_a_variable_beside_the_counts():
    ds = wb.simulate("raman", settings={"size": 3}, seed=3)
    done = wb.correct(ds, "baseline")
    assert done["intensity"].equals(ds["intensity"])
    assert done["background"].dims == ds["intensity"].dims
    assert float((done["background"] < ds["intensity"].max()).mean()) == 1.0


def oriented(rng, count=80):
    """Li6PS5Cl and S8 whose weaker bands are 1.5 times as strong as the library says."""
    library = references.load()
    x = np.arange(130.0, 650.0, 1.2)
    mean = np.full(x.size, 30.0)
    total = {"Li6PS5Cl": 0.0, "S8": 0.0}
    for name, area in (("Li6PS5Cl", 9000.0), ("S8", 5000.0)):
        bands = library.lines("raman", name)
        for b in bands:
            size = (
                area * (b.relative_intensity or 0.1) * (1.0 if b.relative_intensity == 1 else 1.5)
            )
            total[name] += size
            mean += SHAPES["pseudo_voigt"].function(x, size, b.value, b.fwhm or 12.0, 0.5)[0]
    counts = rng.poisson(mean, size=(count, x.size))
    ds = spectrum(counts, x, technique="raman", axis_name="raman_shift",
                  outer={"point": np.arange(count)})  # fmt: skip
    return ds, total


def test_relative_intensities_may_be_bounds_instead_of_ties():
    ds, total = oriented(np.random.default_rng(6))
    free = {"intensities": "bounded", "baseline": "constant", "shift_range": 1.0}
    comps = wb.propose(ds, ["Li6PS5Cl", "S8"], settings=free)
    assert all(c.species for c in comps if c.role == "peak")
    ratio = comps.params["S8_1_ratio"]
    assert ratio.max == pytest.approx(4.0 * ratio.min)
    fit = wb.fit(ds, comps, statistic="poisson")
    assert float(fit["redchi"].mean()) < 1.05
    amounts = wb.quantify(fit)
    for name, true in total.items():
        one = amounts.sel(species=name)
        pull = ((one["amount"] - true) / one["stderr"]).values
        assert abs(pull.mean()) < 0.5
        assert 0.75 < pull.std() < 1.3
    held = wb.propose(ds, ["Li6PS5Cl", "S8"], settings={**free, "intensities": "tied"})
    tied = wb.fit(ds, held, statistic="poisson")
    assert float(tied["redchi"].mean()) > 1.3
    assert bool((detection(ds, fit)["detected"] == 1).all())
    widths = wb.propose(ds, ["S8"], settings={**free, "widths": "species"})
    assert widths["S8_1"].params["fwhm"].expr.endswith("* S8.fwhm")

"""D and G of carbon: a table of four positions, ratios with honest errors, crystallite size."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from spectra import Components
from spectra.convention import spectrum
from spectra.errors import ModelError
from tests.shared_data import data
from workbench.carbon import carbon, carbon_bands
from workbench.curves import curves
from workbench.errors import OrderError

# README of the data: own fit of D4, D, D3, G (Lorentzians, linear baseline, 900 to 1900 1/cm).
TABLE = [
    ("pos1", 1341.3, 179, 1586.2, 79, 1.05),
    ("pos2", 1337.2, 176, 1586.2, 75, 1.41),
    ("pos3", 1340.3, 167, 1588.2, 76, 1.21),
    ("pos4", 1337.0, 172, 1585.8, 76, 1.24),
]


@pytest.mark.parametrize(("name", "d", "d_width", "g", "g_width", "ratio"), TABLE)
def test_the_table_of_a_disordered_carbon(name, d, d_width, g, g_width, ratio):
    ds = wb.open(data(f"raman/carbon_dg/testDW38C_{name}.txt"), technique="raman")
    ds = wb.select(ds, {"raman_shift": (900.0, 1900.0)})
    fit = wb.fit(ds, carbon_bands(ds))
    value = fit["value"].to_series()
    assert value["D.center"] == pytest.approx(d, abs=0.06)
    assert value["D.fwhm"] == pytest.approx(d_width, abs=0.6)
    assert value["G.center"] == pytest.approx(g, abs=0.06)
    assert value["G.fwhm"] == pytest.approx(g_width, abs=0.6)
    assert 1508.0 < value["D3.center"] < 1518.0
    found = carbon(fit, laser_nm=514.5)
    assert float(found["height_ratio"]) == pytest.approx(ratio, abs=0.006)
    assert 0.01 < float(found["height_ratio_stderr"]) < 0.15
    assert float(found["split"]) == pytest.approx(g - d, abs=0.1)
    assert found.attrs["bands"] == "D4, D, D3, G"
    # G is wider than 50 1/cm: the size is there, and flagged.
    flags = found["flag"].attrs["flag_meanings"].split()
    assert flags[int(found["flag"])] == "beyond_formula"


def made(rng, count=1, laser_nm=514.5):
    """Spectra of known bands with Poisson counts."""
    x = np.arange(1000.0, 1850.0, 1.5)
    empty = spectrum(np.ones((count, x.size)), x, technique="raman", axis_name="raman_shift",
                     outer={"point": np.arange(count)}, attrs={"laser_nm": laser_nm})  # fmt: skip
    truth = {"D.area": 9e4, "D.center": 1352.0, "D.fwhm": 48.0, "G.area": 6e4, "G.center": 1583.0,
             "G.fwhm": 32.0, "baseline.c0": 300.0, "baseline.c1": -0.1}  # fmt: skip
    comps = carbon_bands(empty, ["D", "G"])
    for name, value in truth.items():
        comps = comps.set(name, value=value)
    fixed = Components([c.model_copy() for c in comps])
    for name in fixed.params:
        fixed = fixed.set(name, vary=False)
    model = curves(empty, wb.fit(empty, fixed))["model"].values
    ds = empty.copy(deep=True)
    ds["intensity"] = (ds["intensity"].dims, rng.poisson(model), ds["intensity"].attrs)
    return ds, carbon_bands(ds, ["D", "G"])


def test_ratios_have_honest_errors():
    ds, comps = made(np.random.default_rng(0), 150)
    found = carbon(wb.fit(ds, comps, statistic="poisson"))
    assert found["height_ratio"].dims == ("point",)
    for name, true in (
        ("area_ratio", 1.5),
        ("height_ratio", 1.5 * 32.0 / 48.0),
        ("split", 231.0),
        ("crystallite_size", 560.0 / (1239.841984 / 514.5) ** 4 / 1.5),
    ):
        pull = ((found[name] - true) / found[f"{name}_stderr"]).values
        assert abs(pull.mean()) < 0.3
        assert 0.8 < pull.std() < 1.2
    assert np.all(found["flag"] == 0)
    # The same in wavelengths: La = 2.4e-10 lambda^4 / (area ratio), Cancado 2006, eq. 3.
    size = 2.4e-10 * 514.5**4 / 1.5
    assert float(found["crystallite_size"].mean()) == pytest.approx(size, rel=0.02)


def test_a_response_is_divided_out_and_no_laser_gives_no_size():
    ds, comps = made(np.random.default_rng(1), laser_nm=514.5)
    done = wb.correct(ds, "intensity_response", shift=(1000.0, 1900.0), response=(1.0, 0.5))
    plain, right = (carbon(wb.fit(d, comps, statistic="poisson")) for d in (ds, done))
    expected = 0.5 ** ((1583.0 - 1352.0) / 900.0)
    got = (right["area_ratio"] / plain["area_ratio"]).values
    np.testing.assert_allclose(got, expected, rtol=1e-3)
    del ds.attrs["laser_nm"]
    blind = carbon(wb.fit(ds, comps, statistic="poisson"))
    assert np.isnan(blind["crystallite_size"]).all()
    assert np.all(blind["flag"] == 2)


def test_d_starts_where_the_laser_puts_it():
    x = np.arange(1000.0, 3000.0, 4.0)
    ds = spectrum(np.ones(x.size), x, technique="raman", axis_name="raman_shift", units="1")
    green = carbon_bands(ds, ["D", "G", "2D"], laser_nm=514.5)
    red = carbon_bands(ds, ["D", "G", "2D"], laser_nm=785.0)
    # 0.83 eV less: some 40 1/cm for D, twice that for 2D, nothing for G.
    moved = {n: green[n].params["center"].value - red[n].params["center"].value for n in ("D", "G")}
    assert moved["D"] == pytest.approx(41.5, abs=1.0)
    assert moved["G"] == 0.0
    two = green["G2D"].params["center"].value - red["G2D"].params["center"].value
    assert two == pytest.approx(2.0 * moved["D"])


def test_a_real_map_of_graphene():
    # README of the data: 457 nm, D about 1350, G 1583.6 1/cm.
    ds = wb.select(wb.open(data("raman/renishaw/6x6.wdf")), {"raman_shift": (1250.0, 1700.0)})
    found = carbon(wb.fit(ds, carbon_bands(ds, ["D", "G"])))
    assert found["height_ratio"].dims == ("y", "x")
    assert found.attrs["laser_nm"] == pytest.approx(457.0, abs=1.0)
    assert float(found["height_ratio"].median()) < 0.5


def test_what_is_missing_is_said():
    ds, comps = made(np.random.default_rng(0))
    with pytest.raises(ModelError, match="D9"):
        carbon_bands(ds, ["D9"])
    with pytest.raises(ModelError, match="outside"):
        carbon_bands(ds, ["2D"])
    with pytest.raises(OrderError, match="no component 'G'"):
        carbon(wb.fit(ds, comps.drop("G")))
    with pytest.raises(OrderError, match="covariance"):
        carbon(wb.fit(ds, comps, covariance=False))
    with pytest.raises(OrderError, match="fit-1"):
        carbon(ds)


def test_bands_without_species_are_named_in_the_picture():
    ds = wb.select(wb.open(data("raman/renishaw/6x6.wdf")), {"raman_shift": (1250.0, 1700.0)})
    fit = wb.fit(ds, carbon_bands(ds, ["D", "G"]))
    figure = wb.plot.fit(ds, fit, x=-4490.0)
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert {"D", "G"} <= set(legend)
    colours = {str(c.get_facecolor()) for c in figure.axes[0].collections}
    assert len(colours) == 2

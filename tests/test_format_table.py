"""Two columns of text: either decimal mark, the technique told, faults named by line."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from spectra import Component, Components, Param
from spectra.errors import FormatError
from tests.shared_data import data


@pytest.mark.parametrize(
    ("name", "points", "low", "high"),
    [
        ("raman/renishaw/paracetamol.txt", 4064, 96.79, 3200.07),
        ("raman/jcamp_spc_rod/RAMAN.SPC.txt", 3632, -3005.96, 3996.82),
        ("raman/carbon_dg/testDW38C_pos1.txt", 1600, -94.7, 3651.3),
        ("raman/calibration/FMNT-M_Ho785/PST10_iR785_OP01_40000msx4.txt", 1006, 120.4, 3199.6),
        ("raman/fitted_fitspy/spectrum_2_1.txt", 575, 55.9, 958.8),
    ],
)
def test_tables_of_other_programs(name, points, low, high):
    ds = wb.open(data(name), technique="raman")
    x = ds["raman_shift"].values
    assert x.size + ds.attrs.get("merged_rows", 0) == points
    np.testing.assert_allclose(x[[0, -1]], [low, high], atol=0.06)


@pytest.mark.parametrize("apart", ["\t", " ", ";", "; ", ", "])
@pytest.mark.parametrize("mark", [".", ","])
def test_either_decimal_mark(tmp_path, apart, mark):
    if apart == ", " and mark == ",":
        pytest.skip("a comma cannot be both")
    rows = [(100.5 + i, 10.25 * i) for i in range(8)]
    text = "shift" + apart + "counts\n"
    text += "\n".join(f"{x}{apart}{y}".replace(".", mark) for x, y in rows)
    path = tmp_path / "a.txt"
    path.write_text(text + "\n")
    ds = wb.open(path, technique="raman")
    np.testing.assert_allclose(ds["raman_shift"], [r[0] for r in rows])
    np.testing.assert_allclose(ds["intensity"], [r[1] for r in rows])
    assert ds["intensity"].attrs["units"] == "1"


def test_whole_numbers_are_counts_and_a_falling_axis_is_turned(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(f"{200 - i},{7 * i}" for i in range(9)) + "\n")
    ds = wb.open(path, technique="xps")
    assert ds["intensity"].attrs["units"] == "counts"
    assert ds["intensity"].sel(binding_energy=200.0) == 0


def test_the_technique_has_to_be_told(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n".join(f"{i} {i * i}" for i in range(9)) + "\n")
    with pytest.raises(FormatError, match="pass --technique, one of raman"):
        wb.open(path)
    with pytest.raises(FormatError, match="not 'cycling'"):
        wb.open(path, technique="cycling")


def test_a_bad_line_is_named(tmp_path):
    path = tmp_path / "a.txt"
    rows = [f"{i} {i}.5" for i in range(90)]
    path.write_text("\n".join([*rows, "end of file"]) + "\n")
    with pytest.raises(FormatError, match=r"a\.txt: line 91: expected two numbers, found 'end of"):
        wb.open(path, technique="raman")


def test_disordered_carbon_as_four_lorentzians():
    # README: own fit of position 1: D 1341.3 (179), G 1586.2 (79), D3 1509 to 1517.
    ds = wb.open(data("raman/carbon_dg/testDW38C_pos1.txt"), technique="raman")
    ds = wb.select(ds, {"raman_shift": (900.0, 1900.0)})

    def line(name, center, fwhm, area, reach):
        params = {
            "area": Param(value=area, min=0.0),
            "center": Param(value=center, min=center - reach, max=center + reach),
            "fwhm": Param(value=fwhm, min=20.0, max=300.0),
        }
        return Component(name=name, shape="lorentzian", params=params)

    top = float(ds["intensity"].max())
    ground = {"c0": Param(value=0.1 * top), "c1": Param(), "x0": Param(value=1400.0, vary=False)}
    comps = Components(
        [
            line("D4", 1190.0, 100.0, 20 * top, 40.0),
            line("D", 1340.0, 170.0, 200 * top, 30.0),
            line("D3", 1512.0, 120.0, 50 * top, 30.0),
            line("G", 1586.0, 80.0, 80 * top, 20.0),
            Component(name="ground", shape="polynomial", role="background", params=ground),
        ]
    )
    fit = wb.fit(ds, comps, engine="lmfit")["value"]
    assert float(fit.sel(param="D.center")) == pytest.approx(1341.3, abs=1.5)
    assert float(fit.sel(param="G.center")) == pytest.approx(1586.2, abs=1.0)
    assert float(fit.sel(param="D.fwhm")) == pytest.approx(179.0, abs=8.0)
    assert float(fit.sel(param="G.fwhm")) == pytest.approx(79.0, abs=4.0)

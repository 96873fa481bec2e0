"""Gamry and ZPlot files of a cell, and the check of channels."""

from __future__ import annotations

import numpy as np
import pytest

from spectra.channels import channels
from spectra.errors import ConventionError, FormatError
from spectra.formats.registry import read
from tests.shared_data import data


def test_gamry_locales_read_alike():
    english = read(data("echem/gamry/chronoa_data.dta"))["CURVE"]
    german = read(data("echem/gamry/chronoa_de_data.dta"))["CURVE"]
    assert english.sizes == german.sizes
    np.testing.assert_allclose(english.voltage, german.voltage, atol=1e-4)
    np.testing.assert_allclose(english.current, german.current, atol=1e-4)


def test_gamry_tables_are_regions():
    curves = read(data("echem/gamry/cv_data.dta"))
    assert list(curves) == [f"CURVE{i}" for i in range(1, 6)]
    assert curves["CURVE1"].attrs["technique"] == "voltammetry"
    assert float(curves["CURVE1"].current[0]) == pytest.approx(7.80498e-6)
    both = read(data("echem/eis_with_published_fits/exampleDataGamry.DTA"))
    assert both["OCVCURVE"].sizes["time"] == 387
    assert both["ZCURVE"].attrs["technique"] == "impedance"
    spot = read(data("echem/gamry/eispot_data.dta"))["ZCURVE"]
    modulus = np.hypot(spot.impedance_re, spot.impedance_im)
    assert float(modulus[0]) == pytest.approx(224.6391, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "rows", "low", "rising"),
    [("Circuit1_EIS_1.z", 48, 29.1, 46.7), ("Circuit2_EIS_1.z", 56, 150.0, 502.0)],
)
def test_zplot_of_known_circuits(name, rows, low, rising):
    ds = read(data(f"echem/eis_with_published_fits/{name}"))["impedance"]
    assert ds.sizes["point"] == rows
    assert float(ds.impedance_re.min()) == pytest.approx(low, rel=0.02)
    assert float(ds.impedance_re.max()) == pytest.approx(low + rising, rel=0.02)


@pytest.mark.parametrize("name", ["gamry/ocp_data.dta", "eis_with_published_fits/Circuit1_EIS_1.z"])
def test_truncated_is_one_line(name, tmp_path):
    path = data(f"echem/{name}")
    cut = tmp_path / path.name
    cut.write_bytes(path.read_bytes()[:400])
    with pytest.raises(FormatError, match="truncated"):
        read(cut)


def test_channels_refuse_time_that_runs_back_and_wrong_units():
    with pytest.raises(ConventionError, match="time runs back at row 2"):
        channels([0, 2, 1], {"voltage": ([3, 3, 3], "V")}, technique="cycling")
    with pytest.raises(ConventionError, match="units"):
        channels([0, 1], {"current": ([1, 1], "furlong")}, technique="cycling")

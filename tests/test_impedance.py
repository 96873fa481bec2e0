"""Impedance against time, and conductivities, without a circuit."""

from __future__ import annotations

import re

import numpy as np
import pytest

import workbench as wb
from spectra.channels import channels
from spectra.errors import ConventionError
from spectra.techniques.impedance import at_frequency, conductivity
from tests.shared_data import data


def series(frequencies, slope=1.0):
    """Two spectra of Re Z = 10 + slope log10 f, Im Z = -number."""
    f = np.tile(frequencies, 2)
    number = np.repeat([0.0, 1.0], len(frequencies))
    return channels(
        np.arange(f.size, dtype=float),
        {
            "frequency": (f, "Hz"),
            "impedance_re": (10 + slope * np.log10(f), "ohm"),
            "impedance_im": (-1.0 - number, "ohm"),
            "spectrum": (number, "1"),
            "time": (np.arange(f.size) * 10.0, "s"),
        },
        technique="impedance",
        along="point",
        attrs={"start": "2024-01-01T00:00:00"},
    )


def test_between_measured_frequencies_it_is_linear_in_log_f():
    found = at_frequency(series([1000.0, 100.0, 10.0]), 31.6227766)
    np.testing.assert_allclose(found["impedance_re"], 11.5)
    np.testing.assert_allclose(found["impedance_im"], [-1, -2])
    np.testing.assert_allclose(found["time"], [15, 45])
    assert found.attrs["start"] == "2024-01-01T00:00:00"
    assert found.attrs["frequency_Hz"] == 31.6227766


def test_what_is_not_reached_is_said():
    ds = series([1000.0, 100.0])
    with pytest.raises(ConventionError, match="no spectrum reaches 1 Hz; they run 100 to 1000"):
        at_frequency(ds, 1.0)
    with pytest.raises(ConventionError, match="need time"):
        at_frequency(ds.drop_vars("time"), 100.0)


def test_operando_resistance_joins_the_cell_on_its_clock():
    folder = "echem/operando_LiLi_TEGDME"
    eis = wb.open(data(f"{folder}/LiLi_TEGDME_02_GEIS_C05.mpr"))
    low = at_frequency(eis, 0.8)
    assert low.sizes["time"] == 45
    exact = eis["impedance_re"].values[np.isclose(eis["frequency"].values, 0.8, rtol=1e-3)]
    np.testing.assert_allclose(low["impedance_re"], exact, rtol=1e-3)
    table = wb.open(data(f"{folder}/LiLi_TEGDME_03_GCPL_C05.txt"))
    cell = wb.align(low, table, names=["eis", "cell"], zone="UTC")
    # resistance and overvoltage of a symmetric cell fall together when it shorts
    pair = np.isfinite(cell["voltage"].values)
    ohmic = np.corrcoef(cell["impedance_re"].values[pair], cell["voltage"].values[pair])[0, 1]
    assert ohmic > 0.7


def test_conductivity_of_the_published_pellet():
    # Published: 8 mm x 2.1 mm; at 413 K R1 1.462e5 and R2 2.012e6 ohm: 2.857e-6, 2.076e-7 S/cm
    text = data("echem/eis_ionic_conductor_140_200C/published_Arrhenius_Analysis_Report.txt")
    assert re.search("sigma|conductivity", text.read_text(encoding="utf-8"), re.IGNORECASE)
    assert conductivity(1.462e5, 2.1, 8.0) == pytest.approx(2.857e-6, rel=2e-3)
    assert conductivity(2.012e6, 2.1, 8.0) == pytest.approx(2.076e-7, rel=2e-3)
    with pytest.raises(ConventionError, match="positive"):
        conductivity(0.0, 1.0, 1.0)

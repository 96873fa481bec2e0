"""EC-Lab's binary files against the text that EC-Lab wrote from them."""

from __future__ import annotations

import numpy as np
import pytest

from spectra.errors import FormatError
from spectra.formats.registry import read
from tests.shared_data import data

PAIRS = "echem/biologic_mpr_mpt_pairs"


@pytest.mark.parametrize(
    ("name", "technique", "rows"),
    [
        ("ocv.issue_149", "cycling", 43),
        ("gcpl.issue_149", "cycling", 132),
        ("gcpl.pr_182.1", "cycling", 2533),
        ("ca.issue_149", "cycling", 80),
        ("cp.issue_61", "cycling", 312),
        ("mb.issue_95", "cycling", 33),
        ("peis.issue_149", "impedance", 84),
        ("geis.issue_149", "impedance", 84),
    ],
)
def test_binary_and_text_agree(name, technique, rows):
    pytest.importorskip("galvani")
    binary = read(data(f"{PAIRS}/{name}.mpr"))["cell"]
    text = read(data(f"{PAIRS}/{name}.mpt"))["cell"]
    for ds in (binary, text):
        assert ds.attrs["technique"] == technique
        assert next(iter(ds.sizes.values())) == rows
    if technique == "cycling":
        np.testing.assert_allclose(binary.time, text.time, rtol=1e-6, atol=1e-9)
    else:
        assert int(binary.spectrum.max()) == 3
    shared = (set(binary.data_vars) & set(text.data_vars)) - {"current"}
    assert "voltage" in shared
    for key in shared:
        np.testing.assert_allclose(binary[key], text[key], rtol=2e-6, atol=1e-6, err_msg=key)
    if binary.attrs.get("start") and text.attrs.get("start"):
        assert binary.attrs["start"][:19] == text.attrs["start"][:19]


def test_mean_current_from_charge_is_the_exported_one():
    pytest.importorskip("galvani")
    binary = read(data(f"{PAIRS}/gcpl.issue_149.mpr"))["cell"].current
    text = read(data(f"{PAIRS}/gcpl.issue_149.mpt"))["cell"].current
    assert np.nanmax(np.abs(text)) == pytest.approx(0.03, rel=0.02)
    both = np.isfinite(binary.values)
    assert np.nanmedian(np.abs(binary.values - text.values)[both]) < 1e-4


def test_operando_impedance_has_45_spectra_and_charge_is_right():
    pytest.importorskip("galvani")
    folder = "echem/operando_LiLi_TEGDME"
    eis = read(data(f"{folder}/LiLi_TEGDME_02_GEIS_C05.mpr"))["cell"]
    assert int(eis.spectrum.max()) + 1 == 45
    assert (eis.impedance_re > 0).all()
    cell = read(data(f"{folder}/LiLi_TEGDME_01_GCPL_C05.mpr"))["cell"]
    assert float(cell.capacity.max()) == pytest.approx(0.4 * 600 / 3600, rel=2e-3)


def test_decimal_comma_and_locale_read_alike():
    english = read(data(f"{PAIRS}/mb.issue_95.mpt"))["cell"]
    german = read(data(f"{PAIRS}/mb.issue_95.de.mpt"))["cell"]
    for key in english.data_vars:
        np.testing.assert_allclose(english[key], german[key])


def test_truncated_files_are_one_line(tmp_path):
    pytest.importorskip("galvani")
    for suffix in ("mpr", "mpt"):
        raw = data(f"{PAIRS}/gcpl.issue_149.{suffix}").read_bytes()
        cut = tmp_path / f"cut.{suffix}"
        cut.write_bytes(raw[:700])
        with pytest.raises(FormatError) as error:
            read(cut)
        assert "\n" not in str(error.value)
        assert "cut." in str(error.value)

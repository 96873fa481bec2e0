"""Plain columns of energy and intensity: separators, decimal marks, fitted curves beside them."""

from __future__ import annotations

import numpy as np
import pytest

from spectra import formats
from spectra.errors import FormatError

BE = 170.0 - 0.1 * np.arange(30)
Y = np.random.default_rng(0).poisson(300.0, 30)


def table(path, head, columns, mark, comma=False):
    rows = [mark.join(f"{v:.6g}" for v in row) for row in np.column_stack(columns)]
    text = "\n".join([head, *rows]) + "\n"
    path.write_text(text.replace(".", ",") if comma else text)
    return path


@pytest.mark.parametrize(("mark", "comma"), [("\t", False), ("\t", True), (";", True), (",", False),
                                            (" ", False)])  # fmt: skip
def test_separators_and_decimal_marks(tmp_path, mark, comma):
    head = "Binding Energy (eV)" + mark + "Counts"
    path = table(tmp_path / "S2p.txt", head, [BE, Y], mark, comma)
    assert formats.identify(path).name == "xps_columns"
    ds = formats.read(path)["S 2p"]
    np.testing.assert_allclose(ds["binding_energy"].values[::-1], BE)
    np.testing.assert_array_equal(ds["intensity"].values[::-1], Y)
    assert ds["intensity"].attrs["units"] == "counts"


def test_fitted_curves_beside_the_counts(tmp_path):
    ground, one, two = 100.0 + 0 * BE, 100.0 + BE, 110.0 + BE
    head = "BE/eV,CPS,PS4,Li2S,Background,Envelope"
    path = table(tmp_path / "a.csv", head, [BE, Y / 7, one, two, ground, one + two - ground], ",")
    ds = next(iter(formats.read(path).values()))
    assert ds["intensity"].attrs["units"] == "counts/s"
    np.testing.assert_allclose(ds["reported_background"], 100.0)
    np.testing.assert_allclose(ds["reported_components"].values[:, ::-1], [one, two], rtol=1e-5)
    np.testing.assert_allclose(
        ds["reported_components"].sum("component") - 100.0, ds["reported_envelope"], rtol=1e-5
    )


def test_columns_without_names_and_rows_cut_off_are_refused(tmp_path):
    path = table(tmp_path / "a.csv", "BE/eV,Counts", [BE, Y, Y], ",")
    with pytest.raises(FormatError, match="names in line 1"):
        formats.read(path)
    path = table(tmp_path / "b.csv", "BE/eV,Counts", [BE, Y], ",")
    path.write_text(path.read_text() + "160.0\n")
    with pytest.raises(FormatError, match="truncated"):
        formats.read(path)

"""The WITec project file against WITec's own text export of the same map."""

from __future__ import annotations

import numpy as np
import pytest

from spectra.errors import FormatError
from spectra.formats.registry import read
from tests.shared_data import data


def project():
    return read(data("raman/witec/Si-data.WIP"))


def test_the_map_equals_its_export():
    ds = project()["Map_000_Spec.Data 1_F"]
    (text,) = read(data("raman/witec/Witec-Map_full.txt")).values()
    assert ds["intensity"].dims == ("y", "x", "raman_shift")
    assert ds["intensity"].dtype == np.uint16
    assert ds["intensity"].attrs["units"] == "counts"
    # The export has six digits.
    assert np.abs(ds["raman_shift"].values - text["raman_shift"].values).max() < 0.006
    pairs = zip(text["column"], text["row"], strict=True)
    pixels = {(int(c), int(r)): i for i, (c, r) in enumerate(pairs)}
    for (column, row), at in pixels.items():
        # Rows of the image go down, y of the stage goes up.
        assert np.array_equal(ds["intensity"].values[4 - row, column], text["intensity"].values[at])
    assert ds.attrs["laser_nm"] == pytest.approx(632.8)


def test_the_map_lies_where_the_stage_was():
    ds = project()["Map_000_Spec.Data 1_F"]
    # 5 points on 5 um around the origin of the scan.
    assert np.diff(ds["x"]) == pytest.approx(np.ones(4))
    assert np.diff(ds["y"]) == pytest.approx(np.ones(4))
    assert ds["x"].values[0] == pytest.approx(147.069 - 2.5)
    assert ds["y"].values[-1] == pytest.approx(-0.093 + 2.5)


def test_the_time_series_keeps_its_clock():
    ds = project()["Time Series_000_Spec.Data 1"]
    assert ds["intensity"].dims == ("time", "raman_shift")
    assert ds.sizes["time"] == 100
    assert np.diff(ds["time"]) == pytest.approx(np.full(99, 1.03492), abs=1e-5)
    part = ds["intensity"].mean("time").sel(raman_shift=slice(490, 560))
    assert float(part.idxmax()) == pytest.approx(525.7, abs=2)


def test_no_spectra_and_cut_files_are_refused(tmp_path):
    content = data("raman/witec/Si-data.WIP").read_bytes()
    path = tmp_path / "a.wip"
    path.write_bytes(content[:200_000])
    with pytest.raises(FormatError, match="truncated"):
        read(path)
    path.write_bytes(content.replace(b"TDSpectralTransformation", b"TDSpectralTransformatiXX"))
    with pytest.raises(FormatError, match="no spectra"):
        read(path)


@pytest.mark.parametrize("seed", range(40))
def test_damage_is_a_format_error(tmp_path, seed):
    content = bytearray(data("raman/witec/Si-data.WIP").read_bytes())
    rng = np.random.default_rng(seed)
    start = content.index(b"TDSpectralTransformation") - 3000
    for at in rng.integers(start, start + 6000, 20):
        content[int(at)] = int(rng.integers(0, 256))
    path = tmp_path / "a.wip"
    path.write_bytes(bytes(content))
    try:
        read(path)
    except FormatError as error:
        text = str(error)
    else:
        text = "a.wip"
    assert "a.wip" in text
    assert "\n" not in text

"""The WITec project file against WITec's own text export of the same map."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io

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


HEADER = (
    "//Exported ASCII-File\r\n[Header]\r\nProjectName =\r\nFileName = F:\\cells\\one.wip\r\n"
    "GraphName = map_001\r\nSizeX = {nx}\r\nSizeY = {ny}\r\nSizeGraph = {n}\r\n"
    "ScanUnit = \xb5m\r\nScanWidth = {w}\r\nScanHeight = {h}\r\nScanOriginX = 10\r\n"
    "ScanOriginY = -5\r\nXAxisUnit = rel. 1/cm\r\nDataUnit = CCD cts\r\n"
)


def split_export(folder, values, x, *, nx, ny, name="cell_Spec.Data 1_F", comma=False):
    def column(numbers):
        text = "".join(f" {v:g}\r\n" for v in numbers)
        return (text.replace(".", ",") if comma else text).encode()

    head = HEADER.format(nx=nx, ny=ny, n=len(x), w=2.0 * nx, h=2.0 * ny)
    (folder / f"{name} (Header).txt").write_bytes(head.encode("latin-1"))
    (folder / f"{name} (X-Axis).txt").write_bytes(column(x))
    (folder / f"{name} (Y-Axis).txt").write_bytes(column(np.ravel(values)))
    return folder / f"{name} (Header).txt"


@pytest.mark.parametrize("comma", [False, True])
def test_split_export_is_one_measurement(tmp_path, comma):
    x = np.linspace(-105.15, 3811.88, 40)
    counts = np.random.default_rng(1).poisson(600, (2, 3, 40))
    (ds,) = read(split_export(tmp_path, counts, x, nx=3, ny=2, comma=comma)).values()
    assert dict(ds.sizes) == {"y": 2, "x": 3, "raman_shift": 40}
    # Rows of the image go down, the stage's y goes up.
    np.testing.assert_array_equal(ds["intensity"].values, counts[::-1])
    assert ds["intensity"].attrs["units"] == "counts"
    assert np.diff(ds["x"]) == pytest.approx([2, 2])
    assert "(Y-Axis).txt " in ds.attrs["companions"]
    (one,) = read(split_export(tmp_path, counts[0, 0], x, nx=1, ny=1, name="one")).values()
    assert one.sizes == {"raman_shift": 40}


def test_split_export_with_a_missing_or_wrong_file_says_so(tmp_path):
    x = np.linspace(100, 200, 10)
    path = split_export(tmp_path, np.ones(10), x, nx=1, ny=1)
    beside = tmp_path / path.name.replace("Header", "Y-Axis")
    beside.write_text("1\n2\nthree\n")
    with pytest.raises(FormatError, match=r"Y-Axis.*line 3: expected numbers"):
        read(path)
    beside.write_text("1\n2\n3\n")
    with pytest.raises(FormatError, match=r"3 values for an axis of 10 points"):
        read(path)
    beside.unlink()
    with pytest.raises(FormatError, match=r"no '.*\(Y-Axis\)\.txt' beside it"):
        read(path)


def matlab(path, data, x, unit, size, places, name="Struct_cell"):
    cells = np.empty((2, 2), dtype=object)
    cells[0] = [np.zeros((0, 0)), ""]
    cells[1] = [x, unit]
    entry = {"name": "cell", "type": "image", "data": data, "axisscale": cells,
             "imagesize": np.array(size, dtype=float)}  # fmt: skip
    if places:
        scales = np.empty((2, 2), dtype=object)
        scales[0], scales[1] = [places[0], "\xb5m"], [places[1], "\xb5m"]
        entry["imageaxisscale"] = scales
    scipy.io.savemat(path, {name: entry}, do_compression=bool(places))
    return path


def test_matlab_export_of_a_map_and_a_spectrum(tmp_path):
    x = np.linspace(100.0, 1000.0, 20)
    counts = np.random.default_rng(2).poisson(90, (3, 2, 20))  # x slow, y fast
    y_um, x_um = np.array([5.0, 4.0]), np.array([0.0, 1.0, 2.0])
    path = matlab(tmp_path / "m.mat", counts.reshape(6, 20), x, "rel. 1/cm", (2, 3), (y_um, x_um))
    (ds,) = read(path).values()
    assert dict(ds.sizes) == {"y": 2, "x": 3, "raman_shift": 20}
    np.testing.assert_array_equal(ds["intensity"].sel(y=5.0, x=2.0), counts[2, 0])
    np.testing.assert_array_equal(ds["intensity"].sel(y=4.0, x=0.0), counts[0, 1])
    path = matlab(tmp_path / "n.mat", counts.reshape(6, 20), x, "nm", (2, 3), None)
    (ds,) = read(path).values()
    assert dict(ds.sizes) == {"point": 6, "wavelength": 20}
    assert list(ds["row"].values) == [0, 1, 0, 1, 0, 1]
    path = matlab(tmp_path / "o.mat", counts[0, 0].astype(float), x, "rel. 1/cm", (1, 1), None)
    (ds,) = read(path).values()
    assert ds.sizes == {"raman_shift": 20}
    with pytest.raises(FormatError, match=r"data of 6 x 20 on an axis of 19 points"):
        read(matlab(path, counts.reshape(6, 20), x[:-1], "nm", (2, 3), None))
    whole = path.read_bytes()
    for end in range(140, len(whole), 37):
        path.write_bytes(whole[:end])
        with pytest.raises(FormatError):
            read(path)

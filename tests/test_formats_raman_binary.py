"""Galactic SPC and Princeton SPE: vendors' own conversions, and every variant written here."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from spectra.errors import FormatError
from spectra.formats import registry
from spectra.formats.registry import read
from tests.contracts import format_contract as contract
from tests.shared_data import data


def opened(name):
    (ds,) = read(data(f"raman/{name}")).values()
    return ds


def test_spc_of_a_map_equals_the_wdf():
    ds, wdf = opened("renishaw/6x6.spc"), opened("renishaw/6x6.wdf")
    assert ds.sizes == {"point": 36, "raman_shift": 1015}
    rows = wdf["intensity"].values.reshape(36, -1)
    even = [np.interp(ds["raman_shift"], wdf["raman_shift"], row) for row in rows]
    assert np.abs(np.array(even) - ds["intensity"].values).max() < 0.14
    assert ds.attrs["laser_nm"] == 457
    assert ds.attrs["acquisition_time_s"] == 60


def test_spc_of_scaled_integers_equals_its_text():
    ds = opened("jcamp_spc_rod/RAMAN.SPC")
    x, y = np.loadtxt(data("raman/jcamp_spc_rod/RAMAN.SPC.txt")).T
    assert np.abs(ds["raman_shift"].values[::-1] - x).max() < 5e-9
    assert np.abs(ds["intensity"].values[::-1] - y).max() < 5e-9
    assert ds.attrs["measured"] == "1994-08-26T16:45"
    assert ds.attrs["laser_nm"] == pytest.approx(1064.4, abs=0.05)
    for at in (2938.0, 2924.5, 2853.2, 1445.3, 1267.8, 1028.7, 803.0):
        part = ds["intensity"].sel(raman_shift=slice(at - 8, at + 8))
        assert float(part.idxmax()) == pytest.approx(at, abs=1)


def test_spc_with_stored_x():
    ds = opened("jcamp_spc_rod/MoS2_Raman.spc")
    assert ds.sizes == {"raman_shift": 1024}
    assert ds["raman_shift"].values[[0, -1]] == pytest.approx([50.9, 1199.0], abs=0.1)
    for low, high, at in ((370, 395, 384.3), (395, 420, 405.3), (510, 530, 519.7)):
        part = ds["intensity"].sel(raman_shift=slice(low, high))
        assert float(part.idxmax()) == pytest.approx(at, abs=0.6)
    assert ds.attrs["laser_nm"] == 532.43
    assert ds.attrs["accumulations"] == 3


def spc(flags, spectra, *, exponent=-128, x=None, points=0, kind=(11, 13, 4, 0), version=0x4B):
    """Bytes of an SPC file; spectra are (bytes of x and y, points, z)."""
    head = bytearray(512)
    first, last = (x[0], x[-1]) if x is not None else (100.0, 200.0)
    struct.pack_into("<BBBb", head, 0, flags, version, kind[0], exponent)
    struct.pack_into("<iddi", head, 4, points, first, last, len(spectra))
    head[28:31] = bytes(kind[1:])
    body = b"" if x is None or not flags & 0x80 or flags & 0x40 else x.astype("<f4").tobytes()
    for content, size, z in spectra:
        sub = bytearray(32)
        struct.pack_into("<xb2xf8xi", sub, 0, exponent, z, size)
        body += bytes(sub) + content
    return bytes(head) + body


def saved(tmp_path, content, name="a.spc"):
    path = tmp_path / name
    path.write_bytes(content)
    return read(path)


def test_spc_sixteen_bit(tmp_path):
    y = np.array([100, -200, 300], dtype="<i2")
    ds = saved(tmp_path, spc(0x01, [(y.tobytes(), 0, 0)], exponent=16, points=3))["raman"]
    assert ds["intensity"].values.tolist() == [100, -200, 300]
    assert ds["raman_shift"].values.tolist() == [100, 150, 200]


def test_spc_series_in_minutes_is_in_seconds(tmp_path):
    y = np.arange(4, dtype="<f4").tobytes()
    parts = [(y, 0, z) for z in (0.0, 1.0, 2.5)]
    ds = saved(tmp_path, spc(0x04, parts, points=4, kind=(11, 13, 4, 5)))["raman"]
    assert ds["time"].values.tolist() == [0, 60, 150]
    assert ds["intensity"].dtype.kind == "i"


@pytest.mark.parametrize("scaled", [False, True])
def test_spc_with_an_axis_for_every_spectrum(tmp_path, scaled):
    axes = [np.array([100.0, 110, 130]), np.array([150.0, 170, 200, 220])]
    exponent = 12 if scaled else -128
    parts = []
    for x in axes:
        y = np.arange(x.size) + 1.0
        pair = [x, y] if not scaled else [v * 2.0**20 for v in (x, y)]
        kind = "<i4" if scaled else "<f4"
        parts.append((b"".join(v.astype(kind).tobytes() for v in pair), x.size, 0.0))
    content = spc(0xC4, parts, exponent=exponent, x=np.array([100.0, 220.0]))
    found = saved(tmp_path, content)
    assert list(found) == ["raman_1", "raman_2"]
    for ds, x in zip(found.values(), axes, strict=True):
        assert ds["raman_shift"].values.tolist() == x.tolist()
        assert ds["intensity"].values.tolist() == (np.arange(x.size) + 1).tolist()


def test_spc_of_the_old_format(tmp_path):
    head = bytearray(256)
    struct.pack_into("<BBhfff", head, 0, 0, 0x4D, 20, 3, 400.0, 200.0)
    head[18] = 13
    values = np.array([1000, 2000, -3000]) * 2**12
    words = np.stack([(values >> 16) & 0xFFFF, values & 0xFFFF], axis=1).astype("<u2")
    ds = saved(tmp_path, bytes(head) + words.tobytes() + bytes(64))["raman"]
    assert ds["raman_shift"].values.tolist() == [200, 300, 400]
    assert ds["intensity"].values.tolist() == [-3000, 2000, 1000]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (spc(0, [(bytes(12), 0, 0)], points=3, kind=(4, 1, 2, 0)), "absorbance"),
        (spc(0, [(bytes(12), 0, 0)], points=3, kind=(0, 0, 0, 0)), "not said to be a Raman"),
        (spc(0, [(bytes(8), 0, 0)], points=3), "truncated"),
        (spc(0, [(bytes(12), 0, 0)], points=3, version=0x4C)[:1024], "big-endian|not a format"),
    ],
)
def test_spc_that_is_not_raman_is_refused(tmp_path, content, says):
    with pytest.raises(FormatError, match=says):
        saved(tmp_path, content)


def test_winspec_equals_its_text():
    ds = opened("princeton/Testfile_Single_SPE2.SPE")
    assert ds["intensity"].dims == ("scan", "wavelength")
    assert ds["intensity"].dtype == np.uint16
    lines = data("raman/princeton/Result_Single_SPE2.txt").read_text().splitlines()[13:]
    table = np.array([line.split() for line in lines], dtype=float)
    assert np.array_equal(ds["intensity"].values, table[:, 1:].T)
    # The text spreads its axis evenly between the ends; the polynomial is the calibration.
    assert ds["wavelength"].values[[0, -1]] == pytest.approx(table[[0, -1], 0], abs=1e-9)
    pixel = np.arange(1, 1341)
    known = 627.08 + 0.10018 * pixel - 1.2722e-6 * pixel**2
    assert np.abs(ds["wavelength"].values - known).max() < 0.01
    assert ds.attrs["laser_nm"] == 636.3


def test_lightfield_equals_its_text():
    ds = opened("princeton/Testfile_Single_SPE3.spe")
    lines = data("raman/princeton/Result_Single_SPE3.txt").read_text().splitlines()[13:]
    x, y = np.array([line.split() for line in lines], dtype=float).T
    assert np.array_equal(ds["wavelength"].values, x)
    assert np.allclose(ds["intensity"].values, y, rtol=1e-6, atol=0)
    assert ds.attrs["laser_nm"] == 532
    assert ds.attrs["acquisition_time_s"] == pytest.approx(3)


def winspec(values, kind, *, roi=None, order=0, unit=4, coefficients=()):
    frames, rows, columns = values.shape
    head = bytearray(4100)
    struct.pack_into("<h", head, 108, kind)
    struct.pack_into("<H", head, 42, columns)
    struct.pack_into("<H", head, 656, rows)
    struct.pack_into("<i", head, 1446, frames)
    struct.pack_into("<f", head, 1992, 2.5)
    struct.pack_into("<H", head, 4098, 0x5555)
    if roi:
        struct.pack_into("<h3H", head, 1510, 1, *roi)
    if order:
        head[3098:3102] = bytes([1, 0, unit, order])
        struct.pack_into(f"<{len(coefficients)}d", head, 3263, *coefficients)
    return bytes(head) + values.tobytes()


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(0, "<f4"), (1, "<i4"), (2, "<i2"), (3, "<u2"), (5, "<f8"), (6, "u1"), (8, "<u4")],
)
def test_winspec_number_types_frames_and_rows(tmp_path, kind, dtype):
    values = np.arange(2 * 3 * 5).reshape(2, 3, 5).astype(dtype)
    ds = saved(tmp_path, winspec(values, kind), "a.spe")["raman"]
    assert ds["intensity"].dims == ("scan", "detector", "channel")
    assert np.array_equal(ds["intensity"].values, values)
    assert ds["channel"].values.tolist() == [1, 2, 3, 4, 5]


def test_winspec_binned_region_and_units(tmp_path):
    values = np.ones((1, 1, 4), dtype="<u2")
    content = winspec(values, 3, roi=(101, 108, 2), order=1, coefficients=(500.0, 0.1))
    ds = saved(tmp_path, content, "a.spe")["raman"]
    assert ds["wavelength"].values == pytest.approx([510.15, 510.35, 510.55, 510.75])
    content = winspec(values, 3, order=1, unit=6, coefficients=(500.0, 2.0))
    assert saved(tmp_path, content, "b.spe")["raman"]["raman_shift"].values[0] == 502
    content = winspec(values, 3, order=1, unit=5, coefficients=(20000.0, -10.0))
    ds = saved(tmp_path, content, "c.spe")["raman"]
    assert ds["wavelength"].values[0] == pytest.approx(1e7 / 19990)


def lightfield(regions, frames=2, stamps=True, wavelengths=20):
    """Return a file of float32 regions (x, width, height) with time stamps behind each frame."""
    blocks = maps = ""
    size = 0
    for number, (x, width, height) in enumerate(regions, 2):
        part = 4 * width * height
        size += part
        blocks += f'<DataBlock type="Region" calibrations="1,{number}" width="{width}" '
        blocks += f'height="{height}" size="{part}" stride="{part}"/>'
        maps += f'<SensorMapping id="{number}" x="{x}" y="0" width="{width}" height="{height}" '
        maps += 'xBinning="1" yBinning="1"/>'
    meta = '<MetaFormat><MetaBlock id="9"><TimeStamp event="ExposureStarted" type="Int64" '
    meta += 'bitDepth="64" resolution="1000"/></MetaBlock></MetaFormat>' * stamps
    axis = ",".join(str(500 + i) for i in range(wavelengths))
    xml = '<SpeFormat version="3.0" xmlns="http://www.princetoninstruments.com/spe/2009">'
    xml += f'<DataFormat><DataBlock type="Frame" count="{frames}" '
    xml += f'pixelFormat="MonochromeFloating32" size="{size}" stride="{size + 8}">{blocks}'
    xml += f"</DataBlock></DataFormat>{meta if stamps else ''}<Calibrations><WavelengthMapping>"
    xml += f"<Wavelength>{axis}</Wavelength></WavelengthMapping>{maps}</Calibrations></SpeFormat>"
    body = b"".join(
        np.arange(size // 4, dtype="<f4").tobytes() + struct.pack("<q", 500 + 2500 * n)
        for n in range(frames)
    )
    head = bytearray(4100)
    struct.pack_into("<Q", head, 678, 4100 + len(body))
    struct.pack_into("<f", head, 1992, 3.0)
    struct.pack_into("<H", head, 4098, 0x5555)
    return bytes(head) + body + xml.encode()


def test_lightfield_regions_rows_and_times(tmp_path):
    found = saved(tmp_path, lightfield([(0, 20, 1), (4, 6, 2)]), "a.spe")
    assert list(found) == ["raman_1", "raman_2"]
    assert found["raman_1"]["intensity"].dims == ("time", "wavelength")
    assert found["raman_1"]["time"].values.tolist() == [0, 2.5]
    second = found["raman_2"]
    assert second["intensity"].dims == ("time", "detector", "wavelength")
    assert second["wavelength"].values.tolist() == [504, 505, 506, 507, 508, 509]
    assert second["intensity"].values[1, 0, 0] == 20


def test_spe_that_ends_early_is_refused(tmp_path):
    with pytest.raises(FormatError, match="truncated"):
        saved(tmp_path, winspec(np.ones((3, 1, 9), "<u2"), 3)[:-2], "a.spe")
    with pytest.raises(FormatError, match=r"truncated|XML"):
        saved(tmp_path, lightfield([(0, 20, 1)])[:-20], "b.spe")


@pytest.mark.parametrize(
    "content",
    [
        spc(0xC4, [(bytes(24), 3, 0.0)] * 2),
        spc(0x04, [(bytes(16), 0, 0.0)] * 3, points=4),
        winspec(np.ones((2, 1, 30), "<u2"), 3, order=2, coefficients=(500.0, 0.1, 0.0)),
        lightfield([(0, 20, 1), (4, 6, 2)]),
    ],
)
def test_damage_is_a_format_error(tmp_path, content):
    name = "a.spe" if len(content) > 4100 else "a.spc"
    record = registry.formats()["princeton_spe" if name == "a.spe" else "galactic_spc"]
    rng = np.random.default_rng(len(content))
    path = tmp_path / name
    for _ in range(150):
        damaged = bytearray(content)
        for at in rng.integers(0, len(damaged), 5):
            damaged[int(at) % (700 if rng.random() < 0.5 else len(damaged))] = rng.integers(0, 256)
        path.write_bytes(bytes(damaged[: rng.integers(1, len(damaged) + 1)]))
        contract.damage_is_an_error_in_words(record, path)


def test_values_that_are_no_numbers_are_counted(tmp_path):
    raw = bytearray(data("raman/renishaw/6x6.spc").read_bytes())
    # The last spectrum's last values: a signalling NaN and an infinity.
    log = int.from_bytes(raw[248:252], "little") or len(raw)
    raw[log - 8 : log] = bytes.fromhex("010080ff") + bytes.fromhex("0000807f")
    path = tmp_path / "hurt.spc"
    path.write_bytes(bytes(raw))
    (ds,) = read(path).values()
    assert ds.attrs["missing_points"] == 2
    assert int(np.isfinite(ds["intensity"]).sum()) == ds["intensity"].size - 2

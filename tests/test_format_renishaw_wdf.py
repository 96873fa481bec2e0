"""WiRE's binary files: real ones against another decoder, every kind of map in files made here."""

from __future__ import annotations

import contextlib
import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectra.errors import FormatError
from spectra.formats.registry import read
from tests.shared_data import data

NAMES = ["6x6", "line", "raman_example", "renishaw_test_focustrack_invariant",
         "renishaw_test_linescan", "renishaw_test_map", "renishaw_test_spectrum",
         "renishaw_test_timeseries", "renishaw_test_zscan", "sp", "spectra_1"]  # fmt: skip
X = np.linspace(1800.0, 100.0, 30).astype("<f4")
TICKS = 133_000_000_000_000_000


@pytest.mark.parametrize("name", NAMES)
def test_real_files_equal_another_decoder(name):
    reader_type = pytest.importorskip("renishawWiRE").WDFReader
    path = data(f"raman/renishaw/{name}.wdf")
    (ds,) = read(path).values()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        theirs = reader_type(str(path))
    try:
        points = theirs.point_per_spectrum
        order = np.argsort(theirs.xdata)
        known = np.asarray(theirs.spectra).reshape(-1, points)[:, order]
        np.testing.assert_array_equal(ds["intensity"].values.reshape(-1, points), known)
        np.testing.assert_array_equal(ds[ds["intensity"].dims[-1]].values, theirs.xdata[order])
        assert ds.attrs["laser_nm"] == pytest.approx(theirs.laser_length, rel=1e-6)
        if hasattr(theirs, "xpos") and "x" in ds.coords:
            where = np.broadcast_to(ds["x"].values, ds["intensity"].shape[:-1]).ravel()
            np.testing.assert_allclose(where, theirs.xpos, atol=1e-6)
    finally:
        theirs.close()


def block(name, body):
    return struct.pack("<4sIQ", name, 0, 16 + len(body)) + body


def origin(kind, unit, name, values, planned, form="<f8"):
    column = np.zeros(planned, dtype=form)
    column[: len(values)] = values
    return struct.pack("<II16s", kind | 0x80000000, unit, name) + column.tobytes()


def wdf(path, spectra, *, kind=3, origins=(), wmap=None, planned=None, unit=1, counts=6, second=1):
    spectra = np.asarray(spectra, dtype="<f4")
    done = len(spectra)
    planned = planned or done
    points = spectra[0].size
    head = bytearray(512 - 16)
    struct.pack_into("<IQQIIII", head, 60 - 16, points, planned, done, 2, second, X.size,
                     len(origins))  # fmt: skip
    struct.pack_into("<IIQ", head, 128 - 16, 1, kind, TICKS)
    struct.pack_into("<If", head, 152 - 16, counts, 1e7 / 532.0)
    head[240 - 16 : 240 - 16 + 5] = b"\xe9tude"
    stored = np.zeros((planned, points), dtype="<f4")
    stored[:done] = spectra.reshape(done, -1)
    raw = block(b"WDF1", bytes(head)) + block(b"DATA", stored.tobytes())
    raw += block(b"XLST", struct.pack("<II", 1, unit) + X.tobytes())
    if origins:
        raw += block(b"ORGN", struct.pack("<I", len(origins)) + b"".join(origins))
    if wmap:
        flags, first, step, numbers = wmap
        raw += block(b"WMAP", struct.pack("<II6f4I", flags, 0, *first, *step, *numbers, 0))
    path.write_bytes(raw)
    return path


def opened(path):
    (ds,) = read(path).values()
    return ds


def spectra_of(count):
    """Spectra that say their own number in the first place of the file."""
    values = np.random.default_rng(count).poisson(50, (count, X.size)).astype(float)
    values[:, 0] = np.arange(count)
    return values


def number(ds):
    return ds["intensity"].isel(raman_shift=-1).values


def places(kind_x, kind_y, planned=None, more=()):
    planned = planned or len(kind_x)
    return [origin(3, 5, b"X", kind_x, planned), origin(4, 5, b"Y", kind_y, planned), *more]


NX, NY = 4, 3
ROWS, COLUMNS = np.divmod(np.arange(12), NX)


@pytest.mark.parametrize("order", ["rows", "columns", "to and fro", "upwards", "random"])
def test_maps_in_whatever_order_they_were_measured(tmp_path, order):
    row, column = ROWS.copy(), COLUMNS.copy()
    if order == "columns":
        column, row = np.divmod(np.arange(12), NY)
    elif order == "to and fro":
        column = np.where(row % 2, NX - 1 - column, column)
    elif order == "upwards":
        row = NY - 1 - row
    elif order == "random":
        shuffled = np.random.default_rng(0).permutation(12)
        row, column = row[shuffled], column[shuffled]
    # The stage does not come back to the nanometre.
    jitter = np.random.default_rng(1).normal(0, 0.01, (2, 12))
    where = 10.0 + 2.0 * column + jitter[0], -5.0 + 2.0 * row + jitter[1]
    time = origin(11, 24, b"Time", TICKS + 20_000_000 * np.arange(12), 12, "<i8")
    wmap = (0, (10, -5, 0), (2, 2, 1), (NX, NY, 1))
    path = wdf(tmp_path / "m.wdf", spectra_of(12), origins=places(*where, more=[time]), wmap=wmap)
    ds = opened(path)
    assert ds["intensity"].dims == ("y", "x", "raman_shift")
    for at in range(12):
        assert number(ds)[row[at], column[at]] == at
        assert float(ds["time_of_spectrum"][row[at], column[at]]) == pytest.approx(2.0 * at)
    assert ds["x"].values == pytest.approx(10 + 2.0 * np.arange(NX), abs=0.03)
    assert np.all(np.diff(ds["y"]) > 0)
    assert ds.attrs["measured"].startswith("2022-06-18")


@pytest.mark.parametrize(("flags", "first"), [(0, 1), (2, 4), (4, 1)])
def test_maps_without_places_of_their_spectra_use_the_plan(tmp_path, flags, first):
    wmap = (flags, (10, -5, 0), (2, 3, 1), (NX, NY, 1))
    ds = opened(wdf(tmp_path / "m.wdf", spectra_of(12), wmap=wmap))
    assert ds["x"].values == pytest.approx([10, 12, 14, 16])
    assert ds["y"].values == pytest.approx([-5, -2, 1])
    expected = {0: [0, 1, 2, 3], 2: [0, 3, 6, 9], 4: [0, 1, 2, 3]}[flags]
    assert list(number(ds)[0]) == expected
    second = {0: [4, 5, 6, 7], 2: [1, 4, 7, 10], 4: [7, 6, 5, 4]}[flags]
    assert list(number(ds)[1]) == second


def test_interrupted_map_keeps_what_there_is(tmp_path):
    origins = places(1.0 * COLUMNS[:7], 1.0 * ROWS[:7], 12)
    wmap = (0, (0, 0, 0), (1, 1, 1), (NX, NY, 1))
    path = wdf(tmp_path / "m.wdf", spectra_of(7), origins=origins, wmap=wmap, planned=12)
    ds = opened(path)
    assert dict(ds.sizes) == {"point": 7, "raman_shift": 30}
    assert ds.attrs["missing_spectra"] == 5
    assert list(ds["x"].values) == [0, 1, 2, 3, 0, 1, 2]


def test_volumes_sections_and_surfaces(tmp_path):
    z = np.repeat([0.0, 5.0], 12)
    both = np.tile(1.0 * COLUMNS, 2), np.tile(1.0 * ROWS, 2)
    origins = places(*both, more=[origin(5, 5, b"Z", z, 24)])
    ds = opened(wdf(tmp_path / "v.wdf", spectra_of(24), origins=origins))
    assert ds["intensity"].dims == ("z", "y", "x", "raman_shift")
    assert number(ds)[1, 2, 3] == 23
    section = places(1.0 * COLUMNS, np.full(12, 7.0), more=[origin(5, 5, b"Z", 1.0 * ROWS, 12)])
    ds = opened(wdf(tmp_path / "s.wdf", spectra_of(12), origins=section))
    assert ds["intensity"].dims == ("z", "x", "raman_shift")
    follows = np.random.default_rng(2).normal(0, 3, 12)
    surface = places(1.0 * COLUMNS, 1.0 * ROWS, more=[origin(5, 5, b"Z", follows, 12)])
    ds = opened(wdf(tmp_path / "f.wdf", spectra_of(12), origins=surface))
    assert ds["intensity"].dims == ("y", "x", "raman_shift")
    assert ds["z"].values.ravel() == pytest.approx(follows)


def test_random_points_and_lines_stay_a_list(tmp_path):
    where = np.random.default_rng(4).normal(0, 50, (2, 9))
    wmap = (1, (0, 0, 0), (0, 0, 0), (9, 1, 1))
    ds = opened(wdf(tmp_path / "r.wdf", spectra_of(9), origins=places(*where), wmap=wmap))
    assert dict(ds.sizes) == {"point": 9, "raman_shift": 30}
    np.testing.assert_allclose(ds["y"], where[1])
    wmap = (128, (0, 5, 0), (1, 0.5, 1), (9, 1, 1))
    ds = opened(wdf(tmp_path / "l.wdf", spectra_of(9), wmap=wmap))
    np.testing.assert_allclose(ds["y"], 5 + 0.5 * np.arange(9))


def test_series_units_and_details(tmp_path):
    kelvin = origin(9, 21, b"Temperature", [20.0, 30.0, 40.0], 3)
    flags = origin(17, 0, b"Flags", [0, 1, 1], 3, "<u8")
    ds = opened(wdf(tmp_path / "t.wdf", spectra_of(3), kind=2, origins=[kelvin, flags]))
    assert ds["intensity"].dims == ("scan", "raman_shift")
    assert list(ds["temperature"].values) == pytest.approx([293.15, 303.15, 313.15])
    assert ds.attrs["saturated_spectra"] == 2
    assert ds.attrs["accumulations"] == 2
    assert ds["intensity"].attrs["units"] == "counts"
    ds = opened(wdf(tmp_path / "a.wdf", spectra_of(1), kind=1, unit=2, counts=18))
    np.testing.assert_allclose(ds["wavelength"], np.sort(1e7 / X.astype(float)))
    assert ds["intensity"].attrs["units"] == "1"
    ds = opened(wdf(tmp_path / "d.wdf", spectra_of(2).reshape(1, 60), kind=1, second=2))
    assert ds["intensity"].dims == ("detector", "raman_shift")
    (ds,) = read(wdf(tmp_path / "e.wdf", spectra_of(1), kind=1, unit=4)).values()
    assert "photon_energy" in ds.dims


def test_files_that_are_not_whole_say_what_is_missing(tmp_path):
    path = wdf(tmp_path / "m.wdf", spectra_of(4), origins=places(np.arange(4), np.zeros(4)))
    raw = bytearray(path.read_bytes())
    struct.pack_into("<Q", raw, 72, 4000)  # more measured than planned: the plan counts
    path.write_bytes(bytes(raw))
    assert opened(path).sizes["point"] == 4
    struct.pack_into("<QQ", raw, 64, 4000, 4000)
    path.write_bytes(bytes(raw))
    with pytest.raises(FormatError, match=r"'DATA' at byte 512 has \d+ bytes, \d+ are needed"):
        opened(path)
    struct.pack_into("<QQ", raw, 64, 2**40, 2**40)
    path.write_bytes(bytes(raw))
    with pytest.raises(FormatError, match=r"nothing to read"):
        opened(path)
    path.write_bytes(path.read_bytes()[:512])
    with pytest.raises(FormatError):
        opened(path)


@settings(max_examples=80, deadline=None)
@given(at=st.integers(0, 2000), byte=st.integers(0, 255), end=st.integers(10, 2500))
def test_damaged_files_are_refused_or_read(tmp_path_factory, at, byte, end):
    folder = tmp_path_factory.mktemp("wdf")
    wmap = (0, (0, 0, 0), (1, 1, 1), (2, 2, 1))
    where = places(np.array([0, 1, 0, 1.0]), np.array([0, 0, 1, 1.0]))
    path = wdf(folder / "a.wdf", spectra_of(4), origins=where, wmap=wmap)
    raw = bytearray(path.read_bytes())
    raw[at % len(raw)] = byte
    path.write_bytes(bytes(raw[:end]))
    with contextlib.suppress(FormatError):
        opened(path)
    path.write_bytes(bytes(raw))
    with contextlib.suppress(FormatError):
        opened(path)

"""LabSpec 6's binary documents: the tree of a real XML export written in the binary layout.

No real ``.l6m`` is at hand; the writer here follows the records that four public readers agree on
(see the module), so what is tested is that layout, the order of maps and every refusal.
"""

from __future__ import annotations

import contextlib
import struct
from xml.etree import ElementTree

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from spectra.errors import FormatError
from spectra.formats.registry import read
from tests.shared_data import data

NODE, DOUBLE, INT, TEXT = 9, 5, 4, 7
COUNT, TYPE, UNIT, MATRIX = 0x7D6CD4DB, 0x6D707974, 0x7C696E75, 0x6D6174E3
MEAN, RANGE, NAMED, VALUE, EXACT = 0x6E61656D, 0x696DDCE0, 0x6D6D616E, 0x7D6C61DB, 0x08736F70
JUNK = [0, 1, 0x7FF6]


def node(tag, words=(0, 0), junk=0):
    return struct.pack("<IIIIII", 0x1000 | NODE, 7, tag, junk, *words)


def double(tag, value, junk=0):
    return struct.pack("<IIIId", DOUBLE, 0, tag, junk, value)


def text(tag, value, junk=0):
    return struct.pack("<IIII", TEXT, 0, tag, junk) + value.encode("latin-1") + b"\0"


def axis(number, label, unit, values, junk=0, *, cut=0):
    values = np.asarray(values, dtype="<f4")
    counted = node(COUNT, (0x11 + 3 * number, values.size), junk)
    told = text(TYPE, label, junk) + text(UNIT, unit, junk)
    head = told + counted if label == "Intens" else counted + told
    ends = [values.min(), values.max()] if values.size else [0.0, 0.0]
    behind = node(RANGE, (0, 2), junk) + b"".join(double(i, float(v)) for i, v in enumerate(ends))
    if label == "Intens":
        behind = node(MEAN, (0, 2), junk) + double(0, 1.0) + double(1, 2.0) + behind
    stored = values.tobytes()[: values.nbytes - cut]
    return node(number, (0, 4), junk) + head + node(MATRIX, (3, 0), junk) + stored + behind


def entry(name, value, exact=None):
    if exact is None:
        return node(1, (0, 2)) + double(VALUE, value) + text(NAMED, name)
    return node(1, (0, 4)) + text(NAMED, name) + text(VALUE, value) + double(EXACT, exact)


def document(axes, junk=0):
    body = b"".join(axis(i, *entries, junk) for i, entries in enumerate(axes))
    told = entry("Acq. time (s)", 3.0) + entry("Laser (nm)", "633 ", 632.817)
    return b"LabSpec6" + text(TYPE, "SpIm", junk) + node(0x7B697861, (0, 4)) + body + told


def from_xml(path):
    """Axes of a LabSpec XML export, intensities in the order of its rows."""
    root = ElementTree.parse(path).getroot()
    listed = next(e for e in root.iter("LSX") if e.get("ID") == "0x7B697861")
    axes = []
    for element in listed:
        found = {e.get("ID"): (e.text or "").strip() for e in element}
        values = np.array(found.get("0x7D6CD4DB", "").split(), dtype=float)
        axes.append([found["0x6D707974"], found["0x7C696E75"], values])
    rows = [np.array(row.text.split(), dtype=float) for row in root.iter("LSX_Row")]
    axes[0][2] = np.concatenate(rows)
    return axes


def opened(tmp_path, raw, name="map.l6m"):
    path = tmp_path / name
    path.write_bytes(raw)
    (ds,) = read(path).values()
    return ds


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("name", ["jobinyvon_test_map_x3-y2.xml", "jobinyvon_test_spec.xml"])
def test_binary_equals_the_xml_export_of_the_same_document(tmp_path, name, junk):
    path = data(f"raman/horiba/{name}")
    (known,) = read(path).values()
    ds = opened(tmp_path, document(from_xml(path), junk))
    assert ds.sizes == known.sizes
    for coord in known.coords:
        np.testing.assert_allclose(ds[coord].values, known[coord].values, rtol=1e-6)
    xr.testing.assert_allclose(ds["intensity"].drop_vars(ds.coords), known["intensity"].drop_vars(
        known.coords))  # fmt: skip
    assert ds["intensity"].attrs["units"] == known["intensity"].attrs["units"]
    assert ds.attrs["laser_nm"] == pytest.approx(632.817)
    assert ds.attrs["acquisition_time_s"] == 3
    assert ds.attrs["stored_range"] == "agrees with the values"


def raman_map(ny=6, nx=12, points=50, **changed):
    rng = np.random.default_rng(3)
    shift = np.linspace(100.2, 1198.5, points)
    counts = rng.poisson(80, (ny, nx, points))
    axes = [
        ["Intens", "Cnt", counts.ravel()],
        ["Spectr", "1/cm", shift],
        ["X", "\xb5m", np.linspace(-204.081, 204.317, nx)],
        ["Y", "\xb5m", np.linspace(-209.871, 209.871, ny)],
    ]
    return counts, axes


def test_counts_stay_counts_and_axis_two_runs_fastest(tmp_path):
    counts, axes = raman_map()
    ds = opened(tmp_path, document(axes, 0x7FF6))
    assert dict(ds.sizes) == {"y": 6, "x": 12, "raman_shift": 50}
    assert ds["intensity"].dtype.kind == "i"
    assert ds["intensity"].attrs["units"] == "counts"
    np.testing.assert_array_equal(ds["intensity"].values, counts)
    assert ds["x"].values[[0, -1]] == pytest.approx([-204.081, 204.317], rel=1e-6)


def test_interrupted_map_keeps_what_was_measured(tmp_path):
    counts, axes = raman_map()
    axes[0][2] = counts.reshape(72, 50)[:40].ravel()
    ds = opened(tmp_path, document(axes))
    assert dict(ds.sizes) == {"point": 40, "raman_shift": 50}
    assert ds.attrs["missing_spectra"] == 32
    assert float(ds["x"][13]) == pytest.approx(axes[2][2][1], rel=1e-6)
    assert float(ds["y"][13]) == pytest.approx(axes[3][2][1], rel=1e-6)


def test_descending_spectrum_and_raw_data_kept_beside_it(tmp_path):
    y = np.arange(30.0) + 5
    x = np.linspace(1200, 100, 30)
    first = [["Intens", "Cnt", y], ["Spectr", "1/cm", x]]
    again = [["Intens", "Cnt", y + 100], ["Spectr", "1/cm", x]]
    ds = opened(tmp_path, document(first + again), "one.l6s")
    assert dict(ds.sizes) == {"raman_shift": 30}
    np.testing.assert_array_equal(ds["intensity"].values, y[::-1])
    assert ds.attrs["further_intensities"] == 1


def test_every_other_layout_is_refused_with_the_way_out(tmp_path):
    _, axes = raman_map(2, 2)
    whole = document(axes)
    with pytest.raises(FormatError, match=r"truncated"):
        opened(tmp_path, whole[:600])
    with pytest.raises(FormatError, match=r"no record after.*save it in LabSpec as \.xml"):
        opened(tmp_path, b"LabSpec6" + axis(0, *axes[0], cut=4) + axis(1, *axes[1]))
    with pytest.raises(FormatError, match=r"without a spectral axis"):
        opened(tmp_path, document([axes[0], axes[2]]))
    with pytest.raises(FormatError, match=r"no intensities.*\.xml"):
        opened(tmp_path, b"LabSpec6" + bytes(400))
    with pytest.raises(FormatError, match=r"not ordered"):
        opened(tmp_path, document([axes[0], ["Spectr", "1/cm", np.ones(50)]]))
    with pytest.raises(FormatError, match=r"LabSpec 5.*\.xml"):
        opened(tmp_path, b"NGSNextGen\x01\0\0\0\x01\0\0\0\nDataMatrix", "old.ngc")
    axes[0][2] = axes[0][2][:-7]
    with pytest.raises(FormatError, match=r"intensities on an axis"):
        opened(tmp_path, document(axes))


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 2000), byte=st.integers(0, 255), end=st.integers(8, 2500))
def test_damaged_documents_are_refused_or_read(tmp_path_factory, at, byte, end):
    _, axes = raman_map(2, 2)
    raw = bytearray(document(axes))
    raw[at % len(raw)] = byte
    path = tmp_path_factory.mktemp("l6") / "a.l6m"
    path.write_bytes(bytes(raw[:end]))
    with contextlib.suppress(FormatError):
        read(path)

"""JEOL Delta files written here byte by byte, as its header describes them."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from spectra import formats
from spectra.errors import FormatError
from spectra.techniques.nmr import TECHNIQUE


def only(path):
    (ds,) = formats.read(path).values()
    return ds


def do(ds, step, **settings):
    made = TECHNIQUE.corrections[step]
    return made.function(ds, made.settings(**settings))


def jeol(path, sections, axes, *, order="<", single=False, layout=2, par=(), title=b"", tile=32):
    """Write a Delta file: sections (real, imaginary ...) of equal shape, axes from the direct on.

    An axis is (kind, unit code, first value, last value, base frequency MHz).
    """
    head = bytearray(1360)
    head[:8] = b"JEOL.NMR"
    head[8] = order == "<"
    head[14] = (64 if single else 0) | layout
    head[15] = 77  # an instrument newer than any list of them
    head[48 : 48 + len(title)] = title
    shape = sections[0].shape
    padded = [-(-n // tile) * tile for n in shape]
    for k, (kind, unit, start, stop, zero) in enumerate(axes):
        head[24 + k] = kind
        head[32 + 2 * k : 34 + 2 * k] = bytes([0x01, unit])
        n = shape[-1 - k]
        struct.pack_into(">I", head, 176 + 4 * k, padded[-1 - k])
        struct.pack_into(">I", head, 240 + 4 * k, n - 1)
        for place, value in ((272, start), (336, stop), (1064, zero)):
            struct.pack_into(">d", head, place + 8 * k, value)
    for k in range(len(axes), 8):
        struct.pack_into(">I", head, 176 + 4 * k, 1)
    block = b""
    for name, value, prefix in par:
        row = bytearray(64)
        row[6:8] = bytes([(prefix % 16) << 4 | 1, 13])
        if isinstance(value, bytes):
            row[16 : 16 + len(value)] = value
        else:
            struct.pack_into(f"{order}d", row, 16, value)
        struct.pack_into(f"{order}i", row, 32, 0 if isinstance(value, bytes) else 2)
        row[36 : 36 + len(name)] = name
        block += bytes(row)
    block = struct.pack(f"{order}4I", 64, 0, max(len(par) - 1, 0), len(block) + 16) + block
    for place, value in ((1212, 1360), (1216, len(block)), (1284, 1360 + len(block))):
        struct.pack_into(">I", head, place, value)
    out = bytes(head) + block
    for section in sections:
        full = np.zeros(padded)
        full[tuple(slice(0, n) for n in shape)] = section
        if len(shape) == 2:
            split = full.reshape(padded[0] // tile, tile, padded[1] // tile, tile)
            full = split.swapaxes(1, 2)
        out += full.astype(order + ("f4" if single else "f8")).tobytes()
    path.write_bytes(out)
    return path


def test_jeol_spectrum_of_an_unknown_instrument_and_another_encoding(tmp_path):
    # Big endian, single precision, a title that is not UTF-8, a prefix on a frequency.
    y = np.arange(40.0)
    file = jeol(
        tmp_path / "a.jdf", [y, -y], [(3, 26, 12.0, -7.5, 100.0)], order=">", single=True, layout=1,
        title="5 µm".encode("latin-1"), par=((b"X_SWEEP", 1.95, -1), (b"X_DOMAIN", b"Lithium7", 0)),
        tile=8,
    )  # fmt: skip
    ds = only(file)
    np.testing.assert_array_equal(ds["intensity"].values, y[::-1])
    np.testing.assert_array_equal(ds["intensity_im"].values, -y[::-1])
    np.testing.assert_allclose(ds["chemical_shift"].values[[0, -1]], [-7.5, 12.0])
    assert ds.attrs["title"] == "5 µm"
    assert ds.attrs["nucleus"] == "7Li"
    assert ds.attrs["spectral_width_Hz"] == pytest.approx(1950.0)


@pytest.mark.parametrize(("layout", "tile"), [(2, 32), (12, 4)])
def test_jeol_hypercomplex_plane_puts_its_peak_where_it_was(tmp_path, layout, tile):
    # +300 Hz along, -100 Hz across, in both dimensions exp(+i w t): four sections.
    t2, t1 = np.arange(96) / 2000.0, np.arange(40)[:, None] / 800.0
    direct = np.exp(2j * np.pi * 300.0 * t2 - 20.0 * t2)
    across = np.exp(-2j * np.pi * 100.0 * t1 - 20.0 * t1)
    sections = [
        across.real * direct.real, across.real * direct.imag,
        across.imag * direct.real, across.imag * direct.imag,
    ]  # fmt: skip
    par = (
        (b"X_SWEEP", 2.0, -1), (b"Y_SWEEP", 800.0, 0), (b"Y_DOMAIN", b"Carbon13", 0),
        (b"X_DOMAIN", b"Proton", 0), (b"Y_OFFSET", 10.0, 0),
    )  # fmt: skip
    axes = [(3, 28, 0.0, 95 / 2000, 400.0), (3, 28, 0.0, 39 / 800, 100.0)]
    raw = only(jeol(tmp_path / "b.jdf", sections, axes, par=par, layout=layout, tile=tile))
    assert raw.sizes == {"scan": 80, "acquisition_time": 96}
    made = do(do(raw, "fourier", points=512), "indirect", points=256)
    y = made["intensity"]
    row, column = np.unravel_index(int(np.argmax(y.values)), y.shape)
    assert made["chemical_shift"].values[column] == pytest.approx(300 / 400, abs=0.02)
    assert made["indirect_shift"].values[row] == pytest.approx(10.0 - 100 / 100, abs=0.05)
    assert made.attrs["indirect_nucleus"] == "13C"


def test_jeol_planes_of_real_numbers_and_arrays_of_delays(tmp_path):
    values = np.arange(5 * 70.0).reshape(5, 70)
    plane = [(1, 26, 8.0, 1.0, 400.0), (1, 26, 100.0, 60.0, 100.0)]
    ds = only(jeol(tmp_path / "c.jdf", [values], plane))
    assert ds["intensity"].dims == ("indirect_shift", "chemical_shift")
    np.testing.assert_array_equal(ds["intensity"].values, values[::-1, ::-1])
    np.testing.assert_allclose(ds["indirect_shift"].values, [60, 70, 80, 90, 100])
    delays = [(3, 28, 0.0, 69e-5, 400.0), (1, 28, 0.5, 2.5, 0.0)]
    ds = only(jeol(tmp_path / "d.jdf", [values, values], delays))
    np.testing.assert_allclose(ds["evolution_time"].values, [0.5, 1.0, 1.5, 2.0, 2.5])


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (14, 3, "one or two are read"), (24, 5, "envelope"), (176, 255, "not plausible|ends at"),
        (1212, 255, "parameters ends"), (243, 255, "valid points"), (33, 13, "axis in hertz"),
    ],
)  # fmt: skip
def test_damaged_jeol_header_is_one_line(tmp_path, at, value, message):
    file = jeol(tmp_path / "e.jdf", [np.arange(40.0)], [(1, 26, 9.0, 1.0, 100.0)], tile=8, layout=1)
    content = bytearray(file.read_bytes())
    content[at] = value
    file.write_bytes(content)
    with pytest.raises(FormatError, match=message):
        formats.read(file)


def test_jeol_bytes_at_random_are_read_or_refused(tmp_path):
    axes = [(3, 28, 0, 1e-3, 100), (1, 28, 0, 1, 0)]
    file = jeol(tmp_path / "f.jdf", [np.ones((4, 8))] * 2, axes,
                layout=12, tile=4, par=((b"X_SWEEP", 1.0, 0),))  # fmt: skip
    content = file.read_bytes()
    telling = np.r_[8:50, 172:400, 1204:1300, 1360:1440]
    rng, refused = np.random.default_rng(3), 0
    for _ in range(400):
        mutated = bytearray(content)
        for place in rng.choice(telling, size=int(rng.integers(1, 6))):
            mutated[place] = int(rng.choice([0, 1, 2, 3, 127, 128, 255, rng.integers(256)]))
        file.write_bytes(mutated)
        try:
            formats.read(file)
        except FormatError:
            refused += 1
    assert 40 < refused < 400

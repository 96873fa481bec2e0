"""Avantage DataSpaces, binary and as text, written here by their layout: both say the same."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from spectra import formats
from spectra.errors import FormatError
from tests.contracts import format_contract as contract

PHOTON = 1486.68

# The axes of a 301-point scan as a real file has them, quoted by a public reader's tests: three
# empty texts, the points, 1186.6 eV by 0.1, linear, energy.
QUOTED = bytes.fromhex(
    "00000200 01000000 020000000000 020000000000 020000000000 2d010000 666666666"
    "68a9240 9a9999999999b93f 01 01000000".replace(" ", "")
)


def ole(streams: dict[str, bytes]) -> bytes:
    """Write a compound file (MS-CFB version 3): small streams share the mini stream."""
    end, free, unused = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFF
    mini, minifat, starts = b"", [], {}
    for name, data in streams.items():
        if len(data) < 4096:
            count = max(1, -(-len(data) // 64))
            starts[name] = len(minifat)
            minifat += [*range(len(minifat) + 1, len(minifat) + count), end]
            mini += data.ljust(64 * count, b"\0")
    parts: list[bytes] = []
    fat: list[int] = [0xFFFFFFFD]  # sector 0 is the FAT

    def put(data: bytes) -> int:
        first, count = len(fat), max(1, -(-len(data) // 512))
        fat.extend([*range(first + 1, first + count), end])
        parts.append(data.ljust(512 * count, b"\0"))
        return first

    mini_at = put(mini)
    minifat_at = put(struct.pack(f"<{len(minifat)}I", *minifat).ljust(512, b"\xff"))
    for name, data in streams.items():
        if len(data) >= 4096:
            starts[name] = put(data)

    def entry(name: str, kind: int, right: int, child: int, at: int, size: int) -> bytes:
        text = name.encode("utf-16le") + b"\0\0"
        return (
            text.ljust(64, b"\0")
            + struct.pack("<HBBIII", len(text), kind, 1, unused, right, child)
            + bytes(36)
            + struct.pack("<IQ", at, size)
        )

    # a chain of right siblings in the order of the standard: shorter names first, then by letters
    names = sorted(streams, key=lambda n: (len(n), n.upper()))
    table = entry("Root Entry", 5, unused, 1, mini_at, len(mini))
    for k, name in enumerate(names, 1):
        right = k + 1 if k < len(names) else unused
        table += entry(name, 2, right, unused, starts[name], len(streams[name]))
    table += entry("", 0, unused, unused, 0, 0) * (-(len(names) + 1) % 4)
    directory = put(table)
    assert len(fat) <= 128
    header = struct.pack("<8s16sHHHHH6xIIIIIIIIII", bytes.fromhex("d0cf11e0a1b11ae1"), bytes(16),
                         0x3E, 3, 0xFFFE, 9, 6, 0, 1, directory, 0, 4096, minifat_at, 1, end, 0,
                         0)  # fmt: skip
    header += struct.pack("<108I", *([free] * 108))
    table_of_sectors = struct.pack(f"<{len(fat)}I", *fat).ljust(512, b"\xff")
    return header + table_of_sectors + b"".join(parts)


def property_set(values: dict[int, object]) -> bytes:
    """Write a property set with one section: numbers, texts."""
    body, index = b"", b""
    start = 8 + 8 * len(values)
    for number, value in values.items():
        index += struct.pack("<II", number, start + len(body))
        if isinstance(value, str):
            text = value.encode("utf-16le") + b"\0\0"
            body += struct.pack("<II", 8, len(text)) + text + bytes(-len(text) % 4)
        elif isinstance(value, int):
            body += struct.pack("<Ii", 3, value)
        else:
            body += struct.pack("<If", 4, value)
    section = struct.pack("<II", start + len(body), len(values)) + index + body
    return struct.pack("<HHI16sI16sI", 0xFFFE, 0, 2, bytes(16), 1, bytes(16), 48) + section


def axis(points, start, width, kind, values=None):
    texts = struct.pack("<IH", 2, 0) * 3
    head = texts + struct.pack("<IddB", points, start, width, int(values is None))
    listed = b"" if values is None else struct.pack(f"<{points}d", *values)
    return head + listed + struct.pack("<I", kind)


def vgd(path, axes, spans, values, title="C1s Scan", more=None):
    properties = {4: 1, 6: "K-Alpha+", 13: "Counts", 0x69: PHOTON, 0x131: 0.05, 0x13C: 1,
                  0x148: 10, 0x194: 20.0, **(more or {})}  # fmt: skip
    ends = [n - 1 for n, _ in spans]
    streams = {
        "VGData": np.asarray(values, dtype="<f8").tobytes(),
        "VGSpaceAxes": struct.pack("<II", 0x20000, len(axes)) + b"".join(axes),
        "VGDataAxes": struct.pack("<II", 0x20000, len(spans))
        + b"".join(struct.pack("<4I", 0, e, n, 0) for e, (_, n) in zip(ends, spans, strict=True)),
        "\x05SummaryInformation": property_set({2: title}),
        "\x05Q5nw4m3lIjudbfwyAayojlptCa": property_set(properties),
    }
    path.write_bytes(ole(streams))
    return path


def avg(path, axes, spans, blocks, title="C1s Scan"):
    """Write the text dump; blocks are (indices, axis values, values)."""
    lines = [
        ";Dump of DataSpace 'C:\\x.VGD'", "$FORMAT=4", "$PROPERTIES=SUM",
        f"DS_EXT_SUPROPID_TITLE       : VT_BSTR = '{title}'", "$PROPERTIES=STD",
        "DS_GEPROPID_VALUE_LABEL                     : VT_BSTR = 'Counts'",
        "DS_SOPROPID_ENERGY                          : VT_R4   = 1486.680054",
        "DS_ANPROPID_PASS                            : VT_R4   = 20.000000",
        "DS_ACPROPID_ACQ_TIME                        : VT_R4   = 0.050000",
        "DS_ACPROPID_PERIODS                         : VT_I4   = 10",
        f"$DATAAXES={len(spans)},#empty#",
        *(f"    {k}=        0,  {n - 1},  {span}" for k, (n, span) in enumerate(spans)),
        f"$SPACEAXES={len(axes)}",
        *(f"    {k}=  {start:f},  {width:f},  {n},  {kind},  {linear},  'S',  'u',  '{kind}'"
          for k, (start, width, n, kind, linear) in enumerate(axes)),
    ]  # fmt: skip
    for indices, labels, values in blocks:
        lines += [f"$AXISVALUE= DATAXIS=1 SPACEAXIS={a} LABEL='L' POINT={p} VALUE={v};"
                  for a, p, v in labels]  # fmt: skip
        lines.append("$DATA=" + ",".join(["*", *map(str, indices)]))
        for k in range(0, len(values), 4):
            row = ", ".join(f"{v:.6f}" for v in values[k : k + 4])
            lines.append(f"LIST@ {k:3d}=  {row}")
    path.write_text("\r\n".join(lines) + "\r\n", encoding="latin-1")
    return path


def counts(*shape):
    return np.random.default_rng(sum(shape)).poisson(300.0, shape)


def test_the_quoted_axes_are_what_the_writer_writes(tmp_path):
    assert struct.pack("<II", 0x20000, 1) + axis(301, 1186.6, 0.1, 1) == QUOTED
    y = counts(301)
    path = vgd(tmp_path / "C1s Scan.VGD", [axis(301, 1186.6, 0.1, 1)], [(301, 1)], y)
    assert formats.identify(path).name == "thermo_vgd"
    (name, ds), *rest = formats.read(path).items()
    assert (name, rest) == ("C 1s", [])
    assert ds["intensity"].dtype.kind == "i"
    np.testing.assert_array_equal(ds["intensity"].values[::-1], y)
    x = ds["binding_energy"].values
    assert x[-1] == pytest.approx(PHOTON - 1186.6, abs=1e-9)
    assert x[0] == pytest.approx(PHOTON - 1216.6, abs=1e-9)
    assert ds.attrs["photon_energy_eV"] == 1486.68
    assert ds.attrs["pass_energy_eV"] == 20.0
    assert (ds.attrs["dwell_time_s"], ds.attrs["sweeps"]) == (pytest.approx(0.05), 10)


def test_binary_and_text_of_one_scan_are_one(tmp_path):
    y = counts(120)
    binary = vgd(tmp_path / "S2p.vgd", [axis(120, 1310.0, 0.1, 1)], [(120, 1)], y, "S2p Scan")
    text = avg(tmp_path / "S2p.avg", [(1310.0, 0.1, 120, "ENERGY", "LINEAR")], [(120, 1)],
               [((), [], y)], "S2p Scan")  # fmt: skip
    one, two = formats.read(binary)["S 2p"], formats.read(text)["S 2p"]
    np.testing.assert_allclose(one["binding_energy"], two["binding_energy"], atol=1e-9)
    np.testing.assert_array_equal(one["intensity"], two["intensity"])
    assert one["intensity"].attrs == two["intensity"].attrs


def test_depth_profile_of_times_that_are_not_even(tmp_path):
    times, y = [0.0, 5.0, 12.5], counts(3, 40)
    axes = [axis(40, 1188.0, 0.5, 1), axis(3, 0.0, 5.0, 8, times), axis(3, 0.0, 1.0, 6)]
    one = formats.read(vgd(tmp_path / "p.vgd", axes, [(40, 1), (3, 2)], y))["C 1s"]
    blocks = [((k,), [(1, k, f"{t:f}"), (2, k, f"{k:f}")], y[k]) for k, t in enumerate(times)]
    spaces = [(1188.0, 0.5, 40, "ENERGY", "LINEAR"), (0.0, 5.0, 3, "ETCHTIME", "NON-LINEAR"),
              (0.0, 1.0, 3, "ETCHLEVEL", "LINEAR")]  # fmt: skip
    two = formats.read(avg(tmp_path / "p.avg", spaces, [(40, 1), (3, 2)], blocks))["C 1s"]
    for ds in (one, two):
        np.testing.assert_allclose(ds["etch_time"], times)
        np.testing.assert_array_equal(ds["intensity"].values[:, ::-1], y)


def test_map_and_points(tmp_path):
    y = counts(2, 3, 16)  # y, x, energy
    axes = [axis(16, 1188.0, 0.5, 1), axis(3, -20.0, 20.0, 3), axis(2, -10.0, 20.0, 4)]
    one = formats.read(vgd(tmp_path / "m.vgd", axes, [(16, 1), (3, 1), (2, 1)], y))["C 1s"]
    assert one["intensity"].dims == ("y", "x", "binding_energy")
    np.testing.assert_allclose(one["x"], [-20.0, 0.0, 20.0])
    np.testing.assert_array_equal(one["intensity"].values[..., ::-1], y)
    axes = [axis(16, 1188.0, 0.5, 1), axis(2, 1.0, 1.0, 10), axis(2, 0.0, 0.0, 3, [5.0, 7.5]),
            axis(2, 0.0, 0.0, 4, [1.0, 2.0])]  # fmt: skip
    points = formats.read(vgd(tmp_path / "q.vgd", axes, [(16, 1), (2, 3)], y[0, :2]))["C 1s"]
    assert points["intensity"].dims == ("point", "binding_energy")
    np.testing.assert_allclose(points["x"], [5.0, 7.5])


def test_what_is_not_a_photoemission_spectrum_is_refused(tmp_path):
    y = counts(16)
    scan = [axis(16, 1188.0, 0.5, 1)]
    cases = {
        "ion scattering": vgd(tmp_path / "a.vgd", scan, [(16, 1)], y, more={4: 6}),
        "no photon energy": vgd(tmp_path / "b.vgd", scan, [(16, 1)], y, more={0x69: 0.0}),
        "not acquired": vgd(tmp_path / "c.vgd", scan, [(16, 1)], y[:-3]),
        "ENERGY first": vgd(tmp_path / "d.vgd", [axis(16, 0.0, 4.0, 3)], [(16, 1)], y),
    }
    for words, path in cases.items():
        with pytest.raises(FormatError, match=words):
            formats.read(path)
    other = tmp_path / "e.vgd"
    other.write_bytes(ole({"WordDocument": b"x" * 100}))
    with pytest.raises(FormatError, match="no stream VGData"):
        formats.read(other)
    word = tmp_path / "letter.doc"
    word.write_bytes(ole({"WordDocument": b"x" * 5000}))
    with pytest.raises(FormatError, match="not a format"):
        formats.read(word)


def test_damaged_files_are_refused_in_words(tmp_path):
    y = counts(3, 400)
    axes = [axis(400, 1188.0, 0.1, 1), axis(3, 0.0, 5.0, 8, [0.0, 5.0, 9.0])]
    content = vgd(tmp_path / "p.vgd", axes, [(400, 1), (3, 1)], y).read_bytes()
    record = formats.formats()["thermo_vgd"]
    rng = np.random.default_rng(0)
    for k in range(60):
        damaged = bytearray(content if k % 2 else content[: rng.integers(8, len(content))])
        for at in rng.integers(8, len(damaged), 6):
            damaged[at] = rng.integers(0, 256)
        path = tmp_path / f"{k}.vgd"
        path.write_bytes(bytes(damaged))
        contract.damage_is_an_error_in_words(record, path)

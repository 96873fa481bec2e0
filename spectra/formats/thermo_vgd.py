"""Thermo Avantage .vgd: a DataSpace in an OLE compound file (opened with olefile, BSD).

Streams, little-endian:

* ``VGSpaceAxes``: u32 0x20000, u32 axes; per axis label, symbol, unit (u32 bytes, UTF-16 with its
  NUL), u32 points, f64 start, f64 width, u8 linear, if not linear the points (f64), u32 type.
* ``VGDataAxes``: u32 0x20000, u32 axes; per axis u32 start, end, number of space axes, one more.
* ``VGData``: f64 values, the energy fastest, then data axis 1, 2 ...
* property sets (names that begin with 0x05), by number: 4 technique, 6 instrument, 13 value label,
  15 value unit, 0x69 photon energy, 0x12F start, 0x131 dwell, 0x13C energy scale (1 kinetic,
  2 binding), 0x148 scans, 0x194 pass energy, 0x196 work function.

Types: 1 energy, 2 angle, 3 x, 4 y, 6 etch level, 8 etch time, 10 position. The layout was put
together from what public readers of these files (PyExpLabSys and others, some checked against
Avantage's own text dumps) and two axis streams quoted there agree on; no whole file is at hand. The
axis is kinetic energy; binding energy is the photon energy minus it, nothing is shifted. Counts
stay counts; uncertainties are those of counting.
"""

from __future__ import annotations

import datetime
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._dataspace import MAX_VALUES, DataSpace, SpaceAxis, spectra
from ._ole import streams as ole_streams
from .base import Format, Options, Regions

_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")
_TYPES = {1: "ENERGY", 2: "ANGLE", 3: "X", 4: "Y", 6: "ETCHLEVEL", 8: "ETCHTIME", 10: "POSITION"}
_PROPERTIES = {
    0x04: "DS_GEPROPID_TECHNIQUE",
    0x06: "DS_GEPROPID_INSTRUMENT",
    0x0D: "DS_GEPROPID_VALUE_LABEL",
    0x0F: "DS_GEPROPID_VALUE_UNIT",
    0x69: "DS_SOPROPID_ENERGY",
    0x12F: "DS_ACPROPID_START_TIME",
    0x131: "DS_ACPROPID_ACQ_TIME",
    0x13C: "DS_ACPROPID_EV_SCALE",
    0x148: "DS_ACPROPID_PERIODS",
    0x194: "DS_ANPROPID_PASS",
    0x196: "DS_ANPROPID_WORK_FTN",
}
_TITLE = 2  # of \x05SummaryInformation
_MOST_AXES = 16


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is an OLE file of that ending, or one that names the stream ``VGData``."""
    if not head.startswith(_MAGIC):
        return False
    return path.suffix.casefold() == ".vgd" or "VGData".encode("utf-16le") in head


def read(path: Path, options: Options) -> Regions:
    """Read the spectrum, depth profile, points or map of a file."""
    streams = ole_streams(path)
    for name in ("VGData", "VGSpaceAxes", "VGDataAxes"):
        if name not in streams:
            raise FormatError(
                f"{path.name}: no stream {name}; found {', '.join(sorted(streams)) or 'none'}; it "
                "is not an Avantage DataSpace"
            )
    try:
        axes = _space_axes(streams["VGSpaceAxes"])
        spans = _data_axes(streams["VGDataAxes"])
        properties, labels = _properties(streams)
    except (struct.error, UnicodeDecodeError, ValueError, IndexError) as error:
        raise FormatError(f"{path.name}: its axes cannot be read ({error})") from None
    if not axes:
        raise FormatError(f"{path.name}: the DataSpace is empty (no axes)")
    if axes[0].kind != "ENERGY":
        raise FormatError(
            f"{path.name}: axes {', '.join(a.kind for a in axes)}; spectra (ENERGY first) are "
            "read, not pictures and tables of values"
        )
    groups, first = [], 0
    for span in spans:
        groups.append(list(range(first, first + span)))
        first += span
    if first != len(axes) or any(not group for group in groups):
        raise FormatError(f"{path.name}: {len(axes)} space axes for data axes of {spans}")
    shape = [axes[group[0]].points for group in groups][::-1]
    values = np.frombuffer(streams["VGData"][: len(streams["VGData"]) // 8 * 8], dtype="<f8")
    size = int(np.prod(shape, dtype=float))
    if not 0 < size <= MAX_VALUES or values.size != size:
        raise FormatError(
            f"{path.name}: {values.size} values, {size} by its axes; the file is truncated or the "
            "scan was not acquired"
        )
    if not np.isfinite(values).all():
        raise FormatError(f"{path.name}: values that are not finite; export it again")
    _point_labels(axes, labels)
    space = DataSpace(axes, groups, values.reshape(shape), properties, labels)
    return spectra(path, "thermo_vgd", space)


class _Reader:
    """Unpack values one after another."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def take(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from("<" + form, self.raw, self.at)
        self.at += struct.calcsize("<" + form)
        return found

    def text(self) -> str:
        (size,) = self.take("I")
        if size > len(self.raw) - self.at:
            raise ValueError(f"a text of {size} bytes")
        self.at += size
        return self.raw[self.at - size : self.at].decode("utf-16le").rstrip("\0")


def _space_axes(raw: bytes) -> list[SpaceAxis]:
    reader = _Reader(raw)
    _, count = reader.take("II")
    if count > _MOST_AXES:
        raise ValueError(f"{count} space axes")
    axes = []
    for _ in range(count):
        label, _, _ = (reader.text() for _ in range(3))
        points, start, width, linear = reader.take("IddB")
        values = None
        if not linear:
            if points * 8 > len(raw) - reader.at:
                raise ValueError(f"{points} points of an axis")
            values = np.array(reader.take(f"{points}d"))
        (code,) = reader.take("I")
        if not (np.isfinite(start) and np.isfinite(width)):
            raise ValueError(f"an axis from {start} by {width}")
        axes.append(
            SpaceAxis(start, width, points, _TYPES.get(code, f"type {code}"), label, values)
        )
    _name_unknown(axes)
    return axes


def _name_unknown(axes: list[SpaceAxis]) -> None:
    """Name listed axes without a type: beside etch levels they are times, beside positions x, y."""
    kinds = {axis.kind for axis in axes}
    unnamed = [axis for axis in axes if axis.kind == "type 0"]
    if "ETCHLEVEL" in kinds:
        for axis in unnamed[:1]:
            axis.kind = "ETCHTIME"
    elif "POSITION" in kinds:
        for axis, kind in zip(unnamed, ("X", "Y"), strict=False):
            axis.kind = kind


def _data_axes(raw: bytes) -> list[int]:
    reader = _Reader(raw)
    _, count = reader.take("II")
    if count > _MOST_AXES:
        raise ValueError(f"{count} data axes")
    return [int(reader.take("4I")[2]) for _ in range(count)]


def _properties(
    streams: dict[str, bytes],
) -> tuple[dict[str, Any], dict[tuple[int, int], str]]:
    """Return the named properties, and the labels of points: id (axis << 24) + 10 point."""
    found: dict[str, Any] = {}
    labels: dict[tuple[int, int], str] = {}
    for name, raw in streams.items():
        if not name.startswith("\x05"):
            continue
        for number, value in _property_set(raw).items():
            if name == "\x05SummaryInformation":
                if number == _TITLE:
                    found["DS_EXT_SUPROPID_TITLE"] = value
            elif number in _PROPERTIES:
                found[_PROPERTIES[number]] = value
            elif number >= 0x01000000 and isinstance(value, str):
                labels[number >> 24, (number & 0xFFFFFF) // 10] = value
    return found, labels


def _point_labels(axes: list[SpaceAxis], labels: dict[tuple[int, int], str]) -> None:
    """Keep labels of points that there are."""
    for axis, point in list(labels):
        if axis >= len(axes) or point >= axes[axis].points:
            del labels[axis, point]


def _property_set(raw: bytes) -> dict[int, Any]:
    """Return the first section of an OLE property set (MS-OLEPS), values of the kinds used here."""
    if len(raw) < 48:
        return {}
    (offset,) = struct.unpack_from("<I", raw, 44)
    if offset + 8 > len(raw):
        return {}
    (count,) = struct.unpack_from("<I", raw, offset + 4)
    found: dict[int, Any] = {}
    for k in range(min(count, (len(raw) - offset - 8) // 8)):
        number, place = struct.unpack_from("<II", raw, offset + 8 + 8 * k)
        try:
            value = _value(raw, offset + place)
        except (struct.error, UnicodeDecodeError, OverflowError, ValueError):
            continue
        if value is not None:
            found[number] = value
    return found


_PLAIN = {2: "h", 3: "i", 4: "f", 5: "d", 11: "h", 18: "H", 19: "I", 22: "i", 23: "I"}


def _value(raw: bytes, at: int) -> Any:
    """Return one typed value; None for kinds that are not used here."""
    (kind,) = struct.unpack_from("<H", raw, at)
    at += 4
    if kind in _PLAIN:
        return struct.unpack_from("<" + _PLAIN[kind], raw, at)[0]
    if kind == 64:  # 100 ns since 1601
        (ticks,) = struct.unpack_from("<Q", raw, at)
        start = datetime.datetime(1601, 1, 1, tzinfo=datetime.UTC)
        return (start + datetime.timedelta(microseconds=ticks // 10)).isoformat()
    if kind in (8, 30, 31):
        (size,) = struct.unpack_from("<I", raw, at)
        size *= 2 if kind == 31 else 1
        if size > len(raw) - at - 4:
            return None
        text = raw[at + 4 : at + 4 + size]
        wide = kind == 31 or (kind == 8 and text[1:2] == b"\0")
        return text.decode("utf-16le" if wide else "latin-1").rstrip("\0")
    return None


FORMATS = (
    Format(
        name="thermo_vgd",
        title="Thermo Avantage DataSpace (binary)",
        suffixes=(".vgd",),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

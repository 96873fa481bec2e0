"""Bruker/Siemens binary patterns (.raw), versions 1 to 4, little-endian, one region per range.

RAW4.00: 61 bytes of header (date at 12, time at 24), then segments ``uint32 type, uint32 length``
(the length counts from the segment's start). Type 30 holds the wavelengths: float64 at 72 (mean),
80 (Ka1), 88 (Ka2), 104 (ratio). Type 0 or 160 is a range header of 160 bytes: name of the scan at
32, float64 start at 72 and step at 80 (deg), uint32 points at 88, float32 time per step at 92 (s),
uint32 bytes per point at 136, uint32 length of its own segments at 140; these follow, then the
float32 counts.

RAW1.01 (version 3): 712 bytes of header (uint32 ranges at 12, float64 Ka1 at 624, Ka2 at 632,
ratio at 648); every range: uint32 header length at 0, uint32 points at 4, float64 two-theta at 16,
float64 step at 176, float32 time at 192, uint32 supplementary length at 256; then float32 counts.

RAW2: 256 bytes of header (uint16 ranges at 4, float32 Ka1 at 190, Ka2 at 194, ratio at 198); every
range: uint16 header length at 0, uint16 points at 2, float32 time at 8, step at 12, two-theta at
16; then float32 counts.

``RAW `` (version 1): per range 156 bytes: uint32 points at 4, float32 time at 8, step at 12,
two-theta at 24, Ka1 at 72, Ka2 at 76, uint32 ranges that follow at 152; then float32 counts. Later
ranges may leave the four letters out.

Scans over one axis are one series, from three on (``scan``); scans of other axes are left out.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._xrd import pattern, series
from .base import Format, Options, Regions, read_bytes, truncated

MAX_BYTES = 512 * 1024**2
_OTHER = re.compile(rb"rocking|phi|chi|pole|theta scan|z.?drive|reflectiv", re.I)


def _sniff(head: bytes, path: Path) -> bool:
    if head.startswith((b"RAW4.00", b"RAW1.01")):
        return True
    if head.startswith(b"RAW2"):
        return len(head) >= 276 and 48 <= int.from_bytes(head[256:258], "little") <= 4096
    if not head.startswith(b"RAW ") or len(head) < 156:
        return False
    points = int.from_bytes(head[4:8], "little")
    step = struct.unpack_from("<f", head, 12)[0]
    return 2 <= points <= 1 << 24 and 0.0 < abs(step) < 10.0


def read(path: Path, options: Options) -> Regions:
    """Read every range.

    Raises
    ------
    FormatError
        If the file ends within a range, or sizes in it cannot be.
    """
    data = read_bytes(path, limit=MAX_BYTES)
    reader = {b"RAW4": _read4, b"RAW1": _read3, b"RAW2": _read2, b"RAW ": _read1}.get(data[:4])
    if reader is None:
        raise FormatError(f"{path.name}: begins with {data[:7]!r}, not RAW4.00, RAW1.01, RAW2")
    try:
        regions = reader(path, data)
    except struct.error:
        raise truncated(path, len(data), len(data) + 1, "a header") from None
    if not regions:
        raise FormatError(
            f"{path.name}: no range over two-theta with data: the file may be truncated"
        )
    return series(path, regions)


def _read4(path: Path, data: bytes) -> dict[str, Any]:
    at = 61
    attrs: dict[str, Any] = {}
    regions: dict[str, Any] = {}
    number = 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if kind in (0, 160):
            if at + 160 > len(data):
                raise truncated(path, len(data), at + 160, "a range header")
            number += 1
            start, step = struct.unpack_from("<dd", data, at + 72)
            points = struct.unpack_from("<I", data, at + 88)[0]
            time = struct.unpack_from("<f", data, at + 92)[0]
            size, more = struct.unpack_from("<II", data, at + 136)
            first = at + 160 + more
            _plausible(path, points, step, size)
            end = first + size * points
            if end > len(data):
                raise truncated(path, len(data), end, f"range {number}")
            if not _OTHER.search(data[at + 32 : at + 56]):
                values = np.frombuffer(data, np.uint8, size * points, first).reshape(points, size)
                counts = np.ascontiguousarray(values[:, :4]).view("<f4").ravel().astype(float)
                name = path.stem if number == 1 else f"range {number}"
                regions[name] = pattern(
                    path, "bruker_raw", name, start + step * np.arange(points), counts,
                    units="counts", attrs=attrs, time_per_step=time,
                )  # fmt: skip
            at = end
            continue
        if length < 8 or at + length > len(data):
            raise truncated(path, len(data), at + max(length, 8), f"a segment of type {kind}")
        if kind == 30 and length >= 112:
            ka1, ka2 = struct.unpack_from("<dd", data, at + 80)
            attrs = _waves(ka1, ka2, struct.unpack_from("<d", data, at + 104)[0])
        at += length
    return regions


def _read3(path: Path, data: bytes) -> dict[str, Any]:
    ranges = struct.unpack_from("<I", data, 12)[0]
    ka1, ka2, _, ratio = struct.unpack_from("<dddd", data, 624)
    attrs = _waves(ka1, ka2, ratio)
    if not 1 <= ranges <= 100_000:
        raise FormatError(
            f"{path.name}: {ranges} ranges; allowed: 1 to 100000; the file is damaged"
        )
    at = 712
    regions: dict[str, Any] = {}
    for number in range(1, ranges + 1):
        header, points = struct.unpack_from("<II", data, at)
        start = struct.unpack_from("<d", data, at + 16)[0]
        step = struct.unpack_from("<d", data, at + 176)[0]
        time = struct.unpack_from("<f", data, at + 192)[0]
        more = struct.unpack_from("<I", data, at + 256)[0]
        if not points and number > 1:  # a program of ranges that was stopped
            break
        at = _range(
            path, data, regions, number, ranges, at + header + more, (points, start, step, time),
            attrs,
        )  # fmt: skip
    return regions


def _read2(path: Path, data: bytes) -> dict[str, Any]:
    ranges = struct.unpack_from("<H", data, 4)[0]
    attrs = _waves(*struct.unpack_from("<fff", data, 190))
    at = 256
    regions: dict[str, Any] = {}
    for number in range(1, ranges + 1):
        header, points = struct.unpack_from("<HH", data, at)
        time, step, start = struct.unpack_from("<fff", data, at + 8)
        at = _range(
            path, data, regions, number, ranges, at + header, (points, start, step, time), attrs
        )
    return regions


def _read1(path: Path, data: bytes) -> dict[str, Any]:
    at, number, follow = 0, 0, 1
    regions: dict[str, Any] = {}
    while follow:
        number += 1
        if number > 100_000:
            raise FormatError(f"{path.name}: more than 100000 ranges; the file is damaged")
        if data[at : at + 4] != b"RAW ":  # early programs write the letters once
            at -= 4
        points = struct.unpack_from("<I", data, at + 4)[0]
        time, step = struct.unpack_from("<ff", data, at + 8)
        start = struct.unpack_from("<f", data, at + 24)[0]
        ka1, ka2 = struct.unpack_from("<ff", data, at + 72)
        follow = struct.unpack_from("<I", data, at + 152)[0]
        many = 1 if number == 1 and not follow else 2
        at = _range(
            path, data, regions, number, many, at + 156, (points, start, step, time),
            _waves(ka1, ka2, 0.0),
        )  # fmt: skip
    return regions


def _range(
    path: Path,
    data: bytes,
    regions: dict[str, Any],
    number: int,
    ranges: int,
    first: int,
    scan: tuple[int, float, float, float],
    attrs: dict[str, Any],
) -> int:
    """Read one range of float32 counts; return where it ends."""
    points, start, step, time = scan
    _plausible(path, points, step, 4)
    end = first + 4 * points
    if end > len(data):
        raise truncated(path, len(data), end, f"range {number}")
    counts = np.frombuffer(data, "<f4", points, first).astype(float)
    name = path.stem if ranges == 1 else f"range {number}"
    start, step = _decimal(start), _decimal(step)
    regions[name] = pattern(
        path, "bruker_raw", name, start + step * np.arange(points), counts, units="counts",
        attrs=attrs, time_per_step=time,
    )  # fmt: skip
    return end


def _decimal(value: float) -> float:
    """Undo the rounding of a decimal number to float32."""
    return float(f"{value:.7g}") if np.float32(value) == value else value


def _waves(ka1: float, ka2: float, ratio: float) -> dict[str, Any]:
    good = 0.1 < ka1 < 5.0
    return {
        "wavelength_A": _decimal(ka1) if good else None,
        "wavelength_2_A": _decimal(ka2) if good and 0.1 < ka2 < 5.0 else None,
        "ratio_2": _decimal(ratio) if good and 0.0 < ratio < 1.0 else None,
    }


def _plausible(path: Path, points: int, step: float, size: int) -> None:
    if not (2 <= points <= 1 << 24 and 0.0 < abs(step) < 10.0 and 4 <= size <= 4096):
        raise FormatError(
            f"{path.name}: a range of {points} points, step {step:g} deg, {size} bytes a point "
            "cannot be; the file is damaged"
        )


FORMATS = (Format("bruker_raw", "Bruker RAW, binary", (".raw",), ("xrd",), _sniff, read),)

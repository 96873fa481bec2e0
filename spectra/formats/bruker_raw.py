"""Bruker/Siemens binary patterns (.raw): RAW1.01 and RAW4.00, little-endian, one region per range.

RAW4.00: 61 bytes of header (date at 12, time at 24), then segments ``uint32 type, uint32 length``
(the length counts from the segment's start). Type 30 holds the wavelengths: float64 at 72 (mean),
80 (Ka1), 88 (Ka2), 104 (ratio). Type 0 or 160 is a range header of 160 bytes: float64 start at 72
and step at 80 (deg), uint32 points at 88, float32 time per step at 92 (s), uint32 bytes per
point at 136, uint32 length of its own segments at 140; these follow, then the float32 counts.

RAW1.01: 712 bytes of header (uint32 ranges at 12, float64 Ka1, Ka2, ratio at 624, 632, 640); every
range: uint32 header length at 0, uint32 points at 4, float64 two-theta at 16, float64 step at 176,
float32 time at 192, uint32 supplementary length at 256; then float32 counts.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._xrd import pattern
from .base import Format, Options, Regions, read_bytes, truncated

MAX_BYTES = 512 * 1024**2


def _sniff(head: bytes, path: Path) -> bool:
    return head.startswith((b"RAW4.00", b"RAW1.01"))


def read(path: Path, options: Options) -> Regions:
    """Read every range.

    Raises
    ------
    FormatError
        If the file ends within a range, or sizes in it cannot be.
    """
    data = read_bytes(path, limit=MAX_BYTES)
    try:
        regions = _read4(path, data) if data.startswith(b"RAW4.00") else _read1(path, data)
    except struct.error:
        raise truncated(path, len(data), len(data) + 1, "a header") from None
    if not regions:
        raise FormatError(f"{path.name}: no range with data: the file may be truncated")
    return regions


def _read4(path: Path, data: bytes) -> dict[str, Any]:
    at = 61
    attrs: dict[str, Any] = {}
    regions: dict[str, Any] = {}
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if kind in (0, 160):
            if at + 160 > len(data):
                raise truncated(path, len(data), at + 160, "a range header")
            start, step = struct.unpack_from("<dd", data, at + 72)
            points = struct.unpack_from("<I", data, at + 88)[0]
            time = struct.unpack_from("<f", data, at + 92)[0]
            size, more = struct.unpack_from("<II", data, at + 136)
            first = at + 160 + more
            _plausible(path, points, step, size)
            end = first + size * points
            if end > len(data):
                raise truncated(path, len(data), end, f"range {len(regions) + 1}")
            values = np.frombuffer(data, np.uint8, size * points, first).reshape(points, size)
            counts = np.ascontiguousarray(values[:, :4]).view("<f4").ravel().astype(float)
            name = path.stem if not regions else f"range {len(regions) + 1}"
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
            ratio = struct.unpack_from("<d", data, at + 104)[0]
            if 0.1 < ka1 < 5.0:
                attrs = {"wavelength_A": ka1}
                if 0.1 < ka2 < 5.0:
                    attrs["wavelength_2_A"] = ka2
                if 0.0 < ratio < 1.0:
                    attrs["ratio_2"] = ratio
        at += length
    return regions


def _read1(path: Path, data: bytes) -> dict[str, Any]:
    ranges = struct.unpack_from("<I", data, 12)[0]
    ka1, ka2, ratio = struct.unpack_from("<ddd", data, 624)
    attrs = {"wavelength_A": ka1 if 0.1 < ka1 < 5.0 else None,
             "wavelength_2_A": ka2 if 0.1 < ka2 < 5.0 else None,
             "ratio_2": ratio if 0.0 < ratio < 1.0 else None}  # fmt: skip
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
        _plausible(path, points, step, 4)
        first = at + header + more
        end = first + 4 * points
        if end > len(data):
            raise truncated(path, len(data), end, f"range {number}")
        counts = np.frombuffer(data, "<f4", points, first).astype(float)
        name = path.stem if ranges == 1 else f"range {number}"
        regions[name] = pattern(
            path, "bruker_raw", name, start + step * np.arange(points), counts, units="counts",
            attrs=attrs, time_per_step=time,
        )  # fmt: skip
        at = end
    return regions


def _plausible(path: Path, points: int, step: float, size: int) -> None:
    if not (2 <= points <= 1 << 24 and 0.0 < abs(step) < 10.0 and 4 <= size <= 4096):
        raise FormatError(
            f"{path.name}: a range of {points} points, step {step:g} deg, {size} bytes a point "
            "cannot be; the file is damaged"
        )


FORMATS = (Format("bruker_raw", "Bruker RAW, binary", (".raw",), ("xrd",), _sniff, read),)

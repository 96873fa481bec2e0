"""STOE WinXPOW binary patterns (.raw, ``RAW_1.06Powdat``), little-endian, one range.

Blocks of 512 bytes. Header: float32 Ka1 and Ka2 at 322 (angstrom), uint16 at 474 blocks of
intensities, at 476 blocks of the file; the intensities fill the last ones. Before them lies the
block of the range: its start time at 0 (ASCII, ``dd-Mon-yy hh:mm``), uint16 points at 34, float32
two-theta at 44 (start), 52 (end), 60 (step; deg), uint32 least and largest intensity at 120 and
124. Intensities are uint32 counts. Where the block counts do not lead to a range, every block is
tried. The layout is that of open readers; no sample was at hand.
"""

from __future__ import annotations

import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._xrd import pattern
from .base import Format, Options, Regions, read_bytes

_BLOCK = 512


def _sniff(head: bytes, path: Path) -> bool:
    return head.startswith(b"RAW_1.0") and b"Powdat" in head[:16]


def read(path: Path, options: Options) -> Regions:
    """Read the range.

    Raises
    ------
    FormatError
        If no block holds a range whose points, ends and step agree.
    """
    data = read_bytes(path, limit=256 * 1024**2)
    if len(data) < 2 * _BLOCK:
        raise FormatError(f"{path.name}: {len(data)} bytes: the file is truncated; copy it again")
    own, whole = struct.unpack_from("<HH", data, 474)
    told = [(whole - own) * _BLOCK] if 0 < own < whole else []
    for first in [*told, *range(_BLOCK, len(data), _BLOCK)]:
        found = _range(data, first)
        if found is not None:
            break
    else:
        raise FormatError(
            f"{path.name}: no range whose points, ends and step agree: the file is truncated or of "
            "another version; export it as .xy"
        )
    x, counts, began = found
    ka1, ka2 = (float(f"{v:.7g}") for v in struct.unpack_from("<ff", data, 322))
    attrs: dict[str, Any] = {"started": began}
    if 0.1 < ka1 < 5.0:
        attrs["wavelength_A"] = ka1
        if ka1 < ka2 < 1.02 * ka1:
            attrs["wavelength_2_A"] = ka2
    return {path.stem: pattern(path, "stoe_raw", path.stem, x, counts, units="counts", attrs=attrs)}


def _range(data: bytes, first: int) -> tuple[np.ndarray, np.ndarray, str | None] | None:
    head = first - _BLOCK
    if head < 0 or first > len(data):
        return None
    points = struct.unpack_from("<H", data, head + 34)[0]
    if points < 2 or first + 4 * points > len(data):
        return None
    start, _, end, _, step = struct.unpack_from("<5f", data, head + 44)
    if not (np.isfinite([start, end, step]).all() and 0.0 < step < 10.0 and start < end < 180.0):
        return None
    if abs(round((end - start) / step) + 1 - points) > 1:
        return None
    counts = np.frombuffer(data, "<u4", points, first).astype(np.int64)
    low, high = struct.unpack_from("<II", data, head + 120)
    if high and (counts.min() != low or counts.max() != high):
        return None
    text = data[head : head + 16].split(b"\0")[0].decode("latin-1").strip()
    try:
        began: str | None = datetime.strptime(text, "%d-%b-%y %H:%M").isoformat()
    except ValueError:
        began = None
    return np.linspace(start, end, points), counts, began


FORMATS = (Format("stoe_raw", "STOE WinXPOW RAW, binary", (".raw",), ("xrd",), _sniff, read),)

"""Rigaku binary patterns (.raw, ``FI``: RINT, Ultima, SmartLab), little-endian.

Blocks, each begun by two letters and two zero bytes: ``FI`` (the file; float64 Ka1 and Ka2 at 1212
or 984, angstrom), ``PI`` (a range; int32 begin and end at 30 and 34, seconds since 1970), ``DA``
(uint32 length at 8, uint32 points at 16, then the float32 intensities). Between a range's ``PI``
and ``DA`` lie float32 start, end and step (deg), and the time per step (s) before them; where
exactly depends on the version: 826 behind ``PI``, and 176 or 208 before ``DA``, are tried first,
then every place. Only numbers whose ends, step and points agree are taken.

The layout is put together from what several open readers say of files of three versions; no sample
was at hand. Intensities that are not whole are rates or normalised. The axis has no name that is
known: scans of other axes than two-theta would be taken for such. Older files without ``FI`` are
not read.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._xrd import pattern, series
from .base import Format, Options, Regions, read_bytes, truncated

MAX_BYTES = 256 * 1024**2
_DATA = 20
_BEFORE = (176, 208)
_BEHIND = 826
_YEARS = (631_152_000, 2_524_608_000)  # 1990 and 2050


def _sniff(head: bytes, path: Path) -> bool:
    return head.startswith(b"FI\0\0") and len(head) > 256


def read(path: Path, options: Options) -> Regions:
    """Read every range.

    Raises
    ------
    FormatError
        If there is no block of intensities, one ends early, or its axis is not found.
    """
    data = read_bytes(path, limit=MAX_BYTES)
    attrs = _waves(data)
    regions: dict[str, Any] = {}
    lost = 0
    after, at = 4, data.find(b"DA\0\0", 4)
    while at >= 0:
        if at + _DATA > len(data):
            raise truncated(path, len(data), at + _DATA, "a block of intensities")
        length = struct.unpack_from("<I", data, at + 8)[0]
        points = struct.unpack_from("<I", data, at + 16)[0]
        first, end = at + _DATA, at + _DATA + 4 * points
        axis = _axis(data, after, at, points) if 2 <= points <= 1 << 22 else None
        if axis is None:  # the letters may stand anywhere; a block's own length confirms it
            lost += length == 4 * points + 8 and points > 1
            at = data.find(b"DA\0\0", at + 4)
            continue
        if end > len(data):
            raise truncated(path, len(data), end, f"range {len(regions) + 1}")
        start, step, time, place = axis
        values = np.frombuffer(data, "<f4", points, first).astype(float)
        name = path.stem if not regions else f"range {len(regions) + 1}"
        regions[name] = pattern(
            path, "rigaku_raw", name, start + step * np.arange(points), values, units="counts",
            attrs={**attrs, "started": _began(data, place)}, time_per_step=time,
        )  # fmt: skip
        after, at = end, data.find(b"DA\0\0", end)
    if lost or not regions:
        raise FormatError(
            f"{path.name}: {lost or 'no'} block of intensities without start, end and step that "
            "agree with its points: the file is truncated or of another version; export it as .ras"
            if lost
            else f"{path.name}: no block of intensities: the file is truncated; copy it again"
        )
    return series(path, regions)


def _axis(
    data: bytes, after: int, at: int, points: int
) -> tuple[float, float, float | None, int] | None:
    """Return start, step, time per step, and where the range's ``PI`` is (or -1)."""
    own = data.rfind(b"PI\0\0", after, at)
    low = own if own >= 0 else max(after, at - 4096)
    places = [at - k for k in _BEFORE]
    if own >= 0:
        places.insert(0, own + _BEHIND)
    for place in [*places, *range(low, at - 12)]:
        if place < max(low, 4) or place + 12 > at:
            continue
        start, end, step = struct.unpack_from("<3f", data, place)
        if not np.isfinite([start, end, step]).all() or not 1e-5 < abs(step) < 10.0:
            continue
        if not (min(start, end) >= -90.0 and max(start, end) <= 180.0):
            continue
        if abs((end - start) / step + 1.0 - points) > 0.5 + 1e-4 * points:
            continue
        step = (end - start) / (points - 1)
        time = struct.unpack_from("<f", data, place - 4)[0]
        return start, step, (time if np.isfinite(time) and 1e-3 < time < 1e5 else None), own
    return None


def _waves(data: bytes) -> dict[str, float]:
    for place in (1212, 984):
        if len(data) >= place + 16:
            one, two = struct.unpack_from("<dd", data, place)
            if 0.1 < one < 5.0 and one < two < 1.03 * one:
                return {"wavelength_A": one, "wavelength_2_A": two}
    return {}


def _began(data: bytes, place: int) -> str | None:
    if place < 0 or place + 38 > len(data):
        return None
    seconds, end = struct.unpack_from("<ii", data, place + 30)
    if not _YEARS[0] < seconds <= end < _YEARS[1]:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat()


FORMATS = (Format("rigaku_raw", "Rigaku RAW, binary", (".raw",), ("xrd",), _sniff, read),)

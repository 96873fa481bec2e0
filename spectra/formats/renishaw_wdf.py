"""Renishaw WiRE ``.wdf``: blocks of a name (4 bytes), uint32, length (uint64, all 16 included).

``WDF1`` (512 bytes): points (uint32, 60), spectra planned and measured (uint64, 64 and 72),
accumulations, lengths of the second and the spectral axis, number of origins (uint32, 80, 84, 88,
92), kind of measurement (uint32, 132), start (Windows time, 136), unit of the intensity (uint32,
152), laser (float32 1/cm, 156), user and title (text, 208 and 240). ``DATA``: float32. ``XLST``:
type, unit (uint32), float32. ``ORGN``: number, then per origin type, unit (uint32), name (16) and
one value of 8 bytes per planned spectrum: stage X, Y, Z (um), time (Windows time, 100 ns ticks),
flags (1 saturated), temperature. ``WMAP``: flags (1 random points, 2 column by column, 4 to and
fro), place, step (3 float32 at 24 and 36), numbers (3 uint32, 48). Constants: Gwyddion.

Outer dims: places that fill a grid give ``y, x`` (``z, x``, ``z, y`` or ``z, y, x``), in whatever
order they were measured; a line, random points and a map that was interrupted give ``point``
with coordinates; focus that follows the surface is a coordinate ``z``. A series is ``z`` where
the focus moves, else ``time`` (s from the first spectrum) or ``scan``. Where ``ORGN`` has no places
``WMAP`` gives them. A second axis (rows of the detector) is ``detector``. Spectra that were not
measured are left out (``missing_spectra``), saturated ones counted (``saturated_spectra``).

Counts are float32 as WiRE stores them (its own corrections included). The axis is Raman shift in
1/cm, or a wavelength (nm; um, absolute 1/cm and eV are turned into the convention's units); it is
not evenly spaced. Uncertainties: those of counting.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..convention import COUNTS, spectrum
from ..errors import ConventionError, FormatError
from . import _raman
from .base import Format, Options, Regions, source, truncated

NAME = "renishaw_wdf"
_MAGIC = b"WDF1"
_BLOCK_HEADER = 16
_HEAD = 512
_X, _Y, _Z, _TEMPERATURE, _TIME, _FLAGS = 3, 4, 5, 9, 11, 17
_MAPPING = 3
_COLUMN_MAJOR, _ALTERNATING = 2, 4
_KINDS = {0: "Unspecified", 1: "Single", 2: "Series", 3: "Mapping"}
_AXIS_UNITS = {1: "1/cm", 3: "nm", 4: "eV", 5: "um"}
_ABSOLUTE = 2
_COUNT_UNITS = (0, 6)
_MICRONS = {5: 1.0, 3: 1e-3, 8: 1e3, 9: 1e6}
_KELVIN = {10: 0.0, 21: 273.15}


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first block is ``WDF1``."""
    return head.startswith(_MAGIC)


def read(path: Path, options: Options) -> Regions:
    """Read the one measurement of the file."""
    blocks = _blocks(path)
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    if len(head) < _HEAD or blocks[_MAGIC][1] < _HEAD:
        raise truncated(path, len(head), _HEAD, "the header block 'WDF1'")
    return {"raman": _spectrum(path, head, blocks)}


def _blocks(path: Path) -> dict[bytes, tuple[int, int]]:
    """Walk the block list: place and length of the first block of each name."""
    size = path.stat().st_size
    found: dict[bytes, tuple[int, int]] = {}
    at = 0
    with path.open("rb") as stream:
        while at + _BLOCK_HEADER <= size:
            stream.seek(at)
            name, _, length = struct.unpack("<4sIQ", stream.read(_BLOCK_HEADER))
            if length < _BLOCK_HEADER:
                raise FormatError(f"{path.name}: block at byte {at} has length {length}")
            if at + length > size:
                shown = name.decode("latin-1")
                raise truncated(path, size, at + length, f"block {shown!r}")
            found.setdefault(name, (at, length))
            at += length
    if at != size or _MAGIC not in found:
        raise truncated(path, size, at + _BLOCK_HEADER, "a block header")
    return found


def _array(
    path: Path, blocks: dict[bytes, tuple[int, int]], name: bytes, skip: int, kind: str, count: int
) -> npt.NDArray:
    """Return an array of a block, ``skip`` bytes after the block's own header."""
    shown = name.decode("latin-1")
    if name not in blocks:
        raise FormatError(f"{path.name}: no block {shown!r}: the measurement was never saved")
    at, length = blocks[name]
    start = _BLOCK_HEADER + skip
    needed = start + count * np.dtype(kind).itemsize
    if needed > length:
        raise FormatError(
            f"{path.name}: block {shown!r} at byte {at} has {length} bytes, {needed} are needed: "
            "the file is damaged"
        )
    return np.fromfile(path, kind, count, offset=at + start)


@dataclass(frozen=True)
class _Origins:
    """What is stored of every spectrum: places in um, the rest as it is."""

    places: dict[str, npt.NDArray[np.float64]]
    time: npt.NDArray[np.float64] | None
    start: int | None
    temperature: npt.NDArray[np.float64] | None
    flags: npt.NDArray[np.uint64] | None


def _spectrum(path: Path, head: bytes, blocks: dict[bytes, tuple[int, int]]) -> xr.Dataset:
    points, planned, done, accumulations, second, columns, origins = struct.unpack_from(
        "<IQQIIII", head, 60
    )
    kind, started, unit, laser = (
        struct.unpack_from(form, head, at)[0]
        for form, at in (("<I", 132), ("<Q", 136), ("<I", 152), ("<f", 156))
    )
    done = min(done, planned)
    if points < 2 or done < 1 or points * done > _raman.MAX_VALUES:
        raise FormatError(f"{path.name}: {done} spectra of {points} points: nothing to read")
    rows = second if second > 1 and second * columns == points else 1
    if rows * columns != points:
        raise FormatError(
            f"{path.name}: {done} spectra of {points} points, axis of {columns}: nothing to read"
        )
    axis = _axis(path, blocks, columns)
    flat = _array(path, blocks, b"DATA", 0, "<f4", done * points)
    about = _origins(path, blocks, origins, planned, done)
    attrs: dict[str, object] = {
        "title": _text(head[240:400]),
        "accumulations": accumulations,
        "measurement_type": _KINDS.get(kind, "Unspecified"),
        "measured": _date(about.start or started),
    }
    if np.isfinite(laser) and laser > 0:
        attrs["laser_nm"] = 1e7 / laser
    if done < planned:
        attrs["missing_spectra"] = planned - done
    if not np.all(np.isfinite(flat)):
        attrs["missing_points"] = int(flat.size - np.isfinite(flat).sum())
    if about.flags is not None and np.any(about.flags & 1):
        attrs["saturated_spectra"] = int(np.sum(about.flags & 1))
    outer, coords, order = _outer(path, blocks, about, kind == _MAPPING, done)
    sizes = [values.size for values in outer.values()]
    shape = [*sizes, rows, columns] if rows > 1 else [*sizes, columns]
    values = flat.reshape(done, -1)
    if order is not None and np.any(np.diff(order) != 1):
        values = values[order]
    if rows > 1:
        outer["detector"] = np.arange(rows)
    try:
        return spectrum(
            values.reshape(shape),
            axis[1],
            technique="raman",
            axis_name=axis[0],
            units=COUNTS if unit in _COUNT_UNITS else "1",
            outer=outer,
            coords=coords,
            attrs={k: v for k, v in attrs.items() if v != ""},
            source=source(path, NAME, "raman"),
        )
    except (ConventionError, ValueError) as error:
        raise FormatError(f"{path.name}: {error}".replace("\n", " ")) from None


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace").strip()


def _date(ticks: int) -> str:
    """Return Windows time (100 ns since 1601) as an ISO date, empty if it is none."""
    if not 1e17 < ticks < 2e17:
        return ""
    moment = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)
    return moment.isoformat(timespec="seconds")


def _axis(
    path: Path, blocks: dict[bytes, tuple[int, int]], columns: int
) -> tuple[str, npt.NDArray]:
    kind, unit = (int(v) for v in _array(path, blocks, b"XLST", 0, "<u4", 2))
    x = _array(path, blocks, b"XLST", 8, "<f4", columns).astype(float)
    if unit == _ABSOLUTE and np.all(x > 0):
        return "wavelength", 1e7 / x
    if unit not in _AXIS_UNITS:
        raise FormatError(
            f"{path.name}: axis unit {unit} (type {kind}); allowed: Raman shift, nm, um, eV, "
            "absolute 1/cm"
        )
    return _raman.axis_in(path, _AXIS_UNITS[unit], x)


def _origins(
    path: Path, blocks: dict[bytes, tuple[int, int]], count: int, planned: int, done: int
) -> _Origins:
    """Read the places, times and flags of the spectra; a file may have none of them."""
    places: dict[str, npt.NDArray[np.float64]] = {}
    time = temperature = flags = start = None
    if b"ORGN" not in blocks:
        count = 0
    for number in range(count):
        skip = 4 + number * (24 + 8 * planned)
        kind, unit = (int(v) for v in _array(path, blocks, b"ORGN", skip, "<u4", 2))
        kind &= 0x7FFFFFFF
        if kind in (_X, _Y, _Z):
            values = _array(path, blocks, b"ORGN", skip + 24, "<f8", done)
            if np.all(np.isfinite(values)):
                places["xyz"[kind - _X]] = values * _MICRONS.get(unit, 1.0)
        elif kind == _TIME:
            ticks = _array(path, blocks, b"ORGN", skip + 24, "<i8", done)
            start, time = int(ticks[0]), (ticks - ticks[0]) / 1e7
        elif kind == _FLAGS:
            flags = _array(path, blocks, b"ORGN", skip + 24, "<u8", done)
        elif kind == _TEMPERATURE and unit in _KELVIN:
            values = _array(path, blocks, b"ORGN", skip + 24, "<f8", done)
            temperature = values + _KELVIN[unit] if np.all(np.isfinite(values)) else None
    return _Origins(places, time, start, temperature, flags)


def _planned(
    path: Path, blocks: dict[bytes, tuple[int, int]], done: int
) -> tuple[dict[str, npt.NDArray[np.float64]], list[float]]:
    """Return places as ``WMAP`` plans them, and its steps."""
    if b"WMAP" not in blocks:
        return {}, []
    flags = int(_array(path, blocks, b"WMAP", 0, "<u4", 1)[0])
    first, step = _array(path, blocks, b"WMAP", 8, "<f4", 6).astype(float).reshape(2, 3)
    numbers = [max(int(n), 1) for n in _array(path, blocks, b"WMAP", 32, "<u4", 3)]
    steps = [abs(s) for s, n in zip(step, numbers, strict=True) if n > 1 and s]
    if flags & 1 or int(np.prod(numbers)) < done or not np.all(np.isfinite([*first, *step])):
        return {}, steps
    at = np.arange(done)
    fast, slow = (1, 0) if flags & _COLUMN_MAJOR else (0, 1)
    index = [at * 0, at * 0, at // (numbers[0] * numbers[1])]
    within = at % (numbers[0] * numbers[1])
    index[fast], index[slow] = within % numbers[fast], within // numbers[fast]
    if flags & _ALTERNATING:
        back = index[slow] % 2 == 1
        index[fast] = np.where(back, numbers[fast] - 1 - index[fast], index[fast])
    if flags & 128:  # a line: both steps go with one number
        index[1] = index[0]
    return {a: first[i] + step[i] * index[i] for i, a in enumerate("xyz")}, steps


def _outer(
    path: Path, blocks: dict[bytes, tuple[int, int]], about: _Origins, mapping: bool, done: int
) -> tuple[dict[str, npt.NDArray], _raman.Coords, npt.NDArray | None]:
    """Return outer dims, further coordinates and the order of the spectra in them."""
    if done == 1:
        return {}, {}, None
    extra = {}
    if about.temperature is not None and np.ptp(about.temperature) > 0:
        extra["temperature"] = (about.temperature, "K")
    if mapping:
        planned, steps = _planned(path, blocks, done)
        places = about.places if {"x", "y"} & set(about.places) else planned
        if about.time is not None:
            extra["time_of_spectrum"] = (about.time, "s")
        grid = _grid(places, 0.2 * min(steps) if steps else 0.0)
        if grid is not None:
            outer, order = grid
            shape = [v.size for v in outer.values()]
            follows = set(places) - set(outer)
            extra |= {a: (places[a], "um") for a in follows if np.ptp(places[a]) > 0}
            dims = tuple(outer)
            return (
                outer,
                {k: (dims, v[order].reshape(shape), u) for k, (v, u) in extra.items()},
                order,
            )
        moving = {a: v for a, v in places.items() if a in "xy" or np.ptp(v) > 0}
        extra |= {a: (v, "um") for a, v in moving.items()}
        return {"point": np.arange(done)}, _along("point", extra), None
    z = about.places.get("z")
    if z is not None and np.ptp(z) > 1e-6 and np.unique(z).size == z.size:
        return {"z": z}, _along("z", extra), None
    if about.time is not None and np.all(np.diff(about.time) > 0):
        return {"time": about.time}, _along("time", extra), None
    extra |= {a: (v, "um") for a, v in about.places.items() if np.ptp(v) > 0}
    return {"scan": np.arange(done)}, _along("scan", extra), None


def _along(dim: str, extra: dict[str, tuple[npt.NDArray, str]]) -> _raman.Coords:
    return {name: ((dim,), values, unit) for name, (values, unit) in extra.items()}


def _grid(
    places: dict[str, npt.NDArray[np.float64]], tolerance: float
) -> tuple[dict[str, npt.NDArray], npt.NDArray] | None:
    """Return the axes of a full grid (slow first) and the order of the spectra on it."""
    for axes in ("yx", "zx", "zy", "zyx"):
        if not all(a in places for a in axes):
            continue
        count = places[axes[0]].size
        span = max(float(np.ptp(places[a])) for a in axes)
        found = {a: _raman.levels(places[a], tolerance or 1e-4 * max(span, 1e-9)) for a in axes}
        sizes = [found[a][1].size for a in axes]
        if min(sizes) < 2 or int(np.prod(sizes)) != count:
            continue
        cell = np.ravel_multi_index(tuple(found[a][0] for a in axes), sizes)
        if np.unique(cell).size == count:
            return {a: found[a][1] for a in axes}, np.argsort(cell, kind="stable")
    return None


FORMATS = (
    Format(
        name=NAME,
        title="Renishaw WiRE",
        suffixes=(".wdf",),
        techniques=("raman",),
        sniff=sniff,
        read=read,
    ),
)

"""Renishaw WiRE ``.wdf``, binary blocks, read by `renishawWiRE` (MIT).

Blocks: ``WDF1`` (header), ``DATA`` (float32), ``XLST`` (axis), ``ORGN`` (time and stage of every
spectrum), ``WMAP`` (grid) and others.

Counts are float32 as WiRE stores them (its own corrections included), units counts. The axis is
Raman shift in 1/cm, or wavelength in nm for luminescence; it is not evenly spaced. Outer dims: a
full grid gives ``y, x`` (um, stage), a line or an incomplete map ``point`` with coordinates
``x, y``; a series gives ``z`` if the focus moves, else ``time`` (s from the first spectrum).
Uncertainties: those of counting.

`renishawWiRE` reads every file of the test set; it takes an interrupted measurement's unfilled
spectra as zeros (here they are left out) and fails with assertion or struct errors on a cut file
(here the blocks are checked first).
"""

from __future__ import annotations

import contextlib
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..convention import spectrum
from ..errors import FormatError
from .base import Format, Options, Regions, source, truncated

_MAGIC = b"WDF1"
_BLOCK_HEADER = 16


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first block is ``WDF1``."""
    return head.startswith(_MAGIC)


def read(path: Path, options: Options) -> Regions:
    """Read the one measurement of the file."""
    _check_blocks(path)
    from renishawWiRE import WDFReader

    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            reader = WDFReader(str(path))
    except Exception as error:
        raise FormatError(
            f"{path.name}: the WiRE blocks cannot be read ({type(error).__name__}: {error})"
        ) from None
    try:
        return {"raman": _spectrum(path, reader)}
    finally:
        reader.close()


def _check_blocks(path: Path) -> None:
    """Walk the block list; refuse a file that ends inside one."""
    size = path.stat().st_size
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
            at += length
    if at != size:
        raise truncated(path, size, at + _BLOCK_HEADER, "a block header")


def _spectrum(path: Path, reader: Any) -> xr.Dataset:
    points = int(reader.point_per_spectrum)
    flat = np.asarray(reader.spectra, dtype=np.float32).reshape(-1, points)
    done = min(int(reader.count), flat.shape[0])
    x = np.asarray(reader.xdata, dtype=float)
    if x.size != points or done == 0:
        raise FormatError(
            f"{path.name}: {done} spectra of {points} points, axis of {x.size}: nothing to read"
        )
    unit = str(reader.xlist_unit)
    if unit not in ("1/cm", "nm"):
        raise FormatError(f"{path.name}: axis unit {unit!r}; allowed: 1/cm, nm")
    outer, coords, shape = _outer(reader, done)
    laser = float(reader.laser_length)
    attrs: dict[str, object] = {
        "title": str(reader.title).strip(),
        "accumulations": int(reader.accumulation_count),
        "measurement_type": str(reader.measurement_type),
    }
    if np.isfinite(laser):
        attrs["laser_nm"] = laser
    if done < int(reader.capacity):
        attrs["missing_spectra"] = int(reader.capacity) - done
    return spectrum(
        flat[:done].reshape(*shape, points),
        x,
        technique="raman",
        axis_name="raman_shift" if unit == "1/cm" else "wavelength",
        outer=outer,
        coords=coords,
        attrs={k: v for k, v in attrs.items() if v != ""},
        source=source(path, "renishaw_wdf", "raman"),
    )


Coords = dict[str, tuple[tuple[str, ...], np.ndarray, str]]


def _outer(reader: Any, done: int) -> tuple[dict[str, np.ndarray], Coords, list[int]]:
    """Return outer dims, further coordinates and the shape of the spectra."""
    there = getattr(reader, "xpos", None) is not None
    x, y, z = (
        np.asarray(getattr(reader, name), dtype=float)[:done] if there else np.zeros(done)
        for name in ("xpos", "ypos", "zpos")
    )
    time = _times(reader, done)
    if done == 1:
        return {}, {}, []
    if str(reader.measurement_type) == "Mapping":
        rows, columns = _grid(reader, done)
        if rows > 1 and columns > 1:
            grid_x, grid_y = x.reshape(rows, columns), y.reshape(rows, columns)
            when: Coords = {"time_of_spectrum": (("y", "x"), time.reshape(rows, columns), "s")}
            return {"y": grid_y[:, 0], "x": grid_x[0]}, when, [rows, columns]
        coords: Coords = {"x": (("point",), x, "um"), "y": (("point",), y, "um")}
        return {"point": np.arange(done)}, coords, [done]
    if there and np.ptp(z) > 1e-6:
        return {"z": z}, {}, [done]
    if np.ptp(time) > 0 and np.all(np.diff(time) > 0):
        return {"time": time}, {}, [done]
    return {"scan": np.arange(done)}, {}, [done]


def _grid(reader: Any, done: int) -> tuple[int, int]:
    """Rows and columns of a full rectangular grid along the stage axes, else (1, n)."""
    shape = getattr(reader, "map_shape", None)
    if not shape:
        return 1, done
    columns, rows = (int(n) for n in shape)
    if rows * columns != done:
        return 1, done
    x = np.asarray(reader.xpos, dtype=float)[:done].reshape(rows, columns)
    y = np.asarray(reader.ypos, dtype=float)[:done].reshape(rows, columns)
    step = max(float(np.ptp(x)), float(np.ptp(y))) * 1e-3
    straight = np.all(np.ptp(x, axis=0) <= step) and np.all(np.ptp(y, axis=1) <= step)
    return (rows, columns) if straight else (1, done)


def _times(reader: Any, done: int) -> np.ndarray:
    """Seconds from the first spectrum, from the ``ORGN`` block (Windows time, 100 ns ticks)."""
    for entry in getattr(reader, "origin_list_header", None) or ():
        if "Time" in str(entry[1]):
            seconds = np.asarray(entry[4], dtype=float)[:done]
            return np.asarray(seconds - seconds[0])
    return np.zeros(done)


FORMATS = (
    Format(
        name="renishaw_wdf",
        title="Renishaw WiRE",
        suffixes=(".wdf",),
        techniques=("raman",),
        sniff=sniff,
        read=read,
    ),
)

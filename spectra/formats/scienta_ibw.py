"""Igor binary waves (.ibw, version 5) and packed experiments (.pxt) of Scienta SES, with igor2.

A packed experiment is a chain of records: kind, version (16 bit each), length (32 bit), data; those
of kind 3 are binary waves as in an .ibw file. Every wave with SES's note is a region.
Dimension 0 is the energy (``sfB + n sfA``; its unit text says binding or kinetic), dimension 1 if
there is one the angle or position, dimension 2 the points of a run (``scan``). Its note holds
SES's fields, as in the text export (`scienta_txt`). Waves of other programs (no ``[SES]`` note) are
refused. igor2 reads all numeric types right; it does not check lengths, so that a cut file is
caught here.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import FormatError
from ._xps import region_name, unique, with_reference_lines
from .base import Format, Options, Regions, read_bytes, truncated
from .scienta_txt import fields, scienta_region

MAX_BYTES = 1024**3
_WAVE = 3
_LAST_KIND = 50


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is an Igor binary wave of version 5, either byte order."""
    return head[:2] in (b"\x05\x00", b"\x00\x05") and path.suffix.lower() == ".ibw"


def read(path: Path, options: Options) -> Regions:
    """Read the wave."""
    raw = read_bytes(path, limit=MAX_BYTES)
    ds = _region(path, raw, "scienta_ibw")
    return with_reference_lines({ds.attrs["region"]: ds})


def sniff_packed(head: bytes, path: Path) -> bool:
    """Whether it begins with a record of an Igor packed experiment."""
    return path.suffix.lower() == ".pxt" and _record(head, 0) is not None


def read_packed(path: Path, options: Options) -> Regions:
    """Read every wave of an experiment that SES wrote.

    Raises
    ------
    FormatError
        If a record is cut, or no wave has a note of SES.
    """
    raw = read_bytes(path, limit=MAX_BYTES)
    regions: dict[str, xr.Dataset] = {}
    refused: FormatError | None = None
    at = 0
    while at < len(raw):
        found = _record(raw, at)
        if found is None or at + 8 + found[1] > len(raw):
            needed = at + 8 + (found[1] if found else 0)
            raise truncated(path, len(raw), max(needed, at + 8), "a record")
        kind, size = found
        if kind == _WAVE:
            try:
                ds = _region(path, raw[at + 8 : at + 8 + size], "scienta_pxt")
                regions[unique(str(ds.attrs["region"]), regions)] = ds
            except FormatError as error:
                refused = error
        at += 8 + size
    if not regions:
        raise refused or FormatError(f"{path.name}: no wave in it: not an experiment of SES")
    return with_reference_lines(regions)


def _record(raw: bytes, at: int) -> tuple[int, int] | None:
    """Return kind and length of a packed record: two 16 bit numbers and a 32 bit length."""
    if len(raw) < at + 8:
        return None
    for order in ("<", ">"):
        kind, version, size = struct.unpack_from(f"{order}HhI", raw, at)
        if kind & 0x7FFF <= _LAST_KIND and -1 <= version <= 1000 and size < 1 << 31:
            return kind & 0x7FFF, size
    return None


def _region(path: Path, raw: bytes, format_name: str) -> xr.Dataset:
    """Make a Spectrum of one binary wave of version 5."""
    from igor2 import binarywave

    if len(raw) < 384:
        raise truncated(path, len(raw), 384, "the wave header")
    order = "<" if raw[:2] == b"\x05\x00" else ">"
    needed = 64 + int(np.frombuffer(raw, f"{order}i4", 1, 4)[0])
    if len(raw) < needed:
        raise truncated(path, len(raw), needed, "the wave")
    try:
        wave: dict[str, Any] = binarywave.load(io.BytesIO(raw))["wave"]
        note = wave["note"].decode("latin-1")
        data = np.asarray(wave["wData"], dtype=float)
        header = wave["wave_header"]
    except Exception as error:  # igor2 raises what its parser meets
        raise FormatError(f"{path.name}: igor2 cannot read it: {error}") from None
    if "[SES]" not in note:
        raise FormatError(f"{path.name}: no [SES] note: not a wave of Scienta SES")
    info = fields(note.replace("\r", "\n").split("\n"))
    units = wave.get("dimension_units", b"").decode("latin-1")
    scale = [float(v) for v in header["sfA"]], [float(v) for v in header["sfB"]]
    energy = scale[1][0] + scale[0][0] * np.arange(data.shape[0])
    rows = data[None, :] if data.ndim == 1 else data.T
    if data.ndim > 3:
        raise FormatError(f"{path.name}: {data.ndim} dimensions; three are the most")
    along = None
    if data.ndim >= 2:
        along = [scale[1][1] + scale[0][1] * k for k in range(data.shape[1])]
    name = region_name(info.get("Region Name", "") or path.stem)
    info["Energy Axis"] = units or info.get("Energy Scale", "")
    return scienta_region(path, format_name, name, energy, rows, info, units, along)


FORMATS = (
    Format(
        name="scienta_ibw",
        title="Scienta SES Igor wave (.ibw)",
        suffixes=(".ibw",),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
    Format(
        name="scienta_pxt",
        title="Scienta SES packed experiment (.pxt)",
        suffixes=(".pxt",),
        techniques=("xps",),
        sniff=sniff_packed,
        read=read_packed,
    ),
)

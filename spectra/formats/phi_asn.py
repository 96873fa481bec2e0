"""PHI .ASN documents of spectra (PC-ACCESS era): an OLE compound file with one stream ``Contents``.

The stream is a serialised document without a public description. What is read was found in four
files beside the ``.spe`` and ``.txt`` of the same fourteen regions, with which every value agrees.
A region is the run, little-endian::

    name         u8 length + text (multiplex only)
    head         u32 points, u32 sweeps, u32 points - 1, u32 0, u32 1, u32 0, u32 points
    extremes     f32 least, f32 largest value
    values       points x f32, counts per second, from the high binding energy down
    tail         u32 0, u32 3, f32 low end, f32 high end, f32 step (eV), f32 time per step and
                 sweep (ms), f32, f32 pass energy, f32 photon energy, f32 work function (eV)

It is found by its head (five numbers that say the same) and taken only if the tail agrees with it:
points, ends and step. Binding energies are those of the file. Uncertainties: of counting, where the
rates are whole counts over time per step times sweeps.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._ole import streams
from ._xps import region, region_name, unique, with_reference_lines
from .base import Format, Options, Regions

_HEAD = struct.Struct("<7I")
_TAIL = struct.Struct("<II8f")
_MIDDLE = re.compile(rb"(?=\x00{4}\x01\x00{3}\x00{4}[\x00-\xff]{2}[\x00-\x0f]\x00)")
"""The three constants of the head, and a number of points below 2^20 after them."""


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is an OLE file of that ending."""
    return head.startswith(bytes.fromhex("d0cf11e0a1b11ae1")) and path.suffix.casefold() == ".asn"


def read(path: Path, options: Options) -> Regions:
    """Read all regions."""
    found = streams(path)
    if "Contents" not in found:
        raise FormatError(
            f"{path.name}: no stream Contents (found {', '.join(sorted(found)) or 'none'}): not a "
            "PHI document"
        )
    raw = found["Contents"]
    regions: dict[str, Any] = {}
    end = 0
    for match in _MIDDLE.finditer(raw):
        start = match.start() - 12
        if start < end:
            continue
        made = _block(raw, start)
        if made is None:
            continue
        end, values, low, high, numbers = made
        time, pass_energy, photon, work = numbers
        sweeps = _HEAD.unpack_from(raw, start)[1]
        label = region_name(_name(raw, start)) or "Survey"
        name = unique(label, regions)
        seconds = 1e-3 * time * sweeps
        regions[name] = region(
            path,
            "phi_asn",
            name,
            np.linspace(high, low, values.size),
            values,
            units="counts/s",
            attrs={
                "photon_energy_eV": round(photon, 2),
                "pass_energy_eV": round(pass_energy, 3),
                "work_function_eV": round(work, 3),
                "dwell_time_s": 1e-3 * time,
                "sweeps": int(sweeps),
            },
            seconds=seconds,
        )
    if not regions:
        raise FormatError(f"{path.name}: no region of spectra in it, or the file is truncated")
    return with_reference_lines(regions)


def _block(
    raw: bytes, start: int
) -> tuple[int, np.ndarray, float, float, tuple[float, float, float, float]] | None:
    """Return end, values, ends of the axis and numbers of a region; None where there is none."""
    if start < 0 or start + _HEAD.size + 8 > len(raw):
        return None
    points, sweeps, less, _, _, _, again = _HEAD.unpack_from(raw, start)
    begin = start + _HEAD.size + 8
    end = begin + 4 * points
    if points < 2 or less != points - 1 or again != points or not 0 < sweeps < 100_000:
        return None
    if end + _TAIL.size > len(raw):
        return None
    zero, three, low, high, step, time, _, pass_energy, photon, work = _TAIL.unpack_from(raw, end)
    with np.errstate(invalid="ignore"):
        values = np.frombuffer(raw, "<f4", points, begin).astype(float)
    numbers = (low, high, step, time, pass_energy, photon, work)
    plain = all(abs(v) < 1e5 for v in numbers) and np.all(np.abs(values) < 1e15)
    if (three, zero) != (3, 0) or not plain or not step > 0.0 or not time > 0.0:
        return None
    if abs((high - low) / step - (points - 1)) > 0.01 * points:
        return None
    return end, values, low, high, (time, pass_energy, photon, work)


def _name(raw: bytes, start: int) -> str:
    """Return the text before a head, if its length stands before it."""
    for size in range(2, 16):
        at = start - size - 1
        if at >= 0 and raw[at] == size and re.fullmatch(rb"[A-Za-z0-9 ]+", raw[at + 1 : start]):
            return raw[at + 1 : start].decode("latin-1")
    return ""


FORMATS = (
    Format(
        name="phi_asn",
        title="PHI document of spectra (.ASN)",
        suffixes=(".asn",),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

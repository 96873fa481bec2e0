"""Powder patterns as text of start, step, end and intensities alone.

- Sietronics ``.cpi``: ``SIETRONICS XRD SCAN``, lines of start, end, step (deg), anode, wavelength
  (angstrom), date, speed, comment, ``SCANDATA``, then one intensity a line.
- Jade/MDI ``.mdi``: a title, then ``start step seconds anode wavelength end points``, then rows.
- ``.dat .rit .dbw .neu .xdd``: among the first six lines one that begins with start, step, end
  (RIET7, LHPM, DBWS, FullProf, D1A of ILL, DMC of PSI); then rows of intensities, and as many
  standard errors once more if they follow.

Whole numbers are counts, others have arbitrary units.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._xrd import WAVELENGTHS, pattern, step_axis
from .base import Format, Options, Regions, read_bytes

_SUFFIXES = (".dat", ".rit", ".dbw", ".neu", ".xdd")
_FLOAT = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_START = re.compile(rf"\s*({_FLOAT})[\s,]+({_FLOAT})[\s,]+({_FLOAT})(?=[\s,]|$)")
_MDI = re.compile(
    rf"\s*({_FLOAT})\s+({_FLOAT})\s+({_FLOAT})\s+([A-Za-z]{{1,2}})\s+({_FLOAT})\s+({_FLOAT})\s+(\d+)\s*$"
)


def _sniff_cpi(head: bytes, path: Path) -> bool:
    return head.lstrip().startswith(b"SIETRONICS XRD SCAN")


def _sniff_mdi(head: bytes, path: Path) -> bool:
    lines = head.decode("latin-1").splitlines()
    return len(lines) > 2 and bool(_MDI.match(lines[1]))


def _sniff_steps(head: bytes, path: Path) -> bool:
    if path.suffix.lower() not in _SUFFIXES or b"\0" in head:
        return False
    return _begin(head.decode("latin-1").splitlines()) is not None


def _begin(lines: list[str]) -> tuple[int, float, float, int] | None:
    """Line after the one of start, step, end; start, step and points. None if there is none."""
    for i, line in enumerate(lines[:6]):
        told = _START.match(line)
        if told is None or i + 1 >= len(lines):
            continue
        start, step, stop = (float(told[k]) for k in (1, 2, 3))
        if not (step > 0 and -20.0 <= start < stop <= 180.0):
            continue
        points = (stop - start) / step + 1
        row = lines[i + 1].split()
        # rows of three numbers below would be a table of three columns
        if points < 8 or abs(points - round(points)) > 2e-2 or len(row) == 3 or not row:
            continue
        if all(re.fullmatch(_FLOAT, w) for w in row):
            return i + 1, start, step, round(points)
    return None


def _values(path: Path, lines: list[str], first: int, points: int) -> list[float]:
    """Numbers from a line on; words below `points` of them are comments."""
    out: list[float] = []
    for number, line in enumerate(lines[first:], first + 1):
        words = line.replace(",", " ").split()
        try:
            out += [float(w) for w in words]
        except ValueError:
            if len(out) >= points or words[0].startswith(("#", "!", "%")):
                break
            raise FormatError(
                f"{path.name}: line {number}: {line[:40]!r} is not a row of intensities"
            ) from None
    while out and out[-1] in (-1000.0, -10000.0):  # marks of the end
        out.pop()
    return out


def _lines(path: Path) -> list[str]:
    return read_bytes(path, limit=256 * 1024**2).decode("latin-1").splitlines()


def _enough(path: Path, values: list[float], points: int) -> None:
    if len(values) < points:
        raise FormatError(
            f"{path.name}: {len(values)} intensities, the header says {points}: the file is "
            "truncated; copy it again"
        )


def read_cpi(path: Path, options: Options) -> Regions:
    """Read a Sietronics scan."""
    lines = _lines(path)
    mark = next((i for i, line in enumerate(lines) if line.strip() == "SCANDATA"), None)
    if mark is None or mark < 6:
        raise FormatError(f"{path.name}: no SCANDATA: the file is truncated")
    try:
        start, stop, step = (float(lines[k].replace(",", ".")) for k in (1, 2, 3))
    except ValueError:
        raise FormatError(f"{path.name}: lines 2 to 4 are not start, end and step") from None
    anode = lines[4].strip().capitalize()
    attrs: dict[str, Any] = {"anode": anode, "title": lines[mark - 1].strip() or None}
    try:
        attrs["wavelength_A"] = float(lines[5].replace(",", ".")) or None
    except ValueError:
        attrs["wavelength_A"] = WAVELENGTHS.get(anode, (None, None))[0]
    attrs["wavelength_2_A"] = WAVELENGTHS.get(anode, (None, None))[1]
    values = _values(path, lines, mark + 1, 1 << 30)
    _enough(path, values, 2)
    x = step_axis(path, "SCANDATA", start, step, len(values), stop)
    return {path.stem: pattern(path, "xrd_cpi", path.stem, x, values, units="counts", attrs=attrs)}


def read_mdi(path: Path, options: Options) -> Regions:
    """Read a Jade scan."""
    lines = _lines(path)
    told = _MDI.match(lines[1]) if len(lines) > 2 else None
    if told is None:
        raise FormatError(f"{path.name}: line 2 is not start, step, seconds, anode ... points")
    points = int(told[7])
    values = _values(path, lines, 2, points)
    _enough(path, values, max(points, 2))
    anode = told[4].capitalize()
    attrs = {
        "anode": anode, "title": lines[0].strip() or None, "wavelength_A": float(told[5]) or None,
        "wavelength_2_A": WAVELENGTHS.get(anode, (None, None))[1],
    }  # fmt: skip
    x = step_axis(path, "line 2", float(told[1]), float(told[2]), points, float(told[6]))
    return {
        path.stem: pattern(
            path, "xrd_mdi", path.stem, x, values[:points], units="counts", attrs=attrs
        )
    }


def read_steps(path: Path, options: Options) -> Regions:
    """Read a pattern of start, step, end and intensities."""
    lines = _lines(path)
    found = _begin(lines)
    if found is None:
        raise FormatError(f"{path.name}: none of the first lines is start, step, end")
    first, start, step, points = found
    values = _values(path, lines, first, points)
    _enough(path, values, points)
    error = np.array(values[points : 2 * points])
    stated = len(values) >= 2 * points and bool(np.all(error > 0))
    title = next((line.strip() for line in lines[: first - 1] if line.strip()), None)
    ds = pattern(
        path, "xrd_steps", path.stem, step_axis(path, "line 1", start, step, points),
        values[:points], units="1" if stated else "counts", attrs={"title": title},
        uncertainty=error if stated else None,
    )  # fmt: skip
    return {path.stem: ds}


FORMATS = (
    Format("xrd_cpi", "Sietronics scan", (".cpi",), ("xrd",), _sniff_cpi, read_cpi),
    Format("xrd_mdi", "Jade/MDI scan", (".mdi",), ("xrd",), _sniff_mdi, read_mdi),
    Format("xrd_steps", "Start, step, end", _SUFFIXES, ("xrd",), _sniff_steps, read_steps),
)

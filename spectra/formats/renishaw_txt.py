"""Renishaw WiRE text of maps and series: a long table, one row per channel and place.

First line: names after ``#`` apart by tabs, ``#X #Y #Wave #Intensity`` (maps), ``#Z``, ``#Time`` or
``#Depth`` before ``#Wave`` (series); then numbers apart by tabs or blanks, decimal point or comma,
one spectrum after the other, each descending. A single spectrum has ``#Wave #Intensity`` only.

Spectra are separated where coordinates change or the axis starts anew; all must have one axis. A
full grid becomes dims ``y, x`` (um), an interrupted one ``point`` with coordinates and the gaps
counted in attrs ``grid_gaps``. Raman shift in 1/cm (the file does not tell nm). Whole
numbers are counts.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from . import _raman
from .base import Format, Options, Regions

NAME = "renishaw_txt"
_DIMS = {"x": "x", "y": "y", "z": "z", "time": "time", "depth": "z", "focus": "z"}


def _names(line: str) -> list[str]:
    return [w.strip().lower() for w in re.split(r"[\s#]+", line.strip()) if w.strip("# ")]


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line names ``#Wave`` and ``#Intensity``."""
    first = _raman.head_text(head).lstrip().splitlines()[:1]
    return bool(first) and first[0].startswith("#") and {"wave", "intensity"} <= {*_names(first[0])}


def read(path: Path, options: Options) -> Regions:
    """Read the one map, series or spectrum."""
    lines = _raman.text_of(path).lstrip().splitlines()
    names = _names(lines[0]) if lines else []
    if names[-2:] != ["wave", "intensity"] or any(n not in _DIMS for n in names[:-2]):
        raise FormatError(
            f"{path.name}: line 1: columns {' '.join(names)[:60]!r}; allowed: X, Y, Z, Time, "
            "Depth, then Wave and Intensity"
        )
    table = _raman.rows(path, lines[1:], 2, None, len(names))
    wave = table[:, -2]
    moved = np.any(np.diff(table[:, :-2], axis=0) != 0, axis=1)
    turn = np.sign(np.diff(wave))
    anew = turn != turn[0] if turn.size else np.zeros(0, bool)
    starts = np.flatnonzero(np.concatenate(([True], moved | anew)))
    sizes = np.diff(np.append(starts, len(table)))
    points = int(sizes[0])
    if np.any(sizes != points):
        at = int(np.argmax(sizes != points))
        raise FormatError(
            f"{path.name}: spectrum {at + 1} (line {starts[at] + 2}) has {sizes[at]} points "
            f"instead of {points}: the file is truncated or damaged"
        )
    grid = wave.reshape(-1, points)
    if np.any(grid != grid[0]):
        raise FormatError(f"{path.name}: the spectra have different axes; export them one by one")
    values = table[:, -1].reshape(-1, points)
    where = {_DIMS[n]: table[starts, i] for i, n in enumerate(names[:-2])}
    outer: dict[str, npt.NDArray] = {}
    coords: _raman.Coords = {}
    attrs: dict[str, object] = {}
    shape: tuple[int, ...] = ()
    moving = [n for n, v in where.items() if np.ptp(v) > 0]
    for name, places in where.items():
        if name not in moving and not {"x", "y"} & {*moving}:
            attrs[f"stage_{name}_um" if name != "time" else "time_s"] = float(places[0])
    if len(values) > 1:
        shape = (len(values),)
        if {"x", "y"} <= {*where} and {*moving} <= {"x", "y"} and moving:
            outer, coords, shape, order = _raman.outer_of(where["x"], where["y"])
            values = values[order]
            if "point" in outer:
                grid_size = np.unique(where["x"]).size * np.unique(where["y"]).size
                attrs["grid_gaps"] = grid_size - len(values)
        elif len(moving) == 1 and np.unique(where[moving[0]]).size == len(values):
            outer = {moving[0]: where[moving[0]]}
        else:
            outer = {"point": np.arange(len(values))}
            units = {n: "s" if n == "time" else "um" for n in where}
            coords = {n: (("point",), v, units[n]) for n, v in where.items()}
    values = values.reshape(*shape, points)
    axis = ("raman_shift", grid[0])
    ds = _raman.raman(path, NAME, values, axis, outer=outer, coords=coords, attrs=attrs)
    return {"raman": ds}


FORMATS = (Format(NAME, "Renishaw WiRE text", (".txt",), ("raman",), sniff, read),)

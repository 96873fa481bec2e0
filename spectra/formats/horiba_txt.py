"""Horiba LabSpec text: one spectrum, maps, series (LabSpec 5 and 6).

Tab-separated, Latin-1 or UTF-8, decimal point or comma. LabSpec 6 begins with lines ``#name=``,
tab, value (acquisition time, accumulations, laser, stage position), the last of them
``#AxisType[n]=`` and ``#AxisUnit[n]=`` (0 intensity, 1 spectral axis). One spectrum: two columns,
axis and intensity. A map or series: first line ``k`` empty cells and the axis, then one line per
spectrum, ``k`` coordinates and its intensities. LabSpec 5 writes such a table without a header.

Two coordinates are X and Y (um), with a header Y and X; one is time (s), depth Z (um) or,
unnamed, ``scan``. Where the header names the coordinates its axes 2, 3 ... are the columns from
the right: the last one runs fastest. A full grid becomes dims ``y, x``; an irregular outline
stays ``point`` with coordinates ``x, y`` and nothing is filled in; attrs ``grid_gaps`` counts the
places of the bounding grid that were not measured. Older headers tell the unit in ``Range (nm)``;
without any the axis is Raman shift. A spectrum may stand in two lines, axis and intensities.
LabSpec stores counts as floats after its own corrections: whole ones are counts, others have
arbitrary units unless per second.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..errors import FormatError
from . import _raman
from .base import Format, Options, Regions

NAME = "horiba_txt"
_HEADER = re.compile(r"^#([^=\t]+(?:=[^\t=]+)*)=\t?(.*)$")
_KNOWN = ("#Acq. time", "#AxisType[", "#Accumulations=", "#Spike filter=", "#Readout mode=")
_NAMED = {
    "Accumulations": "accumulations",
    "Objective": "objective",
    "Grating": "grating",
    "Instrument": "instrument",
    "Detector": "detector_name",
    "ND Filter": "filter",
    "Title": "title",
    "Sample": "sample",
    "Spike filter": "spike_filter",
    "Acquired": "measured",
}


def sniff(head: bytes, path: Path) -> bool:
    """Whether it has LabSpec's header lines, or a first line of empty cells and an axis."""
    text = _raman.head_text(head)
    if not text or path.suffix.lower() not in _SUFFIXES:
        return False
    if text.startswith("#"):
        return sum(mark in text for mark in _KNOWN) >= 2
    cells = text.splitlines()[0].split("\t")
    blank = next((i for i, cell in enumerate(cells) if cell.strip()), 0)
    axis = [_raman.number(cell) for cell in cells[blank : blank + 20]]
    if not 1 <= blank <= 3 or len(axis) < 10 or any(v is None for v in axis):
        return False
    return bool(np.all(np.diff([v or 0.0 for v in axis]) > 0)) or bool(
        np.all(np.diff([v or 0.0 for v in axis]) < 0)
    )


def read(path: Path, options: Options) -> Regions:
    """Read the one spectrum, map or series."""
    lines = _raman.text_of(path).splitlines()
    header: dict[str, str] = {}
    start = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    for line in lines[:start]:
        match = _HEADER.match(line)
        if match:
            header.setdefault(match.group(1).strip(), match.group(2).strip())
    body = lines[start:]
    if not body or not any(line.strip() and not line.startswith("#") for line in body):
        raise FormatError(f"{path.name}: no numbers below the header: truncated; copy it again")
    if body[0].startswith("\t"):
        return {"raman": _table(path, body, start, header)}
    if len(body[0].rstrip("\r\n\t ").split("\t")) > 2:
        # One spectrum in two lines: axis and intensities.
        pairs = _raman.rows(path, body, start + 1, "\t").T
        if pairs.shape[1] != 2:
            raise FormatError(f"{path.name}: {pairs.shape[1]} lines below the header, expected two")
    else:
        pairs = _raman.rows(path, body, start + 1, "\t", 2)
    axis = _raman.axis_in(path, _axis_unit(header), pairs[:, 0])
    unit = _unit(header, 0)
    ds = _raman.raman(path, NAME, pairs[:, 1], axis, unit=unit, attrs=_attrs(header, True))
    return {"raman": ds}


def _table(path: Path, body: list[str], start: int, header: dict[str, str]) -> xr.Dataset:
    cells = body[0].rstrip("\r\n\t ").split("\t")
    blank = next((i for i, cell in enumerate(cells) if cell.strip()), len(cells))
    axis_values = [_raman.number(cell) for cell in cells[blank:]]
    if len(axis_values) < 2 or any(v is None for v in axis_values):
        raise FormatError(f"{path.name}: line {start + 1}: the first line is not an axis")
    x = np.array(axis_values, dtype=float)
    table = _raman.rows(path, body[1:], start + 2, "\t", blank + x.size)
    axis = _raman.axis_in(path, _axis_unit(header), x)
    names = _coordinates(header, blank)
    where = {name: table[:, i] for i, name in enumerate(names)}
    values = table[:, blank:]
    attrs = _attrs(header, False)
    outer: dict[str, npt.NDArray]
    coords: _raman.Coords = {}
    shape: tuple[int, ...] = (len(values),)
    if "x" in where and "y" in where and np.ptp(where.get("z", np.zeros(1))) == 0:
        outer, coords, shape, order = _raman.outer_of(where["x"], where["y"])
        values = values[order]
        if "point" in outer:
            attrs["grid_gaps"] = np.unique(where["x"]).size * np.unique(where["y"]).size - len(
                values
            )
    elif len(names) == 1 and names[0] != "scan" and np.unique(table[:, 0]).size == len(table):
        outer = {names[0]: table[:, 0]}
    else:
        dim = "scan" if len(names) == 1 else "point"
        outer = {dim: np.arange(len(table))}
        coords = {n: ((dim,), v, "s" if n == "time" else "um") for n, v in where.items()}
        if "scan" in coords:
            coords["place"] = ((dim,), coords.pop("scan")[1], "1")
    return _raman.raman(
        path,
        NAME,
        values.reshape(*shape, x.size),
        axis,
        unit=_unit(header, 0),
        outer=outer,
        coords=coords,
        attrs=attrs,
    )


def _coordinates(header: dict[str, str], count: int) -> list[str]:
    """Names of the leading columns."""
    told = [header.get(f"AxisType[{n}]", "").strip().lower() for n in range(2, 2 + count)]
    names = [{"t": "time", "time": "time"}.get(name, name) for name in reversed(told)]
    if all(name in ("x", "y", "z", "time") for name in names) and len(set(names)) == count:
        return names
    # LabSpec 5 writes X first, LabSpec 6 (which has a header) the slow axis Y.
    pair = ["y", "x"] if "AxisType[1]" in header else ["x", "y"]
    return {1: ["scan"], 2: pair}.get(count, ["x", "y", "z"])


def _axis_unit(header: dict[str, str]) -> str:
    """Return the unit of the spectral axis; older headers have it in the name of the range."""
    told = _unit(header, 1)
    if told:
        return told
    for key in header:
        match = re.match(r"(?:Range|Spectro)\w* \((nm|eV)\)", key)
        if match:
            return match.group(1)
    return "1/cm"


def _unit(header: dict[str, str], number: int) -> str:
    return header.get(f"AxisUnit[{number}]", "").strip()


def _attrs(header: dict[str, str], place: bool) -> dict[str, object]:
    attrs: dict[str, object] = {
        name: header[key] for key, name in _NAMED.items() if header.get(key)
    }
    if "accumulations" in attrs:
        attrs["accumulations"] = _raman.leading(str(attrs["accumulations"]))
    for key, value in header.items():
        word = key.lower()
        if word.startswith("acq. time"):
            attrs["acquisition_time_s"] = _raman.number(value)
        elif word.startswith("laser") and "laser_nm" not in attrs:
            attrs["laser_nm"] = _raman.leading(value)
        elif place and word[:3] in ("x (", "y (", "z ("):
            attrs[f"stage_{word[0]}_um"] = _raman.number(value)
        elif word.startswith("base:"):
            attrs["labspec_processing"] = f"{attrs.get('labspec_processing', '')} {key}".strip()
    return attrs


_SUFFIXES = (".txt", ".dat", ".asc", ".csv")
FORMATS = (Format(NAME, "Horiba LabSpec text", _SUFFIXES, ("raman",), sniff, read),)

"""WITec text exports: ASCII files with ``[Header]`` and tables with column labels or units.

``//Exported ASCII-File``, ``[Header]`` of ``name = value`` lines, ``[Data]``, a line of labels, a
line of units, then rows: axis and one column per spectrum (pixels row by row, ``SizeX`` fastest).
The table export has no header; it begins with the labels (``X-Axis``, name), or with the units
(``rel. 1/cm``, ``CCD cts``), or both. Separated by comma, tab or semicolon; decimal point or comma.
A table with neither is plain columns: see `columns_text`.

The axis is in the unit of the file; nm stays a wavelength, labels without units are Raman shift.
``CCD cts`` that are whole are counts; averaged accumulations have arbitrary units. Where the
header has ``ScanWidth`` and ``ScanHeight`` a map becomes dims ``y, x``; without them the pitch is
unknown and its pixels are ``point`` with coordinates ``column`` and ``row`` (from
``SizeX``, or from labels that end in ``(column/row)``); a single spectrum keeps its stage position
in attrs. Uncertainties: none in the file.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..errors import FormatError
from . import _raman
from .base import Format, Options, Regions

NAME = "witec_txt"
_PIXEL = re.compile(r"\((\d+)/(\d+)\)\s*$")
_UNITS = ("rel. 1/cm", "1/cm", "nm", "µm", "ev")
_ATTRS = {
    "graphname": "title",
    "filename": "project",
    "positionx": "stage_x_um",
    "positiony": "stage_y_um",
    "positionz": "stage_z_um",
    "excitationwavelength": "laser_nm",
    "excitation wavelength": "laser_nm",
    "integrationtime": "acquisition_time_s",
    "numberofaccumulations": "accumulations",
}


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is WITec's ASCII export or a table that begins with its labels or units."""
    text = _raman.head_text(head)
    lines = text.splitlines()
    if not lines or path.suffix.lower() not in _SUFFIXES:
        return False
    if lines[0].startswith("//Exported ASCII-File"):
        return True
    if lines[0].strip() == "[Header]":
        return "GraphName" in text and "SizeGraph" in text
    cells = _cells(lines[0])
    if len(cells) < 2:
        return False
    if cells[0] == "X-Axis":
        return True
    return _is_unit(cells[0]) and all("cts" in c.lower() or c == "a.u." for c in cells[1:10])


def _delimiter(line: str) -> str:
    return next((mark for mark in ("\t", ";") if mark in line), ",")


def _cells(line: str) -> list[str]:
    mark = _delimiter(line)
    return [cell.strip() for cell in line.strip("\r\n ").rstrip(mark).split(mark)]


def _is_unit(cell: str) -> bool:
    return cell.lower().replace("μ", "µ") in _UNITS


def read(path: Path, options: Options) -> Regions:
    """Read the spectra of one export."""
    lines = _raman.text_of(path).splitlines()
    header: dict[str, str] = {}
    start = 0
    if lines and (lines[0].startswith("//") or lines[0].strip() == "[Header]"):
        start = next((i + 1 for i, line in enumerate(lines) if line.strip() == "[Data]"), 0)
        if not start:
            raise FormatError(f"{path.name}: no [Data] below the header: truncated; copy it again")
        for line in lines[:start]:
            name, found, value = line.partition("=")
            if found:
                header[name.strip().lower()] = value.strip()
    labels: list[str] = []
    units: list[str] = []
    while start < len(lines):
        cells = _cells(lines[start])
        if cells and cells[0] and _raman.number(cells[0]) is not None:
            break
        if cells and _is_unit(cells[0]):
            units = cells
        elif cells and cells[0]:
            labels = cells
        start += 1
    if start >= len(lines):
        raise FormatError(f"{path.name}: no row of numbers: the file is truncated; copy it again")
    mark = _delimiter(lines[start])
    table = _raman.rows(path, lines[start:], start + 1, mark)
    unit = units[0] if units else header.get("xaxisunit", "rel. 1/cm")
    told = units[1] if len(units) > 1 else header.get("dataunit", "")
    axis = _raman.axis_in(path, unit, table[:, 0])
    values = table[:, 1:].T
    attrs: dict[str, object] = {}
    for key, name in _ATTRS.items():
        value = header.get(key, "")
        if name == "project":
            value = value.replace("\\", "/").rsplit("/", 1)[-1]
        attrs[name] = value if name in ("title", "project") else _raman.leading(value)
    attrs.setdefault("title", labels[1] if len(labels) == 2 else "")
    if len(values) == 1:
        ds = _raman.raman(path, NAME, values[0], axis, unit=told, attrs=attrs)
        return {"raman": ds}
    for name in ("stage_x_um", "stage_y_um", "stage_z_um"):
        attrs.pop(name)
    coords: _raman.Coords = {}
    grid = _stage(header, len(values))
    if grid is not None:
        outer, coords, shape, order = _raman.outer_of(*grid)
        values = values[order].reshape(*shape, -1)
        ds = _raman.raman(
            path, NAME, values, axis, unit=told, outer=outer, coords=coords, attrs=attrs
        )
        return {"raman": ds}
    pixels = _pixels(labels[1:], header, len(values))
    if pixels is not None:
        coords = {n: (("point",), pixels[:, i], "1") for i, n in enumerate(("column", "row"))}
    point = {"point": np.arange(len(values))}
    return {
        "raman": _raman.raman(
            path, NAME, values, axis, unit=told, outer=point, coords=coords, attrs=attrs
        )
    }


def _stage(header: dict[str, str], count: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Stage x and y (um) of every spectrum, where the header has the size of the scan."""
    columns, lines, width, height = (
        _raman.number(header.get(key, "")) for key in ("sizex", "sizey", "scanwidth", "scanheight")
    )
    unit = header.get("scanunit", "µm").replace("μ", "µ")
    scale = {"µm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3}.get(unit)
    if not columns or not lines or columns * lines != count or scale is None:
        return None
    if width is None or height is None or width < 0 or height < 0 or width + height == 0:
        return None
    x0, y0 = (_raman.number(header.get(f"scanorigin{a}", "")) or 0.0 for a in "xy")
    at = np.arange(count)
    # The origin is the middle of the scan; rows of the image go down, y of the stage goes up.
    x = x0 + (at % int(columns) - columns / 2) * width / columns
    y = y0 - (at // int(columns) - lines / 2) * height / lines
    return scale * x, scale * y


def _pixels(labels: list[str], header: dict[str, str], count: int) -> np.ndarray | None:
    """Column and row of every spectrum, shape (spectra, 2), where the file tells."""
    found = [_PIXEL.search(label) for label in labels]
    if len(found) == count and all(found):
        return np.array([[int(m.group(1)), int(m.group(2))] for m in found if m])
    columns, lines = (_raman.number(header.get(key, "")) for key in ("sizex", "sizey"))
    if columns and lines and columns * lines == count:
        at = np.arange(count)
        return np.stack([at % int(columns), at // int(columns)], axis=1)
    return None


_SUFFIXES = (".txt", ".csv", ".dat", ".asc")
FORMATS = (Format(NAME, "WITec text export", _SUFFIXES, ("raman",), sniff, read),)

"""WITec text exports: ASCII files with ``[Header]`` and tables with column labels or units.

``//Exported ASCII-File``, ``[Header]`` of ``name = value`` lines, ``[Data]``, a line of labels, a
line of units, then rows: axis and one column per spectrum (pixels row by row, ``SizeX`` fastest).
The table export has no header; it begins with the labels (``X-Axis``, name), or with the units
(``rel. 1/cm``, ``CCD cts``), or both. Separated by comma, tab or semicolon; decimal point or comma.
A table with neither is plain columns: see `columns_text`. Split exports are three files: open the
``... (Header).txt``; its ``(X-Axis)`` and ``(Y-Axis)`` files of the same name must lie beside it
(their hashes are in attrs ``companions``).

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
from .base import Format, Options, Regions, sha256

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
        for line in lines[: start or None]:
            name, found, value = line.partition("=")
            if found:
                header[name.strip().lower()] = value.strip()
        if not start:
            return _split(path, header)
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
    title = labels[1] if len(labels) == 2 else ""
    return _made(path, header, (unit, told), table[:, 0], table[:, 1:].T, labels[1:], title)


def _split(path: Path, header: dict[str, str]) -> Regions:
    """Read the axis and the spectra of a header from the files beside it."""
    beside = []
    for part in ("X-Axis", "Y-Axis"):
        name = re.sub("Header", part, path.name, flags=re.IGNORECASE)
        if name == path.name or not (path.parent / name).is_file():
            wanted = name if name != path.name else f"... ({part}){path.suffix}"
            raise FormatError(
                f"{path.name}: no [Data] below the header and no {wanted!r} beside it: copy the "
                "files of a split export together, or the file is truncated"
            )
        beside.append(path.parent / name)
    x, y = (_column(file) for file in beside)
    if x.size < 2 or y.size == 0 or y.size % x.size:
        raise FormatError(
            f"{beside[1].name}: {y.size} values for an axis of {x.size} points: truncated; copy it "
            "again"
        )
    graph = _raman.number(header.get("sizegraph", ""))
    if graph is not None and graph != x.size:
        raise FormatError(
            f"{beside[0].name}: {x.size} points, the header says SizeGraph {graph:g}: not the "
            "files of one export"
        )
    units = header.get("xaxisunit", "rel. 1/cm"), header.get("dataunit", "")
    companions = "; ".join(f"{file.name} {sha256(file)}" for file in beside)
    return _made(path, header, units, x, y.reshape(-1, x.size), [], "", companions)


def _column(path: Path) -> np.ndarray:
    """Read all numbers of a file, one in a line."""
    text = _raman.text_of(path)
    try:
        values = np.array(text.replace(",", ".").split(), dtype=float)
    except ValueError:  # say in which line
        return _raman.rows(path, text.splitlines(), 1, None, 1)[:, 0]
    if not np.all(np.isfinite(values)):
        raise FormatError(f"{path.name}: values that are not finite; export it again")
    return values


def _made(
    path: Path,
    header: dict[str, str],
    units: tuple[str, str],
    x: np.ndarray,
    values: np.ndarray,
    labels: list[str],
    title: str,
    companions: str = "",
) -> Regions:
    """Make the Spectrum of values, shape (spectra, points)."""
    unit, told = units
    axis = _raman.axis_in(path, unit, x)
    attrs: dict[str, object] = {"companions": companions}
    for key, name in _ATTRS.items():
        value = header.get(key, "")
        if name == "project":
            value = value.replace("\\", "/").rsplit("/", 1)[-1]
        attrs[name] = value if name in ("title", "project") else _raman.leading(value)
    attrs.setdefault("title", title)
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
    pixels = _pixels(labels, header, len(values))
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

"""WITec's MATLAB export (``.mat``, version 5): a struct laid out like a PLS_Toolbox data set.

Fields used: ``data`` (points, or spectra x points), ``axisscale`` (one row per dimension of data:
values and unit; the spectral one is the last), ``imagesize`` (rows, columns of a map; the row runs
fastest), ``imageaxisscale`` (the same for the two directions of the map: y, then x, with values and
unit), ``name``, ``date``. Layout after RamanSPy's reader. Maps without ``imageaxisscale`` have no
pitch: they stay ``point`` with coordinates ``column`` and ``row``.

The axis is in the unit of the file: nm stays a wavelength. Whole numbers are counts. No uncertainty
is stored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from . import _mat5, _raman
from .base import Format, Options, Regions

NAME = "witec_mat"
_FIELDS = ("data", "axisscale", "imagesize")
_LENGTHS = {"µm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3}


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is a MATLAB 5 file with a struct of the fields of WITec's export."""
    part = _mat5.opening(head)
    return all(name.encode() in part for name in _FIELDS)


def read(path: Path, options: Options) -> Regions:
    """Read every struct of the file that holds spectra."""
    loaded = _mat5.read(path, _raman.MAX_TEXT)
    found = {
        name: value
        for name, value in loaded.items()
        if isinstance(value, dict) and all(field in value for field in _FIELDS)
    }
    if not found:
        raise FormatError(f"{path.name}: no struct with {', '.join(_FIELDS)}: nothing to read")
    return {
        ("raman" if len(found) == 1 else name): _spectrum(path, value, name)
        for name, value in found.items()
    }


def _scale(path: Path, cells: Any, row: int, what: str) -> tuple[npt.NDArray[np.float64], str]:
    """Values and unit of one row of a cell array of scales."""
    table = np.asarray(cells, dtype=object)
    if table.ndim != 2 or table.shape[0] <= row or table.shape[1] < 1:
        raise FormatError(f"{path.name}: {what} has no row {row + 1}: not WITec's export")
    entry, unit = table[row, 0], table[row, 1] if table.shape[1] > 1 else ""
    try:
        values = np.asarray(entry, dtype=float).ravel()
    except (TypeError, ValueError):
        raise FormatError(f"{path.name}: {what} holds no numbers: not WITec's export") from None
    return values, unit if isinstance(unit, str) else ""


def _spectrum(path: Path, entry: dict[str, Any], name: str) -> Any:
    try:
        data = np.asarray(entry["data"], dtype=float)
        size = [int(n) for n in np.asarray(entry["imagesize"], dtype=float).ravel()]
    except (TypeError, ValueError, OverflowError):
        raise FormatError(f"{path.name}: {name}: data or imagesize are no numbers") from None
    x, unit = _scale(path, entry["axisscale"], 1, "axisscale")
    axis = _raman.axis_in(path, unit or "rel. 1/cm", x)
    data = data.reshape(1, -1) if x.size == data.size else data
    if data.ndim != 2 or data.shape[1] != x.size:
        shown = " x ".join(map(str, data.shape))
        raise FormatError(f"{path.name}: {name}: data of {shown} on an axis of {x.size} points")
    title = entry.get("name")
    attrs = {"title": title if isinstance(title, str) else ""}
    if len(data) == 1:
        return _raman.raman(path, NAME, data[0], axis, attrs=attrs)
    at = np.arange(len(data))
    if len(size) != 2 or size[0] * size[1] != len(data):
        return _raman.raman(path, NAME, data, axis, outer={"point": at}, attrs=attrs)
    row, column = at % size[0], at // size[0]
    places = _places(path, entry, size)
    if places is None:
        coords: _raman.Coords = {
            "column": (("point",), column, "1"),
            "row": (("point",), row, "1"),
        }
        return _raman.raman(path, NAME, data, axis, outer={"point": at}, coords=coords, attrs=attrs)
    outer, coords, shape, order = _raman.outer_of(places[1][column], places[0][row])
    values = data[order].reshape(*shape, -1)
    return _raman.raman(path, NAME, values, axis, outer=outer, coords=coords, attrs=attrs)


def _places(path: Path, entry: dict[str, Any], size: list[int]) -> list[npt.NDArray] | None:
    """Return y of the rows and x of the columns in um, where the file has them."""
    if "imageaxisscale" not in entry:
        return None
    places = []
    for direction, count in enumerate(size):
        values, unit = _scale(path, entry["imageaxisscale"], direction, "imageaxisscale")
        factor = _LENGTHS.get((unit or "µm").replace("μ", "µ"))
        if values.size != count or factor is None or not np.all(np.isfinite(values)):
            return None
        places.append(values * factor)
    return places


FORMATS = (Format(NAME, "WITec MATLAB export", (".mat",), ("raman",), sniff, read),)

"""B&W Tek (BWSpec, BWRam) text: header of ``name;value`` lines, then a table of pixels.

Separated by semicolon, comma or tab; numbers with decimal comma or point, mixed in one file. The
table begins with a line of names: ``Pixel``, ``Wavelength`` (nm), ``Wavenumber``, ``Raman Shift``
(1/cm), ``Dark``, ``Reference``, ``Raw data #1``, ``Dark Subtracted #1`` and others. Pixels without
a shift (outside the calibrated range) are blank there and left out.

Intensity is ``Raw data``, never the subtracted column; ``Dark`` becomes the static ``background``.
Raw data are the average of ``average number`` exposures (attrs ``accumulations``): whole ones are
counts, averages have arbitrary units. Without shifts the axis is the wavelength. With no raw column
the subtracted one is read (attrs ``dark`` = subtracted). Several raw columns become dim ``scan``.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from . import _raman
from .base import Format, Options, Regions

NAME = "bwtek_txt"


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line is ``File Version`` of a BW program."""
    first = _raman.head_text(head).splitlines()[:1]
    return bool(first) and first[0].startswith("File Version") and "BW" in first[0]


def read(path: Path, options: Options) -> Regions:
    """Read the one spectrum (or the repeats) of the file."""
    lines = _raman.text_of(path).splitlines()
    # The first line may have another mark than the rest.
    named = next((line for line in lines if line.lower().startswith("pixel")), "")
    mark = named[5:6] if named[5:6] in (";", ",", "\t") else ";"
    header: dict[str, str] = {}
    start = -1
    for at, line in enumerate(lines):
        name, found, value = line.partition(mark)
        if name.strip().lower() == "pixel" and found:
            start = at
            break
        if found:
            header.setdefault(name.strip().lower(), value.strip().rstrip(mark).strip())
    if start < 0:
        raise FormatError(f"{path.name}: no line 'Pixel{mark}...': the header is truncated")
    names = [cell.strip() for cell in lines[start].split(mark)]
    body = [line.split(mark) for line in lines[start + 1 :] if line.strip()]
    short = next((i for i, cells in enumerate(body) if len(cells) < len(names) - 1), None)
    if short is not None:
        raise FormatError(
            f"{path.name}: line {start + 2 + short} has {len(body[short])} columns instead of "
            f"{len(names)}: the file is truncated; copy it again"
        )
    expected = _raman.number(header.get("pixel_num", ""))
    if expected is not None and header.get("all_data_save") == "1" and len(body) < expected:
        raise FormatError(
            f"{path.name}: {len(body)} of {expected:g} pixels: the file is truncated; copy it again"
        )
    axis_name = next(
        (n for n in ("Raman Shift", "Wavelength") if n in names and _some(names, body, n)), None
    )
    raw = [n for n in names if n.lower().startswith("raw data")]
    taken = raw or [n for n in names if n.lower().startswith("dark subtracted")]
    if axis_name is None or not taken:
        raise FormatError(
            f"{path.name}: line {start + 1}: needs Raman Shift or Wavelength and Raw data or "
            "Dark Subtracted; export again with all columns"
        )
    x = _column(path, names, body, axis_name, start, blank=True)
    inside = np.isfinite(x)
    values = np.array([_column(path, names, body, n, start)[inside] for n in taken])
    unit = "1/cm" if axis_name == "Raman Shift" else "nm"
    axis = _raman.axis_in(path, unit, x[inside])
    extra: _raman.Coords = {}
    if raw and "Dark" in names:
        dark = _column(path, names, body, "Dark", start)[inside]
        if np.any(dark != 0):
            extra["background"] = ((axis[0],), dark, "counts")
    exposure = _exposure(header)
    attrs = {
        "title": header.get("title"),
        "instrument": header.get("model"),
        "measured": header.get("date"),
        "laser_nm": _raman.number(header.get("laser_wavelength", "")),
        "laser_power_percent": _raman.number(header.get("laser_powerlevel", "")),
        "acquisition_time_s": exposure,
        "accumulations": _raman.number(header.get("average number", "")),
        "dark": "background" if extra else ("" if raw else "subtracted"),
    }
    outer = {} if len(values) == 1 else {"scan": np.arange(len(values))}
    ds = _raman.raman(
        path,
        NAME,
        values if outer else values[0],
        axis,
        outer=outer,
        extra=extra,
        attrs=attrs,
    )
    if extra:
        ds["background"].attrs.update(units=ds["intensity"].attrs["units"], kind="dark")
        ds["background"] = (
            ds["background"].broadcast_like(ds["intensity"]).assign_attrs(ds["background"].attrs)
        )
    return {"raman": ds}


def _exposure(header: dict[str, str]) -> float | None:
    """Exposure in s; the program writes ``intigration times`` in ms or us."""
    for name, value in header.items():
        number = _raman.number(value)
        if re.match(r"int[ei]gration times?\s*\(", name) and number is not None:
            return number * (1e-6 if "us" in name or "µs" in name else 1e-3)
    return None


def _some(names: list[str], body: list[list[str]], name: str) -> bool:
    at = names.index(name)
    return sum(_raman.number(cells[at]) is not None for cells in body) >= 2


def _column(
    path: Path, names: list[str], body: list[list[str]], name: str, start: int, *,
    blank: bool = False,
) -> npt.NDArray[np.float64]:  # fmt: skip
    at = names.index(name)
    found = np.full(len(body), np.nan)
    for row, cells in enumerate(body):
        value = _raman.number(cells[at])
        if value is not None:
            found[row] = value
        elif not blank or cells[at].strip():
            raise FormatError(
                f"{path.name}: line {start + 2 + row}: {name}: found {cells[at].strip()[:20]!r}, "
                "expected a number"
            )
    return found


FORMATS = (Format(NAME, "B&W Tek text", (".txt", ".csv"), ("raman",), sniff, read),)

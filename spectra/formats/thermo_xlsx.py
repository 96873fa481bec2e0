"""Excel workbooks of spectra: Thermo Avantage exports and KherveFitting, read with openpyxl.

Avantage: one sheet per measurement; ``Axis | Energy | Elements= | n`` in row 7, the file's path in
row 9, column titles in row 15 (``Binding Energy (E)``, then one column per fitted component,
``Backgnd.``, ``Envelope``, ``Residuals``), units in row 16, data from row 17. The sheet
``Quantifications`` (name, position, FWHM, area, at.%) belongs to all. Outside the fitted window
the columns of components and background are zero; inside they include the background.

KherveFitting: one sheet per core level, row 1 ``Binding Energy | Raw Data | ...``, the fit from
column 6 on. Intensities are counts per second in Avantage and of no stated unit otherwise. The
fit's curves are kept as ``reported_background``, ``reported_envelope`` and
``reported_components``, the table in attrs ``reported_peaks`` (JSON). Uncertainties: none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import FormatError
from ._xps import region, region_name, unique, with_reference_lines
from ._zip import Rows, sheets
from .base import Format, Options, Regions


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is an Excel workbook by content."""
    return (
        head.startswith(b"PK\x03\x04")
        and path.suffix.lower() == ".xlsx"
        and (b"[Content_Types].xml" in head or b"xl/" in head or b"docProps" in head)
    )


def read(path: Path, options: Options) -> Regions:
    """Read every sheet that holds a spectrum."""
    book = sheets(path)
    table = _table(book)
    regions: dict[str, xr.Dataset] = {}
    for title, rows in book.items():
        if _is_avantage(rows):
            make = _avantage
        elif rows and _words(rows[0])[:2] == ["Binding Energy", "Raw Data"]:
            make = _kherve
        else:
            continue
        label = title.removesuffix(" Scan").strip()
        name = unique(region_name(label), regions)
        regions[name] = make(path, name, rows, table)
    if not regions:
        raise FormatError(
            f"{path.name}: no sheet with a spectrum (found: {', '.join(book)}); Avantage and "
            "KherveFitting workbooks are read"
        )
    return with_reference_lines(regions)


def _words(row: tuple[Any, ...]) -> list[str]:
    return [str(v).strip() if v is not None else "" for v in row]


def _is_avantage(rows: Rows) -> bool:
    return len(rows) > 17 and _words(rows[14])[:1] == ["Binding Energy (E)"]


def _table(book: dict[str, Rows]) -> list[dict[str, Any]]:
    """Return the quantification table as a list of peaks."""
    rows = next((r for t, r in book.items() if t.startswith("Quantification")), [])
    if not rows:
        return []
    head = _words(rows[0])
    return [
        {h: v for h, v in zip(head[1:], row[1:], strict=False) if h and v is not None}
        for row in rows[1:]
        if len(row) > 2 and row[1] is not None
    ]


def _column(path: Path, name: str, rows: Rows, at: int) -> np.ndarray:
    values = [row[at] if at < len(row) else None for row in rows]
    if any(v is not None and not isinstance(v, (int, float)) for v in values):
        raise FormatError(f"{path.name}, sheet {name!r}: column {at + 1} holds text among numbers")
    return np.array([np.nan if v is None else float(v) for v in values])


def _avantage(path: Path, name: str, rows: Rows, table: list[dict[str, Any]]) -> xr.Dataset:
    heads, units = _words(rows[14]), _words(rows[15])
    body = [r for r in rows[16:] if r and isinstance(r[0], (int, float))]
    stated = rows[6][3] if len(rows[6]) > 3 else None
    if isinstance(stated, int) and stated != len(body):
        raise FormatError(
            f"{path.name}, sheet {name!r}: {len(body)} rows of {stated}: the sheet is cut off"
        )
    at = next((k for k, u in enumerate(units) if u.startswith("Counts") and k > 0), None)
    if at is None:
        raise FormatError(f"{path.name}, sheet {name!r}: no column of counts")
    unit = "counts/s" if "s" in units[at].removeprefix("Counts") else "counts"
    curves = {k: h for k, h in enumerate(heads) if k > at and h}
    extra, parts = _curves(path, name, body, curves, unit)
    attrs: dict[str, Any] = {"file": _words(rows[8])[0].replace("\\", "/").split("/")[-1]}
    own = [p for p in table if region_name(str(p.get("Name", "")).split(" ")[0]) == name]
    if parts and own:
        attrs["reported_peaks"] = json.dumps(own, ensure_ascii=False)
    return region(
        path,
        "thermo_xlsx",
        name,
        _column(path, name, body, 0),
        _column(path, name, body, at),
        units=unit,
        attrs=attrs,
        extra=extra,
    )


def _kherve(path: Path, name: str, rows: Rows, table: list[dict[str, Any]]) -> xr.Dataset:
    heads = _words(rows[0])
    body = [r for r in rows[1:] if r and isinstance(r[0], (int, float))]
    curves = {
        k: h
        for k, h in enumerate(heads)
        if k > 4 and h and h not in ("BE", "Residuals") and not h.startswith("Unnamed")
    }
    stop = next((k for k in range(6, len(heads)) if not heads[k]), len(heads))
    curves = {k: h for k, h in curves.items() if k < stop}
    extra, _ = _curves(path, name, body, curves, "1")
    return region(
        path,
        "thermo_xlsx",
        name,
        _column(path, name, body, 0),
        _column(path, name, body, 1),
        units="1",
        extra=extra,
    )


def _curves(
    path: Path, name: str, body: Rows, curves: dict[int, str], unit: str
) -> tuple[dict[str, tuple[tuple[str, ...], np.ndarray, str]], list[str]]:
    """Sort the columns of the fit into background, envelope and components."""
    extra: dict[str, tuple[tuple[str, ...], np.ndarray, str]] = {}
    parts: dict[str, np.ndarray] = {}
    for k, head in curves.items():
        values = _column(path, name, body, k)
        if head.startswith(("Backgnd", "Background")):
            extra["reported_background"] = (("binding_energy",), values, unit)
        elif head.startswith(("Envelope", "Calculated Fit")):
            extra["reported_envelope"] = (("binding_energy",), values, unit)
        elif not head.startswith("Residual"):
            parts[head] = values
    if parts:
        stacked = np.stack(list(parts.values()))
        extra["reported_components"] = (("component", "binding_energy"), stacked, unit)
    return extra, list(parts)


FORMATS = (
    Format(
        name="thermo_xlsx",
        title="Thermo Avantage and KherveFitting workbooks (.xlsx)",
        suffixes=(".xlsx",),
        techniques=("xps",),
        sniff=sniff,
        read=read,
        generic=True,
    ),
)

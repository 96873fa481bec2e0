"""Gamry text files (.DTA): tables of one experiment.

Layout: ``EXPLAIN``, tab-separated settings, then tables ``<NAME> TABLE [rows]``, a line of column
names, a line of units and indented rows; Latin-1; decimal point or decimal comma. Each table is a
region (``CURVE1``, ``OCVCURVE``, ``ZCURVE``): T, Time (s), Vf or Vdc (V), Im or Idc (A, turned to
mA), Freq (Hz), Zreal, Zimag (ohm; Zimag signed). The announced number of rows is the plan, not the
count, so it is not trusted. No uncertainties.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from ..channels import channels
from ..errors import ConventionError, FormatError
from .base import Format, Options, Regions, read_bytes, source

_COLUMNS = {
    "Vf": ("voltage", "V", 1.0),
    "Vdc": ("voltage", "V", 1.0),
    "Im": ("current", "mA", 1e3),
    "Idc": ("current", "mA", 1e3),
    "Freq": ("frequency", "Hz", 1.0),
    "Zreal": ("impedance_re", "ohm", 1.0),
    "Zimag": ("impedance_im", "ohm", 1.0),
}


def sniff(head: bytes, path: Path) -> bool:
    """Whether the file starts with EXPLAIN and a tag."""
    return head.startswith(b"EXPLAIN") and b"TAG\t" in head[:200]


def read(path: Path, options: Options) -> Regions:
    """Read every table with voltage, current or impedance."""
    lines = read_bytes(path, limit=1024**3).decode("latin-1").splitlines()
    regions: dict[str, xr.Dataset] = {}
    for name, names, rows in _tables(lines):
        if not rows or not ({"T", "Time"} & set(names)) or not (set(_COLUMNS) & set(names)):
            continue
        regions[name] = _channels(path, name, names, rows, lines[1:2])
    if not regions:
        raise FormatError(
            f"{path.name}: no table with rows of time and voltage, current or impedance: the file "
            "may be truncated, or its experiment is of another kind"
        )
    return regions


def _tables(lines: list[str]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Yield (name, column names, rows) of every table."""
    for at, line in enumerate(lines):
        parts = line.split("\t")
        if len(parts) < 2 or parts[1].strip() != "TABLE" or not parts[0].strip():
            continue
        if at + 2 >= len(lines) or not lines[at + 1].startswith("\t"):
            continue
        rows = []
        for row in lines[at + 3 :]:
            if not row.startswith("\t"):
                break
            rows.append(row.split("\t")[1:])
        yield parts[0].strip(), [n.strip() for n in lines[at + 1].split("\t")[1:]], rows


def _channels(
    path: Path, name: str, names: list[str], rows: list[list[str]], tag: list[str]
) -> xr.Dataset:
    def column(key: str) -> np.ndarray:
        at = names.index(key)
        return np.array([float(row[at].replace(",", ".")) for row in rows])

    try:
        time = column("T" if "T" in names else "Time")
        found = {
            target: (column(key) * factor, units)
            for key, (target, units, factor) in _COLUMNS.items()
            if key in names
        }
    except (ValueError, IndexError):
        raise FormatError(
            f"{path.name}, table {name!r}: a row of {len(rows)} is cut or holds no number: the "
            "file may be truncated"
        ) from None
    src = source(path, "gamry_dta", name)
    spectra = "frequency" in found and "impedance_re" in found
    swept = bool(tag) and tag[0].strip() in ("TAG\tCV", "TAG\tLSV")
    try:
        if spectra:
            found["time"] = (time, "s")
            index = np.arange(time.size, dtype=float)
            return channels(index, found, technique="impedance", along="point", source=src)
        technique = "voltammetry" if swept else "cycling"
        return channels(time, found, technique=technique, source=src)
    except ConventionError as error:
        raise FormatError(f"{path.name}, table {name!r}: {error}") from None


FORMATS = (
    Format(
        name="gamry_dta",
        title="Gamry",
        suffixes=(".dta",),
        techniques=("cycling", "voltammetry", "impedance"),
        sniff=sniff,
        read=read,
    ),
)

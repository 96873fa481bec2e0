"""Gamry text files (.DTA): tables of one experiment.

Layout: ``EXPLAIN``, tab-separated settings, then tables ``<NAME> TABLE [rows]``, a line of column
names, a line of units and indented rows; Latin-1; decimal point or decimal comma. Each table is a
region (``CURVE1``, ``OCVCURVE``, ``ZCURVE``): T, Time (s), Vf, Vdc or Vstep (V), Im, Idc or Idif
(A, turned to mA), Pwr (W), Temp (degC; without a sensor it reads below -200 and is left out), Freq
(Hz), Zreal, Zimag (ohm; Zimag signed). The announced number of rows is the plan, not the count, so
it is not trusted.

``DATE`` and ``TIME`` are the start of the experiment (month first, unless only day first is a
date): that is time 0 of the open-circuit record, or of the curves where there is none; after an
open-circuit record a curve starts when that ended (attrs ``start_note``). Charge steps
(``TAG PWR800_CHARGE``) have a positive, discharge steps a negative current. No uncertainties.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import xarray as xr

from ..channels import channels
from ..errors import ConventionError, FormatError
from ._cell_assemble import numbered
from ._cell_numbers import one_stamp
from .base import Format, Options, Regions, read_bytes, source

_COLUMNS = {
    "Vf": ("voltage", "V", 1.0),
    "Vdc": ("voltage", "V", 1.0),
    "Vstep": ("voltage", "V", 1.0),
    "Im": ("current", "mA", 1e3),
    "Idif": ("current", "mA", 1e3),
    "Idc": ("current", "mA", 1e3),
    "Pwr": ("power", "W", 1.0),
    "Temp": ("temperature", "degC", 1.0),
    "Freq": ("frequency", "Hz", 1.0),
    "Zreal": ("impedance_re", "ohm", 1.0),
    "Zimag": ("impedance_im", "ohm", 1.0),
}
_MAIN = {"Vf", "Vdc", "Vstep", "Im", "Idc", "Idif", "Zreal"}
_SWEEPS = ("CV", "LSV", "SQUARE_WAVE", "DPV", "NPV", "CYCLIC", "POTENTIODYNAMIC", "MULTICV")


def sniff(head: bytes, path: Path) -> bool:
    """Whether the file starts with EXPLAIN and a tag."""
    return head.startswith(b"EXPLAIN") and b"TAG\t" in head[:200]


def read(path: Path, options: Options) -> Regions:
    """Read every table with voltage, current or impedance."""
    lines = read_bytes(path, limit=1024**3).decode("latin-1").splitlines()
    regions: dict[str, xr.Dataset] = {}
    for name, names, rows in _tables(lines):
        if not rows or not ({"T", "Time"} & set(names)) or not (_MAIN & set(names)):
            continue
        key, number = name, 2
        while key in regions:  # a repeated table is another region, never lost
            key, number = f"{name}_{number}", number + 1
        regions[key] = _channels(path, name, names, rows, lines[1:2])
    _stamp(regions, lines)
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
    if "temperature" in found and not np.any(found["temperature"][0] > -200.0):
        del found["temperature"]
    kind = tag[0].split("\t")[-1].strip() if tag else ""
    turned = _turned(found, kind)
    src = source(path, "gamry_dta", name)
    spectra = "frequency" in found and "impedance_re" in found
    swept = kind.startswith(_SWEEPS)
    attrs = {"current_note": "signs turned so that charging is positive"} if turned else {}
    try:
        if spectra:
            found["time"] = (time, "s")
            found["spectrum"] = (numbered(found["frequency"][0]), "1")
            index = np.arange(time.size, dtype=float)
            return channels(
                index, found, technique="impedance", along="point", attrs=attrs, source=src
            )
        technique = "voltammetry" if swept else "cycling"
        return channels(time, found, technique=technique, attrs=attrs, source=src)
    except ConventionError as error:
        raise FormatError(f"{path.name}, table {name!r}: {error}") from None


def _turned(found: dict[str, tuple[np.ndarray, str]], kind: str) -> bool:
    """Turn the current of a step whose tag says its direction; say whether it had to be."""
    if not kind.startswith("PWR800") or "current" not in found:
        return False
    sign = -1.0 if "DISCHARGE" in kind else 1.0 if "CHARGE" in kind else 0.0
    values, units = found["current"]
    if sign * float(np.median(values)) >= 0.0:
        return False
    found["current"] = (-values, units)
    return True


def _stamp(regions: dict[str, xr.Dataset], lines: list[str]) -> None:
    """Note when each table began, as far as the file says it."""
    head = {line.split("\t")[0]: line.split("\t")[2] for line in lines[:40]
            if line.count("\t") >= 2 and line.startswith(("DATE\t", "TIME\t"))}  # fmt: skip
    text = f"{head.get('DATE', '')} {head.get('TIME', '')}".strip()
    when = one_stamp(text)
    if when is None:
        return
    rest = regions.get("OCVCURVE")
    waited = float(rest["time"].values[-1]) if rest is not None and "time" in rest else 0.0
    for name, ds in regions.items():
        if name == "OCVCURVE" or not waited:
            ds.attrs["start"] = when.isoformat()
        else:
            ds.attrs["start"] = (when + timedelta(seconds=waited)).isoformat()
            ds.attrs["start_note"] = "start of the experiment plus its open-circuit record"


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

"""Arbin result files (.res): Microsoft Access databases, read with access-parser (Apache-2.0).

Layout: Jet 4 database. ``Channel_Normal_Table`` holds ``Test_ID``, ``Data_Point``, ``Test_Time`` s,
``DateTime`` (days since 1899-12-30), ``Step_Index``, ``Cycle_Index``, ``Current`` A (positive while
charging), ``Voltage`` V, ``Charge_Capacity``, ``Discharge_Capacity`` Ah, energies Wh;
``Global_Table`` one row per test with name, channel and start; ``Auxiliary_Table`` temperatures
(type 1) by test and data point. One region per test. Rows come in any order and are sorted by
``Data_Point``. Uncertainties: none.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..errors import FormatError
from ._cell_assemble import as_dataset
from ._cell_columns import Table
from ._cell_numbers import stamp
from .base import Format, Options, Regions, read_bytes, source

_MAGIC = b"\x00\x01\x00\x00Standard Jet DB\x00"
_ACE = b"\x00\x01\x00\x00Standard ACE DB\x00"
_MAX_BYTES = 2 * 1024**3
_NAMES = {
    "Test_Time": "Test_Time(s)",
    "Voltage": "Voltage(V)",
    "Current": "Current(A)",
    "Charge_Capacity": "Charge_Capacity(Ah)",
    "Discharge_Capacity": "Discharge_Capacity(Ah)",
    "Charge_Energy": "Charge_Energy(Wh)",
    "Discharge_Energy": "Discharge_Energy(Wh)",
    "Cycle_Index": "Cycle_Index",
    "Step_Index": "Step_Index",
    "DateTime": "DateTime",
}


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is an Access database with the ending .res."""
    return head.startswith((_MAGIC, _ACE)) and path.suffix.lower() == ".res"


def read(path: Path, options: Options) -> Regions:
    """Read every test of the file."""
    head = read_bytes(path, limit=_MAX_BYTES)[:32]
    if not head.startswith((_MAGIC, _ACE)):
        raise FormatError(f"{path.name}: not an Access database; Arbin's .res is one")
    rows, tests, aux = _tables(path)
    if not {"Test_Time", "Voltage", "Current"} <= set(rows) or not rows["Test_Time"]:
        raise FormatError(
            f"{path.name}: Channel_Normal_Table holds no rows of Test_Time, Voltage and Current: "
            "the file may be truncated; export it from Arbin's Data Watcher as csv"
        )
    size = min(len(values) for values in rows.values())
    number = np.asarray(rows.get("Test_ID", [1] * size)[:size])
    regions: dict[str, xr.Dataset] = {}
    for test in dict.fromkeys(number.tolist()):
        pick = np.flatnonzero(number == test)
        if "Data_Point" in rows:
            point = np.asarray(rows["Data_Point"][:size], dtype=float)[pick]
            pick = pick[np.argsort(point, kind="stable")]
        name = "cell" if len(set(number.tolist())) == 1 else f"test{test}"
        told = _told(tests, test)
        table = Table(
            [_NAMES[key] for key in _NAMES if key in rows],
            [
                np.asarray(rows[key][:size], dtype=float)[pick].tolist()
                for key in _NAMES
                if key in rows
            ],
        )
        ds = as_dataset(table, path, source(path, "arbin_res", name), told)
        points = np.asarray(rows["Data_Point"][:size])[pick] if "Data_Point" in rows else None
        regions[name] = _with_temperatures(ds, aux, test, points)
    return regions


def _tables(path: Path) -> tuple[Mapping[str, list[Any]], Mapping[str, Any], Mapping[str, Any]]:
    try:
        from access_parser import AccessParser  # type: ignore[import-untyped]
    except ImportError:
        raise FormatError(
            f"{path.name}: .res files need the package access-parser: pip install access-parser, "
            "or export the test as csv or xlsx"
        ) from None
    quiet = logging.getLogger("access_parser")
    level = quiet.level
    quiet.setLevel(logging.CRITICAL)
    try:
        database = AccessParser(str(path))
        rows = dict(database.parse_table("Channel_Normal_Table"))
        tests = _optional(database, "Global_Table")
        aux = _optional(database, "Auxiliary_Table")
    except Exception as error:  # the package raises whatever its parsing met
        reason = (str(error).splitlines() or [""])[0][:100] or type(error).__name__
        raise FormatError(
            f"{path.name}: access-parser cannot read it ({reason}); the file may be truncated: "
            "copy it again, or export the test as csv"
        ) from None
    finally:
        quiet.setLevel(level)
    return rows, tests, aux


def _optional(database: Any, name: str) -> Mapping[str, Any]:
    """Return a table that not all files have; one that cannot be read is as good as none."""
    if name not in database.catalog:
        return {}
    try:
        return dict(database.parse_table(name))
    except Exception:
        return {}


def _told(tests: Mapping[str, Any], test: object) -> dict[str, str]:
    """Return title, channel and start of a test."""
    ids = list(tests.get("Test_ID", []))
    if test not in ids:
        return {}
    at = ids.index(test)
    told: dict[str, str] = {}
    for key, name in (("Test_Name", "title"), ("Channel_Index", "channel"), ("Creator", "operator"),
                      ("Schedule_File_Name", "procedure")):  # fmt: skip
        values = tests.get(key, [])
        if at < len(values) and values[at] not in (None, ""):
            told[name] = str(values[at])
    begun = tests.get("Start_DateTime", [])
    when = stamp(str(begun[at]), False) if at < len(begun) else None
    if when is not None:
        told["start"] = when.isoformat(timespec="milliseconds")
    return told


def _with_temperatures(
    ds: xr.Dataset, aux: Mapping[str, Any], test: object, points: npt.NDArray[Any] | None
) -> xr.Dataset:
    """Add auxiliary temperatures, which are listed by data point."""
    needed = ("Test_ID", "Data_Point", "Auxiliary_Index", "Data_Type", "X")
    if points is None or not set(needed) <= set(aux) or points.size != ds.sizes["time"]:
        return ds
    size = min(len(aux[key]) for key in needed)
    column = {key: np.asarray(aux[key][:size], dtype=object) for key in needed}
    mine = (column["Test_ID"] == test) & (column["Data_Type"] == 1)
    for number, index in enumerate(dict.fromkeys(column["Auxiliary_Index"][mine].tolist())):
        rows = mine & (column["Auxiliary_Index"] == index)
        known = dict(zip(column["Data_Point"][rows], column["X"][rows], strict=True))
        values = np.array([float(known.get(p, np.nan)) for p in points.tolist()])
        name = "temperature" if number == 0 else f"temperature_{index}"
        if np.isfinite(values).any():
            ds[name] = ("time", values, {"units": "degC"})
    return ds


FORMATS = (
    Format(
        name="arbin_res",
        title="Arbin result database",
        suffixes=(".res",),
        techniques=("cycling",),
        sniff=sniff,
        read=read,
    ),
)

"""Neware binary files (.nda, .ndax), through the package NewareNDA (BSD-3).

Layout: ``NEWARE`` and fixed records (.nda, versions 29 and 130), or a zip of ``.ndc`` files with an
XML of the test (.ndax); see the package. Columns used: clock, time within the step, voltage V,
current mA (positive while charging), capacities mAh that restart every step (joined, see
`_cell_assemble`), cycle, step, auxiliary temperatures degC. Time is that of the records' clock,
with the fractions of a second from the time within the step. The clock is UTC where the file holds
it as such (attrs ``start`` then ends in ``+00:00``), else the computer's local clock.
Uncertainties: none.
"""

from __future__ import annotations

import logging
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._cell_assemble import as_dataset
from ._cell_columns import Table
from ._zip import opened
from .base import Format, Options, Regions, read_bytes, source

_MAX_UNPACKED = 4 * 1024**3
_NAMES = {
    "Voltage": "Voltage(V)",
    "Current(mA)": "Current(mA)",
    "Charge_Capacity(mAh)": "Charge_Capacity(mAh)",
    "Discharge_Capacity(mAh)": "Discharge_Capacity(mAh)",
    "Charge_Energy(mWh)": "Charge_Energy(mWh)",
    "Discharge_Energy(mWh)": "Discharge_Energy(mWh)",
    "Time": "Step_Time(s)",
    "Cycle": "Cycle",
    "Step": "Step",
    "Status": "Status",
}


def sniff(head: bytes, path: Path) -> bool:
    """Whether it starts with NEWARE, or is a zip with the ending .ndax."""
    if head.startswith(b"NEWARE"):
        return True
    return head.startswith(b"PK\x03\x04") and path.suffix.lower() == ".ndax"


def read(path: Path, options: Options) -> Regions:
    """Read all records."""
    head = read_bytes(path, limit=1024**3)[:8]
    if not (head.startswith(b"NEWARE") or head.startswith(b"PK")):
        raise FormatError(f"{path.name}: not a Neware file: it begins with {head[:6]!r}")
    if head.startswith(b"PK"):
        _check(path)
    try:
        from NewareNDA.NewareNDA import read_nda  # type: ignore[import-untyped]
        from NewareNDA.NewareNDAx import read_ndax  # type: ignore[import-untyped]
    except ImportError:
        raise FormatError(
            f"{path.name}: Neware files need the package NewareNDA: pip install NewareNDA, or "
            "export the test as csv"
        ) from None
    reader = read_ndax if head.startswith(b"PK") else read_nda
    talk = logging.getLogger("newarenda")
    level = talk.level
    talk.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = reader(str(path), software_cycle_number=True)
    except Exception as error:  # the package raises whatever its parsing met
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        reason = reason.replace(str(path), path.name)
        raise FormatError(
            f"{path.name}: NewareNDA cannot read it ({reason}); the file may be truncated or of a "
            "newer version: export the test as csv"
        ) from None
    finally:
        talk.setLevel(level)
    if frame is None or not len(frame):
        raise FormatError(f"{path.name}: no record in it: the file may be truncated")
    ds = as_dataset(_table(frame, path), path, source(path, "neware_nda", "cell"), {})
    return {"cell": ds}


def _check(path: Path) -> None:
    with opened(path, _MAX_UNPACKED) as archive:
        names = archive.namelist()
        texts = [name for name in names if name.lower().endswith(".xml")]
        if any(b"<!DOCTYPE" in _beginning(archive, name) for name in texts):
            raise FormatError(f"{path.name}: an XML inside declares a DOCTYPE; not Neware's")
    if not any(name.lower().endswith(".ndc") for name in names):
        raise FormatError(f"{path.name}: no .ndc file inside; not a Neware test")


def _beginning(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as stream:
        return stream.read(4096)


def _table(frame: Any, path: Path) -> Table:
    headings: list[str] = []
    columns: list[Any] = []
    for name in map(str, frame.columns):
        cells = frame[name]
        if name in _NAMES:
            headings.append(_NAMES[name])
            columns.append([str(c) for c in cells] if name == "Status" else _numbers(cells))
        elif name == "Timestamp":
            if getattr(cells.dt, "tz", None) is not None:  # never this machine's own zone
                cells = cells.dt.tz_convert("UTC")
            headings.append("DateTime")
            columns.append([stamp.isoformat(sep=" ") for stamp in cells])
        elif name[:1] in ("T", "t") and name[1:].isdigit():
            headings.append(f"{name}(degC)")
            columns.append(_numbers(cells))
    return Table(headings, columns)


def _numbers(cells: Any) -> Any:
    """Return single-precision numbers as the decimal numbers they print as."""
    values = cells.to_numpy()
    if values.dtype == np.float32:
        return np.array([float(str(v)) for v in values])
    return values.astype(float)


FORMATS = (
    Format(
        name="neware_nda",
        title="Neware binary",
        suffixes=(".nda", ".ndax"),
        techniques=("cycling",),
        sniff=sniff,
        read=read,
    ),
)

"""ZPlot and ZView impedance text (.z), of all versions, and the same layout of other programs.

Since ZPlot 3: ``ZPLOT2 ASCII``, settings, ``End Comments``, then rows apart by tabs or commas.
Before, and without comments: ``"ZPlotW Data File: Version ..."`` (Autolab's FRA writes ``"Z60W Data
File: ..."``), quoted lines, then a heading ``"  Freq(Hz)  Ampl  Bias ..."`` and rows apart by
commas. Each row: frequency Hz, amplitude V, bias V, time s, Z' ohm, Z'' ohm (signed), GD, error,
range. ``Date`` and ``Time`` give the start, month first. Uncertainties: none.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..channels import channels
from ..errors import FormatError
from ._cell_assemble import numbered
from ._cell_numbers import one_stamp
from .base import Format, Options, Regions, read_bytes, source

_MARKS = re.compile(rb'^"?(ZPLOT2 ASCII|ZPlotW Data File|Z60W Data File)', re.IGNORECASE)


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line is ZPlot's, in one of its versions."""
    return _MARKS.match(head) is not None


def read(path: Path, options: Options) -> Regions:
    """Read the rows below ``End Comments``, or below the line of headings."""
    lines = read_bytes(path, limit=256 * 1024**2).decode("latin-1").splitlines()
    start = next((i for i, line in enumerate(lines) if line.strip() == "End Comments"), None)
    if start is None:
        start = next((i for i, line in enumerate(lines) if re.match(r'"?\s*Freq', line)), None)
    if start is None:
        raise FormatError(
            f"{path.name}: neither 'End Comments' nor a line of headings 'Freq(Hz) ...': the file "
            "may be truncated"
        )
    rows = [re.split(r"[\s,]+", line.strip(" ,\t")) for line in lines[start + 1 :] if line.strip()]
    if not rows or min(len(row) for row in rows) < 6:
        raise FormatError(
            f"{path.name}: no rows of at least 6 numbers below line {start + 1}: the file may be "
            "truncated"
        )
    try:
        table = np.array([[float(v) for v in row[:6]] for row in rows])
    except ValueError as error:
        raise FormatError(
            f"{path.name}: a row below line {start + 1} is no number: {error}"
        ) from None
    when = _start("\n".join(lines[: start + 1]))
    ds = channels(
        np.arange(table.shape[0], dtype=float),
        {
            "frequency": (table[:, 0], "Hz"),
            "time": (table[:, 3], "s"),
            "impedance_re": (table[:, 4], "ohm"),
            "impedance_im": (table[:, 5], "ohm"),
            "spectrum": (numbered(table[:, 0]), "1"),
        },
        technique="impedance",
        along="point",
        attrs={"start": when} if when else {},
        source=source(path, "zplot_z", "impedance"),
    )
    return {"impedance": ds}


def _start(header: str) -> str:
    """Return the ISO time at which the sweep began, or an empty string."""
    date = re.search(r"^\s*Date:\s*(\S+)", header, re.MULTILINE)
    clock = re.search(r"\bTime:\s*(\d+:\d+:\d+)", header)
    if date is None or clock is None:
        return ""
    when = one_stamp(f"{date[1]} {clock[1]}")
    return when.isoformat() if when is not None else ""


FORMATS = (
    Format(
        name="zplot_z",
        title="ZPlot impedance",
        suffixes=(".z", ".txt"),
        techniques=("impedance",),
        sniff=sniff,
        read=read,
    ),
)

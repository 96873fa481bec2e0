"""EC-Lab and BT-Lab text exports (.mpt, .txt).

Layout: line 1 ``EC-Lab ASCII FILE``, line 2 ``Nb header lines : N``, line 4 the technique,
settings, then line N with the column names and rows of numbers, all separated by tabs; Latin-1;
decimal point or decimal comma, with or without thousands marks. ``Acquisition started on`` gives
the clock at time 0 (month first, or day first where only that is a date). Time may be exported as
dates (``11/20/2024 11:38:41.707``): then time 0 is that line, or the first row.

Some exports lack the lines above the column names (``time/s<TAB>Ewe/V``). EC-Lab's files beside
such a table, of the same name, fill in what it does not say: ``<name>_LOOP.txt`` the loops,
``<name>.mps`` the current of a galvanostatic technique (``_03_GCPL_`` is the third of the linked
techniques) and the ``.mpr`` files of the same run the clock at time 0, as linked techniques share
one time. attrs ``current_origin`` and ``start_origin`` name the file.

Columns, coordinates and units: `_biologic`. No uncertainties.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from ._biologic import as_regions
from ._biologic_beside import with_neighbours
from ._cell_numbers import decimal_comma, numbers, one_stamp, stamps
from ._cell_text import decoded
from .base import Format, Options, Regions, read_bytes, source
from .cell_table import is_eclab

_MAGIC = (b"EC-Lab ASCII FILE", b"BT-Lab ASCII FILE")
_DATE = re.compile(r"^\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\s+\d")


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line is the program's, or its column names."""
    if head.startswith(_MAGIC):
        return b"Nb header lines" in head[:300]
    if not head or b"\0" in head or b"\t" not in head[:400]:
        return False
    lines = decoded(head).splitlines()[:2]
    return len(lines) == 2 and is_eclab(lines[0]) and lines[1].count("\t") >= 1


def read(path: Path, options: Options) -> Regions:
    """Read the table."""
    lines = decoded(read_bytes(path, limit=2 * 1024**3)).splitlines()
    header = _header(lines, path)
    at = max(len(header) - 1, 0)
    names = [name.strip() for name in lines[at].rstrip("\t").split("\t")]
    rows = [line.rstrip("\t").split("\t") for line in lines[at + 1 :] if line.strip()]
    if not rows:
        raise FormatError(f"{path.name}: no rows below line {at + 1}")
    short = next((i for i, row in enumerate(rows) if len(row) < len(names)), None)
    if short is not None:
        raise FormatError(
            f"{path.name}: {len(names)} columns named, {len(rows[short])} found in row "
            f"{short + 1} of {len(rows)}: the file may be truncated"
        )
    comma = bool(decimal_comma([cell for row in rows[:100] for cell in row]))
    columns: dict[str, npt.NDArray[np.float64]] = {}
    start = _start(header)
    for i, name in enumerate(names):
        cells = [row[i] for row in rows]
        if name == "time/s" and _DATE.match(cells[0]):
            columns[name], start = _dated(cells, start, path)
        else:
            columns[name] = numbers(cells, comma)
    _check(columns, path, at)
    src = source(path, "biologic_mpt", "cell")
    loops = _loops(header)
    regions = as_regions(columns, path, src, start, swept=_swept(header), loops=loops)
    if header:
        return regions
    return {name: with_neighbours(ds, path) for name, ds in regions.items()}


def _header(lines: Sequence[str], path: Path) -> Sequence[str]:
    """Return the lines up to the column names; empty if the file begins with those."""
    if lines and is_eclab(lines[0]):
        return []
    told = re.search(r"Nb header lines\s*:\s*(\d+)", "\n".join(lines[:5]))
    size = int(told.group(1)) if told else 0
    if not 2 < size <= len(lines):
        raise FormatError(
            f"{path.name}: {size} header lines announced, {len(lines)} lines found: the file is "
            "truncated; export it again"
        )
    return lines[:size]


def _dated(cells: Sequence[str], start: str, path: Path) -> tuple[npt.NDArray[np.float64], str]:
    """Return time in s from exported dates, and the clock at time 0."""
    seconds, zero = stamps(cells, False)
    if zero is None or not np.isfinite(seconds).all():
        raise FormatError(f"{path.name}: time is exported as dates that cannot all be read")
    if start:
        offset = (zero - datetime.fromisoformat(start)).total_seconds()
        if -1.0 <= offset < 366 * 86400.0:
            return seconds + max(offset, 0.0), start
    return seconds, zero.isoformat()


def _check(columns: dict[str, npt.NDArray[np.float64]], path: Path, at: int) -> None:
    """Refuse a table whose main columns hold something that is no number."""
    for name in ("time/s", "freq/Hz"):
        if name in columns and not np.isfinite(columns[name]).all():
            bad = int(np.argmin(np.isfinite(columns[name])))
            raise FormatError(
                f"{path.name}: line {at + 2 + bad}: {name} is no number; the file may be "
                "truncated, or export with time in seconds"
            )


def _swept(header: Sequence[str]) -> bool | None:
    """Whether the named technique is a voltammetry; None if none is named."""
    title = " ".join(line.strip() for line in header[2:5])
    return "voltammetry" in title.lower() if title.strip() else None


def _loops(header: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the first rows of ``Loop 0 from point number 0 to 20``, where they are listed."""
    found = [re.match(r"\s*Loop \d+ from point number (\d+) to", line) for line in header]
    return np.array([int(match[1]) for match in found if match], dtype=np.int64)


def _start(header: Sequence[str]) -> str:
    """Return the ISO time at which the acquisition started, or an empty string."""
    for line in header:
        if line.startswith("Acquisition started on"):
            text = line.split(":", 1)[1].strip()
            when = one_stamp(text)
            return when.isoformat() if when is not None else ""
    return ""


FORMATS = (
    Format(
        name="biologic_mpt",
        title="EC-Lab text",
        suffixes=(".mpt", ".txt"),
        techniques=("cycling", "voltammetry", "impedance"),
        sniff=sniff,
        read=read,
    ),
)

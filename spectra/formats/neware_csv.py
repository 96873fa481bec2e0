"""Neware csv and text exports in layers: cycles, their steps, their records, each indented.

Layout: three lines of headings, the first at column 0 (``Cycle Index``, ``Chg. Cap.(Ah)`` ...), the
second one cell in (``Step Index``, ``Step Type`` ...), the third two cells in (``DataPoint``,
``Time``, ``Total Time``, ``Current(A)``, ``Voltage(V)``, ``Date`` ...), then rows in the same
places; comma or tab; UTF-8, Latin-1 or GB18030. Some versions put a cycle and its first step on one
line. Records are numbered by the cycle and step they stand under. Capacity counts within a step;
its direction is the step's (``CC Chg``, ``CC DChg``), so that the result is net charge
(`_cell_assemble`); older versions print the current without sign, which the step mends. The flat
export is an ordinary table (`cell_table`). Uncertainties: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import FormatError
from ._cell_assemble import as_dataset
from ._cell_columns import Table
from ._cell_text import decoded, split
from .base import Format, Options, Regions, read_bytes, source
from .cell_table import is_layered

_MAX_BYTES = 1024**3


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first three lines are indented headings of cycles, steps and records."""
    return bool(head) and b"\0" not in head and is_layered(decoded(head).splitlines()[:3])


def read(path: Path, options: Options) -> Regions:
    """Read the records of all cycles."""
    lines = decoded(read_bytes(path, limit=_MAX_BYTES)).splitlines()
    if not is_layered(lines[:3]):
        raise FormatError(f"{path.name}: the first three lines are not headings of three layers")
    mark = next(m for m in ("\t", ",", ";") if m in lines[0])
    heads = [split(line, mark) for line in lines[:3]]
    records, cycles, steps, states = _records(lines[3:], mark, heads)
    if not records:
        raise FormatError(f"{path.name}: no record below the headings: the file may be truncated")
    names = [name.strip() for name in heads[2]]
    columns = [
        [row[i].strip() if i < len(row) else "" for row in records] for i in range(len(names))
    ]
    table = Table(
        [*names, "Cycle Index", "Step Number", "Step Type"], [*columns, cycles, steps, states]
    )
    ds = as_dataset(table, path, source(path, "neware_csv", "cell"), {})
    return {"cell": ds}


def _records(
    lines: Sequence[str], mark: str, heads: Sequence[Sequence[str]]
) -> tuple[list[list[str]], list[str], list[str], list[str]]:
    """Return the records with the cycle, the step and the step's kind that each stands under."""
    second = [name.strip().lower() for name in heads[1]]
    kind_at = next((i for i, n in enumerate(second) if n in ("step type", "step name")), None)
    step_at = next((i for i, n in enumerate(second) if n == "step number"), 1)
    records, cycles, steps, states = [], [], [], []
    cycle = step = kind = ""
    for line in lines:
        cells = split(line, mark)
        if len(cells) < 3:
            continue
        if cells[0].strip():
            cycle = cells[0].strip()
            cells = ["", *cells[len(heads[0]) :]]  # a step on the cycle's line
            if len(cells) < 3:
                continue
        if cells[1].strip():
            step = cells[step_at].strip() if step_at < len(cells) else cells[1].strip()
            kind = cells[kind_at].strip() if kind_at is not None and kind_at < len(cells) else ""
        elif cells[2].strip():
            records.append(cells)
            cycles.append(cycle)
            steps.append(step)
            states.append(kind)
    return records, cycles, steps, states


FORMATS = (
    Format(
        name="neware_csv",
        title="Neware layered export",
        suffixes=(".csv", ".txt"),
        techniques=("cycling",),
        sniff=sniff,
        read=read,
    ),
)

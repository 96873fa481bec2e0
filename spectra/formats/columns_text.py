"""Plain text tables of an axis and several spectra (tell the technique).

Rows of numbers, all of the same length, apart by tab, semicolon, comma or blanks; decimal point or
comma (point where the comma separates). First column: the technique's axis (channels of NDP and
EDXRD where it counts 0, 1, 2 ...), the others one spectrum each, of dim ``point``. Four columns are
the least: three may be axis, intensity and error. At most one line of labels; comment lines begin
with ``#`` or ``%``. Whole numbers are counts, others have arbitrary units. The file does not say
what was measured: the technique has to be told.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import FormatError, TechniqueNeeded
from . import _raman
from .base import Format, Options, Regions
from .table_text import axis_name

NAME = "columns_text"
_LEAST = 4
_AXES = {
    "raman": "raman_shift",
    "xps": "binding_energy",
    "nmr": "chemical_shift",
    "xrd": "two_theta",
    "edxrd": "photon_energy",
    "ndp": "particle_energy",
}


def _mark(line: str) -> str | None:
    return next((m for m in ("\t", ";") if m in line), "," if "," in line else None)


def _row(line: str) -> int:
    """Columns of a line of numbers, 0 if it is none."""
    mark = _mark(line)
    text = line.strip().rstrip(mark)
    cells = text.split(mark)
    return len(cells) if all(_raman.number(cell) is not None for cell in cells) else 0


def _comment(line: str) -> bool:
    return not line.strip() or line.startswith(("#", "%"))


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is rows of four or more numbers below at most one line of labels."""
    text = _raman.head_text(head)
    if path.suffix.lower() not in _SUFFIXES or not text:
        return False
    lines = [line for line in text.splitlines()[:-1][:40] if not _comment(line)]
    widths = [_row(line) for line in lines]
    rows = widths[1:] if widths and widths[0] == 0 else widths
    return len(rows) >= 2 and rows[0] >= _LEAST and len(set(rows)) == 1


def read(path: Path, options: Options) -> Regions:
    """Read all spectra of the table."""
    if options.technique is None:
        raise TechniqueNeeded(f"{path.name}: the technique has to be told")
    lines = _raman.text_of(path).splitlines()
    start = next((i for i, line in enumerate(lines) if _row(line) >= _LEAST), None)
    if start is None:
        raise FormatError(f"{path.name}: no row of {_LEAST} numbers")
    table = _raman.rows(path, lines[start:], start + 1, _mark(lines[start]))
    values = table[:, 1:].T
    ds = _raman.raman(
        path,
        NAME,
        values,
        (axis_name(options.technique, table[:, 0]), table[:, 0]),
        outer={"point": np.arange(len(values))},
        region=options.technique,
        technique=options.technique,
    )
    return {options.technique: ds}


_SUFFIXES = (".txt", ".csv", ".dat", ".asc", ".prn")
FORMATS = (
    Format(
        name=NAME,
        title="Columns of text: an axis and several spectra (tell the technique)",
        suffixes=_SUFFIXES,
        techniques=tuple(_AXES),
        sniff=sniff,
        read=read,
        generic=True,
    ),
)

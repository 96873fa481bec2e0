"""Find the table in a text file of a cycler, logger or impedance program.

The encoding (UTF-8, UTF-16 with mark, GB18030, Latin-1), the line with the headings, the mark
between cells (tab, semicolon, comma, blanks) and the decimal mark are found from the content. A
line of units below the headings is joined to them.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import FormatError
from ._cell_columns import Table, suffices
from ._cell_numbers import decimal_comma, duration, number, stamp
from ._cell_words import meaning, plain_unit

SEARCHED = 400
"""Lines in which the headings must lie."""

_SPACED_DATE = re.compile(r"(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}) +(\d{1,2}:\d{2}:\d{2})")
_UNITS = {"s", "sec", "min", "h", "v", "mv", "a", "ma", "ua", "ah", "mah", "wh", "mwh", "w", "mw",
          "degc", "c", "ohm", "hz", "hms", "deg", "mpa", "bar", "k"}  # fmt: skip


def decoded(raw: bytes) -> str:
    """Return a text file's content; a byte that no encoding explains never stops the reading."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start > len(raw) - 4:
            return raw.decode("utf-8-sig", errors="ignore")
    if b"\xa1\xe6" in raw:  # the degree sign of Chinese Windows
        return raw.decode("gb18030", errors="replace")
    return raw.decode("latin-1")


def split(line: str, mark: str) -> list[str]:
    """Return the cells of a line; quotes hold marks together."""
    if mark == " ":
        return _SPACED_DATE.sub(r"\1T\2", line).split()
    if mark == "  ":
        return re.split(r"\s{2,}", line.strip())
    if '"' not in line:
        return line.split(mark)
    try:
        return next(csv.reader([line], delimiter=mark), [])
    except csv.Error:
        return line.split(mark)


def find(lines: Sequence[str]) -> tuple[int, str, str] | None:
    """Return where the headings are: line, mark between cells, kind of table; None if nowhere.

    Parameters
    ----------
    lines : sequence of str
        The first lines of a file.
    """
    for at, line in enumerate(lines[:SEARCHED]):
        if len(line) > 20000 or not re.search(r"[A-Za-z\u4e00-\u9fff]", line):
            continue
        for mark in ("\t", ";", ",", "  ", " "):
            cells = split(line.strip("\r\n"), mark)
            if len(cells) < 2:
                continue
            kind = suffices(cells)
            if kind and _followed(lines[at + 1 : at + 6], mark, len(cells)):
                return at, mark, kind
    return None


def _followed(lines: Sequence[str], mark: str, width: int) -> bool:
    """Whether rows of numbers follow."""
    for line in lines:
        cells = split(line.strip("\r\n"), mark)
        good = sum(_is_value(cell) for cell in cells[:width])
        if good >= 2 and good >= 0.3 * min(width, len(cells)):
            return True
    return False


def _is_value(cell: str) -> bool:
    text = cell.strip().strip('"')
    if not text:
        return False
    return (
        number(text, "," in text) == number(text, "," in text)
        or duration(text) == duration(text)
        or stamp(text, True) is not None
    )


def read_table(text: str, path: Path) -> tuple[Table, list[str], int]:
    """Return the table, the lines above it, and how many rows were cut short.

    Parameters
    ----------
    text : str
        The whole file.
    path : Path
        For messages.

    Raises
    ------
    FormatError
        If no headings with known channels are found, or no row follows.
    """
    lines = text.splitlines()
    place = find(lines)
    if place is None:
        raise FormatError(
            f"{path.name}: no line of headings with time, voltage, current, temperature, pressure, "
            "strain or impedance, followed by rows of numbers"
        )
    at, mark, _ = place
    headings = [h.strip() for h in split(lines[at], mark)]
    body = at + 1
    headings, body = _with_units(headings, lines, body, mark)
    table, cut = cells_below(headings, lines[body:], mark, path)
    return table, lines[:at], cut


def cells_below(
    headings: list[str], lines: Sequence[str], mark: str, path: Path
) -> tuple[Table, int]:
    """Return the rows as a table, and 1 if the last row is cut short.

    Cells that a cut row lacks are empty; its last cell is dropped too, as it may be cut itself.
    """
    rows = [split(line, mark) for line in lines if line.strip()]
    if not rows:
        raise FormatError(f"{path.name}: no rows below the headings; the file may be truncated")
    cut = 0
    if len(rows) > 1 and len(rows[-1]) < min(len(row) for row in rows[:-1]):
        rows[-1][-1] = ""
        cut = 1
    columns = [
        # what no reader asks for is not gathered: exports have dozens of such columns
        [row[i].strip() if i < len(row) else "" for row in rows] if meaning(heading) else []
        for i, heading in enumerate(headings)
    ]
    sample = [cell for row in rows[:200] for cell in row]
    comma = bool(decimal_comma(sample)) and mark != ","
    return Table(headings, columns, comma), cut


def _with_units(
    headings: list[str], lines: Sequence[str], body: int, mark: str
) -> tuple[list[str], int]:
    """Join a line of units below the headings to them, and step over blank lines."""
    while body < len(lines) and not lines[body].strip():
        body += 1
    if body >= len(lines):
        return headings, body
    units = [u.strip().strip("[]()") for u in split(lines[body], mark)]
    known = [plain_unit(u) in _UNITS for u in units]
    if sum(known) >= 2 and not any(_is_value(u) for u in units):
        joined = [
            f"{name} [{units[i]}]" if i < len(units) and known[i] else name
            for i, name in enumerate(headings)
        ]
        return joined, body + 1
    return headings, body

"""Numbers, durations and dates as instruments print them, in any locale.

Decimal point or comma, thousands marks, ``0d 00:01:02.5``, dates ``d.m.y``, ``m/d/y``, ``d/m/y``,
``y-m-d``, month names, AM and PM, days since 1899-12-30 and seconds since 1970.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_DURATION = re.compile(
    r"^\s*(?:(\d+)\s*(?:d|days?|\.)\s*,?\s*)?(\d+):(\d{1,2})(?::(\d{1,2}(?:[.,:]\d+)?))?\s*$"
)
_STAMP = re.compile(
    r"^\s*(?P<a>\d{1,4}|[A-Za-z]{3,9})(?P<mark>[-/. ])\s*(?P<b>\d{1,2}|[A-Za-z]{3,9})"
    r"[-/., ]\s*(?P<c>\d{1,4})"
    r"(?:[T ,;\t]+(?P<h>\d{1,2})[:.](?P<m>\d{1,2})(?:[:.](?P<s>\d{1,2}(?:[.,]\d+)?))?"
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?)?\s*(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})?\s*$"
)
_MONTHS = {
    month: number
    for number, month in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_MONTHS |= {"mär": 3, "mrz": 3, "mai": 5, "okt": 10, "dez": 12}
_OLE = datetime(1899, 12, 30)
_GROUPED = re.compile(r"^[+-]?[1-9]\d{0,2}(?:\.\d{3})+$")


def decimal_comma(cells: Sequence[str]) -> bool | None:
    """Say whether numbers use a decimal comma, from a sample of cells; None if none has a mark.

    A cell with both marks decides by its last mark; one comma before three digits only is a
    thousands mark if points occur elsewhere.
    """
    points = commas = 0
    for cell in cells:
        text = cell.strip()
        if not re.fullmatch(r"[+-]?[\d.,' ]+(?:[eE][+-]?\d+)?", text):
            continue
        dot, comma = text.rfind("."), text.rfind(",")
        if dot >= 0 and comma >= 0:
            return comma > dot
        points += dot >= 0
        commas += comma >= 0
    if not points and not commas:
        return None
    return commas > points


def numbers(cells: Sequence[str], comma: bool) -> Array:
    """Return cells as numbers, NaN where a cell is none.

    Parameters
    ----------
    cells : sequence of str
        As printed.
    comma : bool
        Whether the decimal mark is a comma.
    """
    array = np.asarray(cells, dtype=object)
    try:
        if not comma:
            return array.astype(float)
    except (ValueError, TypeError):
        pass
    return np.array([number(cell, comma) for cell in cells])


def number(cell: str, comma: bool) -> float:
    """Return one cell as a number, or NaN."""
    text = str(cell).strip().replace("\u2212", "-").replace("\xa0", "")
    if comma:
        if "," in text or _GROUPED.match(text):
            text = text.replace(".", "").replace(",", ".")
    else:
        text = text.replace(",", "")
    try:
        return float(text)
    except ValueError:
        return np.nan


def durations(cells: Sequence[str], factor: float, comma: bool) -> Array:
    """Return times in s: ``d h:m:s`` where a colon stands, numbers times ``factor`` else."""
    if any(":" in str(cell) for cell in cells[:50]):
        return np.array([duration(cell) for cell in cells])
    return numbers(cells, comma) * factor


def duration(cell: str) -> float:
    """Return ``0d 00:01:02.5``, ``12:30:00`` or ``1.02:03:04`` in s, or NaN."""
    match = _DURATION.match(str(cell))
    if match is None:
        return np.nan
    days, hours, minutes, seconds = match.groups()
    if seconds is not None and seconds.count(":"):
        whole, part = seconds.split(":")  # h:min:s:ms
        seconds = f"{whole}.{part}"
    return (
        86400.0 * float(days or 0)
        + 3600.0 * float(hours)
        + 60.0 * float(minutes)
        + float((seconds or "0").replace(",", "."))
    )


def day_first(cells: Sequence[str], comma: bool) -> bool:
    """Say whether ambiguous dates are day before month.

    A number above 12 decides; then points between (d.m.y) or a decimal comma in the file speak for
    the day first, slashes and dashes for the month.
    """
    for cell in cells[:20000]:
        match = _STAMP.match(str(cell))
        if match is None or not (match["a"].isdigit() and match["b"].isdigit()):
            continue
        if len(match["a"]) == 4:
            return False
        if int(match["a"]) > 12:
            return True
        if int(match["b"]) > 12:
            return False
    first = _STAMP.match(str(cells[0])) if cells else None
    return comma or (first is not None and first["mark"] == ".")


def ambiguous(cells: Sequence[str]) -> bool:
    """Whether dates leave open which of day and month comes first."""
    open_to_both = False
    for cell in cells[:20000]:
        match = _STAMP.match(str(cell))
        if match is None:
            continue
        a, b = match["a"], match["b"]
        if not (a.isdigit() and b.isdigit()) or len(a) == 4 or match["mark"] == ".":
            return False
        if int(a) > 12 or int(b) > 12:
            return False
        open_to_both = open_to_both or int(a) != int(b)
    return open_to_both


def stamp(cell: str, first: bool) -> datetime | None:
    """Return a date and time, with its zone if stated, or None.

    Parameters
    ----------
    cell : str
        As printed, or a number: days since 1899-12-30, or s or ms since 1970 (UTC).
    first : bool
        Whether the day comes before the month.
    """
    text = str(cell).strip().strip('"').strip()
    match = _STAMP.match(text)
    try:
        if match is None:
            return _counted(float(text))
        a, b, c = match["a"], match["b"], match["c"]
        if len(a) == 4 and a.isdigit():
            year, month, day = int(a), _month(b), int(c)
        elif a.isalpha():
            year, month, day = _year(c), _month(a), int(b)
        elif b.isalpha() or first:
            year, month, day = _year(c), _month(b), int(a)
        else:
            year, month, day = _year(c), int(a), int(b)
        hour = int(match["h"] or 0)
        if match["half"]:
            hour = hour % 12 + (12 if match["half"].lower().startswith("p") else 0)
        when = datetime(year, month, day, hour, int(match["m"] or 0))
        when += timedelta(seconds=float((match["s"] or "0").replace(",", ".")))
        if match["zone"]:
            zone = match["zone"].replace("Z", "+00:00").replace("UTC", "+00:00")
            zone = zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
            when = datetime.fromisoformat(when.isoformat() + zone)
    except (ValueError, OverflowError, KeyError):
        return None
    return when


def one_stamp(text: str) -> datetime | None:
    """Return a date that stands alone: points or a number above 12 tell the day, else the month."""
    return stamp(text, day_first([text], False)) or stamp(text, True)


def _counted(value: float) -> datetime | None:
    if 20000 < value < 80000:
        return _OLE + timedelta(days=value)
    if 5e8 < value < 5e9:
        return datetime.fromisoformat("1970-01-01T00:00:00+00:00") + timedelta(seconds=value)
    if 5e11 < value < 5e12:
        return datetime.fromisoformat("1970-01-01T00:00:00+00:00") + timedelta(seconds=value / 1e3)
    return None


def _month(text: str) -> int:
    return int(text) if text.isdigit() else _MONTHS[text[:3].lower()]


def _year(text: str) -> int:
    value = int(text)
    return value + (2000 if value < 80 else 1900) if len(text) <= 2 else value


def stamps(cells: Sequence[str], comma: bool) -> tuple[Array, datetime | None]:
    """Return seconds since the first readable date (NaN where none), and that date.

    Parameters
    ----------
    cells : sequence of str
        One date per row.
    comma : bool
        Whether the file uses a decimal comma (helps with ambiguous dates).
    """
    first = day_first(cells, comma)
    known: dict[str, datetime | None] = {}
    seconds = np.full(len(cells), np.nan)
    zero: datetime | None = None
    for row, cell in enumerate(cells):
        when = known[cell] if cell in known else stamp(cell, first)
        known[cell] = when
        if when is None:
            continue
        zero = zero or when
        if (when.tzinfo is None) == (zero.tzinfo is None):
            seconds[row] = (when - zero).total_seconds()
    return seconds, zero

"""Time of a table's rows: the instrument's test time, its dates, or its times within steps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from ._cell_charge import running
from ._cell_columns import Table
from ._cell_numbers import ambiguous, day_first, duration, durations, stamps

Array = npt.NDArray[np.float64]


def clock(table: Table, path: Path, told: dict[str, str]) -> Array:
    """Return time in s since the start of the test, and note the start.

    Parameters
    ----------
    table : Table
        With a test time, dates, or times within steps.
    path : Path
        For messages.
    told : dict of str to str
        attrs so far; ``start``, ``time_origin``, ``time_note``, ``start_note`` are added.

    Raises
    ------
    FormatError
        If time runs back or holds no number.
    """
    dates, zero = _dates(table, told)
    for quantity in ("time", "any_time"):
        picked = table.pick(quantity)
        if picked is None:
            continue
        column, cells = picked
        texts = [str(cell) for cell in cells]
        if quantity == "any_time" and dates is not None and _time_of_day(texts, dates):
            continue
        time = durations(texts, column.factor, table.comma)
        if not column.told and dates is not None and not any(":" in t for t in texts[:50]):
            time = time * _scale_by(dates, time, told)
        if np.isfinite(time).any() and _forward(time):
            _note_start(told, time, dates, zero)
            return time
    unix = table.values("unix_time")
    if unix is not None and _forward(unix):
        first = float(unix[np.isfinite(unix)][0])
        told["start"] = (datetime.fromisoformat("1970-01-01T00:00:00+00:00")
                         + timedelta(seconds=first)).isoformat()  # fmt: skip
        return unix - first
    inner = _within_step(table)
    if dates is not None and zero is not None and _forward(dates):
        told["start"] = zero.isoformat()
        told["time_origin"] = "dates of the rows"
        return _refined(dates, inner)
    if inner is not None:
        told["time_origin"] = "times within steps, joined: pauses between steps are not in it"
        return running(inner)
    raise FormatError(f"{path.name}: time runs back or holds no number; sort or split the file")


def _forward(time: Array) -> bool:
    finite = time[np.isfinite(time)]
    return bool(finite.size and np.all(np.diff(finite) >= 0))


def _dates(table: Table, told: dict[str, str]) -> tuple[Array | None, datetime | None]:
    picked = table.pick("stamp")
    if picked is None:
        return None, None
    texts = [str(cell) for cell in picked[1]]
    other = table.pick("any_time") or table.pick("clock")
    if other is not None and not any(":" in t for t in texts[:5]):
        clocks = [str(cell) for cell in other[1]]
        if any(":" in t for t in clocks[:5]) and not texts[0].strip()[:5].isdigit():
            texts = [f"{day} {clock}" for day, clock in zip(texts, clocks, strict=True)]
    seconds, zero = stamps(texts, table.comma)
    if zero is None:
        _add_clock(told, texts)
        return None, None
    if ambiguous(texts):
        order = "day before month" if day_first(texts, table.comma) else "month before day"
        told["start_note"] = f"dates can be read two ways; taken as {order}"
    return seconds, zero


def _add_clock(told: dict[str, str], texts: Sequence[str]) -> None:
    """Complete a start that is a date alone by the first row's time of day."""
    clock = duration(texts[0]) if texts else np.nan
    if told.get("start", "").endswith("T00:00:00") and 0.0 <= clock < 86400.0:
        day = datetime.fromisoformat(told["start"])
        told["start"] = (day + timedelta(seconds=clock)).isoformat()


def _time_of_day(texts: Sequence[str], dates: Array) -> bool:
    """Whether a column ``Time`` is a clock beside a date, not a time since the start."""
    if not any(":" in t for t in texts[:5]):
        return False
    if all(re.match(r"^\d{1,4}[-/.]\d", t.strip()) for t in texts[:5]):
        return True
    time = durations(texts, 1.0, False)
    return bool(np.isfinite(time).any() and time[0] > 0 and dates[0] == 0
                and not np.allclose(time[0], 0, atol=60) and np.nanmax(time) < 86400.0
                and np.nanmax(np.abs(np.diff(time) - np.diff(dates))) < 1.5)  # fmt: skip


def _scale_by(dates: Array, time: Array, told: dict[str, str]) -> float:
    """Return s per unit of a time without unit, from the dates beside it."""
    good = np.isfinite(dates) & np.isfinite(time)
    span = float(np.ptp(time[good])) if good.any() else 0.0
    if span <= 0.0:
        return 1.0
    ratio = float(np.ptp(dates[good])) / span
    for scale, name in ((60.0, "min"), (3600.0, "h"), (86400.0, "d")):
        if abs(ratio / scale - 1.0) < 0.02:
            told["time_note"] = f"no unit stated; {name} by the dates of the rows"
            return scale
    return 1.0


def _note_start(
    told: dict[str, str], time: Array, dates: Array | None, zero: datetime | None
) -> None:
    if dates is None or zero is None:
        return
    at = int(np.argmax(np.isfinite(dates) & np.isfinite(time)))
    if np.isfinite(dates[at]) and np.isfinite(time[at]):
        when = zero + timedelta(seconds=float(dates[at] - time[at]))
        told["start"] = when.isoformat(timespec="milliseconds")


def _within_step(table: Table) -> Array | None:
    for quantity in ("step_time", "any_time"):
        picked = table.pick(quantity)
        if picked is not None:
            time = durations([str(c) for c in picked[1]], picked[0].factor, table.comma)
            finite = time[np.isfinite(time)]
            falls = np.diff(finite) < 0
            # times within steps fall back to nearly zero, or they are something else
            if finite.size and np.all(finite[1:][falls] < 0.5 * finite[:-1][falls]):
                return time
    return None


def _refined(dates: Array, inner: Array | None) -> Array:
    """Add the fractions of a second that dates lack, from the times within steps."""
    if inner is None or np.any(dates % 1.0 > 1e-6):
        return dates
    begins = np.concatenate([[True], np.diff(inner) < 0])
    first = np.maximum.accumulate(np.where(begins, np.arange(dates.size), 0))
    fine = dates[first] + (inner - inner[first])
    close = np.abs(fine - dates) < 2.0
    return np.maximum.accumulate(np.where(close & np.isfinite(fine), fine, dates))

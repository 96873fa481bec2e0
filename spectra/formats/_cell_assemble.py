"""Columns of any cycler, logger or impedance program as channels of one kind.

What every reader of such files gives, whatever the instrument counts:

- ``time`` in s since the test began (the instrument's own test time where it has one), never back;
- ``voltage`` V; ``current`` mA, **positive while charging** (by the instrument's own words where it
  prints magnitudes or the opposite sign);
- ``capacity`` mAh, the **net charge** since the file's first row; ``charge_capacity`` and
  ``discharge_capacity`` mAh, what went in and out since the file's first row, both growing and
  never reset: counters that restart every step or cycle are joined;
- ``cycle``, ``step`` as numbered by the instrument; ``temperature`` degC, ``pressure`` MPa,
  ``strain`` 1; impedance along ``point``: ``frequency`` Hz, ``impedance_re``, ``impedance_im`` ohm
  (negative for a capacitor), ``spectrum`` numbered from 0;
- attrs ``start``: the clock at time 0, ISO; with an offset (``+00:00``) where the file knows its
  zone, else the instrument's local clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..channels import channels
from ..convention import Source
from ..errors import ConventionError, FormatError
from ._cell_numbers import ambiguous, day_first, duration, durations, numbers, stamps
from ._cell_words import Column, meaning

Array = npt.NDArray[np.float64]
Found = dict[str, tuple[Array, str]]

_DIRECT = {"voltage": "V", "counter_voltage": "V", "power": "W", "cycle": "1", "step": "1",
           "pressure": "MPa", "strain": "1", "force": "N"}  # fmt: skip
_COUNTERS = {"charge_total": ("charge_capacity", "mAh"),
             "discharge_total": ("discharge_capacity", "mAh"),
             "charge_energy": ("charge_energy", "mWh"),
             "discharge_energy": ("discharge_energy", "mWh")}  # fmt: skip
_OUT = re.compile(r"dis|dch|entlad|放电|^d$|_d_|^ccd|ccdc|cvdc")
_IN = re.compile(r"chg|char|lad|充电|^c$|cccv_c|^cccvc|^ccc")


@dataclass
class Table:
    """A table with headings.

    Parameters
    ----------
    headings : sequence of str
        As printed.
    columns : sequence of sequences
        Cells (text, or numbers where the file is binary), one sequence per heading.
    comma : bool
        Whether the decimal mark is a comma.
    """

    headings: Sequence[str]
    columns: Sequence[Sequence[object]]
    comma: bool = False

    def pick(self, quantity: str) -> tuple[Column, Sequence[object]] | None:
        """Return the best column of a quantity: one with a unit before one without."""
        best = None
        for heading, cells in zip(self.headings, self.columns, strict=True):
            column = meaning(heading)
            if column is None or column.quantity != quantity:
                continue
            if best is None or (column.told and not best[0].told):
                best = (column, cells)
        return best

    def values(self, quantity: str) -> Array | None:
        """Return a quantity in this program's unit, or None if there is none with a number."""
        found = self.pick(quantity)
        if found is None:
            return None
        column, cells = found
        values = numbers(_texts(cells), self.comma) * column.factor
        return values if np.isfinite(values).any() else None


def _texts(cells: Sequence[object]) -> Sequence[str]:
    return cells  # type: ignore[return-value]


def suffices(headings: Sequence[str]) -> str:
    """Return what kind of table these headings promise: a technique, or an empty string."""
    found: dict[str, bool] = {}
    plain = True
    for heading in headings:
        column = meaning(heading)
        if column is not None:
            found[column.quantity] = found.get(column.quantity, False) or column.told
            plain = plain and len(column.label) <= 2 and not column.told
    if plain:
        return ""
    if "frequency" in found and (
        {"impedance_re", "impedance_im"} <= set(found) or {"modulus", "phase"} <= set(found)
    ):
        return "impedance"
    clock = bool({"time", "any_time", "step_time", "stamp", "unix_time"} & set(found))
    if clock and ("voltage" in found or "current" in found):
        return "cycling"
    for other in ("temperature", "pressure", "strain"):
        if clock and other in found:
            return other
    if found.get("voltage") and found.get("current"):
        return "voltammetry"
    return ""


def as_dataset(table: Table, path: Path, src: Source, attrs: Mapping[str, str]) -> xr.Dataset:
    """Return the table as channels.

    Parameters
    ----------
    table : Table
        With at least the columns `suffices` asks for.
    path : Path
        For messages.
    src : Source
        Provenance.
    attrs : mapping of str to str
        What else the file says; ``start`` (ISO) is used where the rows carry no date.

    Raises
    ------
    FormatError
        If a needed column is missing or holds no number, or time runs back.
    """
    technique = suffices(table.headings)
    if not technique:
        listed = ", ".join(h.strip() for h in table.headings if h.strip())[:120]
        raise FormatError(
            f"{path.name}: no time with voltage, current or another channel, and no frequency with "
            f"impedance; columns: {listed}"
        )
    told = dict(attrs)
    try:
        if technique == "impedance":
            return _impedance(table, path, src, told)
        found = _measured(table, told)
        if technique == "voltammetry":
            return _without_clock(found, path, src, told)
        return _along_time(found, table, technique, path, src, told)
    except ConventionError as error:
        raise FormatError(str(error)) from None


def _along_time(
    found: Found, table: Table, technique: str, path: Path, src: Source, told: dict[str, str]
) -> xr.Dataset:
    time = _clock(table, path, told)
    keep = np.isfinite(time)
    if not keep.any():
        raise FormatError(f"{path.name}: no row with a time; the file may be truncated")
    if not keep.all():
        told["skipped_rows"] = str(int((~keep).sum()))
        time = time[keep]
        found = {name: (values[keep], units) for name, (values, units) in found.items()}
    if technique == "cycling" and not {"voltage", "current"} & set(found):
        raise FormatError(f"{path.name}: columns of voltage and current hold no number")
    if not found:
        raise FormatError(f"{path.name}: no column holds a number; the file may be truncated")
    return channels(time, found, technique=technique, attrs=told, source=src)


def _without_clock(found: Found, path: Path, src: Source, told: dict[str, str]) -> xr.Dataset:
    keep = np.isfinite(found["voltage"][0]) if "voltage" in found else np.zeros(0, bool)
    if not keep.any() or "current" not in found:
        raise FormatError(f"{path.name}: columns of voltage and current hold no number")
    kept = {name: (values[keep], units) for name, (values, units) in found.items()}
    index = np.arange(int(keep.sum()), dtype=float)
    return channels(index, kept, technique="voltammetry", along="point", attrs=told, source=src)


def _measured(table: Table, told: dict[str, str]) -> Found:
    found: Found = {}
    for quantity, units in _DIRECT.items():
        values = table.values(quantity)
        if values is not None:
            found[quantity] = (values, units)
    _millivolts(found, table, told)
    current, state = table.values("current"), _directions(table)
    if state is None and current is not None and np.nanmin(current) >= 0.0:
        state = _by_counters(table)
    if current is not None:
        found["current"] = (_signed(current, state, told), "mA")
    _charges(found, table, state)
    found.update(_temperatures(table))
    return found


def _millivolts(found: Found, table: Table, told: dict[str, str]) -> None:
    """Take a voltage without unit that no cell can have as mV."""
    picked = table.pick("voltage")
    if "voltage" in found and picked is not None and not picked[0].told:
        values, units = found["voltage"]
        if np.nanmedian(np.abs(values)) > 50.0:
            found["voltage"] = (values / 1e3, units)
            told["voltage_note"] = "no unit stated; taken as mV, as V is beyond any cell"


def _directions(table: Table) -> Array | None:
    """Return +1 charging, -1 discharging, 0 neither, from the instrument's words."""
    picked = table.pick("state")
    if picked is None:
        return None
    known: dict[str, float] = {}
    signs = np.zeros(len(picked[1]))
    for row, cell in enumerate(picked[1]):
        word = str(cell).strip().lower()
        if word not in known:
            known[word] = -1.0 if _OUT.search(word) else 1.0 if _IN.search(word) else 0.0
        # S ends a step of a Maccor and belongs to it
        signs[row] = signs[row - 1] if word == "s" and row else known[word]
    return signs if signs.any() else None


def _by_counters(table: Table) -> Array | None:
    """Return -1 where only the counter of discharge grows, +1 where only that of charge does."""
    into, out = table.values("charge_total"), table.values("discharge_total")
    if into is None or out is None:
        return None
    grows = [np.diff(running(values), prepend=0.0) > 0 for values in (into, out)]
    signs = grows[0].astype(float) - grows[1].astype(float)
    return signs if (signs < 0).any() else None


def _signed(current: Array, state: Array | None, told: dict[str, str]) -> Array:
    """Turn currents so that charging is positive, by what the instrument says it did."""
    if state is None:
        if np.nanmin(current, initial=0.0) >= 0.0 and np.nanmax(current, initial=0.0) > 0.0:
            told["current_note"] = "no negative current and no word for it: the sign is as printed"
        return current
    current = current.copy()
    for sign in (-1.0, 1.0):
        rows = (state == sign) & np.isfinite(current) & (current != 0.0)
        if rows.any() and np.median(current[rows]) * sign < 0.0:
            current[rows] *= -1.0
            told["current_note"] = "signs turned so that charging is positive"
    return current


def running(counter: Array) -> Array:
    """Join a counter that restarts (every step or cycle) into one since the first row.

    Parameters
    ----------
    counter : ndarray, shape (N,)
        Grows but for restarts near zero; NaN rows repeat the value before.

    Returns
    -------
    ndarray, shape (N,)
        0 at the first row, never falling.
    """
    values = np.abs(_filled(counter))
    step = np.diff(values, prepend=values[:1])
    # A fall to less than half is a restart and counts from zero; a smaller one is rounding.
    restart = (step < 0) & (values < 0.5 * (values - step))
    return np.cumsum(np.where(step > 0, step, np.where(restart, values, 0.0)))


def _filled(values: Array) -> Array:
    good = np.isfinite(values)
    if good.all():
        return values
    last = np.maximum.accumulate(np.where(good, np.arange(values.size), -1))
    return np.where(last >= 0, values[np.maximum(last, 0)], 0.0)


def _charges(found: Found, table: Table, state: Array | None) -> None:
    for quantity, (name, units) in _COUNTERS.items():
        values = table.values(quantity)
        if values is not None:
            found[name] = (running(values), units)
    net = table.values("net_charge")
    if net is not None:
        found["capacity"] = (net, "mAh")
        return
    if "charge_capacity" in found and "discharge_capacity" in found:
        total = found["charge_capacity"][0] - found["discharge_capacity"][0]
        found["capacity"] = (total, "mAh")
        return
    step = table.values("step_charge")
    current = found["current"][0] if "current" in found else None
    sign = state if state is not None else np.sign(current) if current is not None else None
    if step is None or sign is None:
        return
    grown = np.diff(running(step), prepend=0.0)
    sign = np.nan_to_num(sign)
    # the charge at the first row of a rest belongs to the step before
    sign = np.where((sign == 0) & (grown > 0), np.roll(sign, 1), sign)
    found["charge_capacity"] = (np.cumsum(np.where(sign > 0, grown, 0.0)), "mAh")
    found["discharge_capacity"] = (np.cumsum(np.where(sign < 0, grown, 0.0)), "mAh")
    found["capacity"] = (np.cumsum(grown * sign), "mAh")


def _temperatures(table: Table) -> Found:
    found: Found = {}
    for heading, cells in zip(table.headings, table.columns, strict=True):
        column = meaning(heading)
        if column is None or column.quantity != "temperature":
            continue
        values = numbers(_texts(cells), table.comma)
        if column.unit == "k":
            values = values - 273.15
        elif column.unit == "f":
            values = (values - 32.0) / 1.8
        values[values < -273.15] = np.nan  # an open thermocouple
        if not np.isfinite(values).any():
            continue
        name = "temperature" if "temperature" not in found else f"temperature_{column.label}"
        while name in found:
            name += "_2"
        found[name] = (values, "degC")
    return found


def _clock(table: Table, path: Path, told: dict[str, str]) -> Array:
    """Return time in s since the start of the test, and note the start."""
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


def _impedance(table: Table, path: Path, src: Source, told: dict[str, str]) -> xr.Dataset:
    frequency = table.values("frequency")
    real, imag = table.values("impedance_re"), table.values("impedance_im")
    if real is None or imag is None:
        size, angle = table.values("modulus"), table.values("phase")
        if size is not None and angle is not None:
            real, imag = size * np.cos(np.deg2rad(angle)), size * np.sin(np.deg2rad(angle))
    if frequency is None or real is None or imag is None:
        raise FormatError(f"{path.name}: columns of frequency and impedance hold no number")
    keep = np.isfinite(frequency) & np.isfinite(real) & np.isfinite(imag) & (frequency > 0)
    if not keep.any():
        raise FormatError(f"{path.name}: no row with frequency and impedance; truncated?")
    return impedance(frequency[keep], real[keep], imag[keep], src, told)


def impedance(
    frequency: Array, real: Array, imag: Array, src: Source, attrs: Mapping[str, str]
) -> xr.Dataset:
    """Return spectra as channels along ``point``.

    Parameters
    ----------
    frequency, real, imag : ndarray, shape (N,)
        Hz, ohm, ohm (imag negative for a capacitor).
    src : Source
        Provenance.
    attrs : mapping
        What the file says besides.
    """
    found: Found = {
        "frequency": (frequency, "Hz"),
        "impedance_re": (real, "ohm"),
        "impedance_im": (imag, "ohm"),
        "spectrum": (numbered(frequency), "1"),
    }
    index = np.arange(frequency.size, dtype=float)
    told = dict(attrs)
    if np.all(imag > 0):
        told["sign_note"] = "imaginary part positive throughout: inductive, or printed as -Z''"
    return channels(index, found, technique="impedance", along="point", attrs=told, source=src)


def numbered(frequency: Array) -> Array:
    """Return each row's spectrum: a new one starts where the sweep jumps back to its start."""
    if frequency.size < 3:
        return np.zeros(frequency.size)
    steps = np.diff(frequency)
    direction = np.sign(np.median(steps))
    return np.concatenate([[0.0], np.cumsum(np.sign(steps) == -direction)])

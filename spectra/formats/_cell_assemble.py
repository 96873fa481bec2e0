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

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..channels import channels
from ..convention import Source
from ..errors import ConventionError, FormatError
from ._cell_charge import add_charges, by_counters, directions, signed
from ._cell_clock import clock
from ._cell_columns import Table, suffices, texts_of
from ._cell_numbers import numbers
from ._cell_words import meaning

Array = npt.NDArray[np.float64]
Found = dict[str, tuple[Array, str]]

_DIRECT = {"voltage": "V", "counter_voltage": "V", "power": "W", "cycle": "1", "step": "1"}
_SENSORS = {"temperature": "degC", "pressure": "MPa", "strain": "1", "force": "N"}


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
    time = clock(table, path, told)
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
    current, state = table.values("current"), directions(table)
    if state is None and current is not None and np.nanmin(current) >= 0.0:
        state = by_counters(table)
    if current is not None:
        found["current"] = (signed(current, state, told), "mA")
    add_charges(found, table, state)
    found.update(_sensors(table))
    return found


def _millivolts(found: Found, table: Table, told: dict[str, str]) -> None:
    """Take a voltage without unit that no cell can have as mV."""
    picked = table.pick("voltage")
    if "voltage" in found and picked is not None and not picked[0].told:
        values, units = found["voltage"]
        if np.nanmedian(np.abs(values)) > 50.0:
            found["voltage"] = (values / 1e3, units)
            told["voltage_note"] = "no unit stated; taken as mV, as V is beyond any cell"


def _sensors(table: Table) -> Found:
    """Return all sensors: the first of a kind by the kind's name, further ones with their own."""
    found: Found = {}
    for heading, cells in zip(table.headings, table.columns, strict=True):
        column = meaning(heading)
        if column is None or column.quantity not in _SENSORS:
            continue
        values = numbers(texts_of(cells), table.comma) * column.factor
        if column.quantity == "temperature":
            if column.unit == "k":
                values = values - 273.15
            elif column.unit == "f":
                values = (values - 32.0) / 1.8
            values[values < -273.15] = np.nan  # an open thermocouple
        if not np.isfinite(values).any():
            continue
        kind = column.quantity
        name = kind if kind not in found else f"{kind}_{column.label}"
        while name in found:
            name += "_2"
        found[name] = (values, _SENSORS[kind])
    return found


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

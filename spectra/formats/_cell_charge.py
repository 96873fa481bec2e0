"""Signs of currents and net charge, from the instrument's words and counters."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from ._cell_columns import Table

Array = npt.NDArray[np.float64]
Found = dict[str, tuple[Array, str]]

_COUNTERS = {"charge_total": ("charge_capacity", "mAh"),
             "discharge_total": ("discharge_capacity", "mAh"),
             "charge_energy": ("charge_energy", "mWh"),
             "discharge_energy": ("discharge_energy", "mWh")}  # fmt: skip
_OUT = re.compile(r"dis|dch|entlad|放电|^d$|_d_|^ccd|ccdc|cvdc")
_IN = re.compile(r"chg|char|lad|充电|^c$|cccv_c|^cccvc|^ccc")


def directions(table: Table) -> Array | None:
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


def by_counters(table: Table) -> Array | None:
    """Return -1 where only the counter of discharge grows, +1 where only that of charge does."""
    into, out = table.values("charge_total"), table.values("discharge_total")
    if into is None or out is None:
        return None
    grows = [np.diff(running(values), prepend=0.0) > 0 for values in (into, out)]
    signs = grows[0].astype(float) - grows[1].astype(float)
    return signs if (signs < 0).any() else None


def signed(current: Array, state: Array | None, told: dict[str, str]) -> Array:
    """Turn currents so that charging is positive, by what the instrument says it did."""
    if state is None:
        if np.nanmin(current, initial=0.0) >= 0.0 and np.nanmax(current, initial=0.0) > 0.0:
            told["current_note"] = "no negative current and no word for it: the sign is as printed"
        return current
    wrong = {
        sign: rows
        for sign in (-1.0, 1.0)
        if (rows := (state == sign) & np.isfinite(current) & (current != 0.0)).any()
        and np.median(current[rows]) * sign < 0.0
    }
    # Signs as printed are only doubted where there are none, or where both are opposite.
    if not wrong or (np.any(current < 0.0) and np.any(current > 0.0) and len(wrong) < 2):
        return current
    current = current.copy()
    for rows in wrong.values():
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
    # A fall by more than 2 % is a restart and counts from zero; a smaller one is rounding.
    restart = (step < 0) & (values < 0.98 * (values - step))
    return np.cumsum(np.where(step > 0, step, np.where(restart, values, 0.0)))


def _filled(values: Array) -> Array:
    good = np.isfinite(values)
    if good.all():
        return values
    last = np.maximum.accumulate(np.where(good, np.arange(values.size), -1))
    return np.where(last >= 0, values[np.maximum(last, 0)], 0.0)


def add_charges(found: Found, table: Table, state: Array | None) -> None:
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
    sign = np.sign(current) if current is not None else state
    if step is None or sign is None:
        return
    grown = np.diff(running(step), prepend=0.0)
    sign = np.nan_to_num(sign)
    if state is not None:
        sign = np.where(sign == 0, state, sign)
    # the charge at the first row of a rest belongs to the step before
    sign = np.where((sign == 0) & (grown > 0), np.roll(sign, 1), sign)
    found["charge_capacity"] = (np.cumsum(np.where(sign > 0, grown, 0.0)), "mAh")
    found["discharge_capacity"] = (np.cumsum(np.where(sign < 0, grown, 0.0)), "mAh")
    found["capacity"] = (np.cumsum(grown * sign), "mAh")

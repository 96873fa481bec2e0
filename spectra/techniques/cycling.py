"""Cycling: voltage and current: channels of a cell, not fitted with species.

What follows from the channels alone: charge passed, capacities by cycle, dQ/dV.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..convention import where
from ..errors import ConventionError
from .base import Technique

TECHNIQUE = Technique(name="cycling", axis=None, title="Cycling: voltage and current")

Array = npt.NDArray[np.float64]


def charge_passed(ds: xr.Dataset, *, longest_gap: float | None = None) -> xr.DataArray:
    """Return the net charge since the first row by integrating the current.

    Parameters
    ----------
    ds : xr.Dataset
        Channels along ``time`` (s) with ``current`` (mA or mA/cm2), positive while charging.
        Between two values of ``loop``, if there is one, no charge is counted.
    longest_gap : float, optional
        Rows further apart than this (s) count as a pause without current: what happened between
        them is in another file, or nothing.

    Returns
    -------
    xr.DataArray
        mAh (or mAh/cm2) along ``time``; 1 mAh = 3600 mA s. Trapezoids; where the current jumps
        (a new step) the interval has the later current, as cyclers write a row at its end. Rows
        without a current (NaN) pass none.

    Raises
    ------
    ConventionError
        If there is no current along time.
    """
    if "current" not in ds or ds["current"].dims != ("time",):
        raise ConventionError(f"{where(ds)}: no current along time; charge needs it")
    time = np.asarray(ds["time"].values, dtype=float)
    current = np.nan_to_num(np.asarray(ds["current"].values, dtype=float))
    step = np.diff(time)
    if "loop" in ds:  # between two passes of linked techniques another one ran
        step = np.where(np.diff(ds["loop"].values) != 0, 0.0, step)
    if longest_gap is not None:
        step = np.where(step > longest_gap, 0.0, step)
    before, after = current[:-1], current[1:]
    jump = np.abs(after - before) > 0.05 * np.abs(current).max(initial=0.0)
    mean = np.where(jump, after, (before + after) / 2.0)
    passed = np.concatenate([[0.0], np.cumsum(step * mean)]) / 3600.0
    units = str(ds["current"].attrs["units"]).replace("mA", "mAh", 1)
    return xr.DataArray(passed, dims=("time",), coords={"time": ds["time"]},
                        attrs={"units": units}, name="charge")  # fmt: skip


def capacities(ds: xr.Dataset) -> xr.Dataset:
    """Return what went in and out of the cell in each cycle.

    Parameters
    ----------
    ds : xr.Dataset
        Channels along ``time`` with ``cycle`` and ``charge_capacity``/``discharge_capacity`` (as
        readers give them, growing), or ``current`` to integrate.

    Returns
    -------
    xr.Dataset
        ``charge``, ``discharge`` mAh and ``efficiency`` (discharge over charge) along ``cycle``.

    Raises
    ------
    ConventionError
        If there is no cycle number, or neither counters nor a current.
    """
    if "cycle" not in ds:
        raise ConventionError(f"{where(ds)}: no cycle numbers in these channels")
    if {"charge_capacity", "discharge_capacity"} <= set(ds.data_vars):
        into = np.diff(ds["charge_capacity"].values, prepend=ds["charge_capacity"].values[:1])
        out = np.diff(ds["discharge_capacity"].values, prepend=ds["discharge_capacity"].values[:1])
    else:
        step = np.diff(charge_passed(ds).values, prepend=0.0)
        into, out = np.clip(step, 0.0, None), np.clip(-step, 0.0, None)
    numbers = np.nan_to_num(np.asarray(ds["cycle"].values, dtype=float), nan=-1.0)
    cycles, place = np.unique(numbers, return_inverse=True)
    charge = np.bincount(place, weights=np.nan_to_num(into))
    discharge = np.bincount(place, weights=np.nan_to_num(out))
    with np.errstate(divide="ignore", invalid="ignore"):
        efficiency = np.where(charge > 0, discharge / charge, np.nan)
    return xr.Dataset(
        {
            "charge": ("cycle", charge, {"units": "mAh"}),
            "discharge": ("cycle", discharge, {"units": "mAh"}),
            "efficiency": ("cycle", efficiency, {"units": "1"}),
        },
        coords={"cycle": ("cycle", cycles, {"units": "1"})},
    )


def incremental_capacity(ds: xr.Dataset, *, step: float = 0.01) -> xr.DataArray:
    """Return dQ/dV of one charge or discharge on a regular grid of voltage.

    Parameters
    ----------
    ds : xr.Dataset
        Channels along ``time`` with ``voltage`` V and ``capacity`` mAh (or ``current``), sliced to
        one half cycle.
    step : float
        Width of a voltage bin, V: charge that flowed while the voltage was in the bin, divided by
        its width. Bins keep the total charge, whatever the noise of the voltage.

    Returns
    -------
    xr.DataArray
        mAh/V along ``voltage`` (bin centres, V), positive for a charge, negative for a discharge.

    Raises
    ------
    ConventionError
        If voltage is missing or has no extent.
    """
    if "voltage" not in ds:
        raise ConventionError(f"{where(ds)}: no voltage in these channels")
    charge = ds["capacity"].values if "capacity" in ds else charge_passed(ds).values
    voltage = np.asarray(ds["voltage"].values, dtype=float)
    good = np.isfinite(voltage) & np.isfinite(charge)
    voltage, charge = voltage[good], np.asarray(charge[good], dtype=float)
    if voltage.size < 2 or np.ptp(voltage) < step:
        raise ConventionError(f"{where(ds)}: voltage spans less than one step of {step:g} V")
    low = np.floor(voltage.min() / step)
    edges = step * np.arange(low, np.ceil(voltage.max() / step) + 1.0)
    middle = (voltage[1:] + voltage[:-1]) / 2.0
    amount, _ = np.histogram(middle, bins=edges, weights=np.diff(charge))
    return xr.DataArray(amount / step, dims=("voltage",),
                        coords={"voltage": ("voltage", (edges[1:] + edges[:-1]) / 2.0,
                                            {"units": "V"})},
                        attrs={"units": "mAh/V"}, name="dQ_dV")  # fmt: skip

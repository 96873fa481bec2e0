"""Pictures of a cell's own channels: quantities against time, impedance as Nyquist and Bode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from spectra.channels import check_channels
from spectra.convention import where

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FIRST = ("voltage", "current", "charge", "capacity", "temperature", "pressure", "strain")
_COUNTED = ("cycle", "step", "loop", "spectrum", "power", "charge_energy", "discharge_energy",
            "charge_capacity", "discharge_capacity", "counter_voltage")  # fmt: skip
_MOST = 6


def channels(ds: xr.Dataset) -> Figure:
    """Draw channels: the main quantities against their dimension, or impedance spectra.

    Parameters
    ----------
    ds : xr.Dataset
        Channels of `workbench.open`.

    Returns
    -------
    matplotlib.figure.Figure
        Up to six quantities, one below the other; for impedance -Z'' against Z' with equal scales,
        and |Z| and phase against frequency, one line per spectrum.
    """
    check_channels(ds)
    if {"frequency", "impedance_re", "impedance_im"} <= set(ds.variables):
        return _impedance(ds)
    names = [name for name in _FIRST if name in ds]
    names += [str(n) for n in ds.data_vars if n not in (*_FIRST, *_COUNTED)]
    names = [n for n in names if np.issubdtype(ds[n].dtype, np.number)][:_MOST]
    names = names or [str(next(iter(ds.data_vars)))]
    if ds.attrs["technique"] == "voltammetry" and {"voltage", "current"} <= set(ds.data_vars):
        return _sweep(ds)
    (dim,) = ds.dims
    x = ds[dim].values / (3600.0 if dim == "time" else 1.0)
    figure, axes = _axes(len(names), 1, size=(7.5, 1.2 + 1.6 * len(names)), sharex=True)
    for ax, name in zip(axes[:, 0], names, strict=True):
        ax.plot(x, ds[name].values, "k-", lw=0.8)
        ax.set_ylabel(f"{name}\n{ds[name].attrs['units']}", fontsize=8)
    axes[-1, 0].set_xlabel("Time / h" if dim == "time" else str(dim))
    axes[0, 0].set_title(where(ds), fontsize=9)
    return figure


def _axes(
    rows: int, columns: int, *, size: tuple[float, float], sharex: bool
) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=sharex)


def _sweep(ds: xr.Dataset) -> Figure:
    figure, axes = _axes(1, 1, size=(6.0, 4.5), sharex=False)
    axes[0, 0].plot(ds["voltage"].values, ds["current"].values, "k-", lw=0.8)
    axes[0, 0].set_xlabel("voltage / V")
    axes[0, 0].set_ylabel(f"current / {ds['current'].attrs['units']}")
    axes[0, 0].set_title(where(ds), fontsize=9)
    return figure


def _impedance(ds: xr.Dataset) -> Figure:
    figure, axes = _axes(1, 2, size=(11.0, 4.5), sharex=False)
    left, right = axes[0]
    phase = right.twinx()
    number = ds["spectrum"].values if "spectrum" in ds else np.zeros(ds["frequency"].size)
    every = np.unique(number)
    units = ds["impedance_re"].attrs["units"]
    for at, one in enumerate(every):
        rows = number == one
        shade = str(0.6 * at / max(len(every) - 1, 1))
        real, imag = ds["impedance_re"].values[rows], ds["impedance_im"].values[rows]
        frequency = ds["frequency"].values[rows]
        left.plot(real, -imag, "o-", ms=2.5, lw=0.7, color=shade)
        right.loglog(frequency, np.hypot(real, imag), "o-", ms=2.5, lw=0.7, color=shade)
        phase.semilogx(frequency, np.degrees(np.arctan2(imag, real)), "--", lw=0.7, color=shade)
    left.set_aspect("equal", adjustable="datalim")
    left.set_xlabel(f"Z' / {units}")
    left.set_ylabel(f"-Z'' / {units}")
    right.set_xlabel("Frequency / Hz")
    right.set_ylabel(f"|Z| / {units} (line)")
    phase.set_ylabel("Phase / deg (dashed)")
    figure.suptitle(where(ds), fontsize=9)
    return figure

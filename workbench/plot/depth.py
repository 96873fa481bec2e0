"""Pictures of depth profiles: one with its band, a series as an image, totals, kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..errors import OrderError
from ..steps import require
from .spectra import _figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAKE = "workbench.depth_profile(ds, layers)"


def profile(
    found: xr.Dataset, truth: xr.DataArray | None = None, at: Mapping[str, float] | None = None
) -> Figure:
    """Draw one profile with its 95 % band against areal density.

    Parameters
    ----------
    found : xr.Dataset
        Of `depth_profile`.
    truth : xr.DataArray, optional
        Contents on ``depth``, nmol/ug, drawn beside it.
    at : mapping of str to float, optional
        Which spectrum of a series: the nearest values of outer dimensions.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OrderError
        If more than one spectrum is left.
    """
    require(found, "depth-1", _MAKE)
    one = found.sel(dict(at), method="nearest") if at else found
    if one["lithium"].ndim != 1:
        outer = [str(d) for d in one["lithium"].dims if d != "depth"]
        raise OrderError(f"plot.depth.profile: choose one spectrum with at={{'{outer[0]}': ...}}")
    figure, axes = _figure()
    ax = axes[0, 0]
    low, high = _edges(one)
    x = np.append(low, high[-1])
    ax.fill_between(
        np.repeat(x, 2)[1:-1],
        np.repeat(one["low"].values, 2),
        np.repeat(one["high"].values, 2),
        alpha=0.3,
        lw=0,
        label="95 % band",
    )
    ax.stairs(one["lithium"].values, x, label=str(found.attrs.get("method", "profile")))
    if truth is not None:
        ax.plot(truth["depth"], truth, "k--", lw=0.8, label="truth")
    _layers(ax, one)
    ax.set(xlabel="depth / ug cm$^{-2}$", ylabel="lithium / nmol ug$^{-1}$")
    ax.set(ylim=(0, None), xlim=(x[0], x[-1]))
    ax.legend(frameon=False)
    return figure


def series(found: xr.Dataset) -> Figure:
    """Draw the profiles of a series as an image, and the lithium of each spectrum.

    Parameters
    ----------
    found : xr.Dataset
        Of `depth_profile`, with one outer dimension.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OrderError
        If there is no series, or more than one dimension.
    """
    require(found, "depth-1", _MAKE)
    outer = [str(d) for d in found["lithium"].dims if d != "depth"]
    if len(outer) != 1:
        raise OrderError(
            f"plot.depth.series: needs one outer dimension, found {', '.join(outer) or 'none'}"
        )
    dim = outer[0]
    figure, axes = _figure(1, 2)
    image, totals = axes[0]
    low, high = _edges(found)
    place = found[dim].values.astype(float)
    drawn = image.pcolormesh(
        _between(place), np.append(low, high[-1]), found["lithium"].transpose("depth", dim).values,
        rasterized=True,
    )  # fmt: skip
    figure.colorbar(drawn, ax=image, label="lithium / nmol ug$^{-1}$")
    unit = found[dim].attrs.get("units", "")
    label = f"{dim} / {unit}" if unit else dim
    image.set(xlabel=label, ylabel="depth / ug cm$^{-2}$")
    image.invert_yaxis()
    ug = found["total_ug"].values
    with np.errstate(invalid="ignore", divide="ignore"):
        error = 1.96 * found["total_stderr"].values * np.abs(ug / found["total"].values)
    totals.errorbar(place, ug, np.nan_to_num(error), fmt="o-", ms=3, lw=0.8)
    per = float(np.nanmax(found["total_mAh"].values) / np.nanmax(ug)) if np.nanmax(ug) > 0 else 1.0
    right = totals.secondary_yaxis("right", functions=(lambda v: v * per, lambda v: v / per))
    right.set_ylabel("mAh cm$^{-2}$")
    totals.set(xlabel=label, ylabel="lithium / ug cm$^{-2}$, 95 %")
    return figure


def kernels(found: xr.Dataset, number: int = 5, at: Mapping[str, float] | None = None) -> Figure:
    """Draw averaging kernels: what a cell answers to lithium in the others.

    Parameters
    ----------
    found : xr.Dataset
        Of `depth_profile` with ``kernels=True``.
    number : int
        How many cells, evenly spread.
    at : mapping of str to float, optional
        Which spectrum of a series.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OrderError
        If kernels were not kept, or more than one spectrum is left.
    """
    require(found, "depth-1", _MAKE)
    if "kernel" not in found:
        raise OrderError("plot.depth.kernels: no kernels kept; depth_profile(..., kernels=True)")
    one = found.sel(dict(at), method="nearest") if at else found
    if one["kernel"].ndim != 2:
        outer = [str(d) for d in one["lithium"].dims if d != "depth"]
        raise OrderError(f"plot.depth.kernels: choose one spectrum with at={{'{outer[0]}': ...}}")
    figure, axes = _figure()
    depth = one["depth"].values
    for k in np.unique(np.linspace(0, depth.size - 1, number + 2).round().astype(int)[1:-1]):
        line = axes[0, 0].plot(depth, one["kernel"].values[k])[0]
        axes[0, 0].axvline(depth[k], color=line.get_color(), lw=0.6, ls=":")
    axes[0, 0].set(xlabel="depth / ug cm$^{-2}$", ylabel="answer of a cell to lithium elsewhere")
    return figure


def _edges(found: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    half = 0.5 * found["cell"].values
    return found["depth"].values - half, found["depth"].values + half


def _between(x: np.ndarray) -> np.ndarray:
    if x.size == 1:
        return np.array([x[0] - 0.5, x[0] + 0.5])
    middle = 0.5 * (x[1:] + x[:-1])
    return np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])


def _layers(ax: Axes, one: xr.Dataset) -> None:
    """Mark where layers meet."""
    names = one["layer"].values
    low, _ = _edges(one)
    for k in np.flatnonzero(names[1:] != names[:-1]):
        ax.axvline(low[k + 1], color="0.6", lw=0.7)

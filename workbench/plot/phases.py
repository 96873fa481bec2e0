"""Pictures of phases in space and time: contours with tick marks, lattices, limits, one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

import references
from spectra.convention import axis_of, outer_dims, where

from ..errors import OrderError
from ..phases import ticks
from ..steps import require
from .spectra import _LABELS, _figure, colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def contour(
    ds: xr.Dataset,
    phases: Sequence[str] = (),
    *,
    along: str | None = None,
    library: references.Library | None = None,
    **selection: float,
) -> Figure:
    """Draw spectra against the axis and one outer dim as an image, with tick marks of phases.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum; for tick marks EDXRD or XRD, calibrated.
    phases : sequence of str
        Species whose lines are marked, one row of ticks each; as tall as their intensity.
    along : str, optional
        The outer dim to draw against; the longest that is not selected by default.
    library : references.Library, optional
    **selection : float
        Coordinates on the other outer dims, nearest taken; those left out are averaged over.

    Returns
    -------
    matplotlib.figure.Figure
        Counts in a square-root scale, so that weak lines show.

    Raises
    ------
    OrderError
        If there is no outer dim, or the axis is not calibrated and phases are asked for.
    """
    outer = outer_dims(ds)
    if not outer:
        raise OrderError(f"{where(ds)}: a contour needs a series or a map, found one spectrum")
    unknown = [d for d in selection if d not in outer]
    if unknown:
        raise OrderError(f"{where(ds)}: no outer dim {unknown[0]!r}; allowed: {', '.join(outer)}")
    free = [d for d in outer if d not in selection]
    if not free:
        raise OrderError(f"{where(ds)}: a contour needs one outer dim that is not selected")
    along = along or max(free, key=lambda d: ds.sizes[d])
    if along not in free:
        raise OrderError(f"{where(ds)}: along={along!r}: allowed: {', '.join(free)}")
    axis = axis_of(ds)
    part = ds["intensity"]
    for dim, value in selection.items():
        part = part.sel({dim: value}, method="nearest")
    rest = [d for d in part.dims if d not in (along, axis)]
    image = part.mean(rest) if rest else part
    marks = {name: ticks(ds, name, library=library) for name in phases}
    figure, axes = _figure(
        2 if marks else 1,
        1,
        sharex=True,
        size=(7.5, 4.2 + 0.28 * len(marks)),
        height_ratios=(10, 0.9 * len(marks)) if marks else None,
    )
    top = axes[0, 0]
    y = image[along].values.astype(float)
    hours = along == "time"
    values = image.transpose(along, axis).values.astype(float)
    shown = np.sqrt(np.maximum(values, 0.0))
    high = float(np.nanpercentile(shown, 99.7)) if np.isfinite(shown).any() else 1.0
    low = float(np.nanpercentile(shown, 1.0)) if np.isfinite(shown).any() else 0.0
    mesh = top.pcolormesh(
        image[axis].values,
        y / 3600.0 if hours else y,
        shown,
        shading="nearest",
        vmin=low,
        vmax=max(high, low + 1e-12),
        rasterized=True,
    )
    figure.colorbar(mesh, ax=top, label=f"sqrt(intensity / {ds['intensity'].attrs['units']})")
    units = ds[along].attrs.get("units", "1")
    top.set_ylabel("Time / h" if hours else f"{along} / {units}")
    top.set_title(where(ds), fontsize=9)
    last = axes[-1, 0]
    if marks:
        _ticks(last, marks)
    last.set_xlabel(_LABELS.get(axis, axis))
    x = image[axis].values
    last.set_xlim(float(x.min()), float(x.max()))
    return figure


def _ticks(ax: Axes, marks: dict[str, Any]) -> None:
    palette = colours(list(marks))
    for row, (name, own) in enumerate(marks.items()):
        tall = 0.15 + 0.7 * np.sqrt(own.strength)
        ax.vlines(own.place, -row, -row + tall, color=palette[name], lw=1.0)
    ax.set_yticks([0.4 - row for row in range(len(marks))], list(marks), fontsize=8)
    ax.set_ylim(-len(marks) + 0.9, 1.0)
    ax.tick_params(axis="y", length=0)


def maps(
    table: xr.Dataset, name: str, *, species: Sequence[str] = (), stderr: bool = False
) -> Figure:
    """Draw one variable of lattices, amounts, broadening or a followed line over space and time.

    Parameters
    ----------
    table : xr.Dataset
        What ``edxrd.lattice``, ``edxrd.broadening``, ``workbench.quantify`` or ``phases.follow``
        return.
    name : str
        ``strain``, ``a``, ``limit`` (detection limits), ``strain_fwhm``, ``d`` ...
    species : sequence of str
        Which; all by default.
    stderr : bool
        A second row with the standard errors.

    Returns
    -------
    matplotlib.figure.Figure
        Images over two outer dims, lines with error bars over one. No value is white.

    Raises
    ------
    OrderError
        If there is no such variable.
    """
    if name not in table:
        known = ", ".join(str(v) for v in table.data_vars if not str(v).endswith("_stderr"))
        raise OrderError(f"plot maps: no variable {name!r}; there are {known}")
    error = "stderr" if name == "amount" else f"{name}_stderr"
    wanted = list(species) or [str(s) for s in table.get("species", xr.DataArray([""])).values.flat]
    one = [table] if "species" not in table[name].dims else [table.sel(species=s) for s in wanted]
    dims = [str(d) for d in one[0][name].dims if one[0].sizes[d] > 1]
    one = [t.squeeze(drop=True) for t in one]
    titles = wanted if "species" in table[name].dims else [_line_title(table)]
    if len(dims) < 2:
        return _lines(one, titles, name, error, dims)
    rows = 2 if stderr and error in table else 1
    figure, axes = _figure(rows, len(one), size=(3.4 * len(one), 3.0 * rows))
    for column, (t, title) in enumerate(zip(one, titles, strict=True)):
        for row, key in enumerate((name, error)[:rows]):
            _image(figure, axes[row, column], t[key], dims[-2:], f"{title} {key}")
    return figure


def _line_title(table: xr.Dataset) -> str:
    return f"{table.attrs.get('species', '')} {table.attrs.get('hkl', '')}".strip()


def _image(figure: Figure, ax: Axes, values: xr.DataArray, dims: list[str], title: str) -> None:
    while values.ndim > 2:
        values = values.isel({values.dims[0]: -1})
    y, x = (values[d].values.astype(float) for d in dims)
    picture = values.transpose(*dims).values.astype(float)
    good = picture[np.isfinite(picture)]
    low, high = np.percentile(good, [1, 99]) if good.size else (0.0, 1.0)
    scale = 3600.0 if dims[0] == "time" else 1.0
    mesh = ax.pcolormesh(x, y / scale, picture, shading="nearest", vmin=low, vmax=high)
    figure.colorbar(mesh, ax=ax, label=str(values.attrs.get("units", "1")))
    ax.set_title(title, fontsize=9)
    ax.set_xlabel(f"{dims[1]} / {values[dims[1]].attrs.get('units', '1')}")
    ax.set_ylabel("Time / h" if dims[0] == "time" else f"{dims[0]}")


def _lines(
    tables: list[xr.Dataset], titles: list[str], name: str, error: str, dims: list[str]
) -> Figure:
    figure, axes = _figure()
    ax = axes[0, 0]
    palette = colours(titles)
    for t, title in zip(tables, titles, strict=True):
        y = np.atleast_1d(t[name].values).astype(float)
        e = np.atleast_1d(t[error].values) if error in t else None
        x = t[dims[0]].values.astype(float) if dims else np.arange(y.size)
        x = x / 3600.0 if dims and dims[0] == "time" else x
        ax.errorbar(x, y, e, fmt="o", ms=3, lw=0.8, color=palette[title], label=title)
    ax.set_xlabel("Time / h" if dims and dims[0] == "time" else (dims[0] if dims else ""))
    ax.set_ylabel(f"{name} / {tables[0][name].attrs.get('units', '1')}")
    ax.legend(fontsize=7)
    return figure


def limits(amounts: xr.Dataset, *, species: Sequence[str] = ()) -> Figure:
    """Draw the detection limit of every phase over space and time.

    Parameters
    ----------
    amounts : xr.Dataset
        Amounts.
    species : sequence of str
        Which; all by default.
    """
    require(amounts, "amount-1", "workbench.quantify(fit)")
    return maps(amounts, "limit", species=species)

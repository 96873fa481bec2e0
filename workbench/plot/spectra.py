"""Pictures of spectra, fits, amounts and whole cells (matplotlib); flags show in every one.

Matplotlib is imported when the first picture is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from spectra.convention import axis_of, outer_dims, where

from ..curves import curves
from ..errors import OrderError
from ..steps import require
from .channels import channels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LABELS = {
    "binding_energy": "Binding energy / eV",
    "chemical_shift": "Chemical shift / ppm",
    "raman_shift": "Raman shift / cm$^{-1}$",
    "photon_energy": "Photon energy / keV",
    "two_theta": "2$\\theta$ / deg",
    "particle_energy": "Particle energy / keV",
    "channel": "Channel",
}
_DESCENDING = ("binding_energy", "chemical_shift")
_OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def colours(species: list[str]) -> dict[str, str]:
    """Return one colour per species, the same in every picture of a set (Okabe-Ito palette)."""
    order = ["Li", "Li6PS5Cl", "Li2S", "Li3P", "LiCl"]
    ranked = [s for s in order if s in species] + [s for s in species if s not in order]
    fixed = {s: _OKABE_ITO[order.index(s)] for s in ranked if s in order}
    spare = iter([c for c in (*_OKABE_ITO, *("#999999",) * 99) if c not in fixed.values()])
    return {s: fixed.get(s) or next(spare) for s in ranked}


def _figure(rows: int = 1, columns: int = 1, **kwargs: Any) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    size = kwargs.pop("size", (7.0 * columns, 4.0 * rows))
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def spectrum(ds: xr.Dataset) -> Figure:
    """Draw a Spectrum: a line, or an image of all spectra of a series or map.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum, or a cell's own channels (drawn by `workbench.plot.channels`).

    Returns
    -------
    matplotlib.figure.Figure
    """
    if ds.attrs.get("convention") == "channels-1":
        return channels(ds)
    axis = axis_of(ds)
    outer = outer_dims(ds)
    figure, axes = _figure()
    ax = axes[0, 0]
    x = ds[axis].values
    if not outer:
        ax.plot(x, ds["intensity"].values, lw=0.9, color="k")
        ax.set_ylabel(f"Intensity / {ds['intensity'].attrs['units']}")
    else:
        stack = ds["intensity"].values.reshape(-1, x.size)
        image = ax.pcolormesh(x, np.arange(stack.shape[0]), stack, shading="nearest")
        figure.colorbar(image, ax=ax, label=f"Intensity / {ds['intensity'].attrs['units']}")
        ax.set_ylabel(" x ".join(outer) + " (spectrum number)")
    _dress(ax, axis, where(ds))
    return figure


def _dress(ax: Axes, axis: str, title: str) -> None:
    ax.set_xlabel(_LABELS.get(axis, axis))
    ax.set_title(title, fontsize=9)
    if axis in _DESCENDING:
        ax.invert_xaxis()


_NAMED = 8
"""Parts without a species that a legend still holds."""


def fit(ds: xr.Dataset, result: xr.Dataset, **selection: float) -> Figure:
    """Draw data, parts and residual of one fitted spectrum.

    Parameters
    ----------
    ds : xr.Dataset
        The Spectrum.
    result : xr.Dataset
        Its FitResult.
    **selection : float
        Coordinates of the spectrum by dimension (``time=3600``), nearest taken, as in xarray's
        ``sel``; dimensions left out take their first.

    Returns
    -------
    matplotlib.figure.Figure
        The status is in the title when it is not ok, in red.
    """
    require(result, "fit-1", "workbench.fit(ds, components)")
    at = locate(ds, selection)
    one, fitted = ds.isel(at), result.isel(at)
    parts = curves(one, fitted)
    axis = axis_of(one)
    x = one[axis].values
    figure, axes = _figure(2, 1, sharex=True, size=(7.0, 5.2), height_ratios=(3, 1))
    top, low = axes[0, 0], axes[1, 0]
    top.plot(x, parts["data"], ".", ms=3, color="0.35", label="data")
    from ..result import components_of

    components = components_of(fitted)
    palette = colours(list(components.species))
    # Bands that are no species' (D, G, a user's own) are told apart too, as far as a legend goes.
    own = [c.name for c in components if c.role != "background" and c.species is None]
    if len(own) <= _NAMED:
        palette |= {n: c for n, c in colours([*components.species, *own]).items() if n in own}
    ground = parts["background"].values
    for component in components:
        if component.role == "background":
            continue
        y = parts["part"].sel(component=component.name).values
        named = component.species or component.name
        colour = palette.get(named, "0.6")
        label = component.name if component.name == named and named in palette else None
        top.fill_between(x, ground, ground + y, alpha=0.35, color=colour, label=label, lw=0)
    top.plot(x, ground, color="0.5", lw=0.8, ls="--", label="background")
    top.plot(x, parts["model"], color="k", lw=1.0, label="model")
    top.set_ylabel(f"Intensity / {one['intensity'].attrs['units']}")
    top.legend(fontsize=7)
    low.plot(x, parts["residual"], lw=0.7, color="0.3")
    low.axhline(0.0, color="k", lw=0.5)
    low.set_ylabel("Residual")
    _dress(low, axis, "")
    status = status_of(fitted)
    place = ", ".join(f"{d} = {float(one[d]):g}" for d in at)
    reduced = float(fitted["redchi"])
    top.set_title(
        f"{where(ds)} {place}  reduced $\\chi^2$ {reduced:.2f}"
        + ("" if status == "ok" else f"  [{status}]"),
        fontsize=9,
        color="k" if status == "ok" else "#C00000",
    )
    return figure


def locate(ds: xr.Dataset, selection: dict[str, float]) -> dict[str, int]:
    """Turn coordinate values into positions along the outer dims; nearest, first by default."""
    at = {}
    for dim in selection:
        if dim not in outer_dims(ds):
            raise OrderError(
                f"{where(ds)}: no dimension {dim!r}; it has {', '.join(outer_dims(ds))}"
            )
    for dim in outer_dims(ds):
        values = ds[dim].values.astype(float)
        at[dim] = int(np.argmin(np.abs(values - selection[dim]))) if dim in selection else 0
    return at


def status_of(fitted: xr.Dataset) -> str:
    """Return the name of one spectrum's status."""
    names = str(fitted["status"].attrs["flag_meanings"]).split()
    values = list(fitted["status"].attrs["flag_values"])
    return names[values.index(fitted["status"].item())]


def amounts(result: xr.Dataset, truth: xr.DataArray | None = None) -> Figure:
    """Draw amounts: trends with error bars along one dimension, maps over two.

    Parameters
    ----------
    result : xr.Dataset
        Amounts.
    truth : xr.DataArray, optional
        True amounts on the same dims; drawn as lines, or as a row of maps.

    Returns
    -------
    matplotlib.figure.Figure
        Flagged values are hollow in trends and hatched in maps.
    """
    require(result, "amount-1", "workbench.quantify(fit)")
    dims = [str(d) for d in result["amount"].dims if d != "species" and result.sizes[d] > 1]
    result = result.squeeze([d for d in result["amount"].dims if d not in (*dims, "species")])
    if truth is not None:
        truth = truth.squeeze([d for d in truth.dims if d not in (*dims, "species")])
    if len(dims) > 1:
        return _maps(result, truth, dims)
    figure, axes = _figure()
    ax = axes[0, 0]
    _trend(ax, result, dims[0] if dims else None, truth)
    ax.set_title(_title(result), fontsize=9)
    ax.legend(fontsize=7)
    return figure


def _title(result: xr.Dataset) -> str:
    bad = int(np.sum(result["flag"].values >= 2))
    note = f"; {bad} values flagged (hollow or hatched)" if bad else ""
    region = result.attrs.get("region") or result.attrs.get("nucleus") or ""
    return f"{result.attrs['technique'].upper()} {region}{note}"


def _trend(ax: Axes, result: xr.Dataset, dim: str | None, truth: xr.DataArray | None) -> None:
    species = [str(s) for s in result["species"].values]
    palette = colours(species)
    x = np.arange(1) if dim is None else result[dim].values.astype(float)
    scale, label = (3600.0, "Time / h") if dim == "time" else (1.0, _dim_label(result, dim))
    for name in species:
        one = result.sel(species=name)
        y, e = np.atleast_1d(one["amount"].values), np.atleast_1d(one["stderr"].values)
        flagged = np.atleast_1d(one["flag"].values) >= 2
        colour = palette[name]
        ax.errorbar(x / scale, y, e, fmt="none", ecolor=colour, elinewidth=0.8)
        ax.plot(x[~flagged] / scale, y[~flagged], "o", ms=3.5, color=colour, label=name)
        ax.plot(x[flagged] / scale, y[flagged], "o", ms=3.5, mfc="none", color=colour)
        if truth is not None and name in truth["species"].values and dim is not None:
            ax.plot(x / scale, truth.sel(species=name).values, "-", lw=1.0, color=colour)
    ax.set_xlabel(label)
    units = result["amount"].attrs["units"]
    ax.set_ylabel("Fraction" if units == "1" else f"Amount / {units}")


def _dim_label(result: xr.Dataset, dim: str | None) -> str:
    return "" if dim is None else f"{dim} / {result[dim].attrs.get('units', '1')}"


def _maps(result: xr.Dataset, truth: xr.DataArray | None, dims: list[str]) -> Figure:
    species = [str(s) for s in result["species"].values]
    rows = 1 if truth is None else 2
    while len(dims) > 2:
        result, dims = result.isel({dims[0]: -1}), dims[1:]
        truth = None if truth is None else truth.isel(dict.fromkeys(truth.dims[:1], -1))
    figure, axes = _figure(rows, len(species), size=(3.2 * len(species), 3.0 * rows))
    y, x = (result[d].values.astype(float) for d in dims)
    for column, name in enumerate(species):
        one = result.sel(species=name)
        image = one["amount"].transpose(*dims).values
        known = None
        if truth is not None and name in truth["species"].values:
            known = truth.sel(species=name).transpose(*dims).values
        both = np.concatenate([image.ravel(), [] if known is None else known.ravel()])
        both = both[np.isfinite(both)]
        low, high = np.percentile(both, [1, 99]) if both.size else (0.0, 1.0)
        for row, picture in enumerate([image] if known is None else [image, known]):
            ax = axes[row, column]
            mesh = ax.pcolormesh(x, y, picture, shading="nearest", vmin=low, vmax=high)
            figure.colorbar(mesh, ax=ax)
            ax.set_title(f"{name} ({'found' if row == 0 else 'true'})", fontsize=9)
            if row == 0:
                flags = one["flag"].transpose(*dims).values >= 2
                if flags.any():
                    ax.contourf(
                        x, y, flags.astype(float), levels=[0.5, 1.5], hatches=["////"], alpha=0.0
                    )
            ax.set_xlabel(_dim_label(result, dims[1]))
            if column == 0:
                ax.set_ylabel(_dim_label(result, dims[0]))
        for row in range(1 if known is None else 2, rows):
            axes[row, column].set_axis_off()
    figure.suptitle(_title(result), fontsize=9)
    return figure


def cell(aligned: xr.Dataset) -> Figure:
    """Draw all techniques' amounts against time, with voltage and current below.

    Parameters
    ----------
    aligned : xr.Dataset
        What `workbench.align` returns, on ``time``.

    Returns
    -------
    matplotlib.figure.Figure
        Positions and other dims are averaged; values without a number are left out.
    """
    require(aligned, "aligned-1", "workbench.align(amounts, ...)")
    parts = [
        p
        for p in str(aligned.attrs["parts"]).split()
        if f"{p}_amount" in aligned and "time" in aligned[f"{p}_amount"].dims
    ]
    channels = [c for c in ("voltage", "current") if c in aligned]
    rows = len(parts) + (1 if channels else 0)
    if not rows:
        raise OrderError("plot.cell: nothing runs along time")
    figure, axes = _figure(rows, 1, sharex=True, size=(7.5, 2.1 * rows))
    hours = aligned["time"].values / 3600.0
    palette = colours([str(s) for s in aligned["species"].values])
    for ax, part in zip(axes[:, 0], parts, strict=False):
        amount, stderr = aligned[f"{part}_amount"], aligned[f"{part}_stderr"]
        extra = [d for d in amount.dims if d not in ("time", "species")]
        if extra:
            count = amount.notnull().sum(extra)
            amount = amount.mean(extra)
            stderr = (stderr**2).sum(extra) ** 0.5 / count.where(count > 0)
        for name in aligned["species"].values:
            y = amount.sel(species=name).values
            if np.isfinite(y).any():
                e = stderr.sel(species=name).values
                ax.errorbar(hours, y, e, fmt="o", ms=2.5, lw=0.7, color=palette[name], label=name)
        units = aligned[f"{part}_amount"].attrs.get("units", "1")
        ax.set_ylabel(f"{part}\n" + ("fraction" if units == "1" else units), fontsize=8)
        ax.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    if channels:
        ax = axes[-1, 0]
        ax.plot(hours, aligned[channels[0]].values, color="k", lw=1.0)
        ax.set_ylabel(f"{channels[0]} / {aligned[channels[0]].attrs['units']}", fontsize=8)
        if len(channels) > 1:
            twin = ax.twinx()
            twin.plot(hours, aligned[channels[1]].values, color="#C00000", lw=0.8, ls="--")
            unit = aligned["current"].attrs["units"]
            twin.set_ylabel(f"current / {unit}", fontsize=8, color="#C00000")
    axes[-1, 0].set_xlabel("Time / h")
    return figure


def balance(result: xr.Dataset) -> Figure:
    """Draw the pulls of each product from one common extent, and lithium against charge.

    Parameters
    ----------
    result : xr.Dataset
        What `workbench.balance` returns.

    Returns
    -------
    matplotlib.figure.Figure
    """
    require(result, "balance-1", "workbench.balance(cell, reaction)")
    lithium = "lithium_found" in result
    figure, axes = _figure(1, 2 if lithium else 1, size=(11.0 if lithium else 6.0, 3.6))
    ax = axes[0, 0]
    names = [str(p) for p in result["part"].values]
    meanings = str(result["verdict"].attrs["flag_meanings"]).split()
    palette = colours([str(p) for p in result["product"].values])
    for row, part in enumerate(names):
        for product in result["product"].values:
            pulls = result["pull"].sel(part=part, product=product).values.ravel()
            pulls = pulls[np.isfinite(pulls)]
            offset = (list(palette).index(product) - 0.5 * len(palette)) * 0.12
            ax.plot(
                pulls,
                np.full(pulls.size, row + offset),
                ".",
                ms=3,
                color=palette[product],
                label=product if row == 0 else None,
            )
    labels = [
        f"{n} ({meanings[int(v)].replace('_', ' ')})"
        for n, v in zip(names, result["verdict"].values, strict=True)
    ]
    ax.set_yticks(range(len(names)), labels, fontsize=8)
    ax.set_ylim(-0.5, len(names) - 0.5)
    for edge in (-3.0, 3.0):
        ax.axvline(edge, color="0.6", lw=0.8, ls=":")
    ax.set_xlabel("Pull of product from the common extent / sigma")
    ax.legend(fontsize=7)
    ax.set_title(str(result.attrs["reaction"]), fontsize=9)
    if lithium:
        ax = axes[0, 1]
        hours = result["time"].values / 3600.0
        ax.errorbar(
            hours, result["lithium_found"], result["lithium_stderr"], fmt="o", ms=3, label="found"
        )
        ax.plot(hours, result["lithium_passed"], "k-", lw=1.0, label="charge / F")
        ax.set_xlabel("Time / h")
        ax.set_ylabel("Lithium / nmol cm$^{-2}$")
        ax.legend(fontsize=7)
    return figure

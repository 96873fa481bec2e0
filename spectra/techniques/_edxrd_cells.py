"""Start cells from the data: each phase's lattice refined where that phase is strongest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..component import Component, Components
from ._edxrd_columns import valid_rows
from ._edxrd_strains import linear, relative, room, shifted, slopes, spread

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[Any]
_GAIN = 25.0
"""Gain in chi-square, five standard errors, below which a cell stays as it is."""
_SEEN = 100.0
"""Gain of having the phase at all, ten standard errors, below which its cell stays."""


@dataclass(frozen=True)
class Start:
    """Where a phase's lines start, relative to the library, and how far they may move from there.

    Parameters
    ----------
    factor : float
        On the line positions.
    low, high : float
        Bounds of the further relative shift.
    """

    factor: float
    low: float
    high: float


def refined(
    ds: xr.Dataset, components: Components, largest: float, *, common: bool = True
) -> dict[str, Start]:
    """Return the factor on the line positions of every phase that is clearly there.

    All areas are found by a linear fit in every spectrum; the spectra with the largest area of a
    phase, in standard errors, are summed and the phase's positions scaled until the sum is fitted
    best, all areas free. Phases below ten standard errors keep their positions (factor 1).

    With ``common`` the factors are then corrected for what all phases share from spectrum to
    spectrum: phases are strongest at different times, and a drift of the scale between those times
    would otherwise stay in the cells relative to each other (`_edxrd_strains.relative`).

    Parameters
    ----------
    ds : xr.Dataset
    components : Components
        Phases with ``lines`` that scale with ``center``; backgrounds.
    largest : float
        Largest relative change.
    common : bool
        Whether all phases of a spectrum will share one strain.

    Returns
    -------
    dict of str to Start
        By component name; bounds from the spread over the spectra that show the phase clearly.
    """
    from ._edxrd_columns import columns

    x, y = spectra_of(ds)
    phases = [k for k, c in enumerate(components) if c.species is not None and c.lines]
    factors = {components.items[k].name: 1.0 for k in phases}
    basis = columns(components, x)
    weight = 1.0 / np.maximum(np.nan_to_num(np.nanmean(y, axis=0)), 0.5)
    area, error = linear(basis, y, weight)
    for round_ in range(2):
        for k in phases:
            c = components.items[k]
            score = area[:, k] / error[:, k]
            top = np.argsort(-score)[: max(1, len(score) // 50)]
            total = np.nan_to_num(y[top].sum(axis=0, dtype=float))
            reach = largest if round_ == 0 else 0.1 * largest
            basis[k], factors[c.name] = _scaled(
                c, k, basis, total, x, factors[c.name], reach, float(x[0])
            )
        area, error = linear(basis, y, weight)
    own = [components.items[k] for k in phases]
    if common and len(y) > 1 and len(own) > 1:
        n = len(basis)
        for _ in range(2):
            both = np.vstack([basis, slopes(own, [factors[c.name] for c in own], x)])
            value, sigma = linear(both, y, weight)
            moved = relative(value[:, phases], value[:, n:], sigma[:, phases], sigma[:, n:])
            for c, k, shift in zip(own, phases, moved, strict=True):
                if np.isfinite(shift) and abs(shift) < 0.3 * largest:
                    factors[c.name] += float(shift)
                    basis[k] = shifted(c, x, factors[c.name])
        area, error = linear(basis, y, weight)
    out = {}
    change = slopes(own, [factors[c.name] for c in own], x)
    for i, (c, k) in enumerate(zip(own, phases, strict=True)):
        factor = factors[c.name]
        center = c.params["center"].model_copy(
            update={"value": c.params["center"].value * factor, "expr": None}
        )
        here = c.model_copy(update={"params": {**c.params, "center": center}})
        found = spread(
            here,
            k,
            np.vstack([basis, np.delete(change, i, axis=0)]),
            y,
            x,
            area[:, k] / error[:, k],
            largest,
        )
        out[c.name] = Start(factor, *room(found, largest))
    return out


def spectra_of(ds: xr.Dataset) -> tuple[Array, Counts]:
    """Return axis and spectra (M, N) without the channels that are masked in most of them.

    Spectra that are masked as a whole hold zeros.
    """
    axis = ds["intensity"].dims[-1]
    x = ds[axis].values
    y = ds["intensity"].values.reshape(-1, x.size)
    valid = valid_rows(ds)
    if valid is not None and not valid.all():
        rows = np.asarray(valid.any(axis=1), bool)
        keep = valid[rows].mean(axis=0) > 0.5 if rows.any() else np.ones(x.size, bool)
        x, y = x[keep], np.where(rows[:, None], y[:, keep], 0).astype(y.dtype, copy=False)
    return x, y


def strongest(basis: Array, y: Counts, k: int, weight: Array) -> tuple[Array, float]:
    """Return the sum of the spectra with most of component k, and its area in standard errors."""
    area, error = linear(basis, y, weight)
    top = np.argsort(-area[:, k] / error[:, k])[: max(1, len(area) // 50)]
    total = np.nan_to_num(y[top].sum(axis=0, dtype=float))
    one, sigma = linear(basis, total[None], 1.0 / np.maximum(total, 0.5))
    return total, float(one[0, k] / sigma[0, k])


def _scaled(
    c: Component,
    k: int,
    basis: Array,
    total: Array,
    x: Array,
    start: float,
    reach: float,
    low: float,
) -> tuple[Array, float]:
    """Best factor on the positions of component k for a summed spectrum."""
    from scipy.optimize import minimize_scalar

    from ._edxrd_columns import columns

    weight = 1.0 / np.sqrt(np.maximum(total, 1.0))
    own: dict[float, Array] = {}

    def column(factor: float) -> Array:
        if factor not in own:
            center = c.params["center"].model_copy(
                update={"value": c.params["center"].value * factor, "expr": None}
            )
            moved = c.model_copy(update={"params": {**c.params, "center": center}})
            own[factor] = columns(Components([moved]), x)[0]
        return own[factor]

    rest = np.delete(basis, k, axis=0) * weight
    rest, _ = np.linalg.qr((rest / np.maximum(np.linalg.norm(rest, axis=1), 1e-300)[:, None]).T)
    data = total * weight - rest @ (rest.T @ (total * weight))
    without = float(data @ data)

    def cost(factor: float) -> float:
        row = column(factor) * weight
        row = row - rest @ (rest.T @ row)
        overlap = float(row @ data)
        return without - overlap**2 / float(row @ row) if overlap > 0 else np.inf

    step = 0.1 * float(c.params["fwhm"].value) / float(c.params["center"].value)
    count = max(5, int(2 * reach / (2.0 * step)) | 1)
    grid = start + np.linspace(-reach, reach, count)
    costs = [cost(float(g)) for g in grid]
    best = int(np.argmin(costs))
    if not np.isfinite(costs[best]) or best in (0, count - 1):
        return basis[k], start
    found = minimize_scalar(
        cost, bounds=(grid[best - 1], grid[best + 1]), method="bounded", options={"xatol": 2e-6}
    )
    if cost(start) - float(found.fun) < _GAIN or without - float(found.fun) < _SEEN:
        return basis[k], start
    return column(float(found.x)), float(found.x)

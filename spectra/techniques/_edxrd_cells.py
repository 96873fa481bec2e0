"""Start cells from the data: each phase's lattice refined where that phase is strongest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..component import Component, Components

Array = npt.NDArray[np.float64]
_BLOCK = 2000
_GAIN = 25.0
"""Gain in chi-square, five standard errors, below which a cell stays as it is."""


def refined(ds: xr.Dataset, components: Components, largest: float) -> dict[str, float]:
    """Return the factor on the line positions of every phase that is clearly there.

    All areas are found by a linear fit in every spectrum; the spectra with the largest area of a
    phase, in standard errors, are summed and the phase's positions scaled until the sum is fitted
    best, all areas free. Phases below thirty standard errors keep their positions (factor 1).

    Parameters
    ----------
    ds : xr.Dataset
    components : Components
        Phases with ``lines`` that scale with ``center``; backgrounds.
    largest : float
        Largest relative change.

    Returns
    -------
    dict of str to float
        By component name.
    """
    from ._edxrd_model import columns

    axis = ds["intensity"].dims[-1]
    x = ds[axis].values
    y = np.nan_to_num(ds["intensity"].values.reshape(-1, x.size).astype(float))
    if "valid" in ds:
        seen = np.broadcast_to(ds["valid"], ds["intensity"].shape) if ds["valid"].ndim else None
        if seen is not None:
            keep = seen.reshape(-1, x.size).mean(axis=0) > 0.5
            x, y = x[keep], y[:, keep]
    phases = [k for k, c in enumerate(components) if c.species is not None and c.lines]
    factors = {components.items[k].name: 1.0 for k in phases}
    basis = columns(components, x)
    for round_ in range(2):
        area, error = _areas(basis, y)
        for k in phases:
            c = components.items[k]
            score = area[:, k] / error[:, k]
            top = np.argsort(-score)[: max(1, len(score) // 50)]
            total = y[top].sum(axis=0)
            one, sigma = _areas(basis, total[None])
            if one[0, k] < 30.0 * sigma[0, k]:
                continue
            reach = largest if round_ == 0 else 0.1 * largest
            basis[k], factors[c.name] = _scaled(
                c, k, basis, total, x, factors[c.name], reach, float(x[0])
            )
    return factors


def _areas(basis: Array, y: Array) -> tuple[Array, Array]:
    """Weighted linear fit of all columns to every spectrum, with standard errors."""
    weight = 1.0 / np.maximum(y.mean(axis=0), 0.5)
    normal = (basis * weight) @ basis.T
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    inverse = np.linalg.pinv(normal / np.outer(scale, scale), rcond=1e-10) / np.outer(scale, scale)
    out = np.concatenate(
        [y[i : i + _BLOCK] @ (basis * weight).T @ inverse for i in range(0, len(y), _BLOCK)]
    )
    level = np.maximum(y.mean(axis=1) / max(float(y.mean()), 1e-12), 1e-3)
    return out, np.sqrt(np.diag(inverse))[None, :] * np.sqrt(level)[:, None]


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

    from ._edxrd_model import columns

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

    def cost(factor: float) -> float:
        a = basis.copy()
        a[k] = column(factor)
        q, *_ = np.linalg.lstsq((a * weight).T, total * weight, rcond=1e-10)
        return float(np.sum(((q @ a - total) * weight) ** 2)) if q[k] > 0 else np.inf

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
    if cost(start) - float(found.fun) < _GAIN:
        return basis[k], start
    return column(float(found.x)), float(found.x)

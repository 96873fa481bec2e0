"""Small shifts of cells, estimated in all spectra at once by linear fits.

A column and its derivative by the relative shift of its lines are fitted together: their ratio is
the shift. This finds the cells of phases relative to each other although the scale drifts from
spectrum to spectrum, and how far each cell moves over a map.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..component import Component, Components

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[Any]
_BLOCK = 1000
_DELTA = 2e-5
_LEAST = 5e-4
"""Room for a shift that no spectrum shows; a tenth of the width of a line."""
_ALIKE = 0.97
"""Correlation from which one phase's column passes for another's."""


def shifted(c: Component, x: Array, factor: float) -> Array:
    """Return a component's column with its line positions multiplied by a factor."""
    from ._edxrd_columns import columns

    center = c.params["center"].model_copy(
        update={"value": c.params["center"].value * factor, "expr": None}
    )
    return columns(
        Components([c.model_copy(update={"params": {**c.params, "center": center}})]), x
    )[0]


def slopes(phases: list[Component], factors: list[float], x: Array) -> Array:
    """Return the derivative of each phase's column by the factor on its lines, shape (n, N)."""
    return np.array(
        [
            (shifted(c, x, f + _DELTA) - shifted(c, x, f - _DELTA)) / (2.0 * _DELTA)
            for c, f in zip(phases, factors, strict=True)
        ]
    )


def linear(basis: Array, y: Counts, weight: Array) -> tuple[Array, Array]:
    """Fit columns to every spectrum with one set of weights.

    Parameters
    ----------
    basis : ndarray, shape (n, N)
    y : ndarray, shape (M, N)
        Counts, of any type; converted block by block.
    weight : ndarray, shape (N,)
        One over the variance of a spectrum of mean level.

    Returns
    -------
    value : ndarray, shape (M, n)
    stderr : ndarray, shape (M, n)
        Scaled with the root of each spectrum's level.
    """
    normal = (basis * weight) @ basis.T
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    inverse = np.linalg.pinv(normal / np.outer(scale, scale), rcond=1e-10) / np.outer(scale, scale)
    project = (basis * weight).T @ inverse
    blocks = [y[i : i + _BLOCK].astype(float) for i in range(0, len(y), _BLOCK)]
    value = np.concatenate([np.nan_to_num(b) @ project for b in blocks])
    mean = np.concatenate([np.nanmean(b, axis=1) for b in blocks])
    level = np.maximum(mean / max(float(np.nanmean(mean)), 1e-12), 1e-3)
    return value, np.sqrt(np.diag(inverse))[None, :] * np.sqrt(level)[:, None]


def relative(area: Array, change: Array, area_error: Array, change_error: Array) -> Array:
    """Return the shift of every phase, free of what all phases of a spectrum share.

    ``change = area (f_k + d_t) + noise`` with one f per phase and one d per spectrum, by
    alternating weighted least squares. The gauge is the mean of d over the spectra, each weighted
    with its information: an overall shift stays with the phases.

    Parameters
    ----------
    area, change, area_error, change_error : ndarray, shape (M, n)
        From `linear` with a column and its derivative for every phase.

    Returns
    -------
    ndarray, shape (n,)
        NaN for a phase seen in no spectrum.
    """
    seen = area > 4.0 * area_error
    weight = np.where(seen, 1.0 / change_error**2, 0.0)
    # the noise of the area would pull the ratio towards zero
    square = np.maximum(area**2 - area_error**2, 0.0) * weight
    cross = area * change * weight
    per_phase, per_spectrum = square.sum(axis=0), square.sum(axis=1)
    f = np.divide(cross.sum(axis=0), per_phase, out=np.zeros(area.shape[1]), where=per_phase > 0)
    d = np.zeros(len(area))
    for _ in range(200):
        d = np.divide(
            (cross - square * f).sum(axis=1), per_spectrum, out=d * 0.0, where=per_spectrum > 0
        )
        d -= (d * per_spectrum).sum() / max(float(per_spectrum.sum()), 1e-300)
        before = f
        f = np.divide((cross - square * d[:, None]).sum(axis=0), per_phase, out=f * 0.0,
                      where=per_phase > 0)  # fmt: skip
        if np.max(np.abs(f - before)) < 1e-8:
            break
    return np.where(per_phase > 0, f, np.nan)


def spread(
    c: Component, k: int, basis: Array, y: Counts, x: Array, score: Array, largest: float
) -> tuple[float, float] | None:
    """Return the least and largest shift of a phase over the spectra that show it clearly.

    Parameters
    ----------
    c : Component
        The phase; ``k`` its row in ``basis``.
    basis : ndarray, shape (n, N)
        All columns, and the slopes of the other phases: their shifts must not pass for this one's.
    y : ndarray, shape (M, N)
    score : ndarray, shape (M,)
        Its area over its standard error in every spectrum.
    largest : float
        Largest relative shift to look for.

    Returns
    -------
    (float, float) or None
        The scatter of the estimates less what their errors explain (empirical Bayes). None if no
        spectrum shows it with fifteen standard errors.
    """
    chosen = np.flatnonzero(score > 15.0)
    if not chosen.size:
        return None
    if chosen.size > 300:
        chosen = chosen[np.linspace(0, chosen.size - 1, 300).astype(int)]
    own = np.nan_to_num(y[chosen].astype(float))
    weight = 1.0 / np.maximum(own.mean(axis=0), 0.5)
    root = np.sqrt(weight)
    others = np.delete(basis, k, axis=0)
    q, _ = np.linalg.qr((others * root / np.linalg.norm(others * root, axis=1)[:, None]).T)
    data = own * root
    data = data - (data @ q) @ q.T
    step = 0.15 * float(c.params["fwhm"].value) / float(c.params["center"].value)
    count = max(5, int(2.0 * largest / step) | 1)
    grid = np.linspace(-largest, largest, count)
    gain = np.empty((count, chosen.size))
    for i, g in enumerate(grid):
        column = shifted(c, x, 1.0 + float(g)) * root
        column = column - q @ (q.T @ column)
        gain[i] = np.maximum(data @ column, 0.0) ** 2 / max(float(column @ column), 1e-300)
    best = np.clip(np.argmax(gain, axis=0), 1, count - 2)
    at = np.arange(chosen.size)
    low, middle, high = gain[best - 1, at], gain[best, at], gain[best + 1, at]
    bend = low - 2.0 * middle + high
    shift = np.where(bend < 0, 0.5 * (low - high) / np.minimum(bend, -1e-300), 0.0)
    found = grid[best] + np.clip(shift, -1.0, 1.0) * (grid[1] - grid[0])
    # gain falls by one at one standard error from its top
    error = (grid[1] - grid[0]) * np.sqrt(2.0 / np.maximum(-bend, 1e-300))
    error = np.clip(error, 1e-7, largest)
    share = 1.0 / error**2
    mean = float((found * share).sum() / share.sum())
    # what the estimates scatter beyond their errors; each is drawn to the mean accordingly
    own_variance = float((((found - mean) ** 2 - error**2) * share).sum() / share.sum())
    own_variance = max(own_variance, 0.0)
    drawn = mean + (found - mean) * own_variance / (own_variance + error**2)
    least = 2.0 * float(error.min())
    return float(drawn.min()) - least, float(drawn.max()) + least


def traded(ds: xr.Dataset, components: Components, largest: float) -> float:
    """Return the smallest shift with which one phase's lines pass for another's.

    Where two phases show one line each, side by side, a strain that both share moves either under
    what is there: two answers fit, and their sum is not the same.

    Parameters
    ----------
    ds : xr.Dataset
    components : Components
        Phases and backgrounds.
    largest : float
        Largest relative shift looked at.

    Returns
    -------
    float
        Relative; infinite if there is none.
    """
    from ._edxrd_columns import columns

    axis = ds["intensity"].dims[-1]
    x = ds[axis].values
    y = np.nan_to_num(ds["intensity"].values.reshape(-1, x.size).mean(axis=0))
    root = 1.0 / np.sqrt(np.maximum(y, 0.5))
    phases = [c for c in components if c.species is not None and c.lines]
    rest = [c for c in components if c.species is None]
    if len(phases) < 2 or not rest:
        return np.inf
    smooth = columns(Components(rest), x) * root
    q, _ = np.linalg.qr((smooth / np.linalg.norm(smooth, axis=1)[:, None]).T)

    def clear(column: Array) -> Array:
        own = column * root - q @ (q.T @ (column * root))
        return np.asarray(own / max(float(np.linalg.norm(own)), 1e-300))

    still = [clear(shifted(c, x, 1.0)) for c in phases]
    out = np.inf
    for i, c in enumerate(phases):
        step = 0.1 * float(c.params["fwhm"].value) / float(c.params["center"].value)
        for g in np.linspace(-largest, largest, max(5, int(2.0 * largest / step) | 1)):
            if abs(g) >= out:
                continue
            own = clear(shifted(c, x, 1.0 + float(g)))
            if any(float(own @ other) > _ALIKE for j, other in enumerate(still) if j != i):
                out = abs(float(g))
    return out


def room(found: tuple[float, float] | None, largest: float) -> tuple[float, float]:
    """Return bounds for a shift from its spread: a quarter more on each side, and a little.

    A phase too weak to show a shift of its own gets twice the least room: were it free to wander
    over whole line widths, it would find the noise it likes best, and its amounts be too high.
    """
    if found is None:
        return -min(2.0 * _LEAST, largest), min(2.0 * _LEAST, largest)
    more = 0.25 * (found[1] - found[0]) + _LEAST
    return max(found[0] - more, -largest), min(found[1] + more, largest)

"""How far the cells of a series of patterns move: read from the series itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import xarray as xr

from ._edxrd_columns import valid_rows

Array = npt.NDArray[np.float64]
_BLOCKS = 12
_CLEAR = 225.0
"""Gain in chi-square, fifteen standard errors, from which a block shows a phase clearly."""
_SHIFT = 5e-3
"""Relative change of d that the displacement, not known yet, may pretend."""
_LEAST = 1e-3


def cell_bounds(
    ds: xr.Dataset,
    start: dict[str, float],
    smooth: Array,
    pattern: Callable[[str, float, float], Array],
    reach: float,
    wide: float,
    shifted: bool,
) -> dict[str, tuple[float, float, float]]:
    """Return where the cell of every phase starts, and the least and largest factor on it.

    Consecutive patterns are summed to at most twelve blocks; in each the phase's cell is scanned
    with the others where they start, free in width and a little in place, so that what is wrong
    with a strong phase is not taken for a weak one. Blocks that show it clearly tell how far it
    moves; a phase that none shows stays near its start. Without that a phase hardly there takes
    another one's line or the noise it likes best, and its neighbours in time start from there.

    Parameters
    ----------
    ds : xr.Dataset
    start : dict of str to float
        Factor on each cell, from the mean pattern.
    smooth : ndarray, shape (n, N)
        Background columns.
    pattern : callable
        (phase, factor, times the width) -> its pattern on the axis.
    reach : float
        Largest relative change.
    wide : float
        Relative change of d within a line's width, which sets the step of the scan.
    shifted : bool
        Whether a displacement or zero is fitted too.
    """
    x = ds["two_theta"].values
    rows = np.nan_to_num(ds["intensity"].values.reshape(-1, x.size).astype(float))
    valid = valid_rows(ds)
    good = np.ones(x.size)
    if valid is not None and valid.any():
        seen = valid.any(axis=1)
        rows, good = rows[seen], valid[seen].all(axis=0).astype(float)
    parts = np.array_split(np.arange(len(rows)), min(_BLOCKS, len(rows)))
    blocks = np.array([rows[p].sum(axis=0) for p in parts])
    mean = blocks.mean(axis=0)
    weight = good / np.sqrt(np.maximum(mean, 0.02 * max(float(mean.max()), 1e-300)))
    base = {
        name: [pattern(name, f, 1.0), pattern(name, f, 0.6), pattern(name, f, 2.0),
               pattern(name, f + 0.2 * wide, 1.0), pattern(name, f - 0.2 * wide, 1.0)]
        for name, f in start.items()
    }  # fmt: skip
    extra = _LEAST + (_SHIFT if shifted else 0.0)
    count = max(9, int(4.0 * reach / max(wide, 1e-5)) | 1)
    out = {}
    for name, f in start.items():
        others = np.vstack([smooth, *[row for n in start if n != name for row in base[n]]]) * weight
        norm = np.maximum(np.linalg.norm(others, axis=1), 1e-300)
        q, _ = np.linalg.qr((others / norm[:, None]).T)
        data = blocks * weight
        data = data - (data @ q) @ q.T
        grid = np.linspace(1.0 - reach, 1.0 + reach, min(count, 161))
        gain = np.empty((grid.size, len(blocks)))
        for i, g in enumerate(grid):
            column = pattern(name, float(g), 1.0) * weight
            column = column - q @ (q.T @ column)
            length = max(float(column @ column), 1e-300)
            gain[i] = np.maximum(data @ column, 0.0) ** 2 / length
        rest = (data**2).sum(axis=1) - gain.max(axis=0)
        gain = gain / np.maximum(rest / max(good.sum(), 1.0), 1e-300)
        shown = gain.max(axis=0) > _CLEAR
        if not shown.any():
            out[name] = f, *_inside(f - 2.0 * extra, f + 2.0 * extra, reach)
            continue
        best = float(grid[np.argmax(gain[:, shown].sum(axis=1))])
        if abs(best - f) > 2.0 * wide:
            f = best  # the mean pattern had it at another phase's lines
        place = grid[np.argmax(gain, axis=0)][shown]
        low, high = min(float(place.min()), f), max(float(place.max()), f)
        more = 0.25 * (high - low) + (grid[1] - grid[0]) + extra
        out[name] = f, *_inside(low - more, high + more, reach)
    return out


def _inside(low: float, high: float, reach: float) -> tuple[float, float]:
    return max(low, 1.0 - reach), min(high, 1.0 + reach)

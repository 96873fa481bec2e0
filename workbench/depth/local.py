"""How rough a profile may be at each depth, told by the series itself.

One weight for all depths smooths a narrow bump away where the rest is flat, and its band does not
know. Here the expected size of the second difference varies with depth, and is that of greatest
marginal likelihood; the weight then is taken three times smaller, so that what is left of the bias
is below the counting error, which the band does know.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .matrix import Grid, System, second_differences
from .solve import Solution, nonnegative

Array = npt.NDArray[np.float64]

LESS = 3.0
"""How much smaller than the most probable one the weight is. A band around a most probable, smooth
answer holds too little (P. Hall, Ann. Stat. 20 (1992) 675: undersmoothing for coverage); on
simulated series 3 gives bands that hold 93 to 97 % for errors 5 to 10 % larger."""
_ROUNDS = 15
_WINDOW = 0.07
"""Standard deviation of the window in depth, as a share of it."""
_KNOWN = 30.0
"""Parameters that the spectra together must determine for half of what they say (its logarithm) to
be believed: one spectrum says little about how rough it is at each depth."""
_RANGE = 300.0


def roughness(s: Solution, system: System, grid: Grid) -> Grid:
    """Return the grid with how stiff the profile is at each second difference.

    Parameters
    ----------
    s : Solution
        With the most probable weight for all depths alike.
    system : System
    grid : Grid

    Returns
    -------
    Grid
        With ``stiffness``, 1 where the profile is as rough as on average.

    Notes
    -----
    The variance of each second difference d is found by fixed-point steps, ``v = sum d^2 /
    sum(1 - var(d) / v)`` over the series and over a window in depth, layer by layer (D. MacKay,
    Neural Comput. 4 (1992) 415), half a step at a time.
    """
    rows, layer = second_differences(grid)
    count, k = s.x.shape
    if not rows.shape[0]:
        return grid
    full = s.normal.trace(axis1=1, axis2=2) > 0.0  # a masked spectrum says nothing
    if not full.any():
        return grid
    d = np.zeros((rows.shape[0], k))
    d[:, : rows.shape[1]] = rows
    w = system.seen / np.maximum(s.model, 0.5)
    right = np.einsum("...bk,...b->...k", system.columns, w * (system.y - system.fixed))
    right = np.broadcast_to(right, (count, k))[full]
    normal = s.normal[full]
    ridge = (1e-10 * np.trace(normal, axis1=1, axis2=2) / k)[:, None, None] * np.eye(k)
    start = 1.0 / s.weight
    v = np.full(d.shape[0], start)
    for _ in range(_ROUNDS):
        h = normal + d.T @ (d / v[:, None]) + ridge
        x = nonnegative(h, right)
        spread = np.einsum("ij,njk,ik->ni", d, np.linalg.inv(h), d, optimize=True)
        seen = np.maximum(1.0 - spread / v, 1e-6).mean(axis=0)
        size = ((x @ d.T) ** 2).mean(axis=0)
        for i in np.unique(layer):
            here = layer == i
            sigma = _WINDOW * rows.shape[1]
            ratio = _window(size[here], sigma) / _window(seen[here], sigma)
            v[here] = np.sqrt(v[here] * ratio)
        v = np.clip(v, start / _RANGE, start * _RANGE)
    known = float(s.edf[full].sum())
    return replace(grid, stiffness=(start / v) ** (known / (known + _KNOWN)))


def _window(values: Array, sigma: float) -> Array:
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(values, sigma, mode="nearest"))

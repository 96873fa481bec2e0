"""Depth profiles while the energy scale drifts: a shift for every spectrum, found with the profile.

The shift is one more unknown of each spectrum. Gauss-Newton steps make it linear, so its error and
what it does to the profile are in the bands like those of any other unknown.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from spectra.techniques._ndp_stopping import Table

from . import matrix
from .growth import Growth
from .matrix import System, Task
from .solve import Choice, Solution, choose, solve

Array = npt.NDArray[np.float64]

_STEP_KEV = 2.0
_REACH_KEV = 12.0
_ZERO_KEV, _UNIT_KEV = 100.0, 10.0  # the unknown is (shift + 100) / 10: it must not be negative
_ROUNDS = 12
_BATCH = 64


def inverted(
    task: Task,
    weight: float | Choice,
    start: Array,
    table: Table = "srim_85",
    near: Solution | None = None,
    keep: bool = False,
) -> tuple[Solution, System, Array]:
    """Solve profiles and one energy shift per spectrum together.

    Parameters
    ----------
    task : Task
        All spectra that hold data with the same mask.
    weight : float or str
        Of the penalty.
    start : ndarray, shape (n,)
        Shifts to start from, keV; each may move by 12 keV beyond the range of them.
    table : str
        Of stopping powers.
    near : Solution, optional
        A solution of a task that differs little: one step from there is taken.
    keep : bool
        Whether the system keeps its columns (for 500 spectra some 300 MB).

    Returns
    -------
    Solution, System, ndarray
        The last unknown is the shift. And the shifts, keV.
    """
    same = matrix.shared_mask(task)
    low, high = float(start.min()) - _REACH_KEV, float(start.max()) + _REACH_KEV
    count = int(np.ceil((high - low) / _STEP_KEV)) + 1
    moves = np.linspace(low, high, count)
    nodes = np.stack([matrix.matrix(same, float(m), table)[0] for m in moves])
    step = float(moves[1] - moves[0])
    grid = Growth(step, nodes, np.gradient(nodes, step, axis=0))
    unit = matrix.mean_content(task)
    n = start.size
    if isinstance(weight, str):
        few = np.unique(np.linspace(0, n - 1, 12).round().astype(int))
        _, made, _ = _steps(matrix.part(task, few), grid, low, high, 0.1, start[few], unit, None)
        data = (made.y, made.seen, made.fixed, made.columns, made.penalty)
        weight = choose(*data, made.rank, weight)
    parts = []
    for first in range(0, n, _BATCH):
        at = np.arange(first, min(first + _BATCH, n))
        close = None if near is None else (near.x[at], near.model[at])
        parts.append(_steps(matrix.part(task, at), grid, low, high, weight, start[at], unit, close))
        if not keep:
            s, made, moved = parts[-1]
            parts[-1] = (s, replace(made, columns=made.columns[:0]), moved)
    solutions, systems = [p[0] for p in parts], [p[1] for p in parts]
    solved = Solution(
        np.concatenate([p.x for p in solutions]),
        np.concatenate([p.normal for p in solutions]),
        np.concatenate([p.model for p in solutions]),
        np.concatenate([p.chi2 for p in solutions]),
        np.concatenate([p.edf for p in solutions]),
        weight,
    )
    made = replace(
        systems[0],
        y=np.concatenate([p.y for p in systems]),
        fixed=np.concatenate([p.fixed for p in systems]),
        seen=np.concatenate([p.seen for p in systems]),
        columns=np.concatenate([p.columns for p in systems]),
    )
    return solved, made, np.concatenate([p[2] for p in parts])


def _steps(
    task: Task,
    grid: Growth,
    low: float,
    high: float,
    weight: float,
    start: Array,
    unit: float,
    near: tuple[Array, Array] | None,
) -> tuple[Solution, System, Array]:
    shift, k = start, task.grid.width.size
    if near is None:
        made = matrix.system(task, grid.at(shift - low)[0], unit)
        solved = solve(made.y, made.seen, made.fixed, made.columns, made.penalty, weight, rounds=3)
        x, model = solved.x, solved.model
    else:
        x, model = near
    for _ in range(_ROUNDS if near is None else 1):
        cells, slopes = grid.at(shift - low)
        made = matrix.system(task, cells, unit)
        amounts = x[:, :k] * made.unit * task.grid.width * task.per_nmol[:, None]
        slope = (slopes @ amounts[:, :, None])[:, :, 0]
        many = np.broadcast_to(made.columns, (slope.shape[0], *made.columns.shape[1:]))
        made = replace(
            made,
            columns=np.concatenate([many, _UNIT_KEV * slope[:, :, None]], axis=2),
            fixed=made.fixed - slope * (_ZERO_KEV + shift)[:, None],
            penalty=np.pad(made.penalty, (0, 1)),
        )
        data = (made.y, made.seen, made.fixed, made.columns, made.penalty)
        solved = solve(*data, weight, rounds=2, model=model)
        x, model = solved.x, solved.model
        new = np.clip(_UNIT_KEV * x[:, -1] - _ZERO_KEV, low, high)
        change = np.where(made.seen.any(axis=1), np.clip(new - shift, -5.0, 5.0), 0.0)
        shift = shift + change
        if np.all(np.abs(change) < 0.05):
            break
    return solved, made, shift


def errors(s: Solution, penalty: Array) -> Array:
    """Return the standard errors of the shifts, keV; NaN where a spectrum holds nothing."""
    h = s.normal + s.weight * penalty
    trace = np.trace(h, axis1=1, axis2=2)
    h = h + (1e-10 * trace / h.shape[1] + 1e-300)[:, None, None] * np.eye(h.shape[1])
    variance = np.linalg.inv(h)[:, -1, -1]
    error = _UNIT_KEV * np.sqrt(np.maximum(variance, 0.0))
    return np.where(s.normal[:, -1, -1] > 0, error, np.nan)

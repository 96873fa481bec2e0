"""Depth profiles while a layer grows: what lies below is pushed down by the lithium above it.

The layer that grows is one cell of pure plated matter. Its thickness is its lithium, and the matrix
of everything below depends on it, so each spectrum has its own matrix, found by Gauss-Newton steps
in the one thickness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spectra.techniques._ndp_response import lithium_per_ug
from spectra.techniques._ndp_stopping import Table, loss

from . import matrix
from .matrix import System, Task
from .solve import Choice, Solution, choose, solve

Array = npt.NDArray[np.float64]

_STEP_KEV = 3.0
_MOST_NODES = 160
_SCAN = 14
_ROUNDS = 15


@dataclass(frozen=True)
class Growth:
    """Matrices at even steps of the growing layer's areal density, and their slopes.

    Parameters
    ----------
    step : float
        ug/cm2 from node to node.
    nodes, slopes : ndarray, shape (nodes, bins, cells)
    """

    step: float
    nodes: Array
    slopes: Array

    def at(self, areal: Array) -> tuple[Array, Array]:
        """Return matrix and slope at thicknesses, shape (n, bins, cells)."""
        place = np.clip(areal / self.step, 0.0, self.nodes.shape[0] - 1.0 - 1e-9)
        low = place.astype(int)
        share = (place - low)[:, None, None]
        return (
            (1 - share) * self.nodes[low] + share * self.nodes[low + 1],
            (1 - share) * self.slopes[low] + share * self.slopes[low + 1],
        )


def _growth(task: Task, move: float, table: Table) -> Growth:
    grid = task.grid
    layer = task.stack[int(grid.layer[grid.growing])]
    most = float(grid.width[grid.growing])
    fastest = max(float(loss(layer.formula, ion).at(0.8 * ion.birth_keV)) for ion in task.kinds)
    count = int(np.clip(np.ceil(most * fastest / _STEP_KEV) + 1, 4, _MOST_NODES))
    step = most / (count - 1)
    nodes = np.stack([matrix.matrix(task, move, table, i * step)[0] for i in range(count)])
    return Growth(step, nodes, np.gradient(nodes, step, axis=0))


def inverted(
    task: Task,
    weight: float | Choice,
    move: float = 0.0,
    table: Table = "srim_85",
    start: Array | None = None,
) -> tuple[Solution, System, Array]:
    """Solve profile and thickness of the growing layer together.

    Parameters
    ----------
    task : Task
        With ``grid.growing``; all spectra that hold data with the same mask.
    weight : float or str
        Of the penalty.
    move : float
        keV added to all energies of the matrix.
    table : str
    start : ndarray, shape (n,), optional
        Thicknesses to start from, ug/cm2; by default the best of a scan.

    Returns
    -------
    Solution, System, ndarray
        At the solution; the growing cell's column is the derivative of all counts by its lithium,
        so its errors, and those of what lies below, hold the uncertainty of the thickness. And the
        thickness of every spectrum, ug/cm2.
    """
    grown = _growth(matrix.shared_mask(task), move, table)
    grid = task.grid
    g, most = grid.growing, float(grid.width[grid.growing])
    per_ug = lithium_per_ug(task.stack[int(grid.layer[g])].formula)
    first = 0.1 if isinstance(weight, str) else weight
    areal = _scan(task, grown, first, per_ug) if start is None else start
    solved, made = _steps(task, grown, first, areal, per_ug)
    if isinstance(weight, str):
        data = (made.y, made.seen, made.fixed, made.columns, made.penalty)
        weight = choose(*data, made.rank, weight)
        areal = solved.x[:, g] * made.unit * most / per_ug
        solved, made = _steps(task, grown, weight, areal, per_ug)
    return solved, made, solved.x[:, g] * made.unit * most / per_ug


def _scan(task: Task, grown: Growth, weight: float, per_ug: float) -> Array:
    """Return the thickness of least penalised chi-square of a coarse scan, for each spectrum."""
    g, most = task.grid.growing, float(task.grid.width[task.grid.growing])
    n = task.counts.shape[0]
    tried = np.linspace(0.0, most, _SCAN)
    costs = np.empty((_SCAN, n))
    for i, areal in enumerate(tried):
        made = matrix.system(task, grown.at(np.array([areal]))[0])
        held = made.columns[:, :, g] * (areal * per_ug / (made.unit * most))
        columns = made.columns.copy()
        columns[:, :, g] = 0.0
        s = solve(made.y, made.seen, made.fixed + held, columns, made.penalty, weight, rounds=3)
        rough = np.einsum("ni,ij,nj->n", s.x, made.penalty, s.x)
        deviance = _deviance(made.y, s.model, made.seen)
        costs[i] = deviance + weight * rough
    return np.asarray(tried[np.argmin(costs, axis=0)])


def _deviance(y: Array, model: Array, seen: npt.NDArray[np.bool_]) -> Array:
    """Poisson deviance: unlike Pearson's chi-square it compares models of different counts."""
    m = model.clip(1e-3)
    terms = m - y + np.where(y > 0, y * np.log(np.maximum(y, 1e-3) / m), 0.0)
    return np.asarray(2.0 * np.where(seen, terms, 0.0).sum(axis=1))


def _steps(
    task: Task, grown: Growth, weight: float, areal: Array, per_ug: float
) -> tuple[Solution, System]:
    """Gauss-Newton steps: the growing cell's column is the derivative of all counts by it."""
    grid = task.grid
    g, most = grid.growing, float(grid.width[grid.growing])
    cells, slopes = grown.at(areal)
    made = matrix.system(task, cells)
    solved = solve(made.y, made.seen, made.fixed, made.columns, made.penalty, weight, rounds=3)
    x = solved.x
    x[:, g] = areal * per_ug / (made.unit * most)
    for _ in range(_ROUNDS):
        cells, slopes = grown.at(areal)
        made = matrix.system(task, cells)
        amounts = x[:, : grid.width.size] * made.unit * grid.width * task.per_nmol[:, None]
        extra = np.einsum("nbk,nk->nb", slopes, amounts) * (made.unit * most / per_ug)
        columns = np.broadcast_to(made.columns, (extra.shape[0], *made.columns.shape[1:])).copy()
        columns[:, :, g] += extra
        here = areal * per_ug / (made.unit * most)
        made = replace(made, columns=columns, fixed=made.fixed - extra * here[:, None])
        solved = solve(made.y, made.seen, made.fixed, columns, made.penalty, weight)
        x = solved.x
        new = np.clip(x[:, g] * made.unit * most / per_ug, 0.0, most)
        change = np.clip(new - areal, -0.1 * most, 0.1 * most)
        areal = areal + change
        if np.all(np.abs(change) < 0.02 * grown.step):
            break
    return solved, made

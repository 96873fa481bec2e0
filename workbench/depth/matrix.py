"""From a stack and counts to the linear system of a depth profile: cells, matrix, penalty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import xarray as xr

from spectra.convention import where
from spectra.errors import CalibrationError, ModelError
from spectra.techniques._ndp_response import Detector, Layer, cell_response, lithium_per_ug
from spectra.techniques._ndp_stopping import Ion, Table
from spectra.techniques.ndp import NO_LIVE_TIME

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Grid:
    """Depth cells: layer, bounds below its front, bounds below the surface (ug/cm2), nm.

    ``growing`` is the one cell of a layer that grows (its width is the most it can get), or -1.
    ``stiffness`` weighs the penalty of each second difference (`depth.local`); None: all alike.
    """

    layer: npt.NDArray[np.int64]
    low: Array
    high: Array
    start: Array
    nm: Array
    growing: int = -1
    stiffness: Array | None = None

    @property
    def width(self) -> Array:
        """Areal density of each cell, ug/cm2."""
        return self.high - self.low


@dataclass(frozen=True)
class Task:
    """What a profile is made from.

    Parameters
    ----------
    stack, eye, grid, kinds
        Layers, detector, depth cells, and ions.
    per_nmol : ndarray, shape (n,)
        Counts of one ion kind per nmol/cm2.
    floor : bool
        Whether a constant background is co-fitted.
    edges : ndarray, shape (channels + 1,)
        Of the channels, keV.
    counts, fixed : ndarray, shape (n, channels)
        And a known background.
    use : ndarray of bool, shape (n, channels)
    """

    stack: tuple[Layer, ...]
    eye: Detector
    grid: Grid
    kinds: tuple[Ion, ...]
    per_nmol: Array
    floor: bool
    edges: Array
    counts: Array
    fixed: Array
    use: Mask


@dataclass(frozen=True)
class System:
    """Binned counts and the matrix of unknowns (contents over their mean, then the background).

    Parameters
    ----------
    y, fixed : ndarray, shape (n, bins)
    seen : ndarray of bool, shape (n, bins)
    columns : ndarray, shape (1 or n, bins, k)
    penalty : ndarray, shape (k, k)
    rank : int
        Of the penalty.
    unit : float
        nmol/ug of an unknown that is one.
    """

    y: Array
    fixed: Array
    seen: Mask
    columns: Array
    penalty: Array
    rank: int
    unit: float


def cut(
    name: str, stack: Sequence[Layer], cells: int, most: float = 0.0, start: float = 0.0
) -> Grid:
    """Cut the layers that may hold lithium into cells of nearly equal areal density.

    Parameters
    ----------
    name : str
        For messages.
    stack : sequence of Layer
    cells : int
        Over all layers but a growing one, which is one cell.
    most, start : float
        Areal density a growing layer can reach at most, and where depths are counted with, ug/cm2.
    """
    holding = [i for i, layer in enumerate(stack) if layer.species]
    if not holding:
        raise ModelError(f"{name}: no layer has a species, so none can hold lithium")
    if sum(stack[i].grows for i in holding) > 1:
        raise ModelError(f"{name}: only one layer of a stack can grow")
    chosen = range(holding[0], holding[-1] + 1)
    for i in chosen:
        if stack[i].areal <= 0 and not stack[i].grows:
            raise ModelError(f"{name}: layer {stack[i].name!r} has no thickness; state it")
    areal = [start if layer.grows and i in holding else layer.areal for i, layer in
             enumerate(stack)]  # fmt: skip
    whole = sum(areal[i] for i in chosen if not (stack[i].grows and i in holding))
    above = np.concatenate([[0.0], np.cumsum(areal)])
    thick = [
        10.0 * a / layer.density_g_cm3
        if layer.density_g_cm3
        else (layer.thickness_nm or (0.0 if a == 0 else np.nan))
        for layer, a in zip(stack, areal, strict=True)
    ]
    above_nm = np.concatenate([[0.0], np.cumsum(thick)])
    rows: list[tuple[float, ...]] = []
    growing = -1
    for i in chosen:
        if stack[i].grows and i in holding:
            growing = len(rows)
            rows.append((i, 0.0, most, above[i], above_nm[i] + 0.5 * thick[i]))
            continue
        n = max(4, round(cells * areal[i] / whole))
        bounds = np.linspace(0.0, areal[i], n + 1)
        for a, b in pairwise(bounds):
            nm = above_nm[i] + 0.5 * (a + b) / areal[i] * thick[i]
            rows.append((i, a, b, above[i], nm))
    table = np.array(rows)
    layer, low, high, above_cell, nm_cell = table.T
    return Grid(layer.astype(int), low, high, above_cell, nm_cell, growing)


def per_nmol(ds: xr.Dataset) -> Array:
    """Return counts of one ion kind per nmol/cm2, for every spectrum."""
    sensitivity = ds.attrs.get("counts_per_nmol_s")
    if not sensitivity:
        raise CalibrationError(
            f"{where(ds)}: no sensitivity; calibrate with counts_per_nmol_s= from a reference of "
            "known areal density"
        )
    live = ds["live_time"] if "live_time" in ds else ds.attrs.get("live_time_s")
    if live is None:
        raise CalibrationError(f"{where(ds)}: {NO_LIVE_TIME}")
    like = ds["intensity"].isel(particle_energy=0)
    values = np.broadcast_to(xr.DataArray(live).broadcast_like(like).values, like.shape).ravel()
    if not np.all(np.isfinite(values)) or np.any(values <= 0):
        raise CalibrationError(f"{where(ds)}: live times must be positive; mask such spectra")
    return np.asarray(values * float(sensitivity), dtype=float)


def channel_edges(ds: xr.Dataset) -> Array:
    """Return the edges of the channels, keV."""
    x = ds["particle_energy"].values.astype(float)
    middle = 0.5 * (x[1:] + x[:-1])
    return np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])


def flat(ds: xr.Dataset, name: str) -> Array:
    """Return a variable as (spectra, channels); absent is zero."""
    like = ds["intensity"]
    if name not in ds:
        return np.zeros((int(np.prod(like.shape[:-1])), like.shape[-1]))
    values = ds[name].broadcast_like(like).transpose(*like.dims).values.astype(float)
    return values.reshape(-1, like.shape[-1])


def used(ds: xr.Dataset, counts: Array) -> Mask:
    """Return which channels count."""
    use = np.isfinite(counts)
    return use & (flat(ds, "valid") > 0) if "valid" in ds else use


def part(task: Task, pick: npt.NDArray[np.int64]) -> Task:
    """Return the task of some of its spectra."""
    return Task(
        task.stack, task.eye, task.grid, task.kinds, task.per_nmol[pick], task.floor, task.edges,
        task.counts[pick], task.fixed[pick], task.use[pick],
    )  # fmt: skip


def shared_mask(task: Task) -> Task:
    """Return the task with the one mask of all spectra that hold data, for matrices of its own.

    Raises
    ------
    ModelError
        If masks differ.
    """
    holding = task.use[task.use.any(axis=1)]
    if holding.size == 0:
        return replace(task, use=np.ones((1, task.use.shape[1]), dtype=bool))
    if not (holding == holding[:1]).all():
        raise ModelError(
            "depth_profile: with a layer that grows or a shift for each spectrum, all spectra must "
            "have the same masked channels"
        )
    return replace(task, use=holding[:1])


def most_grown(task: Task) -> float:
    """Return the areal density (ug/cm2) the growing layer would have if it sent every count."""
    layer = next(x for x in task.stack if x.grows and x.species)
    net = np.where(task.use, task.counts - task.fixed, 0.0).sum(axis=1).clip(1.0)
    return float((net / task.per_nmol).max()) / len(task.kinds) / lithium_per_ug(layer.formula)


def _groups(task: Task) -> npt.NDArray[np.int64]:
    """First channels of groups: much finer than the resolution, they are added up."""
    group = max(1, int(task.eye.fwhm_keV / 8.0 / float(np.median(np.diff(task.edges)))))
    return np.arange(0, task.counts.shape[1], group)


def matrix(
    task: Task, move: float = 0.0, table: Table = "srim_85", grown: float | None = None
) -> Array:
    """Return counts per bin of every cell per nmol/cm2 in it, shape (1 or n, bins, cells).

    Parameters
    ----------
    task : Task
    move : float
        keV added to all energies of the matrix.
    table : str
        Of stopping powers.
    grown : float, optional
        Areal density of the layer that grows, ug/cm2.
    """
    grid, starts = task.grid, _groups(task)
    edges = task.edges - move
    stack = list(task.stack)
    low, high = grid.low, grid.high
    if grid.growing >= 0:
        at = int(grid.layer[grid.growing])
        areal = max(grown or 0.0, 1e-2)
        stack[at] = stack[at].model_copy(update={"areal_ug_cm2": areal, "thickness_nm": None})
        high = high.copy()
        high[grid.growing] = areal
    together = np.append(edges[starts], edges[-1])
    full = np.concatenate(
        [
            cell_response(
                stack,
                int(i),
                np.append(low[grid.layer == i], high[grid.layer == i][-1]),
                together if task.use.all() else edges,
                task.eye,
                task.kinds,
                table,
            )
            for i in np.unique(grid.layer)
        ]
    ).T
    if task.use.all():
        return full[None]
    # A masked channel takes its share out of its group.
    patterns = task.use[:1] if (task.use == task.use[:1]).all() else task.use
    return np.stack([np.add.reduceat(full * u[:, None], starts, axis=0) for u in patterns])


def mean_content(task: Task) -> float:
    """Return the content (nmol/ug) if all counts came from the cells, evenly: the unit of unknowns.

    Unknowns are lithium contents over their mean, so that one weight suits any amount.
    """
    net = np.where(task.use, task.counts - task.fixed, 0.0).clip(0).sum()
    mean = max(float(net), 10.0 * task.counts.shape[0]) / (
        len(task.kinds) * float(task.per_nmol.sum())
    )
    width = task.grid.width
    free = np.arange(width.size) != task.grid.growing
    return mean / float(width[free].sum() if free.any() else width.sum())


def system(task: Task, cells: Array, unit: float | None = None) -> System:
    """Bin the counts and scale the matrix of `matrix`; append the background's column."""
    starts = _groups(task)
    use, grid = task.use, task.grid
    y = np.add.reduceat(np.where(use, task.counts, 0.0), starts, axis=1)
    fixed = np.add.reduceat(np.where(use, task.fixed, 0.0), starts, axis=1)
    patterns = use[:1] if (use == use[:1]).all() else use
    size = np.add.reduceat(np.where(patterns, np.diff(task.edges), 0.0), starts, axis=1)
    seen = np.broadcast_to(size > 0, y.shape)
    unit = unit or mean_content(task)
    counts = task.per_nmol
    columns = cells * (grid.width * unit)[None, None, :]
    columns = columns * (counts[:, None, None] if np.ptp(counts) else counts[0])
    penalty, rank = _penalty(grid)
    if task.floor:
        level = max(float(y.mean()), 1e-3)
        even = (level * size / size.mean())[:, :, None]
        many = max(even.shape[0], columns.shape[0])
        columns = np.concatenate(
            [np.broadcast_to(c, (many, *c.shape[1:])) for c in (columns, even)], axis=2
        )
        penalty = np.pad(penalty, (0, 1))
    return System(y, fixed, seen, columns, penalty, rank, unit)


def second_differences(grid: Grid) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return the rows of the penalty, second derivatives over depth from 0 to 1, and their layers.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    rows : ndarray, shape (rows, cells)
        Scaled so that the sum of squares is the integral.
    layer : ndarray of int
    """
    k = grid.width.size
    free = np.arange(k) != grid.growing
    whole = float(grid.width[free].sum())
    rows, layer = [], []
    for i in range(k - 2):
        if grid.layer[i] == grid.layer[i + 2]:
            h = float(grid.width[i + 1]) / whole
            row = np.zeros(k)
            row[i : i + 3] = np.array([1.0, -2.0, 1.0]) / h**1.5
            rows.append(row)
            layer.append(int(grid.layer[i]))
    return np.array(rows).reshape(-1, k), np.array(layer, dtype=np.int64)


def _penalty(grid: Grid) -> tuple[Array, int]:
    """Integral of the squared second derivative over depth from 0 to 1, layer by layer."""
    d, _ = second_differences(grid)
    stiff = np.ones(d.shape[0]) if grid.stiffness is None else grid.stiffness
    return d.T @ (stiff[:, None] * d), d.shape[0]

"""Alternating least squares with signs, roles and the data's own weights: what `unmix` iterates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from spectra.convention import axis_of

from .engine.data import Data
from .engine.lift import arrays_of, weights_of
from .engine.linear import grams, nonnegative
from .engine.problem import Block
from .progress import Progress, meter

Array = npt.NDArray[np.float64]

SAMPLE = 1500
"""From twice so many spectra on, MCR starts with every n-th of them."""


@dataclass(frozen=True)
class Task:
    """What is alternated: data less background, all rows (components, then ground), their roles."""

    y: Array
    block: Block
    rows: Array
    grounds: int
    fixed: frozenset[int]
    softness: Array
    width: Array

    @property
    def count(self) -> int:
        """Number of components; rows beyond are the ground."""
        return len(self.rows) - self.grounds

    @property
    def free(self) -> npt.NDArray[np.bool_]:
        """Which rows may have amounts of either sign."""
        return np.arange(len(self.rows)) >= self.count

    def weight2(self, model: Array | None) -> Array:
        """Inverse variances; of counts from the model once there is one."""
        plain = self.block.weight**2
        if model is None or not self.block.poisson:
            return plain
        ground = 0.0 if self.block.background is None else self.block.background
        expected = np.maximum(model + ground, 0.5)
        return np.where(plain > 0.0, 1.0 / expected, 0.0)


@dataclass(frozen=True)
class Found:
    """Where the alternation ended: rows, their amounts, weights and chi-square."""

    rows: Array
    amount: Array
    weight2: Array
    chisqr: Array
    rounds: int
    converged: bool


def block_of(ds: xr.Dataset) -> Block:
    """Return data and weights of all spectra as plain arrays."""
    x = ds[axis_of(ds)].values.astype(float)
    rows: dict[str, Any] = {
        k: None if a is None else np.asarray(a).reshape(-1, x.size)
        for k, a in arrays_of(ds).items()
    }
    valid = rows["valid"]
    origin = weights_of(ds)
    data = Data(
        x,
        rows["intensity"],
        rows["uncertainty"],
        rows["background"],
        None if valid is None else valid.astype(bool),
        origin,
        poisson=origin == "counts",
    )
    return data.block(np.arange(len(data.y)))


def components_above_noise(ds: xr.Dataset) -> int:
    """Count the singular values of the noise-weighted data above what noise alone gives.

    The edge is ``sqrt(B) + sqrt(N)`` for B spectra of N points of unit noise (Marchenko and Pastur
    1967), with 2 % on top; of data without known errors the noise is taken from second differences.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum with outer dims.

    Returns
    -------
    int
    """
    block = block_of(ds)
    y = block.y - (0.0 if block.background is None else block.background)
    weight = block.weight
    if block.scale:
        noise = 1.4826 * np.median(np.abs(np.diff(y, 2, axis=1))) / np.sqrt(6.0)
        weight = weight / max(float(noise), 1e-300)
    elif block.poisson:
        # Weights as a product keep the rank: of a mean spectrum and a mean intensity.
        mean = np.maximum(y.mean(axis=0), 1e-12)
        level = np.maximum(y.mean(axis=1, keepdims=True) / mean.mean(), 1e-12)
        weight = (weight > 0.0) / np.sqrt(np.maximum(mean * level, 0.5))
    values = np.linalg.svd(y * weight, compute_uv=False)
    rows, columns = y.shape
    return int(np.sum(values > 1.02 * (np.sqrt(rows) + np.sqrt(columns))))


def without(y: Array, known: Sequence[Array]) -> Array:
    """Return spectra less what the known ones explain."""
    if not len(known):
        return y
    a = np.array(known)
    left = y - (y @ np.linalg.pinv(a)) @ a
    return np.asarray(np.maximum(left, 0.0))


def purest(y: Array, count: int) -> Array:
    """Return the spectra that are least like each other: successive projections of unit spectra."""
    norm = np.linalg.norm(y, axis=1)
    weak = norm < 0.05 * norm.max(initial=0.0)
    left = np.where(weak[:, None], 0.0, y / np.where(norm > 0.0, norm, 1.0)[:, None])
    chosen: list[int] = []
    rest = left.copy()
    for _ in range(count):
        size = np.einsum("ij,ij->i", rest, rest)
        best = int(np.argmax(size))
        chosen.append(best)
        direction = rest[best] / np.sqrt(max(size[best], 1e-300))
        rest -= np.outer(rest @ direction, direction)
    return np.maximum(y[chosen], 0.0) + 1e-6 * np.abs(y).max(initial=1.0)


def run(task: Task, iterations: int, tolerance: float, progress: Progress, what: str) -> Found:
    """Alternate: first on a sample of a large cube, then on all; weights of counts last."""
    reference = task.rows[: task.count].copy()
    rows, rounds = task.rows.copy(), 0
    moving = len(task.fixed) < task.count
    with meter(progress, iterations, what) as tell:
        if moving and len(task.y) > 2 * SAMPLE:
            part = np.linspace(0, len(task.y) - 1, SAMPLE).round().astype(int)
            rows, _, _, _ = _alternate(
                task, rows, reference, part, task.weight2(None)[part], iterations, tolerance, tell
            )
        every = np.arange(len(task.y))
        weight2 = task.weight2(None)
        rows, amount, rounds, converged = _alternate(
            task, rows, reference, every, weight2, iterations, tolerance, tell
        )
        for _ in range(2 if task.block.poisson else 0):
            weight2 = task.weight2(amount @ rows)
            rows, amount, more, converged = _alternate(
                task, rows, reference, every, weight2, iterations, tolerance, tell
            )
            rounds += more
    chisqr = np.sum(weight2 * (task.y - amount @ rows) ** 2, axis=1)
    return Found(rows, amount, weight2, chisqr, rounds, converged)


def _alternate(
    task: Task,
    rows: Array,
    reference: Array,
    part: npt.NDArray[np.int64],
    weight2: Array,
    iterations: int,
    tolerance: float,
    tell: Callable[[int], None],
) -> tuple[Array, Array, int, bool]:
    """Alternate amounts and spectra on some of the data; what is minimised never rises."""
    y = task.y[part]
    moving = [k for k in range(task.count) if k not in task.fixed]
    held = [k for k in range(len(rows)) if k not in moving]
    soft = [bool(row.any()) for row in task.softness]
    rows = rows.copy()
    before, converged, done = np.inf, False, 0
    amount = np.zeros((len(y), len(rows)))
    for done in range(1, iterations + 1):  # noqa: B007 (the number of rounds is reported)
        amount = nonnegative(*grams(rows, weight2, y), free=task.free)
        cost = float(np.sum(weight2 * (y - amount @ rows) ** 2))
        cost += float(np.sum(task.softness * (rows[: task.count] - reference) ** 2))
        if before - cost <= tolerance * cost or not moving:
            converged = True
            break
        before = cost
        known = amount[:, held] @ rows[held]
        gram, right = grams(amount[:, moving].T, weight2.T, (y - known).T)
        for at, k in enumerate(moving):
            gram[:, at, at] += task.softness[k]
            right[:, at] += task.softness[k] * reference[k]
        rows[moving] = nonnegative(gram, right).T
        for k in moving:
            if not soft[k]:
                rows[k] /= max(float(rows[k] @ task.width), 1e-300)
        tell(1)
    return rows, amount, done, converged


def covariance_of(task: Task, found: Found) -> Array:
    """Covariance of the amounts of each spectrum, at the found spectra, all of either sign."""
    gram, _ = grams(found.rows, found.weight2, task.y)
    covariance = np.linalg.pinv(gram, hermitian=True)
    if task.block.scale:
        dof = np.maximum(task.block.ndata - len(found.rows), 1)
        covariance = covariance * (found.chisqr / dof)[:, None, None]
    return np.asarray(covariance)

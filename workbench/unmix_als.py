"""Alternating least squares with signs, roles and the data's own weights: what `unmix` iterates.

Spectra are taken a few at a time in every pass, so a map is never copied: amounts belong to one
spectrum each, and what spectra need of all data are sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from spectra.convention import axis_of

from .engine.data import Data
from .engine.lift import arrays_of, weights_of
from .engine.linear import grams, nonnegative
from .progress import Progress, meter

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SAMPLE = 1500
"""From twice so many spectra on, MCR starts with every n-th of them."""
PIECE = 512
"""Spectra taken at a time."""


def data_of(ds: xr.Dataset) -> Data:
    """Return the spectra of a Dataset in rows, as they come."""
    x = ds[axis_of(ds)].values.astype(float)
    rows: dict[str, Any] = {
        k: None if a is None else np.asarray(a).reshape(-1, x.size)
        for k, a in arrays_of(ds).items()
    }
    valid = rows["valid"]
    origin = weights_of(ds)
    return Data(
        x,
        rows["intensity"],
        rows["uncertainty"],
        rows["background"],
        None if valid is None else valid.astype(bool),
        origin,
        poisson=origin == "counts",
    )


@dataclass(frozen=True)
class Model:
    """Amounts (all spectra) and rows: what the weights of counts are made from."""

    amount: Array
    rows: Array


@dataclass(frozen=True)
class Task:
    """What is alternated: data, all rows (components, then ground), their roles."""

    data: Data
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
    def total(self) -> int:
        """Number of spectra."""
        return len(self.data.y)

    @property
    def scale(self) -> bool:
        """Whether errors are scaled with the scatter, as none are known."""
        return self.data.origin == "none"

    @property
    def free(self) -> npt.NDArray[np.bool_]:
        """Which rows may have amounts of either sign."""
        return np.arange(len(self.rows)) >= self.count

    def piece(self, index: Ints, old: Model | None) -> tuple[Array, Array]:
        """Return data less background and inverse variances of some spectra.

        Counts are weighted with a model once there is one: their own scatter in the weights would
        pull every amount down.
        """
        block = self.data.block(index)
        weight2 = block.weight**2
        ground = 0.0 if block.background is None else block.background
        if old is not None and block.poisson:
            expected = np.maximum(old.amount[index] @ old.rows + ground, 0.5)
            weight2 = np.where(weight2 > 0.0, 1.0 / expected, 0.0)
        return block.y - ground, weight2


@dataclass(frozen=True)
class Found:
    """Where the alternation ended."""

    rows: Array
    amount: Array
    old: Model | None
    rounds: int
    converged: bool


@dataclass(frozen=True)
class Quality:
    """How well it ended: per spectrum, and the sums that tell the error of the found spectra.

    Attributes
    ----------
    chisqr, ndata : ndarray, shape (B,)
    deviation : ndarray, shape (B, n + g)
        Standard errors of the amounts at the found spectra, all of either sign.
    alike : ndarray, shape (B, n)
        Largest correlation with the amount of another component.
    noise : ndarray, shape (n, N)
        Standard errors of the spectra at the found amounts.
    """

    chisqr: Array
    ndata: Array
    deviation: Array
    alike: Array
    noise: Array


def pieces(index: Ints) -> Iterator[Ints]:
    """Cut a list of spectra."""
    for first in range(0, len(index), PIECE):
        yield index[first : first + PIECE]


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
    data = data_of(ds)
    every = np.arange(len(data.y))
    size = data.x.size
    mean, noise = np.zeros(size), []
    for index in pieces(every):
        block = data.block(index)
        y = block.y - (0.0 if block.background is None else block.background)
        mean += y.sum(axis=0)
        noise.append(np.median(np.abs(np.diff(y, 2, axis=1)), axis=1))
    mean = np.maximum(mean / len(every), 1e-12)
    level = max(1.4826 * float(np.median(np.concatenate(noise))) / np.sqrt(6.0), 1e-300)
    sums = np.zeros((size, size))
    for index in pieces(every):
        block = data.block(index)
        y = block.y - (0.0 if block.background is None else block.background)
        if data.origin == "none":
            weight = block.weight / level
        elif data.poisson:
            # Weights as a product keep the rank: of a mean spectrum and a mean intensity.
            strength = np.maximum(y.mean(axis=1, keepdims=True) / mean.mean(), 1e-12)
            weight = (block.weight > 0.0) / np.sqrt(np.maximum(mean * strength, 0.5))
        else:
            weight = block.weight
        sums += (y * weight).T @ (y * weight)
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(sums), 0.0))
    return int(np.sum(values > 1.02 * (np.sqrt(len(every)) + np.sqrt(size))))


def sample_of(data: Data) -> Array:
    """Return spectra to pick starts from, less background: all, or every n-th of many."""
    count = len(data.y)
    index = np.arange(count)
    if count > 2 * SAMPLE:
        index = np.linspace(0, count - 1, SAMPLE).round().astype(int)
    block = data.block(index)
    y = block.y - (0.0 if block.background is None else block.background)
    return np.asarray(y * (block.weight > 0.0))


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
    every = np.arange(task.total)
    old: Model | None = None
    with meter(progress, iterations, what) as tell:
        if moving and task.total > 2 * SAMPLE:
            part = np.linspace(0, task.total - 1, SAMPLE).round().astype(int)
            rows, *_ = _alternate(task, rows, reference, part, None, iterations, tolerance, tell)
        rows, amount, rounds, converged = _alternate(
            task, rows, reference, every, None, iterations, tolerance, tell
        )
        for _ in range(2 if task.data.poisson else 0):
            old = Model(amount, rows)
            rows, amount, more, converged = _alternate(
                task, rows, reference, every, old, iterations, tolerance, tell
            )
            rounds += more
    return Found(rows, amount, old, rounds, converged)


def _alternate(
    task: Task,
    rows: Array,
    reference: Array,
    part: Ints,
    old: Model | None,
    iterations: int,
    tolerance: float,
    tell: Callable[[int], None],
) -> tuple[Array, Array, int, bool]:
    """Alternate amounts and spectra on some of the data; what is minimised never rises."""
    moving = [k for k in range(task.count) if k not in task.fixed]
    held = [k for k in range(len(rows)) if k not in moving]
    soft = [bool(row.any()) for row in task.softness]
    rows = rows.copy()
    before, converged, done = np.inf, False, 0
    amount = np.zeros((task.total, len(rows)))
    for done in range(1, iterations + 1):  # noqa: B007 (the number of rounds is reported)
        cost = float(np.sum(task.softness * (rows[: task.count] - reference) ** 2))
        gram = np.zeros((rows.shape[1], len(moving), len(moving)))
        right = np.zeros((rows.shape[1], len(moving)))
        for index in pieces(part):
            y, weight2 = task.piece(index, old)
            own = nonnegative(*grams(rows, weight2, y), free=task.free)
            amount[index] = own
            cost += float(np.sum(weight2 * (y - own @ rows) ** 2))
            if moving:
                rest = y - own[:, held] @ rows[held]
                more, more_right = grams(own[:, moving].T, weight2.T, rest.T)
                gram += more
                right += more_right
        if before - cost <= tolerance * cost or not moving:
            converged = True
            break
        before = cost
        for at, k in enumerate(moving):
            gram[:, at, at] += task.softness[k]
            right[:, at] += task.softness[k] * reference[k]
        rows[moving] = nonnegative(gram, right).T
        for k in moving:
            if not soft[k]:
                rows[k] /= max(float(rows[k] @ task.width), 1e-300)
        tell(1)
    return rows, amount, done, converged


def quality_of(task: Task, found: Found) -> Quality:
    """Return chi-square and standard errors at the end."""
    n, total, size = task.count, task.total, found.rows.shape[1]
    chisqr, ndata = np.zeros(total), np.zeros(total)
    deviation = np.zeros((total, len(found.rows)))
    alike = np.zeros((total, n))
    gram = np.zeros((size, n, n))
    off = 1.0 - np.eye(n)
    for index in pieces(np.arange(total)):
        y, weight2 = task.piece(index, found.old)
        own = found.amount[index]
        chisqr[index] = np.sum(weight2 * (y - own @ found.rows) ** 2, axis=1)
        ndata[index] = np.sum(weight2 > 0.0, axis=1)
        inner, _ = grams(found.rows, weight2, y)
        covariance = np.linalg.pinv(inner, hermitian=True)
        if task.scale:
            dof = np.maximum(ndata[index] - len(found.rows), 1)
            covariance *= (chisqr[index] / dof)[:, None, None]
        error = np.sqrt(np.maximum(np.einsum("bii->bi", covariance), 0.0))
        deviation[index] = error
        with np.errstate(all="ignore"):
            near = np.abs(covariance) / (error[:, :, None] * error[:, None, :])
        alike[index] = (np.nan_to_num(near[:, :n, :n]) * off).max(axis=2, initial=0.0)
        more, _ = grams(own[:, :n].T, weight2.T, y.T)
        gram += more
    inverse = np.linalg.pinv(gram, hermitian=True)
    noise = np.sqrt(np.maximum(np.einsum("bii->bi", inverse), 0.0)).T
    if task.scale:
        noise = noise * np.sqrt(chisqr.sum() / max(float(ndata.sum()) - found.amount.size, 1.0))
    return Quality(chisqr, ndata, deviation, alike, noise)

"""The compiled engine's driver: chunks of groups on threads, results as plain arrays."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from . import descent, kernels, tiles, uncertainty
from .data import Data
from .fitting import COUNTS, SIGMA, UNIT, fit_groups
from .frame import DESCEND, EVALUATE32, EVALUATE64, Worker
from .plan import Plan
from .problem import Solution
from .starts import Groups
from .tables import Tables, reference_of, tabulate
from .uncertainty import Report

Array = npt.NDArray[np.float64]

EDM = 2e-6
"""A fit ends when the next step is expected to lower chi-square by less than this."""
CHUNK = 64
"""Spectra in one piece of work: long against a thread's hand-over, small beside the data."""

MODES = {"counts": COUNTS, "uncertainty": SIGMA, "none": UNIT}


def threads() -> int:
    """Return how many threads to use: ``INTERPHASE_THREADS``, or the processors at hand."""
    told = os.environ.get("INTERPHASE_THREADS", "")
    if told.isdigit() and int(told) > 0:
        return int(told)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def obstacle(plan: Plan) -> str:
    """Return why this plan cannot be compiled, or an empty text."""
    from numba.core.errors import NumbaError

    for primitive in plan.primitives:
        if primitive.table is not None:
            continue
        name = primitive.shape.name
        if len(primitive.shape.params) > tiles.MAX_PARAMS:
            return f"shape {name!r} has more than {tiles.MAX_PARAMS} parameters"
        try:
            tiles.address(primitive.shape)
        except (NumbaError, TypeError, ValueError, AttributeError) as error:
            return f"shape {name!r} does not compile ({type(error).__name__})"
    return ""


def solve(
    plan: Plan,
    data: Data,
    division: Groups,
    *,
    covariance: bool,
    done: Callable[[int], None] | None = None,
    workers: int | None = None,
) -> Report:
    """Fit spectra and report on them.

    Parameters
    ----------
    plan : Plan
    data : Data
    division : Groups
        The spectra in aligned groups.
    covariance : bool
        Whether to keep the covariance of all parameters.
    done : callable, optional
        Told the number of spectra finished; it may raise to cancel.
    workers : int, optional
        Threads; by default `threads`.
    """
    count = len(data.y)
    report = _empty(count, len(plan.names), covariance)
    table = tabulate(plan, data.x)
    pieces = _pieces(division)
    workers = min(workers or threads(), len(pieces))

    def work(piece: tuple[int, int]) -> int:
        return _piece(plan, table, data, division, piece, report)

    if workers <= 1:
        for piece in pieces:
            finished = work(piece)
            if done is not None:
                done(finished)
        return report
    pool = ThreadPoolExecutor(workers)
    try:
        for finished in pool.map(work, pieces):
            if done is not None:
                done(finished)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return report


def _pieces(division: Groups) -> list[tuple[int, int]]:
    """Cut the groups into pieces of about `CHUNK` spectra."""
    out, start = [], 0
    edges = division.first
    for g in range(1, len(edges)):
        if edges[g] - edges[start] >= CHUNK or g == len(edges) - 1:
            out.append((start, g))
            start = g
    return out


def _empty(count: int, full: int, covariance: bool) -> Report:
    return Report(
        np.empty((count, full)),
        np.empty((count, full)),
        np.zeros((count, full), np.int8),
        np.empty(count),
        np.empty(count),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros(count, np.int8),
        np.empty((count, full, full)) if covariance else None,
    )


def _piece(
    plan: Plan,
    table: Tables,
    data: Data,
    division: Groups,
    piece: tuple[int, int],
    report: Report,
) -> int:
    """Fit some groups and write their rows into the report."""
    edges = division.first[piece[0] : piece[1] + 1]
    index = division.order[edges[0] : edges[-1]]
    y, sigma, ground = data.rows(index)
    count, points, n, full = len(index), data.x.size, plan.size, len(plan.names)
    worker = Worker(plan, table, data.x, reference_of(data.x))
    worker.frame[EVALUATE64], worker.frame[EVALUATE32] = kernels.addresses()
    worker.frame[DESCEND] = descent.address()
    longest = int(np.max(np.diff(edges)))
    size = (n + 4) // 4 * 4
    part = _empty(count, full, report.covar is not None)
    covar = np.empty((1, full, full)) if part.covar is None else part.covar
    hard = np.zeros(count, np.int64)
    free = np.full((count, n), np.nan)
    fit_groups(
        worker.frame,
        y,
        sigma,
        ground,
        MODES[data.origin],
        int(data.poisson),
        np.arange(count),
        edges - edges[0],
        EDM,
        np.empty((7, points)),
        np.zeros((longest, n)),
        np.zeros((longest, size, size)),
        covar,
        part.value,
        part.stderr,
        part.flag,
        part.redchi,
        part.chisqr,
        part.ndata,
        part.nfev,
        part.status,
        hard,
        free,
    )
    if hard.any():
        _look_closer(plan, data, index, np.flatnonzero(hard), free, part)
    report.put(index, part)
    return count


def _look_closer(
    plan: Plan,
    data: Data,
    index: npt.NDArray[np.int64],
    hard: npt.NDArray[np.int64],
    free: Array,
    part: Report,
) -> None:
    """Report on spectra with a nearly singular Gram matrix from its eigenvectors."""
    from .batched import gram

    for k in hard:
        block = data.block(index[k : k + 1])
        p = free[k : k + 1]
        solution = Solution(
            p,
            gram(plan, block, p),
            part.chisqr[k : k + 1],
            part.nfev[k : k + 1],
            np.ones(1, dtype=bool),
        )
        one = uncertainty.report(plan, block, solution, covariance=part.covar is not None)
        part.value[k], part.stderr[k], part.flag[k] = one.value[0], one.stderr[0], one.flag[0]
        part.status[k] = one.status[0]
        if part.covar is not None and one.covar is not None:
            part.covar[k] = one.covar[0]

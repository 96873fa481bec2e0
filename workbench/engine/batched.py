"""The NumPy engine: Levenberg-Marquardt on a block of spectra at once, no compiler needed.

It serves until the compiled engine is warm, and is the independent check of it. Normal matrices
are one batched matmul, steps one batched solve; finished spectra leave the working set. Every
number of a spectrum depends on that spectrum and its start alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .limits import trust
from .plan import Plan, jacobian
from .problem import COUNT_FLOOR, Block, Solution

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

EDM = 1e-6
"""A fit ends when the next step is expected to lower chi-square by less than this."""
MAX_ITERATIONS = 200
MEMORY = 1 << 22
"""Doubles in one block's Jacobian."""


@dataclass
class _Point:
    """Objective, gradient (J^T r) and Gram matrix of a block at its parameters."""

    value: Array
    gradient: Array
    hessian: Array
    pearson: Array


def minimise(plan: Plan, block: Block, start: Array, edm: float = EDM) -> Solution:
    """Fit each spectrum of a block.

    Parameters
    ----------
    plan : Plan
    block : Block
    start : ndarray, shape (n,) or (B, n)
    edm : float
        Stopping rule, in units of chi-square (of the reduced one where data have no errors).
    """
    count = len(block.y)
    out = Solution.empty(count, plan)
    starts = np.broadcast_to(start, (count, plan.size))
    todo = np.flatnonzero(block.ndata >= plan.size)
    size = max(1, min(32, MEMORY // max(1, (plan.size + 1) * block.x.size)))
    for first in range(0, len(todo), size):
        ids = todo[first : first + size]
        _block(plan, block.take(ids), np.array(starts[ids]), edm, ids, out)
    return out


def _evaluate(plan: Plan, block: Block, p: Array) -> _Point:
    curve, jac = jacobian(plan, block.x, p)
    with np.errstate(all="ignore"):
        if block.background is not None:
            curve = curve + block.background
        weight = block.weight
        if block.poisson:
            weight = np.where(weight > 0.0, 1.0 / np.sqrt(np.maximum(curve, COUNT_FLOOR)), 0.0)
        residual = np.where(weight > 0.0, (block.y - curve) * weight, 0.0)
        jac *= weight[:, None, :]
        pearson = np.einsum("bk,bk->b", residual, residual)
        value = deviance(block.y, curve, block.weight > 0.0) if block.poisson else pearson
        gradient = np.matmul(jac, residual[:, :, None])[:, :, 0]
        hessian = np.matmul(jac, jac.transpose(0, 2, 1))
    sane = np.isfinite(value) & np.all(np.isfinite(gradient), axis=1)
    sane &= np.all(np.isfinite(hessian), axis=(1, 2))
    return _Point(np.where(sane, value, np.inf), gradient, hessian, pearson)


def gram(plan: Plan, block: Block, p: Array) -> Array:
    """Return J^T W J of a block at its parameters."""
    return _evaluate(plan, block, p).hessian


def deviance(y: Array, expected: Array, seen: Bools) -> Array:
    """Poisson deviance, continued as a parabola below `COUNT_FLOOR` expected counts."""
    mu = np.maximum(expected, COUNT_FLOOR)
    log = np.where(y > 0.0, y * np.log(np.where(y > 0.0, y, 1.0) / mu), 0.0)
    below = ((expected - y) ** 2 - (mu - y) ** 2) / COUNT_FLOOR
    out = 2.0 * (mu - y + log) + np.where(expected < COUNT_FLOOR, below, 0.0)
    return np.asarray(np.where(seen, out, 0.0).sum(axis=1))


def _block(
    plan: Plan, block: Block, p: Array, edm: float, ids: npt.NDArray[np.int64], out: Solution
) -> None:
    by, factor = trust(plan)
    p = np.clip(p, plan.lower, plan.upper)
    unit = np.maximum(block.ndata - plan.size, 1) if block.scale else None
    lam = np.full(len(p), 1e-3)
    now = _evaluate(plan, block, p)
    out.nfev[ids] = 1
    before, share = np.zeros_like(p), np.zeros(len(p))
    for _ in range(MAX_ITERATIONS):
        step, pred, lam = _step(plan, now, p, lam, by, factor)
        goal = np.full(len(p), edm) if unit is None else edm * now.value / unit
        hidden = np.flatnonzero((pred <= goal) & (lam > 1e-3))
        if hidden.size:  # damping hides what the undamped step would gain
            bare = _step(plan, _pick(now, hidden), p[hidden], np.zeros(hidden.size), by, factor)
            part = _take(now.hessian[hidden], bare[0], before[hidden], share[hidden])
            over = bare[1] <= np.where(part < 0.9, 0.1, 1.0) * goal[hidden]
            step[hidden[over]], pred[hidden[over]] = bare[0][over], bare[1][over]
            lam[hidden[over]] = 0.0
        take = _take(now.hessian, step, before, share)
        goal = np.where(take < 0.9, 0.1 * goal, goal)  # where steps swing, the gain is too small
        done = (pred <= goal) & (lam <= 1e-3) & np.isfinite(now.value)
        lost = (lam > 1e12) | ~np.isfinite(now.value)
        if done.any() or lost.any():
            k = np.flatnonzero(done)
            last = np.where(pred[k] > 0.0, take[k], 0.0)
            out.p[ids[k]] = np.clip(p[k] + last[:, None] * step[k], plan.lower, plan.upper)
            out.hessian[ids[k]] = now.hessian[k]
            out.chisqr[ids[k]] = now.pearson[k] - (
                0.0 if block.poisson else (pred[k] > 0.0) * pred[k]
            )
            out.converged[ids[k]] = True
            keep = np.flatnonzero(~(done | lost))
            if not keep.size:
                return
            ids, p, lam, step, pred = ids[keep], p[keep], lam[keep], step[keep], pred[keep]
            take = take[keep]
            now = _pick(now, keep)
            block = block.take(keep)
            unit = None if unit is None else unit[keep]
        trial = np.clip(p + take[:, None] * step, plan.lower, plan.upper)
        new = _evaluate(plan, block, trial)
        out.nfev[ids] += 1
        with np.errstate(all="ignore"):
            rho = np.where(pred > 0.0, (now.value - new.value) / pred, -1.0)
        good = rho > 1e-3
        p = np.where(good[:, None], trial, p)
        before, share = step, np.where(good, take, 0.0)
        now = _Point(
            np.where(good, new.value, now.value),
            np.where(good[:, None], new.gradient, now.gradient),
            np.where(good[:, None, None], new.hessian, now.hessian),
            np.where(good, new.pearson, now.pearson),
        )
        down = np.where(lam * 0.05 < 1e-9, 0.0, lam * 0.05)
        up = np.maximum(lam * 4.0, 1e-4)
        lam = np.where(
            good,
            np.where(rho > 0.75, down, np.where(rho < 0.25, up, lam)),
            np.maximum(lam * 10.0, 1e-4),
        )


def _take(hessian: Array, step: Array, before: Array, share: Array) -> Array:
    """Share of a step worth taking where it runs back along the one before it."""
    across = np.einsum("bi,bij,bj->b", before, hessian, step)
    own = np.einsum("bi,bij,bj->b", step, hessian, step)
    past = np.einsum("bi,bij,bj->b", before, hessian, before)
    with np.errstate(all="ignore"):
        back = (share > 0.0) & (past > 0.0) & (across < -0.8 * np.sqrt(own * past))
        take = share / (1.0 - across / past)
    return np.where(back, np.clip(take, 0.5, 1.0), 1.0)


def _pick(point: _Point, keep: npt.NDArray[np.int64]) -> _Point:
    return _Point(point.value[keep], point.gradient[keep], point.hessian[keep], point.pearson[keep])


def _step(
    plan: Plan, now: _Point, p: Array, lam: Array, by: npt.NDArray[np.int64], factor: Array
) -> tuple[Array, Array, Array]:
    """Damped step inside bounds and trust limits, its expected reduction, and the damping used."""
    n = plan.size
    gradient = np.where(np.isfinite(gradient_ := now.gradient), gradient_, 0.0)
    hessian = np.where(np.isfinite(now.hessian), now.hessian, 0.0)
    diagonal = np.einsum("bii->bi", hessian)
    scale = np.where(diagonal > 0.0, 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0)), 0.0)
    scaled = hessian * scale[:, :, None] * scale[:, None, :]
    fixed = ((p <= plan.lower) & (gradient < 0.0)) | ((p >= plan.upper) & (gradient > 0.0))
    fixed |= scale == 0.0
    moved = np.zeros_like(p)
    eye = np.eye(n)
    with np.errstate(all="ignore"):
        width = np.abs(plan.transform(p)[0])
    limit = np.where(by >= 0, factor * width[:, by], np.inf)
    limit = np.where(np.isfinite(limit) & (limit > 0.0), limit, np.inf)
    lam = lam.copy()
    step = np.zeros_like(p)
    for _ in range(n + 30):
        active = ~fixed
        right = (gradient - np.einsum("bij,bj->bi", hessian, moved)) * scale * active
        both = active[:, :, None] & active[:, None, :]
        matrix = np.where(both, scaled, 0.0)
        matrix = matrix + eye * np.where(active, lam[:, None] + 1e-14, 1.0)[:, None, :]
        try:
            step = np.linalg.solve(matrix, right[:, :, None])[:, :, 0] * scale
        except np.linalg.LinAlgError:
            lam = np.maximum(lam * 4.0, 1e-6)
            continue
        step = np.where(fixed, moved, step)
        over = np.max(np.abs(step) * active / limit, axis=1, initial=0.0)
        long = (over > 1.0) & (lam < 1e6)
        lam = np.where(long, np.maximum(lam * 4.0, 1e-3), lam)
        target = p + step
        cross = active & ((target < plan.lower) | (target > plan.upper)) & ~long[:, None]
        if not long.any() and not cross.any():
            break
        gap = np.where(target < plan.lower, plan.lower, plan.upper) - p
        gap = np.where(cross, gap, 0.0)
        short = np.abs(gap) < 2.0 * scale
        moved = np.where(cross, np.where(short, gap, 0.7 * gap), moved)
        fixed = fixed | cross
    pred = np.einsum("bi,bi->b", step, 2.0 * gradient - np.einsum("bij,bj->bi", hessian, step))
    return step, pred, lam

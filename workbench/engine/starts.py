"""Starts that do not depend on chunks, threads or the order of work: aligned groups of neighbours.

Spectra are put into aligned groups (4 x 4 of a map, 8 of a series). The mean of a group is fitted
from the user's start, its members from the mean's result. A member that ends badly is fitted again
from the common start and from its best neighbour; the lowest chi-square is kept. Groups never look
at each other, so any division of the work that keeps groups whole gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .plan import Plan
from .problem import Block, Solution

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MAP_SIDE = 4
SERIES_LENGTH = 8
WORSE = 1.5
"""A reduced chi-square this many times the group's median asks for a rescue."""
COARSE = 1e-2
"""Where the fit of a group's mean may stop, in units of chi-square."""

Minimise = Callable[[Plan, Block, Array, float], Solution]


@dataclass(frozen=True)
class Groups:
    """Spectra in the order of work; group g is ``order[first[g]:first[g + 1]]``."""

    order: Ints
    first: Ints


def sides(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the extent of a group along each outer dim.

    A dim of one spectrum does not count; a map is grouped along its last two dims that do.
    """
    long = [k for k, n in enumerate(shape) if n > 1]
    out = [1] * len(shape)
    if len(long) == 1:
        out[long[0]] = SERIES_LENGTH
    else:
        for k in long[-2:]:
            out[k] = MAP_SIDE
    return tuple(out)


def groups(shape: Sequence[int], extent: Sequence[int] | None = None) -> Groups:
    """Divide spectra of outer shape ``shape`` (C order) into aligned groups.

    ``extent`` is the size of a group along each dim; by default `sides` of the shape.
    """
    extent = sides(shape) if extent is None else extent
    count = int(np.prod(shape, dtype=np.int64))
    label = np.zeros(count, dtype=np.int64)
    index = np.indices(tuple(shape)).reshape(len(shape), -1) if shape else np.zeros((0, 1), int)
    for n, side, i in zip(shape, extent, index, strict=True):
        label = label * -(-n // side) + i // side
    order = np.argsort(label, kind="stable")
    first = np.flatnonzero(np.diff(label[order], prepend=-1, append=label.max(initial=0) + 1))
    return Groups(order.astype(np.int64), first.astype(np.int64))


def mean_block(block: Block, members: Sequence[Ints]) -> Block:
    """Return the mean spectrum of each group, every point over the members that have it."""
    size = block.x.size
    y, weight = np.zeros((len(members), size)), np.zeros((len(members), size))
    background = None if block.background is None else np.zeros((len(members), size))
    for g, index in enumerate(members):
        w = block.weight[index]
        seen = w > 0.0
        count = seen.sum(axis=0)
        variance = np.where(seen, 1.0 / np.where(seen, w, 1.0) ** 2, 0.0).sum(axis=0)
        y[g] = np.where(seen, block.y[index], 0.0).sum(axis=0) / np.maximum(count, 1)
        weight[g] = np.where(count > 0, count / np.sqrt(np.where(count > 0, variance, 1.0)), 0.0)
        if background is not None and block.background is not None:
            background[g] = np.where(seen, block.background[index], 0.0).sum(axis=0) / np.maximum(
                count, 1
            )
    return Block(block.x, y, weight, background, block.scale, poisson=False)


def from_groups(
    plan: Plan,
    block: Block,
    division: Groups,
    minimise: Minimise,
    edm: float,
    done: Callable[[int], None] | None = None,
) -> Solution:
    """Fit a block with group starts and rescue.

    Parameters
    ----------
    plan, block
        What is fitted.
    division : Groups
        The spectra of ``block`` in groups.
    minimise : callable
        ``(plan, block, start, edm) -> Solution``, per spectrum independent of the others.
    edm : float
        Where a fit may stop: expected reduction of chi-square.
    done : callable, optional
        Told the number of spectra finished.
    """
    out = Solution.empty(len(block.y), plan)
    step = 64
    edges = division.first
    for g0 in range(0, len(edges) - 1, step):
        g1 = min(g0 + step, len(edges) - 1)
        members = [division.order[edges[g] : edges[g + 1]] for g in range(g0, g1)]
        start = np.broadcast_to(plan.start, (len(members), plan.size)).copy()
        large = np.array([k for k, m in enumerate(members) if len(m) > 1], dtype=np.int64)
        if large.size:
            means = minimise(
                plan, mean_block(block, [members[k] for k in large]), plan.start, COARSE
            )
            start[large] = usable(plan, means)
        index = np.concatenate(members)
        each = np.repeat(start, [len(m) for m in members], axis=0)
        got = minimise(plan, block.take(index), each, edm)
        offset = 0
        for m in members:
            _rescue(plan, block, m, got, slice(offset, offset + len(m)), minimise, edm)
            offset += len(m)
        out.p[index], out.hessian[index], out.chisqr[index] = got.p, got.hessian, got.chisqr
        out.nfev[index], out.converged[index] = got.nfev, got.converged
        if done is not None:
            done(len(index))
    return out


def usable(plan: Plan, means: Solution) -> Array:
    """Return starts from the fits of the means; the common start where they say nothing."""
    start = np.where(means.converged[:, None] & np.isfinite(means.p), means.p, plan.start)
    for component in plan.components:
        area = plan.index.get(f"{component.name}.area")
        if area is None or area not in plan.free:
            continue
        k = int(np.flatnonzero(plan.free == area)[0])
        gone = start[:, k] <= max(plan.lower[k], 0.0)
        for key in component.params:
            for c in plan.columns_of(plan.index[f"{component.name}.{key}"]):
                start[gone, c] = plan.start[c]
    return start


def objective(block: Block, solution: Solution) -> Array:
    """Reduced chi-square per spectrum, infinite where the fit failed."""
    dof = np.maximum(block.ndata - solution.p.shape[1], 1)
    good = solution.converged & np.isfinite(solution.chisqr)
    return np.where(good, solution.chisqr / dof, np.inf)


def _rescue(
    plan: Plan,
    block: Block,
    members: Ints,
    got: Solution,
    place: slice,
    minimise: Minimise,
    edm: float,
) -> None:
    """Refit the bad fits of one group from other starts; keep the lowest chi-square."""
    part = block.take(members)
    usual = part.ndata >= max(plan.size, 1)
    red = objective(part, _slice(got, place))
    fine = np.isfinite(red) & usual
    median = float(np.median(red[fine])) if fine.any() else np.inf
    with np.errstate(invalid="ignore"):
        bad = np.flatnonzero(
            usual & (~fine | (red > WORSE * median) | _vanished(plan, got.p[place]))
        )
    if not bad.size:
        return
    starts = [plan.start]
    if fine.any():
        starts.append(got.p[place][int(np.argmin(np.where(fine, red, np.inf)))])
    for start in starts:
        again = minimise(plan, part.take(bad), start, edm)
        better = objective(part.take(bad), again) < red[bad]
        for k in np.flatnonzero(better):
            at = place.start + bad[k]
            got.p[at], got.hessian[at] = again.p[k], again.hessian[k]
            got.chisqr[at], got.converged[at] = again.chisqr[k], True
            red[bad[k]] = objective(part.take(bad), again)[k]
        got.nfev[place.start + bad] += again.nfev


def _vanished(plan: Plan, p: Array) -> npt.NDArray[np.bool_]:
    """Whether an amplitude ended on its bound."""
    area = np.array([plan.names[i].endswith(".area") for i in plan.free], dtype=bool) & np.isfinite(
        plan.lower
    )
    return np.any((p <= plan.lower) & area, axis=1)


def _slice(s: Solution, place: slice) -> Solution:
    return Solution(
        s.p[place], s.hessian[place], s.chisqr[place], s.nfev[place], s.converged[place]
    )

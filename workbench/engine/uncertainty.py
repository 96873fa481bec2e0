"""From Gram matrices to standard errors, flags and a named status: the same for every engine.

The covariance is the inverse of J^T W J with bounds ignored, which is what lmfit reports for the
parameters that are not at a bound; parameters at a bound carry a flag. It is multiplied by the
reduced chi-square only if the data have no errors of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from .plan import Plan
from .problem import Block, Solution

Array = npt.NDArray[np.float64]

OK, FIXED, TIED, AT_MIN, AT_MAX, INDISTINCT, UNDETERMINED, NO_VALUE = range(8)
FLAGS = ("ok", "fixed", "tied", "at_min", "at_max", "indistinct", "undetermined", "no_value")

STATUS = (
    "ok",
    "no_data",
    "too_few_points",
    "not_converged",
    "at_bound",
    "indistinct",
    "undetermined",
    "background_is_better",
)
(
    S_OK,
    S_NO_DATA,
    S_TOO_FEW,
    S_NOT_CONVERGED,
    S_AT_BOUND,
    S_INDISTINCT,
    S_UNDETERMINED,
    S_BACKGROUND,
) = range(len(STATUS))

CORRELATED = 0.98
"""Two species' areas that correlate more strongly than this cannot be told apart."""
SINGULAR = 1e-12
"""Smallest scaled pivot of the Gram matrix that still counts as determined."""
AT_BOUND = 0.01
"""A parameter this close to its bound, in standard errors, is at it."""


@dataclass
class Report:
    """Values and errors of all parameters of a block; arrays of shape (B, P) unless said."""

    value: Array
    stderr: Array
    flag: npt.NDArray[np.int8]
    redchi: Array
    chisqr: Array
    ndata: npt.NDArray[np.int64]
    nfev: npt.NDArray[np.int64]
    status: npt.NDArray[np.int8]
    covar: Array | None

    def spread(self, count: int) -> Report:
        """Return an empty report of ``count`` spectra like this one."""
        arrays: Any = [getattr(self, f.name) for f in fields(self)]
        empty: Any = [
            None if a is None else np.empty((count, *a.shape[1:]), a.dtype) for a in arrays
        ]
        return Report(*empty)

    def put(self, index: npt.NDArray[np.int64], part: Report) -> None:
        """Write the rows of ``part`` at ``index``."""
        for f in fields(self):
            rows = getattr(part, f.name)
            if rows is not None:
                getattr(self, f.name)[index] = rows


def invert(hessian: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Invert Gram matrices; say which parameters they do not determine.

    Parameters
    ----------
    hessian : ndarray, shape (B, n, n)

    Returns
    -------
    covariance : ndarray, shape (B, n, n)
        Zero rows for undetermined parameters.
    undetermined : ndarray of bool, shape (B, n)
    """
    diagonal = np.einsum("bii->bi", hessian)
    seen = np.isfinite(diagonal) & (diagonal > 0.0)
    scale = np.where(seen, 1.0 / np.sqrt(np.where(seen, diagonal, 1.0)), 0.0)
    scaled = np.where(np.isfinite(hessian), hessian, 0.0) * scale[:, :, None] * scale[:, None, :]
    eye = np.eye(hessian.shape[-1])
    scaled = scaled + eye * ~seen[:, None, :]
    undetermined = ~seen
    inverse = np.empty_like(scaled)
    try:
        inverse = np.linalg.inv(scaled)
        spread = np.einsum("bii->bi", inverse)
        bad = ~np.all(np.isfinite(spread) & (spread > 0.0) & (spread < 1.0 / SINGULAR), axis=1)
    except np.linalg.LinAlgError:
        bad = np.ones(len(scaled), dtype=bool)
    for b in np.flatnonzero(bad):
        values, vectors = np.linalg.eigh(scaled[b])
        null = values < SINGULAR * max(1.0, float(values[-1]))
        undetermined[b] |= np.any(np.abs(vectors[:, null]) > 0.05, axis=1)
        keep = vectors[:, ~null]
        inverse[b] = (keep / values[~null]) @ keep.T
    covariance = inverse * scale[:, :, None] * scale[:, None, :]
    known = ~undetermined
    return covariance * (known[:, :, None] & known[:, None, :]), undetermined


def area_groups(plan: Plan) -> dict[str, tuple[int, int]]:
    """Return the areas that stand for a species or a user's own line: name -> (full index, group).

    Areas of one species share a group: they are meant to move together.
    """
    groups: dict[str, int] = {}
    out = {}
    for component in plan.components:
        name = f"{component.name}.area"
        if component.role == "background" or name not in plan.index:
            continue
        key = component.species or component.name
        out[name] = (plan.index[name], groups.setdefault(key, len(groups)))
    return out


def report(
    plan: Plan,
    block: Block,
    solution: Solution,
    *,
    covariance: bool,
    known: tuple[Array, npt.NDArray[np.bool_]] | None = None,
) -> Report:
    """Turn an engine's solution into values, errors, flags and statuses.

    Parameters
    ----------
    plan : Plan
    block : Block
    solution : Solution
    covariance : bool
        Whether to keep the covariance of all parameters.
    known : tuple of ndarray, optional
        Covariance of the free parameters and which are undetermined, if not to be taken from the
        Gram matrices alone (parameters shared between spectra).
    """
    ndata = block.ndata
    n, full_size = plan.size, len(plan.names)
    dof = ndata - n
    status = np.full(len(ndata), S_OK, dtype=np.int8)
    good = solution.converged & np.all(np.isfinite(solution.p), axis=1)
    good &= np.isfinite(solution.chisqr)
    redchi = np.where(dof > 0, solution.chisqr / np.maximum(dof, 1), np.nan)
    p = np.where(good[:, None], solution.p, plan.start)
    with np.errstate(all="ignore"):
        full, values = plan.transform(p)
    good &= np.all(np.isfinite(full), axis=1) & np.all(np.isfinite(values), axis=1)
    if known is None:
        free_cov, lost = invert(np.where(good[:, None, None], solution.hessian, np.eye(n)))
    else:
        free_cov, lost = known
    if block.scale and known is None:
        free_cov = free_cov * np.where(dof > 0, redchi, 1.0)[:, None, None]
    c = plan.dense(np.where(good[:, None], values, 0.0))
    covar = c @ free_cov @ c.transpose(0, 2, 1)
    variance = np.einsum("bii->bi", covar)
    stderr = np.sqrt(np.maximum(variance, 0.0))

    flag = np.zeros((len(ndata), full_size), dtype=np.int8)
    moving = np.diff(plan.row) > 0
    is_free = np.zeros(full_size, dtype=bool)
    is_free[plan.free] = True
    flag[:, ~moving] = FIXED
    flag[:, moving & ~is_free] = TIED
    unknown = np.any((np.abs(c) > 0.0) & lost[:, None, :], axis=2)
    stderr[unknown] = np.nan
    flag[unknown] = UNDETERMINED

    names = list(plan.names)
    lower, upper = plan.full_lower, plan.full_upper
    near = AT_BOUND * np.where(np.isfinite(stderr), stderr, 0.0)
    at_min = moving & (full <= lower + near)
    at_max = moving & (full >= upper - near)
    flag[at_min] = AT_MIN
    flag[at_max & ~at_min] = AT_MAX

    groups = area_groups(plan)
    explained = _explained_by_zero_area(plan, (full == 0.0) | at_min)
    areas = [i for name, (i, _) in groups.items() if is_free[i]]
    pairs = _indistinct(plan, covar, stderr, [v for v in groups.values() if moving[v[0]]])
    for i, j, which in pairs:
        for k in (i, j):
            flag[which & (flag[:, k] != AT_MIN), k] = INDISTINCT

    amplitudes = np.zeros(full_size, dtype=bool)
    amplitudes[[i for i, name in enumerate(names) if name.endswith(".area")]] = True
    status[np.any((at_min | at_max) & ~amplitudes & ~explained, axis=1)] = S_AT_BOUND
    status[np.any(at_max & amplitudes, axis=1)] = S_AT_BOUND
    status[_background_suffices(plan, full, covar, areas)] = S_BACKGROUND
    status[np.any(flag == INDISTINCT, axis=1)] = S_INDISTINCT
    status[np.any(unknown & ~explained, axis=1)] = S_UNDETERMINED
    status[~good] = S_NOT_CONVERGED
    status[dof < 0] = S_TOO_FEW
    status[ndata == 0] = S_NO_DATA
    failed = ~good | (dof < 0) | (ndata == 0)

    full = np.where(failed[:, None], np.nan, full)
    stderr = np.where(failed[:, None], np.nan, stderr)
    flag[failed] = NO_VALUE
    covar = np.where(failed[:, None, None], np.nan, covar)
    return Report(
        full,
        stderr,
        flag,
        np.where(failed, np.nan, redchi),
        np.where(failed, np.nan, solution.chisqr),
        ndata,
        solution.nfev,
        status,
        covar if covariance else None,
    )


def _explained_by_zero_area(plan: Plan, nothing: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Shape parameters of a component whose area is 0: nothing can be said about them."""
    out = np.zeros(nothing.shape, dtype=bool)
    for component in plan.components:
        area = plan.index.get(f"{component.name}.area")
        if area is None:
            continue
        for key in component.params:
            i = plan.index[f"{component.name}.{key}"]
            if key != "area":
                out[:, i] = nothing[:, area]
    return out


def _indistinct(
    plan: Plan, covar: Array, stderr: Array, areas: list[tuple[int, int]]
) -> list[tuple[int, int, npt.NDArray[np.bool_]]]:
    """Pairs of areas of different species that correlate above `CORRELATED`, and where."""
    out = []
    for a, (i, group_i) in enumerate(areas):
        for j, group_j in areas[a + 1 :]:
            tied = np.intersect1d(plan.columns_of(i), plan.columns_of(j)).size > 0
            if group_i == group_j or tied:  # a tie is meant to correlate
                continue
            product = stderr[:, i] * stderr[:, j]
            with np.errstate(all="ignore"):
                which = np.abs(covar[:, i, j]) > CORRELATED * product
            which &= product > 0.0
            if which.any():
                out.append((i, j, which))
    return out


def _background_suffices(
    plan: Plan, full: Array, covar: Array, areas: list[int]
) -> npt.NDArray[np.bool_]:
    """Whether leaving all peaks out would cost less than their parameters are worth.

    The cost in chi-square is a' C^-1 a to second order (Wald), the worth 2 per free parameter of
    the peaks (Akaike).
    """
    none = np.zeros(len(full), dtype=bool)
    if not areas or not any(c.role == "background" for c in plan.components):
        return none
    peak = [
        plan.index[f"{c.name}.{key}"]
        for c in plan.components
        if c.role != "background"
        for key in c.params
    ]
    worth = 2.0 * len({int(c) for i in peak for c in plan.columns_of(i)})
    a = full[:, areas]
    block = covar[:, areas][:, :, areas]
    inverse, _ = invert(block)
    cost = np.einsum("bi,bij,bj->b", a, inverse, a)
    return np.isfinite(cost) & (cost < worth)

"""Parameters shared between spectra: one global fit whose normal matrix is an arrow.

Every spectrum keeps its own Gram matrix H; its local parameters are eliminated from it (Schur
complement S = H_ss - H_sl H_ll^-1 H_ls), the small matrices are summed over the spectra that share,
one small system gives the shared step and back-substitution the local ones. Standard errors are
those of the whole problem. Spectra that share nothing with each other are separate clusters, each
with its own damping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .batched import _evaluate
from .data import Data
from .limits import trust
from .plan import Plan
from .problem import Solution

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EDM = 1e-5
MAX_ITERATIONS = 100
PIECE = 64
"""Spectra evaluated at a time."""


@dataclass(frozen=True)
class Sharing:
    """Which free parameters are shared, and by whom.

    Attributes
    ----------
    shared, local : ndarray of int
        Columns of the free vector.
    place : ndarray of int, shape (M, k)
        Place of each shared parameter of each spectrum in the global vector.
    cluster : ndarray of int, shape (M,)
        Spectra with the same number depend on each other.
    home : ndarray of int, shape (G,)
        Cluster of each global parameter.
    column : ndarray of int, shape (G,)
        Column of the free vector it stands for.
    """

    shared: Ints
    local: Ints
    place: Ints
    cluster: Ints
    home: Ints
    column: Ints


@dataclass
class Found:
    """A joint solution: per spectrum as from any engine, and the covariance of its parameters."""

    solution: Solution
    covariance: Array
    undetermined: npt.NDArray[np.bool_]
    clusters: Ints


def sharing(
    plan: Plan, along: Mapping[int, Sequence[str]], dims: Sequence[str], shape: Sequence[int]
) -> Sharing:
    """Work out groups and clusters.

    Parameters
    ----------
    plan : Plan
    along : mapping of int to sequence of str
        Free column to the dims along which it has one value.
    dims, shape
        Outer dims of the data.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = int(np.prod(shape, dtype=np.int64))
    index = np.indices(tuple(shape)).reshape(len(shape), count)
    shared = np.array(sorted(along), dtype=np.int64)
    place = np.empty((count, shared.size), dtype=np.int64)
    column = []
    offset = 0
    for k, c in enumerate(shared):
        label = np.zeros(count, dtype=np.int64)
        for d, name in enumerate(dims):
            if name not in along[int(c)]:
                label = label * shape[d] + index[d]
        _, group = np.unique(label, return_inverse=True)
        place[:, k] = offset + group
        size = int(group.max(initial=-1)) + 1
        column += [int(c)] * size
        offset += size
    rows = np.repeat(np.arange(count), shared.size)
    graph = coo_matrix(
        (np.ones(rows.size), (rows, count + place.ravel())), shape=(count + offset,) * 2
    )
    _, label = connected_components(graph, directed=False)
    _, cluster = np.unique(label, return_inverse=True)
    local = np.setdiff1d(np.arange(plan.size), shared)
    return Sharing(
        shared, local, place, cluster[:count], cluster[count:], np.array(column, dtype=np.int64)
    )


def start_of(plan: Plan, share: Sharing, alone: Array) -> tuple[Array, Array]:
    """Return local and global starts from fits without sharing: medians of what is shared."""
    usual = np.where(np.isfinite(alone), alone, plan.start)
    common = np.empty(share.column.size)
    for k, c in enumerate(share.shared):
        places = share.place[:, k]
        order = np.argsort(places, kind="stable")
        edges = np.flatnonzero(np.diff(places[order], prepend=-1))
        for part in np.split(order, edges[1:]):
            common[places[part[0]]] = np.median(usual[part, c])
    return usual[:, share.local], common


def solve(
    plan: Plan,
    data: Data,
    share: Sharing,
    alone: Array,
    *,
    done: Callable[[int], None] | None = None,
) -> Found:
    """Fit all spectra together.

    Parameters
    ----------
    plan : Plan
    data : Data
    share : Sharing
    alone : ndarray, shape (M, n)
        Free parameters of fits without sharing: where the joint fit starts.
    done : callable, optional
        Called with 0 after every iteration; it may raise to cancel.
    """
    count = len(data.y)
    local, common = start_of(plan, share, alone)
    p = _together(plan, share, local, common)
    clusters = int(share.cluster.max(initial=-1)) + 1
    value, gradient, hessian, pearson = _look(plan, data, p)
    ndata = np.array([0] * count)
    for k in range(0, count, PIECE):
        ids = np.arange(k, min(k + PIECE, count))
        ndata[ids] = data.block(ids).ndata
    # without data a spectrum does not vote
    total = _per_cluster(share, value, clusters)
    lam = np.full(clusters, 1e-3)
    converged = np.zeros(clusters, dtype=bool)
    lost = ~np.isfinite(total)
    nfev = np.ones(count, dtype=np.int64)
    unit = np.ones(clusters)
    if data.origin == "none" and not data.poisson:
        free = np.bincount(share.home, minlength=clusters) + share.local.size * np.bincount(
            share.cluster, minlength=clusters
        )
        unit = np.maximum(_per_cluster(share, ndata.astype(float), clusters) - free, 1)
    by, factor = trust(plan)
    for _ in range(MAX_ITERATIONS):
        live = ~(converged | lost)
        if not live.any():
            break
        step = _step(plan, share, p, gradient, hessian, lam, by, factor)
        trial = np.clip(p + step, plan.lower, plan.upper)
        move = trial - p
        slope = np.einsum("mij,mj->mi", hessian, move)
        gain = _per_cluster(share, np.einsum("mi,mi->m", move, 2.0 * gradient - slope), clusters)
        goal = EDM if not (data.origin == "none" and not data.poisson) else EDM * total / unit
        ended = live & (gain <= goal) & (lam <= 1e-3)
        take = ended[share.cluster] & (gain > 0.0)[share.cluster]
        p[take] = trial[take]
        converged |= ended
        who = np.flatnonzero((live & ~ended)[share.cluster])
        if not who.size:
            continue
        new = _look(plan, data, trial, who)
        nfev[who] += 1
        after = np.where(live & ~ended, 0.0, total)
        np.add.at(after, share.cluster[who], new[0])
        with np.errstate(all="ignore"):
            rho = np.where(gain > 0.0, (total - after) / gain, -1.0)
        good = live & ~ended & (rho > 1e-3) & np.isfinite(after)
        rows = good[share.cluster[who]]
        at = who[rows]
        p[at] = trial[at]
        value[at], gradient[at], hessian[at], pearson[at] = (a[rows] for a in new)
        total = np.where(good, after, total)
        down = np.where(lam * 0.05 < 1e-9, 0.0, lam * 0.05)
        up = np.maximum(lam * 4.0, 1e-4)
        moved = np.where(rho > 0.75, down, np.where(rho < 0.25, up, lam))
        lam = np.where(good, moved, np.where(live & ~ended, np.maximum(lam * 10.0, 1e-4), lam))
        lost |= lam > 1e12
        if done is not None:
            done(0)
    covariance, undetermined = _errors(share, hessian)
    if data.origin == "none" and not data.poisson:
        covariance *= (total / unit)[share.cluster][:, None, None]
    solution = Solution(p, hessian, pearson, nfev, converged[share.cluster])
    return Found(solution, covariance, undetermined, share.cluster)


def _together(plan: Plan, share: Sharing, local: Array, common: Array) -> Array:
    p = np.empty((len(local), plan.size))
    p[:, share.local] = local
    p[:, share.shared] = common[share.place]
    return np.clip(p, plan.lower, plan.upper)


def _per_cluster(share: Sharing, value: Array, clusters: int) -> Array:
    return np.bincount(share.cluster, weights=value, minlength=clusters).astype(float)


def _look(
    plan: Plan, data: Data, p: Array, who: Ints | None = None
) -> tuple[Array, Array, Array, Array]:
    """Objective, gradient, Gram matrix and chi-square of some spectra."""
    who = np.arange(len(p)) if who is None else who
    n = plan.size
    value, pearson = np.empty(len(who)), np.empty(len(who))
    gradient, hessian = np.empty((len(who), n)), np.empty((len(who), n, n))
    for k in range(0, len(who), PIECE):
        part = slice(k, k + PIECE)
        point = _evaluate(plan, data.block(who[part]), p[who[part]])
        value[part], pearson[part] = point.value, point.pearson
        gradient[part], hessian[part] = point.gradient, point.hessian
    return value, gradient, hessian, pearson


def _held(plan: Plan, share: Sharing, p: Array, gradient: Array) -> npt.NDArray[np.bool_]:
    """Parameters at a bound that the (summed) gradient pushes outwards."""
    push = gradient.copy()
    summed = np.zeros(share.column.size)
    np.add.at(summed, share.place, gradient[:, share.shared])
    push[:, share.shared] = summed[share.place]
    return np.asarray(((p <= plan.lower) & (push < 0.0)) | ((p >= plan.upper) & (push > 0.0)))


def _eliminate(
    share: Sharing, gradient: Array, hessian: Array, lam: Array
) -> tuple[Array, Array, Array, Array]:
    """Solve for the local parameters: (H_ll^-1 [H_ls, g_l], S, b) per spectrum, and H_ll^-1."""
    s, loc = share.shared, share.local
    h_ll = hessian[:, loc[:, None], loc]
    diagonal = np.einsum("mii->mi", h_ll)
    seen = diagonal > 0.0
    scale = np.where(seen, 1.0 / np.sqrt(np.where(seen, diagonal, 1.0)), 0.0)
    eye = np.eye(loc.size)
    damp = np.where(seen, (lam + 1e-13)[:, None], 1.0)
    scaled = h_ll * scale[:, :, None] * scale[:, None, :] + eye * damp[:, None, :]
    inverse = np.linalg.inv(scaled) * scale[:, :, None] * scale[:, None, :]
    h_ls = hessian[:, loc[:, None], s]
    right = np.concatenate([h_ls, gradient[:, loc, None]], axis=2)
    solved = inverse @ right
    back = h_ls.transpose(0, 2, 1) @ solved
    schur = hessian[:, s[:, None], s] - back[:, :, :-1]
    b = gradient[:, s] - back[:, :, -1]
    return solved, schur, b, np.asarray(inverse)


def _step(
    plan: Plan,
    share: Sharing,
    p: Array,
    gradient: Array,
    hessian: Array,
    lam: Array,
    by: Ints,
    factor: Array,
) -> Array:
    """Damped step of all parameters, shortened per cluster to the trust limits."""
    held = _held(plan, share, p, gradient)
    free = ~held
    g = gradient * free
    h = hessian * (free[:, :, None] & free[:, None, :])
    solved, schur, b, _ = _eliminate(share, g, h, lam[share.cluster])
    common = np.zeros(share.column.size)
    diagonal = np.zeros(share.column.size)
    np.add.at(diagonal, share.place, np.einsum("mii->mi", h)[:, share.shared])
    for members, globals_, local_place in _clusters(share):
        size = globals_.size
        matrix, right = np.zeros((size, size)), np.zeros(size)
        np.add.at(matrix, (local_place[:, :, None], local_place[:, None, :]), schur[members])
        np.add.at(right, local_place, b[members])
        d = diagonal[globals_]
        seen = d > 0.0
        scale = np.where(seen, 1.0 / np.sqrt(np.where(seen, d, 1.0)), 0.0)
        damp = np.where(seen, lam[share.home[globals_]] + 1e-13, 1.0)
        matrix = matrix * scale[:, None] * scale + np.diag(damp)
        common[globals_] = np.linalg.solve(matrix, right * scale) * scale
    step = np.zeros_like(p)
    step[:, share.shared] = common[share.place]
    step[:, share.local] = solved[:, :, -1] - np.einsum(
        "mlk,mk->ml", solved[:, :, :-1], common[share.place]
    )
    step *= free
    with np.errstate(all="ignore"):
        width = np.abs(plan.transform(p)[0])
        limit = np.where(by >= 0, factor * width[:, by], np.inf)
        over = np.max(np.where(limit > 0.0, np.abs(step) / limit, 0.0), axis=1, initial=0.0)
    clusters = int(share.cluster.max()) + 1
    worst = np.ones(clusters)
    np.maximum.at(worst, share.cluster, np.where(np.isfinite(over), over, 1.0))
    return step / worst[share.cluster][:, None]


def _clusters(share: Sharing) -> list[tuple[Ints, Ints, Ints]]:
    """Members, their global parameters, and the places of those within the cluster."""
    order = np.argsort(share.cluster, kind="stable")
    edges = np.flatnonzero(np.diff(share.cluster[order], prepend=-1))
    out = []
    for members in np.split(order, edges[1:]):
        if not share.shared.size:
            continue
        globals_, local = np.unique(share.place[members], return_inverse=True)
        out.append((members, globals_, local.reshape(len(members), -1)))
    return out


def _errors(share: Sharing, hessian: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Covariance of every spectrum's free parameters in the whole problem."""
    from .uncertainty import invert

    count, n = hessian.shape[:2]
    h_ll = hessian[:, share.local[:, None], share.local]
    inverse, lost_local = invert(h_ll)
    h_ls = hessian[:, share.local[:, None], share.shared]
    x = inverse @ h_ls
    schur = hessian[:, share.shared[:, None], share.shared] - h_ls.transpose(0, 2, 1) @ x
    covariance = np.zeros((count, n, n))
    undetermined = np.zeros((count, n), dtype=bool)
    undetermined[:, share.local] = lost_local
    for members, globals_, place in _clusters(share):
        matrix = np.zeros((globals_.size, globals_.size))
        np.add.at(matrix, (place[:, :, None], place[:, None, :]), schur[members])
        common, lost = invert(matrix[None])
        c_ss = common[0][place[:, :, None], place[:, None, :]]
        undetermined[members[:, None], share.shared] = lost[0][place]
        c_ls = -(x[members] @ c_ss)
        c_ll = inverse[members] - c_ls @ x[members].transpose(0, 2, 1)
        m = members[:, None, None]
        covariance[m, share.shared[:, None], share.shared] = c_ss
        covariance[m, share.local[:, None], share.shared] = c_ls
        covariance[m, share.shared[:, None], share.local] = c_ls.transpose(0, 2, 1)
        covariance[m, share.local[:, None], share.local] = c_ll
    return covariance, undetermined

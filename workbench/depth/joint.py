"""Depth profiles of a series solved jointly: smooth in depth, and from spectrum to spectrum."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_solve_banded, cholesky_banded, solveh_banded

from .matrix import System
from .solve import Solution

Array = npt.NDArray[np.float64]

Rule = Literal["evidence", "discrepancy"]

_FLOOR = 0.5
_MOST_TRIED = 48
_DRAWS, _SEED = 120, 2011
_TRIED = np.logspace(-4, 5, 19)


def joint(
    s: Solution, system: System, time: Array, cells: int, weight: float | Rule, again: bool = True
) -> tuple[Solution, Array, Array, float]:
    """Solve all spectra together with a penalty on the change from one to the next.

    Parameters
    ----------
    s : Solution
        Each spectrum by itself; its weight in depth is kept.
    system : System
    time : ndarray, shape (n,)
        Ascending; only differences over the whole matter.
    cells : int
        Unknowns that are smoothed (the background after them is not).
    weight : float or str
        Of the change in time, or how to choose it.
    again : bool
        Whether the weight in depth is chosen anew too (by evidence), once all are solved together.

    Returns
    -------
    Solution, ndarray, ndarray, float
        The solution; its posterior covariance within each spectrum, shape (n, k, k), and errors of
        the unknowns (counting, and in square the bias of smoothing), shape (n, k), in units of the
        unknowns; and the weight in time.

    Notes
    -----
    Adds ``weight * sum_t sum_j (x[t+1,j] - x[t,j])^2 / (cells dt)``, dt the step as a share of the
    whole time: a random walk, so the weight does not depend on how often spectra were taken.
    ``"evidence"`` maximises the marginal likelihood (Gaussian, positivity left out);
    ``"discrepancy"`` takes the largest weight with which chi-square rises by no more than the
    number of parameters that smoothing saves. Both look at 48 spectra at most, evenly spread. The
    system is block tridiagonal: banded Cholesky, positivity by block pivoting.
    """
    span = float(time[-1] - time[0])
    if isinstance(weight, str):
        # Together the spectra hold more than each alone: the weight in depth is chosen anew.
        n = s.x.shape[0]
        pick = np.unique(np.linspace(0, n - 1, _MOST_TRIED).round().astype(int))
        few = (_some(s, pick), _pick(system, pick), time[pick] / span, cells)
        find = _evidence if weight == "evidence" else _discrepancy
        found = find(*few)
        if again:
            tried = s.weight * np.logspace(-2.5, 1.0, 8)
            scores = [_score(replace(few[0], weight=float(w)), *few[1:], found) for w in tried]
            s = replace(s, weight=float(tried[int(np.argmax(scores))]))
            found = find(replace(few[0], weight=s.weight), *few[1:])
        weight = found
    first, _ = _solved(s, system, time / span, cells, weight)
    # Once more with the Poisson weights of the smoothed model.
    second = replace(first, normal=_normal(system, first.model))
    last, inverse = _solved(second, system, time / span, cells, weight)
    sigma = _errors(second, system, time / span, cells, weight, last.x)
    return last, inverse, sigma, weight


def _some(s: Solution, pick: npt.NDArray[np.int64]) -> Solution:
    return Solution(s.x[pick], s.normal[pick], s.model[pick], s.chi2[pick], s.edf[pick], s.weight)


def _pick(system: System, pick: npt.NDArray[np.int64]) -> System:
    columns = system.columns if system.columns.shape[0] == 1 else system.columns[pick]
    return replace(
        system, y=system.y[pick], fixed=system.fixed[pick], seen=system.seen[pick], columns=columns
    )


def _normal(system: System, model: Array) -> Array:
    w = system.seen / np.maximum(model, _FLOOR)
    return np.asarray((np.swapaxes(system.columns, 1, 2) * w[:, None, :]) @ system.columns)


def _discrepancy(s: Solution, system: System, time: Array, cells: int) -> float:
    weights = _TRIED
    alone, _ = _solved(s, system, time, cells, 1e-12)
    best = float(weights[0])
    for weight in weights:
        found, _ = _solved(s, system, time, cells, float(weight))
        if (found.chi2 - alone.chi2).sum() > (alone.edf - found.edf).sum():
            break
        best = float(weight)
    return best


def _evidence(s: Solution, system: System, time: Array, cells: int) -> float:
    scores = [_score(s, system, time, cells, float(weight)) for weight in _TRIED]
    return float(_TRIED[int(np.argmax(scores))])


def _score(s: Solution, system: System, time: Array, cells: int, weight: float) -> float:
    """Logarithm of the marginal likelihood; the prior's matrix is a Kronecker sum."""
    n = s.x.shape[0]
    step = np.maximum(np.diff(time), 1e-9)
    walk = np.zeros((n, n))
    for t in range(n - 1):
        walk[t : t + 2, t : t + 2] += np.array([[1.0, -1.0], [-1.0, 1.0]]) / step[t]
    in_time = weight * np.clip(np.linalg.eigvalsh(walk), 0.0, None) / cells
    in_depth = np.clip(np.linalg.eigvalsh(system.penalty[:cells, :cells]), 0.0, None)
    in_depth[in_depth < 1e-9 * in_depth.max()] = 0.0
    in_time[0] = 0.0
    prior = s.weight * in_depth[None, :] + in_time[:, None]
    found, _ = _solved(s, system, time, cells, weight)
    change = np.diff(found.x[:, :cells], axis=0) ** 2 / step[:, None]
    cost = (
        found.chi2.sum()
        + s.weight * np.einsum("ni,ij,nj->", found.x, system.penalty, found.x)
        + weight * change.sum() / cells
    )
    volume = np.log(prior[prior > 0]).sum() - _volume(s, system, time, cells, weight)
    return float(0.5 * (volume - cost))


def _solved(
    s: Solution, system: System, time: Array, cells: int, weight: float
) -> tuple[Solution, Array]:
    """Solve with the given curvature; return solution and diagonal blocks of the inverse."""
    n, k = s.x.shape
    h, link, smoothed = _curvature(s, system, time, cells, weight)
    w = system.seen / np.maximum(s.model, _FLOOR)
    right = np.einsum("...bk,...b->...k", system.columns, w * (system.y - system.fixed))
    if right.shape[0] != n:
        right = np.broadcast_to(right, (n, k))
    x = _nonnegative(_banded(h, link, smoothed), right.ravel(), k).reshape(n, k)
    inverse = _blocks(h, link, smoothed)
    model = system.fixed + (system.columns @ x[:, :, None])[:, :, 0]
    used = system.seen & (model >= _FLOOR)
    chi2 = np.where(used, (system.y - model) ** 2 / model.clip(_FLOOR), 0.0).sum(axis=1)
    edf = np.einsum("nij,nji->n", inverse, s.normal)
    return Solution(x, s.normal, model, chi2, edf, s.weight), inverse


def _errors(s: Solution, system: System, time: Array, cells: int, weight: float, x: Array) -> Array:
    """Errors of counting, by 120 draws of the data's noise, and the bias of both penalties."""
    n, k = x.shape
    h, link, smoothed = _curvature(s, system, time, cells, weight)
    factor = cholesky_banded(_banded(h, link, smoothed), lower=True, check_finite=False)
    ridge = (1e-10 * np.trace(s.normal, axis1=1, axis2=2) / k + 1e-300)[:, None, None]
    root = np.linalg.cholesky(s.normal + ridge * np.eye(k))
    noise = np.random.default_rng(_SEED).standard_normal((n, k, _DRAWS))
    pull = s.weight * (x @ system.penalty)
    jump = link[:, None] * np.diff(x, axis=0) * smoothed
    pull[:-1] -= jump
    pull[1:] += jump
    right = np.concatenate([root @ noise, pull[:, :, None]], axis=2).reshape(n * k, -1)
    answer = cho_solve_banded((factor, True), right, check_finite=False).reshape(n, k, -1)
    return np.asarray(np.sqrt((answer[:, :, :-1] ** 2).mean(axis=2) + answer[:, :, -1] ** 2))


def _curvature(
    s: Solution, system: System, time: Array, cells: int, weight: float
) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Diagonal blocks of the whole matrix, coupling of neighbours, and what is coupled."""
    n, k = s.x.shape
    link = weight / (cells * np.maximum(np.diff(time), 1e-9))
    h = s.normal + s.weight * system.penalty
    h = h + (1e-10 * np.trace(h, axis1=1, axis2=2) / k)[:, None, None] * np.eye(k)
    both = np.zeros(n)
    both[:-1] += link
    both[1:] += link
    h[:, np.arange(cells), np.arange(cells)] += both[:, None]
    return h, link, np.arange(k) < cells


def _volume(s: Solution, system: System, time: Array, cells: int, weight: float) -> float:
    """Logarithm of the determinant of the whole matrix, block by block."""
    h, link, smoothed = _curvature(s, system, time, cells, weight)
    block = h[0]
    total = float(np.linalg.slogdet(block)[1])
    for t in range(1, h.shape[0]):
        e = link[t - 1] * smoothed
        block = h[t] - e[:, None] * np.linalg.inv(block) * e
        total += float(np.linalg.slogdet(block)[1])
    return total


def _banded(h: Array, link: Array, smoothed: npt.NDArray[np.bool_]) -> Array:
    """Lower band of the block tridiagonal matrix."""
    n, k = h.shape[:2]
    band = np.zeros((k + 1, n, k))
    for d in range(k):
        band[d, :, : k - d] = np.diagonal(h, offset=-d, axis1=1, axis2=2)
    band[k, :-1] = -link[:, None] * smoothed
    return band.reshape(k + 1, n * k)


def _nonnegative(band: Array, right: Array, k: int) -> Array:
    """Solve the banded system with no negative unknown, by block principal pivoting.

    J. Kim and H. Park, SIAM J. Sci. Comput. 33 (2011) 3261; near the end only the last wrong
    unknown of each spectrum is exchanged.
    """
    size = right.size
    free = np.ones(size, dtype=bool)
    scale = np.abs(right).max() + 1e-300
    x = np.zeros(size)
    best, patience = size + 1, 3
    for _ in range(80):
        masked = band * free
        for d in range(1, k + 1):
            masked[d, : size - d] *= free[d:]
        masked[0] += ~free
        try:
            x = solveh_banded(masked, np.where(free, right, 0.0), lower=True, check_finite=False)
        except LinAlgError:
            break
        slope = _times(band, x, k) - right
        wrong = (free & (x < -1e-10 * np.abs(x).max())) | (~free & (slope < -1e-9 * scale))
        count = int(wrong.sum())
        if count == 0:
            break
        if count < best:
            best, patience = count, 3
        else:
            patience -= 1
        if patience < 0:
            rows = wrong.reshape(-1, k)
            last = k - 1 - np.argmax(rows[:, ::-1], axis=1)
            only = np.zeros_like(rows)
            only[np.arange(rows.shape[0]), last] = rows.any(axis=1)
            wrong = only.ravel()
        free ^= wrong
    return np.maximum(x, 0.0)


def _times(band: Array, x: Array, k: int) -> Array:
    out = band[0] * x
    for d in range(1, k + 1):
        out[d:] += band[d, :-d] * x[:-d]
        out[:-d] += band[d, :-d] * x[d:]
    return np.asarray(out)


def _blocks(h: Array, link: Array, smoothed: npt.NDArray[np.bool_]) -> Array:
    """Diagonal blocks of the inverse of the block tridiagonal matrix, forward and back."""
    n = h.shape[0]
    forward = np.empty_like(h)
    forward[0] = np.linalg.inv(h[0])
    for t in range(1, n):
        e = link[t - 1] * smoothed
        forward[t] = np.linalg.inv(h[t] - e[:, None] * forward[t - 1] * e)
    out = np.empty_like(h)
    out[-1] = forward[-1]
    for t in range(n - 2, -1, -1):
        e = link[t] * smoothed
        left = forward[t] * e
        out[t] = forward[t] + left @ out[t + 1] @ left.T
    return out

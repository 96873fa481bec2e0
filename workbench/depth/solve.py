"""Regularised, non-negative least squares for many spectra at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

Choice = Literal["evidence", "discrepancy", "lcurve"]

_FLOOR = 0.5
_BATCH = 64


@dataclass(frozen=True)
class Solution:
    """Answers for ``n`` spectra and ``k`` unknowns.

    Parameters
    ----------
    x : ndarray, shape (n, k)
        Non-negative unknowns.
    normal : ndarray, shape (n, k, k)
        Curvature of the data term, ``R^T W R``.
    model : ndarray, shape (n, bins)
    chi2, edf : ndarray, shape (n,)
        Pearson's chi-square and effective number of parameters.
    weight : float
        Of the penalty.
    """

    x: Array
    normal: Array
    model: Array
    chi2: Array
    edf: Array
    weight: float


def nonnegative(h: Array, g: Array) -> Array:
    """Minimise ``x.h.x / 2 - g.x`` with ``x >= 0`` for a batch, by block principal pivoting.

    Parameters
    ----------
    h : ndarray, shape (n, k, k)
        Positive definite.
    g : ndarray, shape (n, k)

    Returns
    -------
    ndarray, shape (n, k)

    Notes
    -----
    J. Kim and H. Park, SIAM J. Sci. Comput. 33 (2011) 3261. The few problems that have not settled
    after 50 exchanges are handed to scipy's active-set solver.
    """
    n, k = g.shape
    free = np.ones((n, k), dtype=bool)
    out = np.zeros((n, k))
    patience = np.full(n, 3)
    best = np.full(n, k + 1)
    todo = np.arange(n)
    for _ in range(50):
        f = free[todo]
        both = f[:, :, None] & f[:, None, :]
        masked = np.where(both, h[todo], 0.0)
        masked[:, np.arange(k), np.arange(k)] += ~f
        x = np.linalg.solve(masked, np.where(f, g[todo], 0.0)[:, :, None])[:, :, 0]
        slope = np.einsum("nij,nj->ni", h[todo], x) - g[todo]
        scale = np.abs(x).max(axis=1, keepdims=True) + 1e-300
        size = np.abs(g[todo]).max(axis=1, keepdims=True) + 1e-300
        wrong = (f & (x < -1e-12 * scale)) | (~f & (slope < -1e-11 * size))
        count = wrong.sum(axis=1)
        out[todo] = np.maximum(x, 0.0)
        better = count < best[todo]
        patience[todo] = np.where(better, 3, patience[todo] - 1)
        best[todo] = np.minimum(best[todo], count)
        single = ~better & (patience[todo] < 0)
        last = k - 1 - np.argmax(wrong[:, ::-1], axis=1)
        only = np.zeros_like(wrong)
        only[np.arange(todo.size), last] = True
        free[todo] ^= np.where(single[:, None], wrong & only, wrong)
        todo = todo[count > 0]
        if not todo.size:
            return out
    from scipy.optimize import nnls

    for i in todo:
        root = np.linalg.cholesky(h[i])
        out[i] = nnls(root.T, np.linalg.solve(root, g[i]), maxiter=100 * k)[0]
    return out


def solve(
    counts: Array,
    use: npt.NDArray[np.bool_],
    fixed: Array,
    matrix: Array,
    penalty: Array,
    weight: float,
    rounds: int = 6,
    model: Array | None = None,
) -> Solution:
    """Solve all spectra with one weight of the penalty; Poisson weights follow the model.

    Parameters
    ----------
    counts, use, fixed : ndarray, shape (n, bins)
        Counts, which of them count, and a known background.
    matrix : ndarray, shape (n, bins, k) or (1, bins, k)
    penalty : ndarray, shape (k, k)
    weight : float
    rounds : int
        Rounds of reweighting; with weights ``1/model`` the fixed point is the Poisson maximum.
    model : ndarray, shape (n, bins), optional
        To start the weights from; by default the counts, smoothed.

    Returns
    -------
    Solution
    """
    parts = [
        _solve(
            counts[i : i + _BATCH],
            use[i : i + _BATCH],
            fixed[i : i + _BATCH],
            matrix if matrix.shape[0] == 1 else matrix[i : i + _BATCH],
            penalty,
            weight,
            rounds,
            None if model is None else model[i : i + _BATCH],
        )
        for i in range(0, counts.shape[0], _BATCH)
    ]
    return Solution(
        np.concatenate([p.x for p in parts]),
        np.concatenate([p.normal for p in parts]),
        np.concatenate([p.model for p in parts]),
        np.concatenate([p.chi2 for p in parts]),
        np.concatenate([p.edf for p in parts]),
        weight,
    )


def _solve(
    counts: Array,
    use: npt.NDArray[np.bool_],
    fixed: Array,
    matrix: Array,
    penalty: Array,
    weight: float,
    rounds: int,
    model: Array | None,
) -> Solution:
    model = np.maximum(_smooth(counts) if model is None else model, _FLOOR)
    k = matrix.shape[-1]
    across = np.swapaxes(matrix, 1, 2)
    x = np.zeros((counts.shape[0], k))
    normal = np.zeros((counts.shape[0], k, k))
    h = normal
    for _ in range(rounds):
        w = use / np.maximum(model, _FLOOR)
        normal = (across * w[:, None, :]) @ matrix
        g = (across @ (w * (counts - fixed))[:, :, None])[:, :, 0]
        h = normal + weight * penalty
        ridge = 1e-10 * np.trace(h, axis1=1, axis2=2) / k
        h = h + ridge[:, None, None] * np.eye(k)
        x = nonnegative(h, g)
        new = fixed + (matrix @ x[:, :, None])[:, :, 0]
        settled = bool(np.all(np.abs(new - model) < 1e-3 * np.sqrt(np.maximum(new, _FLOOR))))
        model = new
        if settled:
            break
    chi2 = np.where(use & (model >= _FLOOR), (counts - model) ** 2 / model.clip(_FLOOR), 0.0).sum(1)
    edf = np.trace(np.linalg.solve(h, normal), axis1=1, axis2=2)
    return Solution(x, normal, model, chi2, edf, weight)


def _smooth(counts: Array) -> Array:
    """Mean of nine neighbours: a first guess of the variance."""
    from scipy.ndimage import uniform_filter1d

    return np.asarray(uniform_filter1d(counts, 9, axis=1))


def choose(
    counts: Array,
    use: npt.NDArray[np.bool_],
    fixed: Array,
    matrix: Array,
    penalty: Array,
    rank: int,
    how: Choice,
) -> float:
    """Choose one weight of the penalty for all spectra together.

    Parameters
    ----------
    counts, use, fixed, matrix, penalty
        As in `solve`; at most twelve spectra, evenly spread, are looked at.
    rank : int
        Of the penalty.
    how : str
        ``"evidence"`` maximises the marginal likelihood (Gaussian, positivity left out; D. MacKay,
        Neural Comput. 4 (1992) 415). ``"discrepancy"`` takes the largest weight whose chi-square
        exceeds the least one by no more than the number of parameters the data hold.
        ``"lcurve"`` takes the corner of chi-square against roughness (P. Hansen, SIAM Rev. 34
        (1992) 561).

    Returns
    -------
    float
    """
    pick = np.unique(np.linspace(0, counts.shape[0] - 1, 12).round().astype(int))
    m = matrix if matrix.shape[0] == 1 else matrix[pick]
    data = (counts[pick], use[pick], fixed[pick], m, penalty)
    grid = np.logspace(-7, 5, 25)
    tried = [solve(*data, float(w), rounds=3) for w in grid]
    if how == "evidence":
        scores = np.array([_evidence(s, penalty, rank) for s in tried])
        best = int(np.argmax(scores))
        if 0 < best < grid.size - 1:
            a, b, c = scores[best - 1 : best + 2]
            shift = 0.5 * (a - c) / (a - 2.0 * b + c) if a - 2.0 * b + c < 0 else 0.0
            return float(grid[best] * 10 ** (shift * np.log10(grid[1] / grid[0])))
        return float(grid[best])
    chi2 = np.array([s.chi2.sum() for s in tried])
    if how == "discrepancy":
        allowed = chi2[0] + tried[0].edf.sum()
        return float(grid[np.flatnonzero(chi2 <= allowed)[-1]])
    rough = np.array([np.einsum("ni,ij,nj->", s.x, penalty, s.x) for s in tried])
    u, v = np.log(chi2), np.log(np.maximum(rough, 1e-300))
    du, dv = np.gradient(u), np.gradient(v)
    bend = (du * np.gradient(dv) - dv * np.gradient(du)) / ((du**2 + dv**2) ** 1.5 + 1e-12)
    return float(grid[2 + int(np.argmax(bend[2:-2]))])


def _evidence(s: Solution, penalty: Array, rank: int) -> float:
    """Logarithm of the marginal likelihood, summed over the spectra, without constants."""
    cost = s.chi2 + s.weight * np.einsum("ni,ij,nj->n", s.x, penalty, s.x)
    ridge = 1e-10 * np.trace(s.normal, axis1=1, axis2=2) / penalty.shape[0]
    h = s.normal + s.weight * penalty + ridge[:, None, None] * np.eye(penalty.shape[0])
    volume = np.linalg.slogdet(h)[1]
    return float(np.sum(-0.5 * cost + 0.5 * rank * np.log(s.weight) - 0.5 * volume))

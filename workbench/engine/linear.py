"""Amplitudes only: weighted Gram matrices of fixed columns, and non-negative least squares on them.

For fixed columns the Gram matrices of all spectra are one matrix product (weights squared times the
products of columns), so fitting amplitudes costs no pass per spectrum. Non-negativity is solved on
the Gram matrices by block principal pivoting with the single-exchange backup rule (Kim & Park,
SIAM J. Sci. Comput. 33, 3261 (2011)), which ends at the exact optimum.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

TOLERANCE = 1e-10


def grams(columns: Array, weight2: Array, data: Array) -> tuple[Array, Array]:
    """Gram matrices and right sides of weighted linear fits.

    Parameters
    ----------
    columns : ndarray, shape (n, N)
        The same for all spectra.
    weight2 : ndarray, shape (B, N)
        Inverse variances; 0 where there is no datum.
    data : ndarray, shape (B, N)

    Returns
    -------
    gram : ndarray, shape (B, n, n)
    right : ndarray, shape (B, n)
    """
    n = len(columns)
    i, j = np.tril_indices(n)
    packed = weight2 @ (columns[i] * columns[j]).T
    gram = np.empty((len(weight2), n, n))
    gram[:, i, j] = packed
    gram[:, j, i] = packed
    return gram, (weight2 * data) @ columns.T


def nonnegative(gram: Array, right: Array, free: Bools | None = None) -> Array:
    """Solve min a'Ga - 2 r'a with a >= 0, many at once and exactly.

    Parameters
    ----------
    gram : ndarray, shape (B, n, n)
    right : ndarray, shape (B, n)
    free : ndarray of bool, shape (n,), optional
        Amplitudes that may be negative.

    Returns
    -------
    ndarray, shape (B, n)
    """
    count, n = right.shape
    free = np.zeros(n, dtype=bool) if free is None else free
    diagonal = np.einsum("bii->bi", gram)
    seen = diagonal > 0.0
    scale = np.where(seen, 1.0 / np.sqrt(np.where(seen, diagonal, 1.0)), 0.0)
    g = gram * scale[:, :, None] * scale[:, None, :]
    r = right * scale
    passive = seen.copy()
    eye = np.eye(n)
    out = np.zeros((count, n))
    patience = np.full(count, 3)
    fewest = np.full(count, n + 1)
    todo = np.arange(count)
    for _ in range(20 * n + 50):
        on = passive[todo]
        both = on[:, :, None] & on[:, None, :]
        matrix = np.where(both, g[todo], 0.0) + eye * np.where(on, 1e-14, 1.0)[:, None, :]
        a = np.linalg.solve(matrix, np.where(on, r[todo], 0.0)[:, :, None])[:, :, 0]
        dual = np.einsum("bij,bj->bi", g[todo], a) - r[todo]
        size = np.maximum(np.max(np.abs(r[todo]), axis=1, initial=0.0), 1e-300)[:, None]
        wrong = np.where(
            on, (a < -TOLERANCE * size) & ~free, (dual < -TOLERANCE * size) & seen[todo]
        )
        number = wrong.sum(axis=1)
        out[todo] = a
        keep = number > 0
        if not keep.any():
            break
        todo, wrong, number = todo[keep], wrong[keep], number[keep]
        better = number < fewest[todo]
        fewest[todo] = np.where(better, number, fewest[todo])
        patience[todo] = np.where(better, 3, patience[todo] - 1)
        last = n - 1 - np.argmax(wrong[:, ::-1], axis=1)
        single = np.zeros_like(wrong)
        single[np.arange(len(last)), last] = True
        flip = np.where((patience[todo] >= 0)[:, None], wrong, single)
        passive[todo] ^= flip
    out = np.where(free, out, np.maximum(out, 0.0))
    return np.asarray(out * scale)

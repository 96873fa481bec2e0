"""What every engine is given and what it gives back: plain arrays, spectra along the first axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .plan import Plan

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

COUNT_FLOOR = 1e-3
"""Smallest expected counts per channel in a Poisson weight; keeps empty channels finite."""


@dataclass(frozen=True)
class Block:
    """Spectra to fit.

    Attributes
    ----------
    x : ndarray, shape (N,)
    y : ndarray, shape (B, N)
        Data; 0 where the weight is 0.
    weight : ndarray, shape (B, N)
        1 / standard deviation; 0 for masked and missing points.
    background : ndarray, shape (B, N), optional
        Static background: added to the model.
    scale : bool
        True if the data have no errors of their own: weights are 1 and the standard errors are
        scaled with the reduced chi-square, as lmfit's ``scale_covar``.
    poisson : bool
        Weights follow the model: the fixed point of w = 1/sqrt(model) is the Poisson likelihood's
        (Laurence & Chromy, Nat. Methods 7, 338 (2010)).
    """

    x: Array
    y: Array
    weight: Array
    background: Array | None
    scale: bool
    poisson: bool

    @property
    def ndata(self) -> npt.NDArray[np.int64]:
        """Points of non-zero weight per spectrum."""
        return np.count_nonzero(self.weight, axis=1)

    def take(self, index: npt.NDArray[np.int64] | slice) -> Block:
        """Return some of the spectra."""
        return Block(
            self.x,
            self.y[index],
            self.weight[index],
            None if self.background is None else self.background[index],
            self.scale,
            self.poisson,
        )


@dataclass
class Solution:
    """What an engine found: free parameters, Gram matrix, and how it went.

    Attributes
    ----------
    p : ndarray, shape (B, n)
    hessian : ndarray, shape (B, n, n)
        J^T W J at ``p``.
    chisqr : ndarray, shape (B,)
        Sum of weighted squared residuals at ``p``.
    nfev : ndarray of int, shape (B,)
        Evaluations of the model.
    converged : ndarray of bool, shape (B,)
    """

    p: Array
    hessian: Array
    chisqr: Array
    nfev: npt.NDArray[np.int64]
    converged: Bools

    @classmethod
    def empty(cls, count: int, plan: Plan) -> Solution:
        """Return a solution in which nothing has been found yet."""
        n = plan.size
        return cls(
            np.full((count, n), np.nan),
            np.zeros((count, n, n)),
            np.full(count, np.nan),
            np.zeros(count, dtype=np.int64),
            np.zeros(count, dtype=bool),
        )


def poisson_weight(expected: Array, weight: Array) -> Array:
    """Weights of the Poisson statistic: 1/sqrt(expected counts) where there are data."""
    return np.where(weight > 0.0, 1.0 / np.sqrt(np.maximum(expected, COUNT_FLOOR)), 0.0)

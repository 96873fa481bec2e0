"""One set of species fitted to one spectrum: its evidence, its draws, and the amounts they mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from ..engine.plan import Plan

Array = npt.NDArray[np.float64]
_DRAWS = 1000
_BELOW = 3.0
"""Standard errors by which an area may lie below zero."""


@dataclass(frozen=True)
class Fitted:
    """One set of species fitted to one spectrum.

    Parameters
    ----------
    plan : Plan
    p : ndarray, shape (n,)
        Free parameters.
    full : ndarray, shape (P,)
        All parameters.
    hessian : ndarray, shape (n, n)
        Half the second derivatives of the deviance.
    deviance : float
        Minus twice the log likelihood over that of the data themselves.
    ranges : ndarray, shape (n,)
        How far each parameter could lie, before the data; NaN where nothing is said.
    areas : ndarray of int
        Free parameters that are areas of species.
    points : int
        Data points.
    """

    plan: Plan
    p: Array
    full: Array
    hessian: Array
    deviance: float
    ranges: Array
    areas: npt.NDArray[np.int64]
    points: int

    @property
    def values(self) -> dict[str, float]:
        """All parameters by name."""
        return dict(zip(self.plan.names, self.full.tolist(), strict=True))

    def covariance(self, dispersion: float = 1.0) -> Array:
        """Return the covariance (n, n) after the data, what was said before included."""
        return np.asarray(np.linalg.inv(self._precision(dispersion)))

    def occam(self, dispersion: float) -> float:
        """Return what the set pays for its freedom: minus twice the log of kept over given room.

        Laplace's integral over the parameters, flat before the data within ``ranges`` (D. MacKay,
        Neural Comput. 4 (1992) 415); the Bayesian information criterion's ``ln N`` where no range
        is said. Areas pay for the room that lies above zero only. Species that the data cannot
        tell apart pay little, so that such sets share their probability.
        """
        precision = self._precision(dispersion)
        scale = 1.0 / np.sqrt(np.diagonal(precision))
        _, log = np.linalg.slogdet(precision * scale[:, None] * scale[None, :])
        log -= 2.0 * float(np.sum(np.log(scale)))
        said = np.isfinite(self.ranges)
        paid = log - self.p.size * float(np.log(2.0 * np.pi))
        paid += 2.0 * float(np.sum(np.log(self.ranges[said])))
        # unit information: as much as one point of the data says
        size = float(np.log(self.points * 2.0 * np.pi))
        paid += float(np.sum(size + 2.0 * np.log(scale[~said])))
        _, above = self.draws(dispersion)
        if not above.any():
            error = np.sqrt(np.diagonal(self.covariance(dispersion))[self.areas])
            below = np.minimum(self.p[self.areas] / error, 0.0)
            if below.min() < -_BELOW:
                return float("inf")  # what needs less than nothing of a species explains nothing
            paid += float(below @ below)
        return paid - 2.0 * float(np.log(max(float(above.mean()), 0.5 / _DRAWS)))

    def draws(self, dispersion: float) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Return parameters (M, n) drawn after the data, and which of them have no area below 0."""
        root = np.linalg.cholesky(sane(self.covariance(dispersion)))
        drawn = self.p + _normal(self.p.size) @ root.T
        return drawn, np.all(drawn[:, self.areas] >= 0.0, axis=1)

    def _precision(self, dispersion: float) -> Array:
        said = np.isfinite(self.ranges)
        before = np.where(said, 1.0 / np.where(said, self.ranges, 1.0) ** 2, 0.0)
        return self.hessian / dispersion + np.diag(before + 1e-12 * np.diagonal(self.hessian))


@cache
def _normal(size: int) -> Array:
    """Return the same normal numbers (M, size) for every set, so that sets compare."""
    return np.random.default_rng(0).standard_normal((_DRAWS, size))


def positive(drawn: Array, above: npt.NDArray[np.bool_], areas: npt.NDArray[np.int64]) -> Array:
    """Put draws that have no area below zero in the place of the others.

    Where there are none (zero is far out) areas below zero become zero.
    """
    good = np.flatnonzero(above)
    if good.size:
        return np.asarray(
            drawn[np.where(above, np.arange(above.size), np.resize(good, above.size))]
        )
    out = drawn.copy()
    out[:, areas] = np.maximum(out[:, areas], 0.0)
    return out


def sane(covariance: Array) -> Array:
    """Make a covariance safely positive definite."""
    scale = np.sqrt(np.maximum(np.diagonal(covariance), 1e-300))
    inner = covariance / (scale[:, None] * scale[None, :])
    inner = 0.5 * (inner + inner.T) + 1e-9 * np.eye(scale.size)
    return np.asarray(inner * scale[:, None] * scale[None, :])


@dataclass(frozen=True)
class Amounts:
    """Amounts of the species of one fit, before any division by their total.

    Parameters
    ----------
    species : tuple of str
    raw : ndarray, shape (S,)
        At the best fit.
    covariance : ndarray, shape (S, S)
    room : ndarray, shape (S,)
        How large each could be before the data.
    draws : ndarray, shape (M, S)
        Drawn after the data, no area below zero.
    kind : str
        ``"fraction"`` if they mean shares of their total.
    units : str
    """

    species: tuple[str, ...]
    raw: Array
    covariance: Array
    room: Array
    draws: Array
    kind: str
    units: str

    @property
    def final(self) -> Array:
        """Draws as `quantify` gives amounts: shares where the kind says so, (M, S)."""
        if self.kind != "fraction":
            return self.draws
        whole = self.draws.sum(axis=1, keepdims=True)
        return np.asarray(self.draws / np.maximum(whole, 1e-300))

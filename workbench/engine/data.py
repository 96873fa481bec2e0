"""Spectra as they come, and as the engines take them, a few at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .problem import Block

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Data:
    """Spectra as they come: native dtype, NaN or masked where there is no datum.

    Attributes
    ----------
    y : ndarray, shape (M, N)
    sigma, background, valid : ndarray, shape (M, N), optional
    origin : {"counts", "uncertainty", "none"}
        Where weights come from.
    poisson : bool
    """

    x: Array
    y: npt.NDArray[np.generic]
    sigma: npt.NDArray[np.generic] | None
    background: npt.NDArray[np.generic] | None
    valid: npt.NDArray[np.bool_] | None
    origin: str
    poisson: bool

    def rows(self, index: npt.NDArray[np.int64]) -> tuple[Array, Array, Array]:
        """Return data, sigma and background of some spectra in float64."""
        y = self.y[index].astype(np.float64)
        if self.valid is not None:
            y[~self.valid[index]] = np.nan
        none = np.zeros((1, 0))
        sigma = none if self.sigma is None else self.sigma[index].astype(np.float64)
        ground = none if self.background is None else self.background[index].astype(np.float64)
        return y, sigma, ground

    def block(self, index: npt.NDArray[np.int64]) -> Block:
        """Return some spectra as the other engines take them."""
        y, sigma, ground = self.rows(index)
        seen = np.isfinite(y)
        if self.origin == "uncertainty":
            good = np.isfinite(sigma) & (sigma > 0.0)
            seen &= good
            weight = np.where(seen, 1.0 / np.where(good, sigma, 1.0), 0.0)
        elif self.origin == "counts":
            weight = np.where(seen, 1.0 / np.sqrt(np.maximum(np.where(seen, y, 1.0), 1.0)), 0.0)
        else:
            weight = seen.astype(float)
        background = None
        if self.background is not None:
            known = np.isfinite(ground)
            background = np.where(known & seen, ground, 0.0)
            weight = np.where(known, weight, 0.0)
        return Block(
            self.x,
            np.where(seen, y, 0.0),
            weight,
            background,
            scale=self.origin == "none" and not self.poisson,
            poisson=self.poisson,
        )

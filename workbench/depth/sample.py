"""Posterior of a depth profile by sampling: bands without a Gaussian assumption at zero."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .matrix import System
from .solve import Solution, nonnegative

Array = npt.NDArray[np.float64]


def sample(
    s: Solution, system: System, draws: int, burn: int, fixed_weight: bool, seed: int
) -> tuple[Array, Array]:
    """Draw non-negative profiles from the posterior around a solution.

    Parameters
    ----------
    s : Solution
        Poisson weights are those of its model.
    system : System
    draws, burn : int
        Draws kept and left out at the start.
    fixed_weight : bool
        Whether the weight of the penalty stays that of the solution; otherwise it is drawn too
        (one for the series), with a scale-free prior.
    seed : int

    Returns
    -------
    x : ndarray, shape (draws, n, k)
    weights : ndarray, shape (draws,)

    Notes
    -----
    Perturbed-data sampling with the constraint: each draw adds Gaussian noise of the right variance
    to the data and to the penalty's zero and solves the non-negative problem; the weight is then
    drawn from its gamma distribution (J. M. Bardsley and C. Fox, Inverse Probl. Sci. Eng. 20 (2012)
    477). Draws lie exactly at zero with the probability that the data leave no lithium.
    """
    rng = np.random.default_rng(seed)
    n, k = s.x.shape
    values, vectors = np.linalg.eigh(system.penalty)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))  # penalty = root @ root.T
    ridge = (1e-10 * np.trace(s.normal, axis1=1, axis2=2) / k)[:, None]
    data_root = np.linalg.cholesky(s.normal + (ridge + 1e-300)[:, :, None] * np.eye(k))
    # R^T W y of the converged solution, whose curvature is that of the final weights.
    w = system.seen / np.maximum(s.model, 0.5)
    right = np.einsum("...bk,...b->...k", system.columns, w * (system.y - system.fixed))
    weight = s.weight
    kept = np.empty((draws, n, k))
    weights = np.empty(draws)
    for i in range(-burn, draws):
        h = s.normal + weight * system.penalty + ridge[:, :, None] * np.eye(k)
        noise = np.einsum("nij,nj->ni", data_root, rng.standard_normal((n, k)))
        noise += np.sqrt(weight) * rng.standard_normal((n, k)) @ root.T
        x = nonnegative(h, right + noise)
        if not fixed_weight:
            rough = float(np.einsum("ni,ij,nj->", x, system.penalty, x))
            shape = 0.5 * n * system.rank
            weight = float(rng.gamma(shape) / max(0.5 * rough, 1e-12))
            weight = float(np.clip(weight, 1e-7, 1e6))
        if i >= 0:
            kept[i], weights[i] = x, weight
    return kept, weights

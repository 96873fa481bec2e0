"""Errors of a depth profile: counting, smoothing, stopping powers and the energy shift."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spectra.techniques._ndp_stopping import Ion

from .matrix import Grid, System
from .solve import Solution

Array = npt.NDArray[np.float64]

TILT = {"triton": 1.5, "alpha": 2.5}
"""Growth of the relative error of stopping with ln(birth energy / energy), in units of that at
birth. Measured: catima against the NIST tables of 17 materials, rms 2.1, 3.3, 6 % for tritons of
2.73, 1.0, 0.5 MeV and 1.7, 4.1, 6.6 % for alphas of 2.06, 1.0, 0.5 MeV."""

_Z = 1.959964


def read(
    s: Solution,
    system: System,
    grid: Grid,
    inverse: Array | None = None,
    errors: Array | None = None,
) -> dict[str, Any]:
    """Turn a solution into contents, statistical errors, totals and kernels.

    Parameters
    ----------
    s : Solution
    system : System
    grid : Grid
    inverse, errors : ndarray, optional
        Posterior covariance and errors of the unknowns, where spectra were solved jointly.

    Returns
    -------
    dict
        ``lithium``, ``stderr_statistical`` (nmol/ug), ``total_stderr_statistical`` (nmol/cm2),
        ``resolution`` (ug/cm2), ``kernel``, ``redchi``, ``excess`` (chi-square above its degrees of
        freedom in its standard deviations), ``weight``, ``covariance``.

    Notes
    -----
    The statistical error of a cell is that of counting and, added in square, the bias of smoothing
    as estimated from the answer itself. That of the total is of the posterior.
    """
    k = grid.width.size
    unit, penalty = system.unit, system.penalty
    alone = inverse is None
    if inverse is None:
        h = s.normal + s.weight * penalty
        ridge = 1e-10 * np.trace(h, axis1=1, axis2=2) / h.shape[1]
        inverse = np.linalg.inv(h + ridge[:, None, None] * np.eye(h.shape[1]))
    covariance = inverse[:, :k, :k] * unit**2
    answer = (inverse @ s.normal)[:, :k, :k]
    content = s.x[:, :k] * unit
    counting = np.einsum("nij,nji->ni", answer, covariance)
    bias = np.einsum("nij,nj->ni", inverse, s.weight * (s.x @ penalty))[:, :k] * unit
    sigma = np.sqrt(np.maximum(counting, 0.0) + bias**2)
    if not alone and errors is not None:
        sigma = errors[:, :k] * unit
    height = answer.max(axis=2)
    reach = np.abs(answer * grid.width).sum(axis=2)
    sharp = np.where(height > 1e-3, reach / np.maximum(height, 1e-3), np.nan)
    spread = np.einsum("i,nij,j->n", grid.width, covariance, grid.width)
    # Bins that expect no count say nothing about the agreement.
    free = np.maximum((system.seen & (s.model >= 0.5)).sum(axis=1) - s.edf, 1.0)
    # Pearson's chi-square of a Poisson bin of mean m has variance 2 + 1/m.
    scatter = np.sqrt(
        np.where(system.seen & (s.model >= 0.5), 2.0 + 1.0 / s.model.clip(0.5), 0.0).sum(axis=1)
    )
    blind = ~system.seen.any(axis=1)
    content[blind], sigma[blind], spread[blind] = np.nan, np.nan, np.nan
    return {
        "lithium": content,
        "stderr_statistical": sigma,
        "total_stderr_statistical": np.sqrt(spread),
        "resolution": sharp,
        "kernel": answer,
        "redchi": s.chi2 / free,
        "excess": (s.chi2 - free) / np.maximum(scatter, 1.0),
        "weight": s.weight,
        "covariance": covariance,
    }


def wrong_stopping(kinds: Sequence[Ion], relative: float) -> list[tuple[Ion, ...]]:
    """Return the ions with each independent error of their stopping powers, both ways.

    Parameters
    ----------
    kinds : sequence of Ion
    relative : float
        Relative standard error at the birth energy; it grows below as `TILT` says.

    Returns
    -------
    list of tuple of Ion
        Two (up, down) per ion for the level and two for the tilt.
    """
    found = []
    for i, ion in enumerate(kinds):
        for level, tilt in ((relative, 0.0), (0.0, TILT[ion.name] * relative)):
            for sign in (1.0, -1.0):
                other = replace(ion, level=sign * level, tilt=sign * tilt)
                found.append(tuple(other if j == i else same for j, same in enumerate(kinds)))
    return found


def systematic(
    found: Array,
    again: Callable[[tuple[Ion, ...], float], Array],
    kinds: tuple[Ion, ...],
    relative: float,
    move: float,
    move_error: float,
    refit: Callable[[tuple[Ion, ...]], float] | None,
) -> Array:
    """Return how the profile moves with each systematic error of one standard deviation.

    Parameters
    ----------
    found : ndarray, shape (n, cells)
        The profile.
    again : callable
        ``again(ions, move)``: the profile inverted with other ions and shift.
    kinds : tuple of Ion
    relative : float
        Standard error of stopping powers at birth.
    move, move_error : float
        Energy shift and its standard error, keV.
    refit : callable, optional
        ``refit(ions)``: the shift found with other ions, where it is fitted.

    Returns
    -------
    ndarray, shape (errors, n, cells)
        Differences, scaled so that their squares add up to the systematic variance.
    """
    moves = []
    if relative > 0:
        moves += [
            again(ions, refit(ions) if refit else move) - found
            for ions in wrong_stopping(kinds, relative)
        ]
    if move_error > 0:
        moves += [again(kinds, move + sign * move_error) - found for sign in (1.0, -1.0)]
    if not moves:
        return np.zeros((0, *found.shape))
    # Up and down are two looks at one error: the mean of their squares counts.
    return np.stack(moves) / np.sqrt(2.0)


def together(found: dict[str, Any], moves: Array, grid: Grid, sums: Array) -> None:
    """Add systematic errors to statistical ones, set the 95 % band, sum cells by species.

    Parameters
    ----------
    found : dict
        Of `read`; changed.
    moves : ndarray
        Of `systematic`.
    grid : Grid
    sums : ndarray, shape (species, cells)
        One where a cell belongs to a species.
    """
    per = sums * grid.width
    found["by_species"] = found["lithium"] @ per.T
    parts = moves @ per.T
    found["by_species_covar"] = np.einsum(
        "si,nij,tj->nst", per, found.pop("covariance"), per
    ) + np.einsum("ens,ent->nst", parts, parts)
    part = np.sqrt((moves**2).sum(axis=0))
    total = np.sqrt(((moves @ grid.width) ** 2).sum(axis=0))
    content = found["lithium"]
    found["stderr_systematic"] = np.where(np.isfinite(content), part, np.nan)
    found["stderr"] = np.hypot(found["stderr_statistical"], found["stderr_systematic"])
    found["total_stderr_systematic"] = total
    found["total_stderr"] = np.hypot(found["total_stderr_statistical"], total)
    found["low"] = np.maximum(content - _Z * found["stderr"], 0.0)
    found["high"] = content + _Z * found["stderr"]


def from_draws(
    found: dict[str, Any], draws: Array, moves: Array, grid: Grid, sums: Array, seed: int
) -> None:
    """Replace a solution by the mean, spread and quantiles of draws from its posterior.

    Parameters
    ----------
    found : dict
        Of `read` and `together`; changed.
    draws : ndarray, shape (draws, n, cells)
        Contents, nmol/ug.
    moves : ndarray, shape (errors, n, cells)
        Of `systematic`: each draw gets its own size of each, the same for all spectra.
    grid, sums
        As in `together`.
    seed : int
    """
    rng = np.random.default_rng(seed)
    blind = ~np.isfinite(found["lithium"])
    found["lithium"] = np.where(blind, np.nan, draws.mean(axis=0))
    found["stderr_statistical"] = np.where(blind, np.nan, draws.std(axis=0))
    found["total_stderr_statistical"] = (draws @ grid.width).std(axis=0)
    sizes = rng.standard_normal((draws.shape[0], moves.shape[0]))
    moved = np.maximum(draws + np.einsum("de,enc->dnc", sizes, moves), 0.0)
    found["stderr"] = np.hypot(found["stderr_statistical"], found["stderr_systematic"])
    found["total_stderr"] = np.hypot(
        found["total_stderr_statistical"], found["total_stderr_systematic"]
    )
    low, high = np.quantile(moved, [0.025, 0.975], axis=0)
    found["low"], found["high"] = np.where(blind, np.nan, low), np.where(blind, np.nan, high)
    per = sums * grid.width
    by = draws @ per.T
    found["by_species"] = found["lithium"] @ per.T
    away = by - by.mean(axis=0)
    parts = moves @ per.T
    found["by_species_covar"] = np.einsum("dns,dnt->nst", away, away) / (
        draws.shape[0] - 1
    ) + np.einsum("ens,ent->nst", parts, parts)

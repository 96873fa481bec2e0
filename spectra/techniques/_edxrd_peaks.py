"""Single lines in a counted spectrum: centroid, width and area with their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
_FWHM = 2.3548200450309493


@dataclass(frozen=True)
class Peak:
    """One fitted line (or group of tied lines, given by its first).

    Parameters
    ----------
    center, center_stderr, fwhm, fwhm_stderr : float
        In the units of the axis.
    area, area_stderr : float
        Counts.
    redchi : float
        Reduced chi-square of the window.
    """

    center: float
    center_stderr: float
    fwhm: float
    fwhm_stderr: float
    area: float
    area_stderr: float
    redchi: float


def fit_peak(
    x: Array,
    counts: Array,
    center: float,
    fwhm: float,
    group: Sequence[tuple[float, float]] = ((0.0, 1.0),),
    search: float = 0.0,
) -> Peak | None:
    """Fit Gaussians of one width on a straight background to a window of counts.

    Poisson likelihood, by least squares reweighted with the model.

    Parameters
    ----------
    x : ndarray
        Axis, uniform near the line.
    counts : ndarray
    center, fwhm : float
        Where the line is expected, and how wide.
    group : sequence of (offset, intensity)
        Lines tied to the first: offset from it and intensity over it.
    search : float
        Half width in which the highest point is looked for first.

    Returns
    -------
    Peak or None
        None if the line is not there (less than six standard errors), lies outside the axis, or
        leaves its window.
    """
    from scipy.optimize import least_squares

    offsets = np.array([g[0] for g in group])
    ratios = np.array([g[1] for g in group])
    if search > 0.0:
        found = _highest(x, counts, center, fwhm, offsets, ratios, search)
        if found is None:
            return None
        center = found
    low = center + offsets.min() - 2.2 * fwhm
    high = center + offsets.max() + 2.2 * fwhm
    at = (x >= low) & (x <= high)
    if at.sum() < 7 or low < x[0] or high > x[-1]:
        return None
    xw, yw = x[at], counts[at]
    step = float(np.median(np.diff(xw)))
    middle = 0.5 * (low + high)
    base = max(float(np.percentile(yw, 15)), 0.1)
    height = max(float(yw.max()) - base, 1.0)

    def model(p: Array) -> Array:
        c, w, a, b0, b1 = p
        sigma = abs(w) / _FWHM
        lines = ratios * np.exp(-0.5 * ((xw[:, None] - c - offsets) / sigma) ** 2)
        scale = a * step / (sigma * np.sqrt(2.0 * np.pi))
        return np.asarray(scale * lines.sum(axis=1) + b0 + b1 * (xw - middle))

    p = np.array([center, fwhm, height * fwhm * 1.06 / step, base, 0.0])
    scales = np.array([fwhm, fwhm, p[2], max(base, 1.0), max(base, 1.0) / fwhm])
    weight = 1.0 / np.sqrt(np.maximum(yw, 1.0))
    for _ in range(3):
        fit = least_squares(lambda q, w=weight: w * (model(q) - yw), p, x_scale=scales, max_nfev=60)
        p = fit.x
        weight = 1.0 / np.sqrt(np.maximum(model(p), 0.5))
    try:
        covar = np.linalg.inv(fit.jac.T @ fit.jac)
    except np.linalg.LinAlgError:
        return None
    error = np.sqrt(np.abs(np.diag(covar)))
    redchi = float(np.sum((weight * (model(p) - yw)) ** 2) / (at.sum() - 5))
    if not (
        p[2] > 6.0 * error[2] and abs(p[0] - center) < fwhm and 0.3 * fwhm < abs(p[1]) < 3 * fwhm
    ):
        return None
    grow = max(1.0, np.sqrt(redchi))
    return Peak(p[0], error[0] * grow, abs(p[1]), error[1] * grow, p[2], error[2] * grow, redchi)


def _highest(
    x: Array,
    counts: Array,
    center: float,
    fwhm: float,
    offsets: Array,
    ratios: Array,
    search: float,
) -> float | None:
    """Place of the group in the range where its own shape fits best (matched filter)."""
    at = np.flatnonzero((x >= center - search - 3 * fwhm) & (x <= center + search + 3 * fwhm))
    if at.size < 7:
        return None
    xs, ys = x[at], counts[at]
    trial = xs[(xs >= center - search) & (xs <= center + search)]
    if not trial.size:
        return None
    sigma = fwhm / _FWHM
    best, place = -np.inf, None
    for c in trial:
        near = (xs >= c + offsets.min() - 2.5 * fwhm) & (xs <= c + offsets.max() + 2.5 * fwhm)
        shape = (ratios * np.exp(-0.5 * ((xs[near, None] - c - offsets) / sigma) ** 2)).sum(axis=1)
        shape = shape - shape.mean()
        score = float(shape @ ys[near]) / np.sqrt(
            max(float(shape**2 @ np.maximum(ys[near], 1)), 1e-9)
        )
        if score > best:
            best, place = score, float(c)
    return place if best > 4.0 else None

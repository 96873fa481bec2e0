"""Places of narrow lines: robust fits of a band or of lamp lines that are not resolved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FLOOR = 0.02
"""Least error of a place, in distances of points: pixels are not points."""


@dataclass(frozen=True)
class Spot:
    """A line in a spectrum: place, its error, width (1/cm), and heights of the terms."""

    place: float
    error: float
    fwhm: float
    heights: Array
    significance: Array


def noise_of(y: Array) -> float:
    """Robust scatter of second differences: what is not a smooth line."""
    return float(1.4826 * np.median(np.abs(np.diff(y, 2))) / np.sqrt(6.0)) + 1e-300


def unsaturated(y: Array) -> npt.NDArray[np.bool_]:
    """Tell where a detector did not clip; clipped are flat runs at the very top, steep-sided."""
    good = np.ones(y.size, bool)
    high = y >= y.max() - 0.01 * float(np.ptp(y))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], high.astype(np.int8), [0]])))
    for first, stop in zip(edges[::2], edges[1::2], strict=True):
        if stop - first < 3 or first == 0 or stop == y.size:
            continue
        step = float(y[first:stop].min()) - max(float(y[first - 1]), float(y[stop]))
        if step > 5.0 * float(np.ptp(y[first:stop])):
            good[first:stop] = False
    return good


def half_width(x: Array, y: Array, top: int) -> float:
    """Return the full width at half height over the lower of both feet, at least two points."""
    reach = max(6, round(40.0 / float(np.median(np.diff(x)))))
    low, high = max(top - reach, 0), min(top + reach + 1, y.size)
    foot = max(float(y[low : top + 1].min()), float(y[top:high].min()))
    level = 0.5 * (y[top] + foot)
    left, right = top, top
    while left > low and y[left] > level:
        left -= 1
    while right < high - 1 and y[right] > level:
        right += 1
    step = float(np.median(np.diff(x)))
    return max(float(x[right] - x[left]) - step, 2.0 * step)


def fit_lines(
    x: Array,
    y: Array,
    offsets: Array,
    share: Array,
    start: float,
    fwhm: float,
    reach: float,
    *,
    weight: Array | None = None,
    move: float | None = None,
) -> Spot | None:
    """Fit pseudo-Voigt lines at fixed offsets from one free place, on a straight ground.

    Heights and ground are solved linearly at each step; place, width and Lorentzian share are
    free. Lines are averaged over a pixel, which counts where they are as narrow as one. The error
    of the place comes from the Jacobian of the projected residual, scaled with the residual's own
    variance.

    Parameters
    ----------
    x, y : ndarray, shape (N,)
        Whole spectrum.
    offsets : ndarray, shape (K,)
        Places of the lines relative to the free one.
    share : ndarray, shape (K, G)
        Heights of the lines in each of the G terms that are solved for (blends held together).
    start, fwhm : float
        First guesses, 1/cm.
    reach : float
        Points within this distance of any line count, 1/cm.
    weight : ndarray, optional
        1/sigma per point; none: equal.
    move : float, optional
        Largest move from ``start``; default one width.

    Returns
    -------
    Spot or None
        None if the points do not determine it or it runs to a limit.
    """
    from scipy.optimize import least_squares

    near = np.min(np.abs(x[:, None] - start - offsets[None, :]), axis=1) <= reach
    if weight is not None:
        near &= weight > 0.0
    xs, ys = x[near], y[near]
    terms = share.shape[1]
    if xs.size < terms + 6:
        return None
    ws = np.ones(xs.size) if weight is None else weight[near]
    middle, half = 0.5 * float(xs[0] + xs[-1]), 0.5 * float(np.ptp(xs))
    ground = np.stack([np.ones(xs.size), (xs - middle) / half], axis=1)

    pixel = np.gradient(xs)

    def design(p: Array) -> Array:
        shape = np.zeros((xs.size, offsets.size))
        for part in (-1.0 / 3.0, 0.0, 1.0 / 3.0):
            u = ((xs + part * pixel)[:, None] - p[0] - offsets[None, :]) / np.exp(p[1])
            shape += p[2] / (1.0 + 4.0 * u * u) + (1.0 - p[2]) * np.exp(-2.7725887 * u * u)
        return np.concatenate([shape @ share / 3.0, ground], axis=1) * ws[:, None]

    def residual(p: Array) -> Array:
        a = design(p)
        return np.asarray(ys * ws - a @ np.linalg.lstsq(a, ys * ws, rcond=None)[0])

    move = fwhm if move is None else move
    lows = np.array([start - move, np.log(0.3 * fwhm), 0.0])
    highs = np.array([start + move, np.log(2.5 * fwhm), 1.0])
    found = least_squares(
        residual, [start, np.log(fwhm), 0.5], bounds=(lows, highs), x_scale=[fwhm, 0.3, 0.5]
    )
    freedom = xs.size - terms - 5
    variance = 2.0 * float(found.cost) / max(freedom, 1)
    inner = np.abs(found.x[2] - 0.5) < 0.499
    jac = found.jac[:, :3] if inner else found.jac[:, :2]
    try:
        cov = np.linalg.inv(jac.T @ jac) * variance
        a = design(found.x)
        heights = np.linalg.lstsq(a, ys * ws, rcond=None)[0][:terms]
        height_error = np.sqrt(np.diag(np.linalg.pinv(a.T @ a))[:terms] * variance)
    except np.linalg.LinAlgError:
        return None
    if abs(found.x[0] - start) > 0.98 * move or found.x[1] > highs[1] - 0.01 or not cov[0, 0] >= 0:
        return None
    step = float(np.median(np.diff(xs)))
    return Spot(
        float(found.x[0]),
        float(np.hypot(np.sqrt(cov[0, 0]), FLOOR * step)),
        float(np.exp(found.x[1])),
        np.asarray(heights),
        np.asarray(heights / np.maximum(height_error, 1e-300)),
    )

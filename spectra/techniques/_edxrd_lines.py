"""Single lines (or tied groups) in counts, on a background that may step at the line.

A detector that loses charge (surface layer, strips that share photons) counts more below a line
than above it. The step is a linear term, kept only where it is positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
_FWHM = 2.3548200450309493


@dataclass(frozen=True)
class Line:
    """A fitted line, or a group of tied lines given by its first.

    Parameters
    ----------
    center, center_stderr, fwhm, fwhm_stderr : float
        In the units of the axis; ``fwhm_stderr`` is 0 where the width was held.
    area, area_stderr : float
        Counts of the first line of the group.
    redchi : float
        Reduced chi-square of the window; the errors are widened by its root where it exceeds 1.
    """

    center: float
    center_stderr: float
    fwhm: float
    fwhm_stderr: float
    area: float
    area_stderr: float
    redchi: float


def fit_line(
    x: Array,
    counts: Array,
    center: float,
    fwhm: float,
    group: Sequence[tuple[float, float]] = ((0.0, 1.0),),
    *,
    hold_width: bool = False,
    reach: float = 2.2,
    least: float = 5.0,
    beside: Sequence[float] = (),
) -> Line | None:
    """Fit one group of Gaussians on a straight background with a step to a window of counts.

    Maximum likelihood for Poisson counts: Gauss-Newton steps with weights from the model.

    Parameters
    ----------
    x : ndarray
        Axis, uniform near the line.
    counts : ndarray
    center, fwhm : float
        Where the line is expected (within about half a width), and how wide.
    group : sequence of (offset, intensity)
        Lines tied to the first: offset from it and intensity over it.
    hold_width : bool
        Keep the width as given.
    reach : float
        Half width of the window beyond the group, in widths.
    least : float
        Area over its standard error that a line must have.
    beside : sequence of float
        Offsets of other lines in or near the window: each gets an area of its own (lead's Kb2
        beside 88.03 keV), kept only where it is positive.

    Returns
    -------
    Line or None
        None if the line is not there, lies at the end of the axis, or leaves its window.
    """
    from scipy.special import erfc

    offsets = np.array([g[0] for g in group])
    ratios = np.array([g[1] for g in group])
    low, high = center + offsets.min() - reach * fwhm, center + offsets.max() + reach * fwhm
    at = (x >= low) & (x <= high)
    if at.sum() < 7 or low < x[0] or high > x[-1]:
        return None
    xw, yw = x[at], counts[at]
    unit = float(np.median(np.diff(xw)))
    middle = 0.5 * (low + high)
    slope = (xw - middle) / (high - low)

    def pieces(c: float, w: float) -> tuple[Array, Array, Array, Array]:
        """Group per count, its derivatives by center and width, and step and lines beside it."""
        sigma = w / _FWHM
        u = (xw[:, None] - c - offsets) / sigma
        g = ratios * np.exp(-0.5 * u**2) * (unit / (sigma * np.sqrt(2.0 * np.pi)))
        step = (ratios / ratios.sum()) * 0.5 * erfc(u / np.sqrt(2.0))
        by_w = ((u**2 - 1.0) * g / w).sum(axis=1)
        others = np.exp(-0.5 * ((xw[:, None] - c - np.asarray(beside, float)) / sigma) ** 2)
        extra = np.concatenate([step.sum(axis=1)[:, None], others], axis=1)
        return g.sum(axis=1), (g * u / sigma).sum(axis=1), by_w, extra

    c, w = center, fwhm
    with_extra = np.ones(1 + len(beside), bool)
    weight = 1.0 / np.maximum(yw, 1.0)
    linear = np.zeros(4)
    model = yw
    for turn in range(14):
        shape, by_c, by_w, extra = pieces(c, w)
        while True:
            plain = [shape, np.ones_like(xw), slope]
            basis = np.concatenate([np.stack(plain, axis=1), extra[:, with_extra]], axis=1)
            linear, *_ = np.linalg.lstsq(
                basis * np.sqrt(weight)[:, None], yw * np.sqrt(weight), rcond=1e-12
            )
            if not np.any(linear[3:] < 0.0):
                break
            with_extra[np.flatnonzero(with_extra)[int(np.argmin(linear[3:]))]] = False
        model = np.maximum(basis @ linear, 0.05)
        if turn > 1:
            weight = 1.0 / np.maximum(model, 0.5)
        area = max(float(linear[0]), 1e-9)
        move = [area * by_c] + ([] if hold_width else [area * by_w])
        jac = np.concatenate([np.stack(move, axis=1), basis], axis=1) * np.sqrt(weight)[:, None]
        change, *_ = np.linalg.lstsq(jac, (yw - basis @ linear) * np.sqrt(weight), rcond=1e-12)
        dc = float(np.clip(change[0], -0.3 * fwhm, 0.3 * fwhm))
        dw = 0.0 if hold_width else float(np.clip(change[1], -0.3 * w, 0.3 * w))
        c, w = c + dc, w + dw
        if not (abs(c - center) < 1.2 * fwhm and 0.25 * fwhm < w < 4.0 * fwhm):
            return None
        if turn > 3 and abs(dc) < 1e-5 * fwhm and abs(dw) < 1e-4 * fwhm:
            break
    try:
        covar = np.linalg.inv(jac.T @ jac)
    except np.linalg.LinAlgError:
        return None
    error = np.sqrt(np.abs(np.diag(covar)))
    k = 1 if hold_width else 2
    freedom = at.sum() - jac.shape[1]
    redchi = float(np.sum((yw - model) ** 2 / np.maximum(model, 0.5)) / max(freedom, 1))
    grow = max(1.0, float(np.sqrt(redchi)))
    if not (linear[0] > least * error[k] and np.all(np.isfinite(error))):
        return None
    return Line(
        c,
        float(error[0]) * grow,
        w,
        0.0 if hold_width else float(error[1]) * grow,
        float(linear[0]),
        float(error[k]) * grow,
        redchi,
    )


def significance(
    counts: Array, width: Array, group: Sequence[tuple[float, float]] = ((0.0, 1.0),)
) -> Array:
    """Return how many standard errors a line at each channel stands above its surroundings.

    Parameters
    ----------
    counts : ndarray
        Per channel.
    width : ndarray
        Width (fwhm) in channels that a line at each channel would have.
    group : sequence of (offset, intensity)
        Lines tied to the first, offsets in channels.

    Returns
    -------
    ndarray
    """
    signal, variance = response(counts, width, group)
    return np.asarray(signal / np.sqrt(variance))


def response(
    counts: Array, width: Array, group: Sequence[tuple[float, float]] = ((0.0, 1.0),)
) -> tuple[Array, Array]:
    """Return a matched filter's answer to counts, linear in them, and its variance.

    The filter is a Gaussian of the local width, made blind to a straight background.

    Parameters
    ----------
    counts, width, group
        As in `significance`.

    Returns
    -------
    signal, variance : ndarray
    """
    out, variance = np.zeros(counts.size), np.ones(counts.size)
    # few widths suffice: lines change their width slowly along the axis
    levels = np.geomspace(max(float(width.min()), 1.5), max(float(width.max()), 1.6), 9)
    nearest = np.argmin(np.abs(np.log(levels)[:, None] - np.log(np.maximum(width, 1.5))), axis=0)
    for k in np.unique(nearest):
        w = float(levels[k])
        low = int(np.floor(min(g[0] for g in group) - 2.2 * w))
        high = int(np.ceil(max(g[0] for g in group) + 2.2 * w))
        t = np.arange(low, high + 1, dtype=float)
        shape = np.zeros(t.size)
        for offset, ratio in group:
            shape += ratio * np.exp(-0.5 * ((t - offset) * _FWHM / w) ** 2)
        base = np.stack([np.ones_like(t), t - t.mean()])
        shape -= base.T @ np.linalg.lstsq(base.T, shape, rcond=None)[0]
        # channels beyond the ends repeat the last ones
        padded = np.pad(counts, (-low if low < 0 else 0, max(high, 0)), mode="edge")
        signal = np.correlate(padded, shape, mode="valid")[: counts.size]
        noise = np.correlate(np.maximum(padded, 1.0), shape**2, mode="valid")[: counts.size]
        here = nearest == k
        out[here], variance[here] = signal[here], noise[here]
    return out, variance

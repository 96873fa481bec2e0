"""What the best set leaves: peaks by a matched filter, and stretches that do not fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..engine.uncertainty import invert
from .answer import Misfit, Unexplained
from .evidence import View, typical_width
from .fitted import Fitted
from .flexible import ASYMMETRY, MIXING, MOVED
from .trials import Trial

Array = npt.NDArray[np.float64]

SIGNIFICANT = 5.0
"""Standard deviations at which a residual peak or stretch is reported."""


def remains(
    views: Sequence[View], fits: Sequence[Fitted]
) -> tuple[tuple[Unexplained, ...], tuple[Misfit, ...]]:
    """Find what a set of species does not explain.

    Parameters
    ----------
    views : sequence of View
    fits : sequence of Fitted
        One per view.

    Returns
    -------
    unexplained : tuple of Unexplained
        Strongest first; of several views of one spectrum, the strongest at each place.
    misfits : tuple of Misfit
    """
    peaks: list[Unexplained] = []
    stretches: list[Misfit] = []
    for view, fitted in zip(views, fits, strict=True):
        residual, jac, weight = view.residual(fitted)
        width = typical_width(fitted.plan, fitted.full) or 8.0 * float(np.median(np.diff(view.x)))
        explained = fitted.p[fitted.areas] @ jac[fitted.areas]
        for peak in _peaks(view, residual, jac, weight, width, explained):
            near = [
                p
                for p in peaks
                if p.spectrum == peak.spectrum and abs(p.position - peak.position) < width
            ]
            if all(p.significance < peak.significance for p in near):
                peaks = [p for p in peaks if p not in near] + [peak]
        for stretch in _stretches(view, residual, weight, width):
            if not any(
                m.spectrum == stretch.spectrum and m.low < stretch.high and stretch.low < m.high
                for m in stretches
            ):
                stretches.append(stretch)
    peaks.sort(key=lambda u: -u.significance)
    return tuple(peaks), _joined(stretches)


def _joined(stretches: Sequence[Misfit]) -> tuple[Misfit, ...]:
    """Join stretches that lie side by side; the ratio is that of the worst."""
    joined: list[Misfit] = []
    for one in sorted(stretches, key=lambda m: (m.spectrum, m.low)):
        last = joined[-1] if joined else None
        if (
            last
            and last.spectrum == one.spectrum
            and 2.0 * (one.low - last.high) < one.high - one.low
        ):
            joined[-1] = Misfit(one.spectrum, last.low, one.high, max(last.ratio, one.ratio))
        else:
            joined.append(one)
    return tuple(joined)


def _peaks(
    view: View, residual: Array, jac: Array, weight: Array, width: float, explained: Array
) -> list[Unexplained]:
    """Match Gaussians of three widths to the residual, beside what the fit can take up.

    ``explained`` is the weighted intensity of the species.
    """
    x = view.x
    inverse, _ = invert((jac @ jac.T)[None])
    best = np.zeros((2, x.size))
    for factor in (0.7, 1.0, 1.6):
        sigma = factor * width / 2.354820045
        area, z = np.zeros((2, x.size))
        for i, center in enumerate(x):
            first, last = np.searchsorted(x, [center - 3.5 * sigma, center + 3.5 * sigma])
            part = slice(first, last)
            line = np.exp(-0.5 * ((x[part] - center) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
            line = line * weight[part]
            along = jac[:, part] @ line
            own = float(line @ line)
            norm = own - float(along @ inverse[0] @ along)
            if norm > 0.05 * own > 0.0:
                area[i] = float(line @ residual[part]) / norm
                z[i] = area[i] * np.sqrt(norm)
        better = z > best[1]
        best[0, better], best[1, better] = area[better], z[better]
    area, z = best
    found = []
    while z.size and z.max() >= SIGNIFICANT:
        top = int(np.argmax(z))
        near = (np.abs(x - x[top]) < width) & (weight > 0.0)
        there = float(np.trapezoid(explained[near] / weight[near], x[near]))
        share = float(area[top]) / there if there > 0.01 * area[top] else np.inf
        found.append(
            Unexplained(view.source, float(x[top]), float(area[top]), float(z[top]), share)
        )
        z[np.abs(x - x[top]) < 2.0 * width] = 0.0
    return found


def _stretches(view: View, residual: Array, weight: Array, width: float) -> list[Misfit]:
    """Slide a window of two widths over the squared residual; else ask about all of it."""
    x, used = view.x, weight > 0.0
    step = float(np.median(np.diff(x)))
    size = int(np.clip(round(2.0 * width / step), 8, max(8, x.size // 2)))
    if x.size < size:
        return []
    window = np.ones(size)
    squares = np.convolve(np.where(used, residual**2, 0.0), window, mode="valid")
    number = np.maximum(np.convolve(used.astype(float), window, mode="valid"), 1.0)
    # Wilson and Hilferty: the cube root of chi-square over its number is nearly normal.
    spread = 2.0 / (9.0 * number)
    z = ((squares / number) ** (1.0 / 3.0) - (1.0 - spread)) / np.sqrt(spread)
    found = []
    while z.size and z.max() >= SIGNIFICANT:
        k = int(np.argmax(z))
        ratio = float(squares[k] / number[k])
        found.append(Misfit(view.source, float(x[k]), float(x[k + size - 1]), ratio))
        z[max(0, k - size) : k + size] = 0.0
    whole, points = float(residual[used] @ residual[used]), int(np.count_nonzero(used))
    if not found and whole > points + SIGNIFICANT * np.sqrt(2.0 * points):
        found.append(Misfit(view.source, float(x[0]), float(x[-1]), whole / points))
    return found


def notes_of(trial: Trial, views: Sequence[View]) -> tuple[str, ...]:
    """Say what had to be freed beyond the library for the best set."""
    notes: dict[str, None] = {}
    for view, fitted in zip(views, trial.fits, strict=True):
        where = f"in spectrum {view.source + 1}"
        for name, value in fitted.values.items():
            if name == ASYMMETRY:
                share = fitted.values.get(MIXING, 0.0)
                notes[
                    f"Lines {where} are not shaped as the model has them (asymmetry {value:+.2f}, "
                    f"Lorentzian share {share:+.2f}): amounts rest on a freed shape."
                ] = None
            elif name.startswith(MOVED) and abs(value) > 0.05 * typical_width(
                fitted.plan, fitted.full
            ):
                notes[f"{name.removeprefix(MOVED)} {where} lies {value:+.3g} off the library."] = (
                    None
                )
    return tuple(notes)


def calibrations_of(given: Sequence[xr.Dataset]) -> tuple[str, ...]:
    """Say what the axes rest on: a wrong one looks like species that are missing."""
    return tuple(
        f"The axis of spectrum {i + 1} rests on: {ds.attrs['calibration']}."
        for i, ds in enumerate(given)
        if ds.attrs.get("calibration")
    )


def rival_of(best: Trial, rival: Trial) -> tuple[str, ...]:
    """Say which species of the best set could be lines of another shape instead."""
    gone = sorted(best.species - rival.species)
    come = sorted(rival.species - best.species)
    told = f"{' and '.join(gone)} could be" if gone else "The spectra could be"
    instead = f", with {' and '.join(come)}" if come else ""
    return (f"{told} a matter of line shape: free shapes explain as much{instead}.",)

"""Thermal noise of a spectrum, measured where there is no signal.

Zero filling and windows leave the noise of neighbouring points correlated, so that the scatter of
single points understates the uncertainty of a line much broader than that correlation. The standard
deviation stored as ``uncertainty`` is therefore the scatter times the *noise factor*: exact from
the processing where it is known (``attrs["noise_factor"]``: ``sqrt(N / (2 sum w^2))`` for a window
``w`` and a transform of ``N`` points), else from the autocorrelation of the noise itself. With a
factor above 1 the reduced chi-square of a good fit is near ``1 / factor^2``; the errors are right.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..convention import where
from ..errors import CalibrationError
from .base import Settings

_BLOCKS = 48
_LAGS = 256


class Noise(Settings):
    """Measure the noise and store it as the uncertainty of every point."""

    between: tuple[float, float] | None = Field(
        None, description="signal-free range, ppm; else the quietest parts are found"
    )
    each: bool = Field(True, description="one noise level per spectrum; off: one for the series")


def noise(ds: xr.Dataset, settings: Noise) -> xr.Dataset:
    """Add ``uncertainty`` from the scatter in a signal-free range.

    The noise of a receiver is the same at every shift, so one number per spectrum describes it.
    A straight line is taken out of every block of the range first (baseline roll is not noise).

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum on chemical shift.
    settings : Noise

    Returns
    -------
    xr.Dataset
        With ``uncertainty`` (origin ``instrument``; attrs ``scatter`` is the mean point-to-point
        value, ``noise_factor`` what it was multiplied with).

    Raises
    ------
    CalibrationError
        If the range holds fewer than 32 points.
    """
    if "chemical_shift" not in ds["intensity"].dims:
        raise CalibrationError(
            f"{where(ds)}: noise is measured on the shift axis; call correct(ds, 'fourier') first"
        )
    x = ds["chemical_shift"].values
    y = ds["intensity"].values.reshape(-1, x.size).astype(float)
    if settings.between is not None:
        low, high = sorted(settings.between)
        inside = (x >= low) & (x <= high)
        if inside.sum() < 32:
            raise CalibrationError(
                f"{where(ds)}: {int(inside.sum())} points between {low:g} and {high:g} ppm; "
                f"32 are the least, the axis runs {x[0]:g} to {x[-1]:g}"
            )
        y = y[:, inside]
    known = float(ds.attrs.get("noise_factor", 0.0))
    every = settings.between is not None
    rest, scatter = quiet_blocks(y, every=every, correlated=known**2)
    if not known:
        # A straight line taken out of a block no longer than the correlation hides it: longer
        # blocks, until what they show no longer grows (baseline roll would, so not for ever).
        found = correlation_factor(rest)
        for _ in range(3):
            longer = quiet_blocks(y, every=every, correlated=3.0 * found**2)
            if longer[0].shape[-1] == rest.shape[-1]:
                break
            rest, scatter = longer
            more = correlation_factor(rest)
            if more < 1.1 * found:
                break
            found = more
    if not settings.each:
        scatter = np.full_like(scatter, np.sqrt(np.mean(scatter**2)))
    factor = known or correlation_factor(rest)
    sigma = (scatter * factor).reshape(ds["intensity"].shape[:-1])
    ds = ds.copy(deep=False)
    ds["uncertainty"] = (
        ds["intensity"].dims,
        np.broadcast_to(sigma[..., None], ds["intensity"].shape).copy(),
        {
            "units": ds["intensity"].attrs["units"],
            "origin": "instrument",
            "scatter": float(np.mean(scatter)),
            "noise_factor": factor,
        },
    )
    return ds


def quiet_blocks(
    y: npt.NDArray[np.float64], *, every: bool, correlated: float = 1.0
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return detrended signal-free blocks ``(n, points)`` and the scatter of each spectrum.

    Parameters
    ----------
    y : ndarray, shape (spectra, points)
    every : bool
        True: all blocks are signal-free; else those whose mean scatter over the spectra is within
        1.5 times that of the quietest fifth.
    correlated : float
        Points over which the noise is correlated; blocks are made much longer than that.
    """
    size = max(16, y.shape[1] // _BLOCKS, min(int(12 * correlated), y.shape[1] // 6))
    count = max(1, y.shape[1] // size)
    size = min(size, y.shape[1])
    blocks = y[:, : count * size].reshape(y.shape[0], count, size)
    t = np.linspace(-1.0, 1.0, size)
    mean = blocks.mean(axis=-1, keepdims=True)
    slope = np.sum((blocks - mean) * t, axis=-1, keepdims=True) / np.sum(t * t)
    rest = blocks - mean - slope * t
    variance = np.sum(rest**2, axis=-1) / (size - 2)
    if not every:
        typical = variance.mean(axis=0)
        quiet = np.sort(typical)[: max(1, count // 5)].mean()
        kept = typical <= 1.5**2 * quiet
        rest, variance = rest[:, kept], variance[:, kept]
    return rest.reshape(-1, size), np.sqrt(variance.mean(axis=-1))


def correlation_factor(rest: npt.NDArray[np.float64]) -> float:
    """Return ``sqrt(1 + 2 sum of autocorrelations)`` up to where they vanish in the noise."""
    size = rest.shape[-1]
    power = np.sum(rest * rest)
    if power <= 0:
        return 1.0
    total = 1.0
    for lag in range(1, min(_LAGS, size // 3)):
        rho = np.sum(rest[:, lag:] * rest[:, :-lag]) / power * size / (size - lag)
        if rho < 2.0 / np.sqrt(rest.size):
            break
        total += 2.0 * rho
    return float(np.sqrt(total))

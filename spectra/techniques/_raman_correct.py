"""Cosmic rays are masked, not smoothed away; a static baseline is a variable, not subtracted."""

from __future__ import annotations

import numpy as np
import xarray as xr
from pydantic import Field
from scipy.ndimage import median_filter

from ..backgrounds import baseline
from ..convention import where
from ..errors import ModelError
from .base import Settings

_AROUND = 4
"""Points from the top of a ray to where its height is counted from."""
PIECE = 512
"""Spectra of a map taken at a time."""


class Spikes(Settings):
    """Mask cosmic rays: points far above their neighbours in the spectrum."""

    threshold: float = Field(8.0, gt=3, description="robust standard deviations of the residual")
    window: int = Field(7, ge=3, le=51, description="points of the running median, odd")
    widest: int = Field(3, ge=1, le=10, description="points; wider features are bands")
    edge: float = Field(
        0.2,
        gt=0,
        le=1,
        description="beside its top a ray falls to less than this share of it, on one side at "
        "least; a line, which the spectrograph widens, does not; 1: take narrow lines too",
    )


class Baseline(Settings):
    """A static baseline: any of pybaselines, or straight lines through the data."""

    algorithm: str = Field(
        "arpls", description="algorithm of pybaselines (arpls, asls, snip, modpoly ...), or points"
    )
    knobs: dict[str, float] = Field(
        default_factory=dict, description="its parameters, as pybaselines names them: lam, p ..."
    )
    points: tuple[float, ...] = Field(
        (), description="for points: Raman shifts where the baseline meets the data, 1/cm"
    )


class Mask(Settings):
    """Leave ranges out of the fit."""

    ranges: tuple[tuple[float, float], ...] = Field((), description="from, to, in axis units")
    below_baseline: float | None = Field(
        None,
        description="leave out what is lower than the static baseline plus this; only to repeat "
        "fits of programs that do so: it lifts weak bands",
    )


def spikes(ds: xr.Dataset, settings: Spikes) -> xr.Dataset:
    """Add (or narrow) the variable ``valid``; the counts stay as they are.

    A point counts as hit if it stands above the running median of its spectrum by more than the
    threshold and falls steeply on one side: no spectrograph draws a line that falls to a fifth
    of its height within a pixel (a Gaussian of full width 2 pixels has a quarter or more left
    on both sides, wherever its centre lies). In a map or series, what the median spectrum shows at
    the same place is a narrow band as well, and is allowed for. What was masked stands in attrs
    ``spikes_masked``.
    """
    y = ds["intensity"].values
    rows = y.reshape(-1, y.shape[-1])
    window = settings.window | 1
    narrow, level = _narrow_bands(rows, window)
    keep = np.empty(rows.shape, bool)
    for first in range(0, len(rows), PIECE):  # a map is never held twice
        part = rows[first : first + PIECE].astype(float)
        middle = median_filter(part, size=(1, window), mode="nearest")
        rest = part - middle
        noise = 1.4826 * np.median(np.abs(rest), axis=1, keepdims=True)
        strength = np.nan_to_num(part).mean(axis=1, keepdims=True) / level
        expected = narrow * np.maximum(strength, 0.0)
        limit = settings.threshold * np.maximum(noise, np.sqrt(np.maximum(middle, 1.0)))
        hit = rest > limit + 2.0 * expected
        hit = _rays(hit, part, settings.widest, settings.edge)
        grown = hit.copy()
        grown[:, 1:] |= hit[:, :-1]
        grown[:, :-1] |= hit[:, 1:]
        keep[first : first + PIECE] = ~grown
    out = _narrowed(ds, keep.reshape(y.shape))
    out.attrs["spikes_masked"] = _told(ds, keep)
    return out


def _narrow_bands(rows: np.ndarray, window: int) -> tuple[np.ndarray, float]:
    """Return what stands above the running median in the median spectrum, and its mean level."""
    if len(rows) < 5:
        return np.zeros(rows.shape[1]), 1.0
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), PIECE)).round().astype(int)]
    typical = np.nan_to_num(np.median(some.astype(float), axis=0))
    rest = typical - median_filter(typical, size=window, mode="nearest")
    return np.maximum(rest, 0.0), max(float(typical.mean()), 1e-12)


def _rays(hit: np.ndarray, spectra: np.ndarray, widest: int, edge: float) -> np.ndarray:
    """Keep runs of at most ``widest`` points that fall steeply on one side of their top.

    Heights are counted from the lower end of the neighbourhood: on the flank of a band that lets
    a ray pass rather than take a shoulder for one.
    """
    kept = hit.copy()
    size = hit.shape[1]
    for row, y in zip(kept, spectra, strict=True):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            top = start + int(np.argmax(y[start:stop]))
            low = min(y[k] for k in (top - _AROUND, top + _AROUND) if 0 <= k < size)
            beside = [y[k] - low for k in (top - 1, top + 1) if 0 <= k < size]
            if stop - start > widest or not min(beside) < edge * (y[top] - low):
                row[start:stop] = False
    return kept


def _told(ds: xr.Dataset, keep: np.ndarray) -> str:
    """Say what was masked: where, in a single spectrum, else how much."""
    masked = ~keep.reshape(-1, keep.shape[-1])
    text = f"{int(masked.sum())} points in {int(masked.any(axis=1).sum())} of {len(masked)} spectra"
    if len(masked) == 1 and masked.any():
        axis = ds["intensity"].dims[-1]
        starts = np.flatnonzero(np.diff(np.concatenate([[0], masked[0].astype(np.int8)])) == 1)
        places = [f"{ds[axis].values[k]:.6g}" for k in starts[:20]]
        text += f" at {', '.join(places)}{' ...' if starts.size > 20 else ''}"
    return text


def static_baseline(ds: xr.Dataset, settings: Baseline) -> xr.Dataset:
    """Add the variable ``background``, computed spectrum by spectrum; masked points are bridged.

    A measured dark spectrum (``background`` of kind ``dark``, as B&W Tek files have) is kept as
    variable ``dark``; the baseline is that of the spectrum above it, and both are background.

    Raises
    ------
    ModelError
        If the method or a knob is unknown, or fewer than two points lie on the axis.
    """
    axis = ds["intensity"].dims[-1]
    x = ds[axis].values
    y = ds["intensity"].values
    dark = ds.get("dark")
    if dark is None and "background" in ds and ds["background"].attrs.get("kind") == "dark":
        dark = ds["background"]
    if dark is not None:
        dark = dark.broadcast_like(ds["intensity"]).transpose(*ds["intensity"].dims)
        y = y - dark.values
    rows = y.reshape(-1, x.size)
    used = None
    if "valid" in ds:
        full = ds["valid"].broadcast_like(ds["intensity"]).transpose(*ds["intensity"].dims)
        used = full.values.reshape(rows.shape).astype(bool)
    # A map's baseline needs no more digits than its counts: it is as large as they are.
    found = np.empty(rows.shape, np.float64 if rows.dtype.itemsize > 4 else np.float32)
    knobs = {k: int(v) if v == int(v) and k in _WHOLE else v for k, v in settings.knobs.items()}
    for k, row in enumerate(rows):
        good = None if used is None else used[k]
        if settings.algorithm == "points":
            found[k] = _through(ds, x, row, good, settings.points)
        else:
            found[k] = baseline(x, row, method=settings.algorithm, knobs=knobs, valid=good)[0]
    ds = ds.copy(deep=False)
    attrs = {"units": ds["intensity"].attrs["units"], "kind": settings.algorithm}
    ground: np.ndarray = found.reshape(y.shape)
    if dark is not None:
        ds["dark"] = dark
        ground = ground + dark.values
    ds["background"] = (ds["intensity"].dims, ground, attrs)
    return ds


_WHOLE = frozenset(
    {"poly_order", "diff_order", "max_iter", "max_half_window", "num_knots", "spline_degree",
     "half_window", "filter_order", "smooth_half_window", "num_smooths"}
)  # fmt: skip


def _through(
    ds: xr.Dataset,
    x: np.ndarray,
    row: np.ndarray,
    good: np.ndarray | None,
    points: tuple[float, ...],
) -> np.ndarray:
    """Straight lines through the data at the points nearest to those given, prolonged."""
    at = np.unique([int(np.argmin(np.abs(x - p))) for p in points])
    if at.size < 2:
        raise ModelError(f"{where(ds)}: a baseline needs two points or more on the axis")
    high = row[at].astype(float)
    if not np.isfinite(high).all() or (good is not None and not good[at].all()):
        raise ModelError(f"{where(ds)}: a point of the baseline is masked or missing; move it")
    out = np.interp(x, x[at], high)
    before, after = x < x[at[0]], x > x[at[-1]]
    slope = np.diff(high) / np.diff(x[at])
    out[before] = high[0] + slope[0] * (x[before] - x[at[0]])
    out[after] = high[-1] + slope[-1] * (x[after] - x[at[-1]])
    return out


def mask(ds: xr.Dataset, settings: Mask) -> xr.Dataset:
    """Narrow the variable ``valid``; intensities stay as they are.

    Raises
    ------
    ModelError
        If nothing is left, or there is no static baseline to compare with.
    """
    x = ds[ds["intensity"].dims[-1]].values
    keep = np.ones(ds["intensity"].shape, bool)
    for low, high in settings.ranges:
        keep[..., (x >= min(low, high)) & (x <= max(low, high))] = False
    if settings.below_baseline is not None:
        if "background" not in ds:
            raise ModelError(f"{where(ds)}: no static baseline; call correct(ds, 'baseline') first")
        ground = ds["background"].transpose(*ds["intensity"].dims).values
        keep &= ds["intensity"].values >= ground + settings.below_baseline
    if not keep.any():
        raise ModelError(f"{where(ds)}: the mask leaves nothing of the spectrum")
    return _narrowed(ds, keep)


def _narrowed(ds: xr.Dataset, keep: np.ndarray) -> xr.Dataset:
    """Return a copy whose ``valid`` is narrowed to ``keep``, of the shape of intensity."""
    if "valid" in ds:
        full = ds["valid"].broadcast_like(ds["intensity"]).transpose(*ds["intensity"].dims)
        keep = keep & full.values.astype(bool)
    ds = ds.copy(deep=False)
    attrs = {"flag_values": np.array([0, 1], np.int8), "flag_meanings": "masked used"}
    ds["valid"] = (ds["intensity"].dims, keep, attrs)
    return ds

"""Cosmic rays are masked, not smoothed away; a static baseline is a variable, not subtracted."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from pydantic import Field
from scipy.ndimage import median_filter

from ..backgrounds import baseline
from .base import Settings


class Spikes(Settings):
    """Mask cosmic rays: points far above their neighbours in the spectrum."""

    threshold: float = Field(8.0, gt=3, description="robust standard deviations of the residual")
    window: int = Field(7, ge=3, le=51, description="points of the running median, odd")
    widest: int = Field(3, ge=1, le=10, description="points; wider features are bands")


class Baseline(Settings):
    """A static baseline by pybaselines."""

    method: Literal["arpls", "asls", "airpls", "snip", "modpoly"] = Field(
        "arpls", description="algorithm of pybaselines"
    )


def spikes(ds: xr.Dataset, settings: Spikes) -> xr.Dataset:
    """Add (or narrow) the variable ``valid``; the counts stay as they are."""
    y = ds["intensity"].values
    rows = y.reshape(-1, y.shape[-1]).astype(float)
    window = settings.window | 1
    middle = median_filter(rows, size=(1, window), mode="nearest")
    rest = rows - middle
    noise = 1.4826 * np.median(np.abs(rest), axis=1, keepdims=True)
    local = np.maximum(noise, np.sqrt(np.maximum(middle, 1.0)))
    hit = rest > settings.threshold * local
    hit = _narrow(hit, settings.widest)
    grown = hit.copy()
    grown[:, 1:] |= hit[:, :-1]
    grown[:, :-1] |= hit[:, 1:]
    valid = ~grown.reshape(y.shape)
    if "valid" in ds:
        valid &= ds["valid"].values
    ds = ds.copy(deep=False)
    attrs = {"flag_values": np.array([0, 1], np.int8), "flag_meanings": "masked used"}
    ds["valid"] = (ds["intensity"].dims, valid, attrs)
    return ds


def _narrow(hit: np.ndarray, widest: int) -> np.ndarray:
    """Keep runs of at most ``widest`` points."""
    kept = hit.copy()
    for row in kept:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            if stop - start > widest:
                row[start:stop] = False
    return kept


def static_baseline(ds: xr.Dataset, settings: Baseline) -> xr.Dataset:
    """Add the variable ``background``, computed spectrum by spectrum."""
    axis = ds["intensity"].dims[-1]
    x = ds[axis].values
    y = ds["intensity"].values
    rows = y.reshape(-1, x.size).astype(float)
    found = np.stack([baseline(x, row, method=settings.method)[0] for row in rows])
    ds = ds.copy(deep=False)
    attrs = {"units": ds["intensity"].attrs["units"], "kind": settings.method}
    ds["background"] = (ds["intensity"].dims, found.reshape(y.shape), attrs)
    return ds

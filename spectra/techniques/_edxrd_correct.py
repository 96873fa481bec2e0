"""Corrections of EDXRD: dead time flagged, ranges masked."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from pydantic import Field

from ..convention import where
from ..errors import ConventionError
from .base import Settings


class DeadTime(Settings):
    """Dead time of each spectrum, and what to do with those above the limit."""

    limit: float = Field(
        0.10, gt=0, lt=1, description="share of dead time above which lines shift and pile up"
    )
    above: Literal["flag", "mask"] = Field(
        "flag", description="flag such spectra in the variable dead_time_flag, or mask them"
    )


class Mask(Settings):
    """Ranges of energy that do not count."""

    ranges: tuple[tuple[float, float], ...] = Field(description="(low, high) in keV")


def dead_time(ds: xr.Dataset, settings: DeadTime) -> xr.Dataset:
    """Add ``dead_time`` (share of the real time) and flag spectra above the limit.

    Live time makes up for lost counts, not for pile-up: above about 10 % the lines move (400 ppm at
    107 keV) and sums of strong lines appear. Counts are not changed. Where a live time is longer
    than the real time the share is NaN, and the spectrum is not flagged.

    Raises
    ------
    ConventionError
        If live and real time are not known.
    """
    if "live_time" not in ds or "real_time" not in ds:
        raise ConventionError(
            f"{where(ds)}: dead time needs the variables live_time and real_time (s); the file has "
            "none, assign them if you know them"
        )
    share = 1.0 - ds["live_time"] / ds["real_time"]
    # a live time beyond the real time by more than its own rounding is of no use
    share = share.where(share > -0.01)
    out = ds.copy(deep=False)
    out["dead_time"] = share.assign_attrs(units="1", long_name="share of real time")
    high = (share > settings.limit).astype(np.uint8)
    out["dead_time_flag"] = high.assign_attrs(
        flag_values=np.array([0, 1], np.uint8), flag_meanings="ok above_limit"
    )
    if settings.above == "mask":
        out = _masked(out, ~(share > settings.limit))
    return out


def _masked(ds: xr.Dataset, keep: xr.DataArray) -> xr.Dataset:
    before = ds["valid"] if "valid" in ds else xr.ones_like(ds["intensity"], dtype=bool)
    valid = (before & keep).transpose(
        *[d for d in ds["intensity"].dims if d in (before & keep).dims]
    )
    ds = ds.copy(deep=False)
    ds["valid"] = valid.assign_attrs(
        flag_values=np.array([0, 1], np.uint8), flag_meanings="masked valid"
    )
    return ds


def mask(ds: xr.Dataset, settings: Mask) -> xr.Dataset:
    """Mark ranges of energy as not valid."""
    axis = str(ds["intensity"].dims[-1])
    x = ds[axis]
    keep = xr.ones_like(x, dtype=bool)
    for low, high in settings.ranges:
        keep = keep & ~((x >= low) & (x <= high))
    return _masked(ds, keep.reset_coords(drop=True))

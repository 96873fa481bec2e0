"""Static backgrounds of core-level regions, as the variable ``background``."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from pydantic import Field

from ..backgrounds import STATIC
from ..convention import where
from ..errors import ModelError
from .base import Settings


class Background(Settings):
    """A background computed once, before the fit; the counts stay as they are."""

    kind: Literal["shirley", "tougaard", "linear"] = Field(
        "shirley", description="which background"
    )
    between: tuple[float, float] | None = Field(
        None, description="binding energies where it meets the data, eV; default the whole region"
    )
    average: int = Field(3, ge=1, le=50, description="points averaged at each end")


def static_background(ds: xr.Dataset, settings: Background) -> xr.Dataset:
    """Add the variable ``background``.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum on binding energy.
    settings : Background

    Returns
    -------
    xr.Dataset
    """
    x = ds["binding_energy"].values
    if settings.between is not None:
        low, high = sorted(settings.between)
        if low >= x[-1] or high <= x[0]:
            raise ModelError(
                f"{where(ds)}: background between {low:g} and {high:g} eV lies outside the region "
                f"({x[0]:g} to {x[-1]:g} eV)"
            )
    function = STATIC[settings.kind]
    data = ds["intensity"].values
    rows = data.reshape(-1, x.size).astype(float)
    found = np.stack(
        [function(x, y, between=settings.between, average=settings.average)[0] for y in rows]
    )
    ds = ds.copy(deep=False)
    units = {"units": ds["intensity"].attrs["units"], "kind": settings.kind}
    ds["background"] = (ds["intensity"].dims, found.reshape(data.shape), units)
    return ds

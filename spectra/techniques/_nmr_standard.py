"""Absolute amounts: what one unit of area of a spectrum is worth in nuclei."""

from __future__ import annotations

import xarray as xr
from pydantic import Field

from .base import Settings


class Standard(Settings):
    """Say how many nuclei one unit of area stands for, so that amounts become absolute."""

    amount_per_area: float = Field(
        gt=0,
        description=(
            "nmol/cm2 of nuclei (of the cell's area) per unit of area, from a standard measured "
            "alike or from the charge of a deposit"
        ),
    )


def standard(ds: xr.Dataset, settings: Standard) -> xr.Dataset:
    """Note the worth of an area; `quantify` then gives amounts instead of shares.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum.
    settings : Standard

    Returns
    -------
    xr.Dataset
        With ``attrs["amount_per_area"]``; intensities stay as they are.
    """
    ds = ds.copy(deep=False)
    ds.attrs["amount_per_area"] = settings.amount_per_area
    return ds

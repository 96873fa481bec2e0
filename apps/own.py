"""A component of the user's own, for what the library does not hold; start values from the data."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from pydantic import Field

from spectra.component import Component, Frozen, Param, doublet, validated
from spectra.convention import axis_of

Peak = Literal[
    "pseudo_voigt", "gl_product", "voigt", "gaussian", "lorentzian", "doniach_sunjic_gaussian"
]
_SHAPED = {
    "mixing": Param(value=0.3, min=0.0, max=1.0),
    "asymmetry": Param(value=0.1, min=0.0, max=0.5),
}


class Own(Frozen):
    """What a peak of one's own needs."""

    name: str = Field(default="A", description="a name without spaces; no species of the library")
    shape: Peak = Field(default="pseudo_voigt", description="its line shape")
    center: float = Field(default=0.0, description="where it is, in units of the axis")
    fwhm: float = Field(default=1.0, gt=0.0, description="its width, in units of the axis")
    splitting: float = Field(
        default=0.0, description="from a doublet's first line to its second; 0: none"
    )
    ratio: float = Field(default=0.5, gt=0.0, description="area of the second line over the first")


def peak(ds: xr.Dataset, own: Own) -> Component:
    """Return a component: free area above zero, the centre free by a width to either side.

    Parameters
    ----------
    ds : xr.Dataset
        The Spectrum that will be fitted; its height near the centre gives the first area.
    own : Own
        As the user says.

    Raises
    ------
    ModelError
        If the name cannot be a component's.
    """
    axis = axis_of(ds)
    y = ds["intensity"].values.astype(float).reshape(-1, ds.sizes[axis])
    near = np.abs(ds[axis].values - own.center) <= own.fwhm
    height = float(np.nanmax(y[:, near])) if near.any() else float(np.nanmax(y))
    area = max(height - float(np.nanmin(y)), 1.0) * own.fwhm
    wide = Param(value=own.fwhm, min=0.1 * own.fwhm, max=10.0 * own.fwhm)
    params = {
        "area": Param(value=area, min=0.0),
        "center": Param(value=own.center, min=own.center - own.fwhm, max=own.center + own.fwhm),
    }
    if own.shape in ("voigt", "doniach_sunjic_gaussian"):
        half = Param(value=0.6 * own.fwhm, min=0.01 * own.fwhm, max=10.0 * own.fwhm)
        params |= {"fwhm_gaussian": half, "fwhm_lorentzian": half}
    else:
        params["fwhm"] = wide
    if own.shape in ("pseudo_voigt", "gl_product"):
        params["mixing"] = _SHAPED["mixing"]
    if own.shape == "doniach_sunjic_gaussian":
        params["asymmetry"] = _SHAPED["asymmetry"]
    lines = doublet(own.splitting, own.ratio) if own.splitting else ()
    told = {"name": own.name, "shape": own.shape, "params": params, "lines": lines}
    return validated(Component, told, where="peak of your own")


def straight(ds: xr.Dataset, name: str = "ground") -> Component:
    """Return a straight background through the lowest tenth of the intensities."""
    axis = ds[axis_of(ds)].values
    low = float(np.nanpercentile(ds["intensity"].values.astype(float), 10.0))
    middle = Param(value=float(0.5 * (axis[0] + axis[-1])), vary=False)
    params = {"c0": Param(value=low), "c1": Param(), "x0": middle}
    return Component(name=name, shape="polynomial", role="background", params=params)

"""Measured reference spectra as components: a pure sample's own shape instead of a line shape."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..component import Component, Curve, Param
from ..convention import where
from ..errors import ModelError


def measured_component(
    ds: xr.Dataset,
    name: str,
    *,
    species: str | None = None,
    between: tuple[float, float] | None = None,
    shift: str = "shift",
    reach: float = 1.0,
) -> Component:
    """Turn a measured reference spectrum into a component of other fits.

    What lies above the background is scaled to the area 1, so that the component's ``area`` is that
    of the species' signal. Its ``shift`` follows the common shift of the model it is added to.

    Parameters
    ----------
    ds : xr.Dataset
        A calibrated Spectrum of the pure species with a static ``background``
        (``correct(ds, "shirley")``); spectra of a series are averaged.
    name : str
        Of the component.
    species : str, optional
        Library id, so that `quantify` counts it.
    between : (float, float), optional
        Binding energies of the signal, eV; by default all of the region.
    shift : str
        Common parameter of the model; ``""`` gives the component a free shift of its own.
    reach : float
        Bound of a free shift, eV.

    Returns
    -------
    Component

    Raises
    ------
    ModelError
        If there is no calibration or background, or nothing above it.
    """
    if not ds.attrs.get("calibration"):
        raise ModelError(f"{where(ds)}: calibrate the reference spectrum before it is a component")
    if "background" not in ds:
        raise ModelError(
            f"{where(ds)}: the reference needs its background taken apart; "
            "correct(ds, 'shirley', between=(low, high)) first"
        )
    x = ds["binding_energy"].values.astype(float)
    above = (ds["intensity"] - ds["background"]).values.reshape(-1, x.size)
    y = np.nanmean(above, axis=0)
    low, high = sorted(between) if between is not None else (float(x[0]), float(x[-1]))
    inside = (x >= low) & (x <= high) & np.isfinite(y)
    if inside.sum() < 5:
        raise ModelError(
            f"{where(ds)}: {int(inside.sum())} points between {low:g} and {high:g} eV; "
            "widen between="
        )
    x, y = x[inside], y[inside]
    area = float(np.trapezoid(y, x))
    noise = float(np.std(np.diff(y)) / np.sqrt(2.0)) * float(np.mean(np.diff(x)))
    if not area > 5.0 * noise * np.sqrt(x.size):
        raise ModelError(f"{where(ds)}: no signal above the background; a component needs one")
    place = Param(value=0.0, expr=shift) if shift else Param(value=0.0, min=-reach, max=reach)
    return Component(
        name=name,
        species=species,
        shape="template",
        role="template",
        params={"area": Param(value=area), "shift": place},
        curve=Curve(x=tuple(map(float, x)), y=tuple(float(v) for v in y / area)),
    )

"""Recompute the curves of a fit: nothing but parameters is ever stored."""

from __future__ import annotations

import numpy as np
import xarray as xr

from spectra.convention import axis_of

from .engine.plan import build, evaluate_primitive
from .errors import FitError
from .result import components_of


def curves(ds: xr.Dataset, fit: xr.Dataset) -> xr.Dataset:
    """Return data, model, parts and residual of a fit on the data's axis.

    Parameters
    ----------
    ds : xr.Dataset
        The Spectrum that was fitted, or a selection of it (``ds.isel(time=3)``).
    fit : xr.Dataset
        Its FitResult, with the same selection.

    Returns
    -------
    xr.Dataset
        ``data``, ``model``, ``background``, ``residual`` on ``(*outer, axis)`` and
        ``part`` on ``(*outer, component, axis)``; units of the intensity. Spectra without a fit
        are NaN.

    Raises
    ------
    FitError
        If the two do not have the same outer dimensions and sizes.
    """
    axis = axis_of(ds)
    outer = ds["intensity"].dims[:-1]
    if fit["value"].dims[:-1] != outer or any(fit.sizes[d] != ds.sizes[d] for d in outer):
        raise FitError(
            f"curves: data has {dict(ds['intensity'].sizes)}, the fit {dict(fit['value'].sizes)}; "
            "select the same spectra of both"
        )
    plan = build(components_of(fit))
    x = ds[axis].values.astype(float)
    shape = tuple(ds.sizes[d] for d in outer)
    full = fit["value"].values.reshape(-1, len(plan.names))
    parts = np.zeros((full.shape[0], len(plan.components), x.size))
    with np.errstate(all="ignore"):
        for primitive in plan.primitives:
            value, _ = evaluate_primitive(primitive, x, plan.arguments(primitive, full))
            parts[:, primitive.component] += value
    parts = parts.reshape(*shape, len(plan.components), x.size)
    ground = [i for i, c in enumerate(plan.components) if c.role == "background"]
    background = parts[..., ground, :].sum(axis=-2)
    if "background" in ds:
        static = ds["background"].transpose(*ds["intensity"].dims).values
        background = background + static
        model = parts.sum(axis=-2) + static
    else:
        model = parts.sum(axis=-2)
    units = {"units": ds["intensity"].attrs["units"]}
    dims = (*outer, axis)
    data = ds["intensity"].values.astype(float)
    coords = {name: ds[name] for name in ds.coords if set(ds[name].dims) <= set(dims)}
    return xr.Dataset(
        {
            "data": (dims, data, units),
            "model": (dims, model, units),
            "background": (dims, background, units),
            "residual": (dims, data - model, units),
            "part": ((*outer, "component", axis), parts, units),
        },
        coords={**coords, "component": [c.name for c in plan.components]},
    )

"""What a FitResult is (convention ``fit-1``), how to make one, and its checker.

A FitResult is an ``xr.Dataset`` over the outer dims of the Spectrum it came from and ``param``, the
flat parameter names (``Li2S.area``). Curves are not stored: they are recomputed from the components
in attrs and the values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from spectra.component import Components, validated
from spectra.convention import AXES, axis_of, outer_dims, where

from .engine.uncertainty import FLAGS, S_OK, STATUS
from .errors import FitError

CONVENTION = "fit-1"
VARIABLES = ("value", "stderr", "flag", "redchi", "chisqr", "ndata", "nfev", "status")
COVARIANCE = ("param", "param_2")
"""Last two dims of ``covar``: the parameter names twice."""


def make(
    ds: xr.Dataset, components: Components, arrays: Mapping[str, Any], attrs: Mapping[str, Any]
) -> xr.Dataset:
    """Make a checked FitResult.

    Parameters
    ----------
    ds : xr.Dataset
        The Spectrum that was fitted: gives outer coords, source, history and attrs.
    components : Components
        The model, as fitted.
    arrays : mapping
        ``value``, ``stderr``, ``flag`` of shape (*outer, P); ``redchi``, ``chisqr``, ``ndata``,
        ``nfev``, ``status`` of shape (*outer,); optionally ``covar`` (*outer, P, P). NumPy or dask.
    attrs : mapping
        ``engine``, ``statistic`` and whatever else describes the fit.

    Returns
    -------
    xr.Dataset
    """
    axis, outer = axis_of(ds), outer_dims(ds)
    names = list(components.params)
    params = np.array(names, dtype=object)
    intensity = str(ds["intensity"].attrs["units"])
    units = [_unit(name, components, axis, intensity) for name in names]
    owner = {c.name: c.species or "" for c in components}
    out = xr.Dataset(coords={"param": ("param", params, {"long_name": "parameter"})})
    out = out.assign_coords(
        param_unit=("param", np.array(units, dtype=object)),
        component=("param", np.array([n.rpartition(".")[0] for n in names], dtype=object)),
        species=(
            "param",
            np.array([owner.get(n.rpartition(".")[0], "") for n in names], dtype=object),
        ),
    )
    for name in ("value", "stderr", "flag"):
        out[name] = ((*outer, "param"), arrays[name])
    for name in ("redchi", "chisqr", "ndata", "nfev", "status"):
        out[name] = (outer, arrays[name])
    if arrays.get("covar") is not None:
        out = out.assign_coords(param_2=("param_2", params))
        out["covar"] = ((*outer, *COVARIANCE), arrays["covar"])
        out["covar"].attrs["long_name"] = "covariance of the parameters"
    for key, coord in ds.coords.items():
        if axis not in coord.dims and set(coord.dims) <= set(outer) and key not in out.coords:
            out = out.assign_coords({key: coord})
    for name in ("live_time", "real_time"):
        if name in ds and axis not in ds[name].dims:
            out[name] = ds[name]
    out["value"].attrs.update(long_name="fitted value", units="see param_unit")
    out["stderr"].attrs.update(long_name="standard error", units="see param_unit")
    _flags(out["flag"], FLAGS, "what is known of the parameter")
    _flags(out["status"], STATUS, "how the fit ended")
    for name, text in (
        ("redchi", "reduced chi-square"),
        ("chisqr", "chi-square"),
        ("ndata", "points fitted"),
        ("nfev", "model evaluations"),
    ):
        out[name].attrs.update(long_name=text, units="1")
    x = ds[axis].values
    out.attrs.update(ds.attrs)
    out.attrs.update(
        convention=CONVENTION,
        axis=axis,
        axis_units=AXES[axis],
        intensity_units=intensity,
        fitted_range=json.dumps([float(x[0]), float(x[-1])]),
        components=components.model_dump_json(exclude_defaults=True),
    )
    out.attrs.update(attrs)
    return check(out)


def _unit(name: str, components: Components, axis: str, intensity: str) -> str:
    """Give the unit of a flat parameter, from its word."""
    unit = AXES[axis]
    key = name.rpartition(".")[2]
    if "." not in name:
        return ""
    if key == "area":
        owner = components[name.partition(".")[0]]
        return intensity if owner.shape == "template" else f"{intensity} {unit}"
    if key in ("center", "shift", "x0") or key.startswith("fwhm"):
        return unit
    return "1" if key in ("mixing", "asymmetry") else ""


def _flags(variable: xr.DataArray, meanings: tuple[str, ...], text: str) -> None:
    variable.attrs.update(
        long_name=text,
        flag_values=np.arange(len(meanings), dtype=np.int8),
        flag_meanings=" ".join(meanings),
    )


def check(fit: xr.Dataset) -> xr.Dataset:
    """Return ``fit`` if it is a valid FitResult.

    Raises
    ------
    FitError
        Naming what is missing and what to do.
    """
    if not isinstance(fit, xr.Dataset):
        raise FitError(f"expected a FitResult (xarray.Dataset), found {type(fit).__name__}")
    if fit.attrs.get("convention") != CONVENTION:
        raise FitError(
            f"{where(fit)}: attrs['convention'] is {fit.attrs.get('convention')!r}, not "
            f"{CONVENTION!r}; make a FitResult with workbench.fit"
        )
    missing = [name for name in VARIABLES if name not in fit]
    if missing:
        raise FitError(f"{where(fit)}: the FitResult has no {', '.join(missing)}; fit again")
    for name in ("technique", "components", "engine", "statistic", "axis"):
        if not fit.attrs.get(name):
            raise FitError(f"{where(fit)}: the FitResult has no attrs[{name!r}]; fit again")
    return fit


def components_of(fit: xr.Dataset) -> Components:
    """Return the components a FitResult was made with."""
    check(fit)
    try:
        data = json.loads(fit.attrs["components"])
        items, common = data.get("items", []), data.get("common", {})
    except (ValueError, AttributeError):
        raise FitError(f"{where(fit)}: attrs['components'] is not JSON; fit again") from None
    from spectra.component import Component, Param, validated_components

    return validated_components(
        [validated(Component, c, where=f"component {k}") for k, c in enumerate(items)],
        {name: validated(Param, p, where=name) for name, p in common.items()},
    )


def status_counts(fit: xr.Dataset) -> dict[str, int]:
    """Return how many fits ended in each named way, those that occur only."""
    codes = np.asarray(check(fit)["status"].values).ravel()
    found = np.bincount(codes.astype(int), minlength=len(STATUS))
    return {STATUS[k]: int(n) for k, n in enumerate(found) if n}


def all_ok(fit: xr.Dataset) -> bool:
    """Whether every fit ended ``ok``."""
    return set(status_counts(fit)) <= {STATUS[S_OK]}

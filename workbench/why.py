"""Say what made a result: inputs and their hashes, recipe, versions, covariance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from references.errors import nearest

from .errors import StoreError
from .recipe import recipe
from .result import components_of
from .store import load


def explain(
    path: str | PathLike[str],
    *,
    param: str | None = None,
    at: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Explain a saved result as plain data.

    Parameters
    ----------
    path : path-like
        A file that `workbench.save` wrote.
    param : str, optional
        One fitted parameter: its value, error, flag, definition and strongest correlations.
    at : mapping of str to float, optional
        Which spectrum, by dimension; nearest taken, first by default.

    Returns
    -------
    dict
        ``result``, ``inputs``, ``steps``, ``recipe``, ``versions``, ``library_hash`` and, for a
        parameter, ``param``.

    Raises
    ------
    StoreError
        If the file is no result or the parameter or dimension does not exist in it.
    """
    ds = load(path)
    told: dict[str, Any] = {
        "result": {
            "file": Path(path).name,
            "convention": ds.attrs["convention"],
            "technique": ds.attrs.get("technique", ""),
            "engine": ds.attrs.get("engine", ""),
            "statistic": ds.attrs.get("statistic", ""),
        },
        "inputs": json.loads(ds.attrs.get("source", "[]")),
        "steps": [line for line in str(ds.attrs.get("history", "")).split("\n") if line],
        "versions": json.loads(ds.attrs.get("versions", "{}")),
        "library_hash": ds.attrs.get("library_hash", ""),
    }
    told["result"] = {k: v for k, v in told["result"].items() if v}
    if "components" in ds.attrs:
        told["recipe"] = recipe(ds).model_dump(mode="json", exclude_defaults=True)
    if param is not None:
        told["param"] = _param(ds, Path(path).name, param, at or {})
    return told


def _param(ds: xr.Dataset, name: str, param: str, at: Mapping[str, float]) -> dict[str, Any]:
    if ds.attrs["convention"] != "fit-1":
        raise StoreError(f"{name}: no fit in it; --param needs a fit file")
    names = [str(p) for p in ds["param"].values]
    if param not in names:
        raise StoreError(f"{name}: no parameter {param!r}: {nearest(param, names, most=20)}")
    outer = [str(d) for d in ds["status"].dims]
    for dim in at:
        if dim not in outer:
            raise StoreError(f"{name}: no dimension {dim!r}: {nearest(dim, outer)}")
        where = ds[dim].values.astype(float)
        low, high = float(where.min()), float(where.max())
        beyond = (high - low) / max(where.size - 1, 1)
        if not low - beyond <= at[dim] <= high + beyond:
            raise StoreError(f"{name}: {dim} = {at[dim]:g} is not between {low:g} and {high:g}")
    place = {
        d: int(np.argmin(np.abs(ds[d].values.astype(float) - at[d]))) if d in at else 0
        for d in outer
    }
    one = ds.isel(place)
    row = one.sel(param=param)
    told: dict[str, Any] = {
        "name": param,
        "at": {d: float(one[d]) for d in outer},
        "value": float(row["value"]),
        "stderr": float(row["stderr"]),
        "flag": _meaning(row["flag"]),
        "fit_status": _meaning(one["status"]),
        "reduced_chi2": float(one["redchi"]),
        "definition": components_of(ds).params[param].model_dump(exclude_none=True),
    }
    if "covar" in one:
        told["correlations"] = _correlations(one["covar"].values, names, names.index(param))
    return told


def _meaning(code: xr.DataArray) -> str:
    names = str(code.attrs["flag_meanings"]).split()
    return names[list(code.attrs["flag_values"]).index(code.item())]


def _correlations(
    covar: np.ndarray, names: list[str], which: int, most: int = 6
) -> dict[str, float]:
    """Return the strongest correlations of one parameter with the others."""
    sigma = np.sqrt(np.diagonal(covar))
    with np.errstate(invalid="ignore", divide="ignore"):
        row = covar[which] / (sigma * sigma[which])
    order = np.argsort(-np.abs(np.nan_to_num(row)))
    strongest = [i for i in order if i != which and np.isfinite(row[i]) and row[i] != 0.0]
    return {names[i]: round(float(row[i]), 4) for i in strongest[:most]}

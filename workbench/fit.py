"""The verb ``fit``: Spectrum and Components in, FitResult out; lifts engines over outer dims."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from references.errors import nearest
from spectra import convention
from spectra.component import Components
from spectra.convention import axis_of, outer_dims, where

from . import result
from .engine.data import Data
from .engine.lift import (
    Job,
    arrays_of,
    engine_for,
    fields,
    lazy,
    solve,
    solve_shared,
    weights_of,
)
from .engine.plan import Plan, build
from .engine.problem import Block
from .engine.starts import sides
from .errors import FitError
from .progress import Progress, meter
from .provenance import stamp
from .steps import record

Shared = Mapping[str, str | Sequence[str]]

ENGINES = ("batch", "numpy", "lmfit")
STATISTICS = ("chi2", "poisson")


def fit(
    ds: xr.Dataset,
    comps: Components,
    *,
    engine: str = "batch",
    statistic: str = "chi2",
    shared: Shared | None = None,
    covariance: bool = True,
    progress: Progress = None,
) -> xr.Dataset:
    """Fit every spectrum of a dataset.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum. A variable ``background`` is added to the model; points where ``valid`` is
        False or a value is not finite do not count.
    comps : Components
        What is fitted.
    engine : {"batch", "numpy", "lmfit"}
        Which engine; ``attrs["engine"]`` of the result says which one ran.
    statistic : {"chi2", "poisson"}
        ``"poisson"`` weights with the model (for counts): the maximum-likelihood result.
    shared : mapping, optional
        Parameter name (or its last word, for all components) to the dim or dims along which it
        has one value. Then all spectra are one problem, held in memory.
    covariance : bool
        Keep ``covar(*outer, param, param_2)``.
    progress : callable or bool, optional
        Called with (done, total) spectra; returning True cancels the fit. ``True`` shows a bar on
        a terminal. Without effect on dask arrays, which are fitted when computed.

    Returns
    -------
    xr.Dataset
        A FitResult, see `workbench.result`. If ``ds`` holds dask arrays it is lazy: blocks are
        fitted when it is computed, with the same numbers whatever the chunks.

    Raises
    ------
    FitError
        If data, model and settings do not go together, or on cancellation.

    Notes
    -----
    Weights are 1/``uncertainty`` if there is one, else 1/sqrt(max(counts, 1)) for counts, else 1.
    Only in the last case are the standard errors scaled with the reduced chi-square (lmfit's
    ``scale_covar=True``); otherwise the data's own errors are taken as they are.
    """
    convention.check(ds)
    if engine not in ENGINES:
        raise FitError(f"engine {engine!r}: allowed: {', '.join(ENGINES)}")
    if statistic not in STATISTICS:
        raise FitError(f"statistic {statistic!r}: allowed: {', '.join(STATISTICS)}")
    plan = build(comps)
    _check_statistic(ds, statistic)
    count = int(np.prod(ds["intensity"].shape[:-1], dtype=np.int64))
    chosen, note = engine_for(engine, count, plan)
    order = _unsorted(ds)
    sorted_ds = ds.isel(order) if order else ds
    shape = sorted_ds["intensity"].shape[:-1]
    origin = weights_of(ds)
    job = Job(
        plan=plan,
        x=ds[axis_of(ds)].values.astype(float),
        origin=origin,
        poisson=statistic == "poisson",
        engine=chosen,
        covariance=covariance,
        sides=sides(shape),
    )
    arrays = arrays_of(sorted_ds)
    along = _shared_columns(ds, plan, shared) if shared else {}
    if along:
        if engine == "lmfit":
            raise FitError("shared parameters need engine 'batch' or 'numpy'; engine is 'lmfit'")
        with meter(progress, count, where(ds)) as done:
            got = solve_shared(job, arrays, along, outer_dims(ds), done)
        found = fields(got, shape)
    elif any(hasattr(a, "dask") for a in arrays.values()):
        found = lazy(job, arrays)
    else:
        with meter(progress, count, where(ds)) as done:
            found = fields(solve(job, arrays, done, None), shape)
    attrs = {
        "engine": chosen,
        "statistic": statistic,
        "weights": origin,
        "scale_covar": "true" if origin == "none" and statistic == "chi2" else "false",
    }
    if note:
        attrs["engine_note"] = note
    if along:
        attrs["shared"] = json.dumps(
            {plan.names[plan.free[c]]: list(dims) for c, dims in along.items()}
        )
    made = result.make(sorted_ds, comps, found, attrs)
    if order:
        made = made.isel({dim: np.argsort(index) for dim, index in order.items()})
    return record(stamp(made, ds), "fit", {"engine": engine, "statistic": statistic})


def _shared_columns(ds: xr.Dataset, plan: Plan, shared: Shared) -> dict[int, tuple[str, ...]]:
    """Return the free columns that ``shared`` names, with the dims along which they are one."""
    outer = outer_dims(ds)
    place = {plan.names[i]: k for k, i in enumerate(plan.free)}
    out: dict[int, tuple[str, ...]] = {}
    for name, given in shared.items():
        dims = (given,) if isinstance(given, str) else tuple(given)
        for dim in dims:
            if dim not in outer:
                raise FitError(
                    f"{where(ds)}: shared {name!r} along {dim!r}: " + nearest(dim, outer)
                )
        if name in plan.index:
            if name not in place:
                raise FitError(f"shared {name!r}: it is fixed or tied; only free ones are shared")
            out[place[name]] = dims
            continue
        words = [c for full, c in place.items() if full.rpartition(".")[2] == name]
        if not words:
            known = {full.rpartition(".")[2] for full in place} | set(place)
            raise FitError(f"shared {name!r}: no such free parameter; " + nearest(name, known))
        for c in words:
            out.setdefault(c, dims)
    return out


def _unsorted(ds: xr.Dataset) -> dict[str, np.ndarray]:
    """Return the order that sorts each outer dim that is not sorted.

    Neighbours give each other their starts, so who is whose neighbour must not depend on the
    order in which spectra happen to lie.
    """
    out = {}
    for dim in outer_dims(ds):
        values = ds[dim].values
        if values.dtype.kind in "iufM" and np.any(values[1:] < values[:-1]):
            out[dim] = np.argsort(values, kind="stable")
    return out


def _check_statistic(ds: xr.Dataset, statistic: str) -> None:
    if statistic == "poisson" and ds["intensity"].attrs["units"] != convention.COUNTS:
        raise FitError(
            f"{where(ds)}: statistic 'poisson' needs counts, found intensity in "
            f"{ds['intensity'].attrs['units']!r}; use statistic='chi2'"
        )


def block_of(ds: xr.Dataset, plan: Plan, statistic: str) -> Block:
    """Return data, weights and static background as plain arrays, spectra along the first axis."""
    _check_statistic(ds, statistic)
    size = ds.sizes[axis_of(ds)]
    rows: dict[str, Any] = {
        name: None if array is None else np.asarray(array).reshape(-1, size)
        for name, array in arrays_of(ds).items()
    }
    valid = rows["valid"]
    data = Data(
        ds[axis_of(ds)].values.astype(float),
        rows["intensity"],
        rows["uncertainty"],
        rows["background"],
        None if valid is None else valid.astype(bool),
        weights_of(ds),
        statistic == "poisson",
    )
    return data.block(np.arange(len(data.y)))

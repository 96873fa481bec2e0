"""The verb ``fit``: Spectrum and Components in, FitResult out; lifts engines over outer dims."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr

from spectra import convention
from spectra.component import Components
from spectra.convention import axis_of, outer_dims, where

from . import result
from .engine import batched, reference
from .engine.plan import Plan, build
from .engine.problem import Block, Solution
from .engine.starts import from_groups, groups
from .engine.uncertainty import report
from .errors import FitError
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
    progress: Callable[[int, int], bool | None] | None = None,
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
        has one value.
    covariance : bool
        Keep ``covar(*outer, param, param_2)``.
    progress : callable, optional
        Called with (done, total) spectra; returning True cancels the fit.

    Returns
    -------
    xr.Dataset
        A FitResult, see `workbench.result`.

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
    if shared:
        raise FitError("shared parameters need engine 'batch'")
    plan = build(comps)
    block = block_of(ds, plan, statistic)
    total = len(block.y)
    finished = 0

    def done(count: int) -> None:
        nonlocal finished
        finished += count
        if progress is not None and progress(finished, total):
            raise FitError(f"{where(ds)}: cancelled after {finished} of {total} spectra")

    if engine == "lmfit":
        solution: Solution = reference.solve(plan, block, plan.start, done=done)
    else:
        division = groups(ds["intensity"].shape[:-1])
        solution = from_groups(plan, block, division, batched.minimise, batched.EDM, done)
    got = report(plan, block, solution, covariance=covariance)
    shape = ds["intensity"].shape[:-1]
    arrays = {
        "value": got.value.reshape(*shape, -1),
        "stderr": got.stderr.reshape(*shape, -1),
        "flag": got.flag.reshape(*shape, -1),
        "redchi": got.redchi.reshape(shape),
        "chisqr": got.chisqr.reshape(shape),
        "ndata": got.ndata.reshape(shape),
        "nfev": got.nfev.reshape(shape),
        "status": got.status.reshape(shape),
        "covar": None if got.covar is None else got.covar.reshape(*shape, *got.covar.shape[1:]),
    }
    attrs = {
        "engine": "lmfit" if engine == "lmfit" else "numpy",
        "statistic": statistic,
        "weights": weights_of(ds),
        "scale_covar": "true" if block.scale else "false",
    }
    made = stamp(result.make(ds, comps, arrays, attrs), ds)
    return record(made, "fit", {"engine": engine, "statistic": statistic})


def weights_of(ds: xr.Dataset) -> str:
    """Say where the weights of a Spectrum come from: ``uncertainty``, ``counts`` or ``none``."""
    if "uncertainty" in ds:
        return "uncertainty"
    return "counts" if ds["intensity"].attrs["units"] == convention.COUNTS else "none"


def block_of(ds: xr.Dataset, plan: Plan, statistic: str) -> Block:
    """Return data, weights and static background as plain arrays, spectra along the first axis."""
    axis, dims = axis_of(ds), (*outer_dims(ds), axis_of(ds))
    origin = weights_of(ds)
    if statistic == "poisson" and ds["intensity"].attrs["units"] != convention.COUNTS:
        raise FitError(
            f"{where(ds)}: statistic 'poisson' needs counts, found intensity in "
            f"{ds['intensity'].attrs['units']!r}; use statistic='chi2'"
        )
    x = ds[axis].values.astype(float)

    def rows(name: str) -> np.ndarray:
        like = ds["intensity"]
        full = ds[name].broadcast_like(like) if ds[name].dims != dims else ds[name]
        return np.asarray(full.transpose(*dims).values).reshape(-1, x.size)

    y = rows("intensity").astype(float)
    seen = np.isfinite(y)
    if "valid" in ds:
        seen &= rows("valid").astype(bool)
    if origin == "uncertainty":
        sigma = rows("uncertainty").astype(float)
        seen &= np.isfinite(sigma) & (sigma > 0.0)
        weight = np.where(seen, 1.0 / np.where(seen, sigma, 1.0), 0.0)
    elif origin == "counts":
        weight = np.where(seen, 1.0 / np.sqrt(np.maximum(np.where(seen, y, 1.0), 1.0)), 0.0)
    else:
        weight = seen.astype(float)
    background = None
    if "background" in ds:
        background = rows("background").astype(float)
        seen &= np.isfinite(background)
        background = np.where(seen, background, 0.0)
        weight = np.where(seen, weight, 0.0)
    return Block(
        x,
        np.where(seen, y, 0.0),
        weight,
        background,
        scale=origin == "none" and statistic == "chi2",
        poisson=statistic == "poisson",
    )

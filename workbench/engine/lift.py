"""From labelled arrays to spectra in rows and back: NumPy at once, dask by blocks and lazily."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from spectra.convention import COUNTS, axis_of, outer_dims

from . import batched, reference
from .data import Data
from .plan import Plan
from .problem import Solution
from .starts import from_groups, groups
from .uncertainty import Report, report
from .warm import available, ready

Array = npt.NDArray[np.float64]

COMPILE_FROM = 20_000
"""So many spectra are worth compiling for, where the compiled engine is not warm."""
PIECE = 512
"""Spectra the other engines take at a time."""

SINGLES = ("redchi", "chisqr", "ndata", "nfev", "status")
TYPES = {"flag": np.int8, "status": np.int8, "ndata": np.int64, "nfev": np.int64}


@dataclass(frozen=True)
class Job:
    """What to do with a block of spectra: everything but the data."""

    plan: Plan
    x: Array
    origin: str
    poisson: bool
    engine: str
    covariance: bool
    sides: tuple[int, ...]


def engine_for(asked: str, count: int, plan: Plan) -> tuple[str, str]:
    """Return the engine that will run, and why if it is not the one asked for."""
    if asked != "batch":
        return asked, ""
    if plan.size == 0:
        return "numpy", "nothing is free: the NumPy engine evaluated the model"
    if not available():
        return "numpy", "numba is not installed: the NumPy engine ran"
    if ready() or count >= COMPILE_FROM:
        from . import compiled

        problem = compiled.obstacle(plan)
        return ("numpy", f"{problem}: the NumPy engine ran") if problem else ("batch", "")
    return "numpy", "the compiled engine is not warm (workbench.engine.warm): the NumPy engine ran"


def weights_of(ds: xr.Dataset) -> str:
    """Say where the weights of a Spectrum come from: ``uncertainty``, ``counts`` or ``none``."""
    if "uncertainty" in ds:
        return "uncertainty"
    return "counts" if ds["intensity"].attrs["units"] == COUNTS else "none"


def arrays_of(ds: xr.Dataset) -> dict[str, Any]:
    """Return intensity, uncertainty, background and valid on the dims of intensity, or None."""
    dims = (*outer_dims(ds), axis_of(ds))
    like = ds["intensity"].transpose(*dims)
    out: dict[str, Any] = {"intensity": like.data}
    for name in ("uncertainty", "background", "valid"):
        out[name] = None
        if name in ds:
            full = ds[name] if ds[name].dims == dims else ds[name].broadcast_like(like)
            out[name] = full.transpose(*dims).data
    return out


def solve(
    job: Job, arrays: dict[str, Any], done: Callable[[int], None] | None, workers: int | None
) -> Report:
    """Fit all spectra of NumPy arrays of shape (*outer, N)."""
    shape = arrays["intensity"].shape[:-1]
    data = _data(job, arrays, job.x.size)
    division = groups(shape, job.sides)
    if job.engine == "batch":
        from . import compiled

        return compiled.solve(
            job.plan, data, division, covariance=job.covariance, done=done, workers=workers
        )
    return _by_pieces(job, data, division, done)


def _data(job: Job, arrays: dict[str, Any], size: int) -> Data:
    """Put labelled arrays into rows."""

    def rows(name: str) -> Any:
        array = arrays[name]
        return None if array is None else np.asarray(array).reshape(-1, size)

    valid = rows("valid")
    return Data(
        job.x,
        rows("intensity"),
        rows("uncertainty") if job.origin == "uncertainty" else None,
        rows("background"),
        None if valid is None else valid.astype(bool, copy=False),
        job.origin,
        job.poisson,
    )


def _by_pieces(job: Job, data: Data, division: Any, done: Callable[[int], None] | None) -> Report:
    """Fit with an engine that works on weighted blocks, a few groups at a time."""
    plan, count = job.plan, len(data.y)
    out: Report | None = None
    edges = division.first
    cuts = [0]
    for g in range(1, len(edges)):
        if edges[g] - edges[cuts[-1]] >= PIECE or g == len(edges) - 1:
            cuts.append(g)
    for g0, g1 in pairwise(cuts):
        index = division.order[edges[g0] : edges[g1]]
        block = data.block(index)
        if job.engine == "lmfit":
            found: Solution = reference.solve(plan, block, plan.start, done=done)
        else:
            local = type(division)(np.arange(len(index)), edges[g0 : g1 + 1] - edges[g0])
            found = from_groups(plan, block, local, batched.minimise, batched.EDM, done)
        part = report(plan, block, found, covariance=job.covariance)
        if out is None:
            out = part.spread(count)
        out.put(index, part)
    assert out is not None
    return out


def solve_shared(
    job: Job,
    arrays: dict[str, Any],
    along: Mapping[int, Sequence[str]],
    dims: Sequence[str],
    done: Callable[[int], None] | None,
) -> Report:
    """Fit all spectra as one problem with shared parameters; starts from fits without sharing."""
    from . import arrow

    plan, size = job.plan, job.x.size
    arrays = {k: None if a is None else np.asarray(a) for k, a in arrays.items()}
    shape = arrays["intensity"].shape[:-1]
    alone = solve(replace(job, covariance=False), arrays, done, None)
    data = _data(job, arrays, size)
    share = arrow.sharing(plan, along, dims, shape)
    found = arrow.solve(plan, data, share, alone.value[:, plan.free], done=done)
    out: Report | None = None
    for k in range(0, len(data.y), PIECE):
        index = np.arange(k, min(k + PIECE, len(data.y)))
        s = found.solution
        part = report(
            plan,
            data.block(index),
            Solution(
                s.p[index], s.hessian[index], s.chisqr[index], s.nfev[index], s.converged[index]
            ),
            covariance=job.covariance,
            known=(found.covariance[index], found.undetermined[index]),
        )
        out = part.spread(len(data.y)) if out is None else out
        out.put(index, part)
    assert out is not None
    return out


def fields(got: Report, shape: Sequence[int]) -> dict[str, Any]:
    """Return a report's arrays with the outer shape."""
    out: dict[str, Any] = {}
    for name in ("value", "stderr", "flag", *SINGLES):
        array = getattr(got, name)
        out[name] = array.reshape((*shape, *array.shape[1:]))
    out["covar"] = None
    if got.covar is not None:
        out["covar"] = got.covar.reshape((*shape, *got.covar.shape[1:]))
    return out


def lazy(job: Job, arrays: dict[str, Any]) -> dict[str, Any]:
    """Fit dask arrays block by block when they are computed; one packed array per block.

    Blocks are cut along whole groups, so that the numbers are those of the whole array.
    """
    import dask.array as da

    intensity = arrays["intensity"]
    chunks = tuple(
        (intensity.shape[-1],) if k == intensity.ndim - 1 else aligned(c, side)
        for k, (c, side) in enumerate(zip(intensity.chunks, (*job.sides, 1), strict=True))
    )
    names = [name for name, array in arrays.items() if array is not None]
    inputs = [da.asarray(arrays[name]).rechunk(chunks) for name in names]
    count = len(job.plan.names)
    width = 3 * count + len(SINGLES) + (count * count if job.covariance else 0)
    whole = tuple(intensity.shape[:-1])
    packed = da.map_blocks(
        _packed,
        *inputs,
        job=job,
        names=tuple(names),
        dtype=np.float64,
        chunks=(*chunks[:-1], (width,)),
        meta=np.empty((0,) * intensity.ndim),
    )
    out: dict[str, Any] = {}
    for k, name in enumerate(("value", "stderr", "flag")):
        out[name] = _own(packed[..., k * count : (k + 1) * count], TYPES.get(name, np.float64))
    for k, name in enumerate(SINGLES):
        out[name] = _own(packed[..., 3 * count + k], TYPES.get(name, np.float64))
    out["covar"] = None
    if job.covariance:
        square = packed[..., 3 * count + len(SINGLES) :]
        out["covar"] = square.reshape(*whole, count, count)
    return out


def _own(part: Any, dtype: Any) -> Any:
    """Copy each block's part, so that it does not keep the whole packed block alive."""
    return part.map_blocks(np.array, dtype=dtype)


def aligned(chunks: Sequence[int], side: int) -> tuple[int, ...]:
    """Move chunk borders to the next multiple of a group's side."""
    total = sum(chunks)
    borders = sorted({min(total, -(-edge // side) * side) for edge in np.cumsum(chunks)})
    return tuple(int(b - a) for a, b in zip([0, *borders], borders, strict=False))


def _packed(*blocks: Any, job: Job, names: Sequence[str]) -> Array:
    """Fit one block and pack its report into one array."""
    arrays: dict[str, Any] = dict.fromkeys(("intensity", "uncertainty", "background", "valid"))
    arrays.update(zip(names, blocks, strict=True))
    shape = arrays["intensity"].shape[:-1]
    got = solve(job, arrays, None, 1)
    parts: list[Array] = [got.value, got.stderr, got.flag.astype(float)]
    parts += [np.asarray(getattr(got, name), dtype=float)[:, None] for name in SINGLES]
    if got.covar is not None:
        parts.append(got.covar.reshape(len(got.value), -1))
    return np.concatenate(parts, axis=1).reshape(*shape, -1)

"""Few summed spectra that stand for a series or map: its extremes, and its middle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from spectra.convention import axis_of, outer_dims

Array = npt.NDArray[np.float64]

_SHARE = 0.1
"""Share of the spectra in each sum: few, as drift within a sum moves lines against each other."""


@dataclass(frozen=True)
class Total:
    """A sum of spectra.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum without outer dims; counts stay counts.
    count : int
        Spectra in it.
    """

    ds: xr.Dataset
    count: int


def representatives(ds: xr.Dataset) -> list[Total]:
    """Return sums over the spectra at both ends and in the middle of the main difference.

    The main difference is the first principal component of the spectra divided by their sums.
    The groups share no spectrum, so that their evidence adds.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum.

    Returns
    -------
    list of Total
        One for a single spectrum, else up to three.
    """
    axis, outer = axis_of(ds), outer_dims(ds)
    if not outer:
        return [Total(ds, 1)]
    size = ds.sizes[axis]
    y = np.array(ds["intensity"].values, dtype=float).reshape(-1, size)
    seen = np.isfinite(y)
    if "valid" in ds:
        seen &= _rows(ds, "valid").astype(bool)
    used = np.flatnonzero(seen.any(axis=1))
    groups = _groups(np.where(seen, y, 0.0)[used], seen[used])
    return [_summed(ds, y, seen, used[index]) for index in groups]


def _rows(ds: xr.Dataset, name: str) -> npt.NDArray[np.generic]:
    size = ds.sizes[axis_of(ds)]
    return np.asarray(ds[name].broadcast_like(ds["intensity"]).values).reshape(-1, size)


def _groups(y: Array, seen: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.int64]]:
    count = len(y)
    if count < 3:
        return [np.array([k]) for k in range(count)] or [np.arange(0)]
    middle = y.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    filled = np.where(seen, y, middle)
    total = np.abs(filled).sum(axis=1, keepdims=True)
    shape = filled / np.where(total > 0.0, total, 1.0)
    shape = shape - shape.mean(axis=0)
    # The short side carries the eigenproblem.
    if shape.shape[0] > shape.shape[1]:
        _, vectors = np.linalg.eigh(shape.T @ shape)
        main = shape @ vectors[:, -1]
    else:
        _, vectors = np.linalg.eigh(shape @ shape.T)
        main = vectors[:, -1]
    order = np.argsort(main, kind="stable")
    size = max(1, round(_SHARE * count))
    first = (count - size) // 2
    return [np.sort(p) for p in (order[first : first + size], order[:size], order[-size:])]


def _summed(
    ds: xr.Dataset, y: Array, seen: npt.NDArray[np.bool_], index: npt.NDArray[np.int64]
) -> Total:
    """Sum some spectra; a point that one of them lacks is masked."""
    axis = axis_of(ds)
    good = seen[index].all(axis=0)
    out = xr.Dataset(coords={axis: ds[axis]})
    if "section" in ds.coords:
        out = out.assign_coords(section=ds["section"])
    total = np.where(good, y[index].sum(axis=0), 0.0)
    out["intensity"] = (axis, total, dict(ds["intensity"].attrs))
    if "uncertainty" in ds:
        spread = np.sqrt((_rows(ds, "uncertainty")[index].astype(float) ** 2).sum(axis=0))
        out["uncertainty"] = (axis, spread, dict(ds["uncertainty"].attrs))
    if "background" in ds:
        ground = _rows(ds, "background")[index].astype(float).sum(axis=0)
        out["background"] = (axis, ground, dict(ds["background"].attrs))
    if not good.all():
        flags = {"flag_values": np.array([0, 1], np.int8), "flag_meanings": "masked valid"}
        out["valid"] = (axis, good, flags)
    if "transmission" in ds and ds["transmission"].dims == (axis,):
        out["transmission"] = ds["transmission"]
    out.attrs = dict(ds.attrs)
    return Total(out, int(index.size))

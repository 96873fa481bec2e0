"""Lattices of a map with the help of their neighbours in space and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..errors import ModelError

Array = npt.NDArray[np.float64]

_LARGEST = 20_000
_BLOCK = 512


def smoothed(
    cells: xr.Dataset, along: tuple[str, ...] | None = None, common: float = 5e-5
) -> xr.Dataset:
    """Return lattices in which every pixel leans on its neighbours, as far as the map bears it.

    Parameters
    ----------
    cells : xr.Dataset
        Of `lattice`: ``a``, ``b``, ``c``, ``strain`` with ``..._stderr`` on ``(*outer, species)``.
    along : tuple of str, optional
        Outer dimensions along which neighbours count, one or two; all by default.
    common : float
        Relative error that neighbours share (blends, the ratio of axes, line shapes) and that
        averaging does not lower: added in square. The default is the largest offset of a phase
        found on the synthetic cell.

    Returns
    -------
    xr.Dataset
        The same variables. Where a lattice was NaN it stays so. ``smoothness(species, along)`` is
        the standard deviation of the change of strain over one (median) step that was found.

    Raises
    ------
    ModelError
        If there is no such dimension, or the map is too large.

    Notes
    -----
    The lattice of a phase is taken for a random walk from pixel to pixel, with one size of step
    per dimension, found by the marginal likelihood of the whole map (H. Rue, L. Held, Gaussian
    Markov Random Fields (2005), chapter 3). Where neighbours differ by more than their errors the
    step found is large and nothing is smoothed; a true jump in an otherwise smooth map is smeared.
    Errors are those of the posterior, with `common` added.
    """
    outer = tuple(str(d) for d in cells["strain"].dims[:-1])
    told = outer if along is None else tuple(along)
    if not told or len(told) > 2 or not set(told) <= set(outer):
        raise ModelError(
            f"smoothed: neighbours along {told or '(nothing)'}; allowed: one or two of "
            f"{', '.join(outer) or 'no dimension: this is one spectrum'}"
        )
    if int(np.prod([cells.sizes[d] for d in told])) > _LARGEST:
        raise ModelError(f"smoothed: more than {_LARGEST} pixels; choose a part, or one dimension")
    out = cells.copy()
    links = [(_place(cells, d), outer.index(d)) for d in told]
    names = [n for n in ("strain", "a", "b", "c") if n in cells]
    species = [str(s) for s in cells["species"].values]
    steps = np.full((len(species), len(told)), np.nan)
    new = {n: cells[n].values.copy() for n in names}
    new |= {f"{n}_stderr": cells[f"{n}_stderr"].values.copy() for n in names}
    for k in range(len(species)):
        done: list[tuple[Array, Array, _Found]] = []
        for n in names:
            value, error = cells[n].values[..., k], cells[f"{n}_stderr"].values[..., k]
            size = 1.0 if n == "strain" else float(np.nanmedian(value))
            if not np.isfinite(size):
                continue
            y, e = value / size - float(np.nanmedian(value / size)), error / size
            near = 0.02 * float(np.nanmin(e))
            same = next((f for p, q, f in done if _equal(p, y, near) and _equal(q, e, near)), None)
            found = same or _walk(y, e, links)
            done.append((y, e, found))
            keep = np.isfinite(found.mean)
            middle = float(np.nanmedian(value / size))
            new[n][..., k] = np.where(keep, (found.mean + middle) * size, value)
            new[f"{n}_stderr"][..., k] = np.where(keep, np.hypot(found.error, common) * size, error)
            if n == "strain":
                steps[k] = found.steps
    for n, values in new.items():
        out[n] = (cells[n].dims, values, {**cells[n].attrs})
    out["smoothness"] = (("species", "along"), steps, {"units": "1"})
    out = out.assign_coords(along=("along", np.array(told)))
    out.attrs = {**cells.attrs, "smoothed": " ".join(told)}
    return out


@dataclass(frozen=True)
class _Found:
    mean: Array
    error: Array
    steps: Array


def _equal(p: Array, q: Array, near: float) -> bool:
    return bool(np.allclose(p, q, rtol=0.0, atol=near, equal_nan=True))


def _place(cells: xr.Dataset, dim: str) -> Array:
    """Coordinate in units of its median step."""
    values = cells[dim].values if dim in cells.coords else np.arange(cells.sizes[dim])
    try:
        x = np.asarray(values, float)
    except (TypeError, ValueError):
        x = np.arange(cells.sizes[dim], dtype=float)
    gap = np.abs(np.diff(x))
    if not x.size > 1 or not np.all(gap > 0):
        return np.arange(x.size, dtype=float)
    return x / float(np.median(gap))


def _walk(value: Array, error: Array, links: list[tuple[Array, int]]) -> _Found:
    """Smooth one field; dimensions that are not linked are independent maps."""
    from scipy import sparse
    from scipy.optimize import minimize

    good = np.isfinite(value) & np.isfinite(error) & (error > 0)
    mean, wide = np.full(value.shape, np.nan), np.full(value.shape, np.nan)
    number = np.full(value.shape, -1)
    n = int(good.sum())
    number[good] = np.arange(n)
    laplacians = []
    for place, axis in links:
        first = np.moveaxis(number, axis, 0)
        i, j = first[:-1], first[1:]
        both = (i >= 0) & (j >= 0)
        gap = np.abs(np.diff(place)).reshape((-1, *([1] * (value.ndim - 1))))
        w = np.broadcast_to(1.0 / gap, i.shape)[both]
        i, j = i[both], j[both]
        rows = np.concatenate([i, j, i, j])
        columns = np.concatenate([i, j, j, i])
        laplacians.append(
            sparse.csc_matrix((np.concatenate([w, w, -w, -w]), (rows, columns)), shape=(n, n))
        )
    steps = np.full(len(links), np.nan)
    if n < 4 or all(m.nnz == 0 for m in laplacians):
        return _Found(mean, wide, steps)
    y, weight = value[good], 1.0 / error[good] ** 2
    parts, _ = sparse.csgraph.connected_components(sum(laplacians[1:], laplacians[0]))
    usual = float(np.median(weight))

    def prior(log_tau: Array) -> Any:
        terms = [float(np.exp(t)) * m for t, m in zip(log_tau, laplacians, strict=True)]
        return sparse.csc_matrix(sum(terms[1:], terms[0]))

    def cost(log_tau: Array) -> float:
        """Minus twice the logarithm of the marginal likelihood."""
        q = prior(log_tau)
        tiny = 1e-7 * float(q.diagonal().mean())
        full = _factor(q + sparse.diags(weight, format="csc"))
        alone = _factor(q + tiny * sparse.identity(n, format="csc"))
        m = full[0].solve(weight * y)
        fit = float(np.sum(weight * y * (y - m)))
        # sizes of steps that the map does not tell (nought, or without bound) stay finite
        away = float(np.sum((np.maximum(np.abs(log_tau - np.log(usual)) - 12.0, 0.0)) ** 2))
        return full[1] - (alone[1] - parts * np.log(tiny)) + fit + away

    grid = np.log(usual) + np.log(10.0) * np.arange(-2.0, 4.1, 1.5)
    mesh = np.stack(np.meshgrid(*[grid] * len(links), indexing="ij"), -1).reshape(-1, len(links))
    start = mesh[int(np.argmin([cost(t) for t in mesh]))]
    best = minimize(cost, start, method="Nelder-Mead",
                    options={"xatol": 0.1, "fatol": 0.05, "maxfev": 60}).x  # fmt: skip
    solver, _ = _factor(prior(best) + sparse.diags(weight, format="csc"))
    mean[good] = solver.solve(weight * y)
    variance = np.empty(n)
    for at in range(0, n, _BLOCK):
        unit = np.zeros((n, min(_BLOCK, n - at)))
        unit[np.arange(at, at + unit.shape[1]), np.arange(unit.shape[1])] = 1.0
        variance[at : at + unit.shape[1]] = solver.solve(unit)[
            np.arange(at, at + unit.shape[1]), np.arange(unit.shape[1])
        ]
    wide[good] = np.sqrt(variance)
    return _Found(mean, wide, np.exp(-0.5 * best))


def _factor(matrix: Any) -> tuple[Any, float]:
    """LU of a positive matrix and the logarithm of its determinant."""
    from scipy.sparse.linalg import splu

    lu = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    return lu, float(np.sum(np.log(np.abs(lu.U.diagonal()))))

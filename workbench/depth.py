"""Lithium against depth from NDP spectra: profiles of free shape with honest bands.

The matrix says how many counts each depth cell sends into each channel; the profile is the
smoothest non-negative one that the counts allow. Physics of the matrix:
``spectra/techniques/_ndp_response.py``; figures: ``docs/ndp.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from spectra.convention import check, outer_dims, where, with_history
from spectra.errors import CalibrationError, ModelError
from spectra.techniques._ndp_response import Detector, Layer, cell_response, leaving
from spectra.techniques._ndp_stopping import ALPHA, TRITON, Ion, Table

from .depth_solve import Choice, Solution, choose, solve

Array = npt.NDArray[np.float64]

CONVENTION = "depth-1"

LITHIUM_UG_PER_NMOL = 6.94e-3
MAH_PER_NMOL = 96485.33212 / 3.6 * 1e-9
"""Charge of one nmol of lithium, mAh (Faraday's constant, CODATA 2018)."""

NAIVE = "channel-by-channel conversion: resolution not removed, edges smeared, tritons only"
SYSTEMATIC = (
    "Bands hold counting statistics and the bias of smoothing. Stopping powers add "
    "about 5 % to depths, not to totals."
)

_MOST = 200


@dataclass(frozen=True)
class _Grid:
    """Depth cells: layer, bounds below its front, bounds below the surface (ug/cm2), nm."""

    layer: npt.NDArray[np.int64]
    low: Array
    high: Array
    start: Array
    nm: Array

    @property
    def width(self) -> Array:
        return self.high - self.low


def depth_profile(
    ds: xr.Dataset,
    layers: Sequence[Layer | Mapping[str, Any]],
    detector: Detector | Mapping[str, Any] | None = None,
    ions: Literal["tritons", "both"] = "both",
    method: Literal["tikhonov", "naive"] = "tikhonov",
    weight: float | Choice = "evidence",
    cells: int = 60,
    background: Literal["none", "constant"] = "constant",
    shift_keV: float | Literal["fit"] = 0.0,
    kernels: bool = True,
    tables: bool = False,
) -> xr.Dataset:
    """Invert NDP spectra to lithium against depth, all spectra of the series together.

    Parameters
    ----------
    ds : xr.Dataset
        Spectrum on ``particle_energy`` with ``attrs["counts_per_nmol_s"]`` and a live time
        (``live_time(*outer)`` or ``attrs["live_time_s"]``); a variable ``background`` is added to
        the model.
    layers : sequence of Layer or mapping
        From the detector inwards. Lithium is sought from the first to the last layer with a
        ``species``, in the layers between them too; the profile may jump where layers meet.
    detector : Detector or mapping, optional
        Resolution, dead layer, cone.
    ions : str
        ``"both"``: tritons and alphas of one profile; ``"tritons"``: where alphas do not get out.
    method : str
        ``"tikhonov"``, or ``"naive"``: each channel turned into a depth, for comparison only.
    weight : float or str
        Of the penalty, one for the series: a number, or how to choose it (`depth_solve.choose`).
    cells : int
        Depth cells over the layers that may hold lithium, 8 to 200.
    background : str
        ``"constant"``: a co-fitted level per spectrum.
    shift_keV : float or str
        Shift of all energies against the matrix, one for the series; ``"fit"`` finds it within
        40 keV from the edges (a window whose stopping is known to 2 % shifts them by keV). Its
        uncertainty is not in the bands.
    kernels : bool
        Whether to return the averaging kernels of every spectrum.
    tables : bool
        Whether to invert again with a second table of stopping powers (srim_95) and return
        ``systematic``, the profile of that table less the profile (``lithium``), and
        ``total_systematic``. Not part of the bands.

    Returns
    -------
    xr.Dataset
        Convention ``"depth-1"``, dims ``(*outer, depth)``. ``depth`` is the middle of a cell in
        ug/cm2 below the surface of the stack (``depth_nm`` in nm, where densities are given).
        ``lithium``, ``stderr``, ``low``, ``high`` (95 % band): nmol of lithium per ug of matter;
        ``amount``: nmol/cm2 per cell; ``total``, ``total_stderr`` (nmol/cm2), ``total_ug``,
        ``total_mAh`` (per cm2); ``resolution`` (ug/cm2): sum over largest value of the averaging
        kernel; ``kernel(*outer, depth, from_depth)``: answer of a cell to lithium in another;
        ``redchi``, ``weight``, ``shift`` (keV).

    Raises
    ------
    CalibrationError
        If the axis is no energy, or sensitivity or live time is missing.
    ModelError
        If no layer can hold lithium, or settings are out of range.

    Notes
    -----
    Minimises ``sum (y - R x - b)^2 / model + weight * integral (u'')^2 ds`` with ``x >= 0``, u the
    lithium content over its mean and s the depth from 0 to 1, within each layer. ``stderr`` of a
    cell holds counting statistics and, added in square, the bias of smoothing as estimated from the
    answer itself; the band is 1.96 of it to each side, cut at zero. ``total_stderr`` is that of the
    posterior (G. Wahba, J. R. Stat. Soc. B 45 (1983) 133).
    """
    check(ds)
    if ds["intensity"].dims[-1] != "particle_energy":
        raise CalibrationError(
            f"{where(ds)}: the axis is {ds['intensity'].dims[-1]}; call "
            "calibrate(ds, 'known', slope_keV=..., offset_keV=...)"
        )
    if not 8 <= cells <= _MOST:
        raise ModelError(f"{where(ds)}: cells is {cells}; allowed: 8 to {_MOST}")
    if not isinstance(weight, str) and not (np.isfinite(weight) and weight > 0):
        raise ModelError(f"{where(ds)}: weight is {weight}; give a positive number or a choice")
    stack = [x if isinstance(x, Layer) else Layer.model_validate(x) for x in layers]
    eye = detector if isinstance(detector, Detector) else Detector.model_validate(detector or {})
    grid = _cells(ds, stack, cells)
    per_nmol = _per_nmol(ds)
    outer = outer_dims(ds)
    shape = tuple(ds.sizes[d] for d in outer)
    if method == "naive":
        out = _naive(ds, stack, eye, grid, per_nmol)
        return _dress(ds, out, stack, grid, outer, shape, NAIVE)
    kinds = (TRITON,) if ions == "tritons" else (TRITON, ALPHA)
    task = (ds, stack, eye, grid, per_nmol, kinds, weight, background == "constant")
    move = _shift(ds, task) if shift_keV == "fit" else float(shift_keV)
    solved, unit, penalty, seen = _tikhonov(*task, move)
    out = _read(solved, grid, unit, penalty, seen)
    out["shift"] = move
    if tables:
        task = (*task[:6], solved.weight, task[7])
        again = _shift(ds, task, "srim_95") if shift_keV == "fit" else move
        other, unit, penalty, seen = _tikhonov(*task, again, "srim_95")
        second = _read(other, grid, unit, penalty, seen)["lithium"]
        out["systematic"] = second - out["lithium"]
        out["total_systematic"] = out["systematic"] @ grid.width
    if not kernels:
        out.pop("kernel")
    return _dress(ds, out, stack, grid, outer, shape, SYSTEMATIC)


def _cells(ds: xr.Dataset, stack: Sequence[Layer], cells: int) -> _Grid:
    """Cut the layers that may hold lithium into cells of nearly equal areal density."""
    holding = [i for i, layer in enumerate(stack) if layer.species]
    if not holding:
        raise ModelError(f"{where(ds)}: no layer has a species, so none can hold lithium")
    chosen = range(holding[0], holding[-1] + 1)
    for i in chosen:
        if stack[i].areal <= 0:
            raise ModelError(
                f"{where(ds)}: layer {stack[i].name!r} has no thickness; state the thickest it gets"
            )
    whole = sum(stack[i].areal for i in chosen)
    above = np.concatenate([[0.0], np.cumsum([layer.areal for layer in stack])])
    thick = [
        layer.thickness_nm
        or (10.0 * layer.areal / layer.density_g_cm3 if layer.density_g_cm3 else np.nan)
        for layer in stack
    ]
    above_nm = np.concatenate([[0.0], np.cumsum(thick)])
    rows = []
    for i in chosen:
        n = max(4, round(cells * stack[i].areal / whole))
        bounds = np.linspace(0.0, stack[i].areal, n + 1)
        for a, b in pairwise(bounds):
            nm = above_nm[i] + 0.5 * (a + b) / stack[i].areal * thick[i]
            rows.append((i, a, b, above[i], nm))
    table = np.array(rows)
    return _Grid(table[:, 0].astype(int), *table[:, 1:].T)


def _per_nmol(ds: xr.Dataset) -> Array:
    """Return counts of one ion kind per nmol/cm2, for every spectrum."""
    sensitivity = ds.attrs.get("counts_per_nmol_s")
    if not sensitivity:
        raise CalibrationError(
            f"{where(ds)}: no sensitivity; calibrate with counts_per_nmol_s= from a reference of "
            "known areal density"
        )
    live = ds["live_time"] if "live_time" in ds else ds.attrs.get("live_time_s")
    if live is None:
        raise CalibrationError(f"{where(ds)}: no live time; set attrs['live_time_s']")
    like = ds["intensity"].isel(particle_energy=0)
    values = np.broadcast_to(xr.DataArray(live).broadcast_like(like).values, like.shape).ravel()
    if not np.all(np.isfinite(values)) or np.any(values <= 0):
        raise CalibrationError(f"{where(ds)}: live times must be positive; mask such spectra")
    return np.asarray(values * float(sensitivity), dtype=float)


def _edges(ds: xr.Dataset) -> Array:
    x = ds["particle_energy"].values.astype(float)
    middle = 0.5 * (x[1:] + x[:-1])
    return np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])


def _table(ds: xr.Dataset, name: str) -> Array:
    """Return a variable as (spectra, channels); absent is zero."""
    like = ds["intensity"]
    if name not in ds:
        return np.zeros((int(np.prod(like.shape[:-1])), like.shape[-1]))
    values = ds[name].broadcast_like(like).transpose(*like.dims).values.astype(float)
    return values.reshape(-1, like.shape[-1])


def _used(ds: xr.Dataset, counts: Array) -> npt.NDArray[np.bool_]:
    use = np.isfinite(counts)
    return use & (_table(ds, "valid") > 0) if "valid" in ds else use


def _tikhonov(
    ds: xr.Dataset,
    stack: Sequence[Layer],
    eye: Detector,
    grid: _Grid,
    per_nmol: Array,
    kinds: Sequence[Ion],
    weight: float | Choice,
    floor: bool,
    move: float,
    table: Table = "srim_85",
) -> tuple[Solution, float, Array, npt.NDArray[np.bool_]]:
    """Build matrix and penalty and solve; energies of the matrix are moved by `move` keV."""
    edges = _edges(ds) - move
    counts = _table(ds, "intensity")
    use = _used(ds, counts)
    # Channels much finer than the resolution are added up in groups: counts stay counts.
    group = max(1, int(eye.fwhm_keV / 8.0 / float(np.median(np.diff(edges)))))
    starts = np.arange(0, counts.shape[1], group)
    together = np.append(edges[starts], edges[-1])
    full = np.concatenate(
        [
            cell_response(
                stack,
                int(i),
                np.append(grid.low[grid.layer == i], grid.high[grid.layer == i][-1]),
                edges if not use.all() else together,
                eye,
                kinds,
                table,
            )
            for i in np.unique(grid.layer)
        ]
    ).T
    y = np.add.reduceat(np.where(use, counts, 0.0), starts, axis=1)
    fixed = np.add.reduceat(np.where(use, _table(ds, "background"), 0.0), starts, axis=1)
    if use.all():
        part = np.ones((1, y.shape[1]))
        matrix = full[None]
    else:  # a masked channel takes its share out of its group
        patterns = use[:1] if (use == use[:1]).all() else use
        matrix = np.stack([np.add.reduceat(full * u[:, None], starts, axis=0) for u in patterns])
        part = np.add.reduceat(patterns.astype(float), starts, axis=1)
    width = (
        np.diff(together)[None]
        * part
        / np.maximum(
            np.diff(np.append(starts, counts.shape[1]))[None] if not use.all() else 1.0, 1e-9
        )
    )
    seen = np.broadcast_to(part > 0, y.shape)
    # Unknowns are lithium contents over their mean, so that one weight suits any amount.
    net = max(float((y - fixed).clip(0).sum()), 10.0 * y.shape[0])
    mean = net / (len(kinds) * float(per_nmol.sum()))
    unit = mean / float(grid.width.sum())
    columns = matrix * (grid.width * unit)[None, None, :]
    columns = columns * (per_nmol[:, None, None] if np.ptp(per_nmol) else per_nmol[0])
    penalty, rank = _penalty(grid)
    if floor:
        level = max(float(y.mean()), 1e-3)
        flat = np.broadcast_to(
            (level * width / width.mean())[:, :, None], (columns.shape[0], y.shape[1], 1)
        )
        columns = np.concatenate([columns, flat], axis=2)
        penalty = np.pad(penalty, (0, 1))
    if isinstance(weight, str):
        weight = choose(y, seen, fixed, columns, penalty, rank, weight)
    solved = solve(y, seen, fixed, columns, penalty, float(weight))
    return solved, unit, penalty, seen


def _shift(ds: xr.Dataset, task: tuple[Any, ...], table: Table = "srim_85") -> float:
    """Find the common shift of energies (keV) on at most eight spectra of the series, added up.

    A wrong shift leaves counts that no profile explains and bends the profile at the fronts: the
    penalised chi-square at the weight chosen for the best shift of a coarse scan is least at the
    right one.
    """
    whole, stack, eye, grid, per_nmol, kinds, weight, floor = task
    outer = outer_dims(whole)
    if outer:
        flat = whole.stack(_all=outer) if len(outer) > 1 else whole.rename({outer[0]: "_all"})
        size = flat.sizes["_all"]
        pick = np.unique(np.linspace(0, size - 1, 8).round().astype(int))
        whole = flat.isel(_all=pick).transpose(..., "_all", "particle_energy")
        per_nmol = per_nmol[pick]

    def cost(move: float, at: float | Choice) -> tuple[float, float]:
        s, _, penalty, _ = _tikhonov(
            whole, stack, eye, grid, per_nmol, kinds, at, floor, float(move), table
        )
        rough = np.einsum("ni,ij,nj->", s.x, penalty, s.x)
        return float(s.chi2.sum() + s.weight * rough), s.weight

    at: float = cost(0.0, weight)[1]
    step, best = 8.0, 0.0
    coarse = np.arange(-40.0, 40.1, step)
    for _ in range(2):
        best = float(coarse[int(np.argmin([cost(m, at)[0] for m in coarse]))])
        at = cost(best, weight)[1]
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda m: cost(m, at)[0],
        bounds=(best - step, best + step),
        method="bounded",
        options={"xatol": 0.05},
    )
    return float(found.x)


def _penalty(grid: _Grid) -> tuple[Array, int]:
    """Integral of the squared second derivative over depth from 0 to 1, layer by layer."""
    k = grid.width.size
    whole = float(grid.width.sum())
    rows = []
    for i in range(k - 2):
        if grid.layer[i] == grid.layer[i + 2]:
            h = float(grid.width[i + 1]) / whole
            row = np.zeros(k)
            row[i : i + 3] = np.array([1.0, -2.0, 1.0]) / h**1.5
            rows.append(row)
    d = np.array(rows).reshape(-1, k)
    return d.T @ d, d.shape[0]


def _read(
    s: Solution,
    grid: _Grid,
    unit: float,
    penalty: Array,
    seen: npt.NDArray[np.bool_],
) -> dict[str, Any]:
    """Turn the solution into contents, bands, totals and kernels."""
    k = grid.width.size
    h = s.normal + s.weight * penalty
    h += (1e-10 * np.trace(h, axis1=1, axis2=2) / h.shape[1])[:, None, None] * np.eye(h.shape[1])
    inverse = np.linalg.inv(h)
    covariance = inverse[:, :k, :k] * unit**2
    answer = (inverse @ s.normal)[:, :k, :k]
    content = s.x[:, :k] * unit
    counting = np.einsum("nij,nji->ni", answer, covariance)
    bias = np.einsum("nij,nj->ni", inverse, s.weight * (s.x @ penalty))[:, :k] * unit
    sigma = np.sqrt(np.maximum(counting, 0.0) + bias**2)
    height = answer.max(axis=2)
    reach = np.abs(answer * grid.width).sum(axis=2)
    sharp = np.where(height > 1e-3, reach / np.maximum(height, 1e-3), np.nan)
    spread = np.einsum("i,nij,j->n", grid.width, covariance, grid.width)
    # Bins that expect no count say nothing about the agreement.
    free = np.maximum((seen & (s.model >= 0.5)).sum(axis=1) - s.edf, 1.0)
    blind = ~seen.any(axis=1)
    content[blind], sigma[blind], spread[blind] = np.nan, np.nan, np.nan
    return {
        "lithium": content,
        "stderr": sigma,
        "low": np.maximum(content - 1.959964 * sigma, 0.0),
        "high": content + 1.959964 * sigma,
        "total_stderr": np.sqrt(spread),
        "resolution": sharp,
        "kernel": answer,
        "redchi": s.chi2 / free,
        "weight": s.weight,
    }


def _naive(
    ds: xr.Dataset, stack: Sequence[Layer], eye: Detector, grid: _Grid, per_nmol: Array
) -> dict[str, Any]:
    """Turn each channel into the depth whose tritons leave with its energy."""
    edges = _edges(ds)
    counts = np.nan_to_num(_table(ds, "intensity") - _table(ds, "background"))
    summed = np.pad(np.cumsum(counts, axis=1), ((0, 0), (1, 0)))
    bounds = np.empty((grid.width.size, 2))
    for i in np.unique(grid.layer):
        at = grid.layer == i
        for side, depth in enumerate((grid.low[at], grid.high[at])):
            bounds[at, side] = leaving(stack, int(i), depth, TRITON, eye)[0]
    found = np.array(
        [
            np.interp(bounds[:, 0], edges, row) - np.interp(bounds[:, 1], edges, row)
            for row in summed
        ]
    )
    size = per_nmol[:, None] * grid.width
    content, sigma = found / size, np.sqrt(np.maximum(found, 1.0)) / size
    return {
        "lithium": content,
        "stderr": sigma,
        "low": np.maximum(content - 1.959964 * sigma, 0.0),
        "high": content + 1.959964 * sigma,
        "total_stderr": np.sqrt(((sigma * grid.width) ** 2).sum(axis=1)),
    }


def _dress(
    ds: xr.Dataset,
    found: Mapping[str, Any],
    stack: Sequence[Layer],
    grid: _Grid,
    outer: tuple[str, ...],
    shape: tuple[int, ...],
    note: str,
) -> xr.Dataset:
    dims = (*outer, "depth")
    content = "nmol/ug"
    units = {"lithium": content, "stderr": content, "low": content, "high": content,
             "total_stderr": "nmol/cm2", "systematic": content,
             "total_systematic": "nmol/cm2", "resolution": "ug/cm2", "kernel": "1",
             "redchi": "1"}  # fmt: skip
    out = xr.Dataset()
    for name, values in found.items():
        if name in ("weight", "shift"):
            out[name] = ((), float(values), {"units": "1" if name == "weight" else "keV"})
            continue
        own = outer if values.ndim == 1 else dims
        own = (*dims, "from_depth") if name == "kernel" else own
        out[name] = (own, values.reshape((*shape, *values.shape[1:])), {"units": units[name]})
    middle = grid.start + 0.5 * (grid.low + grid.high)
    out = out.assign_coords(
        depth=("depth", middle, {"units": "ug/cm2", "long_name": "areal density above the cell"}),
        depth_nm=("depth", grid.nm, {"units": "nm"}),
        cell=("depth", grid.width, {"units": "ug/cm2"}),
        layer=("depth", np.array([stack[i].name for i in grid.layer])),
    )
    for key, coord in ds["intensity"].coords.items():
        if "particle_energy" not in coord.dims and key not in out.coords:
            out = out.assign_coords({key: coord})
    out["amount"] = out["lithium"] * out["cell"]
    out["amount"].attrs["units"] = "nmol/cm2"
    total = out["amount"].sum("depth", skipna=False)
    for name, factor, unit in (
        ("total", 1.0, "nmol/cm2"),
        ("total_ug", LITHIUM_UG_PER_NMOL, "ug/cm2"),
        ("total_mAh", MAH_PER_NMOL, "mAh/cm2"),
    ):
        out[name] = total * factor
        out[name].attrs["units"] = unit
    naive = "weight" not in out
    out.attrs = {
        **{k: v for k, v in ds.attrs.items() if k != "convention"},
        "convention": CONVENTION,
        "method": "naive" if naive else "tikhonov",
        "note": note,
    }
    return with_history(out, f"depth_profile {out.attrs['method']}")

"""Lithium against depth from NDP spectra: profiles of free shape with honest bands.

The matrix says how many counts each depth cell sends into each channel; the profile is the
smoothest non-negative one that the counts allow. Physics of the matrix:
``spectra/techniques/_ndp_response.py``; figures: ``docs/ndp.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from spectra.convention import check, outer_dims, where
from spectra.errors import CalibrationError, ModelError
from spectra.techniques._ndp_response import Detector, Layer, leaving, lithium_per_ug
from spectra.techniques._ndp_stopping import ALPHA, TRITON, Ion, Table

from ..provenance import stamp
from ..steps import record
from . import matrix
from .bands import from_draws, read, systematic, together
from .drift import errors as shift_errors
from .drift import inverted as drifting
from .growth import inverted
from .joint import Rule, joint
from .local import LESS, roughness
from .matrix import System, Task
from .sample import sample
from .solve import Choice, Solution, choose, solve

Array = npt.NDArray[np.float64]

CONVENTION = "depth-1"

LITHIUM_UG_PER_NMOL = 6.94e-3
MAH_PER_NMOL = 96485.33212 / 3.6 * 1e-9
"""Charge of one nmol of lithium, mAh (Faraday's constant, CODATA 2018)."""

NAIVE = "channel-by-channel conversion: resolution not removed, edges smeared, tritons only"
BANDS = (
    "Bands hold counting statistics, the bias of smoothing, stopping powers wrong by {0:g} % (one "
    "standard deviation at birth, more below) and a fitted energy shift; errors of depths and "
    "areas of the stack are not in them."
)

_MOST = 200
_LOOKED_AT = 48
_DRAWS, _BURN, _SEED = 200, 30, 20120


def depth_profile(
    ds: xr.Dataset,
    layers: Sequence[Layer | Mapping[str, Any]],
    detector: Detector | Mapping[str, Any] | None = None,
    ions: Literal["tritons", "both"] = "both",
    method: Literal["tikhonov", "posterior", "naive"] = "tikhonov",
    weight: float | Choice = "evidence",
    cells: int = 60,
    background: Literal["none", "constant"] = "constant",
    shift_keV: float | Literal["fit", "each"] = 0.0,
    kernels: bool = True,
    tables: bool = False,
    stopping: float = 0.02,
    in_time: float | Literal["none", "evidence", "discrepancy"] = "none",
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
        ``species``, in the layers between them too; the profile may jump where layers meet. A
        layer with ``grows`` is one cell of that pure matter: its thickness follows its lithium in
        every spectrum, and what lies below moves with it.
    detector : Detector or mapping, optional
        Resolution, dead layer, cone.
    ions : str
        ``"both"``: tritons and alphas of one profile; ``"tritons"``: where alphas do not get out.
    method : str
        ``"tikhonov"``; ``"posterior"``: 200 draws of the non-negative posterior around it, and of
        the weight unless that is a number (`depth_sample.sample`), whose mean and quantiles are
        returned; or ``"naive"``: each channel turned into a depth, for comparison only.
    weight : float or str
        Of the penalty, one for the series: a number, or how to choose it (`depth_solve.choose`).
        ``"evidence"`` also finds how rough the series is at each depth, and takes a third of the
        most probable weight (`depth.local`): bands then hold what they should.
    cells : int
        Depth cells over the layers that may hold lithium, 8 to 200.
    background : str
        ``"constant"``: a co-fitted level per spectrum.
    shift_keV : float or str
        Shift of all energies against the matrix, one for the series; ``"fit"`` finds it within
        40 keV from the edges (a window whose stopping is known to 2 % shifts them by keV);
        ``"each"`` then finds one for every spectrum, together with its profile (a drifting scale).
    kernels : bool
        Whether to return the averaging kernels of every spectrum.
    tables : bool
        Whether to invert again with a second table of stopping powers (srim_95) and return
        ``systematic``, the profile of that table less the profile (``lithium``), and
        ``total_systematic``: shown beside the bands, which hold ``stopping`` instead.
    stopping : float
        Relative standard error of stopping powers at the birth energies, 0 to 0.2. The default is
        what catima's tables differ by from NIST's; 0 leaves it out of the bands.
    in_time : float or str
        Smoothing from spectrum to spectrum along the one outer dimension (`depth_time.joint`):
        ``"none"``, a weight, or how to choose it. Each cell is then an average over neighbours in
        time too; a jump between two spectra is smeared.

    Returns
    -------
    xr.Dataset
        Convention ``"depth-1"``, dims ``(*outer, depth)``. ``depth`` is the middle of a cell in
        ug/cm2 below the surface of the stack (``depth_nm`` in nm, where densities are given).
        ``lithium``, ``stderr``, ``low``, ``high`` (95 % band): nmol of lithium per ug of matter;
        ``stderr`` is ``stderr_statistical`` and ``stderr_systematic`` added in square (the second
        is one error shared by the series, not one per spectrum);
        ``amount``: nmol/cm2 per cell; ``total``, ``total_stderr`` (and its two parts; nmol/cm2),
        ``total_ug``, ``total_mAh`` (per cm2); ``by_species`` and ``by_species_covar``: lithium of
        the layers of one species (a layer without one goes by its name), nmol/cm2;
        ``resolution`` (ug/cm2): sum over largest value of the averaging kernel;
        ``kernel(*outer, depth, from_depth)``: answer of a cell to lithium in another; ``redchi``,
        ``excess`` (chi-square above its degrees of freedom, in standard deviations), ``weight``,
        ``shift`` and ``shift_stderr`` (keV); ``status``: ok, no_data, or poor_fit (``excess``
        above 4.75, by chance once in a million). With a layer that grows: ``grown(*outer)``, its
        areal density, and ``place(*outer, depth)``, where the middle of each cell is then; the
        coordinate ``depth`` leaves it out, so a cell below it stays the same matter.

    Raises
    ------
    CalibrationError
        If the axis is no energy, or sensitivity or live time is missing.
    ModelError
        If no layer can hold lithium, or settings are out of range.

    Notes
    -----
    Minimises ``sum (y - R x - b)^2 / model + weight * integral (u'')^2 ds`` with ``x >= 0``, u the
    lithium content over its mean and s the depth from 0 to 1, within each layer. The statistical
    error of a cell holds counting and, added in square, the bias of smoothing as estimated from the
    answer itself; that of the total is the posterior's (G. Wahba, J. R. Stat. Soc. B 45 (1983)
    133). Systematic errors are found by inverting again with stopping powers of each ion changed
    up and down, evenly and growing to low energy (`depth_bands.TILT`), and with the shift moved by
    its error. The band is 1.96 ``stderr`` to each side, cut at zero.
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
    if not 0 <= stopping <= 0.2:
        raise ModelError(f"{where(ds)}: stopping is {stopping}; allowed: 0 to 0.2")
    given = {
        "layers": [x.model_dump(mode="json", exclude_defaults=True) for x in stack],
        "detector": eye.model_dump(mode="json", exclude_defaults=True),
        "ions": ions, "method": method, "weight": weight, "cells": cells, "background": background,
        "shift_keV": shift_keV, "kernels": kernels, "tables": tables, "stopping": stopping,
        "in_time": in_time,
    }  # fmt: skip
    task = _task(ds, stack, eye, cells, ions, background)
    if shift_keV == "each" and (task.grid.growing >= 0 or method == "naive"):
        raise ModelError(
            f"{where(ds)}: a shift for each spectrum goes with no growing layer and no naive method"
        )
    if method == "naive":
        if task.grid.growing >= 0:
            raise ModelError(f"{where(ds)}: method 'naive' takes no layer that grows")
        return _dress(ds, _naive(task), task, NAIVE, given)
    time: Array | None = None
    rule: float | Rule = 1.0
    if in_time != "none":
        time, rule = _clock(ds, method), in_time
    out = _regularised(task, method, weight, shift_keV, tables, stopping, time, rule)
    if task.grid.growing >= 0:
        _grown(out, task)
    if not kernels:
        out.pop("kernel")
    return _dress(ds, out, task, BANDS.format(100 * stopping), given)


def _task(
    ds: xr.Dataset, stack: Sequence[Layer], eye: Detector, cells: int, ions: str, background: str
) -> Task:
    counts = matrix.flat(ds, "intensity")
    task = Task(
        tuple(stack),
        eye,
        matrix.cut(where(ds), stack, cells),
        (TRITON,) if ions == "tritons" else (TRITON, ALPHA),
        matrix.per_nmol(ds),
        background == "constant",
        matrix.channel_edges(ds),
        counts,
        matrix.flat(ds, "background"),
        matrix.used(ds, counts),
    )
    if task.grid.growing < 0:
        return task
    most = 1.02 * matrix.most_grown(task)
    return replace(task, grid=matrix.cut(where(ds), stack, cells, most))


def _regularised(
    task: Task,
    method: str,
    weight: float | Choice,
    shift_keV: float | Literal["fit", "each"],
    tables: bool,
    stopping: float,
    time: Array | None,
    in_time: float | Rule,
) -> dict[str, Any]:
    """Invert, and invert again for every systematic error."""
    finder = None if isinstance(shift_keV, (int, float)) else _Shift(task, weight)
    move = finder.move if finder else float(shift_keV)
    move_error = finder.parabola()[1] if finder and shift_keV == "fit" else 0.0
    shifts = np.full(task.counts.shape[0], move)
    each = shift_keV == "each"
    chosen = weight
    if weight == "evidence":
        task, chosen = _local(task, move)
    if each:
        solved, made, shifts = drifting(
            task, chosen, shifts, keep=time is not None or method == "posterior"
        )
    else:
        solved, made = _inverted(task, chosen, move)
    if time is None:
        out = read(solved, made, task.grid)
    else:
        after, inverse, errors, found = joint(
            solved,
            made,
            time,
            task.grid.width.size,
            in_time,
            again=isinstance(weight, str),
        )
        out = read(after, made, task.grid, inverse, errors)
        out["weight_in_time"] = found
    base = solved.x[:, : task.grid.width.size] * made.unit
    out |= {"shift": move, "shift_stderr": move_error}
    if each:
        out |= {"shift": shifts, "shift_stderr": shift_errors(solved, made.penalty)}

    def again(kinds: tuple[Ion, ...], at: float, table: Table = "srim_85") -> Array:
        changed = replace(task, kinds=kinds)
        if each:
            other, system, _ = drifting(changed, solved.weight, shifts, table, solved)
        else:
            other, system = _inverted(changed, solved.weight, at, table)
        return np.asarray(other.x[:, : task.grid.width.size] * system.unit)

    moves = systematic(
        base,
        again,
        task.kinds,
        stopping,
        move,
        move_error,
        (lambda kinds: finder.parabola(kinds)[0]) if finder and not each else None,
    )
    together(out, moves, task.grid, _sums(task))
    if method == "posterior":
        held = not isinstance(weight, str)
        x, weights = sample(solved, made, _DRAWS, _BURN, held, _SEED)
        draws = x[:, :, : task.grid.width.size] * made.unit
        from_draws(out, draws, moves, task.grid, _sums(task), _SEED)
        out["weight"] = float(np.median(weights))
    if tables:
        there = _Shift(task, solved.weight, "srim_95").move if finder and not each else move
        out["systematic"] = again(task.kinds, there, "srim_95") - base
        out["total_systematic"] = out["systematic"] @ task.grid.width
    return out


def _local(task: Task, move: float) -> tuple[Task, float]:
    """Let the series say how rough it is at each depth; return the weight that goes with it."""
    pick = np.unique(np.linspace(0, task.counts.shape[0] - 1, _LOOKED_AT).round().astype(int))
    s, made = _inverted(matrix.part(task, pick), "evidence", move)
    return replace(task, grid=roughness(s, made, task.grid)), s.weight / LESS


def _inverted(
    task: Task, weight: float | Choice, move: float, table: Table = "srim_85"
) -> tuple[Solution, System]:
    """Build the system and solve it; energies of the matrix are moved by `move` keV."""
    if task.grid.growing >= 0:
        return inverted(task, weight, move, table)[:2]
    made = matrix.system(task, matrix.matrix(task, move, table))
    data = (made.y, made.seen, made.fixed, made.columns, made.penalty)
    if isinstance(weight, str):
        weight = choose(*data, made.rank, weight)
    return solve(*data, float(weight)), made


def _clock(ds: xr.Dataset, method: str) -> Array:
    """Return the one outer coordinate, ascending, or say why there is none."""
    outer = outer_dims(ds)
    if len(outer) != 1 or ds.sizes[outer[0]] < 3 or method != "tikhonov":
        raise ModelError(
            f"{where(ds)}: in_time needs method 'tikhonov' and one outer dimension of three "
            f"spectra or more; found {method!r} and {', '.join(outer) or 'one spectrum'}"
        )
    time = np.asarray(ds[outer[0]].values, dtype=float)
    if not np.all(np.diff(time) > 0):
        raise ModelError(f"{where(ds)}: {outer[0]} does not ascend; sort the series")
    return time


class _Shift:
    """The common shift of energies, found on at most eight spectra of the series.

    A wrong shift leaves counts that no profile explains and bends the profile at the fronts: the
    penalised chi-square at the weight chosen for the best shift of a coarse scan is least at the
    right one.
    """

    def __init__(self, task: Task, weight: float | Choice, table: Table = "srim_85") -> None:
        pick = np.unique(np.linspace(0, task.counts.shape[0] - 1, 8).round().astype(int))
        self.task, self.table = matrix.part(task, pick), table
        step, best = 8.0, 0.0
        coarse = np.arange(-40.0, 40.1, step)
        self.weight = weight
        self.weight = self.cost(0.0)[1]
        for _ in range(2):
            best = float(coarse[int(np.argmin([self.cost(m)[0] for m in coarse]))])
            self.weight = weight
            self.weight = self.cost(best)[1]
        from scipy.optimize import minimize_scalar

        found = minimize_scalar(
            lambda m: self.cost(m)[0],
            bounds=(best - step, best + step),
            method="bounded",
            options={"xatol": 0.05},
        )
        self.move = float(found.x)

    def cost(self, move: float, kinds: tuple[Ion, ...] | None = None) -> tuple[float, float]:
        """Return the penalised chi-square and the weight it was found with."""
        task = replace(self.task, kinds=kinds) if kinds else self.task
        s, made = _inverted(task, self.weight, move, self.table)
        rough = np.einsum("ni,ij,nj->", s.x, made.penalty, s.x)
        return float(s.chi2.sum() + s.weight * rough), s.weight

    def parabola(self, kinds: tuple[Ion, ...] | None = None) -> tuple[float, float]:
        """Return the shift and its standard error from the curvature around the one found."""
        step = 2.0
        a, b, c = (self.cost(self.move + d, kinds)[0] for d in (-step, 0.0, step))
        curve = (a - 2.0 * b + c) / step**2
        if not curve > 0:
            return self.move, step
        away = -0.5 * (c - a) / step / curve
        return self.move + float(np.clip(away, -3 * step, 3 * step)), float(np.sqrt(2.0 / curve))


def _grown(out: dict[str, Any], task: Task) -> None:
    """Say how thick the growing layer is, its contents per its own matter, and where cells are."""
    grid, g = task.grid, task.grid.growing
    layer = task.stack[int(grid.layer[g])]
    out["amount"] = out["lithium"] * grid.width
    areal = out["amount"][:, g] / lithium_per_ug(layer.formula)
    scale = np.where(areal > 0, grid.width[g] / np.where(areal > 0, areal, 1.0), np.nan)
    for name in ("lithium", "stderr", "stderr_statistical", "stderr_systematic", "low", "high",
                 "systematic", "resolution"):  # fmt: skip
        if name in out:
            out[name] = out[name].copy()
            out[name][:, g] *= scale if name != "resolution" else np.nan
    below = np.arange(grid.width.size) > g
    place = grid.start + 0.5 * (grid.low + grid.high) + np.where(below, areal[:, None], 0.0)
    place[:, g] = grid.start[g] + 0.5 * areal
    out["grown"], out["place"] = areal, place


def _naive(task: Task) -> dict[str, Any]:
    """Turn each channel into the depth whose tritons leave with its energy."""
    edges, grid = task.edges, task.grid
    counts = np.nan_to_num(task.counts - task.fixed)
    summed = np.pad(np.cumsum(counts, axis=1), ((0, 0), (1, 0)))
    bounds = np.empty((grid.width.size, 2))
    for i in np.unique(grid.layer):
        at = grid.layer == i
        for side, depth in enumerate((grid.low[at], grid.high[at])):
            bounds[at, side] = leaving(task.stack, int(i), depth, TRITON, task.eye)[0]
    found = np.array(
        [
            np.interp(bounds[:, 0], edges, row) - np.interp(bounds[:, 1], edges, row)
            for row in summed
        ]
    )
    size = task.per_nmol[:, None] * grid.width
    content, sigma = found / size, np.sqrt(np.maximum(found, 1.0)) / size
    per = _sums(task) * grid.width
    return {
        "by_species": content @ per.T,
        "by_species_covar": np.einsum("si,ni,ti->nst", per, sigma**2, per),
        "lithium": content,
        "stderr": sigma,
        "low": np.maximum(content - 1.959964 * sigma, 0.0),
        "high": content + 1.959964 * sigma,
        "total_stderr": np.sqrt(((sigma * grid.width) ** 2).sum(axis=1)),
    }


def _labels(task: Task) -> list[str]:
    """Name what each layer's lithium is counted under."""
    layers = [task.stack[i] for i in task.grid.layer]
    return list(dict.fromkeys(layer.species or layer.name for layer in layers))


def _sums(task: Task) -> Array:
    layers = [task.stack[i] for i in task.grid.layer]
    return np.array(
        [[float((x.species or x.name) == label) for x in layers] for label in _labels(task)]
    )


def _dress(
    ds: xr.Dataset, found: Mapping[str, Any], task: Task, note: str, given: Mapping[str, Any]
) -> xr.Dataset:
    outer = outer_dims(ds)
    shape = tuple(ds.sizes[d] for d in outer)
    grid = task.grid
    out = xr.Dataset()
    for name, values in found.items():
        unit = _unit(name)
        if np.ndim(values) == 0:
            out[name] = ((), float(values), {"units": unit})
            continue
        last = {"kernel": ("depth", "from_depth"), "by_species": ("species",),
                "by_species_covar": ("species", "species_2")}  # fmt: skip
        own = outer if values.ndim == 1 else (*outer, *last.get(name, ("depth",)))
        out[name] = (own, values.reshape((*shape, *values.shape[1:])), {"units": unit})
    middle = grid.start + 0.5 * (grid.low + grid.high)
    if grid.growing >= 0:
        middle[grid.growing] = grid.start[grid.growing]
    out = out.assign_coords(
        depth=("depth", middle, {"units": "ug/cm2", "long_name": "areal density above the cell"}),
        depth_nm=("depth", grid.nm, {"units": "nm"}),
        cell=("depth", grid.width, {"units": "ug/cm2"}),
        layer=("depth", np.array([task.stack[i].name for i in grid.layer])),
        species=("species", np.array(_labels(task))),
        species_2=("species_2", np.array(_labels(task))),
    )
    for key, coord in ds["intensity"].coords.items():
        if "particle_energy" not in coord.dims and key not in out.coords:
            out = out.assign_coords({key: coord})
    if "amount" not in out:
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
    out["status"] = _status(out)
    out.attrs = {
        **{k: v for k, v in ds.attrs.items() if k not in ("convention", "recipe")},
        "convention": CONVENTION,
        "method": given["method"],
        "note": note,
    }
    return record(stamp(out, ds), "depth_profile", given)


def _unit(name: str) -> str:
    if name in ("grown", "place"):
        return "ug/cm2"
    if name.startswith("total") or name in ("by_species", "amount"):
        return "nmol/cm2"
    if name == "by_species_covar":
        return "(nmol/cm2)^2"
    if name in ("redchi", "excess", "weight", "weight_in_time", "kernel"):
        return "1"
    return {"resolution": "ug/cm2", "shift": "keV", "shift_stderr": "keV"}.get(name, "nmol/ug")


def _status(out: xr.Dataset) -> xr.DataArray:
    """Flag spectra without data, and those the model does not describe."""
    code = xr.zeros_like(out["total"], dtype=np.uint8)
    if "excess" in out:
        code = code.where(~(out["excess"] > 4.75), np.uint8(2))
    code = code.where(out["total"].notnull(), np.uint8(1)).astype(np.uint8)
    meanings = "ok no_data poor_fit"
    code.attrs = {"flag_values": np.arange(3, dtype=np.uint8), "flag_meanings": meanings}
    return code

"""One spectrum and the models of sets of species on it, fitted as they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

import references
from references.errors import InterphaseError
from references.model import Line
from spectra import techniques
from spectra.component import Component, Components, Param, names_in
from spectra.convention import axis_of

from ..engine.batched import deviance, gram, minimise
from ..engine.lift import Job, arrays_of, solve, weights_of
from ..engine.plan import Plan, build, jacobian, model
from ..engine.problem import COUNT_FLOOR, Block
from ..engine.uncertainty import S_NOT_CONVERGED
from ..engine.warm import ready
from ..fit import block_of
from ..run import statistic_for
from ..verbs import propose
from .fitted import Amounts, Fitted, positive, sane
from .flexible import RIGID, Freedom, with_freedom

Array = npt.NDArray[np.float64]
_EDM = 1e-3
"""Fits for comparison end this close to the minimum of chi-square."""
_MANY = 10
"""Lines from which on the compiled engine fits."""
_STRONG = 0.3
"""Relative intensity from which a line counts as a feature of its species."""
_SETTINGS: dict[str, dict[str, Any]] = {
    # Cells refined on the spectrum would follow the lines of other phases where theirs is absent.
    "edxrd": {"cells": "library", "lattice": "each", "strain_range": 0.005},
    "xrd": {"bounds": "range", "cell_range": 0.005},
    # One sample: its core levels are tied by atoms.
    "xps": {"tie_levels": True},
}
"""How species are proposed where the user says nothing."""


class View:
    """One spectrum and the models of sets of species on it, each made once.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum without outer dims.
    source : int
        Which of the user's datasets it belongs to.
    count : int
        Spectra summed in it.
    library : references.Library
    settings : mapping, optional
        Settings of ``propose``.
    """

    def __init__(
        self,
        ds: xr.Dataset,
        source: int,
        count: int,
        library: references.Library,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.ds, self.source, self.count, self.library = ds, source, count, library
        technique = str(ds.attrs["technique"])
        self.settings = {**_SETTINGS.get(technique, {}), **(settings or {})}
        self.handler = techniques.get(technique)
        self.origin = weights_of(ds)
        self.x = np.asarray(ds[axis_of(ds)].values, dtype=float)
        self.hint: dict[str, float] = {}
        self._plans: dict[tuple[tuple[str, ...], Freedom], Plan] = {}
        self._whole: Components | None = None
        self._shows: dict[str, bool] = {}
        self.refusals: dict[str, InterphaseError] = {}
        """Why species could not be proposed."""
        self._ground = Components([_polynomial(ds)])
        self.block = block_of(ds, build(self._ground), statistic_for(ds))
        if self.block.scale:  # no errors of their own: the scatter of neighbours
            self.block = _scattered(self.block)
        seen = self.block.weight[0] > 0.0
        self.points = int(np.count_nonzero(seen))
        static = 0.0 if self.block.background is None else self.block.background[0]
        self.y = np.where(seen, self.block.y[0] - static, 0.0)
        above = self.y - np.percentile(self.y[seen], 10.0) if seen.any() else self.y
        self.intensity = float(np.trapezoid(np.where(seen, np.maximum(above, 0.0), 0.0), self.x))
        """All intensity above the lowest: no area is larger."""

    def shows(self, species: str) -> bool:
        """Whether a species has anything to show here."""
        if species not in self._shows:
            try:
                found = self._proposed([species])
            except InterphaseError as error:
                found = Components()
                self.refusals[species] = error
            self._shows[species] = species in found.species
        return self._shows[species]

    def lines(self, species: str) -> tuple[Line, ...]:
        """Return the library's lines of a species on this axis; none for crystals."""
        technique = self.handler.name
        if technique not in ("xps", "nmr", "raman"):
            return ()
        inside = [
            line
            for line in self.library.lines(technique, species)
            if self.x[0] <= line.value <= self.x[-1]
        ]
        nucleus = self.ds.attrs.get("nucleus")
        return tuple(i for i in inside if nucleus is None or i.transition == nucleus)

    def unmistakable(self, species: str) -> bool:
        """Whether its lines here tell a species from those that the library does not hold."""
        needed = self.handler.fingerprint
        if needed is None or not self.shows(species):
            return False
        strong = [i for i in self.lines(species) if (i.relative_intensity or 1.0) >= _STRONG]
        return len(strong) >= needed

    def prepare(self, names: Sequence[str]) -> None:
        """Propose all candidates at once where their components do not lean on one another."""
        shown = [n for n in names if self.shows(n)]
        if not shown:
            return
        whole = self._proposed(shown)
        owner = {f"{c.name}.{key}": c.species for c in whole for key in c.params}

        def alone(component: Component) -> bool:
            used = [
                other
                for param in component.params.values()
                if param.expr is not None
                for other in names_in(param.expr)
            ]
            return all(owner.get(other, component.species) == component.species for other in used)

        self._whole = whole if all(alone(c) for c in whole) else None
        bare = [c for c in whole if c.species is None and alone(c)]
        self._ground = Components(bare or [_polynomial(self.ds)])
        self._plans.clear()

    def plan(self, species: Iterable[str], freedom: Freedom = RIGID) -> Plan:
        """Return the plan of a set, those that show nothing here left out."""
        shown = tuple(n for n in species if self.shows(n))
        key = (shown, freedom)
        if key not in self._plans:
            components = self._components(shown) if shown else self._ground
            self._plans[key] = build(with_freedom(components, freedom, self.library))
        return self._plans[key]

    def fit(self, species: Iterable[str], freedom: Freedom = RIGID) -> Fitted | None:
        """Fit a set from where the last good fit lay; None if that fails."""
        plan = self.plan(sorted(species), freedom)
        if self.points <= plan.size:
            return None
        start = self.linear_start(plan, self.starting(plan, self.hint))
        found = self._minimised(plan, start)
        if found is None:
            return None
        p, hessian, value = found
        if self.block.poisson:
            curve = self._curve(plan, p)
            value = float(deviance(self.block.y, curve[None], self.block.weight > 0.0)[0])
        full = plan.transform(p[None])[0][0]
        ranges, areas = self._ranges(plan)
        return Fitted(plan, p, full, hessian, value, ranges, areas, self.points)

    def _minimised(self, plan: Plan, start: Array) -> tuple[Array, Array, float] | None:
        """Return parameters, Gram matrix and chi-square of one fit.

        Powder patterns have hundreds of lines: there the compiled engine pays, if it is warm. Where
        the likelihood of counts does not converge, far from what the model can describe, least
        squares do.
        """
        if len(plan.primitives) <= _MANY or self.origin == "none" or not ready():
            solution = minimise(plan, self.block, start, _EDM)
            if not solution.converged[0] or not np.isfinite(solution.chisqr[0]):
                return None
            return solution.p[0], solution.hessian[0], float(solution.chisqr[0])
        for poisson in (True, False) if self.block.poisson else (False,):
            job = Job(replace(plan, start=start), self.x, self.origin, poisson, "batch", True, ())
            report = solve(job, arrays_of(self.ds), None, 1)
            p = np.asarray(report.value[0][plan.free])
            if report.status[0] == S_NOT_CONVERGED or not np.all(np.isfinite(p)):
                continue
            covariance = report.covar[0][np.ix_(plan.free, plan.free)]  # type: ignore[index]
            if np.all(np.isfinite(covariance)) and np.all(np.diagonal(covariance) > 0.0):
                return p, np.asarray(np.linalg.inv(sane(covariance))), float(report.chisqr[0])
            # Parameters at a bound have no covariance, but curvature.
            return p, gram(plan, self.block, p[None])[0], float(report.chisqr[0])
        return None

    def _ranges(self, plan: Plan) -> tuple[Array, npt.NDArray[np.int64]]:
        """Areas may be as large as all intensity; other parameters lie within their bounds."""
        width = plan.upper - plan.lower
        ranges = np.where(np.isfinite(width), width, np.nan)
        areas = [c for columns in area_columns(plan).values() for c in columns]
        ranges[areas] = self.intensity
        ranges[ground_columns(plan)] = np.nan
        return ranges, np.array(sorted(areas), dtype=np.int64)

    def starting(self, plan: Plan, values: Mapping[str, float]) -> Array:
        """Return a plan's start with some parameters at told values."""
        start = plan.start.copy()
        for k, i in enumerate(plan.free):
            told = values.get(plan.names[i])
            if told is not None and np.isfinite(told):
                start[k] = min(max(told, plan.lower[k]), plan.upper[k])
        return start

    def linear_start(self, plan: Plan, p: Array) -> Array:
        """Return a start with areas and background where they fit best."""
        linear = np.flatnonzero(plan.linear)
        if not linear.size:
            return p
        curve, rows = jacobian(plan, self.x, p[None])
        rows = rows[0] * self.weight()
        rest = (self.y - curve[0]) * self.weight() + p[linear] @ rows[linear]
        gram = rows[linear] @ rows[linear].T
        best = solved(gram, rows[linear] @ rest)
        out = p.copy()
        out[linear] = np.clip(best, plan.lower[linear], plan.upper[linear])
        return out

    def weight(self) -> Array:
        """Return 1 / standard deviation of every point by the data alone; 0 where masked."""
        if not self.block.poisson:
            return self.block.weight[0]
        level = np.convolve(np.pad(self.block.y[0], 3, mode="edge"), np.full(7, 1 / 7), "valid")
        seen = self.block.weight[0] > 0.0
        return np.where(seen, 1.0 / np.sqrt(np.maximum(level, 0.5)), 0.0)

    def residual(self, fitted: Fitted) -> tuple[Array, Array, Array]:
        """Return weighted residual (N,), Jacobian (n, N), and the weights under the model (N,)."""
        curve, rows = jacobian(fitted.plan, self.x, fitted.p[None])
        weight = self.block.weight[0]
        if self.block.poisson:
            static = 0.0 if self.block.background is None else self.block.background[0]
            expected = np.maximum(curve[0] + static, COUNT_FLOOR)
            weight = np.where(weight > 0.0, 1.0 / np.sqrt(expected), 0.0)
        return (self.y - curve[0]) * weight, rows[0] * weight, weight

    def amounts(self, fitted: Fitted, dispersion: float = 1.0) -> Amounts | None:
        """Return what a fit says about amounts per spectrum; None where nothing is quantified."""
        components = fitted.plan.components
        if self.handler.quantify is None or not components.species:
            return None
        meaning = self.handler.quantify(components, self.ds.attrs, self.library)
        rows = np.zeros((len(meaning.quantities), len(fitted.plan.names)))
        for k, quantity in enumerate(meaning.quantities):
            for name, weight in quantity.weights.items():
                rows[k, fitted.plan.index[name]] = weight / self.count
        _, entries = fitted.plan.transform(fitted.p[None])
        along = rows @ fitted.plan.dense(entries)[0]
        raw = rows @ fitted.full
        drawn = positive(*fitted.draws(dispersion), fitted.areas)
        draws = raw + (drawn - fitted.p) @ along.T
        return Amounts(
            tuple(q.species for q in meaning.quantities),
            raw,
            along @ fitted.covariance(dispersion) @ along.T,
            self.intensity * rows.max(axis=1),
            draws,
            meaning.kind,
            "" if meaning.kind == "fraction" else meaning.units,
        )

    def yields(self, names: Sequence[str]) -> tuple[dict[str, float], str, str]:
        """Return, for some species, amount per area of the main component; kind and units."""
        shown = [n for n in names if self.shows(n)]
        if self.handler.quantify is None or not shown:
            return {}, "", ""
        components = self.plan(shown).components
        meaning = self.handler.quantify(components, self.ds.attrs, self.library)
        first = {q.species: next(iter(q.weights.values())) / self.count for q in meaning.quantities}
        return first, meaning.kind, "" if meaning.kind == "fraction" else meaning.units

    def _curve(self, plan: Plan, p: Array) -> Array:
        curve = model(plan, self.x, p[None])[0]
        return curve if self.block.background is None else curve + self.block.background[0]

    def _components(self, shown: Sequence[str]) -> Components:
        if self._whole is None:
            return self._proposed(shown)
        order = {name: k for k, name in enumerate(shown)}
        mine = [c for c in self._whole if c.species in order]
        mine.sort(key=lambda c: order[str(c.species)])
        rest = [c for c in self._whole if c.species is None]
        return Components([*mine, *rest], _leaned_on([*mine, *rest], self._whole.common))

    def _proposed(self, species: Sequence[str]) -> Components:
        """Propose species; counts have no background below zero, which some sets would ask for."""
        found = propose(self.ds, species, library=self.library, settings=self.settings)
        if self.block.poisson:
            for ground in (c for c in found if c.role == "background" and "area" in c.params):
                if ground.params["area"].vary:
                    found = found.set(f"{ground.name}.area", min=0.0)
        return found


def _leaned_on(components: Sequence[Component], common: Mapping[str, Param]) -> dict[str, Param]:
    """Return the common parameters that some components use, directly or through others."""
    params = [p for c in components for p in c.params.values()]
    used: set[str] = set()
    while params:
        asked = {n for p in params if p.expr is not None for n in names_in(p.expr)} - used
        used |= asked
        params = [common[n] for n in asked if n in common]
    return {name: param for name, param in common.items() if name in used}


def _polynomial(ds: xr.Dataset) -> Component:
    x = ds[axis_of(ds)].values
    params = {
        "c0": Param(value=float(np.nanmedian(ds["intensity"].values))),
        "c1": Param(value=0.0),
        "c2": Param(value=0.0),
        "x0": Param(value=0.5 * float(x[0] + x[-1]), vary=False),
    }
    return Component(name="ground", shape="polynomial", role="background", params=params)


def _scattered(block: Block) -> Block:
    """Give data without errors those of the scatter between neighbours, alike everywhere."""
    y, seen = block.y[0], block.weight[0] > 0.0
    steps = np.abs(np.diff(y[seen]))
    # The median of |difference| of two normals is 0.9539 sigma.
    sigma = float(np.median(steps)) / 0.9539 if steps.size else 1.0
    weight = np.where(seen, 1.0 / max(sigma, 1e-300), 0.0)[None]
    return Block(block.x, block.y, weight, block.background, False, block.poisson)


def solved(gram: Array, right: Array, floor: float = 1e-9) -> Array:
    """Solve normal equations after scaling them to a unit diagonal, with a small ridge."""
    scale = 1.0 / np.sqrt(np.maximum(np.diagonal(gram), 1e-300))
    scaled = gram * scale[:, None] * scale[None, :] + floor * np.eye(len(gram))
    return np.asarray(np.linalg.solve(scaled, right * scale) * scale)


def area_columns(plan: Plan) -> dict[str, list[int]]:
    """Return the free parameters behind each species' areas."""
    found: dict[str, list[int]] = {}
    for component in plan.components:
        name = f"{component.name}.area"
        if component.species is None or component.role == "background" or name not in plan.index:
            continue
        columns = found.setdefault(component.species, [])
        for c in plan.columns_of(plan.index[name]).tolist():
            if c not in columns:
                columns.append(c)
    return found


def ground_columns(plan: Plan) -> list[int]:
    """Return the linear free parameters that belong to no species."""
    taken = {c for columns in area_columns(plan).values() for c in columns}
    return [int(c) for c in np.flatnonzero(plan.linear) if int(c) not in taken]


def typical_width(plan: Plan, full: Array) -> float:
    """Return the median full width of the species' lines; 0 where there are none."""
    widths = [
        full[plan.index[f"{c.name}.{key}"]]
        for c in plan.components
        if c.species and c.role != "background"
        for key in c.params
        if key.startswith("fwhm")
    ]
    return float(np.median(widths)) if widths else 0.0

"""Search for the set of species that explains some spectra best.

Sets grow, shrink and exchange members; all neighbours of a set are ranked on the Jacobian of its
fit, and only those that come near are fitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from .engine.plan import Plan, jacobian
from .evidence import View, area_columns, ground_columns, solved, typical_width
from .flexible import Freedom
from .screen import Screen
from .trials import Set, Trial, Trials

Array = npt.NDArray[np.float64]
Hints = tuple[dict[str, float], ...]

MOST_SPECIES = 8
NEAR = 14.0
"""Differences of the score that are looked at: odds of a thousand to one."""
_FITTED_PER_ROUND = 6
_NEIGHBOURS = 30
_PAIRED = 10
"""Absent species that are tried two at a time."""


def climb(trials: Trials, names: Sequence[str], start: Set, freedom: Freedom) -> Trial:
    """Move from a set to better neighbours until there is none, then fit all that come near.

    Parameters
    ----------
    trials : Trials
    names : sequence of str
        Candidates.
    start : frozenset of str
    freedom : Freedom

    Returns
    -------
    Trial
        The best set.
    """
    best = _fitted_near(trials, start, freedom)
    seen: set[Set] = set()
    for _ in range(4 * MOST_SPECIES):
        _remember(trials, best)
        seen.add(best.species)
        for species in [s for _, s in neighbours(trials, best, names)[:_FITTED_PER_ROUND]]:
            trials(species, freedom)
        better = trials.best(freedom)
        if better.species in seen:
            break
        best = better
    _remember(trials, trials.best(freedom))
    for species in [s for _, s in neighbours(trials, trials.best(freedom), names)[:_NEIGHBOURS]]:
        trials(species, freedom)
    return trials.best(freedom)


def _remember(trials: Trials, trial: Trial) -> None:
    """Let later fits start where this one ended."""
    for view, fitted in zip(trials.views, trial.fits, strict=False):
        view.hint = {**view.hint, **fitted.values}


def _fitted_near(trials: Trials, start: Set, freedom: Freedom) -> Trial:
    """Fit a set; while something in it is negative, drop it."""
    trial = trials(start, freedom, again=True)
    while trial.negative:
        trial = trials(trial.species - {min(trial.negative)}, freedom)
    return trial


def neighbours(trials: Trials, trial: Trial, names: Sequence[str]) -> list[tuple[float, Set]]:
    """Return the untried neighbours of a set that may come near it, best prediction first.

    One in, one out, one for one, two for one, one for two, and two in.
    """
    if not trial.fits:
        return [(0.0, frozenset({n})) for n in names]
    screen = Screen(trial, trials.views, names)
    here = trial.species
    dispersion = trials.dispersion_of(trial.freedom)
    log = float(np.log(trial.points))
    now, _ = screen.deviance(frozenset(), frozenset())

    def gain(out: Iterable[str], into: Iterable[str]) -> float:
        gone, come = frozenset(out), frozenset(into)
        value, change = screen.deviance(gone, come)
        odds = sum(trials.prior[s] for s in come) - sum(trials.prior[s] for s in gone)
        return (value - now) / dispersion + change * log - 2.0 * odds

    outside = [n for n in names if n not in here]
    moves: dict[Set, float] = {here - {s}: gain((s,), ()) for s in here}
    singles: dict[tuple[str, ...], dict[str, float]] = {}
    for out in [(), *((s,) for s in sorted(here)), *combinations(sorted(here), 2)]:
        singles[out] = {n: gain(out, (n,)) for n in outside}
        moves.update({here - set(out) | {n}: g for n, g in singles[out].items()})
    for out in [(), *((s,) for s in sorted(here))]:
        near = sorted(singles[out], key=lambda n: singles[out][n])[:_PAIRED]
        moves.update(
            {here - set(out) | set(pair): gain(out, pair) for pair in combinations(near, 2)}
        )
    found = [
        (g, s)
        for s, g in moves.items()
        if g < NEAR and len(s) <= MOST_SPECIES and (s, _of(trial.freedom, s)) not in trials.done
    ]
    return sorted(found, key=lambda item: (item[0], sorted(item[1])))


def _of(freedom: Freedom, species: Set) -> Freedom:
    return Freedom(freedom.shape, freedom.moved & species)


def first_sets(views: Sequence[View], names: Sequence[str]) -> list[tuple[Set, Hints]]:
    """Scan what moves all lines together, and grow sets by linear least squares.

    Common parameters of each spectrum are scanned in steps of 0.4 of a typical width. At the best
    positions one set is grown on all spectra together, and one more at each other minimum of a
    spectrum (at most two).

    Returns
    -------
    list of (frozenset of str, tuple of dict)
        Sets, most promising first, with each spectrum's common parameters there.
    """
    systems, best, others = [], [], []
    for number, view in enumerate(views):
        plan = view.plan([n for n in names if view.shows(n)])
        found: list[tuple[float, dict[str, float]]] = [(0.0, {})]
        for name, values in _scanned(plan).items():
            tried = [_grown([_system(view, plan, {name: float(v)})])[0] for v in values]
            scores = np.array(tried)
            left, right = np.r_[np.inf, scores[:-1]], np.r_[scores[1:], np.inf]
            lowest = np.flatnonzero((scores <= left) & (scores <= right))
            found = [(float(scores[k]), {name: float(values[k])}) for k in lowest]
        found.sort(key=lambda item: item[0])
        best.append(found[0][1])
        systems.append(_system(view, plan, found[0][1]))
        others += [(number, values, _system(view, plan, values)) for _, values in found[1:3]]
    grown: list[tuple[Set, Hints]] = [(_grown(systems)[1], tuple(best))]
    for number, told, system in others:
        hints = (*best[:number], told, *best[number + 1 :])
        grown.append((_grown([*systems[:number], system, *systems[number + 1 :]])[1], hints))
    return grown


def _scanned(plan: Plan) -> dict[str, Array]:
    found: dict[str, Array] = {}
    centers = [
        plan.index[f"{c.name}.center"]
        for c in plan.components
        if c.species and "center" in c.params
    ]
    for name, param in plan.components.common.items():
        if not param.free or not np.isfinite([param.lower, param.upper]).all() or not centers:
            continue
        k = int(np.flatnonzero(plan.free == plan.index[name])[0])
        ends = np.stack([plan.start, plan.start])
        ends[:, k] = param.lower, param.upper
        full, _ = plan.transform(ends)
        way = float(np.median(np.abs(full[1, centers] - full[0, centers])))
        width = typical_width(plan, full[0])
        count = int(np.ceil(way / (0.4 * width))) + 1 if width > 0 else 1
        if count >= 3:
            found[name] = np.linspace(param.lower, param.upper, min(count, 25))
    return found


@dataclass(frozen=True)
class _System:
    """Normal equations of one spectrum at fixed positions and widths."""

    species: dict[str, list[int]]
    ground: list[int]
    gram: Array
    right: Array
    square: float
    price: float

    def solved(self, names: Iterable[str]) -> tuple[float, dict[str, float]]:
        """Return the remaining squares and each species' smallest area."""
        shown = [n for n in names if n in self.species]
        columns = self.ground + [c for n in shown for c in self.species[n]]
        if not columns:
            return self.square, {}
        x = solved(self.gram[np.ix_(columns, columns)], self.right[columns])
        value = dict(zip(columns, x, strict=True))
        areas = {n: min(value[c] for c in self.species[n]) for n in shown}
        return self.square - float(self.right[columns] @ x), areas


def _system(view: View, plan: Plan, hint: Mapping[str, float]) -> _System:
    species, ground = area_columns(plan), ground_columns(plan)
    p = view.starting(plan, hint)
    empty = p.copy()
    empty[[c for columns in species.values() for c in columns] + ground] = 0.0
    weight = view.weight()
    curve, _ = jacobian(plan, view.x, empty[None])
    _, jac = jacobian(plan, view.x, p[None])
    rows = jac[0] * weight
    data = (view.y - curve[0]) * weight
    price = float(np.log(view.points))
    return _System(species, ground, rows @ rows.T, rows @ data, float(data @ data), price)


def _grown(systems: Sequence[_System]) -> tuple[float, Set]:
    """Add the best species while that pays and nothing turns negative."""

    def tried(names: tuple[str, ...]) -> tuple[float, bool]:
        total, above = 0.0, dict.fromkeys(names, False)
        for system in systems:
            square, areas = system.solved(names)
            number = sum(len(system.species[n]) for n in names if n in system.species)
            total += square + system.price * number
            for name, area in areas.items():
                above[name] = above[name] or area > 0.0
        return total, all(above.values())

    every = sorted({n for system in systems for n in system.species})
    chosen: tuple[str, ...] = ()
    best, _ = tried(chosen)
    while len(chosen) < MOST_SPECIES:
        more = [(*tried((*chosen, n)), n) for n in every if n not in chosen]
        able = [(score, name) for score, positive, name in more if positive]
        if not able or min(able)[0] >= best:
            break
        best, name = min(able)
        chosen = (*chosen, name)
    return best, frozenset(chosen)

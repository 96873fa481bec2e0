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

from ..engine.plan import Plan, jacobian
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
_SCANNED = 12
"""Neighbours at another common shift that are fitted."""
_STARTS = 5
"""Sets from which the search starts."""


def climb(trials: Trials, names: Sequence[str], start: Set, freedom: Freedom) -> Trial:
    """Move from a set to better neighbours until there is none.

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
    best = trials(start, freedom, again=True)
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
    best = trials.best(freedom)
    _remember(trials, best)
    return best


def surround(trials: Trials, trial: Trial, names: Sequence[str]) -> Trial:
    """Fit all neighbours that come near a set, until that finds no better one; return the best.

    Neighbours come from the Jacobian, and, as an exchange often goes with another common shift,
    from scans of that shift.
    """
    for _ in range(3):
        _remember(trials, trial)
        for species in [s for _, s in neighbours(trials, trial, names)[:_NEIGHBOURS]]:
            trials(species, trial.freedom)
        for species, hints in _elsewhere(trials, trial, names):
            for view, hint in zip(trials.views, hints, strict=True):
                view.hint = {**view.hint, **hint}
            trials(species, trial.freedom)
        best = trials.best(trial.freedom)
        if best.species == trial.species:
            break
        trial = best
    return best


def _elsewhere(trials: Trials, trial: Trial, names: Sequence[str]) -> list[tuple[Set, Hints]]:
    """Return untried neighbours that fit best at some common shift, linear least squares says."""
    scans = []
    for view in trials.views:
        plan = view.plan([n for n in names if view.shows(n)])
        told = _scanned(plan)
        if len(told) == 1:
            return []
        scans.append([(hint, _system(view, plan, {**view.hint, **hint})) for hint in told])
    here = trial.species
    outside = [n for n in names if n not in here]
    sets = {
        here - set(out) | {n} for k in (0, 1, 2) for out in combinations(here, k) for n in outside
    }
    sets |= {here - {s} for s in here}
    if len(here) < 4:  # few lines at another shift could be quite other species
        sets |= {frozenset(chosen) for k in (1, 2) for chosen in combinations(names, k)}
    found = []
    for species in sorted(sets, key=sorted):
        if not species or len(species) > MOST_SPECIES:
            continue
        if (species, _of(trial.freedom, species)) in trials.done:
            continue
        total, hints = 0.0, []
        for scan in scans:
            scores = [_penalised(system, species) for _, system in scan]
            best = int(np.argmin(scores))
            total += _lowest(scores, best)
            hints.append(scan[best][0])
        found.append((total, sorted(species), tuple(hints)))
    return [(frozenset(s), hints) for _, s, hints in sorted(found, key=lambda f: f[:2])[:_SCANNED]]


def _penalised(system: _System, species: Set) -> float:
    """Return the remaining squares and a price for each area, those below zero set to zero."""
    square, areas = system.solved(species)
    while areas and min(areas.values()) < 0.0:
        areas.pop(min(areas, key=lambda n: areas[n]))
        square, areas = system.solved(areas)
    return square + system.price * len(species)


def _lowest(scores: Sequence[float], best: int) -> float:
    """Return the lowest point of a parabola through the least of some scores."""
    if not 0 < best < len(scores) - 1:
        return scores[best]
    left, middle, right = scores[best - 1 : best + 2]
    bend = left - 2.0 * middle + right
    return middle - (right - left) ** 2 / (8.0 * bend) if bend > 0.0 else middle


def _remember(trials: Trials, trial: Trial) -> None:
    """Let later fits start where this one ended."""
    for view, fitted in zip(trials.views, trial.fits, strict=False):
        view.hint = {**view.hint, **fitted.values}


def neighbours(trials: Trials, trial: Trial, names: Sequence[str]) -> list[tuple[float, Set]]:
    """Return the untried neighbours of a set that may come near it, best prediction first.

    One in, one out, one for one, two for one, one for two, and two in.
    """
    if not trial.fits:
        return [(0.0, frozenset({n})) for n in names]
    screen = Screen(trial, trials.views, names)
    here = trial.species
    dispersion = trials.dispersion_of(trial.freedom)
    now = screen.score(frozenset(), frozenset(), dispersion)

    def gain(out: Iterable[str], into: Iterable[str]) -> float:
        gone, come = frozenset(out), frozenset(into)
        odds = sum(trials.prior[s] for s in come) - sum(trials.prior[s] for s in gone)
        return screen.score(gone, come, dispersion) - now - 2.0 * odds

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

    Common parameters of each spectrum are scanned in steps of a quarter of a typical width, other
    ones as the views' hints have them. At the best positions one set is grown on all spectra
    together, and one more for each other set that some position gives and that comes near.

    Returns
    -------
    list of (frozenset of str, tuple of dict)
        Sets, most promising first, with each spectrum's common parameters there.
    """
    systems: list[_System] = []
    best: list[dict[str, float]] = []
    others: list[tuple[float, int, dict[str, float], _System]] = []
    for number, view in enumerate(views):
        plan = view.plan([n for n in names if view.shows(n)])
        found: dict[Set, tuple[float, dict[str, float], _System, Set]] = {}
        for told in _scanned(plan):
            system = _system(view, plan, {**view.hint, **told})
            score, species = _grown([system])
            if species not in found or score < found[species][0]:
                found[species] = (score, told, system, species)
        ranked = sorted(found.values(), key=lambda item: item[0])
        best.append(ranked[0][1])
        systems.append(ranked[0][2])
        view.intensity = min(view.intensity, ranked[0][2].total(ranked[0][3]) or view.intensity)
        others += [(score - ranked[0][0], number, told, s) for score, told, s, _ in ranked[1:]]
    grown: dict[Set, Hints] = {_grown(systems)[1]: tuple(best)}
    for _, number, told, system in sorted(others, key=lambda item: item[0]):
        if len(grown) >= _STARTS:
            break
        species = _grown([*systems[:number], system, *systems[number + 1 :]])[1]
        grown.setdefault(species, (*best[:number], told, *best[number + 1 :]))
    return list(grown.items())


def _scanned(plan: Plan) -> list[dict[str, float]]:
    """Return values of the parameter that moves the lines most, in steps; else one empty dict."""
    centers = [
        plan.index[f"{c.name}.center"]
        for c in plan.components
        if c.species and "center" in c.params
    ]
    most: tuple[int, str] = (1, "")
    for name, param in plan.components.common.items():
        if not param.free or not np.isfinite([param.lower, param.upper]).all() or not centers:
            continue
        k = int(np.flatnonzero(plan.free == plan.index[name])[0])
        ends = np.stack([plan.start, plan.start])
        ends[:, k] = param.lower, param.upper
        full, _ = plan.transform(ends)
        way = float(np.median(np.abs(full[1, centers] - full[0, centers])))
        width = typical_width(plan, full[0])
        count = int(np.ceil(way / (0.25 * width))) + 1 if width > 0 else 1
        most = max(most, (min(count, 25), name))
    count, name = most
    if count < 3:
        return [{}]
    param = plan.components.common[name]
    return [{name: float(v)} for v in np.linspace(param.lower, param.upper, count)]


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

    def total(self, names: Iterable[str]) -> float:
        """Return the sum of the areas of some species, those below zero left out."""
        columns = self.ground + [c for n in names for c in self.species[n]]
        x = solved(self.gram[np.ix_(columns, columns)], self.right[columns])
        return float(np.sum(np.maximum(x[len(self.ground) :], 0.0)))


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

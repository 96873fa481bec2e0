"""Rank species by evidence, say which cannot be told apart, and what nothing explains."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

import references
from references import thermo
from references.errors import InterphaseError
from references.model import Line
from spectra.convention import check
from spectra.errors import CalibrationError

from ..errors import FitError, OrderError
from .answer import Finding, Identification
from .evidence import View
from .fitted import Amounts
from .flexible import RIGID, Freedom
from .remains import calibrations_of, notes_of, remains, rival_of
from .representative import representatives
from .screen import Screen
from .search import climb, first_sets, surround
from .trials import Set, Trial, Trials, of_source

Array = npt.NDArray[np.float64]

CERTAIN = 0.99
"""Posterior probability from which a species is called certain."""
FOUND = 0.9
"""Posterior probability from which a species, or a group, counts as found."""
_CURRIE = 3.29
_NEGLIGIBLE = 1e-4
"""Sets of smaller posterior probability are left out of the averages."""
_WORTH, _RIVAL = 30.0, 6.0
"""Differences of the score up to which free shapes are searched, and reported."""
_GAIN = 0.01
"""Least posterior probability by which an alternative must support its group."""


def identify(
    ds: xr.Dataset | Sequence[xr.Dataset],
    *,
    elements: str | Iterable[str] | None = None,
    precursors: Sequence[str] = (),
    potential: float | None = None,
    candidates: Sequence[str] | None = None,
    library: references.Library | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Identification:
    """Say which species of the library a spectrum, series or map shows.

    Sets of species grow, lose and exchange members while that lowers the Bayesian information
    criterion; all sets that come near the best one are fitted, and the probability and the amount
    of a species are averages over them (A. E. Raftery, Sociol. Methodol. 25 (1995) 111). Species
    that stand in for one another form a group. What is left over is searched for peaks and for
    stretches that do not fit; only then are line shapes and positions freed beyond the library.

    Parameters
    ----------
    ds : xr.Dataset or sequence of them
        Spectra; several (S 2p and P 2p of one sample, 31P and 7Li) share the species and decide
        together. A series or map is judged on three sums, each of a tenth of it: its
        two extremes and its middle.
    elements : str or iterable of str, optional
        ``"Li P S Cl"``: candidates hold no other elements.
    precursors : sequence of str
        Species known to be put in; products of their families are more probable beforehand.
    potential : float, optional
        V against Li+/Li: products that thermodynamics predicts of the precursors there are more
        probable beforehand.
    candidates : sequence of str, optional
        Only these species: there are no others in the sample.
    library : references.Library, optional
        Another library than the default one.
    settings : mapping of str to mapping, optional
        Settings of ``propose`` by technique.

    Returns
    -------
    Identification

    Raises
    ------
    OrderError
        If no species of the library has a line in these spectra.
    FitError
        If no set of species can be fitted.
    """
    library = library or references.load()
    given = [ds] if isinstance(ds, xr.Dataset) else list(ds)
    views = [
        View(part.ds, source, part.count, library, (settings or {}).get(one.attrs["technique"]))
        for source, one in enumerate(map(check, given))
        for part in representatives(one)
    ]
    names = _candidates(views, library, elements, candidates)
    for view in views:
        view.prepare(names)
    odds = _prior(names, precursors, potential, library)
    expected = {n for n in names if candidates is not None or odds[n] >= 0.0}
    trials = Trials(views, odds)
    for species, hints in first_sets(views, names):
        for view, hint in zip(views, hints, strict=True):
            view.hint = dict(hint)
        climb(trials, names, species, RIGID)
    best = surround(trials, trials.best(RIGID), names)
    if not best.fits:
        raise FitError("identify: no set of candidates could be fitted; look at the spectra")
    rival = None
    if any(remains(views, best.fits)):
        best = _freed(trials, names, best)
    else:
        best, rival = _of_other_shape(trials, names, best)
    peaks, misfits = remains(views, best.fits)
    notes = notes_of(best, views) + (rival_of(best, rival) if rival else ())
    explained = not (peaks or misfits or notes)
    findings = _findings(trials, best, names, expected, explained=explained)
    first = [next(k for k, v in enumerate(views) if v.source == s) for s in range(len(given))]
    return Identification(
        findings=tuple(sorted(findings, key=lambda f: (f.verdict == "absent", -f.probability))),
        unexplained=peaks,
        misfits=misfits,
        notes=notes if explained else notes + calibrations_of(given),
        models=tuple(best.fits[k].plan.components for k in first),
        reduced_deviance=best.reduced,
    )


def _candidates(
    views: Sequence[View],
    library: references.Library,
    elements: str | Iterable[str] | None,
    candidates: Sequence[str] | None,
) -> list[str]:
    allowed = elements.replace(",", " ").split() if isinstance(elements, str) else elements
    wrong = [e for e in allowed or () if not re.fullmatch("[A-Z][a-z]?", e)]
    if wrong:
        raise OrderError(
            f"identify: {', '.join(map(repr, wrong))} is no element; write symbols apart: 'Li P S'"
        )
    if candidates is not None:
        ids = list(dict.fromkeys(library[name].id for name in candidates))
    else:
        wanted = None if allowed is None else set(allowed)
        ids = [s.id for s in library if wanted is None or set(s.atoms) <= wanted]
    seen = [name for name in ids if any(view.shows(name) for view in views)]
    if not seen:
        for view in views:
            for name, error in view.refusals.items():
                if isinstance(error, CalibrationError) or name not in str(error):
                    # It is the spectrum, then.
                    raise OrderError(f"identify: {error}") from error
        raise OrderError(
            "identify: no candidate has a line in these spectra; widen elements= or candidates="
        )
    return seen


def _prior(
    names: Sequence[str],
    precursors: Sequence[str],
    potential: float | None,
    library: references.Library,
) -> dict[str, float]:
    """Log odds before the data: 1 to 3 alone, even in a family, 3 to 1 if predicted."""
    odds = dict.fromkeys(names, float(np.log(1.0 / 3.0)))
    known = [library[p] for p in precursors]
    families = {family for p in known for family in p.families}
    predicted: set[str] = set()
    if potential is not None:
        for p in known:
            try:
                predicted.update(thermo.predicted_species(p.formula, potential, library))
            except InterphaseError:
                continue  # the energies do not cover this system: no prior from them
    for name in names:
        if families & set(library[name].families):
            odds[name] = 0.0
        if name in predicted or name in {p.id for p in known}:
            odds[name] = float(np.log(3.0))
    return odds


def _freed(trials: Trials, names: Sequence[str], best: Trial) -> Trial:
    """Free line shapes, positions, or both, where nothing is left over then.

    What even a free shape does not describe is not a matter of shape: it stays unexplained.
    """
    for freedom in (
        Freedom(shape=True),
        Freedom(moved=best.species),
        Freedom(shape=True, moved=best.species),
    ):
        if _excess(trials(best.species, freedom)) > 0.5 * _excess(best):
            continue  # most of the misfit is of another kind
        freed = surround(trials, climb(trials, names, best.species, freedom), names)
        dispersion = trials.dispersion_of(freedom)
        if trials.score(freed, dispersion) > trials.score(best, dispersion):
            continue
        if not any(remains(trials.views, freed.fits)):
            return freed
    return best


def _of_other_shape(
    trials: Trials, names: Sequence[str], best: Trial
) -> tuple[Trial, Trial | None]:
    """Ask whether lines of another shape explain the spectra with other species.

    Returns
    -------
    best : Trial
    rival : Trial or None
        With free line shapes, not the best but not far off either.
    """
    shaped = Freedom(shape=True)
    for k in (0, 1, 2):
        for gone in combinations(sorted(best.species), k):
            if len(gone) < len(best.species):
                trials(best.species - set(gone), shaped)
    rival = trials.best(shaped)
    dispersion = trials.dispersion_of(RIGID)
    behind = trials.score(rival, dispersion) - trials.score(best, dispersion)
    if behind < _WORTH:
        rival = climb(trials, names, rival.species, shaped)
        behind = trials.score(rival, dispersion) - trials.score(best, dispersion)
    if behind < 0.0:
        return surround(trials, rival, names), None
    return best, rival if behind < _RIVAL and rival.species != best.species else None


def _excess(trial: Trial) -> float:
    """Return the deviance beyond three standard deviations of what noise leaves."""
    freedom = max(trial.points - trial.free, 1)
    return max(trial.deviance - freedom - 3.0 * float(np.sqrt(2.0 * freedom)), 0.0)


@dataclass(frozen=True)
class _Weighed:
    """Sets near the best one, their posterior probabilities, and their amounts by source."""

    sets: list[Trial]
    weights: Array
    amounts: list[dict[int, Amounts]]

    def probability(self, members: Iterable[str]) -> float:
        """Return the probability that any of some species is there."""
        wanted = set(members)
        return float(
            sum(w for w, t in zip(self.weights, self.sets, strict=True) if wanted & t.species)
        )


def _weighed(trials: Trials, best: Trial) -> _Weighed:
    dispersion = trials.dispersion_of(best.freedom)
    scored = [(t, trials.score(t, dispersion)) for t in trials.of(best.freedom)]
    able = [t for t, score in scored if np.isfinite(score)] or [best]
    scores = np.array([score for _, score in scored if np.isfinite(score)] or [0.0])
    weights = np.exp(-0.5 * (scores - scores.min()))
    weights /= weights.sum()
    keep = np.flatnonzero(weights > _NEGLIGIBLE)
    sets = [able[k] for k in keep]
    sources = sorted({view.source for view in trials.views})
    amounts = []
    for trial in sets:
        told = {}
        for source in sources:
            one = of_source(trials.views, trial.fits, source, dispersion)
            if one is not None:
                told[source] = one
        amounts.append(told)
    return _Weighed(sets, weights[keep] / weights[keep].sum(), amounts)


def _findings(
    trials: Trials, best: Trial, names: Sequence[str], expected: set[str], *, explained: bool
) -> list[Finding]:
    near = _weighed(trials, best)
    groups = {s: _group(s, best.species, near) for s in best.species}
    alternatives = {n for group in groups.values() for n in group}
    limits = _limits(trials, best, names)
    alike = {s: _alike(s, best.species, names, trials.views) for s in best.species}
    found = []
    for name in names:
        p = near.probability([name])
        if name not in best.species:
            verdict = "alternative" if name in alternatives else "absent"
            owners = tuple(sorted(s for s, group in groups.items() if name in group))
            limit, units, source = limits.get(name, (float("nan"), "", -1))
            nan = (float("nan"), float("nan"))
            found.append(
                Finding(
                    name, verdict, p, nan[0], nan[0], nan, limit, owners, (), False, units, source
                )
            )
            continue
        group = groups[name]
        amount, stderr, interval, units, source = _amount((name, *group), near)
        limit = _CURRIE * stderr
        p = near.probability((name, *group))
        told = name in expected or any(view.unmistakable(name) for view in trials.views)
        if p < FOUND:
            verdict = "possible"
        elif group:
            verdict = "group"
        else:
            certain = explained and p >= CERTAIN and not alike[name] and told
            verdict = "certain" if certain else "likely"
        found.append(
            Finding(
                name,
                verdict,
                p,
                amount,
                stderr,
                interval,
                limit,
                group,
                alike[name],
                not told,
                units,
                source,
            )
        )
    return found


def _group(name: str, best: Set, near: _Weighed) -> tuple[str, ...]:
    """Return species outside the best set that are there where one of it is not."""
    group: list[str] = []
    outside = sorted({s for t in near.sets for s in t.species} - best)
    while True:
        here = near.probability([name, *group])
        gains = {n: near.probability([name, *group, n]) - here for n in outside if n not in group}
        if here >= 1.0 - _GAIN or not gains:
            break
        most = max(gains, key=lambda n: gains[n])
        if gains[most] < _GAIN:
            break
        group.append(most)
    return tuple(group)


def _alike(name: str, best: Set, names: Sequence[str], views: Sequence[View]) -> tuple[str, ...]:
    """Return species not found whose lines, as papers differ on them, could be this one's.

    Every line of the one that these spectra show must lie where a paper has one of the other, and
    the other may have no further line. Crystals are told apart by their patterns.
    """
    return tuple(
        other
        for other in names
        if other not in best
        and all(
            _overlap(view.lines(name), view.lines(other))
            for view in views
            if view.shows(name) or view.shows(other)
        )
    )


def _overlap(mine: Sequence[Line], theirs: Sequence[Line]) -> bool:
    if len(mine) != len(theirs) or not mine:
        return False
    pairs = zip(
        sorted(mine, key=lambda i: (i.transition, i.value)),
        sorted(theirs, key=lambda i: (i.transition, i.value)),
        strict=True,
    )
    return all(
        a.transition == b.transition and a.low <= b.high and b.low <= a.high for a, b in pairs
    )


def _amount(
    members: Sequence[str], near: _Weighed
) -> tuple[float, float, tuple[float, float], str, int]:
    """Average the sum of some species' amounts over the sets that hold any of them.

    Of several spectra the one that shows most species counts (the share of the only one is always
    1), of such the one that knows them best.

    Returns
    -------
    mean, standard deviation, 95 % interval, units, which spectrum
    """
    wanted = set(members)
    drawn: dict[int, list[tuple[float, Array]]] = {}
    units = {}
    shown: dict[int, int] = {}
    for weight, told in zip(near.weights, near.amounts, strict=True):
        for source, one in told.items():
            at = [k for k, s in enumerate(one.species) if s in wanted]
            if at:
                drawn.setdefault(source, []).append((float(weight), one.final[:, at].sum(axis=1)))
                units[source] = one.units
                shown[source] = max(shown.get(source, 0), len(one.species))
    if not drawn:
        return float("nan"), float("nan"), (float("nan"), float("nan")), "", -1
    pooled = [(*_pooled(rows), units[source], source) for source, rows in drawn.items()]
    return min(pooled, key=lambda a: (-shown[a[4]], a[1] / max(abs(a[0]), 1e-300)))


def _pooled(rows: Sequence[tuple[float, Array]]) -> tuple[float, float, tuple[float, float]]:
    """Return mean, standard deviation and a 95 % interval of weighted draws.

    The interval holds the central 95 % and 1.96 standard deviations to either side, within what
    was drawn: where sets disagree, a quantile alone hangs on the weight of one of them.
    """
    value = np.concatenate([v for _, v in rows])
    weight = np.concatenate([np.full(v.size, w / v.size) for w, v in rows])
    order = np.argsort(value, kind="stable")
    value, weight = value[order], weight[order] / weight.sum()
    mean = float(weight @ value)
    stderr = float(np.sqrt(weight @ (value - mean) ** 2))
    at = np.cumsum(weight) - 0.5 * weight
    low, high = np.interp([0.025, 0.975], at, value)
    low = max(min(low, mean - 1.96 * stderr), value[0])
    high = min(max(high, mean + 1.96 * stderr), value[-1])
    return mean, stderr, (float(low), float(high))


def _limits(trials: Trials, best: Trial, names: Sequence[str]) -> dict[str, tuple[float, str, int]]:
    """Return the least amount of each absent species that would be seen (Currie), units, where."""
    absent = [n for n in names if n not in best.species]
    screen = Screen(best, trials.views, names)
    dispersion = trials.dispersion_of(best.freedom)
    found: dict[str, tuple[float, str, int]] = {}
    for k, (view, fitted) in enumerate(zip(trials.views, best.fits, strict=True)):
        known = view.amounts(fitted)
        yields, kind, units = view.yields(names)
        for name in absent:
            error = screen.spreads(name)[k]
            if name not in yields or not np.isfinite(error):
                continue
            limit = _CURRIE * error * dispersion**0.5 * yields[name]
            if kind == "fraction":
                whole = float(known.raw.sum()) if known is not None else 0.0
                limit = limit / (whole + limit) if whole + limit > 0 else float("nan")
            if name not in found or limit < found[name][0]:
                found[name] = (limit, units, view.source)
    return found

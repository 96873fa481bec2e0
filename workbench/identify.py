"""Rank species by evidence, say which cannot be told apart, and what nothing explains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr

import references
from references import thermo
from references.errors import InterphaseError
from spectra.component import Components
from spectra.convention import axis_of, check

from .curves import curves
from .errors import FitError, OrderError
from .evidence import Trial, Trials, amounts_of, blocks_of, noise_of

CERTAIN = 0.99
ALIKE = 6.0
"""Difference of BIC (20 to 1 in odds) below which an exchange of two species is not decided."""
SIGNIFICANT = 5.0
"""Standard deviations at which a residual peak is reported."""
_MOST_SPECIES = 8


@dataclass(frozen=True)
class Finding:
    """What is known of one species.

    Parameters
    ----------
    species : str
        Library id.
    verdict : str
        ``"certain"``, ``"likely"``, ``"group"`` (it or one of its group), ``"possible"`` (below
        its detection limit) or ``"absent"``.
    probability : float
        Posterior, averaged over the sets tried.
    amount, stderr, limit : float
        In ``units``; for an absent species only ``limit``, the smallest amount that would be seen.
    group : tuple of str
        Species that explain the data as well in its place.
    units : str
        Of the amount.
    """

    species: str
    verdict: str
    probability: float
    amount: float
    stderr: float
    limit: float
    group: tuple[str, ...]
    units: str


@dataclass(frozen=True)
class Unexplained:
    """Intensity that no species of the set explains.

    Parameters
    ----------
    spectrum : int
        Which of the spectra.
    position : float
        On the spectral axis.
    area : float
        Intensity times axis unit.
    significance : float
        Standard deviations.
    """

    spectrum: int
    position: float
    area: float
    significance: float


@dataclass(frozen=True)
class Identification:
    """The answer of `identify`.

    Parameters
    ----------
    findings : tuple of Finding
        Most probable first.
    unexplained : tuple of Unexplained
        Strongest first.
    components : Components
        Of the best set on the first spectrum, ready for `workbench.fit` of the whole.
    reduced_deviance : float
        Of the best set; far above 1 says that the model lacks something.
    """

    findings: tuple[Finding, ...]
    unexplained: tuple[Unexplained, ...]
    components: Components
    reduced_deviance: float

    @property
    def species(self) -> tuple[str, ...]:
        """Species of the best set that are above their detection limit."""
        found = ("certain", "likely", "group")
        return tuple(f.species for f in self.findings if f.verdict in found)

    def __getitem__(self, species: str) -> Finding:
        for finding in self.findings:
            if finding.species == species:
                return finding
        raise InterphaseError(f"identify: {species!r} was not among the candidates")

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as plain data."""
        return {
            "findings": [asdict(f) for f in self.findings],
            "unexplained": [asdict(u) for u in self.unexplained],
            "reduced_deviance": self.reduced_deviance,
        }

    def report(self) -> str:
        """Say the answer in sentences, one per line."""
        lines = []
        told: set[str] = set()
        for f in self.findings:
            if f.verdict == "absent" or f.species in told:
                continue
            size = f"{f.amount:.3g} +- {f.stderr:.2g} {f.units}".strip()
            if f.verdict == "possible":
                lines.append(f"{f.species}: possible, below its detection limit ({size}).")
            elif f.group:
                told.update(f.group)
                others = " or ".join(f.group)
                lines.append(
                    f"{f.species} or {others}: differ by less than these data resolve; "
                    f"reported as one group ({size})."
                )
            else:
                lines.append(f"{f.species}: {f.verdict} (p = {f.probability:.3f}), {size}.")
        absent = [f for f in self.findings if f.verdict == "absent" and f.species not in told]
        lines += [
            f"{f.species}: not found; less than {f.limit:.2g} {f.units} would not be seen.".replace(
                " .", "."
            )
            for f in absent
            if np.isfinite(f.limit)
        ]
        lines += [
            f"Unexplained in spectrum {u.spectrum + 1}: {u.area:.3g} at {u.position:.5g} "
            f"({u.significance:.0f} standard deviations)."
            for u in self.unexplained
        ]
        if self.reduced_deviance > 2.0:
            lines.append(
                f"The best set leaves a reduced deviance of {self.reduced_deviance:.1f}: "
                "a line shape or a species is missing; errors are too small."
            )
        return "\n".join(lines)


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

    Sets of species grow by the one that lowers the information criterion most, then lose and
    exchange members while that helps; every species' probability is the weight of the sets around
    the best one that hold it. Exchanges that the data do not decide make a group.

    Parameters
    ----------
    ds : xr.Dataset or sequence of them
        Spectra; several (S 2p and P 2p of one sample, 31P and 7Li) share the species and decide
        together. A series or map is summed to three spectra along its first dimension.
    elements : str or iterable of str, optional
        ``"Li P S Cl"``: candidates hold no other elements.
    precursors : sequence of str
        Species known to be put in; products of their families are more probable beforehand.
    potential : float, optional
        V against Li+/Li: products that thermodynamics predicts of the precursors there are more
        probable beforehand.
    candidates : sequence of str, optional
        Only these species.
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
    """
    library = library or references.load()
    given = [ds] if isinstance(ds, xr.Dataset) else list(ds)
    spectra = [block for one in given for block in blocks_of(check(one))]
    trials = Trials(spectra, library, settings or {})
    names = _candidates(trials, library, elements, candidates)
    prior = _prior(names, precursors, potential, library)
    best = _search(trials, names, prior)
    full = trials(best.species)
    dispersion = _dispersion(full)
    around = _neighbourhood(trials, best.species, names)
    probability = _averaged(around, names, prior, dispersion)
    groups = _groups(trials, best, names, dispersion)
    findings = _findings(trials, best, names, probability, groups, library)
    return Identification(
        tuple(sorted(findings, key=lambda f: (f.verdict == "absent", -f.probability))),
        tuple(_unexplained(spectra, best)),
        best.fits[0][0],
        best.deviance / max(best.points - best.free, 1),
    )


def _candidates(
    trials: Trials,
    library: references.Library,
    elements: str | Iterable[str] | None,
    candidates: Sequence[str] | None,
) -> list[str]:
    allowed = elements.split() if isinstance(elements, str) else elements
    if candidates is not None:
        ids = [library[name].id for name in candidates]
    else:
        wanted = None if allowed is None else set(allowed)
        ids = [s.id for s in library if wanted is None or set(s.atoms) <= wanted]
    seen = [name for name in ids if any(trials.seen(ds, name) for ds in trials.spectra)]
    if not seen:
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


def _score(trial: Trial, prior: Mapping[str, float], dispersion: float) -> float:
    return trial.bic(dispersion) - 2.0 * sum(prior[s] for s in trial.species)


def _dispersion(trial: Trial) -> float:
    """Reduced deviance of a set, not below 1; 1 where it could not be fitted."""
    reduced = trial.deviance / max(trial.points - trial.free, 1)
    return max(1.0, reduced) if np.isfinite(reduced) else 1.0


def _search(trials: Trials, names: Sequence[str], prior: Mapping[str, float]) -> Trial:
    """Grow, prune and exchange until nothing lowers the score."""
    best = trials(frozenset())
    for _ in range(4 * _MOST_SPECIES):
        dispersion = _dispersion(best)
        moves = [best.species | {n} for n in names if n not in best.species]
        if len(best.species) >= _MOST_SPECIES:
            moves = []
        moves += [best.species - {n} for n in best.species]
        tried = [trials(frozenset(m)) for m in moves]
        here = _score(best, prior, dispersion)
        if not tried or min(_score(t, prior, dispersion) for t in tried) >= here:
            tried = [
                trials(frozenset(best.species - {s} | {n}))
                for s in best.species
                for n in names
                if n not in best.species
            ]
        if not tried:
            return best
        nxt = min(tried, key=lambda t: _score(t, prior, dispersion))
        if _score(nxt, prior, dispersion) >= here - 1e-9:
            return best
        best = nxt
    return best


def _neighbourhood(trials: Trials, best: frozenset[str], names: Sequence[str]) -> list[Trial]:
    outside = [n for n in names if n not in best]
    sets = {best, *(best | {n} for n in outside), *(best - {s} for s in best)}
    sets |= {best - {s} | {n} for s in best for n in outside}
    return [trials(frozenset(s)) for s in sets]


def _averaged(
    around: Sequence[Trial],
    names: Sequence[str],
    prior: Mapping[str, float],
    dispersion: float,
) -> dict[str, float]:
    scores = np.array([_score(t, prior, dispersion) for t in around])
    lowest = scores.min()
    if not np.isfinite(lowest):
        raise FitError("identify: no set of candidates could be fitted; look at the spectra")
    weight = np.exp(-0.5 * (scores - lowest))
    weight /= weight.sum()
    return {
        n: float(sum(w for w, t in zip(weight, around, strict=True) if n in t.species))
        for n in names
    }


def _groups(
    trials: Trials, best: Trial, names: Sequence[str], dispersion: float
) -> dict[str, tuple[str, ...]]:
    """Species outside the best set that could stand in for one inside."""
    here = best.bic(dispersion)
    found = {}
    for s in best.species:
        alike = [
            n
            for n in names
            if n not in best.species
            and trials(frozenset(best.species - {s} | {n})).bic(dispersion) - here < ALIKE
        ]
        found[s] = tuple(sorted(alike))
    return found


def _findings(
    trials: Trials,
    best: Trial,
    names: Sequence[str],
    probability: Mapping[str, float],
    groups: Mapping[str, tuple[str, ...]],
    library: references.Library,
) -> list[Finding]:
    found = []
    for name in names:
        inside = name in best.species
        trial = best if inside else trials(frozenset(best.species | {name}))
        amount, stderr, limit, units = _amount(trial, name, library)
        group = groups.get(name, ())
        if not inside:
            owners = tuple(s for s, others in groups.items() if name in others)
            found.append(
                Finding(
                    name, "absent", probability[name], float("nan"), stderr, limit, owners, units
                )
            )
            continue
        if not amount > limit:
            verdict = "possible"
        elif group:
            verdict = "group"
        else:
            verdict = "certain" if probability[name] >= CERTAIN else "likely"
        found.append(Finding(name, verdict, probability[name], amount, stderr, limit, group, units))
    return found


def _amount(
    trial: Trial, name: str, library: references.Library
) -> tuple[float, float, float, str]:
    """Mean over the spectra that show the species: amount, error, limit, units."""
    rows = []
    units = ""
    for amounts in amounts_of(trial, library):
        if amounts is not None and name in amounts["species"].values:
            one = amounts.sel(species=name)
            rows.append([float(one[v]) for v in ("amount", "stderr", "limit")])
            units = str(amounts["amount"].attrs["units"])
    if not rows:
        return float("nan"), float("nan"), float("nan"), ""
    table = np.array(rows)
    table = table[np.all(np.isfinite(table), axis=1)]
    if not len(table):
        return float("nan"), float("nan"), float("nan"), "" if units == "1" else units
    amount = float(table[:, 0].mean())
    stderr = float(np.sqrt(np.sum(table[:, 1] ** 2)) / len(table))
    limit = 3.29 * stderr
    return amount, stderr, limit, "" if units == "1" else units


def _unexplained(spectra: Sequence[xr.Dataset], best: Trial) -> list[Unexplained]:
    """Find residual peaks with a matched filter of the width of the fitted lines."""
    found = []
    for number, (ds, (model, fitted)) in enumerate(zip(spectra, best.fits, strict=True)):
        parts = curves(ds, fitted)
        x = ds[axis_of(ds)].values
        residual = parts["residual"].values
        sigma = noise_of(ds, parts["model"].values)
        used = np.isfinite(residual) & np.isfinite(sigma)
        if "valid" in ds:
            used &= ds["valid"].values.astype(bool)
        step = np.gradient(x)
        widths = [
            float(fitted["value"].sel(param=f"{c.name}.fwhm"))
            for c in model
            if c.role == "peak" and "fwhm" in c.params
        ]
        width = float(np.median(widths)) if widths else 10.0 * float(np.median(step))
        area, z = _filtered(x, np.where(used, residual, 0.0), np.where(used, sigma, np.inf), width)
        while True:
            top = int(np.argmax(z))
            if z[top] < SIGNIFICANT:
                break
            found.append(Unexplained(number, float(x[top]), float(area[top]), float(z[top])))
            z[np.abs(x - x[top]) < 2.0 * width] = 0.0
    return sorted(found, key=lambda u: -u.significance)


def _filtered(
    x: np.ndarray, residual: np.ndarray, sigma: np.ndarray, width: float
) -> tuple[np.ndarray, np.ndarray]:
    """Area and significance of a Gaussian of unit area at every point."""
    s = width / 2.354820045
    area, z = np.zeros((2, x.size))
    weight = 1.0 / sigma**2
    for i, center in enumerate(x):
        near = np.abs(x - center) < 3.0 * s
        g = np.exp(-0.5 * ((x[near] - center) / s) ** 2) / (s * np.sqrt(2.0 * np.pi))
        norm = float(np.sum(g * g * weight[near]))
        if norm > 0:
            area[i] = float(np.sum(g * residual[near] * weight[near])) / norm
            z[i] = area[i] * np.sqrt(norm)
    return area, z

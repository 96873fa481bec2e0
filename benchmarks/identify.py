"""How often `identify` is right: simulated mixtures of known composition, per technique.

    OMP_NUM_THREADS=1 python -m benchmarks.identify [--count 500] [--outside 100] [--only xps,nmr]

Mixtures of one to five species of the library, shares over one and a half decades, with noise,
charging or field drift, drawn anew for each seed. What is counted:

- a *unit* is what the report calls found: a species, or a group of look-alikes;
- precision: units that hold a true species; recall: true species above three times their detection
  limit (from the fit of the true set) that some unit holds;
- wrong certain: species called certain that are not in the mixture;
- coverage: 95 % intervals (of a group: of the sum of its members) that hold the truth;
- outside: truth that the model does not have (a species taken out of the library, a line of no
  species, another line shape), flagged by a note, an unexplained peak or a misfit. Only mixtures
  count in which it is visible: the fit of the species that are there leaves more than five standard
  deviations of chi-square (a species taken out: the best set found of all others does).
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

import references
import workbench as wb
from workbench.identify import Identification
from workbench.identify.evidence import View
from workbench.identify.fitted import Fitted

CURRIE = 3.29
ELEMENTS = {
    "xps": "Li P S Cl O",
    "nmr": "Li P S Cl O",
    "raman": "Li P S Cl O",
    "edxrd": "Li P S Cl",
}


@dataclasses.dataclass
class Case:
    """A simulated measurement and what is in it."""

    ds: xr.Dataset
    truth: dict[str, float]
    candidates: list[str]
    missing: str = ""


@dataclasses.dataclass
class Tally:
    """Counts over a sweep."""

    mixtures: int = 0
    units: int = 0
    right_units: int = 0
    strong: int = 0
    strong_found: int = 0
    certain: int = 0
    wrong_certain: int = 0
    intervals: int = 0
    covered: int = 0
    flagged: int = 0
    seconds: float = 0.0

    def row(self) -> dict[str, float]:
        """Return the shares that are judged."""
        return {
            "mixtures": self.mixtures,
            "found": self.units,
            "strong": self.strong,
            "intervals": self.intervals,
            "precision": self.right_units / max(self.units, 1),
            "recall": self.strong_found / max(self.strong, 1),
            "certain": self.certain,
            "wrong certain": self.wrong_certain,
            "coverage": self.covered / max(self.intervals, 1),
            "false flags": self.flagged / max(self.mixtures, 1),
            "s per mixture": self.seconds / max(self.mixtures, 1),
        }


def showing(technique: str, settings: Mapping[str, Any], library: references.Library) -> list[str]:
    """Return the candidates that a simulated spectrum can show."""
    allowed = set(ELEMENTS[technique].split())
    inside = [s for s in library if set(s.atoms) <= allowed and s.role != "current_collector"]
    if technique == "edxrd":
        from references.diffraction import structure_data
        from references.errors import InterphaseError

        found = []
        for s in inside:
            try:
                structure_data(s.id, library)
            except InterphaseError:
                continue
            found.append(s.id)
        return found
    key = {"xps": settings.get("region"), "nmr": "31P", "raman": "band"}[technique]
    transitions = str(key).split(" + ")
    low, high = {"nmr": (-360.0, 180.0), "raman": (150.0, 650.0)}.get(technique, (-1e9, 1e9))
    return [
        s.id
        for s in inside
        if any(
            line.technique == technique
            and line.transition in transitions
            and low + 20.0 <= line.value <= high - 20.0
            for line in s.lines
        )
    ]


def simulation(technique: str, rng: np.random.Generator, outside: str) -> dict[str, Any]:
    """Draw the settings of one measurement."""
    if technique == "xps":
        told: dict[str, Any] = {
            "region": str(rng.choice(["S 2p", "P 2p", "S 2p + P 2p"])),
            "sample": "mixture",
            "counts": float(10 ** rng.uniform(3.0, 4.5)),
            "charging_eV": float(rng.uniform(-0.6, 0.6)),
            "resolution_eV": float(rng.uniform(0.0, 0.5)),
            "shirley": float(rng.uniform(0.0, 0.04)),
        }
        if outside == "shape":
            told["asymmetry"] = float(rng.uniform(0.2, 0.4))
        if outside == "line":
            told["extra_line"] = float(rng.uniform(0.05, 0.3))
    elif technique == "nmr":
        told = {"nucleus": "31P", "noise": float(10 ** rng.uniform(-3.0, -2.0))}
        told["drift_ppm"] = float(rng.uniform(0.0, 1.0))
        if outside == "shape":
            told["asymmetry"] = float(rng.uniform(0.2, 0.4))
        if outside == "line":
            told["impurity"] = float(rng.uniform(0.05, 0.3))
    elif technique == "raman":
        told = {"size": 2, "counts": float(10 ** rng.uniform(2.7, 4.0))}
        told["fluorescence"] = float(rng.uniform(0.2, 1.5))
        told["drift"] = float(rng.uniform(0.0, 1.5))
        if outside == "shape":
            told["mixing"] = float(rng.choice([0.0, 1.0]))
    else:
        told = {"positions": 1, "times": 2, "brightness": float(10 ** rng.uniform(-0.5, 0.5))}
        told["drift"] = float(rng.uniform(0.0, 1e-3))
        if outside == "shape":
            told["tail"] = float(rng.uniform(0.2, 0.4))
        if outside == "line":
            told["extra_line_keV"] = float(rng.uniform(35.0, 50.0))
    return told


def case(technique: str, seed: int, outside: str = "") -> Case:
    """Draw a mixture and measure it."""
    library = references.load()
    rng = np.random.default_rng([seed, sum(map(ord, technique + outside))])
    while True:
        told = simulation(technique, rng, outside)
        names = showing(technique, told, library)
        number = int(rng.integers(2 if outside == "species" else 1, 6))
        chosen = [str(n) for n in rng.choice(names, size=min(number, len(names)), replace=False)]
        levels = str(told.get("region", "")).split(" + ")
        if technique == "xps" and not all(
            any(library.lines("xps", n, level) for n in chosen) for level in levels
        ):
            continue  # a region without a line is not measured
        break
    share = 10 ** rng.uniform(-1.5, 0.0, len(chosen))
    missing = ""
    if outside == "species":
        missing = str(rng.choice(chosen))
        share[chosen.index(missing)] = 0.5 * share.max()
        names = [n for n in names if n != missing]
    amount = 1000.0 * share / share.sum()
    history = xr.Dataset(
        {"amount": (("time", "species"), np.stack([amount, amount]), {"units": "nmol/cm2"})},
        coords={"time": ("time", [0.0, 3600.0], {"units": "s"}), "species": chosen},
    )
    ds = wb.simulate(technique, history, settings=told, seed=int(rng.integers(2**31)))
    last = {d: [ds.sizes[d] - 1] for d in ds["intensity"].dims[:-1]}
    ds = ds.isel(last)
    truth = ds["truth"].values.ravel()
    return Case(
        ds.drop_vars("truth"),
        dict(zip((str(s) for s in ds["species"].values), truth.tolist(), strict=True)),
        names,
        missing,
    )


def visible(one: Case) -> bool:
    """Whether the fit of what is there, and in the library, leaves much more than noise."""
    view, fitted = _true_fit(one)
    if fitted is None:
        return False
    residual, _, _ = view.residual(fitted)
    return _beyond(float(residual @ residual), view.points - fitted.plan.size)


def unexplained(one: Case, found: Identification) -> bool:
    """Whether the best set of a library without one species leaves much more than noise.

    Where it does not, the others explain the spectrum: it cannot show that one is missing.
    """
    points = one.ds.sizes[str(one.ds["intensity"].dims[-1])]
    return _beyond(found.reduced_deviance * points, points)


def _beyond(square: float, freedom: int) -> bool:
    return square > freedom + 5.0 * float(np.sqrt(2.0 * freedom))


def _true_fit(one: Case) -> tuple[View, Fitted | None]:
    """Fit the species that are there, as far as they are candidates."""
    flat = one.ds.isel(dict.fromkeys(one.ds["intensity"].dims[:-1], 0), drop=True)
    view = View(flat, 0, 1, references.load())
    view.prepare(one.candidates)
    if "true_shift" in flat:  # not to end in another minimum
        view.hint = {"shift": float(flat["true_shift"])}
    return view, view.fit(frozenset(one.truth) - {one.missing})


def answer(one: Case) -> Identification:
    """Ask `identify`, which knows the elements and nothing else."""
    library = references.load()
    if one.missing:
        kept = {name: s for name, s in library.species.items() if name != one.missing}
        library = dataclasses.replace(library, species=kept)
    return wb.identify(one.ds, elements=ELEMENTS[one.ds.attrs["technique"]], library=library)


def strong(one: Case) -> list[str]:
    """Return true species above three times their detection limit in the fit of the true set."""
    view, fitted = _true_fit(one)
    found = view.amounts(fitted) if fitted is not None else None
    if found is None:
        return []
    covariance = found.covariance
    if found.kind == "fraction":
        share = found.raw / found.raw.sum()
        rows = (np.eye(share.size) - share[:, None]) / found.raw.sum()
        covariance = rows @ covariance @ rows.T
    error = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    limit = dict(zip(found.species, CURRIE * error, strict=True))
    return [s for s, a in one.truth.items() if s in limit and a > 3.0 * limit[s]]


def count(one: Case, found: Identification, tally: Tally) -> list[str]:
    """Add one mixture to a tally; return what went wrong."""
    wrong = []
    tally.mixtures += 1
    tally.flagged += found.flagged
    if found.flagged:
        wrong.append("flagged")
    held: set[str] = set()
    for f in found.findings:
        if f.verdict not in ("certain", "likely", "group"):
            continue
        members = {f.species, *f.group}
        held |= members
        true = members & set(one.truth)
        tally.units += 1
        tally.right_units += bool(true)
        if not true:
            wrong.append(f"{f.verdict} {f.species} is not there")
        if f.verdict == "certain":
            tally.certain += 1
            tally.wrong_certain += not true
        if true:
            amount = sum(one.truth[s] for s in true)
            tally.intervals += 1
            inside = f.interval[0] <= amount <= f.interval[1]
            tally.covered += inside
            if not inside:
                wrong.append(f"{f.species} {amount:.4g} not {f.amount:.4g}+-{f.stderr:.2g}")
    for name in strong(one):
        tally.strong += 1
        tally.strong_found += name in held
        if name not in held:
            wrong.append(f"missed {name} {one.truth[name]:.3g} ({found[name].verdict})")
    return wrong


def sweep(technique: str, number: int, first: int = 0, *, tell: bool = False) -> Tally:
    """Run mixtures of a technique."""
    tally = Tally()
    for seed in range(first, first + number):
        one = case(technique, seed)
        begin = time.process_time()
        found = answer(one)
        tally.seconds += time.process_time() - begin
        wrong = count(one, found, tally)
        if tell and wrong:
            print(technique, seed, one.ds.attrs.get("region", ""), sorted(one.truth), wrong)
    return tally


def outside(
    technique: str, kind: str, number: int, first: int = 0, *, tell: bool = False
) -> tuple[int, int, int, int]:
    """Return how many of some mixtures with a truth outside the model were flagged.

    Also the species called certain in all that were drawn, those of them that are not there, and
    how many were drawn: as flagged only those count that show what is outside the model.
    """
    flagged = certain = wrong = counted = 0
    for seed in itertools.count(10_000 + 1000 * first):
        if counted == number:
            break
        one = case(technique, seed, kind)
        if not one.missing and not visible(one):
            continue
        found = answer(one)
        sure = [f.species for f in found.findings if f.verdict == "certain"]
        bad = [species for species in sure if species not in one.truth]
        certain += len(sure)
        wrong += len(bad)
        if one.missing and not unexplained(one, found):
            if tell and bad:
                print(technique, "not seen", seed, one.truth, one.missing, bad)
            continue
        counted += 1
        flagged += found.flagged
        if tell and (bad or not found.flagged):
            region = one.ds.attrs.get("region", "")
            print(technique, kind, seed, region, one.truth, one.missing, found.flagged, bad)
    return flagged, certain, wrong, seed - 10_000 - 1000 * first


KINDS = {
    "xps": ("species", "line", "shape"),
    "nmr": ("species", "line", "shape"),
    "raman": ("species", "shape"),
    "edxrd": ("species", "line", "shape"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--outside", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", default="xps,nmr,raman,edxrd")
    parser.add_argument("--tell", action="store_true", help="print what went wrong")
    told = parser.parse_args()
    for technique in told.only.split(","):
        if told.count:
            row = sweep(technique, told.count, told.first, tell=told.tell).row()
            print(technique, "  ".join(f"{k} {v:.4g}" for k, v in row.items()), flush=True)
        for kind in KINDS[technique]:
            if told.outside:
                flagged, certain, wrong, drawn = outside(
                    technique, kind, told.outside, told.first, tell=told.tell
                )
                print(
                    f"{technique} outside: {kind}: flagged {flagged} of {told.outside} "
                    f"({drawn} drawn), certain {certain}, wrong certain {wrong}",
                    flush=True,
                )


if __name__ == "__main__":
    main()

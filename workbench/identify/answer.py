"""The answer of `identify`: what was found, in numbers and in sentences."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from references.errors import InterphaseError
from spectra.component import Components

_SHAPE = 0.1
"""Share of a line that a wrong shape of it easily leaves over."""
_INTENSITY = 3.0
"""Share of a line that texture, or few grains, may leave over."""
_TOLD = 8
"""Peaks and stretches that the report lists; the answer holds them all."""


@dataclass(frozen=True)
class Finding:
    """What is known of one species.

    Parameters
    ----------
    species : str
        Library id.
    verdict : str
        ``"certain"`` (at least 99 to 1, no look-alike, not `positional`, nothing left unexplained),
        ``"likely"``, ``"group"`` (it, or what its group names in its place), ``"possible"`` (less
        than 9 to 1),
        ``"alternative"`` (could stand in for a species found) or ``"absent"``.
    probability : float
        Posterior, averaged over the sets tried; of a group, that any of it is there.
    amount, stderr : float
        In ``units``, averaged over the sets that hold it; of a group, of all its members together.
        Not a number where absent.
    interval : tuple of float
        Central 95 % of the amount, and no less than 1.96 ``stderr`` to either side.
    limit : float
        Smallest amount that would have been seen (Currie).
    group : tuple of str
        Species that explain the data as well in its place.
    alike : tuple of str
        Species that this one could be as papers differ on their positions.
    positional : bool
        It rests on positions that a species outside the library may share: too few strong lines
        for a fingerprint, named neither as candidate nor expected from the precursors.
    units : str
        Of the amount; empty for shares.
    spectrum : int
        Which of the user's spectra the amount or limit is of; -1 where there is none.
    """

    species: str
    verdict: str
    probability: float
    amount: float
    stderr: float
    interval: tuple[float, float]
    limit: float
    group: tuple[str, ...]
    alike: tuple[str, ...]
    positional: bool
    units: str
    spectrum: int


@dataclass(frozen=True)
class Unexplained:
    """A peak that no species of the set explains.

    Parameters
    ----------
    spectrum : int
        Which of the user's spectra.
    position : float
        On the spectral axis.
    area : float
        Intensity times axis unit.
    significance : float
        Standard deviations.
    share : float
        Of the intensity that the species found have within a width of it; infinite where none.
    """

    spectrum: int
    position: float
    area: float
    significance: float
    share: float


@dataclass(frozen=True)
class Misfit:
    """A stretch of a spectrum that the best set does not describe, in whatever way.

    Parameters
    ----------
    spectrum : int
        Which of the user's spectra.
    low, high : float
        Where, on the spectral axis.
    ratio : float
        Mean square of the residual over that of the noise.
    """

    spectrum: int
    low: float
    high: float
    ratio: float


@dataclass(frozen=True)
class Identification:
    """The answer of `identify`.

    Parameters
    ----------
    findings : tuple of Finding
        Most probable first, then what is not there.
    unexplained : tuple of Unexplained
        Strongest first.
    misfits : tuple of Misfit
        In order of spectra.
    notes : tuple of str
        What had to be freed beyond the library (line shape, positions); where anything is left
        over, also what the axes rest on.
    models : tuple of Components
        The best set on each of the user's spectra, ready for `workbench.fit`.
    reduced_deviance : float
        Of the best set; far above 1 says that the model lacks something.
    """

    findings: tuple[Finding, ...]
    unexplained: tuple[Unexplained, ...]
    misfits: tuple[Misfit, ...]
    notes: tuple[str, ...]
    models: tuple[Components, ...]
    reduced_deviance: float

    @property
    def components(self) -> Components:
        """The best set on the first spectrum, ready for `workbench.fit`."""
        return self.models[0]

    @property
    def species(self) -> tuple[str, ...]:
        """Species found: certain, likely, or standing for a group."""
        found = ("certain", "likely", "group")
        return tuple(f.species for f in self.findings if f.verdict in found)

    @property
    def flagged(self) -> bool:
        """Whether something in the data is not in the library as it stands."""
        return bool(self.unexplained or self.misfits or self.notes)

    def __getitem__(self, species: str) -> Finding:
        for finding in self.findings:
            if finding.species == species:
                return finding
        raise InterphaseError(f"identify: {species!r} was not among the candidates")

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as plain data (NaN as None)."""
        plain = {
            "findings": [asdict(f) for f in self.findings],
            "unexplained": [
                {**asdict(u), "share": u.share if math.isfinite(u.share) else None}
                for u in self.unexplained
            ],
            "misfits": [asdict(m) for m in self.misfits],
            "notes": list(self.notes),
            "reduced_deviance": self.reduced_deviance,
        }
        for finding in plain["findings"]:  # type: ignore[attr-defined]
            for key, value in finding.items():
                if isinstance(value, float) and not math.isfinite(value):
                    finding[key] = None
            if not math.isfinite(finding["interval"][0]):
                finding["interval"] = None
        return plain

    def table(self) -> str:
        """Return what was found, and what could stand in for it, as columns of plain text."""
        rows = [("species", "verdict", "p", "amount", "95 %", "limit", "or")]
        for f in self.findings:
            if f.verdict == "absent":
                continue
            there = math.isfinite(f.amount)
            rows.append(
                (
                    f.species,
                    f.verdict,
                    f"{f.probability:.3f}",
                    f"{f.amount:.3g} {self._units(f)}".strip() if there else "",
                    f"{f.interval[0]:.3g} to {f.interval[1]:.3g}" if there else "",
                    f"{f.limit:.2g}" if math.isfinite(f.limit) else "",
                    ", ".join(f.group),
                )
            )
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )

    def report(self) -> str:
        """Say the answer in sentences, one per line."""
        lines = [self._said(f) for f in self.findings if f.verdict not in ("absent", "alternative")]
        for f in self.findings:
            if f.verdict == "absent" and math.isfinite(f.limit):
                limit = f"{f.limit:.2g} {self._units(f)}".strip()
                lines.append(f"{f.species}: not found; less than {limit} would not be seen.")
        lines += [_peak_said(u) for u in self.unexplained[:_TOLD]]
        lines += _more(len(self.unexplained), "weaker peaks")
        worst = sorted(self.misfits, key=lambda m: -m.ratio)[:_TOLD]
        lines += [_misfit_said(m) for m in self.misfits if m in worst]
        lines += _more(len(self.misfits), "stretches less off")
        return "\n".join([*lines, *self.notes])

    def _units(self, f: Finding) -> str:
        """Units, and of which spectrum where there are several."""
        several = len(self.models) > 1 and f.spectrum >= 0
        return f"{f.units} in spectrum {f.spectrum + 1}".strip() if several else f.units

    def _said(self, f: Finding) -> str:
        size = f"{f.amount:.3g} +- {f.stderr:.2g} {self._units(f)}".strip()
        if f.verdict == "group":
            names = " or ".join((f.species, *f.group))
            return (
                f"{names}: differ by less than these data resolve; reported as one group "
                f"({size} together, p = {f.probability:.3f})."
            )
        if f.verdict == "possible":
            return f"{f.species}: possible (p = {f.probability:.3f}), {size}; limit {f.limit:.2g}."
        also = f"; by its position it could also be {' or '.join(f.alike)}" if f.alike else ""
        if f.positional:
            also += "; its lines do not rule out a species that the library does not hold"
        return f"{f.species}: {f.verdict} (p = {f.probability:.3f}), {size}{also}."


def _peak_said(u: Unexplained) -> str:
    beside = ""
    if u.share < _SHAPE:
        beside = f", {100.0 * u.share:.2g} % of the lines found there: more likely their shape"
    elif u.share < _INTENSITY:
        beside = f", {u.share:.2g} of the lines found there: perhaps their intensity"
    return (
        f"Unexplained in spectrum {u.spectrum + 1}: a peak of area {u.area:.3g} at "
        f"{u.position:.5g} ({u.significance:.0f} standard deviations){beside}."
    )


def _misfit_said(m: Misfit) -> str:
    return (
        f"Not described in spectrum {m.spectrum + 1}: {m.low:.5g} to {m.high:.5g}, where the "
        f"residual is up to {m.ratio:.1f} times the noise in the square: a line shape or a "
        "species is missing."
    )


def _more(number: int, what: str) -> list[str]:
    return [f"And {number - _TOLD} {what}."] if number > _TOLD else []

"""What the library holds: species, lines, structures, core levels, nuclei; each with its source.

All are frozen pydantic models that refuse unknown keys: a misspelt field in a species file is an
error, not a value that is silently missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Confidence = Literal["read", "literature", "approximate", "user"]
TechniqueName = Literal["xps", "nmr", "raman"]
Role = Literal[
    "electrolyte", "electrode", "product", "current_collector", "contaminant", "coating", "unit"
]

_ELEMENT = re.compile(r"([A-Z][a-z]?)(\d+(?:\.\d+)?)?|(\()|\)(\d+(?:\.\d+)?)?")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Reported(_Model):
    """One reported value of a quantity, with the range that its source or others give.

    Parameters
    ----------
    value, low, high : float
        In the unit of the line it belongs to.
    source : str
        Full reference.
    doi : str
        Empty where none is certain.
    confidence : {"read", "literature", "approximate", "user"}
        Whether the number was seen in the source itself, is well known from it, or is typical.
    note : str
        What the reader must know.
    """

    value: float
    low: float | None = None
    high: float | None = None
    source: str = Field(min_length=3)
    doi: str = ""
    confidence: Confidence
    note: str = ""


class Line(_Model):
    """One line of a species in one technique.

    Parameters
    ----------
    species : str
        Library id.
    technique : {"xps", "nmr", "raman"}
        Where it is seen.
    transition : str
        Core level (``"S 2p"``, energy of the higher-j line), nucleus (``"31P"``) or ``"band"``.
    label : str
        Identifier that tells the lines of one species apart; empty for the main one.
    assignment : str
        What it comes from.
    value, low, high : float
        Position and the range of reported ones.
    unit : str
        ``eV``, ``ppm`` or ``1/cm``.
    fwhm, fwhm_low, fwhm_high : float, optional
        Full width at half maximum in the unit of the position.
    count : float, optional
        Atoms per formula unit that emit in this line; None where stoichiometry does not fix it.
    relative_intensity : float, optional
        Raman: area over that of the strongest band of the species.
    shape : str
        Name of a line shape.
    mixing, asymmetry : float, optional
        Shape parameters where they are known.
    zeta, eta : float, optional
        NMR: shift anisotropy in ppm (Haeberlen) and its asymmetry.
    span : float, optional
        NMR: span of the shift tensor in ppm where only that is reported.
    cq_MHz, eta_q : float, optional
        NMR: quadrupolar coupling and asymmetry.
    reference : str
        Charge or shift reference of the position.
    condition : str
        Laser line, spinning, temperature, where they matter.
    source, doi, confidence, note
        Of the position, as in `Reported`.
    others : tuple of Reported
        Further reports of the same line; kept where sources disagree.
    """

    species: str
    technique: TechniqueName
    transition: str
    label: str = ""
    assignment: str = ""
    value: float
    low: float
    high: float
    unit: Literal["eV", "ppm", "1/cm"]
    fwhm: float | None = None
    fwhm_low: float | None = None
    fwhm_high: float | None = None
    count: float | None = None
    relative_intensity: float | None = None
    shape: str = "pseudo_voigt"
    mixing: float | None = None
    asymmetry: float | None = None
    zeta: float | None = None
    eta: float | None = None
    span: float | None = None
    cq_MHz: float | None = None
    eta_q: float | None = None
    reference: str = ""
    condition: str = ""
    source: str
    doi: str = ""
    confidence: Confidence
    note: str = ""
    others: tuple[Reported, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """All sources of the position, the chosen one first."""
        return tuple(dict.fromkeys([self.source, *(o.source for o in self.others)]))


class Separation(_Model):
    """An energy difference in XPS: it needs no charge reference, so it outranks positions.

    Parameters
    ----------
    kind : str
        ``"line"``: a line of this species minus a line of this or another species (positions of
        the higher-j lines); ``"satellite"``: a satellite above its main line;
        ``"exchange"``: between the two lines of an exchange-split level;
        ``"auger_parameter"``: binding energy plus kinetic energy of the Auger line.
    transition, label : str
        Which line of this species.
    other_species, other_transition, other_label : str
        What it is measured from; empty means of the same species and level. For an Auger
        parameter the transition is the Auger line (``"L3M45M45"``).
    value, low, high : float
        eV.
    """

    kind: Literal["line", "satellite", "exchange", "auger_parameter"]
    transition: str
    label: str = ""
    other_species: str = ""
    other_transition: str = ""
    other_label: str = ""
    value: float
    low: float
    high: float
    assignment: str = ""
    source: str = Field(min_length=3)
    doi: str = ""
    confidence: Confidence
    note: str = ""


class Site(_Model):
    """One crystallographic site: species and occupancies at fractional coordinates."""

    elements: dict[str, float]
    x: float
    y: float
    z: float


class StructureData(_Model):
    """A crystal structure as published: what pymatgen needs to build it.

    Parameters
    ----------
    id : str
        Unique in the library.
    formula : str
        Of the structure.
    space_group : str
        Symbol in pymatgen's setting (origin choice 1).
    number : int
        Space group number.
    a, b, c : float
        Cell lengths, angstrom.
    alpha, beta, gamma : float
        Cell angles, degree.
    sites : tuple of Site
        Empty where only the cell is known: then there is no pattern.
    formula_units : float, optional
        Of ``formula`` in the cell, where there are no sites to count.
    """

    id: str
    formula: str
    space_group: str
    number: int = Field(ge=1, le=230)
    a: float = Field(gt=0)
    b: float = Field(gt=0)
    c: float = Field(gt=0)
    alpha: float = Field(default=90.0, gt=0, lt=180)
    beta: float = Field(default=90.0, gt=0, lt=180)
    gamma: float = Field(default=90.0, gt=0, lt=180)
    sites: tuple[Site, ...] = Field(default=(), max_length=1000)
    formula_units: float | None = Field(default=None, gt=0)
    source: str = Field(min_length=3)
    doi: str = ""
    confidence: Confidence
    note: str = ""


class Species(_Model):
    """One species of the library: a phase, a molecular unit, or a contaminant.

    Parameters
    ----------
    id : str
        An identifier; the name used for components and amounts.
    name, formula : str
        For people; the formula of one formula unit, without charge.
    charge : int
        Of the formula unit; zero for phases.
    aliases : tuple of str
        Other names that find it.
    role : str
        What it is in a cell.
    families : tuple of str
        Reaction sets it belongs to, for example ``"Li6PS5Cl on Li"``.
    density : float, optional
        g/cm3, from the structure or as reported.
    lines : tuple of Line
        Signatures in XPS, NMR and Raman.
    separations : tuple of Separation
        Energy differences in XPS.
    structures : tuple of StructureData
        For diffraction; the first is the default.
    """

    id: str
    name: str
    formula: str
    charge: int = 0
    aliases: tuple[str, ...] = ()
    role: Role
    chemical_class: str = ""
    families: tuple[str, ...] = ()
    appears: str = ""
    density: float | None = None
    lines: tuple[Line, ...] = ()
    separations: tuple[Separation, ...] = ()
    structures: tuple[StructureData, ...] = ()
    note: str = ""

    @field_validator("id")
    @classmethod
    def _identifier(cls, value: str) -> str:
        if not value.isidentifier():
            raise ValueError(f"id {value!r} is not an identifier (letters, digits, _)")
        return value

    @cached_property
    def atoms(self) -> Mapping[str, float]:
        """Atoms per formula unit by element."""
        return count_atoms(self.formula)

    @cached_property
    def molar_mass(self) -> float:
        """Molar mass of the formula unit, g/mol (xraydb's atomic masses)."""
        from xraydb import atomic_mass

        return float(sum(n * atomic_mass(element) for element, n in self.atoms.items()))


class CoreLevel(_Model):
    """What holds for a core level of an element in general.

    Parameters
    ----------
    name : str
        For example ``"S 2p"``.
    element : str
        Symbol.
    splitting : float
        Energy of the lower-j line above the higher-j one, eV; zero for s levels.
    area_ratio : float
        Area of the lower-j line over the higher-j one: ``l / (l + 1)`` exactly; zero for s levels.
    fwhm, fwhm_low, fwhm_high : float
        Typical full width of one component, eV.
    lifetime_width : float, optional
        Natural (core-hole) width, eV.
    rsf : mapping of str to float
        Relative sensitivity factor of the whole level by set, for example
        ``"scofield_1486.6"`` (photoionisation cross section at 1486.6 eV over that of C 1s).
    sources : tuple of str
        References of these values.
    note : str
        Line shape, multiplets, satellites: what a fit of this level must know.
    """

    name: str
    element: str
    splitting: float = 0.0
    area_ratio: float = 0.0
    fwhm: float = 1.2
    fwhm_low: float = 0.7
    fwhm_high: float = 2.0
    lifetime_width: float | None = None
    rsf: dict[str, float] = Field(default_factory=dict)
    sources: tuple[str, ...] = Field(min_length=1)
    note: str = ""


class Nucleus(_Model):
    """What holds for a nucleus.

    Parameters
    ----------
    name : str
        For example ``"31P"``.
    spin : float
        Quantum number.
    gyromagnetic_ratio : float
        Over 2 pi, MHz/T.
    frequency_ratio : float, optional
        Percent of the 1H frequency of TMS (Xi).
    abundance : float
        Natural, percent.
    quadrupole_moment : float, optional
        Barn.
    shift_reference : str
        Compound at 0 ppm.
    sources : tuple of str
        References of these values.
    """

    name: str
    spin: float
    gyromagnetic_ratio: float
    frequency_ratio: float | None = None
    abundance: float
    quadrupole_moment: float | None = None
    shift_reference: str = ""
    sources: tuple[str, ...] = Field(min_length=1)


def count_atoms(formula: str) -> dict[str, float]:
    """Count the atoms of a formula without charge, for example ``Li1.3Al0.3Ti1.7(PO4)3``.

    Raises
    ------
    ValueError
        If the text is not a formula.
    """
    stack: list[dict[str, float]] = [{}]
    at = 0
    while at < len(formula):
        match = _ELEMENT.match(formula, at)
        if match is None:
            raise ValueError(f"formula {formula!r}: cannot read {formula[at:]!r}")
        element, number, opening, times = match.groups()
        if element:
            stack[-1][element] = stack[-1].get(element, 0.0) + float(number or 1)
        elif opening:
            stack.append({})
        elif len(stack) > 1:
            for name, n in stack.pop().items():
                stack[-1][name] = stack[-1].get(name, 0.0) + n * float(times or 1)
        else:
            raise ValueError(f"formula {formula!r}: ')' without '('")
        at = match.end()
    if len(stack) > 1 or not stack[0]:
        raise ValueError(f"formula {formula!r}: not complete")
    return stack[0]

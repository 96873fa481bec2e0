"""Which products a pair forms: phase diagrams, electrochemical windows, interface reactions.

Formation energies with their sources lie in ``formation_energies.yaml``; pymatgen computes. Sets of
energies (``"dft"``, ``"dft_2015"``, ``"experiment"``) are never mixed in one diagram.

``"dft_2015"`` is ``"dft"`` without the correction for sulfide that came with the Materials
Project's 2020 scheme: the windows printed for sulfide electrolytes in 2015 follow from it. It
changes only steps that form sulfur: they lie 0.25 V lower (oxidation of Li2S at 2.00 V instead of
2.26 V; measured enthalpies give 2.29 V).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from .composition import composition
from .errors import LibraryError

if TYPE_CHECKING:
    from pymatgen.analysis.phase_diagram import PhaseDiagram

    from . import Library

Set = Literal["dft", "dft_2015", "experiment"]
MAX_BYTES = 256 * 1024**2
LARGEST_eV_ATOM = 10.0
"""No compound is so much more (or less) stable than its elements; Y2O3 has -4 eV/atom."""
_TINY = 1e-6
SULFIDE_EV = 0.503
"""Correction of a sulfide ion in the MP2020 scheme, eV (A. Wang et al., Sci. Rep. 11 (2021) 15496,
doi:10.1038/s41598-021-94550-5)."""


class Energy(BaseModel):
    """One formation energy from the elements.

    Parameters
    ----------
    formula : str
        Compound.
    set : {"dft", "experiment"}
        Which set it belongs to.
    energy_eV_atom : float
        Formation energy (0 K) or enthalpy (298 K), eV/atom.
    preferred : bool
        Whether it is the one used where two sources give the compound.
    source : str
        Full reference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    formula: str
    set: Set
    energy_eV_atom: float
    low_eV_atom: float | None = None
    high_eV_atom: float | None = None
    enthalpy_kJ_mol: float | None = None
    entry_id: str = ""
    preferred: bool = True
    source: str
    doi: str = ""
    licence: str = ""
    confidence: str
    derivation: str = ""


@dataclass(frozen=True)
class Products:
    """What a composition is at a lithium potential.

    Parameters
    ----------
    potential_V : float
        Against Li+/Li.
    coefficients : dict of str to float
        Formula to moles formed per mole of the starting formula.
    lithium : float
        Moles of lithium taken up (negative: given off) per mole of the starting formula.
    energy_eV : float
        Reaction energy per mole of the starting formula at this potential, eV; negative: driven.
    """

    potential_V: float
    coefficients: dict[str, float]
    lithium: float
    energy_eV: float


@dataclass(frozen=True)
class Window:
    """Electrochemical window of a composition.

    Parameters
    ----------
    reduction_V, oxidation_V : float
        Below the first it takes up lithium, above the second it gives lithium off, V vs Li+/Li.
        Equal where nothing is stable against both.
    reduced, oxidised : Products
        What it turns into just outside.
    """

    reduction_V: float
    oxidation_V: float
    reduced: Products
    oxidised: Products


@cache
def energies() -> tuple[Energy, ...]:
    """Return all bundled formation energies."""
    text = resources.files(__package__).joinpath("formation_energies.yaml").read_text("utf-8")
    return tuple(TypeAdapter(list[Energy]).validate_python(yaml.safe_load(text)))


def read_energies(path: Path) -> tuple[Energy, ...]:
    """Read a user's own entries: pymatgen ComputedEntry JSON, or a Materials Project download.

    Parameters
    ----------
    path : Path
        JSON list (or an object with ``entries`` or ``data``). Each item has ``composition`` (or
        ``formula_pretty``) and either ``formation_energy_per_atom`` or a total ``energy`` (plus
        ``correction``); for total energies the file must hold the elements too.

    Returns
    -------
    tuple of Energy
        In the set ``"dft"``.

    Raises
    ------
    LibraryError
        If the file is too large, not such JSON, or an element is missing. Objects named in the
        JSON are never built.
    """
    from pymatgen.core import Composition

    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise LibraryError(f"{path.name}: no such file, or larger than {MAX_BYTES} bytes")
    try:
        data = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        raise LibraryError(f"{path.name}: not JSON") from None
    if isinstance(data, dict):
        data = data.get("entries", data.get("data"))
    if not isinstance(data, list):
        raise LibraryError(f"{path.name}: expected a list of entries")
    totals: list[tuple[Composition, float, str]] = []
    found: list[Energy] = []
    for number, item in enumerate(data):
        try:
            composition = Composition(item.get("composition") or item["formula_pretty"])
            if not composition.valid or not 0.0 < composition.num_atoms < 1e6:
                raise ValueError("a composition of no elements, or of none or too many atoms")
            name = str(item.get("entry_id") or item.get("material_id") or "")
            formed = item.get("formation_energy_per_atom")
            if formed is None:
                total = float(item["energy"]) + float(item.get("correction") or 0.0)
                totals.append((composition, total / composition.num_atoms, name))
            else:
                found.append(_own(composition, float(formed), name, path))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LibraryError(
                f"{path.name}: entry {number}: no composition and energy ({error})"
            ) from None
    elements = {
        str(c.elements[0]): e for c, e, _ in sorted(totals, key=lambda t: -t[1]) if c.is_element
    }
    for composition, energy, name in totals:
        missing = [str(e) for e in composition.elements if str(e) not in elements]
        if missing:
            raise LibraryError(
                f"{path.name}: total energy of {composition.reduced_formula} but none of "
                f"{', '.join(missing)}; add the elements or give formation_energy_per_atom"
            )
        reference = sum(
            elements[str(e)] * composition.get_atomic_fraction(e) for e in composition.elements
        )
        found.append(_own(composition, energy - reference, name, path))
    return tuple(found)


def _own(composition: Any, energy: float, name: str, path: Path) -> Energy:
    if abs(energy) > LARGEST_eV_ATOM:
        raise LibraryError(
            f"{path.name}: {composition.reduced_formula}: {energy:g} eV/atom from its elements; "
            "give eV per atom (not kJ/mol, not per formula unit), elements of the same calculation"
        )
    try:
        return Energy(
            formula=composition.reduced_formula,
            set="dft",
            energy_eV_atom=energy,
            entry_id=name,
            source=f"user's file {path.name}",
            confidence="user",
        )
    except ValidationError:
        raise LibraryError(f"{path.name}: {name or composition}: energy is not finite") from None


def phase_diagram(
    elements: Iterable[str], *, energy_set: Set = "dft", extra: Iterable[Energy] = ()
) -> PhaseDiagram:
    """Build the phase diagram of some elements.

    Parameters
    ----------
    elements : iterable of str
        Chemical system.
    energy_set : {"dft", "dft_2015", "experiment"}
        Which energies.
    extra : iterable of Energy
        A user's entries; the lowest energy of a composition wins.

    Returns
    -------
    pymatgen.analysis.phase_diagram.PhaseDiagram
        With energies of formation, so elements are at zero.

    Raises
    ------
    LibraryError
        If the set lacks one of the elements.
    """
    return _diagram(frozenset(elements), energy_set, tuple(extra))


@cache
def _diagram(elements: frozenset[str], energy_set: Set, extra: tuple[Energy, ...]) -> PhaseDiagram:
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.core import Composition

    if energy_set not in get_args(Set):
        raise LibraryError(f"energy set {energy_set!r}: one of {', '.join(get_args(Set))}")
    stored = "dft" if energy_set == "dft_2015" else energy_set
    chosen = [e for e in energies() if e.set == stored and e.preferred]
    if energy_set == "dft_2015":
        chosen = [_without_sulfide_correction(e) for e in chosen]
    found = []
    for energy in (*chosen, *extra):
        composition = Composition(energy.formula)
        if {str(e) for e in composition.elements} <= elements:
            found.append(
                PDEntry(composition, energy.energy_eV_atom * composition.num_atoms, energy.formula)
            )
    known = {str(e.composition.elements[0]) for e in found if e.composition.is_element}
    if elements - known:
        raise LibraryError(
            f"set {energy_set!r} has no {', '.join(sorted(elements - known))}; take another set "
            f"({', '.join(get_args(Set))}) or add entries (thermo.read_energies)"
        )
    return PhaseDiagram(found)


def _without_sulfide_correction(energy: Energy) -> Energy:
    from pymatgen.core import Composition

    composition = Composition(energy.formula)
    share = composition.get_atomic_fraction("S")
    # Sulfur in oxyanions is no sulfide and has no such correction; elements have none.
    if share == 0.0 or composition.is_element or "O" in composition:
        return energy
    return energy.model_copy(update={"energy_eV_atom": energy.energy_eV_atom + SULFIDE_EV * share})


def products_at(
    formula: str, potential_V: float, *, energy_set: Set = "dft", extra: Iterable[Energy] = ()
) -> Products:
    """Return the phases that a composition turns into, open to lithium at a potential.

    The grand potential ``E - mu_Li n_Li`` with ``mu_Li = -e V`` is minimised (S. P. Ong et al.,
    Chem. Mater. 20 (2008) 1798, doi:10.1021/cm702327g).

    Parameters
    ----------
    formula : str
        Electrolyte, by formula or library name, or any composition with an element besides lithium.
    potential_V : float
        Against Li+/Li.
    energy_set, extra
        As in `phase_diagram`.

    Returns
    -------
    Products
    """
    from pymatgen.analysis.phase_diagram import GrandPotentialPhaseDiagram
    from pymatgen.core import Composition, Element

    start = composition(formula)
    lithium = Element("Li")
    if set(start) == {lithium}:
        raise LibraryError(f"{formula}: lithium alone turns into nothing; name a compound")
    diagram = phase_diagram(
        {str(e) for e in start.elements} | {"Li"}, energy_set=energy_set, extra=extra
    )
    grand = GrandPotentialPhaseDiagram(diagram.all_entries, {lithium: -potential_V})
    rest = Composition({e: n for e, n in start.items() if e != lithium})
    decomposition = grand.get_decomposition(rest)
    coefficients: dict[str, float] = {}
    taken = -float(start[lithium])
    formed = 0.0
    for entry, fraction in decomposition.items():
        whole = entry.original_comp
        part = Composition({e: n for e, n in whole.items() if e != lithium})
        units, factor = whole.get_reduced_composition_and_factor()
        moles = fraction * rest.num_atoms / part.num_atoms
        if moles * factor < _TINY:
            continue
        name = units.reduced_formula
        coefficients[name] = coefficients.get(name, 0.0) + float(moles * factor)
        taken += float(moles * whole[lithium])
        formed += float(moles * entry.original_entry.energy)
    before = _energy_of(start, diagram)
    return Products(potential_V, coefficients, taken, formed - before + taken * potential_V)


def _energy_of(start: Any, diagram: PhaseDiagram) -> float:
    """Energy of a composition: its own entry if there is one, else that of the hull."""
    own = [
        e.energy_per_atom
        for e in diagram.all_entries
        if e.composition.reduced_formula == start.reduced_formula
    ]
    per_atom = min(own) if own else diagram.get_hull_energy_per_atom(start)
    return float(per_atom) * float(start.num_atoms)


def window(formula: str, *, energy_set: Set = "dft", extra: Iterable[Energy] = ()) -> Window:
    """Return the electrochemical window of a composition against lithium exchange.

    The potentials where the equilibrium phases hold more (below) or less (above) lithium than the
    composition itself (Y. Zhu, X. He, Y. Mo, ACS Appl. Mater. Interfaces 7 (2015) 23685,
    doi:10.1021/acsami.5b07517).

    Parameters
    ----------
    formula : str
        Composition with lithium, or a library name.
    energy_set, extra
        As in `phase_diagram`.

    Returns
    -------
    Window

    Raises
    ------
    LibraryError
        If the composition holds no lithium.
    """
    from pymatgen.core import Element

    start = composition(formula)
    lithium = Element("Li")
    if start[lithium] == 0:
        raise LibraryError(f"{formula}: no lithium in it: it has no window of this kind")
    diagram = phase_diagram({str(e) for e in start.elements}, energy_set=energy_set, extra=extra)
    steps = diagram.get_element_profile(lithium, start)
    # Each step holds from its potential up; potentials ascend from lithium metal at 0 V.
    edges = sorted(
        (-(s["chempot"] - diagram.el_refs[lithium].energy_per_atom), s["evolution"]) for s in steps
    )
    low = min((v for v, taken in edges if taken <= _TINY), default=edges[-1][0])
    high = min((v for v, taken in edges if taken < -_TINY), default=edges[-1][0])
    return Window(
        low,
        high,
        products_at(formula, low - 0.02, energy_set=energy_set, extra=extra),
        products_at(formula, high + 0.02, energy_set=energy_set, extra=extra),
    )


@dataclass(frozen=True)
class Contact:
    """The most driven reaction of two phases in contact.

    Parameters
    ----------
    mixing : float
        Share of the first phase's atoms in the reacting mixture.
    coefficients : dict of str to float
        Formula to moles; consumed negative, formed positive; per mole of atoms of the mixture.
    energy_eV_atom : float
        Reaction energy per atom; zero where the two are stable in contact.
    """

    mixing: float
    coefficients: dict[str, float]
    energy_eV_atom: float


def contact(
    first: str, second: str, *, energy_set: Set = "dft", extra: Iterable[Energy] = ()
) -> Contact:
    """Return what two phases form where they touch, closed system.

    The pseudo-binary between the two is searched for its most negative reaction energy
    (W. D. Richards et al., Chem. Mater. 28 (2016) 266, doi:10.1021/acs.chemmater.5b04082).

    Parameters
    ----------
    first, second : str
        Formulas or library names, for example electrolyte and cathode.
    energy_set, extra
        As in `phase_diagram`.

    Returns
    -------
    Contact
    """
    from pymatgen.analysis.interface_reactions import InterfacialReactivity

    one, two = composition(first), composition(second)
    diagram = phase_diagram(
        {str(e) for e in (*one.elements, *two.elements)}, energy_set=energy_set, extra=extra
    )
    reactivity = InterfacialReactivity(one, two, diagram, norm=True, use_hull_energy=False)
    best = min(reactivity.get_kinks(), key=lambda kink: kink[2])
    _, mixing, energy, reaction, _ = best
    coefficients = {
        c.reduced_formula: float(reaction.get_coeff(c))
        for c in reaction.all_comp
        if abs(reaction.get_coeff(c)) > _TINY
    }
    return Contact(float(mixing), coefficients, min(float(energy), 0.0))


def predicted_species(
    formula: str, potential_V: float, library: Library, *, energy_set: Set | None = None
) -> tuple[str, ...]:
    """Return library ids of the products of a composition at a potential, all polymorphs.

    Parameters
    ----------
    formula : str
        Electrolyte.
    potential_V : float
        Against Li+/Li.
    library : Library
        Where the ids come from.
    energy_set : {"dft", "dft_2015", "experiment"}, optional
        Which energies; by default ``"dft"``, and ``"experiment"`` where that lacks an element. The
        measured set holds no phosphide of lithium: phosphorus that it forms is then looked up in
        ``"dft"`` (names only; energies of two sets are never added).

    Returns
    -------
    tuple of str
        Empty for a product that the library does not hold.
    """
    from pymatgen.core import Composition

    formed = _formed(formula, potential_V, energy_set)
    wanted = {Composition(f).reduced_formula for f in formed}
    found = []
    for species in library.species.values():
        try:
            reduced = Composition(species.formula).reduced_formula
        except ValueError:
            continue
        if reduced in wanted:
            found.append(species.id)
    return tuple(found)


def _formed(formula: str, potential_V: float, energy_set: Set | None) -> set[str]:
    if energy_set is not None:
        return set(products_at(formula, potential_V, energy_set=energy_set).coefficients)
    try:
        return set(products_at(formula, potential_V).coefficients)
    except LibraryError:
        formed = set(products_at(formula, potential_V, energy_set="experiment").coefficients)
    if "P" in formed:
        formed = formed - {"P"} | set(products_at("Li0.001P", potential_V).coefficients)
    return formed

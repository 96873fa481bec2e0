"""Powder reflections of a structure: d, multiplicity and |F|^2; no instrument in them.

pymatgen builds the structure and finds the reflections; a table per structure is kept on disk.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from .errors import LibraryError, nearest
from .library import Library, cache_folder, load, write_text
from .model import Species, StructureData

if TYPE_CHECKING:
    from pymatgen.core import Structure

Radiation = Literal["xray", "neutron"]
_TABLE = 2


@dataclass(frozen=True)
class Reflection:
    """One powder line.

    Parameters
    ----------
    hkl : tuple of int
        Miller indices of one member of the family (three indices in every system).
    d : float
        Spacing, angstrom.
    multiplicity : int
        Number of planes that share this d (of all families that fall together).
    f2 : float
        Multiplicity-weighted mean of |F|^2 of the cell: electrons squared for X-rays (without
        anomalous dispersion, without Debye-Waller factor), fm squared for neutrons.
    """

    hkl: tuple[int, int, int]
    d: float
    multiplicity: int
    f2: float


@dataclass(frozen=True)
class Cell:
    """Lattice parameters, angstrom and degree, that replace those of the structure."""

    a: float | None = None
    b: float | None = None
    c: float | None = None
    alpha: float | None = None
    beta: float | None = None
    gamma: float | None = None


def structure_data(name: str, library: Library | None = None) -> StructureData:
    """Return the structure of a species (its first) or a structure by its own id.

    Raises
    ------
    LibraryError
        If there is none, or only a cell without atoms is known.
    """
    library = library or load()
    for species in library.species.values():
        for data in species.structures:
            if data.id == name:
                return _with_atoms(data, species)
    species = library[name]
    if not species.structures:
        known = [s.id for s in library.species.values() if any(x.sites for x in s.structures)]
        raise LibraryError(f"{species.id}: no structure known; {nearest(species.id, known)}")
    data = next((d for d in species.structures if d.sites), species.structures[0])
    return _with_atoms(data, species)


def _with_atoms(data: StructureData, species: Species) -> StructureData:
    if not data.sites:
        raise LibraryError(f"{species.id}: structure {data.id} is a cell without atoms: no pattern")
    return data


def build(data: StructureData, cell: Cell | None = None) -> Structure:
    """Build the pymatgen structure, with other lattice parameters if given."""
    from pymatgen.core import Lattice, Structure

    told = asdict(cell) if cell else {}
    values = [told.get(k) or getattr(data, k) for k in ("a", "b", "c", "alpha", "beta", "gamma")]
    return Structure.from_spacegroup(
        data.space_group,
        Lattice.from_parameters(*values),
        [dict(site.elements) for site in data.sites],
        [[site.x, site.y, site.z] for site in data.sites],
        tol=5e-3,
    )


def cell_volume(name: str, library: Library | None = None) -> float:
    """Return the volume of the cell of a species' structure, cubic angstrom."""
    return volume(structure_data(name, library))


def volume(data: StructureData) -> float:
    """Return the volume of a cell, cubic angstrom."""
    ca, cb, cg = (np.cos(np.radians(x)) for x in (data.alpha, data.beta, data.gamma))
    root = np.sqrt(1.0 - ca**2 - cb**2 - cg**2 + 2.0 * ca * cb * cg)
    return float(data.a * data.b * data.c * root)


def formula_units(name: str, library: Library | None = None) -> float:
    """Return the number of formula units of the species in the cell of its structure."""
    library = library or load()
    data = structure_data(name, library)
    owner = next(s for s in library.species.values() if any(x.id == data.id for x in s.structures))
    content = build(data).composition
    element, number = max(owner.atoms.items(), key=lambda item: item[1])
    return float(content[element]) / number


def reflections(
    name: str,
    *,
    d_min: float = 0.8,
    radiation: Radiation = "xray",
    cell: Cell | None = None,
    library: Library | None = None,
) -> tuple[Reflection, ...]:
    """Return the powder reflections of a species, longest d first.

    Parameters
    ----------
    name : str
        Species id or alias, or a structure id.
    d_min : float
        Shortest spacing, angstrom.
    radiation : {"xray", "neutron"}
        What is scattered.
    cell : Cell, optional
        Lattice parameters to use instead of the structure's.
    library : Library, optional
        Another library than the default one.

    Returns
    -------
    tuple of Reflection
        Families of one d (within 1e-5) joined; systematically absent ones left out.

    Raises
    ------
    LibraryError
        If no structure with atoms is known.

    Notes
    -----
    |F|^2 comes from pymatgen's pattern divided by its Lorentz-polarisation factor
    ``(1 + cos^2 2t) / (sin^2 t cos t)`` (X-rays) or Lorentz factor ``1 / (sin^2 t cos t)``
    (neutrons) and by the multiplicity; it does not depend on the wavelength used. Atomic form
    factors are pymatgen's analytic ones; anomalous dispersion is not in them.
    """
    data = structure_data(name, library)
    if cell is not None:  # a fit asks for many cells, each once: nothing to keep
        return _computed(data, d_min, radiation, cell)
    return _reflections(data.model_dump_json(), d_min, radiation)


@cache
def _reflections(data_json: str, d_min: float, radiation: Radiation) -> tuple[Reflection, ...]:
    key = hashlib.sha256(json.dumps([_TABLE, data_json, d_min, radiation]).encode()).hexdigest()
    file = cache_folder() / f"reflections-{key[:32]}.json"
    try:
        rows = json.loads(file.read_text("utf-8"))
        return tuple(Reflection(tuple(hkl), d, m, f2) for hkl, d, m, f2 in rows)
    except (OSError, ValueError, TypeError):
        pass
    found = _computed(StructureData.model_validate_json(data_json), d_min, radiation, None)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(json.dumps([[r.hkl, r.d, r.multiplicity, r.f2] for r in found]), file)
    except OSError:
        pass  # a cache that cannot be written costs time only
    return found


def _computed(
    data: StructureData, d_min: float, radiation: Radiation, cell: Cell | None
) -> tuple[Reflection, ...]:
    from pymatgen.analysis.diffraction.neutron import NDCalculator
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    structure = build(data, cell)
    wavelength = min(0.5, 1.6 * d_min)
    largest = 2.0 * np.degrees(np.arcsin(wavelength / (2.0 * d_min)))
    calculator = XRDCalculator if radiation == "xray" else NDCalculator
    pattern = calculator(wavelength=wavelength).get_pattern(
        structure, scaled=False, two_theta_range=(0.0, float(largest))
    )
    found = []
    for two_theta, intensity, families, d in zip(
        pattern.x, pattern.y, pattern.hkls, pattern.d_hkls, strict=True
    ):
        theta = np.radians(two_theta) / 2.0
        factor = 1.0 / (np.sin(theta) ** 2 * np.cos(theta))
        if radiation == "xray":
            factor *= 1.0 + np.cos(2.0 * theta) ** 2
        multiplicity = sum(f["multiplicity"] for f in families)
        h = families[0]["hkl"]
        hkl = (int(h[0]), int(h[1]), int(h[-1]))
        f2 = float(intensity / factor / multiplicity)
        found.append(Reflection(hkl, float(d), int(multiplicity), f2))
    top = max((r.multiplicity * r.f2 for r in found), default=0.0)
    kept = [r for r in found if r.multiplicity * r.f2 > 1e-6 * top]
    return tuple(sorted(kept, key=lambda r: -r.d))

"""Powder reflections of a structure: d, multiplicity and |F|^2; no instrument in them.

pymatgen builds the structure; the sum over its sites is ours, with xraydb's form factors. A table
per structure is kept on disk.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .errors import LibraryError, nearest
from .library import Library, cache_folder, load, write_text
from .model import Species, StructureData

if TYPE_CHECKING:
    from pymatgen.core import Structure
    from pymatgen.symmetry.groups import SpaceGroup

Radiation = Literal["xray", "neutron"]
Array = np.ndarray[Any, Any]
MAX_POINTS = 10_000_000
"""Reciprocal lattice points looked at for one pattern."""
_TABLE = 3
_HC = 12.398419843  # keV angstrom
_SAME = 1e-7  # relative; spacings nearer than this are one line by symmetry


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


@cache
def space_group(symbol: str) -> SpaceGroup:
    """Return a space group by symbol; kept, as pymatgen forgets one that nobody holds (0.2 s)."""
    from pymatgen.symmetry.groups import SpaceGroup

    return SpaceGroup(symbol)


def build(data: StructureData, cell: Cell | None = None) -> Structure:
    """Build the pymatgen structure, with other lattice parameters if given.

    Raises
    ------
    LibraryError
        If a site holds no element, or symbol, cell and occupancies do not fit each other.
    """
    from pymatgen.core import Element, Lattice, Structure

    told = asdict(cell) if cell else {}
    values = [told.get(k) or getattr(data, k) for k in ("a", "b", "c", "alpha", "beta", "gamma")]
    strange = {e for site in data.sites for e in site.elements if not Element.is_valid_symbol(e)}
    if strange:
        raise LibraryError(f"structure {data.id}: {', '.join(sorted(strange))}: no element")
    try:
        space_group(data.space_group)
        return Structure.from_spacegroup(
            data.space_group,
            Lattice.from_parameters(*values),
            [dict(site.elements) for site in data.sites],
            [[site.x, site.y, site.z] for site in data.sites],
            tol=5e-3,
        )
    except ValueError as error:
        why = " ".join(str(error).split())
        raise LibraryError(f"structure {data.id}: cannot be built ({why})") from None


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
    element, number = max(owner.atoms.items(), key=lambda item: item[1])
    return _atoms_in_cell(data.model_dump_json(), element) / number


@cache  # expanding a space group takes a third of a second
def _atoms_in_cell(data_json: str, element: str) -> float:
    return float(build(StructureData.model_validate_json(data_json)).composition[element])


def reflections(
    name: str,
    *,
    d_min: float = 0.8,
    radiation: Radiation = "xray",
    cell: Cell | None = None,
    library: Library | None = None,
    energy_keV: float | None = None,
    two_theta_deg: float | None = None,
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
    energy_keV : float, optional
        Photon energy at which X-rays are scattered: adds the anomalous dispersion f' + i f'' of C.
        T. Chantler, J. Phys. Chem. Ref. Data 29 (2000) 597 (from xraydb). Left out without it.
    two_theta_deg : float, optional
        Scattering angle of white X-rays, instead of ``energy_keV``: the anomalous dispersion of
        every reflection is that at its own energy ``hc / (2 d sin(theta))``.

    Returns
    -------
    tuple of Reflection
        Families of one d joined; systematically absent ones left out.

    Raises
    ------
    LibraryError
        If no structure with atoms is known, or d_min asks for more than `MAX_POINTS`.
    ValueError
        If both an energy and an angle are told.

    Notes
    -----
    The sum over the sites of the cell. Form factors are those of neutral atoms by D. Waasmaier
    and A. Kirfel, Acta Cryst. A51 (1995) 416 (from xraydb): pymatgen's own are up to 9 % too low
    in |F|^2 for lithium at small d. Neutron scattering
    lengths are the bound coherent ones that pymatgen holds.
    """
    if energy_keV is not None and two_theta_deg is not None:
        raise ValueError("reflections: tell energy_keV or two_theta_deg, not both")
    data = structure_data(name, library)
    if cell is not None:  # a fit asks for many cells, each once: nothing to keep
        return _computed(data, d_min, radiation, cell, energy_keV, two_theta_deg)
    return _reflections(data.model_dump_json(), d_min, radiation, energy_keV, two_theta_deg)


@cache
def _reflections(
    data_json: str, d_min: float, radiation: Radiation, energy: float | None, angle: float | None
) -> tuple[Reflection, ...]:
    told = [_TABLE, data_json, d_min, radiation, *([] if energy is None else [energy])]
    told += [] if angle is None else ["angle", angle]
    key = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    file = cache_folder() / f"reflections-{key[:32]}.json"
    try:
        rows = json.loads(file.read_text("utf-8"))
        return tuple(Reflection(tuple(hkl), d, m, f2) for hkl, d, m, f2 in rows)
    except (OSError, ValueError, TypeError):
        pass
    data = StructureData.model_validate_json(data_json)
    found = _computed(data, d_min, radiation, None, energy, angle)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(json.dumps([[r.hkl, r.d, r.multiplicity, r.f2] for r in found]), file)
    except OSError:
        pass  # a cache that cannot be written costs time only
    return found


def _computed(
    data: StructureData,
    d_min: float,
    radiation: Radiation,
    cell: Cell | None,
    energy: float | None,
    angle: float | None = None,
) -> tuple[Reflection, ...]:
    structure = build(data, cell)
    lattice = structure.lattice
    most = [int(min(length / max(d_min, 1e-6), 1e9)) for length in lattice.abc]
    if np.prod([2.0 * m + 1.0 for m in most]) > MAX_POINTS:
        raise LibraryError(f"{data.id}: d_min {d_min:g} angstrom asks for too many reflections")
    grid = np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij")
    hkl = np.stack(grid, axis=-1).reshape(-1, 3)
    g = np.linalg.norm(hkl @ lattice.reciprocal_lattice_crystallographic.matrix, axis=1)
    keep = (g > 0.0) & (g <= (1.0 + 1e-9) / d_min)
    order = np.argsort(g[keep], kind="stable")
    hkl, g = hkl[keep][order], g[keep][order]
    if not g.size:
        return ()
    at_energy: float | Array | None = energy
    if angle is not None:
        at_energy = _HC * g / (2.0 * np.sin(np.radians(angle) / 2.0))
    squared = np.abs(_amplitudes(structure, hkl, g, radiation, at_energy)) ** 2
    # Points of one spacing lie together now; their spacings differ by rounding only.
    first = np.flatnonzero(np.r_[True, np.diff(g) > _SAME * g[1:]])
    number = np.diff(np.r_[first, g.size])
    total = np.add.reduceat(squared, first)
    found = []
    for at in np.flatnonzero(total > 1e-6 * total.max()):
        part = slice(first[at], first[at] + number[at])
        strong = hkl[part][squared[part] > 1e-6 * squared[part].max()]
        h, k, m = max(map(tuple, strong.tolist()))
        spacing = float(1.0 / g[first[at]])
        n = int(number[at])
        found.append(Reflection((h, k, m), spacing, n, float(total[at]) / n))
    return tuple(found)


def _amplitudes(
    structure: Structure, hkl: Array, g: Array, radiation: Radiation, energy: float | Array | None
) -> Array:
    """Sum the scattering of all sites: electrons, or fm for neutrons."""
    symbols = sorted({e.symbol for e in structure.composition.elements})
    if radiation == "xray":
        from xraydb import f0

        factors = {symbol: np.asarray(f0(symbol, g / 2.0)) + 0j for symbol in symbols}
        if energy is not None:
            for symbol in symbols:
                factors[symbol] = factors[symbol] + _dispersion(symbol, energy)
    else:
        from pymatgen.analysis.diffraction.neutron import ATOMIC_SCATTERING_LEN

        unknown = [symbol for symbol in symbols if symbol not in ATOMIC_SCATTERING_LEN]
        if unknown:
            raise LibraryError(f"no neutron scattering length of {', '.join(unknown)} is known")
        factors = {
            symbol: np.full(g.size, ATOMIC_SCATTERING_LEN[symbol]) + 0j for symbol in symbols
        }
    amplitude = np.zeros(g.size, complex)
    for site in structure:
        phase = np.exp(2j * np.pi * (hkl @ site.frac_coords))
        for element, share in site.species.items():
            amplitude += share * factors[element.symbol] * phase
    return amplitude


def _dispersion(symbol: str, energy: float | Array) -> Array:
    """Return f' + i f'' of an element at photon energies in keV; zero below lithium."""
    from xraydb import f1_chantler, f2_chantler

    at = np.clip(np.atleast_1d(np.asarray(energy, float)), 0.1, 400.0)  # what the tables hold
    if symbol in ("H", "He", "D"):
        return np.zeros(at.size, complex)
    value = np.atleast_1d(f1_chantler(symbol, at * 1e3)) + 1j * np.atleast_1d(
        f2_chantler(symbol, at * 1e3)
    )
    return np.asarray(value)

"""Powder reflections against a structure-factor sum of our own over the published CIF files."""

from __future__ import annotations

import numpy as np
import pytest

from references import diffraction
from references.errors import LibraryError
from tests.shared_data import data

# Species of the library and the file of the same phase that others published.
PAIRS = {
    "Cu": "COD_Cu-Copper.cif",
    "Al": "COD_Al-Aluminum.cif",
    "Li": "COD_Li-Lithium.cif",
    "Ge0": "COD_Ge-Germanium.cif",
    "Li2O": "COD_Li2O.cif",
    "Li2S": "Li2S.cif",
    "LiF": "LiF.cif",
    "LiBr": "LiBr.cif",
    "LiI": "LiI.cif",
    "FeS2": "COD_FeS2-Pyrite.cif",
    "Li3P": "Li3P.cif",
}


def structure_factors(file, d_min):
    """Sum d, multiplicity and |F|^2 over all lattice points, with xraydb's form factors."""
    import warnings

    from pymatgen.core import Structure
    from xraydb import f0

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        structure = Structure.from_file(file)
    rows = {}
    reciprocal = structure.lattice.reciprocal_lattice_crystallographic
    for hkl, g, _, _ in zip(
        *reciprocal.get_points_in_sphere([[0, 0, 0]], [0, 0, 0], 1 / d_min, zip_results=False),
        strict=True,
    ):
        if g < 1e-9:
            continue
        amplitude = sum(
            f0(element.symbol, g / 2.0)[0]
            * share
            * np.exp(2j * np.pi * np.dot(hkl, site.frac_coords))
            for site in structure
            for element, share in site.species.items()
        )
        key = round(1.0 / g, 3)
        entry = rows.setdefault(key, [0, 0.0])
        entry[0] += 1
        entry[1] += abs(amplitude) ** 2
    return {d: (m, total / m) for d, (m, total) in rows.items() if total > 1e-3}


@pytest.mark.parametrize("species", PAIRS)
def test_spacings_and_structure_factors_of_published_phases(species):
    expected = structure_factors(data(f"xrd/cif/{PAIRS[species]}"), 1.2)
    found = diffraction.reflections(species, d_min=1.22)
    strongest = sorted(found, key=lambda r: -r.multiplicity * r.f2)[:6]
    top = max(m * f for m, f in expected.values())
    for r in strongest:
        near = min(expected, key=lambda d: abs(d - r.d))
        # Published cells of one phase differ by up to half a percent.
        assert near == pytest.approx(r.d, rel=6e-3)
        multiplicity, f2 = expected[near]
        assert multiplicity == r.multiplicity
        if multiplicity * f2 > 0.02 * top:
            # Form factors of the two programs differ by ionic state: a few percent of |F|^2.
            assert r.f2 == pytest.approx(f2, rel=0.12)


def test_spacing_follows_the_lattice_parameter():
    small = diffraction.reflections("Li2S", d_min=1.5)
    wide = diffraction.reflections("Li2S", d_min=1.5, cell=diffraction.Cell(a=5.8, b=5.8, c=5.8))
    a = diffraction.structure_data("Li2S").a
    for one, two in zip(small, wide, strict=False):
        assert two.d / one.d == pytest.approx(5.8 / a, rel=1e-6)


def test_systematic_absences_of_a_face_centred_lattice():
    for r in diffraction.reflections("Cu", d_min=0.8):
        assert len({i % 2 for i in r.hkl}) == 1


def test_neutrons_see_lithium_with_the_other_sign():
    # b(Li) is negative, b(F) positive: odd hkl of LiF are strong for neutrons, weak for X-rays.
    x = {r.hkl: r.f2 for r in diffraction.reflections("LiF", d_min=1.0)}
    n = {r.hkl: r.f2 for r in diffraction.reflections("LiF", d_min=1.0, radiation="neutron")}
    assert x[(1, 1, 1)] < x[(2, 0, 0)]
    assert n[(1, 1, 1)] > n[(2, 0, 0)]


def test_cell_volume_and_formula_units():
    assert diffraction.cell_volume("Li2S") == pytest.approx(5.71**3, rel=5e-3)
    assert diffraction.formula_units("Li6PS5Cl") == pytest.approx(4.0)


def test_species_without_atoms_are_refused_in_words():
    with pytest.raises(LibraryError, match="no structure known"):
        diffraction.reflections("Li2S2")
    with pytest.raises(LibraryError, match="cell without atoms"):
        diffraction.reflections("Li2SO4")

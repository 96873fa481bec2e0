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


def published(file):
    import warnings

    from pymatgen.core import Structure

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Structure.from_file(file)


def points(structure, d_min):
    """d and |F|^2 of every reciprocal lattice point, with Waasmaier and Kirfel's form factors.

    Our own sum: the symmetry is used for the list of atoms only, never for the reflections.
    """
    from xraydb import f0

    reciprocal = structure.lattice.reciprocal_lattice_crystallographic
    most = [int(np.ceil(length / d_min)) for length in structure.lattice.abc]
    hkl = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), -1)
    hkl = hkl.reshape(-1, 3)
    g = np.linalg.norm(hkl @ reciprocal.matrix, axis=1)
    keep = (g > 1e-9) & (g <= 1.0 / d_min)
    hkl, g = hkl[keep], g[keep]
    factors = {e.symbol: f0(e.symbol, g / 2.0) for e in structure.composition.elements}
    amplitude = np.zeros(g.size, complex)
    for site in structure:
        phase = np.exp(2j * np.pi * (hkl @ site.frac_coords))
        for element, share in site.species.items():
            amplitude += share * factors[element.symbol] * phase
    return 1.0 / g, np.abs(amplitude) ** 2


def structure_factors(structure, d_min):
    """Multiplicity and mean |F|^2 by d, rounded to 1e-3 angstrom."""
    d, f2 = points(structure, d_min)
    rows = {}
    for key, value in zip(np.round(d, 3), f2, strict=True):
        entry = rows.setdefault(float(key), [0, 0.0])
        entry[0] += 1
        entry[1] += value
    return {d: (m, total / m) for d, (m, total) in rows.items() if total > 1e-3}


@pytest.mark.parametrize("species", PAIRS)
def test_spacings_and_structure_factors_of_published_phases(species):
    expected = structure_factors(published(data(f"xrd/cif/{PAIRS[species]}")), 1.2)
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


@pytest.mark.parametrize(
    "species",
    ["Li2S", "LiCl", "Li3P", "Li", "Cu", "FeS2", "Li2O", "LiCoO2", "Li6PS5Cl", "Li3PS4_beta"],
)
def test_every_reflection_of_our_own_structures(species):
    from references.diffraction import build, structure_data

    d, f2 = points(build(structure_data(species)), 0.999)
    found = diffraction.reflections(species, d_min=1.0)
    strongest = max(r.multiplicity * r.f2 for r in found)
    seen = 0
    for r in found:
        if r.multiplicity * r.f2 < 0.01 * strongest:
            continue
        same = np.abs(d / r.d - 1.0) < 1e-6
        assert np.count_nonzero(same) == r.multiplicity
        # Two parametrisations of the neutral atoms' factors: 6 % of |F|^2 (lithium) is 3 % of F.
        small = 0.003 * strongest / r.multiplicity
        assert r.f2 == pytest.approx(float(np.mean(f2[same])), rel=0.06, abs=small)
        seen += 1
    assert seen >= 5


def test_spacing_follows_the_lattice_parameter():
    small = diffraction.reflections("Li2S", d_min=1.5)
    wide = diffraction.reflections("Li2S", d_min=1.5, cell=diffraction.Cell(a=5.8, b=5.8, c=5.8))
    a = diffraction.structure_data("Li2S").a
    for one, two in zip(small, wide, strict=False):
        assert two.d / one.d == pytest.approx(5.8 / a, rel=1e-6)


def test_cell_parameters_move_apart():
    wide = diffraction.reflections("Li3P", d_min=1.2, cell=diffraction.Cell(c=7.7))
    a = diffraction.structure_data("Li3P").a
    for r in wide:
        h, k, m = r.hkl
        inverse = 4.0 / 3.0 * (h * h + h * k + k * k) / a**2 + (m / 7.7) ** 2
        assert r.d == pytest.approx(inverse**-0.5, rel=1e-6)


def test_patterns_are_kept_on_disk_by_content(tmp_path, monkeypatch):
    monkeypatch.setenv("INTERPHASE_CACHE", str(tmp_path))
    diffraction._reflections.cache_clear()
    first = diffraction.reflections("LiCl", d_min=1.31)
    assert len(list(tmp_path.glob("reflections-*.json"))) == 1
    diffraction._reflections.cache_clear()
    monkeypatch.setattr(diffraction, "_computed", None)
    assert diffraction.reflections("LiCl", d_min=1.31) == first
    next(tmp_path.glob("reflections-*.json")).write_text("not json")
    diffraction._reflections.cache_clear()
    monkeypatch.undo()
    assert diffraction.reflections("LiCl", d_min=1.31) == first


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

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


def structure_factors(structure, d_min):
    """Sum d, multiplicity and |F|^2 over all lattice points, with xraydb's form factors."""
    from xraydb import f0

    reciprocal = structure.lattice.reciprocal_lattice_crystallographic
    points, g, _, _ = reciprocal.get_points_in_sphere(
        [[0, 0, 0]], [0, 0, 0], 1 / d_min, zip_results=False
    )
    hkl, g = np.rint(points[g > 1e-9]), g[g > 1e-9]
    amplitude = np.zeros(g.size, complex)
    for site in structure:
        phase = np.exp(2j * np.pi * (hkl @ site.frac_coords))
        for element, share in site.species.items():
            amplitude += f0(element.symbol, g / 2.0) * share * phase
    rows = {}
    for d, strength in zip(np.round(1.0 / g, 3), np.abs(amplitude) ** 2, strict=True):
        entry = rows.setdefault(float(d), [0, 0.0])
        entry[0] += 1
        entry[1] += float(strength)
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
            # The cells and free coordinates differ a little, the form factors with them.
            assert r.f2 == pytest.approx(f2, rel=0.05)


# Larger cells, where published cells shift neighbouring lines past each other: sums of what lies
# within 0.7 % of a strong line, over the strongest sum.
MORE = {
    "Li10GeP2S12": "Li10GeP2S12.cif",
    "LLZO": "Li7La3Zr2O12-cubic.cif",
    "LiFePO4": "LiFePO4.cif",
    "LiMn2O4": "LiMn2O4.cif",
    "Li3N": "Li3N-alpha.cif",
    "LiIn": "LiIn.cif",
    "In0": "In.cif",
    "LixGe": "Li15Ge4.cif",
    "FeS": "FeS-troilite.cif",
    "Li2CO3": "COD_Li2CO3-Zabuyelite.cif",
    "LiOH": "COD_LiOH.cif",
    "Li3PO4": "Li3PO4-gamma.cif",
    "LiCl": "LiCl.cif",
    "C_sp2": "COD_C-Graphite.cif",
    "Ti0": "COD_Ti-Titanium-alpha.cif",
}


@pytest.mark.parametrize("species", MORE)
def test_strong_lines_of_more_published_phases(species):
    expected = structure_factors(published(data(f"xrd/cif/{MORE[species]}")), 1.4)
    found = diffraction.reflections(species, d_min=1.4)
    strongest = sorted(found, key=lambda r: -r.multiplicity * r.f2)[:6]

    def share(rows):
        sums = [sum(s for d, s in rows if abs(d / r.d - 1) < 7e-3) for r in strongest]
        return np.array(sums) / sums[0]

    here = share([(r.d, r.multiplicity * r.f2) for r in found])
    there = share([(d, m * f2) for d, (m, f2) in expected.items()])
    np.testing.assert_allclose(here, there, atol=0.06)


@pytest.mark.parametrize("radiation", ["xray", "neutron"])
@pytest.mark.parametrize(
    "species",
    ["Li2S", "LiCl", "Li3P", "Li", "Cu", "FeS2", "Li2O", "LiCoO2", "Li6PS5Cl", "Li3PS4_beta"],
)
def test_reflections_against_pymatgen_s_patterns(species, radiation):
    from pymatgen.analysis.diffraction.neutron import NDCalculator
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    structure = diffraction.build(diffraction.structure_data(species))
    calculator = (XRDCalculator if radiation == "xray" else NDCalculator)(wavelength=1.0)
    pattern = calculator.get_pattern(structure, scaled=False, two_theta_range=(0, 49))
    found = diffraction.reflections(species, d_min=1.2, radiation=radiation)
    theta = np.radians(pattern.x) / 2.0
    weight = 1.0 / (np.sin(theta) ** 2 * np.cos(theta))
    if radiation == "xray":
        weight *= 1.0 + np.cos(2.0 * theta) ** 2
    strongest = max(r.multiplicity * r.f2 for r in found)
    seen = 0
    for d, intensity, families in zip(
        pattern.d_hkls, pattern.y / weight, pattern.hkls, strict=True
    ):
        if intensity < 0.01 * strongest:
            continue
        r = min(found, key=lambda r: abs(r.d - d))
        assert r.d == pytest.approx(d, rel=1e-6)
        assert r.multiplicity == sum(f["multiplicity"] for f in families)
        # pymatgen's X-ray form factors are another parametrisation, worst for lithium.
        rel, small = (0.06, 0.003 * strongest) if radiation == "xray" else (1e-6, 0.0)
        assert r.multiplicity * r.f2 == pytest.approx(intensity, rel=rel, abs=small)
        seen += 1
    assert seen >= 3


def test_form_factor_of_lithium_is_that_of_the_international_tables():
    # International Tables C, 6.1.1.1: f(Li) at sin(theta)/lambda = 0.2, 0.3, 0.4, 0.5 per angstrom.
    s, f = [0.2, 0.3, 0.4, 0.5], [1.741, 1.512, 1.269, 1.032]
    for r in diffraction.reflections("Li", d_min=1.0):
        expected = np.interp(1.0 / (2.0 * r.d), s, f)
        assert np.sqrt(r.f2) / 2.0 == pytest.approx(expected, rel=0.015)


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


@pytest.mark.parametrize("d_min", [0.01, 0.0, -1.0])
def test_a_pattern_without_end_is_refused(d_min):
    with pytest.raises(LibraryError, match="too many reflections"):
        diffraction.reflections("Li6PS5Cl", d_min=d_min)


def test_species_without_atoms_are_refused_in_words():
    with pytest.raises(LibraryError, match="no structure known"):
        diffraction.reflections("Li2S2")
    with pytest.raises(LibraryError, match="cell without atoms"):
        diffraction.reflections("Li2SO4")


def test_white_beams_meet_the_edges_of_elements():
    """Li7La3Zr2O12 at 5.33 deg: a strong line lies 0.4 keV below the K edge of La (38.925 keV)."""
    plain = {r.hkl: r for r in diffraction.reflections("LLZO", d_min=1.5)}
    white = {r.hkl: r for r in diffraction.reflections("LLZO", d_min=1.5, two_theta_deg=5.33)}
    energy = {h: 12.398419843 / (2 * r.d * np.sin(np.radians(2.665))) for h, r in plain.items()}
    most = max(r.f2 * r.multiplicity for r in plain.values())
    strong = [h for h, r in plain.items() if r.f2 * r.multiplicity > 0.05 * most]
    near = min(strong, key=lambda h: abs(energy[h] - 38.5))
    assert white[near].f2 / plain[near].f2 < 0.9
    # each line is that of a single energy
    alone = {r.hkl: r for r in diffraction.reflections("LLZO", d_min=1.5, energy_keV=energy[near])}
    assert white[near].f2 == pytest.approx(alone[near].f2, rel=1e-3)
    # far from edges nothing happens: sulphur and lithium
    far = {r.hkl: r for r in diffraction.reflections("Li2S", d_min=1.5)}
    for r in diffraction.reflections("Li2S", d_min=1.5, two_theta_deg=5.33):
        weak = far[r.hkl].f2 * r.multiplicity < 0.05 * max(
            x.f2 * x.multiplicity for x in far.values()
        )
        assert weak or r.f2 == pytest.approx(far[r.hkl].f2, rel=0.01)
    with pytest.raises(ValueError, match="not both"):
        diffraction.reflections("Li2S", two_theta_deg=5.0, energy_keV=8.0)

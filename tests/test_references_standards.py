"""Coatings and standards: their patterns against published ones, their lines proposable."""

from __future__ import annotations

import numpy as np
import pytest

from references import load
from references.check import _line
from references.diffraction import reflections

# d (angstrom) and relative intensity (Cu K alpha) of powder data cards: corundum 46-1212,
# zincite 36-1451, anatase 21-1272, bunsenite 4-835, silicon 27-1402, ceria 34-0394.
CARDS = {
    "Al2O3": [(3.480, 45), (2.551, 100), (2.085, 98), (1.740, 48), (1.6016, 96)],
    "ZnO": [(2.814, 57), (2.603, 44), (2.476, 100), (1.911, 23), (1.625, 32)],
    "TiO2": [(3.520, 100), (2.378, 20), (1.892, 35), (1.700, 20), (1.6665, 20)],
    "NiO": [(2.410, 91), (2.088, 100), (1.476, 57), (1.259, 16)],
    "Si": [(3.1355, 100), (1.9201, 55), (1.6375, 30), (1.3577, 6), (1.2459, 11)],
    "CeO2": [(3.1234, 100), (2.7056, 27), (1.9134, 46), (1.6318, 34)],
}


@pytest.mark.parametrize("name", sorted(CARDS))
def test_pattern_of_a_standard(name):
    found = reflections(name, d_min=1.2)
    d = np.array([r.d for r in found])
    sine = 1.5406 / (2 * d)
    double = 2 * np.arcsin(sine)
    lorentz = (1 + np.cos(double) ** 2) / (sine**2 * np.cos(double / 2))
    strength = np.array([r.multiplicity * r.f2 for r in found]) * lorentz
    card = np.array(CARDS[name])
    here = np.array([strength[np.abs(d / line - 1) < 1e-3].sum() for line in card[:, 0]])
    assert (here > 0).all()
    # No Debye-Waller factors, no dispersion; cards of one mineral differ by as much.
    np.testing.assert_allclose(100 * here / here.max(), card[:, 1], atol=17)


@pytest.mark.parametrize("name", sorted(CARDS))
def test_every_line_has_a_source_of_its_own(name):
    species = load()[name]
    assert {line.technique for line in species.lines} >= {"xps", "raman"}
    for line in species.lines:
        assert "commonly reported" not in line.source
        assert line.doi or line.confidence == "read" or "Handbook" in line.source


def test_sources_that_disagree_stand_side_by_side():
    titania = next(x for x in load()["TiO2"].lines if x.transition == "Ti 2p")
    reported = [titania.value, *(o.value for o in titania.others)]
    assert max(reported) - min(reported) > 1.0
    assert len(titania.sources) == 4


@pytest.mark.parametrize(
    ("level", "rsf"),
    [("Au 4f", 17.12), ("W 4f", 9.80), ("Mo 3d", 9.50), ("Ag 3d", 18.04), ("Nb 3d", 8.21),
     ("Zn 2p", 28.72)],
)  # fmt: skip
def test_sensitivity_of_metals(level, rsf):
    # Sums of the two lines of Scofield's table; their ratio must be near (l + 1) / l.
    found = load().core_level(level)
    assert found.rsf["scofield_1486.6"] == pytest.approx(rsf)
    assert found.area_ratio == pytest.approx({"p": 1 / 2, "d": 2 / 3, "f": 3 / 4}[level[-1]])
    assert found.splitting > 0


def test_sets_of_sensitivity_factors_agree_and_cover_every_source():
    # Two independent tables at Al K alpha; the other sources follow from the second one.
    for level in load().core_levels.values():
        sets = set(level.rsf)
        for energy in ("1253.6", "1486.6", "2984.3", "5414.8", "9251.7"):
            assert f"epdl97_{energy}" in sets, level.name
        if "scofield_1486.6" in sets:
            scofield = level.rsf["scofield_1486.6"]
            assert level.rsf["epdl97_1486.6"] == pytest.approx(scofield, rel=8e-3), level.name


@pytest.mark.parametrize(
    ("level", "ratio"),
    # Scofield (UCRL-51326, 1973) at 1253.6 eV over C 1s, two to three digits.
    [("O 1s", 2.85), ("F 1s", 4.26), ("Si 2p", 0.865), ("S 2p", 1.74), ("Cl 2p", 2.36),
     ("Fe 2p", 16.0)],
)  # fmt: skip
def test_magnesium_source_has_its_own_factors(level, ratio):
    assert load().core_level(level).rsf["epdl97_1253.6"] == pytest.approx(ratio, rel=0.01)


@pytest.mark.parametrize(
    ("photon", "chosen"),
    [(1486.6, "scofield_1486.6"), (1253.6, "epdl97_1253.6"), (9252.0, "epdl97_9251.7"),
     (5414.7, "epdl97_5414.8"), (None, "scofield_1486.6")],
)  # fmt: skip
def test_factors_follow_the_photon_energy(photon, chosen):
    from spectra.techniques._xps_atoms import sensitivity_of

    library = load()
    line = next(i for i in library["Li2S"].lines if i.transition == "S 2p")
    attrs = {} if photon is None else {"photon_energy_eV": photon}
    factors = library.core_level("S 2p").rsf
    assert sensitivity_of(line, attrs, library) == pytest.approx(factors[chosen])
    told = {**attrs, "sensitivity": "epdl97_1486.6"}
    assert sensitivity_of(line, told, library) == pytest.approx(factors["epdl97_1486.6"])


def test_only_approximate_values_stand_without_a_source():
    for species in load().species.values():
        for line in species.lines:
            for reported in (line, *line.others):
                if "no single source" in reported.source:
                    assert reported.confidence == "approximate", (species.id, line.transition)


def test_confidence_without_a_source_is_a_problem():
    library = load()
    line = (
        library["ZnO"]
        .lines[0]
        .model_copy(
            update={"source": "commonly reported values; no single source", "confidence": "read"}
        )
    )
    assert any("without a source" in text for text in _line(line, {"Zn": 1, "O": 1}, library))


@pytest.mark.parametrize("name", ["Co9S8", "Ni3S2", "In2S3"])
def test_sulfur_of_metal_sulfides_is_listed_and_says_where_it_comes_from(name):
    lines = [x for x in load()[name].lines if x.transition == "S 2p"]
    assert sum(x.count for x in lines) == load()[name].atoms["S"]
    for line in lines:
        assert line.confidence == "approximate"
        assert "borrowed" in line.note or "estimated" in line.source


@pytest.mark.parametrize(
    ("species", "level", "kinetic", "parameter"),
    # Kinetic energies of the Auger lines recommended in NIST SRD 20 (10.18434/T4T88K): indium
    # M4N45N45 410.2, germanium L3M45M45 1145.2 eV; copper L3M45M45 918.62.
    [("In0", "In 3d", 410.2, 854.4), ("Ge0", "Ge 3d", 1145.2, 1174.35),
     ("Cu", "Cu 2p", 918.62, 1851.2)],
)  # fmt: skip
def test_auger_parameter_is_binding_plus_kinetic_energy(species, level, kinetic, parameter):
    found = next(s for s in load()[species].separations if s.kind == "auger_parameter")
    line = next(i for i in load().lines("xps", species, level))
    assert found.value == parameter
    assert found.low - 0.2 <= line.value + kinetic <= found.high + 0.3


def test_titanium_metal_beside_its_card():
    # d and intensity (Cu K alpha) of powder data card 44-1294.
    card = np.array([(2.555, 25), (2.341, 30), (2.243, 100), (1.726, 13), (1.475, 11)])
    found = reflections("Ti0", d_min=1.3)
    d = np.array([r.d for r in found])
    double = 2 * np.arcsin(1.5406 / (2 * d))
    lorentz = (1 + np.cos(double) ** 2) / (np.sin(double / 2) ** 2 * np.cos(double / 2))
    strength = np.array([r.multiplicity * r.f2 for r in found]) * lorentz
    here = np.array([strength[np.abs(d / line - 1) < 3e-3].sum() for line in card[:, 0]])
    np.testing.assert_allclose(100 * here / here.max(), card[:, 1], atol=8)


def test_silicone_is_a_contaminant_by_its_common_names():
    assert load()["silicone oil"].id == "PDMS"
    assert load()["PDMS"].role == "contaminant"


def test_every_core_level_has_what_a_fit_needs():
    from xraydb import core_width

    shell = {"1s": "K", "2s": "L1", "2p": "L3", "3s": "M1", "3d": "M5", "4d": "N5", "4f": "N7"}
    for level in load().core_levels.values():
        orbital = level.name.split()[1]
        expected = {"s": 0.0, "p": 1 / 2, "d": 2 / 3, "f": 3 / 4}[orbital[-1]]
        assert level.area_ratio == pytest.approx(expected, abs=1e-12), level.name
        width = core_width(level.element, shell[orbital])
        assert level.lifetime_width == pytest.approx(width, abs=0.02), level.name


def test_every_raman_band_has_a_width_and_a_share():
    for line in load().lines("raman"):
        assert line.fwhm_low is not None
        assert line.fwhm is not None
        assert line.fwhm_high is not None
        assert 0 < line.fwhm_low <= line.fwhm <= line.fwhm_high < 250, (line.species, line.label)
        assert line.relative_intensity is not None


def test_perovskite_electrolyte_shows_the_lines_of_a_perovskite():
    # Its pseudo-cubic edges are a / sqrt(2) = 3.875 and c / 2 = 3.878 angstrom; (110) is strongest.
    found = reflections("LLTO", d_min=1.2)
    strongest = max(found, key=lambda r: r.multiplicity * r.f2 * r.d)
    assert strongest.d == pytest.approx(3.875 / 2**0.5, rel=1e-3)
    shown = {round(r.d, 2) for r in found if r.multiplicity * r.f2 > 1e4}
    assert shown >= {2.74, 2.24, 1.94, 1.58}

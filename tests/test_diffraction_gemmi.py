"""Powder lines against figures computed by another program from the same structures.

Computed with gemmi 0.7.5 (M. Wojdyr, J. Open Source Softw. 7 (2022) 4200, 10.21105/joss.04200):
its own space groups, its form factors of International Tables C (four Gaussians) for X-rays and its
bound coherent lengths for neutrons. Here pymatgen expands the space group and the form factors are
those of Waasmaier and Kirfel (five Gaussians): the two lie 0.1 % apart in |F|^2.
"""

from __future__ import annotations

import pytest

from references import diffraction

# Structure, radiation, strongest sum of |F|^2 over a powder line down to 1.2 angstrom (electrons
# squared, fm squared), and of the five strongest: d (angstrom), planes, percent of the strongest.
GEMMI = [
    (
        "Li2S",
        "xray",
        33636.0,
        [
            (3.2967, 8, 59.74),
            (2.0188, 12, 100.0),
            (1.7216, 24, 96.38),
            (1.4275, 6, 35.51),
            (1.31, 24, 73.68),
        ],
    ),
    (
        "Li2S",
        "neutron",
        16966.1,
        [
            (2.855, 6, 25.0),
            (1.7216, 24, 18.35),
            (1.6483, 8, 33.33),
            (1.31, 24, 18.35),
            (1.2768, 24, 100.0),
        ],
    ),
    (
        "LiCl",
        "xray",
        25930.2,
        [
            (2.9615, 8, 61.26),
            (2.5648, 6, 71.53),
            (1.8135, 12, 100.0),
            (1.5466, 24, 88.23),
            (1.4808, 8, 53.15),
        ],
    ),
    (
        "LiCl",
        "neutron",
        50581.1,
        [
            (2.9615, 8, 33.33),
            (1.8135, 12, 22.37),
            (1.5466, 24, 100.0),
            (1.4808, 8, 14.91),
            (1.2824, 6, 11.19),
        ],
    ),
    (
        "Li3P",
        "xray",
        7162.3,
        [
            (2.1365, 6, 71.46),
            (2.0893, 12, 82.62),
            (1.862, 12, 54.72),
            (1.4938, 12, 61.36),
            (1.2242, 24, 100.0),
        ],
    ),
    (
        "Li3P",
        "neutron",
        3557.6,
        [
            (3.3266, 12, 50.0),
            (1.7977, 12, 50.0),
            (1.4051, 12, 50.06),
            (1.3755, 24, 100.0),
            (1.3125, 24, 79.14),
        ],
    ),
    (
        "LiCoO2",
        "xray",
        49669.2,
        [
            (2.0034, 12, 100.0),
            (1.55, 12, 38.55),
            (1.4254, 12, 60.44),
            (1.4081, 6, 63.87),
            (1.3484, 12, 51.76),
        ],
    ),
    (
        "LiCoO2",
        "neutron",
        11170.6,
        [
            (2.304, 12, 57.66),
            (2.0034, 12, 67.51),
            (1.4081, 6, 71.9),
            (1.2068, 12, 100.0),
            (1.2014, 12, 57.66),
        ],
    ),
    (
        "Li6PS5Cl_ordered",
        "xray",
        781732.8,
        [
            (2.9726, 24, 52.65),
            (1.8974, 32, 61.25),
            (1.7428, 12, 100.0),
            (1.3175, 48, 56.55),
            (1.2835, 72, 75.18),
        ],
    ),
    (
        "Li6PS5Cl_ordered",
        "neutron",
        293796.4,
        [
            (1.7428, 12, 55.36),
            (1.5588, 24, 45.13),
            (1.4863, 24, 49.49),
            (1.3175, 48, 100.0),
            (1.2835, 72, 55.03),
        ],
    ),
    (
        "Li3PS4_beta",
        "xray",
        104977.3,
        [
            (3.0122, 8, 89.28),
            (2.0549, 2, 52.24),
            (1.8957, 4, 61.09),
            (1.6808, 8, 53.45),
            (1.6244, 8, 100.0),
        ],
    ),
    (
        "Li3PS4_beta",
        "neutron",
        15199.8,
        [
            (1.6244, 8, 94.16),
            (1.6117, 8, 97.61),
            (1.5924, 4, 70.61),
            (1.4504, 8, 100.0),
            (1.3144, 4, 71.19),
        ],
    ),
    (
        "Li2CO3",
        "xray",
        12936.3,
        [
            (2.9182, 2, 69.9),
            (2.8132, 2, 100.0),
            (2.4301, 4, 55.72),
            (1.8673, 4, 42.96),
            (1.5464, 2, 64.93),
        ],
    ),
    (
        "Li2CO3",
        "neutron",
        19937.3,
        [
            (2.6268, 4, 100.0),
            (1.5464, 2, 64.82),
            (1.4619, 4, 59.86),
            (1.4362, 4, 65.03),
            (1.2806, 4, 68.1),
        ],
    ),
    (
        "LLZO_cubic",
        "xray",
        31260503.3,
        [
            (2.1044, 72, 43.97),
            (1.799, 24, 46.02),
            (1.7335, 48, 100.0),
            (1.4154, 48, 49.79),
            (1.2045, 72, 66.04),
        ],
    ),
    (
        "LLZO_cubic",
        "neutron",
        3389843.4,
        [
            (2.1044, 72, 94.3),
            (1.7335, 48, 95.19),
            (1.3674, 120, 57.81),
            (1.3104, 108, 100.0),
            (1.2369, 144, 70.74),
        ],
    ),
    (
        "LiFePO4",
        "xray",
        75355.5,
        [
            (2.5217, 8, 100.0),
            (1.7419, 8, 86.64),
            (1.6563, 4, 54.71),
            (1.6251, 8, 67.77),
            (1.5028, 2, 53.95),
        ],
    ),
    (
        "LiFePO4",
        "neutron",
        54185.9,
        [
            (1.7419, 8, 59.71),
            (1.4948, 4, 52.42),
            (1.3406, 8, 100.0),
            (1.2876, 8, 55.91),
            (1.2756, 8, 54.3),
        ],
    ),
    (
        "La2Zr2O7",
        "xray",
        26494390.5,
        [
            (3.1191, 8, 50.77),
            (1.9101, 12, 76.73),
            (1.6289, 24, 100.0),
            (1.2394, 24, 77.3),
            (1.208, 24, 64.88),
        ],
    ),
    (
        "La2Zr2O7",
        "neutron",
        2685654.4,
        [
            (1.9101, 12, 100.0),
            (1.6289, 24, 54.26),
            (1.3506, 6, 40.7),
            (1.32, 24, 35.36),
            (1.2394, 24, 54.26),
        ],
    ),
    (
        "FeS2_pyrite",
        "xray",
        189849.4,
        [
            (2.709, 6, 27.72),
            (1.9155, 12, 33.84),
            (1.6336, 24, 100.0),
            (1.448, 48, 29.56),
            (1.2115, 24, 27.51),
        ],
    ),
    (
        "FeS2_pyrite",
        "neutron",
        48658.6,
        [
            (1.9155, 12, 35.88),
            (1.6336, 24, 100.0),
            (1.564, 8, 23.54),
            (1.2429, 24, 51.61),
            (1.2115, 24, 60.72),
        ],
    ),
    (
        "Li4P2S6",
        "xray",
        44269.0,
        [
            (2.7589, 12, 100.0),
            (1.7809, 12, 65.85),
            (1.7537, 6, 84.69),
            (1.5483, 12, 81.5),
            (1.48, 12, 52.97),
        ],
    ),
    (
        "Li4P2S6",
        "neutron",
        10855.4,
        [
            (2.7589, 12, 26.08),
            (1.7809, 12, 31.6),
            (1.5483, 12, 100.0),
            (1.449, 12, 45.32),
            (1.2495, 12, 31.29),
        ],
    ),
    (
        "LiNbO3",
        "xray",
        450825.0,
        [
            (3.7498, 12, 64.37),
            (1.7195, 12, 100.0),
            (1.6375, 24, 66.0),
            (1.5155, 24, 74.61),
            (1.4862, 6, 62.76),
        ],
    ),
    (
        "LiNbO3",
        "neutron",
        91909.2,
        [
            (2.2488, 12, 90.34),
            (1.7195, 12, 100.0),
            (1.4862, 6, 82.13),
            (1.3218, 12, 90.34),
            (1.2174, 24, 97.71),
        ],
    ),
]


@pytest.mark.parametrize(("structure", "radiation", "strongest", "lines"), GEMMI)
def test_lines_are_those_of_gemmi(structure, radiation, strongest, lines):
    found = diffraction.reflections(structure, d_min=1.2, radiation=radiation)
    top = max(r.multiplicity * r.f2 for r in found)
    assert top == pytest.approx(strongest, rel=2e-3 if radiation == "xray" else 1e-4)
    for d, planes, percent in lines:
        r = min(found, key=lambda r: abs(r.d - d))
        assert r.d == pytest.approx(d, abs=1e-4)
        assert r.multiplicity == planes
        assert 100.0 * r.multiplicity * r.f2 / top == pytest.approx(percent, abs=0.15)


def test_ten_structures_and_both_radiations():
    assert len({row[0] for row in GEMMI}) >= 10
    assert {row[1] for row in GEMMI} == {"xray", "neutron"}

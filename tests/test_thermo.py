"""Thermodynamics: products at lithium, windows, contacts, a user's own energies."""

from __future__ import annotations

import json

import pytest

from references import thermo
from references.errors import LibraryError
from references.windows import published_window, published_windows

ZHU = "Y. Zhu, X. He, Y. Mo, ACS Appl. Mater. Interfaces 7 (2015) 23685, 10.1021/acsami.5b07517"


WENZEL_LPSCL = "S. Wenzel et al., Solid State Ionics 318 (2018) 102, 10.1016/j.ssi.2017.07.005"
WENZEL_LGPS = "S. Wenzel et al., Chem. Mater. 28 (2016) 2400, 10.1021/acs.chemmater.6b00610"
SCHWOEBEL = "A. Schwoebel et al., Solid State Ionics 273 (2015) 51, 10.1016/j.ssi.2014.10.017"
GARNET = "Y. Zhu et al., Adv. Energy Mater. 9 (2019) 1803440, 10.1002/aenm.201803440"
WANG = "S. Wang et al., Angew. Chem. Int. Ed. 58 (2019) 8039, 10.1002/anie.201901938"
SANTHOSHA = "A. L. Santhosha et al., Batteries Supercaps 2 (2019) 524, 10.1002/batt.201800149"
RIEGGER = "L. M. Riegger et al., Angew. Chem. Int. Ed. 60 (2021) 6718, 10.1002/anie.202015238"


@pytest.mark.parametrize(
    ("formula", "energy_set", "lithium", "products", "seen_by"),
    [
        ("Li6PS5Cl", "dft", 8.0, {"Li2S": 5, "Li3P": 1, "LiCl": 1}, WENZEL_LPSCL),
        ("Li3PS4", "dft", 8.0, {"Li2S": 4, "Li3P": 1}, ZHU),
        ("Li10GeP2S12", "dft", 23.75, {"Li2S": 12, "Li3P": 2, "Li15Ge4": 0.25}, WENZEL_LGPS),
        ("Li149P50O165N23", "dft", 400.0, {"Li2O": 165, "Li3N": 23, "Li3P": 50}, SCHWOEBEL),
        ("Li29P10O33N5", "dft", 82.0, {"Li2O": 33, "Li3N": 5, "Li3P": 10}, SCHWOEBEL),
        ("Li2S", "dft", 0.0, {"Li2S": 1}, ZHU),
        ("Li7La3Zr2O12", "experiment", 8.0, {"Li2O": 7.5, "La2O3": 1.5, "Zr": 2}, GARNET),
        ("Li3YCl6", "experiment", 3.0, {"LiCl": 6, "Y": 1}, RIEGGER),
        ("Li3InCl6", "experiment", 4.0, {"LiCl": 6, "LiIn": 1}, SANTHOSHA),
        ("Li2ZrCl6", "experiment", 4.0, {"LiCl": 6, "Zr": 1}, WANG),
    ],
)
def test_products_at_lithium_metal(formula, energy_set, lithium, products, seen_by):
    found = thermo.products_at(formula, 0.0, energy_set=energy_set)
    assert found.coefficients == pytest.approx(products, abs=1e-6), seen_by
    assert found.lithium == pytest.approx(lithium, abs=1e-6), seen_by


def test_germanium_metal_on_the_way():
    # Seen by photoelectron spectroscopy while lithium arrives: WENZEL_LGPS.
    assert "Ge" in thermo.products_at("Li10GeP2S12", 0.8).coefficients
    assert "Ge" not in thermo.products_at("Li10GeP2S12", 0.1).coefficients


@pytest.mark.parametrize(
    ("formula", "reduction", "oxidation", "oxidised"),
    [
        # All as printed in ZHU, table 1. Inputs of the bundled energies, so no test of them: the
        # reduction of Li3PS4 and Li4GeS4, and the oxidation of Li3PS4. The others follow.
        ("Li6PS5Cl", 1.71, 2.01, {"Li3PS4", "LiCl", "S"}),
        ("Li3PS4", 1.71, 2.31, {"P2S5", "S"}),
        ("Li10GeP2S12", 1.71, 2.14, {"Li3PS4", "GeS2", "S"}),
        ("Li4GeS4", 1.62, 2.14, {"GeS2", "S"}),
        ("Li7P3S11", None, 2.31, {"P2S5", "S"}),
        ("Li2S", None, 2.01, {"S"}),
    ],
)
def test_window_edges_of_the_literature(formula, reduction, oxidation, oxidised):
    found = thermo.window(formula, energy_set="dft_2015")
    if reduction:
        assert found.reduction_V == pytest.approx(reduction, abs=0.2), ZHU
        assert found.reduced.lithium > 0
    assert found.oxidation_V == pytest.approx(oxidation, abs=0.2), ZHU
    assert set(found.oxidised.coefficients) == oxidised, ZHU
    assert found.oxidised.lithium < 0


# Printed edges that open energies reproduce: formula, energy set, edges that went into the energies
# (no test of them), the printed phases that the set holds under another name or not at all.
REPRODUCED = [
    ("Li2S", "dft_2015", set(), {}),
    ("Li6PS5Cl", "dft_2015", set(), {}),
    ("Li3PS4", "dft_2015", {"reduction", "oxidation"}, {}),
    ("Li10GeP2S12", "dft_2015", set(), {}),
    ("Li4GeS4", "dft_2015", {"reduction"}, {}),
    ("Li7P3S11", "dft_2015", set(), {"Li4P2S6": "P2S3"}),
    ("Li2PO2N", "dft", {"oxidation"}, {"P3N5": "LiPN2"}),
    ("Li7La3Zr2O12", "experiment", set(), {"Zr3O": "Zr", "Li6Zr2O7": "Li2ZrO3"}),
    ("Li3YCl6", "experiment", {"reduction"}, {}),
    ("Li3InCl6", "experiment", {"reduction"}, {"In": "InCl2"}),
    ("Li2ZrCl6", "experiment", set(), {"ZrCl3": "ZrCl2"}),
]
NOT_REPRODUCED = {"Li1.3Al0.3Ti1.7P3O12", "Li1.5Al0.5Ge1.5P3O12", "Li0.33La0.56TiO3"}
"""No open source was found with the titanium and germanium phosphates or the perovskite."""


@pytest.mark.parametrize(("formula", "energy_set", "inputs", "renamed"), REPRODUCED)
def test_printed_windows_come_out_within_a_fifth_of_a_volt(formula, energy_set, inputs, renamed):
    printed = published_window(formula)
    found = thermo.window(formula, energy_set=energy_set)
    cited = f"{printed.source}, {printed.doi}"
    for edge in ("reduction", "oxidation"):
        told = getattr(printed, f"{edge}_V")
        if told is not None:
            assert getattr(found, f"{edge}_V") == pytest.approx(told, abs=0.2), cited
    for phases, products in ((printed.reduced, found.reduced), (printed.oxidised, found.oxidised)):
        if phases:
            wanted = {renamed.get(name, name) for name in phases}
            assert set(products.coefficients) == wanted, cited
    if printed.decomposition_eV_atom is not None:
        from pymatgen.core import Composition

        at_lithium = thermo.products_at(formula, 0.0, energy_set=energy_set)
        per_atom = at_lithium.energy_eV / Composition(formula).num_atoms
        assert per_atom == pytest.approx(printed.decomposition_eV_atom, abs=0.08), cited
        assert set(at_lithium.coefficients) == set(printed.at_lithium), cited


def test_every_printed_window_is_compared_or_named_as_out_of_reach():
    compared = {row[0] for row in REPRODUCED}
    assert compared | NOT_REPRODUCED == {w.formula for w in published_windows()}
    assert not compared & NOT_REPRODUCED
    for window in published_windows():
        assert window.doi.startswith("10.")


@pytest.mark.parametrize(
    ("formula", "without", "edge", "printed"),
    [
        # Measured chlorides alone, without the entry that holds the printed edge.
        ("Li3YCl6", "Li3YCl6", "reduction", 0.62),
        ("Li3YCl6", "Li3YCl6", "oxidation", 4.21),
        ("Li3InCl6", "Li3InCl6", "reduction", 2.38),
        ("Li3InCl6", "Li3InCl6", "oxidation", 4.26),
    ],
)
def test_chloride_windows_do_not_hang_on_their_own_edges(
    formula, without, edge, printed, monkeypatch
):
    rest = tuple(e for e in thermo.energies() if e.formula != without)
    monkeypatch.setattr(thermo, "energies", lambda: rest)
    thermo._diagram.cache_clear()
    try:
        found = thermo.window(formula, energy_set="experiment")
    finally:
        thermo._diagram.cache_clear()
    # S. Wang et al., Angew. Chem. Int. Ed. 58 (2019) 8039, 10.1002/anie.201901938.
    assert getattr(found, f"{edge}_V") == pytest.approx(printed, abs=0.2)


def test_a_printed_window_is_found_by_name_and_misses_are_told():
    assert published_window("latp").reduction_V == 2.17
    with pytest.raises(LibraryError, match="no printed window"):
        published_window("LATPP")


@pytest.mark.parametrize("formula", ["Li6PS5Cl", "Li3PS4", "Li10GeP2S12", "Li7P3S11"])
def test_sulfide_correction_moves_only_steps_that_form_sulfur(formula):
    old, new = (thermo.window(formula, energy_set=s) for s in ("dft_2015", "dft"))
    # Half of 0.503 eV for each electron taken from sulfide.
    assert new.oxidation_V - old.oxidation_V == pytest.approx(0.2515, abs=1e-3)
    before, after = (
        thermo.products_at(formula, 0.5, energy_set=s).coefficients for s in ("dft_2015", "dft")
    )
    assert before == pytest.approx(after)


def test_measured_enthalpies_give_the_potential_of_sulfur():
    # Li2S: -441.4 kJ/mol over two electrons; 2.29 V. The corrected set is nearer to it.
    found = thermo.window("Li2S", energy_set="experiment").oxidation_V
    assert found == pytest.approx(2.29, abs=0.03)
    assert abs(thermo.window("Li2S").oxidation_V - found) < 0.05


@pytest.mark.parametrize(
    ("formula", "products"),
    [
        ("NiO", {"Li2O", "Ni"}),
        ("Co9S8", {"Li2S", "Co"}),
        ("Ni3S2", {"Li2S", "Ni"}),
        ("MnO2", {"Li2O", "Mn"}),
        ("Fe3O4", {"Li2O", "Fe"}),
        ("In2O3", {"Li2O", "LiIn"}),
        ("SnO2", {"Li2O", "Li17Sn4"}),
    ],
)
def test_conversion_by_measured_enthalpies(formula, products):
    found = thermo.products_at("Li0.001" + formula, 0.2, energy_set="experiment")
    assert set(found.coefficients) == products


def test_tin_of_a_thiostannate_becomes_metal_and_then_alloy():
    # S. Wenzel et al. for the germanate, WENZEL_LGPS; tin takes lithium below 0.76 V.
    found = thermo.products_at("Li4SnS4", 0.0, energy_set="experiment")
    assert found.coefficients == pytest.approx({"Li2S": 4, "Li17Sn4": 0.25})
    found = thermo.products_at("Li4SnS4", 0.9, energy_set="experiment")
    assert found.coefficients == pytest.approx({"Li2S": 4, "Sn": 1})


def test_steps_of_lithium_in_tin_are_the_measured_ones():
    # Handbook of Battery Materials, figure 14.16: 760, 660, 530, 485, 420, 380 mV at ambient
    # temperature; potentials where the equilibrium phase changes.
    phases = []
    for volt in (0.80, 0.70, 0.60, 0.50, 0.45, 0.40, 0.30):
        found = thermo.products_at("Li0.001Sn", volt, energy_set="experiment").coefficients
        phases.append(max(found, key=lambda k: found[k] if k != "Li" else 0.0))
    assert phases == ["Sn", "Li2Sn5", "Li5Sn7", "Li7Sn3", "Li13Sn5", "Li7Sn2", "Li17Sn4"]


def test_conversion_potentials_by_measured_enthalpies():
    # P. Poizot et al., Nature 407 (2000) 496, 10.1038/35035045: transition metal oxides convert
    # with lithium; equilibrium potentials of the enthalpies, Li2O -597.9 kJ/mol.
    for oxide, enthalpy, electrons in (("CoO", -237.9, 2), ("MnO", -385.2, 2), ("FeO", -272.0, 2)):
        expected = (597.9 + enthalpy) / (electrons * 96.485)
        above = thermo.products_at("Li0.001" + oxide, expected + 0.05, energy_set="experiment")
        below = thermo.products_at("Li0.001" + oxide, expected - 0.05, energy_set="experiment")
        assert "Li2O" not in {k for k, v in above.coefficients.items() if v > 0.01}
        assert "Li2O" in below.coefficients


def test_oxidation_of_lithium_sulfide_is_half_its_formation_energy():
    # Li2S -> 2 Li + S costs E_f per two electrons; nothing else can happen.
    energy = next(e for e in thermo.energies() if e.formula == "Li2S" and e.set == "dft")
    expected = -3.0 * energy.energy_eV_atom / 2.0
    assert thermo.window("Li2S").oxidation_V == pytest.approx(expected, abs=1e-6)
    assert thermo.window("Li6PS5Cl").oxidation_V == pytest.approx(expected, abs=1e-3)


def test_decomposition_energy_at_lithium():
    # -1.42 eV/atom in ZHU, table 1.
    assert thermo.products_at("Li3PS4", 0.0).energy_eV / 8 == pytest.approx(-1.42, abs=0.02)


def test_lithium_exchange_follows_the_potential():
    taken = [thermo.products_at("Li6PS5Cl", v).lithium for v in (0.1, 0.9, 1.2, 1.5, 2.0, 2.5)]
    assert taken == sorted(taken, reverse=True)


def test_contact_with_lithium_agrees_with_the_open_system():
    found = thermo.contact("Li6PS5Cl", "Li")
    formed = {f: n for f, n in found.coefficients.items() if n > 0}
    assert set(formed) == {"Li2S", "Li3P", "LiCl"}
    assert formed["Li2S"] / formed["Li3P"] == pytest.approx(5.0)
    assert found.energy_eV_atom < -0.5


def test_stable_pair_does_not_react():
    assert thermo.contact("Li2S", "LiCl").energy_eV_atom == pytest.approx(0.0, abs=1e-9)


def test_experiment_and_calculation_agree_on_simple_salts():
    by_set = {
        s: {e.formula: e.energy_eV_atom for e in thermo.energies() if e.set == s and e.preferred}
        for s in ("dft", "experiment")
    }
    for formula in ("Li2O", "LiF", "LiCl", "LiBr", "LiI", "Li2S", "Li2CO3"):
        assert by_set["dft"][formula] == pytest.approx(by_set["experiment"][formula], abs=0.16)


@pytest.mark.parametrize(("potential", "indium"), [(0.0, "LiIn"), (0.60, "LiIn"), (0.64, "In")])
def test_indium_takes_lithium_below_the_potential_of_the_usual_counter_electrode(potential, indium):
    # The metal is what photoelectron spectroscopy finds first (RIEGGER); it alloys at 0.62 V.
    found = thermo.products_at("Li3InCl6", potential, energy_set="experiment")
    assert found.coefficients == pytest.approx({"LiCl": 6, indium: 1})


def test_every_energy_has_a_source_and_one_is_preferred():
    from pymatgen.core import Composition

    seen = set()
    for energy in thermo.energies():
        assert energy.source
        assert energy.confidence in ("read", "literature", "approximate")
        key = (energy.set, Composition(energy.formula).reduced_formula)
        assert not (energy.preferred and key in seen), energy
        if energy.preferred:
            seen.add(key)


def test_own_entries_change_the_answer(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps([{"formula_pretty": "Li5P", "formation_energy_per_atom": -0.9}]))
    extra = thermo.read_energies(path)
    assert "Li5P" in thermo.products_at("Li3PS4", 0.0, extra=extra).coefficients


def test_total_energies_need_their_elements(tmp_path):
    path = tmp_path / "mine.json"
    rows = [
        {"composition": {"Li": 3, "P": 1}, "energy": -20.0, "correction": 0.0},
        {"composition": {"Li": 1}, "energy": -1.9, "correction": 0.0},
    ]
    path.write_text(json.dumps(rows))
    with pytest.raises(LibraryError, match="none of P"):
        thermo.read_energies(path)
    path.write_text(json.dumps([*rows, {"composition": {"P": 1}, "energy": -5.4}]))
    li3p = next(e for e in thermo.read_energies(path) if e.formula == "Li3P")
    assert li3p.energy_eV_atom == pytest.approx((-20.0 + 3 * 1.9 + 5.4) / 4)


def test_entries_as_pymatgen_writes_them_bring_new_elements(tmp_path):
    """A list of ComputedEntry dicts, as ``monty.serialization.dumpfn`` stores a download."""
    import warnings

    from monty.serialization import dumpfn
    from pymatgen.entries.computed_entries import ComputedEntry, ConstantEnergyAdjustment

    correction = ConstantEnergyAdjustment(-1.374, name="MP2020 anion correction (oxide)")
    entries = [
        ComputedEntry("Li3", -5.7, entry_id="mp-a"),
        ComputedEntry("Al4", -14.98, entry_id="mp-b"),
        ComputedEntry("O8", -39.4, entry_id="mp-c"),
        ComputedEntry("LiAlO2", -26.0, energy_adjustments=[correction], entry_id="mp-d"),
    ]
    path = tmp_path / "download.json"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dumpfn(entries, path)
    extra = thermo.read_energies(path)
    found = {e.formula: e for e in extra}
    expected = (-26.0 - 1.374 + 1.9 + 3.745 + 2 * 4.925) / 4
    assert found["LiAlO2"].energy_eV_atom == pytest.approx(expected)
    assert found["LiAlO2"].entry_id == "mp-d"
    window = thermo.window("LiAlO2", extra=extra)  # the bundled set has no aluminium
    assert window.oxidation_V > window.reduction_V


def test_a_summary_download_of_the_materials_project(tmp_path):
    rows = [
        {"material_id": "mp-a", "formula_pretty": "Zr", "formation_energy_per_atom": 0.0},
        {"material_id": "mp-b", "formula_pretty": "ZrO2", "formation_energy_per_atom": -3.8},
        {"material_id": "mp-c", "formula_pretty": "Li2ZrO3", "formation_energy_per_atom": -3.05},
    ]
    path = tmp_path / "summary.json"
    path.write_text(json.dumps({"data": rows, "meta": {"total_doc": 3}}))
    found = thermo.window("Li2ZrO3", extra=thermo.read_energies(path))
    assert set(found.reduced.coefficients) == {"Zr", "Li2O"}
    assert found.reduction_V < 0.3


NO_LISTS = [
    "", "{}", "[1]", '[{"energy": 1}]', "[[[[", '[{"composition": "Qq", "energy": 1}]',
    '[{"composition": {"Li": 0}, "energy": 1}]', '[{"composition": {"Li": 1e400}, "energy": 1}]',
]  # fmt: skip


@pytest.mark.parametrize("text", NO_LISTS)
def test_what_is_no_entry_list_is_refused(tmp_path, text):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(LibraryError, match=r"mine\.json"):
        thermo.read_energies(path)


def test_an_energy_in_other_units_is_refused(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('[{"formula_pretty": "Li2S", "formation_energy_per_atom": -441.4}]')
    with pytest.raises(LibraryError, match=r"Li2S: -441\.4 eV/atom .*not kJ/mol"):
        thermo.read_energies(path)


def test_objects_named_in_the_file_are_not_built(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps([{"@module": "os", "@class": "system", "energy": 1.0}]))
    with pytest.raises(LibraryError, match="no composition"):
        thermo.read_energies(path)


def test_a_missing_element_is_named():
    with pytest.raises(LibraryError, match="has no Zr"):
        thermo.phase_diagram({"Li", "Zr"})


def test_names_of_the_library_stand_for_their_formulas():
    by_name = thermo.window("LLZO", energy_set="experiment")
    assert by_name == thermo.window("Li7La3Zr2O12", energy_set="experiment")
    assert set(thermo.products_at("LPSCl", 0.0).coefficients) == {"Li2S", "Li3P", "LiCl"}
    assert "N" in "".join(thermo.products_at("LiPON", 0.0).coefficients)  # not the formula LiPON
    assert published_window("Li1.3Al0.3Ti1.7(PO4)3") == published_window("LATP")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: thermo.window("LLZOO"), "did you mean 'LLZO'"),
        (lambda: thermo.products_at("Li2S(", 0.0), "neither a formula nor a species"),
        (lambda: thermo.products_at("", 0.0), "neither a formula nor a species"),
        (lambda: thermo.products_at("Li", 0.0), "lithium alone"),
        (lambda: thermo.window("Cu"), "no lithium in it"),
        (lambda: thermo.window("Li2S", energy_set="dftt"), "one of dft, dft_2015, experiment"),
        (lambda: thermo.contact("Li6PS5Cl", "LiCoO2"), "has no Co; take another set"),
    ],
)
def test_what_cannot_be_answered_is_said_in_one_line(call, says):
    with pytest.raises(LibraryError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("formula", "potential", "some"),
    [
        ("Li6PS5Cl", 0.0, {"Li2S", "Li3P", "LiCl"}),
        ("Li7La3Zr2O12", 0.0, {"Li2O", "La2O3", "Zr0"}),
        ("Li3InCl6", 0.0, {"LiCl", "LiIn"}),
        ("Li3InCl6", 1.0, {"LiCl", "In0"}),
        ("LLTO", 0.0, {"Li2O", "La2O3", "Ti0"}),
        ("Li10SnP2S12", 0.0, {"Li2S", "Li3P", "LixSn"}),
        ("Li10SnP2S12", 1.3, {"Li2S", "P_red", "Sn0"}),
    ],
)
def test_predicted_species_for_every_family_of_electrolytes(formula, potential, some):
    from references import load

    assert some <= set(thermo.predicted_species(formula, potential, load()))

"""The library against the tables it was made from: nothing is lost, nothing stands without terms.

The tables are not part of the project; these tests skip where they are not at hand.
"""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import pytest

from references import load
from references.thermo import energies
from tests.shared_data import data_root

RENAMED = {
    "SO3_2-": "SO3", "SO4_2-": "SO4", "S2O3_2-": "S2O3", "C_C=O": "C_double_O", "CO3_2-": "CO3",
    "InS_x": "In2S3", "LATP_Ti3+": "LATP_reduced",
}  # fmt: skip
ELSEWHERE = {("C_sp2", "7Li"): "LiC6"}
"""Rows of one species in the tables that are a species of their own here."""
NOT_OF_THE_SPECIES = {("Y0", "Y 3d", 156.6), ("Al", "Al 2p", 74.4)}
"""Rows of the oxide on a metal; that on aluminium is the species Al2O3."""


def rows(table):
    root = data_root()
    folder = root.parent / "reference-values" if root else Path("none")
    if not folder.is_dir():
        pytest.skip("the reference tables are not on this machine")
    with (folder / table).open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def species(name):
    return load()[RENAMED.get(name, name)]


def told(lines, value, tolerance=1e-9):
    """Whether a value is in the range of a line, or kept as another source's."""
    return any(
        report.low - tolerance <= value <= report.high + tolerance
        if report.low is not None and report.high is not None
        else math.isclose(report.value, value)
        for line in lines
        for report in (line, *line.others)
    )


def test_every_species_of_the_tables_is_here():
    named = [r["species_id"] for r in rows("species.csv")]
    assert len(named) >= 80
    for name in named:
        assert species(name).role, name


def test_every_binding_energy_of_the_tables_is_in_a_range_here():
    seen = 0
    for row in rows("xps.csv"):
        if row["record"] != "binding_energy" or not row["species_id"]:
            continue
        level = f"{row['element']} {row['core_level'][:2]}"
        if (row["species_id"], level, float(row["value"])) in NOT_OF_THE_SPECIES:
            continue
        lines = load().lines("xps", species(row["species_id"]).id, level)
        assert told(lines, float(row["value"])), row
        seen += 1
    assert seen > 140


def test_every_energy_difference_of_the_tables_is_here():
    for row in rows("xps.csv"):
        if row["record"] != "energy_difference" or not row["species_id"]:
            continue
        own = species(row["species_id"]).separations
        low, high = (float(row[k] or row["value"]) for k in ("low", "high"))
        assert any(low <= s.value <= high for s in own), row


def test_splittings_and_sensitivities_of_the_tables_are_here():
    levels = load().core_levels
    seen = 0
    for row in rows("xps.csv"):
        name = f"{row['element']} {row['core_level']}"
        if row["species_id"] or name not in levels:
            continue
        if row["record"] == "spin_orbit_splitting":
            assert levels[name].splitting == pytest.approx(float(row["value"]), abs=0.02), row
        elif row["record"] == "rsf_scofield_1487eV":
            here = levels[name].rsf["scofield_1486.6"]
            assert here == pytest.approx(float(row["value"]), rel=1e-3), row
        else:
            continue
        seen += 1
    assert seen > 30


def test_every_shift_and_coupling_of_the_tables_is_here():
    seen = 0
    for row in rows("nmr.csv"):
        if not row["species_id"] or not row["value"]:
            continue
        key = (row["species_id"], row["nucleus"])
        lines = load().lines("nmr", ELSEWHERE.get(key) or species(key[0]).id, row["nucleus"])
        value = float(row["value"])
        if row["quantity"] == "isotropic_shift":
            assert told(lines, value), row
        elif row["quantity"] == "CSA_span":
            assert any(line.span == value for line in lines), row
        elif row["quantity"] == "quadrupolar_coupling_Cq":
            assert any(line.cq_MHz == value or f"{value:g}" in line.note for line in lines), row
        seen += 1
    assert seen > 60


def test_nuclear_constants_are_those_of_the_tables():
    fields = {
        "gyromagnetic_ratio_over_2pi": "gyromagnetic_ratio",
        "natural_abundance": "abundance",
        "spin": "spin",
        "quadrupole_moment": "quadrupole_moment",
    }
    for row in rows("nmr.csv"):
        if row["species_id"] or row["quantity"] not in fields:
            continue
        if row["nucleus"] not in load().nuclei:
            continue
        here = getattr(load().nucleus(row["nucleus"]), fields[row["quantity"]])
        assert here == pytest.approx(float(row["value"]), rel=1e-4), row


def test_every_raman_band_of_the_tables_is_in_a_range_here():
    for row in rows("raman.csv"):
        lines = load().lines("raman", species(row["species_id"]).id)
        assert told(lines, float(row["value"])), row


def test_every_structure_of_the_tables_is_here_with_its_cell():
    here = {data.id: data for one in load() for data in one.structures}
    cells = {row["structure_id"]: row for row in rows("structures.csv")}
    assert len(cells) > 70
    for name, row in cells.items():
        for length in "abc":
            assert getattr(here[name], length) == pytest.approx(float(row[length]), abs=1e-3), name


def test_every_measured_enthalpy_of_the_tables_is_here():
    from pymatgen.core import Composition

    here: dict[str, list[float]] = {}
    for energy in energies():
        if energy.enthalpy_kJ_mol is not None:
            units = Composition(energy.formula).get_reduced_composition_and_factor()
            here.setdefault(units[0].reduced_formula, []).append(energy.enthalpy_kJ_mol / units[1])
    seen = 0
    for row in rows("thermo.csv"):
        if row["quantity"] != "formation_enthalpy_298K" or not row["value"]:
            continue
        reduced, factor = Composition(row["formula"]).get_reduced_composition_and_factor()
        value = float(row["value"]) / factor
        assert any(math.isclose(value, x, rel_tol=1e-4) for x in here[reduced.reduced_formula]), row
        seen += 1
    assert seen > 40


# --- no tables needed ---


def test_every_value_has_unit_range_condition_source_and_confidence():
    unit = {"xps": "eV", "nmr": "ppm", "raman": "1/cm"}
    count = 0
    for one in load():
        for line in one.lines:
            where = f"{one.id} {line.technique} {line.transition} {line.label}"
            assert line.unit == unit[line.technique], where
            assert line.low <= line.value <= line.high, where
            assert line.high > line.low or line.condition or line.reference == "definition", where
            assert line.reference.strip(), where
            assert line.source.strip(), where
            assert line.confidence in ("read", "literature", "approximate"), where
            if line.technique == "raman":
                assert re.search(r"any laser line|\d+(\.\d+)? nm", line.condition), where
            if line.technique == "nmr":
                assert line.condition, where
            count += 1
    assert count > 330


def test_a_doi_is_a_doi():
    for one in load():
        reports = [r for line in one.lines for r in (line, *line.others)]
        for entry in (*reports, *one.separations, *one.structures):
            assert not entry.doi or re.fullmatch(r"10\.\d{4,9}/\S+", entry.doi), (one.id, entry.doi)


def test_sources_that_disagree_are_kept_side_by_side():
    """Where a line has more than one report, at least the value and source of each stand there."""
    several = [(one, line) for one in load() for line in one.lines if line.others]
    assert len(several) >= 15
    for one, line in several:
        reports = {(r.value, r.source) for r in (line, *line.others)}
        assert len(reports) == 1 + len(line.others), (one.id, line.transition)
    spread = [
        (one.id, line.transition)
        for one, line in several
        if any(not line.low <= o.value <= line.high for o in line.others)
    ]
    assert spread  # some lie outside the chosen range, and are told all the same


def test_a_borrowed_value_is_approximate_and_says_from_which_phase():
    borrowed = [(one, line) for one in load() for line in one.lines if "of this phase" in line.note]
    assert len(borrowed) >= 15
    for one, line in borrowed:
        assert line.confidence == "approximate", (one.id, line.transition)


def test_lines_without_a_paper_become_fewer():
    without = [line for one in load() for line in one.lines if "no single source" in line.source]
    assert len(without) <= 28


def test_the_guide_tells_how_many_lines_have_no_paper_and_which():
    guide = (Path(__file__).parent.parent / "docs" / "contributing-species.md").read_text()
    guide = " ".join(guide.split())
    lines = [line for one in load() for line in one.lines]
    without = [line for line in lines if "no single source" in line.source]
    told = f"Of the {len(lines)} lines of {len(load())} species, {len(without)} still have no paper"
    assert told in guide
    listed = guide.split("They are: ")[1].split(". ")[0]
    assert all(f"{line.species} (" in listed for line in without)
    assert len(listed.replace("; ", ", ").split(", ")) == len(without)

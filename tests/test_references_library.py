"""The library: every entry sourced and sane, seeded faults found, users' own libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import references
from references.check import check
from references.errors import LibraryError
from references.model import CoreLevel, Line, Species, StructureData

GUIDE = Path(__file__).parent.parent / "docs" / "contributing-species.md"

LINE = {
    "species": "X",
    "technique": "xps",
    "transition": "S 2p",
    "value": 160.0,
    "low": 159.5,
    "high": 160.5,
    "unit": "eV",
    "count": 1.0,
    "reference": "C 1s 284.8 eV",
    "source": "a paper",
    "confidence": "read",
}
ROCK_SALT = {
    "id": "X_rs",
    "formula": "Li2S",
    "space_group": "Fm-3m",
    "number": 225,
    "a": 5.71,
    "b": 5.71,
    "c": 5.71,
    "sites": [
        {"elements": {"Li": 1}, "x": 0.25, "y": 0.25, "z": 0.25},
        {"elements": {"S": 1}, "x": 0, "y": 0, "z": 0},
    ],
    "source": "a paper",
    "confidence": "read",
}


def library_of(*, line=None, structure=None, core_level=None, **species):
    """A library of one species, right but for what is given."""
    base = references.load()
    given = {
        "id": "X",
        "name": "x",
        "formula": "Li2S",
        "role": "product",
        "lines": [Line(**{**LINE, **(line or {})})],
        "structures": [StructureData(**{**ROCK_SALT, **structure})] if structure else [],
        **species,
    }
    levels = dict(base.core_levels)
    if core_level:
        levels["S 2p"] = CoreLevel(**{**levels["S 2p"].model_dump(), **core_level})
    return references.Library({"X": Species(**given)}, levels, base.nuclei)


def problems(library):
    return " | ".join(str(p) for p in check(library))


def test_the_library_passes_its_own_check():
    library = references.load()
    assert [str(p) for p in check(library)] == []
    assert len(library) >= 80


def test_a_right_entry_passes():
    assert problems(library_of(structure={"a": 5.71})) == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"line": {"source": " "}}, "no source"),
        ({"line": {"reference": ""}}, "no charge reference"),
        (
            {"line": {"technique": "nmr", "transition": "7Li", "unit": "ppm", "value": 1.0,
                      "low": 0.0, "high": 2.0, "count": 2.0, "reference": ""}},
            "no shift reference",
        ),
        ({"line": {"value": 161.0}}, "not within 159.5 to 160.5"),
        ({"line": {"unit": "ppm"}}, "unit 'ppm'"),
        ({"line": {"transition": "S 7p"}}, "not in core_levels.yaml"),
        ({"line": {"transition": "P 2p"}}, "the formula holds no P"),
        ({"line": {"count": 3.0}}, "count 3 atoms, the formula has 1"),
        ({"line": {"count": 0.5}}, "count 0.5 of 1 atoms"),
        ({"core_level": {"area_ratio": 0.6}}, "area_ratio: 0.6, not 0.5"),
        ({"core_level": {"rsf": {"scofield_1486.6": 3.153}}}, "Scofield has 1.677"),
        ({"structure": {"a": 1.6, "b": 1.6, "c": 1.6}}, "angstrom apart"),
        ({"structure": {"formula": "Li3S"}}, "per formula unit, not"),
        ({"structure": {"formula": "Na2S"}}, "the formula Na, S"),
        ({"structure": {"space_group": "Qq"}}, "cannot be built"),
        ({"structure": {"a": 5.71}, "density": 5.0}, "its structure has 1.6"),
        ({"formula": "li2s"}, "cannot read"),
        ({"lines": []}, "neither lines nor a structure"),
        ({"lines": [Line(**LINE), Line(**LINE)]}, "2 lines are labelled"),
    ],
)  # fmt: skip
def test_seeded_faults_are_found(change, says):
    assert says in problems(library_of(**change))


def test_the_guide_s_example_is_a_species_that_passes(tmp_path):
    text = GUIDE.read_text().split("```yaml\n")[1].split("```")[0]
    (tmp_path / "Li2Se.yaml").write_text(text)
    library = references.load(tmp_path)
    assert "Li2Se" in library
    assert len(library) == len(references.load()) + 1
    assert [p for p in map(str, check(library)) if "Li2Se" in p] == []
    assert library.hash != references.load().hash
    assert library["Dilithium selenide"].id == "Li2Se"


def test_a_users_species_replaces_ours_whole(tmp_path, monkeypatch):
    mine = {"id": "Li2S", "name": "mine", "formula": "Li2S", "role": "product",
            "lines": [{k: v for k, v in LINE.items() if k != "species"}]}  # fmt: skip
    (tmp_path / "Li2S.yaml").write_text(yaml.safe_dump(mine))
    monkeypatch.setenv("INTERPHASE_LIBRARY", str(tmp_path))
    library = references.load()
    assert library.replaced == ("Li2S",)
    assert len(library["Li2S"].lines) == 1
    assert library["Li3P"] == references.library._bundled()["Li3P"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id: Y\nname: y\nformula: Y\nrole: product\ncolour: red\n", "colour: unknown key"),
        ("id: Z\nname: y\nformula: Y\nrole: product\n", "must be the file's name"),
        ("id: Y\nname: y\nformula: Y\nrole: spectator\n", "role"),
        ("[1, 2]", "expected keys"),
        ("a: [", "not YAML"),
        ("!!python/object/apply:os.system [true]", "not YAML"),
    ],
)
def test_bad_species_files_are_named(tmp_path, text, says):
    (tmp_path / "Y.yaml").write_text(text)
    with pytest.raises(LibraryError, match=r"Y\.yaml") as caught:
        references.load(tmp_path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_export_and_import_keep_everything(tmp_path):
    library = references.load()
    path = library.export(tmp_path / "all.json")
    again = references.library.read_export(path)
    assert again.hash == library.hash
    assert references.load(path).species == library.species
    path.write_text("{}")
    with pytest.raises(LibraryError, match="not an exported library"):
        references.library.read_export(path)


def test_unknown_names_come_with_near_ones():
    library = references.load()
    with pytest.raises(LibraryError, match="did you mean"):
        library["Li2SS"]
    with pytest.raises(LibraryError, match="did you mean 'S 2p'"):
        library.core_level("S2p")
    with pytest.raises(LibraryError, match="nucleus"):
        library.nucleus("32P")


def test_loading_needs_no_heavy_library(tmp_path):
    code = (
        "import sys, references; lib = references.load(); assert len(lib) > 80\n"
        "heavy = {'pymatgen', 'numpy', 'xarray', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("INTERPHASE_CACHE", str(blocked))
    references.library._bundled.cache_clear()
    try:
        assert len(references.load()) > 80
    finally:
        references.library._bundled.cache_clear()


def test_argyrodite_sulfur_is_counted_by_site():
    lines = references.load().lines("xps", "Li6PS5Cl", "S 2p")
    assert [(i.label, i.count) for i in lines] == [("", 4.0), ("S2", 1.0)]


def test_reaction_sets_share_a_family():
    family = [s.id for s in references.load() if "Li6PS5Cl on Li" in s.families]
    assert {"Li6PS5Cl", "Li2S", "Li3P", "LiCl"} <= set(family)

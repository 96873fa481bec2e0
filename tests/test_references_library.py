"""The library: every entry sourced and sane, seeded faults found, users' own libraries."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import references
from references.check import check
from references.errors import LibraryError
from references.model import CoreLevel, Line, Separation, Species, StructureData

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
RAMAN = {
    "technique": "raman",
    "transition": "band",
    "value": 372.0,
    "low": 368.0,
    "high": 376.0,
    "unit": "1/cm",
    "count": None,
    "relative_intensity": 1.0,
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
SEPARATION = {
    "kind": "line",
    "transition": "S 2p",
    "other_species": "PS4_glass",
    "value": 6.0,
    "low": 5.0,
    "high": 7.0,
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
    others = {name: base[name] for name in ("PS4_glass", "Li3PS4_beta", "Li3PS4_gamma")}
    return references.Library({"X": Species(**given), **others}, levels, base.nuclei)


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
        ({"structure": {"formula": "Li3S"}, "formula": "Li3S"}, "per formula unit, not 3"),
        ({"structure": {"formula": "Na2S"}, "formula": "Na2S"}, "the formula Na, S"),
        ({"structure": {"a": 5.71}, "formula": "Li2S2", "lines": []}, "is not of the species"),
        ({"structure": {"source": "   "}}, "structure X_rs: no source"),
        ({"structure": {"sites": [], "formula_units": 4.0}, "density": 3.0}, "has 1.639"),
        ({"core_level": {"splitting": 0.0}}, "p, d and f levels are split"),
        ({"core_level": {"sources": [" "]}}, "no source"),
        ({"separations": [Separation(**SEPARATION)]}, "6 does not fit the positions 160 and 161.6"),
        ({"separations": [Separation(**{**SEPARATION, "low": 7.0})]}, "not within 7 to 7"),
        ({"separations": [Separation(**{**SEPARATION, "label": "Y"})]}, "measured to is not in"),
        ({"separations": [Separation(**{**SEPARATION, "other_species": "Q"})]}, "Q is not in"),
        ({"structure": {"space_group": "Qq"}}, "cannot be built"),
        ({"structure": {"a": 5.71}, "density": 5.0}, "its structure has 1.6"),
        ({"formula": "li2s"}, "cannot read"),
        ({"lines": []}, "neither lines nor a structure"),
        ({"lines": [Line(**LINE), Line(**LINE)]}, "2 lines are labelled"),
        ({"line": {"fwhm": -1.2}}, "fwhm -1.2 is not positive"),
        ({"line": {"fwhm": 1.0, "fwhm_low": -0.5, "fwhm_high": 2.0}}, "fwhm_low -0.5 is not pos"),
        ({"line": {"fwhm": 3.0, "fwhm_low": 0.5, "fwhm_high": 2.0}}, "fwhm 3 is not within 0.5"),
        ({"line": {"count": -1.0}}, "count -1 is not positive"),
        ({"line": {"asymmetry": 1.5}}, "asymmetry 1.5 is not between 0 and 1"),
        ({"line": {"shape": "pseudovoigt"}}, "did you mean 'pseudo_voigt'?"),
        ({"line": {"doi": "https://doi.org/10.1021/cm546"}}, "is malformed: write it as 10.1021"),
        ({"line": {"others": [{"value": 161.0, "low": 162.0, "high": 163.0, "source": "a paper",
                               "confidence": "read"}]}}, "other value 161 is not within 162"),
        ({"structure": {"doi": "doi:10.1/x"}}, "doi 'doi:10.1/x' is malformed"),
        ({"formula": "Xx2S"}, "no element Xx"),
        ({"families": ["Li3PS4 on L"]}, "did you mean 'Li3PS4 on Li'?"),
        ({"line": RAMAN}, "no condition: say the laser line"),
        ({"line": {**RAMAN, "condition": "532 nm", "unit": "eV"}}, "unit 'eV', not '1/cm'"),
        ({"line": {**RAMAN, "condition": "532 nm", "relative_intensity": 100.0}}, "is above 1"),
    ],
)  # fmt: skip
def test_seeded_faults_are_found(change, says):
    assert says in problems(library_of(**change))


def test_a_family_of_a_new_compound_is_no_misspelling():
    assert problems(library_of(families=["Li3PS3 on Li", "Li4PS4I on Li"])) == ""


def test_a_shape_that_check_knows_can_be_computed():
    from references.check import _SHAPES
    from spectra.shapes import SHAPES

    assert set(_SHAPES) <= set(SHAPES)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"unit": "nm"}, "line 1 (xps S 2p), unit"),
        ({"confidence": "sure"}, "line 1 (xps S 2p), confidence"),
        ({"technique": "ftir"}, "line 1 (ftir S 2p), technique"),
        ({"vlaue": 3.0}, "line 1 (xps S 2p), vlaue: unknown key"),
        ({"low": None}, "line 1 (xps S 2p), low"),
        ({"value": "161,6"}, "line 1 (xps S 2p), value"),
        ({"value": float("nan")}, "line 1 (xps S 2p), value"),
    ],
)
def test_what_the_schema_refuses_is_told_in_one_line(tmp_path, change, says):
    line = {**{k: v for k, v in LINE.items() if k != "species"}, **change}
    text = yaml.safe_dump({"id": "Y", "name": "y", "formula": "Y2S3", "role": "product",
                           "lines": [line]})  # fmt: skip
    (tmp_path / "Y.yaml").write_text(text)
    with pytest.raises(LibraryError, match=r"Y\.yaml") as caught:
        references.load(tmp_path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_guide_s_example_is_a_species_that_passes(tmp_path):
    text = GUIDE.read_text().split("```yaml\n")[1].split("```")[0]
    (tmp_path / "Li2Se.yaml").write_text(text)
    library = references.load(tmp_path)
    assert "Li2Se" in library
    assert len(library) == len(references.load()) + 1
    alone = references.Library({"Li2Se": library["Li2Se"]}, library.core_levels, library.nuclei)
    assert check(alone) == []
    assert library.hash != references.load().hash
    assert library["Dilithium selenide"].id == "Li2Se"


def test_a_users_species_replaces_ours_whole(tmp_path, monkeypatch):
    mine = {"id": "Li2S", "name": "mine", "formula": "Li2S", "role": "product",
            "lines": [{k: v for k, v in LINE.items() if k != "species"}]}  # fmt: skip
    (tmp_path / "Li2S.yaml").write_text(yaml.safe_dump(mine))
    monkeypatch.setenv("INTERPHASE_LIBRARY", str(tmp_path))
    library = references.load()
    assert library.replaced == ("Li2S",)
    assert library.hash != references.library._bundled().hash
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
        ("id: Y\nname: y\nid: Y\n", "line 3: 'id' stands twice"),
        ("? [a, b]\n: c\n", "not YAML"),
        ("!!python/object/apply:os.system [true]", "not YAML"),
    ],
)
def test_bad_species_files_are_named(tmp_path, text, says):
    (tmp_path / "Y.yaml").write_text(text)
    with pytest.raises(LibraryError, match=r"Y\.yaml") as caught:
        references.load(tmp_path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_users_folder_may_bring_core_levels_and_nuclei(tmp_path):
    (tmp_path / "core_levels.yaml").write_text(
        "- {name: Se 3d, element: Se, splitting: 0.86, area_ratio: 0.6666666666666666, "
        "sources: [a paper]}\n"
    )
    (tmp_path / "nuclei.yaml").write_text(
        "- {name: 77Se, spin: 0.5, gyromagnetic_ratio: 8.157, abundance: 7.63, sources: [a paper]}"
    )
    library = references.load(tmp_path)
    assert library.core_level("Se 3d").splitting == 0.86
    assert library.nucleus("77Se").abundance == 7.63
    assert library.core_level("S 2p") == references.load().core_level("S 2p")
    assert check(library, structures=False) == []


def test_two_species_cannot_share_a_name():
    base = references.load()
    other = base["Li2S"].model_copy(update={"id": "X", "aliases": ("LGPS",), "structures": ()})
    library = references.Library({**base.species, "X": other}, base.core_levels, base.nuclei)
    found = " | ".join(map(str, check(library, structures=False)))
    assert "'lgps' is a name of Li10GeP2S12 too" in found


def test_the_library_loads_in_under_a_tenth_of_a_second_when_warm():
    references.load()
    times = []
    for _ in range(3):
        references.library._bundled.cache_clear()
        start = time.perf_counter()
        references.load()
        times.append(time.perf_counter() - start)
    assert min(times) < 0.1


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


@pytest.mark.parametrize(
    ("species", "technique", "transition", "counts"),
    [
        ("Li4P2S7", "xps", "S 2p", {"": 6.0, "bridging": 1.0}),
        ("Li7P3S11", "xps", "S 2p", {"": 10.0, "bridging": 1.0}),
        ("Li7P3S11", "nmr", "31P", {"": 1.0, "P2S7": 2.0}),
        ("LiPO3", "xps", "O 1s", {"": 2.0, "bridging": 1.0}),
        ("S2O3", "xps", "S 2p", {"": 1.0, "terminal": 1.0}),
        ("Li6PS5Br", "xps", "S 2p", {"": 4.0, "S2": 1.0}),
        ("Li10GeP2S12", "nmr", "31P", {"": 1.0, "PS4_3_on_4d": 1.0}),
    ],
)
def test_atoms_are_counted_by_site(species, technique, transition, counts):
    lines = references.load().lines(technique, species, transition)
    assert {i.label: i.count for i in lines} == counts


def test_amorphous_products_have_no_pattern():
    for name in ("P_red", "LiPON", "PS4_glass", "LixP"):
        assert not any(s.sites for s in references.load()[name].structures), name


def test_reaction_sets_share_a_family():
    family = [s.id for s in references.load() if "Li6PS5Cl on Li" in s.families]
    assert {"Li6PS5Cl", "Li2S", "Li3P", "LiCl"} <= set(family)

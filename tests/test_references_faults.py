"""Species files with one fault each: every one is refused or found, in one line, at its place."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest

import references
from references.check import check
from references.errors import LibraryError

GUIDE = Path(__file__).parent.parent / "docs" / "contributing-species.md"
GOOD = GUIDE.read_text().split("```yaml\n")[1].split("```")[0]
NMR = (
    "  - {technique: nmr, transition: 7Li, value: 3, low: 2, high: 4, unit: ppm, count: 2, "
    "condition: magic-angle spinning, source: a paper, confidence: literature, "
)
RAMAN = (
    "  - {technique: raman, transition: band, value: 300, low: 290, high: 310, unit: 1/cm, "
    "reference: silicon, source: a paper, confidence: literature, "
)


def put(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def line(text: str) -> str:
    return put("structures:", text + "}\nstructures:")


def separation(text: str) -> str:
    entry = f"{{kind: line, transition: Li 1s, source: a paper, confidence: read, {text}}}"
    return f"{GOOD}separations:\n  - {entry}\n"


REFUSED = {
    "no source": (
        GOOD.replace("    source: your own measurement, this file is an example\n", "", 1),
        "line 1 (xps Li 1s), source: Field required",
    ),
    "unknown key of a line": (put("count: 2 ", "cuont: 2 "), "line 1 (xps Li 1s), cuont: unknown"),
    "key twice": (put("role: product", "role: product\nrole: electrode"), "'role' stands twice"),
    "not a number": (put("value: 54.6", "value: .nan"), "finite number"),
    "a date": (put("value: 54.6", "value: 2020-01-01"), "valid number"),
    "yes as a number": (put("count: 2 ", "count: yes "), "lines.0.count: yes, no, on, off"),
    "unit of no technique": (put("unit: eV", "unit: meV"), "'eV', 'ppm' or '1/cm'"),
    "role": (put("role: product", "role: produkt"), "role: Input should be"),
    "file name": (put("id: Li2Se\n", "id: Li2Te\n"), "must be the file's name"),
    "id with a path": (put("id: Li2Se\n", "id: ../../x\n"), "not an identifier"),
    "space group": (put("number: 225", "number: 999"), "less than or equal to 230"),
    "cell": (put("a: 6.017", "a: 0"), "structure 1 (Li2Se_antifluorite), a: "),
    "angle": (put("a: 6.017", "alpha: 0\n    a: 6.017"), "alpha: Input should be greater than 0"),
    "source of another value": (
        put("structures:", "    others: [{value: 54, confidence: read, source: ''}]\nstructures:"),
        "others.0.source: ",
    ),
    "tab": (put("    value: 54.6", "\tvalue: 54.6"), "not YAML (found character"),
    "two documents": (f"{GOOD}---\n{GOOD}", "not YAML"),
    "a python object": ("id: !!python/object/apply:os.system [ls]\n", "not YAML"),
    "a tag that does not fit": (put("value: 54.6", "value: !!int ''"), "not YAML"),
    "endless nesting": ("[" * 5000, "not YAML"),
    "itself": ("a: &a [*a]\n", "a: unknown key (and 4 more)"),
    "latin 1": (GOOD.encode().replace(b"lithium", b"l\xedthium"), "not UTF-8 text (byte "),
    "utf 16": (GOOD.encode("utf-16"), "not UTF-8 text (byte 0)"),
    "a list": ("- a\n", "expected keys and values"),
    "empty": ("", "expected keys and values"),
    "a number for the lines": (GOOD.split("lines:")[0] + "lines: 5\n", "lines: Input should be"),
    "a text for a line": (GOOD.split("lines:")[0] + "lines: [x]\n", "line 1: Input should be"),
    "huge": (GOOD + "#" * (5 * 1024**2), "larger than"),
    "too many sites": (
        put("      - {elements: {Se: 1}", "      - {elements: {Se: 1}, x: 0, y: 0, z: 0}\n" * 1000
            + "      - {elements: {Se: 1}"),
        "at most 1000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_file_that_cannot_be_read_says_where(tmp_path, name):
    text, says = REFUSED[name]
    (tmp_path / "Li2Se.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LibraryError, match=r"^Li2Se\.yaml") as caught:
        references.load(tmp_path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_anchors_within_anchors_cost_no_time(tmp_path):
    names = "abcdefghijklmnop"
    text = "a: &a [x, x]\n" + "".join(
        f"{own}: &{own} [{', '.join([f'*{before}'] * 9)}]\n"
        for before, own in itertools.pairwise(names)
    )
    (tmp_path / "Li2Se.yaml").write_text(text)
    with pytest.raises(LibraryError, match="a: unknown key"):
        references.load(tmp_path)


FOUND = {
    "range": (put("low: 54.2", "low: 54.8"), "not within 54.8 to 55"),
    "charge reference": (put("reference: C 1s 284.8 eV", "reference: ''"), "no charge reference"),
    "shift reference": (line(NMR + "reference: ''"), "no shift reference"),
    "unit of another technique": (put("unit: eV", "unit: ppm"), "unit 'ppm', not 'eV'"),
    "formula and counts": (put("formula: Li2Se\nal", "formula: Li3Se\nal"), "lines count 2 of 3"),
    "no element": (put("formula: Li2Se\nal", "formula: Li2Xx\nal"), "no element Xx"),
    "subscripts": (put("formula: Li2Se\nal", "formula: Li₂Se\nal"), "cannot read '₂Se'"),
    "atoms too close": (put("x: 0.25, y: 0.25, z: 0.25", "x: .02, y: 0, z: 0"), "angstrom apart"),
    "number of the space group": (put("number: 225", "number: 1"), "is space group 225, not 1"),
    "symbol of the space group": (put("Fm-3m", "Fm-3x"), "cannot be built"),
    "cell against the space group": (put("b: 6.017", "b: 7.0"), "cannot be built"),
    "a site of no element": (put("{Li: 1}", "{Lx: 1}"), "a site holds Lx: no element"),
    "an overfull site": (put("{Li: 1}", "{Li: 1.5}"), "cannot be built"),
    "less than nothing on a site": (put("{Li: 1}", "{Li: -0.5}"), "holds nothing, or less"),
    "an empty site": (put("{Li: 1}", "{}"), "holds nothing, or less"),
    "an alias twice": (put("[dilithium selenide]", "[a, a]"), "'a' stands 2 times"),
    "an alias of another": (put("[dilithium selenide]", "[LiCl]"), "is a name of LiCl too"),
    "doi": (put("    confidence: app", "    doi: doi.org/x\n    confidence: app"), "malformed"),
    "core level": (put("transition: Li 1s", "transition: Li 2p"), "'Li 2p' is not in core_levels"),
    "no core level": (put("transition: Li 1s", "transition: ''"), "core level '' is not in"),
    "a level of another element": (put("transition: Li 1s", "transition: S 2p"), "holds no S"),
    "nucleus": (line(NMR.replace("7Li", "8Li") + "reference: LiCl"), "'8Li' is not in nuclei"),
    "one label twice": (
        line("  - {technique: xps, transition: Li 1s, value: 55, low: 54, high: 56, unit: eV, "
             "reference: C 1s 284.8 eV, source: a paper, confidence: read"),
        "2 lines are labelled ''",
    ),
    "shape": (put("    count: 2 ", "    shape: gausian\n    count: 2 "), "mean 'gaussian'?"),
    "width": (put("    count: 2 ", "    fwhm: -1\n    count: 2 "), "fwhm -1 is not positive"),
    "laser line": (line(RAMAN + "relative_intensity: 1, condition: 532 cm"), "say the laser line"),
    "share": (line(RAMAN + "relative_intensity: 1.4, condition: 532 nm"), "1.4 is above 1"),
    "asymmetry of a shift": (line(NMR + "eta: 1.4, reference: LiCl"), "not between 0 and 1"),
    "coupling of a band": (
        line(RAMAN + "relative_intensity: 1, condition: 532 nm, cq_MHz: 2"),
        "a quadrupolar coupling",
    ),
    "confidence without a paper": (
        put("source: your own measurement, this file is an example\n    confidence: approximate",
            "source: commonly reported values; no single source\n    confidence: literature"),
        "without a source of its own",
    ),
    "density": (put("role: product", "density: 9.9\nrole: product"), "its structure has 2.83"),
    "no density": (put("role: product", "density: -1\nrole: product"), "is not positive"),
    "structure of this id": (put("id: Li2Se_antifluorite", "id: LiCl"), "has one of this id"),
    "a line from itself": (separation("value: 0, low: -1, high: 1"), "measured from itself"),
    "a species that is not there": (
        separation("other_species: Nope, value: 1, low: 0, high: 2"), "Nope is not in the library"
    ),
    "a difference against the positions": (
        separation("other_species: LiCl, value: 20, low: 19, high: 21"), "does not fit"
    ),
    "doi of a difference": (
        separation("other_species: LiCl, value: -1.4, low: -2, high: -1, doi: 10/x"), "malformed"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FOUND))
def test_a_wrong_entry_is_found(tmp_path, name):
    text, says = FOUND[name]
    (tmp_path / "Li2Se.yaml").write_text(text)
    library = references.load(tmp_path)
    few = {one: library.species[one] for one in ("LiCl", "Li2Se")}
    alone = references.Library(few, library.core_levels, library.nuclei)
    problems = [str(problem) for problem in check(alone)]
    assert any(says in problem for problem in problems), problems
    assert all(problem.startswith("Li2Se: ") for problem in problems)


def test_spin_one_half_has_no_quadrupolar_coupling(tmp_path):
    text = GOOD.split("structures:")[0].replace("formula: Li2Se", "formula: Li2PSe", 1)
    text += NMR.replace("7Li", "31P").replace("count: 2", "count: 1")
    (tmp_path / "Li2Se.yaml").write_text(text + "reference: H3PO4, cq_MHz: 1}\n")
    library = references.load(tmp_path)
    alone = references.Library({"Li2Se": library["Li2Se"]}, library.core_levels, library.nuclei)
    assert ["quadrupolar" in str(problem) for problem in check(alone)] == [True]


def test_links_pipes_and_other_endings_are_not_followed(tmp_path):
    outside = tmp_path / "outside.yaml"
    outside.write_text(GOOD)
    folder = tmp_path / "own"
    folder.mkdir()
    file = folder / "Li2Se.yaml"
    file.symlink_to(outside)
    with pytest.raises(LibraryError, match="a link to outside of the folder"):
        references.load(folder)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(LibraryError, match="not a file"):
        references.load(folder)
    file.unlink()
    (folder / "Li2Se.yml").write_text(GOOD)
    with pytest.raises(LibraryError, match=r"name it Li2Se\.yaml"):
        references.load(folder)


def test_an_export_with_a_wrong_name_is_refused(tmp_path):
    plain = references.load().plain()
    plain["species"]["LiCl2"] = plain["species"].pop("LiCl")
    path = tmp_path / "library.json"
    path.write_text(json.dumps(plain))
    with pytest.raises(LibraryError, match="'LiCl2' calls itself 'LiCl'"):
        references.load(path)


def test_lines_of_hard_x_rays_are_no_fault(tmp_path):
    text = GOOD.replace("Li 1s ", "Se 2p ").replace("54.6", "1433").replace("54.2", "1430")
    text = text.replace("55.0", "1436").replace("count: 2", "count: 1")
    deep = text.replace("1433", "2470").replace("1430", "2465").replace("1436", "2475")
    (tmp_path / "Li2Se.yaml").write_text(deep)
    library = references.load(tmp_path)
    problems = check(references.Library({"Li2Se": library["Li2Se"]}, library.core_levels, {}))
    assert not any("outside" in str(problem) for problem in problems)


def test_an_export_read_back_replaces_nothing_until_it_differs(tmp_path):
    path = references.load().export(tmp_path / "library.json")
    assert references.load(path).replaced == ()
    plain = json.loads(path.read_text())
    plain["species"]["LiCl"]["note"] = "mine"
    path.write_text(json.dumps(plain))
    assert references.load(path).replaced == ("LiCl",)


def test_what_the_command_line_shows_is_a_file_that_can_be_read(tmp_path, capsys):
    from workbench.cli import main

    for name in ("Li2S", "Li6PS5Cl", "MnS"):
        assert main(["species", "show", name]) == 0
        (tmp_path / f"{name}.yaml").write_text(capsys.readouterr().out)
    library = references.load(tmp_path)
    assert library.hash == references.load().hash
    assert library.replaced == ()


def test_core_levels_and_nuclei_are_shown_too(capsys):
    from workbench.cli import main

    assert main(["species", "show", "S 2p"]) == 0
    assert "splitting: 1.1" in capsys.readouterr().out
    assert main(["species", "show", "31P"]) == 0
    assert "spin: 0.5" in capsys.readouterr().out


def test_the_list_says_where_a_species_is_seen(capsys):
    from workbench.cli import main

    assert main(["species", "--json", "list"]) == 0
    seen = {row["id"]: row["techniques"] for row in json.loads(capsys.readouterr().out)}
    assert seen["Li2S"] == "diffraction,nmr,raman,xps"
    assert all(seen.values())


LEVEL = (
    "- {name: Se 3d, element: Se, splitting: 0.86, area_ratio: 0.6666666666666666, sources: [a]}\n"
)
NUCLEUS = "- {name: 77Se, spin: 0.5, gyromagnetic_ratio: 8.16, abundance: 7.63, sources: [a]}\n"


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("core_levels.yaml", LEVEL * 2, "'Se 3d' stands twice"),
        ("core_levels.yaml", LEVEL[2:], "expected a list"),
        ("nuclei.yaml", NUCLEUS.replace("0.5", "yes"), "yes, no, on, off"),
        (
            "nuclei.yaml",
            NUCLEUS.replace("spin", "spinn"),
            "entry 1 (77Se), spinn: unknown key (and 1 more)",
        ),
    ],
)
def test_core_levels_and_nuclei_that_cannot_be_read(tmp_path, file, text, says):
    (tmp_path / file).write_text(text)
    with pytest.raises(LibraryError, match=f"^{file}") as caught:
        references.load(tmp_path)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("core_levels.yaml", LEVEL.replace("0.6666666666666666", "0.5"), "0.5, not 0.6667"),
        ("core_levels.yaml", LEVEL.replace("0.86", "-0.86"), "-0.86 is negative"),
        ("core_levels.yaml", LEVEL.replace("0.86", "0"), "p, d and f levels are split"),
        ("core_levels.yaml", LEVEL.replace("}", ", rsf: {mine: -1}}"), "mine is -1, not positive"),
        ("core_levels.yaml", LEVEL.replace("element: Se", "element: S"), "not a core level of S"),
        ("nuclei.yaml", NUCLEUS.replace("0.5", "0.7"), "0.7 is no multiple of 1/2"),
        ("nuclei.yaml", NUCLEUS.replace("7.63", "763"), "not between 0 and 100"),
        ("nuclei.yaml", NUCLEUS.replace("77Se", "Se77"), "not a mass number and an element"),
        ("nuclei.yaml", NUCLEUS.replace("}", ", quadrupole_moment: 0.1}"), "spin 1/2 has none"),
    ],
)
def test_wrong_core_levels_and_nuclei_are_found(tmp_path, file, text, says):
    (tmp_path / file).write_text(text)
    library = references.load(tmp_path)
    problems = [str(problem) for problem in check(library, structures=False)]
    assert any(says in problem for problem in problems), problems
    assert len(problems) == 1


def test_all_files_that_cannot_be_read_are_named_at_once(tmp_path):
    for name in "ABCDEFGH":
        (tmp_path / f"{name}.yaml").write_text("colour: red\n")
    (tmp_path / "Li2Se.yaml").write_text(GOOD)
    with pytest.raises(LibraryError) as caught:
        references.load(tmp_path)
    text = str(caught.value)
    assert text.startswith("A.yaml: colour: unknown key")
    assert text.endswith("; 7 more cannot be read: B.yaml, C.yaml, D.yaml, E.yaml, F.yaml, ...")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (put("Fm-3m", "Fm-3x"), "cannot be built"),
        (put("{Li: 1}", "{Li: 1.5}"), "cannot be built"),
        (put("{Li: 1}", "{Lx: 1}"), "Lx: no element"),
        (put("b: 6.017", "b: 7.0"), "cannot be built"),
    ],
)
def test_a_pattern_of_an_unchecked_structure_says_what_is_wrong(tmp_path, text, says):
    from references.diffraction import reflections

    (tmp_path / "Li2Se.yaml").write_text(text)
    with pytest.raises(LibraryError, match=says) as caught:
        reflections("Li2Se", library=references.load(tmp_path))
    assert "\n" not in str(caught.value)

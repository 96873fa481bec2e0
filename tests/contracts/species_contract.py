"""What every species must satisfy, beside what `references.check` says; for users' species too."""

from __future__ import annotations

import math
from collections.abc import Callable

from references import Library, Species
from references.check import check as check_library
from references.model import Line
from spectra.shapes import SHAPES


def check_names(species: Species, library: Library) -> None:
    """Component names made of the id and the labels are identifiers; the id and aliases find it."""
    names = [species.id]
    for line in species.lines:
        if line.label:
            names.append(f"{species.id}_{line.transition.replace(' ', '')}_{line.label}")
    for name in names:
        assert name.isidentifier(), name
    for name in (species.id, *species.aliases):
        assert library[name] is species, name


def check_main_lines(species: Species, library: Library) -> None:
    """Each core level and nucleus has one main line, and it comes first."""
    for technique in ("xps", "nmr", "raman"):
        for transition in {i.transition for i in species.lines if i.technique == technique}:
            lines = library.lines(technique, species.id, transition)
            labels = [i.label for i in lines]
            assert labels[0] == "", f"{species.id} {transition}: {labels}"
            assert labels.count("") == 1, f"{species.id} {transition}: {labels}"


def check_counts(species: Species, library: Library) -> None:
    """Where stoichiometry fixes the share of each line, the shares make the formula."""
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in species.lines:
        if line.technique != "raman":
            groups.setdefault((line.technique, line.transition), []).append(line)
    for (technique, transition), lines in groups.items():
        element = transition.split()[0] if technique == "xps" else transition.lstrip("0123456789")
        counts = [i.count for i in lines if i.count is not None]
        if len(counts) == len(lines):
            assert math.isclose(sum(counts), species.atoms[element], rel_tol=1e-9), transition


def check_reports(species: Species, library: Library) -> None:
    """Every reported value has a source, and a range around it where one is given."""
    for line in species.lines:
        for report in (line, *line.others):
            assert report.source.strip(), f"{species.id} {line.transition}"
            if report.low is not None and report.high is not None:
                assert report.low <= report.value <= report.high, f"{species.id} {line.transition}"
        assert line.sources[0] == line.source


def check_shapes(species: Species, library: Library) -> None:
    """The shapes that lines name are registered."""
    for line in species.lines:
        assert line.shape in SHAPES, f"{species.id} {line.transition}: {line.shape}"


def check_mass(species: Species, library: Library) -> None:
    """Formula and density are of matter."""
    assert species.molar_mass > 1.0
    if species.density is not None:
        assert 0.3 < species.density < 23.0


def check_stable(species: Species, library: Library) -> None:
    """Writing and reading back changes nothing."""
    assert Species.model_validate_json(species.model_dump_json()) == species


def check_problems(species: Species, library: Library) -> None:
    """The command `interphase species check` has no complaint."""
    found = [p for p in check_library(library, structures=False) if p.entry == species.id]
    assert not found, "; ".join(map(str, found))


CHECKS: tuple[Callable[[Species, Library], None], ...] = (
    check_names,
    check_main_lines,
    check_counts,
    check_reports,
    check_shapes,
    check_mass,
    check_stable,
    check_problems,
)

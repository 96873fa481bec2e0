"""Every species of the library against the contract of a species."""

from __future__ import annotations

import pytest

import references
from references.check import check
from references.model import Line
from tests.contracts import species_contract


@pytest.fixture(scope="module")
def library():
    return references.load()


@pytest.mark.parametrize("species", list(references.load().species))
def test_a_species_meets_the_contract(species, library):
    for one in species_contract.CHECKS:
        one(library[species], library)


def test_the_contract_notices_a_wrong_share(library):
    wrong = library["Li4P2S7"]
    first = wrong.lines[0].model_copy(update={"count": 5.0})
    wrong = wrong.model_copy(update={"lines": (first, *wrong.lines[1:])})
    with pytest.raises(AssertionError, match="S 2p"):
        species_contract.check_counts(wrong, library)


def test_the_contract_notices_a_missing_main_line(library):
    line = library["Li2S"].lines[0]
    assert isinstance(line, Line)
    lines = tuple(i.model_copy(update={"label": "a"}) for i in library["Li2S"].lines)
    wrong = library["Li2S"].model_copy(update={"lines": lines})
    changed = references.Library(
        {**library.species, "Li2S": wrong}, library.core_levels, library.nuclei
    )
    with pytest.raises(AssertionError, match="Li2S"):
        species_contract.check_main_lines(wrong, changed)
    assert check(library, structures=False) == []


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
def test_what_vanishes_by_symmetry_vanishes_in_the_structure(library):
    """No coupling, no anisotropy: only where every site of the nucleus has cubic symmetry."""
    import spglib

    from references.diffraction import build, structure_data

    told = [
        (one.id, line)
        for one in library
        for line in one.lines
        if line.technique == "nmr" and (line.cq_MHz == 0.0 or line.zeta == 0.0)
    ]
    assert len(told) >= 10
    for name, line in told:
        built = build(structure_data(name, library))
        kinds = [str(site.species) for site in built]
        symmetry = spglib.get_symmetry_dataset(
            (built.lattice.matrix, built.frac_coords, [kinds.index(kind) for kind in kinds])
        )
        element = line.transition.lstrip("0123456789")
        sites = {
            symbol.replace(".", "")
            for symbol, kind in zip(symmetry.site_symmetry_symbols, kinds, strict=True)
            if kind.startswith(element)
        }
        assert sites, name
        assert sites <= {"23", "m-3", "432", "-43m", "m-3m"}, (name, line.transition, sites)

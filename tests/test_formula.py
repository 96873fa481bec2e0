"""Formulas and reactions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from references.errors import InterphaseError
from workbench.formula import atoms, parse_reaction


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("Li6PS5Cl", {"Li": 6, "P": 1, "S": 5, "Cl": 1}),
        ("Li1.3Al0.3Ti1.7(PO4)3", {"Li": 1.3, "Al": 0.3, "Ti": 1.7, "P": 3, "O": 12}),
        ("Ba2P2O7", {"Ba": 2, "P": 2, "O": 7}),
    ],
)
def test_atoms(formula, expected):
    assert atoms(formula) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "li2s", "Li2S)", "(Li2S", "2Li", "Li2 S", "Li-S"])
def test_what_is_no_formula_is_refused(text):
    with pytest.raises(InterphaseError):
        atoms(text)


@given(
    st.dictionaries(st.sampled_from(["Li", "P", "S", "Cl", "Ge"]), st.integers(1, 20), min_size=1)
)
def test_a_written_formula_reads_back(content):
    text = "".join(f"{element}{count}" for element, count in content.items())
    assert atoms(text) == pytest.approx(content)


def test_reaction_of_argyrodite_with_lithium():
    reaction = parse_reaction("Li6PS5Cl + 8 Li -> 5 Li2S + Li3P + LiCl")
    assert reaction.coefficients == {"Li6PS5Cl": -1, "Li": -8, "Li2S": 5, "Li3P": 1, "LiCl": 1}
    assert reaction.products == ("Li2S", "Li3P", "LiCl")


def test_a_reaction_that_does_not_balance_names_the_element():
    with pytest.raises(InterphaseError, match="Li does not balance"):
        parse_reaction("Li6PS5Cl + 6 Li -> 5 Li2S + Li3P + LiCl")
    with pytest.raises(InterphaseError, match="reactants -> products"):
        parse_reaction("Li6PS5Cl")

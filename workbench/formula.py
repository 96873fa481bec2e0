"""Chemical formulas and reaction equations as plain numbers."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

from references.errors import InterphaseError
from references.model import count_atoms

_TERM = re.compile(r"^(?:(\d+(?:\.\d+)?(?:/\d+)?)\s*\*?\s*)?([A-Z(][A-Za-z0-9.()]*)$")


@dataclass(frozen=True)
class Reaction:
    """A balanced equation.

    Parameters
    ----------
    text : str
        As it was written.
    coefficients : dict of str to float
        Stoichiometric number by formula: negative consumed, positive formed.
    """

    text: str
    coefficients: dict[str, float]

    @property
    def products(self) -> tuple[str, ...]:
        """Formulas formed."""
        return tuple(f for f, n in self.coefficients.items() if n > 0)

    @property
    def reactants(self) -> tuple[str, ...]:
        """Formulas consumed."""
        return tuple(f for f, n in self.coefficients.items() if n < 0)


def atoms(formula: str) -> dict[str, float]:
    """Count the atoms in a formula unit.

    Parameters
    ----------
    formula : str
        For example ``"Li6PS5Cl"`` or ``"Li1.3Al0.3Ti1.7(PO4)3"``.

    Returns
    -------
    dict of str to float

    Raises
    ------
    InterphaseError
        If the text is not a formula.
    """
    try:
        return count_atoms(formula)
    except ValueError as error:
        raise InterphaseError(str(error)) from None


def parse_reaction(text: str) -> Reaction:
    """Read ``"Li6PS5Cl + 8 Li -> 5 Li2S + Li3P + LiCl"`` and check that atoms balance.

    Raises
    ------
    InterphaseError
        If a term cannot be read or an element does not balance; says which and by how much.
    """
    sides = re.split(r"->|=>|→", text)
    if len(sides) != 2:
        raise InterphaseError(f"reaction {text!r}: write it as 'reactants -> products'")
    coefficients: dict[str, float] = {}
    totals: defaultdict[str, float] = defaultdict(float)
    for side, sign in zip(sides, (-1.0, 1.0), strict=True):
        for term in side.split(" + ") if " + " in side else side.split("+"):
            match = _TERM.match(term.strip())
            if match is None:
                raise InterphaseError(f"reaction {text!r}: cannot read the term {term.strip()!r}")
            number = float(Fraction(match[1])) if match[1] else 1.0
            coefficients[match[2]] = coefficients.get(match[2], 0.0) + sign * number
            for element, count in atoms(match[2]).items():
                totals[element] += sign * number * count
    for element, total in totals.items():
        if abs(total) > 1e-6:
            raise InterphaseError(
                f"reaction {text!r}: {element} does not balance ({total:+g} on the right); "
                "mend the coefficients"
            )
    return Reaction(text.strip(), coefficients)

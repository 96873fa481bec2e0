"""Read what people write for a compound: a formula, or the name of a species of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import LibraryError, nearest
from .library import load

if TYPE_CHECKING:
    from pymatgen.core import Composition


def composition(text: str) -> Composition:
    """Return the composition of a formula (``"Li3PS4"``) or of a library species (``"LLZO"``).

    A name of the library wins over a formula that reads the same: ``"LiPON"`` is the electrolyte.

    Parameters
    ----------
    text : str
        Formula, species id or alias (as written there).

    Returns
    -------
    pymatgen.core.Composition

    Raises
    ------
    LibraryError
        If it is neither; says which names are near.
    """
    from pymatgen.core import Composition

    names = {name: one for one in load() for name in (one.id, *one.aliases)}
    formula = names[text].formula if text in names else text
    try:
        found = Composition(formula)
    except (ValueError, TypeError, KeyError):
        found = Composition()
    if not found or not found.valid:
        raise LibraryError(
            f"{text!r} is neither a formula nor a species of the library: {nearest(text, names)}"
        )
    return found

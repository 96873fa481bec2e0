"""What the library says about the lines of one species at one nucleus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import ModelError

if TYPE_CHECKING:
    from references import Library, Line

DEFAULT_WIDTH = 5.0


def element_of(nucleus: str) -> str:
    """Return the element of a nucleus (``"31P"`` -> ``"P"``)."""
    return "".join(c for c in nucleus if c.isalpha())


def nuclei_per_formula(species: str, nucleus: str, library: Library) -> float:
    """Return how many atoms of the nucleus' element one formula unit has.

    Raises
    ------
    ModelError
        If it has none.
    """
    element = element_of(nucleus)
    count = float(library[species].atoms.get(element, 0.0))
    if count <= 0:
        raise ModelError(f"{species} holds no {element}: {nucleus} cannot count it")
    return count


def line_width(line: Line) -> float:
    """Full width of a library line, ppm; `DEFAULT_WIDTH` where the literature gives none."""
    if line.fwhm:
        return float(line.fwhm)
    if line.fwhm_low and line.fwhm_high:
        return 0.5 * float(line.fwhm_low + line.fwhm_high)
    return DEFAULT_WIDTH


def split_by_count(lines: Sequence[Line], atoms: float) -> tuple[float, ...] | None:
    """Return each line's share of the species' area where stoichiometry fixes it, else None.

    Lines whose counts add up to more than the formula holds are not sites side by side but
    appearances of the same atoms (flat and microstructured lithium metal): their areas are free.
    """
    if len(lines) == 1:
        return (1.0,)
    if not all(line.count for line in lines):
        return None
    counts = [float(line.count or 0.0) for line in lines]
    if sum(counts) > atoms * (1.0 + 1e-9):
        return None
    return tuple(count / sum(counts) for count in counts)

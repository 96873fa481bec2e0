"""A table with headings and what its headings promise, for all readers of a cell's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._cell_numbers import numbers
from ._cell_words import Column, meaning

Array = npt.NDArray[np.float64]


@dataclass
class Table:
    """A table with headings.

    Parameters
    ----------
    headings : sequence of str
        As printed.
    columns : sequence of sequences
        Cells (text, or numbers where the file is binary), one sequence per heading.
    comma : bool
        Whether the decimal mark is a comma.
    """

    headings: Sequence[str]
    columns: Sequence[Sequence[object]]
    comma: bool = False

    def pick(self, quantity: str) -> tuple[Column, Sequence[object]] | None:
        """Return the best column of a quantity: one with a unit before one without."""
        best = None
        for heading, cells in zip(self.headings, self.columns, strict=True):
            column = meaning(heading)
            if column is None or column.quantity != quantity:
                continue
            if best is None or (column.told and not best[0].told):
                best = (column, cells)
        return best

    def values(self, quantity: str) -> Array | None:
        """Return a quantity in this program's unit, or None if there is none with a number."""
        found = self.pick(quantity)
        if found is None:
            return None
        column, cells = found
        values = numbers(texts_of(cells), self.comma) * column.factor
        return values if np.isfinite(values).any() else None


def texts_of(cells: Sequence[object]) -> Sequence[str]:
    """Return cells as they are; numbers stand for the text they print as."""
    return cells  # type: ignore[return-value]


def suffices(headings: Sequence[str]) -> str:
    """Return what kind of table these headings promise: a technique, or an empty string."""
    found: dict[str, bool] = {}
    plain = True
    for heading in headings:
        column = meaning(heading)
        if column is not None:
            found[column.quantity] = found.get(column.quantity, False) or column.told
            plain = plain and len(column.label) <= 2 and not column.told
    if plain:
        return ""
    if "frequency" in found and (
        {"impedance_re", "impedance_im"} <= set(found) or {"modulus", "phase"} <= set(found)
    ):
        return "impedance"
    clock = bool({"time", "any_time", "step_time", "stamp", "unix_time"} & set(found))
    if clock and ("voltage" in found or "current" in found):
        return "cycling"
    for other in ("temperature", "pressure", "strain"):
        if clock and other in found:
            return other
    if clock and "force" in found:
        return "pressure"
    if found.get("voltage") and found.get("current"):
        return "voltammetry"
    return ""

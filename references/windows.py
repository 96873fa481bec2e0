"""Electrochemical windows as printed in the literature, each with its source.

`references.thermo.window` computes windows from open energies; these are what it is compared with,
and what is known where no open energies exist (LATP, LAGP, LLTO).
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from .errors import LibraryError, nearest
from .model import Confidence, count_atoms


class PublishedWindow(BaseModel):
    """One printed window.

    Parameters
    ----------
    formula : str
        Composition as printed.
    names : tuple of str
        Other names that find it.
    reduction_V, oxidation_V : float, optional
        Edges against Li+/Li; from phase equilibria at 0 K.
    reduced, oxidised : tuple of str
        Phases named just outside the edges.
    at_lithium : tuple of str
        Phases named in contact with lithium.
    decomposition_eV_atom : float, optional
        Reaction energy at 0 V per atom of the composition.
    source, doi, confidence, note
        As in `references.model.Line`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    formula: str
    names: tuple[str, ...] = ()
    reduction_V: float | None = None
    oxidation_V: float | None = None
    reduced: tuple[str, ...] = ()
    oxidised: tuple[str, ...] = ()
    at_lithium: tuple[str, ...] = ()
    decomposition_eV_atom: float | None = None
    source: str = Field(min_length=3)
    doi: str = ""
    confidence: Confidence
    note: str = ""


@cache
def published_windows() -> tuple[PublishedWindow, ...]:
    """Return every printed window of the library."""
    text = resources.files(__package__).joinpath("windows.yaml").read_text("utf-8")
    return tuple(TypeAdapter(list[PublishedWindow]).validate_python(yaml.safe_load(text)))


def published_window(name: str) -> PublishedWindow:
    """Return the printed window of a composition by formula or name (``"LATP"``).

    Raises
    ------
    LibraryError
        If none is known; says which names are near.
    """
    found = {n.casefold(): w for w in published_windows() for n in (w.formula, *w.names)}
    if name.casefold() in found:
        return found[name.casefold()]
    try:
        atoms = count_atoms(name)
    except ValueError:
        atoms = {}
    for window in published_windows():
        if atoms == count_atoms(window.formula):
            return window
    known = [n for w in published_windows() for n in (w.formula, *w.names)]
    raise LibraryError(f"no printed window of {name!r}: {nearest(name, known)}")

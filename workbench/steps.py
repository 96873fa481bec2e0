"""The record every verb leaves: one line of ``history`` per step, readable and machine-readable.

A line is the verb, a space, and the settings as JSON:
``calibrate {"method": "line", "at": 284.8}``. The recipe of a result is read back from these lines,
so there is no second record to drift from them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import xarray as xr

from spectra.convention import where, with_history

from .errors import OrderError


def record(ds: xr.Dataset, verb: str, settings: Mapping[str, Any]) -> xr.Dataset:
    """Return a shallow copy of ``ds`` with the step appended to ``history``."""
    return with_history(ds, f"{verb} {json.dumps(dict(settings), ensure_ascii=False)}")


def steps(ds: xr.Dataset) -> list[tuple[str, dict[str, Any]]]:
    """Return the recorded steps of a dataset in order, as ``(verb, settings)``.

    Lines that are not of this form (a user's own remarks) are passed over.
    """
    found = []
    for line in str(ds.attrs.get("history", "")).split("\n"):
        verb, _, rest = line.partition(" ")
        try:
            settings = json.loads(rest)
        except ValueError:
            continue
        if isinstance(settings, dict):
            found.append((verb, settings))
    return found


def require(ds: xr.Dataset, convention: str, made_by: str) -> None:
    """Refuse a dataset of another kind with the call that makes the right one.

    Raises
    ------
    OrderError
        If ``attrs["convention"]`` is not ``convention``.
    """
    found = ds.attrs.get("convention") if isinstance(ds, xr.Dataset) else type(ds).__name__
    if found != convention:
        place = where(ds) if isinstance(ds, xr.Dataset) else "argument"
        raise OrderError(f"{place}: expected {convention}, found {found}; make it with {made_by}")

"""A cell's own measurements: named quantities along one dimension, usually time.

Voltage, current, capacity, temperature, pressure: an ``xr.Dataset`` with
``convention="channels-1"`` whose variables lie along ``time`` (or ``frequency`` for impedance). It
joins amounts in `workbench.align`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from references.errors import nearest

from .convention import Source, where, with_history
from .errors import ConventionError

CONVENTION = "channels-1"

INDEX: dict[str, str] = {"time": "s", "frequency": "Hz", "point": "1"}
"""What channels may run along, with units; ``point`` where several spectra follow each other."""

UNITS: dict[str, tuple[str, ...]] = {
    "voltage": ("V",),
    "current": ("mA", "mA/cm2"),
    "capacity": ("mAh", "mAh/cm2", "mAh/g"),
    "power": ("W",),
    "temperature": ("degC",),
    "pressure": ("MPa",),
    "strain": ("1",),
    "frequency": ("Hz",),
    "impedance_re": ("ohm", "ohm cm2"),
    "impedance_im": ("ohm", "ohm cm2"),
    "time": ("s",),
    "cycle": ("1",),
    "step": ("1",),
    "spectrum": ("1",),
}
"""Quantities with a fixed name, and the units each may have."""


def channels(
    index: npt.ArrayLike,
    variables: Mapping[str, tuple[npt.ArrayLike, str]],
    *,
    technique: str,
    along: str = "time",
    attrs: Mapping[str, Any] | None = None,
    source: Source | None = None,
) -> xr.Dataset:
    """Make checked channels from plain arrays.

    Parameters
    ----------
    index : array_like
        Values along the dimension, in the unit of `INDEX`.
    variables : mapping of str to (values, units)
        One-dimensional, as long as ``index``; names of `UNITS` carry their units, others any.
    technique : str
        ``"cycling"``, ``"impedance"``, ``"temperature"`` ...
    along : str
        Key of `INDEX`.
    attrs : mapping, optional
        What describes the measurement; ``start`` is the ISO time of index 0.
    source : Source, optional
        The file it came from.

    Returns
    -------
    xr.Dataset
    """
    ds = xr.Dataset(
        {
            name: (along, np.asarray(values), {"units": units})
            for name, (values, units) in variables.items()
        },
        coords={along: (along, np.asarray(index, dtype=float), {"units": INDEX.get(along, "")})},
        attrs={**(attrs or {})},
    )
    ds.attrs.update(convention=CONVENTION, technique=technique, history="")
    if source is not None:
        ds.attrs["source"] = json.dumps([source.__dict__])
        ds = with_history(ds, f"open {source.file}")
    return check_channels(ds)


def check_channels(ds: xr.Dataset) -> xr.Dataset:
    """Return ``ds`` if it is valid channels.

    Raises
    ------
    ConventionError
        Naming the variable, the rule and the mend.
    """
    place = where(ds)
    if ds.attrs.get("convention") != CONVENTION or not ds.attrs.get("technique"):
        raise ConventionError(f"{place}: not channels; make them with spectra.channels.channels")
    along = [str(d) for d in ds.dims]
    if len(along) != 1 or along[0] not in INDEX:
        raise ConventionError(
            f"{place}: channels run along one of {', '.join(INDEX)}; found {', '.join(along)}"
        )
    index = ds[along[0]].values
    if not np.all(np.isfinite(index)):
        raise ConventionError(f"{place}: {along[0]} holds values that are not finite")
    if along[0] == "time" and np.any(np.diff(index) < 0):
        at = int(np.argmax(np.diff(index) < 0))
        raise ConventionError(f"{place}: time runs back at row {at + 1}; sort it or split the file")
    if not ds.data_vars:
        raise ConventionError(f"{place}: no channel in it")
    for name, var in ds.data_vars.items():
        units = var.attrs.get("units")
        if units is None:
            raise ConventionError(f"{place}: {name!r} has no units; set attrs['units']")
        if str(name) in UNITS and units not in UNITS[str(name)]:
            raise ConventionError(
                f"{place}: {name!r} has units {units!r}: {nearest(units, UNITS[str(name)])}"
            )
    return ds

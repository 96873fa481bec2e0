"""What a Spectrum is, how to make one, and the checker every reader and verb relies on.

A Spectrum is an ``xr.Dataset`` with a variable ``intensity(*outer, axis)``: one spectral dimension,
last, and any of a closed list of outer dimensions. Units stand on every variable and coordinate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from references.errors import nearest

from .errors import ConventionError

CONVENTION = "spectrum-1"

AXES: dict[str, str] = {
    "binding_energy": "eV",
    "chemical_shift": "ppm",
    "raman_shift": "1/cm",
    "photon_energy": "keV",
    "two_theta": "deg",
    "particle_energy": "keV",
    "wavelength": "nm",
    "mass_to_charge": "u",
    "frequency": "Hz",
    "acquisition_time": "s",
    "channel": "1",
}
"""Spectral dimensions and their units. ``channel``, ``wavelength``, and the ``frequency`` and
``acquisition_time`` of NMR are axes as an instrument writes them before calibration; verbs that
need a calibrated axis refuse them."""

OUTER: dict[str, str] = {
    "time": "s",
    "x": "um",
    "y": "um",
    "z": "um",
    "position": "um",
    "depth": "nm",
    "etch_time": "s",
    "angle": "deg",
    "cycle": "1",
    "scan": "1",
    "detector": "1",
    "point": "1",
    "indirect_shift": "ppm",
    "evolution_time": "s",
}
"""Outer dimensions and their units. ``point`` numbers the spectra of an incomplete map, whose
``x`` and ``y`` are then coordinates along it."""

COUNTS = "counts"
INTENSITY_UNITS = (COUNTS, "counts/s", "1")
UNCERTAINTY_ORIGINS = ("counting", "repeats", "instrument", "reported")


@dataclass(frozen=True)
class Source:
    """Where a spectrum came from: file name (no folder), SHA-256, format, place in it."""

    file: str
    sha256: str
    format: str
    region: str = ""


def spectrum(
    intensity: npt.ArrayLike,
    axis: npt.ArrayLike,
    *,
    technique: str,
    axis_name: str,
    units: str = COUNTS,
    outer: Mapping[str, npt.ArrayLike] | None = None,
    coords: Mapping[str, tuple[tuple[str, ...], npt.ArrayLike, str]] | None = None,
    extra: Mapping[str, tuple[tuple[str, ...], npt.ArrayLike, str]] | None = None,
    attrs: Mapping[str, Any] | None = None,
    source: Source | None = None,
) -> xr.Dataset:
    """Make a checked Spectrum from plain arrays; a descending axis is turned round.

    Parameters
    ----------
    intensity : array_like
        Shape ``(*outer, axis)``; integers are kept as integers.
    axis : array_like
        The spectral axis, strictly monotonic, in the unit of `AXES`.
    technique, axis_name : str
        Technique, and the key in `AXES`.
    units : str
        ``"counts"``, ``"counts/s"`` or ``"1"`` (arbitrary).
    outer : mapping, optional
        Outer dimension to coordinate values, in the order of the array's leading dims.
    coords, extra : mapping, optional
        Further coordinates and variables as ``name: (dims, values, units)``.
    attrs : mapping, optional
        Scalars and strings that describe the measurement (``pass_energy_eV``, ``laser_nm``).
    source : Source, optional
        The file it came from.

    Returns
    -------
    xr.Dataset
        A Spectrum that passes `check`.
    """
    outer = dict(outer or {})
    x = np.asarray(axis, dtype=float)
    y = np.asarray(intensity)
    ds = xr.Dataset(
        {"intensity": ((*outer, axis_name), y, {"units": units})},
        coords={axis_name: (axis_name, x, {"units": AXES.get(axis_name, "")})},
    )
    for name, values in outer.items():
        ds = ds.assign_coords({name: (name, np.asarray(values), {"units": OUTER.get(name, "")})})
    for name, (dims, values, unit) in (coords or {}).items():
        ds = ds.assign_coords({name: (dims, np.asarray(values), {"units": unit})})
    for name, (dims, values, unit) in (extra or {}).items():
        ds[name] = (dims, np.asarray(values), {"units": unit})
    if x.size > 1 and x[-1] < x[0]:
        ds = ds.isel({axis_name: slice(None, None, -1)})
    ds.attrs.update(attrs or {})
    ds.attrs.update(convention=CONVENTION, technique=technique, history="")
    if source is not None:
        ds.attrs["source"] = json.dumps([source.__dict__])
        ds = with_history(ds, f"open {source.file}" + (f" [{source.region}]" * bool(source.region)))
    return check(ds)


def axis_of(ds: xr.Dataset) -> str:
    """Return the name of the spectral dimension.

    Raises
    ------
    ConventionError
        If there is no ``intensity`` or its last dimension is not a spectral one.
    """
    if "intensity" not in ds:
        raise ConventionError(
            f"{where(ds)}: no variable 'intensity' (found: {', '.join(map(str, ds)) or 'none'}); "
            "make a Spectrum with workbench.open or spectra.convention.spectrum"
        )
    dims = ds["intensity"].dims
    if not dims or dims[-1] not in AXES:
        found = dims[-1] if dims else "no dimension"
        raise ConventionError(
            f"{where(ds)}: last dimension of intensity is {found!r}; allowed: {', '.join(AXES)}"
        )
    return str(dims[-1])


def outer_dims(ds: xr.Dataset) -> tuple[str, ...]:
    """Return the outer dimensions of ``intensity``, in order."""
    axis_of(ds)
    return tuple(str(d) for d in ds["intensity"].dims[:-1])


def where(ds: xr.Dataset) -> str:
    """Name a dataset for a message: file and region, or its technique."""
    try:
        first = json.loads(ds.attrs.get("source", "[]"))[0]
        return first["file"] + (f", region {first['region']!r}" if first.get("region") else "")
    except (ValueError, LookupError, TypeError):
        return f"{ds.attrs.get('technique', 'dataset')} spectrum"


def with_history(ds: xr.Dataset, line: str) -> xr.Dataset:
    """Return a shallow copy with one line appended to attrs ``history``."""
    ds = ds.copy(deep=False)
    before = str(ds.attrs.get("history", ""))
    ds.attrs["history"] = f"{before}\n{line}" if before else line
    return ds


def has_step(ds: xr.Dataset, verb: str) -> bool:
    """Whether ``history`` records the verb."""
    return any(
        line.split(" ", 1)[0] == verb for line in str(ds.attrs.get("history", "")).split("\n")
    )


def check(ds: xr.Dataset) -> xr.Dataset:
    """Return ``ds`` if it is a valid Spectrum.

    Raises
    ------
    ConventionError
        Naming the variable, what was found, what is allowed and what to do.
    """
    if not isinstance(ds, xr.Dataset):
        raise ConventionError(f"expected an xarray.Dataset, found {type(ds).__name__}")
    place = where(ds)
    if ds.attrs.get("convention") == "channels-1":
        raise ConventionError(
            f"{place}: channels over time ({', '.join(map(str, list(ds.data_vars)[:4]))}), no "
            "spectra; they belong under 'channels' of a campaign"
        )
    if ds.attrs.get("convention") != CONVENTION:
        raise ConventionError(
            f"{place}: attrs['convention'] is {ds.attrs.get('convention')!r}, not {CONVENTION!r}; "
            "make it with workbench.open or spectra.convention.spectrum"
        )
    if not ds.attrs.get("technique"):
        raise ConventionError(f"{place}: attrs['technique'] is missing; set it, for example 'xps'")
    axis = axis_of(ds)
    _check_axis(ds, place, axis)
    for dim in outer_dims(ds):
        if dim not in OUTER:
            raise ConventionError(
                f"{place}: outer dimension {dim!r}: {nearest(dim, OUTER, most=20)}"
            )
        if dim not in ds.coords:
            raise ConventionError(f"{place}: outer dimension {dim!r} has no coordinate; assign one")
    _check_units(ds, place, axis)
    if np.issubdtype(ds["intensity"].dtype, np.complexfloating):
        raise ConventionError(
            f"{place}: intensity is complex; keep the real part as intensity and the imaginary "
            "one as intensity_im"
        )
    if not np.issubdtype(ds["intensity"].dtype, np.number):
        raise ConventionError(f"{place}: intensity has dtype {ds['intensity'].dtype}, not numbers")
    if "uncertainty" in ds:
        origin = ds["uncertainty"].attrs.get("origin")
        if origin not in UNCERTAINTY_ORIGINS:
            raise ConventionError(
                f"{place}: uncertainty has origin {origin!r}; allowed: "
                + ", ".join(UNCERTAINTY_ORIGINS)
            )
    return ds


def _check_units(ds: xr.Dataset, place: str, axis: str) -> None:
    for name, var in ds.variables.items():
        units = var.attrs.get("units")
        if units is None and var.dtype.kind in "iufc" and "flag_values" not in var.attrs:
            allowed = AXES.get(str(name)) or OUTER.get(str(name))
            hint = f"set {name!r}.attrs['units']" + (f" = {allowed!r}" if allowed else "")
            raise ConventionError(f"{place}: {name!r} has no units; {hint}")
    if ds[axis].attrs.get("units") != AXES[axis]:
        raise ConventionError(
            f"{place}: {axis!r} has units {ds[axis].attrs.get('units')!r}, not {AXES[axis]!r}"
        )
    for dim in outer_dims(ds):
        if dim in ds.coords and dim in OUTER and ds[dim].attrs.get("units") != OUTER[dim]:
            raise ConventionError(
                f"{place}: {dim!r} has units {ds[dim].attrs.get('units')!r}, not {OUTER[dim]!r}"
            )
    if ds["intensity"].attrs["units"] not in INTENSITY_UNITS:
        raise ConventionError(
            f"{place}: intensity has units {ds['intensity'].attrs['units']!r}; allowed: "
            + ", ".join(INTENSITY_UNITS)
        )


def _check_axis(ds: xr.Dataset, place: str, axis: str) -> None:
    if axis not in ds.coords:
        raise ConventionError(f"{place}: dimension {axis!r} has no coordinate values")
    x = ds[axis].values
    if x.size < 2:
        raise ConventionError(f"{place}: {axis} has {x.size} points; two are the least")
    if not np.all(np.isfinite(x)):
        raise ConventionError(f"{place}: {axis} holds values that are not finite")
    if np.any(np.diff(x) <= 0):
        at = int(np.argmax(np.diff(x) <= 0))
        raise ConventionError(
            f"{place}: {axis} does not ascend at point {at} ({x[at]:g} -> {x[at + 1]:g}); sort it"
        )

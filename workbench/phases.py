"""One reflection of a phase followed in space and time, and where the lines of phases lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

import references
from spectra.component import Component, Components, Curve, Param, SubLine
from spectra.convention import axis_of, outer_dims, where

from .errors import OrderError
from .fit import fit

if TYPE_CHECKING:
    from spectra.techniques._edxrd_physics import Detector

Array = npt.NDArray[np.float64]
AXES = ("photon_energy", "two_theta")
_SEEN = 3.0


@dataclass(frozen=True)
class Ticks:
    """Lines of one phase on the axis of a Spectrum.

    Parameters
    ----------
    place : ndarray
        keV or degree.
    strength : ndarray
        Over the strongest in range.
    d : ndarray
        Angstrom.
    hkl : tuple
    """

    place: Array
    strength: Array
    d: Array
    hkl: tuple[tuple[int, int, int], ...]


def ticks(
    ds: xr.Dataset,
    species: str,
    *,
    weakest: float = 0.01,
    library: references.Library | None = None,
) -> Ticks:
    """Return the lines of a phase inside the axis of an EDXRD or XRD Spectrum.

    Parameters
    ----------
    ds : xr.Dataset
        On a calibrated ``photon_energy`` with an angle, or on ``two_theta`` with a wavelength.
    species : str
        Species or structure id.
    weakest : float
        Over the strongest in range.
    library : references.Library, optional

    Raises
    ------
    OrderError
        If the axis is neither, or not calibrated.
    """
    axis = axis_of(ds)
    library = library or references.load()
    x = ds[axis].values
    if axis == "photon_energy" and "two_theta_deg" in ds.attrs:
        from spectra.techniques._edxrd_physics import Incident, measured_factors, phase_lines

        found = phase_lines(
            species,
            library,
            float(ds.attrs["two_theta_deg"]),
            float(x[0]),
            float(x[-1]),
            Incident.of(ds.attrs),
            weakest,
            measured_factors(ds.attrs, species),
        )
        top = max(float(found.strength.max(initial=0.0)), 1e-300)
        return Ticks(found.energy, found.strength / top, found.d, found.hkl)
    if axis == "two_theta" and "wavelength_A" in ds.attrs:
        from spectra.techniques._xrd_model import lines_of

        wave = float(ds.attrs["wavelength_A"])
        low = max(float(x[0]), 1.0)
        lines = lines_of(species, library, wave, low, float(x[-1]), weakest, ds.attrs)
        top = max(float(lines.strength.max(initial=0.0)), 1e-300)
        d = wave / (2.0 * np.sin(np.radians(lines.two_theta) / 2.0))
        return Ticks(lines.two_theta, lines.strength / top, d, lines.hkl)
    raise OrderError(
        f"{where(ds)}: lines of phases need photon_energy with a calibrated angle, or two_theta "
        f"with a wavelength; found {axis}; calibrate first"
    )


def follow(
    ds: xr.Dataset,
    species: str,
    hkl: Sequence[int],
    *,
    others: Sequence[str] = (),
    reach: float = 0.006,
    fwhm: float | None = None,
    library: references.Library | None = None,
) -> xr.Dataset:
    """Fit one reflection in every spectrum: area, place, spacing and width.

    A single line on a straight background in a window of three widths; lines of other phases that
    reach into the window are there too, at their library places with free areas.

    Parameters
    ----------
    ds : xr.Dataset
        A calibrated EDXRD or XRD Spectrum with any outer dims.
    species : str
        Whose reflection.
    hkl : sequence of int
        Any member of the family.
    others : sequence of str
        Phases whose lines may lie in the window.
    reach : float
        Largest relative change of the spacing.
    fwhm : float, optional
        Width to start from, in the units of the axis; EDXRD takes the detector's.
    library : references.Library, optional

    Returns
    -------
    xr.Dataset
        ``area``, ``place``, ``d`` (angstrom), ``fwhm`` with ``_stderr``, ``limit`` of the area and
        ``redchi`` on the outer dims. Place, d and fwhm are NaN where the area is below three of its
        standard errors.

    Raises
    ------
    OrderError
        If the reflection is not inside the axis; the nearest ones are named.
    """
    axis = axis_of(ds)
    library = library or references.load()
    table = ticks(ds, species, weakest=1e-5, library=library)
    at = _find(ds, table, tuple(int(v) for v in hkl), species)
    place, d = float(table.place[at]), float(table.d[at])
    wide = _width(ds, place) if fwhm is None else fwhm
    room = _moved(ds, axis, place, reach)
    x = ds[axis].values
    inside = (x > place - 2.0 * wide - room) & (x < place + 2.0 * wide + room)
    if inside.sum() < 9:
        raise OrderError(
            f"{where(ds)}: {int(inside.sum())} channels around {place:.3f}; widen fwhm"
        )
    cut = ds.isel({axis: inside})
    items = [_line(ds, species, place, wide, room)]
    for name in others:
        other = ticks(ds, name, library=library)
        near = [float(p) for p in other.place if x[inside][0] - wide < p < x[inside][-1] + wide]
        items += [_fixed(ds, f"{name}_{k}", p, wide) for k, p in enumerate(near)]
    items += _straight(x[inside])
    comps = _started(cut, Components(items))
    counts = ds["intensity"].attrs["units"] == "counts"
    found = fit(cut, comps, statistic="poisson" if counts else "chi2")
    return _table(ds, found, d, place, species, table.hkl[at])


def _find(ds: xr.Dataset, table: Ticks, hkl: tuple[int, ...], species: str) -> int:
    same = [i for i, h in enumerate(table.hkl) if sorted(map(abs, h)) == sorted(map(abs, hkl))]
    exact = [i for i in same if table.hkl[i] == hkl]
    if not same:
        strong = np.argsort(-table.strength)[:6]
        names = ", ".join("".join(map(str, table.hkl[i])) for i in strong)
        raise OrderError(
            f"{where(ds)}: no reflection {''.join(map(str, hkl))} of {species} inside the axis; "
            f"the strongest there: {names or 'none'}"
        )
    return exact[0] if exact else same[0]


def _width(ds: xr.Dataset, place: float) -> float:
    if axis_of(ds) != "photon_energy":
        return 0.15
    from spectra.techniques._edxrd_physics import Detector

    detector: Detector = Detector.of(ds.attrs)
    return float(detector.fwhm(place))


def _moved(ds: xr.Dataset, axis: str, place: float, reach: float) -> float:
    """How far a line moves when its spacing changes by ``reach``."""
    if axis == "photon_energy":
        return reach * place
    return float(2.0 * np.degrees(np.tan(np.radians(place) / 2.0)) * reach)


def _line(ds: xr.Dataset, name: str, place: float, wide: float, room: float) -> Component:
    energy = axis_of(ds) == "photon_energy"
    params = {
        "area": Param(value=1.0),
        "center": Param(value=place, min=place - room, max=place + room),
        "fwhm": Param(value=wide, min=0.5 * wide, max=2.5 * wide),
    }
    if not energy:
        params["mixing"] = Param(value=0.5, min=0.0, max=1.0)
    return Component(
        name=name,
        species=name,
        shape="gaussian" if energy else "pseudo_voigt",
        params=params,
        lines=_split(ds, place),
    )


def _split(ds: xr.Dataset, place: float) -> tuple[SubLine, ...]:
    """Ka2 beside Ka1, where the wavelength has two."""
    one, two = ds.attrs.get("wavelength_A"), ds.attrs.get("wavelength_2_A")
    if axis_of(ds) != "two_theta" or not one or not two:
        return ()
    sine = np.sin(np.radians(place) / 2.0) * float(two) / float(one)
    if sine >= 1.0:
        return ()
    ratio = float(ds.attrs.get("ratio_2", 0.5))
    offset = float(2.0 * np.degrees(np.arcsin(sine)) - place)
    return (
        SubLine(position=0.0, weight=1.0 / (1.0 + ratio)),
        SubLine(position=offset, weight=ratio / (1.0 + ratio)),
    )


def _fixed(ds: xr.Dataset, name: str, place: float, wide: float) -> Component:
    made = _line(ds, "x", place, wide, 1.0)
    params = {k: p.model_copy(update={"vary": k == "area"}) for k, p in made.params.items()}
    for k in ("center", "fwhm", "mixing"):
        if k in params:
            params[k] = Param(value=params[k].value, vary=False)
    return made.model_copy(
        update={"name": name, "species": None, "role": "background", "params": params}
    )


def _straight(x: Array) -> list[Component]:
    """Two ramps: together a straight line."""
    low, high = float(x[0]) - 1e-6, float(x[-1]) + 1e-6
    return [
        Component(
            name=name,
            shape="template",
            role="background",
            params={"area": Param(value=1.0), "shift": Param(value=0.0, vary=False)},
            curve=Curve(x=(low, high), y=y),
        )
        for name, y in (("left", (1.0, 0.0)), ("right", (0.0, 1.0)))
    ]


def _started(ds: xr.Dataset, comps: Components) -> Components:
    from spectra.techniques._edxrd_columns import started

    return started(ds, comps)


def _table(
    ds: xr.Dataset,
    found: xr.Dataset,
    d: float,
    place: float,
    species: str,
    hkl: tuple[int, int, int],
) -> xr.Dataset:
    names = [str(p) for p in found["param"].values]
    outer = outer_dims(ds)

    def of(name: str, what: str) -> Array:
        return np.asarray(found[what].values[..., names.index(f"{species}.{name}")], float)

    area, area_error = of("area", "value"), of("area", "stderr")
    seen = area > _SEEN * area_error
    center = np.where(seen, of("center", "value"), np.nan)
    center_error = np.where(seen, of("center", "stderr"), np.nan)
    if axis_of(ds) == "photon_energy":
        spacing = d * place / center
        relative = center_error / center
    else:
        sine = np.sin(np.radians(place) / 2.0)
        spacing = d * sine / np.sin(np.radians(center) / 2.0)
        relative = np.radians(center_error) / 2.0 / np.tan(np.radians(center) / 2.0)
    units = str(ds[axis_of(ds)].attrs.get("units", "1"))
    fields: Mapping[str, tuple[Any, str]] = {
        "area": (area, f"{ds['intensity'].attrs['units']} {units}"),
        "area_stderr": (area_error, f"{ds['intensity'].attrs['units']} {units}"),
        "limit": (3.29 * area_error, f"{ds['intensity'].attrs['units']} {units}"),
        "place": (center, units),
        "place_stderr": (center_error, units),
        "d": (spacing, "angstrom"),
        "d_stderr": (spacing * relative, "angstrom"),
        "fwhm": (np.where(seen, of("fwhm", "value"), np.nan), units),
        "fwhm_stderr": (np.where(seen, of("fwhm", "stderr"), np.nan), units),
        "redchi": (found["redchi"].values, "1"),
    }
    coords = {c: found[c] for c in found.coords if set(found[c].dims) <= set(outer)}
    return xr.Dataset(
        {k: (outer, v, {"units": u}) for k, (v, u) in fields.items()},
        coords=coords,
        attrs={
            "species": species,
            "hkl": " ".join(map(str, hkl)),
            "d_library": d,
            "technique": ds.attrs["technique"],
        },
    )

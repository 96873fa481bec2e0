"""Several core levels of one sample as one Spectrum, so that one fit sees them together."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ..component import Component, Components, Curve, Param
from ..convention import COUNTS, check, outer_dims, spectrum
from ..errors import ModelError
from ._xps_lines import shirley_steps


def join(regions: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Put regions of one sample on one axis with gaps between them.

    One fit of the result has one charging shift, one set of species and, with the setting
    ``tie_levels``, areas tied by stoichiometry over S 2p, P 2p, Li 1s, Cl 2p. The coordinate
    ``section`` along the axis numbers the regions; `propose` gives each a background of its own.
    Counts stay counts: where regions were counted for different times, these go into attrs
    ``response`` like a transmission function, and the areas are compared per second.

    Parameters
    ----------
    regions : mapping of str to xr.Dataset
        Core level to Spectrum; equal outer coordinates and units, ranges that do not overlap.

    Returns
    -------
    xr.Dataset
        A Spectrum.

    Raises
    ------
    ModelError
        If the regions overlap or differ in outer coordinates, units, photon or pass energy, if
        the counting time of only some is stated, or a response noted for only some.
    """
    if len(regions) < 2:
        raise ModelError("join: two regions or more make a joint fit")
    parts = sorted(regions.items(), key=lambda item: float(check(item[1])["binding_energy"][0]))
    name, first = parts[0]
    dims = outer_dims(first)
    for other, ds in parts[1:]:
        same = outer_dims(ds) == dims and all(
            np.array_equal(ds[d].values, first[d].values) for d in dims
        )
        if not same:
            raise ModelError(f"join: regions {name!r} and {other!r} differ in outer coordinates")
        for key in ("photon_energy_eV", "sample"):
            if ds.attrs.get(key) != first.attrs.get(key):
                raise ModelError(f"join: regions {name!r} and {other!r} differ in {key}")
        passes = [float(d.attrs.get("pass_energy_eV", 0.0)) for d in (first, ds)]
        if min(passes) > 0 and abs(passes[0] / passes[1] - 1.0) > 0.01:
            raise ModelError(
                f"join: {name!r} was taken with {passes[0]:g} eV pass energy, {other!r} with "
                f"{passes[1]:g} eV: their areas do not compare; fit them one by one"
            )
        if ds["intensity"].attrs["units"] != first["intensity"].attrs["units"]:
            raise ModelError(
                f"join: {name!r} is in {first['intensity'].units}, {other!r} in "
                f"{ds['intensity'].units}; bring them to one unit"
            )
    for (one, low), (two, high) in itertools.pairwise(parts):
        if float(low["binding_energy"][-1]) >= float(high["binding_energy"][0]):
            raise ModelError(f"join: regions {one!r} and {two!r} overlap; select a range of each")
    axis = np.concatenate([ds["binding_energy"].values for _, ds in parts])
    attrs = {k: v for k, v in first.attrs.items() if k not in ("convention", "technique")}
    attrs["region"] = " + ".join(n for n, _ in parts)
    calibrated = [str(ds.attrs.get("calibration", "")) for _, ds in parts]
    attrs["calibration"] = "; ".join(dict.fromkeys(calibrated)) if all(calibrated) else ""
    joined = spectrum(
        np.concatenate([ds["intensity"].values for _, ds in parts], axis=-1),
        axis,
        technique="xps",
        axis_name="binding_energy",
        units=str(first["intensity"].attrs["units"]),
        outer={d: first[d].values for d in dims},
        attrs=attrs,
    )
    joined.attrs["history"] = first.attrs.get("history", "")
    _note_response(joined, parts)
    number = np.concatenate(
        [np.full(ds.sizes["binding_energy"], k) for k, (_, ds) in enumerate(parts)]
    )
    joined = joined.assign_coords(section=("binding_energy", number, {"units": "1"}))
    for key in ("uncertainty", "background", "transmission", "valid"):
        if all(key in ds for _, ds in parts):
            joined[key] = xr.Variable(
                parts[0][1][key].dims,
                np.concatenate([ds[key].values for _, ds in parts], axis=-1),
                parts[0][1][key].attrs,
            )
    return check(joined)


def counting_time(ds: xr.Dataset) -> float:
    """Return the counting time of a point as the file states it, s; 0 where it does not."""
    stated = float(ds.attrs.get("counting_time_s", 0.0) or 0.0)
    if stated > 0:
        return stated
    return float(ds.attrs.get("dwell_time_s", 0.0) or 0.0) * float(ds.attrs.get("sweeps", 1) or 1)


def refuse_unknown_times(attrs: Mapping[str, Mapping[str, Any]], times: list[float]) -> None:
    """Refuse regions of different sweeps whose counting times are not stated.

    Raises
    ------
    ModelError
        Naming them.
    """
    sweeps = {name: float(a.get("sweeps", 1) or 1) for name, a in attrs.items()}
    if max(times) <= 0 and len(set(sweeps.values())) > 1:
        told = ", ".join(f"{name!r} {n:g}" for name, n in sweeps.items())
        raise ModelError(
            f"sweeps differ ({told}) and no counting time is stated; set "
            "attrs['counting_time_s'] (dwell time x sweeps) of each"
        )


def _note_response(joined: xr.Dataset, parts: list[tuple[str, xr.Dataset]]) -> None:
    """Put the regions' noted responses, and counting times that differ, into attrs."""
    known = [json.loads(str(ds.attrs.get("response", "{}"))) for _, ds in parts]
    response: dict[str, list[list[float]]] = {}
    for key in dict.fromkeys(k for one in known for k in one):
        without = [name for (name, _), one in zip(parts, known, strict=True) if key not in one]
        if without:
            raise ModelError(
                f"join: no {key} noted for {', '.join(map(repr, without))}; correct every region, "
                "or the joined spectrum"
            )
        response[key] = [[v for one in known for v in one[key][k]] for k in (0, 1)]
    times = [counting_time(ds) for _, ds in parts]
    if joined["intensity"].attrs["units"] == COUNTS and max(times) > 0:
        if min(times) <= 0:
            name = parts[times.index(min(times))][0]
            raise ModelError(
                f"join: counts, and no counting time of {name!r}; set "
                "attrs['counting_time_s'] (dwell time x sweeps)"
            )
        if max(times) > 1.001 * min(times):
            nodes = [float(ds["binding_energy"][k]) for _, ds in parts for k in (0, -1)]
            response["counting_time"] = [nodes, [float(f"{t:.8g}") for t in times for _ in (0, 1)]]
    if joined["intensity"].attrs["units"] == COUNTS:
        refuse_unknown_times({name: ds.attrs for name, ds in parts}, times)
    if max(times) > 1.001 * min(times):
        for key in ("counting_time_s", "dwell_time_s", "sweeps"):
            joined.attrs.pop(key, None)
    if response:
        joined.attrs["response"] = json.dumps(response)


def with_sections(
    components: Components, ds: xr.Dataset, mean: np.ndarray, *, step: bool
) -> Components:
    """Add a level, a slope and (on request) the Shirley steps of the lines to every region.

    Level and slope are curves that are zero outside their region; the step of a line at lower
    binding energy is a constant in the regions above, which their levels take up.

    Parameters
    ----------
    components : Components
    ds : xr.Dataset
        With the coordinate ``section``.
    mean : ndarray
        Mean spectrum.
    step : bool
        Whether lines get Shirley steps, with one scale per region.

    Returns
    -------
    Components
    """
    x, section = ds["binding_energy"].values, ds["section"].values
    added = []
    for number in np.unique(section):
        xs, ys = x[section == number], mean[section == number]
        edge = 0.5 * float(np.median(np.diff(xs)))
        # A vanishing ramp at either side, narrower than a step, ends the curve inside the gap.
        at = (float(xs[0]) - edge, *(float(v) for v in xs[[0, -1]]), float(xs[-1]) + edge)
        for kind, y in (("level", (0.0, 1.0, 1.0, 0.0)), ("slope", (0.0, -1.0, 1.0, 0.0))):
            low = float(np.min(ys)) if kind == "level" else 0.0
            added.append(
                Component(
                    name=f"{kind}_{number}",
                    shape="template",
                    role="background",
                    params={"area": Param(value=low), "shift": Param(value=0.0, vary=False)},
                    curve=Curve(x=at, y=y),
                )
            )
    result = components + Components(added)
    if not step:
        return result
    for number in np.unique(section):
        xs = x[section == number]
        names = [
            c.name
            for c in components
            if c.role == "peak" and xs[0] <= c.params["center"].value <= xs[-1]
        ]
        if names:
            scale = Param(value=0.02, min=0.0, max=1.0)
            result = shirley_steps(result, scale=scale, of=names, common=f"shirley_{number}")
    return result

"""An Avantage DataSpace, whichever way it is stored: axes, values, properties; spectra from it.

Values lie on data axes, the energy first and fastest. A data axis may be described by several space
axes at once: the points of a multi-point measurement have a position number, an X and a Y.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import FormatError
from ._xps import counted, region, region_name, with_reference_lines

MAX_VALUES = 50_000_000
KINETIC, BINDING = 1, 2
"""DS_ACPROPID_EV_SCALE."""
XPS = 1
"""DS_GEPROPID_TECHNIQUE; 6 is ion scattering."""


@dataclass
class SpaceAxis:
    """One space axis: ``values`` are its points where they are listed, else start and width."""

    start: float
    width: float
    points: int
    kind: str
    label: str = ""
    values: np.ndarray | None = None

    def along(self) -> np.ndarray:
        """Return the coordinate of every point."""
        if self.values is not None:
            return self.values
        return self.start + self.width * np.arange(self.points)


@dataclass
class DataSpace:
    """What a file holds.

    Parameters
    ----------
    axes : list of SpaceAxis
    groups : list of list of int
        The space axes of every data axis; the energy's is the first.
    values : ndarray, shape (last data axis, ..., energy)
    properties : dict
        By the names of the text dump (``DS_SOPROPID_ENERGY``).
    labels : dict of (int, int) to str
        Names of points of a space axis.
    """

    axes: list[SpaceAxis]
    groups: list[list[int]]
    values: np.ndarray
    properties: dict[str, Any] = field(default_factory=dict)
    labels: dict[tuple[int, int], str] = field(default_factory=dict)

    def number(self, name: str) -> float | None:
        """Return a property as a number, None where it is not one."""
        value = self.properties.get(name)
        try:
            return None if value is None else float(value)
        except (TypeError, ValueError):
            return None


def spectra(path: Path, format_name: str, space: DataSpace) -> dict[str, xr.Dataset]:
    """Return the spectra of a DataSpace whose first axis is an energy.

    Parameters
    ----------
    path : Path
    format_name : str
    space : DataSpace

    Returns
    -------
    dict of str to xr.Dataset

    Raises
    ------
    FormatError
        If it is not photoemission, or the photon energy is missing.
    """
    if space.number("DS_GEPROPID_TECHNIQUE") not in (None, XPS):
        raise FormatError(f"{path.name}: an ion scattering spectrum; photoemission is read")
    title = str(space.properties.get("DS_EXT_SUPROPID_TITLE") or path.name.split(".")[0])
    name = region_name(title.removesuffix(" Scan").strip()) or "region"
    photon = space.number("DS_SOPROPID_ENERGY")
    energy = space.axes[0].along()
    binding = (
        space.number("DS_ACPROPID_EV_SCALE") == BINDING
        or "binding" in space.axes[0].label.casefold()
    )
    if not binding:
        if not photon:
            raise FormatError(
                f"{path.name}: kinetic energies ({space.axes[0].label or 'Energy'!r}), no photon "
                "energy in the file"
            )
        energy = round(photon, 3) - energy
    outer, positions = _outer(space)
    y = space.values.reshape([v.size for v in outer.values()] + [energy.size])
    dwell = space.number("DS_ACPROPID_ACQ_TIME") or 0.0
    periods = space.number("DS_ACPROPID_PERIODS") or 0.0
    seconds = dwell * periods
    unit = str(space.properties.get("DS_GEPROPID_VALUE_UNIT", "")).casefold()
    rate = unit.replace(" ", "") in ("c/s", "cps", "counts/s", "counts.s-1")
    whole = bool(np.all(np.isfinite(y)) and np.all(y == np.round(y)))
    if not whole and counted(y, seconds):
        rate = True
    made = region(
        path,
        format_name,
        name,
        energy,
        y,
        units="counts/s" if rate else "counts",
        attrs={
            "photon_energy_eV": round(photon, 3) if photon else None,
            "pass_energy_eV": space.number("DS_ANPROPID_PASS"),
            "work_function_eV": space.number("DS_ANPROPID_WORK_FTN"),
            "instrument": space.properties.get("DS_GEPROPID_INSTRUMENT"),
            "dwell_time_s": dwell or None,
            "sweeps": int(periods) or None,
            "measured": space.properties.get("DS_ACPROPID_START_TIME"),
            "points": json.dumps([p["label"] for p in positions]) if positions else None,
        },
        seconds=seconds if rate else 0.0,
        outer=outer,
    )
    for key in ("x", "y"):
        at = [p[key] for p in positions if key in p]
        if "point" in outer and len(at) == made.sizes["point"]:
            made = made.assign_coords({key: ("point", np.array(at), {"units": "um"})})
    return with_reference_lines({name: made})


def _outer(space: DataSpace) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """Return the outer dimensions, slowest first, and the points of a multi-point measurement."""
    found: dict[str, np.ndarray] = {}
    positions: list[dict[str, Any]] = []
    for group in reversed(space.groups[1:]):
        axes = {space.axes[i].kind.upper().replace(" ", ""): i for i in group}
        points = space.axes[group[0]].points
        if points == 1 and len(group) == 1:
            continue
        if "ETCHTIME" in axes:
            name, values = "etch_time", space.axes[axes["ETCHTIME"]].along()
        elif len(group) == 1 and (kind := next(iter(axes))) in ("X", "Y", "ANGLE", "TIME"):
            name, values = kind.casefold(), space.axes[group[0]].along()
        elif "ETCHLEVEL" in axes:
            name, values = "cycle", np.arange(points, dtype=float)
        else:
            name, values = "point", np.arange(points, dtype=float)
            places = {k: space.axes[i].along() for k, i in axes.items() if k in ("X", "Y")}
            for k in range(points):
                label = next((space.labels[i, k] for i in group if (i, k) in space.labels), "")
                at = {key.casefold(): float(v[k]) for key, v in places.items()}
                positions.append({"label": label, **at})
            if points == 1:
                continue
        if name in found:
            name = next(n for n in ("scan", "cycle", "detector", "point") if n not in found)
        found[name] = values
    return found, positions

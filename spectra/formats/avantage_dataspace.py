"""Thermo Avantage "Dump of DataSpace" text (.avg, .txt), ``$FORMAT=3`` and ``4``.

Properties (``DS_SOPROPID_ENERGY : VT_R4 = 1486.68``), ``$DATAAXES`` (start, end, number of space
axes) and ``$SPACEAXES`` (start, width, points, type, linear, symbol, unit, label), fastest first;
``$AXISVALUE`` lines give points of an axis, ``$DATA=*,i,j,k`` heads the values along axis 0 at
these indices of the further data axes, ``LIST@ n=`` gives them from index n on, four to a line.

A first axis of energies gives spectra (kinetic, with the photon energy among the properties; the
binding scale is ``DS_ACPROPID_EV_SCALE`` 2), several points, etch times or a map along outer
dimensions. A first axis ``PROFILE TYPE`` is a table of fitted peaks: one region per peak, the
quantities along ``channel`` and the sample position along ``x`` and ``y`` (um). The file does not
name the quantities; by their values they are height, atomic percent, normalised area, width (eV)
and kinetic energy (eV).
Uncertainties: of counting where the values are counts, or rates with a stated time.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..convention import spectrum
from ..errors import ConventionError, FormatError
from ._dataspace import MAX_VALUES, DataSpace, SpaceAxis, spectra
from ._xps import decimal, region_name, unique, with_reference_lines
from .base import Format, Options, Regions, read_bytes, source

_AXIS = re.compile(r"^\s*(\d+)=\s*([-+\d.eE]+),\s*([-+\d.eE]+),\s*(\d+),\s*([^,]+),(.*)$")
_GROUP = re.compile(r"^\s*(\d+)=\s*(-?\d+),\s*(-?\d+),\s*(\d+)\s*$")
_VALUE = re.compile(r"^\$AXISVALUE=.*SPACEAXIS=(\d+).*POINT=(\d+)\s+VALUE=(.*?);?\s*$")
_PROPERTY = re.compile(r"^(DS_\w+(?:\[\d+\])?)\s*:.*?\bVT_\w+\s*=\s*(.*)$")


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is a dump of a DataSpace."""
    return b";Dump of DataSpace" in head[:1000] and b"$FORMAT=" in head


def read(path: Path, options: Options) -> Regions:
    """Read spectra, or the fitted peaks of a map."""
    text = read_bytes(path, limit=1024**3).decode("latin-1")
    space = _parse(path, text)
    axes = space.axes
    if "ENERGY" in axes[0].kind.upper():
        return spectra(path, "avantage_dataspace", space)
    if len(axes) >= 2 and axes[1].kind.upper() == "PEAKS":
        return with_reference_lines(_peaks(path, space))
    raise FormatError(
        f"{path.name}: axes {', '.join(a.kind for a in axes)}; spectra (ENERGY) and fitted "
        "peaks (PROFILE TYPE, PEAKS) are read"
    )


def _parse(path: Path, text: str) -> DataSpace:
    axes: list[SpaceAxis] = []
    spans: list[int] = []
    properties: dict[str, Any] = {}
    labels: dict[tuple[int, int], str] = {}
    space: DataSpace | None = None
    row = np.empty(0)
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(";") or not line.strip():
            continue
        if match := _PROPERTY.match(line):
            properties[match[1]] = match[2].strip().strip("'")
        elif line.startswith(("$SPACEAXES=", "$DATAAXES=")):
            section = line[1:6]
        elif section == "DATAA" and (match := _GROUP.match(line)):
            spans.append(int(match[4]))
        elif section == "SPACE" and (match := _AXIS.match(line)):
            rest = [w.strip().strip("'") for w in match[6].split(",")]
            start = decimal(match[2], path, number, "axis start")
            width = decimal(match[3], path, number, "axis width")
            kind = match[5].strip()
            axes.append(SpaceAxis(start, width, int(match[4]), kind, rest[-1] if rest else ""))
        elif match := _VALUE.match(line):
            labels[int(match[1]), int(match[2])] = match[3].strip().strip("'").strip()
        elif line.startswith("$DATA="):
            section = ""
            space = space or _space(path, axes, spans)
            words = line[6:].split(",")
            if len(words) != len(space.groups) or words[0].strip() != "*":
                raise FormatError(
                    f"{path.name}: line {number}: {line.strip()!r} for {len(space.groups)} axes"
                )
            place = tuple(int(decimal(w, path, number, "index")) for w in words[:0:-1])
            shape = space.values.shape[:-1]
            if any(not 0 <= i < n for i, n in zip(place, shape, strict=True)):
                raise FormatError(
                    f"{path.name}: line {number}: index outside the axes: {line.strip()}"
                )
            row = space.values[place]
        elif line.startswith("LIST@") and space is not None:
            at, _, values = line[5:].partition("=")
            index = int(decimal(at, path, number, "index"))
            words = [w for w in values.split(",") if w.strip()]
            if "#empty#" in values:
                raise FormatError(f"{path.name}: line {number}: the scan was not acquired")
            found = [decimal(w, path, number, "value") for w in words]
            if not 0 <= index <= index + len(found) <= row.size:
                raise FormatError(f"{path.name}: line {number}: more values than axis 0 has points")
            row[index : index + len(found)] = found
    if space is None:
        raise FormatError(f"{path.name}: no $DATA in it: the file is truncated")
    missing = int(np.count_nonzero(np.isnan(space.values)))
    if missing:
        raise FormatError(
            f"{path.name}: {missing} of {space.values.size} values are missing: the file is "
            "truncated; export it again"
        )
    space.properties, space.labels = properties, labels
    _list_points(space)
    return space


def _space(path: Path, axes: list[SpaceAxis], spans: list[int]) -> DataSpace:
    """Return an empty DataSpace, NaN where nothing was read."""
    if not spans or sum(spans) != len(axes):  # as many data axes as space axes
        spans = [1] * len(axes)
    groups, first = [], 0
    for span in spans:
        groups.append(list(range(first, first + span)))
        first += span
    if not axes or any(not group for group in groups):
        raise FormatError(f"{path.name}: {len(axes)} space axes for data axes of {spans}")
    shape = [axes[group[0]].points for group in groups]
    size = int(np.prod(shape, dtype=float))
    if not 0 < size <= MAX_VALUES:
        raise FormatError(f"{path.name}: {size} values by its axes; allowed 1 to {MAX_VALUES}")
    return DataSpace(axes, groups, np.full(shape[::-1], np.nan))


def _list_points(space: DataSpace) -> None:
    """Take the points of axes that are not linear from their labels."""
    for i, axis in enumerate(space.axes):
        found = [space.labels.get((i, k), "") for k in range(axis.points)]
        try:
            values = np.array([float(text) for text in found])
        except ValueError:
            continue
        if values.size > 1 and np.isfinite(values).all():
            axis.values = values


def _peaks(path: Path, space: DataSpace) -> dict[str, xr.Dataset]:
    axes = space.axes
    regions: dict[str, xr.Dataset] = {}
    outer: dict[str, np.ndarray] = {}
    for axis in reversed(axes[2:]):
        name = axis.kind.casefold()
        if name not in ("x", "y", "angle", "time"):
            name = "etch_time" if name.replace(" ", "") == "etchtime" else "point"
        if name in outer:
            name = next(n for n in ("detector", "scan", "cycle", "point") if n not in outer)
        outer[name] = axis.along()
    cube = space.values.reshape([a.points for a in reversed(axes)])
    for k in range(axes[1].points):
        label = space.labels.get((1, k), f"peak {k + 1}")
        name = unique(region_name(label.removesuffix(" Scan").strip()), regions)
        try:
            regions[name] = spectrum(
                cube[..., k, :],
                np.arange(axes[0].points),
                technique="xps",
                axis_name="channel",
                units="1",
                outer=outer,
                attrs={
                    "region": name,
                    "content": "fitted peak: height, atomic percent, normalised area, width eV, "
                    "kinetic energy eV (by their values; the file does not name them)",
                },
                source=source(path, "avantage_dataspace", name),
            )
        except ConventionError as error:
            raise FormatError(f"{path.name}, peak {name!r}: {error}") from None
    return regions


FORMATS = (
    Format(
        name="avantage_dataspace",
        title="Thermo Avantage DataSpace dump (text)",
        suffixes=(".avg", ".txt"),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

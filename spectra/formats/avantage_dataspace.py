"""Thermo Avantage "Dump of DataSpace" text (.avg, .txt), ``$FORMAT=4``.

``$DATAAXES`` and ``$SPACEAXES`` list the axes (start, width, points, type, unit, label), fastest
first; ``$AXISVALUE`` lines name points of an axis, ``$DATA=*,i,j,k`` heads the values along axis 0
at these indices, ``LIST@ n=`` gives them from index n on, four to a line.

A first axis of energies gives spectra (binding, or kinetic with a ``Photon Energy`` in the file).
A first axis ``PROFILE TYPE`` is a table of fitted peaks: one region per peak, the quantities along
``channel`` and the sample position along ``x`` and ``y`` (um). The file does not name the
quantities; by their values they are height, atomic percent, normalised area, width (eV) and kinetic
energy (eV).
Uncertainties: none in the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from ..convention import spectrum
from ..errors import ConventionError, FormatError
from ._xps import decimal, region, region_name, unique, with_reference_lines
from .base import Format, Options, Regions, read_bytes, source

_AXIS = re.compile(r"^\s*(\d+)=\s*([-+\d.eE]+),\s*([-+\d.eE]+),\s*(\d+),\s*([^,]+),(.*)$")
_VALUE = re.compile(r"^\$AXISVALUE=.*SPACEAXIS=(\d+).*POINT=(\d+)\s+VALUE='?(.*?)'?;?\s*$")
_MAX_VALUES = 50_000_000


@dataclass(frozen=True)
class _Axis:
    start: float
    width: float
    points: int
    kind: str
    label: str


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is a dump of a DataSpace."""
    return b";Dump of DataSpace" in head[:1000] and b"$FORMAT=" in head


def read(path: Path, options: Options) -> Regions:
    """Read spectra, or the fitted peaks of a map."""
    text = read_bytes(path, limit=1024**3).decode("latin-1")
    axes, labels, cube = _parse(path, text)
    first = axes[0]
    if "ENERGY" in first.kind.upper():
        regions = _spectra(path, text, axes, cube)
    elif len(axes) >= 2 and axes[1].kind.upper() == "PEAKS":
        regions = _peaks(path, axes, labels, cube)
    else:
        raise FormatError(
            f"{path.name}: axes {', '.join(a.kind for a in axes)}; spectra (ENERGY) and fitted "
            "peaks (PROFILE TYPE, PEAKS) are read"
        )
    return with_reference_lines(regions)


def _parse(path: Path, text: str) -> tuple[list[_Axis], dict[tuple[int, int], str], np.ndarray]:
    axes: list[_Axis] = []
    labels: dict[tuple[int, int], str] = {}
    cube: np.ndarray | None = None
    place: tuple[int, ...] = ()
    row = np.empty(0)
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("$SPACEAXES="):
            inside = True
        elif inside and (match := _AXIS.match(line)):
            rest = [w.strip().strip("'") for w in match[6].split(",")]
            axes.append(
                _Axis(
                    decimal(match[2], path, number, "axis start"),
                    decimal(match[3], path, number, "axis width"),
                    int(match[4]),
                    match[5].strip(),
                    rest[-1] if rest else "",
                )
            )
        elif match := _VALUE.match(line):
            labels[int(match[1]), int(match[2])] = match[3].strip()
        elif line.startswith("$DATA="):
            inside = False
            cube = cube if cube is not None else _cube(path, axes)
            words = line[6:].split(",")
            if len(words) != len(axes) or words[0].strip() != "*":
                raise FormatError(
                    f"{path.name}: line {number}: {line.strip()!r} for {len(axes)} axes"
                )
            place = tuple(int(decimal(w, path, number, "index")) for w in words[1:])
            if any(not 0 <= i < a.points for i, a in zip(place, axes[1:], strict=True)):
                raise FormatError(
                    f"{path.name}: line {number}: index outside the axes: {line.strip()}"
                )
            row = np.moveaxis(cube, 0, -1)[place]
        elif line.startswith("LIST@") and cube is not None:
            at, _, values = line[5:].partition("=")
            index = int(decimal(at, path, number, "index"))
            found = [decimal(w, path, number, "value") for w in values.split(",") if w.strip()]
            if index + len(found) > axes[0].points:
                raise FormatError(f"{path.name}: line {number}: more values than axis 0 has points")
            row[index : index + len(found)] = found
    if cube is None:
        raise FormatError(f"{path.name}: no $DATA in it: the file is truncated")
    missing = int(np.count_nonzero(np.isnan(cube)))
    if missing:
        raise FormatError(
            f"{path.name}: {missing} of {cube.size} values are missing: the file is truncated; "
            "export it again"
        )
    return axes, labels, cube


def _cube(path: Path, axes: list[_Axis]) -> np.ndarray:
    size = int(np.prod([a.points for a in axes], dtype=float)) if axes else 0
    if not 0 < size <= _MAX_VALUES:
        raise FormatError(f"{path.name}: {size} values by its axes; allowed 1 to {_MAX_VALUES}")
    return np.full([a.points for a in axes], np.nan)


def _outer(axes: list[_Axis]) -> dict[str, np.ndarray]:
    """Outer dimensions of the axes after the spectral and peak ones."""
    known = {"X": "x", "Y": "y", "ETCHTIME": "etch_time", "TIME": "time", "ANGLE": "angle"}
    found: dict[str, np.ndarray] = {}
    for axis in axes:
        name = known.get(axis.kind.upper().replace(" ", ""), "point")
        if name in found:
            name = next(n for n in ("detector", "scan", "cycle") if n not in found)
        found[name] = axis.start + axis.width * np.arange(axis.points)
    return found


def _peaks(
    path: Path, axes: list[_Axis], labels: dict[tuple[int, int], str], cube: np.ndarray
) -> dict[str, xr.Dataset]:
    regions: dict[str, xr.Dataset] = {}
    for k in range(axes[1].points):
        label = labels.get((1, k), f"peak {k + 1}")
        name = unique(region_name(label.removesuffix(" Scan").strip()), regions)
        try:
            regions[name] = spectrum(
                np.moveaxis(cube[:, k], 0, -1),
                np.arange(axes[0].points),
                technique="xps",
                axis_name="channel",
                units="1",
                outer=_outer(axes[2:]),
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


def _spectra(path: Path, text: str, axes: list[_Axis], cube: np.ndarray) -> dict[str, xr.Dataset]:
    energy = axes[0].start + axes[0].width * np.arange(axes[0].points)
    photon = re.search(r"Photon Energy[^\d\n]*([\d.]+)", text)
    if "binding" not in axes[0].label.casefold():
        if not photon:
            raise FormatError(
                f"{path.name}: kinetic energies ({axes[0].label!r}), no photon energy in the file"
            )
        energy = float(photon[1]) - energy
    outer = {k: v for k, v in _outer(axes[1:]).items() if v.size > 1}
    shape = [v.size for v in outer.values()]
    y = np.moveaxis(cube, 0, -1).reshape([*shape, axes[0].points])
    name = region_name(path.name.split(".")[0].removesuffix(" Scan"))
    made = region(
        path,
        "avantage_dataspace",
        name,
        energy,
        y,
        units="counts/s",
        attrs={"photon_energy_eV": float(photon[1]) if photon else None},
        outer=outer,
    )
    return {name: made}


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

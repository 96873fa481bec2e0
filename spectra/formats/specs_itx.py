"""SPECS Prodigy's Igor text export (``.itx``): one wave per spectrum, with its parameters.

``IGOR``, then comments ``X //Key = value`` (a second spectrum begins its own with
``X //Acquisition Parameters:``), ``WAVES/S/N=(rows[,columns[,layers]]) 'name'``, the numbers
between ``BEGIN`` and ``END``: a line per row, layer after layer, then ``X SetScale/I x, first,
last, "unit (label)", 'name'`` for x (rows), y (columns), z (layers) and d (values); ``SetScale/P``
gives first and step. So public readers of these files have it. The scale in eV is
the energy, kinetic unless it says binding; excitation minus kinetic energy is the binding energy,
as the parameters themselves have it. Scales in deg become ``angle``, in mm ``position``, others
are numbered. Repeats are waves of their own. Values in cps keep their counting errors where they
are whole counts over dwell time times scans.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import FormatError
from ._xps import region, stated, unique, with_reference_lines
from .base import Format, Options, Regions, read_bytes

_WAVES = re.compile(r"^WAVES\S*\s*=?\s*\(([\d,\s]+)\)\s*'?([^']*?)'?\s*$")
_SCALE = re.compile(
    r"""^X\s+SetScale\s*/([IP])\s+([xyzd])\s*,\s*([^,]+),\s*([^,]+),\s*"([^"]*)"\s*,\s*'?([^']*?)'?\s*$"""
)
MAX_VALUES = 200_000_000


@dataclass
class _Wave:
    name: str
    shape: tuple[int, ...]
    about: dict[str, str]
    values: np.ndarray
    scales: dict[str, tuple[str, float, float, str]] = field(default_factory=dict)


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is Igor text with the comments of Prodigy."""
    return head.lstrip(b"\xef\xbb\xbf").startswith(b"IGOR") and (
        b"X //Acquisition Parameters:" in head or b"SpecsLab Prodigy" in head
    )


def read(path: Path, options: Options) -> Regions:
    """Read every wave."""
    regions: dict[str, xr.Dataset] = {}
    for wave in _waves(path):
        name = unique(wave.name, regions)
        regions[name] = _region(path, name, wave)
    if not regions:
        raise FormatError(f"{path.name}: no WAVES in it: the file is truncated; export it again")
    return with_reference_lines(regions)


def _waves(path: Path) -> list[_Wave]:
    lines = read_bytes(path, limit=1024**3).decode("utf-8", "replace").splitlines()
    general: dict[str, str] = {}
    about = general
    found: list[_Wave] = []
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        at += 1
        if line.startswith("X //"):
            if line.startswith("X //Acquisition Parameters"):
                about = {}
            else:
                comment = line[4:]
                mark = "=" if "=" in comment else ":"
                key, _, value = comment.partition(mark)
                about[key.strip()] = value.strip()
        elif match := _WAVES.match(line):
            shape = _shape(path, at, match[1])
            values, at = _numbers(path, lines, at, shape, match[2])
            found.append(_Wave(match[2].strip(), shape, {**general, **about}, values))
        elif (scale := _SCALE.match(line)) and found:
            of = next((w for w in reversed(found) if w.name == scale[6].strip()), found[-1])
            of.scales[scale[2]] = (
                scale[1], _number(path, at, scale[3]), _number(path, at, scale[4]), scale[5]
            )  # fmt: skip
    return found


def _shape(path: Path, line: int, text: str) -> tuple[int, ...]:
    words = [w for w in text.replace(" ", "").split(",") if w]
    shape = tuple(int(w) for w in words) if all(len(w) < 10 for w in words) else ()
    if not 1 <= len(shape) <= 3 or min(shape) < 1 or math.prod(shape) > MAX_VALUES:
        raise FormatError(f"{path.name}: line {line}: a wave of size ({text}); 1 to 3 dimensions")
    return shape


def _numbers(
    path: Path, lines: list[str], at: int, shape: tuple[int, ...], name: str
) -> tuple[np.ndarray, int]:
    """Read what stands between BEGIN and END, shape (layers, rows, columns)."""
    while at < len(lines) and not lines[at].strip():
        at += 1
    if at >= len(lines) or lines[at].strip() != "BEGIN":
        raise FormatError(f"{path.name}: line {at + 1}: no BEGIN after wave {name!r}; export again")
    end = next((n for n in range(at + 1, len(lines)) if lines[n].strip() == "END"), None)
    if end is None:
        raise FormatError(f"{path.name}: wave {name!r} has no END: the file is truncated")
    words = " ".join(lines[at + 1 : end]).split()
    if len(words) != math.prod(shape):
        raise FormatError(
            f"{path.name}: wave {name!r} has {len(words)} of {math.prod(shape)} values: the file "
            "is truncated; export it again"
        )
    try:
        values = np.array([float(w) for w in words])
    except ValueError as error:
        raise FormatError(f"{path.name}: wave {name!r}: {error}"[:200]) from None
    rows, columns, layers = (*shape, 1, 1)[:3]
    return values.reshape(layers, rows, columns), end + 1


def _number(path: Path, line: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) < 1e12:
        raise FormatError(f"{path.name}: line {line}: SetScale with {text.strip()[:40]!r}")
    return value


def _region(path: Path, name: str, wave: _Wave) -> xr.Dataset:
    about = wave.about
    size = {"z": wave.values.shape[0], "x": wave.values.shape[1], "y": wave.values.shape[2]}
    energies = [k for k, s in wave.scales.items() if k in size and s[3].strip().startswith("eV")]
    if len(energies) != 1 or size[energies[0]] < 2:
        raise FormatError(
            f"{path.name}, wave {name!r}: no scale in eV among {sorted(wave.scales) or 'none'}: "
            "the file is truncated; export it again"
        )
    which = energies[0]
    energy = _scale(wave.scales[which], size[which])
    label = wave.scales[which][3].casefold()
    photon = stated(path, about, "Excitation Energy")
    if "binding" not in label:
        if photon <= 0:
            raise FormatError(
                f"{path.name}, wave {name!r}: kinetic energies and no excitation energy; export on "
                "binding energy"
            )
        energy = photon - energy
    order = [k for k in ("z", "x", "y") if k != which]
    values = np.moveaxis(wave.values, "zxy".index(which), -1)
    outer: dict[str, np.ndarray] = {}
    for key in order:
        if size[key] > 1:
            unit = wave.scales[key][3].strip() if key in wave.scales else ""
            dim, along = _outer(wave.scales.get(key), size[key], unit, key)
            outer[dim if dim not in outer else "point"] = along
    values = values.reshape([v.size for v in outer.values()] + [energy.size])
    unit = wave.scales["d"][3].casefold() if "d" in wave.scales else ""
    dwell = stated(path, about, "DwellTime") or stated(path, about, "Dwell Time")
    sweeps = int(stated(path, about, "Number of Scans") or 1)
    attrs: dict[str, Any] = {
        "photon_energy_eV": photon or None,
        "pass_energy_eV": stated(path, about, "Pass Energy") or None,
        "work_function_eV": stated(path, about, "WorkFunction") or None,
        "dwell_time_s": dwell or None,
        "sweeps": sweeps,
        "lens_mode": about.get("Lens Mode", ""),
        "comment": about.get("User Comment", ""),
        "method": about.get("Analysis Mode", ""),
        "measured": about.get("Created Date (UTC)", ""),
    }
    counts = "count" in unit and "/s" not in unit and "second" not in unit
    return region(
        path,
        "specs_itx",
        name,
        energy,
        values,
        units="counts/s" if "cps" in unit or "/s" in unit else "counts" if counts else "1",
        attrs=attrs,
        seconds=dwell * sweeps,
        outer=outer,
    )


def _scale(scale: tuple[str, float, float, str], size: int) -> np.ndarray:
    """Return the points of a scale: /I is first and last, /P first and step."""
    kind, first, second, _ = scale
    return np.linspace(first, second, size) if kind == "I" else first + second * np.arange(size)


def _outer(
    scale: tuple[str, float, float, str] | None, size: int, unit: str, key: str
) -> tuple[str, np.ndarray]:
    """Name an outer dimension by the unit of its scale."""
    if scale is not None and unit.startswith("deg"):
        return "angle", _scale(scale, size)
    if scale is not None and unit.startswith("mm"):
        return "position", 1000.0 * _scale(scale, size)
    return ("scan" if key == "z" else "detector"), np.arange(size, dtype=float)


FORMATS = (
    Format(
        name="specs_itx",
        title="SPECS Prodigy Igor text",
        suffixes=(".itx",),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

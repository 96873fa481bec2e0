"""Scienta SES text export: ``[Info]``, then ``[Region n]``, ``[Info n]``, ``[Data n]`` per region.

``[Region]`` names the dimensions with their scales; the first column of ``[Data]`` is dimension 1
again, the others are the values along dimension 2 (angle or position); with a third dimension there
is a ``[Data n:k]`` for each of its points, kept as ``scan``. ``Energy Scale`` in
``[Info]`` says whether dimension 1 is a kinetic or a binding energy; ``Excitation Energy`` turns
one into the other. ``Time per Spectrum Channel`` (s, all sweeps) is the counting time. Intensities
are kept; with ``DetectorMode=ADC`` they are arbitrary units, else
counts where they are whole. Uncertainties: only those of counting, for counts.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import FormatError
from ._xps import decimal, region, region_name, stated, unique, with_reference_lines
from .base import Format, Options, Regions, read_bytes

_SECTION = re.compile(r"^\[(.+)\]\s*$")


def sniff(head: bytes, path: Path) -> bool:
    """Whether it starts with the info section of SES."""
    return head.lstrip(b"\xef\xbb\xbf").startswith(b"[Info]") and b"Number of Regions=" in head


def read(path: Path, options: Options) -> Regions:
    """Read all regions."""
    sections = _sections(path)
    regions: dict[str, xr.Dataset] = {}
    numbers = [int(n[7:]) for n in sections if re.fullmatch(r"Region \d+", n)]
    for number in numbers:
        about = fields(sections.get(f"Region {number}", []))
        info = fields(sections.get(f"Info {number}", []))
        names = [f"Data {number}"]
        if names[0] not in sections:  # a third dimension: [Data n:1], [Data n:2] ...
            names = [n for n in sections if re.fullmatch(rf"Data {number}:\d+", n)]
        if not names:
            raise FormatError(f"{path.name}: no [Data {number}]: the file is truncated")
        name = unique(region_name(about.get("Region Name", f"region {number}")), regions)
        tables = [_table(path, sections[n]) for n in names]
        table = tables[0]
        size = int(stated(path, about, "Dimension 1 size"))
        depth = int(stated(path, about, "Dimension 3 size"))
        if (size and len(table) != size) or any(t.shape != table.shape for t in tables):
            raise FormatError(
                f"{path.name}, region {name!r}: {min(len(t) for t in tables)} rows of {size}: the "
                "file is truncated; export it again"
            )
        if depth and len(tables) != depth:
            raise FormatError(
                f"{path.name}, region {name!r}: {len(tables)} parts of {depth}: the file is "
                "truncated; export it again"
            )
        second = about.get("Dimension 2 scale", "").split()
        title = about.get("Dimension 2 name", "")
        along = None
        if len(second) == table.shape[1] - 1:
            along = [decimal(_point(w), path, 0, "Dimension 2 scale") for w in second]
        regions[name] = scienta_region(
            path,
            "scienta_txt",
            name,
            table[:, 0],
            np.stack([t[:, 1:].T for t in tables]) if len(tables) > 1 else table[:, 1:].T,
            info | {"Energy Axis": about.get("Dimension 1 name", "")},
            title,
            along,
        )
    if not regions:
        raise FormatError(f"{path.name}: no [Region] in it")
    return with_reference_lines(regions)


def scienta_region(
    path: Path,
    format_name: str,
    name: str,
    energy: np.ndarray,
    rows: np.ndarray,
    info: dict[str, str],
    title: str = "",
    along: list[float] | None = None,
) -> xr.Dataset:
    """Make the Spectrum of one region from SES's fields.

    ``rows`` has shape (slices, energies), or (scans, slices, energies).
    """
    photon = stated(path, {k: _point(v) for k, v in info.items()}, "Excitation Energy")
    axis = info.get("Energy Axis", "") or info.get("Energy Scale", "")
    if "kinetic" in axis.casefold():
        if photon <= 0:
            raise FormatError(
                f"{path.name}, region {name!r}: kinetic energies and no excitation energy"
            )
        energy = photon - energy
    counts = info.get("DetectorMode", "").upper() != "ADC" and bool(np.all(rows == np.round(rows)))
    attrs: dict[str, Any] = {
        "photon_energy_eV": photon or None,
        "pass_energy_eV": _number(info.get("Pass Energy", "")),
        "sweeps": _number(info.get("Number of Sweeps", "")),
        "lens_mode": info.get("Lens Mode", ""),
        "sample": info.get("Sample", ""),
        "instrument": info.get("Instrument", ""),
        "measured": f"{info.get('Date', '')}T{info.get('Time', '')}".strip("T"),
    }
    outer: dict[str, np.ndarray] = {}
    if rows.ndim == 3:
        outer["scan"] = np.arange(1.0, rows.shape[0] + 1.0)
    slices = rows.shape[-2]
    if slices > 1:
        dim, factor = ("angle", 1.0) if "deg" in title.casefold() else ("detector", 1.0)
        if "mm" in title:
            dim, factor = "position", 1000.0
        if "iteration" in title.casefold():  # repeats of a sequence (Seq. Iteration[a.u.])
            dim = "point" if "scan" in outer else "scan"
        values = np.arange(slices, dtype=float) if along is None else np.array(along)
        outer[dim] = values * factor
    return region(
        path,
        format_name,
        name,
        energy,
        rows.reshape([v.size for v in outer.values()] + [rows.shape[-1]]),
        units="counts" if counts else "1",
        attrs=attrs,
        seconds=max(_number(info.get("Time per Spectrum Channel", "")) or 0.0, 0.0),
        outer=outer,
    )


def _number(text: str) -> float | None:
    try:
        return float(_point(text))
    except ValueError:
        return None


def _sections(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    current: list[str] = []
    text = read_bytes(path, limit=512 * 1024**2).decode("latin-1")
    for line in text.splitlines():
        match = _SECTION.match(line)
        if match:
            current = found.setdefault(match[1], [])
        else:
            current.append(line)
    return found


def fields(lines: list[str]) -> dict[str, str]:
    """Return ``key=value`` lines as a mapping."""
    pairs = (line.partition("=") for line in lines)
    return {k.strip(): v.strip() for k, equals, v in pairs if equals}


def _table(path: Path, lines: list[str]) -> np.ndarray:
    rows = [line.split() for line in lines if line.strip()]
    if not rows or len({len(r) for r in rows}) != 1 or len(rows[0]) < 2:
        raise FormatError(f"{path.name}: [Data] is not a table: the file is truncated")
    return np.array([[decimal(_point(w), path, 0, "value in [Data]") for w in row] for row in rows])


def _point(word: str) -> str:
    """Write a number with a decimal point where the locale put a comma."""
    return word.replace(",", ".") if word.count(",") == 1 and "." not in word else word


FORMATS = (
    Format(
        name="scienta_txt",
        title="Scienta SES text",
        suffixes=(".txt",),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

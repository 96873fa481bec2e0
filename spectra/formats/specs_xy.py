"""SPECS Prodigy/SpecsLab ``.xy`` text: ``# Key: value`` lines, then energy and intensity columns.

``Energy Axis`` says whether energies are kinetic or binding; ``Count Rate`` whether values are
counts or counts per second. A region starts with ``# Region:``; within it each ``# Cycle: c, Curve:
k, Scan: s`` starts a table. Several tables of one region become the dimension ``scan`` (or
``cycle`` where only that changes); nothing is summed. A third column (transmission) becomes the
variable ``transmission``. Counting time: dwell time times scans.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from ..errors import FormatError
from ._xps import decimal, region, region_name, unique, with_reference_lines
from .base import Format, Options, Regions, read_bytes

_KEY = re.compile(r"^#\s*([^:]+):\s*(.*?)\s*$")


@dataclass
class _Part:
    about: dict[str, str]
    tables: list[tuple[str, list[list[float]]]] = field(default_factory=list)


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is written by SPECS's XY serializer."""
    return b"XY-Serializer" in head[:600] or (
        head.startswith(b"# Created by") and b"SpecsLab" in head[:200]
    )


def read(path: Path, options: Options) -> Regions:
    """Read all regions with their scans."""
    text = read_bytes(path, limit=1024**3).decode("utf-8", "replace")
    parts = _parts(path, text)
    if not parts:
        raise FormatError(f"{path.name}: no '# Region:' in it: the file is truncated")
    groups = len({p.about.get("Group", "") for p in parts}) > 1
    regions: dict[str, xr.Dataset] = {}
    for part in parts:
        about = part.about
        name = region_name(about.get("Region", ""))
        if groups:
            name = f"{name} ({about.get('Group', '')})"
        name = unique(name, regions)
        regions[name] = _region(path, name, part)
    return with_reference_lines(regions)


def _parts(path: Path, text: str) -> list[_Part]:
    general: dict[str, str] = {}
    group = ""
    parts: list[_Part] = []
    current = general
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            match = _KEY.match(line)
            if not match:
                continue
            key, value = match[1].strip(), match[2]
            if key == "Group":
                group = value
            elif key == "Region":
                parts.append(_Part({**general, "Group": group, "Region": value}))
                current = parts[-1].about
            elif key == "Cycle" and parts:
                if "Scan" in value or "Curve" in value:
                    parts[-1].tables.append((f"Cycle: {value}", []))
            else:
                current[key] = value
        elif line.strip() and parts:
            if not parts[-1].tables:
                parts[-1].tables.append(("", []))
            words = line.split()
            parts[-1].tables[-1][1].append([decimal(w, path, number, "value") for w in words[:3]])
    return [p for p in parts if p.tables]


def _region(path: Path, name: str, part: _Part) -> xr.Dataset:
    about = part.about
    stated = int(about.get("Values/Curve", "0") or 0)
    ragged = any(len({len(row) for row in rows}) > 1 for _, rows in part.tables)
    if ragged or any(len(row) < 2 for _, rows in part.tables for row in rows):
        raise FormatError(
            f"{path.name}, region {name!r}: rows of different length: the file is truncated; "
            "export it again"
        )
    tables = [np.array(rows) for _, rows in part.tables if rows]
    for table in tables:
        if table.ndim != 2 or (stated and len(table) != stated) or table.shape != tables[0].shape:
            raise FormatError(
                f"{path.name}, region {name!r}: {len(table)} of {stated or len(tables[0])} rows: "
                "the file is truncated; export it again"
            )
    if not tables:
        raise FormatError(f"{path.name}, region {name!r}: no values: the file is truncated")
    photon = float(about.get("Excitation Energy", "0") or 0)
    energy = tables[0][:, 0]
    if "kinetic" in about.get("Energy Axis", "").casefold():
        energy = photon - energy
    y = np.stack([t[:, 1] for t in tables])
    outer: dict[str, np.ndarray] = {}
    if len(tables) > 1:
        scans = {label.rpartition("Scan:")[2].strip() for label, _ in part.tables}
        outer["cycle" if len(scans) == 1 else "scan"] = np.arange(len(tables))
    extra = {}
    if tables[0].shape[1] > 2:
        extra["transmission"] = (("binding_energy",), tables[0][:, 2], "1")
    rate = "second" in about.get("Count Rate", "").casefold() or "/s" in about.get(
        "ColumnLabels", ""
    )
    dwell = float(about.get("Dwell Time", "0") or 0)
    together = int(about.get("Number of Scans", "1") or 1) if len(tables) == 1 else 1
    return region(
        path,
        "specs_xy",
        name,
        energy,
        y if outer else y[0],
        units="counts/s" if rate else "counts",
        attrs={
            "photon_energy_eV": photon or None,
            "pass_energy_eV": float(about.get("Pass Energy", "nan")),
            "work_function_eV": float(about.get("Eff. Workfunction", "nan")),
            "dwell_time_s": dwell,
            "sweeps": together,
            "sample": about.get("Group", ""),
            "measured": about.get("Acquisition Date", ""),
            "method": about.get("Analysis Method", ""),
        },
        seconds=dwell * together,
        outer=outer,
        extra=extra,
    )


FORMATS = (
    Format(
        name="specs_xy",
        title="SPECS Prodigy text (.xy)",
        suffixes=(".xy",),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

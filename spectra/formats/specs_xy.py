"""SPECS Prodigy/SpecsLab ``.xy`` text: ``# Key: value`` lines, then energy and intensity columns.

``Energy Axis`` (SpecsLab2: ``Kinetic Energy Axis: yes``) says whether energies are kinetic or
binding; ``Count Rate`` (``Counts Per Second``) whether values are
counts or counts per second. A region starts with ``# Region:``; within it each ``# Cycle: c, Curve:
k, Scan: s`` starts a table. Several tables of one region become the dimension ``scan`` (or
``cycle`` where only that changes); nothing is summed. A column labelled transmission becomes the
variable ``transmission``. What a loop set for each table (``# Parameter: "Y [mm]" = 2``) is kept in
attrs ``parameters`` (JSON). Counting time: dwell time times scans. ``Values/Curve`` is the least
number of rows: snapshots have a row per detector channel.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from ..errors import FormatError
from ._xps import decimal, region, region_name, stated, unique, with_reference_lines
from .base import Format, Options, Regions, read_bytes

_KEY = re.compile(r"^#\s*([^:]+):\s*(.*?)\s*$")


@dataclass
class _Part:
    about: dict[str, str]
    tables: list[tuple[str, list[list[float]]]] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    stated: list[dict[str, str]] = field(default_factory=list)


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
    foreign = False
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
                foreign = False
                if "Scan" in value or "Curve" in value:
                    parts[-1].tables.append((f"Cycle: {value}", []))
                    parts[-1].stated.append(dict(parts[-1].parameters))
            elif key.startswith("External Channel Data") and "Cycle" in key:
                foreign = True  # a table of another input (drain current, temperature)
            elif key == "Parameter" and parts:
                what, equals, number_ = value.rpartition("=")
                if equals:
                    parts[-1].parameters[what.strip().strip('"')] = number_.strip()
            elif not foreign:
                current[key] = value
        elif line.strip() and parts and not foreign:
            if not parts[-1].tables:
                parts[-1].tables.append(("", []))
            words = line.split()
            parts[-1].tables[-1][1].append([decimal(w, path, number, "value") for w in words])
    return [p for p in parts if p.tables]


def _region(path: Path, name: str, part: _Part) -> xr.Dataset:
    about = part.about
    size = int(stated(path, about, "Values/Curve"))
    ragged = any(len({len(row) for row in rows}) > 1 for _, rows in part.tables)
    if ragged or any(len(row) < 2 for _, rows in part.tables for row in rows):
        raise FormatError(
            f"{path.name}, region {name!r}: rows of different length: the file is truncated; "
            "export it again"
        )
    tables = [np.array(rows) for _, rows in part.tables if rows]
    for table in tables:
        if len(table) < size or table.shape != tables[0].shape:  # snapshots have more rows
            raise FormatError(
                f"{path.name}, region {name!r}: {len(table)} of {size or len(tables[0])} rows: "
                "the file is truncated; export it again"
            )
    if not tables:
        raise FormatError(f"{path.name}, region {name!r}: no values: the file is truncated")
    photon = stated(path, about, "Excitation Energy")
    energy = tables[0][:, 0]
    if _kinetic(about):
        if photon <= 0:
            raise FormatError(
                f"{path.name}, region {name!r}: kinetic energies and no excitation energy; export "
                "on binding energy"
            )
        energy = photon - energy
    labels = [label for label, rows in part.tables if rows]
    tables, labels = _channels_summed(path, name, tables, labels)
    if any(not np.allclose(t[:, 0], tables[0][:, 0], rtol=0, atol=0.002) for t in tables):
        raise FormatError(
            f"{path.name}, region {name!r}: its scans have energies of their own; export them as "
            "regions of their own"
        )
    y = np.stack([t[:, 1] for t in tables])
    outer: dict[str, np.ndarray] = {}
    if len(tables) > 1:
        scans = {label.rpartition("Scan:")[2].strip() for label in labels if "Scan:" in label}
        cycles = {label.partition(",")[0] for label in labels}
        only = len(scans) == 1 or (not scans and len(cycles) == len(labels))
        outer["cycle" if only else "scan"] = np.arange(len(tables))
    extra = {}
    columns = about.get("ColumnLabels", "").split()
    if "transmission" in columns[2 : tables[0].shape[1]]:
        function = tables[0][:, columns.index("transmission")]
        extra["transmission"] = (("binding_energy",), function, "1")
    rate = (
        "second" in about.get("Count Rate", "").casefold()
        or about.get("Counts Per Second", "").casefold() == "yes"
        or any("/s" in column for column in columns)
    )
    dwell = stated(path, about, "Dwell Time")
    together = int(stated(path, about, "Number of Scans") or 1) if len(tables) == 1 else 1
    return region(
        path,
        "specs_xy",
        name,
        energy,
        y if outer else y[0],
        units="counts/s" if rate else "counts",
        attrs={
            "photon_energy_eV": photon or None,
            "pass_energy_eV": stated(path, about, "Pass Energy") or None,
            "work_function_eV": stated(path, about, "Eff. Workfunction") or None,
            "dwell_time_s": dwell,
            "sweeps": together,
            "sample": about.get("Group", ""),
            "measured": about.get("Acquisition Date", ""),
            "method": about.get("Analysis Method", ""),
            "parameters": _varied(part.stated) if len(part.stated) == len(tables) else "",
        },
        seconds=dwell * together,
        outer=outer,
        extra=extra,
    )


def _varied(stated_: list[dict[str, str]]) -> str:
    """Return what a loop of Prodigy set for each table, as JSON; empty where it set nothing."""
    names = list(dict.fromkeys(name for one in stated_ for name in one))
    return json.dumps({n: [one.get(n, "") for one in stated_] for n in names}) if names else ""


def _kinetic(about: dict[str, str]) -> bool:
    """Whether energies are kinetic: Prodigy names the axis, SpecsLab2 answers yes or no."""
    axis = about.get("Energy Axis", "")
    if axis:
        return "kinetic" in axis.casefold()
    return about.get("Kinetic Energy Axis", "").casefold() == "yes"


def _channels_summed(
    path: Path, name: str, tables: list[np.ndarray], labels: list[str]
) -> tuple[list[np.ndarray], list[str]]:
    """Sum the channels of each scan where the export kept them apart on one energy axis."""
    if not any("Channel:" in label for label in labels):
        return tables, labels
    if any(not np.array_equal(t[:, 0], tables[0][:, 0]) for t in tables):
        raise FormatError(
            f"{path.name}, region {name!r}: channels on energies of their own; export without "
            "'Separate Channel Data'"
        )
    found: dict[str, np.ndarray] = {}
    for label, table in zip(labels, tables, strict=True):
        scan = label.partition(", Channel:")[0]
        if scan in found:
            found[scan][:, 1] += table[:, 1]
        else:
            found[scan] = table.copy()
    return list(found.values()), list(found)


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

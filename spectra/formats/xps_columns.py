"""Columns of text whose first line says that the first one is a binding or kinetic energy.

The first line names the columns (``BE/eV``, ``Binding Energy``, ``E_kin``, ``Kinetic Energy``);
separators tab, semicolon, comma or blanks, with tabs and semicolons also a decimal comma. The
second column is the intensity. Further ones need names: ``background`` and ``envelope`` become
``reported_background`` and ``reported_envelope``, others ``reported_components``. Kinetic energies
need the photon energy in the first line (``hv=180eV``): ``BE = h nu - KE``. Whole numbers are
counts, others arbitrary units, or counts/s where the second name says so.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..errors import FormatError
from ._xps import decimal, region, region_name, with_reference_lines
from .base import Format, Options, Regions, read_bytes

_BINDING = re.compile(r"^#?\s*(BE\b|B\.E\.|binding[ _]?energy)", re.IGNORECASE)
_KINETIC = re.compile(r"^#?\s*(KE\b|K\.E\.|E_?kin|kinetic[ _]?energy)", re.IGNORECASE)
_PHOTON = re.compile(r"h(?:v|nu|ν)\s*=\s*([\d.]+)\s*eV", re.IGNORECASE)
_LEVEL = re.compile(r"([A-Z][a-z]?)[ _]?([1-7][spdf])(?![a-z])")


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line names an energy column of two and numbers follow."""
    lines = head.decode("latin-1").lstrip("\ufeffï»¿").splitlines()
    if len(lines) < 3 or lines[0].startswith(("BE_", "K.E.\t")):
        return False
    named = _BINDING.match(lines[0]) or _KINETIC.match(lines[0])
    return bool(named) and re.fullmatch(r"[-+\d.eE,;\s]+", lines[1]) is not None


def _mark(line: str) -> str:
    """Return what separates the names of the columns."""
    return next((re.escape(m) for m in ("\t", ";", ",") if m in line), r"\s{2,}")


def _words(line: str) -> list[str]:
    """Split a line; beside tabs or semicolons a comma is the decimal mark of its locale."""
    for mark in ("\t", ";"):
        if mark in line:
            words = [w.strip() for w in line.strip("\r\n").rstrip(mark + " ").split(mark)]
            return [re.sub(r"^([-+]?\d+),(\d+)", r"\1.\2", w) for w in words]
    return [w for w in re.split(r"[, ]+", line.strip()) if w]


def read(path: Path, options: Options) -> Regions:
    """Read the columns."""
    text = read_bytes(path, limit=256 * 1024**2).decode("utf-8", "replace").lstrip("\ufeff")
    lines = text.splitlines()
    rows = []
    width = 0
    for number, line in enumerate(lines[1:], 2):
        if not line.strip() or line.startswith("#"):
            continue
        words = _words(line)
        width = width or len(words)
        if len(words) != width or width < 2:
            raise FormatError(
                f"{path.name}: line {number}: {len(words)} columns of {max(width, 2)}: the file is "
                "truncated or not a table"
            )
        rows.append([decimal(w, path, number, "value") for w in words])
    if len(rows) < 2:
        raise FormatError(f"{path.name}: {len(rows)} rows of numbers; two are the least")
    table = np.array(rows)
    names = [w.strip().strip('"') for w in re.split(_mark(lines[0]), lines[0].strip())]
    if width > 2 and len(names) != width:
        raise FormatError(
            f"{path.name}: {width} columns and {len(names)} names in line 1; name each, or keep "
            "two (energy, intensity)"
        )
    energy = table[:, 0]
    photon = _PHOTON.search(lines[0])
    if _KINETIC.match(lines[0]):
        if not photon:
            raise FormatError(
                f"{path.name}: line 1: kinetic energies and no photon energy; write hv=...eV in it"
            )
        energy = float(photon[1]) - energy
    level = _LEVEL.search(path.stem)
    name = region_name(level[0].replace("_", " ")) if level else path.stem
    whole = bool(np.all(table[:, 1] == np.round(table[:, 1])))
    rate = len(names) > 1 and re.search(r"cps|/\s*s\b|per s", names[1], re.IGNORECASE)
    units = "counts/s" if rate else "counts" if whole else "1"
    extra: dict[str, tuple[tuple[str, ...], np.ndarray, str]] = {}
    parts = []
    for k in range(2, width):
        found = re.match(r"(background|envelope)", names[k], re.IGNORECASE)
        if found:
            extra[f"reported_{found[1].casefold()}"] = (("binding_energy",), table[:, k], units)
        else:
            parts.append(k)
    if parts:
        curves = table[:, parts].T
        extra["reported_components"] = (("component", "binding_energy"), curves, units)
    ds = region(
        path,
        "xps_columns",
        name,
        energy,
        table[:, 1],
        units=units,
        attrs={"photon_energy_eV": float(photon[1]) if photon else None, "header": lines[0]},
        extra=extra,
    )
    return with_reference_lines({name: ds})


FORMATS = (
    Format(
        name="xps_columns",
        title="columns: energy, intensity, fitted curves (XPS)",
        suffixes=(".txt", ".csv", ".dat"),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

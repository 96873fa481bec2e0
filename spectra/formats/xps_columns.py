"""Two-column text whose first line says that the first column is a binding or kinetic energy.

The first line names the columns (``BE/eV``, ``Binding Energy``, ``E_kin``, ``Kinetic Energy``);
separators tab, comma, semicolon or blanks. Kinetic energies need the photon energy in the same line
(``hv=180eV``): ``BE = h nu - KE``. Whole numbers are counts, others arbitrary units.
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


def read(path: Path, options: Options) -> Regions:
    """Read the two columns."""
    text = read_bytes(path, limit=256 * 1024**2).decode("utf-8", "replace").lstrip("\ufeff")
    lines = text.splitlines()
    rows = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip() or line.startswith("#"):
            continue
        words = [w for w in re.split(r"[\t,; ]+", line.strip()) if w]
        if len(words) != 2:
            raise FormatError(
                f"{path.name}: line {number}: {len(words)} columns; two are allowed (energy, "
                "intensity)"
            )
        rows.append([decimal(w, path, number, "value") for w in words])
    if len(rows) < 2:
        raise FormatError(f"{path.name}: {len(rows)} rows of numbers; two are the least")
    table = np.array(rows)
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
    ds = region(
        path,
        "xps_columns",
        name,
        energy,
        table[:, 1],
        units="counts" if whole else "1",
        attrs={"photon_energy_eV": float(photon[1]) if photon else None, "header": lines[0]},
    )
    return with_reference_lines({name: ds})


FORMATS = (
    Format(
        name="xps_columns",
        title="two columns: energy and intensity (XPS)",
        suffixes=(".txt", ".csv", ".dat"),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

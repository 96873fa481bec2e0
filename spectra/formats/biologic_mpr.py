"""BioLogic EC-Lab and BT-Lab binary files (.mpr).

Layout: `_biologic_modules`. Columns, coordinates and units: `_biologic`. The clock at time 0 comes
from the log module (the instrument's local time). Several loops are numbered in ``loop``.
Uncertainties: none in the file.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import FormatError
from ._biologic import as_regions
from ._biologic_modules import MAGIC, read_modules
from .base import Format, Options, Regions, read_bytes, source


def sniff(head: bytes, path: Path) -> bool:
    """Whether the file starts with the program's mark."""
    return head.startswith(MAGIC)


def read(path: Path, options: Options) -> Regions:
    """Read the data module."""
    raw = read_bytes(path, limit=2 * 1024**3)
    if not raw.startswith(MAGIC):
        raise FormatError(f"{path.name}: does not begin with {MAGIC.decode()!r}")
    found = read_modules(raw, path)
    src = source(path, "biologic_mpr", "cell")
    regions = as_regions(
        found.columns, path, src, found.start, swept=found.swept, loops=found.loops
    )
    for ds in regions.values():
        if found.experiment:
            ds.attrs["experiment"] = found.experiment
        if found.skipped:
            ds.attrs["unknown_columns"] = " ".join(map(str, found.skipped))
    return regions


FORMATS = (
    Format(
        name="biologic_mpr",
        title="BioLogic EC-Lab binary",
        suffixes=(".mpr",),
        techniques=("cycling", "voltammetry", "impedance"),
        sniff=sniff,
        read=read,
    ),
)

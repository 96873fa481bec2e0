"""EC-Lab and BT-Lab text exports (.mpt, .txt).

Layout: line 1 ``EC-Lab ASCII FILE``, line 2 ``Nb header lines : N``, settings, then line N with the
column names and rows of numbers, all separated by tabs; Latin-1; decimal point or decimal comma.
``Acquisition started on`` gives the clock at time 0 (month first). Columns, coordinates and units:
`_biologic`. No uncertainties.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import numpy as np

from ..errors import FormatError
from ._biologic import as_channels
from .base import Format, Options, Regions, read_bytes, source

_MAGIC = (b"EC-Lab ASCII FILE", b"BT-Lab ASCII FILE")


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line is the program's."""
    return head.startswith(_MAGIC) and b"Nb header lines" in head[:200]


def read(path: Path, options: Options) -> Regions:
    """Read the table."""
    lines = read_bytes(path, limit=1024**3).decode("latin-1").splitlines()
    told = re.search(r"Nb header lines\s*:\s*(\d+)", "\n".join(lines[:5]))
    size = int(told.group(1)) if told else 0
    if not 2 < size <= len(lines):
        raise FormatError(
            f"{path.name}: {size} header lines announced, {len(lines)} lines found: the file is "
            "truncated; export it again"
        )
    names = [name.strip() for name in lines[size - 1].rstrip("\t").split("\t")]
    rows = [line for line in lines[size:] if line.strip()]
    if not rows:
        raise FormatError(f"{path.name}: no rows below line {size}")
    try:
        table = np.array(
            [
                [float(v) if v.strip() else np.nan for v in row.split("\t")[: len(names)]]
                for row in (line.replace(",", ".") for line in rows)
            ]
        )
    except ValueError as error:
        raise FormatError(
            f"{path.name}: rows below line {size} are not {len(names)} numbers each ({error}); "
            "export with time in seconds"
        ) from None
    if table.shape[1] != len(names):
        raise FormatError(
            f"{path.name}: {len(names)} columns named, {table.shape[1]} found: truncated?"
        )
    columns = {name: table[:, i] for i, name in enumerate(names)}
    ds = as_channels(columns, path, source(path, "biologic_mpt", "cell"), _start(lines[:size]))
    return {"cell": ds}


def _start(header: list[str]) -> str:
    """Return the ISO time at which the acquisition started, or an empty string."""
    for line in header:
        if line.startswith("Acquisition started on"):
            text = line.split(":", 1)[1].strip()
            for style in ("%m/%d/%Y %H:%M:%S.%f", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S.%f"):
                try:
                    return datetime.strptime(text, style).isoformat()
                except ValueError:
                    continue
    return ""


FORMATS = (
    Format(
        name="biologic_mpt",
        title="EC-Lab text",
        suffixes=(".mpt", ".txt"),
        techniques=("cycling", "voltammetry", "impedance"),
        sniff=sniff,
        read=read,
    ),
)

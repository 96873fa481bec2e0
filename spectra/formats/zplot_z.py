"""ZPlot impedance text (.z).

Layout: ``ZPLOT2 ASCII``, settings, ``End Comments``, then tab-separated rows frequency (Hz),
amplitude (V), bias (V), time (s), Z' (ohm), Z'' (ohm, signed), GD, error, range. No uncertainties.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..channels import channels
from ..errors import FormatError
from .base import Format, Options, Regions, read_bytes, source


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line is ZPlot's."""
    return head.startswith(b"ZPLOT2 ASCII")


def read(path: Path, options: Options) -> Regions:
    """Read the rows below ``End Comments``."""
    lines = read_bytes(path, limit=256 * 1024**2).decode("latin-1").splitlines()
    start = next((i for i, line in enumerate(lines) if line.strip() == "End Comments"), len(lines))
    rows = [line.split() for line in lines[start + 1 :] if line.strip()]
    try:
        table = np.array([[float(v) for v in row[:6]] for row in rows])
    except ValueError as error:
        raise FormatError(
            f"{path.name}: a row below 'End Comments' is no number: {error}"
        ) from None
    if table.ndim != 2 or table.shape[1] != 6:
        raise FormatError(
            f"{path.name}: no rows of at least 6 numbers below 'End Comments': the file may be "
            "truncated"
        )
    ds = channels(
        np.arange(table.shape[0], dtype=float),
        {
            "frequency": (table[:, 0], "Hz"),
            "time": (table[:, 3], "s"),
            "impedance_re": (table[:, 4], "ohm"),
            "impedance_im": (table[:, 5], "ohm"),
        },
        technique="impedance",
        along="point",
        source=source(path, "zplot_z", "impedance"),
    )
    return {"impedance": ds}


FORMATS = (
    Format(
        name="zplot_z",
        title="ZPlot impedance",
        suffixes=(".z",),
        techniques=("impedance",),
        sniff=sniff,
        read=read,
    ),
)

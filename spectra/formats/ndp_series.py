"""A series of charged-particle spectra as comma-separated columns.

Layout: comment lines ``# time_min,0,5,...`` and others, a line ``channel,t00,t01,...``, then one
row per channel with the counts of every spectrum. Counts are integers on ``channel`` along ``time``
(s). Uncertainties: those of counting.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..convention import spectrum
from ..errors import FormatError
from .base import Format, Options, Regions, read_bytes, source


def sniff(head: bytes, path: Path) -> bool:
    """Whether a comment gives times and a line names channel and columns."""
    return head.startswith(b"#") and b"# time_min," in head and b"\nchannel,t" in head


def read(path: Path, options: Options) -> Regions:
    """Read the series."""
    lines = read_bytes(path, limit=256 * 1024**2).decode("utf-8", "replace").splitlines()
    minutes = next((line for line in lines if line.startswith("# time_min,")), "")
    start = next((i for i, line in enumerate(lines) if line.startswith("channel,")), None)
    if start is None:
        raise FormatError(f"{path.name}: no line 'channel,t00,...'")
    try:
        time = np.array([float(v) for v in minutes.split(",")[1:]]) * 60.0
        table = np.array([[int(v) for v in line.split(",")] for line in lines[start + 1 :] if line])
    except ValueError as error:
        raise FormatError(f"{path.name}: a row is not whole numbers ({error})") from None
    if table.ndim != 2 or table.shape[1] != time.size + 1 or table.shape[0] < 2:
        raise FormatError(
            f"{path.name}: {time.size} times but rows of {table.shape[-1] - 1} spectra: the file "
            "may be truncated"
        )
    ds = spectrum(
        table[:, 1:].T,
        table[:, 0],
        technique="ndp",
        axis_name="channel",
        outer={"time": time},
        source=source(path, "ndp_series", "ndp"),
    )
    return {"ndp": ds}


FORMATS = (
    Format(
        name="ndp_series",
        title="Charged-particle spectra in columns",
        suffixes=(".csv",),
        techniques=("ndp",),
        sniff=sniff,
        read=read,
    ),
)

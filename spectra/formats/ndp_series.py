"""A series of charged-particle spectra as comma-separated columns.

Layout: comment lines ``# time_min,0,5,...`` (or ``time_s``, ``time_h``), maybe ``# live_time_s,
3600,...`` (one value, or one per spectrum), others that are left out, a line ``channel,name,
name,...``, then one row per channel with the counts of every spectrum. Counts are integers on
``channel`` along ``time`` (s). Uncertainties: those of counting.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..convention import spectrum
from ..errors import FormatError
from .base import Format, Options, Regions, read_bytes, source

_TIME = re.compile(r"#\s*time[_ ]*\(?(s|min|h)\)?\s*[,;]", re.I)
_LIVE = re.compile(r"#\s*live[_ ]*time[_ ]*\(?(s|min|h)\)?\s*[,;]", re.I)
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


def sniff(head: bytes, path: Path) -> bool:
    """Whether a comment gives times and a line names channel and columns."""
    text = head.decode("utf-8", "replace")
    return (
        text.startswith("#")
        and bool(_TIME.search(text))
        and bool(re.search(r"^channel\s*[,;]", text, re.M | re.I))
    )


def read(path: Path, options: Options) -> Regions:
    """Read the series.

    Raises
    ------
    FormatError
        If times, columns and rows do not agree or a row is not whole numbers.
    """
    lines = read_bytes(path, limit=256 * 1024**2).decode("utf-8", "replace").splitlines()
    start = next((i for i, x in enumerate(lines) if re.match(r"channel\s*[,;]", x, re.I)), None)
    if start is None:
        raise FormatError(f"{path.name}: no line 'channel,t00,...'")
    time = _values(path, lines[:start], _TIME)
    live = _values(path, lines[:start], _LIVE)
    if time is None:
        raise FormatError(f"{path.name}: no line '# time_min,...' above the columns")
    try:
        table = np.array(
            [[int(v) for v in re.split("[,;]", line)] for line in lines[start + 1 :] if line]
        )
    except (ValueError, OverflowError) as error:
        raise FormatError(f"{path.name}: a row is not whole numbers ({error})") from None
    if table.ndim != 2 or table.shape[1] != time.size + 1 or table.shape[0] < 2:
        raise FormatError(
            f"{path.name}: {time.size} times but rows of {table.shape[-1] - 1} spectra: the file "
            "may be truncated"
        )
    extra = None
    if live is not None:
        if live.size not in (1, time.size) or not np.all(live > 0):
            raise FormatError(f"{path.name}: {live.size} live times for {time.size} spectra")
        extra = {"live_time": (("time",), np.broadcast_to(live, time.shape).copy(), "s")}
    ds = spectrum(
        table[:, 1:].T,
        table[:, 0],
        technique="ndp",
        axis_name="channel",
        outer={"time": time},
        extra=extra,
        source=source(path, "ndp_series", "ndp"),
    )
    return {"ndp": ds}


def _values(path: Path, head: list[str], key: re.Pattern[str]) -> np.ndarray | None:
    for line in head:
        found = key.match(line)
        if found:
            try:
                words = [w for w in re.split("[,;]", line[found.end() :]) if w.strip()]
                return np.array([float(w) for w in words]) * _SECONDS[found[1].lower()]
            except ValueError:
                raise FormatError(f"{path.name}: {line[:60]!r}: not numbers") from None
    return None


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

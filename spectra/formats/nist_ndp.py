"""NIST neutron depth profiling text (``.spe``): eight header lines, then ``channel counts`` rows.

Layout: ``DETECTOR``, ``LABEL``, ``STARTED``, ``LIVETIME``, ``REALTIME`` (after the colon, seconds),
two free lines, ``CHANNEL COUNTS``, then one row per channel. Counts are integers on ``channel``:
the file has no energy scale (calibrate with method "known"). Live and real time become attributes.
Uncertainties: those of counting. The Ortec gamma format of the same ending begins with ``$``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..convention import spectrum
from ..errors import FormatError
from .base import Format, Options, Regions, read_bytes, source

_MAX_CHANNELS = 1_048_576
_TEXTS = {"title": "LABEL", "started": "STARTED", "detector": "DETECTOR"}


def sniff(head: bytes, path: Path) -> bool:
    """Whether it begins with DETECTOR and has the column line in its head."""
    upper = head.upper()
    return upper.startswith(b"DETECTOR") and b"CHANNEL COUNTS" in upper


def read(path: Path, options: Options) -> Regions:
    """Read the one spectrum."""
    lines = read_bytes(path, limit=64 * 1024**2).decode("latin-1").splitlines()
    start = next(
        (i for i, line in enumerate(lines) if line.upper().startswith("CHANNEL COUNTS")), None
    )
    if start is None:
        raise FormatError(f"{path.name}: no line 'CHANNEL COUNTS'")
    header = {}
    for line in lines[:start]:
        key, colon, value = line.partition(":")
        if colon:
            header[key.strip().upper()] = value.strip()
    stated = _number(path, header, "CHANNELS")
    rows = [line.split() for line in lines[start + 1 :] if line.strip()]
    if stated is not None and len(rows) < stated:
        raise FormatError(
            f"{path.name}: {len(rows)} of {stated:g} channels: the file is truncated; copy it again"
        )
    if not 2 <= len(rows) <= _MAX_CHANNELS:
        raise FormatError(f"{path.name}: {len(rows)} channels; allowed: 2 to {_MAX_CHANNELS}")
    try:
        table = np.array([[int(row[0]), int(row[1])] for row in rows])
    except (ValueError, IndexError):
        bad = next(i for i, row in enumerate(rows) if len(row) != 2 or not row[1].isdigit())
        raise FormatError(
            f"{path.name}: line {start + 2 + bad}: expected 'channel counts', found "
            f"{' '.join(rows[bad])[:40]!r}"
        ) from None
    attrs: dict[str, object] = {
        "title": header.get("LABEL", ""),
        "started": header.get("STARTED", ""),
    }
    for key, name in (("LIVETIME", "live_time_s"), ("REALTIME", "real_time_s")):
        seconds = _number(path, header, key)
        if seconds:
            attrs[name] = seconds
    ds = spectrum(
        table[:, 1],
        table[:, 0],
        technique="ndp",
        axis_name="channel",
        attrs={k: v for k, v in attrs.items() if v != ""},
        source=source(path, "nist_ndp", "ndp"),
    )
    return {"ndp": ds}


def _number(path: Path, header: dict[str, str], key: str) -> float | None:
    if key not in header:
        return None
    try:
        return float(header[key])
    except ValueError:
        raise FormatError(f"{path.name}: {key} is {header[key]!r}, not a number") from None


FORMATS = (
    Format(
        name="nist_ndp",
        title="NIST neutron depth profiling text",
        suffixes=(".spe",),
        techniques=("ndp",),
        sniff=sniff,
        read=read,
    ),
)

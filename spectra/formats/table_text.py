"""Plain text tables of two columns: axis and intensity, one spectrum.

Layout: comment lines that begin with ``#``, ``%``, ``;`` or ``"`` and at most one line of column
names, then rows of two numbers apart by tab, blanks, semicolon or comma; with a tab, blanks or a
semicolon the decimal mark may be a comma. The file does not say what was measured: the technique
has to be told, and the first column is taken as its axis (for NDP and EDXRD as channels, if it
counts 0, 1, 2 ... or 1, 2, 3 ...). Rows of one axis value (stitched scans)
are averaged and counted in attrs ``merged_rows``. Whole numbers are counts, others have arbitrary
units. Uncertainties: none in the file.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..convention import spectrum
from ..errors import ConventionError, FormatError, TechniqueNeeded
from .base import Format, Options, Regions, read_bytes, source

_AXES = {
    "raman": "raman_shift",
    "xps": "binding_energy",
    "nmr": "chemical_shift",
    "xrd": "two_theta",
    "edxrd": "photon_energy",
    "ndp": "particle_energy",
}
_COMMENT = ("#", "%", ";", '"')
_NUMBER = r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?"
_ROW = re.compile(rf"^\s*({_NUMBER})(?:\s*[;\t]\s*|[ \t]+|\s*,\s+)({_NUMBER})\s*;?\s*$")
_COMMA_ROW = re.compile(r"^\s*([+-]?[\d.]+(?:[eE][+-]?\d+)?),([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*$")
_SUFFIXES = (".txt", ".csv", ".dat", ".asc", ".prn")
_MAX_BYTES = 256 * 1024**2


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is a text of nothing but two-column rows below comments and one title line."""
    if path.suffix.lower() not in _SUFFIXES or b"\0" in head or not head:
        return False
    lines = head.decode("latin-1").splitlines()[:-1][:60]
    first = _first_row(lines)
    if first is None or (first > 0 and not _plain_head(lines[:first])):
        return False
    rows = [line for line in lines[first:] if line.strip()]
    return len(rows) >= 5 and all(_numbers(line) is not None for line in rows)


def _plain_head(lines: list[str]) -> bool:
    """Comments, and at most one line of names."""
    named = [line for line in lines if line.strip() and not line.startswith(_COMMENT)]
    told = [line for line in lines if line.startswith(_COMMENT)]
    return len(named) <= 1 and len(told) <= 3


def _first_row(lines: list[str]) -> int | None:
    return next((i for i, line in enumerate(lines) if _numbers(line) is not None), None)


def _numbers(line: str) -> tuple[float, float] | None:
    match = _COMMA_ROW.match(line) or _ROW.match(line)
    if match is None:
        return None
    try:
        x, y = (float(text.replace(",", ".")) for text in match.groups())
    except ValueError:
        return None
    return x, y


def read(path: Path, options: Options) -> Regions:
    """Read the one spectrum."""
    if options.technique is None:
        raise TechniqueNeeded(f"{path.name}: the technique has to be told")
    lines = read_bytes(path, limit=_MAX_BYTES).decode("latin-1").splitlines()
    start = _first_row(lines)
    if start is None:
        raise FormatError(f"{path.name}: no row of two numbers")
    rows = []
    for number, line in enumerate(lines[start:], start + 1):
        if not line.strip() or line.startswith(_COMMENT):
            continue
        pair = _numbers(line)
        if pair is None:
            raise FormatError(
                f"{path.name}: line {number}: expected two numbers, found {line.strip()[:40]!r}; "
                "take the line out"
            )
        rows.append(pair)
    table = np.array(sorted(rows))
    if len(table) < 2:
        raise FormatError(f"{path.name}: {len(table)} rows; two are the least")
    x, place, times = np.unique(table[:, 0], return_inverse=True, return_counts=True)
    y = np.bincount(place, weights=table[:, 1]) / times
    if x.size < 2:
        raise FormatError(f"{path.name}: one value of the axis; two are the least")
    merged = len(table) - x.size
    whole = bool(np.all(y == np.round(y)) and np.all(y >= 0))
    try:
        ds = spectrum(
            y.astype(np.int64) if whole else y,
            x,
            technique=options.technique,
            axis_name=axis_name(options.technique, x),
            units="counts" if whole else "1",
            attrs={"merged_rows": merged} if merged else None,
            source=source(path, "table_text", options.technique),
        )
    except ConventionError as error:
        raise FormatError(f"{path.name}: {error}") from None
    return {options.technique: ds}


def axis_name(technique: str, x: np.ndarray) -> str:
    """Return the axis that a first column is: channels where a multichannel analyser counts on."""
    steps = x[0] in (0.0, 1.0) and bool(np.all(np.diff(x) == 1.0))
    return "channel" if steps and technique in ("ndp", "edxrd") else _AXES[technique]


FORMATS = (
    Format(
        name="table_text",
        title="Two columns of text (tell the technique)",
        suffixes=_SUFFIXES,
        techniques=tuple(_AXES),
        sniff=sniff,
        read=read,
        generic=True,
    ),
)

"""PicoLog csv exports of thermocouple and voltage loggers.

Layout: one line of headings, the first empty (the time), the others ``<channel> Last (C)``,
``... Ave. (C)``, ``... Min. (C)``, ``... Max. (C)`` or ``<channel> (mV)``; cells usually in quotes;
comma, semicolon or tab. Time is s since 1970 (UTC) or a date. Each column becomes
``temperature_<channel>_<kind>`` (degC), ``voltage_<channel>_<kind>`` (V) or
``current_<channel>_<kind>`` (mA); the first temperature is ``temperature`` too. attrs ``start``
ends in ``+00:00`` where the file holds UTC. Uncertainties: none in the file; Min and Max are the
extremes between two rows.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..channels import channels
from ..errors import ConventionError, FormatError
from ._cell_numbers import decimal_comma, numbers, stamps
from ._cell_text import decoded, split
from ._cell_words import plain_unit
from .base import Format, Options, Regions, read_bytes, source

_HEADING = re.compile(r"^(.+?)\s*[\[(]([^()\[\]]*)[\])]$")
_KIND = re.compile(r"\b(Last|Ave\.?|Avg\.?|Min\.?|Max\.?)$")
_SCALES = {"degc": ("temperature", "degC", 1.0), "c": ("temperature", "degC", 1.0),
           "?c": ("temperature", "degC", 1.0), "v": ("voltage", "V", 1.0),
           "mv": ("voltage", "V", 1e-3), "ma": ("current", "mA", 1.0),
           "a": ("current", "mA", 1e3)}  # fmt: skip


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first heading is empty and the others are channels with a unit."""
    if not head or b"\0" in head:
        return False
    lines = decoded(head).splitlines()[:3]
    if len(lines) < 2:
        return False
    mark = _mark(lines[0])
    names = [name.strip() for name in split(lines[0], mark)]
    if len(names) < 2 or names[0] not in ("", "Time"):
        return False
    known = [_HEADING.match(name) for name in names[1:]]
    kinds = [m is not None and _KIND.search(m[1]) is not None for m in known]
    units = [m is not None and plain_unit(m[2]) in _SCALES for m in known]
    if not all(units) or not (all(kinds) or names[0] == ""):
        return False
    first = split(lines[1], mark)
    return bool(first) and bool(np.isfinite(stamps([first[0]], False)[0]).all())


def _mark(line: str) -> str:
    return next((mark for mark in ("\t", ";") if mark in line), ",")


def read(path: Path, options: Options) -> Regions:
    """Read all channels."""
    lines = decoded(read_bytes(path, limit=1024**3)).splitlines()
    mark = _mark(lines[0])
    names = [name.strip() for name in split(lines[0], mark)]
    rows = [split(line, mark) for line in lines[1:] if line.strip()]
    if len(rows) > 1 and len(rows[-1]) < len(names):
        rows.pop()  # cut short while being written
    short = next((i for i, row in enumerate(rows) if len(row) < len(names)), None)
    if not rows or short is not None:
        raise FormatError(
            f"{path.name}: line {(short or 0) + 2}: {len(names)} columns named, fewer found: the "
            "file may be truncated"
        )
    comma = mark != "," and bool(decimal_comma([c for row in rows[:200] for c in row[1:]]))
    time, zero = stamps([row[0] for row in rows], comma)
    keep = np.isfinite(time)
    if zero is None or not keep.any():
        raise FormatError(f"{path.name}: the first column holds no time")
    found = {}
    for i, name in enumerate(names[1:], 1):
        match = _HEADING.match(name)
        known = _SCALES.get(plain_unit(match[2])) if match else None
        if match is None or known is None:
            continue
        quantity, units, factor = known
        label = re.sub(r"\W+", "_", match[1].strip().lower()).strip("_")
        values = numbers([row[i] for row in rows], comma)[keep] * factor
        if quantity not in found:
            found[quantity] = (values, units)
        found[f"{quantity}_{label}"] = (values, units)
    if not found:
        raise FormatError(f"{path.name}: no column in degC, V or A")
    kinds = [kind for kind in ("temperature", "voltage") if kind in found]
    technique = "temperature" if kinds[:1] == ["temperature"] else "cycling"
    attrs = {"start": zero.isoformat()}
    if not keep.all():
        attrs["skipped_rows"] = str(int((~keep).sum()))
    src = source(path, "picolog_csv", "temperature")
    try:
        ds = channels(time[keep], found, technique=technique, attrs=attrs, source=src)
    except ConventionError as error:
        raise FormatError(f"{path.name}: {error}") from None
    return {technique: ds}


FORMATS = (
    Format(
        name="picolog_csv",
        title="PicoLog export",
        suffixes=(".csv", ".txt"),
        techniques=("temperature", "cycling"),
        sniff=sniff,
        read=read,
    ),
)

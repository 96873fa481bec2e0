"""Bruker/Siemens UXD (.uxd): text, one region per range.

Comments begin with ``;``; ``_KEY=value`` lines hold for the range that follows, those before the
first range for all (``_WL1``, ``_WL2`` angstrom, ``_WLRATIO``, ``_ANODE``, ``_SAMPLE``, ``_START``,
``_STEPSIZE`` deg, ``_STEPTIME`` s). Data begin at ``_2THETACOUNTS``, ``_2THETACPS`` (rows of angle
and value), ``_2THETACOUNTSTIME`` (and time) or ``_COUNTS``, ``_CPS`` (values alone). Angles are
rebuilt from start and step, which have more digits, where the rows agree with them. Counts are
whole; CPS are rates. The first column is the axis that ``_DRIVE`` names, whatever the marker says:
rocking curves (``THETA``) and pole figures (``PHI``, ``KHI``) are left out. Scans over one axis are
one series, from three on.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._xrd import pattern, series, step_axis
from .base import Format, Options, Regions, read_bytes

_OTHER = re.compile(r"^\W*(THETA|OMEGA|PHI|KHI|CHI|PSI|X|Y|Z|AUX\d?)\W*$", re.I)
_DATA = re.compile(r"_(2THETA)?(COUNTS|CPS)(TIME)?$", re.I)


def _sniff(head: bytes, path: Path) -> bool:
    return b"_FILEVERSION" in head or (
        path.suffix.lower() == ".uxd" and bool(re.search(rb"^_\w+\s*=", head, re.M))
    )


def read(path: Path, options: Options) -> Regions:
    """Read every range.

    Raises
    ------
    FormatError
        If a row is not numbers or a range has no points.
    """
    text = read_bytes(path, limit=256 * 1024**2).decode("latin-1")
    told: dict[str, str] = {}
    blocks: list[tuple[dict[str, str], str, list[list[float]]]] = []
    rows: list[list[float]] | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith(";"):
            continue
        mark = _DATA.match(line)
        if mark:
            rows = []
            blocks.append((dict(told), line.upper(), rows))
        elif line.startswith("_"):
            key, _, value = line.partition("=")
            told[key.strip().upper()] = value.strip().strip("'\"")
            rows = None
        else:
            if rows is None:
                raise FormatError(f"{path.name}: line {number}: {line[:40]!r} stands in no range")
            try:
                rows.append([float(word.replace(",", ".")) for word in line.split()])
            except ValueError:
                raise FormatError(
                    f"{path.name}: line {number}: {line[:40]!r} is not a row of numbers"
                ) from None
    regions: dict[str, Any] = {}
    other = [h["_DRIVE"].strip("'\" ") for h, _, _ in blocks if _OTHER.match(h.get("_DRIVE", ""))]
    for header, kind, values in blocks:
        if _OTHER.match(header.get("_DRIVE", "")):
            continue
        name = path.stem if len(blocks) == 1 else f"range {len(regions) + 1}"
        regions[name] = _range(path, name, header, kind, values)
    if other and not regions:
        raise FormatError(
            f"{path.name}: scans over {', '.join(dict.fromkeys(other))} only; a powder pattern "
            "runs over two-theta (_DRIVE='COUPLED' or '2THETA')"
        )
    if not regions:
        raise FormatError(f"{path.name}: no _2THETACOUNTS or _COUNTS: the file is truncated")
    return series(path, regions)


def _range(
    path: Path, name: str, header: dict[str, str], kind: str, rows: list[list[float]]
) -> Any:
    start, step = _number(header, "_START"), _number(header, "_STEPSIZE")
    if "2THETA" in kind:
        widths = {len(r) for r in rows}
        if len(rows) < 2 or len(widths) != 1 or min(widths) < 2:
            raise FormatError(
                f"{path.name}: {name}: {len(rows)} rows of {sorted(widths)} values; rows have two "
                "or three: the file is truncated"
            )
        x, y = np.array(rows)[:, :2].T
        if start is not None and step:
            exact = start + step * np.arange(x.size)
            if np.max(np.abs(exact - x)) < 0.0101 * max(1.0, np.abs(x).max() / 100.0):
                x = exact
    else:
        y = np.array([v for row in rows for v in row])
        if start is None or step is None:
            raise FormatError(f"{path.name}: {name}: values alone need _START and _STEPSIZE")
        x = step_axis(path, name, start, step, y.size)
    ratio = _number(header, "_WLRATIO")
    attrs = {
        "title": header.get("_SAMPLE") or None,
        "anode": header.get("_ANODE") or None,
        "wavelength_A": _number(header, "_WL1") or None,
        "wavelength_2_A": _number(header, "_WL2") or None,
        "ratio_2": ratio if ratio is not None and 0.0 <= ratio < 1.0 else None,
    }
    return pattern(
        path, "bruker_uxd", name, x, y, units="counts/s" if "CPS" in kind else "counts",
        attrs=attrs, time_per_step=_number(header, "_STEPTIME"),
    )  # fmt: skip


def _number(header: dict[str, str], key: str) -> float | None:
    try:
        return float(header[key].replace(",", "."))
    except (KeyError, ValueError):
        return None


FORMATS = (Format("bruker_uxd", "Bruker UXD, text", (".uxd",), ("xrd",), _sniff, read),)

"""Rigaku text patterns: RAS (.ras, SmartLab, MiniFlex, Ultima) and the older ``*TYPE`` (.asc .dat).

RAS: ``*RAS_DATA_START``, then per scan a header ``*KEY "value"`` between ``*RAS_HEADER_START`` and
``_END``, and rows of angle (deg), intensity as counted, attenuator factor between
``*RAS_INT_START`` and ``_END``. Keys used: ``HW_XG_WAVE_LENGTH_ALPHA1`` and ``ALPHA2`` (angstrom),
``MEAS_COND_XG_WAVE_TYPE`` (Ka1: no Ka2), ``MEAS_SCAN_AXIS_X_INTERNAL``, ``MEAS_SCAN_START_TIME``,
``MEAS_SCAN_UNIT_Y``, ``FILE_SAMPLE``. Intensities are multiplied by the attenuator's factor, errors
follow the counts.

``*TYPE = Raw``: ``*KEY = value`` lines; every group between ``*BEGIN`` and ``*END`` has ``*START``,
``*STOP``, ``*STEP`` (deg), ``*COUNT`` and rows of intensities apart by commas. ``*YUNIT`` counts or
cps; ``*WAVE_LENGTH1`` and ``2`` (angstrom).

Intensities that are not whole have arbitrary units or are rates. Scans of other axes than two-theta
are left out; scans over one axis are one series, from three on.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._xrd import pattern, series, step_axis
from .base import Format, Options, Regions, read_bytes

MAX_BYTES = 512 * 1024**2
_TWO_THETA = re.compile(r"2\s*-?theta|two\s*theta|2th|^theta$|θ", re.I)


def _sniff(head: bytes, path: Path) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"*RAS_DATA_START")


def _sniff_type(head: bytes, path: Path) -> bool:
    text = head[:200].removeprefix(b"\xef\xbb\xbf").lstrip()
    return bool(re.match(rb"\*TYPE\s*=", text)) and b"*" in head[6:]


def _lines(path: Path) -> list[str]:
    data = read_bytes(path, limit=MAX_BYTES).removeprefix(b"\xef\xbb\xbf")
    return [line.strip() for line in data.decode("utf-8", "replace").splitlines()]


def read(path: Path, options: Options) -> Regions:
    """Read every scan of a RAS file.

    Raises
    ------
    FormatError
        If a row is not numbers, a scan ends early, or none is over two-theta.
    """
    regions: dict[str, Any] = {}
    header: dict[str, str] = {}
    rows: list[list[float]] | None = None
    other: list[str] = []
    for number, line in enumerate(_lines(path), 1):
        if line == "*RAS_HEADER_START":
            header = {}
        elif line == "*RAS_INT_START":
            rows = []
        elif line == "*RAS_INT_END":
            if rows is None:
                raise FormatError(f"{path.name}: line {number}: *RAS_INT_END without its start")
            name = f"scan {len(regions) + len(other) + 1}"
            axis = _axis(header)
            if axis and not _TWO_THETA.search(axis):
                other.append(axis)
            else:
                regions[name] = _scan(path, name, header, rows)
            rows = None
        elif rows is not None:
            if line:
                try:
                    rows.append([float(word) for word in line.replace(",", " ").split()])
                except ValueError:
                    raise FormatError(
                        f"{path.name}: line {number}: {line[:40]!r} is not a row of numbers"
                    ) from None
        elif line.startswith("*"):
            key, _, value = line[1:].partition(" ")
            header[key] = value.strip().strip('"').strip()
    if rows is not None:
        raise FormatError(f"{path.name}: no *RAS_INT_END: the file is truncated; copy it again")
    if not regions:
        found = f"scans over {', '.join(sorted(set(other)))}" if other else "no *RAS_INT_START"
        raise FormatError(f"{path.name}: {found}; a pattern is a scan over two-theta")
    if len(regions) == 1:
        return {path.stem: next(iter(regions.values()))}
    return series(path, regions)


def _axis(header: dict[str, str]) -> str:
    return header.get("MEAS_SCAN_AXIS_X_INTERNAL", "") or header.get("MEAS_SCAN_AXIS_X", "")


def _scan(path: Path, name: str, header: dict[str, str], rows: list[list[float]]) -> Any:
    widths = {len(r) for r in rows}
    if len(rows) < 2 or len(widths) != 1 or min(widths) < 2:
        raise FormatError(
            f"{path.name}: {name}: {len(rows)} rows of {sorted(widths)} values; rows have two or "
            "three: the file is truncated"
        )
    table = np.array(rows)
    told = header.get("MEAS_DATA_COUNT", "")
    if told.isdigit() and int(told) > len(rows):
        raise FormatError(
            f"{path.name}: {name}: {len(rows)} points, the header says {told}: the file is "
            "truncated; copy it again"
        )
    factor = table[:, 2] if table.shape[1] > 2 else np.ones(len(table))
    factor = np.where(factor > 0, factor, 1.0)
    rate = header.get("MEAS_SCAN_UNIT_Y", "").lower() in ("cps", "counts/s")
    return pattern(
        path, "rigaku_ras", name, table[:, 0], table[:, 1] * factor,
        units="counts/s" if rate else "counts", attrs=_attrs(header),
        attenuation=None if rate else factor,
    )  # fmt: skip


def _attrs(header: dict[str, str]) -> dict[str, Any]:
    out: dict[str, Any] = {"title": header.get("FILE_SAMPLE") or None}
    for key, name in (("HW_XG_WAVE_LENGTH_ALPHA1", "wavelength_A"),
                      ("HW_XG_WAVE_LENGTH_ALPHA2", "wavelength_2_A")):  # fmt: skip
        out[name] = _positive(header.get(key, ""))
    if header.get("MEAS_COND_XG_WAVE_TYPE") == "Ka1":
        out["ratio_2"] = 0.0
    for form in ("%m/%d/%y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S"):
        try:
            began = datetime.strptime(header.get("MEAS_SCAN_START_TIME", ""), form)
        except ValueError:
            continue
        out["started"] = began.isoformat()
    return out


def _positive(text: str) -> float | None:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if value > 0 else None


def read_type(path: Path, options: Options) -> Regions:
    """Read every group of a ``*TYPE`` file.

    Raises
    ------
    FormatError
        If a group lacks its scan or its points.
    """
    whole: dict[str, str] = {}
    group: dict[str, str] | None = None
    values: list[float] = []
    regions: dict[str, Any] = {}
    for number, line in enumerate(_lines(path), 1):
        if not line or line.startswith("#"):
            continue
        if line.startswith("*"):
            key, _, value = line[1:].partition("=")
            key = key.strip().upper()
            if key == "BEGIN":
                group, values = dict(whole), []
            elif key == "END":
                if group is not None:
                    name = f"group {len(regions) + 1}"
                    regions[name] = _group(path, name, group, values)
                group = None
            elif key == "EOF":
                break
            else:
                (whole if group is None else group)[key] = value.strip()
            continue
        if group is None:
            raise FormatError(f"{path.name}: line {number}: {line[:40]!r} stands in no group")
        try:
            values += [float(word) for word in re.split(r"[,\s]+", line.strip(", ")) if word]
        except ValueError:
            raise FormatError(
                f"{path.name}: line {number}: {line[:40]!r} is not a row of intensities"
            ) from None
    if group is not None or not regions:
        raise FormatError(f"{path.name}: no whole group (*BEGIN to *END): the file is truncated")
    if len(regions) == 1:
        return {path.stem: next(iter(regions.values()))}
    return series(path, regions)


def _group(path: Path, name: str, told: dict[str, str], values: list[float]) -> Any:
    try:
        start, stop, step = (float(told[k]) for k in ("START", "STOP", "STEP"))
        count = int(told.get("COUNT", len(values)))
    except (KeyError, ValueError):
        raise FormatError(
            f"{path.name}: {name}: *START, *STOP, *STEP or *COUNT is missing or no number"
        ) from None
    if len(values) != count or count < 2:
        raise FormatError(
            f"{path.name}: {name}: {len(values)} intensities, *COUNT says {count}: the file is "
            "truncated; copy it again"
        )
    attrs: dict[str, Any] = {
        "title": told.get("SAMPLE") or None,
        "wavelength_A": _positive(told.get("WAVE_LENGTH1", "")),
        "wavelength_2_A": _positive(told.get("WAVE_LENGTH2", "")),
    }
    rate = told.get("YUNIT", "").lower() in ("cps", "counts/s")
    return pattern(
        path, "rigaku_type", name, step_axis(path, name, start, step, count, stop), values,
        units="counts/s" if rate else "counts", attrs=attrs,
    )  # fmt: skip


FORMATS = (
    Format("rigaku_ras", "Rigaku RAS, text", (".ras",), ("xrd",), _sniff, read),
    Format("rigaku_type", "Rigaku *TYPE, text", (".asc", ".dat"), ("xrd",), _sniff_type, read_type),
)

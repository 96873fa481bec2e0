"""Philips and PANalytical: PC-APD scans (.rd .sd, binary), UDF (.udf, text), X'Pert tables (.csv).

RD: ``V3RD`` or ``V5RD``, little-endian; byte 85 anode (0 Cu, 1 Mo, 2 Fe, 3 Cr, else another; as
three open readers have it), float64 at 94, 102, 110 Ka1, Ka2 (angstrom) and their ratio, byte 126
continuous scan, float64 at 214, 222, 230 step, start, end (deg); from 250 (V5: 810) one uint16 p
per point, counts = p^2 / 100. That rounds counts by at most a tenth of their standard error. In a
continuous scan each point is the middle of its step.

UDF: ``Key, value, .../`` lines (``LabdaAlpha1``, ``LabdaAlpha2``, ``RatioAlpha21``,
``DataAngleRange``, ``ScanStepSize``), then ``RawScan`` and counts apart by commas up to ``/``.

CSV: ``[Measurement conditions]`` with ``K-Alpha1 wavelength`` (angstrom) and ``[Scan points]`` with
rows of angle, intensity (a third column is left out); by comma, semicolon or tab.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._xrd import WAVELENGTHS, pattern, step_axis
from .base import Format, Options, Regions, read_bytes, truncated

_ANODES = ("Cu", "Mo", "Fe", "Cr")


def _sniff_rd(head: bytes, path: Path) -> bool:
    return head[:4] in (b"V3RD", b"V5RD")


def _sniff_udf(head: bytes, path: Path) -> bool:
    return head.lstrip().startswith(b"SampleIdent")


def _sniff_csv(head: bytes, path: Path) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return text.startswith(b"[Measurement conditions]") or (
        path.suffix.lower() == ".csv" and b"[Scan points]" in head
    )


def read_rd(path: Path, options: Options) -> Regions:
    """Read a PC-APD scan.

    Raises
    ------
    FormatError
        If the file is too short for its scan.
    """
    data = read_bytes(path, limit=64 * 1024**2)
    first = 250 if data.startswith(b"V3") else 810
    if len(data) < first:
        raise truncated(path, len(data), first, "the header")
    step, start, end = struct.unpack_from("<ddd", data, 214)
    if not (np.isfinite([step, start, end]).all() and 0.0 < step < 10.0 and start < end <= 180.0):
        raise FormatError(
            f"{path.name}: a scan from {start:g} to {end:g} deg in steps of {step:g} cannot be; "
            "the file is damaged"
        )
    points = round((end - start) / step) + 1
    if data[126]:
        start, points = start + 0.5 * step, points - 1
    if first + 2 * points > len(data):
        raise truncated(path, len(data), first + 2 * points, f"{points} points")
    packed = np.frombuffer(data, "<u2", points, first).astype(float)
    attrs = _lines(data)
    x = start + step * np.arange(points)
    y = np.round(packed**2 / 100.0)
    return {path.stem: pattern(path, "philips_rd", path.stem, x, y, units="counts", attrs=attrs)}


def _lines(data: bytes) -> dict[str, Any]:
    """Anode and wavelengths of a scan; where both are told, the wavelength decides the anode."""
    one, two, ratio = struct.unpack_from("<ddd", data, 94)
    anode = _ANODES[data[85]] if data[85] < len(_ANODES) else None
    if 0.1 < one < 5.0:
        near = [a for a, (ka1, _) in WAVELENGTHS.items() if abs(one / ka1 - 1.0) < 2e-3]
        anode = near[0] if near else None
        attrs: dict[str, Any] = {"anode": anode, "wavelength_A": one}
        if one < two < 1.02 * one:
            attrs["wavelength_2_A"] = two
            if 0.0 < ratio <= 1.0:
                attrs["ratio_2"] = ratio
        elif anode:
            attrs["wavelength_2_A"] = WAVELENGTHS[anode][1]
        return attrs
    if anode is None:
        return {"anode": None}
    return {"anode": anode, "wavelength_A": WAVELENGTHS[anode][0],
            "wavelength_2_A": WAVELENGTHS[anode][1]}  # fmt: skip


def read_udf(path: Path, options: Options) -> Regions:
    """Read a UDF file.

    Raises
    ------
    FormatError
        If the scan is not told or its points are missing.
    """
    text = read_bytes(path, limit=256 * 1024**2).decode("latin-1")
    head, mark, body = text.partition("RawScan")
    if not mark or "/" not in body:
        raise FormatError(
            f"{path.name}: no RawScan that ends in '/': the file is truncated; copy it again"
        )
    told: dict[str, list[str]] = {}
    for line in head.splitlines():
        words = [w.strip() for w in line.rstrip().rstrip("/").split(",")]
        if len(words) > 1:
            told[words[0]] = [w for w in words[1:] if w]
    try:
        start, stop = (float(w) for w in told["DataAngleRange"][:2])
        step = float(told["ScanStepSize"][0])
        values = [float(w) for w in re.split(r"[,\s]+", body.partition("/")[0].strip()) if w]
    except (KeyError, ValueError, IndexError):
        raise FormatError(
            f"{path.name}: DataAngleRange, ScanStepSize or a count is missing or no number"
        ) from None
    if len(values) < 2:
        raise FormatError(f"{path.name}: {len(values)} counts: the file is truncated")
    x = step_axis(path, "RawScan", start, step, len(values), stop)
    attrs: dict[str, Any] = {"title": " ".join(told.get("SampleIdent", [])) or None}
    for key, name in (("LabdaAlpha1", "wavelength_A"), ("LabdaAlpha2", "wavelength_2_A"),
                      ("RatioAlpha21", "ratio_2")):  # fmt: skip
        attrs[name] = _number((told.get(key) or [""])[0])
    return {
        path.stem: pattern(path, "philips_udf", path.stem, x, values, units="counts", attrs=attrs)
    }


def read_csv(path: Path, options: Options) -> Regions:
    """Read an X'Pert table.

    Raises
    ------
    FormatError
        If there are no scan points or a row is not numbers.
    """
    data = read_bytes(path, limit=256 * 1024**2).removeprefix(b"\xef\xbb\xbf")
    lines = data.decode("latin-1").splitlines()
    first = next((i for i, line in enumerate(lines) if "[Scan points]" in line), None)
    if first is None:
        raise FormatError(f"{path.name}: no [Scan points]: the file is truncated")
    mark = next((m for m in (";", "\t") if any(m in x for x in lines[first + 1 : first + 4])), ",")
    told = {}
    for line in lines[:first]:
        key, _, value = line.partition(mark)
        told[key.strip().lower()] = value.strip().strip('"')
    rows: list[list[float | None]] = []
    for number, line in enumerate(lines[first + 1 :], first + 2):
        words = [w.strip() for w in line.split(mark)]
        if not line.strip() or (not rows and words[0].lower().startswith("angle")):
            continue
        pair = [_number(w) for w in words[:2]]
        if len(pair) < 2 or pair[0] is None or pair[1] is None:
            raise FormatError(f"{path.name}: line {number}: {line[:40]!r} is not a row of numbers")
        rows.append(pair)
    if len(rows) < 2:
        raise FormatError(f"{path.name}: {len(rows)} scan points: the file is truncated")
    attrs: dict[str, Any] = {"title": told.get("sample identification") or None}
    for key, name in (("k-alpha1 wavelength", "wavelength_A"),
                      ("k-alpha2 wavelength", "wavelength_2_A"),
                      ("ratio k-alpha2/k-alpha1", "ratio_2")):  # fmt: skip
        attrs[name] = _number(told.get(key, ""))
    table = np.array(rows, dtype=float)
    return {
        path.stem: pattern(
            path, "xpert_csv", path.stem, table[:, 0], table[:, 1], units="counts", attrs=attrs
        )
    }


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


FORMATS = (
    Format("philips_rd", "Philips RD, binary", (".rd", ".sd"), ("xrd",), _sniff_rd, read_rd),
    Format("philips_udf", "Philips UDF, text", (".udf",), ("xrd",), _sniff_udf, read_udf),
    Format("xpert_csv", "PANalytical X'Pert table", (".csv",), ("xrd",), _sniff_csv, read_csv),
)

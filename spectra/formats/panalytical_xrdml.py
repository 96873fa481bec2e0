"""PANalytical XRDML (.xrdml): one region per scan.

``xrdMeasurement/usedWavelength`` gives Ka1, Ka2 (angstrom) and their ratio; ``scan/dataPoints`` the
2Theta positions (start and end, or a list), ``commonCountingTime`` s, ``counts`` or ``intensities``
(both raw counts, the latter divided by attenuation), ``beamAttenuationFactors``. Counts are whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._xml import parse
from ._xrd import pattern
from .base import Format, Options, Regions, read_bytes

MAX_BYTES = 512 * 1024**2


def _sniff(head: bytes, path: Path) -> bool:
    return b"<xrdMeasurements" in head[:2000]


def _floats(path: Path, text: str | None, what: str) -> np.ndarray:
    try:
        return np.array((text or "").split(), dtype=float)
    except ValueError:
        raise FormatError(f"{path.name}: {what} holds something that is not a number") from None


def read(path: Path, options: Options) -> Regions:
    """Read every scan.

    Raises
    ------
    FormatError
        If the XML is cut or a scan has no 2Theta axis or no intensities.
    """
    root = parse(read_bytes(path, limit=MAX_BYTES), path.name)
    for element in root.iter():  # the namespace changes with the version, the names do not
        element.tag = str(element.tag).rsplit("}", 1)[-1]
    regions: dict[str, Any] = {}
    for measurement in root.iter("xrdMeasurement"):
        attrs = _wavelengths(path, measurement)
        for number, scan in enumerate(measurement.iter("scan"), 1):
            points = scan.find("dataPoints")
            if points is None:
                continue
            name = f"scan {len(regions) + 1}"
            regions[name] = _scan(path, name, points, attrs, number)
    if not regions:
        raise FormatError(f"{path.name}: no scan with data points")
    return regions


def _wavelengths(path: Path, measurement: Any) -> dict[str, Any]:
    used = measurement.find("usedWavelength")
    out: dict[str, Any] = {}
    if used is None:
        return out
    for tag, key in (("kAlpha1", "wavelength_A"), ("kAlpha2", "wavelength_2_A"),
                     ("ratioKAlpha2KAlpha1", "ratio_2")):  # fmt: skip
        value = used.findtext(tag)
        if value:
            out[key] = float(_floats(path, value, tag)[0])
    return out


def _scan(path: Path, name: str, points: Any, attrs: dict[str, Any], number: int) -> Any:
    counts_text = points.findtext("counts") or points.findtext("intensities")
    if counts_text is None:
        raise FormatError(f"{path.name}: {name}: no counts or intensities: the file may be cut")
    y = _floats(path, counts_text, f"{name}: counts")
    x = None
    for positions in points.findall("positions"):
        if positions.get("axis") == "2Theta":
            listed = positions.findtext("listPositions")
            if listed:
                x = _floats(path, listed, f"{name}: 2Theta")
            elif positions.findtext("startPosition"):
                ends = [
                    _floats(path, positions.findtext(t), t)
                    for t in ("startPosition", "endPosition")
                ]
                if ends[0].size == 1 and ends[1].size == 1:
                    x = np.linspace(float(ends[0][0]), float(ends[1][0]), y.size)
    if x is None or x.size != y.size:
        raise FormatError(
            f"{path.name}: {name}: no 2Theta positions for its {y.size} intensities; only 2Theta "
            "and Gonio scans are patterns"
        )
    factors = points.findtext("beamAttenuationFactors")
    if factors and points.findtext("counts") is None:
        f = _floats(path, factors, f"{name}: attenuation")
        if f.size == y.size and np.any(f != 1.0):
            y = np.round(y / f)
            attrs = {**attrs, "attenuation": "counts are raw, before the attenuation factors"}
    time = points.findtext("commonCountingTime")
    return pattern(
        path, "panalytical_xrdml", name, x, y, units="counts", attrs=attrs,
        time_per_step=float(_floats(path, time, "time")[0]) if time else None,
    )  # fmt: skip


FORMATS = (Format("panalytical_xrdml", "PANalytical XRDML", (".xrdml",), ("xrd",), _sniff, read),)

"""PANalytical XRDML (.xrdml, versions 1.0 to 2.3): one region per scan.

``xrdMeasurement/usedWavelength`` gives Ka1, Ka2 (angstrom) and their ratio; ``scan/dataPoints`` the
2Theta positions (start and end, or a list), ``commonCountingTime`` or ``countingTimes`` (s),
``beamAttenuationFactors`` or one ``commonBeamAttenuationFactor``, and either ``counts`` (2.x: raw,
before the attenuator's factor, which is applied here) or ``intensities`` (already after it). Where
an attenuator was in, errors follow the raw counts. Scans over one axis (repeated, in situ) are one
series in time, from three on. Scans of other axes (omega, phi, chi) are no patterns and left out
with their names; scans in which 2Theta stands still (``commonPosition``) are among these.
``incidentBeamPath`` gives the radius of the goniometer and the opening of a fixed divergence slit
(its ``angle``, or ``height`` and ``distanceToSample``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._xml import parse
from ._xrd import pattern, series
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
        If the XML is cut or no scan has a 2Theta axis and intensities.
    """
    root = parse(read_bytes(path, limit=MAX_BYTES), path.name)
    for element in root.iter():  # the namespace changes with the version, the names do not
        element.tag = str(element.tag).rsplit("}", 1)[-1]
    regions: dict[str, Any] = {}
    other: list[str] = []
    for measurement in root.iter("xrdMeasurement"):
        attrs = {**_wavelengths(path, measurement), **_geometry(measurement)}
        for scan in measurement.iter("scan"):
            points = scan.find("dataPoints")
            if points is None:
                continue
            name = f"scan {len(regions) + 1}"
            began = scan.findtext("header/startTimeStamp")
            told = {**attrs, "started": began.strip() if began else None}
            found = _scan(path, name, points, told)
            if found is None:
                other.append(scan.get("scanAxis", "?"))
            else:
                regions[name] = found
    if not regions and other:
        raise FormatError(
            f"{path.name}: scans over {', '.join(sorted(set(other)))}; only scans over 2Theta "
            "(Gonio, 2Theta, 2Theta-Omega) are patterns"
        )
    if not regions:
        raise FormatError(f"{path.name}: no scan with data points")
    return series(path, regions)


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


def _geometry(measurement: Any) -> dict[str, float]:
    """Radius of the goniometer (mm) and opening of a fixed divergence slit (deg), where told."""
    out: dict[str, float] = {}
    beam = measurement.find("incidentBeamPath")
    if beam is None:
        return out

    def number(place: str) -> float | None:
        try:
            value = float(beam.findtext(place) or "nan")
        except ValueError:
            return None
        return value if np.isfinite(value) and value > 0.0 else None

    radius = number("radius")
    if radius is not None:
        out["goniometer_radius_mm"] = radius
    angle, height = number("divergenceSlit/angle"), number("divergenceSlit/height")
    away = number("divergenceSlit/distanceToSample")
    if angle is not None:
        out["divergence_deg"] = angle
    elif height is not None and away is not None and radius is not None and away < radius:
        # the slit stands between focus and sample
        out["divergence_deg"] = float(np.degrees(np.arctan(height / (radius - away))))
    return out


def _scan(path: Path, name: str, points: Any, attrs: dict[str, Any]) -> Any:
    """Return a scan as a pattern, None if 2Theta does not move in it."""
    raw = points.findtext("counts")
    text = raw or points.findtext("intensities")
    if not text or not text.strip():
        raise FormatError(f"{path.name}: {name}: no counts or intensities: the file may be cut")
    y = _floats(path, text, f"{name}: counts")
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
    if x is None or np.ptp(x) == 0.0:
        return None
    if x.size != y.size:
        raise FormatError(
            f"{path.name}: {name}: {x.size} positions of 2Theta for {y.size} intensities: the file "
            "is damaged"
        )
    factors = points.findtext("beamAttenuationFactors") or points.findtext(
        "commonBeamAttenuationFactor"
    )
    factor = _floats(path, factors or "1", f"{name}: attenuation")
    if factor.size not in (1, y.size) or not np.all(factor > 0):
        raise FormatError(
            f"{path.name}: {name}: {factor.size} attenuation factors for {y.size} intensities"
        )
    factor = np.broadcast_to(factor, y.shape)
    if raw:
        y = y * factor
    elif np.any(factor != 1.0):
        y = np.round(y / factor) * factor  # the file rounds after the factor
    time = points.findtext("commonCountingTime") or points.findtext("countingTimes")
    spent = _floats(path, time, "time") if time else None
    if spent is not None and spent.size > 1 and np.ptp(spent) > 0.0:
        if spent.size != y.size or not np.all(spent > 0):
            raise FormatError(f"{path.name}: {name}: {spent.size} counting times, {y.size} points")
        # Points of longer times would stand out as peaks: all are brought to the shortest.
        factor = factor * spent.min() / spent
        y = y * spent.min() / spent
    return pattern(
        path, "panalytical_xrdml", name, x, y, units="counts", attrs=attrs, attenuation=factor,
        time_per_step=float(spent.min()) if spent is not None and spent.size else None,
    )  # fmt: skip


FORMATS = (Format("panalytical_xrdml", "PANalytical XRDML", (".xrdml",), ("xrd",), _sniff, read),)

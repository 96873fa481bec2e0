"""Powder patterns against two-theta: what all their readers share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..convention import spectrum
from ..errors import FormatError
from .base import source


def pattern(
    path: Path,
    format_name: str,
    region: str,
    two_theta: npt.ArrayLike,
    intensity: npt.ArrayLike,
    *,
    units: str,
    attrs: Mapping[str, Any] | None = None,
    uncertainty: npt.ArrayLike | None = None,
    time_per_step: float | None = None,
    attenuation: npt.ArrayLike | None = None,
) -> xr.Dataset:
    """Make the Spectrum of one powder pattern.

    Parameters
    ----------
    path : Path
    format_name, region : str
    two_theta, intensity : array_like
        Degree; counts or a rate.
    units : str
        ``"counts"`` (whole numbers become integers), ``"counts/s"`` or ``"1"``.
    attrs : mapping, optional
        ``wavelength_A`` (of Ka1), ``wavelength_2_A`` and ``ratio_2`` (Ka2) where known; None
        is left out.
    uncertainty : array_like, optional
        Standard errors as reported by the file.
    time_per_step : float, optional
        s.
    attenuation : array_like, optional
        Factor of a beam attenuator per point. ``intensity`` holds the counts times it; where it
        is not 1 throughout, standard errors are those of the counts times it.

    Returns
    -------
    xr.Dataset

    Raises
    ------
    FormatError
        If lengths differ or angles are not ordinary ones.
    """
    x, y = np.asarray(two_theta, float), np.asarray(intensity, float)
    if x.shape != y.shape or x.ndim != 1 or x.size < 2:
        raise FormatError(f"{path.name}: {x.size} angles, {y.size} intensities; a pattern has two "
                          "or more of both")  # fmt: skip
    if not (np.all(np.isfinite(x)) and np.all(np.isfinite(y))):
        raise FormatError(f"{path.name}: holds values that are not finite")
    if np.abs(y).max() > 1e15:
        raise FormatError(
            f"{path.name}: an intensity of {np.abs(y).max():.3g}: the file is damaged"
        )
    if x.min() < -180.0 or x.max() > 180.0:
        raise FormatError(f"{path.name}: two-theta runs {x.min():g} to {x.max():g} deg; allowed: "
                          "-180 to 180")  # fmt: skip
    origin = "reported"
    factor = np.ones_like(y) if attenuation is None else np.asarray(attenuation, float)
    if factor.shape != y.shape or not np.all(factor > 0.0):
        raise FormatError(f"{path.name}: {factor.size} attenuation factors, not all above 0, for "
                          f"{y.size} intensities")  # fmt: skip
    told = {k: v for k, v in (attrs or {}).items() if v is not None}
    if np.any(factor != 1.0):
        uncertainty = np.sqrt(np.maximum(y / factor, 1.0)) * factor
        units, origin = "1", "counts behind the attenuator"
        told["attenuation"] = (
            f"points behind an attenuator are counts times its factor (up to {factor.max():g})"
        )
    if units == "counts":
        whole = np.round(y)
        if np.array_equal(whole, y):
            y = whole.astype(np.int64)
        else:
            units = "1"
    told["calibration"] = "two-theta of the goniometer as recorded"
    if time_per_step:
        told["time_per_step_s"] = float(time_per_step)
    ds = spectrum(
        y,
        x,
        technique="xrd",
        axis_name="two_theta",
        units=units,
        attrs=told,
        source=source(path, format_name, region),
    )
    if uncertainty is not None:
        error = np.asarray(uncertainty, float)
        error = error[::-1] if x[-1] < x[0] else error
        ds["uncertainty"] = ("two_theta", error, {"units": units, "origin": origin})
    return ds


SERIES = 3
"""From this number on, scans over one axis are a series and not regions of their own."""


def series(path: Path, found: Mapping[str, xr.Dataset], name: str = "") -> dict[str, xr.Dataset]:
    """Join scans over one two-theta axis to a series; scans that differ stay apart.

    Parameters
    ----------
    path : Path
        For its name.
    found : mapping of str to xr.Dataset
        Of `pattern`, in the order measured; attrs ``started`` (ISO 8601) where known.
    name : str
        Of the joint region; the file's by default.

    Returns
    -------
    dict of str to xr.Dataset
        One region along ``time`` (s since the first scan, if all say when they began, one after
        the other) or ``scan`` (counted from 1); or `found` itself.
    """
    parts = list(found.values())
    if len(parts) < SERIES or not _alike(parts):
        return dict(found)
    began = [_seconds(p.attrs.get("started")) for p in parts]
    outer: dict[str, np.ndarray] = {"scan": np.arange(1, len(parts) + 1)}
    if None not in began:
        time = np.array(began, float) - np.nanmin(np.array(began, float))
        order = np.argsort(time, kind="stable")
        if np.all(np.diff(time[order]) > 0):
            parts, outer = [parts[i] for i in order], {"time": time[order]}
    first = parts[0]
    attrs = {k: v for k, v in first.attrs.items() if k not in ("convention", "technique", "source",
                                                               "history", "region")}  # fmt: skip
    label = name or path.stem or path.name
    ds = spectrum(
        np.stack([p["intensity"].values for p in parts]),
        first["two_theta"].values,
        technique="xrd",
        axis_name="two_theta",
        units=str(first["intensity"].attrs["units"]),
        outer=outer,
        attrs=attrs,
        source=source(path, json.loads(str(first.attrs["source"]))[0]["format"], label),
    )
    if all("uncertainty" in p for p in parts):
        ds["uncertainty"] = (
            ds["intensity"].dims,
            np.stack([p["uncertainty"].values for p in parts]),
            dict(first["uncertainty"].attrs),
        )
    return {label: ds}


def _alike(parts: list[xr.Dataset]) -> bool:
    first = parts[0]
    for p in parts[1:]:
        x, y = p["two_theta"].values, first["two_theta"].values
        if x.shape != y.shape or np.max(np.abs(x - y)) > 1e-3:
            return False
        if p["intensity"].attrs["units"] != first["intensity"].attrs["units"]:
            return False
        # ten times the time per step is ten times the counts of the same sample
        if p.attrs.get("time_per_step_s") != first.attrs.get("time_per_step_s"):
            return False
        if ("uncertainty" in p) != ("uncertainty" in first):
            return False
        if p.attrs.get("wavelength_A") != first.attrs.get("wavelength_A"):
            return False
    return True


def _seconds(text: object) -> float | None:
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return when.replace(tzinfo=when.tzinfo or UTC).timestamp()


def step_axis(
    path: Path, what: str, start: float, step: float, points: int, stop: float | None = None
) -> npt.NDArray[np.float64]:
    """Return the angles of a scan told by start and step.

    Raises
    ------
    FormatError
        If they cannot be, or a stated end is not where the points end.
    """
    if not (np.isfinite(start) and np.isfinite(step) and 0.0 < abs(step) < 10.0):
        raise FormatError(f"{path.name}: {what}: a scan from {start:g} deg in steps of {step:g} "
                          "deg cannot be; the file is damaged")  # fmt: skip
    end = start + step * (points - 1)
    if stop is not None and abs(end - stop) > max(1.5 * abs(step), 1e-4 * abs(stop)):
        raise FormatError(
            f"{path.name}: {what}: {points} points from {start:g} deg in steps of {step:g} end at "
            f"{end:g}, the header says {stop:g}: the file is truncated or damaged"
        )
    return np.asarray(start + step * np.arange(points))


WAVELENGTHS = {
    "Cu": (1.5405929, 1.5444274),
    "Co": (1.7889960, 1.7928350),
    "Mo": (0.7093172, 0.7136070),
    "Cr": (2.2897260, 2.2936510),
    "Fe": (1.9360410, 1.9399730),
    "Ag": (0.5594214, 0.5638131),
}
"""Ka1 and Ka2 in angstrom (G. Hoelzer et al., Phys. Rev. A 56 (1997) 4554; R. D. Deslattes et al.,
Rev. Mod. Phys. 75 (2003) 35)."""

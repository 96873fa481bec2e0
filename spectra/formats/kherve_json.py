"""KherveFitting models (.json): data, background and fitted peaks of every core level.

``Core levels`` maps a name to binding energies ``B.E.`` (descending), ``Raw Data`` (counts per
second as the program got them), ``Background`` (type, limits and curve) and ``Fitting`` (peaks by
name with position, height, FWHM, L/G share in percent, area, model). The data become a Spectrum in
``1`` (the file does not say what the numbers are), the curve ``reported_background``, and the peaks
attrs ``reported_peaks`` (JSON). Uncertainties: none in the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import FormatError
from ._xps import region, region_name, unique, with_reference_lines
from .base import Format, Options, Regions, read_bytes

_KEPT = ("Position", "Height", "FWHM", "L/G", "Area", "Sigma", "Gamma", "Skew", "Fitting Model")


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is a JSON object that counts core levels."""
    return head.lstrip()[:1] == b"{" and b'"Core levels"' in head and b'"B.E."' in head


def read(path: Path, options: Options) -> Regions:
    """Read all core levels."""
    raw = read_bytes(path, limit=256 * 1024**2)
    try:
        model = json.loads(raw.decode("utf-8-sig"))
        levels = model["Core levels"]
        names = list(levels)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"{path.name}: not a KherveFitting model ({error}); truncated?") from None
    regions: dict[str, xr.Dataset] = {}
    for key in names:
        name = unique(region_name(str(key)), regions)
        place = f"{path.name}, core level {key!r}"
        try:
            level = levels[key]
            x, y = (np.array(level[k], dtype=float) for k in ("B.E.", "Raw Data"))
            ground = level.get("Background") or {}
            peaks = ((level.get("Fitting") or {}).get("Peaks")) or {}
            kept = {str(n): {k: p.get(k) for k in _KEPT} for n, p in peaks.items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(f"{place}: {error} is missing or not a list of numbers") from None
        if x.ndim != 1 or x.shape != y.shape:
            raise FormatError(f"{place}: {x.size} energies for {y.size} values")
        extra: dict[str, tuple[tuple[str, ...], Any, str]] = {}
        curve = ground.get("Bkg Y")
        if kept and isinstance(curve, list) and len(curve) == x.size:
            extra["reported_background"] = (("binding_energy",), _curve(place, curve), "1")
        attrs = {"background_type": str(ground.get("Bkg Type", ""))}
        if kept:
            attrs["reported_peaks"] = json.dumps(kept, ensure_ascii=False)
        regions[name] = region(path, "kherve_json", name, x, y, units="1", attrs=attrs, extra=extra)
    if not regions:
        raise FormatError(f"{path.name}: no core level in it")
    return with_reference_lines(regions)


def _curve(place: str, values: list[Any]) -> np.ndarray:
    try:
        return np.array(values, dtype=float)
    except (TypeError, ValueError):
        raise FormatError(f"{place}: the background is not a list of numbers") from None


FORMATS = (
    Format(
        name="kherve_json",
        title="KherveFitting model (.json)",
        suffixes=(".json",),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

"""What readers of XPS files share: region names, unique labels, spectra, reference lines."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..convention import spectrum
from ..errors import CalibrationError, ConventionError, FormatError
from .base import source

_LEVEL = re.compile(r"^([A-Z][a-z]?) ?([1-7][spdf])(.*)$", re.DOTALL)
_REFERENCES = ("C 1s", "Au 4f", "Ag 3d", "Cu 2p")


def region_name(text: str) -> str:
    """Write a core level with a space (``Bi4f`` -> ``Bi 4f``); other names stay."""
    match = _LEVEL.match(text.strip())
    if not match or match[1] == "Su" or (match[3] and match[3][0].isalpha()):
        return text.strip()
    rest = match[3]
    return f"{match[1]} {match[2]}{rest}".strip()


def unique(name: str, taken: Iterable[str]) -> str:
    """Return the name, numbered if it is taken: repeats are kept apart, never merged."""
    known, base, number = set(taken), name or "region", 2
    name = base
    while name in known:
        name, number = f"{base} #{number}", number + 1
    return name


def counted(rate: npt.ArrayLike, seconds: float) -> bool:
    """Whether rates times the counting time are whole numbers: then counting errors hold."""
    if not seconds > 0:
        return False
    product = np.asarray(rate, dtype=float) * seconds
    return bool(
        np.all(np.isfinite(product))
        and np.all(product >= 0)
        and np.all(np.abs(product - np.round(product)) <= 1e-3 + 2e-6 * product)
    )


def unknown(value: Any) -> bool:
    """Whether a value says nothing: absent, not a number, or VAMAS's 1e37."""
    if isinstance(value, (float, np.floating)):
        return not abs(float(value)) < 1e36
    return value is None or (isinstance(value, str) and not value)


def region(
    path: Path,
    format_name: str,
    name: str,
    energy: npt.ArrayLike,
    intensity: npt.ArrayLike,
    *,
    units: str,
    attrs: Mapping[str, Any] | None = None,
    seconds: float = 0.0,
    outer: Mapping[str, npt.ArrayLike] | None = None,
    extra: Mapping[str, tuple[tuple[str, ...], npt.ArrayLike, str]] | None = None,
) -> xr.Dataset:
    """Make the Spectrum of one region.

    Whole counts become integers. Rates stay what the file holds; where they are counts over the
    stated time, their counting error goes into ``uncertainty``.

    Parameters
    ----------
    path : Path
    format_name, name : str
        For the provenance.
    energy : array_like, shape (N,)
        Binding energies, eV.
    intensity : array_like, shape (*outer, N)
    units : str
    attrs : mapping, optional
        Empty values are left out.
    seconds : float
        Counting time per point, 0 where the file states none.
    outer, extra
        As in `spectra.convention.spectrum`.

    Returns
    -------
    xr.Dataset

    Raises
    ------
    FormatError
        If axis and intensity do not go together.
    """
    y = np.asarray(intensity)
    x = np.asarray(energy, dtype=float)
    place = f"{path.name}, region {name!r}"
    if y.ndim < 1 or y.shape[-1] != x.size or x.size < 2:
        raise FormatError(f"{place}: {x.size} energies for {y.shape} values")
    if not np.all(np.abs(x) < 1e9):
        raise FormatError(f"{place}: energies that are not finite")
    whole = y.dtype.kind == "f" and np.all(abs(y) < 1e15) and np.all(y == np.round(y))
    if units == "counts" and whole:
        y = y.astype(np.int64)
    kept = {k: v for k, v in (attrs or {}).items() if not unknown(v)}
    if seconds > 0:
        kept["counting_time_s"] = float(seconds)
    more = dict(extra or {})
    try:
        ds = spectrum(
            y,
            x,
            technique="xps",
            axis_name="binding_energy",
            units=units,
            outer=outer,
            extra=more,
            attrs={"region": name, **kept},
            source=source(path, format_name, name),
        )
    except (ConventionError, ValueError) as error:
        raise FormatError(f"{place}: {error}") from None
    if units == "counts/s" and counted(y, seconds):
        rate = ds["intensity"].values
        sigma = np.sqrt(np.maximum(rate * seconds, 1.0)) / seconds
        ds["uncertainty"] = (
            ds["intensity"].dims,
            sigma,
            {"units": "counts/s", "origin": "counting"},
        )
    return ds


def with_reference_lines(regions: dict[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Note where C 1s (Au 4f, ...) lies in each sample's regions, for charge referencing.

    The strongest line of those regions is fitted, of a series that of its mean; attrs
    ``reference_lines`` of all regions of the sample hold ``{"C 1s": [position, error]}`` as JSON. A
    region in which nothing stands out is passed over.

    Parameters
    ----------
    regions : dict of str to xr.Dataset

    Returns
    -------
    dict of str to xr.Dataset
        The same datasets.
    """
    from ..techniques._xps_calibrate import strongest_line

    found: dict[str, dict[str, list[float]]] = {}
    for ds in regions.values():
        level = next((n for n in _REFERENCES if str(ds.attrs.get("region", "")).startswith(n)), "")
        sample = str(ds.attrs.get("sample", ""))
        if not level or level in found.get(sample, {}):
            continue
        if not 0 < ds.sizes.get("binding_energy", 0) <= 2000:
            continue
        y = ds["intensity"].mean(ds["intensity"].dims[:-1]).values.astype(float)
        if not np.all(np.abs(y) < 1e30):
            continue
        try:
            at = strongest_line(ds["binding_energy"].values, y)
        except (CalibrationError, ValueError):
            continue
        found.setdefault(sample, {})[level] = [round(v, 5) for v in at]
    for ds in regions.values():
        known = found.get(str(ds.attrs.get("sample", "")))
        if known:
            ds.attrs["reference_lines"] = json.dumps(known)
    return regions


def decimal(text: str, path: Path, line: int, what: str) -> float:
    """Read a number of a text file.

    Raises
    ------
    FormatError
        Naming the line.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise FormatError(
            f"{path.name}: line {line}: {what} is {text.strip()[:40]!r}, not a number"
        )
    return number


def stated(path: Path, about: Mapping[str, str], key: str) -> float:
    """Return a number of a header, its unit left out; 0 where it is absent.

    Raises
    ------
    FormatError
        If it is there and no number.
    """
    words = about.get(key, "").split()
    if not words:
        return 0.0
    try:
        value = float(words[0])
    except ValueError:
        value = math.nan
    if not abs(value) < 1e12:
        raise FormatError(f"{path.name}: {key} is {about[key][:40]!r}, not a number")
    return value

"""What every NMR reader does the same way: from arrays and a few numbers to a Spectrum.

One sign convention for raw signals: a line at higher frequency (higher ppm) than the carrier turns
as ``exp(+i 2 pi f t)``. Readers conjugate where an instrument writes the other sign, so processing
never needs to know the vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..convention import Source, spectrum
from ..errors import FormatError

MAX_POINTS = 1 << 28
"""More than any instrument writes; larger claims in a header are refused before allocation."""


def shift_axis(points: int, first_ppm: float, width_Hz: float, reference_MHz: float) -> npt.NDArray:
    """Descending chemical-shift axis of ``points`` points, the first at ``first_ppm`` (in ppm)."""
    return first_ppm - np.arange(points) * (width_Hz / reference_MHz / points)


def carrier_axis(
    points: int, width_Hz: float, carrier_MHz: float, reference_MHz: float
) -> npt.NDArray:
    """Ascending shift axis (ppm) of a shifted FFT: ``(carrier - reference + f) / reference``."""
    f = (np.arange(points) - points // 2) * (width_Hz / points)
    return ((carrier_MHz - reference_MHz) * 1e6 + f) / reference_MHz


def processed(
    data: npt.NDArray,
    axis_ppm: npt.NDArray,
    *,
    attrs: Mapping[str, Any],
    source: Source,
    outer: Mapping[str, npt.ArrayLike] | None = None,
    coords: Mapping[str, tuple[tuple[str, ...], npt.ArrayLike, str]] | None = None,
    extra: Mapping[str, tuple[tuple[str, ...], npt.ArrayLike, str]] | None = None,
) -> xr.Dataset:
    """Make a Spectrum on chemical shift; a complex array is split in real and imaginary part."""
    return _made(data, axis_ppm, "chemical_shift", attrs, source, outer, coords, extra)


def raw(
    data: npt.NDArray,
    dwell_s: float,
    *,
    attrs: Mapping[str, Any],
    source: Source,
    outer: Mapping[str, npt.ArrayLike] | None = None,
    coords: Mapping[str, tuple[tuple[str, ...], npt.ArrayLike, str]] | None = None,
    extra: Mapping[str, tuple[tuple[str, ...], npt.ArrayLike, str]] | None = None,
) -> xr.Dataset:
    """Make a Spectrum on acquisition time from a complex signal.

    ``attrs`` must hold what the Fourier transform needs: ``carrier_MHz``, ``reference_MHz``,
    ``spectral_width_Hz``, and ``group_delay_points`` where a digital filter delays the signal.
    """
    t = np.arange(data.shape[-1]) * dwell_s
    return _made(data, t, "acquisition_time", attrs, source, outer, coords, extra)


def _made(
    data: npt.NDArray,
    axis: npt.NDArray,
    axis_name: str,
    attrs: Mapping[str, Any],
    source: Source,
    outer: Mapping[str, npt.ArrayLike] | None,
    coords: Mapping[str, tuple[tuple[str, ...], npt.ArrayLike, str]] | None,
    extra: Mapping[str, tuple[tuple[str, ...], npt.ArrayLike, str]] | None,
) -> xr.Dataset:
    dims = (*(outer or {}), axis_name)
    extra = dict(extra or {})
    if np.iscomplexobj(data):
        extra["intensity_im"] = (dims, np.ascontiguousarray(data.imag), "1")
        data = np.ascontiguousarray(data.real)
    if not np.all(np.isfinite(data)):
        raise FormatError(f"{source.file}: the data hold values that are not finite")
    kept = {k: v for k, v in attrs.items() if v is not None and v != ""}
    return spectrum(
        data,
        axis,
        technique="nmr",
        axis_name=axis_name,
        units="1",
        outer=outer,
        coords=coords,
        extra=extra,
        attrs=kept,
        source=source,
    )


def utc(epoch_s: float) -> str:
    """ISO 8601 text of a time in seconds since 1970 (UTC)."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat()


def nucleus_name(text: str) -> str:
    """Return ``31P`` for ``31P``, ``P31``, ``Phosphorus31``, ``^{31}P``; else the text itself."""
    from re import fullmatch

    plain = text.strip().strip("<>").replace("^", "").replace("{", "").replace("}", "")
    if match := fullmatch(r"(\d{1,3})\s*-?\s*([A-Z][a-z]?)", plain):
        return match[1] + match[2]
    if match := fullmatch(r"([A-Z][a-z]?)\s*-?\s*(\d{1,3})", plain):
        return match[2] + match[1]
    if match := fullmatch(r"([A-Za-z]+)\s*-?\s*(\d{1,3})", plain):
        symbol = _NAMES.get(match[1].lower())
        if symbol:
            return match[2] + symbol
    if plain.lower() in {"proton", "deuterium"}:
        return {"proton": "1H", "deuterium": "2H"}[plain.lower()]
    return plain


_NAMES = {
    "hydrogen": "H", "proton": "H", "lithium": "Li", "boron": "B", "carbon": "C", "nitrogen": "N",
    "oxygen": "O", "fluorine": "F", "sodium": "Na", "magnesium": "Mg", "aluminum": "Al",
    "aluminium": "Al", "silicon": "Si", "phosphorus": "P", "sulfur": "S", "chlorine": "Cl",
    "potassium": "K", "vanadium": "V", "cobalt": "Co", "rubidium": "Rb", "yttrium": "Y",
    "niobium": "Nb", "tin": "Sn", "cesium": "Cs", "caesium": "Cs", "lanthanum": "La",
    "platinum": "Pt", "lead": "Pb", "deuterium": "H", "selenium": "Se", "cadmium": "Cd",
    "mercury": "Hg", "thallium": "Tl", "germanium": "Ge", "gallium": "Ga", "scandium": "Sc",
    "titanium": "Ti", "zinc": "Zn", "copper": "Cu", "bromine": "Br", "iodine": "I",
}  # fmt: skip

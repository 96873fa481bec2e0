"""Multichannel spectra: what all their readers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..convention import Source, spectrum
from ..errors import FormatError, TechniqueNeeded
from .base import Options

TECHNIQUES = ("edxrd", "ndp")


def technique_of(options: Options, default: str | None = None) -> str:
    """Return what was measured: as told, or what the content says.

    Raises
    ------
    TechniqueNeeded
        If neither does.
    """
    technique = options.technique or default
    if technique is None:
        raise TechniqueNeeded("a multichannel spectrum does not say what was measured")
    return technique


def usable(scale: Sequence[float] | None) -> tuple[float, float, float] | None:
    """Return (c0, c1, c2) if it can be an energy scale; (0, 1, 0) and the like are none."""
    if scale is None or len(scale) < 2:
        return None
    c = [float(x) for x in scale[:3]] + [0.0] * (3 - min(len(scale), 3))
    if not all(np.isfinite(c)) or c[1] == 0.0 or c == [0.0, 1.0, 0.0]:
        return None
    return c[0], c[1], c[2]


def mca(
    counts: npt.ArrayLike,
    *,
    technique: str,
    source: Source,
    scale: Sequence[float] | None = None,
    first_channel: int = 0,
    outer: Mapping[str, npt.ArrayLike] | None = None,
    coords: Mapping[str, tuple[tuple[str, ...], npt.ArrayLike, str]] | None = None,
    live_time: npt.ArrayLike | None = None,
    real_time: npt.ArrayLike | None = None,
    two_theta_deg: float | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Make the Spectrum of a multichannel analyser.

    The header's energy scale (keV) makes the axis of an EDXRD spectrum, for the eye: attrs
    ``calibration`` stays unset. Without a usable scale, and for charged particles, the axis is the
    channel number.

    Parameters
    ----------
    counts : array_like
        Shape ``(*outer, channel)``.
    technique : str
        ``"edxrd"`` or ``"ndp"``.
    source : Source
    scale : sequence of float, optional
        c0, c1, c2 of the header, keV.
    first_channel : int
        Number of the first channel.
    outer, coords, attrs
        As in `spectra.convention.spectrum`.
    live_time, real_time : array_like, optional
        Seconds, of the shape of the outer dims; zeros are taken as unknown.
    two_theta_deg : float, optional
        The header's angle, kept as attrs ``header_two_theta_deg``.

    Returns
    -------
    xr.Dataset
    """
    data = np.asarray(counts)
    if data.ndim < 1 or data.shape[-1] < 2:
        raise FormatError(f"{source.file}: {data.shape[-1:]} channels; two are the least")
    channel = np.arange(first_channel, first_channel + data.shape[-1])
    good = usable(scale)
    told: dict[str, Any] = dict(attrs or {})
    if good is not None:
        told.update({f"header_c{i}_keV": c for i, c in enumerate(good)})
    if two_theta_deg is not None and np.isfinite(two_theta_deg) and two_theta_deg > 0.0:
        told["header_two_theta_deg"] = float(two_theta_deg)
    names = tuple(outer or {})
    extra: dict[str, tuple[tuple[str, ...], npt.ArrayLike, str]] = {}
    for name, value in (("live_time", live_time), ("real_time", real_time)):
        if value is None:
            continue
        array = np.asarray(value, float)
        if array.shape == data.shape[:-1] and np.any(array > 0.0):
            extra[name] = (names, np.where(array > 0.0, array, np.nan), "s")
    energy = None
    if technique == "edxrd" and good is not None:
        energy = np.polynomial.polynomial.polyval(channel.astype(float), good)
        if np.any(np.diff(energy) <= 0.0):
            energy = None
    more = dict(coords or {})
    if energy is not None:
        more["channel"] = (("photon_energy",), channel, "1")
    return spectrum(
        data,
        channel if energy is None else energy,
        technique=technique,
        axis_name="channel" if energy is None else "photon_energy",
        units="counts",
        outer=outer,
        coords=more,
        extra=extra,
        attrs=told,
        source=source,
    )


def as_counts(values: npt.NDArray[np.float64], path: Path) -> npt.NDArray[Any]:
    """Return whole numbers as int64, others as they are.

    Raises
    ------
    FormatError
        If a value is negative or not finite.
    """
    if not np.all(np.isfinite(values)):
        raise FormatError(f"{path.name}: counts hold values that are not finite")
    if values.size and values.min() < 0:
        raise FormatError(f"{path.name}: counts hold negative values ({values.min():g})")
    whole = np.round(values)
    return whole.astype(np.int64) if np.array_equal(whole, values) else values

"""Corrections of EDXRD: dead time flagged, incident spectrum from a standard, ranges masked."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..convention import where
from ..errors import CalibrationError, ConventionError
from ._edxrd_calibrate import total
from ._edxrd_peaks import fit_peak
from ._edxrd_physics import Detector, Incident, phase_lines
from .base import Settings

Array = npt.NDArray[np.float64]


class DeadTime(Settings):
    """Dead time of each spectrum, and what to do with those above the limit."""

    limit: float = Field(
        0.10, gt=0, lt=1, description="share of dead time above which lines shift and pile up"
    )
    above: Literal["flag", "mask"] = Field(
        "flag", description="flag such spectra in the variable dead_time_flag, or mask them"
    )


class IncidentSpectrum(Settings):
    """Incident spectrum times absorption and efficiency, as a smooth positive function."""

    species: str = Field(
        "",
        description="standard or pure phase that this spectrum is of; its lines give the function",
    )
    energy: tuple[float, ...] = Field((), description="knots given instead, keV")
    value: tuple[float, ...] = Field((), description="values at the knots, per unit energy")
    degree: int = Field(3, ge=1, le=5, description="degree of ln(value) in ln(E) through the lines")


class Mask(Settings):
    """Ranges of energy that do not count."""

    ranges: tuple[tuple[float, float], ...] = Field(description="(low, high) in keV")


class PileUp(Settings):
    """Sums of two photons that the electronics take for one."""

    resolving_us: float = Field(
        gt=0, description="time within which two photons are one, microseconds"
    )


def pile_up(ds: xr.Dataset, settings: PileUp) -> xr.Dataset:
    """Add the expected sum spectrum to the static ``background``.

    ``p / 2 * (N * N) / sum(N)`` with the spectrum N folded with itself and ``p = 1 - exp(-rate
    t)``, rate = counts over live time; first order, good while p is small. The sum of two photons
    of a line lies exactly on (2h 2k 2l). Counts lost from the lines (a share p of all) are not put
    back: they do not change ratios.

    Raises
    ------
    ConventionError
        If the axis is not an energy or the live time is not known.
    """
    if "photon_energy" not in ds["intensity"].dims or "live_time" not in ds:
        raise ConventionError(
            f"{where(ds)}: pile-up needs counts on photon_energy and the variable live_time (s); "
            "calibrate first and assign live_time if you know it"
        )
    from scipy.signal import fftconvolve

    x = ds["photon_energy"].values
    step = float(np.median(np.diff(x)))
    grid = np.arange(0.0, float(x[-1]) + step, step)
    width = np.gradient(x)
    shape = ds["intensity"].shape
    counts = np.nan_to_num(ds["intensity"].values.astype(float)).reshape(-1, x.size)
    live = np.broadcast_to(ds["live_time"].values, shape[:-1]).reshape(-1)
    out = np.zeros_like(counts)
    for k, row in enumerate(counts):
        total = row.sum()
        if not total > 0.0 or not live[k] > 0.0:
            continue
        even = np.interp(grid, x, row / width, left=0.0, right=0.0) * step
        pairs = np.clip(fftconvolve(even, even)[: grid.size], 0.0, None)
        share = -np.expm1(-total / live[k] * settings.resolving_us * 1e-6)
        out[k] = 0.5 * share / total * np.interp(x, grid, pairs / step) * width
    made = ds.copy(deep=False)
    before = ds.get("background", 0.0)
    made["background"] = (ds["intensity"] * 0.0 + out.reshape(shape) + before).assign_attrs(
        units=ds["intensity"].attrs["units"], long_name="sums of two photons"
    )
    return made


def dead_time(ds: xr.Dataset, settings: DeadTime) -> xr.Dataset:
    """Add ``dead_time`` (share of the real time) and flag spectra above the limit.

    Live time makes up for lost counts, not for pile-up: above about 10 % the lines move (400 ppm at
    107 keV) and sums of strong lines appear. Counts are not changed.

    Raises
    ------
    ConventionError
        If live and real time are not known.
    """
    if "live_time" not in ds or "real_time" not in ds:
        raise ConventionError(
            f"{where(ds)}: dead time needs the variables live_time and real_time (s); the file has "
            "none, assign them if you know them"
        )
    share = 1.0 - ds["live_time"] / ds["real_time"]
    out = ds.copy(deep=False)
    out["dead_time"] = share.assign_attrs(units="1", long_name="share of real time")
    high = (share > settings.limit).astype(np.uint8)
    out["dead_time_flag"] = high.assign_attrs(
        flag_values=np.array([0, 1], np.uint8), flag_meanings="ok above_limit"
    )
    if settings.above == "mask":
        out = _masked(out, ~(share > settings.limit))
    return out


def _masked(ds: xr.Dataset, keep: xr.DataArray) -> xr.Dataset:
    before = ds["valid"] if "valid" in ds else xr.ones_like(ds["intensity"], dtype=bool)
    valid = (before & keep).transpose(
        *[d for d in ds["intensity"].dims if d in (before & keep).dims]
    )
    ds = ds.copy(deep=False)
    ds["valid"] = valid.assign_attrs(
        flag_values=np.array([0, 1], np.uint8), flag_meanings="masked valid"
    )
    return ds


def mask(ds: xr.Dataset, settings: Mask) -> xr.Dataset:
    """Mark ranges of energy as not valid."""
    axis = str(ds["intensity"].dims[-1])
    x = ds[axis]
    keep = xr.ones_like(x, dtype=bool)
    for low, high in settings.ranges:
        keep = keep & ~((x >= low) & (x <= high))
    return _masked(ds, keep.reset_coords(drop=True))


def incident(ds: xr.Dataset, settings: IncidentSpectrum) -> xr.Dataset:
    """Set attrs ``incident``: the function that all powder lines are multiplied with.

    From a standard: ``ln(N E^2 / (j |F|^2))`` of its single lines is a smooth polynomial in ln E.
    To use it on another measurement, pass the knots found here as ``energy`` and ``value``.

    Raises
    ------
    CalibrationError
        If the axis is not calibrated, or too few lines stand alone.
    """
    out = ds.copy(deep=False)
    if settings.energy:
        if len(settings.energy) != len(settings.value) or len(settings.energy) < 2:
            raise CalibrationError("incident: give as many values as energies, two or more")
        if min(settings.value) <= 0.0 or np.any(np.diff(settings.energy) <= 0.0):
            raise CalibrationError("incident: values must be positive and energies ascend")
        out.attrs["incident"] = Incident(settings.energy, settings.value).text()
        return out
    if not settings.species:
        raise CalibrationError(
            "incident: name the species of the standard, or give energy and value"
        )
    import references

    from ._edxrd_model import require_axis

    angle = require_axis(ds)
    library = references.load()
    x, counts = ds["photon_energy"].values, total(ds)
    detector = Detector.of(ds.attrs)
    lines = phase_lines(settings.species, library, angle, x[0], x[-1], Incident(), 1e-3)
    rows = []
    for i, place in enumerate(lines.energy):
        width = float(detector.fwhm(place))
        others = np.delete(lines.energy, i)
        strong = np.delete(lines.strength, i) > 0.02 * lines.strength[i]
        if np.any(np.abs(others[strong] - place) < 2.2 * width):
            continue
        peak = fit_peak(x, counts, float(place), width, search=0.003 * float(place))
        if peak is None:
            continue
        number = peak.area  # counts
        rows.append((place, number / lines.strength[i], np.hypot(peak.area_stderr / number, 0.05)))
    degree = settings.degree
    if len(rows) < degree + 2:
        raise CalibrationError(
            f"{where(ds)}: {len(rows)} single lines of {settings.species} found, {degree + 2} are "
            "the least; lower degree or measure longer"
        )
    energy, value, error = (np.array(v, float) for v in zip(*rows, strict=True))
    good = np.ones(energy.size, bool)
    for _ in range(3):
        fit = np.polynomial.Polynomial.fit(
            np.log(energy[good]), np.log(value[good]), degree, w=1.0 / error[good]
        )
        left = np.log(value) - fit(np.log(energy))
        scatter = 1.4826 * np.median(np.abs(left[good])) + 1e-3
        good = np.abs(left) < 4.0 * np.hypot(scatter, error)
        if good.sum() < degree + 2:
            break
    knots = np.geomspace(energy[good].min(), energy[good].max(), 12)
    found = np.exp(fit(np.log(knots)))
    out.attrs["incident"] = Incident(
        tuple(knots.tolist()), tuple((found / found.max()).tolist())
    ).text()
    out.attrs["incident_scatter"] = float(np.std(left[good]))
    return out

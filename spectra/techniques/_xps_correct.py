"""Corrections of core-level regions: static backgrounds, dead time, transmission, escape depth."""

from __future__ import annotations

import json
from typing import Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field

import references

from ..backgrounds import CROSS_SECTIONS, STATIC
from ..convention import COUNTS, where
from ..errors import ModelError
from ._xps_depth import attenuation_length, sputtered_depth
from .base import NoSettings, Settings


class Ends(Settings):
    """Where a static background meets the data."""

    between: tuple[float, float] | None = Field(
        None, description="binding energies where it meets the data, eV; default the whole region"
    )
    average: int = Field(3, ge=1, le=51, description="points averaged at each end")


class OffsetShirley(Ends):
    """A Shirley background whose ends are moved off the data."""

    offset_low: float = Field(0.0, description="added at the low end, intensity units")
    offset_high: float = Field(0.0, description="added at the high end, intensity units")


class Tougaard(Ends):
    """Inelastic losses by a published cross-section."""

    material: str = Field(
        "universal", description="cross-section: " + ", ".join(sorted(CROSS_SECTIONS))
    )
    gap: float = Field(0.0, ge=0, description="loss below which nothing is lost (U4), eV")
    b: float | None = Field(None, gt=0, description="B of a cross-section of your own, eV2")
    c: float | None = Field(None, gt=0, description="its C, eV2")
    sign: float | None = Field(
        None, description="its factor of T2: 1 with two parameters, -1 with three, any with four"
    )
    d: float | None = Field(None, ge=0, description="its D, eV2; 0 with two parameters")
    scale: Literal["match", "fixed"] = Field(
        "match", description="match: B so that it meets the data at the high end; fixed: B as given"
    )


class StepBackground(Ends):
    """A step between the end values."""

    center: float = Field(description="where the step is half way, eV")
    width: float = Field(1.0, gt=0, description="full width of its derivative, eV")
    edge: Literal["erf", "arctan"] = Field("erf", description="a Gaussian's or Lorentzian's step")


class PolynomialBackground(Ends):
    """A polynomial through the points beside the peaks."""

    peaks: tuple[float, float] = Field(description="binding energies that are left out, eV")
    order: int = Field(2, ge=0, le=5, description="order of the polynomial")


class DeadTime(Settings):
    """Counts lost while the detector was busy."""

    tau_s: float = Field(gt=0, lt=1e-3, description="dead time of one channel of the detector, s")
    dwell_s: float | None = Field(
        None, gt=0, description="live time per point (dwell times sweeps), s; else from the file"
    )


class Transmission(Settings):
    """How much of what is emitted the analyser lets through, for quantification."""

    exponent: float | None = Field(
        None,
        description="take the transmission as (kinetic energy)**exponent; default: the function "
        "in the file",
    )


class EscapeDepth(Settings):
    """Effective probed depth at each line, for quantification over several core levels."""

    material: str = Field(description="library species the electrons travel through")
    band_gap_eV: float = Field(0.0, ge=0, description="its band gap, eV")
    valence_electrons: int | None = Field(
        None, gt=0, description="per formula unit; else counted from the formula"
    )
    density: float | None = Field(
        None, gt=0, lt=30, description="of the film, g/cm3; default: the library's"
    )


class SputterRate(Settings):
    """How fast a depth profile was etched."""

    rate_nm_s: float = Field(gt=0, description="of this material, nm/s; that of SiO2 is not it")


def sputter_rate(ds: xr.Dataset, settings: SputterRate) -> xr.Dataset:
    """Turn the etch time of a depth profile into depth."""
    return sputtered_depth(ds, settings.rate_nm_s)


def static(kind: str) -> Any:
    """Return the correction that adds the variable ``background`` of one kind."""

    def correction(ds: xr.Dataset, settings: Ends) -> xr.Dataset:
        x = ds["binding_energy"].values
        knobs = settings.model_dump()
        between = knobs.pop("between")
        if between is not None:
            low, high = sorted(between)
            if low >= x[-1] or high <= x[0]:
                raise ModelError(
                    f"{where(ds)}: background between {low:g} and {high:g} eV lies outside the "
                    f"region ({x[0]:g} to {x[-1]:g} eV)"
                )
            between = (low, high)
        data = ds["intensity"].values
        rows = data.reshape(-1, x.size).astype(float)
        made = [STATIC[kind](x, y, between=between, **knobs) for y in rows]
        failed = sum(not params["converged"] for _, params in made)
        if failed == len(made):
            raise ModelError(
                f"{where(ds)}: the {kind} background does not converge; choose other ends with "
                "between=(low, high)"
            )
        ds = ds.copy(deep=False)
        attrs = {"units": ds["intensity"].attrs["units"], "kind": kind, "not_converged": failed}
        found = np.stack([background for background, _ in made]).reshape(data.shape)
        ds["background"] = (ds["intensity"].dims, found, attrs)
        return ds

    correction.__doc__ = f"Add the variable ``background`` ({kind}); the counts stay as they are."
    return correction


def dead_time(ds: xr.Dataset, settings: DeadTime) -> xr.Dataset:
    """Turn counts into what a detector without dead time had counted.

    ``n / (1 - n tau / t)`` (non-paralysable; G. F. Knoll, Radiation Detection and Measurement,
    chapter 4). The result is no longer counts: the uncertainty ``sqrt(n) / (1 - n tau / t)^2`` is
    kept with it, and the units are those of a rate.

    Parameters
    ----------
    ds : xr.Dataset
        Counts.
    settings : DeadTime

    Returns
    -------
    xr.Dataset
        Counts per second with ``uncertainty``.

    Raises
    ------
    ModelError
        If these are not counts, the live time is not known, or the detector was always busy.
    """
    if ds["intensity"].attrs["units"] != COUNTS:
        raise ModelError(f"{where(ds)}: dead time needs counts, found {ds['intensity'].units!r}")
    stated = float(ds.attrs.get("dwell_time_s", 0.0)) * float(ds.attrs.get("sweeps", 1) or 1)
    live = settings.dwell_s or stated
    if live <= 0:
        raise ModelError(f"{where(ds)}: the file states no dwell time; pass dwell_s=")
    n = ds["intensity"].values.astype(float)
    busy = n * settings.tau_s / live
    if np.nanmax(busy) >= 0.5:
        raise ModelError(
            f"{where(ds)}: the detector would have been busy {np.nanmax(busy):.0%} of the time; "
            "check tau_s and the dwell time"
        )
    ds = ds.copy(deep=False)
    dims = ds["intensity"].dims
    ds["intensity"] = (dims, n / (1.0 - busy) / live, {"units": "counts/s"})
    error = np.sqrt(np.maximum(n, 1.0)) / (1.0 - busy) ** 2 / live
    ds["uncertainty"] = (dims, error, {"units": "counts/s", "origin": "counting"})
    return ds


def reported(ds: xr.Dataset, settings: NoSettings) -> xr.Dataset:
    """Take the background that another program drew and the file holds.

    Parameters
    ----------
    ds : xr.Dataset
        With ``reported_background``: exports of CasaXPS, Avantage, KherveFitting.
    settings : NoSettings

    Returns
    -------
    xr.Dataset
        With it as ``background``.

    Raises
    ------
    ModelError
        If the file holds none.
    """
    if "reported_background" not in ds:
        raise ModelError(
            f"{where(ds)}: the file holds no background of another program; take shirley"
        )
    return ds.assign(background=ds["reported_background"])


def equal_errors(ds: xr.Dataset, settings: NoSettings) -> xr.Dataset:
    """Give all points of a spectrum the same error, the mean one of counting.

    CasaXPS's stored fits minimise the plain sum of squares: with this they come back to the last
    digit. It weighs strong lines more than counting statistics does, and its errors are too small
    for them: for comparisons only.

    Parameters
    ----------
    ds : xr.Dataset
    settings : NoSettings

    Returns
    -------
    xr.Dataset
        With ``uncertainty``.
    """
    y = ds["intensity"].values.astype(float)
    known = ds["uncertainty"].values if "uncertainty" in ds else np.sqrt(np.maximum(y, 1.0))
    error = np.sqrt(np.nanmean(known**2, axis=-1, keepdims=True))
    ds = ds.copy(deep=False)
    units = ds["intensity"].attrs["units"]
    attrs = {"units": units, "origin": "counting"}
    ds["uncertainty"] = (ds["intensity"].dims, np.broadcast_to(error, y.shape).copy(), attrs)
    return ds


def transmission(ds: xr.Dataset, settings: Transmission) -> xr.Dataset:
    """Note the transmission function, so that quantification divides by it.

    Counts stay counts: the function goes into attrs ``response`` and `quantify` reads it.

    Parameters
    ----------
    ds : xr.Dataset
        With the variable ``transmission``, or attrs ``photon_energy_eV`` for an exponent.
    settings : Transmission

    Returns
    -------
    xr.Dataset

    Raises
    ------
    ModelError
        If neither is there.
    """
    x = ds["binding_energy"].values
    if settings.exponent is not None:
        values = kinetic(ds, x) ** settings.exponent
    elif "transmission" in ds:
        values = np.asarray(ds["transmission"].values, dtype=float)
    else:
        raise ModelError(f"{where(ds)}: the file holds no transmission function; pass exponent=")
    if not np.all(np.isfinite(values) & (values > 0.0)):
        raise ModelError(f"{where(ds)}: the transmission function is not positive everywhere")
    return _with_response(ds, x, values, "transmission")


def escape_depth(ds: xr.Dataset, settings: EscapeDepth) -> xr.Dataset:
    """Note the attenuation length in a material (TPP-2M) at each line, for `quantify`.

    Parameters
    ----------
    ds : xr.Dataset
        With attrs ``photon_energy_eV``.
    settings : EscapeDepth

    Returns
    -------
    xr.Dataset
    """
    x = ds["binding_energy"].values
    species = references.load()[settings.material]
    depth = attenuation_length(
        kinetic(ds, x),
        species,
        settings.band_gap_eV,
        settings.valence_electrons,
        settings.density,
    )
    return _with_response(ds, x, depth, "escape_depth")


def kinetic(ds: xr.Dataset, x: np.ndarray) -> np.ndarray:
    """Return kinetic energies, eV.

    Raises
    ------
    ModelError
        If the photon energy is not known or too low for this region.
    """
    photon = float(ds.attrs.get("photon_energy_eV", 0.0))
    if photon <= float(np.max(x)):
        raise ModelError(
            f"{where(ds)}: photon energy {photon:g} eV is not above the binding energies; set "
            "attrs['photon_energy_eV']"
        )
    return photon - np.asarray(x, dtype=float)


def _with_response(ds: xr.Dataset, x: np.ndarray, values: np.ndarray, name: str) -> xr.Dataset:
    """Keep a smooth function on at most 33 nodes in attrs ``response``."""
    at = np.unique(np.linspace(0, x.size - 1, min(x.size, 33)).round().astype(int))
    response = json.loads(str(ds.attrs.get("response", "{}")))
    response[name] = [[float(f"{v:.8g}") for v in x[at]], [float(f"{v:.6g}") for v in values[at]]]
    ds = ds.copy(deep=False)
    ds.attrs["response"] = json.dumps(response)
    return ds


def response_at(attrs: Any, energy: float) -> float:
    """Return the product of all noted responses at a binding energy; 1 where there are none."""
    total = 1.0
    for x, y in json.loads(str(attrs.get("response", "{}"))).values():
        total *= float(np.interp(energy, x, y))
    return total

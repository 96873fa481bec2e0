"""Binding-energy scale: a known line, a stated shift, CasaXPS's own note, the Fermi edge."""

from __future__ import annotations

import numpy as np
import xarray as xr
from pydantic import Field
from scipy.optimize import curve_fit
from scipy.special import expit

from ..convention import where
from ..errors import CalibrationError
from .base import Settings

_BOLTZMANN_EV = 8.617333262e-5


class ChargeReference(Settings):
    """Shift the scale so that a line of the spectrum lies where it belongs."""

    line: str = Field("C 1s", description="name of the line, for the record")
    at: float = Field(284.8, description="binding energy it belongs at, eV")
    found: float | None = Field(
        None, description="where it is, eV, if measured in another region of the sample"
    )
    window: float = Field(
        6.0, gt=0, description="how far from where it belongs it is looked for, eV"
    )


class Shift(Settings):
    """Add a stated energy."""

    by: float = Field(0.0, description="added to all binding energies, eV")


class CasaXPS(Settings):
    """Apply the charge correction that CasaXPS noted in the file."""


class FermiEdge(Settings):
    """Put the Fermi edge of a metal in contact at zero."""

    temperature_K: float = Field(300.0, gt=0, description="temperature of the sample, K")
    window: float = Field(1.5, gt=0, description="half width of the fitted range, eV")


def _moved(ds: xr.Dataset, by: float, text: str) -> xr.Dataset:
    attrs = dict(ds["binding_energy"].attrs)
    moved = ds.assign_coords(
        binding_energy=("binding_energy", ds["binding_energy"].values + by, attrs)
    )
    moved.attrs["calibration"] = text
    moved.attrs["energy_shift_eV"] = float(ds.attrs.get("energy_shift_eV", 0.0)) + by
    return moved


def charge_reference(ds: xr.Dataset, settings: ChargeReference) -> xr.Dataset:
    """Shift by what a reference line lacks; one shift for all spectra of a series.

    The line's position is the vertex of a parabola through the counts within half a width of the
    maximum of the mean spectrum. Per-spectrum charging is a common parameter of the fit.
    """
    if settings.found is not None:
        by = settings.at - settings.found
        return _moved(ds, by, f"{settings.line} at {settings.at:g} eV (shift {by:+.3f} eV)")
    x = ds["binding_energy"].values
    near = np.abs(x - settings.at) <= settings.window
    if near.sum() < 5:
        raise CalibrationError(
            f"{where(ds)}: {settings.line} at {settings.at:g} eV is outside this region "
            f"({x[0]:g} to {x[-1]:g} eV); calibrate on its own region and pass found="
        )
    y = ds["intensity"].values.reshape(-1, x.size).astype(float).mean(axis=0)[near]
    xs = x[near]
    ground = np.interp(xs, [xs[0], xs[-1]], [y[0], y[-1]])
    height = y - ground
    top = int(np.argmax(height))
    if height[top] <= 3.0 * np.sqrt(max(y[top], 1.0)):
        raise CalibrationError(
            f"{where(ds)}: no line stands out within {settings.window:g} eV of {settings.at:g} eV; "
            "widen window= or pass found="
        )
    high = np.flatnonzero(height >= 0.7 * height[top])
    high = high[(high >= top - 12) & (high <= top + 12)]
    if high.size >= 3:
        a, b, _ = np.polyfit(xs[high] - xs[top], height[high], 2)
        position = float(xs[top] - b / (2.0 * a)) if a < 0 else float(xs[top])
    else:
        position = float(xs[top])
    by = settings.at - position
    text = f"{settings.line} found at {position:.3f}, put at {settings.at:g} eV ({by:+.3f} eV)"
    return _moved(ds, by, text)


def shift(ds: xr.Dataset, settings: Shift) -> xr.Dataset:
    """Add a stated energy to the scale."""
    return _moved(ds, settings.by, f"shift {settings.by:+.3f} eV, stated by the user")


def casaxps(ds: xr.Dataset, settings: CasaXPS) -> xr.Dataset:
    """Apply the shift in attrs ``casaxps_shift_eV``."""
    by = ds.attrs.get("casaxps_shift_eV")
    if by is None:
        raise CalibrationError(
            f"{where(ds)}: CasaXPS noted no charge correction in this file; use method 'line'"
        )
    return _moved(ds, float(by), f"shift {float(by):+.3f} eV, noted by CasaXPS in the file")


def fermi_edge(ds: xr.Dataset, settings: FermiEdge) -> xr.Dataset:
    """Fit a Fermi function, broadened by the analyser, near zero and put its middle at zero."""
    x = ds["binding_energy"].values
    near = np.abs(x) <= settings.window
    if near.sum() < 8:
        raise CalibrationError(
            f"{where(ds)}: no Fermi edge in {x[0]:g} to {x[-1]:g} eV; measure the valence band"
        )
    y = ds["intensity"].values.reshape(-1, x.size).astype(float).mean(axis=0)[near]
    xs = x[near]

    def edge(e: np.ndarray, middle: float, width: float, top: float, slope: float, low: float):
        return low + (top + slope * e) * expit((e - middle) / abs(width))

    thermal = _BOLTZMANN_EV * settings.temperature_K
    start = [0.0, 2.0 * thermal, float(y[-1] - y[0]), 0.0, float(y[0])]
    try:
        best, covariance = curve_fit(edge, xs, y, p0=start, sigma=np.sqrt(np.maximum(y, 1.0)))
    except RuntimeError:
        raise CalibrationError(f"{where(ds)}: the Fermi edge fit did not converge") from None
    error = float(np.sqrt(covariance[0, 0]))
    if not np.isfinite(error) or error > settings.window or abs(best[0]) > settings.window:
        raise CalibrationError(f"{where(ds)}: no clear Fermi edge within the window")
    return _moved(ds, -float(best[0]), f"Fermi edge found at {best[0]:.3f}({error:.3f}) eV")

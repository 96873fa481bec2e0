"""Raman-shift scale: a known band, a stated shift, wavelength to shift by the laser line."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from pydantic import Field

from ..convention import AXES, where
from ..errors import CalibrationError
from ._raman_standards import vacuum_wavenumber
from .base import Settings


class Known(Settings):
    """Shift the scale so that a known band (silicon) lies where it belongs."""

    at: float = Field(520.5, description="where the band belongs, 1/cm; silicon by default")
    window: float = Field(15.0, gt=0, description="how far from there it is looked for, 1/cm")


class Shift(Settings):
    """Add a stated shift."""

    by: float = Field(0.0, description="added to all Raman shifts, 1/cm")


class Laser(Settings):
    """Turn wavelengths into Raman shifts."""

    wavelength_nm: float | None = Field(
        None, gt=0, description="laser line, nm; default the one in the file"
    )
    medium: Literal["vacuum", "air"] = Field(
        "vacuum", description="what the wavelengths, axis and laser, are measured in"
    )


def _moved(ds: xr.Dataset, by: float, text: str) -> xr.Dataset:
    attrs = dict(ds["raman_shift"].attrs)
    moved = ds.assign_coords(raman_shift=("raman_shift", ds["raman_shift"].values + by, attrs))
    moved.attrs["calibration"] = text
    return moved


def _require_shift(ds: xr.Dataset) -> None:
    if "raman_shift" not in ds["intensity"].dims:
        raise CalibrationError(
            f"{where(ds)}: axis is {ds['intensity'].dims[-1]}; use calibration 'laser' first"
        )


def known(ds: xr.Dataset, settings: Known) -> xr.Dataset:
    """Shift by what a known band lacks; position from a parabola through the top of the mean."""
    _require_shift(ds)
    x = ds["raman_shift"].values
    near = np.abs(x - settings.at) <= settings.window
    if near.sum() < 5:
        raise CalibrationError(
            f"{where(ds)}: {settings.at:g} 1/cm is outside the spectrum ({x[0]:g} to {x[-1]:g})"
        )
    xs = x[near]
    y = ds["intensity"].values.reshape(-1, x.size).astype(float).mean(axis=0)[near]
    height = y - np.interp(xs, [xs[0], xs[-1]], [y[0], y[-1]])
    top = int(np.argmax(height))
    if height[top] <= 5.0 * np.std(np.diff(y)) / np.sqrt(2.0) and height[top] <= 0.2 * y[top]:
        raise CalibrationError(
            f"{where(ds)}: no band stands out within {settings.window:g} 1/cm of {settings.at:g}"
        )
    part = slice(max(top - 2, 0), top + 3)
    a, b, _ = np.polyfit(xs[part] - xs[top], height[part], 2)
    position = float(xs[top] - b / (2.0 * a)) if a < 0 else float(xs[top])
    by = settings.at - position
    return _moved(ds, by, f"band found at {position:.2f}, put at {settings.at:g} 1/cm ({by:+.2f})")


def shift(ds: xr.Dataset, settings: Shift) -> xr.Dataset:
    """Add a stated shift."""
    _require_shift(ds)
    return _moved(ds, settings.by, f"shift {settings.by:+.2f} 1/cm, stated by the user")


def laser(ds: xr.Dataset, settings: Laser) -> xr.Dataset:
    """Turn wavelength into Raman shift: ``1e7 / laser - 1e7 / wavelength`` with both in nm.

    Wavelengths in air are divided by its refractive index first: left out, that is an error of
    0.8 1/cm at a shift of 3000 1/cm.
    """
    line = settings.wavelength_nm or ds.attrs.get("laser_nm")
    if "wavelength" not in ds["intensity"].dims:
        raise CalibrationError(f"{where(ds)}: the axis is a Raman shift already")
    if not line:
        raise CalibrationError(f"{where(ds)}: no laser line in the file; pass wavelength_nm=")
    if settings.medium == "air":
        values = vacuum_wavenumber(float(line)) - vacuum_wavenumber(ds["wavelength"].values)
    else:
        values = 1e7 / float(line) - 1e7 / ds["wavelength"].values
    out = ds.rename(wavelength="raman_shift").assign_coords(
        raman_shift=("raman_shift", values, {"units": AXES["raman_shift"]})
    )
    out.attrs["calibration"] = f"from wavelength with the laser at {float(line):g} nm"
    return out

"""Forward model of a Raman map: smooth patches of species on a fluorescent ground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from pydantic import Field
from scipy.ndimage import gaussian_filter

from ..convention import spectrum
from ..errors import ModelError
from ..shapes import SHAPES
from ._raman_bands import DEFAULT_FWHM, band_weights
from .base import Settings

if TYPE_CHECKING:
    from references import Library


class Simulation(Settings):
    """A map of the interphase at the end of the history."""

    size: int = Field(16, ge=2, le=512, description="pixels along each side")
    pitch_um: float = Field(2.0, gt=0, description="distance of pixels, um")
    patch_um: float = Field(6.0, gt=0, description="size of patches, um")
    low: float = Field(150.0, description="first Raman shift, 1/cm")
    high: float = Field(650.0, description="last Raman shift, 1/cm")
    step: float = Field(1.2, gt=0, description="step, 1/cm")
    counts: float = Field(2500.0, gt=0, description="counts of the strongest band, about")
    fluorescence: float = Field(0.6, ge=0, description="ground over the strongest band")
    drift: float = Field(1.0, ge=0, description="spread of the common shift over the map, 1/cm")
    cosmic_rays: float = Field(0.0, ge=0, description="rays per spectrum")
    mixing: float = Field(0.5, ge=0, le=1, description="Lorentzian share of the bands")


def simulate(
    history: xr.Dataset, library: Library, settings: Simulation, rng: np.random.Generator
) -> xr.Dataset:
    """Simulate a map over the stage at the last time of the history.

    Amounts of each species are spread over the map as smooth random patches around their mean;
    the bands of every species stand in the library's ratios, with the same yield per formula unit.
    Counts are Poisson.

    Parameters
    ----------
    history : xr.Dataset
        With ``amount(time, species)``.
    library : references.Library
    settings : Simulation
    rng : numpy.random.Generator

    Returns
    -------
    xr.Dataset
        Spectrum with ``truth(y, x, species)``: band areas in counts 1/cm.
    """
    s = settings
    axis = np.arange(s.low, s.high + s.step / 2, s.step)
    names, bands = [], {}
    for name in (str(n) for n in history["species"].values):
        found = [b for b in library.lines("raman", name) if s.low <= b.value <= s.high]
        if found:
            names.append(name)
            bands[name] = found
    if not names:
        raise ModelError("simulate raman: no species of the history has a band in this range")
    end = history["amount"].isel(time=-1)
    share = np.array([float(end.sel(species=n)) for n in names])
    share = share / share.max()
    place = np.arange(s.size) * s.pitch_um
    sigma = s.patch_um / s.pitch_um
    patches = np.stack([_patch(rng, s.size, sigma) for _ in names], axis=-1)
    moved = s.drift * (_patch(rng, s.size, 2 * sigma) - 1.0)
    peak = SHAPES["pseudo_voigt"].function
    clean = np.zeros((s.size, s.size, axis.size))
    areas = share * patches
    for k, name in enumerate(names):
        for b, weight in zip(bands[name], band_weights(bands[name]), strict=True):
            center = (b.value + moved)[..., None]
            area = (areas[..., k] * weight)[..., None]
            clean += peak(axis, area, center, b.fwhm or DEFAULT_FWHM, s.mixing)[0]
    scale = s.counts / clean.max()
    u = (axis - axis[0]) / np.ptp(axis)
    ground = s.fluorescence * s.counts * (1.0 - 0.5 * u + 0.2 * u**2)
    level = 1.0 + 0.3 * (_patch(rng, s.size, 2 * sigma) - 1.0)
    counts = rng.poisson(scale * clean + level[..., None] * ground)
    for _ in range(rng.poisson(s.cosmic_rays * s.size**2)):
        row, column, at = (int(rng.integers(n)) for n in counts.shape)
        counts[row, column, at] += int(s.counts * rng.exponential(2.0)) + 200
    ds = spectrum(
        counts,
        axis,
        technique="raman",
        axis_name="raman_shift",
        outer={"y": place, "x": place},
        attrs={
            "laser_nm": 532.0,
            "calibration": "simulated on the true scale; drift is left in",
            "title": "simulated map",
        },
    )
    truth = scale * areas
    ds["truth"] = (("y", "x", "species"), truth, {"units": "counts 1/cm"})
    return ds.assign_coords(species=names)


def _patch(rng: np.random.Generator, size: int, sigma: float) -> np.ndarray:
    """Return a smooth positive field of mean 1."""
    field = gaussian_filter(rng.standard_normal((size, size)), min(sigma, size / 5.0), mode="wrap")
    spread = float(field.std())
    field = np.exp(0.5 * field / spread)
    return np.asarray(field / field.mean())

"""Forward model of operando XPS: core levels of a well-mixed surface layer, with charging."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from pydantic import Field

from ..convention import spectrum
from ..errors import ModelError
from ..shapes import SHAPES
from .base import Settings

if TYPE_CHECKING:
    from references import Library


class Simulation(Settings):
    """A series of one core level while the surface changes."""

    region: str = Field("S 2p", description="core level, for example 'S 2p' or 'P 2p'")
    step_eV: float = Field(0.1, gt=0, description="energy step, eV")
    counts: float = Field(4000.0, gt=0, description="counts at the strongest point, about")
    fwhm: float | None = Field(None, description="width of a line, eV; default the library's")
    mixing: float = Field(0.3, ge=0, le=1, description="Lorentzian share of the lines")
    charging_eV: float = Field(0.25, description="drift of all lines over the series, eV")
    jitter_eV: float = Field(0.02, ge=0, description="scatter of that from spectrum to spectrum")
    shirley: float = Field(0.02, ge=0, description="step per peak area (inelastic), 1/eV")
    floor: float = Field(0.08, ge=0, description="flat background over the strongest point")
    flux_drift: float = Field(0.05, description="relative change of the source over the series")
    asymmetry: float = Field(
        0.0, ge=0, lt=0.5, description="tail of the lines that the default model does not know"
    )


def simulate(
    history: xr.Dataset, library: Library, settings: Simulation, rng: np.random.Generator
) -> xr.Dataset:
    """Simulate one core level against time.

    Every species with a line in the region emits in proportion to its amount and its atoms in
    that line (one probed volume, evenly mixed). Each line is a spin-orbit doublet on its own
    Shirley step; charging moves all lines together. Counts are Poisson.

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
        Spectrum with ``truth(time, species)``: shares of formula units; ``true_shift(time)``.
    """
    level = library.core_level(settings.region)
    names = [
        str(s) for s in history["species"].values if library.lines("xps", str(s), settings.region)
    ]
    if not names:
        raise ModelError(f"simulate xps: no species of the history has a {settings.region} line")
    amounts = history["amount"].sel(species=names).transpose("time", "species").values
    share = amounts / amounts.sum(axis=1, keepdims=True)
    lines = [(k, i) for k, n in enumerate(names) for i in library.lines("xps", n, settings.region)]
    centers = [i.value for _, i in lines]
    x = np.arange(min(centers) - 5.0, max(centers) + 7.0 + level.splitting, settings.step_eV)
    t = np.linspace(0.0, 1.0, amounts.shape[0])
    moved = settings.charging_eV * t + settings.jitter_eV * rng.standard_normal(t.size)
    width = settings.fwhm or level.fwhm
    peak = "split_pseudo_voigt" if settings.asymmetry else "pseudo_voigt"
    weights = [(1.0, 0.0)]
    if level.splitting:
        ratio = level.area_ratio
        weights = [(1.0 / (1.0 + ratio), 0.0), (ratio / (1.0 + ratio), level.splitting)]
    clean = np.zeros((t.size, x.size))
    for k, line in lines:
        atoms = line.count or library[names[k]].atoms[level.element]
        for weight, offset in weights:
            area = (share[:, k] * atoms * weight)[:, None]
            center = (line.value + offset + moved)[:, None]
            extra = (settings.mixing, *([settings.asymmetry] if settings.asymmetry else []))
            clean += SHAPES[peak].function(x, area, center, width, *extra)[0]
            step = SHAPES["shirley_pseudo_voigt"].function
            clean += step(x, area, center, width, settings.mixing, settings.shirley)[0]
    flux = (1.0 + settings.flux_drift * (t - 0.5))[:, None]
    scale = settings.counts / clean.max()
    rate = flux * (scale * clean + settings.floor * settings.counts)
    ds = spectrum(
        rng.poisson(rate),
        x,
        technique="xps",
        axis_name="binding_energy",
        outer={"time": history["time"].values},
        attrs={
            "region": settings.region,
            "photon_energy_eV": 1486.6,
            "calibration": "simulated on the true scale; charging is left in",
            "title": f"simulated {settings.region}",
        },
    )
    ds["truth"] = (("time", "species"), share, {"units": "1"})
    ds["true_shift"] = ("time", moved, {"units": "eV"})
    return ds.assign_coords(species=names)

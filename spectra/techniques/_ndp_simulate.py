"""Forward model of operando NDP: lithium plated between a collector and the electrolyte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from pydantic import Field

from ..convention import spectrum
from ..errors import ModelError
from ._ndp_response import Detector, Layer, lithium_per_ug, response
from ._ndp_stopping import TRITON
from .base import Settings

if TYPE_CHECKING:
    from references import Library

DEFAULT_STACK = (
    Layer(name="collector", formula="Cu", density_g_cm3=8.96, thickness_nm=1000.0),
    Layer(name="plated", formula="Li", density_g_cm3=0.534, species="Li", grows=True),
    Layer(
        name="electrolyte",
        formula="Li6PS5Cl",
        density_g_cm3=1.86,
        thickness_nm=1443.0,
        species="Li6PS5Cl",
    ),
)
"""A copper collector, lithium plated under it, and 1000 nmol/cm2 of Li6PS5Cl."""


class Simulation(Settings):
    """A series of triton spectra while lithium is plated."""

    channel_keV: float = Field(2.0, gt=0, description="energy per channel, keV")
    low_keV: float = Field(2350.0, gt=0, description="first energy, keV")
    high_keV: float = Field(2720.0, gt=0, description="last energy, keV")
    live_s: float = Field(360.0, gt=0, description="live time of a spectrum, s")
    counts_per_nmol_s: float = Field(
        0.02, gt=0, description="tritons counted per nmol/cm2 of lithium and second"
    )
    background: float = Field(6.0, ge=0, description="counts per channel")
    drift_keV: float = Field(2.0, description="drift of the energy scale over the series, keV")
    detector: Detector = Field(Detector(), description="resolution, dead layer, cone")


def simulate(
    history: xr.Dataset, library: Library, settings: Simulation, rng: np.random.Generator
) -> xr.Dataset:
    """Simulate triton spectra through the collector.

    All lithium of the electrolyte and of its products lies in the electrolyte layer (neutrons see
    lithium, not its compound); the plated layer grows and pushes everything below to lower energy.
    Energy loss, straggling and cells are computed anew for every time. Counts are Poisson.

    Parameters
    ----------
    history : xr.Dataset
        With ``amount(time, species)`` in nmol/cm2.
    library : references.Library
    settings : Simulation
    rng : numpy.random.Generator

    Returns
    -------
    xr.Dataset
        Spectrum with ``truth(time, species)``: nmol/cm2 of lithium in each layer.
    """
    s = settings
    amounts = history["amount"]
    names = [str(n) for n in amounts["species"].values]
    if "Li" not in names:
        raise ModelError("simulate ndp: the history plates no lithium")
    plated = amounts.sel(species="Li").values
    below = np.zeros(plated.size)
    for name in names:
        if name != "Li":
            below += amounts.sel(species=name).values * library[name].atoms.get("Li", 0.0)
    energy = np.arange(s.low_keV, s.high_keV + 0.5 * s.channel_keV, s.channel_keV)
    half = 0.5 * s.channel_keV
    edges = np.concatenate([energy - half, [energy[-1] + half]])
    per_nmol = s.counts_per_nmol_s * s.live_s
    moved = s.drift_keV * np.linspace(-0.5, 0.5, plated.size)
    expected = np.empty((plated.size, energy.size))
    for i in range(plated.size):
        stack = list(DEFAULT_STACK)
        areal = max(plated[i], 1e-3) / lithium_per_ug("Li")
        stack[1] = stack[1].model_copy(update={"areal_ug_cm2": float(areal)})
        here = edges - moved[i]
        expected[i] = per_nmol * (
            plated[i] * response(stack, 1, here, s.detector, (TRITON,))
            + below[i] * response(stack, 2, here, s.detector, (TRITON,))
        )
    ds = spectrum(
        rng.poisson(expected + s.background),
        energy,
        technique="ndp",
        axis_name="particle_energy",
        outer={"time": history["time"].values},
        attrs={
            "calibration": "simulated on the true scale; drift is left in",
            "counts_per_nmol_s": s.counts_per_nmol_s,
            "live_time_s": s.live_s,
            "channel_keV": s.channel_keV,
            "title": "simulated tritons",
        },
    )
    truth = np.stack([plated, below], axis=-1)
    ds["truth"] = (("time", "species"), truth, {"units": "nmol/cm2"})
    return ds.assign_coords(species=["Li", "Li6PS5Cl"])

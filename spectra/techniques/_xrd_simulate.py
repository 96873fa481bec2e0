"""What a laboratory diffractometer would have recorded of a chemical history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..convention import spectrum
from ..errors import ModelError
from ..shapes import pseudo_voigt
from ._xrd_model import Lines, lines_of
from .base import Settings

if TYPE_CHECKING:
    from references import Library

Array = npt.NDArray[np.float64]


class Simulation(Settings):
    """Powder scans in reflection, repeated in time, with counting noise and displacement."""

    times: int = Field(10, ge=1, description="scans in the time of the history")
    points: int = Field(3500, ge=200, description="points of a scan")
    low_deg: float = Field(20.0, gt=2, description="first two-theta")
    high_deg: float = Field(90.0, lt=160, description="last two-theta")
    wavelength_A: float = Field(1.5405929, gt=0.1, description="Ka1, angstrom")
    wavelength_2_A: float = Field(1.5444274, ge=0, description="Ka2, angstrom; 0 is none")
    ratio_2: float = Field(0.5, ge=0, le=1, description="Ka2 over Ka1")
    brightness: float = Field(1.0, gt=0, description="1 gives 2e5 counts of lines in a scan")
    background: float = Field(40.0, ge=0, description="counts per point, times brightness")
    displacement_mm: float = Field(0.05, description="of the sample from the axis")
    radius_mm: float = Field(217.5, gt=0, description="radius of the goniometer, mm")
    w_deg: float = Field(0.06, gt=0, description="instrument width at zero angle, deg")
    w_tan: float = Field(0.02, ge=0, description="width growing with tan(theta), deg")
    size_deg: float = Field(0.05, ge=0, description="width of small crystals, over cos(theta), deg")
    mixing: float = Field(0.5, ge=0, le=1, description="Lorentzian share of the lines")
    expansion: float = Field(
        1e-3, ge=0, le=0.015, description="relative growth of all cells over the history"
    )
    diameter_um: float = Field(
        0.0, ge=0, description="grain size: microabsorption, which the model does not know"
    )
    al_line: bool = Field(
        False, description="lines of an aluminium current collector, 0.3 mm away from the sample"
    )


def simulate(
    history: xr.Dataset, library: Library, settings: Simulation, rng: np.random.Generator
) -> xr.Dataset:
    """Simulate a series of powder patterns.

    Parameters
    ----------
    history : xr.Dataset
        ``amount(time, species)`` in nmol/cm2; only what has a crystal structure diffracts.
    library : references.Library
    settings : Simulation
    rng : numpy.random.Generator

    Returns
    -------
    xr.Dataset
        A Spectrum on ``(time, two_theta)`` with ``truth(time, species)``: weight fractions among
        the phases that diffract. ``attrs["simulated_strain"]`` is the expansion at the last scan.

    Raises
    ------
    ModelError
        If no species of the history diffracts in the range.
    """
    from references.diffraction import cell_volume, formula_units

    s = settings
    time = np.linspace(float(history["time"][0]), float(history["time"][-1]), s.times)
    x = np.linspace(s.low_deg, s.high_deg, s.points)
    names = [n for n in map(str, history["species"].values) if library[n].structures]
    names = [n for n in names if _lines(n, library, s).two_theta.size]
    if not names:
        raise ModelError("simulate xrd: no species of the history diffracts in the range")
    told = history["amount"]
    amount = np.array(
        [np.interp(time, history["time"].values, told.sel(species=n).values) for n in names]
    )
    mass = np.array([library[n].molar_mass for n in names])[:, None] * np.maximum(amount, 0.0)
    truth = (mass / mass.sum(axis=0)).T
    density = [
        library[n].molar_mass * formula_units(n, library) / cell_volume(n, library) for n in names
    ]
    volume = mass / np.array(density)[:, None]
    volume /= volume.sum(axis=0)
    if s.diameter_um:
        volume = volume * _hidden(names, volume, library, s)
    strain = s.expansion * (time - time[0]) / max(float(time[-1] - time[0]), 1e-12)
    unit = np.array([[_pattern(x, n, library, s, e) for e in strain] for n in names])
    rate = np.einsum("kt,ktn->tn", volume, unit)
    rate *= 2e5 * s.brightness / float(rate[0].sum())
    if s.al_line:
        away = s.model_copy(update={"displacement_mm": s.displacement_mm + 0.3})
        holder = _pattern(x, "Al", library, away, 0.0)
        rate += 2e4 * s.brightness * holder / holder.sum()
    slow = np.exp(-(x - s.low_deg) / 30.0)
    rate += s.background * s.brightness * (0.6 + 1.2 * slow)
    counts = rng.poisson(rate).astype(np.int32)
    ds = spectrum(
        counts,
        x,
        technique="xrd",
        axis_name="two_theta",
        outer={"time": time},
        attrs={
            "calibration": "simulated on a calibrated axis",
            "wavelength_A": s.wavelength_A,
            "wavelength_2_A": s.wavelength_2_A,
            "ratio_2": s.ratio_2 if s.wavelength_2_A else 0.0,
            "simulated_strain": float(strain[-1]),
        },
    )
    if not s.wavelength_2_A:
        del ds.attrs["wavelength_2_A"]
    ds["truth"] = (("time", "species"), truth, {"units": "1"})
    return ds.assign_coords(species=np.array(names, dtype=str))


def _lines(name: str, library: Library, s: Simulation) -> Lines:
    return lines_of(name, library, s.wavelength_A, s.low_deg, s.high_deg, 1e-3, {})


def _pattern(x: Array, name: str, library: Library, s: Simulation, strain: float) -> Array:
    """Return counts per point of one phase per unit of volume, up to a common factor."""
    lines = _lines(name, library, s)
    out = np.zeros_like(x)
    first = np.sin(np.radians(lines.two_theta) / 2.0) / (1.0 + strain)
    waves = [(s.wavelength_A, 1.0 / (1.0 + s.ratio_2 * bool(s.wavelength_2_A)))]
    if s.wavelength_2_A:
        waves.append((s.wavelength_2_A, s.ratio_2 / (1.0 + s.ratio_2)))
    for wave, share in waves:
        sine = first * wave / s.wavelength_A
        for value, strength in zip(sine, lines.strength, strict=True):
            if value >= 1.0:
                continue
            theta = float(np.arcsin(value))
            place = 2.0 * np.degrees(theta)
            place -= 2.0 * np.degrees(np.cos(theta)) * s.displacement_mm / s.radius_mm
            wide = s.w_deg + s.w_tan * np.tan(theta) + s.size_deg / np.cos(theta)
            i, j = np.searchsorted(x, [place - 40.0 * wide, place + 40.0 * wide])
            if j > i:
                out[i:j] += pseudo_voigt(x[i:j], share * strength, place, wide, s.mixing)[0]
    return out


def _hidden(names: list[str], volume: Array, library: Library, s: Simulation) -> Array:
    """Return Brindley's factors at each time."""
    from ._xrd_absorption import attenuation, brindley

    mu = np.array([attenuation(n, s.wavelength_A, library)[0] for n in names])[:, None]
    mean = (mu * volume).sum(axis=0)
    each = (mu - mean) * 0.5e-4 * s.diameter_um
    return np.array([[brindley(float(v)) for v in row] for row in each])

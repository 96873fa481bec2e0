"""What an energy-dispersive beamline would have recorded of a chemical history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..convention import spectrum
from ..errors import ModelError
from ._edxrd_physics import (
    FLUORESCENCE,
    Detector,
    Incident,
    phase_lines,
    with_escape,
)
from ._edxrd_texture import direction, march_dollase
from .base import Settings

if TYPE_CHECKING:
    from references import Library

Array = npt.NDArray[np.float64]
_FWHM = 2.3548200450309493


class Simulation(Settings):
    """A scan across the interface, repeated in time, with counting noise, drift and dead time."""

    positions: int = Field(16, ge=1, description="points of each scan")
    step_um: float = Field(20.0, gt=0, description="distance of the points (height of the gauge)")
    times: int = Field(20, ge=1, description="scans in the time of the history")
    channels: int = Field(1024, ge=256, description="channels of the detector")
    low_keV: float = Field(22.0, gt=5, description="energy of the first channel")
    high_keV: float = Field(102.0, gt=30, description="energy of the last channel")
    two_theta_deg: float = Field(5.33, gt=1, lt=40, description="scattering angle")
    live_s: float = Field(60.0, gt=0, description="preset live time of a spectrum")
    brightness: float = Field(
        1.0, gt=0, description="counting rate; 1 gives 2e5 counts in a spectrum of pure electrolyte"
    )
    area_factor: float = Field(
        30.0, gt=0, description="true area of the interface over that of the cell (a composite)"
    )
    zone_um: float = Field(25.0, gt=0, description="half width over which products are spread")
    drift: float = Field(3e-4, ge=0, description="amplitude of the drift of all spacings")
    dead_time_us: float = Field(4.0, ge=0, description="dead time per count")
    noise_keV: float = Field(0.135, ge=0, description="detector noise, fwhm")
    fano: float = Field(0.106, gt=0, description="Fano factor")
    divergence: float = Field(0.0035, ge=0, description="fwhm over energy given by the slits")
    fluorescence: str = Field("W", description="elements of collimator and shield, by spaces")
    tail: float = Field(
        0.0, ge=0, le=0.5, description="share of each line in a low tail the model does not know"
    )
    extra_line_keV: float = Field(
        0.0, ge=0, description="energy of a line the model does not know; 0 is none"
    )
    texture: float = Field(
        1.0,
        gt=0.2,
        le=3.0,
        description="March parameter of a fibre texture along c of every phase; 1 is random",
    )
    grains: float = Field(
        0.0,
        ge=0,
        description="mean number of grains that make a line of multiplicity 24; 0 is a powder",
    )
    cells: tuple[tuple[str, float], ...] = Field(
        (), description="relative change of the cell of a phase, by species"
    )
    strain_width: float = Field(
        0.0, ge=0, le=0.02, description="fwhm over energy that microstrain gives every line"
    )
    pile_up: float = Field(
        0.0, ge=0, le=0.2, description="share of counts piled up, which the model does not know"
    )


def incident_of_wiggler(low: float, high: float) -> Incident:
    """Return the spectrum of a 33 keV wiggler behind absorbers, as knots of a spline."""
    energy = np.geomspace(low * 0.9, high * 1.1, 18)
    critical = energy / 33.0
    value = np.sqrt(critical) * np.exp(-critical - (18.0 / energy) ** 3)
    value *= np.exp(-2.0 * (0.18 * (30.0 / energy) ** 3 + 0.17))
    return Incident(tuple(energy.tolist()), tuple((value / value.max()).tolist()))


def simulate(
    history: xr.Dataset, library: Library, settings: Simulation, rng: np.random.Generator
) -> xr.Dataset:
    """Simulate a position-time map of spectra.

    Electrolyte fills the right half, lithium the left; what decomposes is spread around the
    interface. Only phases with a known structure diffract. Amounts are concentrations, in mmol of
    formula units per cm3 of gauge volume, and attrs ``counts_per_volume`` is the scale that a
    reference position would have given.

    Parameters
    ----------
    history : xr.Dataset
        ``amount(time, species)`` in nmol/cm2.
    library : references.Library
    settings : Simulation
    rng : numpy.random.Generator

    Returns
    -------
    xr.Dataset
        A Spectrum on ``(time, position, photon_energy)`` with ``truth(time, position, species)``.

    Raises
    ------
    ModelError
        If no species of the history has lines in the range.
    """
    from references.diffraction import structure_data

    s = settings
    time = np.linspace(float(history["time"][0]), float(history["time"][-1]), s.times)
    position = (np.arange(s.positions) - 0.5 * (s.positions - 1)) * s.step_um
    energy = np.linspace(s.low_keV, s.high_keV, s.channels)
    width = float(energy[1] - energy[0])
    detector = Detector(s.noise_keV, s.fano, s.divergence)
    incident = incident_of_wiggler(s.low_keV, s.high_keV)
    names = [n for n in map(str, history["species"].values) if library[n].structures]
    told = history["amount"]
    amount = np.asarray(
        [np.interp(time, history["time"].values, told.sel(species=n).values) for n in names]
    )
    truth = _profile(names, amount, position.astype(float), library, s)
    drift = s.drift * np.sin(2.0 * np.pi * 0.8 * np.arange(s.times) / max(s.times - 1, 1) + 0.4)
    unit = np.zeros((len(names), s.times, s.channels))
    groups: dict[str, list[tuple[float, npt.NDArray[np.int64]]]] = {}
    kept: dict[str, tuple[Array, Array, Array]] = {}
    margin = float(detector.fwhm(energy[-1]))
    changes = dict(s.cells)
    for k, name in enumerate(names):
        lines = phase_lines(
            name, library, s.two_theta_deg, s.low_keV - margin, s.high_keV + margin, incident, 1e-4
        )
        if not lines.energy.size:
            continue
        strength = lines.strength
        if s.texture != 1.0:
            cell = structure_data(name, library)
            strength = strength * [march_dollase(h, cell, s.texture) for h in lines.hkl]
        place, strength, parent = with_escape(
            lines.energy / (1.0 + changes.get(name, 0.0)), strength, detector
        )
        wide = np.hypot(detector.fwhm(lines.energy), s.strain_width * lines.energy)[parent]
        per = strength * molar_volume(name, library) * 1e-3  # volume fraction of 1 mmol/cm3
        kept[name] = place, per * width, wide
        groups[name] = _directions(lines.hkl, parent)
        for t in range(s.times):
            unit[k, t] = _lines(energy, place / (1.0 + drift[t]), per * width, wide, s.tail)
    if not unit.any():
        raise ModelError("simulate edxrd: no species of the history diffracts in the range")
    pure = names.index("Li6PS5Cl") if "Li6PS5Cl" in names else 0
    full = 1e3 / molar_volume(names[pure], library)
    scale = 2e5 * s.brightness / float(unit[pure, 0].sum() * full)
    if s.grains > 0.0:
        rate = np.zeros((*truth.shape[:2], s.channels))
        for k, name in enumerate(names):
            if name not in kept:
                continue
            place, area, wide = kept[name]
            for t, z in np.ndindex(truth.shape[:2]):
                own = area.copy()
                for multiplicity, index in groups[name]:
                    number = max(s.grains * multiplicity / 24.0, 1e-3)
                    own[index] *= rng.gamma(number) / number
                lit = _lines(energy, place / (1.0 + drift[t]), own, wide, s.tail)
                rate[t, z] += scale * truth[t, z, k] * lit
    else:
        rate = scale * np.einsum("tzk,ktn->tzn", truth, unit)
    rate += _smooth(energy, incident, 120.0 * s.brightness)
    for element in s.fluorescence.split():
        own = np.array(FLUORESCENCE[element])
        place, strength, parent = with_escape(own[:, 0], own[:, 1], detector)
        wide = detector.fwhm(own[:, 0], fluorescence=True)[parent]
        rate += _lines(energy, place, 4e3 * s.brightness * strength * width, wide, 0.0)
    if s.extra_line_keV > 0.0:
        at = np.array([s.extra_line_keV])
        rate += _lines(energy, at, np.array([2e3 * s.brightness * width]), detector.fwhm(at), 0.0)
    if s.pile_up > 0.0:
        rate = _piled(energy, rate, s.pile_up)
    counts = rng.poisson(rate).astype(np.int32)
    live = np.full(truth.shape[:2], s.live_s)
    real = live + counts.sum(axis=-1) * s.dead_time_us * 1e-6
    ds = spectrum(
        counts,
        energy,
        technique="edxrd",
        axis_name="photon_energy",
        outer={"time": time, "position": position},
        coords={"channel": (("photon_energy",), np.arange(s.channels), "1")},
        extra={
            "live_time": (("time", "position"), live, "s"),
            "real_time": (("time", "position"), real, "s"),
        },
        attrs={
            "calibration": "simulated on a calibrated energy axis",
            "energy_calibration": "simulated",
            "c0_keV": float(energy[0]),
            "c1_keV": width,
            "c2_keV": 0.0,
            "two_theta_deg": s.two_theta_deg,
            "noise_keV": s.noise_keV,
            "fano": s.fano,
            "divergence": s.divergence,
            "incident": incident.text(),
            "fluorescence": s.fluorescence,
            "counts_per_volume": scale / s.live_s,
            "live_time_s": s.live_s,
        },
    )
    ds["truth"] = (("time", "position", "species"), truth, {"units": "mmol/cm3"})
    return ds.assign_coords(species=np.array(names, dtype=str))


def _directions(
    hkl: tuple[tuple[int, int, int], ...], parent: npt.NDArray[np.int64]
) -> list[tuple[float, npt.NDArray[np.int64]]]:
    """Lines (with their escape lines) of one direction, and the number of its equivalents."""
    out = []
    keys = [direction(h) for h in hkl]
    for key in sorted(set(keys)):
        zeros = key.count(0)
        order = {3: 6, 2: 3, 1: 1}[len(set(key))]
        index = np.flatnonzero([keys[p] == key for p in parent])
        out.append((float(order * 2 ** (3 - zeros)), index))
    return out


def molar_volume(name: str, library: Library) -> float:
    """Return the volume of a mole of formula units of a crystal, cm3."""
    from references.diffraction import cell_volume, formula_units

    return cell_volume(name, library) * 0.602214076 / formula_units(name, library)


def _profile(
    names: list[str], amount: Array, position: Array, library: Library, s: Simulation
) -> Array:
    """Concentrations (time, position, species) in mmol/cm3 from amounts in nmol/cm2."""
    from scipy.special import erf

    edges = np.append(position - 0.5 * s.step_um, position[-1] + 0.5 * s.step_um)
    zone = s.zone_um
    step = 0.5 + 0.5 * erf(edges / zone)
    share = np.diff(step)  # of what sits at the interface, by position
    # integral of the step over each gauge, as filled fraction of it
    ramp = 0.5 * (
        edges + edges * erf(edges / zone) + zone / np.sqrt(np.pi) * np.exp(-((edges / zone) ** 2))
    )
    filled = np.diff(ramp) / s.step_um
    out = np.zeros((amount.shape[1], position.size, len(names)))
    for k, name in enumerate(names):
        # nmol/cm2 over a gauge of step_um: 1e-6 mmol/cm2 / (1e-4 cm) per um
        local = s.area_factor * amount[k][:, None] * share * 1e-2 / s.step_um
        if name == "Li6PS5Cl":
            lost = s.area_factor * (amount[k] - amount[k][0])[:, None] * share * 1e-2 / s.step_um
            local = 0.85e3 / molar_volume(name, library) * filled[None, :] + lost
        elif name == "Li":
            first = 0.5e3 / molar_volume(name, library) * (1.0 - filled[None, :])
            gained = s.area_factor * (amount[k] - amount[k][0])[:, None] * share * 1e-2 / s.step_um
            local = first + gained
        out[:, :, k] = np.maximum(local, 0.0)
    return out


def _lines(energy: Array, place: Array, area: Array, fwhm: Array, tail: float) -> Array:
    """Sum of Gaussians (with an exponential low tail in a share of each)."""
    out = np.zeros_like(energy)
    step = energy[1] - energy[0]
    for e, a, w in zip(place, area, fwhm, strict=True):
        first, last = np.searchsorted(energy, [e - 4.0 * w, e + 3.0 * w])
        if last <= first:
            continue
        x = energy[first:last]
        sigma = w / _FWHM
        line = np.exp(-0.5 * ((x - e) / sigma) ** 2) / (sigma * np.sqrt(2.0 * np.pi))
        if tail > 0.0:
            from scipy.special import erfc

            slope = 2.0 * sigma
            low = 0.5 / slope * np.exp((x - e) / slope + 0.5 * (sigma / slope) ** 2)
            low *= erfc((x - e) / (np.sqrt(2.0) * sigma) + sigma / (np.sqrt(2.0) * slope))
            line = (1.0 - tail) * line + tail * low
        out[first:last] += a * line
    return out if step > 0 else -out


def _smooth(energy: Array, incident: Incident, height: float) -> Array:
    """Compton and air scatter: broad, like the incident spectrum, on a slow exponential."""
    broad = incident(energy * 1.03)
    return np.asarray(
        height * (0.7 * broad / broad.max() + 0.3 * np.exp(-(energy - energy[0]) / 45.0))
    )


def _piled(energy: Array, rate: Array, share: float) -> Array:
    """Move a share of the counts to the sums of two."""
    flat = rate.reshape(-1, energy.size)
    out = (1.0 - share) * flat
    step = energy[1] - energy[0]
    shift = round(float(energy[0] / step))
    for row, full in zip(out, flat, strict=True):
        total = full.sum()
        pairs = np.convolve(full, full) / total * (0.5 * share)
        keep = np.arange(pairs.size) + shift
        good = keep < energy.size
        row[keep[good]] += pairs[good]
    return out.reshape(rate.shape)

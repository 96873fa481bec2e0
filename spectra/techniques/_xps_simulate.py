"""Forward model of operando XPS: a growing interphase under plated lithium, seen from above."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..convention import spectrum
from ..errors import ModelError
from ..shapes import SHAPES
from ._xps_join import join
from ._xps_positions import Placed, positions
from .base import Settings

if TYPE_CHECKING:
    from references import Library, Line
    from references.model import CoreLevel

Array = npt.NDArray[np.float64]

_PHOTON_EV = 1486.6


class Simulation(Settings):
    """A series of one core level while the interphase grows."""

    region: str = Field(
        "S 2p", description="core level, for example 'S 2p'; 'S 2p + P 2p' joins two"
    )
    step_eV: float = Field(0.1, gt=0, description="energy step, eV")
    counts: float = Field(4000.0, gt=0, description="counts at the strongest point, about")
    sample: Literal["layer", "mixture"] = Field(
        "layer",
        description="layer: electrolyte under an interphase under patches of lithium; mixture: "
        "everything within one probed volume",
    )
    contact_area: float = Field(
        100.0, gt=0, description="true contact area over the geometric one (rough, composite)"
    )
    escape_depth_nm: float = Field(
        3.0, gt=0, description="effective attenuation length times cos of the emission angle, nm"
    )
    lithium_patches: float = Field(
        0.5, ge=0, le=1, description="share of the surface that plated lithium covers"
    )
    fwhm: float | None = Field(None, gt=0, description="width of a line, eV; else the library's")
    resolution_eV: float = Field(
        0.0, ge=0, description="analyser resolution added in quadrature to the width, eV"
    )
    mixing: float = Field(0.3, ge=0, le=1, description="Lorentzian share of the lines")
    charging_eV: float = Field(0.25, description="drift of all lines over the series, eV")
    jitter_eV: float = Field(
        0.02, ge=0, description="scatter of the charging from spectrum to spectrum, eV"
    )
    shirley: float = Field(0.02, ge=0, description="step per peak area (inelastic), 1/eV")
    floor: float = Field(0.08, ge=0, description="flat background over the strongest point")
    flux_drift: float = Field(0.05, description="relative change of the source over the series")
    asymmetry: float = Field(
        0.0, ge=0, lt=0.5, description="tail of the lines that the default model does not know"
    )
    extra_line: float = Field(
        0.0, ge=0, description="area of a line no species has, over that of all others"
    )


def simulate(
    history: xr.Dataset, library: Library, settings: Simulation, rng: np.random.Generator
) -> xr.Dataset:
    """Simulate one core level against time.

    Each line is a spin-orbit doublet on its own Shirley step; charging moves all lines together;
    counts are Poisson. What a species emits is its atoms in the line times its amount, weighted
    with the escape of the electrons (`apparent`).

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
        Spectrum with ``truth(time, species)``: shares of formula units as `quantify` defines them
        (of a layered sample: apparent ones, weighted with the escape), and ``true_shift(time)``.

    Raises
    ------
    ModelError
        If no species of the history has a line in the region, or a density is not known.
    """
    levels = [library.core_level(part.strip()) for part in settings.region.split("+")]
    emitted = apparent(history, library, settings)
    names = [
        str(s)
        for s in history["species"].values
        if any(library.lines("xps", str(s), level.name) for level in levels)
    ]
    if not names:
        raise ModelError(f"simulate xps: no species of the history has a {settings.region} line")
    seen = np.stack([emitted[name] for name in names], axis=-1)
    t = np.linspace(0.0, 1.0, seen.shape[0])
    moved = settings.charging_eV * t + settings.jitter_eV * rng.standard_normal(t.size)
    at = _places(levels, names, library)
    made = [_level(level, names, seen, moved, at, library, settings) for level in levels]
    if len(levels) > 1:
        made = [(x, _sensitivity(level) * y) for level, (x, y) in zip(levels, made, strict=True)]
    flux = (1.0 + settings.flux_drift * (t - 0.5))[:, None]
    scale = settings.counts / max(float(y.max()) for _, y in made)
    parts = {}
    for level, (x, clean) in zip(levels, made, strict=True):
        parts[level.name] = spectrum(
            rng.poisson(flux * (scale * clean + settings.floor * settings.counts)),
            x,
            technique="xps",
            axis_name="binding_energy",
            outer={"time": history["time"].values},
            attrs={
                "region": settings.region,
                "photon_energy_eV": _PHOTON_EV,
                "calibration": "simulated on the true scale; charging is left in",
                "title": f"simulated {settings.region}",
            },
        )
    ds = join(parts) if len(parts) > 1 else next(iter(parts.values()))
    ds["truth"] = (
        ("time", "species"),
        seen / seen.sum(axis=1, keepdims=True),
        {"units": "1"},
    )
    ds["true_shift"] = ("time", moved, {"units": "eV"})
    return ds.assign_coords(species=names)


def _sensitivity(level: CoreLevel) -> float:
    if "scofield_1486.6" not in level.rsf:
        raise ModelError(f"simulate xps: the library has no sensitivity factor of {level.name}")
    return level.rsf["scofield_1486.6"]


def _places(levels: list[CoreLevel], names: list[str], library: Library) -> dict[str, float]:
    """Place all lines as `propose` does: differences between lines outrank their energies."""
    placed = [
        Placed(_name(name, line), line, "shift")
        for level in levels
        for name in names
        for line in library.lines("xps", name, level.name)
    ]
    return positions(placed, library)


def _name(species: str, line: Line) -> str:
    return f"{species} {line.transition} {line.label}"


def _level(
    level: CoreLevel,
    names: list[str],
    seen: Array,
    moved: Array,
    at: dict[str, float],
    library: Library,
    settings: Simulation,
) -> tuple[Array, Array]:
    """Return axis and noise-free signal of one core level, in units of atoms."""
    lines = [(k, i) for k, n in enumerate(names) for i in library.lines("xps", n, level.name)]
    if not lines:
        raise ModelError(f"simulate xps: no species of the history has a {level.name} line")
    centers = [at[_name(names[k], i)] for k, i in lines]
    low, high = min(centers) - 5.0, max(centers) + 7.0 + level.splitting
    points = round((high - low) / settings.step_eV)
    x: Array = low + settings.step_eV * np.arange(points, dtype=float)
    width = float(np.hypot(settings.fwhm or level.fwhm, settings.resolution_eV))
    peak = "split_pseudo_voigt" if settings.asymmetry else "pseudo_voigt"
    extra = (settings.mixing, *([settings.asymmetry] if settings.asymmetry else []))
    weights = [(1.0, 0.0)]
    if level.splitting:
        ratio = level.area_ratio
        weights = [(1.0 / (1.0 + ratio), 0.0), (ratio / (1.0 + ratio), level.splitting)]
    clean: Array = np.zeros((moved.size, x.size))
    for (k, line), place in zip(lines, centers, strict=True):
        atoms = line.count or library[names[k]].atoms[level.element]
        for weight, offset in weights:
            area = (seen[:, k] * atoms * weight)[:, None]
            center = (place + offset + moved)[:, None]
            clean += SHAPES[peak].function(x, area, center, width, *extra)[0]
            step = SHAPES["shirley_pseudo_voigt"].function
            clean += step(x, area, center, width, settings.mixing, settings.shirley)[0]
    if settings.extra_line:
        every = np.array([library[n].atoms.get(level.element, 0.0) for n in names])
        area = settings.extra_line * (seen @ every)[:, None]
        clean += SHAPES["gaussian"].function(x, area, max(centers) + 3.0, 1.5 * width)[0]
    return x, clean


def apparent(history: xr.Dataset, library: Library, settings: Simulation) -> dict[str, Array]:
    """Weight amounts with the escape of the electrons.

    In a layered sample the products of the interphase are evenly mixed in a layer of thickness
    ``d`` (their molar volumes over the contact area); the electrolyte lies under it. With the
    attenuation length ``L`` and concentrations ``c`` a product emits ``c L (1 - exp(-d/L))``,
    the electrolyte ``c L exp(-d/L)`` (M. P. Seah, W. A. Dench, Surf. Interface Anal. 1 (1979) 2).
    Lithium on top weakens both alike where it lies.

    Parameters
    ----------
    history : xr.Dataset
    library : references.Library
    settings : Simulation

    Returns
    -------
    dict of str to ndarray, shape (time,)
        In nmol/cm2, per formula unit; without the lithium above in a mixture.
    """
    amount = {
        str(s): history["amount"].sel(species=s).values.astype(float)
        for s in history["species"].values
    }
    if settings.sample == "mixture":
        return amount
    depth = settings.escape_depth_nm
    volume = {name: _molar_volume(library, name) for name in amount}  # nm per nmol/cm2
    role = {name: library[name].role for name in amount}
    layer = [n for n in amount if role[n] not in ("electrolyte", "electrode", "current_collector")]
    none = np.zeros(history.sizes["time"])
    metal = [n for n in amount if role[n] == "electrode"]
    thickness = np.sum([none, *(amount[n] * volume[n] for n in layer)], axis=0)
    over = np.sum([none, *(amount[n] * volume[n] for n in metal)], axis=0)
    d = thickness / settings.contact_area
    patches = settings.lithium_patches
    weaker = 1.0 - patches + patches * np.exp(-over / settings.contact_area / depth)
    kept = np.exp(-d / depth)
    seen = {}
    for name in amount:
        if name in layer:
            part = np.divide(
                amount[name], thickness, out=np.zeros_like(thickness), where=thickness > 0
            )
            seen[name] = part * depth * (1.0 - kept) * weaker
        elif role[name] == "electrolyte":
            seen[name] = np.full_like(d, depth / volume[name]) * kept * weaker
        else:
            own = amount[name] * volume[name] / settings.contact_area
            seen[name] = patches * depth / volume[name] * (1.0 - np.exp(-own / depth))
    return seen


def _molar_volume(library: Library, name: str) -> float:
    """Return the thickness of one nmol/cm2, nm."""
    species = library[name]
    if not species.density:
        raise ModelError(
            f"simulate xps: the library has no density of {name}; simulate with sample='mixture'"
        )
    return species.molar_mass / species.density * 1e-9 * 1e7

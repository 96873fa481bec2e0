"""X-ray photoelectron spectroscopy: binding energies in eV, doublets by exact area ratio.

The area of a core-level line over its sensitivity factor and the atoms per formula unit compares
species within one probed volume. See ``docs/xps.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from ..backgrounds import active_shirley
from ..component import Component, Components, Param, doublet
from ..convention import where
from ..errors import ModelError
from ._xps_calibrate import (
    CasaXPS,
    ChargeReference,
    FermiEdge,
    Shift,
    casaxps,
    charge_reference,
    fermi_edge,
    shift,
)
from ._xps_simulate import Simulation, simulate
from ._xps_static import Background, static_background
from .base import Quantification, Quantity, Settings, Step, Technique

if TYPE_CHECKING:
    from references import CoreLevel, Library, Line

PROBED_VOLUME = (
    "Shares of formula units within the probed volume (some nm), taken as evenly mixed; layers "
    "on top of each other weaken what lies below."
)


class Model(Settings):
    """How species become lines."""

    shift_range: float = Field(
        1.0, ge=0, description="largest common shift of all lines (charging), eV; 0 holds it"
    )
    shape: Literal["pseudo_voigt", "gaussian", "voigt"] = Field(
        "pseudo_voigt", description="line shape of every line"
    )
    mixing: float = Field(0.3, ge=0, le=1, description="Lorentzian share of a pseudo-Voigt")
    widths: Literal["level", "each", "fixed"] = Field(
        "level", description="level: one free width per core level; each: one per line"
    )
    positions: Literal["common", "each"] = Field(
        "common",
        description="common: library energies plus one common shift; each: every line also moves "
        "within its literature range",
    )
    background: Literal["active_shirley", "linear", "constant", "none"] = Field(
        "active_shirley",
        description="co-fitted background; active_shirley adds a straight line to the step",
    )
    positive: bool = Field(
        False,
        description="keep areas at zero or above; off by default, because only free areas of "
        "absent species average to zero",
    )


def propose(
    ds: xr.Dataset, species: Sequence[str], library: Library, settings: Model
) -> Components:
    """Turn species into core-level doublets within the axis.

    Lines of one species in one level whose atoms are known are tied by them: the free sulfide of
    Li6PS5Cl is a quarter of its PS4 sulfur, so that what is more at 160 eV is another species.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum on binding energy.
    species : sequence of str
        Library ids.
    library : references.Library
    settings : Model

    Returns
    -------
    Components
        With the common parameter ``shift`` (eV).
    """
    if "binding_energy" not in ds["intensity"].dims:
        raise ModelError(f"{where(ds)}: no binding energy; calibrate the axis first")
    x = ds["binding_energy"].values
    mean = _mean(ds)
    items: list[Component] = []
    first_of_level: dict[str, str] = {}
    for name in species:
        mine = [i for i in library.lines("xps", name) if _inside(i, x)]
        levels = dict.fromkeys(i.transition for i in mine)
        main: dict[str, str] = {}
        for line in mine:
            label = _label(name, line, levels, main)
            level = library.core_level(line.transition)
            tie = None
            if line.transition in main and line.count and _count(mine, line.transition):
                share = line.count / _count(mine, line.transition)
                tie = f"{share!r} * {main[line.transition]}.area"
            items.append(
                _component(name, label, line, level, tie, x, mean, first_of_level, settings)
            )
            main.setdefault(line.transition, label)
            first_of_level.setdefault(line.transition, label)
    if not items:
        return Components()
    common = {}
    if settings.shift_range > 0:
        at = float(np.clip(_start_shift(items, x, mean, settings.shift_range), -1e6, 1e6))
        limit = settings.shift_range
        common["shift"] = Param(value=at, min=-limit, max=limit)
    else:
        common["shift"] = Param(value=0.0, vary=False)
    return _with_background(Components(items, common), x, mean, settings)


def _mean(ds: xr.Dataset) -> np.ndarray:
    y = ds["intensity"].values.reshape(-1, ds.sizes["binding_energy"]).astype(float)
    return np.asarray(np.nanmean(y, axis=0))


def _inside(line: Line, x: np.ndarray) -> bool:
    return bool(x[0] <= line.value <= x[-1])


def _count(lines: Sequence[Line], transition: str) -> float | None:
    """Atoms behind the main line of a level."""
    return next((i.count for i in lines if i.transition == transition), None)


def _label(name: str, line: Line, levels: Mapping[str, None], main: Mapping[str, str]) -> str:
    """Name a component: the species; its level where several are in the axis; its site."""
    parts = [name]
    if len(levels) > 1 and line.transition != next(iter(levels)):
        parts.append(line.transition.replace(" ", ""))
    if line.transition in main:
        parts.append(line.label or f"line{len(main) + 1}")
    return "_".join(parts)


def _component(
    species: str,
    name: str,
    line: Line,
    level: CoreLevel,
    tie: str | None,
    x: np.ndarray,
    mean: np.ndarray,
    first: Mapping[str, str],
    settings: Model,
) -> Component:
    width = line.fwhm or level.fwhm
    near = np.abs(x - line.value) <= width
    height = float(np.max(mean[near]) - np.min(mean)) if near.any() else float(np.ptp(mean))
    area = max(height, 1e-3 * float(np.ptp(mean)), 1e-12) * width
    low = 0.0 if settings.positive else None
    center = Param(value=line.value, expr=f"{line.value!r} + shift")
    if settings.positions == "each":
        center = Param(value=line.value, min=line.low, max=line.high)
    params = {"area": Param(value=area, expr=tie) if tie else Param(value=area, min=low)}
    params["center"] = center
    if settings.shape == "voigt":
        params.update(_voigt_widths(width, level, line.transition, first, settings))
    else:
        params["fwhm"] = _width(width, level, "fwhm", line.transition, first, settings)
    if settings.shape == "pseudo_voigt":
        mixing = line.mixing if line.mixing is not None else settings.mixing
        params["mixing"] = Param(value=mixing, vary=False)
    lines = doublet(level.splitting, level.area_ratio) if level.splitting else ()
    return Component(name=name, species=species, shape=settings.shape, params=params, lines=lines)


def _width(
    width: float,
    level: CoreLevel,
    key: str,
    transition: str,
    first: Mapping[str, str],
    settings: Model,
) -> Param:
    if settings.widths == "fixed":
        return Param(value=width, vary=False)
    if settings.widths == "level" and transition in first:
        return Param(value=width, expr=f"{first[transition]}.{key}")
    return Param(value=width, min=0.5 * level.fwhm_low, max=1.5 * level.fwhm_high)


def _voigt_widths(
    width: float, level: CoreLevel, transition: str, first: Mapping[str, str], settings: Model
) -> dict[str, Param]:
    """Gaussian width free, Lorentzian width that of the core hole."""
    return {
        "fwhm_gaussian": _width(width, level, "fwhm_gaussian", transition, first, settings),
        "fwhm_lorentzian": Param(value=level.lifetime_width or 0.1, vary=False),
    }


def _start_shift(
    items: Sequence[Component], x: np.ndarray, mean: np.ndarray, limit: float
) -> float:
    """Start the common shift where the strongest point meets the nearest line."""
    floor = np.linspace(mean[0], mean[-1], mean.size)
    top = float(x[int(np.argmax(mean - floor))])
    distance = min((top - c.params["center"].value for c in items), key=abs)
    return float(np.clip(distance, -0.8 * limit, 0.8 * limit))


def _with_background(
    components: Components, x: np.ndarray, mean: np.ndarray, settings: Model
) -> Components:
    if settings.background == "none":
        return components
    edge = float(np.min(mean[: max(3, mean.size // 20)]))
    params = {"c0": Param(value=edge), "x0": Param(value=float(x[0]), vary=False)}
    if settings.background in ("linear", "active_shirley"):
        params["c1"] = Param(value=0.0)
    base = Component(name="baseline", shape="polynomial", role="background", params=params)
    with_base = components + Components([base])
    if settings.background != "active_shirley":
        return with_base
    step = max(float(mean[-1] - mean[0]), 0.0)
    area = max(float(np.trapezoid(mean - np.min(mean), x)), 1e-12)
    scale = Param(value=float(np.clip(step / area, 1e-4, 0.2)), min=0.0, max=1.0)
    return active_shirley(with_base, scale=scale)


def quantify(components: Components, attrs: Mapping[str, Any], library: Library) -> Quantification:
    """Turn areas into shares of formula units in the probed volume.

    For each species the amount is the mean over its core levels of
    ``area / (RSF * atoms in the line)`` (M. P. Seah, in Practical Surface Analysis, Wiley 1990,
    chapter 5), with Scofield's cross sections; transmission and escape depth are taken as equal
    for the lines of one region and are not divided out.

    Parameters
    ----------
    components : Components
    attrs : mapping
        Of the fit.
    library : references.Library

    Returns
    -------
    Quantification
        Kind ``"fraction"``.
    """
    quantities = []
    for species in components.species:
        per_level: dict[str, dict[str, float]] = {}
        for component in components:
            if component.species != species:
                continue
            line = _line_of(component, library)
            level = library.core_level(line.transition)
            rsf = level.rsf.get("scofield_1486.6")
            if rsf is None:
                raise ModelError(
                    f"quantify xps: no sensitivity factor for {line.transition} in the library; "
                    "add it to core_levels.yaml"
                )
            own = per_level.setdefault(line.transition, {})
            own[f"{component.name}.area"] = 1.0 / rsf
        weights: dict[str, float] = {}
        for transition, areas in per_level.items():
            atoms = library[species].atoms[transition.split()[0]]
            for name, weight in areas.items():
                weights[name] = weight / atoms / len(per_level)
        quantities.append(Quantity(species, weights))
    return Quantification(tuple(quantities), "1", "fraction", PROBED_VOLUME)


def _line_of(component: Component, library: Library) -> Line:
    """Return the library line a component stands for: nearest in energy."""
    lines = library.lines("xps", component.species)
    if not lines:
        raise ModelError(f"quantify xps: {component.species} has no core level in the library")
    at = component.params["center"].value
    return min(lines, key=lambda i: abs(i.value - at))


TECHNIQUE = Technique(
    name="xps",
    axis="binding_energy",
    title="X-ray photoelectron spectroscopy",
    calibrations={
        "line": Step(ChargeReference, charge_reference),
        "shift": Step(Shift, shift),
        "casaxps": Step(CasaXPS, casaxps),
        "fermi_edge": Step(FermiEdge, fermi_edge),
    },
    corrections={"background": Step(Background, static_background)},
    settings=Model,
    propose=propose,
    quantify=quantify,
    simulation=Simulation,
    simulate=simulate,
    statistic="poisson",
)

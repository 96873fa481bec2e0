"""X-ray photoelectron spectroscopy: binding energies in eV, doublets by exact area ratio.

The area of a core-level line over its sensitivity factor and the atoms per formula unit compares
species within one probed volume. See ``docs/xps.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from ..backgrounds import active_shirley, active_tougaard
from ..component import Component, Components, Param, doublet
from ..convention import where
from ..errors import CalibrationError, ModelError
from ._xps_calibrate import (
    AsRecorded,
    CasaXPS,
    ChargeReference,
    FermiEdge,
    Shift,
    as_recorded,
    casaxps,
    charge_reference,
    fermi_edge,
    shift,
)
from ._xps_casa import casaxps_background, casaxps_model
from ._xps_correct import (
    DeadTime,
    Ends,
    EscapeDepth,
    OffsetShirley,
    Tougaard,
    Transmission,
    dead_time,
    escape_depth,
    response_at,
    static,
    transmission,
)
from ._xps_join import join, with_sections
from ._xps_simulate import Simulation, simulate
from .base import NoSettings, Quantification, Quantity, Settings, Step, Technique

if TYPE_CHECKING:
    from references import CoreLevel, Library, Line

__all__ = ["TECHNIQUE", "casaxps_model", "join", "propose", "quantify"]

PROBED_VOLUME = (
    "Shares of formula units within the probed volume (some nm), taken as evenly mixed; layers "
    "on top of each other weaken what lies below."
)


class Model(Settings):
    """How species become lines."""

    shift_range: float = Field(
        1.0, ge=0, description="largest common shift of all lines (charging), eV; 0 holds it"
    )
    second_domain: tuple[str, ...] = Field(
        (),
        description="species in a part of the sample that charges differently (a conductor beside "
        "an insulator): their lines follow a shift of their own, 'shift_2'",
    )
    levels: tuple[str, ...] = Field(
        (), description="core levels to use; default all that lie in the region"
    )
    tie_levels: bool = Field(
        False,
        description="tie the areas of one species in different core levels by atoms, sensitivity "
        "and response (joint fit of several regions)",
    )
    shape: Literal["pseudo_voigt", "gl_product", "gaussian", "voigt"] = Field(
        "pseudo_voigt", description="line shape of every line"
    )
    mixing: float = Field(
        0.3, ge=0, le=1, description="Lorentzian share of a pseudo-Voigt or Gauss-Lorentz product"
    )
    widths: Literal["level", "each", "fixed"] = Field(
        "level", description="level: one free width per core level; each: one per line"
    )
    positions: Literal["common", "each"] = Field(
        "common",
        description="common: library energies plus one common shift; each: every line also moves "
        "within its literature range",
    )
    background: Literal[
        "auto", "active_shirley", "active_tougaard", "linear", "constant", "none"
    ] = Field(
        "auto",
        description="co-fitted background; the active ones add a straight line to the losses of "
        "the lines; auto is active_shirley, or none where a static background is there",
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
        With the common parameter ``shift`` (eV), and ``shift_2`` for a second domain.

    Raises
    ------
    CalibrationError
        If the energy scale has not been calibrated.
    """
    _require_scale(ds)
    x = ds["binding_energy"].values
    mean = _mean(ds)
    items: list[Component] = []
    first_of_level: dict[str, str] = {}
    for name in species:
        mine = [
            i
            for i in library.lines("xps", name)
            if _inside(i, ds) and (not settings.levels or i.transition in settings.levels)
        ]
        levels = dict.fromkeys(i.transition for i in mine)
        main: dict[str, str] = {}
        for line in mine:
            label = _label(name, line, levels, main)
            level = library.core_level(line.transition)
            tie = None
            atoms = _count(mine, line.transition)
            if line.transition in main and line.count and atoms:
                share = line.count / atoms
                tie = f"{share!r} * {main[line.transition]}.area"
            elif settings.tie_levels and main and line.count:
                first = next(i for i in mine if i.transition in main)
                ratio = _sensitivity(line, ds.attrs, library) * line.count
                ratio /= _sensitivity(first, ds.attrs, library) * (first.count or line.count)
                tie = f"{ratio!r} * {main[first.transition]}.area"
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
    apart = set(settings.second_domain)
    if apart & set(species):
        if apart >= set(species):
            raise ModelError(
                f"{where(ds)}: second_domain names all species; leave one in the first domain"
            )
        common["shift_2"] = common["shift"]
    return _with_background(Components(items, common), ds, mean, settings)


def _require_scale(ds: xr.Dataset) -> None:
    if "binding_energy" not in ds["intensity"].dims:
        raise ModelError(f"{where(ds)}: no binding energy; calibrate the axis first")
    if not ds.attrs.get("calibration"):
        raise CalibrationError(
            f"{where(ds)}: the energy scale has no reference; call calibrate(ds, line='C 1s', "
            "at=284.8), or calibrate(ds, 'as_recorded') to leave charging to the fit"
        )


def _mean(ds: xr.Dataset) -> np.ndarray:
    y = ds["intensity"].values.reshape(-1, ds.sizes["binding_energy"]).astype(float)
    return np.asarray(np.nanmean(y, axis=0))


def _inside(line: Line, ds: xr.Dataset) -> bool:
    """Whether a line lies on the axis, and not in a gap between joined regions."""
    x = ds["binding_energy"].values
    step = 5.0 * max(float(np.median(np.diff(x))), 0.2)
    return bool(x[0] <= line.value <= x[-1] and np.min(np.abs(x - line.value)) <= step)


def _sensitivity(line: Line, attrs: Mapping[str, Any], library: Library) -> float:
    """Return sensitivity factor times what was noted of the instrument and the escape depth."""
    chosen = str(attrs.get("sensitivity", "scofield_1486.6"))
    own = json.loads(str(attrs.get("sensitivity_factors", "{}")))
    if line.transition in own:
        factor = float(own[line.transition])
    else:
        rsf = library.core_level(line.transition).rsf
        if chosen not in rsf:
            raise ModelError(
                f"quantify xps: no sensitivity factor {chosen!r} for {line.transition} in the "
                f"library (it has: {', '.join(rsf) or 'none'}); pass it with "
                "correct(ds, 'sensitivity', factors={...})"
            )
        factor = rsf[chosen]
    return factor * response_at(attrs, line.value)


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
    shift_name = "shift_2" if species in settings.second_domain else "shift"
    center = Param(value=line.value, expr=f"{line.value!r} + {shift_name}")
    if settings.positions == "each":
        center = Param(value=line.value, min=line.low, max=line.high)
    params = {"area": Param(value=area, expr=tie) if tie else Param(value=area, min=low)}
    params["center"] = center
    if settings.shape == "voigt":
        params.update(_voigt_widths(width, level, line.transition, first, settings))
    else:
        params["fwhm"] = _width(width, level, "fwhm", line.transition, first, settings)
    if settings.shape in ("pseudo_voigt", "gl_product"):
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
    components: Components, ds: xr.Dataset, mean: np.ndarray, settings: Model
) -> Components:
    x = ds["binding_energy"].values
    kind = settings.background
    if kind == "auto":
        kind = "none" if "background" in ds else "active_shirley"
    if kind == "none":
        return components
    if "section" in ds.coords:
        return with_sections(components, ds, mean, step=kind == "active_shirley")
    edge = float(np.min(mean[: max(3, mean.size // 20)]))
    params = {"c0": Param(value=edge), "x0": Param(value=float(x[0]), vary=False)}
    if kind != "constant":
        params["c1"] = Param(value=0.0)
    base = Component(name="baseline", shape="polynomial", role="background", params=params)
    with_base = components + Components([base])
    if kind == "active_tougaard":
        return active_tougaard(with_base)
    if kind != "active_shirley":
        return with_base
    step = max(float(mean[-1] - mean[0]), 0.0)
    area = max(float(np.trapezoid(mean - np.min(mean), x)), 1e-12)
    scale = Param(value=float(np.clip(step / area, 1e-4, 0.2)), min=0.0, max=1.0)
    return active_shirley(with_base, scale=scale)


class Sensitivity(Settings):
    """Sensitivity factors for quantification."""

    set: str = Field("scofield_1486.6", description="set of factors in the library")
    factors: dict[str, float] = Field(
        default_factory=dict,
        description="factors of your own instrument by core level ('S 2p': 1.68), over the set's",
    )


def sensitivity(ds: xr.Dataset, settings: Sensitivity) -> xr.Dataset:
    """Note which sensitivity factors `quantify` shall use.

    Parameters
    ----------
    ds : xr.Dataset
    settings : Sensitivity

    Returns
    -------
    xr.Dataset

    Raises
    ------
    ModelError
        If a factor is not positive.
    """
    for level, factor in settings.factors.items():
        if not factor > 0:
            raise ModelError(f"{where(ds)}: sensitivity factor of {level} is {factor:g}")
    ds = ds.copy(deep=False)
    ds.attrs["sensitivity"] = settings.set
    ds.attrs["sensitivity_factors"] = json.dumps(settings.factors)
    return ds


def quantify(components: Components, attrs: Mapping[str, Any], library: Library) -> Quantification:
    """Turn areas into shares of formula units in the probed volume.

    For each species ``amount = sum of its areas / sum of (S * atoms in the line)`` over all its
    lines, S the sensitivity factor times the transmission and the escape depth at the line where
    `correct` noted them (M. P. Seah, in Practical Surface Analysis, Wiley 1990, chapter 5).

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

    Raises
    ------
    ModelError
        If a sensitivity factor is missing, or a component is not a core level of its species.
    """
    found = {
        c.name: _line_of(c, library) for c in components if c.species and c.role != "background"
    }
    # In one core level the factors of all species are alike and cancel; then none is needed.
    one_level = len({i.transition for i in found.values()}) == 1
    quantities = []
    for species in components.species:
        mine = {name: line for name, line in found.items() if line.species == library[species].id}
        levels: dict[str, list[Line]] = {}
        for line in mine.values():
            levels.setdefault(line.transition, []).append(line)
        total = 0.0
        for transition, lines in levels.items():
            atoms = library[species].atoms.get(transition.split()[0], 0.0)
            counts = [i.count for i in lines]
            if all(c is not None for c in counts):
                atoms = sum(c for c in counts if c is not None)
            if atoms <= 0:
                raise ModelError(f"quantify xps: {species} holds no {transition.split()[0]}")
            total += atoms * (1.0 if one_level else _sensitivity(lines[0], attrs, library))
        quantities.append(Quantity(species, {f"{name}.area": 1.0 / total for name in mine}))
    note = PROBED_VOLUME
    if not one_level and "escape_depth" not in str(attrs.get("response", "")):
        note += " Escape depths of the core levels are taken as equal."
    return Quantification(tuple(quantities), "1", "fraction", note)


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
        "as_recorded": Step(AsRecorded, as_recorded),
        "casaxps": Step(CasaXPS, casaxps),
        "fermi_edge": Step(FermiEdge, fermi_edge),
    },
    corrections={
        "shirley": Step(Ends, static("shirley")),
        "tougaard": Step(Tougaard, static("tougaard")),
        "linear": Step(Ends, static("linear")),
        "offset_shirley": Step(OffsetShirley, static("offset_shirley")),
        "casaxps": Step(NoSettings, casaxps_background),
        "dead_time": Step(DeadTime, dead_time),
        "transmission": Step(Transmission, transmission),
        "escape_depth": Step(EscapeDepth, escape_depth),
        "sensitivity": Step(Sensitivity, sensitivity),
    },
    settings=Model,
    propose=propose,
    quantify=quantify,
    simulation=Simulation,
    simulate=simulate,
    statistic="poisson",
)

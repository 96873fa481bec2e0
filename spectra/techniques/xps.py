"""X-ray photoelectron spectroscopy: binding energies in eV, doublets by exact area ratio.

The area of a core-level line over its sensitivity factor and the atoms per formula unit compares
species within one probed volume. See ``docs/xps.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from pydantic import Field

from ..backgrounds import active_tougaard
from ..component import Component, Components, Param
from ..convention import where
from ..errors import CalibrationError, ModelError
from ._xps_atoms import atomic_percent, line_of, sensitivity_of
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
    PolynomialBackground,
    SputterRate,
    StepBackground,
    Tougaard,
    Transmission,
    dead_time,
    equal_errors,
    escape_depth,
    reported,
    sputter_rate,
    static,
    transmission,
)
from ._xps_depth import attenuation_length, overlayer_thickness, sputtered_depth, tpp2m
from ._xps_join import join, with_sections
from ._xps_lines import (
    ActiveShirley,
    Model,
    active_shirley_under,
    component_of,
    is_satellite,
    lead_of,
    satellite_of,
    shape_of,
    shirley_steps,
    start_shift,
)
from ._xps_positions import Placed, centers, note
from ._xps_simulate import Simulation, simulate
from ._xps_template import measured_component
from .base import NoSettings, Quantification, Quantity, Settings, Step, Technique

if TYPE_CHECKING:
    from references import CoreLevel, Library, Line

__all__ = [
    "TECHNIQUE",
    "atomic_percent",
    "attenuation_length",
    "casaxps_model",
    "join",
    "measured_component",
    "overlayer_thickness",
    "propose",
    "quantify",
    "sputtered_depth",
    "tpp2m",
]

PROBED_VOLUME = (
    "Shares of formula units within the probed volume (some nm), taken as evenly mixed; layers "
    "on top of each other weaken what lies below."
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
    apart = set(settings.second_domain)
    if apart & set(species) and apart >= set(species):
        raise ModelError(
            f"{where(ds)}: second_domain names all species; leave one in the first domain"
        )
    placed, ties = _placed(ds, species, library, settings)
    if not placed:
        return Components()
    mean = _mean(ds)
    positions, common = centers(
        placed, library, positions=settings.positions, offsets=settings.level_offsets
    )
    items: list[Component] = []
    # A conductor and an insulator beside it have widths of their own, as they have shifts.
    first: dict[str, dict[tuple[str, str], str]] = {"shift": {}, "shift_2": {}}
    for one in placed:
        level = library.core_level(one.line.transition)
        area = _area(one, ties.get(one.name), level, ds, mean, settings)
        owner = _species_of(one, species, library)
        center = positions[one.name]
        shared = first[one.shift]
        items.append(component_of(owner, one.name, one.line, level, area, center, shared, settings))
    if settings.satellites:
        common |= _add_satellites(items, placed, library, ds)
    limit = settings.shift_range
    x = ds["binding_energy"].values
    shift = Param(value=0.0, vary=False)
    if limit > 0:
        lines = items[: len(placed)]
        at = float(np.clip(start_shift(lines, x, mean, limit), -1e6, 1e6))
        shift = Param(value=at, min=-limit, max=limit)
    shifts = {one.shift: shift for one in sorted(placed, key=lambda p: p.shift)}
    return _with_background(
        Components(items, {"shift": shift, **shifts, **common}), ds, mean, settings
    )


def _placed(
    ds: xr.Dataset, species: Sequence[str], library: Library, settings: Model
) -> tuple[list[Placed], dict[str, str]]:
    """Return the lines on the axis under their component's name, and the ties of their areas."""
    placed: list[Placed] = []
    ties: dict[str, str] = {}
    for name in species:
        mine = [
            i
            for i in library.lines("xps", name)
            if _inside(i, ds) and (not settings.levels or i.transition in settings.levels)
        ]
        levels = dict.fromkeys(i.transition for i in mine)
        main: dict[str, str] = {}
        shift = "shift_2" if name in settings.second_domain else "shift"
        for line in mine:
            label = _label(name, line, levels, main)
            atoms = _count(mine, line.transition)
            if line.transition in main and line.count and atoms:
                share = line.count / atoms
                ties[label] = f"{share!r} * {main[line.transition]}.area"
            elif settings.tie_levels and main and line.count:
                one = next(i for i in mine if i.transition in main)
                ratio = sensitivity_of(line, ds.attrs, library) * line.count
                ratio /= sensitivity_of(one, ds.attrs, library) * (one.count or line.count)
                ties[label] = f"{ratio!r} * {main[one.transition]}.area"
            placed.append(Placed(label, line, shift, lead_of(label, shape_of(line, settings))))
            main.setdefault(line.transition, label)
    return placed, ties


def _species_of(one: Placed, species: Sequence[str], library: Library) -> str:
    """Return the name a line's species was asked for by."""
    return next(name for name in species if library[name].id == one.line.species)


def _area(
    one: Placed,
    tie: str | None,
    level: CoreLevel,
    ds: xr.Dataset,
    mean: np.ndarray,
    settings: Model,
) -> Param:
    width = one.line.fwhm or level.fwhm
    near = np.abs(ds["binding_energy"].values - one.line.value) <= width
    height = float(np.max(mean[near]) - np.min(mean)) if near.any() else float(np.ptp(mean))
    area = max(height, 1e-3 * float(np.ptp(mean)), 1e-12) * width
    if tie:
        return Param(value=area, expr=tie)
    return Param(value=area, min=0.0 if settings.positive else None)


def _add_satellites(
    items: list[Component], placed: Sequence[Placed], library: Library, ds: xr.Dataset
) -> dict[str, Param]:
    """Append the satellites of the lines in the model; return their common parameters."""
    common: dict[str, Param] = {}
    top = float(ds["binding_energy"].values[-1])
    for component, one in zip(tuple(items), placed, strict=True):
        number = 0
        for part in library[one.line.species].separations:
            same = (part.transition, part.label) == (one.line.transition, one.line.label)
            if part.kind != "satellite" or not same or one.line.value + part.value > top:
                continue
            made, more = satellite_of(component, number, part.value, part.low, part.high)
            items.append(made)
            common |= more
            number += 1
    return common


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
    return shirley_steps(with_base, scale=scale)


class Sensitivity(Settings):
    """Sensitivity factors for quantification."""

    set: str = Field(
        "auto", description="set of factors in the library; auto: that of the photon energy"
    )
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
        c.name: line_of(c, library) for c in components if c.species and c.role != "background"
    }
    # In one core level the factors of all species are alike and cancel; then none is needed.
    one_level = len({i.transition for i in found.values()}) == 1
    quantities = []
    for species in components.species:
        mine = {name: line for name, line in found.items() if line.species == library[species].id}
        levels: dict[str, list[Line]] = {}
        for name, line in mine.items():
            if not is_satellite(name):  # its area is its line's: cross sections include losses
                levels.setdefault(line.transition, []).append(line)
        total = 0.0
        for transition, lines in levels.items():
            atoms = library[species].atoms.get(transition.split()[0], 0.0)
            counts = [i.count for i in lines]
            if all(c is not None for c in counts):
                atoms = sum(c for c in counts if c is not None)
            if atoms <= 0:
                raise ModelError(f"quantify xps: {species} holds no {transition.split()[0]}")
            total += atoms * (1.0 if one_level else sensitivity_of(lines[0], attrs, library))
        quantities.append(Quantity(species, {f"{name}.area": 1.0 / total for name in mine}))
    said = PROBED_VOLUME
    if not one_level and "escape_depth" not in str(attrs.get("response", "")):
        said += " Escape depths of the core levels are taken as equal."
    said += note(list(components.common))
    return Quantification(tuple(quantities), "1", "fraction", said)


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
        "polynomial": Step(PolynomialBackground, static("polynomial")),
        "step": Step(StepBackground, static("step")),
        "casaxps": Step(NoSettings, casaxps_background),
        "reported": Step(NoSettings, reported),
        "equal_errors": Step(NoSettings, equal_errors),
        "dead_time": Step(DeadTime, dead_time),
        "transmission": Step(Transmission, transmission),
        "escape_depth": Step(EscapeDepth, escape_depth),
        "sputter_rate": Step(SputterRate, sputter_rate),
        "sensitivity": Step(Sensitivity, sensitivity),
    },
    settings=Model,
    propose=propose,
    quantify=quantify,
    simulation=Simulation,
    simulate=simulate,
    statistic="poisson",
    grounds={"active_shirley": Step(ActiveShirley, active_shirley_under)},
    stored=casaxps_model,
)

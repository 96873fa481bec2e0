"""Phases, fluorescence and background as components on a photon energy axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..component import Component, Components, Param, SubLine
from ..convention import where
from ..errors import CalibrationError, ModelError
from ._edxrd_apart import apart
from ._edxrd_axes import axes_of, moved, split_axes
from ._edxrd_axis import channel_width
from ._edxrd_cells import Start, refined, spectra_of, strongest
from ._edxrd_columns import background, columns, started
from ._edxrd_fluorescence import fluorescent
from ._edxrd_physics import (
    FLUORESCENCE,
    Detector,
    Incident,
    PhaseLines,
    measured_factors,
    phase_lines,
    with_escape,
)
from ._edxrd_strains import traded
from ._edxrd_widths import broadened
from .base import Settings

if TYPE_CHECKING:
    from references import Library

Array = npt.NDArray[np.float64]


class Model(Settings):
    """How phases become components."""

    mode: Literal["intensities", "pawley"] = Field(
        "intensities",
        description="intensities: all lines of a phase tied by j|F|^2, incident spectrum and cell; "
        "pawley: every line has an area of its own, positions follow the cell",
    )
    lattice: Literal["common", "each", "axes", "fixed"] = Field(
        "common",
        description="common: one strain for all phases (also takes up a drift of the angle); each: "
        "one strain per phase; axes: each axis of a cell by itself; fixed: library cells",
    )
    cells: Literal["refined", "library"] = Field(
        "refined",
        description="where cells start: refined on the spectra with most of a phase, or as in the "
        "library",
    )
    strain_range: float = Field(
        0.01, gt=0, le=0.05, description="largest relative change of a cell"
    )
    bounds: Literal["data", "range"] = Field(
        "data",
        description="how far a cell may move in one spectrum. data: as far as in the spectra that "
        "show the phase clearly, and a little more (needs cells='refined'), and never so far that "
        "one phase passes for another; range: strain_range",
    )
    widths: Literal["fixed", "free", "strain", "size", "both"] = Field(
        "fixed",
        description="free: one common factor on all diffraction widths; strain, size, both: "
        "microstrain (grows with energy) and small crystals (the same at all energies) of each "
        "phase, see edxrd.broadening",
    )
    background: int = Field(
        8, ge=4, le=40, description="number of cubic B-splines in ln E that make the background"
    )
    fluorescence: tuple[str, ...] | None = Field(
        None,
        description=f"elements whose K lines are fitted ({', '.join(FLUORESCENCE)}); left out, "
        "those named in the spectrum's attrs, else collimator and shield where all K lines show",
    )
    noise_keV: float | None = Field(None, ge=0, description="detector noise, fwhm in keV")
    fano: float | None = Field(None, gt=0, description="Fano factor of the detector")
    divergence: float | None = Field(
        None, ge=0, description="fwhm over energy that the slits give diffraction lines"
    )
    escape: float | None = Field(
        None, ge=0, description="factor on the computed Ge escape fraction; 0 leaves escape out"
    )
    weakest: float = Field(
        1e-3, gt=0, lt=1, description="lines below this share of a phase's strongest are left out"
    )
    positive: bool = Field(
        False,
        description="keep areas at zero or above; off by default, because only free areas of "
        "absent phases average to zero",
    )


def require_axis(ds: xr.Dataset) -> float:
    """Return the calibrated angle of a spectrum on a calibrated energy axis.

    Raises
    ------
    CalibrationError
        If energy or angle rest on nothing but the header, with the call that mends it.
    """
    if "photon_energy" not in ds["intensity"].dims or not ds.attrs.get("calibration"):
        raise CalibrationError(
            f"{where(ds)}: energy scale not calibrated (a header's is not trusted); call "
            "calibrate(ds, 'sources', sources=[...]), or calibrate(ds, 'known', c0=..., c1=..., "
            "two_theta_deg=...), or calibrate(ds, 'known', trust_header=True)"
        )
    if "two_theta_deg" not in ds.attrs:
        raise CalibrationError(
            f"{where(ds)}: scattering angle not calibrated (a header's is not trusted); call "
            "calibrate(ds, 'standard', standard='CeO2'), or calibrate(ds, 'known', "
            "two_theta_deg=...)"
        )
    return float(ds.attrs["two_theta_deg"])


def propose(
    ds: xr.Dataset, species: Sequence[str], library: Library, settings: Model
) -> Components:
    """Turn phases into components: one per phase, its powder lines tied.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum on calibrated ``photon_energy`` with a calibrated angle.
    species : sequence of str
        Library ids; those without a crystal structure are refused.
    library : references.Library
    settings : Model

    Returns
    -------
    Components
        Per phase ``<species>`` (in Pawley mode ``<species>_<hkl>`` too), ``<element>_Ka`` ... for
        fluorescence and ``background_<n>``; common parameters ``strain`` and ``broadening`` where
        asked for. ``center`` of a phase is the energy of its strongest line: see `lattice`.

    Raises
    ------
    CalibrationError, LibraryError, ModelError
        If the axis is not calibrated, a species has no structure, or an element no lines.
    """
    angle = require_axis(ds)
    x = ds["photon_energy"].values
    detector = Detector.of(
        ds.attrs,
        noise_keV=settings.noise_keV,
        fano=settings.fano,
        divergence=settings.divergence,
        escape=settings.escape,
    )
    incident = Incident.of(ds.attrs)
    common: dict[str, Param] = {}
    if settings.lattice == "common":
        r = settings.strain_range
        common["strain"] = Param(value=0.0, min=-r, max=r)
    if settings.widths == "free":
        common["broadening"] = Param(value=1.0, min=0.5, max=4.0)
    margin = float(detector.fwhm(x[0])), float(detector.fwhm(x[-1]))
    items: list[Component] = []
    table: dict[str, PhaseLines] = {}
    for name in species:
        lines = phase_lines(
            name,
            library,
            angle,
            max(x[0] - margin[0], 1.0),
            x[-1] + margin[1],
            incident,
            settings.weakest,
            measured_factors(ds.attrs, name),
        )
        if not lines.energy.size:
            continue
        if settings.mode == "pawley":
            items += _pawley(ds, name, lines, detector, settings)
        else:
            table[name] = lines
            items.append(_phase(ds, name, lines, detector, settings))
    if not items:
        return Components([])
    items += fluorescent(ds, x, detector, settings.fluorescence)
    items += background(x, settings.background)
    made = Components(items, common)
    if settings.mode == "intensities" and settings.bounds == "data" and settings.lattice != "fixed":
        apart = traded(ds, made, settings.strain_range)
        if np.isfinite(apart):  # cells stay where no phase passes for another
            less = {"strain_range": max(apart / 3.0, 1e-5)}
            return propose(ds, species, library, settings.model_copy(update=less))
    lines_used, starts = dict(table), dict[str, Start]()
    if settings.cells == "refined" and settings.mode == "intensities":
        shared, reach = settings.lattice == "common", settings.strain_range
        found = refined(ds, made, reach, common=shared)
        split = _split(ds, _moved(made, found, settings), table, found, library, detector, settings)
        if split:
            items = [
                _phase(ds, c.name, split[c.name][0], detector, settings) if c.name in split else c
                for c in made
            ]
            made = Components(items, made.common)
            found = refined(ds, made, reach, common=shared)
            lines_used |= {name: lines for name, (lines, _) in split.items()}
        starts = found
        for name, (_, factors) in split.items():
            for axis, value in factors.items():
                common[f"{name}_axis_{axis}"] = Param(value=value / found[name].factor, vary=False)
        made = _moved(Components(made.items, {**made.common, **common}), found, settings)
    made = started(ds, made)
    if settings.lattice == "axes" and settings.mode == "intensities":
        return _apart(ds, made, lines_used, starts, library, detector, settings)
    kind = settings.widths
    if settings.mode == "intensities" and kind != "fixed" and kind != "free":
        made = broadened(made, detector, kind)
    return made


def _split(
    ds: xr.Dataset,
    components: Components,
    table: dict[str, PhaseLines],
    starts: dict[str, Start],
    library: Library,
    detector: Detector,
    settings: Model,
) -> dict[str, tuple[PhaseLines, dict[str, float]]]:
    """Return lines and axes (over the library's) of the phases whose axes the data tell apart."""
    out = {}
    x, y = spectra_of(ds)
    still = settings.model_copy(update={"lattice": "fixed", "widths": "fixed"})
    basis = None
    for k, c in enumerate(components):
        if c.name not in table:
            continue
        lines = table[c.name]
        axes, share = axes_of(c.name, lines.hkl, library)
        if len(axes) < 2:
            continue
        if basis is None:
            basis = columns(components, x)
            weight = 1.0 / np.maximum(np.nan_to_num(np.nanmean(y, axis=0)), 0.5)
        total, score = strongest(basis, y, k, weight)
        if score < 30.0:
            continue

        def column(energy: Array, name: str = c.name, own: PhaseLines = lines) -> Array:
            one = _phase(ds, name, placed(own, energy), detector, still)
            return columns(Components([one]), x)[0]

        found = split_axes(
            lines, share, starts[c.name].factor, column, basis, k, total, settings.strain_range
        )
        if found is not None:
            energy = moved(lines, share, found)
            out[c.name] = (placed(lines, energy), dict(zip(axes, found.tolist(), strict=True)))
    return out


def _apart(
    ds: xr.Dataset,
    components: Components,
    used: dict[str, PhaseLines],
    starts: dict[str, Start],
    library: Library,
    detector: Detector,
    settings: Model,
) -> Components:
    """Give every axis of a phase a strain of its own."""
    if settings.widths != "fixed":
        raise ModelError("propose edxrd: lattice='axes' needs widths='fixed'; fit one, then other")
    items: list[Component] = []
    common = dict(components.common)
    r = settings.strain_range
    for c in components:
        axes, share = (
            axes_of(c.name, used[c.name].hkl, library) if c.name in used else ((), np.zeros((0, 0)))
        )
        if len(axes) < 2:
            items.append(c)
            continue
        lines = used[c.name]
        energy, strength, parent = with_escape(lines.energy, lines.strength, detector)
        area = strength * channel_width(ds, energy)
        keep = (energy > 1.0) & (area > 1e-6 * area.max())
        start = starts.get(c.name)
        if start is None or settings.bounds == "range":
            start = Start(1.0, -r, r)
        parts, own = apart(c, share[parent[keep]], axes, start)
        items += parts
        common |= own
    return Components(items, common)


def placed(lines: PhaseLines, energy: Array) -> PhaseLines:
    """Return the lines with other energies."""
    return replace(lines, energy=energy, d=lines.d * lines.energy / energy)


def _moved(components: Components, starts: dict[str, Start], settings: Model) -> Components:
    """Return the components with their line positions multiplied, and bounds from the data."""
    items = []
    for c in components:
        start = starts.get(c.name)
        if start is not None:
            place = c.params["center"].value * start.factor
            center = _center(place, settings)
            if settings.lattice in ("each", "axes") and settings.bounds == "data":
                center = Param(
                    value=place, min=place * (1 + start.low), max=place * (1 + start.high)
                )
            c = c.model_copy(update={"params": {**c.params, "center": center}})
        items.append(c)
    common = dict(components.common)
    if "strain" in common and settings.bounds == "data" and starts:
        low = -max(start.high for start in starts.values())
        high = -min(start.low for start in starts.values())
        common["strain"] = Param(value=0.0, min=low, max=high)
    return Components(items, common)


def sublines(
    ds: xr.Dataset, lines: PhaseLines, detector: Detector
) -> tuple[tuple[SubLine, ...], float, float]:
    """Return the lines of one phase tied to its strongest, that one's energy, and the phase's area.

    The area is per unit of volume fraction, in counts per channel times keV.
    """
    energy, strength, parent = with_escape(lines.energy, lines.strength, detector)
    area = strength * channel_width(ds, energy)
    main = int(np.argmax(lines.strength))
    reference = float(lines.energy[main])
    base = float(detector.fwhm(reference))
    # an escape line has the slits' width of its parent, and the detector's of its own charge
    own = detector.fwhm(energy, fluorescence=True)
    width = np.hypot(own, detector.divergence * energy[parent]) / base
    keep = (energy > 1.0) & (area > 1e-6 * area.max())
    total = float(area[keep].sum())
    made = tuple(
        SubLine(position=float(e) / reference, weight=float(a) / total, width=float(w))
        for e, a, w in zip(energy[keep], area[keep], width[keep], strict=True)
    )
    return made, reference, total


def _center(reference: float, settings: Model) -> Param:
    r = settings.strain_range
    if settings.lattice == "common":
        # energy times lattice parameter is constant; to first order in the strain
        return Param(value=reference, expr=f"{reference!r} * (1 - strain)")
    if settings.lattice in ("each", "axes"):
        return Param(value=reference, min=reference * (1 - r), max=reference * (1 + r))
    return Param(value=reference, vary=False)


def _width(value: float, settings: Model) -> Param:
    if settings.widths == "free":
        return Param(value=value, expr=f"{value!r} * broadening")
    return Param(value=value, vary=False)


def _phase(
    ds: xr.Dataset, name: str, lines: PhaseLines, detector: Detector, settings: Model
) -> Component:
    made, reference, _ = sublines(ds, lines, detector)
    return Component(
        name=name,
        species=name,
        shape="gaussian",
        params={
            "area": Param(value=1.0, min=0.0 if settings.positive else None),
            "center": _center(reference, settings),
            "fwhm": _width(float(detector.fwhm(reference)), settings),
        },
        lines=made,
        line_scale="ratio",
    )


def _pawley(
    ds: xr.Dataset, name: str, lines: PhaseLines, detector: Detector, settings: Model
) -> list[Component]:
    """Components with free areas; lines closer than a third of a width are one component."""
    main = int(np.argmax(lines.strength))
    reference = float(lines.energy[main])
    groups: list[list[int]] = []
    for i in range(lines.energy.size):
        near = groups and lines.energy[i] - lines.energy[groups[-1][-1]] < 0.35 * float(
            detector.fwhm(lines.energy[i])
        )
        if near:
            groups[-1].append(i)
        else:
            groups.append([i])
    out = []
    for group in sorted(groups, key=lambda g: main not in g):
        picked = PhaseLines(
            lines.energy[group],
            lines.strength[group],
            lines.d[group],
            tuple(lines.hkl[i] for i in group),
        )
        made, place, _ = sublines(ds, picked, detector)
        hkl = picked.hkl[int(np.argmax(picked.strength))]
        label = name if main in group else f"{name}_{''.join(map(_digit, hkl))}"
        center = (
            _center(reference, settings)
            if main in group
            else Param(value=place, expr=f"{place / reference!r} * {name}.center")
        )
        if main in group and place != reference:
            center = _center(place, settings)
        out.append(
            Component(
                name=label,
                species=name,
                shape="gaussian",
                params={
                    "area": Param(value=1.0, min=0.0 if settings.positive else None),
                    "center": center,
                    "fwhm": _width(float(detector.fwhm(place)), settings),
                },
                lines=made,
                line_scale="ratio",
            )
        )
    return out


def _digit(index: int) -> str:
    text = str(abs(index)) if abs(index) < 10 else f"_{abs(index)}_"
    return f"m{text}" if index < 0 else text

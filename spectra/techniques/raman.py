"""Raman spectroscopy: shifts in 1/cm, species as band lists, maps over a stage.

One component per species: its bands tied by their relative intensities, moved together by one
common shift (stress, temperature, calibration). See ``docs/raman.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from ..component import Component, Components, Param, SubLine
from ..convention import where
from ..errors import CalibrationError
from ._raman_axis import Standards, calibration_report, standards
from ._raman_bands import DEFAULT_FWHM, band_weights
from ._raman_calibrate import Known, Laser, Shift, known, laser, shift
from ._raman_correct import Baseline, Mask, Spikes, mask, spikes, static_baseline
from ._raman_response import (
    Response,
    area_over_response,
    intensity_response,
    response,
    response_at,
)
from ._raman_simulate import Simulation, simulate
from ._raman_standards import FoundLine, standard_lines
from .base import Quantification, Quantity, Settings, Step, Technique

if TYPE_CHECKING:
    from references import Library, Line

__all__ = [
    "TECHNIQUE",
    "FoundLine",
    "Model",
    "calibration_report",
    "intensity_response",
    "propose",
    "quantify",
    "standard_lines",
]

NOTE = (
    "Band area of each species in counts 1/cm: without cross sections this compares one species "
    "between places and times, not one species with another."
)
CORRECTED = " Areas are divided by the instrument's relative sensitivity."


class Model(Settings):
    """How species become bands."""

    shift_range: float = Field(
        3.0, ge=0, description="largest common shift of all bands, 1/cm; 0 holds it"
    )
    widths: Literal["species", "fixed"] = Field(
        "fixed", description="species: one free width factor per species; fixed: the library's"
    )
    intensities: Literal["tied", "bounded"] = Field(
        "tied",
        description="relative intensities of a species' bands: the library's, or free within "
        "intensity_factor of them (orientation, resonance)",
    )
    intensity_factor: float = Field(
        2.0, gt=1, description="how far a bounded intensity may be from the library's, a factor"
    )
    shape: Literal["lorentzian", "pseudo_voigt", "gaussian"] = Field(
        "pseudo_voigt", description="shape of every band"
    )
    mixing: float = Field(0.5, ge=0, le=1, description="Lorentzian share of a pseudo-Voigt")
    baseline: Literal["none", "constant", "linear", "quadratic", "cubic"] = Field(
        "quadratic", description="baseline fitted together with the bands"
    )
    positive: bool = Field(
        False,
        description="keep areas at zero or above; off by default, because only free areas of "
        "absent species average to zero",
    )


def propose(
    ds: xr.Dataset, species: Sequence[str], library: Library, settings: Model
) -> Components:
    """Turn species into tied band lists within the axis.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum on Raman shift.
    species : sequence of str
        Library ids.
    library : references.Library
    settings : Model

    Returns
    -------
    Components
        With the common parameter ``shift`` (1/cm).

    Raises
    ------
    CalibrationError
        If the axis is a wavelength.
    """
    if "raman_shift" not in ds["intensity"].dims:
        raise CalibrationError(
            f"{where(ds)}: axis is {ds['intensity'].dims[-1]}, not Raman shift; call "
            "calibrate(ds, 'laser', wavelength_nm=...)"
        )
    x = ds["raman_shift"].values
    mean = np.nanmean(ds["intensity"].values.reshape(-1, x.size).astype(float), axis=0)
    items = []
    limit = settings.shift_range
    common = {"shift": Param(value=0.0, min=-limit, max=limit) if limit else Param(vary=False)}
    for name in species:
        bands = [b for b in library.lines("raman", name) if x[0] <= b.value <= x[-1]]
        if not bands:
            continue
        seen = band_weights(bands) * response_at(ds.attrs, [b.value for b in bands])
        whole = _component(name, bands, seen / seen.sum(), x, mean, settings)
        if settings.intensities == "tied" or len(bands) == 1:
            items.append(whole)
        else:
            apart, ratios = _bands_apart(whole, settings.intensity_factor)
            items += apart
            common.update(ratios)
    if not items:
        return Components()
    return Components([*items, *_baseline(x, mean, settings)], common)


def _component(
    name: str,
    bands: Sequence[Line],
    weights: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    settings: Model,
) -> Component:
    main = bands[int(np.argmax(weights))]
    width = main.fwhm or DEFAULT_FWHM
    lines = tuple(
        SubLine(
            position=b.value - main.value, weight=float(w), width=(b.fwhm or DEFAULT_FWHM) / width
        )
        for b, w in zip(bands, weights, strict=True)
    )
    near = np.abs(x - main.value) <= width
    height = float(np.ptp(mean[near])) if near.sum() > 1 else 0.0
    area = max(height, 1e-3 * float(np.ptp(mean)), 1e-9) * width / float(weights.max())
    params = {
        "area": Param(value=area, min=0.0 if settings.positive else None),
        "center": Param(value=main.value, expr=f"{main.value!r} + shift"),
        "fwhm": Param(value=width, min=0.5 * width, max=2.5 * width)
        if settings.widths == "species"
        else Param(value=width, vary=False),
    }
    if settings.shape == "pseudo_voigt":
        params["mixing"] = Param(value=settings.mixing, vary=False)
    return Component(name=name, species=name, shape=settings.shape, params=params, lines=lines)


def _bands_apart(whole: Component, factor: float) -> tuple[list[Component], dict[str, Param]]:
    """Give each band of a species its own component; areas tied by ratios with bounds."""
    name, lines = whole.name, whole.lines
    main = int(np.argmax([line.weight for line in lines]))
    strongest = lines[main]
    area, center, fwhm = (whole.params[k] for k in ("area", "center", "fwhm"))
    rest = {k: p for k, p in whole.params.items() if k not in ("area", "center", "fwhm")}
    order = [main, *(k for k in range(len(lines)) if k != main)]
    items, ratios = [], {}
    for number, k in enumerate(order):
        line = lines[k]
        place = center.value + line.position
        width = fwhm.value * line.width
        params = {"center": Param(value=place, expr=f"{place!r} + shift"), **rest}
        if number == 0:
            params["area"] = Param(value=area.value * line.weight, min=area.min, max=area.max)
            params["fwhm"] = fwhm
        else:
            ratio = line.weight / strongest.weight
            key = f"{name}_{number}_ratio"
            ratios[key] = Param(value=ratio, min=ratio / factor, max=ratio * factor)
            params["area"] = Param(value=area.value * line.weight, expr=f"{name}.area * {key}")
            tied = f"{line.width / strongest.width!r} * {name}.fwhm"
            params["fwhm"] = Param(value=width, expr=tied) if fwhm.free else Param(
                value=width, vary=False)  # fmt: skip
        label = name if number == 0 else f"{name}_{number}"
        items.append(Component(name=label, species=name, shape=whole.shape, params=params))
    return items, ratios


def _baseline(x: np.ndarray, mean: np.ndarray, settings: Model) -> list[Component]:
    order = ["none", "constant", "linear", "quadratic", "cubic"].index(settings.baseline)
    if order == 0:
        return []
    params = {
        "c0": Param(value=float(np.percentile(mean, 20))),
        "x0": Param(value=0.5 * float(x[0] + x[-1]), vary=False),
    }
    params.update({f"c{k}": Param(value=0.0) for k in range(1, order)})
    return [Component(name="baseline", shape="polynomial", role="background", params=params)]


def quantify(components: Components, attrs: Mapping[str, Any], library: Library) -> Quantification:
    """Return the band area of each species.

    Parameters
    ----------
    components : Components
    attrs : mapping
        Of the fit.
    library : references.Library

    Returns
    -------
    Quantification
        Kind ``"amount"`` in ``counts 1/cm``.
    """
    quantities = tuple(
        Quantity(
            name,
            {
                f"{c.name}.area": area_over_response(c, attrs)
                for c in components
                if c.species == name
            },
        )
        for name in components.species
    )
    unit = f"{attrs.get('intensity_units', 'counts')} 1/cm"
    note = NOTE + (CORRECTED if attrs.get("response") else "")
    return Quantification(quantities, unit, "amount", note)


TECHNIQUE = Technique(
    name="raman",
    axis="raman_shift",
    title="Raman spectroscopy",
    calibrations={
        "line": Step(Known, known),
        "shift": Step(Shift, shift),
        "laser": Step(Laser, laser),
        "standards": Step(Standards, standards),
    },
    corrections={
        "spikes": Step(Spikes, spikes),
        "baseline": Step(Baseline, static_baseline),
        "mask": Step(Mask, mask),
        "intensity_response": Step(Response, response),
    },
    settings=Model,
    propose=propose,
    quantify=quantify,
    simulation=Simulation,
    simulate=simulate,
    statistic="poisson",
    fingerprint=2,
)

"""Neutron depth profiling: tritons and alphas of 6Li(n,t)4He, energy as depth, lithium by layers.

Each layer of the stack is one linear column (its response to even lithium); a layer that grows
while lithium is plated is a plateau whose lower edge follows its own lithium, and moves what lies
below.
See ``docs/ndp.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from ..component import Component, Components, Curve, Param
from ..convention import AXES, where
from ..errors import CalibrationError, ModelError
from ._ndp_calibrate import DeadTime, Lines, Monitor, dead_time, lines, monitor
from ._ndp_response import Detector, Layer, leaving, lithium_per_ug, response
from ._ndp_simulate import DEFAULT_STACK, Simulation, simulate
from ._ndp_stopping import ALPHA, AVOGADRO, TRITON, loss
from .base import Quantification, Quantity, Settings, Step, Technique

if TYPE_CHECKING:
    from references import Library

DEPTH_NOTE = (
    "Lithium per area by layer. Stopping powers carry about 5 % systematic error: depths and the "
    "sharing between touching layers do too, totals do not."
)


NO_LIVE_TIME = (
    "the file holds no live time; tell it with calibrate(ds, 'known', ..., live_time_s=...) (in a "
    "recipe: calibrate: {method: known, live_time_s: ...}) or correct(ds, 'monitor', ...)"
)


class Known(Settings):
    """State the energy scale (from boron or lithium lines) and the sensitivity."""

    slope_keV: float = Field(gt=0, description="energy per channel, keV")
    offset_keV: float = Field(description="energy of channel 0 (its middle), keV")
    counts_per_nmol_s: float | None = Field(
        None,
        gt=0,
        description="counts of one ion kind per nmol/cm2 of lithium and live second, from a "
        "reference of known areal density",
    )
    live_time_s: float | None = Field(
        None, gt=0, description="live time of every spectrum, s, where the file does not hold it"
    )


class Model(Settings):
    """The stack, the detector and the background."""

    layers: tuple[Layer, ...] = Field(
        DEFAULT_STACK, description="from the detector inwards; areal density or thickness"
    )
    detector: Detector = Field(Detector(), description="resolution, dead layer, cone")
    ions: Literal["tritons", "both"] = Field(
        "tritons", description="tritons only (alphas do not get out), or tritons and alphas"
    )
    energy_shift_keV: float = Field(
        8.0, ge=0, description="largest common shift of all edges (drift), keV; 0 holds it"
    )
    background: Literal["none", "constant", "linear"] = Field(
        "constant", description="co-fitted background"
    )


def known(ds: xr.Dataset, settings: Known) -> xr.Dataset:
    """Turn channels into particle energy with a stated linear scale."""
    if "channel" not in ds["intensity"].dims:
        raise CalibrationError(f"{where(ds)}: the axis is an energy already")
    energy = settings.offset_keV + settings.slope_keV * ds["channel"].values
    out = ds.rename(channel="particle_energy").assign_coords(
        particle_energy=("particle_energy", energy, {"units": AXES["particle_energy"]})
    )
    out.attrs["calibration"] = (
        f"{settings.slope_keV:g} keV per channel from {settings.offset_keV:g} keV, stated"
    )
    out.attrs["channel_keV"] = settings.slope_keV
    if settings.counts_per_nmol_s is not None:
        out.attrs["counts_per_nmol_s"] = settings.counts_per_nmol_s
    if settings.live_time_s is not None:
        if "live_time" in out:
            raise CalibrationError(
                f"{where(ds)}: the file has a live time of its own; leave live_time_s out"
            )
        out.attrs["live_time_s"] = settings.live_time_s
    return out


def propose(
    ds: xr.Dataset, species: Sequence[str], library: Library, settings: Model
) -> Components:
    """Turn the layers of the stack that hold these species' lithium into components.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum on particle energy with ``attrs["counts_per_nmol_s"]`` for absolute amounts.
    species : sequence of str
        Library ids; layers of other species are left out.
    library : references.Library
    settings : Model

    Returns
    -------
    Components
        ``area`` is in counts (template) or counts keV (a layer that grows).

    Raises
    ------
    CalibrationError
        If the axis is not an energy.
    ModelError
        If two layers grow, or live times differ within a series with a growing layer.
    """
    if "particle_energy" not in ds["intensity"].dims:
        raise CalibrationError(
            f"{where(ds)}: the axis is {ds['intensity'].dims[-1]}; call "
            "calibrate(ds, 'known', slope_keV=..., offset_keV=...)"
        )
    x = ds["particle_energy"].values
    step = float(np.median(np.diff(x)))
    chosen = [i for i, layer in enumerate(settings.layers) if layer.species in species]
    growing = [i for i in chosen if settings.layers[i].grows]
    if len(growing) > 1:
        raise ModelError(f"{where(ds)}: only one layer of a stack can grow")
    mean = np.nanmean(ds["intensity"].values.reshape(-1, x.size).astype(float), axis=0)
    total = float(mean.sum())
    items: list[Component] = []
    lower = ""
    for i in chosen:
        layer = settings.layers[i]
        name = layer.species or layer.name
        if any(c.name == name for c in items):
            name = f"{name}_{layer.name}"
        if layer.diffuse and settings.ions != "tritons":
            raise ModelError(f"{where(ds)}: layer {layer.name!r}: diffuse edges take tritons only")
        if layer.diffuse and lower:
            raise ModelError(f"{where(ds)}: layer {layer.name!r}: diffuse edges below a growing "
                             "layer; use a profile of free shape")  # fmt: skip
        if layer.diffuse:
            items.append(_diffuse(settings, i, name, layer.species, step, total))
        elif layer.grows:
            items.append(_plated(ds, settings, i, name, x, step, total))
            lower = name
        else:
            items.append(_column(settings, i, name, layer.species, x, step, total, lower))
    if not items:
        return Components()
    limit = settings.energy_shift_keV
    drift = Param(value=0.0, min=-limit, max=limit) if limit else Param(vary=False)
    return Components([*items, *_background(x, mean, settings)], {"drift": drift})


def _ions(settings: Model) -> tuple[Any, ...]:
    return (TRITON,) if settings.ions == "tritons" else (TRITON, ALPHA)


def _loss_per_area(ds: xr.Dataset, settings: Model, which: int, step: float) -> float:
    """Energy lost per unit of the growing layer's own area, keV per (counts keV)."""
    layer = settings.layers[which]
    energy, _ = leaving(settings.layers, which, np.zeros(1), TRITON, settings.detector)
    stopping = float(loss(layer.formula, TRITON).at(float(energy[0])))
    per_nmol = stopping * settings.detector.path_factor / lithium_per_ug(layer.formula)
    return per_nmol / (counts_per_nmol(ds.attrs, _live(ds)) * step)


def counts_per_nmol(attrs: Mapping[str, Any], live_s: float) -> float:
    """Return counts of one ion kind per nmol/cm2 of lithium in one spectrum.

    Raises
    ------
    CalibrationError
        If the sensitivity is not known.
    """
    sensitivity = attrs.get("counts_per_nmol_s")
    if not sensitivity:
        raise CalibrationError(
            "ndp: no sensitivity; calibrate with counts_per_nmol_s= from a reference of known "
            "areal density"
        )
    return float(sensitivity) * live_s


def _live(ds: xr.Dataset) -> float:
    live = ds["live_time"].values if "live_time" in ds else ds.attrs.get("live_time_s")
    if live is None:
        raise CalibrationError(f"{where(ds)}: {NO_LIVE_TIME}")
    values = np.atleast_1d(np.asarray(live, dtype=float))
    if values.min() <= 0 or np.ptp(values) > 0.01 * values.mean():
        raise ModelError(
            f"{where(ds)}: live times run from {values.min():g} to {values.max():g} s; fit spectra "
            "of one live time together"
        )
    return float(values.mean())


def _plated(
    ds: xr.Dataset,
    settings: Model,
    which: int,
    name: str,
    x: np.ndarray,
    step: float,
    total: float,
) -> Component:
    """Return a plateau from the front of the layer down to where its own lithium ends."""
    energy, variance = leaving(settings.layers, which, np.zeros(1), TRITON, settings.detector)
    high = float(energy[0])
    width = 2.354820045 * float(np.sqrt(variance[0]))
    per_area = _loss_per_area(ds, settings, which, step)
    area = 0.3 * total * step
    return Component(
        name=name,
        species=settings.layers[which].species,
        shape="slab",
        params={
            "area": Param(value=area),
            "high_edge": Param(value=high, expr=f"{high!r} + drift"),
            "low_edge": Param(value=high - per_area * area,
                              expr=f"{high!r} + drift - {per_area!r} * {name}.area"),
            "fwhm_high": Param(value=width, vary=False),
            "fwhm_low": Param(value=width, vary=False),
        },
    )  # fmt: skip


def _diffuse(
    settings: Model, which: int, name: str, species: str | None, step: float, total: float
) -> Component:
    """Return a plateau whose lower edge is free and whose edges may be wider than the detector's.

    An error function in depth stays one in energy where the stopping power changes little across
    it; widths add in square: ``fwhm^2 = fwhm_instrument^2 + (S fwhm_depth)^2``.
    """
    layer = settings.layers[which]
    ends = np.array([0.0, layer.areal])
    energy, variance = leaving(settings.layers, which, ends, TRITON, settings.detector)
    high, low = float(energy[0]), float(energy[1])
    wide, wider = (2.354820045 * float(np.sqrt(v)) for v in variance)
    return Component(
        name=name,
        species=species,
        shape="slab",
        params={
            "area": Param(value=0.5 * total * step),
            "high_edge": Param(value=high, expr=f"{high!r} + drift"),
            "low_edge": Param(value=low, min=max(low - 10 * (high - low), 1.0), max=high),
            "fwhm_high": Param(value=1.1 * wide, min=wide, max=20 * wide),
            "fwhm_low": Param(value=1.1 * wider, min=wider, max=20 * wider),
        },
    )


def diffuse_depth(
    settings: Model, name: str, high_keV: float, low_keV: float, fwhm_high: float, fwhm_low: float
) -> tuple[float, float, float]:
    """Return how thick a fitted diffuse layer is and how diffuse its edges are, ug/cm2.

    Parameters
    ----------
    settings : Model
        The settings it was proposed with.
    name : str
        Of the layer in the stack.
    high_keV, low_keV, fwhm_high, fwhm_low : float
        Fitted parameters of its component.

    Returns
    -------
    thickness, front, back : float
        Areal density between the edges, and full widths at half maximum of the edges with the
        instrument's and the straggling's share taken out in square.

    Raises
    ------
    ModelError
        If the stack has no such layer.
    """
    which = next((i for i, x in enumerate(settings.layers) if x.name == name), None)
    if which is None:
        names = ", ".join(x.name for x in settings.layers)
        raise ModelError(f"no layer {name!r} in the stack; it has {names}")
    areal = np.linspace(0.0, 12.0 * settings.layers[which].areal, 2000)
    energy, variance = leaving(settings.layers, which, areal, TRITON, settings.detector)
    alive = energy > 0
    shift = high_keV - float(energy[0])
    thickness = float(np.interp(-(low_keV - shift), -energy[alive], areal[alive]))
    slope = np.abs(np.gradient(energy, areal))
    found = []
    for at, width in ((0.0, fwhm_high), (thickness, fwhm_low)):
        own = 2.354820045 * np.sqrt(np.interp(at, areal, variance))
        found.append(float(np.sqrt(max(width**2 - own**2, 0.0)) / np.interp(at, areal, slope)))
    return thickness, found[0], found[1]


def _column(
    settings: Model,
    which: int,
    name: str,
    species: str | None,
    x: np.ndarray,
    step: float,
    total: float,
    lower: str,
) -> Component:
    """Return the layer's response as a curve; below a growing layer it moves with its edge."""
    margin = 200
    axis = x[0] + step * np.arange(-margin, x.size + margin)
    edges = np.concatenate([axis - 0.5 * step, [axis[-1] + 0.5 * step]])
    y = response(settings.layers, which, edges, settings.detector, _ions(settings))
    moved = "drift"
    if lower:
        moved = f"drift + {lower}.low_edge - {lower}.high_edge"
    return Component(
        name=name,
        species=species,
        shape="template",
        role="template",
        params={"area": Param(value=0.5 * total), "shift": Param(expr=moved)},
        curve=Curve(x=tuple(axis.tolist()), y=tuple(y.tolist())),
    )


def _background(x: np.ndarray, mean: np.ndarray, settings: Model) -> list[Component]:
    if settings.background == "none":
        return []
    level = float(np.percentile(mean, 10))
    params = {"c0": Param(value=max(level, 0.01)), "x0": Param(value=float(x[-1]), vary=False)}
    if settings.background == "linear":
        params["c1"] = Param(value=0.0)
    return [Component(name="floor", shape="polynomial", role="background", params=params)]


def quantify(components: Components, attrs: Mapping[str, Any], library: Library) -> Quantification:
    """Turn counts into lithium per area, nmol/cm2, by species.

    Parameters
    ----------
    components : Components
    attrs : mapping
        Of the fit: ``counts_per_nmol_s``, ``live_time_s`` and ``channel_keV``.
    library : references.Library

    Returns
    -------
    Quantification
        Kind ``"lithium"``.
    """
    live, step = attrs.get("live_time_s"), attrs.get("channel_keV")
    if not live or not step:
        raise CalibrationError("quantify ndp: attrs live_time_s and channel_keV are needed")
    per_nmol = counts_per_nmol(attrs, float(live))
    quantities = []
    for name in components.species:
        weights = {
            f"{c.name}.area": 1.0 / (per_nmol * (float(step) if c.shape == "slab" else 1.0))
            for c in components
            if c.species == name
        }
        quantities.append(Quantity(name, weights))
    return Quantification(tuple(quantities), "nmol/cm2", "lithium", DEPTH_NOTE)


def sensitivity_of(counts_per_1e15_6li_s: float, abundance: float = 0.0759) -> float:
    """Convert counts per 1e15 6Li/cm2 and second to counts per nmol/cm2 of lithium and second."""
    return counts_per_1e15_6li_s * abundance * 1e-9 * AVOGADRO / 1e15


TECHNIQUE = Technique(
    name="ndp",
    axis="particle_energy",
    title="Neutron depth profiling",
    calibrations={"known": Step(Known, known), "lines": Step(Lines, lines)},
    corrections={"dead_time": Step(DeadTime, dead_time), "monitor": Step(Monitor, monitor)},
    settings=Model,
    propose=propose,
    quantify=quantify,
    simulation=Simulation,
    simulate=simulate,
    statistic="poisson",
)

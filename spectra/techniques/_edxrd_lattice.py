"""Lattice parameters, strain and texture from fits of EDXRD (and of XRD in the same way)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..component import Component, Components
from ..errors import ModelError
from ._edxrd_covariance import with_calibration_error
from ._edxrd_physics import Incident, measured_factors, phase_lines

if TYPE_CHECKING:
    from references import Library

Array = npt.NDArray[np.float64]


def lattice(fit: xr.Dataset, library: Library | None = None) -> xr.Dataset:
    """Return lattice parameters of every phase from the fitted line positions.

    ``a = a_start E_start / E_fitted``, one factor for all axes of a cell, but with
    ``lattice="axes"`` each axis by itself. Where the data told axes
    apart, `propose` found their ratio on the spectra with most of the phase and kept it.

    Parameters
    ----------
    fit : xr.Dataset
        A FitResult of EDXRD whose components came from ``propose``.
    library : references.Library, optional

    Returns
    -------
    xr.Dataset
        ``a``, ``b``, ``c`` with ``a_stderr`` ... in angstrom and ``strain``, ``strain_stderr``
        (against the library cell: the third root of the volume) on ``(*outer, species)``. NaN where
        the area is below three of its standard errors, and where the fit ended at a bound: what
        is not there has no lattice.
        ``strain_systematic``: what the angle's error of the calibration adds to all values alike.
        ``strain_stderr_calibration``, ``a_stderr_calibration`` ... (species): what scale and angle
        together add, correlated as they are, where the calibration carries its covariance.

    Raises
    ------
    ModelError
        If the fit holds no phase with powder lines.
    """
    import references
    from references.diffraction import structure_data

    library = library or references.load()
    components = Components.model_validate(json.loads(fit.attrs["components"]))
    phases = [c for c in components if c.species and c.lines and c.name == c.species]
    if not phases:
        raise ModelError("lattice: the fit holds no phase with powder lines; propose species first")
    names = [str(p) for p in fit["param"].values]
    outer = tuple(str(d) for d in fit["value"].dims[:-1])
    strain, error, start = [], [], []
    for c in phases:
        assert c.species is not None
        k, area = names.index(f"{c.name}.center"), names.index(f"{c.name}.area")
        found = fit["value"].values[..., k]
        start.append(axis_factors(c, components, fit.attrs, library))
        true = float(np.prod(start[-1])) ** (1.0 / 3.0) * c.params["center"].value
        seen = fit["value"].values[..., area] > 3.0 * fit["stderr"].values[..., area]
        seen &= ~at_bound(fit, "strain" if "strain" in names else f"{c.name}.center")
        moves = true / found - 1.0, fit["stderr"].values[..., k] / found
        if own_axes(c.name, names):
            moves = _mean_strain(fit, c.name, names, start[-1])
        strain.append(np.where(seen, moves[0], np.nan))
        error.append(np.where(seen, moves[1], np.nan))
    dims = (*outer, "species")
    e, s = np.stack(strain, -1), np.stack(error, -1)
    out = xr.Dataset(
        {"strain": (dims, e, {"units": "1"}), "strain_stderr": (dims, s, {"units": "1"})},
        coords={
            **{c: fit[c] for c in fit.coords if set(fit[c].dims) <= set(outer)},
            "species": np.array([c.species for c in phases], dtype=str),
        },
    )
    if "two_theta_stderr" in fit.attrs:
        half = np.radians(float(fit.attrs["two_theta_deg"])) / 2.0
        common = 0.5 * np.radians(float(fit.attrs["two_theta_stderr"])) / np.tan(half)
        out["strain_systematic"] = ((), float(common), {"units": "1"})
    whole = np.prod(start, axis=1) ** (1.0 / 3.0)
    for i, axis in enumerate("abc"):
        cell = np.array([getattr(structure_data(str(c.species), library), axis) for c in phases])
        first = cell * np.array(start)[:, i]
        length, wrong = first / whole * (1.0 + e), first / whole * s
        for n, c in enumerate(phases):
            free = own_axes(c.name, names)
            if free:
                k = names.index(free[axis])
                there = np.isfinite(e[..., n]) & ~at_bound(fit, free[axis])
                moved = first[n] * (1.0 + fit["value"].values[..., k])
                length[..., n] = np.where(there, moved, np.nan)
                wrong[..., n] = np.where(there, first[n] * fit["stderr"].values[..., k], np.nan)
        out[axis] = (dims, length, {"units": "angstrom"})
        out[f"{axis}_stderr"] = (dims, wrong, {"units": "angstrom"})
    return with_calibration_error(out, phases, fit.attrs)


def own_axes(phase: str, names: list[str]) -> dict[str, str]:
    """Return the strain parameter of each axis where axes move apart; empty where they do not."""
    found = {axis: f"{phase}_strain_{axis}" for axis in "abc" if f"{phase}_strain_{axis}" in names}
    return {axis: found.get(axis, found["a"]) for axis in "abc"} if found else {}


def _mean_strain(
    fit: xr.Dataset, phase: str, names: list[str], start: tuple[float, float, float]
) -> tuple[Array, Array]:
    """Return a third of the relative change of volume against the library, with its error."""
    index = [names.index(p) for p in own_axes(phase, names).values()]
    value = float(np.prod(start)) ** (1.0 / 3.0) * (
        1.0 + fit["value"].values[..., index].mean(axis=-1)
    )
    if "covar" in fit:
        covar = fit["covar"].values[..., np.array(index)[:, None], np.array(index)].astype(float)
        variance = covar.sum(axis=(-1, -2)) / 9.0
    else:
        variance = (fit["stderr"].values[..., index] ** 2).sum(axis=-1) / 9.0
    return value - 1.0, np.sqrt(np.maximum(variance, 0.0))


def at_bound(fit: xr.Dataset, param: str) -> npt.NDArray[np.bool_]:
    """Return where a parameter ended at one of its bounds."""
    meanings = str(fit["flag"].attrs["flag_meanings"]).split()
    values = np.asarray(fit["flag"].attrs["flag_values"])
    codes = [int(v) for v, m in zip(values, meanings, strict=True) if m in ("at_min", "at_max")]
    names = [str(p) for p in fit["param"].values]
    return np.asarray(np.isin(fit["flag"].values[..., names.index(param)], codes))


def axis_factors(
    component: Component, components: Components, attrs: Any, library: Library
) -> tuple[float, float, float]:
    """Return a, b, c over those of the library at which a component's lines start."""
    name = component.name
    own = {
        axis: components.common[f"{name}_axis_{axis}"].value
        for axis in "abc"
        if f"{name}_axis_{axis}" in components.common
    }
    if not own:
        assert component.species is not None
        center = component.params["center"].value
        factor = library_energy(component.species, center, attrs, library) / center
        return factor, factor, factor
    return own["a"], own.get("b", own["a"]), own.get("c", own["a"])


def library_energy(species: str, energy: float, attrs: Any, library: Library) -> float:
    """Return the energy of the library's line that a component's ``center`` stands for.

    Raises
    ------
    ModelError
        If no strong line is near.
    """
    lines = phase_lines(
        species,
        library,
        float(attrs["two_theta_deg"]),
        0.94 * energy,
        1.06 * energy,
        Incident.of(attrs),
        factors=measured_factors(attrs, species),
    )
    if not lines.energy.size:
        raise ModelError(f"{species}: no line near {energy:g} keV at this angle; propose again")
    strong = lines.strength > 0.3 * lines.strength.max()
    return float(lines.energy[strong][np.argmin(np.abs(lines.energy[strong] - energy))])


def texture(fit: xr.Dataset, species: str, library: Library | None = None) -> xr.Dataset:
    """Compare the free intensities of a Pawley fit with those of a random powder.

    Parameters
    ----------
    fit : xr.Dataset
        A FitResult with ``mode="pawley"``.
    species : str
        The phase.
    library : references.Library, optional

    Returns
    -------
    xr.Dataset
        ``ratio(*outer, line)``: measured over expected, 1 on average; ``scatter(*outer)``: the
        standard deviation of ln(ratio) beyond its counting error; ``flag(*outer)``: ``textured``
        where it exceeds 0.35 (a fifth of all lines off by more than 1.6), so that amounts from
        tied intensities must not be trusted.

    Raises
    ------
    ModelError
        If fewer than four lines are there.
    """
    import references

    library = library or references.load()
    components = Components.model_validate(json.loads(fit.attrs["components"]))
    own = [c for c in components if c.species == library[species].id]
    if len(own) < 4:
        raise ModelError(
            f"texture: {len(own)} free lines of {species}; propose with mode='pawley' and four or "
            "more lines in range"
        )
    names = [str(p) for p in fit["param"].values]
    expected = []
    for c in own:
        at = c.params["center"].value
        low = min(line.position for line in c.lines if line.weight > 0.05) * at
        high = max(line.position for line in c.lines) * at
        lines = phase_lines(
            str(c.species),
            library,
            float(fit.attrs["two_theta_deg"]),
            low * (1 - 1e-6),
            high * (1 + 1e-6),
            Incident.of(fit.attrs),
        )
        expected.append(float(lines.strength.sum()))
    index = [names.index(f"{c.name}.area") for c in own]
    value, error = fit["value"].values[..., index], fit["stderr"].values[..., index]
    ratio = value / np.array(expected)
    sure = (value > 3.0 * error) & (np.array(expected) > 0.02 * max(expected))
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.where(sure, np.log(ratio), np.nan)
        middle = np.nanmedian(log, axis=-1, keepdims=True)
        noise = np.nanmean(np.where(sure, (error / value) ** 2, np.nan), axis=-1)
        scatter = np.sqrt(np.maximum(np.nanvar(log - middle, axis=-1) - noise, 0.0))
    outer = tuple(str(d) for d in fit["value"].dims[:-1])
    few = sure.sum(axis=-1) < 4
    flag = np.where(few, 2, (scatter > 0.35).astype(int)).astype(np.uint8)
    return xr.Dataset(
        {
            "ratio": ((*outer, "line"), ratio / np.exp(middle), {"units": "1"}),
            "scatter": (outer, np.where(few, np.nan, scatter), {"units": "1"}),
            "flag": (outer, flag, {"flag_values": np.arange(3, dtype=np.uint8),
                                   "flag_meanings": "powder textured too_few_lines"}),
        },
        coords={"line": [c.name for c in own]},
    )  # fmt: skip

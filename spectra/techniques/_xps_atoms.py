"""Sensitivity factors, and atomic percent from the areas of several core levels."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

import references
from references import Library, Line

from ..component import Component, Components, Param, validated_components
from ..convention import COUNTS, where
from ..errors import ModelError
from ._xps_correct import response_at
from ._xps_join import counting_time, refuse_unknown_times

Array = npt.NDArray[np.float64]


def atomic_percent(
    fits: Mapping[str, xr.Dataset],
    *,
    levels: Mapping[str, str] | None = None,
    leave_out: Collection[str] = (),
    library: Library | None = None,
) -> xr.Dataset:
    """Turn the areas of core levels into atomic percent.

    ``c_i = A_i / (S T L t)`` over the sum of all, with S the sensitivity factor of the whole core
    level, T and L the transmission and the escape depth where `correct` noted them, t the counting
    time of a point where areas are counts (M. P. Seah, in Practical Surface Analysis, Wiley 1990,
    chapter 5). Covariances within a fit and the division by the total are propagated; fits of
    different regions are independent.

    Parameters
    ----------
    fits : mapping of str to xr.Dataset
        FitResults with covariance by core level (``"C 1s"``), with equal outer dimensions. Every
        peak of a fit counts as that level, one with a species as the level of its library line.
    levels : mapping, optional
        Core level by component name, where it is another (``{"s2s": "S 2s"}``).
    leave_out : collection of str
        Components that do not count: Auger lines, a second level of an element.
    library : references.Library, optional
        Another library than the default one.

    Returns
    -------
    xr.Dataset
        ``percent``, ``stderr`` on ``(*outer, component)`` with the coordinate ``level``, ``covar``
        on ``(*outer, component, component_2)``, and ``element_percent``, ``element_stderr`` on
        ``(*outer, element)``. Atoms as if mixed evenly over the probed depth.

    Raises
    ------
    ModelError
        If fits do not compare (pass or photon energy, units, counting times, dimensions), two
        levels of one element count, a covariance or a sensitivity factor is missing.
    """
    if not fits:
        raise ModelError("atomic percent: give the fits by core level: {'C 1s': fit, ...}")
    known = library or references.load()
    _comparable(fits)
    value, covar, names, found = [], [], [], []
    for key, fit in fits.items():
        peaks = [c for c in _components(fit) if c.role == "peak" and c.name not in leave_out]
        if not peaks:
            raise ModelError(f"atomic percent: the fit of {key!r} has no peak")
        at = [list(fit["param"].values).index(f"{c.name}.area") for c in peaks]
        here = [_level(c, key, levels or {}, known) for c in peaks]
        weight = np.array(
            [1.0 / _factor(c, level, fit, known) for c, level in zip(peaks, here, strict=True)]
        )
        value.append(fit["value"].values[..., at].astype(float) * weight)
        whole = fit["covar"].values[..., np.array(at)[:, None], at].astype(float)
        covar.append(whole * weight[:, None] * weight)
        names += [(key, c.name) for c in peaks]
        found += here
    _one_level_each(found)
    amount = np.concatenate(value, axis=-1)
    spread = np.zeros((*amount.shape, amount.shape[-1]))
    first = 0
    for block in covar:
        spread[..., first : first + block.shape[-1], first : first + block.shape[-1]] = block
        first += block.shape[-1]
    return _percent(next(iter(fits.values())), amount, spread, names, found)


def _percent(
    fit: xr.Dataset,
    amount: Array,
    spread: Array,
    names: list[tuple[str, str]],
    levels: list[str],
) -> xr.Dataset:
    """Divide by the total and sum by element, with the covariance of both."""
    total = amount.sum(axis=-1, keepdims=True)
    total = np.where(total > 0.0, total, np.nan)
    share = amount / total
    jacobian = (np.eye(amount.shape[-1]) - share[..., :, None]) / total[..., None]
    spread = 1e4 * (jacobian @ spread @ np.swapaxes(jacobian, -1, -2))
    elements = list(dict.fromkeys(level.split()[0] for level in levels))
    belongs = np.array([[level.split()[0] == e for level in levels] for e in elements], float)
    of_elements = belongs @ spread @ belongs.T
    plain = [name for _, name in names]
    labels = [n if plain.count(n) == 1 else f"{key}: {n}" for key, n in names]
    outer = tuple(str(d) for d in fit["value"].dims[:-1])
    dims = (*outer, "component")

    def error(matrix: Array) -> Array:
        return np.sqrt(np.maximum(np.diagonal(matrix, axis1=-2, axis2=-1), 0.0))

    keep = {c: fit[c] for c in fit.coords if set(fit[c].dims) <= set(outer)}
    return xr.Dataset(
        {
            "percent": (dims, 100.0 * share, {"units": "%", "long_name": "atomic percent"}),
            "stderr": (dims, error(spread), {"units": "%"}),
            "covar": ((*dims, "component_2"), spread, {"units": "%2"}),
            "element_percent": ((*outer, "element"), 100.0 * share @ belongs.T, {"units": "%"}),
            "element_stderr": ((*outer, "element"), error(of_elements), {"units": "%"}),
        },
        coords={
            **keep,
            "component": labels,
            "component_2": labels,
            "level": ("component", levels),
            "element": elements,
        },
        attrs={
            "technique": "xps",
            "note": "atoms as if mixed evenly over the probed depth; errors are those of the fits, "
            "not of the sensitivity factors (5 to 10 %)",
        },
    )


def _components(fit: xr.Dataset) -> Components:
    if fit.attrs.get("convention") != "fit-1" or fit.attrs.get("technique") != "xps":
        raise ModelError(f"{where(fit)}: atomic percent needs XPS fits, of workbench.fit")
    if "covar" not in fit:
        raise ModelError(f"{where(fit)}: no covariance; call fit(..., covariance=True)")
    data = json.loads(str(fit.attrs["components"]))
    return validated_components(
        [Component.model_validate(c) for c in data.get("items", [])],
        {name: Param.model_validate(p) for name, p in data.get("common", {}).items()},
    )


def _comparable(fits: Mapping[str, xr.Dataset]) -> None:
    """Refuse fits whose areas do not compare."""
    name, first = next(iter(fits.items()))
    counted = {key: _seconds(fit) for key, fit in fits.items()}
    without = [key for key, seconds in counted.items() if seconds == 0.0]
    if without and len(without) < len(fits):
        raise ModelError(
            f"atomic percent: counts, and no counting time of {', '.join(map(repr, without))}; set "
            "attrs['counting_time_s'] (dwell time x sweeps) before the fit"
        )
    refuse_unknown_times({k: f.attrs for k, f in fits.items()}, list(counted.values()))
    for key, fit in fits.items():
        for what, tolerance in (("pass_energy_eV", 0.01), ("photon_energy_eV", 1e-3)):
            pair = [float(f.attrs.get(what, 0.0) or 0.0) for f in (first, fit)]
            if min(pair) > 0 and abs(pair[0] / pair[1] - 1.0) > tolerance:
                raise ModelError(
                    f"atomic percent: {what} of {name!r} is {pair[0]:g}, of {key!r} {pair[1]:g}: "
                    "their areas do not compare"
                )
        if fit.attrs.get("intensity_units") != first.attrs.get("intensity_units"):
            raise ModelError(
                f"atomic percent: {name!r} is in {first.attrs.get('intensity_units')}, {key!r} in "
                f"{fit.attrs.get('intensity_units')}; fit both in one unit"
            )
        if fit["value"].sizes.keys() != first["value"].sizes.keys() or any(
            fit.sizes[d] != first.sizes[d] for d in fit["value"].dims[:-1]
        ):
            raise ModelError(f"atomic percent: {name!r} and {key!r} differ in outer dimensions")


def _seconds(fit: xr.Dataset) -> float:
    """Return what areas are divided by: the counting time where they are counts, else 1."""
    if fit.attrs.get("intensity_units") != COUNTS:
        return 1.0
    if "counting_time" in str(fit.attrs.get("response", "")):
        return 1.0  # noted by join, for each region
    return counting_time(fit)


def _level(component: Component, key: str, levels: Mapping[str, str], library: Library) -> str:
    if component.name in levels:
        return levels[component.name]
    return line_of(component, library).transition if component.species else key


def _factor(component: Component, level: str, fit: xr.Dataset, library: Library) -> float:
    """Return sensitivity times response times counting time of a component."""
    names = [str(p) for p in fit["param"].values]
    if component.curve is not None:
        at = component.curve.x[int(np.argmax(component.curve.y))]
    else:
        at = float(np.nanmean(fit["value"].values[..., names.index(f"{component.name}.center")]))
    return factor_at(level, at, fit.attrs, library) * (_seconds(fit) or 1.0)


def _one_level_each(levels: list[str]) -> None:
    """Refuse to count an element twice."""
    for element in dict.fromkeys(level.split()[0] for level in levels):
        both = list(dict.fromkeys(v for v in levels if v.split()[0] == element))
        if len(both) > 1:
            raise ModelError(
                f"atomic percent: {' and '.join(both)} would count {element} twice; name the "
                "components of one of them in leave_out="
            )


def sensitivity_of(line: Line, attrs: Mapping[str, Any], library: Library) -> float:
    """Return sensitivity factor times what was noted of the instrument and the escape depth."""
    return factor_at(line.transition, line.value, attrs, library)


def factor_at(level: str, energy: float, attrs: Mapping[str, Any], library: Library) -> float:
    """Return the sensitivity factor of a core level times the noted responses at an energy.

    Raises
    ------
    ModelError
        If neither the library nor `correct` named a factor.
    """
    chosen = str(attrs.get("sensitivity", "auto"))
    if chosen == "auto":
        chosen = sensitivity_set(attrs)
    own = json.loads(str(attrs.get("sensitivity_factors", "{}")))
    if level in own:
        factor = float(own[level])
    else:
        rsf = library.core_levels[level].rsf if level in library.core_levels else {}
        if chosen not in rsf:
            raise ModelError(
                f"quantify xps: no sensitivity factor {chosen!r} for {level} in the "
                f"library (it has: {', '.join(rsf) or 'none'}); pass it with "
                "correct(ds, 'sensitivity', factors={...})"
            )
        factor = rsf[chosen]
    return factor * response_at(attrs, energy)


def sensitivity_set(attrs: Mapping[str, Any]) -> str:
    """Return the set of the library that was computed at the photon energy of the spectrum."""
    photon = float(attrs.get("photon_energy_eV", 0.0))
    for energy in ("1253.6", "2984.3", "5414.8", "9251.7"):
        if abs(photon / float(energy) - 1.0) < 2e-3:
            return f"epdl97_{energy}"
    return "scofield_1486.6"


def line_of(component: Component, library: Library) -> Line:
    """Return the library line a component stands for: nearest in energy."""
    lines = library.lines("xps", component.species)
    if not lines:
        raise ModelError(f"quantify xps: {component.species} has no core level in the library")
    if component.curve is not None:
        at = component.curve.x[int(np.argmax(component.curve.y))]
    else:
        at = component.params["center"].value
    return min(lines, key=lambda i: abs(i.value - at))

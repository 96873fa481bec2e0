"""Microabsorption: grains that absorb more than their mixture hide part of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from pydantic import Field

from ..convention import where
from ..errors import CalibrationError, ModelError
from .base import Settings

if TYPE_CHECKING:
    from references import Library

HC = 12.398419843
_TYPICAL_UM = 5.0


class Microabsorption(Settings):
    """Grain sizes with which amounts are corrected."""

    diameter_um: float = Field(
        0.0, ge=0, le=200, description="diameter of the grains of all phases, micrometres"
    )
    diameters_um: dict[str, float] = Field(
        default_factory=dict, description="diameters of single phases, by species"
    )
    composition: dict[str, float] = Field(
        default_factory=dict,
        description="weight fractions that make the mean absorption; empty takes those with which "
        "the model starts",
    )


def microabsorption(ds: xr.Dataset, settings: Microabsorption) -> xr.Dataset:
    """State the grain sizes: `quantify` then divides by Brindley's factors.

    Raises
    ------
    CalibrationError
        If no size is given.
    """
    if not settings.diameter_um and not settings.diameters_um:
        raise CalibrationError(
            f"{where(ds)}: microabsorption needs a grain size; give diameter_um=... or "
            "diameters_um={'species': ...}"
        )
    out = ds.copy(deep=False)
    out.attrs["microabsorption"] = settings.model_dump_json()
    return out


def brindley(x: float) -> float:
    """Return what a sphere of radius R scatters over what it would in its mixture's absorption.

    ``tau = (1 / V) integral exp(-(mu - mean mu) l) dV`` with l the path through the sphere, at
    small angle: ``3/8 integral_0^2 u^2 exp(-x u) du`` with ``x = (mu - mean mu) R`` (G. W.
    Brindley, Philos. Mag. 36 (1945) 347; his table: 0.862 at 0.1, 0.481 at 0.5, 1.567 at -0.3).
    """
    node, weight = np.polynomial.legendre.leggauss(40)
    u = node + 1.0
    return float(0.375 * np.sum(weight * u * u * np.exp(-x * u)))


def attenuation(species: str, wavelength: float, library: Library) -> tuple[float, float]:
    """Return linear attenuation (1/cm) and density (g/cm3) of a crystal at a wavelength."""
    import xraydb

    from references.diffraction import cell_volume, formula_units

    found = library[species]
    mass = found.molar_mass * formula_units(species, library)
    density = mass / cell_volume(species, library) / 0.602214076
    energy = HC / wavelength * 1e3
    total = 0.0
    for element, number in found.atoms.items():
        share = number * float(xraydb.atomic_mass(element)) / found.molar_mass
        total += share * float(xraydb.mu_elam(element, energy))
    return total * density, density


def factors(
    weights: Mapping[str, float], attrs: Mapping[str, Any], library: Library
) -> tuple[dict[str, float], str]:
    """Return the factor on the amount of every phase, and what to say of it.

    Parameters
    ----------
    weights : mapping of str to float
        Weight fractions of the phases, uncorrected.
    attrs : mapping
        Of the fit: ``wavelength_A`` and, once stated, ``microabsorption``.

    Returns
    -------
    factors : dict
        ``1 / tau``; one for all where no sizes were stated.
    note : str

    Raises
    ------
    ModelError
        If a size or a weight is of a phase that the model does not have.
    """
    told = attrs.get("microabsorption")
    settings = Microabsorption.model_validate_json(str(told)) if told else Microabsorption()
    names = list(weights)
    for given in (*settings.diameters_um, *settings.composition):
        if given not in names and library[given].id not in names:
            raise ModelError(
                f"microabsorption: {given!r} is not a phase of the model: {', '.join(names)}"
            )
    stated = {library[k].id: v for k, v in settings.composition.items()}
    share = {n: max(stated.get(n, 0.0) if stated else weights[n], 0.0) for n in names}
    found = {n: attenuation(n, float(attrs["wavelength_A"]), library) for n in names}
    volume = {n: share[n] / found[n][1] for n in names}
    total = sum(volume.values())
    if total <= 0.0:
        return dict.fromkeys(names, 1.0), ""
    mean = sum(volume[n] * found[n][0] for n in names) / total
    sizes = {library[k].id: v for k, v in settings.diameters_um.items()}
    diameter = {n: sizes.get(n, settings.diameter_um) for n in names}
    tau = {
        n: brindley((found[n][0] - mean) * 0.5e-4 * (diameter[n] if told else _TYPICAL_UM))
        for n in names
    }
    if not told:
        worst = max(names, key=lambda n: abs(np.log(tau[n])))
        text = (
            f"Microabsorption is not corrected (grains of {_TYPICAL_UM:g} um would make "
            f"{worst} {100.0 * abs(tau[worst] - 1.0):.0f} % too "
            f"{'low' if tau[worst] < 1.0 else 'high'}): state a grain size with correct(ds, "
            "'microabsorption', diameter_um=...)."
        )
        return dict.fromkeys(names, 1.0), text
    coarse = [n for n in names if found[n][0] * 1e-4 * diameter[n] > 0.3]
    text = "Microabsorption corrected after Brindley with stated grains: " + ", ".join(
        f"{n} {diameter[n]:g} um (x {1.0 / tau[n]:.3f})" for n in names
    )
    if coarse:
        text += (
            f"; {', '.join(coarse)} absorb a third or more in one grain, where the correction "
            "itself is unsure"
        )
    return {n: 1.0 / tau[n] for n in names}, text + "."


def start_weights(areas: Mapping[str, float], per_area: Mapping[str, float]) -> dict[str, float]:
    """Return weight fractions from the areas with which a model starts."""
    mass = {n: max(areas[n], 0.0) * per_area[n] for n in areas}
    total = sum(mass.values())
    return {n: m / total if total > 0.0 else 1.0 / len(mass) for n, m in mass.items()}

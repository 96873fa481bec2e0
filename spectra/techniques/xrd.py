"""Angle-dispersive powder diffraction: phases, cells and weight fractions against two-theta.

The same phases as in EDXRD, at one wavelength (Ka1 and Ka2 of a tube, or a monochromatic beam).
See ``docs/edxrd.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..component import Components
from ..convention import where
from ..errors import CalibrationError, ModelError, NoAmountsError
from ._edxrd_correct import Mask, mask
from ._xrd_absorption import Microabsorption, factors, microabsorption, start_weights
from ._xrd_intensities import (
    Overflow,
    Texture,
    intensities,
    overflow_of,
    overflowing,
    texture_of,
    textured,
    widening,
)
from ._xrd_model import Model, lines_of, propose
from ._xrd_simulate import Simulation, simulate
from .base import Quantification, Quantity, Settings, Step, Technique

if TYPE_CHECKING:
    from references import Library

__all__ = ["TECHNIQUE", "cells", "intensities", "overflow_of", "texture_of"]

NOTE = (
    "Weight fractions of the crystalline phases in the model, from tied intensities; preferred "
    "orientation biases them and is not in the errors: correct(ds, 'texture', "
    "**xrd.texture_of(xrd.intensities(ds, a fit with free intensities))) adds it. "
)
_SEEN, _WEAK = 5.0, 6.0
TUBES = {
    "Cu": (1.5405929, 1.5444274),
    "Co": (1.7889960, 1.7928350),
    "Mo": (0.7093172, 0.7136070),
    "Cr": (2.2897260, 2.2936510),
    "Fe": (1.9360410, 1.9399730),
    "Ag": (0.5594214, 0.5638131),
}


class Known(Settings):
    """Wavelength and zero as known from elsewhere."""

    anode: Literal["", "Cu", "Co", "Mo", "Cr", "Fe", "Ag"] = Field("", description="tube anode")
    wavelength_A: float | None = Field(None, gt=0, description="wavelength, angstrom (Ka1)")
    wavelength_2_A: float = Field(0.0, ge=0, description="Ka2, angstrom; 0 is none")
    ratio_2: float = Field(0.5, ge=0, le=1, description="intensity of Ka2 over Ka1")
    monochromator_deg: float = Field(
        0.0,
        ge=0,
        lt=90,
        description="two-theta of a monochromator, for the polarisation; 0 is none",
    )
    b_iso_A2: float = Field(0.5, ge=0, description="Debye-Waller factor of all phases, angstrom^2")
    zero_deg: float = Field(0.0, description="added to every two-theta, deg")


def known(ds: xr.Dataset, settings: Known) -> xr.Dataset:
    """Set wavelength and zero.

    Raises
    ------
    CalibrationError
        If no wavelength is given and the file has none.
    """
    out = ds.copy(deep=False)
    if settings.anode:
        one, two = TUBES[settings.anode]
        out.attrs.update(wavelength_A=one, wavelength_2_A=two, ratio_2=settings.ratio_2)
    elif settings.wavelength_A:
        out.attrs.update(wavelength_A=settings.wavelength_A, ratio_2=0.0)
        out.attrs.pop("wavelength_2_A", None)
        if settings.wavelength_2_A:
            out.attrs.update(wavelength_2_A=settings.wavelength_2_A, ratio_2=settings.ratio_2)
    elif "wavelength_A" not in ds.attrs:
        raise CalibrationError(f"{where(ds)}: no wavelength; give anode='Cu' or wavelength_A=...")
    out.attrs.update(monochromator_deg=settings.monochromator_deg, b_iso_A2=settings.b_iso_A2)
    x = ds["two_theta"]
    out = out.assign_coords(two_theta=(x + settings.zero_deg).assign_attrs(x.attrs))
    text = f"wavelength {out.attrs['wavelength_A']:g} A, zero {settings.zero_deg:+g} deg given"
    out.attrs["calibration"] = text
    return out


def quantify(components: Components, attrs: Mapping[str, Any], library: Library) -> Quantification:
    """Turn areas into weight fractions.

    ``area of the strongest line = scale * v * j|F|^2 LP / V^2``; the mass is ``v`` times the
    density of the crystal (R. J. Hill, C. J. Howard, J. Appl. Cryst. 20 (1987) 467).

    Parameters
    ----------
    components : Components
    attrs : mapping
        Of the fit.
    library : references.Library

    Returns
    -------
    Quantification

    Raises
    ------
    ModelError
        If intensities are free, or the components did not come from `propose`.
    """
    from references.diffraction import cell_volume, formula_units

    per_area, areas = {}, {}
    for name in components.species:
        own = [c for c in components if c.species == name]
        if sum(c.params["area"].expr is None for c in own) != 1:
            raise NoAmountsError(
                f"quantify xrd: areas of {name} are free, they carry no amounts; propose with "
                "intensities='tied'"
            )
        place = components[name].params["center"].value
        wave = float(attrs.get("wavelength_A", 0.0))
        if not wave:
            raise ModelError(
                "quantify xrd: the fit has no wavelength_A; calibrate(ds, 'known', ...)"
            )
        lines = lines_of(name, library, wave, place - 2.0, place + 2.0, 0.1, attrs)
        if not lines.two_theta.size:
            raise ModelError(f"quantify xrd: no line of {name} near {place:.2f} deg; propose again")
        strength = float(lines.strength.max())
        mass = library[name].molar_mass * formula_units(name, library)
        density = mass / cell_volume(name, library)
        per_area[name] = density / strength
        areas[name] = components[name].params["area"].value
    factor, text = factors(start_weights(areas, per_area), attrs, library)
    quantities = tuple(
        Quantity(name, {f"{name}.area": per * factor[name]}) for name, per in per_area.items()
    )
    added, told = widening(attrs, tuple(per_area))
    response = {n: {n: (v,)} for n, v in added.items()}
    return Quantification(quantities, "1", "fraction", (told or NOTE) + text, response)


def cells(fit: xr.Dataset, library: Library | None = None) -> xr.Dataset:
    """Return the lattice parameters of every phase with their errors.

    Parameters
    ----------
    fit : xr.Dataset
        A FitResult of XRD whose components came from ``propose``.
    library : references.Library, optional

    Returns
    -------
    xr.Dataset
        ``a``, ``b``, ``c`` and ``a_stderr`` ... in angstrom on ``(*outer, species)``. NaN where a
        phase is not seen (its lines together below five standard errors): the cell would be that
        of the noise it likes best.

    Notes
    -----
    Places of weak lines scatter more than the curvature of the likelihood says, because noise makes
    maxima beside the true one. Errors are widened by ``sqrt(1 + (6 / s)^2)``, s the standard errors
    by which the phase is seen: 95 % intervals of simulated series held 85 to 91 % at s of 5 to 12
    before, 95 % above.
    """
    import references
    from references.diffraction import structure_data

    library = library or references.load()
    components = Components.model_validate(json.loads(fit.attrs["components"]))
    names = [str(p) for p in fit["param"].values]
    outer = tuple(str(d) for d in fit["value"].dims[:-1])
    species = list(components.species)
    out = xr.Dataset(
        coords={
            **{c: fit[c] for c in fit.coords if set(fit[c].dims) <= set(outer)},
            "species": np.array(species, dtype=str),
        }
    )
    for axis in "abc":
        value, error = [], []
        for name in species:
            length = float(getattr(structure_data(name, library), axis))
            own = next(
                (f"{name}_strain_{k}" for k in (axis, "a") if f"{name}_strain_{k}" in names), None
            )
            if own is None:
                value.append(np.full(fit["value"].shape[:-1], length))
                error.append(np.full(fit["value"].shape[:-1], np.nan))
            else:
                k = names.index(own)
                seen = _seen(fit, components, name, names)
                there = seen > _SEEN
                moved = length * (1.0 + fit["value"].values[..., k])
                wider = np.sqrt(1.0 + (_WEAK / np.maximum(seen, _SEEN)) ** 2)
                value.append(np.where(there, moved, np.nan))
                error.append(np.where(there, length * wider * fit["stderr"].values[..., k], np.nan))
        out[axis] = ((*outer, "species"), np.stack(value, -1), {"units": "angstrom"})
        out[f"{axis}_stderr"] = ((*outer, "species"), np.stack(error, -1), {"units": "angstrom"})
    return out


def _seen(
    fit: xr.Dataset, components: Components, species: str, names: list[str]
) -> npt.NDArray[np.float64]:
    """Return by how many standard errors a phase's lines are seen together; inf without any."""
    own = [
        f"{c.name}.area"
        for c in components
        if c.species == species and c.params["area"].expr is None
    ]
    at = [names.index(n) for n in own if n in names]
    value, error = fit["value"].values[..., at], fit["stderr"].values[..., at]
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(error > 0.0, np.maximum(value, 0.0) / error, 0.0)
    found = np.sqrt((np.nan_to_num(each) ** 2).sum(axis=-1))
    return np.asarray(np.where((error > 0.0).any(axis=-1), found, np.inf))


TECHNIQUE = Technique(
    name="xrd",
    axis="two_theta",
    title="Powder X-ray diffraction",
    calibrations={"known": Step(Known, known)},
    corrections={
        "mask": Step(Mask, mask),
        "overflow": Step(Overflow, overflowing),
        "texture": Step(Texture, textured),
        "microabsorption": Step(Microabsorption, microabsorption),
    },
    settings=Model,
    propose=propose,
    quantify=quantify,
    simulation=Simulation,
    simulate=simulate,
    fingerprint=0,
)

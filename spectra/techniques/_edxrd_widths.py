"""Broadening of a phase's lines by small crystals and by microstrain, told apart by energy.

At one angle ``E = hc / (2 d sin(theta))``. A spread of spacings widens lines in proportion to their
energy, ``dE = E (dd / d)``. Crystals of size D spread 1/d by ``K / D``: all lines are wider by the
same ``K hc / (2 D sin(theta))`` keV. Both are added to the instrument in squares (Gaussians).
"""

from __future__ import annotations

import json
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..component import Component, Components, Param
from ..errors import ModelError
from ._edxrd_physics import HC, Detector

Array = npt.NDArray[np.float64]
_BIN = 0.12
SCHERRER = 0.9

Kind = Literal["strain", "size", "both"]


def broadened(components: Components, detector: Detector, kind: Kind) -> Components:
    """Give every phase its own widths: `<phase>_strain2` and `<phase>_size2`, shared by its lines.

    The lines of a phase are cut into components of 12 % in energy, in which one width holds; areas
    and positions stay tied to the strongest. Parameters are the squares, ``(fwhm / E)^2`` and
    ``fwhm^2`` in keV^2, so that no broadening is no special point.
    """
    items: list[Component] = []
    common = dict(components.common)
    for c in components:
        if c.species is None or not c.lines or c.line_scale != "ratio":
            items.append(c)
            continue
        terms = []
        if kind in ("strain", "both"):
            common[f"{c.name}_strain2"] = Param(value=0.0, min=-2e-6, max=4e-3)
            terms.append("strain2")
        if kind in ("size", "both"):
            common[f"{c.name}_size2"] = Param(value=0.0, min=-4e-3, max=4.0)
            terms.append("size2")
        items += _bins(c, detector, terms)
    return Components(items, common)


def _bins(c: Component, detector: Detector, terms: list[str]) -> list[Component]:
    center = c.params["center"].value
    place = np.array([line.position for line in c.lines])
    weight = np.array([line.weight for line in c.lines])
    main = int(np.argmin(np.abs(place - 1.0)))
    number = np.round(np.log(place / place[main]) / _BIN).astype(int)
    out = []
    first = float(weight[number == 0].sum())
    for bin_ in sorted(set(number.tolist()), key=abs):
        at = np.flatnonzero(number == bin_)
        share = float(weight[at].sum())
        top = main if bin_ == 0 else int(at[np.argmax(weight[at])])
        ratio = float(place[top] / place[main])
        energy = center * ratio
        base = float(detector.fwhm(energy))
        inside = " + ".join(
            [f"{base * base!r}"]
            + [f"{energy * energy!r} * {c.name}_strain2" for t in terms if t == "strain2"]
            + [f"{c.name}_size2" for t in terms if t == "size2"]
        )
        lines = tuple(
            c.lines[k].model_copy(
                update={
                    "position": float(place[k] / place[top]),
                    "weight": float(weight[k] / share),
                    "width": float(detector.fwhm(center * place[k])) / base,
                }
            )
            for k in at
        )
        area, position = c.params["area"], c.params["center"]
        name = c.name
        if bin_ == 0:
            area = area.model_copy(update={"value": area.value * first})
        else:
            name = f"{c.name}_e{bin_}".replace("-", "m")
            area = Param(value=area.value * share, expr=f"{share / first!r} * {c.name}.area")
            position = Param(value=energy, expr=f"{ratio!r} * {c.name}.center")
        params = {
            **c.params,
            "area": area,
            "center": position,
            "fwhm": Param(value=base, expr=f"sqrt({inside})"),
        }
        out.append(c.model_copy(update={"name": name, "lines": lines, "params": params}))
    return out


def broadening(fit: xr.Dataset) -> xr.Dataset:
    """Return size and strain broadening of every phase, by position and time.

    Parameters
    ----------
    fit : xr.Dataset
        A FitResult of phases proposed with ``widths`` "strain", "size" or "both".

    Returns
    -------
    xr.Dataset
        On ``(*outer, species)``: ``strain_fwhm`` (fwhm of d over d, so that the root mean square
        microstrain is ``strain_fwhm / 2.355``) and ``size`` (nm, ``0.9 hc / (2 sin(theta)
        fwhm)``), with ``_stderr``; ``strain2``, ``size2`` are the fitted squares with theirs. A
        square below two of its standard errors gives no value: ``strain_fwhm`` and ``size`` are
        NaN there, and ``strain_limit``, ``size_limit`` the largest strain and smallest size that
        the data allow (two standard errors above).

    Raises
    ------
    ModelError
        If widths were not fitted.
    """
    components = Components.model_validate(json.loads(fit.attrs["components"]))
    names = [str(p) for p in fit["param"].values]
    species = [s for s in components.species if {f"{s}_strain2", f"{s}_size2"} & set(names)]
    if not species:
        raise ModelError("broadening: no widths were fitted; propose with widths='both'")
    outer = tuple(str(d) for d in fit["value"].dims[:-1])
    dims = (*outer, "species")
    out = xr.Dataset(
        coords={
            **{c: fit[c] for c in fit.coords if set(fit[c].dims) <= set(outer)},
            "species": np.array(species, dtype=str),
        }
    )
    scale = SCHERRER * HC / (2.0 * np.sin(np.radians(float(fit.attrs["two_theta_deg"])) / 2.0))
    for key, unit in (("strain2", "1"), ("size2", "keV^2")):
        if f"{species[0]}_{key}" not in names:
            continue
        index = [names.index(f"{s}_{key}") for s in species]
        area = [names.index(f"{s}.area") for s in species]
        there = fit["value"].values[..., area] > 5.0 * fit["stderr"].values[..., area]
        value = np.where(there, fit["value"].values[..., index], np.nan)
        error = np.where(there, fit["stderr"].values[..., index], np.nan)
        out[key] = (dims, value, {"units": unit})
        out[f"{key}_stderr"] = (dims, error, {"units": unit})
        with np.errstate(invalid="ignore", divide="ignore"):
            root = np.sqrt(np.where(value > 2.0 * error, value, np.nan))
            most = np.sqrt(np.maximum(value, 0.0) + 2.0 * error)
            if key == "strain2":
                out["strain_fwhm"] = (dims, root, {"units": "1"})
                out["strain_fwhm_stderr"] = (dims, error / (2.0 * root), {"units": "1"})
                out["strain_limit"] = (dims, most, {"units": "1"})
            else:
                out["size"] = (dims, 0.1 * scale / root, {"units": "nm"})
                relative = error / (2.0 * root**2)
                out["size_stderr"] = (dims, 0.1 * scale / root * relative, {"units": "nm"})
                out["size_limit"] = (dims, 0.1 * scale / most, {"units": "nm"})
    return out

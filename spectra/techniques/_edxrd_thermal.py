"""Debye-Waller factors of phases: stated, or found from the fall of lines with energy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from pydantic import Field, model_validator

from ..convention import outer_dims, where
from ..errors import CalibrationError
from ._edxrd_columns import columns
from ._edxrd_model import Model, propose, require_axis
from .base import Settings

LARGEST = 8.0
"""Largest isotropic B looked for, square angstrom."""
_CLEAR = 20.0  # area of a phase over its error, below which its lines do not tell B


class DebyeWaller(Settings):
    """An isotropic displacement factor exp(-2 B s^2), s = 1 / (2 d), for every line of a phase."""

    b: dict[str, float] = Field(
        default_factory=dict, description="B of phases in square angstrom, 0 to 8; stated"
    )
    find: tuple[str, ...] = Field(
        (), description="phases whose B is found from the spectra (needs the incident spectrum)"
    )
    species: tuple[str, ...] = Field(
        (), description="all phases of the spectra that B is found from; empty: those of find and b"
    )
    between: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="limits of outer dims (time, position ...) of the spectra used to find B",
    )
    fluorescence: tuple[str, ...] | None = Field(
        None, description="elements whose K lines are there too; none takes those in the attrs"
    )

    @model_validator(mode="after")
    def _some(self) -> DebyeWaller:
        if not self.b and not self.find:
            raise ValueError("tell b={'Li2S': 1.2} or find=('Li2S',)")
        if any(not 0.0 <= v <= LARGEST for v in self.b.values()):
            raise ValueError(f"B lies between 0 and {LARGEST:g} square angstrom")
        return self


def debye_waller(ds: xr.Dataset, settings: DebyeWaller) -> xr.Dataset:
    """State or find the Debye-Waller factors that `propose` and `quantify` then use.

    Found are those B for which the sum of the spectra in ``between``, with all phases at their own
    amounts over a free background, has the least chi-square; one phase after the other, twice. The
    incident spectrum must come from elsewhere (a standard with known factors): a B common to all
    phases cannot be told from it. attrs ``debye_waller`` and ``debye_waller_stderr`` (of counting,
    by the curvature of chi-square, scaled with its residual).

    Parameters
    ----------
    ds : xr.Dataset
        On a calibrated energy axis.
    settings : DebyeWaller

    Returns
    -------
    xr.Dataset

    Raises
    ------
    CalibrationError
        If the axis is not calibrated, no spectrum lies between the limits, there is no incident
        spectrum, or the lines do not tell B.
    """
    import references

    library = references.load()
    known = json.loads(str(ds.attrs.get("debye_waller", "{}")))
    known |= {library[k].id: float(v) for k, v in settings.b.items()}
    out = ds.copy(deep=False)
    if not settings.find:
        out.attrs["debye_waller"] = json.dumps(known)
        return out
    require_axis(ds)
    if "incident" not in ds.attrs:
        raise CalibrationError(
            f"{where(ds)}: B cannot be told from an unknown incident spectrum; find that on a "
            "standard first: correct(ds, 'incident', standard='CeO2')"
        )
    names = [library[n].id for n in settings.find]
    others = [library[n].id for n in (*settings.species, *settings.b)]
    every = list(dict.fromkeys([*names, *others]))
    one = _summed(ds, settings.between)
    found = {**dict.fromkeys(names, 1.0), **known}
    errors: dict[str, float] = {}
    for _ in range(2 if len(names) > 1 else 1):
        for name in names:
            found[name], errors[name] = _one(one, name, found, every, settings, library)
    bad = [n for n in names if not np.isfinite(errors[n]) or errors[n] > 0.25 * LARGEST]
    if bad:
        raise CalibrationError(
            f"{where(ds)}: the lines of {', '.join(bad)} do not tell B (too few, or too weak); "
            "state it: correct(ds, 'debye_waller', b={...})"
        )
    out.attrs["debye_waller"] = json.dumps({k: round(v, 5) for k, v in found.items()})
    before = json.loads(str(ds.attrs.get("debye_waller_stderr", "{}")))
    out.attrs["debye_waller_stderr"] = json.dumps(
        {**before, **{k: round(v, 5) for k, v in errors.items()}}
    )
    return out


def _summed(ds: xr.Dataset, between: Mapping[str, tuple[float, float]]) -> xr.Dataset:
    part = ds
    for dim, (low, high) in between.items():
        if dim not in outer_dims(ds):
            raise CalibrationError(f"{where(ds)}: no outer dimension {dim!r} to choose spectra by")
        part = part.isel({dim: (ds[dim].values >= low) & (ds[dim].values <= high)})
    if part["intensity"].size == 0:
        raise CalibrationError(f"{where(ds)}: no spectra within {dict(between)}")
    one = ds.drop_vars([v for v in ds.data_vars if v != "intensity"])
    one = one.drop_dims([d for d in outer_dims(ds) if d in one.dims], errors="ignore")
    outer = outer_dims(part)
    summed = part["intensity"].sum(outer) if outer else part["intensity"]
    one["intensity"] = summed.assign_attrs(ds["intensity"].attrs)
    return one


def _one(
    one: xr.Dataset,
    name: str,
    found: Mapping[str, float],
    every: list[str],
    settings: DebyeWaller,
    library: Any,
) -> tuple[float, float]:
    """Return B of one phase and its error, the others held."""
    from scipy.optimize import minimize_scalar

    y = one["intensity"].values.astype(float)
    x = one["photon_energy"].values
    sigma = np.sqrt(np.maximum(y, 1.0))
    told = Model(lattice="each", fluorescence=settings.fluorescence, background=10)
    free, sure = 1, 0.0

    def chi2(b: float) -> float:
        nonlocal free, sure
        trial = one.copy(deep=False)
        trial.attrs = {**one.attrs, "debye_waller": json.dumps({**found, name: float(b)})}
        made = propose(trial, every, library, told)
        basis = columns(made, x) / sigma
        free = max(x.size - len(basis), 1)
        size = np.maximum(np.linalg.norm(basis, axis=1), 1e-300)
        a = (basis / size[:, None]).T
        q, *_ = np.linalg.lstsq(a, y / sigma, rcond=1e-10)
        k = [c.name for c in made].index(name)
        sure = float(q[k] / np.sqrt(abs(np.linalg.pinv(a.T @ a)[k, k])))
        return float(np.sum((y / sigma - a @ q) ** 2))

    best = minimize_scalar(chi2, bounds=(0.0, LARGEST), method="bounded", options={"xatol": 0.02})
    b, least = float(best.x), float(best.fun)
    step = 0.25
    around = chi2(max(b - step, 0.0)) + chi2(b + step)
    curve = (around - 2.0 * least) / step**2
    scale = max(least / free, 1.0)
    clear = curve > 0 and sure > _CLEAR
    return b, float(np.sqrt(2.0 * scale / curve)) if clear else np.inf

"""Line intensities of a phase as measured: for disordered structures and for texture."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr
from pydantic import Field

from ..component import Component, Components
from ..convention import outer_dims, where
from ..errors import CalibrationError
from ._edxrd_cells import refined
from ._edxrd_columns import columns
from ._edxrd_model import Model, propose, require_axis
from ._edxrd_physics import Incident, measured_factors, phase_lines
from .base import Settings


class Intensities(Settings):
    """Intensities of one phase's lines from spectra that hold nothing else."""

    species: str = Field(description="phase whose lines are measured")
    between: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="limits of outer dims (time, position ...) where only this phase diffracts",
    )
    fluorescence: tuple[str, ...] | None = Field(
        None, description="elements whose K lines are there too; none takes those in the attrs"
    )
    reliable: float = Field(
        5.0, gt=0, description="areas over their standard error needed to replace the computed one"
    )


def intensities(ds: xr.Dataset, settings: Intensities) -> xr.Dataset:
    """Replace computed by measured line intensities of one phase.

    The spectra in ``between`` are summed and fitted with a free area per line. The factors measured
    over computed, scaled to conserve the sum, go to attrs ``intensities``, which `propose` and
    `quantify` use. Needed where the model structure is rough (averaged lithium, assumed order);
    the amounts keep the absolute scale of the computed intensities.

    Raises
    ------
    CalibrationError
        If the axis is not calibrated or the limits hold no spectra.
    """
    import references

    angle = require_axis(ds)
    library = references.load()
    name = library[settings.species].id
    part = ds
    for dim, (low, high) in settings.between.items():
        if dim not in outer_dims(ds):
            raise CalibrationError(f"{where(ds)}: no outer dimension {dim!r} to choose spectra by")
        part = part.isel({dim: (ds[dim].values >= low) & (ds[dim].values <= high)})
    if part["intensity"].size == 0:
        raise CalibrationError(f"{where(ds)}: no spectra within {settings.between}")
    one = ds.drop_vars([v for v in ds.data_vars if v != "intensity"])
    one = one.drop_dims([d for d in outer_dims(ds) if d in one.dims], errors="ignore")
    summed = part["intensity"].sum(outer_dims(part)) if outer_dims(part) else part["intensity"]
    one["intensity"] = summed.assign_attrs(ds["intensity"].attrs)
    one.attrs = {k: v for k, v in ds.attrs.items() if k != "intensities"}
    seen = settings.fluorescence
    tied = propose(one, [name], library, Model(fluorescence=seen))
    x, y = one["photon_energy"].values, one["intensity"].values.astype(float)
    scale = refined(one, tied, 0.01)[name].factor * tied[name].params["center"].value
    free = propose(one, [name], library, Model(mode="pawley", lattice="fixed", fluorescence=seen))
    nominal = free[name].params["center"].value
    own = [c for c in free if c.species]
    factor = scale / nominal
    items = []
    for c in free:
        if c.species:
            center = c.params["center"].model_copy(
                update={"value": _place(c) * factor, "expr": None}
            )
            c = c.model_copy(update={"params": {**c.params, "center": center}})
        items.append(c)
    basis = columns(Components(items), x)
    weight = 1.0 / np.sqrt(np.maximum(y, 1.0))
    norm = np.maximum(np.linalg.norm(basis * weight, axis=1), 1e-300)
    a = (basis * weight / norm[:, None]).T
    q, *_ = np.linalg.lstsq(a, y * weight, rcond=1e-10)
    sigma = np.sqrt(np.abs(np.diag(np.linalg.pinv(a.T @ a)))) / norm
    q = q / norm
    # areas the structure would give, on one scale
    table = phase_lines(
        name, library, angle, x[0], x[-1], Incident.of(ds.attrs), Model().weakest,
        measured_factors(one.attrs, name),
    )  # fmt: skip
    groups, expected = [], []
    for c in own:
        places = [line.position * _place(c) for line in c.lines]
        hit = [i for i, e in enumerate(table.energy) if min(abs(e - p) for p in places) < 1e-3]
        groups.append(hit)
        expected.append(float(table.strength[hit].sum()))
    step = np.gradient(x)
    where_x = [float(np.interp(_place(c), x, step)) for c in own]
    measured = np.array([q[k] / w for k, w in zip(range(len(own)), where_x, strict=True)])
    wanted = np.array(expected)
    sure = (measured > settings.reliable * sigma[: len(own)] / where_x) & (wanted > 0)
    if not sure.any():
        raise CalibrationError(
            f"{where(ds)}: no line of {name} is clear of noise in the spectra chosen"
        )
    level = measured[sure].sum() / wanted[sure].sum()
    found = {}
    for k, hit in enumerate(groups):
        if sure[k]:
            for i in hit:
                found[" ".join(map(str, table.hkl[i]))] = float(measured[k] / wanted[k] / level)
    out = ds.copy(deep=False)
    known = json.loads(str(ds.attrs.get("intensities", "{}")))
    out.attrs["intensities"] = json.dumps({**known, name: found})
    return out


def _place(c: Component) -> float:
    """Energy of a component's line at the library cell."""
    return float(c.params["center"].value)

"""Line intensities of a powder pattern against those computed: overflow of the beam, texture.

A fit with free areas gives every line's own intensity. Their ratio to the computed ones should be
one number per phase. Where it falls towards low angles in all phases, the beam is longer than the
sample there; what scatter is left is texture, or a structure that is not quite that of the library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field, model_validator

from ..component import Components
from ..convention import where
from ..errors import CalibrationError, ModelError
from ._xrd_model import lines_of, overflow
from .base import Settings

if TYPE_CHECKING:
    from references import Library

Array = npt.NDArray[np.float64]
_FLOOR = 0.05
"""Scatter (relative) that intensities of an ordinary powder have against a library's structure."""


class Overflow(Settings):
    """A sample shorter than the footprint of the beam at low angles."""

    sample_mm: float | None = Field(
        None, gt=0, description="length of the sample along the beam (diameter), mm"
    )
    divergence_deg: float | None = Field(
        None, gt=0, lt=10, description="opening of the divergence slit, deg; none takes the file's"
    )
    radius_mm: float | None = Field(
        None, gt=0, description="radius of the goniometer, mm; none takes the file's, or 217.5"
    )
    full_deg: float | None = Field(
        None,
        gt=0,
        lt=170,
        description="instead: two-theta at which the footprint is as long as the sample "
        "(xrd.overflow_of finds it)",
    )

    @model_validator(mode="after")
    def _enough(self) -> Overflow:
        if self.full_deg is None and self.sample_mm is None:
            raise ValueError("give sample_mm, or full_deg")
        return self


def overflowing(ds: xr.Dataset, settings: Overflow) -> xr.Dataset:
    """State how much of the beam the sample takes: computed intensities are multiplied with it.

    Raises
    ------
    CalibrationError
        If the slit is not known, or the sample longer than the footprint at every angle measured.
    """
    if settings.full_deg is not None:
        sine = float(np.sin(np.radians(settings.full_deg) / 2.0))
    else:
        assert settings.sample_mm is not None
        slit = settings.divergence_deg or ds.attrs.get("divergence_deg")
        if slit is None:
            raise CalibrationError(
                f"{where(ds)}: the file does not tell the divergence slit; give divergence_deg"
            )
        radius = settings.radius_mm or float(ds.attrs.get("goniometer_radius_mm", 217.5))
        sine = radius * np.radians(float(slit)) / settings.sample_mm
    x = ds["two_theta"].values
    lost = 1.0 - float(overflow(np.sin(np.radians(max(float(x[0]), 1.0)) / 2.0), sine))
    if lost < 1e-3:
        raise CalibrationError(
            f"{where(ds)}: no beam goes beside such a sample above {x[0]:g} deg; check sample_mm, "
            "divergence_deg and radius_mm"
        )
    out = ds.copy(deep=False)
    out.attrs["overflow_sine"] = float(sine)
    return out


class Texture(Settings):
    """Scatter of line intensities, as `xrd.texture_of` finds it."""

    scatter: dict[str, float] = Field(
        description="relative scatter of measured over computed intensities, by species"
    )
    directions: dict[str, float] = Field(
        default_factory=dict,
        description="lines that carry a phase's amount, counted by their weight; default 1",
    )

    @model_validator(mode="after")
    def _sizes(self) -> Texture:
        if any(v < 0 for v in self.scatter.values()) or any(
            v < 1 for v in self.directions.values()
        ):
            raise ValueError("scatter is 0 or more, directions are 1 or more")
        return self


def textured(ds: xr.Dataset, settings: Texture) -> xr.Dataset:
    """Keep the scatter of intensities: `quantify` widens the errors of amounts by it."""
    out = ds.copy(deep=False)
    out.attrs["texture"] = settings.model_dump_json()
    return out


def widening(attrs: Mapping[str, Any], names: tuple[str, ...]) -> tuple[dict[str, float], str]:
    """Return the relative error that the scatter adds to each amount, and what to say of it."""
    told = attrs.get("texture")
    if not told:
        return {}, ""
    settings = Texture.model_validate_json(str(told))
    added = {
        n: settings.scatter[n] / np.sqrt(settings.directions.get(n, 1.0))
        for n in names
        if n in settings.scatter
    }
    parts = [
        f"{n} scatter {100 * settings.scatter[n]:.0f} %, {100 * v:.1f} % added to its error"
        for n, v in added.items()
    ]
    return added, "Intensities against a random powder: " + "; ".join(parts) + ". "


def intensities(ds: xr.Dataset, fit: xr.Dataset, library: Library | None = None) -> xr.Dataset:
    """Return every line's intensity over the computed one.

    Parameters
    ----------
    ds : xr.Dataset
        The pattern, or series: its lines are then the mean over all patterns.
    fit : xr.Dataset
        A FitResult with free areas (``settings={"intensities": "free"}``).
    library : references.Library, optional

    Returns
    -------
    xr.Dataset
        Along ``line``: ``ratio`` and ``ratio_stderr`` (measured over computed, any one scale),
        ``computed`` (largest 1 in a phase); coords ``species``, ``hkl``, ``two_theta``.

    Raises
    ------
    ModelError
        If areas are tied, or no line is clear.
    """
    import references

    library = library or references.load()
    components = Components.model_validate(json.loads(fit.attrs["components"]))
    names = [str(p) for p in fit["param"].values]
    x = ds["two_theta"].values
    outer = fit["value"].ndim - 1
    area = _mean(fit["value"].values, outer)
    count = int(np.prod(fit["value"].shape[:-1]))
    covar = _mean(fit["covar"].values, outer) / count
    found: list[dict[str, Any]] = []
    for species in components.species:
        own = [c for c in components if c.species == species]
        if len(own) > 1 and sum(c.params["area"].expr is None for c in own) < 2:
            raise ModelError(
                f"intensities of {species} are tied; fit with settings={{'intensities': 'free'}}"
            )
        table = lines_of(species, library, float(fit.attrs["wavelength_A"]), max(float(x[0]), 1.0),
                         float(x[-1]), 1e-6, fit.attrs)  # fmt: skip
        rows = []
        for c in own:
            near = np.flatnonzero(np.abs(table.two_theta - c.params["center"].value) < 1.0)
            label = c.name.removeprefix(species).strip("_")
            same = [i for i in near if label in ("", _label(table.hkl[i]))]
            if same:
                at = max(same, key=lambda i: table.strength[i])
                width = float(area[names.index(f"{c.name}.fwhm")])
                place = float(table.two_theta[at])
                rows.append((place, table.strength[at], names.index(f"{c.name}.area"),
                             table.hkl[at], width))  # fmt: skip
        found += _merged(species, sorted(rows), area, covar)
    if not found:
        raise ModelError(f"{where(ds)}: no line is clear of noise and of its neighbours")
    out = xr.Dataset(
        {k: ("line", [r[k] for r in found]) for k in ("ratio", "ratio_stderr", "computed")},
        coords={
            "species": ("line", [r["species"] for r in found]),
            "hkl": ("line", [" ".join(map(str, r["hkl"])) for r in found]),
            "two_theta": ("line", [r["two_theta"] for r in found], {"units": "deg"}),
        },
    )
    out.attrs["overflow_sine"] = float(fit.attrs.get("overflow_sine", 0.0))
    return out


def _mean(values: Array, outer: int) -> Array:
    """Mean over the outer dims, of what is finite."""
    flat = values.reshape(-1, *values.shape[outer:])
    good = np.isfinite(flat)
    return np.asarray(np.where(good, flat, 0.0).sum(axis=0) / np.maximum(good.sum(axis=0), 1))


def _merged(species: str, rows: list[Any], area: Array, covar: Array) -> list[dict[str, Any]]:
    """Lines of one phase that stand apart; those closer than a width are taken together.

    Left out is what is known to less than a fifth of what the phase as a whole says of it.
    """
    groups: list[list[Any]] = []
    for row in rows:
        if groups and row[0] - groups[-1][-1][0] < row[4]:
            groups[-1].append(row)
        else:
            groups.append([row])
    made = []
    for group in groups:
        at = [row[2] for row in group]
        strength = float(sum(row[1] for row in group))
        variance = float(covar[np.ix_(at, at)].sum())
        best = max(group, key=lambda row: row[1])
        if variance > 0.0 and strength > 0.0:
            made.append({"species": species, "hkl": best[3], "two_theta": best[0],
                         "computed": strength, "ratio": float(area[at].sum()) / strength,
                         "ratio_stderr": float(np.sqrt(variance)) / strength})  # fmt: skip
    if not made:
        return []
    size = np.array([m["computed"] for m in made])
    ratio = np.array([m["ratio"] for m in made])
    weight = size / np.array([m["ratio_stderr"] for m in made]) ** 2
    scale = float((weight * ratio).sum() / weight.sum())
    if scale <= 0.0:
        return []
    kept = [m for m in made if m["ratio_stderr"] < 0.2 * scale and m["ratio"] > 0.1 * scale]
    for m in kept:
        m["ratio"] /= scale
        m["ratio_stderr"] /= scale
        m["computed"] /= float(size.max())
    return kept


def _label(hkl: tuple[int, int, int]) -> str:
    return "".join(
        ("m" if v < 0 else "") + (str(abs(v)) if abs(v) < 10 else f"_{abs(v)}_") for v in hkl
    ).strip("_")


def overflow_of(table: xr.Dataset) -> dict[str, float]:
    """Find the angle below which beam goes beside the sample, from the intensities of all phases.

    Lines of one phase at low angles are weaker than those at high angles, alike in all phases. The
    angle at which footprint and sample are as long is the one that makes all ratios of a phase
    alike, with a scatter of 5 % besides counting.

    Parameters
    ----------
    table : xr.Dataset
        Of `intensities`, without an overflow already taken into account.

    Returns
    -------
    dict
        ``full_deg``, for ``correct(ds, "overflow", **found)``; empty if nothing is lost: chi-square
        must fall by 16.

    Raises
    ------
    ModelError
        If the table's intensities hold an overflow already.
    """
    if table.attrs.get("overflow_sine"):
        raise ModelError("these intensities hold an overflow already; take it from a fit without")
    y = np.log(table["ratio"].values)
    weight = 1.0 / ((table["ratio_stderr"] / table["ratio"]).values ** 2 + _FLOOR**2)
    s = np.sin(np.radians(table["two_theta"].values) / 2.0)
    names = table["species"].values

    def cost(sine: float) -> float:
        left = y - np.log(overflow(s, sine))
        total = 0.0
        for name in np.unique(names):
            at = names == name
            # Huber's loss: single lines may be off by texture
            own = left[at] - _center(left[at], weight[at])
            z = np.abs(own) * np.sqrt(weight[at])
            total += float(np.where(z < 2.0, z**2, 4.0 * z - 4.0).sum())
        return total

    trial = np.linspace(0.3, 2.5, 120) * float(s.min())
    costs = np.array([cost(float(v)) for v in trial])
    best = int(np.argmin(costs))
    if cost(0.0) - costs[best] < 16.0 or trial[best] >= 1.0:
        return {}
    return {"full_deg": round(2.0 * float(np.degrees(np.arcsin(trial[best]))), 2)}


def _center(y: Array, weight: Array) -> float:
    center = float(np.median(y))
    for _ in range(5):
        z = np.abs(y - center) * np.sqrt(weight)
        w = weight * np.minimum(1.0, 2.0 / np.maximum(z, 1e-12))
        center = float((w * y).sum() / w.sum())
    return center


def texture_of(table: xr.Dataset) -> dict[str, dict[str, float]]:
    """Return the scatter of intensities of every phase beyond counting.

    The variance of measured over computed intensity among the lines of a phase, weighted as the
    tied fit weights them (by their strength), less that of counting.

    Parameters
    ----------
    table : xr.Dataset
        Of `intensities`; lines of one direction ((111), (222)) count as one.

    Returns
    -------
    dict
        For ``correct(ds, "texture", **found)``.
    """
    from ._edxrd_texture import direction

    scatter, number = {}, {}
    for name in dict.fromkeys(map(str, table["species"].values)):
        own = table.isel(line=np.flatnonzero(table["species"].values == name))
        groups: dict[tuple[int, ...], list[int]] = {}
        for i, hkl in enumerate(own["hkl"].values):
            h, k, j = (int(v) for v in str(hkl).split())
            groups.setdefault(direction((h, k, j)), []).append(i)
        if len(groups) < 3:
            continue
        ratio, error, weight = [], [], []
        for members in groups.values():
            w = own["computed"].values[members]
            ratio.append(float((w * own["ratio"].values[members]).sum() / w.sum()))
            error.append(float(np.sqrt(((w * own["ratio_stderr"].values[members]) ** 2).sum())))
            weight.append(float(w.sum()))
            error[-1] /= weight[-1]
        r, e, w = np.array(ratio), np.array(error), np.array(weight)
        share = w / w.sum()
        mean = float((share * r).sum())
        free = 1.0 - float((share**2).sum())
        variance = float((share * (r - mean) ** 2).sum()) / free - float((share * e**2).sum())
        scatter[name] = round(float(np.sqrt(max(variance, 0.0))) / mean, 4)
        number[name] = round(float(1.0 / (share**2).sum()), 2)
    return {"scatter": scatter, "directions": number}

"""Detection: is a species there, pixel by pixel, and how little of it would have been seen.

After L. A. Currie, Anal. Chem. 40 (1968) 586 and ISO 11929: the critical level is what an absent
species exceeds with a stated chance, the detection limit the amount that exceeds the critical level
with a stated chance. Both need the standard error an *absent* species would have, which for counts
is smaller than that of one present; it is computed here from the model without the species.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

import references
from spectra import techniques
from spectra.convention import axis_of, outer_dims, where

from .engine.plan import build, jacobian, parts
from .engine.problem import Block, poisson_weight
from .errors import OrderError
from .provenance import stamp
from .quantify import quantify
from .result import components_of
from .steps import record, require
from .unmix_als import data_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = npt.NDArray[np.float64]

CONVENTION = "detection-1"
FLAGS = ("not_detected", "detected", "no_value")
PIECE = 256
"""Spectra taken at a time: their derivatives are in memory at once."""


def detection(
    ds: xr.Dataset,
    fit: xr.Dataset,
    *,
    false_alarms: float = 0.05,
    misses: float = 0.05,
    control: Literal["pixel", "map"] = "pixel",
    library: references.Library | None = None,
) -> xr.Dataset:
    """Decide for each spectrum whether each species is there, with critical level and limit.

    Parameters
    ----------
    ds : xr.Dataset
        The Spectrum that was fitted.
    fit : xr.Dataset
        Its FitResult; areas free of bounds at zero (the default of ``propose``), or absent species
        do not scatter round zero.
    false_alarms : float
        Chance that an absent species is called detected.
    misses : float
        Chance that an amount at the detection limit is not.
    control : {"pixel", "map"}
        ``"pixel"``: the chance holds for each spectrum, so of 10,000 empty pixels 500 are called
        detected. ``"map"``: of the pixels called detected, that share is false (Benjamini and
        Hochberg, J. R. Stat. Soc. B 57 (1995) 289).
    library : references.Library, optional
        Another library than the default one.

    Returns
    -------
    xr.Dataset
        ``amount``, ``stderr``, ``critical``, ``limit`` (in the amounts' units), ``p_value`` (chance
        of so much from nothing) and ``detected`` (flags: not_detected, detected, no_value) on
        ``(*outer, species)``.

    Raises
    ------
    OrderError
        If the amounts are shares (a share has no zero of its own), or data and fit do not match.

    Notes
    -----
    ``critical = k_a s(0)`` and ``limit = k_a s(0) + k_b s(limit)``, with the variance
    ``s(a)^2 = s(0)^2 + g a`` that counts give; g from a second model at ``(k_a + k_b) s(0)``. The
    errors hold shapes (places, widths) at their fitted values: an absent species has none.
    """
    if not 0.0 < false_alarms < 0.5 or not 0.0 < misses < 0.5:
        raise OrderError("detection: false_alarms and misses lie between 0 and 0.5")
    if control not in ("pixel", "map"):
        raise OrderError(f"detection: control {control!r}: allowed: pixel, map")
    require(fit, "fit-1", "workbench.fit(ds, components)")
    library = library or references.load()
    amounts = quantify(fit, library=library)
    if amounts.attrs["kind"] != "amount":
        raise OrderError(f"{where(fit)}: amounts are shares; limits need absolute ones")
    outer = outer_dims(ds)
    if fit["value"].dims[:-1] != outer or any(fit.sizes[d] != ds.sizes[d] for d in outer):
        raise OrderError(f"{where(ds)}: data and fit have other sizes; select the same of both")
    null, slope = _null_errors(ds, fit, amounts, library, *_quantiles(false_alarms, misses))
    return _decide(amounts, null, slope, false_alarms, misses, control)


def _quantiles(false_alarms: float, misses: float) -> tuple[float, float]:
    from scipy.stats import norm

    return float(norm.isf(false_alarms)), float(norm.isf(misses))


def _null_errors(
    ds: xr.Dataset,
    fit: xr.Dataset,
    amounts: xr.Dataset,
    library: references.Library,
    k_a: float,
    k_b: float,
) -> tuple[Array, Array]:
    """Variance of each absent species' amount, and how it grows with the amount."""
    components = components_of(fit)
    plan = build(components)
    meaning = techniques.get(fit.attrs["technique"]).quantify(  # type: ignore[misc]
        components, fit.attrs, library
    )
    data = data_of(ds)
    full = fit["value"].values.reshape(-1, len(plan.names)).astype(float)
    p = full[:, plan.free]
    species = [str(s) for s in amounts["species"].values]
    weights = np.zeros((len(species), len(plan.names)))
    for quantity in meaning.quantities:
        for name, value in quantity.weights.items():
            weights[species.index(quantity.species), plan.names.index(name)] += value
    # Areas that others are tied to by a fitted ratio are not linear, but for a held ratio they are.
    areas = np.array([plan.names[k].endswith(".area") for k in plan.free])
    linear = np.flatnonzero(plan.linear | areas)
    null = np.full((len(p), len(species)), np.nan)
    slope = np.zeros_like(null)
    value = amounts["amount"].values.reshape(-1, len(species))
    redchi = fit["redchi"].values.reshape(-1)
    good = np.flatnonzero(np.isfinite(p).all(axis=1))
    for start in range(0, good.size, PIECE):
        index = good[start : start + PIECE]
        part = data.block(index)
        model, jac = jacobian(plan, ds[axis_of(ds)].values.astype(float), p[index])
        jac = jac[:, linear]
        toward = np.einsum("sp,bpn->bsn", weights, plan.dense(plan.transform(p[index])[1]))
        toward = toward[:, :, linear]
        drawn = parts(plan, part.x, p[index])
        ground = 0.0 if part.background is None else part.background
        for k, name in enumerate(species):
            own = np.sum([drawn[c.name] for c in components if c.species == name], axis=0)
            rest = model - own + ground
            null[index, k] = _variance(part, rest, jac, toward[:, k])
            if part.poisson:
                # The same species at an amount near the limit: what counts of its own add.
                amount = (k_a + k_b) * np.sqrt(null[index, k])
                with np.errstate(all="ignore"):
                    scale = np.where(value[index, k] != 0.0, amount / value[index, k], 0.0)
                more = _variance(part, rest + np.abs(scale)[:, None] * np.abs(own), jac,
                                 toward[:, k])  # fmt: skip
                slope[index, k] = np.maximum(more - null[index, k], 0.0) / np.maximum(
                    amount, 1e-300
                )
        if part.scale:
            null[index] *= redchi[index, None]
    shape = amounts["amount"].shape
    return null.reshape(shape), slope.reshape(shape)


def _variance(part: Block, expected: Array, jac: Array, toward: Array) -> Array:
    """Variance of a weighted sum of the linear parameters, with the weights of a model."""
    weight2 = part.weight**2
    if part.poisson:
        weight2 = poisson_weight(expected, part.weight) ** 2
    gram = np.einsum("bin,bn,bjn->bij", jac, weight2, jac, optimize=True)
    scale = np.sqrt(np.maximum(np.einsum("bii->bi", gram), 1e-300))
    inverse = np.linalg.pinv(gram / (scale[:, :, None] * scale[:, None, :]), hermitian=True)
    scaled = toward / scale
    return np.asarray(np.einsum("bi,bij,bj->b", scaled, inverse, scaled))


def _decide(
    amounts: xr.Dataset,
    null: Array,
    slope: Array,
    false_alarms: float,
    misses: float,
    control: str,
) -> xr.Dataset:
    from scipy.stats import norm

    k_a, k_b = _quantiles(false_alarms, misses)
    amount = amounts["amount"].values
    deviation = np.sqrt(null)
    critical = k_a * deviation
    # limit = critical + k_b sqrt(null + slope limit), solved for limit.
    half = critical + 0.5 * k_b**2 * slope
    limit = half + np.sqrt(np.maximum(half**2 - critical**2 + k_b**2 * null, 0.0))
    bad = ~np.isfinite(amount) | ~np.isfinite(deviation) | ~(deviation > 0.0)
    p = np.where(bad, np.nan, norm.sf(amount / np.where(bad, 1.0, deviation)))
    seen = p < false_alarms
    if control == "map":
        for k in range(p.shape[-1]):
            seen[..., k] = _benjamini_hochberg(p[..., k], false_alarms)
    flag = np.where(bad, 2, seen.astype(int)).astype(np.int8)
    units = dict(amounts["amount"].attrs)
    dims = amounts["amount"].dims
    out = xr.Dataset(
        {
            "amount": amounts["amount"],
            "stderr": amounts["stderr"],
            "critical": (dims, np.where(bad, np.nan, critical), units),
            "limit": (dims, np.where(bad, np.nan, limit), units),
            "p_value": (dims, p, {"units": "1"}),
            "detected": (
                dims,
                flag,
                {
                    "flag_values": np.arange(len(FLAGS), dtype=np.int8),
                    "flag_meanings": " ".join(FLAGS),
                },
            ),
        },
        attrs={**amounts.attrs, "convention": CONVENTION},
    )
    given = {"false_alarms": false_alarms, "misses": misses, "control": control}
    return record(stamp(out, amounts), "detection", given)


def _benjamini_hochberg(p: Array, level: float) -> npt.NDArray[np.bool_]:
    """Return which of many are called so that the expected share of false calls is ``level``."""
    flat = p.ravel()
    known = np.flatnonzero(np.isfinite(flat))
    order = known[np.argsort(flat[known])]
    passed = flat[order] <= level * np.arange(1, order.size + 1) / max(order.size, 1)
    out = np.zeros(flat.size, bool)
    if passed.any():
        out[order[: int(np.flatnonzero(passed)[-1]) + 1]] = True
    return out.reshape(p.shape)


def detection_map(found: xr.Dataset, species: Sequence[str] | None = None) -> Figure:
    """Draw amounts where a species is detected, and nothing where it is not.

    Above: the amount, grey where it is below the critical level, crossed where there is no value.
    Below: the detection limit.

    Parameters
    ----------
    found : xr.Dataset
        Of `detection`, on two outer dims, or on ``point`` with coordinates ``x`` and ``y``.
    species : sequence of str, optional
        Which; default all.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OrderError
        If it is no detection result or no map.
    """
    from matplotlib.figure import Figure

    require(found, CONVENTION, "workbench.limits.detection(ds, fit)")
    names = [str(s) for s in (found["species"].values if species is None else species)]
    dims = [str(d) for d in found["amount"].dims if d != "species"]
    scattered = dims == ["point"] and {"x", "y"} <= set(found.coords)
    if len(dims) != 2 and not scattered:
        raise OrderError(f"{where(found)}: outer dims are {dims}; select a map with isel")
    figure = Figure(figsize=(3.4 * len(names), 5.6), layout="constrained")
    axes = figure.subplots(2, len(names), squeeze=False)
    across, up = ("x", "y") if scattered else (dims[1], dims[0])
    for column, name in enumerate(names):
        one = found.sel(species=name)
        units = one["amount"].attrs.get("units", "")
        shown = one["amount"].where(one["detected"] == 1)
        for row, (picture, title) in enumerate(
            ((shown, f"{name}, {units}"), (one["limit"], f"detection limit, {units}"))
        ):
            ax = axes[row, column]
            ax.set_facecolor("0.85")
            if scattered:
                drawn = ax.scatter(found["x"], found["y"], c=picture, s=12, marker="s")
            else:
                drawn = ax.pcolormesh(
                    one[across].values.astype(float),
                    one[up].values.astype(float),
                    picture.transpose(up, across).values,
                    shading="nearest",
                )
            figure.colorbar(drawn, ax=ax)
            ax.set_title(title, fontsize=9)
            ax.set_xlabel(f"{across} / {found[across].attrs.get('units', '')}")
            if column == 0:
                ax.set_ylabel(f"{up} / {found[up].attrs.get('units', '')}")
        lost = (one["detected"] == 2).transpose(*([] if scattered else [up, across])).values
        if lost.any():
            if scattered:
                at = np.flatnonzero(lost)
                axes[0, column].plot(found["x"].values[at], found["y"].values[at], "kx", ms=4)
            else:
                rows, columns = np.nonzero(lost)
                axes[0, column].plot(one[across].values[columns], one[up].values[rows], "kx", ms=4)
    rate = found.attrs.get("title", "")
    figure.suptitle(f"{rate}: grey is not detected" if rate else "grey is not detected", fontsize=9)
    return figure

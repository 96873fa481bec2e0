"""Components of counted patterns as columns: smooth backgrounds, curves per area, first areas."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..component import Component, Components, Curve, Param, SubLine

Array = npt.NDArray[np.float64]
_KNOT_POINTS = 24


def background(x: Array, number: int) -> list[Component]:
    """Return cubic B-splines, even in ln E, as linear components.

    Parameters
    ----------
    x : ndarray
        Energies, ascending, keV.
    number : int
        How many; their sum with equal areas is flat.
    """
    from scipy.interpolate import BSpline

    low, high = np.log(max(float(x[0]), 1.0)), np.log(float(x[-1]))
    inner = np.linspace(low, high, number - 2)
    knots = np.concatenate([[low] * 3, inner, [high] * 3])
    out = []
    for k in range(number):
        t = np.zeros(number)
        t[k] = 1.0
        first, last = knots[k], knots[k + 4]
        spans = max(2, int(np.sum(np.diff(knots[k : k + 5]) > 0)))
        grid = np.linspace(first, last, spans * _KNOT_POINTS + 1)
        value = np.clip(BSpline(knots, t, 3, extrapolate=False)(grid), 0.0, None)
        value = np.nan_to_num(value)
        energy = np.exp(grid)
        if k == 0:
            energy[0] = min(energy[0], float(x[0])) - 1e-6
        if k == number - 1:
            energy[-1] += 1e-6
            value[-1] = 1.0
        if k == 0:
            value[0] = 1.0
        out.append(
            Component(
                name=f"background_{k}",
                shape="template",
                role="background",
                params={"area": Param(value=1.0), "shift": Param(value=0.0, vary=False)},
                curve=Curve(x=tuple(energy.tolist()), y=tuple(value.tolist())),
            )
        )
    return out


def columns(components: Components, x: Array) -> Array:
    """Return each component's curve per unit of area at its start values, shape (n, N)."""
    from ..shapes import SHAPES

    rows = []
    for c in components:
        if c.curve is not None:
            rows.append(np.interp(x, c.curve.x, c.curve.y, left=0.0, right=0.0))
            continue
        row = np.zeros_like(x)
        center, fwhm = c.params["center"].value, c.params["fwhm"].value
        extra = [p.value for k, p in c.params.items() if k not in ("area", "center", "fwhm")]
        function: Any = SHAPES[c.shape].function
        for line in c.lines or (SubLine(position=0.0, weight=1.0),):
            place = center * line.position if c.line_scale == "ratio" else center + line.position
            row += function(x, line.weight, place, fwhm * line.width, *extra)[0]
        rows.append(row)
    return np.array(rows)


def valid_rows(ds: xr.Dataset) -> npt.NDArray[np.bool_] | None:
    """Return what is valid of every spectrum, shape (M, N), for any dims of ``valid``; or None."""
    if "valid" not in ds:
        return None
    y = ds["intensity"]
    valid = ds["valid"].drop_vars(list(ds["valid"].coords)).broadcast_like(
        y.drop_vars(list(y.coords))
    )  # fmt: skip
    return np.asarray(valid.transpose(*y.dims).values, bool).reshape(-1, y.shape[-1])


def mean_spectrum(ds: xr.Dataset) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return the mean over all spectra of what is valid and finite, and where there is any.

    A spectrum that is masked as a whole takes nothing from the others.
    """
    n = ds["intensity"].shape[-1]
    y = ds["intensity"].values.reshape(-1, n).astype(float)
    there = np.isfinite(y)
    valid = valid_rows(ds)
    if valid is not None:
        there &= valid
    count = there.sum(axis=0)
    mean = np.where(there, y, 0.0).sum(axis=0) / np.maximum(count, 1)
    return mean, count > 0


def started(ds: xr.Dataset, components: Components) -> Components:
    """Return the components with areas from a linear fit to the mean spectrum."""
    x = ds[ds["intensity"].dims[-1]].values
    mean, good = mean_spectrum(ds)
    free = [c.name for c in components if c.params["area"].expr is None]
    a = np.zeros((len(free), x.size))
    for c, row in zip(components, columns(components, x), strict=True):
        owner, share = _owner(c)
        if owner in free:
            a[free.index(owner)] += share * row
    scale = 1.0 / np.sqrt(np.maximum(mean, 0.1)) * good
    norm = np.maximum(np.sqrt(np.sum((a * scale) ** 2, axis=1)), 1e-300)
    q, *_ = np.linalg.lstsq((a * scale / norm[:, None]).T, mean * scale, rcond=1e-10)
    found = dict(zip(free, q / norm, strict=True))
    items = []
    for c in components:
        area = c.params["area"]
        if area.expr is not None:
            items.append(c)
            continue
        start = max(float(found[c.name]), 0.0) if area.min == 0.0 else float(found[c.name])
        params = {**c.params, "area": area.model_copy(update={"value": start})}
        items.append(c.model_copy(update={"params": params}))
    return Components(items, components.common)


def _owner(component: Component) -> tuple[str, float]:
    """Return whose area a component's is a share of (``0.3 * Li2S.area``), and the share."""
    expr = component.params["area"].expr
    if expr is None:
        return component.name, 1.0
    tied = re.fullmatch(r"\s*([0-9.eE+-]+)\s*\*\s*(\w+)\.area\s*", expr)
    return (tied[2], float(tied[1])) if tied else ("", 0.0)

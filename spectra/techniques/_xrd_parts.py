"""Reflections of cell parts (current collectors, windows) beside the sample, each where it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..component import Component, Param
from ..errors import ModelError
from ..shapes import pseudo_voigt
from ._edxrd_columns import mean_spectrum

if TYPE_CHECKING:
    from ._xrd_model import Lines

Array = npt.NDArray[np.float64]
_REACH_MM = 2.0


def part_components(
    made: list[Component], name: str, start_mm: float
) -> tuple[list[Component], dict[str, Param]]:
    """Turn a phase's free reflections into a background with a displacement of its own.

    Parameters
    ----------
    made : list of Component
        Reflections of the part with free areas at fixed cell; the shift terms are in ``center``.
    name : str
    start_mm : float
        Displacement to start from.

    Returns
    -------
    components, common
    """
    out = []
    own = f"{name}_displacement"
    for c in made:
        center = c.params["center"]
        if center.expr is None or "displacement" not in center.expr:
            raise ModelError("cell_parts need shift='displacement' or 'both'")
        moved = center.model_copy(update={"expr": center.expr.replace("displacement", own)})
        out.append(
            c.model_copy(
                update={
                    "species": None,
                    "role": "background",
                    "params": {**c.params, "center": moved},
                }
            )
        )
    return out, {own: Param(value=start_mm, min=-_REACH_MM, max=_REACH_MM)}


def find_displacement(
    ds: xr.Dataset,
    part: Lines,
    others: list[Array],
    smooth: Array,
    radius_mm: float,
    wide: float,
    wavelengths: tuple[float, float, float],
) -> float:
    """Return the displacement at which a part's free lines fit the mean pattern best.

    Parameters
    ----------
    ds : xr.Dataset
    part : Lines
    others : list of ndarray
        Patterns of the phases of the sample, on the axis.
    smooth : ndarray, shape (n, N)
        Background columns.
    radius_mm, wide : float
        Radius of the goniometer; width of a line, deg.
    wavelengths : tuple
        Ka1, Ka2, ratio.
    """
    x = ds["two_theta"].values
    y, good = mean_spectrum(ds)
    weight = good / np.sqrt(np.maximum(y, 0.02 * max(float(y.max()), 1e-300)))
    fixed = np.vstack([smooth, *others]) * weight
    q, _ = np.linalg.qr((fixed / np.maximum(np.linalg.norm(fixed, axis=1), 1e-300)[:, None]).T)
    data = y * weight
    data = data - q @ (q.T @ data)
    best, place = -np.inf, 0.0
    for displacement in np.arange(-_REACH_MM, _REACH_MM + 1e-9, 0.02):
        gain = 0.0
        for angle in part.two_theta:
            half = np.radians(angle) / 2.0
            at = angle - 2.0 * np.degrees(np.cos(half)) * displacement / radius_mm
            column = doublet_at(x, float(at), wide, wavelengths) * weight
            norm = float(column @ column)
            if norm > 0.0:
                column = column - q @ (q.T @ column)
                gain += max(float(column @ data), 0.0) ** 2 / max(
                    float(column @ column), 1e-3 * norm
                )
        if gain > best:
            best, place = gain, float(displacement)
    return place


def doublet_at(
    x: Array, place: float, wide: float, wavelengths: tuple[float, float, float]
) -> Array:
    """Return a Ka1 + Ka2 line of unit area at an angle."""
    one, two, ratio = wavelengths
    out = np.zeros_like(x)
    sine = np.sin(np.radians(place) / 2.0)
    for wave, share in ((one, 1.0), (two, ratio)):
        if not wave or not share or sine * wave / one >= 1.0:
            continue
        at = 2.0 * float(np.degrees(np.arcsin(sine * wave / one)))
        i, j = np.searchsorted(x, [at - 12.0 * wide, at + 12.0 * wide])
        if j > i:
            out[i:j] += pseudo_voigt(x[i:j], share / (1.0 + ratio), at, wide, 0.5)[0]
    return out

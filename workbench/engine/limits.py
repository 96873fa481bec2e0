"""Trust limits in the peak's units: how far one step may move a free parameter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spectra.shapes import Shape

from .plan import Plan

Array = npt.NDArray[np.float64]

WIDTH_SHARE = 0.5
"""A width changes by at most this share of itself in one step."""
CENTER_SHARE = 0.5
"""A position moves by at most this share of the full width at half maximum in one step."""


def is_width(shape: Shape, key: str) -> bool:
    """Whether a shape's parameter is a width: as registered, or by its word."""
    return key in shape.width or key.startswith(("fwhm", "sigma", "width"))


def is_position(shape: Shape, key: str) -> bool:
    """Whether a shape's parameter is a position."""
    return key in shape.center or key == "center"


def trust(plan: Plan) -> tuple[npt.NDArray[np.int64], Array]:
    """Return for each free parameter the full parameter that limits its step, and the factor.

    Returns
    -------
    by : ndarray of int, shape (n,)
        Place of a width in the full vector; -1 where there is no limit.
    factor : ndarray, shape (n,)
        The step is at most ``factor * |P[by]|``.
    """
    by = np.full(plan.size, -1, dtype=np.int64)
    factor = np.zeros(plan.size)
    with np.errstate(all="ignore"):
        full, values = plan.transform(plan.start[None])
    reach = np.full(plan.size, np.inf)
    for primitive in plan.primitives:
        keys = primitive.shape.params
        shape = primitive.shape
        width = next((k for k, key in enumerate(keys) if is_width(shape, key)), None)
        if width is None:
            continue
        broad = primitive.slots[width]
        for key, slot in zip(keys, primitive.slots, strict=True):
            broadens = is_width(shape, key)
            if not (broadens or is_position(shape, key)):
                continue
            limit, share = (slot, WIDTH_SHARE) if broadens else (broad, CENTER_SHARE)
            for e in range(plan.row[slot.index], plan.row[slot.index + 1]):
                c = int(plan.column[e])
                lever = abs(slot.scale * values[0, e])
                if not np.isfinite(lever) or lever == 0.0:
                    continue
                share_of_step = share * abs(limit.scale) / lever
                now = share_of_step * abs(full[0, limit.index])
                if now < reach[c]:
                    reach[c] = now
                    by[c], factor[c] = limit.index, share_of_step
    return by, factor

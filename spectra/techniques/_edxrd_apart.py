"""A phase whose axes move apart in every spectrum: lines that depend alike on them go together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..component import Component, Param
from ._edxrd_cells import Start

Array = npt.NDArray[np.float64]
_STEP = 0.04
"""Lines whose shares of an axis differ by less are one component: 2 % of a strain is nothing."""


def apart(
    c: Component, share: Array, axes: tuple[str, ...], start: Start
) -> tuple[list[Component], dict[str, Param]]:
    """Cut a phase into components by how their lines depend on the axes.

    Parameters
    ----------
    c : Component
        The phase; its ``center`` is where it starts.
    share : ndarray, shape (lines of c, axes)
        d ln(d) / d ln(axis) of every line; an escape line has its parent's.
    axes : tuple of str
    start : Start
        Bounds of the relative shift of the lines.

    Returns
    -------
    components : list of Component
        The first is named as the phase and has the free area; others are tied to it.
    common : dict
        ``<phase>_strain_<axis>``: relative change from where the phase starts. Positions are
        linear in them.
    """
    center = c.params["center"].value
    place = np.array([line.position for line in c.lines])
    weight = np.array([line.weight for line in c.lines])
    main = int(np.argmin(np.abs(place - 1.0)))
    keys = [tuple(row) for row in np.round((share - share[main]) / _STEP).astype(int)]
    common = {
        f"{c.name}_strain_{axis}": Param(value=0.0, min=-1.5 * start.high, max=-1.5 * start.low)
        for axis in axes
    }
    out = []
    first = float(weight[[k == keys[main] for k in keys]].sum())
    for number, key in enumerate(sorted(set(keys), key=lambda k: k != keys[main])):
        at = np.flatnonzero([k == key for k in keys])
        own = float(weight[at].sum())
        top = main if number == 0 else int(at[np.argmax(weight[at])])
        mean = (share[at] * weight[at, None]).sum(axis=0) / own
        energy = float(center * place[top])
        moved = " - ".join(
            ["1"] + [f"{float(m)!r} * {c.name}_strain_{axis}"
                     for m, axis in zip(mean, axes, strict=True) if m > 1e-12]
        )  # fmt: skip
        lines = tuple(
            c.lines[k].model_copy(
                update={
                    "position": float(place[k] / place[top]),
                    "weight": float(weight[k] / own),
                    "width": c.lines[k].width / c.lines[top].width,
                }
            )
            for k in at
        )
        area = c.params["area"]
        if number == 0:
            area = area.model_copy(update={"value": area.value * first})
        else:
            area = Param(value=area.value * own, expr=f"{own / first!r} * {c.name}.area")
        width = c.params["fwhm"].value * c.lines[top].width
        params = {
            **c.params,
            "area": area,
            "center": Param(value=energy, expr=f"{energy!r} * ({moved})"),
            "fwhm": Param(value=width, vary=False),
        }
        name = c.name if number == 0 else f"{c.name}_s{number}"
        out.append(c.model_copy(update={"name": name, "lines": lines, "params": params}))
    return out, common

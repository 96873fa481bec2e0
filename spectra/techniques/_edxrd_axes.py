"""Cells with more than one axis: a and c of a phase found apart, from the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ._edxrd_physics import HC, PhaseLines
from ._edxrd_strains import linear

if TYPE_CHECKING:
    from references import Library

Array = npt.NDArray[np.float64]
_GAIN = 25.0
_DELTA = 2e-5


def axes_of(species: str, hkl: tuple[tuple[int, int, int], ...], library: Library) -> tuple[
    tuple[str, ...], Array
]:  # fmt: skip
    """Return a phase's independent axes and how each line's d depends on them.

    Returns
    -------
    axes : tuple of str
        ``("a",)``, ``("a", "c")`` or ``("a", "b", "c")``; one for monoclinic and triclinic cells,
        which scale as a whole.
    share : ndarray, shape (lines, axes)
        d ln(d) / d ln(axis); rows sum to one.
    """
    from references.diffraction import structure_data

    from ._xrd_model import _shares

    axes, share = _shares(list(hkl), structure_data(species, library))
    return axes, share[:, ["abc".index(axis) for axis in axes]]


def moved(lines: PhaseLines, share: Array, factors: Array) -> Array:
    """Return the energies of lines when the axes are multiplied with factors.

    ``1 / d^2`` is a sum of one term per axis, which goes with ``1 / factor^2``: exact.
    """
    return np.asarray(lines.energy * np.sqrt((share / factors**2).sum(axis=1)))


def split_axes(
    lines: PhaseLines,
    share: Array,
    factor: float,
    column: Callable[[Array], Array],
    basis: Array,
    k: int,
    total: Array,
    largest: float,
) -> Array | None:
    """Fit the axes of one phase to a summed spectrum, all areas free.

    Parameters
    ----------
    lines : PhaseLines
        At the library cell.
    share : ndarray
        From `axes_of`.
    factor : float
        On all line positions, where to start.
    column : callable
        Energies of the lines -> the phase's curve.
    basis : ndarray
        All columns; row ``k`` is this phase.
    total : ndarray
        Counts.
    largest : float
        Largest relative change of an axis.

    Returns
    -------
    ndarray or None
        Factors on the axes; None if the data do not tell them apart (gain in chi-square below 25,
        or lines that all move alike).
    """
    n = share.shape[1]
    weight = 1.0 / np.maximum(total, 1.0)
    f = np.full(n, 1.0 / factor)

    def curve(at: Array) -> Array:
        return np.asarray(column(moved(lines, share, at)))

    def chi2(row: Array) -> tuple[float, float]:
        a = np.vstack([np.delete(basis, k, axis=0), row])
        q, _ = linear(a, total[None], weight)
        return float((((q[0] @ a) - total) ** 2 * weight).sum()), float(q[0, -1])

    before, _ = chi2(curve(f))
    for _ in range(6):
        here = curve(f)
        slopes = []
        for i in range(n):
            up, down = f.copy(), f.copy()
            up[i] += _DELTA
            down[i] -= _DELTA
            slopes.append((curve(up) - curve(down)) / (2.0 * _DELTA))
        both = np.vstack([np.delete(basis, k, axis=0), here, *slopes])
        q, _ = linear(both, total[None], weight)
        area = q[0, len(basis) - 1]
        if area <= 0.0:
            return None
        change = np.clip(q[0, len(basis) :] / area, -2e-3, 2e-3)
        f = f + change
        if np.max(np.abs(change)) < 2e-6:
            break
    if np.any(np.abs(f - 1.0) > largest) or np.ptp(f) < 1e-6:
        return None
    after, _ = chi2(curve(f))
    return f if before - after > _GAIN else None


def cell_of_lines(
    energy: npt.ArrayLike,
    hkl: npt.ArrayLike,
    two_theta_deg: float,
    system: str,
    weight: npt.ArrayLike | None = None,
) -> dict[str, float]:
    """Return the cell from energies of indexed lines, by least squares of their relative errors.

    For lines fitted elsewhere (peak tables of a beamline). ``1 / d^2`` is linear in ``1 / a^2`` ...

    Parameters
    ----------
    energy : array_like, shape (n,)
        keV.
    hkl : array_like, shape (n, 3)
    two_theta_deg : float
    system : {"cubic", "tetragonal", "hexagonal", "orthorhombic"}
    weight : array_like, optional
        Of each line; equal by default. Beamline tables often give errors far below the scatter.

    Returns
    -------
    dict
        ``a``, ``b``, ``c`` where the system has them, ``<axis>_stderr`` from the scatter (NaN
        without more lines than axes), and ``scatter``: root mean square of dE / E.

    Raises
    ------
    ModelError
        For another system, or fewer lines than axes.
    """
    from ..errors import ModelError

    e = np.asarray(energy, float)
    h, k, j = np.asarray(hkl, float).T
    forms = {
        "cubic": {"a": h * h + k * k + j * j},
        "tetragonal": {"a": h * h + k * k, "c": j * j},
        "hexagonal": {"a": 4.0 / 3.0 * (h * h + h * k + k * k), "c": j * j},
        "orthorhombic": {"a": h * h, "b": k * k, "c": j * j},
    }
    if system not in forms:
        raise ModelError(f"cell_of_lines: system {system!r}: allowed: {', '.join(forms)}")
    axes = list(forms[system])
    if e.size < len(axes):
        raise ModelError(f"cell_of_lines: {e.size} lines cannot give {len(axes)} axes")
    matrix = np.stack([forms[system][axis] for axis in axes], axis=1)
    root = np.sqrt(np.ones(e.size) if weight is None else np.asarray(weight, float))
    inverse_d2 = (2.0 * np.sin(np.radians(two_theta_deg) / 2.0) * e / HC) ** 2
    # relative errors of 1/d^2 are twice those of the energy
    scaled = matrix / inverse_d2[:, None] * root[:, None]
    found, *_ = np.linalg.lstsq(scaled, root, rcond=None)
    relative = (matrix @ found / inverse_d2 - 1.0) / 2.0
    free = e.size - len(axes)
    variance = float(np.sum((2.0 * root * relative) ** 2) / free) if free else float("nan")
    covar = variance * np.linalg.pinv(scaled.T @ scaled)
    out = {"scatter": float(np.sqrt(np.mean(relative**2)))}
    for i, axis in enumerate(axes):
        length = float(found[i] ** -0.5)
        out[axis] = length
        out[f"{axis}_stderr"] = float(0.5 * length * np.sqrt(covar[i, i]) / found[i])
    return out

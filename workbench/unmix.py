"""Unmixing without peaks: MCR-ALS, non-negative component spectra and amounts from a whole cube."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from spectra import convention
from spectra.convention import axis_of, outer_dims, where

from .engine.data import Data
from .engine.lift import arrays_of, weights_of
from .engine.linear import grams, nonnegative
from .errors import FitError
from .progress import Progress, meter

Array = npt.NDArray[np.float64]

CONVENTION = "unmix-1"


def unmix(
    ds: xr.Dataset,
    count: int,
    *,
    start: npt.ArrayLike | None = None,
    fixed: Sequence[int] = (),
    iterations: int = 500,
    tolerance: float = 1e-7,
    progress: Progress = None,
) -> xr.Dataset:
    """Resolve a cube into a few non-negative spectra and their amounts.

    Multivariate curve resolution by alternating least squares with the data's own weights:
    ``data = amount @ spectrum``, both non-negative, spectra of unit integral. The result is one of
    many that fit equally well unless some spectra or channels are pure; it says what a cube may
    hold and how many terms it needs, not which species it is.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum with outer dims.
    count : int
        Number of components.
    start : array_like, shape (count, N), optional
        Spectra to start from; by default the purest ones of the cube, found one after another.
    fixed : sequence of int
        Components of ``start`` that stay as they are (known references).
    iterations : int
        At most so many rounds.
    tolerance : float
        Ends when a round lowers chi-square by less than this share.
    progress : callable or bool, optional
        Called with (round, iterations); returning True cancels.

    Returns
    -------
    xr.Dataset
        ``amount(*outer, component)``, ``stderr`` of it at the found spectra,
        ``spectrum(component, axis)``, ``redchi(*outer)``; attrs ``rounds`` and ``converged``.

    Raises
    ------
    FitError
        If there are fewer spectra or points than components, or ``start`` has another shape.
    """
    convention.check(ds)
    axis, outer = axis_of(ds), outer_dims(ds)
    x = ds[axis].values.astype(float)
    rows: dict[str, Any] = {
        k: None if a is None else np.asarray(a).reshape(-1, x.size)
        for k, a in arrays_of(ds).items()
    }
    total = rows["intensity"].shape[0]
    if not 1 <= count <= min(total, x.size):
        raise FitError(
            f"{where(ds)}: {count} components from {total} spectra of {x.size} points; "
            f"allowed: 1 to {min(total, x.size)}"
        )
    valid = rows["valid"]
    data = Data(
        x,
        rows["intensity"],
        rows["uncertainty"],
        rows["background"],
        None if valid is None else valid.astype(bool),
        weights_of(ds),
        poisson=False,
    )
    block = data.block(np.arange(total))
    weight2 = block.weight**2
    y = block.y - (0.0 if block.background is None else block.background)
    if start is None:
        if len(fixed):
            raise FitError("unmix: fixed components need their spectra in start")
        spectra = purest(y * (weight2 > 0), count)
    else:
        spectra = np.array(start, dtype=float)
        if spectra.shape != (count, x.size):
            raise FitError(f"unmix: start has shape {spectra.shape}, not {(count, x.size)}")
        if np.any(spectra < 0.0) or not np.all(np.isfinite(spectra)):
            raise FitError("unmix: start holds negative or missing values")
    width = np.gradient(x)
    spectra, amount, chisqr, done, converged = _alternate(
        y, weight2, spectra, list(fixed), width, iterations, tolerance, progress, where(ds)
    )
    gram, _ = grams(spectra, weight2, y)
    covariance = np.linalg.pinv(gram, hermitian=True)
    dof = np.maximum(block.ndata - count, 1)
    if block.scale:
        covariance *= (chisqr / dof)[:, None, None]
    shape = ds["intensity"].shape[:-1]
    unit = ds["intensity"].attrs["units"]
    out = xr.Dataset(
        {
            "amount": ((*outer, "component"), amount.reshape(*shape, count)),
            "stderr": (
                (*outer, "component"),
                np.sqrt(np.maximum(np.einsum("bii->bi", covariance), 0.0)).reshape(*shape, count),
            ),
            "spectrum": (("component", axis), spectra),
            "redchi": (outer, (chisqr / dof).reshape(shape)),
        },
        coords={
            "component": np.arange(count),
            axis: ds[axis],
            **{k: v for k, v in ds.coords.items() if axis not in v.dims},
        },
    )
    for name in ("amount", "stderr"):
        out[name].attrs["units"] = f"{unit} {convention.AXES[axis]}"
    out["spectrum"].attrs["units"] = f"1/({convention.AXES[axis]})"
    out["redchi"].attrs["units"] = "1"
    out.attrs = {**ds.attrs, "convention": CONVENTION, "rounds": done, "converged": str(converged)}
    return out


def purest(y: Array, count: int) -> Array:
    """Return the spectra that are least like each other: successive projections of unit spectra."""
    norm = np.linalg.norm(y, axis=1)
    weak = norm < 0.05 * norm.max(initial=0.0)
    left = np.where(weak[:, None], 0.0, y / np.where(norm > 0.0, norm, 1.0)[:, None])
    chosen: list[int] = []
    rest = left.copy()
    for _ in range(count):
        size = np.einsum("ij,ij->i", rest, rest)
        best = int(np.argmax(size))
        chosen.append(best)
        direction = rest[best] / np.sqrt(max(size[best], 1e-300))
        rest -= np.outer(rest @ direction, direction)
    return np.maximum(y[chosen], 0.0) + 1e-6 * np.abs(y).max(initial=1.0)


def _alternate(
    y: Array,
    weight2: Array,
    spectra: Array,
    fixed: list[int],
    width: Array,
    iterations: int,
    tolerance: float,
    progress: Progress,
    what: str,
) -> tuple[Array, Array, Array, int, bool]:
    """Alternate amounts and spectra; chi-square never rises."""
    moving = [k for k in range(len(spectra)) if k not in fixed]
    spectra = spectra / np.maximum(spectra @ width, 1e-300)[:, None]
    before = np.inf
    converged = False
    done = 0
    amount = np.zeros((len(y), len(spectra)))
    with meter(progress, iterations, what) as tell:
        for done in range(1, iterations + 1):  # noqa: B007 (the number of rounds is reported)
            amount = nonnegative(*grams(spectra, weight2, y))
            residual = y - amount @ spectra
            chisqr = float(np.sum(weight2 * residual**2))
            if before - chisqr <= tolerance * chisqr:
                converged = True
                break
            before = chisqr
            if moving:
                known = amount[:, fixed] @ spectra[fixed]
                gram, right = grams(amount[:, moving].T, weight2.T, (y - known).T)
                spectra[moving] = nonnegative(gram, right).T
                area = np.maximum(spectra @ width, 1e-300)
                spectra[moving] /= area[moving, None]
            tell(1)
    residual = y - amount @ spectra
    return spectra, amount, np.sum(weight2 * residual**2, axis=1), done, converged

"""Phase correction with its uncertainty, and static baselines.

Automatic phase. A coarse search finds the phases that leave the least negative signal. Then, around
each line, the complex spectrum summed over a symmetric window is real up to the phase there:
absorption adds up, dispersion cancels, and what the tails of the other lines add is known. The
phases of all lines that stand out of the noise are fitted with ``phase0 + phase1 (x - pivot) /
width``; that gives both numbers and their standard errors. Asymmetric or crowded lines leave a
systematic error that the scatter of the phases shows: the standard errors grow with it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..convention import axis_of, where
from ..errors import ModelError
from ._nmr_noise import quiet_blocks
from .base import Settings

Array = npt.NDArray[np.float64]
_MAX_LINES = 40
_MAX_SEARCHED = 2000


class Phase(Settings):
    """Turn the complex spectrum so that the lines are absorptive."""

    p0_deg: float | None = Field(None, description="zero-order phase, degrees; else automatic")
    p1_deg: float | None = Field(
        None, description="first-order phase over the whole axis, degrees; else automatic"
    )
    pivot_ppm: float | None = Field(None, description="where p1 vanishes; else the carrier")
    first_order: bool = Field(True, description="look for a first-order phase too")
    each: bool = Field(False, description="one phase per spectrum; off: one for the series")
    between: tuple[float, float] | None = Field(
        None, description="take lines only from here for the automatic phase, ppm"
    )


def phase(ds: xr.Dataset, settings: Phase) -> xr.Dataset:
    """Phase a spectrum by stated or automatic angles.

    Parameters
    ----------
    ds : xr.Dataset
        A complex Spectrum on chemical shift (``intensity`` and ``intensity_im``).
    settings : Phase

    Returns
    -------
    xr.Dataset
        The phased Spectrum with ``phase0``, ``phase1`` and their ``_stderr`` (degrees; NaN for
        stated ones). An error ``d`` of the phase takes ``1 - cos d`` off every area.

    Raises
    ------
    ModelError
        If there is no imaginary part, or no line stands out of the noise.
    """
    if "chemical_shift" not in ds["intensity"].dims:
        raise ModelError(f"{where(ds)}: phase a spectrum: call correct(ds, 'fourier') first")
    if "intensity_im" not in ds:
        raise ModelError(
            f"{where(ds)}: no imaginary part (a 1i file): open the raw signal (.../fid) and "
            "process that"
        )
    x: Array = ds["chemical_shift"].values
    shape = ds["intensity"].shape
    data = (ds["intensity"].values + 1j * ds["intensity_im"].values).reshape(-1, x.size)
    pivot = settings.pivot_ppm if settings.pivot_ppm is not None else float(x[x.size // 2])
    u = (x - pivot) / float(x[-1] - x[0])
    angles = np.zeros((data.shape[0], 2))
    errors = np.full((data.shape[0], 2), np.nan)
    if settings.p0_deg is not None:
        angles[:] = settings.p0_deg, settings.p1_deg or 0.0
    else:
        inside = np.ones(x.size, bool)
        if settings.between is not None:
            low, high = sorted(settings.between)
            inside = (x >= low) & (x <= high)
        groups = [data[i : i + 1] for i in range(data.shape[0])] if settings.each else [data]
        for i, group in enumerate(groups):
            found, sigma = automatic(group, u, inside, settings, where(ds))
            rows = slice(i, i + 1) if settings.each else slice(None)
            angles[rows], errors[rows] = np.degrees(found), np.degrees(sigma)
    turn = np.exp(-1j * np.radians(angles[:, :1] + angles[:, 1:] * u))
    made = (data * turn).reshape(shape)
    out = ds.drop_vars([v for v in ("background",) if v in ds])
    units = {"units": ds["intensity"].attrs["units"]}
    dims = ds["intensity"].dims
    out["intensity"] = (dims, np.ascontiguousarray(made.real), units)
    out["intensity_im"] = (dims, np.ascontiguousarray(made.imag), dict(units))
    for k, name in enumerate(("phase0", "phase1")):
        deg = {"units": "deg"}
        out[name] = (dims[:-1], angles[:, k].reshape(shape[:-1]), deg)
        out[f"{name}_stderr"] = (dims[:-1], errors[:, k].reshape(shape[:-1]), dict(deg))
    out["phase0"].attrs["pivot_ppm"] = pivot
    return out


def automatic(
    data: npt.NDArray[np.complex128],
    u: Array,
    inside: npt.NDArray[np.bool_],
    settings: Phase,
    place: str,
) -> tuple[Array, Array]:
    """Return phases (radians) of zeroth and first order and their standard errors.

    Parameters
    ----------
    data : complex ndarray, shape (spectra, points)
        Spectra with one common phase.
    u : ndarray, shape (points,)
        Axis from the pivot in units of the whole width.
    inside : ndarray of bool
        Where lines may be taken from.
    settings : Phase
    place : str
        For messages.
    """
    power = np.sqrt(np.mean(np.abs(data) ** 2, axis=0))
    _, scatter = quiet_blocks(data.real, every=False)
    noise = float(np.sqrt(np.mean(scatter**2)))
    lines = _lines(power, inside, noise * np.sqrt(2.0))
    if not lines:
        raise ModelError(f"{place}: no line stands out of the noise; pass p0_deg and p1_deg")
    # Spectra of a series share the phase: their sum, weighted with their strength, carries it.
    weight = np.sqrt(np.mean(np.abs(data) ** 2, axis=1))
    total = weight @ data
    spread = noise * float(np.sqrt(np.sum(weight**2)))
    centres = np.array([centre for centre, _, _ in lines])
    low = np.array([start for _, start, _ in lines]) - 0.5
    high = np.array([stop for _, _, stop in lines]) - 0.5
    sums = np.array([total[start:stop].sum() for _, start, stop in lines])
    areas = np.linalg.solve(_leakage(centres, low, high), sums)
    w, a = np.interp(centres, np.arange(u.size), u), np.angle(areas)
    s = np.maximum(spread * np.sqrt(high - low) / np.maximum(np.abs(areas), 1e-300), 1e-9)
    first = settings.first_order and settings.p1_deg is None and len(lines) > 1
    given = None if settings.p1_deg is None else float(np.radians(settings.p1_deg))
    p0, p1 = _search(np.where(inside, total, 0.0), u, spread, first, given)
    return _refined(w, a, s, p0, p1, first)


def _lines(
    power: Array, inside: npt.NDArray[np.bool_], noise: float
) -> list[tuple[float, int, int]]:
    """Return centre and window (points) of the lines, or groups of lines, that stand out."""
    from scipy.signal import find_peaks, peak_widths

    threshold = max(6.0 * noise, 0.02 * float(power.max()))
    shown = np.where(inside, power, 0.0)
    tops, _ = find_peaks(shown, height=threshold, prominence=threshold / 2)
    if not tops.size:
        tops = np.array([int(np.argmax(shown))])
        if power[tops[0]] < 6.0 * noise:
            return []
    widths = np.maximum(peak_widths(power, tops, rel_height=0.5)[0], 1.0)
    # Lines closer than a few widths share one window: each one's dispersion spoils the other's.
    groups: list[list[float]] = []
    for top, width in zip(tops, widths, strict=True):
        low, high = top - 2.0 * width, top + 2.0 * width
        if groups and low <= groups[-1][1]:
            groups[-1][1] = max(groups[-1][1], high)
        else:
            groups.append([low, high])
    found = []
    for k, (low, high) in enumerate(groups):
        first, last = max(0, int(low)), min(power.size, int(high) + 2)
        weight = power[first:last] ** 2
        centre = float(np.sum(weight * np.arange(first, last)) / np.sum(weight))
        half = 1.5 * max(high - centre, centre - low)
        if k:
            half = min(half, 0.5 * (centre - groups[k - 1][1]) + centre - low)
        if k + 1 < len(groups):
            half = min(half, 0.5 * (groups[k + 1][0] - centre) + high - centre)
        half = min(half, centre, power.size - 1 - centre)
        start, stop = round(centre - half), round(centre + half) + 1
        if stop - start >= 3:
            found.append((centre, start, stop))
    found.sort(key=lambda group: -float(power[group[1] : group[2]].max()))
    return found[:_MAX_LINES]


def _leakage(centres: Array, low: Array, high: Array) -> npt.NDArray[np.complex128]:
    """Return what a line of unit area at each centre adds to the sum over each window.

    Far from a line only its dispersion is left, ``-i / (pi x)`` for a line of unit area, whose
    integral over a window is a logarithm; a line's own window adds 1.
    """
    above, below = high[:, None] - centres, low[:, None] - centres
    return np.eye(centres.size) - 1j / np.pi * np.log(np.abs(above / below))


def _search(
    total: npt.NDArray[np.complex128], u: Array, noise: float, first: bool, p1: float | None
) -> tuple[float, float]:
    """Find the phases that leave the least negative signal; small first-order ones preferred.

    The criterion is the share of power in negative real parts (absorptive lines have none), on the
    points that stand out of the noise and their neighbours; a grid, then a simplex.
    """
    from scipy.ndimage import binary_dilation
    from scipy.optimize import minimize

    size = np.abs(total)
    strong = binary_dilation(size > max(5.0 * noise, 0.01 * size.max()), iterations=8)
    z, w = total[strong], u[strong]
    if z.size > _MAX_SEARCHED:
        keep = np.linspace(0, z.size - 1, _MAX_SEARCHED).astype(int)
        z, w = z[keep], w[keep]
    z = z / np.sqrt(np.sum(np.abs(z) ** 2))

    def cost(p: Array) -> float:
        real = (z * np.exp(-1j * (p[0] + p[1] * w))).real
        return float(np.sum(np.minimum(real, 0.0) ** 2) + 2e-4 * abs(p[1]))

    steps = np.radians(np.arange(-540, 541, 30)) if first else np.array([p1 or 0.0])
    turns = np.radians(np.arange(0, 360, 15))
    best, found = np.inf, (0.0, 0.0)
    for trial in sorted(steps, key=abs):
        turned = z * np.exp(-1j * trial * w)
        real = (turned[None, :] * np.exp(-1j * turns)[:, None]).real
        value = np.sum(np.minimum(real, 0.0) ** 2, axis=1) + 2e-4 * abs(trial)
        k = int(np.argmin(value))
        if value[k] < best:
            best, found = float(value[k]), (float(turns[k]), float(trial))
    if first:
        return tuple(
            minimize(cost, found, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-9}).x
        )
    polished = minimize(
        lambda p: cost(np.array([p[0], found[1]])), found[:1], method="Nelder-Mead",
        options={"xatol": 1e-4, "fatol": 1e-10},
    )  # fmt: skip
    return float(polished.x[0]), found[1]


def _refined(
    w: Array, a: Array, s: Array, p0: float, p1: float, first: bool
) -> tuple[Array, Array]:
    rest = np.angle(np.exp(1j * (a - p0 - p1 * w)))
    design = np.stack([np.ones_like(w), w], axis=-1) if first else np.ones((w.size, 1))
    weight = 1.0 / s**2
    normal = design.T @ (design * weight[:, None])
    covar = np.linalg.pinv(normal)
    step = covar @ (design.T @ (weight * rest))
    after = rest - design @ step
    free = w.size - design.shape[1]
    if free > 0:
        covar = covar * max(1.0, float(np.sum(weight * after**2)) / free)
    found = np.array([p0 + step[0], p1 + (step[1] if first else 0.0)])
    error = np.array([np.sqrt(covar[0, 0]), np.sqrt(covar[1, 1]) if first else np.nan])
    found[0] = np.angle(np.exp(1j * found[0]))
    return found, error


class Baseline(Settings):
    """Estimate a baseline; the fit adds it to the model, the data stay."""

    method: Literal["polynomial", "asls", "arpls", "modpoly", "snip"] = Field(
        "polynomial",
        description="polynomial through signal-free ranges, or one of pybaselines' methods",
    )
    order: int = Field(3, ge=0, le=12, description="order of a polynomial")
    smoothness: float = Field(1e7, gt=0, description="stiffness (lambda) of asls and arpls")
    window: int = Field(100, ge=2, description="half window of snip, points")
    between: tuple[tuple[float, float], ...] = Field(
        (), description="signal-free ranges for a polynomial, ppm; else found by clipping"
    )


def baseline(ds: xr.Dataset, settings: Baseline) -> xr.Dataset:
    """Add a static ``background`` under every spectrum.

    Raises
    ------
    ModelError
        If the signal-free ranges hold too few points.
    """
    axis = axis_of(ds)
    if axis != "chemical_shift":
        raise ModelError(f"{where(ds)}: baselines are for spectra; call correct(ds, 'fourier')")
    x: Array = ds[axis].values
    y = ds["intensity"].values.reshape(-1, x.size).astype(float)
    made = np.empty_like(y)
    u = 2.0 * (x - x[0]) / (x[-1] - x[0]) - 1.0
    free = np.zeros(x.size, bool)
    for low, high in settings.between:
        free |= (x >= min(low, high)) & (x <= max(low, high))
    if settings.between and free.sum() < 3 * (settings.order + 1):
        raise ModelError(
            f"{where(ds)}: {int(free.sum())} points in the signal-free ranges; an order "
            f"{settings.order} polynomial needs {3 * (settings.order + 1)}"
        )
    for i, row in enumerate(y):
        if settings.method == "polynomial":
            made[i] = _polynomial(u, row, settings.order, free if settings.between else None)
        else:
            made[i] = _pybaselines(x, row, settings)
    ds = ds.copy(deep=False)
    ds["background"] = (
        ds["intensity"].dims,
        made.reshape(ds["intensity"].shape),
        {"units": ds["intensity"].attrs["units"]},
    )
    return ds


def _polynomial(u: Array, y: Array, order: int, free: npt.NDArray[np.bool_] | None) -> Array:
    from numpy.polynomial import legendre

    if free is not None:
        return np.asarray(legendre.legval(u, legendre.legfit(u[free], y[free], order)))
    kept = np.ones(u.size, bool)
    fit = np.zeros_like(y)
    for _ in range(50):
        fit = np.asarray(legendre.legval(u, legendre.legfit(u[kept], y[kept], order)))
        rest = y - fit
        centre = np.median(rest[kept])
        spread = 1.4826 * np.median(np.abs(rest[kept] - centre))
        new = np.abs(rest - centre) <= 3.0 * spread
        if new.sum() < 3 * (order + 1) or np.array_equal(new, kept):
            break
        kept = new
    return fit


def _pybaselines(x: Array, y: Array, settings: Baseline) -> Array:
    from pybaselines import Baseline as Fitter

    fitter = Fitter(x_data=x)
    match settings.method:
        case "asls":
            made = fitter.asls(y, lam=settings.smoothness)[0]
        case "arpls":
            made = fitter.arpls(y, lam=settings.smoothness)[0]
        case "modpoly":
            made = fitter.modpoly(y, poly_order=settings.order)[0]
        case _:
            made = fitter.snip(y, max_half_window=settings.window, decreasing=True)[0]
    return np.asarray(made, float)

"""Binding-energy scale: a reference line, a stated shift, CasaXPS's own note, the Fermi edge."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field
from scipy.optimize import least_squares
from scipy.special import expit

from ..convention import where
from ..errors import CalibrationError
from ..shapes import SHAPES
from .base import Settings

Array = npt.NDArray[np.float64]

_BOLTZMANN_EV = 8.617333262e-5  # eV/K, CODATA 2018
_NODES, _WEIGHTS = np.polynomial.hermite.hermgauss(24)


class ChargeReference(Settings):
    """Shift the scale so that a line of the sample lies where it belongs."""

    line: str = Field(
        "C 1s", description="core level of the reference line, in this region or in the same file"
    )
    at: float = Field(284.8, description="binding energy it belongs at, eV")
    found: float | None = Field(
        None, description="where it is, eV, if measured in another region of the sample"
    )
    window: float = Field(
        6.0, gt=0, description="how far from where it belongs it is looked for, eV"
    )


class Shift(Settings):
    """Add a stated energy."""

    by: float = Field(0.0, description="added to all binding energies, eV")


class AsRecorded(Settings):
    """Take the scale as it was recorded; charging is left to the fit's common shift."""


class CasaXPS(Settings):
    """Apply the charge correction that CasaXPS noted in the file."""


class FermiEdge(Settings):
    """Put the Fermi edge of a metal in contact at zero."""

    temperature_K: float = Field(300.0, gt=0, description="temperature of the sample, K")
    window: float = Field(1.5, gt=0, description="half width of the fitted range, eV")
    near: float = Field(0.0, description="where the edge is looked for, eV")


def _moved(ds: xr.Dataset, by: float, text: str) -> xr.Dataset:
    attrs = dict(ds["binding_energy"].attrs)
    moved = ds.assign_coords(
        binding_energy=("binding_energy", ds["binding_energy"].values + by, attrs)
    )
    moved.attrs["calibration"] = text
    moved.attrs["energy_shift_eV"] = float(ds.attrs.get("energy_shift_eV", 0.0)) + by
    return moved


def _mean(ds: xr.Dataset) -> Array:
    y = ds["intensity"].values.reshape(-1, ds.sizes["binding_energy"]).astype(float)
    return np.asarray(np.nanmean(y, axis=0))


def _weights(y: Array) -> tuple[Array, float]:
    """Return weights of a fit, and the least factor on its chi-square.

    Counts (whole numbers) have the errors of counting, which a poor fit may only widen. Rates and
    arbitrary units have errors in the same proportions, of a size that the scatter decides.
    """
    counts = bool(np.all(y >= 0.0) and np.all(y == np.round(y)))
    least = 1.0 if counts else max(1e-3 * float(np.max(np.abs(y))), 1e-300)
    return 1.0 / np.sqrt(np.maximum(y, least)), 1.0 if counts else 0.0


def charge_reference(ds: xr.Dataset, settings: ChargeReference) -> xr.Dataset:
    """Shift by what a reference line lacks; one shift for all spectra of a series.

    The line is fitted (`strongest_line`) in the mean spectrum of this region; where the region
    does not hold it, the position that the reader fitted in the same sample's region of the file
    is taken (attrs ``reference_lines``). Per-spectrum charging is a common parameter of the fit.

    Parameters
    ----------
    ds : xr.Dataset
    settings : ChargeReference

    Returns
    -------
    xr.Dataset

    Raises
    ------
    CalibrationError
        If the line is nowhere, or nothing stands out.
    """
    if settings.found is not None:
        by = settings.at - settings.found
        return _moved(ds, by, f"{settings.line} at {settings.at:g} eV (shift {by:+.3f} eV)")
    x = ds["binding_energy"].values
    near = np.abs(x - settings.at) <= settings.window
    if near.sum() < 5:
        known = json.loads(str(ds.attrs.get("reference_lines", "{}")))
        if settings.line not in known:
            found = ", ".join(known) or "none"
            raise CalibrationError(
                f"{where(ds)}: {settings.line} at {settings.at:g} eV is outside this region "
                f"({x[0]:g} to {x[-1]:g} eV), and other regions of this sample hold: {found}; "
                "measure it and pass found="
            )
        position, error = known[settings.line]
        source = "in the same sample"
    else:
        position, error = strongest_line(x[near], _mean(ds)[near], where(ds))
        source = "in this region"
    by = settings.at - position
    text = (
        f"{settings.line} found {source} at {position:.3f}({error:.3f}), put at {settings.at:g} eV "
        f"({by:+.3f} eV)"
    )
    return _moved(ds, by, text)


def strongest_line(x: Array, y: Array, place: str = "") -> tuple[float, float]:
    """Fit the strongest line of a region: a pseudo-Voigt on a straight line, around its maximum.

    The range reaches to half the height on the side of lower binding energy and to 80 % on the
    other, so that a chemically shifted neighbour above (C-O beside C-C) does not pull the position.

    Parameters
    ----------
    x : ndarray, shape (N,)
        Binding energies, eV, ascending.
    y : ndarray, shape (N,)
        Counts or rates.
    place : str
        For the message.

    Returns
    -------
    position, error : float
        In eV; the error is that of counting (scaled with chi-square for rates).

    Raises
    ------
    CalibrationError
        If no line stands out or the fit does not end within the range.
    """
    ground = np.interp(x, [x[0], x[-1]], [np.mean(y[:3]), np.mean(y[-3:])])
    height = y - ground
    smooth = np.convolve(height, [0.25, 0.5, 0.25], mode="same")
    top = int(np.argmax(smooth))
    noise = float(np.std(np.diff(y)) / np.sqrt(2.0))
    if not smooth[top] > 3.0 * max(noise, 1e-300) or top in (0, x.size - 1):
        raise CalibrationError(
            f"{place}: no line stands out between {x[0]:g} and {x[-1]:g} eV; "
            "widen window= or pass found="
        )
    low, high = top, top
    while low > 0 and smooth[low] > 0.4 * smooth[top]:
        low -= 1
    while high < x.size - 1 and smooth[high] > 0.75 * smooth[top]:
        high += 1
    high = max(high, min(top + 2, x.size - 1))
    low = min(low, max(top - 3, 0))
    xs, ys = x[low : high + 1], y[low : high + 1]
    width = max(2.0 * (x[top] - x[low]), 3.0 * float(np.min(np.diff(x))))
    weight, floor = _weights(ys)
    line = SHAPES["pseudo_voigt"].function

    def model(p: Array) -> Array:
        return np.asarray((p[3] + line(xs, p[0], p[1], p[2], 0.3)[0] - ys) * weight)

    start = [height[top] * width * 1.1, x[top], width, ground[top]]
    found = least_squares(
        model,
        start,
        x_scale=[abs(start[0]), 0.1, width, max(abs(start[3]), 1e-3 * abs(height[top]))],
        max_nfev=400,
    )
    position = float(found.x[1])
    if not found.success or not xs[0] <= position <= xs[-1]:
        raise CalibrationError(f"{place}: the line near {x[top]:g} eV could not be fitted")
    covariance = np.linalg.pinv(found.jac.T @ found.jac)
    scale = max(floor, 2.0 * found.cost / max(xs.size - 4, 1))
    return position, float(np.sqrt(covariance[1, 1] * scale))


def shift(ds: xr.Dataset, settings: Shift) -> xr.Dataset:
    """Add a stated energy to the scale."""
    return _moved(ds, settings.by, f"shift {settings.by:+.3f} eV, stated by the user")


def as_recorded(ds: xr.Dataset, settings: AsRecorded) -> xr.Dataset:
    """Take the scale as it is."""
    return _moved(ds, 0.0, "as recorded; charging is left to the common shift of the fit")


def casaxps(ds: xr.Dataset, settings: CasaXPS) -> xr.Dataset:
    """Apply the shift in attrs ``casaxps_shift_eV``."""
    by = ds.attrs.get("casaxps_shift_eV")
    if by is None:
        raise CalibrationError(
            f"{where(ds)}: CasaXPS noted no charge correction in this file; use method 'line'"
        )
    return _moved(ds, float(by), f"shift {float(by):+.3f} eV, noted by CasaXPS in the file")


def fermi_edge(ds: xr.Dataset, settings: FermiEdge) -> xr.Dataset:
    """Fit a Fermi function broadened by the analyser and put its middle at zero.

    ``low + (top + slope E) f(E)``, f the Fermi-Dirac distribution of the temperature folded with a
    Gaussian of free width (Gauss-Hermite quadrature).

    Parameters
    ----------
    ds : xr.Dataset
    settings : FermiEdge

    Returns
    -------
    xr.Dataset

    Raises
    ------
    CalibrationError
        If the region does not hold the edge, or none is clear.
    """
    x = ds["binding_energy"].values
    near = np.abs(x - settings.near) <= settings.window
    if near.sum() < 8:
        raise CalibrationError(
            f"{where(ds)}: no Fermi edge in {x[0]:g} to {x[-1]:g} eV; measure the valence band"
        )
    y = _mean(ds)[near]
    xs = x[near]
    thermal = _BOLTZMANN_EV * settings.temperature_K
    weight, floor = _weights(y)

    def edge(p: Array) -> Array:
        middle, sigma, top, slope, low = p
        at = (xs[:, None] - middle - np.sqrt(2.0) * sigma * _NODES) / thermal
        step = expit(at) @ _WEIGHTS / np.sqrt(np.pi)
        return np.asarray((low + (top + slope * (xs - middle)) * step - y) * weight)

    rise = float(y[-1] - y[0])
    middle = float(xs[int(np.argmin(np.abs(y - 0.5 * (y[0] + y[-1]))))])
    size = max(abs(rise), abs(float(y[0])), 1e-300)
    found = least_squares(
        edge,
        [middle, 0.2, rise, 0.0, float(y[0])],
        x_scale=[0.1, 0.1, size, size, size],
        max_nfev=500,
    )
    covariance = np.linalg.pinv(found.jac.T @ found.jac)
    scale = max(floor, 2.0 * found.cost / max(xs.size - 5, 1))
    error = float(np.sqrt(covariance[0, 0] * scale))
    best, top = float(found.x[0]), float(found.x[2])
    clear = top > 5.0 * float(np.sqrt(covariance[2, 2] * scale))
    # 10 to 90 % of a step: thermal 4.4 kT, Gaussian 2.56 sigma; it must end within the range
    reach = float(np.hypot(4.4 * thermal, 2.56 * found.x[1]))
    inside = xs[0] + reach < best < xs[-1] - reach
    if not (found.success and clear and inside and error < settings.window):
        raise CalibrationError(
            f"{where(ds)}: no clear Fermi edge within {settings.window:g} eV of {settings.near:g} "
            "eV; set near= and window="
        )
    return _moved(ds, -best, f"Fermi edge found at {best:.3f}({error:.3f}) eV, put at 0")

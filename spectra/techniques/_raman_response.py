"""Relative intensity response of a Raman instrument, by NIST's luminescent glasses.

The certificate of a glass gives its true luminescence against Raman shift; what is measured over
what is certified is the sensitivity of the instrument, but for one factor (ASTM E2911). It becomes
the variable ``transmission`` beside the counts, which stay counts: band areas are expected at the
library's ratios times the sensitivity, and amounts are divided by it. Dividing the counts instead
would falsify their Poisson errors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field, model_validator

from ..component import Component
from ..convention import COUNTS, where
from ..errors import CalibrationError, ModelError
from ._raman_lines import noise_of
from ._raman_standards import mean_spectrum
from .base import Settings

Array = npt.NDArray[np.float64]
Glass = Literal["2241", "2242a", "2244", "2245", "2246"]

POLYNOMIAL: dict[str, tuple[float, ...]] = {
    "2241": (9.71937e-02, 2.28325e-04, -5.86762e-08, 2.16023e-10, -9.77171e-14, 1.15596e-17),
    "2244": (0.405953, 5.20345e-04, 5.30390e-07, -6.84463e-10, 2.10286e-13, -2.05741e-17),
}
"""Coefficients of powers of the Raman shift: NIST certificates of SRM 2241 and SRM 2244."""

LOGNORMAL: dict[str, tuple[float, float, float, float, float, float]] = {
    "2242a": (0.99747, 3100.6, 1.1573, 2972.1, -3.7168e-06, 0.012864),
    "2245": (0.95071, 1657.7, 0.95207, 1960.0, 1.8981e-05, 0.011698),
    "2246": (0.99218, 3085.3, 0.96188, 2323.7, 1.2630e-05, -0.021142),
}
"""H, w, rho, x0, m, b of the certificates of SRM 2242a, 2245 and 2246:
``H exp(-ln 2 / ln(rho)^2 ln((x - x0)(rho^2 - 1) / (w rho) + 1)^2) + m x + b``."""

LASER_NM = {"2241": 785.0, "2242a": 532.0, "2244": 1064.0, "2245": 632.8, "2246": 830.0}
CERTIFIED = {
    "2241": (200.0, 3500.0),
    "2242a": (150.0, 4000.0),
    "2244": (100.0, 3500.0),
    "2245": (150.0, 4000.0),
    "2246": (110.0, 3000.0),
}
"""Raman shifts a certificate covers, 1/cm, at 20 to 25 C."""

NODES = 41


class Response(Settings):
    """The sensitivity of the instrument on a few nodes, made by `intensity_response`."""

    srm: str = Field("", description="which glass it is from, for the record")
    shift: tuple[float, ...] = Field(min_length=2, description="Raman shifts of the nodes, 1/cm")
    response: tuple[float, ...] = Field(min_length=2, description="sensitivity there, largest 1")
    error: float = Field(0.0, ge=0, description="relative standard error, of the fit")

    @model_validator(mode="after")
    def _sound(self) -> Response:
        if len(self.shift) != len(self.response):
            raise ValueError(f"{len(self.shift)} shifts but {len(self.response)} responses")
        if np.any(np.diff(self.shift) <= 0.0):
            raise ValueError("shift must ascend")
        if min(self.response) <= 0.0:
            raise ValueError("response must be positive")
        return self


def certified(srm: str, shift: npt.ArrayLike) -> Array:
    """Return the certified relative luminescence of a glass at Raman shifts (1/cm).

    Raises
    ------
    CalibrationError
        If the glass is not known.
    """
    x = np.asarray(shift, float)
    if srm in POLYNOMIAL:
        return np.asarray(np.polynomial.polynomial.polyval(x, POLYNOMIAL[srm]))
    if srm not in LOGNORMAL:
        raise CalibrationError(f"SRM {srm!r}: allowed: {', '.join(CERTIFIED)}")
    height, w, rho, x0, m, b = LOGNORMAL[srm]
    inside = np.maximum((x - x0) * (rho**2 - 1.0) / (w * rho) + 1.0, 1e-12)
    shape = np.exp(-np.log(2.0) / np.log(rho) ** 2 * np.log(inside) ** 2)
    return np.asarray(height * shape + m * x + b)


def intensity_response(
    ds: xr.Dataset, srm: Glass, *, dark: float = 0.0, laser_tolerance_nm: float = 3.0
) -> dict[str, Any]:
    """Find the sensitivity of an instrument from the spectrum of a certified glass.

    The logarithm of measured over certified luminescence is fitted with Legendre polynomials, of
    the degree (up to 14) with the least corrected Akaike criterion, over the certified range.

    Parameters
    ----------
    ds : xr.Dataset
        Spectrum of the glass on a calibrated Raman scale; the mean over outer dims is used.
    srm : {"2241", "2242a", "2244", "2245", "2246"}
        Which glass.
    dark : float
        Constant level of the detector, in intensity units, taken off first.
    laser_tolerance_nm : float
        How far the file's laser line may be from the certificate's.

    Returns
    -------
    dict
        Settings for ``correct(ds, "intensity_response", **settings)``; plain data for a recipe.

    Raises
    ------
    CalibrationError
        If the glass is unknown or for another laser, or too little of its range was measured.
    """
    if srm not in CERTIFIED:
        raise CalibrationError(f"SRM {srm!r}: allowed: {', '.join(CERTIFIED)}")
    if "raman_shift" not in ds["intensity"].dims:
        raise CalibrationError(f"{where(ds)}: no Raman shift; use calibrate(ds, 'laser') first")
    laser = ds.attrs.get("laser_nm")
    if laser and abs(float(laser) - LASER_NM[srm]) > laser_tolerance_nm:
        raise CalibrationError(
            f"{where(ds)}: SRM {srm} is certified for {LASER_NM[srm]:g} nm, the laser is "
            f"{float(laser):g} nm"
        )
    x, y = np.asarray(ds["raman_shift"].values, float), mean_spectrum(ds) - dark
    low, high = CERTIFIED[srm]
    inside = (x >= low) & (x <= high)
    lit = y > max(5.0 * noise_of(y), 0.002 * float(y.max()))
    if (inside & lit).sum() < 50:
        raise CalibrationError(
            f"{where(ds)}: {int((inside & lit).sum())} points of SRM {srm} between {low:g} and "
            f"{high:g} 1/cm stand out of the noise; fifty are the least"
        )
    first, last = np.flatnonzero(inside & lit)[[0, -1]]
    used = inside & lit & (np.arange(x.size) >= first) & (np.arange(x.size) <= last)
    xs = x[used]
    ratio = np.log(y[used] / certified(srm, xs))
    counts = ds["intensity"].attrs["units"] == COUNTS
    level = np.sqrt(y[used]) if counts else np.full(xs.size, noise_of(y))
    weight = y[used] / np.maximum(level, noise_of(y))
    u = 2.0 * (xs - xs[0]) / (xs[-1] - xs[0]) - 1.0
    best: tuple[float, Array, float] | None = None
    for degree in range(2, 15):
        basis = np.polynomial.legendre.legvander(u, degree)
        p, *_ = np.linalg.lstsq(basis * weight[:, None], ratio * weight, rcond=None)
        rest = (ratio - basis @ p) * weight
        known = degree + 2.0
        score = xs.size * np.log(np.mean(rest**2)) + 2.0 * known * xs.size / (xs.size - known - 1.0)
        if best is None or score < best[0]:
            spread = float(np.std(ratio - basis @ p)) * np.sqrt(known / xs.size)
            best = (float(score), p, spread)
    assert best is not None
    nodes = np.linspace(xs[0], xs[-1], NODES)
    value = np.polynomial.legendre.legval(np.linspace(-1.0, 1.0, NODES), best[1])
    value = np.exp(value - value.max())
    return {
        "srm": srm,
        "shift": [round(float(v), 3) for v in nodes],
        "response": [float(f"{v:.5g}") for v in value],
        "error": float(f"{best[2]:.2g}"),
    }


def response(ds: xr.Dataset, settings: Response) -> xr.Dataset:
    """Add the variable ``transmission``; counts stay as they are.

    Between the nodes it is interpolated in its logarithm, beyond them held.

    Raises
    ------
    ModelError
        If the axis is no Raman shift, or the sensitivity is known for none of it.
    """
    if "raman_shift" not in ds["intensity"].dims:
        raise ModelError(f"{where(ds)}: no Raman shift; use calibrate(ds, 'laser') first")
    x = ds["raman_shift"].values
    low, high = settings.shift[0], settings.shift[-1]
    if high <= x[0] or low >= x[-1]:
        raise ModelError(
            f"{where(ds)}: the response is known from {low:g} to {high:g} 1/cm, the spectrum runs "
            f"{x[0]:g} to {x[-1]:g}"
        )
    values = np.exp(np.interp(x, settings.shift, np.log(settings.response)))
    ds = ds.copy(deep=False)
    attrs = {
        "units": "1",
        "long_name": "relative sensitivity",
        "source": f"NIST SRM {settings.srm}",
    }
    ds["transmission"] = ("raman_shift", values, attrs)
    ds.attrs["response"] = json.dumps([list(settings.shift), list(settings.response)])
    return ds


def response_at(attrs: Mapping[str, Any], shift: npt.ArrayLike) -> Array:
    """Return the sensitivity at Raman shifts; 1 where none was noted."""
    x = np.asarray(shift, float)
    if not attrs.get("response"):
        return np.ones(x.shape)
    at, values = json.loads(str(attrs["response"]))
    return np.exp(np.interp(x, at, np.log(values)))


def area_over_response(component: Component, attrs: Mapping[str, Any]) -> float:
    """Return what a component's area is to be multiplied with for a sensitivity of 1."""
    if "center" not in component.params or not attrs.get("response"):
        return 1.0
    center = component.params["center"].value
    if not component.lines:
        return float(1.0 / response_at(attrs, center))
    at = np.array([line.position for line in component.lines])
    at = center * at if component.line_scale == "ratio" else center + at
    share = np.array([line.weight for line in component.lines])
    return float(np.sum(share / response_at(attrs, at)))

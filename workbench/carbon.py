"""Carbon in Raman spectra: D and G bands as components, their ratios with errors, crystallite size.

D1 to D4 and G as in A. Sadezky, H. Muckenhuber, H. Grothe, R. Niessner and U. Poeschl, Carbon 43
(2005) 1731: G 1580 1/cm (E2g), D 1350 (A1g, disorder), D2 1620 (surface layers), D3 1500
(amorphous, between the layers), D4 1200 (ionic impurities, sp2-sp3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from references.errors import nearest
from spectra.component import Component, Components, Param
from spectra.convention import axis_of, where
from spectra.errors import ModelError
from spectra.shapes import SHAPES
from spectra.techniques._raman_response import response_at

from .errors import OrderError
from .result import components_of
from .steps import require

Array = npt.NDArray[np.float64]

HC_EV_NM = 1239.841984
"""Planck constant times speed of light, eV nm (CODATA 2018)."""

DISPERSION = 50.0
"""How the D band moves with the laser's energy, 1/cm per eV (A. C. Ferrari and J. Robertson,
Phys. Rev. B 64 (2001) 075414: 40 to 60)."""

BANDS: dict[str, tuple[float, float, float, float]] = {
    "D4": (1200.0, 1100.0, 1280.0, 150.0),
    "D": (1350.0, 1290.0, 1400.0, 120.0),
    "D3": (1510.0, 1470.0, 1560.0, 130.0),
    "G": (1585.0, 1550.0, 1610.0, 60.0),
    "D2": (1620.0, 1605.0, 1640.0, 30.0),
    "2D": (2690.0, 2600.0, 2800.0, 80.0),
}
"""Start, lowest and highest place and start width, 1/cm; D and 2D at 2.41 eV (514.5 nm)."""

RATIO_AREA_NM_EV4 = 560.0
"""``La = 560 / E^4 / (area D / area G)``, nm and eV: L. G. Cancado et al., Appl. Phys. Lett. 88
(2006) 163106, eq. 2; for ratios of areas in graphitic carbon."""


def carbon_bands(
    ds: xr.Dataset,
    bands: Sequence[str] = ("D4", "D", "D3", "G"),
    *,
    shape: Literal["lorentzian", "pseudo_voigt", "gaussian"] = "lorentzian",
    baseline: Literal["none", "constant", "linear", "quadratic"] = "linear",
    laser_nm: float | None = None,
) -> Components:
    """Return components for the bands of disordered carbon, to be fitted with ``workbench.fit``.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum on Raman shift, already cut to the range of the bands (``workbench.select``).
    bands : sequence of str
        Of D4, D, D3, G, D2, 2D. What overlaps decides the numbers: say which with any ratio.
    shape : {"lorentzian", "pseudo_voigt", "gaussian"}
        Shape of all; a pseudo-Voigt has a free Lorentzian share per band.
    baseline : {"none", "constant", "linear", "quadratic"}
        Fitted together with the bands.
    laser_nm : float, optional
        Laser line: D and 2D start where it puts them. Default the file's, else 514.5 nm.

    Returns
    -------
    Components
        Named as the bands (2D as ``G2D``), areas at or above zero.

    Raises
    ------
    ModelError
        If a band is not known or outside the axis, or the axis is no Raman shift.
    """
    if axis_of(ds) != "raman_shift":
        raise ModelError(f"{where(ds)}: axis is {axis_of(ds)}; use calibrate(ds, 'laser') first")
    x = ds["raman_shift"].values.astype(float)
    mean = np.nanmean(ds["intensity"].values.reshape(-1, x.size).astype(float), axis=0)
    laser = laser_nm or ds.attrs.get("laser_nm") or 514.5
    energy = HC_EV_NM / float(laser)
    ground = np.interp(x, x[[0, -1]], [mean[:5].mean(), mean[-5:].mean()])
    items = []
    for name in bands:
        if name not in BANDS:
            raise ModelError(f"carbon_bands: band {name!r}: {nearest(name, BANDS)}")
        place, low, high, width = BANDS[name]
        factor = {"D": 1.0, "2D": 2.0}.get(name, 0.0)
        moved = factor * DISPERSION * (energy - HC_EV_NM / 514.5)
        place, low, high = place + moved, low + moved, high + moved
        if not x[0] < place < x[-1]:
            raise ModelError(
                f"{where(ds)}: band {name} at {place:.0f} 1/cm is outside {x[0]:g} to {x[-1]:g}"
            )
        height = max(float(np.interp(place, x, mean - ground)), 1e-3 * float(np.ptp(mean)), 1e-9)
        params = {
            "area": Param(value=0.7 * 1.571 * height * width, min=0.0),
            "center": Param(value=place, min=low, max=high),
            "fwhm": Param(value=width, min=5.0, max=500.0),
        }
        if shape == "pseudo_voigt":
            params["mixing"] = Param(value=0.8, min=0.0, max=1.0)
        items.append(Component(name="G2D" if name == "2D" else name, shape=shape, params=params))
    order = ["none", "constant", "linear", "quadratic"].index(baseline)
    if order:
        level = {
            "c0": Param(value=float(ground.mean())),
            "x0": Param(value=0.5 * float(x[0] + x[-1]), vary=False),
        }
        level.update({f"c{k}": Param(value=0.0) for k in range(1, order)})
        items.append(
            Component(name="baseline", shape="polynomial", role="background", params=level)
        )
    return Components(items)


def carbon(fit: xr.Dataset, *, laser_nm: float | None = None) -> xr.Dataset:
    """Return I(D)/I(G) as heights and as areas, and the crystallite size, with standard errors.

    Errors come from the full covariance of the fit: D and G overlap, so their heights are
    correlated. A noted intensity response is divided out.

    Parameters
    ----------
    fit : xr.Dataset
        A FitResult with components named ``D`` and ``G``.
    laser_nm : float, optional
        Laser line; default the file's. Without one there is no crystallite size.

    Returns
    -------
    xr.Dataset
        On the outer dims: ``height_ratio``, ``area_ratio``, ``split`` (G less D place) and
        ``crystallite_size`` (nm, from areas), each with ``<name>_stderr``; ``flag`` of the size.

    Raises
    ------
    OrderError
        If it is not a fit with covariance, or D or G is missing.

    Notes
    -----
    ``La = 560 / E^4 * (A_G / A_D)`` (Cancado 2006, after F. Tuinstra and J. L. Koenig, J. Chem.
    Phys. 53 (1970) 1126). Where defects are denser than about one in 3 nm, I(D)/I(G) falls with
    disorder instead (Ferrari and Robertson, Phys. Rev. B 61 (2000) 14095): flagged
    ``beyond_formula`` where the G band is wider than 50 1/cm or the size below 3 nm.
    """
    require(fit, "fit-1", "workbench.fit(ds, components)")
    if "covar" not in fit:
        raise OrderError(f"{where(fit)}: no covariance; call fit(..., covariance=True)")
    components = components_of(fit)
    known = [c.name for c in components]
    for name in ("D", "G"):
        if name not in known:
            raise OrderError(
                f"{where(fit)}: no component {name!r} (found {', '.join(known)}); see carbon_bands"
            )
    index = {str(p): k for k, p in enumerate(fit["param"].values)}
    value = fit["value"].values.astype(float)
    covar = fit["covar"].values.astype(float)

    def slots(component: Component) -> list[int]:
        return [index[f"{component.name}.{p}"] for p in SHAPES[component.shape].params]

    def terms(full: Array) -> dict[str, Array]:
        """Logarithms of ratios, and the split, from parameters along the last axis."""
        height, area, place = {}, {}, {}
        for name in ("D", "G"):
            component = components[name]
            own = [full[..., k] for k in slots(component)]
            at = full[..., index[f"{name}.center"]]
            seen = response_at(fit.attrs, at)
            height[name] = SHAPES[component.shape].function(at, *own)[0] / seen
            area[name] = full[..., index[f"{name}.area"]] / seen
            place[name] = at
        with np.errstate(all="ignore"):
            return {
                "height_ratio": height["D"] / height["G"],
                "area_ratio": area["D"] / area["G"],
                "split": place["G"] - place["D"],
            }

    used = sorted({k for name in ("D", "G") for k in slots(components[name])})
    middle = terms(value)
    slopes: dict[str, Array] = {k: np.zeros((*value.shape[:-1], len(used))) for k in middle}
    for column, k in enumerate(used):
        step = 1e-6 * np.maximum(np.abs(value[..., k]), 1e-3)
        up, down = value.copy(), value.copy()
        up[..., k] += step
        down[..., k] -= step
        high, low = terms(up), terms(down)
        for name in middle:
            slopes[name][..., column] = (high[name] - low[name]) / (2.0 * step)
    part = covar[..., np.array(used)[:, None], np.array(used)]
    outer = tuple(str(d) for d in fit["value"].dims[:-1])
    out = xr.Dataset(coords={k: c for k, c in fit.coords.items() if set(c.dims) <= set(outer)})
    for name, found in middle.items():
        variance = np.einsum("...i,...ij,...j->...", slopes[name], part, slopes[name])
        units = {"units": "1/cm" if name == "split" else "1"}
        out[name] = (outer, found, units)
        out[f"{name}_stderr"] = (outer, np.sqrt(np.maximum(variance, 0.0)), units)
    laser = laser_nm if laser_nm is not None else fit.attrs.get("laser_nm")
    _crystallites(out, outer, None if laser is None else float(laser), value[..., index["G.fwhm"]])
    for key in ("technique", "source", "title", "history"):
        if key in fit.attrs:
            out.attrs[key] = fit.attrs[key]
    out.attrs["bands"] = ", ".join(c.name for c in components if c.role != "background")
    return out


def _crystallites(
    out: xr.Dataset, outer: tuple[str, ...], laser: float | None, width: Array
) -> None:
    """Add size, error and flag."""
    ratio, error = out["area_ratio"].values, out["area_ratio_stderr"].values
    with np.errstate(all="ignore"):
        scale = np.nan if laser is None else RATIO_AREA_NM_EV4 / (HC_EV_NM / laser) ** 4
        size = np.where(ratio > 0.0, scale / ratio, np.nan)
        spread = size * error / ratio
    meanings = ("ok", "beyond_formula", "no_value")
    flag = np.where(~np.isfinite(size), 2, np.where((width > 50.0) | (size < 3.0), 1, 0))
    out["crystallite_size"] = (outer, size, {"units": "nm"})
    out["crystallite_size_stderr"] = (outer, spread, {"units": "nm"})
    out["flag"] = (
        outer,
        flag.astype(np.int8),
        {"flag_values": np.arange(3, dtype=np.int8), "flag_meanings": " ".join(meanings)},
    )
    if laser is not None:
        out.attrs["laser_nm"] = laser

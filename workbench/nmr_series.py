"""NMR along a series: integrals with errors, and relaxation or nutation of fitted areas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from spectra.convention import check, where

from .errors import FitError

Array = npt.NDArray[np.float64]
Kind = Literal["T2", "T1_saturation", "T1_inversion", "nutation"]

_NAMES: dict[str, tuple[str, ...]] = {
    "T2": ("amplitude", "time_constant", "stretch"),
    "T1_saturation": ("amplitude", "time_constant", "stretch"),
    "T1_inversion": ("amplitude", "time_constant", "efficiency"),
    "nutation": ("amplitude", "frequency", "time_constant"),
}
_UNITS = {"amplitude": "intensity", "time_constant": "s", "frequency": "Hz", "stretch": "1",
          "efficiency": "1"}  # fmt: skip


def integrals(ds: xr.Dataset, regions: Mapping[str, tuple[float, float]]) -> xr.Dataset:
    """Integrate ranges of the shift axis, with errors from the noise.

    Trapezoids over the points inside each range, a static ``background`` taken off first. The
    error is that of a sum of independent points of the stated ``uncertainty`` (which carries the
    noise factor of zero filling and windows, see ``correct noise``).

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum on chemical shift.
    regions : mapping of str to (low, high)
        Limits in ppm.

    Returns
    -------
    xr.Dataset
        ``integral`` and ``stderr`` on ``(*outer, region)``; NaN errors without ``uncertainty``.

    Raises
    ------
    FitError
        If a range holds fewer than two points.
    """
    check(ds)
    if "chemical_shift" not in ds["intensity"].dims:
        raise FitError(f"{where(ds)}: integrals need the shift axis; call correct(ds, 'fourier')")
    x: Array = ds["chemical_shift"].values
    y = ds["intensity"].values - (ds["background"].values if "background" in ds else 0.0)
    sigma = None
    if "uncertainty" in ds:
        sigma = np.broadcast_to(ds["uncertainty"].values, y.shape)
    values, errors = [], []
    for name, limits in regions.items():
        low, high = sorted(limits)
        inside = np.flatnonzero((x >= low) & (x <= high))
        if inside.size < 2:
            raise FitError(
                f"{where(ds)}: region {name!r} from {low:g} to {high:g} ppm holds {inside.size} "
                f"points; the axis runs {x[0]:g} to {x[-1]:g}"
            )
        part = x[inside]
        weight = np.zeros(inside.size)
        weight[:-1] += 0.5 * np.diff(part)
        weight[1:] += 0.5 * np.diff(part)
        values.append(y[..., inside] @ weight)
        errors.append(
            np.full(y.shape[:-1], np.nan)
            if sigma is None
            else np.sqrt(sigma[..., inside] ** 2 @ weight**2)
        )
    outer = tuple(str(d) for d in ds["intensity"].dims[:-1])
    unit = {"units": "intensity ppm"}
    return xr.Dataset(
        {
            "integral": ((*outer, "region"), np.stack(values, axis=-1), unit),
            "stderr": ((*outer, "region"), np.stack(errors, axis=-1), dict(unit)),
        },
        coords={
            **{c: ds[c] for c in ds.coords if set(ds[c].dims) <= set(outer)},
            "region": list(regions),
        },
    )


def relaxation(
    areas: xr.DataArray,
    stderr: xr.DataArray | None = None,
    *,
    kind: Kind = "T2",
    stretched: bool = False,
) -> xr.Dataset:
    """Fit decays, build-ups or nutation of areas along ``evolution_time``.

    ====================  ===================================================
    kind                  model
    ====================  ===================================================
    ``T2``                ``A exp(-(t / T)^b)``
    ``T1_saturation``     ``A (1 - exp(-(t / T)^b))``
    ``T1_inversion``      ``A (1 - (1 + e) exp(-t / T))``, e the inversion's efficiency
    ``nutation``          ``A sin(2 pi f t) exp(-t / T)``
    ====================  ===================================================

    Parameters
    ----------
    areas : xr.DataArray
        Along ``evolution_time`` and any other dims (``site``, ``region``), each fitted alone.
    stderr : xr.DataArray, optional
        Their errors; without them the parameters' errors are scaled with the scatter.
    kind : str
    stretched : bool
        Whether the exponent ``b`` of T2 and saturation varies (a distribution of times).

    Returns
    -------
    xr.Dataset
        One variable per parameter and ``<name>_stderr``, and ``redchi``, on the other dims.

    Raises
    ------
    FitError
        If there is no ``evolution_time`` or fewer points than parameters.
    """
    if "evolution_time" not in areas.dims:
        raise FitError(
            "relaxation: areas have no dimension evolution_time; give the rows their delays with "
            "correct(ds, 'delays', ...)"
        )
    if kind not in _NAMES:
        raise FitError(f"relaxation: kind {kind!r}; allowed: {', '.join(_NAMES)}")
    ordered = areas.transpose(..., "evolution_time")
    t = ordered["evolution_time"].values.astype(float)
    names = _NAMES[kind]
    if t.size <= len(names):
        raise FitError(f"relaxation: {t.size} delays for {len(names)} parameters")
    rows = ordered.values.reshape(-1, t.size)
    sigma = None
    if stderr is not None:
        sigma = stderr.transpose(*ordered.dims).values.reshape(-1, t.size)
    found = [
        _decay(t, row, None if sigma is None else sigma[i], kind, stretched)
        for i, row in enumerate(rows)
    ]
    shape, dims = ordered.shape[:-1], ordered.dims[:-1]
    out = xr.Dataset(
        coords={c: areas[c] for c in areas.coords if "evolution_time" not in areas[c].dims}
    )
    for k, name in enumerate(names):
        unit = {"units": _UNITS[name]}
        out[name] = (dims, np.array([f[0][k] for f in found]).reshape(shape), unit)
        out[f"{name}_stderr"] = (dims, np.array([f[1][k] for f in found]).reshape(shape), unit)
    out["redchi"] = (dims, np.array([f[2] for f in found]).reshape(shape), {"units": "1"})
    out.attrs["kind"] = kind
    return out


def _model(kind: str) -> Callable[..., Array]:
    def t2(t: Array, a: float, tau: float, b: float) -> Array:
        return np.asarray(a * np.exp(-((t / tau) ** b)))

    def saturation(t: Array, a: float, tau: float, b: float) -> Array:
        return np.asarray(a * (1.0 - np.exp(-((t / tau) ** b))))

    def inversion(t: Array, a: float, tau: float, e: float) -> Array:
        return np.asarray(a * (1.0 - (1.0 + e) * np.exp(-t / tau)))

    def nutation(t: Array, a: float, f: float, tau: float) -> Array:
        return np.asarray(a * np.sin(2 * np.pi * f * t) * np.exp(-t / tau))

    return {"T2": t2, "T1_saturation": saturation, "T1_inversion": inversion,
            "nutation": nutation}[kind]  # fmt: skip


def _decay(
    t: Array, y: Array, sigma: Array | None, kind: str, stretched: bool
) -> tuple[Array, Array, float]:
    """Return values, errors and reduced chi-square of one series; NaN where no fit is possible."""
    import lmfit

    model = _model(kind)
    params = lmfit.Parameters()
    top = float(y[np.argmax(np.abs(y))]) or 1.0
    span = float(np.ptp(t))
    names = _NAMES[kind]
    good = np.isfinite(y) & (np.ones(t.size, bool) if sigma is None else sigma > 0)
    if good.sum() <= len(names):
        return np.full(len(names), np.nan), np.full(len(names), np.nan), float("nan")
    starts = {
        "amplitude": top,
        "time_constant": _first_time(t[good], y[good], kind),
        "stretch": 1.0,
        "efficiency": 0.9,
        "frequency": _first_frequency(t[good], y[good]),
    }
    for name in names:
        vary = stretched if name == "stretch" else True
        low, high = {
            "time_constant": (1e-6 * span, 1e3 * span), "stretch": (0.2, 2.0),
            "efficiency": (0.0, 1.0), "frequency": (0.0, np.inf),
        }.get(name, (-np.inf, np.inf))  # fmt: skip
        params.add(name, value=starts[name], vary=vary, min=low, max=high)
    weight = np.ones(t.size) if sigma is None else 1.0 / np.where(good, sigma, 1.0)

    def residual(p: lmfit.Parameters) -> Array:
        made = model(t[good], *(p[n].value for n in names))
        return np.asarray((y[good] - made) * weight[good])

    result = lmfit.minimize(residual, params, scale_covar=sigma is None)
    value = np.array([result.params[n].value for n in names])
    error = np.array([result.params[n].stderr or np.nan for n in names])
    return value, error, float(result.redchi)


def _first_time(t: Array, y: Array, kind: str) -> float:
    """Return where the signal has moved most of its way; a start, not a result."""
    if kind == "nutation":
        return float(np.ptp(t)) or 1.0
    away = np.abs(y - y[-1])
    passed = t[away < away.max() / np.e]
    return float(passed[0]) if passed.size and passed[0] > 0 else float(np.ptp(t)) / 3 or 1.0


def _first_frequency(t: Array, y: Array) -> float:
    step = float(np.median(np.diff(t))) or 1.0
    size = np.abs(np.fft.rfft(y - y.mean(), 8 * t.size))
    return float(np.fft.rfftfreq(8 * t.size, step)[int(np.argmax(size))]) or 1.0 / np.ptp(t)

"""Spectra and sites of a pattern fit as plain arrays; what is varied, what is solved linearly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from spectra.component import Frozen, Param
from spectra.convention import check, where
from spectra.techniques._nmr_kernels import Grid, Kernels

from .errors import FitError

Array = npt.NDArray[np.float64]
Kind = Literal["line", "csa", "quadrupolar", "czjzek", "csa_quadrupolar"]

PARAMS: dict[str, tuple[str, ...]] = {
    "line": ("shift",),
    "csa": ("shift", "zeta", "eta"),
    "quadrupolar": ("shift", "cq", "eta_q"),
    "czjzek": ("shift", "sigma"),
    "csa_quadrupolar": ("shift", "zeta", "eta", "cq", "eta_q"),
}
UNITS = {
    "shift": "ppm", "zeta": "ppm", "eta": "1", "cq": "MHz", "eta_q": "1", "sigma": "MHz",
    "lorentz": "Hz", "gauss": "Hz", "spinning": "Hz",
}  # fmt: skip


class Site(Frozen):
    """One site of the model.

    Parameters
    ----------
    name : str
        An identifier, unique.
    kind : {"line", "csa", "quadrupolar", "czjzek", "csa_quadrupolar"}
        Which tensors it has.
    params : dict of str to Param or float
        ``shift`` ppm; ``zeta`` ppm, ``eta``; ``cq`` MHz, ``eta_q``; ``sigma`` MHz (Czjzek);
        ``lorentz`` and ``gauss``, full widths in Hz (a number holds them, absent means 0 held).
    share : float, optional
        If every site has one, areas are in these proportions; else each is free.
    own_width : bool
        Whether each spectrum of a joint fit has its own broadening of this site.
    satellites : bool
        Whether the spectrum also shows the inner satellite transitions of a spinning quadrupolar
        site: a pattern of the same tensor, of its own width and second-order shift. How well they
        were excited is not known: of all such sites together each spectrum (each row) has one
        amplitude, free and no part of any area.
    """

    name: str
    kind: Kind
    params: dict[str, Param]
    share: float | None = None
    own_width: bool = True
    satellites: bool = False

    def __init__(self, **data: Any) -> None:
        given = data.get("params", {})
        data["params"] = {
            k: Param(value=float(v), vary=False) if isinstance(v, (int, float)) else v
            for k, v in given.items()
        }
        super().__init__(**data)


@dataclass
class Part:
    """One spectrum of a joint fit as plain arrays."""

    ds: xr.Dataset
    y: Array
    weight: Array
    kernels: Kernels
    base: Array
    spinning: str


def part_of(
    ds: xr.Dataset,
    nucleus: str | None,
    between: tuple[float, float] | None,
    baseline: int | None,
    density: int,
    cq_limit: float,
    at: int,
) -> Part:
    """Check one spectrum and turn it into arrays.

    Raises
    ------
    FitError
        If it is raw, a magnitude, without nucleus or frequency, or too short.
    """
    check(ds)
    if "chemical_shift" not in ds["intensity"].dims:
        raise FitError(f"{where(ds)}: raw signal; call correct(ds, 'fourier') and phase it first")
    if ds.attrs.get("magnitude"):
        raise FitError(f"{where(ds)}: magnitude spectrum; process from the raw signal and phase it")
    kind = nucleus or str(ds.attrs.get("nucleus", ""))
    zero = float(ds.attrs.get("reference_MHz", 0.0))
    if not kind or zero <= 0:
        raise FitError(
            f"{where(ds)}: patterns need nucleus and frequency; pass nucleus='31P' and set "
            "attrs['reference_MHz']"
        )
    width = float(ds.attrs.get("processed_width_Hz", ds.attrs.get("spectral_width_Hz", 0.0)))
    full = ds["chemical_shift"].values
    step = float(full[-1] - full[0]) / (full.size - 1)
    whole = abs(full.size * step * zero / width - 1.0) < 0.01 if width > 0 else False
    grid = Grid(full, zero, kind, whole)
    kernels = Kernels(grid, density=density, cq_limit=cq_limit)
    low, high = sorted(between) if between else (full[0], full[-1])
    inside = (full >= low) & (full <= high)
    if inside.sum() < 8:
        raise FitError(f"{where(ds)}: fewer than 8 points between {low:g} and {high:g} ppm")
    y = ds["intensity"].values.reshape(-1, full.size).astype(float)
    y = y - (ds["background"].values.reshape(y.shape) if "background" in ds else 0.0)
    if "uncertainty" in ds:
        sigma = np.broadcast_to(ds["uncertainty"].values, ds["intensity"].shape).reshape(y.shape)
        weight = 1.0 / np.sqrt(np.mean(sigma**2, axis=1, keepdims=True))
    else:
        # Spectra without errors count by their height: their noise says little where the model's
        # own limits, not noise, make the residuals.
        weight = np.full((y.shape[0], 1), 1.0 / (float(np.abs(y[:, inside]).max()) or 1.0))
    u = np.where(inside, (full - low) / (high - low) * 2.0 - 1.0, 0.0)
    orders = range(baseline + 1) if baseline is not None else range(0)
    base = np.array([u**k for k in orders]).reshape(len(orders), full.size)
    mask = inside.astype(float)
    return Part(ds, y * mask, weight * mask, kernels, base * mask, f"spinning_{at + 1}")


def basis_of(part: Part, sites: Sequence[Site], values: Mapping[str, float], at: int) -> Array:
    """Return unit-area patterns of all sites, ``(site, point)``, zero outside the range.

    Where sites have satellites, one more row follows: the sum of theirs, in the sites' shares.
    """
    kernels, rate = part.kernels, values[part.spinning]
    rows, satellites = [], []
    for site in sites:

        def of(key: str, name: str = site.name) -> float:
            own = values.get(f"{name}_{key}_{at + 1}")
            return values.get(f"{name}_{key}", 0.0) if own is None else own

        if site.kind == "czjzek":
            signal = kernels.czjzek(of("sigma"), spinning_Hz=rate)
        else:
            signal = kernels.signal(
                spinning_Hz=rate if site.kind != "line" else 0.0,
                zeta=of("zeta"),
                eta=of("eta"),
                cq_MHz=of("cq"),
                eta_q=of("eta_q"),
            )
        shift = of("shift") + values[f"reference_{at + 1}"]
        rows.append(kernels.spectrum(signal, shift, of("lorentz"), of("gauss")))
        if site.satellites:
            signal = kernels.signal(
                spinning_Hz=rate, cq_MHz=of("cq"), eta_q=of("eta_q"), satellites=True
            )
            beside = kernels.spectrum(signal, shift, of("lorentz"), of("gauss"))
            satellites.append(beside * (1.0 if site.share is None else site.share))
    if satellites:
        rows.append(np.sum(satellites, axis=0))
    return np.array(rows) * (part.weight[0] > 0)


def columns_of(part: Part, sites: Sequence[Site], basis: Array) -> Array:
    """Linear columns: one per site (or one in all, in shares), satellites, the baseline."""
    if sites[0].share is not None:
        shares = np.array([float(s.share or 0.0) for s in sites])
        together = ((shares / shares.sum()) @ basis[: len(sites)])[None, :]
        basis = np.concatenate([together, basis[len(sites) :]])
    return np.concatenate([basis, part.base])


def solve(part: Part, columns: Array) -> tuple[Array, Array]:
    """Return coefficients ``(row, column)`` and residuals ``(row, point)`` of the linear part."""
    coefficient: Array = np.linalg.lstsq(columns.T, part.y.T, rcond=None)[0].T.astype(float)
    return coefficient, part.y - coefficient @ columns


def step_of(name: str, param: Any, parts: Sequence[Part]) -> float:
    """Return the step of the numerical derivative: small against what the data resolve."""
    value = abs(float(param.value))
    kind = next((k for k in UNITS if f"_{k}" in name or name.startswith(k)), "shift")
    if kind == "shift" or name.startswith("reference"):
        grid = parts[0].kernels.grid
        return 0.1 * grid.step_Hz / grid.reference_MHz
    return {
        "eta": 5e-3, "eta_q": 5e-3, "zeta": max(2e-3 * value, 0.05), "cq": max(2e-3 * value, 1e-3),
        "sigma": max(5e-3 * value, 5e-3), "lorentz": max(1e-2 * value, 0.5),
        "gauss": max(1e-2 * value, 0.5), "spinning": max(5e-5 * value, 0.2),
    }[kind]  # fmt: skip


def derivative(
    function: Callable[[Array], Array], x: Array, steps: Array, params: Any, free: Sequence[str]
) -> Array:
    """Return central differences, one-sided where a bound is nearer than the step."""
    columns = []
    for at, step in enumerate(steps):
        p = params[free[at]]
        up, down = x.copy(), x.copy()
        up[at] = min(x[at] + step, p.max)
        down[at] = max(x[at] - step, p.min)
        columns.append((function(up) - function(down)) / (up[at] - down[at]))
    return np.stack(columns, axis=-1)

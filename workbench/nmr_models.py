"""NMR beyond lines: powder patterns fitted to one spectrum, a series, or several fields at once.

``fit_sites`` fits sites with shielding or quadrupolar tensors to one spectrum, to a series, or to
several spectra at once (fields, spinning rates): tensors and shifts are common to all, spinning
rates and broadenings belong to each spectrum, and areas and baselines are solved linearly inside (a
variable projection), for every row of a series. The outer optimiser is lmfit's; patterns come from
`spectra.techniques._nmr_kernels`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from references.errors import nearest
from spectra.component import Param

from .engine.uncertainty import (
    AT_BOUND,
    AT_MAX,
    AT_MIN,
    CORRELATED,
    FIXED,
    FLAGS,
    INDISTINCT,
    OK,
    TIED,
    UNDETERMINED,
)
from .errors import FitError
from .nmr_parts import (
    PARAMS,
    UNITS,
    Part,
    Site,
    basis_of,
    columns_of,
    derivative,
    part_of,
    solve,
    step_of,
)
from .provenance import stamp
from .store import save

__all__ = ["Site", "SiteFit", "fit_sites"]

Array = npt.NDArray[np.float64]
_LIMITS: dict[str, tuple[float | None, float | None]] = {
    "eta": (0.0, 1.0), "eta_q": (0.0, 1.0), "cq": (0.0, None), "sigma": (1e-3, None),
    "lorentz": (0.0, None), "gauss": (0.0, None), "spinning": (0.0, None),
}  # fmt: skip


@dataclass(frozen=True)
class SiteFit:
    """Result of `fit_sites`.

    Attributes
    ----------
    table : xr.Dataset
        Convention ``"sites-1"``: ``value``, ``stderr``, ``flag`` on ``param``; attrs ``redchi``,
        ``nfev``, ``success``, ``message``, and what it was made from.
    areas : tuple of xr.Dataset
        Per spectrum: ``area`` and ``stderr`` on ``(*outer, site)``, in intensity times ppm.
    curves : tuple of xr.Dataset
        Per spectrum: ``data``, ``model`` and ``site(site, ...)`` on its axis.
    """

    table: xr.Dataset
    areas: tuple[xr.Dataset, ...]
    curves: tuple[xr.Dataset, ...]

    @property
    def flagged(self) -> tuple[str, ...]:
        """Parameters at a bound, not told apart or not determined; all if not converged."""
        told = self.table["flag"].values
        bad = told >= AT_MIN if self.table.attrs["success"] else told >= OK
        return tuple(str(p) for p in self.table["param"].values[bad])

    def save(self, path: str | PathLike[str]) -> Path:
        """Write table, areas and curves to one netCDF file, whole or not at all.

        Of spectrum k the groups are ``areas_<k>`` and ``curves_<k>``, from 1 on.
        """
        parts = {f"areas_{k}": ds for k, ds in enumerate(self.areas, 1)}
        parts |= {f"curves_{k}": ds for k, ds in enumerate(self.curves, 1)}
        return save(self.table, path, parts=parts)

    def __getitem__(self, param: str) -> tuple[float, float]:
        """Return value and standard error of a parameter, ``fit["A.zeta"]``."""
        names = [str(p) for p in self.table["param"].values]
        if param not in names:
            raise FitError(f"no parameter {param!r}: {nearest(param, names)}")
        at = names.index(param)
        return float(self.table["value"][at]), float(self.table["stderr"][at])


def fit_sites(
    data: xr.Dataset | Sequence[xr.Dataset],
    sites: Sequence[Site],
    *,
    nucleus: str | None = None,
    spinning_Hz: float | Param | Sequence[float | Param] = 0.0,
    between: tuple[float, float] | Sequence[tuple[float, float]] | None = None,
    baseline: int | None = 0,
    ties: Mapping[str, str] | None = None,
    reference_free: bool = False,
    density: int = 70,
    cq_limit_MHz: float = 20.0,
) -> SiteFit:
    """Fit powder patterns to one or several spectra at once.

    Parameters
    ----------
    data : xr.Dataset or sequence
        Spectra on chemical shift with ``attrs["reference_MHz"]``; outer dims share everything but
        areas and baseline.
    sites : sequence of Site
    nucleus : str, optional
        Where ``attrs["nucleus"]`` does not say.
    spinning_Hz : float, Param or sequence
        Spinning rate (0: static) of each spectrum; a `Param` may vary.
    between : (low, high) or sequence of them, optional
        Fit range, ppm: one for all spectra, or one for each.
    baseline : int or None
        Order of the polynomial baseline; None for none.
    ties : mapping, optional
        Parameter name to expression in lmfit's grammar, with ``_`` for the dot
        (``{"B.gauss": "A_gauss"}``).
    reference_free : bool
        Whether the second and further spectra may be shifted against the first (referencing).
    density : int
        Orientations of the powder average (mrsimulator's integration density).
    cq_limit_MHz : float
        Largest coupling considered in Czjzek distributions.

    Returns
    -------
    SiteFit

    Raises
    ------
    FitError
        If spectra, sites or settings do not go together.
    """
    import lmfit

    spectra = [data] if isinstance(data, xr.Dataset) else list(data)
    rates = list(spinning_Hz) if isinstance(spinning_Hz, Sequence) else [spinning_Hz] * len(spectra)
    if not spectra or not sites or len(rates) != len(spectra):
        raise FitError(
            f"fit_sites: {len(spectra)} spectra, {len(sites)} sites, {len(rates)} spinning rates; "
            "at least one spectrum and site, and one rate per spectrum"
        )
    if len({s.name for s in sites}) != len(sites) or not all(s.name.isidentifier() for s in sites):
        raise FitError("fit_sites: names of sites must be identifiers, each once")
    shares = [s.share for s in sites]
    if any(s is not None for s in shares) and any(s is None for s in shares):
        raise FitError("fit_sites: give every site a share, or none")
    for site in sites:
        held_still = any(not isinstance(r, Param) and r <= 0 for r in rates)
        if site.satellites and ("quadrupolar" not in site.kind or held_still):
            raise FitError(
                f"site {site.name!r}: satellites are for quadrupolar sites of a spinning sample; "
                "give spinning_Hz, or leave satellites out"
            )
    ranges = _ranges(between, len(spectra))
    parts = [
        part_of(ds, nucleus, ranges[at], baseline, density, cq_limit_MHz, at)
        for at, ds in enumerate(spectra)
    ]
    params = _parameters(sites, parts, rates, reference_free)
    for name, expression in (ties or {}).items():
        flat = name.replace(".", "_")
        if flat not in params:
            raise FitError(f"fit_sites: no parameter {name!r}: {nearest(flat, list(params))}")
        params[flat].set(expr=expression.replace(".", "_"))

    free = [name for name, p in params.items() if p.vary]

    def values_at(x: Array) -> dict[str, float]:
        for name, value in zip(free, x, strict=True):
            params[name].value = float(value)
        params.update_constraints()
        return {name: float(p.value) for name, p in params.items()}

    def residual_at(x: Array) -> Array:
        values = values_at(x)
        rows = []
        for at, part in enumerate(parts):
            columns = columns_of(part, sites, basis_of(part, sites, values, at))
            rows.append((solve(part, columns)[1] * part.weight).ravel())
        return np.concatenate(rows)

    steps = np.array([step_of(name, params[name], parts) for name in free])
    if free:

        def residual(trial: lmfit.Parameters) -> Array:
            return residual_at(np.array([trial[name].value for name in free]))

        def jacobian(trial: lmfit.Parameters) -> Array:
            x = np.array([trial[name].value for name in free])
            return derivative(residual_at, x, steps, params, free)

        outcome = lmfit.minimize(
            residual, params.copy(), method="least_squares", jac=jacobian, x_scale="jac",
            ftol=1e-7, xtol=1e-7, max_nfev=60,
        )  # fmt: skip
        best = np.array([outcome.params[name].value for name in free])
        told = (int(outcome.nfev), bool(outcome.success), str(outcome.message))
    else:
        best, told = np.zeros(0), (1, True, "nothing varies")
    return _report(parts, sites, params, free, best, steps, values_at, told)


def _ranges(
    between: tuple[float, float] | Sequence[tuple[float, float]] | None, spectra: int
) -> list[tuple[float, float] | None]:
    if between is None:
        return [None] * spectra
    rows = np.asarray(between, dtype=float)
    if rows.shape == (2,):
        rows = np.tile(rows, (spectra, 1))
    if rows.shape != (spectra, 2):
        raise FitError(f"fit_sites: between holds {len(rows)} ranges for {spectra} spectra")
    return [(float(low), float(high)) for low, high in rows]


def _parameters(
    sites: Sequence[Site], parts: Sequence[Part], rates: Sequence[float | Param], free: bool
) -> Any:
    import lmfit

    params = lmfit.Parameters()

    def add(name: str, kind: str, p: Param) -> None:
        low, high = _LIMITS.get(kind, (None, None))
        low = p.min if p.min is not None else low
        high = p.max if p.max is not None else high
        value = p.value
        if p.vary and kind in ("eta", "eta_q"):
            value = min(max(value, 0.02), 0.98)
        params.add(
            name,
            value=value,
            vary=p.vary,
            min=-np.inf if low is None else low,
            max=np.inf if high is None else high,
        )

    for site in sites:
        allowed = (*PARAMS[site.kind], "lorentz", "gauss")
        for key in site.params:
            if key not in allowed:
                raise FitError(
                    f"site {site.name!r}: {site.kind} has no parameter {key!r}: "
                    + nearest(key, allowed)
                )
        for key in PARAMS[site.kind]:
            if key not in site.params:
                raise FitError(f"site {site.name!r}: {site.kind} needs {key!r}")
            add(f"{site.name}_{key}", key, site.params[key])
        for key in ("lorentz", "gauss"):
            p = site.params.get(key, Param(value=0.0, vary=False))
            several = len(parts) > 1 and site.own_width
            for at in range(len(parts) if several else 1):
                add(f"{site.name}_{key}" + (f"_{at + 1}" if several else ""), key, p)
    for at, rate in enumerate(rates):
        p = rate if isinstance(rate, Param) else Param(value=float(rate), vary=False)
        add(f"spinning_{at + 1}", "spinning", p)
        params.add(f"reference_{at + 1}", value=0.0, vary=bool(free and at), min=-20, max=20)
    return params


def _report(
    parts: Sequence[Part],
    sites: Sequence[Site],
    params: Any,
    free: Sequence[str],
    best: Array,
    steps: Array,
    values_at: Callable[[Array], dict[str, float]],
    told: tuple[int, bool, str],
) -> SiteFit:
    """Compute errors of tensors and areas from the Jacobian of the whole model at the minimum.

    With weighted derivatives ``J`` of the model and linear columns ``B``, the tensors' covariance
    is ``(sum_rows J^T (1 - B B^+) J)^-1`` and an area's is ``(B^T B)^-1`` plus what the tensors'
    uncertainty adds through ``B^+ J``.
    """
    values = values_at(best)
    solved = [
        columns_of(part, sites, basis_of(part, sites, values, at)) for at, part in enumerate(parts)
    ]
    normal = np.zeros((len(free), len(free)))
    chi2, count, slopes = 0.0, 0, []
    for at, (part, columns) in enumerate(zip(parts, solved, strict=True)):
        coefficient, rest = solve(part, columns)
        chi2 += float(np.sum((rest * part.weight) ** 2))
        used = part.weight[0] > 0
        count += part.y.shape[0] * int(used.sum()) - coefficient.size

        def model(x: Array, part: Part = part, at: int = at, a: Array = coefficient) -> Array:
            return a @ columns_of(part, sites, basis_of(part, sites, values_at(x), at))

        jac = derivative(model, best, steps, params, free) if free else np.zeros((*part.y.shape, 0))
        pseudo: Array = np.linalg.pinv(columns.T).astype(float)
        slope = -np.einsum("ck,rkf->rcf", pseudo, jac)
        across = jac + np.einsum("ck,rcf->rkf", columns, slope)
        scaled = across * part.weight[..., None]
        normal += np.einsum("rkf,rkg->fg", scaled, scaled)
        slopes.append((coefficient, pseudo, slope))
    values = values_at(best)
    degrees = max(1, count - len(free))
    redchi = chi2 / degrees
    weighted = all("uncertainty" in part.ds for part in parts)
    scale = 1.0 if weighted else redchi
    covar: Array = np.zeros((0, 0))
    if free:
        covar = np.linalg.pinv(normal).astype(float) * scale
    table = _table(params, free, best, steps, values_at, covar)
    table = stamp(table, *(part.ds for part in parts))
    table.attrs.update(
        convention="sites-1", technique="nmr",
        redchi=redchi, nfev=told[0], success=int(told[1]), message=told[2],
        errors="from uncertainty" if weighted else "scaled with the reduced chi-square",
    )  # fmt: skip
    areas, curves = [], []
    for at, part in enumerate(parts):
        found = _areas(part, sites, values, at, slopes[at], covar, scale)
        areas.append(found)
        curves.append(_curves(part, sites, values, at, slopes[at][0]))
    for ds in (*areas, *curves):
        ds.attrs["convention"] = "sites-1"
    return SiteFit(table, tuple(areas), tuple(curves))


def _table(
    params: Any,
    free: Sequence[str],
    best: Array,
    steps: Array,
    values_at: Callable[[Array], dict[str, float]],
    covar: Array,
) -> xr.Dataset:
    names = list(params)
    at_best = values_at(best)
    value = np.array([at_best[n] for n in names])
    stderr = np.full(len(names), np.nan)
    if free:

        def every(x: Array) -> Array:
            found = values_at(x)
            return np.array([found[n] for n in names])

        chain = derivative(every, best, steps, params, free)
        variance = np.einsum("nf,fg,ng->n", chain, covar, chain)
        moved = np.any(chain != 0.0, axis=1)
        stderr = np.where(moved, np.sqrt(np.maximum(variance, 0.0)), np.nan)
    kinds = [next((k for k in sorted(UNITS, key=len, reverse=True) if f"_{k}" in f"_{n}"), "shift")
             for n in names]  # fmt: skip
    return xr.Dataset(
        {
            "value": ("param", value, {"units": "as in units"}),
            "stderr": ("param", stderr, {"units": "as in units"}),
            "units": ("param", np.array([UNITS[k] for k in kinds])),
            "free": ("param", np.array([n in free for n in names])),
            "flag": (
                "param",
                _flags(params, names, free, stderr, covar),
                {"flag_values": np.arange(len(FLAGS)), "flag_meanings": " ".join(FLAGS)},
            ),
        },
        coords={"param": [_dotted(n) for n in names]},
    )


def _flags(
    params: Any, names: Sequence[str], free: Sequence[str], stderr: Array, covar: Array
) -> npt.NDArray[np.int8]:
    """Say of each parameter how far its value is to be trusted, as fits of lines do."""
    error = np.sqrt(np.maximum(np.diagonal(covar), 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        together = np.abs(covar / np.outer(error, error))
    flags = np.full(len(names), OK, dtype=np.int8)
    for k, name in enumerate(names):
        p = params[name]
        if name not in free:
            flags[k] = TIED if p.expr else FIXED
            continue
        at = list(free).index(name)
        reach = max(AT_BOUND * np.nan_to_num(stderr[k]), 1e-9 * max(abs(p.value), 1.0))
        others = np.delete(together[at], at)
        if p.value - p.min <= reach:
            flags[k] = AT_MIN
        elif p.max - p.value <= reach:
            flags[k] = AT_MAX
        elif not np.isfinite(stderr[k]) or stderr[k] == 0.0:
            flags[k] = UNDETERMINED
        elif others.size and np.nanmax(others, initial=0.0) > CORRELATED:
            flags[k] = INDISTINCT
    return flags


def _dotted(name: str) -> str:
    """``A_zeta`` -> ``A.zeta``; ``A_gauss_1`` -> ``A.gauss_1``; ``spinning_1`` stays."""
    for key in sorted(UNITS, key=len, reverse=True):
        head, found, tail = name.rpartition(f"_{key}")
        if found and (not tail or tail[1:].isdecimal()) and head:
            return f"{head}.{key}{tail}"
    return name


def _areas(
    part: Part,
    sites: Sequence[Site],
    values: Mapping[str, float],
    at: int,
    solved: tuple[Array, Array, Array],
    covar: Array,
    scale: float,
) -> xr.Dataset:
    coefficient, pseudo, slope = solved
    sigma2 = scale / part.weight.max(axis=1) ** 2
    noise = np.sum(pseudo**2, axis=1)[None, :] * sigma2[:, None]
    through = np.einsum("rcf,fg,rcg->rc", slope, covar, slope) if covar.size else 0.0
    stderr = np.sqrt(noise + through)
    if sites[0].share is not None:
        shares = np.array([float(s.share or 0.0) for s in sites])
        shares = shares / shares.sum()
        area, error = coefficient[:, :1] * shares, stderr[:, :1] * shares
    else:
        area, error = coefficient[:, : len(sites)], stderr[:, : len(sites)]
    outer = tuple(str(d) for d in part.ds["intensity"].dims[:-1])
    shape = (*part.ds["intensity"].shape[:-1], len(sites))
    return xr.Dataset(
        {
            "area": ((*outer, "site"), area.reshape(shape), {"units": "intensity ppm"}),
            "stderr": ((*outer, "site"), error.reshape(shape), {"units": "intensity ppm"}),
        },
        coords={
            **{c: part.ds[c] for c in part.ds.coords if set(part.ds[c].dims) <= set(outer)},
            "site": [s.name for s in sites],
        },
    )


def _curves(
    part: Part,
    sites: Sequence[Site],
    values: Mapping[str, float],
    at: int,
    coefficient: Array,
) -> xr.Dataset:
    basis = basis_of(part, sites, values, at)
    columns = columns_of(part, sites, basis)
    dims = tuple(str(d) for d in part.ds["intensity"].dims)
    shape = part.ds["intensity"].shape
    if sites[0].share is not None:
        shares = np.array([float(s.share or 0.0) for s in sites])
        each = coefficient[:, :1] * (shares / shares.sum())
    else:
        each = coefficient[:, : len(sites)]
    single = np.einsum("rs,sk->srk", each, basis[: len(sites)]).reshape(len(sites), *shape)
    unit = {"units": part.ds["intensity"].attrs["units"]}
    return xr.Dataset(
        {
            "data": (dims, part.y.reshape(shape), unit),
            "model": (dims, (coefficient @ columns).reshape(shape), dict(unit)),
            "site_curve": (("site", *dims), single, dict(unit)),
        },
        coords={**part.ds["intensity"].coords, "site": [s.name for s in sites]},
    )

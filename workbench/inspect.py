"""The verb ``inspect``: the live lmfit ModelResult of any one spectrum of a fit."""

from __future__ import annotations

import ast
import inspect as signatures
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from spectra import convention
from spectra.component import Component, Components
from spectra.convention import outer_dims, where

from .engine.plan import Plan, build, evaluate_primitive, model
from .engine.problem import poisson_weight
from .errors import FitError
from .fit import block_of
from .result import components_of

Array = npt.NDArray[np.float64]


def inspect(
    ds: xr.Dataset, fit: xr.Dataset, *, sel: Mapping[str, float] | None = None, **place: float
) -> Any:
    """Refit one spectrum with lmfit, from where its fit ended, and return lmfit's own result.

    Parameters
    ----------
    ds : xr.Dataset
        The Spectrum that was fitted.
    fit : xr.Dataset
        Its FitResult.
    sel : mapping, optional
        Outer dim to coordinate value, nearest taken; needed where there is more than one spectrum.
    **place
        The same by keyword: ``inspect(ds, fit, time=3600)``.

    Returns
    -------
    lmfit.model.ModelResult
        With ``fit_report``, ``conf_interval``, ``eval_components``, ``plot``. Parameters are named
        ``<component>_<parameter>``; parameters shared between spectra are held.

    Raises
    ------
    FitError
        If the place is not one spectrum of the fit.
    """
    import lmfit

    convention.check(ds)
    components = components_of(fit)
    data, found = _one(ds, fit, {**(sel or {}), **place})
    plan = build(components)
    statistic = str(fit.attrs["statistic"])
    block = block_of(data, plan, statistic)
    values = found["value"].values
    if not np.all(np.isfinite(values)):
        values = np.array([p.value for p in components.params.values()])
    weight = block.weight[0]
    if block.poisson:
        static = 0.0 if block.background is None else block.background[0]
        curve = model(plan, block.x, values[plan.free][None])[0]
        weight = poisson_weight(curve + static, weight)
    seen = weight > 0.0
    if not seen.any():
        raise FitError(f"{where(ds)}: this spectrum has no valid points; choose another")
    x = block.x[seen]
    static_curve = None if block.background is None else block.background[0][seen]
    names = _names(components)
    whole = _model(plan, components, names, x, static_curve)
    params = _parameters(lmfit.Parameters(), components, names, values, _held(fit))
    return whole.fit(block.y[0][seen], params, x=x, weights=weight[seen], scale_covar=block.scale)


def _one(
    ds: xr.Dataset, fit: xr.Dataset, place: Mapping[str, float]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Select one spectrum of data and fit."""
    outer = outer_dims(ds)
    for dim in place:
        if dim not in outer:
            raise FitError(
                f"{where(ds)}: no dimension {dim!r}; allowed: {', '.join(outer) or 'none'}"
            )
    for dim in outer:
        if dim in place:
            ds = ds.sel({dim: place[dim]}, method="nearest")
            fit = fit.sel({dim: place[dim]}, method="nearest")
        elif ds.sizes[dim] == 1:
            ds, fit = ds.isel({dim: 0}), fit.isel({dim: 0})
        else:
            raise FitError(
                f"{where(ds)}: {ds.sizes[dim]} spectra along {dim!r}; say which, "
                f"for example {dim}={float(ds[dim].values[0]):g}"
            )
    return ds, fit


def _names(components: Components) -> dict[str, str]:
    """Map flat names to lmfit's: ``Li2S.center`` -> ``Li2S_center``."""
    flat = list(components.params)
    plain = {name: name.replace(".", "_") for name in flat}
    if len(set(plain.values())) == len(flat):
        return plain
    return {name: name.replace(".", "__") for name in flat}


def _held(fit: xr.Dataset) -> set[str]:
    return set(json.loads(fit.attrs.get("shared", "{}")))


def _model(
    plan: Plan, components: Components, names: Mapping[str, str], x: Array, static: Array | None
) -> Any:
    """Make a sum of lmfit Models, one per component, named as the components."""
    import lmfit

    total = None
    for k, component in enumerate(components):
        prefix = names[f"{component.name}.{next(iter(component.params))}"].removesuffix(
            next(iter(component.params))
        )
        part = lmfit.Model(_function(plan, k, component), independent_vars=["x"], prefix=prefix)
        total = part if total is None else total + part
    if static is not None:

        def static_background(x: Array, at: Array = x, curve: Array = static) -> Array:
            return np.interp(x, at, curve)

        total = total + lmfit.Model(static_background, independent_vars=["x", "at", "curve"])
    return total


def _function(plan: Plan, k: int, component: Component) -> Any:
    """Return the component's curve as a function of x and its own parameters by name."""
    keys = list(component.params)
    first = plan.index[f"{component.name}.{keys[0]}"]
    terms = [p for p in plan.primitives if p.component == k]

    def curve(x: Array, **given: float) -> Array:
        full = np.zeros((1, len(plan.names)))
        full[0, first : first + len(keys)] = [given[key] for key in keys]
        out = np.zeros(np.shape(x))
        with np.errstate(all="ignore"):
            for term in terms:
                args = plan.arguments(term, full)
                out = out + evaluate_primitive(term, np.asarray(x, dtype=float), args)[0][0]
        return out

    kind = signatures.Parameter.POSITIONAL_OR_KEYWORD
    curve.__signature__ = signatures.Signature(  # type: ignore[attr-defined]
        [signatures.Parameter(name, kind) for name in ("x", *keys)]
    )
    curve.__name__ = component.shape
    return curve


class _Rename(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        owner = node.value
        name = f"{owner.id}.{node.attr}" if isinstance(owner, ast.Name) else node.attr
        return ast.Name(id=self.names[name], ctx=ast.Load())


def _parameters(
    params: Any,
    components: Components,
    names: Mapping[str, str],
    values: Array,
    held: set[str],
) -> Any:
    """Fill lmfit Parameters: plain ones first, then the tied ones by their expressions."""
    flat = components.params
    for (name, param), value in zip(flat.items(), values, strict=True):
        if param.expr is None:
            vary = param.free and param.lower < param.upper and name not in held
            params.add(names[name], float(value), vary=vary, min=param.lower, max=param.upper)
    waiting = {name: param.expr for name, param in flat.items() if param.expr is not None}
    for name in waiting:
        params.add(names[name], 0.0, vary=False)
    for name, expr in waiting.items():
        tree = _Rename(names).visit(ast.parse(str(expr), mode="eval"))
        params[names[name]].expr = ast.unparse(ast.fix_missing_locations(tree))
    return params

"""From fitted parameters to amounts of species, with propagated uncertainty."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

import references
from spectra import techniques
from spectra.convention import where
from spectra.techniques.base import Quantification

from .blends import blended_pairs, named
from .errors import OrderError
from .provenance import stamp
from .result import components_of
from .steps import record, require

CONVENTION = "amount-1"
FLAGS = ("ok", "below_detection_limit", "indistinct", "fit_flagged", "no_value", "below_zero")
OK, BELOW_LIMIT, INDISTINCT, FIT_FLAGGED, NO_VALUE, BELOW_ZERO = range(6)
_BELOW = 5.0
"""Standard errors below zero that noise does not reach in the largest maps."""

Array = npt.NDArray[np.float64]


def quantify(fit: xr.Dataset, *, library: references.Library | None = None) -> xr.Dataset:
    """Turn a fit into amounts of species.

    The technique says which weighted sum of fitted parameters is the amount of a species
    (areas over sensitivity factors, atoms counted ...); here the fit's covariance is propagated
    through that sum, and through the division by the total where amounts are fractions:
    ``cov(f) = J cov(a) J^T`` with ``J_ij = (delta_ij - f_i) / sum(a)``.

    Parameters
    ----------
    fit : xr.Dataset
        A FitResult with covariance.
    library : references.Library, optional
        Another library than the default one.

    Returns
    -------
    xr.Dataset
        Amounts: ``amount``, ``stderr``, ``limit`` (detection limit) and ``flag`` on
        ``(*outer, species)`` and ``covar`` on ``(*outer, species, species_2)``, in the units of
        ``amount.attrs["units"]``.

    Raises
    ------
    OrderError
        If it is not a fit, its technique has no quantification, no component has a species, or
        the fit kept no covariance.

    Notes
    -----
    ``limit`` is the smallest amount that would be found with 95 % probability at 5 % false alarms,
    ``3.29 sigma`` with the standard error at hand for sigma (L. A. Currie, Anal. Chem. 40 (1968)
    586, eq. 7b for a known background). Flag ``below_zero``: an amount five standard errors below
    zero says that the model is wrong; shares of one spectrum are then flagged together.
    """
    require(fit, "fit-1", "workbench.fit(ds, components)")
    handler = techniques.get(fit.attrs["technique"])
    components = components_of(fit)
    if handler.quantify is None:
        raise OrderError(f"{where(fit)}: {handler.name} has no quantification")
    if not components.species:
        raise OrderError(
            f"{where(fit)}: no component has a species; set Component(species=...) or use propose"
        )
    if "covar" not in fit:
        raise OrderError(f"{where(fit)}: no covariance; call fit(..., covariance=True)")
    meaning = handler.quantify(components, fit.attrs, library or references.load())
    amount, covar = _weighted(fit, meaning)
    covar = _widened(amount, covar, meaning)
    pairs = blended_pairs(amount, covar)
    if meaning.kind == "fraction":
        amount, covar = _normalised(amount, covar)
    return stamp(_amounts(fit, meaning, amount, covar, pairs), fit)


def _weighted(fit: xr.Dataset, meaning: Quantification) -> tuple[Array, Array]:
    names = [str(p) for p in fit["param"].values]
    weights = np.zeros((len(meaning.quantities), len(names)))
    for row, quantity in enumerate(meaning.quantities):
        for name, weight in quantity.weights.items():
            weights[row, names.index(name)] = weight
    used = np.flatnonzero(np.any(weights != 0.0, axis=0))
    weights = weights[:, used]
    value = fit["value"].values[..., used]
    covar = fit["covar"].values[..., used[:, None], used].astype(float)
    return value @ weights.T, weights @ covar @ weights.T


def _widened(amount: Array, covar: Array, meaning: Quantification) -> Array:
    """Add what the fit cannot know to the covariance: see `Quantification.response`."""
    names = [q.species for q in meaning.quantities]
    for source, answers in meaning.response.items():
        length = max(len(row) for row in answers.values())
        matrix = np.array([answers.get(name, (0.0,) * length) for name in names])
        refused = np.isnan(matrix).any(axis=1)
        matrix[refused] = 0.0
        own = amount[..., names.index(source), None, None]
        covar = covar + own**2 * (matrix @ matrix.T)
        covar[..., refused, refused] = np.nan
    return covar


def _normalised(amount: Array, covar: Array) -> tuple[Array, Array]:
    total = amount.sum(axis=-1, keepdims=True)
    total = np.where(np.abs(total) > 0.0, total, np.nan)
    share = amount / total
    jacobian = (np.eye(amount.shape[-1]) - share[..., :, None]) / total[..., None]
    return share, jacobian @ covar @ np.swapaxes(jacobian, -1, -2)


def _amounts(
    fit: xr.Dataset,
    meaning: Quantification,
    amount: Array,
    covar: Array,
    pairs: npt.NDArray[np.bool_],
) -> xr.Dataset:
    outer = tuple(str(d) for d in fit["value"].dims[:-1])
    units = "1" if meaning.kind == "fraction" else meaning.units
    variance = np.diagonal(covar, axis1=-2, axis2=-1)
    stderr = np.sqrt(np.where(variance >= 0.0, variance, np.nan))
    limit = 3.29 * stderr
    bad = ~np.isfinite(amount) | ~np.isfinite(stderr)
    indistinct = _flagged(fit, meaning, "indistinct") | pairs.any(axis=-1)
    below = amount < -_BELOW * stderr
    if meaning.kind == "fraction":  # what is wrong with one share is wrong with all
        below = np.broadcast_to(below.any(axis=-1, keepdims=True), below.shape)
    flag = np.select(
        [bad, indistinct, _fit_flagged(fit)[..., None], below, amount < limit],
        [NO_VALUE, INDISTINCT, FIT_FLAGGED, BELOW_ZERO, BELOW_LIMIT],
        OK,
    ).astype(np.uint8)
    dims = (*outer, "species")
    keep = [c for c in fit.coords if set(fit[c].dims) <= set(outer)]
    species = np.array([q.species for q in meaning.quantities], dtype=str)
    result = xr.Dataset(
        {
            "amount": (dims, np.where(bad, np.nan, amount), {"units": units}),
            "stderr": (dims, np.where(bad, np.nan, stderr), {"units": units}),
            "limit": (dims, np.where(bad, np.nan, limit), {"units": units}),
            "flag": (
                dims,
                flag,
                {
                    "flag_values": np.arange(len(FLAGS), dtype=np.uint8),
                    "flag_meanings": " ".join(FLAGS),
                },
            ),
            "covar": ((*dims, "species_2"), covar, {"units": f"({units})^2"}),
        },
        coords={**{c: fit[c] for c in keep}, "species": species, "species_2": species},
    )
    misfit = _misfit(fit)
    result["misfit"] = (outer, misfit.astype(np.uint8), {
        "long_name": "1 where the model leaves more than counting noise", "units": "1",
    })  # fmt: skip
    kept = ("technique", "region", "nucleus", "history", "components", "recipe", "source", "title",
            "start", "started")  # fmt: skip
    result.attrs = {k: fit.attrs[k] for k in kept if k in fit.attrs}
    result.attrs.update(convention=CONVENTION, kind=meaning.kind, note=meaning.note)
    if misfit.any():
        result.attrs["note"] += (
            f" In {int(misfit.sum())} of {misfit.size} spectra the model leaves more than counting "
            "noise (variable misfit): it lacks something, and the errors there are too small."
        )
    found = named(pairs, [str(s) for s in species])
    if found:
        result.attrs["blends"] = " ".join(found)
        result.attrs["note"] += (
            " In some spectra only the sum is known of "
            + ", ".join(found).replace("+", " + ")
            + " (flag indistinct; workbench.blends.groups gives the sums)."
        )
    return record(result, "quantify", {})


def _misfit(fit: xr.Dataset) -> npt.NDArray[np.bool_]:
    """Whether reduced chi-square of counts is five standard deviations above one."""
    if fit.attrs.get("weights") != "counts":
        return np.zeros(fit["redchi"].shape, bool)
    spread = np.sqrt(2.0 / np.maximum(fit["ndata"].values, 1))
    return np.asarray(fit["redchi"].values > 1.0 + 5.0 * spread)


def _flagged(fit: xr.Dataset, meaning: Quantification, flag: str) -> npt.NDArray[np.bool_]:
    """Whether any parameter behind each species carries a flag; shape ``(*outer, species)``."""
    meanings = str(fit["flag"].attrs["flag_meanings"]).split()
    code = int(np.asarray(fit["flag"].attrs["flag_values"])[meanings.index(flag)])
    names = [str(p) for p in fit["param"].values]
    hit = fit["flag"].values == code
    per_species = [
        np.any(hit[..., [names.index(n) for n in q.weights]], axis=-1) for q in meaning.quantities
    ]
    return np.stack(per_species, axis=-1)


def _fit_flagged(fit: xr.Dataset) -> npt.NDArray[np.bool_]:
    """Whether a spectrum's fit did not end well (a parameter at a bound alone is not that)."""
    meanings = str(fit["status"].attrs["flag_meanings"]).split()
    values = np.asarray(fit["status"].attrs["flag_values"])
    fine = [int(v) for v, m in zip(values, meanings, strict=True) if m in ("ok", "at_bound")]
    return ~np.isin(fit["status"].values, fine)

"""Species whose sum is known and whose shares are not: found from the covariance of amounts."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import xarray as xr

from .steps import require

Array = npt.NDArray[np.float64]
_CORRELATION = -0.9
_SHARE = 0.2
"""A share of the sum that is not known to a fifth of it."""
_FOUND = 3.29


def blended_pairs(amount: Array, covar: Array) -> npt.NDArray[np.bool_]:
    """Return which pairs of species are one signal in each spectrum.

    A pair is when the amounts are correlated below -0.9, the two together are there (3.29 standard
    errors along the best known combination), and the error of either exceeds a fifth of the sum.

    Parameters
    ----------
    amount : ndarray, shape (..., n)
        Before any division by the total, which correlates on its own account.
    covar : ndarray, shape (..., n, n)

    Returns
    -------
    ndarray of bool, shape (..., n, n)
        Symmetric.
    """
    n = amount.shape[-1]
    out = np.zeros((*amount.shape, n), bool)
    for i, j in combinations(range(n), 2):
        vi, vj, both = covar[..., i, i], covar[..., j, j], covar[..., i, j]
        with np.errstate(invalid="ignore", divide="ignore"):
            total = amount[..., i] + amount[..., j]
            opposed = both < _CORRELATION * np.sqrt(vi * vj)
            unknown = np.sqrt(np.maximum(vi, vj)) > _SHARE * total
            determinant = np.maximum(vi * vj - both**2, 1e-30 * vi * vj)
            ai, aj = amount[..., i], amount[..., j]
            there = (vj * ai**2 - 2.0 * both * ai * aj + vi * aj**2) / determinant > _FOUND**2
            out[..., i, j] = out[..., j, i] = opposed & unknown & there & (total > 0.0)
    return out


def groups(amounts: xr.Dataset) -> xr.Dataset:
    """Return the sums of species that are one signal somewhere in the data.

    Parameters
    ----------
    amounts : xr.Dataset
        Amounts; ``attrs["blends"]`` of `quantify` names the groups.

    Returns
    -------
    xr.Dataset
        ``amount``, ``stderr``, ``limit`` on ``(*outer, group)`` with names such as ``Li2S+Li3P``,
        in every spectrum (where the members are distinct too), in the units of the amounts.
        ``combination``, ``combination_stderr``: the sum with the weights ``weight(group,
        species)`` that the data know best (first member 1): equal signals, not equal amounts.
        Empty where nothing blends.
    """
    require(amounts, "amount-1", "workbench.quantify(fit)")
    names = [str(s) for s in amounts["species"].values]
    told = [g.split("+") for g in str(amounts.attrs.get("blends", "")).split()]
    outer = tuple(str(d) for d in amounts["amount"].dims[:-1])
    value, covar = amounts["amount"].values, amounts["covar"].values
    shape = value.shape[:-1]
    total, error = np.zeros((*shape, len(told))), np.zeros((*shape, len(told)))
    for g, members in enumerate(told):
        at = [names.index(m) for m in members]
        total[..., g] = value[..., at].sum(axis=-1)
        error[..., g] = np.sqrt(
            np.maximum(covar[..., np.array(at)[:, None], np.array(at)].sum(axis=(-1, -2)), 0.0)
        )
    code = str(amounts["flag"].attrs["flag_meanings"]).split().index("indistinct")
    mixed = amounts["flag"].values == code
    members_of = [[names.index(m) for m in g] for g in told]
    weight, best, best_error = _best(value, covar, mixed, members_of)
    units = str(amounts["amount"].attrs["units"])
    dims = (*outer, "group")
    return xr.Dataset(
        {
            "amount": (dims, total, {"units": units}),
            "stderr": (dims, error, {"units": units}),
            "limit": (dims, _FOUND * error, {"units": units}),
            "combination": (dims, best, {"units": units}),
            "combination_stderr": (dims, best_error, {"units": units}),
            "weight": (("group", "species"), weight, {"units": "1"}),
        },
        coords={
            **{c: amounts[c] for c in amounts.coords if set(amounts[c].dims) <= set(outer)},
            "species": names,
            "group": np.array(["+".join(g) for g in told], dtype=str),
        },
        attrs={"note": "sums of species that cannot be told apart in some spectra"},
    )


def _best(
    value: Array, covar: Array, mixed: npt.NDArray[np.bool_], members: list[list[int]]
) -> tuple[Array, Array, Array]:
    """Weights of the combination of least variance, the first member's one, and its values."""
    n = value.shape[-1]
    weight = np.zeros((len(members), n))
    for g, at in enumerate(members):
        own = covar[mixed[..., at].all(axis=-1)][:, np.array(at)[:, None], np.array(at)]
        own = own[np.isfinite(own).all(axis=(1, 2))]
        middle = np.median(own, axis=0) if len(own) else np.eye(len(at))
        weight[g, at] = [1.0, *(-np.linalg.lstsq(middle[1:, 1:], middle[1:, 0], rcond=None)[0])]
    best = value @ weight.T
    variance = np.einsum("gi,...ij,gj->...g", weight, covar, weight)
    return weight, best, np.sqrt(np.maximum(variance, 0.0))


def named(pairs: npt.NDArray[np.bool_], species: list[str]) -> list[str]:
    """Return the groups of a whole data set, members joined with ``+``: pairs that meet are one."""
    linked = np.asarray(pairs.reshape(-1, len(species), len(species)).any(axis=0))
    left = set(range(len(species)))
    out = []
    while left:
        group: set[int] = set()
        front: set[int] = {min(left)}
        while front:
            group |= front
            front = {int(j) for i in front for j in np.flatnonzero(linked[i])} - group
        left -= group
        if len(group) > 1:
            out.append("+".join(species[i] for i in sorted(group)))
    return out

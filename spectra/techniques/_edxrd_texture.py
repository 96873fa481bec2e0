"""Texture and few grains: intensities against a random powder's, and what amounts lose by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..component import Component, Components
from ..convention import where
from ..errors import CalibrationError, ModelError
from ._edxrd_cells import spectra_of
from ._edxrd_columns import columns
from ._edxrd_escape import escapes
from ._edxrd_model import Model, propose, require_axis
from ._edxrd_physics import (
    Detector,
    Incident,
    measured_factors,
    phase_lines,
    with_escape,
)
from ._edxrd_strains import linear, slopes
from .base import Settings

if TYPE_CHECKING:
    from references.model import StructureData

Array = npt.NDArray[np.float64]
_MOST = 200
_CLEAR = 20.0
"""Standard errors of a phase's amount from which its lines are looked at one by one."""


class TextureTest(Settings):
    """Line intensities of phases against those of a random powder."""

    species: tuple[str, ...] = Field(description="all phases of the model")
    fluorescence: tuple[str, ...] | None = Field(
        None, description="elements whose K lines are there too; none takes those in the attrs"
    )
    background: int = Field(8, ge=4, le=40, description="number of B-splines of the background")
    visible: float = Field(
        0.05,
        gt=0,
        description="scatter of the intensities (relative) from which a phase is called textured",
    )
    refuse: float = Field(
        0.5, gt=0, description="scatter from which no amount is given; below it errors are widened"
    )


def march_dollase(hkl: tuple[int, int, int], cell: StructureData, r: float) -> float:
    """Return the intensity of a line over that of a random powder, for a fibre texture along c.

    ``P = <(r^2 cos^2 a + sin^2 a / r)^(-3/2)>`` over the equivalent planes, a the angle between
    their normal and the fibre axis (W. A. Dollase, J. Appl. Cryst. 19 (1986) 267).

    Parameters
    ----------
    hkl : tuple of int
    cell : StructureData
        Cubic cells average over the three axes; others take c.
    r : float
        1 is random, below 1 planes normal to the axis are too strong.
    """
    a, b, c = cell.a, cell.b, cell.c
    alpha, beta, gamma = np.radians([cell.alpha, cell.beta, cell.gamma])
    metric = np.array(
        [
            [a * a, a * b * np.cos(gamma), a * c * np.cos(beta)],
            [a * b * np.cos(gamma), b * b, b * c * np.cos(alpha)],
            [a * c * np.cos(beta), b * c * np.cos(alpha), c * c],
        ]
    )
    h = np.array(hkl, float)
    one_over_d2 = float(h @ np.linalg.inv(metric) @ h)
    cubic = max(abs(a - b), abs(a - c)) < 1e-6 * a and abs(float(gamma) - np.pi / 2) < 1e-6
    index = h if cubic else h[2:]
    axis = np.array([a, b, c]) if cubic else np.array([c])
    # (hkl) . [001] = l; lengths 1/d and c
    cosine2 = (index / axis) ** 2 / one_over_d2
    return float(np.mean((r * r * cosine2 + (1.0 - cosine2) / r) ** -1.5))


def direction(hkl: tuple[int, int, int]) -> tuple[int, ...]:
    """Return a family of directions: 111 and 222 come from the same grains."""
    n = gcd(gcd(abs(hkl[0]), abs(hkl[1])), abs(hkl[2])) or 1
    return tuple(sorted(abs(v) // n for v in hkl))


def texture_test(ds: xr.Dataset, settings: TextureTest) -> xr.Dataset:
    """Measure the scatter of line intensities of every phase; amounts then carry it.

    In the spectra that show a phase clearly every line gets an area of its own (linear fit at the
    refined cells). Lines of one direction come from the same grains and count as one. The scatter
    of measured over expected intensity, less its counting errors (method of moments of R.
    DerSimonian, N. Laird, Control. Clin. Trials 7 (1986) 177, with the full covariance), goes to
    attrs ``texture`` with the response of all amounts in the tied fit to it: `quantify` widens
    the errors of this phase and of those that share its lines, or gives no amount if the scatter
    is above ``refuse``.

    A scatter that all spectra share is texture, or a structure with wrong intensities (then
    measure them with ``correct(ds, "intensities", ...)``); one that changes from spectrum to
    spectrum is the statistics of few grains. Both are told apart in the attribute.

    Raises
    ------
    CalibrationError, ModelError
        If the axis is not calibrated or no phase has lines.
    """
    import references

    require_axis(ds)
    library = references.load()
    names = [library[s].id for s in settings.species]
    told = Model(
        lattice="fixed", fluorescence=settings.fluorescence, background=settings.background
    )
    made = propose(ds, names, library, told)
    phases = [c for c in made if c.species and c.lines]
    if not phases:
        raise ModelError(f"{where(ds)}: none of {', '.join(names)} has lines in the range")
    detector = Detector.of(ds.attrs)
    x, y = spectra_of(ds)
    level = 1.0 / np.maximum(np.nan_to_num(np.nanmean(y, axis=0)), 0.5)
    area, error = linear(columns(made, x), y, level)
    order = {c.name: k for k, c in enumerate(made)}
    found = {}
    basis = np.vstack([columns(Components([_still(c) for c in made]), x),
                       slopes(phases, [1.0] * len(phases), x)])  # fmt: skip
    rows = [order[c.name] for c in phases]
    for c in phases:
        k = order[c.name]
        score = area[:, k] / error[:, k]
        chosen = np.argsort(-score)[:_MOST]
        chosen = chosen[score[chosen] > _CLEAR]
        if chosen.size:
            groups = _groups(c, c.params["center"].value, detector, ds)
            one = _scatter(groups, basis, k, rows, x, y[chosen].astype(float))
            if one is not None:
                found[str(c.species)] = _verdict(one, [str(p.species) for p in phases], settings)
    if not found:
        raise CalibrationError(
            f"{where(ds)}: no phase shows enough lines clear of noise to judge its intensities; "
            "sum spectra first"
        )
    out = ds.copy(deep=False)
    out.attrs["texture"] = json.dumps(found)
    return out


def _scatter(
    groups: list[tuple[Component, float]],
    basis: Array,
    k: int,
    rows: list[int],
    x: Array,
    y: Array,
) -> dict[str, Any] | None:
    """Scatter of one phase's lines in the spectra given, and what it does to all amounts."""
    if len(groups) < 3:
        return None
    lines = np.array([columns(Components([c]), x)[0] * share for c, share in groups])
    weight = 1.0 / np.maximum(y.mean(axis=0), 0.5)
    n = len(groups)
    whole = np.vstack([lines, np.delete(basis, k, axis=0)])
    inverse = _inverse(whole, weight)
    value = y @ (whole * weight).T @ inverse[:, :n]
    covar = inverse[:n, :n]
    # a direction that carries less than its own error in the mean spectrum tells nothing
    level = float(_inverse(basis, weight)[k] @ ((basis * weight) @ y.mean(axis=0)))
    told = np.diag(covar) < (0.5 * level) ** 2
    if told.sum() < 3 or level <= 0.0:
        return None
    covar, value = covar[np.ix_(told, told)], value[:, told]
    inner = np.linalg.inv(covar)
    ones = inner.sum(axis=0)
    mean = value @ ones / ones.sum()
    good = mean > 0.2 * level
    ratio = value[good] / mean[good, None]
    project = inner - np.outer(ones, ones) / ones.sum()
    bright = y[good].mean(axis=1) / float(y.mean())
    # E[r' P r] = (n - 1) s^2 + tau^2 tr(P), s^2 the variance over that of the mean spectrum
    s2 = bright / mean[good] ** 2
    share = (np.einsum("mi,ij,mj->m", ratio, project, ratio) - s2 * (told.sum() - 1)) / s2
    tau2 = float((share * s2).sum() / np.trace(project) / good.sum())
    noise = np.sqrt(2.0 * told.sum() * (s2**2).mean() / good.sum()) / np.trace(project)
    if tau2 < 3.0 * float(noise):
        tau2 = 0.0  # within what counting alone gives
    common = ratio.mean(axis=0)
    fixed = float(common @ project @ common) - float(s2.mean()) * (told.sum() - 1) / good.sum()
    scatter = float(np.sqrt(max(tau2, 0.0)))
    # how every phase's area in the tied fit answers to each direction, per area of this phase
    response = (_inverse(basis, weight) @ ((basis * weight) @ lines.T))[rows]
    return {
        "scatter": scatter,
        "common": float(np.sqrt(max(fixed / np.trace(project), 0.0))),
        "directions": int(told.sum()),
        "spectra": int(good.sum()),
        "response": response,
    }


def _inverse(basis: Array, weight: Array) -> Array:
    normal = (basis * weight) @ basis.T
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    return np.asarray(
        np.linalg.pinv(normal / np.outer(scale, scale), rcond=1e-10) / np.outer(scale, scale)
    )


def _groups(
    own: Component, center: float, detector: Detector, ds: xr.Dataset
) -> list[tuple[Component, float]]:
    """Lines of a phase by direction, with their escape lines, and their share of its area."""
    import references

    library = references.load()
    assert own.species is not None
    x = ds["photon_energy"].values
    table = phase_lines(
        own.species, library, float(ds.attrs["two_theta_deg"]), float(x[0]) * 0.9,
        float(x[-1]) * 1.1, Incident.of(ds.attrs), 1e-3, measured_factors(ds.attrs, own.species),
    )  # fmt: skip
    lost = with_escape(table.energy, table.strength, detector)[0].size > table.energy.size
    places = np.array([line.position * center for line in own.lines])
    weights = np.array([line.weight for line in own.lines])
    out: dict[tuple[int, ...], list[int]] = {}
    taken: set[int] = set()
    for i in np.argsort(-table.strength):
        near = np.flatnonzero(np.abs(places / table.energy[i] - 1.0) < 0.02)
        near = np.array([j for j in near if j not in taken], dtype=int)
        if not near.size:
            continue
        off = np.abs(places[near] / table.energy[i] - 1.0)
        low = weights[near] < 0.3 * weights.max() * table.strength[i] / table.strength.max()
        j = int(near[np.argmin(off + low)])
        members = [j]
        for gap, _ in escapes(places[j], detector.crystal) if lost else ():
            k = int(np.argmin(np.abs(places - (places[j] - gap))))
            if abs(places[k] - places[j] + gap) < 0.02 and k not in taken:
                members.append(k)
        taken.update(members)
        out.setdefault(direction(table.hkl[i]), []).extend(members)
    groups = []
    for key, members in out.items():
        share = float(weights[members].sum())
        picked = tuple(
            own.lines[k].model_copy(update={"weight": own.lines[k].weight / share}) for k in members
        )
        name = f"{own.name}_{'_'.join(map(str, key))}"
        groups.append((_still(own.model_copy(update={"lines": picked, "name": name})), share))
    return groups


def _still(c: Component) -> Component:
    params = {k: p.model_copy(update={"expr": None}) for k, p in c.params.items()}
    return c.model_copy(update={"params": params})


def _verdict(one: dict[str, Any], species: list[str], settings: TextureTest) -> dict[str, Any]:
    if one["scatter"] < settings.visible:
        kind = "powder"
    elif one["common"] > 0.7 * one["scatter"]:
        kind = "texture or wrong intensities"
    else:
        kind = "few grains"
    answer = one.pop("response") * one["scatter"]
    return {
        **{k: round(v, 5) for k, v in one.items()},
        "verdict": kind,
        "refused": one["scatter"] > settings.refuse,
        "response": {s: [round(v, 7) for v in row] for s, row in zip(species, answer, strict=True)},
    }


def widening(attrs: Any, weights: Mapping[str, float]) -> dict[str, dict[str, tuple[float, ...]]]:
    """Return how amounts answer to the scatter of each phase's intensities.

    Parameters
    ----------
    attrs : mapping
        Of the fit.
    weights : mapping of str to float
        Amount per area, by species.

    Returns
    -------
    dict
        For `Quantification.response`; NaN for a phase that is refused.
    """
    found = json.loads(str(attrs.get("texture", "{}")))
    out: dict[str, dict[str, tuple[float, ...]]] = {}
    for source in (s for s in found if s in weights):
        out[source] = {
            s: tuple(v * weights[s] / weights[source] for v in row)
            for s, row in found[source]["response"].items()
            if s in weights
        }
        if found[source]["refused"]:
            out[source][source] = (float("nan"),) * len(found[source]["response"][source])
    return out


def texture_note(attrs: Any) -> str:
    """Return one sentence on what the test found; empty if there was none."""
    if "texture" not in attrs:
        return ""
    found = json.loads(str(attrs["texture"]))
    parts = []
    for name, one in found.items():
        what = f"{name}: {one['verdict']} (scatter {100 * one['scatter']:.0f} %"
        added = float(np.linalg.norm(one["response"][name]))
        last = "; no amount)" if one["refused"] else f", {100 * added:.1f} % added to its error)"
        parts.append(what + last)
    return "Intensities against a random powder: " + "; ".join(parts) + "."

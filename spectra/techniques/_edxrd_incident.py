"""Incident spectrum times absorption and efficiency: one smooth positive function of a campaign.

``ln S(E)`` is a cubic spline in ln E, fitted to all spectra at once whose phases are known: the
amounts of the phases, a shift of each, fluorescence and background are free in every spectrum, S is
common. No formula for the source is needed, and a spectrum of several phases serves as well as a
standard alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..convention import outer_dims, where
from ..errors import CalibrationError
from ._edxrd_fluorescence import elements_of
from ._edxrd_lattice import library_energy
from ._edxrd_physics import (
    FLUORESCENCE,
    Detector,
    Incident,
    PhaseLines,
    measured_factors,
    phase_lines,
    with_escape,
)
from .base import Settings

if TYPE_CHECKING:
    from references import Library

Array = npt.NDArray[np.float64]
_FWHM = 2.3548200450309493
_NONSENSE = 0.8
_GROUPS = 24
"""Spectra of a large campaign are summed to at most so many: S is common to all."""


class IncidentSpectrum(Settings):
    """Incident spectrum times absorption and efficiency, as a smooth positive function."""

    species: str | tuple[str, ...] = Field(
        "", description="phases of these spectra: their lines give the function"
    )
    standard: Literal["Au", "CeO2", "LaB6", "Si", "Fe", "W"] | None = Field(
        None, description="certified powder in these spectra"
    )
    between: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="limits of outer dims (time, position ...) of the spectra to take",
    )
    energy: tuple[float, ...] = Field((), description="knots given instead, keV")
    value: tuple[float, ...] = Field((), description="values at the knots, per unit energy")
    splines: int = Field(7, ge=4, le=20, description="number of cubic B-splines of ln S in ln E")
    background: int = Field(12, ge=4, le=40, description="number of B-splines of the background")
    fluorescence: tuple[str, ...] | None = Field(
        None, description="elements whose K lines are there too; left out, as in the model"
    )
    scatter: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="scatter of line intensities (grains, structure) beyond counting; keeps the "
        "strongest lines from deciding alone",
    )


@dataclass
class _Phase:
    """Lines of a phase as curves: (lines, channels), each of unit strength at S = 1."""

    name: str
    lines: PhaseLines
    curves: Array
    slopes: Array  # derivative by the relative position of all lines


def incident(ds: xr.Dataset, settings: IncidentSpectrum) -> xr.Dataset:
    """Set attrs ``incident``: the function that all powder lines are multiplied with.

    Parameters
    ----------
    ds : xr.Dataset
        On calibrated ``photon_energy`` with a calibrated angle.
    settings : IncidentSpectrum

    Returns
    -------
    xr.Dataset
        attrs ``incident`` (knots), ``incident_stderr`` (JSON: standard errors of ln S at the knots)
        and ``incident_scatter`` (standard deviation of ln(measured / expected) of clear lines). To
        use it on other measurements: ``correct(other, "incident", **incident_of(ds))``.

    Raises
    ------
    CalibrationError
        If the axis is not calibrated, or the spectra hold too few lines.
    """
    out = ds.copy(deep=False)
    if settings.energy:
        if len(settings.energy) != len(settings.value) or len(settings.energy) < 2:
            raise CalibrationError("incident: give as many values as energies, two or more")
        if min(settings.value) <= 0.0 or np.any(np.diff(settings.energy) <= 0.0):
            raise CalibrationError("incident: values must be positive and energies ascend")
        out.attrs["incident"] = Incident(settings.energy, settings.value).text()
        return out
    names = (settings.species,) if isinstance(settings.species, str) else settings.species
    names = tuple(n for n in names if n)
    if not names and settings.standard is None:
        raise CalibrationError(
            "incident: name the species in the spectra, or the standard, or give energy and value"
        )
    import references

    from ._edxrd_model import require_axis

    angle = require_axis(ds)
    x, y = _spectra(ds, settings)
    detector = Detector.of(ds.attrs)
    phases = _phases(names, settings, x, angle, detector, references.load(), ds)
    if not phases:
        raise CalibrationError(f"{where(ds)}: {', '.join(names)}: no lines in this range")
    seen = elements_of(ds, x, detector, settings.fluorescence)
    rest = np.vstack([_background(x, settings.background), *_fluorescence(x, seen, detector)])
    energy, log, stderr, scatter = fitted(x, y, phases, rest, settings, where(ds))
    if scatter > _NONSENSE:
        raise CalibrationError(
            f"{where(ds)}: line intensities scatter by {scatter:.1f} in ln about any smooth "
            "function: phases are missing in species, or the powder is far from random; choose "
            "other spectra with between, or other phases"
        )
    knots = tuple(float(f"{v:.6g}") for v in energy)
    out.attrs["incident"] = Incident(
        knots, tuple(float(f"{v:.6g}") for v in np.exp(log - log.max()))
    ).text()
    out.attrs["incident_stderr"] = json.dumps([float(f"{v:.3g}") for v in stderr])
    out.attrs["incident_scatter"] = scatter
    return out


def incident_of(ds: xr.Dataset) -> dict[str, tuple[float, ...]]:
    """Return an incident spectrum found before as settings of ``correct(other, "incident")``.

    Raises
    ------
    CalibrationError
        If there is none.
    """
    found = Incident.of(ds.attrs)
    if not found.energy:
        raise CalibrationError(f"{where(ds)}: no incident spectrum; correct(ds, 'incident') first")
    return {"energy": tuple(found.energy), "value": tuple(found.value)}


def _spectra(ds: xr.Dataset, settings: IncidentSpectrum) -> tuple[Array, Array]:
    """Chosen spectra, summed to at most `_GROUPS`, and their energies."""
    part = ds
    for dim, (low, high) in settings.between.items():
        if dim not in outer_dims(ds):
            raise CalibrationError(f"{where(ds)}: no outer dimension {dim!r} to choose spectra by")
        part = part.isel({dim: (ds[dim].values >= low) & (ds[dim].values <= high)})
    x = np.asarray(part["photon_energy"].values, float)
    y = np.nan_to_num(part["intensity"].values.reshape(-1, x.size).astype(float))
    if y.size == 0:
        raise CalibrationError(f"{where(ds)}: no spectra within {settings.between}")
    if "valid" in part:
        valid = np.broadcast_to(part["valid"].transpose(..., "photon_energy").values
                                if "photon_energy" in part["valid"].dims
                                else part["valid"].values[..., None],
                                part["intensity"].shape).reshape(-1, x.size)  # fmt: skip
        rows = valid.any(axis=1)
        y, valid = y[rows], valid[rows]
        keep = valid.all(axis=0)
        x, y = x[keep], y[:, keep]
    if len(y) > _GROUPS:
        edges = np.linspace(0, len(y), _GROUPS + 1).astype(int)
        y = np.add.reduceat(y, edges[:-1], axis=0)
    return x, y


def _curve(x: Array, place: float, width: float) -> Array:
    """Gaussian of unit area per keV times the width of the channels."""
    sigma = width / _FWHM
    out = np.zeros_like(x)
    first, last = np.searchsorted(x, [place - 4.0 * width, place + 4.0 * width])
    u = (x[first:last] - place) / sigma
    out[first:last] = np.exp(-0.5 * u**2) / (sigma * np.sqrt(2.0 * np.pi))
    return out


def _line(x: Array, per: Array, place: float, detector: Detector, *, own: bool = False) -> Array:
    """Curve of a line with its escape lines, in counts per channel."""
    width = float(detector.fwhm(place, fluorescence=own))
    at, strength, _ = with_escape(np.array([place]), np.array([1.0]), detector)
    return np.asarray(
        sum(s * _curve(x, float(e), width) for e, s in zip(at, strength, strict=True)) * per
    )


def _phases(
    names: tuple[str, ...],
    settings: IncidentSpectrum,
    x: Array,
    angle: float,
    detector: Detector,
    library: Library,
    ds: xr.Dataset,
) -> list[_Phase]:
    from ._edxrd_model import Model, propose
    from ._edxrd_standards import standard_lines

    per = np.gradient(x)
    factors: dict[str, float] = {}
    if names:  # cells of the library may be off by more than a tenth of a width
        told = Model(lattice="fixed", fluorescence=settings.fluorescence)
        for c in propose(ds, names, library, told):
            if c.species is not None:
                energy = c.params["center"].value
                factors[c.species] = energy / library_energy(c.species, energy, ds.attrs, library)
    tables = {
        name: phase_lines(name, library, angle, x[0], x[-1], Incident(), 1e-4,
                          measured_factors(ds.attrs, name))
        for name in names
    }  # fmt: skip
    if settings.standard:
        tables[settings.standard] = standard_lines(settings.standard, angle, x[0], x[-1])
    made = []
    for name, table in tables.items():
        # strength falls as E^-2 and faster: weak for S = 1 may be strong under the real S
        keep = table.strength > 1e-4 * table.strength.max() if table.energy.size else []
        table = PhaseLines(
            table.energy[keep],
            table.strength[keep],
            table.d[keep],
            tuple(h for h, k in zip(table.hkl, keep, strict=True) if k),
        )
        if not table.energy.size:
            continue
        curves = np.array(
            [s * _line(x, per, e, detector) for e, s in zip(*_both(table), strict=True)]
        )
        step = 1e-4
        slopes = np.array(
            [
                s * _line(x, per, e * (1 + step), detector)
                for e, s in zip(*_both(table), strict=True)
            ]
        )
        scale = table.strength.max()
        made.append(_Phase(name, table, curves / scale, (slopes - curves) / step / scale))
    return made


def _both(table: PhaseLines) -> tuple[Array, Array]:
    return table.energy, table.strength


def _fluorescence(x: Array, elements: tuple[str, ...], detector: Detector) -> list[Array]:
    per = np.gradient(x)
    rows = []
    for element in elements:
        if element not in FLUORESCENCE:
            raise CalibrationError(
                f"incident: fluorescence {element!r}: allowed: {', '.join(FLUORESCENCE)}"
            )
        lines = FLUORESCENCE[element]
        for group in (lines[:2], *((line,) for line in lines[2:])):
            inside = [(e, w) for e, w in group if x[0] < e < x[-1]]
            if inside:
                rows.append(
                    np.asarray(sum(w * _line(x, per, e, detector, own=True) for e, w in inside))
                )
    return rows


def _splines(at: Array, low: float, high: float, number: int) -> Array:
    """Cubic B-splines, even in ln E between two energies, shape (number, points)."""
    from scipy.interpolate import BSpline

    inner = np.linspace(np.log(low), np.log(high), number - 2)
    knots = np.concatenate([[inner[0]] * 3, inner, [inner[-1]] * 3])
    place = np.clip(np.log(at), inner[0], inner[-1])
    return np.asarray(BSpline.design_matrix(place, knots, 3).toarray().T)


def _background(x: Array, number: int) -> Array:
    return _splines(np.maximum(x, 1.0), max(float(x[0]), 1.0), float(x[-1]), number)


def fitted(
    x: Array, y: Array, phases: list[_Phase], rest: Array, settings: IncidentSpectrum, place: str
) -> tuple[Array, Array, Array, float]:
    """Fit ln S to spectra.

    Gauss-Newton steps in the spline coefficients of ln S, with everything else (amounts, shifts,
    background) solved linearly in every spectrum and projected out.

    Parameters
    ----------
    x : ndarray
        Energies, keV.
    y : ndarray
        Spectra (n, channels).
    phases : list of _Phase
    rest : ndarray
        Curves of background and fluorescence.
    settings : IncidentSpectrum
    place : str
        For messages.

    Returns
    -------
    energy, log, stderr : ndarray
        Knots (keV), ln S there and its standard errors.
    scatter : float
        Standard deviation of ln(measured / expected) over clear single lines.

    Raises
    ------
    CalibrationError
        If fewer clear lines are there than coefficients.
    """
    strong = np.concatenate([p.lines.energy for p in phases])
    low, high = float(strong.min()), float(strong.max())
    basis = [_splines(p.lines.energy, low, high, settings.splines) for p in phases]
    b, clear = _start(x, y, phases, rest, basis, settings)
    if clear < settings.splines:
        raise CalibrationError(
            f"{place}: {clear} clear lines, {settings.splines} are the least; lower splines, take "
            "more spectra, or name more of their phases"
        )
    curvature = np.diff(np.eye(settings.splines), n=2, axis=0)
    prior = curvature.T @ curvature + np.full((settings.splines,) * 2, 1e3)
    hessian, last = prior, np.inf
    for _ in range(14):
        hessian, pull, chi2, freedom = _normal(y, phases, rest, basis, b, settings)
        hessian = hessian + prior
        step = np.linalg.solve(hessian, pull - prior @ b)
        step *= min(1.0, 1.5 / max(float(np.abs(step).max()), 1e-12))
        b = b + step
        if np.abs(step).max() < 2e-3 or (abs(last - chi2) < 1e-3 and np.abs(step).max() < 0.02):
            break
        last = chi2
    energy = np.geomspace(low, high, 3 * settings.splines)
    at = _splines(energy, low, high, settings.splines).T
    covariance = np.linalg.inv(hessian) * max(1.0, chi2 / max(freedom, 1))
    level = at - at.mean(axis=0)  # the common factor belongs to the amounts
    stderr = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", level, covariance, level), 0.0))
    return energy, at @ b, stderr, _scatter(y, phases, rest, basis, b)


def _start(
    x: Array, y: Array, phases: list[_Phase], rest: Array, basis: list[Array],
    settings: IncidentSpectrum,
) -> tuple[Array, int]:  # fmt: skip
    """First ln S: free areas of all lines in the sum, regressed on splines and phases."""
    total = y.sum(axis=0)
    rows, targets, weights = [], [], []
    curves = np.vstack([p.curves for p in phases])
    q, sigma = _linear(np.vstack([curves, rest]), total)
    at = 0
    for k, p in enumerate(phases):
        n = len(p.lines.energy)
        value, error = q[at : at + n], sigma[at : at + n]
        at += n
        sure = value > 5.0 * error
        for i in np.flatnonzero(sure):
            offset = np.zeros(len(phases))
            offset[k] = 1.0
            rows.append(np.concatenate([basis[k][:, i], offset]))
            targets.append(np.log(value[i]))
            weights.append(1.0 / np.hypot(error[i] / value[i], 0.15))
    if len(rows) < settings.splines:
        return np.zeros(settings.splines), len(rows)
    a, t, w = np.array(rows), np.array(targets), np.array(weights)
    curvature = np.diff(np.eye(settings.splines), n=2, axis=0)
    penalty = np.hstack([curvature, np.zeros((len(curvature), len(phases)))])
    b = np.zeros(settings.splines)
    for _ in range(5):  # lines on other lines are far off: they count less and less
        found, *_ = np.linalg.lstsq(
            np.vstack([a * w[:, None], penalty, np.full((1, a.shape[1]), 1e-3)]),
            np.concatenate([t * w, np.zeros(len(penalty) + 1)]),
            rcond=1e-10,
        )
        left = t - a @ found
        middle = max(1.4826 * float(np.median(np.abs(left))), 0.05)
        w = np.array(weights) / (1.0 + (left / (2.0 * middle)) ** 2)
        b = found[: settings.splines]
    return b - b.mean(), len(rows)


def _linear(a: Array, y: Array) -> tuple[Array, Array]:
    w = 1.0 / np.sqrt(np.maximum(y, 1.0))
    norm = np.maximum(np.linalg.norm(a * w, axis=1), 1e-300)
    scaled = (a * w / norm[:, None]).T
    q, *_ = np.linalg.lstsq(scaled, y * w, rcond=1e-9)
    inverse = np.linalg.pinv(scaled.T @ scaled, rcond=1e-9)
    redchi = float(np.sum((y * w - scaled @ q) ** 2)) / max(y.size - len(a), 1)
    return q / norm, np.sqrt(np.maximum(np.diag(inverse) * max(redchi, 1.0), 0.0)) / norm


def _normal(
    y: Array, phases: list[_Phase], rest: Array, basis: list[Array], b: Array,
    settings: IncidentSpectrum,
) -> tuple[Array, Array, float, int]:  # fmt: skip
    """Return normal matrix and gradient in b over all spectra, with the rest projected out."""
    shape = [np.exp(b @ own) for own in basis]
    columns = np.array([s @ p.curves for s, p in zip(shape, phases, strict=True)])
    slopes = np.array([s @ p.slopes for s, p in zip(shape, phases, strict=True)])
    change = [(s * own) @ p.curves for s, own, p in zip(shape, basis, phases, strict=True)]
    linear = np.vstack([columns, slopes, rest])
    number = len(phases)
    hessian, pull = np.zeros((b.size, b.size)), np.zeros(b.size)
    chi2, freedom = 0.0, -b.size
    for row in y:
        if row.sum() <= 0.0:
            continue
        weight = 1.0 / np.maximum(row, 1.0)
        for _ in range(2):
            w = np.sqrt(weight)
            norm = np.maximum(np.linalg.norm(linear * w, axis=1), 1e-300)
            q, r = np.linalg.qr((linear * w / norm[:, None]).T)
            value = np.linalg.lstsq(r, q.T @ (row * w), rcond=1e-9)[0] / norm
            peaks = np.maximum(value[:number], 0.0) @ columns
            model = np.maximum(value @ linear, 0.5)
            weight = 1.0 / (model + (settings.scatter * peaks) ** 2)
        w = np.sqrt(weight)
        q, r = np.linalg.qr((linear * w / norm[:, None]).T)
        amounts = np.maximum(value[:number], 0.0)
        jac = sum(v * c for v, c in zip(amounts, change, strict=True)) * w
        jac = jac - (jac @ q) @ q.T
        left = (row - value @ linear) * w
        left = left - q @ (q.T @ left)
        hessian += jac @ jac.T
        pull += jac @ left
        chi2 += float(left @ left)
        freedom += row.size - len(linear)
    return hessian, pull, chi2, freedom


def _scatter(y: Array, phases: list[_Phase], rest: Array, basis: list[Array], b: Array) -> float:
    """Scatter of ln(measured / expected) over the clear lines of the sum of all spectra."""
    total = y.sum(axis=0)
    shape = [np.exp(b @ own) for own in basis]
    curves = np.vstack([s[:, None] * p.curves for s, p in zip(shape, phases, strict=True)])
    slopes = np.array([s @ p.slopes for s, p in zip(shape, phases, strict=True)])
    q, sigma = _linear(np.vstack([curves, slopes, rest]), total)
    at, found = 0, []
    for p in phases:
        n = len(p.lines.energy)
        value, error = q[at : at + n], sigma[at : at + n]
        at += n
        sure = value > 8.0 * error
        if sure.sum() > 2:
            log = np.log(value[sure])
            found.extend(log - np.median(log))
    return float(np.std(found)) if len(found) > 2 else float("nan")

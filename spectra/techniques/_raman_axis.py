"""Raman-shift scale from the lines of several standards, with a report of what is left.

``true = found + p(found)`` with a polynomial p through the lines, weighted by their errors. Its
degree has the least corrected Akaike criterion (C. M. Hurvich and C.-L. Tsai, Biometrika 76 (1989)
297), with the scatter of the lines where that is larger than their errors. What the other degrees
say counts in the standard error with their Akaike weights (K. P. Burnham and D. R. Anderson, Model
Selection and Multimodel Inference, 2002, eq. 4.9). Emission lines of a lamp know wavenumbers, not
shifts: beside bands of a Raman standard, the error of the stated laser line is one more unknown,
common to them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..convention import where
from ..errors import CalibrationError
from ._raman_standards import STANDARDS, FoundLine, standard_lines
from .base import Settings

Array = npt.NDArray[np.float64]

REJECT = 4.5
"""Robust standard deviations beyond which the other lines contradict one."""


class Standards(Settings):
    """Put the scale on the lines of several standards."""

    lines: tuple[FoundLine, ...] = Field(
        (), description="lines as spectra.techniques.raman.standard_lines finds them"
    )
    standard: str | None = Field(
        None, description=f"find lines in this very spectrum: {', '.join(STANDARDS)}"
    )
    degree: int | None = Field(
        None, ge=0, le=6, description="of the correction; none: by the evidence of the lines"
    )
    laser_nm: float | None = Field(
        None, gt=0, description="laser line in air, nm, for a lamp; default the file's"
    )
    laser_free: bool | None = Field(
        None, description="fit the error of the laser line; none: if there are bands beside a lamp"
    )
    search: float = Field(12.0, gt=0, description="how far from its place a line may be, 1/cm")


@dataclass(frozen=True)
class Solution:
    """A fitted correction: coefficients over the scaled axis, their covariance, the lines."""

    coefficients: Array
    covariance: Array
    laser: float
    laser_error: float
    residual: Array
    redchi: float
    used: npt.NDArray[np.bool_]
    freedom: int


@dataclass(frozen=True)
class _Lines:
    found: Array
    reference: Array
    sigma: Array
    emission: npt.NDArray[np.bool_]
    middle: float
    half: float

    def scaled(self, x: Array) -> Array:
        return (x - self.middle) / self.half


def _solve(data: _Lines, degree: int, laser_free: bool, used: npt.NDArray[np.bool_]) -> Solution:
    """Weighted least squares on the lines in use; residuals of all."""
    design = np.vander(data.scaled(data.found), degree + 1, increasing=True)
    if laser_free:
        design = np.concatenate([design, data.emission[:, None].astype(float)], axis=1)
    wanted = data.reference - data.found
    a = design[used] / data.sigma[used, None]
    b = wanted[used] / data.sigma[used]
    inverse = np.linalg.pinv(a.T @ a)
    p = inverse @ (a.T @ b)
    rest = wanted - design @ p
    freedom = int(used.sum()) - design.shape[1]
    redchi = float(np.sum((rest[used] / data.sigma[used]) ** 2) / freedom) if freedom > 0 else 1.0
    covariance = inverse * max(1.0, redchi)
    size = degree + 1
    return Solution(
        np.asarray(p[:size], float),
        np.asarray(covariance[:size, :size], float),
        -float(p[size]) if laser_free else 0.0,
        float(np.sqrt(covariance[size, size])) if laser_free else 0.0,
        rest,
        redchi,
        used,
        freedom,
    )


def _unknowns(data: _Lines, degree: int, laser_free: bool, used: npt.NDArray[np.bool_]) -> bool:
    """Whether the lines determine this many unknowns with one to spare."""
    if laser_free and not (used & ~data.emission).any():
        return False
    return int(used.sum()) > degree + 1 + laser_free or degree == 0


def _robust(data: _Lines, degree: int | None, laser_free: bool) -> list[tuple[Solution, float]]:
    """Return solutions with their weights, best first; lines the others contradict are left out."""
    used = np.ones(data.found.size, bool)
    while True:
        ranked = _ranked(data, degree, laser_free, used)
        best = ranked[0][0]
        if best.freedom < 3:
            return ranked
        scaled = np.abs(best.residual) / data.sigma
        spread = max(1.0, 1.4826 * float(np.median(scaled[used])))
        worst = int(np.argmax(np.where(used, scaled, 0.0)))
        if scaled[worst] <= REJECT * spread:
            return ranked
        used = used.copy()
        used[worst] = False


def _ranked(
    data: _Lines, degree: int | None, laser_free: bool, used: npt.NDArray[np.bool_]
) -> list[tuple[Solution, float]]:
    if degree is not None:
        if not int(used.sum()) >= degree + 1 + laser_free:
            raise CalibrationError(
                f"standards: degree {degree} needs {degree + 1 + laser_free} lines, "
                f"found {int(used.sum())}"
            )
        return [(_solve(data, degree, laser_free, used), 1.0)]
    tried = [
        _solve(data, k, laser_free, used) for k in range(6) if _unknowns(data, k, laser_free, used)
    ]
    if not tried:
        raise CalibrationError("standards: the lines do not determine the laser line and the scale")
    scatter = max(1.0, min(s.redchi for s in tried))
    count = int(used.sum())
    criterion = []
    for s in tried:
        known = count - s.freedom + 1
        penalty = 2.0 * known * count / max(count - known - 1.0, 0.5)
        criterion.append(s.redchi * s.freedom / scatter + penalty)
    weight = np.exp(-0.5 * (np.array(criterion) - min(criterion)))
    weight /= weight.sum()
    order = np.argsort(criterion, kind="stable")
    return [(tried[k], float(weight[k])) for k in order]


def correction(x: Array, data: tuple[float, float], low: float, high: float, s: Solution) -> (
    tuple[Array, Array]
):  # fmt: skip
    """Return correction and its standard error; beyond the lines straight on, with its error."""
    middle, half = data
    inner = np.clip(x, low, high)
    u, beyond = (inner - middle) / half, (x - inner) / half
    power = np.arange(s.coefficients.size)
    basis = u[:, None] ** power
    slope = power * np.where(power > 0, u[:, None] ** np.maximum(power - 1, 0), 0.0)
    rows = basis + slope * beyond[:, None]
    error = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", rows, s.covariance, rows), 0.0))
    # What curvature may do beyond the lines is not known: half of the correction's own slope.
    steep = np.abs(slope @ s.coefficients * beyond)
    return rows @ s.coefficients, np.hypot(error, 0.5 * steep)


def standards(ds: xr.Dataset, settings: Standards) -> xr.Dataset:
    """Correct the scale by the lines of standards.

    Returns
    -------
    xr.Dataset
        With the corrected axis, its standard error as coordinate ``raman_shift_stderr``, attrs
        ``calibration_lines`` (read it with `calibration_report`), ``calibrated_from`` and
        ``calibrated_to`` (beyond these, the correction goes straight on).

    Raises
    ------
    CalibrationError
        If the axis is no Raman shift or was put on standards already, no line was found, or the
        corrected axis does not ascend.
    """
    if "raman_shift" not in ds["intensity"].dims:
        raise CalibrationError(
            f"{where(ds)}: axis is {ds['intensity'].dims[-1]}; use calibration 'laser' first"
        )
    if "calibration_lines" in ds.attrs:
        raise CalibrationError(f"{where(ds)}: the scale was put on standards before; open it again")
    lines = list(settings.lines)
    if settings.standard is not None:
        lines += standard_lines(
            ds, settings.standard, laser_nm=settings.laser_nm, search=settings.search
        )
    good = [line for line in lines if line.found is not None]
    if lines and not good:
        why = "; ".join(f"{m.standard} {m.reference:g}: {m.note}" for m in lines[:4])
        raise CalibrationError(f"{where(ds)}: no line of the standard was found ({why})")
    if not good:
        raise CalibrationError(
            f"{where(ds)}: no line of a standard; pass lines=standard_lines(...) or standard="
        )
    x = np.asarray(ds["raman_shift"].values, float)
    found = np.array([line.found for line in good], float)
    low, high = float(found.min()), float(found.max())
    data = _Lines(
        found,
        np.array([line.reference for line in good]),
        np.array([max(np.hypot(line.error, line.reference_error), 1e-3) for line in good]),
        np.array([line.emission for line in good]),
        0.5 * (low + high),
        max(0.5 * (high - low), 1.0),
    )
    mixed = bool(data.emission.any() and not data.emission.all())
    laser_free = mixed if settings.laser_free is None else settings.laser_free
    ranked = _robust(data, settings.degree, laser_free)
    solution = ranked[0][0]
    by, _ = correction(x, (data.middle, data.half), low, high, solution)
    variance = np.zeros(x.size)
    for other, share in ranked:
        instead, error = correction(x, (data.middle, data.half), low, high, other)
        variance += share * (error**2 + (instead - by) ** 2)
    error = np.sqrt(variance)
    axis = x + by
    if np.any(np.diff(axis) <= 0.0):
        raise CalibrationError(
            f"{where(ds)}: the corrected scale does not ascend; give a lower degree, or check lines"
        )
    attrs = dict(ds["raman_shift"].attrs)
    out = ds.assign_coords(raman_shift=("raman_shift", axis, attrs)).assign_coords(
        raman_shift_stderr=("raman_shift", error, {"units": attrs.get("units", "1/cm")})
    )
    ends = found + correction(found, (data.middle, data.half), low, high, solution)[0]
    out.attrs["calibrated_from"], out.attrs["calibrated_to"] = float(ends.min()), float(ends.max())
    out.attrs["calibration_lines"] = json.dumps(_rows(lines, good, data, solution))
    out.attrs["calibration"] = _text(out, good, solution, laser_free, x, low, high)
    return out


def _rows(
    lines: list[FoundLine], good: list[FoundLine], data: _Lines, s: Solution
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    place = {id(line): k for k, line in enumerate(good)}
    for line in lines:
        row: dict[str, object] = {
            "standard": line.standard,
            "reference": round(line.reference, 4),
            "found": None if line.found is None else round(line.found, 4),
        }
        if id(line) in place:
            k = place[id(line)]
            row["error"] = round(float(data.sigma[k]), 4)
            row["residual"] = round(float(s.residual[k]), 4)
            row["used"] = bool(s.used[k])
            row["note"] = "" if s.used[k] else "contradicted by the other lines"
        else:
            row.update(error=None, residual=None, used=False, note=line.note or "not found")
        rows.append(row)
    return rows


def _text(
    out: xr.Dataset,
    good: list[FoundLine],
    s: Solution,
    laser_free: bool,
    x: Array,
    low: float,
    high: float,
) -> str:
    names = list(dict.fromkeys(line.standard for line in good))
    used = s.used
    rms = float(np.sqrt(np.mean(s.residual[used] ** 2)))
    typical = float(np.median(out["raman_shift_stderr"].values[(x >= low) & (x <= high)]))
    text = (
        f"{int(used.sum())} lines of {', '.join(names)}: degree {s.coefficients.size - 1}, "
        f"residuals {rms:.2f} 1/cm rms, scale +- {typical:.2f} 1/cm"
    )
    if laser_free:
        text += f"; laser line off by {s.laser:+.2f} +- {s.laser_error:.2f} 1/cm"
    if not used.all():
        left = [f"{g.standard} {g.reference:.1f}" for g, u in zip(good, used, strict=True) if not u]
        text += f"; left out: {', '.join(left)}"
    if x[0] < low - 1.0 or x[-1] > high + 1.0:
        low_new, high_new = out.attrs["calibrated_from"], out.attrs["calibrated_to"]
        text += f"; extrapolated below {low_new:.0f} and above {high_new:.0f} 1/cm"
    return text


def calibration_report(ds: xr.Dataset) -> xr.Dataset:
    """Return the residual report of a scale put on standards, one row per line.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum after ``calibrate(ds, "standards", ...)``.

    Returns
    -------
    xr.Dataset
        ``standard``, ``reference``, ``found``, ``error`` (fit and reference together),
        ``residual`` (reference less corrected place; NaN where not found), ``used`` and ``note``
        (why a line was left out) along ``line``; attrs ``calibration`` and per-standard mean
        residuals as ``mean_residual_<standard>``.

    Raises
    ------
    CalibrationError
        If the scale was not put on standards.
    """
    if "calibration_lines" not in ds.attrs:
        raise CalibrationError(f"{where(ds)}: no report; call calibrate(ds, 'standards', ...)")
    rows = json.loads(ds.attrs["calibration_lines"])
    unit = {"units": "1/cm"}

    def numbers(key: str) -> Array:
        return np.array([np.nan if r[key] is None else r[key] for r in rows], float)

    report = xr.Dataset(
        {
            "standard": ("line", np.array([r["standard"] for r in rows], dtype=object)),
            "reference": ("line", numbers("reference"), unit),
            "found": ("line", numbers("found"), unit),
            "error": ("line", numbers("error"), unit),
            "residual": ("line", numbers("residual"), unit),
            "used": ("line", np.array([r["used"] for r in rows], bool)),
            "note": ("line", np.array([r["note"] for r in rows], dtype=object)),
        },
        attrs={"calibration": ds.attrs["calibration"]},
    )
    for name in dict.fromkeys(r["standard"] for r in rows):
        own = [r for r in rows if r["standard"] == name and r["used"]]
        if own:
            weight = [1.0 / r["error"] ** 2 for r in own]
            mean = float(np.average([r["residual"] for r in own], weights=weight))
            report.attrs[f"mean_residual_{name}"] = mean
    return report

"""Calibration of EDXRD in one fit: energy scale, angle and detector widths from all lines at once.

The lines are looked for in the counts with what is known so far, fitted one by one (centroids and
widths do not depend on the scale), and `_edxrd_solve.solve` finds the scale, the angle, noise and
Fano factor with their covariance. Neither a header's scale nor its angle is more than a start.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..convention import where
from ..errors import CalibrationError
from ._edxrd_axis import channels_of, energy_of, header_scale, on_energy
from ._edxrd_calibrate import SOURCES, STANDARDS, Standard, reflections_of, total
from ._edxrd_covariance import Covariance
from ._edxrd_find import find_angle, reflections, resolution, source_lines
from ._edxrd_physics import HC, Detector, bragg_energy, two_theta
from ._edxrd_solve import Datum, Solution, solve
from .base import Settings

Array = npt.NDArray[np.float64]


class MeasuredLine(Settings):
    """A line found in another spectrum of the same electronics."""

    label: str = Field("", description="what emits it")
    energy: float = Field(gt=0, description="its energy, keV")
    channel: float = Field(description="where it was found")
    stderr: float = Field(gt=0, description="standard error of the channel")
    fwhm: float = Field(0.0, ge=0, description="its full width at half maximum, channels")
    fwhm_stderr: float = Field(0.0, ge=0, description="standard error of it; 0 ignores the width")


class Joint(Settings):
    """Energy scale, scattering angle, noise and Fano factor in one fit."""

    standard: Literal["Au", "CeO2", "LaB6", "Si", "Fe", "W"] | None = Field(
        None, description="certified powder in the beam; none fits no angle"
    )
    a: float | None = Field(None, gt=0, description="its lattice parameter, angstrom, if another")
    sources: tuple[str, ...] = Field(
        (), description=f"what emits in this spectrum: {', '.join(SOURCES)}"
    )
    lines: tuple[float, ...] = Field((), description="further single lines, keV")
    measured: tuple[MeasuredLine, ...] = Field(
        (), description="lines of another spectrum of the same electronics: edxrd.lines_of(other)"
    )
    drift_keV: float = Field(
        0.005, gt=0, description="how far the scale may have moved since that spectrum"
    )
    guess: tuple[float, float] | tuple[float, float, float] | None = Field(
        None, description="approximate c0, c1 (and c2) in keV; none takes the one calibrated, or "
        "the header's, or that of the other spectrum"
    )  # fmt: skip
    guess_deg: float | None = Field(
        None, gt=0, lt=180, description="approximate angle, deg; none tries 1.5 to 40 degrees"
    )
    search: float = Field(0.01, gt=0, le=0.1, description="largest relative error of guess_deg")
    search_keV: float = Field(1.0, gt=0, description="how far a line may lie from the guess")
    degree: Literal[1, 2] = Field(2, description="degree of the polynomial from channel to energy")
    low_keV: float = Field(0.0, ge=0, description="no lines below this energy")
    high_keV: float = Field(1e4, gt=0, description="no lines above this energy")
    skip_keV: tuple[float, ...] = Field(
        (), description="energies beside which no line is used, keV"
    )
    crystal: Literal["Ge", "Si", "CdTe", "CZT"] | None = Field(
        None, description="what the detector is made of, for its escape lines; none is germanium"
    )


def _known_names(settings: Joint) -> None:
    unknown = [s for s in settings.sources if s not in SOURCES]
    if unknown:
        raise CalibrationError(f"sources: {unknown[0]!r}: allowed: {', '.join(SOURCES)}")


def joint(ds: xr.Dataset, settings: Joint) -> xr.Dataset:
    """Calibrate a spectrum with all its lines in one fit.

    Parameters
    ----------
    ds : xr.Dataset
        Counts that know their channels. Outer dims are summed for the fit, but for ``detector``:
        its elements are calibrated one by one (see `_edxrd_elements`).
    settings : Joint

    Returns
    -------
    xr.Dataset
        On ``photon_energy``, with attrs ``c0_keV``, ``c1_keV``, ``c2_keV``, ``two_theta_deg``,
        ``noise_keV``, ``fano``, ``divergence``; ``calibration_covariance`` (JSON: names, values,
        matrix); ``energy_lines`` and ``two_theta_lines`` (see `_edxrd_flatness.flatness`).

    Raises
    ------
    CalibrationError
        If no start is known or too few lines are found.
    """
    _known_names(settings)
    if settings.crystal:
        ds = ds.assign_attrs(detector_crystal=settings.crystal)
    if "detector" in ds["intensity"].dims:
        from ._edxrd_elements import each_element

        def one_element(one: xr.Dataset, skip: tuple[float, ...]) -> xr.Dataset:
            told = settings.model_copy(update={"skip_keV": (*settings.skip_keV, *skip)})
            return joint(one, told)

        return each_element(ds, one_element)
    channel, counts = channels_of(ds), total(ds)
    powder = _powder(settings)
    guess = _start(ds, settings)
    drift = settings.drift_keV
    elsewhere = [
        Datum("elsewhere", m.label, m.energy, m.channel, m.stderr, m.fwhm, m.fwhm_stderr)
        for m in settings.measured
    ]
    detector = Detector.of(ds.attrs)
    detector = resolution(channel, counts, guess, detector.crystal) or detector
    angle = settings.guess_deg or ds.attrs.get("two_theta_deg")
    angle = angle or ds.attrs.get("header_two_theta_deg")
    if powder is not None:
        angle = find_angle(
            channel, counts, guess, powder, detector, angle, settings.search, settings, where(ds)
        )
    found = None
    search, told = settings.search_keV, guess
    for turn in range(3):
        avoid = [*_expected(channel, guess, powder, angle), *settings.skip_keV]
        lines = source_lines(
            channel, counts, guess, detector, settings, search, avoid, narrow=turn > 0
        )
        # turn by turn a scale could walk to a line that is none of these
        lines = [
            d
            for d in lines
            if abs(energy_of(np.array([d.channel]), told)[0] - d.known) < settings.search_keV
        ]
        data = [*elsewhere, *lines]
        if powder is not None and angle is not None:
            data += reflections(channel, counts, guess, angle, powder, detector, settings, data)
        _enough(ds, data, settings)
        found = solve(
            data,
            guess,
            angle,
            degree=settings.degree,
            drift_keV=drift,
            noise_keV=detector.noise_keV,
        )
        guess = tuple(found.values[f"c{i}"] for i in range(3))
        search = min(search, 0.4)
        if powder is not None:
            angle = found.values["two_theta"]
        detector = Detector(
            found.values["noise_keV"],
            found.values["fano"],
            found.values["divergence"],
            crystal=detector.crystal,
        )
    assert found is not None
    return _recorded(ds, data, found, settings)


def _powder(settings: Joint) -> Standard | None:
    if settings.standard is None:
        return None
    powder = STANDARDS[settings.standard]
    return powder if settings.a is None else Standard(settings.a, powder.centering)


def _start(ds: xr.Dataset, settings: Joint) -> tuple[float, ...]:
    if settings.guess is not None:
        return settings.guess
    if ds.attrs.get("energy_calibration"):
        return tuple(float(ds.attrs[f"c{i}_keV"]) for i in range(3))
    header = header_scale(ds)
    if header is not None:
        return header
    if len(settings.measured) > 1:
        ch = [m.channel for m in settings.measured]
        fit = np.polynomial.Polynomial.fit(ch, [m.energy for m in settings.measured], 1).convert()
        return float(fit.coef[0]), float(fit.coef[1])
    raise CalibrationError(
        f"{where(ds)}: the file has no energy scale to start from; give guess=(c0, c1) in keV"
    )


def _expected(
    channel: Array, guess: tuple[float, ...], powder: Standard | None, angle: float | None
) -> Array:
    """Energies of the standard's reflections in range."""
    if powder is None or angle is None:
        return np.zeros(0)
    top = float(energy_of(channel[-1:], guess)[0])
    return bragg_energy(reflections_of(powder, float(bragg_energy(top, angle)))[1], angle)


def _enough(ds: xr.Dataset, data: Sequence[Datum], settings: Joint) -> None:
    fixed = sum(d.kind != "reflection" for d in data)
    found = len(data) - fixed
    if settings.standard and found < 3:
        raise CalibrationError(
            f"{where(ds)}: {found} reflections of {settings.standard} found, 3 are the least; "
            "check the standard, guess_deg and the energy scale, or raise search"
        )
    if fixed < 1 and settings.standard:
        raise CalibrationError(
            f"{where(ds)}: no line of known energy found: reflections alone cannot tell the energy "
            "scale from the angle; name sources (fluorescence too), lines, or measured ones"
        )
    # one line more than unknowns: else anything fits, and no scatter tells
    least = settings.degree + 1 + 2 * bool(settings.standard)
    if len(data) < least:
        raise CalibrationError(
            f"{where(ds)}: {len(data)} lines found, {least} are the least for degree "
            f"{settings.degree}; check sources and guess, lower degree, or raise search_keV"
        )


def _recorded(
    ds: xr.Dataset, data: Sequence[Datum], found: Solution, settings: Joint
) -> xr.Dataset:
    """Put the result on the spectrum."""
    v = found.values
    out = on_energy(ds.copy(deep=False), (v["c0"], v["c1"], v["c2"]))
    out.attrs.update(noise_keV=v["noise_keV"], fano=v["fano"])
    for old in ("two_theta_lines", "two_theta_slope", "two_theta_slope_stderr"):
        out.attrs.pop(old, None)
    covariance = Covariance.of_solution(found)
    rows: list[dict[str, Any]] = []
    angles: list[dict[str, Any]] = []
    for d, r, s, used in zip(data, found.residual, found.sigma, found.used, strict=True):
        if d.kind == "reflection":
            half = np.radians(v["two_theta"]) / 2.0
            energy = float(HC / (2.0 * d.known * np.sin(half)) + r)
            value = float(two_theta(d.known, energy))
            to_deg = 2.0 * np.degrees(np.tan(half)) / energy  # deg per keV
            angles.append(
                {"hkl": [int(i) for i in d.label.split()], "energy": energy, "two_theta": value,
                 "stderr": float(s * to_deg), "residual": float(r), "used": bool(used)}
            )  # fmt: skip
            continue
        rows.append(
            {"label": d.label, "energy": d.known, "channel": d.channel, "stderr": d.stderr,
             "fwhm": d.fwhm, "fwhm_stderr": d.fwhm_stderr, "residual": float(r),
             "residual_stderr": float(s), "used": bool(used), "elsewhere": d.kind == "elsewhere"}
        )  # fmt: skip
    out.attrs["energy_lines"] = json.dumps(rows)
    out.attrs["energy_covariance"] = json.dumps(found.covariance[:3, :3].tolist())
    kept = [abs(r["residual"]) for r in rows if r["used"]]
    text = f"energy from {len(kept)} lines, largest residual {1e3 * max(kept, default=0.0):.1f} eV"
    if angles:
        covariance_deg = float(np.sqrt(found.covariance[3, 3]))
        out.attrs.update(
            two_theta_deg=v["two_theta"],
            two_theta_stderr=covariance_deg,
            divergence=v["divergence"],
            two_theta_lines=json.dumps(angles),
        )
        slope, error, scatter = _slope(angles)
        out.attrs.update(
            two_theta_slope=slope, two_theta_slope_stderr=error, two_theta_scatter=scatter
        )
        text += (
            f" and {sum(a['used'] for a in angles)} reflections of {settings.standard} in one fit"
        )
    out.attrs["energy_calibration"] = text
    if angles:
        text += (
            f"; 2theta {v['two_theta']:.4f} +- {covariance_deg:.4f} deg, scatter {scatter:.4f}, "
            f"slope {slope:.1e} +- {error:.0e} deg/keV"
        )
    elif "two_theta_deg" in ds.attrs:
        text += f"; 2theta {float(ds.attrs['two_theta_deg']):g} deg"
    out.attrs["calibration"] = text
    out.attrs["calibration_covariance"] = covariance.text()
    if settings.measured:
        out.attrs["energy_drift_keV"] = found.drift[0]
    return out


def _slope(angles: Sequence[dict[str, Any]]) -> tuple[float, float, float]:
    """Slope of 2theta against energy (deg/keV), its error, and the scatter (deg)."""
    used = [a for a in angles if a["used"]]
    e = np.array([a["energy"] for a in used])
    v = np.array([a["two_theta"] for a in used])
    w = 1.0 / np.maximum(np.array([a["stderr"] for a in used]), 1e-9) ** 2
    centred = e - np.sum(w * e) / w.sum()
    spread = float(np.sum(w * centred**2))
    slope = float(np.sum(w * centred * v) / spread) if spread > 0.0 else 0.0
    return slope, float(spread**-0.5) if spread > 0.0 else np.inf, float(np.std(v))


def lines_of(ds: xr.Dataset) -> list[dict[str, Any]]:
    """Return the lines of known energy found in a calibrated spectrum, for ``measured`` of another.

    Parameters
    ----------
    ds : xr.Dataset
        Calibrated with ``joint`` or ``sources``.

    Returns
    -------
    list of dict

    Raises
    ------
    CalibrationError
        If it holds none.
    """
    rows = json.loads(str(ds.attrs.get("energy_lines", "[]")))
    rows = [r for r in rows if r.get("used", True) and not r.get("elsewhere")]
    if not rows:
        raise CalibrationError(f"{where(ds)}: no lines of known energy; calibrate with sources")
    return [
        {
            "label": str(r.get("label", "")),
            "energy": r["energy"],
            "channel": r["channel"],
            "stderr": max(r["stderr"], 1e-6),
            "fwhm": r.get("fwhm", 0.0),
            "fwhm_stderr": r.get("fwhm_stderr", 0.0),
        }
        for r in rows
    ]

"""Calibration of EDXRD: energy from lines that stand still, then 2theta from a standard.

Energy first, angle second: the angle of a standard's reflections must not depend on their energy.
The slope of 2theta against energy is an error of the energy scale, its scatter the honest
uncertainty of the angle.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..convention import outer_dims, where
from ..errors import CalibrationError
from ._edxrd_axis import channels_of, energy_of, header_scale, on_energy
from ._edxrd_peaks import Peak, fit_peak
from ._edxrd_physics import (
    EPSILON_GE,
    FLUORESCENCE,
    HC,
    Detector,
    bragg_energy,
    two_theta,
    with_escape,
)
from .base import Settings

Array = npt.NDArray[np.float64]
_FWHM = 2.3548200450309493
Group = tuple[tuple[float, float], ...]


def _pairs(lines: tuple[tuple[float, float], ...], *, beta: bool = True) -> list[Group]:
    """K lines as groups that a detector does not resolve: (Ka1 + Ka2), (Kb1,3), ..."""
    groups: list[Group] = [((lines[0][0], 1.0), (lines[1][0], lines[1][1]))]
    if beta:
        groups.append(tuple((e, w / lines[2][1]) for e, w in lines[2:4]))
    return groups


SOURCES: dict[str, list[Group]] = {
    "109Cd": [*_pairs(FLUORESCENCE["Ag"]), ((88.0336, 1.0),)],
    "57Co": [((122.06065, 1.0),), ((136.47356, 1.0),)],
    "241Am": [((26.3446, 1.0),), ((59.5409, 1.0),)],
    "133Ba": [((80.9979, 1.0), (79.6142, 0.081)), ((356.0129, 1.0),)],
    "137Cs": [((661.657, 1.0),)],
    "152Eu": [((121.7817, 1.0),), ((244.6974, 1.0),), ((344.2785, 1.0),), ((778.904, 1.0),),
              ((964.057, 1.0),), ((1112.076, 1.0),), ((1408.013, 1.0),)],
    **{name: _pairs(lines) for name, lines in FLUORESCENCE.items()},
}  # fmt: skip
"""Groups of lines of radioactive sources (DDEP evaluations) and of fluorescing elements, keV."""


@dataclass(frozen=True)
class Standard:
    """A cubic powder whose lattice parameter is certified."""

    a: float
    centering: Literal["F", "P", "diamond", "I"]


STANDARDS: dict[str, Standard] = {
    "Au": Standard(4.0786, "F"),
    "CeO2": Standard(5.41153, "F"),
    "LaB6": Standard(4.15692, "P"),
    "Si": Standard(5.431144, "diamond"),
    "Fe": Standard(2.8665, "I"),
    "W": Standard(3.16524, "I"),
}
"""Lattice parameters at 22.5 to 25 C, angstrom: NIST SRM 674b (CeO2), 660 (LaB6), 640f (Si)."""


def reflections_of(standard: Standard, d_min: float) -> tuple[list[tuple[int, int, int]], Array]:
    """Return indices and spacings of a standard's lines, longest first, one per spacing."""
    top = int(standard.a / d_min) + 1
    found: dict[int, tuple[int, int, int]] = {}
    for h in range(top + 1):
        for k in range(h + 1):
            for j in range(k + 1):
                n = h * h + k * k + j * j
                if n and standard.a / np.sqrt(n) >= d_min and _allowed(standard, h, k, j):
                    found.setdefault(n, (h, k, j))
    order = sorted(found)
    return [found[n] for n in order], standard.a / np.sqrt(np.array(order, float))


def _allowed(standard: Standard, h: int, k: int, j: int) -> bool:
    parity = {h % 2, k % 2, j % 2}
    if standard.centering == "P":
        return True
    if standard.centering == "I":
        return (h + k + j) % 2 == 0
    if len(parity) != 1:
        return False
    return not (standard.centering == "diamond" and parity == {0} and (h + k + j) % 4)


class Known(Settings):
    """Coefficients and angle as known from elsewhere."""

    c0: float | None = Field(None, description="energy of channel 0, keV; none keeps the header's")
    c1: float | None = Field(None, description="keV per channel; none keeps the header's")
    c2: float = Field(0.0, description="keV per channel squared")
    two_theta_deg: float | None = Field(
        None, gt=0, lt=180, description="scattering angle, deg; none keeps the one calibrated"
    )
    trust_header: bool = Field(
        False, description="take energy scale and angle of the file's header as they are"
    )


class Sources(Settings):
    """Energy scale from lines of sources and fluorescence."""

    sources: tuple[str, ...] = Field(
        (), description=f"what emits: {', '.join(SOURCES)}; every line found is used"
    )
    lines: tuple[float, ...] = Field((), description="further single lines, keV")
    guess: tuple[float, float] | tuple[float, float, float] | None = Field(
        None, description="approximate c0, c1 (and c2) in keV; none takes the header's"
    )
    degree: Literal[1, 2] = Field(2, description="degree of the polynomial from channel to energy")
    search_keV: float = Field(
        1.0, gt=0, description="how far a line may lie from where the guess puts it"
    )


class StandardPowder(Settings):
    """Scattering angle from the reflections of a certified powder."""

    standard: Literal["Au", "CeO2", "LaB6", "Si", "Fe", "W"] = Field(
        "CeO2", description="powder in the beam"
    )
    a: float | None = Field(None, gt=0, description="its lattice parameter, angstrom, if another")
    guess_deg: float | None = Field(
        None, gt=0, lt=180, description="approximate angle, deg; none takes the header's"
    )
    search: float = Field(0.006, gt=0, le=0.05, description="largest relative error of the guess")
    low_keV: float = Field(0.0, ge=0, description="no lines below this energy")
    high_keV: float = Field(1e4, gt=0, description="no lines above this energy")
    skip_keV: tuple[float, ...] = Field(
        (), description="energies beside which no line is used (fluorescence), keV"
    )


def known(ds: xr.Dataset, settings: Known) -> xr.Dataset:
    """Set the energy scale and the angle to known values.

    Raises
    ------
    CalibrationError
        If neither the settings nor (with ``trust_header``) the file give them.
    """
    header = header_scale(ds)
    c0, c1, c2 = settings.c0, settings.c1, settings.c2
    said = []
    if c1 is not None:
        ds = on_energy(ds.copy(deep=False), (c0 or 0.0, c1, c2))
        said.append(f"E = {c0 or 0.0:g} + {c1:g} ch + {c2:g} ch^2 keV given")
    elif settings.trust_header and header:
        ds = on_energy(ds.copy(deep=False), header)
        said.append("energy scale of the header taken as it is")
    elif "energy_calibration" in ds.attrs:
        ds = ds.copy(deep=False)
        said.append(str(ds.attrs["energy_calibration"]))
    else:
        raise CalibrationError(
            f"{where(ds)}: no energy scale; give c0 and c1, run calibrate(ds, 'sources', ...), or "
            "take the header's with trust_header=True"
        )
    ds.attrs["energy_calibration"] = said[0]
    angle = settings.two_theta_deg
    if angle is None and settings.trust_header:
        angle = ds.attrs.get("header_two_theta_deg")
    if angle is not None:
        ds.attrs["two_theta_deg"] = float(angle)
        said.append(f"2theta {float(angle):g} deg given")
    ds.attrs["calibration"] = "; ".join(said)
    return ds


def total(ds: xr.Dataset) -> Array:
    """Return counts summed over all outer dims, where valid."""
    y = ds["intensity"]
    if "valid" in ds:
        y = y.where(ds["valid"], 0)
    return np.asarray(y.sum(outer_dims(ds)).values, float)


def find_lines(
    channel: Array, counts: Array, guess: tuple[float, ...], groups: list[Group], search_keV: float
) -> list[tuple[float, Peak]]:
    """Return (energy, line in channels) of every group of lines that is there."""
    slope = np.polynomial.polynomial.polyder(np.asarray(guess))
    typical = Detector()
    found = []
    for group in groups:
        energy = group[0][0]
        predicted = float(np.interp(energy, energy_of(channel, guess), channel))
        per = float(np.polynomial.polynomial.polyval(predicted, slope))
        width = max(float(typical.fwhm(energy)) / per, 2.5)
        if not channel[0] < predicted < channel[-1]:
            continue
        tied = [((e - energy) / per, w) for e, w in group]
        best = None
        for factor in (1.0, 1.8, 3.2):
            peak = fit_peak(channel, counts, predicted, width * factor, tied, search_keV / per)
            if peak is not None and (best is None or peak.redchi < 0.7 * best.redchi):
                best = peak
        if best is not None:
            found.append((energy, best))
    return found


def sources(ds: xr.Dataset, settings: Sources) -> xr.Dataset:
    """Fit the energy scale to lines of known energy; keep noise and Fano factor of the detector.

    Raises
    ------
    CalibrationError
        If no start is known, or fewer lines are found than coefficients are wanted.
    """
    unknown = [s for s in settings.sources if s not in SOURCES]
    if unknown:
        raise CalibrationError(f"sources: {unknown[0]!r}: allowed: {', '.join(SOURCES)}")
    groups = [g for s in settings.sources for g in SOURCES[s]]
    groups += [((e, 1.0),) for e in settings.lines]
    guess: tuple[float, ...] | None = settings.guess or header_scale(ds)
    if guess is None:
        raise CalibrationError(
            f"{where(ds)}: the file has no energy scale to start from; give guess=(c0, c1) in keV"
        )
    channel, counts = channels_of(ds), total(ds)
    found: list[tuple[float, Peak]] = []
    search = settings.search_keV
    for _ in range(2):
        found = find_lines(channel, counts, guess, groups, search)
        if len(found) <= settings.degree:
            raise CalibrationError(
                f"{where(ds)}: {len(found)} of {len(groups)} lines found, "
                f"{settings.degree + 1} are the least; check sources and guess, or raise search_keV"
            )
        coef, covar = _polynomial(found, guess, settings.degree)
        kept = _without_strays(found, coef, settings.degree)
        if len(kept) < len(found):
            found = kept
            coef, covar = _polynomial(found, guess, settings.degree)
        guess, search = tuple(coef), min(search, 0.4)
    out = on_energy(ds.copy(deep=False), guess)
    residual = [float(energy_of(p.center, guess) - e) for e, p in found]
    noise, fano = _noise_and_fano(found, guess)
    if noise is not None and fano is not None:
        out.attrs.update(noise_keV=noise, fano=fano)
    out.attrs["energy_lines"] = json.dumps(
        [
            {"energy": e, "channel": p.center, "stderr": p.center_stderr, "residual": r}
            for (e, p), r in zip(found, residual, strict=True)
        ]
    )
    out.attrs["energy_covariance"] = json.dumps(covar.tolist())
    worst = max(abs(r) for r in residual)
    text = f"energy from {len(found)} lines, largest residual {1e3 * worst:.1f} eV"
    out.attrs["energy_calibration"] = text
    angle = out.attrs.get("two_theta_deg")
    out.attrs["calibration"] = text + ("" if angle is None else f"; 2theta {angle:g} deg")
    return out


def _polynomial(
    found: list[tuple[float, Peak]], guess: tuple[float, ...], degree: int
) -> tuple[Array, Array]:
    """Weighted polynomial through the lines; 1 eV for the tabulated energies."""
    ch = np.array([p.center for _, p in found])
    energy = np.array([e for e, _ in found])
    slope = np.polynomial.polynomial.polyval(ch, np.polynomial.polynomial.polyder(guess))
    sigma = np.hypot(np.array([p.center_stderr for _, p in found]) * slope, 1e-3)
    scale = max(float(np.max(np.abs(ch))), 1.0)
    a = np.vander(ch / scale, degree + 1, increasing=True) / sigma[:, None]
    q, *_ = np.linalg.lstsq(a, energy / sigma, rcond=None)
    back = scale ** -np.arange(degree + 1.0)
    chi2 = float(np.sum((a @ q - energy / sigma) ** 2))
    freedom = len(found) - degree - 1
    covar = np.linalg.inv(a.T @ a) * (max(1.0, chi2 / freedom) if freedom else 1.0)
    return q * back, covar * np.outer(back, back)


def _without_strays(
    found: list[tuple[float, Peak]], coef: Array, degree: int
) -> list[tuple[float, Peak]]:
    """Leave out the one line that the others contradict by more than 50 eV, if enough remain."""
    worst = max(abs(float(energy_of(p.center, tuple(coef))) - e) for e, p in found)
    if worst < 0.05 or len(found) < degree + 3:
        return found
    trials = []
    for k in range(len(found)):
        rest = found[:k] + found[k + 1 :]
        fit, _ = _polynomial(rest, tuple(coef), degree)
        left = max(abs(float(energy_of(p.center, tuple(fit))) - e) for e, p in rest)
        trials.append((left, k))
    left, k = min(trials)
    return found[:k] + found[k + 1 :] if left < 0.3 * worst else found


def _noise_and_fano(
    found: list[tuple[float, Peak]], scale: tuple[float, ...]
) -> tuple[float | None, float | None]:
    """Least squares of ``fwhm^2 = noise^2 + 2.3548^2 fano eps E`` over the lines."""
    if len(found) < 3:
        return None, None
    energy = np.array([e for e, _ in found])
    slope = np.polynomial.polynomial.polyder(np.asarray(scale))
    per = np.array([float(np.polynomial.polynomial.polyval(p.center, slope)) for _, p in found])
    width = np.array([p.fwhm for _, p in found]) * per
    error = np.maximum(np.array([p.fwhm_stderr for _, p in found]) * per, 0.002 * width)
    sigma = 2.0 * width * error
    a = np.stack([np.ones_like(energy), _FWHM**2 * EPSILON_GE * energy], axis=1) / sigma[:, None]
    (n2, fano), *_ = np.linalg.lstsq(a, width**2 / sigma, rcond=None)
    if n2 <= 0.0 or not 0.01 < fano < 2.0:
        return None, None
    return float(np.sqrt(n2)), float(fano)


def standard(ds: xr.Dataset, settings: StandardPowder) -> xr.Dataset:
    """Fit the scattering angle to the reflections of a standard, with the energy scale held.

    Every reflection that stands alone gives an angle; attrs ``two_theta_lines`` keeps angle against
    energy (the flatness plot), ``two_theta_slope`` their slope in deg/keV, and
    ``two_theta_stderr`` the error of the mean with the scatter in it.

    Raises
    ------
    CalibrationError
        If the energy is not calibrated, no start angle is known, or fewer than three reflections
        are found.
    """
    if not ds.attrs.get("energy_calibration"):
        raise CalibrationError(
            f"{where(ds)}: energy first: call calibrate(ds, 'sources', ...) or "
            "calibrate(ds, 'known', c0=..., c1=...)"
        )
    powder = STANDARDS[settings.standard]
    if settings.a is not None:
        powder = Standard(settings.a, powder.centering)
    guess = settings.guess_deg or ds.attrs.get("header_two_theta_deg")
    if guess is None:
        raise CalibrationError(f"{where(ds)}: no angle to start from; give guess_deg")
    angle, search = float(guess), settings.search
    energy = ds["photon_energy"].values
    counts = total(ds)
    detector = Detector.of(ds.attrs)
    good = np.zeros(0, bool)
    hkl: list[tuple[int, int, int]] = []
    values = errors = at = np.zeros(0)
    for _ in range(3):
        hkl, at, values, errors = _angles(energy, counts, powder, angle, search, detector, settings)
        if len(hkl) < 3:
            raise CalibrationError(
                f"{where(ds)}: {len(hkl)} reflections of {settings.standard} found, 3 are the "
                "least; check the standard, guess_deg and the energy scale, or raise search"
            )
        middle = np.median(values)
        spread = 1.4826 * np.median(np.abs(values - middle)) + 1e-5 * middle
        good = np.abs(values - middle) < 4.0 * np.hypot(spread, errors)
        angle, search = float(np.median(values[good])), min(search, 0.0015)
    floor = float(np.std(values[good], ddof=1)) if good.sum() > 2 else 0.0
    weight = 1.0 / (errors[good] ** 2 + floor**2)
    mean = float(np.sum(weight * values[good]) / np.sum(weight))
    stderr = float(1.0 / np.sqrt(np.sum(weight)))
    centred = at[good] - np.sum(weight * at[good]) / np.sum(weight)
    slope = float(np.sum(weight * centred * (values[good] - mean)) / np.sum(weight * centred**2))
    slope_error = float(1.0 / np.sqrt(np.sum(weight * centred**2)))
    out = ds.copy(deep=False)
    out.attrs.update(
        two_theta_deg=mean,
        two_theta_stderr=stderr,
        two_theta_scatter=floor,
        two_theta_slope=slope,
        two_theta_slope_stderr=slope_error,
        two_theta_lines=json.dumps(
            [
                {"hkl": list(h), "energy": float(e), "two_theta": float(v), "stderr": float(s),
                 "used": bool(g)}
                for h, e, v, s, g in zip(hkl, at, values, errors, good, strict=True)
            ]
        ),
    )  # fmt: skip
    out.attrs["calibration"] = (
        f"{ds.attrs['energy_calibration']}; 2theta {mean:.4f} +- {stderr:.4f} deg from "
        f"{int(good.sum())} reflections of {settings.standard}, scatter {floor:.4f}, slope "
        f"{slope:.1e} +- {slope_error:.0e} deg/keV"
    )
    return out


def _angles(
    energy: Array,
    counts: Array,
    powder: Standard,
    angle: float,
    search: float,
    detector: Detector,
    settings: StandardPowder,
) -> tuple[list[tuple[int, int, int]], Array, Array, Array]:
    """Angle, its error and the energy of every reflection that stands alone."""
    top = min(float(energy[-1]), settings.high_keV)
    hkl, d = reflections_of(powder, float(bragg_energy(top, angle)))
    expected = bragg_energy(d, angle)
    escapes = with_escape(expected, np.ones_like(expected), detector)[0][expected.size :]
    own = [e for lines in FLUORESCENCE.values() for e, _ in lines[:2]]
    disturbing = np.concatenate([expected, np.asarray(settings.skip_keV, float)])
    rows = []
    for index, (h, spacing, place) in enumerate(zip(hkl, d, expected, strict=True)):
        width = float(detector.fwhm(place))
        gap = np.abs(np.delete(disturbing, index) - place)
        if place < settings.low_keV or (gap.size and gap.min() < 2.2 * width):
            continue
        peak = fit_peak(energy, counts, float(place), 1.1 * width, search=search * float(place))
        if peak is None or peak.fwhm > 1.8 * width:
            continue
        strongest = np.min(np.abs(np.asarray(own) - peak.center)) < 0.5 * width
        hidden = escapes.size and np.min(np.abs(escapes - peak.center)) < width
        error = two_theta(spacing, peak.center - peak.center_stderr) - two_theta(
            spacing, peak.center
        )
        # lines on a fluorescence or an escape line keep a wider error, so that they cannot lead
        factor = 4.0 if strongest or hidden else 1.0
        rows.append((h, peak.center, float(two_theta(spacing, peak.center)), float(error) * factor))
    return (
        [r[0] for r in rows],
        np.array([r[1] for r in rows]),
        np.array([r[2] for r in rows]),
        np.array([r[3] for r in rows]),
    )


def a_from_lines(two_theta_deg: float, energy: npt.ArrayLike, n2: npt.ArrayLike) -> Array:
    """Return cubic lattice parameters, ``a = hc sqrt(n2) / (2 E sin(theta))``."""
    e, n = np.asarray(energy, float), np.asarray(n2, float)
    return np.asarray(HC * np.sqrt(n) / (2.0 * e * np.sin(np.radians(two_theta_deg) / 2.0)))

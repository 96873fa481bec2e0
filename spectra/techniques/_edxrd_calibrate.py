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
from ._edxrd_axis import channels_of, header_scale, on_energy
from ._edxrd_peaks import fit_peak
from ._edxrd_physics import (
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
    noise_keV: float | None = Field(None, ge=0, description="noise of the detector, fwhm in keV")
    fano: float | None = Field(None, gt=0, description="Fano factor of the detector")
    divergence: float | None = Field(
        None, ge=0, description="fwhm over energy that the slits give diffraction lines"
    )
    crystal: Literal["Ge", "Si", "CdTe", "CZT"] | None = Field(
        None, description="what the detector is made of, for its escape lines; none is germanium"
    )
    covariance: tuple[tuple[float, float, float, float], ...] = Field(
        (), description="4 x 4 covariance of c0, c1, c2 (keV) and the angle (deg)"
    )
    elements: tuple[tuple[float, float, float], ...] = Field(
        (), description="c0, c1, c2 (keV) of every element of a detector, in order"
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
    from ._edxrd_covariance import Covariance
    from ._edxrd_elements import on_common_axis

    header = header_scale(ds)
    c0, c1, c2 = settings.c0, settings.c1, settings.c2
    said = []
    own = _element_scales(ds, settings)
    if own is not None:
        ds = on_common_axis(ds, own)
        said.append(
            f"scales of {len(own)} elements {'given' if settings.elements else 'of the header'}"
        )
    elif c1 is not None:
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
    for key in ("noise_keV", "fano", "divergence"):
        if getattr(settings, key) is not None:
            ds.attrs[key] = getattr(settings, key)
    if settings.crystal:
        ds.attrs["detector_crystal"] = settings.crystal
    angle = settings.two_theta_deg
    if angle is None and settings.trust_header:
        angle = ds.attrs.get("header_two_theta_deg")
    if angle is not None:
        ds.attrs["two_theta_deg"] = float(angle)
        said.append(f"2theta {float(angle):g} deg given")
        for old in ("two_theta_stderr", "two_theta_scatter", "two_theta_lines"):
            ds.attrs.pop(old, None)
    if settings.covariance:
        matrix = np.array(settings.covariance)
        if matrix.shape != (4, 4) or np.any(np.diag(matrix) < 0.0):
            raise CalibrationError(
                f"{where(ds)}: covariance of shape {matrix.shape}; it must be 4 x 4 (c0, c1, c2, "
                "angle) with squares on its diagonal"
            )
        names = ("c0", "c1", "c2", "two_theta")
        value = tuple(float(ds.attrs.get(f"c{i}_keV", 0.0)) for i in range(3))
        ds.attrs["calibration_covariance"] = Covariance(
            names, (*value, float(ds.attrs.get("two_theta_deg", 0.0))), settings.covariance
        ).text()
        ds.attrs["two_theta_stderr"] = float(np.sqrt(matrix[3, 3]))
    elif settings.c1 is not None or settings.elements:
        ds.attrs.pop("calibration_covariance", None)
    ds.attrs["calibration"] = "; ".join(said)
    return ds


def _element_scales(ds: xr.Dataset, settings: Known) -> list[dict[str, float]] | None:
    """Scales of the elements of a detector, given or (if trusted) the header's."""
    if "detector" not in ds["intensity"].dims:
        return None
    if settings.elements:
        rows = settings.elements
    elif settings.trust_header and "header_c1_keV" in ds.coords:
        found = np.stack([ds[f"header_c{i}_keV"].values for i in range(3)], axis=1)
        if np.any(found[:, 1] <= 0.0) or np.any(found[:, 1] == 1.0):
            return None
        rows = tuple((float(a), float(b), float(c)) for a, b, c in found)
    else:
        return None
    return [{f"c{i}_keV": row[i] for i in range(3)} for row in rows]


def total(ds: xr.Dataset) -> Array:
    """Return counts summed over all outer dims, where valid.

    Raises
    ------
    CalibrationError
        If the spectra were taken at several angles: reflections would be smeared in the sum, over
        the lines of sources too.
    """
    _of_one_angle(ds)
    y = ds["intensity"]
    if "valid" in ds:
        y = y.where(ds["valid"], 0)
    return np.asarray(y.sum(outer_dims(ds)).values, float)


def _of_one_angle(ds: xr.Dataset) -> None:
    """Refuse spectra that say they were taken at angles more than 0.01 degree apart."""
    told = ds.coords.get("header_two_theta")
    if told is None or told.size < 2 or not set(told.dims) & (set(outer_dims(ds)) - {"detector"}):
        return
    low, high = float(np.nanmin(told.values)), float(np.nanmax(told.values))
    if high - low > 0.01:
        raise CalibrationError(
            f"{where(ds)}: taken at {len(np.unique(told.values))} angles, {low:g} to {high:g} deg: "
            "reflections walk through their sum; calibrate one of them "
            f"(ds.isel({told.dims[0]}=0)) and take its scale to the others "
            "(calibrate(other, 'known', **edxrd.scale_of(it)))"
        )


def sources(ds: xr.Dataset, settings: Sources) -> xr.Dataset:
    """Fit the energy scale to lines of known energy; keep noise and Fano factor of the detector.

    The joint fit (`_edxrd_joint.joint`) without a standard.

    Raises
    ------
    CalibrationError
        If no start is known, or fewer lines are found than coefficients are wanted.
    """
    unknown = [s for s in settings.sources if s not in SOURCES]
    if unknown:
        raise CalibrationError(f"sources: {unknown[0]!r}: allowed: {', '.join(SOURCES)}")
    from ._edxrd_joint import Joint, joint

    return joint(
        ds,
        Joint(
            sources=settings.sources,
            lines=settings.lines,
            guess=settings.guess,
            degree=settings.degree,
            search_keV=settings.search_keV,
        ),
    )


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
            "calibrate(ds, 'known', c0=..., c1=...); or both at once: calibrate(ds, 'joint', ...)"
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
    carried = _with_angle(ds, at[good], weight, mean, stderr)
    if carried is not None:
        out.attrs["calibration_covariance"] = carried
    out.attrs["calibration"] = (
        f"{ds.attrs['energy_calibration']}; 2theta {mean:.4f} +- {stderr:.4f} deg from "
        f"{int(good.sum())} reflections of {settings.standard}, scatter {floor:.4f}, slope "
        f"{slope:.1e} +- {slope_error:.0e} deg/keV"
    )
    return out


def _with_angle(
    ds: xr.Dataset, energy: Array, weight: Array, angle: float, stderr: float
) -> str | None:
    """Covariance of scale and angle: an error of the scale moves the angle found with it.

    ``sin(theta) = hc / (2 d E)``, so ``dtheta = -tan(theta) dE / E``.
    """
    from ._edxrd_covariance import Covariance

    before = Covariance.of(ds.attrs)
    if before is None:
        return None
    scale = before.part(("c0", "c1", "c2"))
    x, channel = ds["photon_energy"].values, channels_of(ds)
    at = np.interp(energy, x, channel)
    w = weight / weight.sum()
    factor = -2.0 * np.degrees(np.tan(np.radians(angle) / 2.0))
    jac = factor * np.array([np.sum(w * at**k / energy) for k in range(3)])
    matrix = np.zeros((4, 4))
    matrix[:3, :3] = scale
    matrix[:3, 3] = matrix[3, :3] = scale @ jac
    matrix[3, 3] = stderr**2 + float(jac @ scale @ jac)
    value = tuple(float(ds.attrs.get(f"c{i}_keV", 0.0)) for i in range(3))
    rows = tuple(tuple(map(float, row)) for row in matrix)
    return Covariance(("c0", "c1", "c2", "two_theta"), (*value, angle), rows).text()


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

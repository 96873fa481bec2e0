"""Energy-dispersive diffraction in formulas: Bragg, detector, escape, intensity of powder lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._edxrd_escape import escapes

if TYPE_CHECKING:
    from references import Library

HC = 12.398419843
"""Planck's constant times the speed of light, keV angstrom (SI values, exact)."""
EPSILON_GE = 2.96e-3
"""Energy per electron-hole pair in germanium at 77 K, keV."""
_FWHM = 2.3548200450309493

Array = npt.NDArray[np.float64]

FLUORESCENCE: dict[str, tuple[tuple[float, float], ...]] = {
    "Ag": ((22.16292, 1.0), (21.9903, 0.530), (24.9424, 0.179), (24.9115, 0.092), (25.4564, 0.045)),
    "In": ((24.2097, 1.0), (24.0020, 0.533), (27.2759, 0.184), (27.2377, 0.095), (27.8608, 0.05)),
    "Sn": ((25.2713, 1.0), (25.0440, 0.534), (28.4860, 0.186), (28.4440, 0.096), (29.1093, 0.053)),
    "La": ((33.4418, 1.0), (33.0341, 0.544), (37.8010, 0.200), (37.7206, 0.104), (38.7299, 0.066)),
    "Ce": ((34.7197, 1.0), (34.2789, 0.546), (39.2573, 0.202), (39.1701, 0.105), (40.233, 0.068)),
    "Ta": ((57.532, 1.0), (56.277, 0.574), (65.223, 0.217), (64.949, 0.112), (66.95, 0.085)),
    "W": ((59.31824, 1.0), (57.9817, 0.577), (67.2443, 0.219), (66.9514, 0.113), (69.067, 0.086)),
    "Au": ((68.8037, 1.0), (66.9895, 0.587), (77.984, 0.225), (77.580, 0.116), (80.15, 0.09)),
    "Pb": ((74.9694, 1.0), (72.8042, 0.595), (84.936, 0.228), (84.450, 0.118), (87.32, 0.095)),
}
"""K lines: energy in keV (R. D. Deslattes et al., Rev. Mod. Phys. 75 (2003) 35) and intensity over
Ka1 (J. H. Scofield, At. Data Nucl. Data Tables 14 (1974) 121, rounded)."""


def bragg_energy(d: npt.ArrayLike, two_theta_deg: float) -> Array:
    """Return the energy of reflections, ``hc / (2 d sin(theta))``.

    Parameters
    ----------
    d : array_like
        Spacings, angstrom.
    two_theta_deg : float
        Scattering angle.

    Returns
    -------
    ndarray
        keV.
    """
    return np.asarray(HC / (2.0 * np.asarray(d, float) * np.sin(np.radians(two_theta_deg) / 2.0)))


def two_theta(d: npt.ArrayLike, energy: npt.ArrayLike) -> Array:
    """Return the angle in degree at which spacings d (angstrom) diffract at energies (keV)."""
    sine = HC / (2.0 * np.asarray(d, float) * np.asarray(energy, float))
    return np.asarray(2.0 * np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0))))


@dataclass(frozen=True)
class Detector:
    """Widths and escape of a semiconductor detector.

    Parameters
    ----------
    noise_keV : float
        Electronic noise, full width at half maximum.
    fano : float
        Fano factor, of germanium; that of another crystal is this times 2.96 eV over its energy
        per pair (CdTe 4.43, Si 3.65 eV).
    divergence : float
        Relative width ``cot(theta) dtheta`` (fwhm over energy) of diffraction lines.
    escape : float
        Factor on the computed escape fraction; 0 leaves escape lines out.
    crystal : str
        What it is made of: a key of `_edxrd_escape.CRYSTALS`.
    """

    noise_keV: float = 0.121
    fano: float = 0.106
    divergence: float = 0.0
    escape: float = 1.0
    crystal: str = "Ge"

    def fwhm(self, energy: npt.ArrayLike, *, fluorescence: bool = False) -> Array:
        """Return the full width at half maximum, keV, of lines at energies in keV.

        ``fwhm^2 = noise^2 + 2.3548^2 fano eps E + (divergence E)^2``; the last term is of
        diffraction lines only.
        """
        e = np.asarray(energy, float)
        own = self.noise_keV**2 + _FWHM**2 * self.fano * EPSILON_GE * np.maximum(e, 0.0)
        return np.asarray(np.sqrt(own + (0.0 if fluorescence else (self.divergence * e) ** 2)))

    @classmethod
    def of(cls, attrs: Mapping[str, Any], **told: float | None) -> Detector:
        """Return the detector of a spectrum: what is told, else its attrs, else typical values."""
        names = ("noise_keV", "fano", "divergence", "escape")
        found = {n: told.get(n) if told.get(n) is not None else attrs.get(n) for n in names}
        numbers = {n: float(v) for n, v in found.items() if v is not None}
        return cls(**numbers, crystal=str(attrs.get("detector_crystal", "Ge")))


@dataclass(frozen=True)
class Incident:
    """Smooth positive spectrum that lines are multiplied with: source, absorption, efficiency.

    A natural cubic spline of ln(value) against ln(energy); constant slope outside the knots.
    """

    energy: tuple[float, ...] = ()
    value: tuple[float, ...] = ()

    def __call__(self, energy: npt.ArrayLike) -> Array:
        """Return the spectrum, per unit of energy, at energies in keV."""
        from scipy.interpolate import CubicSpline

        e = np.asarray(energy, float)
        if not self.energy:
            return np.ones_like(e)
        x, y = np.log(self.energy), np.log(self.value)
        if len(x) < 4:
            return np.asarray(np.exp(np.interp(np.log(e), x, y)))
        spline = CubicSpline(x, y, bc_type="natural")
        at = np.log(e)
        inside = np.clip(at, x[0], x[-1])
        return np.asarray(np.exp(spline(inside) + (at - inside) * spline(inside, 1)))

    def text(self) -> str:
        """Return the knots as JSON for attrs."""
        return json.dumps({"energy": self.energy, "value": self.value})

    @classmethod
    def of(cls, attrs: Mapping[str, Any]) -> Incident:
        """Return the incident spectrum of ``attrs["incident"]``; flat if there is none."""
        text = attrs.get("incident")
        if not text:
            return cls()
        data = json.loads(str(text))
        return cls(tuple(data["energy"]), tuple(data["value"]))


@dataclass(frozen=True)
class PhaseLines:
    """Diffraction lines of one phase at one angle.

    Parameters
    ----------
    energy : ndarray
        keV, ascending.
    strength : ndarray
        Counts per unit volume fraction, up to one factor common to all phases: ``j |F|^2 / V^2
        S(E) / E^2`` (kinematic powder diffraction at fixed angle, i0 per unit energy; B. Buras,
        L. Gerward, Acta Cryst. A31 (1975) 372).
    d : ndarray
        Spacings, angstrom.
    hkl : tuple
    """

    energy: Array
    strength: Array
    d: Array
    hkl: tuple[tuple[int, int, int], ...]


def phase_lines(
    species: str,
    library: Library,
    two_theta_deg: float,
    low: float,
    high: float,
    incident: Incident,
    weakest: float = 1e-4,
    factors: Mapping[str, float] | None = None,
) -> PhaseLines:
    """Return the diffraction lines of a phase between two energies.

    Structure factors hold the anomalous dispersion at the energy of each line.

    Parameters
    ----------
    species : str
        Species or structure id.
    library : references.Library
    two_theta_deg : float
    low, high : float
        keV.
    incident : Incident
    weakest : float
        Lines below this share of the strongest are left out.
    factors : mapping of str to float, optional
        Measured over computed j|F|^2 by "h k l", and under "B" an isotropic displacement factor
        in square angstrom: see `measured_factors`.

    Returns
    -------
    PhaseLines
        Empty if no line lies in the range.

    Raises
    ------
    LibraryError
        If the library has no structure with atoms.
    """
    from references.diffraction import cell_volume, reflections

    d_min = float(bragg_energy(high, two_theta_deg))  # hc / (2 x sin) is its own inverse
    # anomalous dispersion varies little over a hundredth of a degree, and tables are kept by angle
    table = reflections(
        species,
        d_min=round(d_min - 5e-4, 3),
        library=library,
        two_theta_deg=round(two_theta_deg, 2),
    )
    d = np.array([r.d for r in table], float)
    energy = bragg_energy(d, two_theta_deg) if d.size else np.zeros(0)
    jf2 = np.array([r.multiplicity * r.f2 for r in table], float)
    if factors:
        jf2 *= np.exp(-0.5 * factors.get("B", 0.0) / np.maximum(d, 1e-3) ** 2)
        jf2 *= [factors.get(" ".join(map(str, r.hkl)), 1.0) for r in table]
    volume = cell_volume(species, library)
    strength = jf2 / volume**2 * incident(np.maximum(energy, 1e-3)) / energy**2
    keep = (energy >= low) & (energy <= high)
    if keep.any():
        keep &= strength > weakest * strength[keep].max()
    at = np.flatnonzero(keep)
    at = at[np.argsort(energy[at])]
    return PhaseLines(energy[at], strength[at], d[at], tuple(table[i].hkl for i in at))


def measured_factors(attrs: Mapping[str, Any], species: str) -> dict[str, float]:
    """Return measured over computed j|F|^2 by "h k l", and "B", from the attrs."""
    text, thermal = attrs.get("intensities"), attrs.get("debye_waller")
    found = dict(json.loads(str(text)).get(species, {})) if text else {}
    b = json.loads(str(thermal)).get(species) if thermal else None
    return found if b is None else {**found, "B": float(b)}


def with_escape(
    energy: Array, strength: Array, detector: Detector
) -> tuple[Array, Array, npt.NDArray[np.int64]]:
    """Append the detector's escape lines to lines.

    Returns
    -------
    energy, strength : ndarray
        Lines first, then the escape lines of all of them, one kind after the other.
    parent : ndarray of int
        Index of the line each belongs to.
    """
    at = np.arange(energy.size)
    if detector.escape <= 0.0 or not energy.size:
        return energy, strength, at
    lost = escapes(energy, detector.crystal)
    return (
        np.concatenate([energy, *(energy - loss for loss, _ in lost)]),
        np.concatenate([strength, *(detector.escape * share * strength for _, share in lost)]),
        np.tile(at, 1 + len(lost)),
    )

"""How deep XPS looks: TPP-2M mean free paths, overlayer thickness, sputtered depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.optimize import brentq

from ..errors import ModelError

if TYPE_CHECKING:
    from references.model import Species

Array = npt.NDArray[np.float64]

VALENCE = {
    "H": 1, "Li": 1, "Be": 2, "B": 3, "C": 4, "N": 5, "O": 6, "F": 7, "Na": 1, "Mg": 2, "Al": 3,
    "Si": 4, "P": 5, "S": 6, "Cl": 7, "K": 1, "Ca": 2, "Sc": 3, "Ti": 4, "V": 5, "Cr": 6, "Mn": 7,
    "Fe": 8, "Co": 9, "Ni": 10, "Cu": 11, "Zn": 12, "Ga": 3, "Ge": 4, "As": 5, "Se": 6, "Br": 7,
    "Y": 3, "Zr": 4, "Nb": 5, "Mo": 6, "Ru": 8, "Rh": 9, "Pd": 10, "Ag": 11, "Cd": 12, "In": 3,
    "Sn": 4, "Sb": 5, "Te": 6, "I": 7, "Ba": 2, "La": 3, "Sm": 9, "Yb": 8, "Hf": 4, "Ta": 5,
    "W": 6, "Re": 7, "Os": 8, "Ir": 9, "Pt": 10, "Au": 11, "Hg": 12, "Bi": 5,
}  # fmt: skip
"""Valence electrons per atom as Tanuma, Powell and Penn count them (d electrons of transition
metals included, closed d shells of p-block elements not; 5p electrons of rare earths as far as
NIST SRD 71's tables of the formula show it, Sm and Yb)."""


def tpp2m(
    kinetic_eV: npt.ArrayLike,
    *,
    density: float,
    molar_mass: float,
    valence_electrons: float,
    band_gap_eV: float = 0.0,
) -> Array:
    """Inelastic mean free path of electrons by the TPP-2M formula.

    S. Tanuma, C. J. Powell, D. R. Penn, Surf. Interface Anal. 21 (1994) 165, equations 3 to 8:
    ``E / (Ep^2 [beta ln(gamma E) - C/E + D/E^2])``, in angstrom there, for 50 eV to 2 keV (it is
    used to 30 keV); root mean square error about 10 %.

    Parameters
    ----------
    kinetic_eV : array_like
        Kinetic energies, eV.
    density : float
        g/cm3.
    molar_mass : float
        g/mol of the formula unit.
    valence_electrons : float
        Per formula unit.
    band_gap_eV : float
        Zero for conductors.

    Returns
    -------
    ndarray
        nm.

    Raises
    ------
    ModelError
        If an energy is below 50 eV or the material is not physical.
    """
    energy = np.asarray(kinetic_eV, dtype=float)
    if not (density > 0 and molar_mass > 0 and valence_electrons > 0 and band_gap_eV >= 0):
        raise ModelError("tpp2m: density, molar mass and valence electrons must be positive")
    if np.any(energy < 50.0):
        raise ModelError(f"tpp2m: {float(energy.min()):g} eV; 50 eV is the least")
    u = valence_electrons * density / molar_mass
    plasmon2 = 829.4 * u  # (28.8 eV)^2 N rho / M
    beta = -0.10 + 0.944 / np.sqrt(plasmon2 + band_gap_eV**2) + 0.069 * density**0.1
    gamma = 0.191 / np.sqrt(density)
    c = 1.97 - 0.91 * u
    d = 53.4 - 20.8 * u
    angstrom = energy / (plasmon2 * (beta * np.log(gamma * energy) - c / energy + d / energy**2))
    return np.asarray(0.1 * angstrom)


def attenuation_length(
    kinetic_eV: npt.ArrayLike,
    species: Species,
    band_gap_eV: float = 0.0,
    valence_electrons: float | None = None,
    density: float | None = None,
) -> Array:
    """Inelastic mean free path in a species of the library.

    Parameters
    ----------
    kinetic_eV : array_like
    species : Species
        With a density.
    band_gap_eV : float
    valence_electrons : float, optional
        Per formula unit; counted with `VALENCE` by default.
    density : float, optional
        g/cm3, of a film or an amorphous phase; the library's by default.

    Returns
    -------
    ndarray
        nm.

    Raises
    ------
    ModelError
        If the density or an element's valence electrons are not known.
    """
    density = density or species.density
    if not density:
        raise ModelError(
            f"attenuation length: the library has no density of {species.id}; give density="
        )
    count = valence_electrons
    if count is None:
        unknown = [e for e in species.atoms if e not in VALENCE]
        if unknown:
            raise ModelError(
                f"attenuation length: valence electrons of {', '.join(unknown)} are not tabulated; "
                "pass valence_electrons="
            )
        count = sum(VALENCE[e] * n for e, n in species.atoms.items())
    return tpp2m(
        kinetic_eV,
        density=density,
        molar_mass=species.molar_mass,
        valence_electrons=count,
        band_gap_eV=band_gap_eV,
    )


def overlayer_thickness(
    ratio: npt.ArrayLike,
    ratio_error: npt.ArrayLike = 0.0,
    *,
    bulk_ratio: float,
    length_over_nm: float,
    length_under_nm: float | None = None,
    emission_deg: npt.ArrayLike = 0.0,
) -> tuple[Array, Array]:
    """Thickness of a uniform overlayer from the intensity ratio of overlayer and substrate.

    Solves ``R = R0 (1 - exp(-d / (Lo cos a))) / exp(-d / (Lu cos a))``; with equal lengths this is
    ``d = L cos a ln(1 + R / R0)`` (P. J. Cumpson, Surf. Interface Anal. 29 (2000) 403).

    Parameters
    ----------
    ratio, ratio_error : array_like
        Overlayer over substrate intensity and its standard error.
    bulk_ratio : float
        The same ratio for thick samples of both, R0.
    length_over_nm, length_under_nm : float
        Attenuation lengths in the overlayer of the overlayer's and the substrate's electrons.
    emission_deg : array_like
        Emission angle from the surface normal.

    Returns
    -------
    thickness, error : ndarray
        nm; NaN where the ratio is not positive.

    Raises
    ------
    ModelError
        If a length, R0 or an angle makes no sense.
    """
    under = length_over_nm if length_under_nm is None else length_under_nm
    angle = np.asarray(emission_deg, dtype=float)
    if min(bulk_ratio, length_over_nm, under) <= 0 or np.any(np.abs(angle) >= 90.0):
        raise ModelError("overlayer: lengths and bulk ratio must be positive, angles below 90 deg")
    r, error, cos = np.broadcast_arrays(
        np.asarray(ratio, dtype=float) / bulk_ratio,
        np.asarray(ratio_error, dtype=float) / bulk_ratio,
        np.cos(np.deg2rad(angle)),
    )
    thick = np.full(r.shape, np.nan)
    slope = np.full(r.shape, np.nan)
    for at in np.ndindex(r.shape):
        if not (np.isfinite(r[at]) and r[at] > 0):
            continue
        lo, lu = float(length_over_nm * cos[at]), float(under * cos[at])
        one = float(r[at])

        def excess(d: float, lo: float = lo, lu: float = lu, r: float = one) -> float:
            return float(np.log(-np.expm1(-d / lo)) + d / lu - np.log(r))

        top = lo
        while excess(top) < 0 and top < 1e4 * lo:
            top *= 2.0
        thick[at] = brentq(excess, 1e-12 * lo, top)
        d = thick[at]
        slope[at] = r[at] * (np.exp(-d / lo) / (lo * -np.expm1(-d / lo)) + 1.0 / lu)
    return thick, error / slope


def sputtered_depth(ds: xr.Dataset, rate_nm_s: float) -> xr.Dataset:
    """Turn etch time into depth with a stated sputter rate.

    Parameters
    ----------
    ds : xr.Dataset
        Anything with ``etch_time`` (s): a Spectrum, a fit's values, amounts.
    rate_nm_s : float
        Sputter rate, nm/s, of this material (SiO2 rates of the instrument are not it).

    Returns
    -------
    xr.Dataset
        The dimension renamed to ``depth`` (nm).

    Raises
    ------
    ModelError
        If there is no etch time, or the rate is not positive.
    """
    if "etch_time" not in ds.dims:
        raise ModelError("sputtered_depth: no dimension etch_time; it is for depth profiles")
    if not rate_nm_s > 0:
        raise ModelError(f"sputtered_depth: rate {rate_nm_s:g} nm/s; it must be positive")
    depth = ds["etch_time"].values * rate_nm_s
    out = ds.rename({"etch_time": "depth"})
    return out.assign_coords(depth=("depth", depth, {"units": "nm"}))

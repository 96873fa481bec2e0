"""Line intensities of the certified powders, so that they give the incident spectrum too."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from ._edxrd_calibrate import STANDARDS
from ._edxrd_physics import Incident, PhaseLines, bragg_energy

Array = npt.NDArray[np.float64]
Site = tuple[str, float, tuple[tuple[float, float, float], ...]]

_FACE = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
_BODY = ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5))


def _moved(
    points: tuple[tuple[float, float, float], ...], by: float
) -> tuple[tuple[float, float, float], ...]:
    return tuple((x + by, y + by, z + by) for x, y, z in points)


_BORON = 0.1997
SITES: dict[str, tuple[Site, ...]] = {
    "Au": (("Au", 0.62, _FACE),),
    "Si": (("Si", 0.463, (*_FACE, *_moved(_FACE, 0.25))),),
    "CeO2": (
        ("Ce4+", 0.22, _FACE),
        ("O1-", 0.42, (*_moved(_FACE, 0.25), *_moved(_FACE, 0.75))),
    ),
    "LaB6": (
        ("La", 0.35, ((0.0, 0.0, 0.0),)),
        ("B", 0.28, tuple(
            (x, y, z)
            for s in (_BORON, 1.0 - _BORON)
            for x, y, z in ((s, 0.5, 0.5), (0.5, s, 0.5), (0.5, 0.5, s))
        )),
    ),
    "Fe": (("Fe", 0.33, _BODY),),
    "W": (("W", 0.16, _BODY),),
}  # fmt: skip
"""Scattering species, Debye-Waller B at room temperature (angstrom^2) and places.

B of silicon from P. J. E. Aldred, M. Hart, Proc. R. Soc. A 332 (1973) 223; the others are rounded
from Debye models and refinements, good to 10 to 20 %: what they miss is smooth in energy and goes
into the incident spectrum. Boron at x = 0.1997 in LaB6 (NIST SRM 660)."""


@cache
def _squared(name: str, a: float, d_min: float) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """``h^2 + k^2 + l^2`` of the lines and sum of |F|^2 over all reflections of each."""
    import xraydb

    top = int(a / d_min) + 1
    index = np.arange(-top, top + 1)
    hkl = np.stack(np.meshgrid(index, index, index, indexing="ij"), axis=-1).reshape(-1, 3)
    n = np.sum(hkl**2, axis=1)
    keep = (n > 0) & (n <= (a / d_min) ** 2)
    hkl, n = hkl[keep], n[keep]
    if not n.size:
        return (), ()
    s = np.sqrt(n) / (2.0 * a)  # sin(theta) / lambda, 1/angstrom
    shells, inverse = np.unique(n, return_inverse=True)
    q = np.sqrt(shells) / (2.0 * a)
    amplitude = np.zeros(len(hkl), complex)
    for ion, b, places in SITES[name]:
        f = np.asarray(xraydb.f0(ion, q), float)[inverse] * np.exp(-b * s**2)
        phase = np.exp(2j * np.pi * (hkl @ np.array(places).T)).sum(axis=1)
        amplitude += f * phase
    total = np.bincount(inverse, np.abs(amplitude) ** 2)
    seen = total > 1e-6 * total.max()
    return tuple(int(v) for v in shells[seen]), tuple(float(v) for v in total[seen])


def standard_lines(
    name: str,
    two_theta_deg: float,
    low: float,
    high: float,
    incident: Incident | None = None,
    a: float | None = None,
) -> PhaseLines:
    """Return the lines of a certified powder with their kinematic intensities.

    Parameters
    ----------
    name : str
        Key of `STANDARDS`.
    two_theta_deg : float
    low, high : float
        keV.
    incident : Incident, optional
        Flat if not given.
    a : float, optional
        Another lattice parameter, angstrom.

    Returns
    -------
    PhaseLines
        ``strength = sum |F|^2 exp(-2 B s^2) / V^2 S(E) / E^2``, as `phase_lines` for the library.
    """
    a = a or STANDARDS[name].a
    n, squared = _squared(name, a, float(bragg_energy(high, two_theta_deg)))
    d = a / np.sqrt(np.array(n, float))
    energy = bragg_energy(d, two_theta_deg)
    keep = (energy >= low) & (energy <= high)
    shape = incident or Incident()
    strength = np.array(squared) / a**6 * shape(np.maximum(energy, 1e-3)) / energy**2
    hkl = tuple(_first(v) for v in np.array(n)[keep])
    return PhaseLines(energy[keep], strength[keep], d[keep], hkl)


def _first(n: int) -> tuple[int, int, int]:
    """Return the indices of a shell with the largest first one."""
    for h in range(int(np.sqrt(n)) + 1, -1, -1):
        for k in range(min(h, int(np.sqrt(n))), -1, -1):
            rest = int(n) - h * h - k * k
            j = round(np.sqrt(rest)) if rest >= 0 else -1
            if 0 <= j <= k and j * j == rest:
                return h, k, j
    raise ValueError(f"{n} is no sum of three squares")

"""Escape lines of detector crystals: K photons that leave through the front take their energy.

Germanium loses 9.9 keV, silicon 1.7; CdTe loses the K lines of cadmium (23.1, 26.2 keV)
and of tellurium (27.4, 31.1 keV), together 5 % of a line at 60 keV where germanium loses 0.5 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

CRYSTALS: Mapping[str, Mapping[str, float]] = {
    "Ge": {"Ge": 1.0},
    "Si": {"Si": 1.0},
    "CdTe": {"Cd": 1.0, "Te": 1.0},
    "CZT": {"Cd": 0.9, "Zn": 0.1, "Te": 1.0},
}
"""Atoms of the crystals; zinc of CZT (one atom in twenty) absorbs, its escape is left out."""
GE_K_EDGE = 11.1031
GE_KA, GE_KB = 9.876, 10.981


def escape_fraction(energy: npt.ArrayLike) -> Array:
    """Return escaped over counted photons of a thick germanium crystal hit face on.

    ``0.5 w (1 - 1/r) (1 - (m_K / m) ln(1 + m / m_K))`` with the fluorescence yield w = 0.535, the
    edge jump r = 7.0, and the attenuation m at the line's energy and m_K at Ge Ka (S. J. B. Reed,
    N. G. Ware, J. Phys. E 5 (1972) 582). Zero below the K edge at 11.103 keV.

    Parameters
    ----------
    energy : array_like
        keV.

    Returns
    -------
    ndarray
    """
    e = np.asarray(energy, float)
    ratio = np.interp(np.log(np.maximum(e, 1.0)), *_germanium())
    value = 0.5 * 0.535 * (1.0 - 1.0 / 7.0) * (1.0 - np.log1p(ratio) / ratio)
    return np.asarray(np.where(e > GE_K_EDGE, value, 0.0))


@cache
def _germanium() -> tuple[Array, Array]:
    """Attenuation of germanium over that at its own Ka line, against ln E."""
    import xraydb

    grid = np.geomspace(GE_K_EDGE + 0.002, 300.0, 200)
    own = float(xraydb.mu_elam("Ge", 9886.0, kind="photo"))
    return np.log(grid), np.asarray(xraydb.mu_elam("Ge", grid * 1e3, kind="photo")) / own


def escapes(energy: npt.ArrayLike, crystal: str = "Ge") -> tuple[tuple[float, Array], ...]:
    """Return what a crystal loses: energy lost (keV) and share of the photons counted.

    For compounds the formula of `escape_fraction` with each element's share of the absorption, and
    yields, edge jumps and lines of W. T. Elam et al., Radiat. Phys. Chem. 63 (2002) 121 (xraydb).
    A K photon of tellurium that cadmium absorbs and emits again is left out.

    Parameters
    ----------
    energy : array_like
        Of the photons, keV.
    crystal : str
        One of `CRYSTALS`.

    Returns
    -------
    tuple of (float, ndarray)
        Ka and Kb of each element; shares over the counts of the whole line, as energies.
    """
    e = np.asarray(energy, float)
    if crystal == "Ge":
        whole = escape_fraction(e)
        return (GE_KA, 0.88 * whole), (GE_KB, 0.12 * whole)
    out = []
    for edge, alone, lines, table in _compound(crystal):
        share = np.interp(np.log(np.maximum(e, 1.0)), *alone)
        for (loss, part), ratio in zip(lines, table, strict=True):
            m = np.interp(np.log(np.maximum(e, 1.0)), alone[0], ratio)
            value = 0.5 * share * part * (1.0 - np.log1p(m) / m)
            out.append((loss, np.asarray(np.where(e > edge, value, 0.0))))
    return tuple(out)


_Lines = tuple[tuple[float, float], ...]


@cache
def _compound(crystal: str) -> tuple[tuple[float, tuple[Array, Array], _Lines, list[Array]], ...]:
    """Per element: edge, yield times its share of absorption against ln E, lines, m / m_line."""
    import xraydb

    atoms = CRYSTALS[crystal]
    mass = {el: n * float(xraydb.atomic_mass(el)) for el, n in atoms.items()}
    total = sum(mass.values())

    def photo(el: str, kev: npt.ArrayLike) -> Array:
        at = np.asarray(kev, float) * 1e3
        return np.asarray(mass[el] / total * xraydb.mu_elam(el, at, kind="photo"), float)

    def whole(kev: npt.ArrayLike) -> Array:
        return np.asarray(sum(photo(el, kev) for el in atoms))

    made = []
    for el in atoms:
        if el == "Zn":
            continue
        edge = xraydb.xray_edge(el, "K")
        kev = float(edge.energy) * 1e-3
        grid = np.geomspace(kev + 0.002, 300.0, 200)
        k_share = photo(el, grid) / whole(grid) * (1.0 - 1.0 / float(edge.jump_ratio))
        found = xraydb.xray_lines(el, "K")
        lines, ratios = [], []
        norm = sum(line.intensity for line in found.values())
        for kind in ("Ka", "Kb"):
            own = [line for name, line in found.items() if name.startswith(kind)]
            part = sum(line.intensity for line in own)
            loss = sum(line.energy * line.intensity for line in own) / part * 1e-3
            lines.append((float(loss), float(part / norm)))
            ratios.append(whole(grid) / whole(loss))
        made.append((kev, (np.log(grid), float(edge.fyield) * k_share), tuple(lines), ratios))
    return tuple(made)

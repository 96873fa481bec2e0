"""Tougaard's inelastic cross-sections and the losses they make."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve

from references.errors import nearest

from .errors import ModelError

Array = npt.NDArray[np.float64]

CROSS_SECTIONS: dict[str, tuple[float, float, float, float]] = {
    "universal": (2866.0, 1643.0, 1.0, 0.0),
    "polymer": (396.0, 551.0, -1.0, 436.0),
    "SiO2": (325.0, 542.0, -1.0, 275.0),
    "Si": (132.0, 325.0, -1.0, 96.0),
    "Ge": (73.0, 260.0, -1.0, 62.0),
    "Al": (16.5, 230.0, -1.0, 4.5),
}
"""B (eV^2), C (eV^2), the sign (or factor) of T^2, and D (eV^2) of the inelastic cross-section
K(T) = B T / ((C + sign T^2)^2 + D T^2), T the energy loss. ``universal`` (metals, their oxides and
alloys) is the two-parameter form U2, the others U3: S. Tougaard, Surf. Interface Anal. 25, 137
(1997)."""


def cross_section(
    loss: npt.ArrayLike,
    *,
    b: float,
    c: float,
    sign: float = 1.0,
    d: float = 0.0,
    gap: float = 0.0,
) -> Array:
    """Evaluate Tougaard's inelastic cross-section.

    Parameters
    ----------
    loss : array_like
        Energy loss T in eV, any shape.
    b, c, sign, d : float
        K = b T / ((c + sign T^2)^2 + d T^2): U2 has sign 1 and d 0, U3 sign -1, U4 any sign
        factor and a gap.
    gap : float
        K is zero below this loss (band gap), eV.

    Returns
    -------
    ndarray
        K in 1/eV, zero for negative losses.
    """
    t = np.asarray(loss, dtype=float)
    t = np.where((t > 0.0) & (t >= gap), t, 0.0)
    t2 = t * t
    base = (c + sign * t2) ** 2 + d * t2
    return np.asarray(b * t / np.where(base > 0.0, base, np.inf))


def cross_section_of(
    material: str, b: float | None, c: float | None, sign: float | None, d: float | None
) -> dict[str, float]:
    if material not in CROSS_SECTIONS:
        raise ModelError(
            f"tougaard: no cross-section of {material!r}: {nearest(material, CROSS_SECTIONS)}"
        )
    names = ("b", "c", "sign", "d")
    given = (b, c, sign, d)
    known = CROSS_SECTIONS[material]
    return {k: float(v if g is None else g) for k, g, v in zip(names, given, known, strict=True)}


def losses(x: Array, y: Array, kernel: Mapping[str, float]) -> Array:
    """Integral of K(x - x') y(x') over x' < x, trapezoidal; by FFT on a uniform axis."""
    width = np.gradient(x)
    width[0], width[-1] = 0.5 * (x[1] - x[0]), 0.5 * (x[-1] - x[-2])
    step = np.diff(x)
    # K(0) = 0: the end of the integral at x' = x has no weight
    if np.ptp(step) < 1e-6 * step[0]:
        k = cross_section(np.arange(x.size) * float(np.mean(step)), **kernel)
        return np.asarray(fftconvolve(y * width, k)[: x.size])
    out = np.empty_like(x)
    for first in range(0, x.size, 256):
        rows = slice(first, first + 256)
        out[rows] = cross_section(x[rows, None] - x[None, :], **kernel) @ (y * width)
    return out

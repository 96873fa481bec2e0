"""From lithium in a stack of layers to counts per channel: the forward model of NDP."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from scipy.special import erf

from references.model import count_atoms

from ._ndp_stopping import ALPHA, AVOGADRO, TRITON, Ion, Table, loss
from .base import Settings

Array = npt.NDArray[np.float64]

_CELL_KEV = 1.5


class Layer(Settings):
    """One layer of the sample, seen from the detector; areal density first, thickness second."""

    name: str = Field(description="name of the layer; an identifier")
    formula: str = Field(description="composition by atoms, for example Li2.9PO3.3N0.46")
    density_g_cm3: float | None = Field(None, gt=0, description="needed with thickness_nm")
    thickness_nm: float | None = Field(None, gt=0, description="thickness, nm")
    areal_ug_cm2: float | None = Field(None, gt=0, description="areal density, ug/cm2")
    species: str | None = Field(
        None, description="library id under which its lithium is counted; none: holds no lithium"
    )
    grows: bool = Field(
        False, description="its thickness follows its own fitted lithium (plated lithium)"
    )
    diffuse: bool = Field(
        False,
        description="its lower edge and the widths of both edges are fitted (interdiffusion, "
        "roughness); a flat plateau between them, tritons only",
    )

    @model_validator(mode="after")
    def _amount(self) -> Layer:
        if not self.name.isidentifier():
            raise ValueError(f"layer name {self.name!r} is not an identifier")
        thick = self.thickness_nm is not None and self.density_g_cm3 is not None
        if self.grows and self.diffuse:
            raise ValueError(f"layer {self.name!r}: grows and diffuse exclude each other")
        if self.areal_ug_cm2 is None and not thick and not self.grows:
            raise ValueError(
                f"layer {self.name!r}: give areal_ug_cm2, or thickness_nm with density_g_cm3"
            )
        return self

    @property
    def areal(self) -> float:
        """Areal density in ug/cm2; zero for a layer that grows and states no start."""
        if self.areal_ug_cm2 is not None:
            return self.areal_ug_cm2
        if self.thickness_nm is None or self.density_g_cm3 is None:
            return 0.0
        return self.thickness_nm * self.density_g_cm3 * 0.1


class Detector(Settings):
    """Resolution, dead layer and cone of the detector."""

    fwhm_keV: float = Field(18.0, gt=0, description="resolution, full width, keV")
    dead_ug_cm2: float = Field(0.0, ge=0, description="silicon dead layer, ug/cm2")
    cos_min: float = Field(1.0, gt=0.3, le=1.0, description="cosine at the edge of the cone")

    @property
    def path_factor(self) -> float:
        """Mean of 1/cos over the cone."""
        c = self.cos_min
        return 1.0 if c == 1.0 else float(-np.log(c) / (1.0 - c))


def lithium_per_ug(formula: str) -> float:
    """Return nmol of lithium per ug of a material."""
    from xraydb import atomic_mass

    content = count_atoms(formula)
    mass = sum(n * atomic_mass(e) for e, n in content.items())
    return 1e3 * content.get("Li", 0.0) / mass


def leaving(
    layers: Sequence[Layer],
    which: int,
    depth: Array,
    ion: Ion,
    detector: Detector,
    table: Table = "srim_85",
) -> tuple[Array, Array]:
    """Return energy (keV) and variance (keV^2) of ions born at depths inside a layer.

    Parameters
    ----------
    layers : sequence of Layer
        From the detector inwards.
    which : int
        The layer they are born in.
    depth : ndarray
        Depth below that layer's own front, ug/cm2.
    ion : Ion
    detector : Detector
    table : str
        Of the stopping powers.

    Returns
    -------
    energy, variance : ndarray
        At the detector, resolution included in the variance; energy 0 where the ion stops.

    Notes
    -----
    Variance gathered so far is carried through a layer with the square of the ratio of stopping
    powers at its end and beginning; the layer adds Bohr's variance, carried likewise from where it
    is gathered (`Loss.spread`).
    """
    energy = np.full(depth.shape, ion.birth_keV)
    variance = np.zeros(depth.shape)
    way: list[tuple[str, Array | float]] = [(layers[which].formula, depth)]
    way += [(layer.formula, layer.areal) for layer in reversed(layers[:which])]
    if detector.dead_ug_cm2:
        way.append(("Si", detector.dead_ug_cm2))
    for formula, amount in way:
        tab = loss(formula, ion, table)
        path = np.asarray(amount) * detector.path_factor
        out = tab.after(energy, path)
        end = np.maximum(out, tab.energy[0])
        carried = (tab.at(end) / tab.at(energy)) ** 2
        variance = variance * carried + tab.spread(energy, end)
        energy = out
    return energy, variance + (detector.fwhm_keV / 2.354820045) ** 2


def response(
    layers: Sequence[Layer],
    which: int,
    edges: Array,
    detector: Detector,
    ions: Sequence[Ion] = (TRITON, ALPHA),
) -> Array:
    """Return counts per channel of a layer with even lithium, one count per ion born.

    Parameters
    ----------
    layers, which, detector
        As in `leaving`.
    edges : ndarray, shape (channels + 1,)
        Channel edges, keV.
    ions : sequence of Ion
        Which particles.

    Returns
    -------
    ndarray, shape (channels,)
        Sums to the share of ions that arrive within the channels (at most one per ion kind):
        counts are conserved, because each cell is spread by differences of error functions.
    """
    cells = cell_response(
        layers, which, np.array([0.0, layers[which].areal]), edges, detector, ions
    )
    return np.asarray(cells[0])


def cell_response(
    layers: Sequence[Layer],
    which: int,
    bounds: Array,
    edges: Array,
    detector: Detector,
    ions: Sequence[Ion] = (TRITON, ALPHA),
    table: Table = "srim_85",
) -> Array:
    """Return counts per channel of even lithium in each depth cell of a layer.

    Parameters
    ----------
    layers, which, edges, detector, ions, table
        As in `response` and `leaving`.
    bounds : ndarray, shape (cells + 1,)
        Bounds of the cells below the layer's own front, ug/cm2, ascending.

    Returns
    -------
    ndarray, shape (cells, channels)
        Each row sums to the share of its ions that arrive within the channels.
    """
    total = np.zeros((bounds.size - 1, edges.size - 1))
    for ion in ions:
        front = float(leaving(layers, which, np.zeros(1), ion, detector, table)[0][0])
        slope = float(loss(layers[which].formula, ion).at(front if front > 0 else ion.birth_keV))
        for i, (start, end) in enumerate(pairwise(bounds.tolist())):
            least = 4 if bounds.size == 2 else 2
            parts = int(np.clip(np.ceil(slope * (end - start) / _CELL_KEV), least, 4000))
            fine = np.linspace(start, end, parts + 1)
            energy, variance = leaving(layers, which, fine, ion, detector, table)
            sigma = np.sqrt(0.5 * (variance[:-1] + variance[1:]))
            total[i] += _spread(edges, energy[1:], energy[:-1], sigma).sum(axis=0) / parts
    return total


def _spread(edges: Array, low: Array, high: Array, sigma: Array) -> Array:
    """Share of a flat piece from low to high, blurred by sigma, between channel edges."""
    root = np.sqrt(2.0) * sigma[:, None]
    arrived = (high > 0.0)[:, None]
    width = np.maximum(high - low, 1e-6)[:, None]

    def integral(at: Array) -> Array:
        """Integral of the normal distribution function."""
        u = (edges[None, :] - at[:, None]) / root
        return 0.5 * (
            (edges[None, :] - at[:, None]) * (1.0 + erf(u)) + root * np.exp(-u * u) / np.sqrt(np.pi)
        )

    cumulative = (integral(low) - integral(high)) / width
    return np.where(arrived, np.diff(cumulative, axis=1), 0.0)


def per_1e15(nmol_cm2: float) -> float:
    """Convert nmol/cm2 to 1e15 atoms/cm2."""
    return nmol_cm2 * 1e-9 * AVOGADRO / 1e15

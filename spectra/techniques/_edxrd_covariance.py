"""Uncertainty of a calibration, carried on: into energies, angles, spacings and lattices.

Errors of the scale and the angle are common to all spectra calibrated with them: they widen every
lattice parameter alike, and largely cancel in differences between spectra. So they are reported
beside the counting errors, never mixed with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

if TYPE_CHECKING:
    from ..component import Component
    from ._edxrd_solve import Solution

Array = npt.NDArray[np.float64]
NAMES = ("c0", "c1", "c2", "two_theta", "noise_keV", "fano", "divergence")
UNITS = ("keV", "keV", "keV", "deg", "keV", "1", "1")
_GEOMETRY = ("c0", "c1", "c2", "two_theta")


@dataclass(frozen=True)
class Covariance:
    """Values of a calibration and their covariance.

    Parameters
    ----------
    names : tuple of str
        Of ``c0, c1, c2`` (keV), ``two_theta`` (deg), ``noise_keV``, ``fano``, ``divergence``.
    value : tuple of float
    matrix : tuple of tuple of float
    """

    names: tuple[str, ...]
    value: tuple[float, ...]
    matrix: tuple[tuple[float, ...], ...]

    @property
    def array(self) -> Array:
        """The covariance as an array."""
        return np.asarray(self.matrix, float).reshape(len(self.names), len(self.names))

    def text(self) -> str:
        """Return it as JSON for attrs ``calibration_covariance``."""
        return json.dumps({"names": self.names, "value": self.value, "covariance": self.matrix})

    @classmethod
    def of(cls, attrs: Mapping[str, Any]) -> Covariance | None:
        """Return what ``attrs["calibration_covariance"]`` holds, None if nothing."""
        text = attrs.get("calibration_covariance")
        if not text:
            return None
        data = json.loads(str(text))
        return cls(
            tuple(data["names"]),
            tuple(map(float, data["value"])),
            tuple(tuple(map(float, row)) for row in data["covariance"]),
        )

    @classmethod
    def of_solution(cls, found: Solution) -> Covariance:
        """Return the part of a joint fit that was fitted."""
        names = tuple(n for n in NAMES if n in found.fitted)
        at = [NAMES.index(n) for n in names]
        matrix = found.covariance[np.ix_(at, at)]
        return cls(
            names,
            tuple(float(found.values[n]) for n in names),
            tuple(tuple(map(float, row)) for row in matrix),
        )

    def part(self, names: Sequence[str]) -> Array:
        """Return the covariance of some names; zeros for those not in it."""
        out = np.zeros((len(names), len(names)))
        for i, a in enumerate(names):
            for j, b in enumerate(names):
                if a in self.names and b in self.names:
                    out[i, j] = self.matrix[self.names.index(a)][self.names.index(b)]
        return out


def strain_sensitivity(
    energy: npt.ArrayLike, weight: npt.ArrayLike, attrs: Mapping[str, Any]
) -> Array:
    """Return how a strain found from lines moves with c0, c1, c2 (keV) and 2theta (deg).

    ``a = hc sqrt(n) / (2 E sin(theta))``, so ``da / a = -dE / E - cot(theta) dtheta`` with
    ``dE = dc0 + ch dc1 + ch^2 dc2``; of several lines tied to one cell the mean by their weights.

    Parameters
    ----------
    energy : array_like
        Energies of the lines, keV.
    weight : array_like
        How much each says about the cell (counts times ``(E / fwhm)^2``).
    attrs : mapping
        ``c0_keV``, ``c1_keV``, ``c2_keV``, ``two_theta_deg``.

    Returns
    -------
    ndarray
        Shape (4,).
    """
    e, w = np.asarray(energy, float), np.asarray(weight, float)
    c0, c1, c2 = (float(attrs.get(f"c{i}_keV", 0.0)) for i in range(3))
    if c1 == 0.0:
        channel = np.zeros_like(e)
    elif c2 == 0.0:
        channel = (e - c0) / c1
    else:
        root = np.sqrt(np.maximum(c1**2 + 4.0 * c2 * (e - c0), 0.0))
        channel = 2.0 * (e - c0) / (c1 + root)
    w = w / max(float(w.sum()), 1e-300)
    shift = [float(np.sum(w * channel**k / e)) for k in range(3)]
    half = np.radians(float(attrs["two_theta_deg"])) / 2.0
    return -np.array([*shift, 0.5 * np.radians(1.0) / np.tan(half)])


def strain_covariance(components: Sequence[Component], attrs: Mapping[str, Any]) -> Array | None:
    """Return the covariance that the calibration gives the strains of phases.

    Parameters
    ----------
    components : sequence of Component
        Phases as made by ``propose``: ``lines`` with positions as ratios to ``center``.
    attrs : mapping
        Of the fit: the scale, the angle and ``calibration_covariance``.

    Returns
    -------
    ndarray or None
        Shape (phases, phases): relative squares. Common to all spectra with this calibration. None
        if the calibration has no covariance.
    """
    found = Covariance.of(attrs)
    if found is None or "two_theta_deg" not in attrs:
        return None
    rows = []
    for c in components:
        center, fwhm = c.params["center"].value, c.params["fwhm"].value
        ratio = np.array([line.position for line in c.lines] or [1.0])
        share = np.array([line.weight for line in c.lines] or [1.0])
        width = fwhm * np.array([line.width for line in c.lines] or [1.0])
        energy = (
            ratio * center
            if c.line_scale == "ratio"
            else center + np.array([line.position for line in c.lines] or [0.0])
        )
        rows.append(strain_sensitivity(energy, share * (energy / width) ** 2, attrs))
    jac = np.array(rows).reshape(len(rows), 4)
    return np.asarray(jac @ found.part(_GEOMETRY) @ jac.T)


def with_calibration_error(
    cells: xr.Dataset, phases: Sequence[Component], attrs: Mapping[str, Any]
) -> xr.Dataset:
    """Return lattices with what the calibration's uncertainty adds to each.

    Parameters
    ----------
    cells : xr.Dataset
        ``strain``, ``a``, ``b``, ``c`` with the coordinate ``species``.
    phases : sequence of Component
        In the order of ``species``.
    attrs : mapping
        Of the fit.

    Returns
    -------
    xr.Dataset
        With ``strain_stderr_calibration(species)``, ``a_stderr_calibration`` ... (standard errors
        common to all spectra of this calibration; add in quadrature for an absolute value, leave
        out for differences) and ``strain_covar_calibration(species, species_2)``. Unchanged if the
        calibration carries no covariance.
    """
    covariance = strain_covariance(phases, attrs)
    if covariance is None:
        return cells
    out = cells.copy(deep=False)
    common = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    out["strain_stderr_calibration"] = ("species", common, {"units": "1"})
    out["strain_covar_calibration"] = (("species", "species_2"), covariance, {"units": "1"})
    out = out.assign_coords(species_2=("species_2", out["species"].values))
    for axis in "abc":
        if axis in out:
            rest = [d for d in out[axis].dims if d != "species"]
            cell = np.asarray(out[axis].mean(rest).values, float)
            name = f"{axis}_stderr_calibration"
            out[name] = ("species", cell * common, {"units": "angstrom"})
    return out

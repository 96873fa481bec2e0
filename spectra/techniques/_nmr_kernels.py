"""Powder patterns of one site: shielding anisotropy, quadrupolar coupling, Czjzek distributions.

A kernel is what mrsimulator (D. J. Srivastava et al., J. Chem. Phys. 161 (2024) 212501) computes
for one set of tensor parameters, field and spinning rate, of unit area, as a signal in time about
its isotropic shift. Shift, Lorentzian and Gaussian broadening and area are then products in time:
only the tensor parameters cost a simulation, and every simulation is kept.

Signs and names: ``zeta`` (ppm, on the shift scale: mrsimulator's shielding runs the other way) is
``delta_zz - delta_iso`` in the Haeberlen order ``|zz - iso| >= |xx - iso| >= |yy - iso|``; ``eta``
its asymmetry; ``cq`` the quadrupolar coupling ``e^2 q Q / h`` in MHz, ``eta_q`` its asymmetry. A
Czjzek distribution of ``sigma`` MHz has the density ``cq^4 eta (1 - eta^2 / 9) exp(-cq^2 (1 + eta^2
/ 3) / (2 sigma^2))`` (G. Czjzek et al., Phys. Rev. B 23 (1981) 2513).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelError

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]
MAX_KERNELS = 4000


@dataclass(frozen=True)
class Grid:
    """A uniform, ascending frequency grid and the experiment it belongs to.

    Parameters
    ----------
    ppm : ndarray
        The data's own axis (uniform, ascending).
    reference_MHz : float
        Frequency of 0 ppm.
    nucleus : str
        For example ``"31P"``.
    whole_width : bool
        Whether the axis spans the full spectral width, so that what lies outside folds in as it
        did in the measurement; else the grid is made wider and cropped.
    """

    ppm: Array
    reference_MHz: float
    nucleus: str
    whole_width: bool = False

    @property
    def step_Hz(self) -> float:
        """Distance of two points, Hz."""
        return float((self.ppm[-1] - self.ppm[0]) / (self.ppm.size - 1)) * self.reference_MHz

    @property
    def points(self) -> int:
        """Points of the computed grid (even)."""
        n = self.ppm.size
        if self.whole_width and n % 2 == 0:
            return n
        return 2 * (1 << (n - 1).bit_length())

    @property
    def first_Hz(self) -> float:
        """First frequency of the computed grid, Hz from 0 ppm."""
        before = (self.points - self.ppm.size) // 2
        return float(self.ppm[0]) * self.reference_MHz - before * self.step_Hz

    @property
    def field_T(self) -> float:
        """Magnetic field at which the nucleus has this frequency."""
        return self.reference_MHz / abs(gamma_MHz_per_T(self.nucleus))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what mrsimulator's import says about Python versions to come."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def gamma_MHz_per_T(nucleus: str) -> float:
    """Gyromagnetic ratio over 2 pi from mrsimulator's isotope table, MHz/T.

    Raises
    ------
    ModelError
        If the table does not have the nucleus.
    """
    with _quiet():
        from mrsimulator.spin_system.isotope import Isotope

    try:
        return float(Isotope(symbol=nucleus).gyromagnetic_ratio)
    except Exception:
        raise ModelError(
            f"nucleus {nucleus!r} is not in the isotope table; write it as '31P'"
        ) from None


@dataclass
class Kernels:
    """Simulated signals of unit-area patterns on one grid, kept by their parameters.

    Parameters
    ----------
    grid : Grid
    density : int
        mrsimulator's integration density.
    sidebands : int
        Sidebands computed where the sample spins.
    cq_limit : float
        Largest coupling of a Czjzek distribution, MHz.
    """

    grid: Grid
    density: int = 70
    sidebands: int = 64
    cq_limit: float = 20.0
    kept: dict[tuple[Any, ...], Complex] = field(default_factory=dict)

    def signal(
        self,
        *,
        spinning_Hz: float = 0.0,
        zeta: float = 0.0,
        eta: float = 0.0,
        cq_MHz: float = 0.0,
        eta_q: float = 0.0,
        satellites: bool = False,
    ) -> Complex:
        """Return the time signal of one site at 0 ppm with area 1 (first point 1).

        With ``satellites`` it is that of the inner satellite transitions (m = 3/2 to 1/2 and its
        mirror image) of a spinning sample in place of the central transition: their centre band,
        and those of their sidebands that the computed grid holds.
        """
        key = (
            round(spinning_Hz, 3), round(zeta, 6), round(eta, 7), round(cq_MHz, 8),
            round(eta_q, 7), satellites,
        )  # fmt: skip
        if key not in self.kept:
            if len(self.kept) >= MAX_KERNELS:
                self.kept.clear()
            self.kept[key] = self._simulate(spinning_Hz, zeta, eta, cq_MHz, eta_q, satellites)
        return self.kept[key]

    def _simulate(
        self,
        spinning_Hz: float,
        zeta: float,
        eta: float,
        cq_MHz: float,
        eta_q: float,
        satellites: bool = False,
    ) -> Complex:
        with _quiet():
            from mrsimulator import Simulator, Site, SpinSystem
            from mrsimulator.method import Method, SpectralDimension
            from mrsimulator.method.lib import BlochDecayCTSpectrum, BlochDecaySpectrum

        grid = self.grid
        n, width = grid.points, grid.points * grid.step_Hz
        tensors: dict[str, Any] = {}
        if zeta:
            # mrsimulator counts shielding, which runs against the shift.
            tensors["shielding_symmetric"] = {"zeta": -zeta, "eta": min(max(eta, 0.0), 1.0)}
        if cq_MHz:
            eta_q = min(max(eta_q, 0.0), 1.0)
            tensors["quadrupolar"] = {"Cq": cq_MHz * 1e6, "eta": eta_q}
        if not tensors:
            return np.ones(n, complex)
        kind = BlochDecayCTSpectrum if cq_MHz else BlochDecaySpectrum
        # The pattern is computed about the middle of its own grid and moved afterwards.
        if satellites:
            queries = [{"ch1": {"P": [-1], "D": [d]}} for d in (2, -2)]
            method = Method(
                channels=[grid.nucleus],
                magnetic_flux_density=grid.field_T,
                rotor_angle=float(np.arctan(np.sqrt(2.0))),
                rotor_frequency=spinning_Hz,
                spectral_dimensions=[
                    SpectralDimension(
                        count=n, spectral_width=width, events=[{"transition_queries": queries}]
                    )
                ],
            )
        else:
            method = kind(
                channels=[grid.nucleus],
                magnetic_flux_density=grid.field_T,
                rotor_frequency=spinning_Hz,
                spectral_dimensions=[SpectralDimension(count=n, spectral_width=width)],
            )
        site = Site(isotope=grid.nucleus, isotropic_chemical_shift=0.0, **tensors)
        simulator = Simulator(spin_systems=[SpinSystem(sites=[site])], methods=[method])
        simulator.config.integration_density = self.density
        bands = self.sidebands
        if satellites:
            # To first order they reach 3 Cq / (2 I (2 I - 1)) to either side, at most Cq / 2.
            reach = cq_MHz * 1e6 / spinning_Hz
            bands = min(512, max(bands, 1 << int(np.ceil(np.log2(2.5 * max(reach, 1.0))))))
        simulator.config.number_of_sidebands = bands if spinning_Hz else 1
        simulator.run()
        made = simulator.methods[0].simulation.y[0].components[0].real
        coordinates = simulator.methods[0].simulation.x[0].coordinates.to_value("ppm")
        if coordinates[-1] < coordinates[0]:
            made = np.roll(made[::-1], 1)
        total = float(made.sum())
        if not total > 0:
            raise ModelError(
                f"the {grid.nucleus} pattern (zeta {zeta:g} ppm, Cq {cq_MHz:g} MHz) lies outside "
                "the axis"
            )
        # Point n/2 of the grid is its zero frequency.
        return np.asarray(np.fft.ifft(np.fft.ifftshift(made / total)) * n, complex)

    def czjzek(
        self, sigma_MHz: float, *, spinning_Hz: float = 0.0, cq_steps: int = 40, eta_steps: int = 6
    ) -> Complex:
        """Return the signal of a Czjzek distribution of couplings.

        The patterns of a fixed grid of couplings up to ``cq_limit`` are simulated once; a new
        ``sigma`` only changes their weights.
        """
        cq, eta, signals = self._library(spinning_Hz, cq_steps, eta_steps)
        weight = czjzek_density(cq, eta, sigma_MHz)
        return np.asarray((weight / weight.sum()) @ signals)

    def _library(
        self, spinning_Hz: float, cq_steps: int, eta_steps: int
    ) -> tuple[Array, Array, Complex]:
        key = ("czjzek", round(spinning_Hz, 1), cq_steps, eta_steps)
        cq, eta = np.meshgrid(
            (np.arange(cq_steps) + 0.5) * (self.cq_limit / cq_steps),
            (np.arange(eta_steps) + 0.5) / eta_steps,
            indexing="ij",
        )
        if key not in self.kept:
            self.kept[key] = np.array(
                [
                    self._simulate(spinning_Hz, 0.0, 0.0, float(c), float(e))
                    for c, e in zip(cq.ravel(), eta.ravel(), strict=True)
                ]
            )
        return cq.ravel(), eta.ravel(), self.kept[key]

    def spectrum(
        self, signal: Complex, shift_ppm: float, lorentz_Hz: float, gauss_Hz: float
    ) -> Array:
        """Return the real spectrum (per ppm, area 1) on the data's axis.

        Parameters
        ----------
        signal : complex ndarray
            From `signal` or `czjzek`.
        shift_ppm : float
            Isotropic shift.
        lorentz_Hz, gauss_Hz : float
            Full widths of the broadening.
        """
        grid = self.grid
        n = grid.points
        k = np.fft.fftfreq(n) * n
        t = k / (n * grid.step_Hz)
        middle = grid.first_Hz + (n // 2) * grid.step_Hz
        offset = shift_ppm * grid.reference_MHz - middle
        damp = np.pi * abs(lorentz_Hz) * np.abs(t) + (np.pi * gauss_Hz * t) ** 2 / (4 * np.log(2))
        made = np.fft.fftshift(np.fft.fft(signal * np.exp(2j * np.pi * offset * t - damp))).real
        before = (n - grid.ppm.size) // 2
        per_ppm = grid.reference_MHz / (n * grid.step_Hz)
        return np.asarray(made[before : before + grid.ppm.size] * per_ppm)


def czjzek_density(cq: Array, eta: Array, sigma_MHz: float) -> Array:
    """Return the Czjzek density (unnormalised) of couplings and asymmetries."""
    return np.asarray(
        cq**4
        * eta
        * (1.0 - eta**2 / 9.0)
        * np.exp(-(cq**2) * (1.0 + eta**2 / 3.0) / (2.0 * sigma_MHz**2))
    )

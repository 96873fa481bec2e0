"""Impedance spectroscopy: channels of a cell, not fitted with species.

What follows from the spectra without a circuit: their values at one frequency against time, and the
conductivity of a pellet from a resistance.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..channels import channels
from ..convention import where
from ..errors import ConventionError
from .base import Technique

TECHNIQUE = Technique(name="impedance", axis=None, title="Impedance spectroscopy")


def at_frequency(ds: xr.Dataset, hertz: float) -> xr.Dataset:
    """Return the impedance at one frequency as channels along time, one value per spectrum.

    Parameters
    ----------
    ds : xr.Dataset
        Channels along ``point`` with ``frequency`` Hz, ``impedance_re``, ``impedance_im``,
        ``spectrum`` and ``time`` (s), as readers give a series of spectra.
    hertz : float
        The frequency; between two measured ones Z is interpolated linearly in log f. Spectra that
        do not reach it give NaN.

    Returns
    -------
    xr.Dataset
        Channels along ``time`` (when that frequency was measured) with ``impedance_re``,
        ``impedance_im`` and ``spectrum``; attrs ``frequency_Hz`` and those of ``ds``, so that
        `workbench.align` can put it on the clock of other parts.

    Raises
    ------
    ConventionError
        If the spectra carry no times, or no spectrum reaches the frequency.
    """
    needed = ("frequency", "impedance_re", "impedance_im", "spectrum", "time")
    missing = [name for name in needed if name not in ds.variables]
    if missing or "point" not in ds.dims:
        lacking = ", ".join(missing) or "the dimension point"
        raise ConventionError(f"{where(ds)}: spectra against time need {lacking}")
    number = ds["spectrum"].values
    rows = []
    for one in np.unique(number):
        pick = np.flatnonzero(number == one)
        pick = pick[np.argsort(ds["frequency"].values[pick], kind="stable")]
        log_f = np.log(ds["frequency"].values[pick])
        target = np.log(hertz)
        # a hundredth of a percent: a frequency is reached even if its last digits differ
        target = np.clip(target, log_f[0], log_f[-1]) if _reached(target, log_f) else np.nan
        rows.append(
            [one]
            + [
                float(np.interp(target, log_f, ds[name].values[pick]))
                if np.isfinite(target)
                else np.nan
                for name in ("time", "impedance_re", "impedance_im")
            ]
        )
    table = np.array(rows)
    table = table[np.isfinite(table[:, 1])]
    if not table.size:
        low, high = ds["frequency"].values.min(), ds["frequency"].values.max()
        raise ConventionError(
            f"{where(ds)}: no spectrum reaches {hertz:g} Hz; they run {low:g} to {high:g} Hz"
        )
    table = table[np.argsort(table[:, 1], kind="stable")]
    units = str(ds["impedance_re"].attrs["units"])
    kept = {k: v for k, v in ds.attrs.items() if k not in ("convention", "technique", "history")}
    found = channels(
        table[:, 1],
        {
            "impedance_re": (table[:, 2], units),
            "impedance_im": (table[:, 3], units),
            "spectrum": (table[:, 0], "1"),
        },
        technique="impedance",
        attrs={**kept, "frequency_Hz": float(hertz)},
    )
    found.attrs["history"] = ds.attrs.get("history", "")
    return found


def _reached(target: float, log_f: np.ndarray) -> bool:
    return bool(log_f[0] - 1e-4 <= target <= log_f[-1] + 1e-4)


def conductivity(resistance_ohm: float, thickness_mm: float, diameter_mm: float) -> float:
    """Return the conductivity of a round pellet between two electrodes of its size.

    Parameters
    ----------
    resistance_ohm : float
        Of the pellet.
    thickness_mm, diameter_mm : float
        Its size.

    Returns
    -------
    float
        S/cm: ``thickness / (resistance * area)``.

    Raises
    ------
    ConventionError
        If one of them is not positive.
    """
    if not (resistance_ohm > 0 and thickness_mm > 0 and diameter_mm > 0):
        raise ConventionError(
            "conductivity: resistance, thickness and diameter have to be positive"
        )
    area = np.pi * (diameter_mm / 20.0) ** 2
    return float(thickness_mm / 10.0 / (resistance_ohm * area))

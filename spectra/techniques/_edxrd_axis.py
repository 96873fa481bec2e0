"""The energy axis of EDXRD: from channels, with polynomial coefficients kept beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..convention import AXES, axis_of, where
from ..errors import CalibrationError

Array = npt.NDArray[np.float64]


def channels_of(ds: xr.Dataset) -> Array:
    """Return the channel number of every point of the axis.

    Raises
    ------
    CalibrationError
        If the spectrum does not know its channels.
    """
    if "channel" in ds.coords:
        return np.asarray(ds["channel"].values, float)
    raise CalibrationError(
        f"{where(ds)}: no channel numbers beside the energy axis; open the MCA file itself, "
        "or keep the coordinate 'channel'"
    )


def energy_of(channel: npt.ArrayLike, coefficients: Sequence[float]) -> Array:
    """Return ``c0 + c1 ch + c2 ch^2`` in keV."""
    return np.asarray(np.polynomial.polynomial.polyval(np.asarray(channel, float), coefficients))


def on_energy(ds: xr.Dataset, coefficients: Sequence[float]) -> xr.Dataset:
    """Return the spectrum on ``photon_energy = c0 + c1 ch + c2 ch^2``; counts are untouched.

    Raises
    ------
    CalibrationError
        If the energies do not ascend over the channels.
    """
    axis = axis_of(ds)
    channel = channels_of(ds)
    energy = energy_of(channel, coefficients)
    if np.any(np.diff(energy) <= 0.0):
        at = int(np.argmax(np.diff(energy) <= 0.0))
        raise CalibrationError(
            f"{where(ds)}: energies of {tuple(coefficients)} do not ascend at channel "
            f"{channel[at]:g}; give c0, c1 > 0, c2 in keV"
        )
    if axis == "channel":
        ds = ds.rename({"channel": "photon_energy"})
    ds = ds.assign_coords(
        photon_energy=("photon_energy", energy, {"units": AXES["photon_energy"]}),
        channel=("photon_energy", channel, {"units": "1"}),
    )
    c = [float(x) for x in (*coefficients, 0.0, 0.0)][:3]
    ds.attrs.update(c0_keV=c[0], c1_keV=c[1], c2_keV=c[2])
    return ds


def header_scale(ds: xr.Dataset) -> tuple[float, float, float] | None:
    """Return the (c0, c1, c2) that the file's header claims, or None."""
    if "header_c1_keV" in ds.coords and ds["header_c1_keV"].ndim == 0:  # one element of several
        one, two, three = (float(ds[f"header_c{i}_keV"]) for i in range(3))
        return (one, two, three) if two not in (0.0, 1.0) else None
    if "header_c1_keV" not in ds.attrs:
        return None
    c0, c1, c2 = (float(ds.attrs.get(f"header_c{i}_keV", 0.0)) for i in range(3))
    return c0, c1, c2


def channel_width(ds: xr.Dataset, energy: npt.ArrayLike) -> Array:
    """Return the width in keV of the channels at energies."""
    x = ds["photon_energy"].values
    return np.asarray(np.interp(np.asarray(energy, float), x, np.gradient(x)))

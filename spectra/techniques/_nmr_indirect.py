"""The second dimension of raw 2D spectra: rows of a hypercomplex experiment to a shift axis.

How rows hold the sign of the indirect frequency (R. R. Ernst, G. Bodenhausen, A. Wokaun, Principles
of NMR in One and Two Dimensions, 1987, ch. 6; J. Keeler, Understanding NMR Spectroscopy, ch. 8):
States: cosine and sine rows in turn; States-TPPI: the same, every second pair negated; TPPI: one
row per half increment, 90 degrees on each time; echo-antiecho: ``exp(i w t)`` and ``exp(-i w t)``
rows in turn; QF: one row per increment, which gives magnitudes only.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..convention import where
from ..errors import CalibrationError, ModelError
from .base import Settings

Mode = Literal["states", "states_tppi", "tppi", "echo_antiecho", "qf"]


class Indirect(Settings):
    """Transform rows along ``scan`` to ``indirect_shift``, after the direct dimension."""

    mode: Mode | None = Field(None, description="how rows hold the sign; else as the file says")
    width_Hz: float | None = Field(None, gt=0, description="spectral width; else the file's")
    carrier_MHz: float | None = Field(None, gt=0, description="middle of it; else the file's")
    reference_MHz: float | None = Field(None, gt=0, description="0 ppm; else the file's")
    points: int | None = Field(None, gt=1, le=1 << 16, description="after zero filling")
    window: Literal["none", "cosine"] = Field("cosine", description="against truncation")
    lorentz_Hz: float = Field(0.0, ge=0, description="exponential broadening, Hz")
    phase0_deg: float = Field(0.0, description="phase along the indirect dimension")
    phase1_deg: float = Field(0.0, description="and how much more of it at its upper end")
    reverse: bool = Field(False, description="mirror the frequencies about the carrier")


def indirect(ds: xr.Dataset, settings: Indirect) -> xr.Dataset:
    """Transform the indirect dimension of a raw 2D spectrum.

    Phase the direct dimension first (``phase``): of amplitude-modulated rows the real parts count.

    Parameters
    ----------
    ds : xr.Dataset
        Complex rows on ``(scan, chemical_shift)``.
    settings : Indirect

    Returns
    -------
    xr.Dataset
        On ``(indirect_shift, chemical_shift)``; of ``qf`` the magnitude, which fits refuse.

    Raises
    ------
    ModelError
        If there are no complex rows, they are not whole pairs, or nothing says their mode.
    CalibrationError
        If width, carrier or reference frequency is missing.
    """
    if ds["intensity"].dims != ("scan", "chemical_shift") or "intensity_im" not in ds:
        raise ModelError(
            f"{where(ds)}: indirect needs complex rows on (scan, chemical_shift), found "
            f"({', '.join(map(str, ds['intensity'].dims))}); correct(ds, 'fourier') comes first"
        )
    mode = settings.mode or ds.attrs.get("indirect_mode")
    if mode is None:
        raise ModelError(
            f"{where(ds)}: the file does not say how its rows hold the sign of the frequency (they "
            "may be a series, not a second dimension); give mode="
        )
    width, carrier, zero = (
        _stated(ds, settings, key) for key in ("width_Hz", "carrier_MHz", "reference_MHz")
    )
    rows = ds["intensity"].values + 1j * ds["intensity_im"].values
    signal, step = _signal(ds, rows, str(mode), width)
    taken = len(signal)
    points = settings.points or 1 << (2 * taken - 1).bit_length()
    if points < taken:
        raise ModelError(f"{where(ds)}: {points} points from {taken} increments; more or as many")
    t = np.arange(taken) * step
    weight = np.exp(-np.pi * settings.lorentz_Hz * t)
    if settings.window == "cosine":
        weight *= np.cos(0.5 * np.pi * np.arange(taken) / taken)
    weight[0] *= 0.5
    made = np.fft.fftshift(np.fft.fft(signal * weight[:, None], points, axis=0), axes=0)
    f = (np.arange(points) - points // 2) / points  # in units of 1 / step
    if mode == "tppi":  # a real signal about a carrier moved by half the width
        made, f = made[points // 2 :], f[points // 2 :] * 2.0 - 0.5
        points = len(f)
    turn = np.deg2rad(settings.phase0_deg + settings.phase1_deg * (f + 0.5))
    made = made * np.exp(-1j * turn)[:, None]
    if settings.reverse:
        made, f = made[::-1], -f[::-1]
    axis = ((carrier - zero) * 1e6 + f * width) / zero
    return _placed(ds, made, axis, magnitude=mode == "qf", spread=points / taken)


def _stated(ds: xr.Dataset, settings: Indirect, key: str) -> float:
    value = getattr(settings, key) or ds.attrs.get(f"indirect_{key}")
    if value is None or not float(value) > 0:
        raise CalibrationError(f"{where(ds)}: the file does not hold it: give indirect {key}=")
    return float(value)


def _signal(
    ds: xr.Dataset, rows: npt.NDArray, mode: str, width: float
) -> tuple[npt.NDArray, float]:
    """Return the complex signal (increments x points) and the time from one to the next, s."""
    if mode == "qf":
        return rows, 1.0 / width
    if mode == "tppi":
        return rows.real.astype(complex), 0.5 / width
    if len(rows) % 2:
        raise ModelError(
            f"{where(ds)}: {len(rows)} rows are not whole pairs of {mode}; leave the last one out"
        )
    first, second = rows[0::2], rows[1::2]
    if mode == "echo_antiecho":
        first, second = 0.5 * (first + second), -0.5j * (first - second)
    signal = first.real + 1j * second.real
    if mode == "states_tppi":
        signal[1::2] *= -1.0
    return signal, 1.0 / width


def _placed(
    ds: xr.Dataset, made: npt.NDArray, axis: npt.NDArray, *, magnitude: bool, spread: float
) -> xr.Dataset:
    dims = ("indirect_shift", "chemical_shift")
    out = ds.drop_vars([v for v in ds.variables if "scan" in ds[v].dims])
    out = out.assign_coords(indirect_shift=("indirect_shift", axis, {"units": "ppm"}))
    units = ds["intensity"].attrs["units"]
    out["intensity"] = (dims, np.abs(made) if magnitude else made.real, {"units": units})
    if magnitude:
        out.attrs["magnitude"] = "magnitude"
    else:
        out["intensity_im"] = (dims, made.imag, {"units": units})
    out.attrs = {
        k: v for k, v in out.attrs.items() if not k.startswith("indirect_") or "nucleus" in k
    }
    noise = float(ds.attrs.get("noise_factor", 1.0)) * max(spread, 1.0) ** 0.5
    out.attrs["noise_factor"] = noise
    return out

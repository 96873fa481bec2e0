"""From the raw signal to a spectrum, one recorded step at a time.

Conventions: a line above the carrier turns as ``exp(+i 2 pi f t)`` (readers see to that); time zero
is where the signal begins, that is, ``attrs["group_delay_points"]`` after the first stored point on
instruments with a digital filter, or the top of the echo after ``swap_echo``. With ``exp(-pi L t)``
a Lorentzian gains ``L`` Hz of full width, with ``exp(-(pi G t)^2 / (4 ln 2))`` a Gaussian ``G`` Hz.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..convention import where
from ..errors import CalibrationError, ModelError
from .base import NoSettings, Settings

Complex = npt.NDArray[np.complex128]


class Apodise(Settings):
    """Multiply the signal with a window; both widths may be given."""

    lorentz_Hz: float = Field(0.0, ge=0, description="Lorentzian broadening, Hz")
    gauss_Hz: float = Field(0.0, ge=0, description="Gaussian broadening, Hz")


class ZeroFill(Settings):
    """Lengthen the signal with zeros before the transform."""

    points: int | None = Field(None, gt=0, description="points afterwards; else by factor")
    factor: int = Field(2, ge=1, le=16, description="times the next power of two")


class SwapEcho(Settings):
    """Put the top of a whole echo at time zero."""

    top: int | None = Field(
        None, ge=0, description="point of the echo top, from 0; else the largest magnitude"
    )


class Fourier(Settings):
    """Transform to the shift axis."""

    points: int | None = Field(None, gt=1, description="points of the spectrum; else as stored")
    conjugate: bool = Field(False, description="reverse the axis about the carrier")
    first_point: float = Field(
        0.5, ge=0, le=1, description="factor on the first point of signals without filter delay"
    )


class Delays(Settings):
    """State the delays of the rows of a pseudo-2D experiment."""

    values_s: tuple[float, ...] = Field((), description="one delay per row, s")
    start_s: float | None = Field(None, ge=0, description="delay of the first row, s")
    step_s: float | None = Field(None, gt=0, description="from row to row, s")


class Keep(Settings):
    """Drop points of the raw signal."""

    skip: int = Field(0, ge=0, description="points dropped in front (dead time)")
    points: int | None = Field(None, gt=1, description="points kept after that; else all")


def signal_of(ds: xr.Dataset, step: str) -> Complex:
    """Return the complex raw signal ``(*outer, time)``.

    Raises
    ------
    ModelError
        If the data are not raw.
    """
    _require_signal(ds, step)
    data = np.empty(ds["intensity"].shape, complex)
    data.real, data.imag = ds["intensity"].values, ds["intensity_im"].values
    return data


def _require_signal(ds: xr.Dataset, step: str) -> None:
    if "acquisition_time" not in ds["intensity"].dims or "intensity_im" not in ds:
        raise ModelError(
            f"{where(ds)}: {step} works on a raw signal (complex, along acquisition_time); this is "
            f"a spectrum along {ds['intensity'].dims[-1]}"
        )


def with_signal(ds: xr.Dataset, data: Complex) -> xr.Dataset:
    """Return ``ds`` with another signal of the same dwell; other variables on time are lost."""
    t = ds["acquisition_time"].values
    dwell = float(t[1] - t[0])
    dims = ds["intensity"].dims
    lost = [v for v in ds.data_vars if "acquisition_time" in ds[v].dims]
    out = ds.drop_vars([*lost, "acquisition_time"])
    axis = t[0] + dwell * np.arange(data.shape[-1])
    out = out.assign_coords(acquisition_time=("acquisition_time", axis, {"units": "s"}))
    units = {"units": ds["intensity"].attrs["units"]}
    out["intensity"] = (dims, np.ascontiguousarray(data.real), units)
    out["intensity_im"] = (dims, np.ascontiguousarray(data.imag), dict(units))
    return out


def _measured(ds: xr.Dataset, points: int) -> int:
    """Return how many of the points hold measured signal, not padding."""
    return min(points, int(ds.attrs.get("acquired_points", points)))


def _true_time(ds: xr.Dataset) -> npt.NDArray[np.float64]:
    """Return the time from the start of the signal (s); negative inside the filter delay."""
    t: npt.NDArray[np.float64] = ds["acquisition_time"].values
    dwell = float(t[1] - t[0])
    if ds.attrs.get("whole_echo"):
        n = t.size
        return np.asarray(np.fft.fftfreq(n) * n * dwell, float)
    return t - float(ds.attrs.get("group_delay_points", 0.0)) * dwell


def apodise(ds: xr.Dataset, settings: Apodise) -> xr.Dataset:
    """Multiply with ``exp(-pi L |t|) exp(-(pi G t)^2 / (4 ln 2))``; 1 inside the filter delay."""
    data = signal_of(ds, "apodise")
    t = _true_time(ds)
    t = np.abs(t) if ds.attrs.get("whole_echo") else np.maximum(t, 0.0)
    window = np.exp(
        -np.pi * settings.lorentz_Hz * t - (np.pi * settings.gauss_Hz * t) ** 2 / (4 * np.log(2))
    )
    out = with_signal(ds, data * window)
    # The window's mean square is kept because it decides how noise is correlated afterwards; the
    # filter's own delay brings no noise of its own.
    measured = window[: _measured(ds, window.size)]
    delay = 0 if ds.attrs.get("whole_echo") else int(ds.attrs.get("group_delay_points", 0))
    share = float(np.sum(measured[delay:] ** 2)) / measured.size
    energy = float(ds.attrs.get("window_energy", 1.0)) * share
    out.attrs["window_energy"] = energy
    return out


def zero_fill(ds: xr.Dataset, settings: ZeroFill) -> xr.Dataset:
    """Append zeros (in the middle of a swapped echo, whose ends are far from its top)."""
    data = signal_of(ds, "zero_fill")
    n = data.shape[-1]
    wanted = settings.points or settings.factor * (1 << (n - 1).bit_length())
    if wanted < n:
        raise ModelError(f"{where(ds)}: zero_fill to {wanted} points, but the signal has {n}")
    if wanted > 1 << 24:
        raise ModelError(f"{where(ds)}: zero_fill to {wanted} points; {1 << 24} is the limit")
    pad = np.zeros((*data.shape[:-1], wanted - n), complex)
    if ds.attrs.get("whole_echo"):
        half = (n + 1) // 2
        filled = np.concatenate([data[..., :half], pad, data[..., half:]], axis=-1)
    else:
        filled = np.concatenate([data, pad], axis=-1)
    out = with_signal(ds, filled)
    out.attrs["acquired_points"] = _measured(ds, n)
    return out


def keep(ds: xr.Dataset, settings: Keep) -> xr.Dataset:
    """Drop points in front of or behind the part of the signal that is used."""
    data = signal_of(ds, "keep")
    stop = None if settings.points is None else settings.skip + settings.points
    kept = data[..., settings.skip : stop]
    if kept.shape[-1] < 4:
        raise ModelError(
            f"{where(ds)}: keep leaves {kept.shape[-1]} of {data.shape[-1]} points; 4 are the least"
        )
    out = with_signal(ds, kept)
    delay = float(ds.attrs.get("group_delay_points", 0.0))
    if delay:
        out.attrs["group_delay_points"] = max(0.0, delay - settings.skip)
    last = max(1, _measured(ds, data.shape[-1]) - settings.skip)
    out.attrs["acquired_points"] = min(last, kept.shape[-1])
    return out


def swap_echo(ds: xr.Dataset, settings: SwapEcho) -> xr.Dataset:
    """Roll a whole echo so that its top is the first point and its rise comes last."""
    data = signal_of(ds, "swap_echo")
    flat = np.abs(data.reshape(-1, data.shape[-1])).mean(axis=0)
    top = int(np.argmax(flat)) if settings.top is None else settings.top
    n = data.shape[-1]
    if not 0 < top < n:
        raise ModelError(f"{where(ds)}: echo top at point {top}; the signal has {n}")
    # As many points after the top as before it, so that the two halves are equally long.
    half = min(top, n - top)
    out = with_signal(ds, np.roll(data[..., top - half : top + half], -half, axis=-1))
    out.attrs.update(whole_echo=1, echo_top=top, group_delay_points=0.0, acquired_points=2 * half)
    return out


def fourier(ds: xr.Dataset, settings: Fourier) -> xr.Dataset:
    """Transform the signal; the filter's delay is taken out as a phase.

    The axis is ``(carrier - reference + f) / reference`` in ppm. ``attrs["noise_factor"]`` records
    how zero filling and windows correlate the noise (see `spectra.techniques._nmr_noise`).

    Raises
    ------
    CalibrationError
        If the file did not say carrier, reference frequency and spectral width.
    """
    _require_signal(ds, "fourier")
    re, im = ds["intensity"].values, ds["intensity_im"].values
    for key in ("carrier_MHz", "reference_MHz"):
        if not float(ds.attrs.get(key, 0.0)) > 0:
            raise CalibrationError(
                f"{where(ds)}: no attrs[{key!r}]; set it (MHz) before correct(ds, 'fourier')"
            )
    t = ds["acquisition_time"].values
    dwell = float(t[1] - t[0])
    n = re.shape[-1]
    points = settings.points or n
    if points != n and ds.attrs.get("whole_echo"):
        raise ModelError(f"{where(ds)}: a whole echo is lengthened with zero_fill, not points=")
    delay = float(ds.attrs.get("group_delay_points", 0.0))
    first = 1.0 if delay or ds.attrs.get("whole_echo") else settings.first_point
    f = np.fft.fftshift(np.fft.fftfreq(points))
    # Row by row into the result: whole-cube temporaries would triple the memory.
    shape = (*re.shape[:-1], points)
    made_re, made_im = np.empty(shape), np.empty(shape)
    turn = np.exp(2j * np.pi * f * delay)
    sign = -1j if settings.conjugate else 1j
    for row in np.ndindex(re.shape[:-1]):
        data = re[row] + sign * im[row]
        data[0] *= first
        one = np.fft.fftshift(np.fft.fft(data, points)) * turn
        made_re[row], made_im[row] = one.real, one.imag
    from ..formats._nmr import carrier_axis

    zero, carrier = float(ds.attrs["reference_MHz"]), float(ds.attrs["carrier_MHz"])
    axis = carrier_axis(points, 1.0 / dwell, carrier, zero)
    energy = float(ds.attrs.get("window_energy", 1.0)) * min(_measured(ds, n), points)
    sides = 1.0 if ds.attrs.get("whole_echo") else 2.0
    attrs = {
        k: v
        for k, v in ds.attrs.items()
        if k not in ("window_energy", "acquired_points", "group_delay_points")
    }
    attrs["noise_factor"] = float(np.sqrt(max(1.0, points / (sides * energy))))
    if ds.attrs.get("reference_source"):
        attrs["calibration"] = str(ds.attrs["reference_source"])
    dims = (*map(str, ds["intensity"].dims[:-1]), "chemical_shift")
    rest = ds.drop_vars([v for v in ds.variables if "acquisition_time" in ds[v].dims])
    out = rest.assign_coords(chemical_shift=("chemical_shift", axis, {"units": "ppm"}))
    units = ds["intensity"].attrs["units"]
    out["intensity"] = (dims, made_re, {"units": units})
    out["intensity_im"] = (dims, made_im, {"units": units})
    out.attrs = attrs
    return out


def magnitude(ds: xr.Dataset, settings: NoSettings) -> xr.Dataset:
    """Replace the spectrum by its magnitude, for viewing: fits refuse it."""
    if "intensity_im" not in ds:
        raise ModelError(f"{where(ds)}: no imaginary part; magnitude needs both")
    out = ds.drop_vars([v for v in ("intensity_im", "uncertainty", "background") if v in ds])
    out["intensity"] = ds["intensity"].copy(
        data=np.hypot(ds["intensity"].values, ds["intensity_im"].values)
    )
    out.attrs["magnitude"] = "magnitude"
    return out


def delays(ds: xr.Dataset, settings: Delays) -> xr.Dataset:
    """Turn numbered rows into delays along ``evolution_time``.

    Raises
    ------
    CalibrationError
        If there are no rows, or the delays do not fit them.
    """
    row = next((d for d in ("scan", "evolution_time") if d in ds["intensity"].dims), None)
    if row is None:
        raise CalibrationError(f"{where(ds)}: no numbered rows (dimension scan) to give delays to")
    count = ds.sizes[row]
    if settings.values_s:
        values = np.array(settings.values_s, float)
    elif settings.start_s is not None and settings.step_s is not None:
        values = settings.start_s + settings.step_s * np.arange(count)
    else:
        raise CalibrationError(f"{where(ds)}: give values_s, or start_s and step_s")
    if values.size != count:
        raise CalibrationError(f"{where(ds)}: {values.size} delays for {count} rows")
    ds = ds.drop_vars(row).rename({row: "evolution_time"}) if row != "evolution_time" else ds
    return ds.assign_coords(evolution_time=("evolution_time", values, {"units": "s"}))

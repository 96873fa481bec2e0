"""Chemical shift imaging: phase-encoded rows become positions.

A gradient pulse of duration ``d`` and strength ``G`` turns the signal from position ``z`` by ``2 pi
k z`` with ``k = gamma G d / (2 pi)``. Rows with ``k = (j - n // 2) / FOV`` are the Fourier
coefficients of the object (T. R. Brown et al., PNAS 79 (1982) 3523), so a transform along the rows
gives ``n`` positions ``FOV / n`` apart. What one position holds is blurred over its neighbours by
the transform of the window over ``k``.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from pydantic import Field

from ..convention import where
from ..errors import CalibrationError, ModelError
from .base import Settings


class Image(Settings):
    """Turn phase-encoded rows into positions (and times, if the rows repeat)."""

    steps: int | None = Field(None, gt=1, description="phase-encoding steps per image; else all")
    field_of_view_um: float | None = Field(None, gt=0, description="field of view, um")
    gradient_step_T_m: float | None = Field(
        None, gt=0, description="gradient from one step to the next, T/m (with duration_s)"
    )
    duration_s: float | None = Field(None, gt=0, description="duration of the gradient pulse, s")
    direction: Literal["forward", "backward"] = Field(
        "forward", description="sign of the encoding: backward mirrors the object"
    )
    first: Literal["negative", "positive"] = Field(
        "negative", description="whether the first row has the most negative gradient"
    )
    window: Literal["none", "hann"] = Field(
        "none", description="hann suppresses ringing at sharp edges and blurs by a factor of two"
    )
    positions: int | None = Field(
        None, gt=1, description="positions after zero filling; else as many"
    )
    interval_s: float | None = Field(
        None, gt=0, description="time from the start of one image to the next, s"
    )


def field_of_view(ds: xr.Dataset, settings: Image) -> float:
    """Return the field of view in um, stated or ``2 pi / (gamma dG d)``.

    Raises
    ------
    CalibrationError
        If neither it nor gradient step and duration are given.
    """
    if settings.field_of_view_um is not None:
        return settings.field_of_view_um
    if settings.gradient_step_T_m is None or settings.duration_s is None:
        raise CalibrationError(
            f"{where(ds)}: give field_of_view_um, or gradient_step_T_m and duration_s"
        )
    import references

    nucleus = str(ds.attrs.get("nucleus", ""))
    gamma = float(references.load().nucleus(nucleus).gyromagnetic_ratio) * 1e6
    return 1e6 / (abs(gamma) * settings.gradient_step_T_m * settings.duration_s)


def image(ds: xr.Dataset, settings: Image) -> xr.Dataset:
    """Transform phase-encoded rows to positions along ``z``.

    Parameters
    ----------
    ds : xr.Dataset
        Complex rows along ``scan``: raw signals or their spectra.
    settings : Image

    Returns
    -------
    xr.Dataset
        Intensity on ``([time,] z, axis)``; ``z`` in um, zero in the middle. Phase the spectra
        afterwards.

    Raises
    ------
    ModelError
        If there are no rows, no imaginary part, or the rows are not whole images.
    """
    if "scan" not in ds["intensity"].dims or "intensity_im" not in ds:
        raise ModelError(
            f"{where(ds)}: imaging needs complex rows along scan; found "
            f"{', '.join(map(str, ds['intensity'].dims))}"
        )
    if ds["intensity"].dims[0] != "scan" or ds["intensity"].ndim != 2:
        raise ModelError(f"{where(ds)}: rows along scan alone expected before the axis")
    axis = str(ds["intensity"].dims[-1])
    rows, points = ds["intensity"].shape
    steps = settings.steps or rows
    if rows % steps:
        raise ModelError(
            f"{where(ds)}: {rows} rows are not whole images of {steps} steps; the last is cut: "
            "select the whole ones"
        )
    size = settings.positions or steps
    if size < steps:
        raise ModelError(f"{where(ds)}: {size} positions from {steps} steps; more or as many")
    fov = field_of_view(ds, settings)
    # Image by image into the result: a series of images is the largest thing in memory.
    images = rows // steps
    re = ds["intensity"].values.reshape(images, steps, points)
    im = ds["intensity_im"].values.reshape(images, steps, points)
    made_re, made_im = np.empty((images, size, points)), np.empty((images, size, points))
    weight = np.ones(steps)
    if settings.window == "hann":
        k = np.arange(steps) - steps // 2
        weight = 0.5 + 0.5 * np.cos(2 * np.pi * k / steps)
    before = size // 2 - steps // 2
    transform = np.fft.fft if settings.direction == "forward" else np.fft.ifft
    scale = (size if settings.direction == "backward" else 1.0) / steps
    for i in range(images):
        data = re[i] + 1j * im[i]
        if settings.first == "positive":
            # The row of k = 0 stays the middle one.
            data = np.roll(data[::-1], 1 - steps % 2, axis=0)
        padded = np.zeros((size, points), complex)
        padded[before : before + steps] = data * weight[:, None]
        one = scale * np.fft.fftshift(transform(np.fft.ifftshift(padded, axes=0), axis=0), axes=0)
        made_re[i], made_im[i] = one.real, one.imag
    z = (np.arange(size) - size // 2) * (fov / size)
    dims: tuple[str, ...] = ("z", axis)
    out = ds.drop_vars([v for v in ds.variables if "scan" in ds[v].dims])
    out = out.assign_coords(z=("z", z, {"units": "um"}))
    if images > 1:
        dims = ("time", *dims)
        if settings.interval_s is None:
            raise CalibrationError(f"{where(ds)}: {images} images: give interval_s between them")
        t = np.arange(images) * settings.interval_s
        out = out.assign_coords(time=("time", t, {"units": "s"}))
    else:
        made_re, made_im = made_re[0], made_im[0]
    units = ds["intensity"].attrs["units"]
    out["intensity"] = (dims, made_re, {"units": units})
    out["intensity_im"] = (dims, made_im, {"units": units})
    out.attrs["resolution_um"] = fov / steps * (2.0 if settings.window == "hann" else 1.0)
    return out

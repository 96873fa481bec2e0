"""Referencing of the shift axis: to a line, to the unified scale, by a shift, or as it is."""

from __future__ import annotations

import numpy as np
import xarray as xr
from pydantic import Field

from ..convention import where
from ..errors import CalibrationError
from .base import Settings


class Reference(Settings):
    """Put a line of known shift where it belongs."""

    line: str | None = Field(
        None, description="library species whose main line of this nucleus is the reference"
    )
    at: float | None = Field(None, description="true shift of the reference line, ppm")
    between: tuple[float, float] | None = Field(
        None, description="where to look for the line on the axis as it is, ppm; else the maximum"
    )


class Absolute(Settings):
    """Reference to the proton frequency of tetramethylsilane in the same field (unified scale)."""

    proton_MHz: float = Field(gt=0, description="1H frequency of TMS in this field, MHz")
    ratio_percent: float | None = Field(
        None, gt=0, description="frequency ratio of the nucleus, percent; else from the library"
    )


class Shift(Settings):
    """Move the axis by a known amount."""

    by: float = Field(description="added to every shift, ppm")


class AsRecorded(Settings):
    """Take the axis as it was recorded."""


def _require_axis(ds: xr.Dataset) -> np.ndarray:
    if "chemical_shift" not in ds["intensity"].dims:
        raise CalibrationError(
            f"{where(ds)}: a raw signal has no shift axis yet; call correct(ds, 'fourier') first"
        )
    x: np.ndarray = ds["chemical_shift"].values
    return x


def _moved(ds: xr.Dataset, by: float, why: str) -> xr.Dataset:
    """Return ``ds`` with shifts increased by ``by`` ppm and its frequency of 0 ppm to match."""
    x = _require_axis(ds)
    zero = ds.attrs.get("reference_MHz")
    new = x + by
    if zero is not None:
        # nu = zero (1 + x) = zero' (1 + x'); the same point of the axis moves exactly by ``by``
        # at the line and the scale changes by a few parts per million, which is kept exact.
        zero = float(zero)
        zero_new = zero * (1.0 - by * 1e-6)
        new = (zero * (1.0 + x * 1e-6) / zero_new - 1.0) * 1e6
    ds = ds.assign_coords(chemical_shift=("chemical_shift", new, {"units": "ppm"}))
    if zero is not None:
        ds.attrs["reference_MHz"] = zero_new
    ds.attrs["calibration"] = why
    return ds


def shift(ds: xr.Dataset, settings: Shift) -> xr.Dataset:
    """Move the axis by a stated shift."""
    return _moved(ds, settings.by, f"shifted by {settings.by:g} ppm")


def as_recorded(ds: xr.Dataset, settings: AsRecorded) -> xr.Dataset:
    """Accept the recorded scale."""
    _require_axis(ds)
    ds = ds.copy(deep=False)
    ds.attrs["calibration"] = str(ds.attrs.get("calibration", "as recorded"))
    return ds


def reference(ds: xr.Dataset, settings: Reference) -> xr.Dataset:
    """Move the axis so that one line has its known shift.

    The line is the highest point of the mean spectrum (in ``between``), refined with a parabola
    through its three highest points.

    Raises
    ------
    CalibrationError
        If neither a line nor a shift is given, or nothing stands out where the line should be.
    """
    x = _require_axis(ds)
    at, name = settings.at, f"{settings.at:g} ppm" if settings.at is not None else ""
    if settings.line is not None:
        import references

        nucleus = str(ds.attrs.get("nucleus", ""))
        lines = references.load().lines("nmr", settings.line, nucleus)
        if not lines:
            raise CalibrationError(
                f"{where(ds)}: the library has no {nucleus} line of {settings.line}; pass at="
            )
        at = lines[0].value if at is None else at
        name = f"{settings.line} {nucleus} at {at:g} ppm"
    if at is None:
        raise CalibrationError(
            f"{where(ds)}: calibrate reference needs line= (a library species) or at= (ppm)"
        )
    low, high = sorted(settings.between) if settings.between else (x[0], x[-1])
    inside = np.flatnonzero((x >= low) & (x <= high))
    if inside.size < 3:
        raise CalibrationError(
            f"{where(ds)}: fewer than 3 points between {low:g} and {high:g} ppm; "
            f"the axis runs {x[0]:g} to {x[-1]:g}"
        )
    y = ds["intensity"].values.reshape(-1, x.size).mean(axis=0)
    top = inside[np.argmax(y[inside])]
    middle = float(np.median(y))
    spread = 1.4826 * float(np.median(np.abs(y - middle)))
    if y[top] - middle < 5 * spread:
        raise CalibrationError(
            f"{where(ds)}: no line stands out of the noise between {low:g} and {high:g} ppm"
        )
    position = float(x[top])
    if 0 < top < x.size - 1:
        left, centre, right = y[top - 1 : top + 2]
        curvature = left - 2 * centre + right
        if curvature < 0:
            position += 0.5 * (left - right) / curvature * 0.5 * float(x[top + 1] - x[top - 1])
    return _moved(ds, at - position, f"{name} (found at {position:.4g} ppm)")


def absolute(ds: xr.Dataset, settings: Absolute) -> xr.Dataset:
    """Put 0 ppm at ``Xi`` times the proton frequency of TMS in the same field.

    R. K. Harris et al., Pure Appl. Chem. 73 (2001) 1795: ``nu(0 ppm) = Xi / 100 * nu(1H, TMS)``.

    Raises
    ------
    CalibrationError
        If the file's own frequency of 0 ppm is not known.
    """
    x = _require_axis(ds)
    nucleus = str(ds.attrs.get("nucleus", ""))
    if "reference_MHz" not in ds.attrs:
        raise CalibrationError(f"{where(ds)}: no attrs['reference_MHz']: no frequencies known")
    ratio = settings.ratio_percent
    if ratio is None:
        import references

        ratio = references.load().nucleus(nucleus).frequency_ratio
        if ratio is None:
            raise CalibrationError(
                f"{where(ds)}: the library has no frequency ratio of {nucleus}; pass ratio_percent"
            )
    old = float(ds.attrs["reference_MHz"])
    zero = ratio / 100.0 * settings.proton_MHz
    if abs(zero / old - 1.0) > 0.01:
        raise CalibrationError(
            f"{where(ds)}: {ratio:g} % of {settings.proton_MHz:g} MHz is {zero:.6f} MHz, but "
            f"{nucleus} was measured at {old:.6f} MHz; check proton_MHz"
        )
    new = (old * (1.0 + x * 1e-6) / zero - 1.0) * 1e6
    ds = ds.assign_coords(chemical_shift=("chemical_shift", new, {"units": "ppm"}))
    ds.attrs["reference_MHz"] = zero
    ds.attrs["calibration"] = f"unified scale: {ratio:g} % of 1H {settings.proton_MHz:.9g} MHz"
    return ds

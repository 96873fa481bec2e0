"""Multi-element detectors: every element its own scale, then all on one energy axis.

Counts are moved between channels one by one: each falls at random, evenly, within the energies of
its channel, so that totals and Poisson statistics stay exact. What that smears is a channel, far
below a width. The random numbers are seeded: the same file gives the same counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..convention import where
from ..errors import CalibrationError, InterphaseError
from ._edxrd_axis import channels_of, energy_of, on_energy
from ._edxrd_covariance import Covariance
from .base import Settings

Array = npt.NDArray[np.float64]
_SEED = 20_261_123
_DIFFERENT = 2e-4
"""Relative spread of the elements' sin(theta) up to which they share one angle."""


class SumElements(Settings):
    """Add the elements of a detector that share an energy axis."""

    elements: tuple[int, ...] = Field(
        (), description="which (values of the coordinate detector); none adds all that are valid"
    )


def each_element(
    ds: xr.Dataset, calibrate: Callable[[xr.Dataset, tuple[float, ...]], xr.Dataset]
) -> xr.Dataset:
    """Calibrate every element of a detector and bring all to one energy axis.

    Parameters
    ----------
    ds : xr.Dataset
        Counts with the dim ``detector`` on channels that all elements share.
    calibrate : callable
        ``(spectrum of one element, energies not to use) -> calibrated``. Lines that contradict the
        others in the sum of all elements are left out in each: they lie where the electronics
        saturate, and single elements have too few counts to show it.

    Returns
    -------
    xr.Dataset
        On ``photon_energy``. Coordinates along ``detector``: ``element_c0`` ... (keV),
        ``element_two_theta`` (deg), ``element_noise``; attrs ``element_calibrations`` (JSON, one
        record with covariance per element). Elements that could not be calibrated are not
        ``valid``; attrs ``element_failures`` says why.

    Raises
    ------
    CalibrationError
        If no element can be calibrated.
    """
    made, records, failures = _each(ds, calibrate, ())
    if len(made) > 2:
        skip = _left_out(ds, calibrate, records)
        if skip:
            made, records, failures = _each(ds, calibrate, skip)
    if not made:
        first = next(iter(failures.values()))
        raise CalibrationError(f"no element could be calibrated; the first: {first}")
    out = on_common_axis(ds, records)
    out.attrs["element_calibrations"] = json.dumps(records)
    if failures:
        out.attrs["element_failures"] = json.dumps(failures)
    median = {
        key: float(np.median([float(m.attrs[key]) for m in made if key in m.attrs]))
        for key in ("noise_keV", "fano", "divergence")
        if any(key in m.attrs for m in made)
    }
    out.attrs.update(median)
    text = f"{len(made)} of {len(records)} elements calibrated one by one, on one energy axis"
    out.attrs["energy_calibration"] = text
    out.attrs["calibration"] = text + _angle(out, made)
    return out


def _each(
    ds: xr.Dataset,
    calibrate: Callable[[xr.Dataset, tuple[float, ...]], xr.Dataset],
    skip: tuple[float, ...],
) -> tuple[list[xr.Dataset], list[dict[str, Any] | None], dict[str, str]]:
    records: list[dict[str, Any] | None] = []
    failures: dict[str, str] = {}
    made: list[xr.Dataset] = []
    for k, name in enumerate(ds["detector"].values):
        try:
            one = calibrate(ds.isel(detector=k), skip)
        except InterphaseError as error:
            records.append(None)
            failures[str(name)] = str(error)
            continue
        made.append(one)
        records.append(_record(one))
    return made, records, failures


def _left_out(
    ds: xr.Dataset,
    calibrate: Callable[[xr.Dataset, tuple[float, ...]], xr.Dataset],
    records: Sequence[dict[str, Any] | None],
) -> tuple[float, ...]:
    """Energies of lines that the sum of all elements, with its many counts, leaves out."""
    try:
        common = on_common_axis(ds, records)
        common.attrs["energy_calibration"] = "elements"
        whole = calibrate(sum_elements(common, SumElements()), ())
    except InterphaseError:
        return ()
    rows = json.loads(str(whole.attrs.get("energy_lines", "[]")))
    return tuple(float(r["energy"]) for r in rows if not r["used"] and not r["elsewhere"])


def _record(one: xr.Dataset) -> dict[str, Any]:
    a = one.attrs
    record: dict[str, Any] = {
        key: float(a[key])
        for key in ("c0_keV", "c1_keV", "c2_keV", "two_theta_deg", "two_theta_stderr", "noise_keV",
                    "fano", "divergence")
        if key in a
    }  # fmt: skip
    found = Covariance.of(a)
    if found is not None:
        record["covariance"] = {
            "names": found.names,
            "value": [float(f"{v:.9g}") for v in found.value],
            "covariance": [[float(f"{v:.6g}") for v in row] for row in found.matrix],
        }
    record["calibration"] = str(a.get("calibration", ""))
    for key in ("energy_lines", "two_theta_lines"):
        if key in a:
            record[key] = json.loads(str(a[key]))
    return record


def _angle(out: xr.Dataset, made: Sequence[xr.Dataset]) -> str:
    """Give the whole the angle of its elements, if they agree on one."""
    angles = np.array([float(m.attrs["two_theta_deg"]) for m in made if "two_theta_deg" in m.attrs])
    out.attrs.pop("two_theta_deg", None)
    if angles.size < len(made) or not angles.size:
        return ""
    errors = np.array([float(m.attrs.get("two_theta_stderr", 0.0)) for m in made])
    weight = 1.0 / np.maximum(errors, 1e-6) ** 2
    mean = float(np.sum(weight * angles) / weight.sum())
    sine = np.sin(np.radians(angles) / 2.0)
    spread = float(np.std(sine) / np.mean(sine))
    noise = float(np.mean(errors) * np.radians(0.5) / np.tan(np.radians(mean) / 2.0))
    if spread > max(_DIFFERENT, 3.0 * noise):
        return f"; 2theta of the elements {angles.min():.4f} to {angles.max():.4f} deg: take one"
    stderr = float(max(weight.sum() ** -0.5, np.std(angles) / np.sqrt(angles.size)))
    out.attrs.update(two_theta_deg=mean, two_theta_stderr=stderr)
    return f"; 2theta {mean:.4f} +- {stderr:.4f} deg from {angles.size} elements"


def on_common_axis(ds: xr.Dataset, records: Sequence[dict[str, Any] | None]) -> xr.Dataset:
    """Return the counts of all elements on the median of their energy scales.

    Parameters
    ----------
    ds : xr.Dataset
        With the dim ``detector``.
    records : sequence
        ``c0_keV``, ``c1_keV``, ``c2_keV`` of each element; None where there is none.

    Returns
    -------
    xr.Dataset
    """
    if len(records) != ds.sizes["detector"]:
        raise CalibrationError(
            f"{where(ds)}: {len(records)} scales for {ds.sizes['detector']} elements"
        )
    channel = channels_of(ds)
    axis = str(ds["intensity"].dims[-1])
    scales = np.array(
        [
            [np.nan] * 3 if r is None else [float(r.get(f"c{i}_keV", 0.0)) for i in range(3)]
            for r in records
        ]
    )
    common = tuple(float(v) for v in np.nanmedian(scales, axis=0))
    dims = ds["intensity"].dims
    counts = ds["intensity"].transpose("detector", ...).values
    moved = np.zeros_like(counts)
    rng = np.random.default_rng(_SEED)
    step = float(np.median(np.diff(channel)))
    edges = np.append(channel - 0.5 * step, channel[-1] + 0.5 * step)
    target = energy_of(edges, common)
    for k, scale in enumerate(scales):
        if np.isfinite(scale).all():
            own = np.interp(
                energy_of(edges, tuple(scale)), target, np.arange(edges.size),
                left=-1.0, right=edges.size + 1.0,
            )  # fmt: skip
            moved[k] = redistributed(counts[k], own, rng)
    out = ds.copy(deep=False)
    order = ("detector", *[d for d in dims if d != "detector"])
    back = xr.DataArray(moved, dims=order).transpose(*dims)
    out["intensity"] = (dims, back.values, ds["intensity"].attrs)
    out = on_energy(out, common)
    for i in range(3):
        values = ("detector", scales[:, i], {"units": "keV"})
        out = out.assign_coords({f"element_c{i}": values})
    for key, name, unit in (("two_theta_deg", "two_theta", "deg"), ("noise_keV", "noise", "keV")):
        if any(r is not None and key in r for r in records):
            v = [np.nan if r is None else float(r.get(key, np.nan)) for r in records]
            out = out.assign_coords({f"element_{name}": ("detector", v, {"units": unit})})
    good = np.isfinite(scales).all(axis=1)
    if not good.all():
        flags = {"flag_values": np.array([0, 1], np.uint8), "flag_meanings": "masked valid"}
        valid = xr.DataArray(good, dims="detector")
        if "valid" in ds:
            valid = valid & ds["valid"].rename({axis: "photon_energy"} if axis != "photon_energy"
                                               and axis in ds["valid"].dims else {})  # fmt: skip
        out["valid"] = valid.drop_vars(list(valid.coords)).assign_attrs(flags)
    return out


def redistributed(counts: npt.NDArray, edges: Array, rng: np.random.Generator) -> npt.NDArray:
    """Return counts dropped at random within the places of their channels.

    Parameters
    ----------
    counts : ndarray
        Shape (..., n). Whole numbers are split by chance, others in proportion.
    edges : ndarray
        Shape (n + 1,), ascending: where each channel's edges lie, in target channels. What falls
        outside 0 to n is lost.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray
        Of the shape and type of ``counts``.
    """
    n = counts.shape[-1]
    out = np.zeros_like(counts)
    low, high = edges[:-1], edges[1:]
    first = np.floor(low).astype(int)
    whole = counts.dtype.kind in "iu"
    left = counts.copy()
    reach = int(np.max(np.floor(high) - first)) + 1
    for k in range(reach):
        bin_ = first + k
        share = np.clip(np.minimum(high, bin_ + 1.0) - np.maximum(low, bin_), 0.0, None)
        rest = high - np.maximum(low, bin_)  # of the channel from this bin on
        part = np.where(rest > 1e-12, share / np.maximum(rest, 1e-12), 0.0).clip(0.0, 1.0)
        taken = rng.binomial(left, part).astype(counts.dtype) if whole else left * part
        left = left - taken
        inside = (bin_ >= 0) & (bin_ < n)
        for row_out, row in zip(out.reshape(-1, n), taken.reshape(-1, n), strict=True):
            np.add.at(row_out, bin_[inside], row[inside])
    return out


def element(ds: xr.Dataset, name: int) -> xr.Dataset:
    """Return one element of a calibrated detector with the calibration that is its own.

    Parameters
    ----------
    ds : xr.Dataset
        As `each_element` made it.
    name : int
        Value of the coordinate ``detector``.

    Returns
    -------
    xr.Dataset

    Raises
    ------
    CalibrationError
        If there is no such element or it was not calibrated.
    """
    at = np.flatnonzero(ds["detector"].values == name)
    records = json.loads(str(ds.attrs.get("element_calibrations", "[]")))
    if not at.size or len(records) != ds.sizes["detector"] or records[at[0]] is None:
        raise CalibrationError(f"{where(ds)}: element {name} is not there or not calibrated")
    record = records[at[0]]
    out = ds.isel(detector=int(at[0])).copy(deep=False)  # isel shares attrs
    for key in ("two_theta_deg", "two_theta_stderr", "noise_keV", "fano", "divergence"):
        if key in record:
            out.attrs[key] = record[key]
    for key in ("energy_lines", "two_theta_lines"):
        if key in record:
            out.attrs[key] = json.dumps(record[key])
    if "covariance" in record:
        out.attrs["calibration_covariance"] = json.dumps(record["covariance"])
    out.attrs["calibration"] = record["calibration"]
    out.attrs.pop("element_calibrations", None)
    out.attrs.pop("element_failures", None)
    return out


def sum_elements(ds: xr.Dataset, settings: SumElements) -> xr.Dataset:
    """Add the counts of elements on one energy axis; live and real times become their means.

    Raises
    ------
    CalibrationError
        If there is no dim ``detector``, the elements share no axis, or one is not there.
    """
    if "detector" not in ds["intensity"].dims or "photon_energy" not in ds["intensity"].dims:
        raise CalibrationError(
            f"{where(ds)}: no elements on one energy axis; calibrate(ds, 'joint', ...) first"
        )
    keep = np.ones(ds.sizes["detector"], bool)
    if settings.elements:
        missing = set(settings.elements) - {int(v) for v in ds["detector"].values}
        if missing:
            raise CalibrationError(f"{where(ds)}: no element {min(missing)}")
        keep = np.isin(ds["detector"].values, settings.elements)
    elif "valid" in ds and "detector" in ds["valid"].dims:
        rest = [d for d in ds["valid"].dims if d != "detector"]
        keep = np.asarray(ds["valid"].any(rest).values)
    part = ds.isel(detector=keep)
    out = part.drop_dims("detector").copy(deep=False)
    out["intensity"] = part["intensity"].sum("detector").assign_attrs(ds["intensity"].attrs)
    for name in ("live_time", "real_time"):
        if name in part and "detector" in part[name].dims:
            out[name] = part[name].mean("detector").assign_attrs(part[name].attrs)
    for name in ("element_calibrations", "element_failures"):
        out.attrs.pop(name, None)
    out.attrs["elements_summed"] = int(keep.sum())
    return out

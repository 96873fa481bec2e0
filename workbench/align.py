"""Put the amounts of several techniques and the cell's channels on one clock (and one axis)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from references.errors import nearest
from spectra.convention import OUTER

from .clocks import charge_on, offsets, per_area
from .errors import OrderError
from .provenance import stamp
from .steps import record

CONVENTION = "aligned-1"
_AMOUNT = ("amount", "stderr", "limit", "covar")

Array = npt.NDArray[np.float64]


def align(
    *parts: xr.Dataset,
    on: str = "time",
    names: Sequence[str] | None = None,
    grid: npt.ArrayLike | None = None,
    start: Mapping[str, float] | None = None,
    zone: str | None = None,
    area_cm2: float | None = None,
) -> xr.Dataset:
    """Join amounts and channels on a common dimension by linear interpolation.

    Parameters
    ----------
    *parts : xr.Dataset
        Amounts (of `quantify`) and channels (of `open` on a cycler's file).
    on : str
        The common dimension, ``"time"`` or a position.
    names : sequence of str, optional
        Prefix of each part's variables; by default its technique, numbered where two are alike.
    grid : array_like, optional
        Values of the common dimension; by default those of the first part.
    start : mapping of str to float, optional
        What to add to a part's own coordinate, by name, so that all clocks agree.
    zone : str, optional
        Use the moments that the files state (attrs ``start``): clocks without an offset from UTC
        stand in this zone (``"Europe/London"``). Time then counts from the first part's time 0;
        ``start`` is added on top, for a clock that is known to be wrong. Left out, every part's
        own time 0 is the same moment.
    area_cm2 : float, optional
        Area of the electrode: currents become mA/cm2, charges mAh/cm2.

    Returns
    -------
    xr.Dataset
        ``<name>_amount``, ``<name>_stderr`` and ``<name>_limit`` on ``(on, ..., species)`` and
        ``<name>_covar`` on ``(on, ..., species, species_2)``, one species coordinate for all;
        channels under their own names on ``on``; where two files hold the same channel (linked
        techniques), the later one fills what the earlier one leaves open. ``charge`` is the net
        charge passed by then, integrated over the channels' own rows. Outside the range that a
        part covers, NaN. Parts without ``on`` keep their own dimensions.

    Raises
    ------
    OrderError
        If there is nothing to align, a part is neither amounts nor channels, or with ``zone`` a
        part does not say when it began.

    Notes
    -----
    Between two points with weights ``1 - w`` and ``w`` the variance is
    ``(1 - w)^2 s1^2 + w^2 s2^2``: independent neighbours, so an interpolated value is never
    credited with less scatter than that.
    """
    if not parts:
        raise OrderError("align: nothing given; pass amounts and channels")
    labels = _labels(parts, names)
    unknown = [name for name in start or {} if name not in labels]
    if unknown:
        raise OrderError(f"align: start names {unknown[0]!r}: {nearest(unknown[0], labels)}")
    moved = offsets(parts, labels, zone) if zone is not None and on == "time" else {}
    shifted = [
        _shift(part, on, moved.get(label, 0.0) + (start or {}).get(label, 0.0))
        for part, label in zip(parts, labels, strict=True)
    ]
    if area_cm2 is not None:
        shifted = [
            per_area(p, area_cm2) if p.attrs.get("convention") == "channels-1" else p
            for p in shifted
        ]
    target = _grid(shifted, on, grid)
    species = list(
        dict.fromkeys(str(s) for p in shifted if "species" in p.dims for s in p["species"].values)
    )
    joined = xr.Dataset(coords={on: (on, target, {"units": OUTER.get(on, "")})})
    attrs: dict[str, str] = {}
    for part, label in zip(shifted, labels, strict=True):
        if part.attrs.get("convention") == "amount-1":
            joined = joined.merge(_amounts_on(part, label, on, target, species), join="outer")
            attrs[f"{label}_technique"] = str(part.attrs["technique"])
            attrs[f"{label}_kind"] = str(part.attrs["kind"])
        else:
            joined = _filled(joined, _channels_on(part, on, target), label)
    if on == "time" and "charge" not in joined:
        passed = charge_on([p for p in shifted if "current" in p], target)
        if passed is not None:
            joined["charge"] = passed
    if zone is not None:
        attrs["zone"] = zone
        attrs["start"] = _moment(parts[0])
    elif on == "time" and len({m for m in map(_moment, parts) if m}) > 1 and not start:
        attrs["clock_note"] = (
            "the parts state different starts, but every part's own time 0 was taken as the same "
            "moment; zone= aligns by what they state"
        )
    joined.attrs = {"convention": CONVENTION, "parts": " ".join(labels), "history": "", **attrs}
    settings: dict[str, Any] = {"on": on, "names": list(labels), "zone": zone, "area_cm2": area_cm2}
    if start:
        settings["start"] = dict(start)
    settings = {key: value for key, value in settings.items() if value is not None}
    return record(stamp(joined, *parts), "align", settings)


def _moment(part: xr.Dataset) -> str:
    return str(part.attrs.get("start") or part.attrs.get("started") or "")


def _filled(joined: xr.Dataset, found: xr.Dataset, label: str) -> xr.Dataset:
    """Add channels; one of a name that is there already fills only its gaps.

    What runs along another dimension (impedance along ``point``) takes the part's name in front
    where its own is taken.
    """
    apart = [
        str(name)
        for name, var in found.data_vars.items()
        if name in joined.coords or (name in joined and joined[name].dims != var.dims)
    ]
    found = found.rename({name: f"{label}_{name}" for name in apart})
    for name, var in found.data_vars.items():
        if name not in joined:
            joined = joined.merge(found[[name]], join="outer")
            continue
        there = joined[name]
        if there.attrs.get("units") != var.attrs.get("units") or there.dims != var.dims:
            raise OrderError(
                f"align: {name!r} of {label!r} is in {var.attrs.get('units')}, of an earlier part "
                f"in {there.attrs.get('units')}; give area_cm2=, or align them apart"
            )
        joined[name] = there.fillna(var).assign_attrs(there.attrs)
    return joined


def _labels(parts: Sequence[xr.Dataset], names: Sequence[str] | None) -> list[str]:
    if names is not None and len(names) != len(parts):
        raise OrderError(f"align: {len(parts)} parts but {len(names)} names")
    labels: list[str] = []
    for at, part in enumerate(parts):
        kind = part.attrs.get("convention") if isinstance(part, xr.Dataset) else None
        if kind not in ("amount-1", "channels-1"):
            raise OrderError(
                f"align: part {at + 1} is {kind or type(part).__name__}; allowed: amounts "
                "(workbench.quantify) and channels (workbench.open of a cycler's file)"
            )
        label = names[at] if names is not None else str(part.attrs["technique"])
        base, number = label, 2
        while label in labels:
            label, number = f"{base}{number}", number + 1
        labels.append(label)
    return labels


def _shift(part: xr.Dataset, on: str, by: float) -> xr.Dataset:
    if by == 0.0:
        return part
    if on not in part.dims:  # impedance along ``point`` has its times as a channel
        return (
            part.assign({on: (part[on] + by).assign_attrs(part[on].attrs)}) if on in part else part
        )
    return part.assign_coords({on: (on, part[on].values + by, part[on].attrs)})


def _grid(parts: Sequence[xr.Dataset], on: str, grid: npt.ArrayLike | None) -> Array:
    if grid is not None:
        return np.asarray(grid, dtype=float)
    for part in parts:
        if on in part.dims:
            return np.asarray(part[on].values, dtype=float)
    raise OrderError(f"align: no part has the dimension {on!r}; pass grid=")


def _amounts_on(
    part: xr.Dataset, label: str, on: str, target: Array, species: Sequence[str]
) -> xr.Dataset:
    part = part[list(_AMOUNT)].reindex(species=list(species), species_2=list(species))
    found = xr.Dataset()
    for name in _AMOUNT:
        values = part[name] if on not in part.dims else _interpolated(part, name, on, target)
        found[f"{label}_{name}"] = values.assign_attrs(part[name].attrs)
    clashing = [d for d in found.dims if d not in (on, "species", "species_2")]
    return found.rename({d: f"{label}_{d}" for d in clashing})


def _interpolated(part: xr.Dataset, name: str, on: str, target: Array) -> xr.DataArray:
    source = np.asarray(part[on].values, dtype=float)
    order = np.argsort(source, kind="stable")
    source = source[order]
    data = part[name].transpose(on, ...).isel({on: order})
    values = np.asarray(data.values, dtype=float)
    if source.size == 1:
        weight_high = np.zeros(target.size)
        low = high = np.zeros(target.size, dtype=int)
        outside = ~np.isclose(target, source[0])
    else:
        high = np.clip(np.searchsorted(source, target), 1, source.size - 1)
        low = high - 1
        gap = source[high] - source[low]
        weight_high = np.where(gap > 0, (target - source[low]) / np.where(gap > 0, gap, 1.0), 0.0)
        outside = (target < source[0]) | (target > source[-1])
    shape = (-1,) + (1,) * (values.ndim - 1)
    w = weight_high.reshape(shape)
    # A weight of zero must not let a missing neighbour spoil the point.
    below = np.where(w < 1.0, values[low], 0.0)
    above = np.where(w > 0.0, values[high], 0.0)
    if name == "amount":
        result = (1.0 - w) * below + w * above
    elif name == "covar":
        result = (1.0 - w) ** 2 * below + w**2 * above
    else:
        result = np.sqrt(((1.0 - w) * below) ** 2 + (w * above) ** 2)
    result[outside] = np.nan
    coords = {d: data[d] for d in data.dims if d != on and d in data.coords}
    return xr.DataArray(
        result, dims=data.dims, coords={on: (on, target, part[on].attrs), **coords}
    ).transpose(*part[name].dims)


def _channels_on(part: xr.Dataset, on: str, target: Array) -> xr.Dataset:
    if on not in part.dims:
        return part
    source = np.asarray(part[on].values, dtype=float)
    first = np.concatenate([[True], np.diff(source) > 0])
    found = xr.Dataset(coords={on: (on, target, part[on].attrs)})
    for name, var in part.data_vars.items():
        if var.dims == (on,) and np.issubdtype(var.dtype, np.number):
            values = var.values.astype(float)
            good = first & np.isfinite(values)  # a row without a value must not spoil others
            if not good.any():
                continue
            on_target = np.interp(target, source[good], values[good], left=np.nan, right=np.nan)
            found[name] = (on, on_target, var.attrs)
    return found

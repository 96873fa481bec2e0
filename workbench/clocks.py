"""One clock for all: the moments that instruments state, and the charge that passed by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
import xarray as xr

from spectra.techniques.cycling import charge_passed

from .errors import OrderError

Array = npt.NDArray[np.float64]


def offsets(parts: Sequence[xr.Dataset], labels: Sequence[str], zone: str) -> dict[str, float]:
    """Return what to add to each part's time so that all count from the first part's time 0.

    Parameters
    ----------
    parts : sequence of xr.Dataset
        With attrs ``start`` or ``started``: ISO, with an offset from UTC, or without one where the
        instrument only knew its local clock.
    labels : sequence of str
        Names, for messages.
    zone : str
        IANA name of the place of those local clocks, ``"Europe/London"``; ``"UTC"``.

    Returns
    -------
    dict of str to float
        s by label; 0 for the first part.

    Raises
    ------
    OrderError
        If the zone is unknown or a part states no moment.
    """
    try:
        place = UTC if zone.upper() == "UTC" else ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise OrderError(
            f"align: zone {zone!r} is not known; give an IANA name such as 'Europe/London', or UTC"
        ) from None
    moments: dict[str, datetime] = {}
    for part, label in zip(parts, labels, strict=True):
        if "time" not in part.dims and "time" not in part:
            continue
        told = str(part.attrs.get("start") or part.attrs.get("started") or "")
        try:
            when = datetime.fromisoformat(told)
        except ValueError:
            raise OrderError(
                f"align: {label!r} does not say when it began (attrs['start']); set it as ISO "
                "time, or leave out zone= and give start={...} in s"
            ) from None
        moments[label] = when if when.tzinfo is not None else when.replace(tzinfo=place)
    if not moments:
        return {}
    first = next(iter(moments.values()))
    return {label: (when - first).total_seconds() for label, when in moments.items()}


def per_area(part: xr.Dataset, area_cm2: float) -> xr.Dataset:
    """Return channels with currents and charges per area of the electrode.

    Parameters
    ----------
    part : xr.Dataset
        Channels; ``mA`` becomes ``mA/cm2``, ``mAh`` becomes ``mAh/cm2``.
    area_cm2 : float
        Geometric area of the electrode.
    """
    if not area_cm2 > 0:
        raise OrderError(f"align: area_cm2 is {area_cm2:g}; it has to be positive")
    changed: Mapping[str, xr.DataArray] = {
        str(name): (var / area_cm2).assign_attrs(units=f"{var.attrs['units']}/cm2")
        for name, var in part.data_vars.items()
        if var.attrs.get("units") in ("mA", "mAh")
    }
    return part.assign(changed)


def charge_on(parts: Sequence[xr.Dataset], target: Array) -> xr.DataArray | None:
    """Return the net charge at given times, from all channels with a current, in their order.

    Parameters
    ----------
    parts : sequence of xr.Dataset
        Channels on one clock; each is integrated on its own rows, before any interpolation. What
        begins later continues from what came before.
    target : ndarray
        Times, s.

    Returns
    -------
    xr.DataArray or None
        Along ``time``: 0 before the first part, constant between parts and after the last one;
        None if no part has a current.
    """
    driven = [p for p in parts if "current" in p and p["current"].dims == ("time",)]
    driven = [p for p in driven if np.isfinite(p["current"].values).any()]
    if not driven:
        return None
    driven.sort(key=lambda part: float(part["time"][0]))
    times: list[Array] = []
    passed: list[Array] = []
    total, last = 0.0, -np.inf
    for part in driven:
        later = part.isel(time=part["time"].values > last)  # never counted twice
        if not later.sizes["time"]:
            continue
        charge = charge_passed(later)
        times.append(np.asarray(later["time"].values, dtype=float))
        passed.append(total + charge.values)
        total, last = float(passed[-1][-1]), float(times[-1][-1])
    units = str(driven[0]["current"].attrs["units"]).replace("mA", "mAh", 1)
    values = np.interp(target, np.concatenate(times), np.concatenate(passed))
    return xr.DataArray(
        values,
        dims=("time",),
        coords={"time": ("time", target, {"units": "s"})},
        attrs={"units": units, "long_name": "net charge passed, positive while charging"},
    )

"""Equal Bruker experiments (number, start in UTC seconds, Spectrum) stacked to one time series."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from ..convention import Source, spectrum
from ..errors import FormatError


def stacked(members: list[tuple[int, float | None, xr.Dataset]], record: Source) -> xr.Dataset:
    """Stack equal experiments along their start times, or by number where times are not known."""
    first = members[0][2]
    if len(members) == 1:
        ds = first.copy(deep=False)
        ds.attrs["source"] = json.dumps([record.__dict__])
        return ds
    dates = [when for _, when, _ in members]
    timed = all(d is not None for d in dates) and len(set(dates)) == len(dates)
    if timed:
        order = np.argsort(np.array(dates, float), kind="stable")
        members = [members[i] for i in order]
        start = min(d for d in dates if d is not None)
        dim, values = "time", np.array([float(m[1] or 0.0) - start for m in members])
    else:
        dim, values = "scan", np.array([m[0] for m in members])
    if dim in first["intensity"].dims:
        raise FormatError(f"{record.file}: 2D experiments without DATE cannot be stacked")
    dims = (dim, *map(str, first["intensity"].dims))
    axis = dims[-1]
    data = np.stack([m[2]["intensity"].values for m in members])
    extra: dict[str, Any] = {}
    if "intensity_im" in first:
        imaginary = np.stack([m[2]["intensity_im"].values for m in members])
        extra["intensity_im"] = (dims, imaginary, "1")
    coords: dict[str, Any] = {"experiment": ((dim,), np.array([m[0] for m in members]), "1")}
    attrs = {k: v for k, v in first.attrs.items() if k not in ("history", "source", "title")}
    for name, unit in (("scans", "1"), ("receiver_gain", "1"), ("phase0_deg", "deg"),
                       ("phase1_deg", "deg"), ("spinning_Hz_as_stated", "Hz")):  # fmt: skip
        found = [m[2].attrs.get(name) for m in members]
        if any(v != found[0] for v in found) and all(isinstance(v, (int, float)) for v in found):
            coords[name] = ((dim,), np.array(found, float), unit)
            attrs.pop(name, None)
    attrs["title"] = str(first.attrs.get("title", ""))
    return spectrum(
        data,
        first[axis].values,
        technique="nmr",
        axis_name=axis,
        units="1",
        outer={dim: values} | {str(d): first[d].values for d in dims[1:-1]},
        coords=coords,
        extra=extra,
        attrs=attrs,
        source=record,
    )

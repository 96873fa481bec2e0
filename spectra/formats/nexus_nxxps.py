"""NeXus files of photoemission: application definitions NXxps and NXmpes (.nxs, HDF5).

Every ``NXentry`` whose ``definition`` is one of them gives a region: ``data/data`` along
``data/energy`` (binding or kinetic by its attribute ``type``, turned with the photon energy of
``instrument/beam_probe``; some converters call a binding energy kinetic, which shows where a core
level then does not lie in its own region). Where the detector's ``raw_data/raw`` holds scans or
cycles, they are kept along ``scan`` or ``cycle`` (channels summed); ``data`` is their mean. A fit
in the entry (``fit/data``) is kept as ``reported_background`` and ``reported_envelope``.
``data_errors`` becomes ``uncertainty`` with origin ``reported``. Entries of other definitions are
passed over.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import FormatError
from ._xps import region, region_name, unique, with_reference_lines
from .base import Format, Options, Regions

_DEFINITIONS = ("NXxps", "NXmpes", "NXmpes_arpes")
_MAX_VALUES = 200_000_000


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is HDF5 with an entry of such a definition."""
    if not head.startswith(b"\x89HDF\r\n\x1a\n"):
        return False
    try:
        import h5py

        with h5py.File(path, "r") as file:
            return any(_definition(file[k]) in _DEFINITIONS for k in file)
    except Exception:  # a sniffer never raises
        return False


def read(path: Path, options: Options) -> Regions:
    """Read all entries."""
    import h5py

    regions: dict[str, xr.Dataset] = {}
    try:
        with h5py.File(path, "r") as file:
            chosen = [k for k in file if _definition(file[k]) in _DEFINITIONS]
            mislabelled = any(
                _binding_called_kinetic(file[k], region_name(k.rpartition("__")[2])) for k in chosen
            )
            several = len({k.split("__")[0] for k in chosen if "__" in k}) > 1
            for key in chosen:
                sample, _, own = key.rpartition("__")
                label = region_name(own) + (f" ({sample})" if several and sample else "")
                name = unique(label, regions)
                regions[name] = _entry(path, name, sample, file[key], mislabelled)
    # A damaged file may have a type or a group where a data set belongs: TypeError, AttributeError.
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise FormatError(
            f"{path.name}: HDF5: {error}: the file is truncated or not as NXmpes says"
        ) from None
    if not regions:
        raise FormatError(f"{path.name}: no entry of {', '.join(_DEFINITIONS)}")
    return with_reference_lines(regions)


def _definition(entry: Any) -> str:
    try:
        value = entry["definition"][()]
    except (KeyError, TypeError, ValueError, AttributeError):
        return ""
    return value.decode() if isinstance(value, bytes) else str(value)


def _scalar(entry: Any, place: str) -> Any:
    try:
        value = entry[place][()]
    except (KeyError, TypeError, ValueError):
        return None
    return value.decode() if isinstance(value, bytes) else value


def _units(data: Any) -> str:
    text = str(data.attrs.get("units", "")).casefold()
    if "per_second" in text or "/s" in text or text == "cps":
        return "counts/s"
    return "counts" if text in ("counts", "count") else "1"


def _repeats(raw: Any, points: int) -> tuple[str, np.ndarray] | None:
    """Return dimension and values of repeated scans or cycles, detector channels summed."""
    if raw is None or raw.ndim < 2 or raw.shape[-1] != points or raw.size > _MAX_VALUES:
        return None
    axes = [str(a) for a in np.atleast_1d(raw.parent.attrs.get("axes", []))]
    if len(axes) != raw.ndim or axes[0] not in ("scan", "cycle") or raw.shape[0] < 2:
        return None
    values = np.asarray(raw[()], dtype=float)
    if raw.ndim == 3 and axes[1] == "channel":
        values = values.sum(axis=1)
    return (axes[0], values) if values.ndim == 2 else None


def _binding_called_kinetic(entry: Any, name: str) -> bool:
    """Whether a core level lies on the axis as it stands, and not on that of h nu minus it."""
    import xraydb

    match = re.match(r"^([A-Z][a-z]?) (1s|2s|2p|3d|4f)", name)
    edges = {"1s": "K", "2s": "L1", "2p": "L3", "3d": "M5", "4f": "N7"}
    kind = str(entry["data/energy"].attrs.get("type", ""))
    photon = _scalar(entry, "instrument/beam_probe/incident_energy")
    if not match or "kinetic" not in kind.casefold() or photon is None:
        return False
    edge = xraydb.xray_edges(match[1]).get(edges[match[2]])
    energy = np.asarray(entry["data/energy"][()], dtype=float)
    if edge is None:
        return False
    turned = float(photon) - energy
    here = energy.min() - 5.0 <= edge.energy <= energy.max() + 5.0
    return bool(here and not turned.min() - 5.0 <= edge.energy <= turned.max() + 5.0)


def _entry(path: Path, name: str, sample: str, entry: Any, mislabelled: bool) -> xr.Dataset:
    place = f"{path.name}, entry {entry.name!r}"
    group = entry["data"]
    signal = str(group.attrs.get("signal", "data"))
    data = group[signal]
    if data.size > _MAX_VALUES:
        raise FormatError(f"{place}: {data.size} values; {_MAX_VALUES} is the limit")
    energy_data = group["energy"]
    energy = np.asarray(energy_data[()], dtype=float)
    photon = _scalar(entry, "instrument/beam_probe/incident_energy")
    photon = float(photon) if photon is not None else None
    kind = str(energy_data.attrs.get("type", "") or _scalar(entry, "data/energy_type") or "binding")
    if "kinetic" in kind.casefold() and not mislabelled:
        if photon is None:
            raise FormatError(f"{place}: kinetic energies and no photon energy")
        energy = photon - energy
    y = np.asarray(data[()], dtype=float)
    units = _units(data)
    outer: dict[str, np.ndarray] = {}
    errors = None
    analyser = "instrument/electronanalyzer"
    raw = entry.get(f"{analyser}/detector/raw_data/raw")
    repeats = _repeats(raw, energy.size)
    if repeats is not None:
        dim, y = repeats
        units = _units(raw)
        outer[dim] = np.arange(len(y))
    elif y.ndim > 1:
        if y.ndim != 2 or y.shape[1] != energy.size:
            raise FormatError(f"{place}: data of shape {y.shape} along {energy.size} energies")
        outer["scan"] = np.arange(len(y))
    if not outer and f"{signal}_errors" in group:
        errors = np.asarray(group[f"{signal}_errors"][()], dtype=float)
    extra = {}
    for ours, theirs in (("background", "background"), ("envelope", "fit_sum")):
        found = entry.get(f"fit/{theirs}/data/intensity") if ours == "background" else None
        found = found if found is not None else entry.get(f"fit/data/{theirs}")
        if found is not None and found.shape == energy.shape:
            values = np.asarray(found[()], dtype=float)
            extra[f"reported_{ours}"] = (("binding_energy",), values, units)
    ds = region(
        path,
        "nexus_nxxps",
        name,
        energy,
        y,
        units=units,
        attrs={
            "axis_note": "called kinetic in the file, but binding" if mislabelled else "",
            "photon_energy_eV": photon,
            "pass_energy_eV": _scalar(entry, f"{analyser}/energydispersion/pass_energy"),
            "work_function_eV": _scalar(entry, f"{analyser}/work_function"),
            "sample": sample,
            "title": _scalar(entry, "title"),
        },
        outer=outer,
        extra=extra,
    )
    if errors is not None and errors.shape == y.shape and np.all(errors > 0):
        turned = errors if energy[0] < energy[-1] else errors[::-1]
        attrs = {"units": units, "origin": "reported"}
        ds["uncertainty"] = (ds["intensity"].dims, turned, attrs)
    return ds


FORMATS = (
    Format(
        name="nexus_nxxps",
        title="NeXus photoemission (NXxps, NXmpes)",
        suffixes=(".nxs", ".h5"),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

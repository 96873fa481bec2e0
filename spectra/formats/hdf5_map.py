"""HDF5 and NeXus with energy-dispersive spectra: NXdata maps, PETRA P61A points, declared layouts.

Autodetected:

- **NXdata**: a group with ``NX_class = "NXdata"``, ``signal`` naming the counts and ``axes`` naming
  one dataset per dim, of which the last is ``channel`` or ``energy`` (keV). Beside it, anywhere in
  the same NXentry: ``live_time``, ``real_time``, ``two_theta``, ``energy_calibration`` (c0, c1, c2
  in keV). Outer axes: time (s), position, x, y, z (any length unit, kept in um).
- **P61A**: ``entry/instrument/xspress3/channelNN/histogram`` (frames, channels), with
  ``scaler/allevent, allgood`` (dead time = 1 - allgood / allevent) or ``deadtimeticks,
  totalticks`` where they exist. The first 20 channels hold noise and the last one overflow: marked
  not valid.
- **Detector stacks**, as EPICS areaDetector (Xspress3, XMAP) writes them:
  ``<entry>/instrument/<detector>/data`` or ``<entry>/data/data`` of whole numbers with the shape
  (frames, channels) or (frames, elements, channels): 512 channels or more (a power of two), at
  most 256 elements. Frames are ``scan``, elements ``detector``; there is no energy scale in them.
- **By name and shape**: Diamond I12, ESRF BLISS, pyXRF maps and the like (`_hdf5_found`).
- **Becquerel**: root ``counts`` and ``bin_edges_raw`` with attrs ``livetime``, ``realtime``.

Declared: ``<name>.map.yaml`` beside ``<name>.h5`` holds the paths of a beamline's own layout::

    counts: /entry/mca/data          # required; the last dim is the channel
    dims: [time, position]           # outer dims, in order (names of the convention)
    coords: {time: /entry/t, position: /entry/samz}
    units: {position: mm}            # where the file does not say
    live_time: /entry/live
    real_time: /entry/real
    energy: /entry/energy            # keV per channel, or
    energy_calibration: [0.0, 0.05, 0.0]
    two_theta: 5.33                  # degree, or a path

No energy or angle found in a file is taken as a calibration: they are the header's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..convention import OUTER
from ..errors import FormatError
from . import _hdf5_found
from ._hdf5_declare import MAGIC, declared_layout, dimension, sidecar, undeclared
from ._mca import TECHNIQUES, as_counts, mca, technique_of
from .base import MAX_FILE_BYTES, Format, Options, Regions, source

_KEYS = (
    "counts", "dims", "coords", "units", "live_time", "real_time", "energy", "energy_calibration",
    "two_theta",
)  # fmt: skip
MAX_VALUES = 1 << 30


def _sniff(head: bytes, path: Path) -> bool:
    if not head.startswith(MAGIC):
        return False
    if sidecar(path).is_file():
        return not _of_patterns(path)
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if "_NCProperties" in file.attrs or "convention" in file.attrs:
                return False
            if any(_photoemission(file[key]) for key in file):
                return False
            known = bool(_p61a(file)) or _becquerel(file) or bool(_nxdata(file))
            return known or bool(_stacks(file)) or bool(_hdf5_found.find(file))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):
        return False


def _of_patterns(path: Path) -> bool:
    """Whether what is declared is a powder pattern, which has a reader of its own."""
    from .nexus_powder import declares_pattern

    return declares_pattern(path)


def _photoemission(entry: Any) -> bool:
    """Whether an entry follows NXxps or NXmpes, which have a reader of their own."""
    definition = entry.get("definition") if hasattr(entry, "keys") else None
    value = definition[()] if definition is not None else b""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return text.startswith(("NXxps", "NXmpes"))


def read(path: Path, options: Options) -> Regions:
    """Read every region of an HDF5 file; see the module for the layouts.

    Raises
    ------
    FormatError
        If the file is damaged, or holds no layout known here and none is declared.
    """
    import h5py

    if path.stat().st_size > MAX_FILE_BYTES:
        raise FormatError(f"{path.name}: larger than {MAX_FILE_BYTES} bytes; split it")
    try:
        with h5py.File(path, "r") as file:
            if sidecar(path).is_file():
                return {path.stem: _declared(path, file, options)}
            if channels := _p61a(file):
                return {name: _read_p61a(path, file, name, options) for name in channels}
            if _becquerel(file):
                return {path.stem: _read_becquerel(path, file, options)}
            if groups := _nxdata(file):
                single = len(groups) == 1
                return {
                    path.stem if single else g.strip("/"): _read_nxdata(path, file, g, options)
                    for g in groups
                }
            if stacks := _stacks(file):
                single = len(stacks) == 1
                return {
                    path.stem if single else g.strip("/"): _read_stack(path, file, g, options)
                    for g in stacks
                }
            if places := _hdf5_found.find(file):
                single = len(places) == 1
                return {
                    path.stem if single else g: _read_found(path, file, g, names, options)
                    for g, names in places.items()
                }
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise FormatError(
            f"{path.name}: cannot be read as HDF5 ({str(error)[:120]}); the file may be truncated; "
            "copy it again"
        ) from None
    raise FormatError(f"{path.name}: {undeclared(path)}")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _counts(path: Path, dataset: Any) -> np.ndarray:
    if not hasattr(dataset, "shape") or dataset.dtype.kind not in "iuf":
        raise FormatError(f"{path.name}: {dataset.name} is not an array of numbers")
    if dataset.size > MAX_VALUES:
        raise FormatError(f"{path.name}: {dataset.name} has {dataset.size} values; {MAX_VALUES} is "
                          "the limit; split the file")  # fmt: skip
    values = dataset[()]
    if values.dtype.kind in "iu":
        return np.asarray(values)
    return as_counts(values, path)


def _linked_outside(group: Any, key: str) -> bool:
    """Whether a link leaves the file: those are not followed."""
    import h5py

    return isinstance(group.get(key, getlink=True), h5py.ExternalLink)


# -- P61A ------------------------------------------------------------------------------------------


def _p61a(file: Any) -> list[str]:
    group = file.get("entry/instrument/xspress3")
    if group is None or not hasattr(group, "keys"):
        return []
    names = [k for k in group if k.startswith("channel") and not _linked_outside(group, k)]
    return sorted(k for k in names if "histogram" in group[k])


def _read_p61a(path: Path, file: Any, name: str, options: Options) -> xr.Dataset:
    group = file[f"entry/instrument/xspress3/{name}"]
    counts = _counts(path, group["histogram"])
    if counts.ndim != 2 or counts.shape[0] < 1:
        raise FormatError(
            f"{path.name}: {name}/histogram has shape {counts.shape}, not (frames, channels)"
        )
    attrs: dict[str, Any] = {}
    scaler = {}
    if "scaler" in group:
        for key in ("allevent", "allgood", "time", "deadtimeticks", "totalticks"):
            if key in group["scaler"]:
                scaler[key] = np.asarray(group["scaler"][key][()], float).ravel()
    real = scaler["time"] * 12.5e-9 if "time" in scaler else None
    live = None
    if real is not None and {"allevent", "allgood"} <= set(scaler):
        with np.errstate(invalid="ignore", divide="ignore"):
            live = real * scaler["allgood"] / scaler["allevent"]
    elif {"deadtimeticks", "totalticks"} <= set(scaler):
        real = real if real is not None else scaler["totalticks"] * 12.5e-9
        with np.errstate(invalid="ignore", divide="ignore"):
            live = real * (1.0 - scaler["deadtimeticks"] / scaler["totalticks"])
    frames = counts.shape[0]
    single = frames == 1
    ds = mca(
        counts[0] if single else counts,
        technique=technique_of(options, "edxrd"),
        source=source(path, "hdf5_map", name),
        outer=None if single else {"scan": np.arange(frames)},
        live_time=None if live is None else (live[0] if single else live[:frames]),
        real_time=None if real is None else (real[0] if single else real[:frames]),
        attrs=attrs,
    )
    channel = ds["channel"].values
    valid = (channel >= 20) & (channel < channel[-1])
    flags = {"flag_values": np.array([0, 1], np.uint8), "flag_meanings": "masked valid"}
    ds["valid"] = (ds["intensity"].dims[-1], valid, flags)
    return ds


# -- detector stacks -------------------------------------------------------------------------------


def _stacks(file: Any) -> list[str]:
    """Find stacks of multichannel spectra: whole numbers, (frames, [elements,] channels)."""
    found: list[str] = []
    for entry in list(file)[:50]:
        if _linked_outside(file, entry) or not hasattr(file[entry], "keys"):
            continue
        group = file[entry]
        places = [f"{entry}/data/data"]
        if not _linked_outside(group, "instrument") and hasattr(group.get("instrument"), "keys"):
            instrument = group["instrument"]
            places = [
                f"{entry}/instrument/{name}/data"
                for name in list(instrument)[:100]
                if not _linked_outside(instrument, name)
            ] + places
        for place in places:
            parent = file.get(place.rsplit("/", 1)[0])
            if not hasattr(parent, "keys") or _linked_outside(parent, "data"):
                continue
            if _is_stack(parent.get("data")) and not any(file[f] == file[place] for f in found):
                found.append(place)
    return found


def _is_stack(item: Any) -> bool:
    shape: tuple[int, ...] = tuple(getattr(item, "shape", ()))
    if item is None or len(shape) not in (2, 3) or getattr(item, "dtype", None) is None:
        return False
    channels = shape[-1]
    power = channels >= 512 and channels & (channels - 1) == 0
    return item.dtype.kind in "iu" and power and (len(shape) == 2 or 1 <= shape[1] <= 256)


def _read_stack(path: Path, file: Any, place: str, options: Options) -> xr.Dataset:
    counts = _counts(path, file[place])
    if counts.ndim == 3 and counts.shape[1] == 1:
        counts = counts[:, 0]
    outer: dict[str, np.ndarray] = {"scan": np.arange(counts.shape[0])}
    if counts.ndim == 3:
        outer["detector"] = np.arange(counts.shape[1])
    if counts.shape[0] == 1:
        counts = counts[0]
        outer.pop("scan")
    return mca(
        counts,
        technique=technique_of(options, "edxrd"),
        source=source(path, "hdf5_map", place),
        outer=outer or None,
    )


def _read_found(
    path: Path, file: Any, place: str, names: list[str], options: Options
) -> xr.Dataset:
    size = sum(int(file[n].size) for n in names)
    if size > MAX_VALUES:
        raise FormatError(f"{path.name}: {place} has {size} values; {MAX_VALUES} is the limit; "
                          "split the file")  # fmt: skip
    counts = [_counts(path, file[n]) for n in names]
    values, outer, energy = _hdf5_found.arrange(path, file, names, counts)
    return mca(
        values,
        technique=technique_of(options, "edxrd"),
        source=source(path, "hdf5_map", place),
        outer=outer or None,
        scale=None if energy is None else _fitted_scale(energy),
        attrs={"datasets": " ".join(names)} if len(names) > 1 else None,
    )


# -- becquerel -------------------------------------------------------------------------------------


def _becquerel(file: Any) -> bool:
    return "counts" in file and "bin_edges_raw" in file and file["counts"].ndim == 1


def _read_becquerel(path: Path, file: Any, options: Options) -> xr.Dataset:
    scale = None
    expression = _text(file["energy_cal/expression"][()]) if "energy_cal/expression" in file else ""
    params = file["energy_cal/params"][()] if "energy_cal/params" in file else ()
    if "x**2" in expression.replace(" ", "") or "p[0]+p[1]*x" in expression.replace(" ", ""):
        scale = [float(p) for p in params]
    return mca(
        _counts(path, file["counts"]),
        technique=technique_of(options),
        source=source(path, "hdf5_map"),
        scale=scale,
        live_time=float(file.attrs["livetime"]) if "livetime" in file.attrs else None,
        real_time=float(file.attrs["realtime"]) if "realtime" in file.attrs else None,
    )


# -- NXdata ----------------------------------------------------------------------------------------


def _nxdata(file: Any) -> list[str]:
    """Find groups of class NXdata whose last axis is a channel or an energy."""
    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if len(found) < 1000 and _text(item.attrs.get("NX_class", "")) == "NXdata":
            axes = _axes(item)
            signal = _text(item.attrs.get("signal", ""))
            if signal in item and axes and axes[-1].lower() in ("channel", "channels", "energy"):
                found.append("/" + name)

    file.visititems(visit)
    return sorted(found)


def _axes(group: Any) -> list[str]:
    axes = group.attrs.get("axes", ())
    if isinstance(axes, (str, bytes)):
        return [_text(axes)]
    return [_text(a) for a in np.ravel(axes)]


def _read_nxdata(path: Path, file: Any, name: str, options: Options) -> xr.Dataset:
    group = file[name]
    axes = _axes(group)
    counts = _counts(path, group[_text(group.attrs["signal"])])
    if counts.ndim != len(axes):
        raise FormatError(f"{path.name}: {name} has {counts.ndim} dims and axes {', '.join(axes)}")
    outer: dict[str, np.ndarray] = {}
    for position, axis in enumerate(axes[:-1]):
        dim = _dim(path, axis)
        if axis in group:
            units = _text(group[axis].attrs.get("units", ""))
            outer[dim] = dimension(path, dim, np.asarray(group[axis][()], float), units)
        else:
            outer[dim] = np.arange(counts.shape[position], dtype=float)
    scale = None
    if axes[-1].lower() == "energy" and axes[-1] in group:
        scale = _fitted_scale(np.asarray(group[axes[-1]][()], float))
    entry = file[name.strip("/").split("/")[0]]
    beside = _beside(entry, ("live_time", "real_time", "two_theta", "energy_calibration"))
    if "energy_calibration" in beside:
        scale = [float(v) for v in np.ravel(beside["energy_calibration"])]
    angle = beside.get("two_theta")
    return mca(
        counts,
        technique=technique_of(options, "edxrd"),
        source=source(path, "hdf5_map", name.strip("/")),
        scale=scale,
        outer=outer,
        live_time=beside.get("live_time"),
        real_time=beside.get("real_time"),
        two_theta_deg=float(np.ravel(angle)[0]) if angle is not None else None,
    )


def _beside(entry: Any, names: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        last = name.rsplit("/", 1)[-1]
        if last in names and last not in found and hasattr(item, "shape") and item.size <= 1 << 24:
            found[last] = np.asarray(item[()], float)

    entry.visititems(visit)
    return found


def _dim(path: Path, name: str) -> str:
    """Return the convention's name of an axis; unknown ones are refused with the way out."""
    plain = name.lower()
    known = {"samz": "z", "samx": "x", "samy": "y", "t": "time", "frame": "scan", "depth": "z"}
    dim = known.get(plain, plain)
    if dim not in OUTER:
        raise FormatError(
            f"{path.name}: axis {name!r} is not a dimension known here ({', '.join(OUTER)}); "
            f"declare the paths and dims in {sidecar(path).name}"
        )
    return dim


def _fitted_scale(energy: np.ndarray) -> list[float] | None:
    """Quadratic through an energy axis, if it is one to 1e-4 keV."""
    if energy.ndim != 1 or energy.size < 3 or not np.all(np.isfinite(energy)):
        return None
    if np.median(energy) > 1000.0:  # in eV
        energy = energy * 1e-3
    channel = np.arange(energy.size, dtype=float)
    fit = np.polynomial.Polynomial.fit(channel, energy, 2).convert()
    good = np.max(np.abs(fit(channel) - energy)) < 1e-4
    return [float(c) for c in fit.coef] if good else None


# -- declared --------------------------------------------------------------------------------------


def _declared(path: Path, file: Any, options: Options) -> xr.Dataset:
    layout = declared_layout(sidecar(path), _KEYS)

    def at(place: str) -> Any:
        if not isinstance(place, str) or place not in file or not hasattr(file[place], "shape"):
            raise FormatError(
                f"{sidecar(path).name}: no array at {place!r} in {path.name}; list it with h5ls"
            )
        return file[place]

    counts = _counts(path, at(layout["counts"]))
    dims = [_dim(path, str(d)) for d in layout.get("dims", [])]
    if counts.ndim != len(dims) + 1:
        raise FormatError(
            f"{sidecar(path).name}: {len(dims)} dims and a channel, but {layout['counts']} has "
            f"{counts.ndim} dims"
        )
    outer = {}
    for k, dim in enumerate(dims):
        place = (layout.get("coords") or {}).get(dim)
        if place is None:
            outer[dim] = np.arange(counts.shape[k], dtype=float)
            continue
        values = np.asarray(at(place)[()], float).ravel()
        if values.size != counts.shape[k]:
            raise FormatError(
                f"{path.name}: {place} has {values.size} values for {counts.shape[k]}"
            )
        units = (layout.get("units") or {}).get(dim) or _text(at(place).attrs.get("units", ""))
        outer[dim] = dimension(path, dim, values, str(units))
    scale = layout.get("energy_calibration")
    if layout.get("energy"):
        scale = _fitted_scale(np.asarray(at(layout["energy"])[()], float))
    angle = layout.get("two_theta")
    if isinstance(angle, str):
        angle = float(np.ravel(at(angle)[()])[0])
    times = {
        k: _times(path, layout[k], at(layout[k]), counts.shape[:-1])
        for k in ("live_time", "real_time")
        if layout.get(k)
    }
    return mca(
        counts,
        technique=technique_of(options, "edxrd"),
        source=source(path, "hdf5_map"),
        scale=None if scale is None else [float(c) for c in scale],
        outer=outer,
        live_time=times.get("live_time"),
        real_time=times.get("real_time"),
        two_theta_deg=None if angle is None else float(angle),
    )


def _times(path: Path, place: str, item: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Seconds of every spectrum; one value, or those of some dims, stand for all."""
    values = np.asarray(item[()], float)
    if values.shape == (1,) or values.shape == shape:
        return np.broadcast_to(values.reshape(() if values.size == 1 else shape), shape)
    try:
        return np.broadcast_to(values, shape)
    except ValueError:
        raise FormatError(
            f"{path.name}: {place} has the shape {values.shape}; the spectra have {shape}"
        ) from None


FORMATS = (
    Format(
        name="hdf5_map",
        title="HDF5 or NeXus maps of spectra (NXdata, P61A, declared layouts)",
        suffixes=(".h5", ".hdf5", ".nxs"),
        techniques=TECHNIQUES,
        sniff=_sniff,
        read=read,
    ),
)

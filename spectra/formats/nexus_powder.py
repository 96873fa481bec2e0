"""Powder patterns in HDF5: NXdata over two-theta or q, as azimuthal integration writes them.

Autodetected: a group with ``NX_class = "NXdata"``, ``signal`` and ``axes``, of which the last is
named ``2th``, ``tth``, ``two_theta``, ``twotheta``, ``2theta``, ``polar_angle``, ``q`` or
``radial...`` (pyFAI, ewoksxrpd, azint; NXazint1d, NXmonopd, NXxrd). Its unit says what it is: deg,
rad, 1/A or 1/nm (attrs ``units`` or ``unit``; or part of the name, as in ``q_A^-1``). An axis of q
becomes two-theta with the wavelength: a dataset ``wavelength`` (m, nm, angstrom) or ``energy`` /
``incident_energy`` (keV, eV) in the same entry. ``errors`` or ``<signal>_errors`` are the standard
errors. Outer axes: ``t``, ``time`` (s), the convention's names; others are counted (``scan``,
``point``), with what they hold kept as ``axis_<name>``. Bins that are not finite are masked.
Patterns resolved in azimuth are left out: they are images.

Declared: ``<name>.map.yaml`` beside ``<name>.h5``::

    counts: /entry/integrated/I      # the last dim is the angle
    two_theta_axis: /entry/tth       # degree, or: q_axis: /entry/q   # 1/angstrom
    wavelength_A: 0.1823
    dims: [time]
    coords: {time: /entry/elapsed}   # in the units of the convention (s, um)
    errors: /entry/sigma
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..convention import OUTER, spectrum
from ..errors import FormatError
from ._hdf5_declare import MAGIC, declared_layout, dimension, sidecar
from .base import MAX_FILE_BYTES, Format, Options, Regions, source

_AXIS = re.compile(r"^(2th|tth|two_?theta|2theta|polar_angle|q|radial)(?![a-z0-9])", re.I)
_KEYS = ("counts", "two_theta_axis", "q_axis", "wavelength_A", "dims", "coords", "errors")
_HC = 12.398419843
_MOST = 20_000
MAX_VALUES = 1 << 28


def declares_pattern(path: Path) -> bool:
    """Whether the declaration beside a file is of powder patterns."""
    file = sidecar(path)
    try:
        text = file.read_text("utf-8") if file.stat().st_size < 1 << 20 else ""
    except (OSError, UnicodeDecodeError):
        return False
    return bool(re.search(r"\b(two_theta_axis|q_axis)\b\s*:", text))


def _sniff(head: bytes, path: Path) -> bool:
    if not head.startswith(MAGIC):
        return False
    if sidecar(path).is_file():
        return declares_pattern(path)
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "_NCProperties" not in file.attrs and bool(_groups(file))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):
        return False


def read(path: Path, options: Options) -> Regions:
    """Read every group of patterns; see the module for the layout.

    Raises
    ------
    FormatError
        If the file is damaged, an axis has no unit or wavelength, or lengths differ.
    """
    import h5py

    if path.stat().st_size > MAX_FILE_BYTES:
        raise FormatError(f"{path.name}: larger than {MAX_FILE_BYTES} bytes; split it")
    try:
        with h5py.File(path, "r") as file:
            if declares_pattern(path):
                return {path.stem: _declared(path, file)}
            groups = _groups(file)
            found = {g.strip("/"): _read(path, file, g) for g in groups}
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise FormatError(
            f"{path.name}: cannot be read as HDF5 ({str(error)[:120]}); the file may be truncated; "
            "copy it again"
        ) from None
    if not found:
        raise FormatError(f"{path.name}: no NXdata over two-theta or q; declare the paths in "
                          f"{sidecar(path).name} (keys: {', '.join(_KEYS)})")  # fmt: skip
    return {path.stem: next(iter(found.values()))} if len(found) == 1 else found


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _axes(group: Any) -> list[str]:
    axes = group.attrs.get("axes", ())
    return [_text(axes)] if isinstance(axes, (str, bytes)) else [_text(a) for a in np.ravel(axes)]


def _inside(group: Any, key: str) -> Any:
    """Return a dataset of the file itself; links out of it are not followed."""
    import h5py

    if not key or isinstance(group.get(key, getlink=True), h5py.ExternalLink):
        return None
    item = group.get(key)
    return item if isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf" else None


def _groups(file: Any) -> list[str]:
    """Paths of the groups that hold patterns."""
    found: list[str] = []
    count = 0

    def visit(name: str, item: Any) -> bool | None:
        nonlocal count
        count += 1
        if count > _MOST:
            return True
        if _text(item.attrs.get("NX_class", "")) == "NXdata" and hasattr(item, "keys"):
            axes = _axes(item)
            signal = _inside(item, _text(item.attrs.get("signal", "")))
            flat = not any(a.lower().startswith(("chi", "azim", "eta")) for a in axes[:-1])
            if signal is not None and axes and flat and _AXIS.match(axes[-1]):
                axis = _inside(item, axes[-1])
                if axis is not None and axis.shape == signal.shape[-1:] and axis.size > 2:
                    found.append("/" + name)
        return None

    file.visititems(visit)
    return sorted(found)


def _read(path: Path, file: Any, name: str) -> xr.Dataset:
    group = file[name]
    axes, signal = _axes(group), _text(group.attrs["signal"])
    data = _values(path, group[signal])
    if data.ndim != len(axes):
        raise FormatError(f"{path.name}: {name} has {data.ndim} dims and axes {', '.join(axes)}")
    outer, coords = _outer(path, group, axes[:-1], data.shape[:-1])
    axis = group[axes[-1]]
    units = _text(axis.attrs.get("units", axis.attrs.get("unit", ""))) or axes[-1]
    wave = _wavelength(file[name.strip("/").split("/")[0]])
    angle = _angles(path, np.asarray(axis[()], float), _kind(path, axes[-1], units), wave)
    error = next((e for k in ("errors", f"{signal}_errors") if (e := _inside(group, k))), None)
    sigma = None if error is None or error.shape != data.shape else _values(path, error)
    return _pattern(path, name.strip("/"), data, angle, wave, outer, coords, sigma)


def _values(path: Path, item: Any) -> np.ndarray:
    if item.size > MAX_VALUES:
        raise FormatError(f"{path.name}: {item.name} has {item.size} values; {MAX_VALUES} is the "
                          "limit; split the file")  # fmt: skip
    return np.asarray(item[()], float)


def _outer(
    path: Path, group: Any, axes: list[str], shape: tuple[int, ...]
) -> tuple[dict[str, np.ndarray], dict[str, tuple[tuple[str, ...], np.ndarray, str]]]:
    """Outer dims, and what the axes of no known name hold."""
    spare = [n for n in ("scan", "point", "cycle", "detector") if n not in axes]
    outer: dict[str, np.ndarray] = {}
    coords: dict[str, tuple[tuple[str, ...], np.ndarray, str]] = {}
    for name, size in zip(axes, shape, strict=True):
        item = _inside(group, name) if name != "." else None
        item = item if item is not None and item.shape == (size,) else None
        dim = {"t": "time", "frame": "scan"}.get(name.lower(), name.lower())
        units = "" if item is None else _text(item.attrs.get("units", item.attrs.get("unit", "")))
        if dim in OUTER and dim not in outer and item is not None:
            outer[dim] = dimension(path, dim, np.asarray(item[()], float), units)
            continue
        label = spare.pop(0)
        outer[label] = np.arange(size, dtype=float)
        if item is not None:
            safe = re.sub(r"\W+", "_", name)
            coords[f"axis_{safe}"] = ((label,), np.asarray(item[()], float), units or "1")
    return outer, coords


def _kind(path: Path, name: str, units: str) -> str:
    """Return deg, rad, 1/A or 1/nm."""
    plain = units.lower().replace(" ", "").replace("å", "a").replace("ångström", "a")
    if re.search(r"nm", plain):
        return "1/nm"
    if re.search(r"(?<![a-z])(a|ang|angstroms?)(\^|\*\*)?-1|/(a|ang|angstroms?)$|inv", plain):
        return "1/A"
    if "rad" in plain.split("_")[-1] and "radial" not in plain:
        return "rad"
    if "deg" in plain or (not name.lower().startswith(("q", "radial")) and units == name):
        return "deg"
    raise FormatError(
        f"{path.name}: the axis {name!r} has the unit {units!r}; allowed: deg, rad, 1/angstrom, "
        f"1/nm; or declare two_theta_axis or q_axis in {sidecar(path).name}"
    )


def _wavelength(entry: Any) -> float | None:
    """Wavelength in angstrom that an entry gives, by itself or by an energy."""
    found: dict[str, float] = {}
    count = 0

    def visit(name: str, item: Any) -> bool | None:
        nonlocal count
        count += 1
        last = name.rsplit("/", 1)[-1].lower()
        named = last in ("wavelength", "energy", "incident_energy", "incident_wavelength")
        if named and getattr(item, "size", 0) == 1 and item.dtype.kind in "iuf":
            value = float(np.ravel(item[()])[0])
            units = _text(item.attrs.get("units", "")).lower()
            if "wave" in last:
                guess = "m" if abs(value) < 1e-6 else "a"
                scale = {"m": 1e10, "nm": 10.0, "pm": 0.01}.get(units or guess, 1.0)
                found.setdefault("wave", value * scale)
            elif value > 0.0:
                kev = value * {"ev": 1e-3, "j": 6.241509074e15}.get(units, 1.0)
                found.setdefault("energy", _HC / (kev if kev < 1000.0 else kev * 1e-3))
        return True if count > _MOST else None

    if hasattr(entry, "visititems"):
        entry.visititems(visit)
    value = found.get("wave", found.get("energy"))
    return float(f"{value:.8g}") if value is not None and 0.01 < value < 10.0 else None


def _angles(path: Path, axis: np.ndarray, kind: str, wave: float | None) -> np.ndarray:
    """Two-theta in degree."""
    if kind == "deg":
        return axis
    if kind == "rad":
        return np.degrees(axis)
    if wave is None:
        raise FormatError(
            f"{path.name}: the axis is q and no wavelength is in the file; declare q_axis and "
            f"wavelength_A in {sidecar(path).name}, or integrate over two-theta"
        )
    sine = axis * (0.1 if kind == "1/nm" else 1.0) * wave / (4.0 * np.pi)
    if not np.nanmax(np.abs(sine)) < 1.0:
        raise FormatError(
            f"{path.name}: q reaches {np.nanmax(axis):g} {kind}: beyond a wavelength of {wave:g} A"
        )
    return np.asarray(2.0 * np.degrees(np.arcsin(sine)))


def _pattern(
    path: Path,
    region: str,
    data: np.ndarray,
    angle: np.ndarray,
    wave: float | None,
    outer: Mapping[str, np.ndarray],
    coords: Mapping[str, tuple[tuple[str, ...], np.ndarray, str]],
    sigma: np.ndarray | None,
) -> xr.Dataset:
    if angle.shape != data.shape[-1:] or not np.all(np.isfinite(angle)):
        raise FormatError(
            f"{path.name}: {region}: {angle.size} angles for {data.shape[-1]} points, or some are "
            "not finite"
        )
    if np.abs(angle).max() > 180.0 or not np.all(np.diff(angle) > 0.0):
        raise FormatError(f"{path.name}: {region}: angles run {angle[0]:g} to {angle[-1]:g} deg "
                          "and must rise within -180 to 180")  # fmt: skip
    finite = np.isfinite(data)
    attrs: dict[str, Any] = {"calibration": "two-theta of the integration as recorded"}
    if wave is not None:
        attrs["wavelength_A"] = wave
    ds = spectrum(
        np.where(finite, data, 0.0), angle, technique="xrd", axis_name="two_theta", units="1",
        outer=dict(outer), coords=dict(coords), attrs=attrs,
        source=source(path, "nexus_powder", region),
    )  # fmt: skip
    dims = ds["intensity"].dims
    if not finite.all():
        ds["valid"] = (dims, finite, {"flag_values": np.array([0, 1], np.uint8),
                                      "flag_meanings": "masked valid"})  # fmt: skip
    if sigma is not None and np.all(np.isfinite(sigma[finite])) and np.all(sigma[finite] > 0.0):
        told = {"units": "1", "origin": "reported"}
        ds["uncertainty"] = (dims, np.where(finite, sigma, 1.0), told)
    return ds


def _declared(path: Path, file: Any) -> xr.Dataset:
    layout = declared_layout(sidecar(path), _KEYS)
    at = sidecar(path).name

    def array(key: str, place: Any) -> np.ndarray:
        item = _inside(file, str(place))
        if item is None:
            raise FormatError(
                f"{at}: {key}: no array of numbers at {place!r} in {path.name}; list it with h5ls"
            )
        return _values(path, item)

    data = array("counts", layout["counts"])
    dims = [str(d) for d in layout.get("dims", [])]
    if data.ndim != len(dims) + 1 or any(d not in OUTER for d in dims):
        raise FormatError(
            f"{at}: {layout['counts']} has {data.ndim} dims: name {data.ndim - 1} before the angle "
            f"in dims, of {', '.join(OUTER)}; found {dims}"
        )
    outer = {}
    for dim, size in zip(dims, data.shape, strict=False):
        place = (layout.get("coords") or {}).get(dim)
        outer[dim] = np.arange(size, dtype=float) if place is None else array(dim, place).ravel()
        if outer[dim].size != size:
            raise FormatError(f"{at}: {place} has {outer[dim].size} values for {size}")
    try:
        wave = float(layout["wavelength_A"]) if "wavelength_A" in layout else None
    except (TypeError, ValueError):
        raise FormatError(
            f"{at}: wavelength_A is {layout['wavelength_A']!r}, not a number"
        ) from None
    key = "two_theta_axis" if "two_theta_axis" in layout else "q_axis"
    angle = _angles(path, array(key, layout[key]).ravel(), {"q_axis": "1/A"}.get(key, "deg"), wave)
    sigma = array("errors", layout["errors"]) if "errors" in layout else None
    if sigma is not None and sigma.shape != data.shape:
        raise FormatError(f"{at}: errors have the shape {sigma.shape}, counts {data.shape}")
    return _pattern(path, "", data, angle, wave, outer, {}, sigma)


FORMATS = (
    Format(
        name="nexus_powder",
        title="Powder patterns in HDF5 or NeXus (azimuthal integration, declared layouts)",
        suffixes=(".h5", ".hdf5", ".nxs"),
        techniques=("xrd",),
        sniff=_sniff,
        read=read,
    ),
)

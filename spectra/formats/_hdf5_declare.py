"""What to say of an HDF5 file of no layout known here: what is in it, and how to declare it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..convention import OUTER
from ..errors import FormatError

MAGIC = b"\x89HDF\r\n\x1a\n"
_ANGLE = re.compile(r"^(2th|tth|two_?theta|2theta|polar|angle|q(?![a-z])|radial)", re.I)
_MOST, _SHOWN = 20_000, 8
_MAX_CHANNELS = 1 << 20
_LENGTH = {"m": 1e6, "mm": 1e3, "um": 1.0, "micron": 1.0, "µm": 1.0, "nm": 1e-3, "cm": 1e4}
_TIME = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "h": 3600.0, "ms": 1e-3}


@dataclass(frozen=True)
class Array:
    """One array of numbers in a file."""

    path: str
    shape: tuple[int, ...]
    dtype: str


def arrays(path: Path) -> list[Array]:
    """Return the arrays of numbers of an HDF5 file, the largest first.

    Links to other files are not followed.

    Raises
    ------
    OSError
        If it cannot be opened.
    """
    import h5py

    found: list[Array] = []

    def visit(name: str, item: Any) -> bool | None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf" and len(item.shape):
            found.append(Array("/" + name, tuple(item.shape), item.dtype.name))
        return True if len(found) >= _MOST else None

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return sorted(found, key=lambda a: (-_size(a.shape), a.path))


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def undeclared(path: Path) -> str:
    """Return one line: the arrays found with their shapes, and a declaration to begin with.

    Parameters
    ----------
    path : Path
        An HDF5 file that no layout known here fits.

    Returns
    -------
    str
        Without the name of the file. The example is valid YAML of one line.
    """
    try:
        found = arrays(path)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):
        return "HDF5 that cannot be opened; the file may be truncated; copy it again"
    if not found:
        return "HDF5 without any array of numbers; links to other files are not followed"
    listed = ", ".join(f"{a.path} {_shape(a.shape)} {a.dtype}" for a in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    told, kind = example(found)
    return (
        f"HDF5 of no layout known here, with {listed}{more}; say what is what in "
        f"{path.stem}.map.yaml beside it, for {kind} such as {told}"
    )


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def example(found: list[Array]) -> tuple[str, str]:
    """Return a declaration that fits the arrays, and what it is of.

    The counts are the likeliest array, their axes those of their lengths; one of the length of the
    last that is named like an angle or q makes it a powder pattern.
    """
    counts = max(found, key=_likely)
    outer = counts.shape[:-1]
    names = ("cycle", "scan", "point", "detector")
    dims = {1: ["position"], 2: ["time", "position"]}.get(len(outer), list(names[: len(outer)]))
    told: dict[str, Any] = {"counts": counts.path, "dims": dims}
    coords = {}
    for dim, n in zip(dims, outer, strict=False):
        alone = [a for a in found if a.shape == (n,)]
        if len(alone) == 1 and outer.count(n) == 1:
            coords[dim] = alone[0].path
    if coords:
        told["coords"] = coords
    for a in found:
        named = _ANGLE.match(a.path.rsplit("/", 1)[-1])
        if named and a.shape == counts.shape[-1:] and a is not counts:
            key = "q_axis" if named[1].lower().startswith("q") else "two_theta_axis"
            more = {"wavelength_A": 0.5} if key == "q_axis" else {}
            return _flow({**told, key: a.path, **more}), "powder patterns"
    return _flow(told), "spectra of a multichannel analyser"


def _likely(a: Array) -> tuple[bool, bool, int]:
    """Order of arrays as counts: more than a column, a channel axis that is one, size."""
    channels = a.shape[-1]
    axis = 64 <= channels <= _MAX_CHANNELS and not (len(a.shape) > 1 and a.shape[-2] == channels)
    return len(a.shape) > 1, axis, _size(a.shape)


def _flow(value: Any) -> str:
    """Return YAML on one line, unquoted where that is safe."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    plain = str(value)
    safe = plain.replace("/", "").replace("_", "").replace(".", "").isalnum()
    return plain if safe else json.dumps(plain)


def sidecar(path: Path) -> Path:
    """Return the name of the file that declares the layout."""
    return path.with_name(f"{path.stem}.map.yaml")


def dimension(path: Path, dim: str, values: np.ndarray, units: str) -> np.ndarray:
    """Return the values of an outer dimension in the convention's unit."""
    table = {"um": _LENGTH, "s": _TIME}.get(OUTER[dim])
    if table is None or not units:
        return values
    if units not in table:
        raise FormatError(f"{path.name}: {dim} in {units!r}; allowed: {', '.join(table)}")
    return np.round(values * table[units], 9)


def declared_layout(file: Path, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """Return what a ``.map.yaml`` declares.

    Raises
    ------
    FormatError
        If it is not YAML, names no ``counts``, or holds other keys.
    """
    import yaml

    if file.stat().st_size > 1 << 20:
        raise FormatError(f"{file.name}: larger than 1 MB; a layout is a few lines")
    try:
        data = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FormatError(f"{file.name}: not YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(data, dict) or "counts" not in data:
        raise FormatError(f"{file.name}: needs at least 'counts: /path/of/the/array'")
    unknown = [str(k) for k in data if k not in keys]
    if unknown:
        raise FormatError(f"{file.name}: unknown key {unknown[0]!r}; allowed: {', '.join(keys)}")
    return data

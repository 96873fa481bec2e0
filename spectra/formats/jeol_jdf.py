"""JEOL Delta ``.jdf``: one- and two-dimensional signals and spectra.

Header of 1360 bytes, big endian (little endian where it begins ``RMN.LOEJ``): byte 8 the order of
everything else, 14 type (two bits: 0 float64, 1 float32) and format (six bits: 1 one, 2 two
dimensions, 12 small two), 24 type of each of 8 axes (1 real, 2 TPPI, 3 complex, 4 real-complex, 5
envelope), 32 their units (prefix and power, base), 48 title, 172 how axes are given (a nibble each:
1, 3 listed), 176 points, 208 first and 240 last valid point, 272 and 336 values there, 1064 base
frequencies (MHz), 1212 parameters, 1220 and 1252 lists, 1284 data. Parameters have 64 bytes each:
scaler (power of ten) at 4, unit at 6, value at 16, kind at 32, name at 36. Prefixes of units are
powers of 1000, a signed nibble, counted downwards (-1 kilo, 1 milli).

Data are sections (real, imaginary; four of a hypercomplex plane), those of planes in square tiles
of 32 (small: 4) points. A line of higher frequency turns as ``re + i im`` in either dimension. The
digital filter's delay is, for stages of order ``o`` and factor ``f``, ``0.5 sum((o_i - 1) /
prod(f_j, j >= i))`` points. The clock counts seconds from 1990 (UTC).

Signals lie along ``acquisition_time``, spectra along ``chemical_shift``. A hypercomplex second
dimension becomes rows in cosine-sine pairs (``scan``) for `correct indirect`, a transformed one
``indirect_shift``, an array of delays ``evolution_time``, another one numbered rows. No uncertainty
is stored.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..errors import FormatError
from . import base
from ._nmr import MAX_POINTS, nucleus_name, processed, raw
from .base import Format, Options, Regions

NAME = "jeol_jdf"
HEADER_BYTES = 1360
_CLOCK = datetime(1990, 1, 1, tzinfo=UTC).timestamp()
_REAL, _TPPI, _COMPLEX, _REAL_COMPLEX = 1, 2, 3, 4
_TILES = {1: 8, 2: 32, 12: 4}
_UNITS = {
    4: "celsius",
    13: "hertz",
    24: "percent",
    25: "point",
    26: "ppm",
    28: "second",
    31: "tesla",
}


@dataclass(frozen=True)
class _Axis:
    """One dimension as the header has it."""

    kind: int
    unit: str
    scale: float
    points: int
    first: int
    last: int
    start: float
    stop: float
    zero_MHz: float
    title: str
    listed: bool
    list_at: int
    list_bytes: int


def sniff(head: bytes, path: Path) -> bool:
    """Whether it begins with ``JEOL.NMR``."""
    return head[:8] in (b"JEOL.NMR", b"RMN.LOEJ")


def read(path: Path, options: Options) -> Regions:
    """Read the signal or spectrum."""
    data = base.read_bytes(path)
    if len(data) < HEADER_BYTES:
        raise base.truncated(path, len(data), HEADER_BYTES, "header")
    header = ">" if data[:8] == b"JEOL.NMR" else "<"
    rest = "<" if data[8] else ">"
    axes = [_axis(data, header, k) for k in range(8)]
    axes = [axis for axis in axes if axis.kind]
    for axis in axes:
        if not all(abs(v) < 1e15 for v in (axis.start, axis.stop, axis.zero_MHz)):
            raise FormatError(
                f"{path.name}: an axis from {axis.start:g} to {axis.stop:g} about "
                f"{axis.zero_MHz:g} MHz; copy the file again"
            )
    layout = data[14] & 0x3F
    if len(axes) not in (1, 2) or layout not in _TILES:
        raise FormatError(
            f"{path.name}: {len(axes)} dimensions (format {layout}); one or two are read, save the "
            "planes of a cube one by one in Delta"
        )
    if any(axis.kind > _REAL_COMPLEX for axis in axes) or data[14] >> 6 > 1:
        raise FormatError(
            f"{path.name}: an envelope or reserved data type; save it as real numbers"
        )
    par = _parameters(path, data, header, rest)
    (start,) = struct.unpack_from(f"{header}I", data, 1284)
    sections = _sections(
        path, data, axes, _TILES[layout], start, f"{rest}f{4 if data[14] >> 6 else 8}"
    )
    ds = _spectrum(path, data, rest, axes, par, sections)
    return {str(ds.attrs.get("nucleus", "nmr")): ds}


def _axis(data: bytes, order: str, k: int) -> _Axis:
    def at(kind: str, place: int, size: int) -> Any:
        return struct.unpack_from(order + kind, data, place + size * k)[0]

    scale, unit = _unit(data[32 + 2 * k], data[33 + 2 * k])
    return _Axis(
        kind=data[24 + k], unit=unit, scale=scale,
        points=at("I", 176, 4), first=at("I", 208, 4), last=at("I", 240, 4),
        start=at("d", 272, 8), stop=at("d", 336, 8), zero_MHz=at("d", 1064, 8),
        title=_text(data[808 + 32 * k : 840 + 32 * k]),
        listed=bool((data[172 + k // 2] >> (0 if k % 2 else 4)) & 1),
        list_at=at("I", 1220, 4), list_bytes=at("I", 1252, 4),
    )  # fmt: skip


def _unit(prefix: int, code: int) -> tuple[float, str]:
    """Return the factor of a unit's prefix and its name; powers other than one are left alone."""
    nibble = prefix >> 4
    power = prefix & 0x0F
    size = nibble - 16 if nibble > 7 else nibble
    return (1000.0**-size if power == 1 else 1.0), _UNITS.get(code, "")


def _text(data: bytes) -> str:
    """Text of a fixed field: UTF-8, else Latin-1 (Delta writes its user's own encoding)."""
    field = data.split(b"\0")[0].strip()
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError:
        return field.decode("latin-1")


def _parameters(path: Path, data: bytes, header: str, rest: str) -> dict[str, Any]:
    """Return numbers (prefix and scaler taken in) and texts by lower-case name."""
    (start,) = struct.unpack_from(f"{header}I", data, 1212)
    if start + 16 > len(data):
        raise base.truncated(path, len(data), start + 16, "parameters")
    size, _, high, _ = struct.unpack_from(f"{rest}4I", data, start)
    end = start + 16 + 64 * min(high + 1, 1 << 16)
    (length,) = struct.unpack_from(f"{header}I", data, 1216)
    end = min(end, start + length)
    if size != 64 or end > len(data):
        raise FormatError(
            f"{path.name}: parameters of {size} bytes up to byte {end} of {len(data)}; 64 bytes "
            "each are expected, copy the file again"
        )
    found: dict[str, Any] = {}
    for at in range(start + 16, end - 63, 64):
        name = _text(data[at + 36 : at + 64]).lower()
        (kind,) = struct.unpack_from(f"{rest}i", data, at + 32)
        (scaler,) = struct.unpack_from(f"{rest}h", data, at + 4)
        scale, _ = _unit(data[at + 6], data[at + 7])
        value: Any = None
        if kind == 0:
            value = _text(data[at + 16 : at + 32])
        elif kind in (1, 2):
            (value,) = struct.unpack_from(rest + ("i" if kind == 1 else "d"), data, at + 16)
            value = float(value) * scale * 10.0 ** max(-30, min(scaler, 30))
            value = value if abs(value) < 1e30 else None
        if name and value is not None:
            found.setdefault(name, value)
    return found


def _sections(
    path: Path, data: bytes, axes: list[_Axis], tile: int, start: int, dtype: str
) -> list[npt.NDArray]:
    """Return the sections' valid points, rows in order: ``(points,)`` or ``(rows, points)``."""
    kinds = [axis.kind for axis in axes]
    count = 2 if _REAL_COMPLEX in kinds else 2 ** kinds.count(_COMPLEX)
    shape = tuple(axis.points for axis in reversed(axes))
    total = count
    for n in shape:
        total *= n
    if not 0 < total <= MAX_POINTS or any(n % tile for n in shape if len(shape) > 1):
        raise FormatError(f"{path.name}: {shape} points in {count} sections are not plausible")
    for axis in axes:
        if not axis.first <= axis.last < axis.points:
            raise FormatError(
                f"{path.name}: valid points {axis.first} to {axis.last} of {axis.points}"
            )
    needed = start + total * int(dtype[-1])
    if needed > len(data):
        raise base.truncated(path, len(data), needed, "data")
    flat: npt.NDArray = np.frombuffer(data, dtype, total, start).astype(float).reshape(count, -1)
    if len(shape) == 2:
        rows, points = shape
        tiled = flat.reshape(count, rows // tile, points // tile, tile, tile)
        flat = tiled.swapaxes(2, 3).reshape(count, rows, points)
    valid = tuple(slice(axis.first, axis.last + 1) for axis in reversed(axes))
    return [section[valid] for section in flat]


def _spectrum(
    path: Path,
    data: bytes,
    order: str,
    axes: list[_Axis],
    par: dict[str, Any],
    sections: list[npt.NDArray],
) -> xr.Dataset:
    x = axes[0]
    attrs = {k: v for k, v in _attrs(data, x, par).items() if v not in (None, "")}
    values: npt.NDArray = sections[0]
    if len(sections) > 1:
        values = values + 1j * sections[1]
    outer: dict[str, npt.NDArray] = {}
    if len(axes) == 2:
        y = axes[1]
        if len(sections) == 4 and y.unit != "ppm":
            pairs = np.stack([values, sections[2] + 1j * sections[3]], axis=1)
            values = pairs.reshape(-1, values.shape[-1])
        outer = _rows(path, data, order, y, values.shape[0])
        if "scan" in outer and y.kind in (_COMPLEX, _TPPI) and y.unit == "second":
            zero = y.zero_MHz or (_number(par, "y_freq") or 0.0) / 1e6
            offset = _number(par, "y_offset") or 0.0
            attrs |= {
                "indirect_mode": "states" if y.kind == _COMPLEX else "tppi",
                "indirect_nucleus": nucleus_name(str(par.get("y_domain") or y.title)),
                "indirect_reference_MHz": zero,
                "indirect_carrier_MHz": zero * (1.0 + offset * 1e-6),
            }
            if width := _number(par, "y_sweep"):
                attrs["indirect_width_Hz"] = width
        if "indirect_shift" in outer:
            if y.start > y.stop:
                values, outer = values[::-1], {"indirect_shift": outer["indirect_shift"][::-1]}
            attrs["indirect_nucleus"] = nucleus_name(str(par.get("y_domain") or y.title))
    record = base.source(path, NAME)
    points = values.shape[-1]
    start, stop = x.start * x.scale, x.stop * x.scale
    if points < 2 or not np.isfinite(stop - start) or start == stop:
        raise FormatError(f"{path.name}: {points} points, axis {start:g} to {stop:g}")
    if x.unit == "second":
        dwell = (stop - start) / (points - 1)
        attrs["group_delay_points"] = _filter_delay(par)
        return raw(values.astype(complex), dwell, attrs=attrs, source=record, outer=outer)
    if x.unit == "ppm":
        axis = np.linspace(start, stop, points)
        return processed(values, axis, attrs=attrs, source=record, outer=outer)
    raise FormatError(
        f"{path.name}: axis in {x.unit or 'another unit'}; seconds (signal) or ppm (spectrum) are "
        "read, change the axis in Delta"
    )


def _attrs(data: bytes, x: _Axis, par: dict[str, Any]) -> dict[str, Any]:
    offset = _number(par, "x_offset") or 0.0
    zero = x.zero_MHz if x.zero_MHz > 0 else (_number(par, "x_freq") or 0.0) / 1e6
    celsius = _number(par, "temp_get")
    started = _number(par, "actual_start_time")
    return {
        "nucleus": nucleus_name(str(par.get("x_domain") or x.title)),
        "reference_MHz": zero,
        "carrier_MHz": zero * (1.0 + offset * 1e-6),
        "spectral_width_Hz": _number(par, "x_sweep"),
        "scans": _number(par, "total_scans") or _number(par, "scans"),
        "recycle_delay_s": _number(par, "relaxation_delay"),
        "receiver_gain": _number(par, "recvr_gain"),
        "field_T": _number(par, "field_strength"),
        "spinning_Hz_as_stated": _number(par, "mas_spin_get") or None,
        "temperature_K_as_stated": None if celsius is None else celsius + 273.15,
        "started": _iso(started) if started and started > 0 else None,
        "solvent": par.get("solvent"),
        "pulse_program": par.get("experiment"),
        "title": _text(data[48:172]),
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(min(_CLOCK + seconds, 4e9), UTC).isoformat()


def _rows(path: Path, data: bytes, order: str, y: _Axis, count: int) -> dict[str, npt.NDArray]:
    """Coordinate of the second dimension: shifts, delays, or numbers."""
    values = np.linspace(y.start, y.stop, count) * y.scale
    if y.unit == "ppm" and y.start != y.stop and np.all(np.isfinite(values)):
        return {"indirect_shift": values}
    numbers = {"scan": np.arange(1, count + 1)}
    if y.kind != _REAL or y.unit != "second":
        return numbers
    if y.listed:
        end = y.list_at + y.list_bytes
        if y.list_bytes < 8 * count or end > len(data):
            return numbers
        values = np.frombuffer(data, f"{order}f8", count, y.list_at) * y.scale
        # Only a list that keeps to the axis the header states is one of delays.
        ends = np.array([y.start, y.stop]) * y.scale
        if not np.allclose([values.min(), values.max()], np.sort(ends)):
            return numbers
    if len(set(values.tolist())) < count or not np.all(np.isfinite(values)):
        return numbers
    return {"evolution_time": values}


def _number(par: dict[str, Any], name: str) -> float | None:
    value = par.get(name)
    try:
        number = float(value) if value is not None else float("nan")
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _filter_delay(par: dict[str, Any]) -> float:
    """Delay of the digital filter in points, from the orders and factors of its stages.

    ``orders`` is the number of stages followed by as many equally long numbers; ``factors`` the
    decimation factor of each stage, one digit (or equally many) each.
    """
    if str(par.get("digital_filter", "")).upper() != "TRUE":
        return 0.0
    orders, factors = str(par.get("orders", "")), str(par.get("factors", ""))
    try:
        stages = int(orders[0])
        size, each = (len(orders) - 1) // stages, len(factors) // stages
        order = [int(orders[1 + i * size : 1 + (i + 1) * size]) for i in range(stages)]
        factor = [int(factors[i * each : (i + 1) * each]) for i in range(stages)]
        return 0.5 * float(
            sum((o - 1) / np.prod(factor[i:], dtype=float) for i, o in enumerate(order))
        )
    except (ValueError, IndexError, ZeroDivisionError):
        return 0.0


FORMATS = (
    Format(
        name=NAME,
        title="JEOL Delta",
        suffixes=(".jdf",),
        techniques=("nmr",),
        sniff=sniff,
        read=read,
    ),
)

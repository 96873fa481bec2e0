"""WITec Project ``.wip`` and data ``.wid``: a tree of tags, little-endian (versions 0 to 7).

Eight bytes of magic (``WIT_PRCT``, ``WIT_PR06``, ``WIT_DATA``, ``WIT_DA06``), then tags: length of
name (uint32), name, type (uint32: 0 list, 2 float64, 3 float32, 4 int64, 5 int32, 6 uint16, 7
bytes, 8 bool, 9 string after its length), first and last byte (uint64 each). ``Data n`` of class
``TDGraph`` are spectra: ``SizeX``, ``SizeY``, ``SizeGraph``, ``GraphData`` with x slowest and the
spectral channel fastest, and ids of their transformations (``TData.ID``).

Spectral axis: ``TDSpectralTransformation`` type 0 is a polynomial of second order, 1 the grating
equation (below), 2 a free polynomial; ``TDLUTTransformation`` is a table; all in nm and checked to
be one-way. Where ``TDSpectralInterpretation`` shows relative 1/cm it is turned into a shift with
the excitation wavelength stored beside it, as WITec's exports do; else it stays a wavelength.

Grating: alpha = asin(m Lc / 2d / cos(G/2)) - G/2, beta = G + alpha - D - atan((x (nC - i) -
f sin D) / (f cos D)), lambda = d/m (sin alpha + sin beta). Equal to WITec's own export
within its digits.

Places: ``TDSpaceTransformation`` (um; rotation, scale, origins), lines by their ends, a linear
transformation in s is ``time``. Rows that were not measured (``LineValid``) are left out and
counted in attrs ``missing_spectra``. Integers in ``CCD cts`` are counts. Regions are named by
captions; a project without spectra is refused. Layout from wit_io's notes (J. T. Holmi, BSD) and
real files.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..errors import FormatError
from . import _raman
from .base import Format, Options, Regions, read_bytes, truncated

NAME = "witec_wip"
_MAGIC = (b"WIT_PR", b"WIT_DA")
_SCALARS = {2: "<f8", 3: "<f4", 4: "<i8", 5: "<i4", 6: "<u2", 8: "u1"}
_DATA = {1: "<i8", 2: "<i4", 3: "<i2", 4: "i1", 5: "<u4", 6: "<u2", 7: "u1", 8: "u1", 9: "<f4",
         10: "<f8"}  # fmt: skip
_MAX_TAGS = 2_000_000
_SHIFT_UNIT = 3


class _Tag:
    """One tag: where its bytes are, and its children by name (the last of a name wins)."""

    def __init__(self, raw: bytes, kind: int, start: int, stop: int):
        self.raw, self.kind, self.start, self.stop = raw, kind, start, stop
        self.children: dict[str, _Tag] = {}

    def at(self, *names: str) -> _Tag | None:
        tag: _Tag | None = self
        for name in names:
            tag = tag.children.get(name) if tag is not None else None
        return tag

    def numbers(self, *names: str) -> npt.NDArray[np.float64]:
        tag = self.at(*names)
        if tag is None or tag.kind not in _SCALARS:
            return np.zeros(0)
        dtype = np.dtype(_SCALARS[tag.kind])
        count = (tag.stop - tag.start) // dtype.itemsize
        return np.frombuffer(self.raw, dtype, count, tag.start).astype(float)

    def number(self, *names: str, default: float = 0.0) -> float:
        found = self.numbers(*names)
        return float(found[0]) if found.size and np.isfinite(found[0]) else default

    def whole(self, *names: str) -> int:
        value = self.number(*names)
        return int(value) if abs(value) < 2**31 else 0

    def text(self, *names: str) -> str:
        tag = self.at(*names)
        if tag is None or tag.kind != 9 or tag.stop - tag.start < 4:
            return ""
        size = struct.unpack_from("<I", self.raw, tag.start)[0]
        stop = min(tag.start + 4 + size, tag.stop)
        return self.raw[tag.start + 4 : stop].decode("latin-1").strip("\0 ")


def sniff(head: bytes, path: Path) -> bool:
    """Whether it begins with WITec's magic."""
    return head.startswith(_MAGIC)


def read(path: Path, options: Options) -> Regions:
    """Read every graph with a spectral axis."""
    raw = read_bytes(path)
    if not raw.startswith(_MAGIC):
        raise FormatError(f"{path.name}: begins with {raw[:8]!r}, not with WIT_PR or WIT_DA")
    root = _tree(path, raw)
    data = next(iter(root.children.values()), root).children.get("Data")
    entries = [t for n, t in (data.children if data else {}).items() if re.match(r"Data \d+$", n)]
    by_id = {entry.whole("TData", "ID"): entry for entry in entries}
    found: dict[str, xr.Dataset] = {}
    for entry in entries:
        graph = entry.at("TDGraph")
        transform = by_id.get(graph.whole("XTransformationID")) if graph is not None else None
        if graph is None or transform is None:
            continue
        if {"TDSpectralTransformation", "TDLUTTransformation"} & {*transform.children}:
            name = entry.text("TData", "Caption") or f"graph_{len(found) + 1}"
            while name in found:
                name += "_"
            found[name] = _graph(path, raw, graph, transform, by_id, name)
    if not found:
        raise FormatError(f"{path.name}: no spectra in this project; save one that has some")
    return found


def _tree(path: Path, raw: bytes) -> _Tag:
    root = _Tag(raw, 0, 8, len(raw))
    stack, seen = [root], 0
    while stack:
        parent = stack.pop()
        at = parent.start
        while at + 4 <= parent.stop:
            size = struct.unpack_from("<I", raw, at)[0]
            body = at + 4 + size + 20
            if size > 4096 or body > parent.stop:
                raise FormatError(
                    f"{path.name}: byte {at}: a tag's name of {size} bytes does not fit: the file "
                    "is truncated or damaged; copy it again"
                )
            name = raw[at + 4 : at + 4 + size].decode("latin-1")
            kind, start, stop = struct.unpack_from("<IQQ", raw, at + 4 + size)
            if stop > len(raw):
                raise truncated(path, len(raw), stop, f"tag {name[:40]!r}")
            if not body <= start <= stop <= parent.stop or seen > _MAX_TAGS:
                raise FormatError(
                    f"{path.name}: byte {at}: tag {name[:40]!r} lies from {start} to {stop}, "
                    "outside its parent: the file is damaged"
                )
            seen += 1
            tag = _Tag(raw, kind, start, stop)
            parent.children[name] = tag
            if kind == 0 and stop > start:
                stack.append(tag)
            at = max(stop, body)
    return root


def _graph(
    path: Path, raw: bytes, graph: _Tag, transform: _Tag, by_id: dict[int, _Tag], name: str
) -> xr.Dataset:
    columns, lines, points = (graph.whole(n) for n in ("SizeX", "SizeY", "SizeGraph"))
    kind, block = graph.whole("GraphData", "DataType"), graph.at("GraphData", "Data")
    if kind not in _DATA or block is None or min(columns, lines) < 1 or points < 2:
        raise FormatError(
            f"{path.name}: {name!r}: {columns} x {lines} x {points} of data type {kind}: damaged, "
            "or a kind that is not known"
        )
    dtype = np.dtype(_DATA[kind])
    needed = columns * lines * points * dtype.itemsize
    if block.stop - block.start < needed:
        raise truncated(path, block.stop, block.start + needed, f"{name!r}")
    values = np.frombuffer(raw, dtype, columns * lines * points, block.start)
    values = values.reshape(columns, lines, points)
    axis, laser = _axis(path, graph, transform, by_id, points, name)
    attrs: dict[str, object] = {"title": name, "laser_nm": laser}
    ids = [by_id.get(graph.whole(n)) for n in ("SpaceTransformationID", "ZInterpretationID")]
    unit = ids[1].text("TDZInterpretation", "UnitName") if ids[1] is not None else ""
    outer, coords, shape, flat = _places(graph, ids[0], values, attrs)
    return _raman.raman(
        path, NAME, flat.reshape(*shape, points), axis, unit=unit, outer=outer, coords=coords,
        attrs=attrs, region=name,
    )  # fmt: skip


def _axis(
    path: Path, graph: _Tag, transform: _Tag, by_id: dict[int, _Tag], points: int, name: str
) -> tuple[tuple[str, npt.NDArray], float | None]:
    nm = _wavelengths(transform, np.arange(points, dtype=float))
    steps = np.diff(nm)
    unit = transform.text("TDTransformation", "StandardUnit") or "nm"
    if not np.all(np.isfinite(nm)) or not (np.all(steps > 0) or np.all(steps < 0)):
        raise FormatError(
            f"{path.name}: {name!r}: its spectral transformation gives no one-way axis: damaged, "
            "or a kind that is not known; export it as text"
        )
    if unit != "nm":
        return _raman.axis_in(path, unit, nm), None
    shown = by_id.get(graph.whole("XInterpretationID"))
    own = transform.whole("TDTransformation", "InterpretationID")
    shown = shown if shown is not None else by_id.get(own)
    laser, index = 0.0, 0
    if shown is not None:
        laser = shown.number("TDSpectralInterpretation", "ExcitationWaveLength")
        index = shown.whole("TDInterpretation", "UnitIndex")
    told = laser if 150 < laser < 2500 else None
    if index == _SHIFT_UNIT and told is not None and np.all(nm > 0):
        return ("raman_shift", 1e7 / told - 1e7 / nm), told
    return ("wavelength", nm), told


def _wavelengths(transform: _Tag, i: npt.NDArray) -> npt.NDArray[np.float64]:
    """Wavelength (nm) of channels from 0; not finite where the parameters make none."""
    table = transform.numbers("TDLUTTransformation", "LUT")
    none = np.full(i.size, np.nan)
    if table.size:
        return table[: i.size] if table.size >= i.size else none
    tag = transform.at("TDSpectralTransformation")
    if tag is None:
        return none
    kind = tag.whole("SpectralTransformationType")
    if kind in (0, 2):
        terms = tag.numbers("FreePolynom") if kind else tag.numbers("Polynom")[:3]
        return np.polynomial.polynomial.polyval(i, terms) if terms.size else none
    n_c, centre, gamma, delta, m, d, x, f = (
        tag.number(n) for n in ("nC", "LambdaC", "Gamma", "Delta", "m", "d", "x", "f")
    )
    with np.errstate(all="ignore"):
        alpha = (
            np.arcsin(np.float64(m * centre) / 2 / d / np.cos(gamma / 2)) - gamma / 2
            if d
            else np.nan
        )
        tilt = np.arctan2(x * (n_c - i) - f * np.sin(delta), f * np.cos(delta))
        beta = gamma + alpha - delta - tilt
        return np.asarray(d / m * (np.sin(alpha) + np.sin(beta))) if m else none


def _places(
    graph: _Tag, space: _Tag | None, values: npt.NDArray, attrs: dict[str, object]
) -> tuple[dict[str, npt.NDArray], _raman.Coords, tuple[int, ...], npt.NDArray]:
    """Return outer dims, coordinates, their shape and the spectra in that order."""
    columns, lines, points = values.shape
    # Row by row; x is the slow one in the file.
    flat = values.transpose(1, 0, 2).reshape(-1, points)
    count = columns * lines
    column, row = np.arange(count) % columns, np.arange(count) // columns
    x, y, time = _coordinates(space, column.astype(float), row.astype(float), columns)
    if count == 1:
        if x is not None and y is not None:
            attrs["stage_x_um"], attrs["stage_y_um"] = float(x[0]), float(y[0])
        return {}, {}, (), flat
    valid = graph.numbers("LineValid")
    if valid.size == lines and valid.any() and not valid.all():
        keep = valid[row] != 0
        attrs["missing_spectra"] = int((~keep).sum())
        flat, column, row = flat[keep], column[keep], row[keep]
        x, y, time = (v[keep] if v is not None else None for v in (x, y, time))
    if time is not None and lines == 1 and np.all(np.diff(time) > 0):
        return {"time": time}, {}, (len(flat),), flat
    if x is not None and y is not None and (np.ptp(x) > 0 or np.ptp(y) > 0):
        outer, coords, shape, order = _raman.outer_of(x, y)
        return outer, coords, shape, flat[order]
    point = {"point": np.arange(len(flat))}
    pixels: _raman.Coords = {"column": (("point",), column, "1"), "row": (("point",), row, "1")}
    return point, pixels, (len(flat),), flat


def _coordinates(
    space: _Tag | None, column: npt.NDArray, row: npt.NDArray, columns: int
) -> tuple[npt.NDArray | None, npt.NDArray | None, npt.NDArray | None]:
    """Stage x, y (um) or time (s) of every spectrum; None where the file does not tell."""
    if space is None:
        return None, None, None
    linear = space.at("TDLinearTransformation")
    if linear is not None:
        model, world, scale = (
            linear.number(f"{n}_D", default=linear.number(n))
            for n in ("ModelOrigin", "WorldOrigin", "Scale")
        )
        seconds = space.text("TDTransformation", "StandardUnit") == "s"
        return None, None, scale * (column - model) + world if seconds else None
    tag = space.at("TDSpaceTransformation")
    if tag is None:
        return None, None, None
    start, stop = tag.numbers("LineStart_D"), tag.numbers("LineStop_D")
    if tag.number("LineInformationValid") and start.size >= 2 and stop.size >= 2 and columns > 1:
        share = column / columns
        x, y = (start[k] + (stop[k] - start[k]) * share for k in (0, 1))
        return x, y, None
    view = tag.at("ViewPort3D")
    if view is None:
        return None, None, None
    middle, stage = view.numbers("ModelOrigin"), view.numbers("WorldOrigin")
    size, turn = view.numbers("Scale"), view.numbers("Rotation")
    parts = np.concatenate([middle, stage, size, turn])
    if (middle.size, stage.size, size.size, turn.size) != (3, 3, 9, 9) or not np.all(
        np.isfinite(parts)
    ):
        return None, None, None
    pixel = np.stack([column, row, np.zeros_like(row)]) - middle[:, None]
    place = turn.reshape(3, 3) @ size.reshape(3, 3) @ pixel + stage[:, None]
    return place[0], place[1], None


FORMATS = (Format(NAME, "WITec Project", (".wip", ".wid"), ("raman",), sniff, read),)

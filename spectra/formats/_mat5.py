"""MATLAB 5 files: structs, cells, text and numeric arrays, read with every length checked.

scipy's reader of the same files can end the process on a damaged one (a segmentation fault, 1.17),
so files from strangers need their own. Elements are a tag of 8 bytes (type, length; short ones hold
up to 4 bytes of data themselves) and data padded to 8 bytes; type 15 is a zlib stream around one
element, type 14 a matrix made of elements: flags and class, dimensions, name, contents.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from .base import read_bytes

HEADER = 128
_LIMIT = 2 * 1024**3
_DEPTH = 16
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8",
            13: "u8", 16: "u1", 17: "u2", 18: "u4"}  # fmt: skip
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMERIC = range(6, 16)


class DamagedError(ValueError):
    """The bytes are not a whole MATLAB 5 file; the message says where."""


def opening(head: bytes) -> bytes:
    """Return the first bytes of the first variable, unpacked; none if it is no MATLAB 5 file."""
    if not head.startswith(b"MATLAB 5.0 MAT-file") or len(head) < HEADER + 16:
        return b""
    order = "<" if head[126:128] == b"IM" else ">"
    kind, size = struct.unpack(order + "II", head[HEADER : HEADER + 8])
    part = head[HEADER + 8 : HEADER + 8 + size]
    if kind == _COMPRESSED:
        try:
            part = zlib.decompressobj().decompress(part, 8192)
        except zlib.error:
            return b""
    return part


def read(path: Path, limit: int) -> dict[str, Any]:
    """Return the variables of a file as `load` does.

    Raises
    ------
    FormatError
        If it is larger than the limit, or damaged.
    """
    try:
        return load(read_bytes(path, limit=limit))
    except DamagedError as error:
        raise FormatError(
            f"{path.name}: {error}: the file is truncated or damaged; copy it again"
        ) from None


def load(data: bytes) -> dict[str, Any]:
    """Return the variables of a file: dicts (structs), object arrays (cells), arrays, text.

    Raises
    ------
    DamagedError
        If a length does not fit, a type is unknown, or nothing is in it.
    """
    if len(data) < HEADER + 8:
        raise DamagedError(f"the header ends at byte {len(data)} of {HEADER + 8}")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise DamagedError("bytes 126 and 127 are not MI or IM")
    found: dict[str, Any] = {}
    at = HEADER
    while at + 8 <= len(data):
        kind, body, at = _element(data, at, order)
        if kind == _COMPRESSED:
            stream = zlib.decompressobj()
            try:
                body = stream.decompress(body, _LIMIT)
            except zlib.error as error:
                raise DamagedError(f"compressed variable before byte {at}: {error}") from None
            if not stream.eof:
                raise DamagedError(f"compressed variable before byte {at} is cut")
            kind, body, _ = _element(body, 0, order)
        if kind == _MATRIX:
            name, value = _matrix(body, order, 0)
            found[name] = value
    if not found:
        raise DamagedError("no variable in it")
    return found


def _element(data: bytes, at: int, order: str) -> tuple[int, bytes, int]:
    """Return type and data of the element at a byte, and the byte after it."""
    if at + 8 > len(data):
        raise DamagedError(f"an element's tag at byte {at} is cut")
    kind, size = struct.unpack(f"{order}II", data[at : at + 8])
    if kind >> 16:  # short form: length in the upper half, data in the tag
        size, kind = kind >> 16, kind & 0xFFFF
        if size > 4:
            raise DamagedError(f"a short element at byte {at} claims {size} bytes")
        return kind, data[at + 4 : at + 4 + size], at + 8
    end = at + 8 + size
    if end > len(data):
        raise DamagedError(f"an element at byte {at} ends at byte {len(data)} of {end}")
    padded = end if kind == _COMPRESSED else at + 8 + -(-size // 8) * 8
    return kind, data[at + 8 : end], padded


def _numbers(kind: int, body: bytes, order: str) -> np.ndarray:
    if kind not in _NUMBERS:
        raise DamagedError(f"data of unknown type {kind}")
    dtype = np.dtype(order + _NUMBERS[kind])
    if len(body) % dtype.itemsize:
        raise DamagedError(f"{len(body)} bytes are no whole number of {dtype}")
    return np.frombuffer(body, dtype)


def _matrix(body: bytes, order: str, depth: int) -> tuple[str, Any]:
    if depth > _DEPTH:
        raise DamagedError(f"structs nested deeper than {_DEPTH}")
    if not body:
        return "", np.zeros((0, 0))
    kind, part, at = _element(body, 0, order)
    flags = _numbers(kind, part, order)
    kind, part, at = _element(body, at, order)
    shape = tuple(int(n) for n in _numbers(kind, part, order))
    _, part, at = _element(body, at, order)
    name = part.decode("latin-1")
    if flags.size < 1 or not 1 < len(shape) <= 8 or min(shape) < 0:
        raise DamagedError(f"variable {name!r} has shape {shape}")
    count = int(np.prod(shape, dtype=object))
    if count > _LIMIT // 8:
        raise DamagedError(f"variable {name!r} claims {count} elements")
    made, complex_ = int(flags[0]) & 0xFF, bool(int(flags[0]) & 0x0800)
    if made == _STRUCT:
        return name, _struct(body, at, order, count, depth)
    if made == _CELL:
        cells = np.empty(count, object)
        for i in range(count):
            kind, part, at = _element(body, at, order)
            cells[i] = _matrix(part, order, depth + 1)[1]
        return name, cells.reshape(shape, order="F")
    if made != _CHAR and made not in _NUMERIC:
        raise DamagedError(f"variable {name!r} is of class {made}, not a struct, cell or array")
    kind, part, at = _element(body, at, order)
    if made == _CHAR and kind in (16, 17, 18):
        coding = {16: "utf-8", 17: "utf-16", 18: "utf-32"}[kind]
        coding += "" if kind == 16 else ("-le" if order == "<" else "-be")
        return name, part.decode(coding, "replace")
    values = _numbers(kind, part, order).astype(complex if complex_ else float)
    if complex_:
        kind, part, at = _element(body, at, order)
        imaginary = _numbers(kind, part, order)
        if imaginary.size != values.size:
            raise DamagedError(f"variable {name!r}: imaginary part of another size")
        values = values + 1j * imaginary
    if values.size != count:
        raise DamagedError(f"variable {name!r}: {values.size} values for shape {shape}")
    return name, values.reshape(shape, order="F")


def _struct(body: bytes, at: int, order: str, count: int, depth: int) -> dict[str, Any]:
    """Return the fields of a struct (of the first, where it is an array of them)."""
    kind, part, at = _element(body, at, order)
    sizes = _numbers(kind, part, order)
    _, names, at = _element(body, at, order)
    width = int(sizes[0]) if sizes.size else 0
    if not 0 < width <= 4096 or count < 1:
        raise DamagedError(f"struct with {count} elements and field names of {width} bytes")
    fields = [
        names[i : i + width].split(b"\0")[0].decode("latin-1") for i in range(0, len(names), width)
    ]
    found: dict[str, Any] = {}
    for field in fields:
        kind, part, at = _element(body, at, order)
        if kind != _MATRIX:
            raise DamagedError(f"field {field!r} is of type {kind}")
        found[field] = _matrix(part, order, depth + 1)[1]
    return found

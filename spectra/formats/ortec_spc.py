"""Ortec binary .Spc: 128-byte records; record 1 holds the places of the others. Read by becquerel.

int16 1, int16 1 or 5 open the file (counts as integers or float32); times are in s, the calibration
(c0, c1, c2 in keV) is the header's.
"""

from __future__ import annotations

import struct
from pathlib import Path

from ..errors import FormatError
from ._becquerel import read_with
from ._mca import TECHNIQUES
from .base import Format, Options, Regions


def _sniff(head: bytes, path: Path) -> bool:
    if len(head) < 256 or path.suffix.lower() != ".spc":
        return False
    kind, file_type = struct.unpack_from("<hh", head, 0)
    return kind == 1 and file_type in (1, 5)


def read(path: Path, options: Options) -> Regions:
    """Read the one spectrum of the file."""
    with path.open("rb") as file:
        head = file.read(128)
    if len(head) < 128:
        raise FormatError(f"{path.name}: {len(head)} bytes; 128 are the least: truncated")
    first, _, channels = struct.unpack_from("<hhh", head, 60)
    size = 128 * (first - 1) + 4 * (channels if channels > 0 else channels + 65536)
    if path.stat().st_size < size:
        raise FormatError(
            f"{path.name}: ends at byte {path.stat().st_size} of {size}: the file is truncated; "
            "copy it again"
        )
    return read_with(path, options, "spc", "ortec_spc")


FORMATS = (Format("ortec_spc", "Ortec binary .Spc", (".spc",), TECHNIQUES, _sniff, read),)

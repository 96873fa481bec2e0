"""Canberra Genie 2000 CAM files (.cnf): blocks of 512 bytes, read by becquerel.

Counts are int32; times in s; the calibration (c0, c1, c2 in keV) is the header's.
"""

from __future__ import annotations

from pathlib import Path

from ._becquerel import read_with
from ._mca import TECHNIQUES
from .base import Format, Options, Regions

_MARK = b"\x00\x04"


def _sniff(head: bytes, path: Path) -> bool:
    return path.suffix.lower() == ".cnf" and len(head) >= 512 and head.startswith(_MARK)


def read(path: Path, options: Options) -> Regions:
    """Read the one spectrum of the file."""
    return read_with(path, options, "cnf", "canberra_cnf")


FORMATS = (Format("canberra_cnf", "Canberra CAM .cnf", (".cnf",), TECHNIQUES, _sniff, read),)

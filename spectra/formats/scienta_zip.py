"""Scienta SES archive of a DA30 analyser (``.zip``): one binary spectrum per region.

For each region an ``<region>.ini`` with SES's fields as in its text export (`scienta_txt`), a
``Spectrum_<region>.ini`` whose section ``[spectrum]`` has ``width``, ``height``, ``depth`` with
``<each>offset``, ``<each>delta`` and ``<each>label``, and ``Spectrum_<region>.bin``: float32,
little endian, depth x height x width. Width is the energy (its label says kinetic or binding),
height the angle or position of the slit, depth the deflection (DA modes) or the points of a run;
a DA map has ``angle`` along the slit and the deflection numbered as ``point``, its angles in attrs
``deflection_deg``. So public readers of these archives have it; no whole file was at hand.
Uncertainties: only those of counting, for counts.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from pathlib import Path

import numpy as np
import xarray as xr

from ..errors import FormatError
from ._xps import region_name, stated, unique, with_reference_lines
from ._zip import opened
from .base import Format, Options, Regions
from .scienta_txt import fields, scienta_region

_BIN = re.compile(r"^Spectrum_(.+)\.bin$")
LARGEST = 4 * 1024**3
_MAX_INI = 1024**2


def sniff(head: bytes, path: Path) -> bool:
    """Whether the archive has a binary spectrum beside its description."""
    if not (head.startswith(b"PK\x03\x04") and path.suffix.lower() == ".zip"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    return any((m := _BIN.match(n)) and f"Spectrum_{m[1]}.ini" in names for n in names)


def read(path: Path, options: Options) -> Regions:
    """Read every region."""
    regions: dict[str, xr.Dataset] = {}
    with opened(path, LARGEST) as archive:
        names = archive.namelist()
        for match in filter(None, map(_BIN.match, names)):
            inside = match[1]
            about = fields(_ini(path, archive, f"Spectrum_{inside}.ini"))
            info = fields(_ini(path, archive, f"{inside}.ini")) if f"{inside}.ini" in names else {}
            name = unique(region_name(about.get("name", "") or inside), regions)
            shape = tuple(_size(path, name, about, key) for key in ("depth", "height", "width"))
            needed = 4 * math.prod(shape)
            size = archive.getinfo(match[0]).file_size
            if size != needed:
                raise FormatError(
                    f"{path.name}, region {name!r}: {match[0]} has {size} bytes for {needed}: the "
                    "archive is damaged; save it again"
                )
            values = np.frombuffer(archive.read(match[0]), "<f4").reshape(shape)
            regions[name] = _region(path, name, about, info, values)
    return with_reference_lines(regions)


def _ini(path: Path, archive: zipfile.ZipFile, name: str) -> list[str]:
    try:
        entry = archive.getinfo(name)
    except KeyError:
        raise FormatError(f"{path.name}: no {name} in it; save the archive again") from None
    if entry.file_size > _MAX_INI:
        raise FormatError(
            f"{path.name}: {name} has {entry.file_size} bytes; {_MAX_INI} is the limit"
        )
    return archive.read(name).decode("utf-8-sig", "replace").splitlines()


def _size(path: Path, name: str, about: dict[str, str], key: str) -> int:
    size = stated(path, about, key)
    if not (1 <= size < 1e7 and size == int(size)):
        raise FormatError(
            f"{path.name}, region {name!r}: {key} is {about.get(key, 'not stated')!r}"
        )
    return int(size)


def _region(
    path: Path, name: str, about: dict[str, str], info: dict[str, str], values: np.ndarray
) -> xr.Dataset:
    def along(key: str, size: int) -> np.ndarray:
        first, step = stated(path, about, f"{key}offset"), stated(path, about, f"{key}delta")
        return first + step * np.arange(size)

    depth, height, width = values.shape
    if width < 2 or stated(path, about, "widthdelta") == 0:
        raise FormatError(f"{path.name}, region {name!r}: no energy scale (widthdelta)")
    ds = scienta_region(
        path,
        "scienta_zip",
        name,
        along("width", width),
        values.astype(float) if depth > 1 else values[0].astype(float),
        info | {"Energy Axis": about.get("widthlabel", "")},
        about.get("heightlabel", ""),
        list(along("height", height)),
    )
    if depth > 1 and "deg" in about.get("depthlabel", "").casefold():
        ds = ds.rename({"scan": "point"})
        ds["point"] = ("point", np.arange(1.0, depth + 1.0), {"units": "1"})
        ds.attrs["deflection_deg"] = json.dumps([round(float(v), 6) for v in along("depth", depth)])
    return ds


FORMATS = (
    Format(
        name="scienta_zip",
        title="Scienta SES archive (DA30)",
        suffixes=(".zip",),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

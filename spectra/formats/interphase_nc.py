"""Spectra and channels written by this project: netCDF-4 (HDF5), one dataset at the root.

Layout: root attributes ``convention`` ("spectrum-1" or "channels-1") and ``technique``; variables
as `spectra.convention` describes them. Attributes above 30 000 characters are string variables
named ``attr_<key>``. A fit file (``convention`` "fit-1") holds its spectrum in the group ``data``.
Uncertainties, where there are any, are those of the first reading.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..convention import check
from ..errors import FormatError
from .base import Format, Options, Regions, source

_MAGIC = b"\x89HDF\r\n\x1a\n"
_OURS = ("spectrum-1", "channels-1", "fit-1")


def sniff(head: bytes, path: Path) -> bool:
    """Whether the root carries one of our conventions."""
    if not head.startswith(_MAGIC):
        return False
    return _convention(path) in _OURS


def _convention(path: Path) -> str:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            value = file.attrs.get("convention", b"")
    except (OSError, RuntimeError, KeyError):
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def read(path: Path, options: Options) -> Regions:
    """Read the spectrum, or the data a fit was made of."""
    from .. import netcdf

    group = "data" if _convention(path) == "fit-1" else None
    try:
        ds = netcdf.read(path, group)
    except Exception as error:
        raise FormatError(
            f"{path.name}: cannot be read ({type(error).__name__}); the file may be truncated: "
            "write it again"
        ) from None
    if ds.attrs.get("convention") == "spectrum-1":
        check(ds)
    elif ds.attrs.get("convention") != "channels-1":
        raise FormatError(f"{path.name}: holds no spectrum; open the file it was made from")
    earlier = json.loads(ds.attrs.get("source", "[]"))
    ds.attrs["source"] = json.dumps([source(path, "interphase_nc").__dict__, *earlier])
    region = str(ds.attrs.get("region") or ds.attrs.get("nucleus") or ds.attrs["technique"])
    return {region: ds}


FORMATS = (
    Format(
        name="interphase_nc",
        title="Interphase Workbench netCDF",
        suffixes=(".nc",),
        techniques=("any",),
        sniff=sniff,
        read=read,
    ),
)

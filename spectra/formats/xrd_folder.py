"""A folder of powder patterns of one kind: an operando or temperature series.

Three or more files of one ending (.xrdml .brml .raw .ras .rasx .uxd .xy .xye .chi .plt .fxye .gsa),
each one scan over the same axis. They are a series along ``time`` (s) where every file says when it
began, else along ``scan``, the last number in the names. Files that hold several scans have to be
opened one by one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from . import (
    bruker_brml,
    bruker_raw,
    bruker_uxd,
    gsas_powder,
    panalytical_xrdml,
    rigaku_ras,
    rigaku_rasx,
    stoe_raw,
    xrd_text,
)
from ._xrd import SERIES, series
from .base import HEAD_BYTES, Format, Options, Regions

_KINDS = tuple(
    record
    for module in (bruker_brml, bruker_raw, bruker_uxd, gsas_powder, panalytical_xrdml, rigaku_ras,
                   rigaku_rasx, stoe_raw, xrd_text)
    for record in module.FORMATS
)  # fmt: skip
_SUFFIXES = frozenset(s for record in _KINDS for s in record.suffixes) - {".dat", ".asc", ".txt"}
_MOST = 20_000


def _files(folder: Path) -> list[Path]:
    """Files of the commonest known ending, if there are enough and no other is as common."""
    groups: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir())[: 2 * _MOST]:
        if file.suffix.lower() in _SUFFIXES and file.is_file():
            groups.setdefault(file.suffix.lower(), []).append(file)
    if not groups:
        return []
    ordered = sorted(groups.values(), key=len)
    if len(ordered[-1]) < SERIES or (len(ordered) > 1 and len(ordered[-2]) == len(ordered[-1])):
        return []
    return ordered[-1][:_MOST]


def _kind(file: Path) -> Format | None:
    with file.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    return next((r for r in _KINDS if head and r.sniff(head, file)), None)


def _sniff(head: bytes, path: Path) -> bool:
    if not path.is_dir():
        return False
    try:
        files = _files(path)
        return bool(files) and all(_kind(file) is not None for file in files[:SERIES])
    except OSError:
        return False


def _order(file: Path) -> tuple[int, str]:
    found = re.findall(r"\d+", file.stem)
    return (int(found[-1]) if found else -1, file.name)


def read(path: Path, options: Options) -> Regions:
    """Read the series.

    Raises
    ------
    FormatError
        If a file is damaged, holds several scans, or has another axis than the first.
    """
    parts: dict[str, Any] = {}
    files = sorted(_files(path), key=_order)
    for file in files:
        kind = _kind(file)
        if kind is None:
            raise FormatError(f"{path.name}: {file.name} is not a pattern; move it elsewhere")
        regions = kind.read(file, Options("xrd"))
        ds = next(iter(regions.values()))
        if len(regions) > 1 or ds["intensity"].ndim > 1:
            raise FormatError(
                f"{path.name}: {file.name} holds several scans; open such files one by one"
            )
        if parts:
            first = next(iter(parts.values()))
            x, y = ds["two_theta"].values, first["two_theta"].values
            if x.shape != y.shape or np.max(np.abs(x - y)) > 1e-3:
                raise FormatError(
                    f"{path.name}: {file.name} has another two-theta axis ({x[0]:g} to {x[-1]:g}, "
                    f"{x.size} points) than {files[0].name} ({y[0]:g} to {y[-1]:g}, {y.size}); "
                    "move it to a folder of its own"
                )
        parts[file.name] = ds
    joined = series(path, parts, path.name)
    if len(joined) > 1:
        raise FormatError(
            f"{path.name}: the scans differ in wavelength, units or errors; open them one by one"
        )
    ds = joined[path.name]
    numbers = [_order(file)[0] for file in files]
    if "scan" in ds.dims and len(set(numbers)) == len(numbers) and min(numbers) >= 0:
        ds = ds.assign_coords(scan=("scan", np.array(numbers), dict(ds["scan"].attrs)))
    return {path.name: ds}


FORMATS = (Format("xrd_folder", "Folder of powder patterns", (), ("xrd",), _sniff, read),)

"""Operando series of text patterns: one .txt per scan with date, wavelengths, columns; or a folder.

First line ``2022.09.19 19:37:16`` (start of the scan), then a sample line (cp1251), ``Lambda1 =``,
``Lambda2 =`` (angstrom), ``R =`` (Ka2 over Ka1), ``2Theta<tab>I``, a ``line...repeat`` line, rows
of angle and intensity, and the same once more after ``Result vector``. A folder of such files is a
series along ``time`` (s from the first scan), or along ``scan``, the number in the file names,
where all dates are those of one export; ``charge.txt`` in it (hh:mm:ss, V, current) adds
``voltage`` if its clock starts with the first scan. Intensities are arbitrary (averaged counts).
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..convention import spectrum
from ..errors import FormatError
from ._xrd import pattern
from .base import Format, Options, Regions, read_bytes, source

_DATE = re.compile(r"\d{4}\.\d\d\.\d\d \d\d:\d\d:\d\d")
_MOST = 20_000


def _is(head: bytes) -> bool:
    text = head[:600].decode("cp1251", "replace")
    return bool(_DATE.match(text)) and "2Theta" in text and "Lambda1" in text


def _sniff(head: bytes, path: Path) -> bool:
    if path.is_dir():
        return bool(_scans(path))
    return path.suffix.lower() == ".txt" and _is(head)


def _scans(folder: Path) -> list[Path]:
    found = []
    for file in sorted(folder.glob("*.txt"))[:_MOST]:
        try:
            with file.open("rb") as stream:
                if _is(stream.read(600)):
                    found.append(file)
        except OSError:
            continue
    return found


def _one(path: Path) -> tuple[datetime, dict[str, float], np.ndarray]:
    text = read_bytes(path, limit=64 * 1024**2).decode("cp1251", "replace")
    lines = text.splitlines()
    try:
        when = datetime.strptime(lines[0].strip(), "%Y.%m.%d %H:%M:%S")
    except (ValueError, IndexError):
        raise FormatError(f"{path.name}: line 1 is not a date (yyyy.mm.dd hh:mm:ss)") from None
    told: dict[str, float] = {}
    rows = []
    for number, line in enumerate(lines[1:], 2):
        if line.startswith("Result vector"):  # the same points once more
            break
        key = re.match(r"(Lambda1|Lambda2|R)\s*=\s*([\d.]+)", line)
        if key:
            told[key[1]] = float(key[2])
        elif re.match(r"\s*-?[\d.]+\s", line):
            words = line.split()
            try:
                rows.append((float(words[0]), float(words[1])))
            except (ValueError, IndexError):
                raise FormatError(
                    f"{path.name}: line {number}: {line[:40]!r} is not two numbers"
                ) from None
    if len(rows) < 2:
        raise FormatError(f"{path.name}: {len(rows)} points; the file is truncated")
    return when, told, np.array(rows)


def _number(file: Path) -> int:
    """Return the last number in a file name, -1 if there is none."""
    found = re.findall(r"\d+", file.stem)
    return int(found[-1]) if found else -1


def _attrs(told: dict[str, float]) -> dict[str, Any]:
    return {
        "wavelength_A": told.get("Lambda1"),
        "wavelength_2_A": told.get("Lambda2"),
        "ratio_2": told.get("R"),
    }


def read(path: Path, options: Options) -> Regions:
    """Read one scan, or a folder of scans as a series.

    Raises
    ------
    FormatError
        If scans of a folder have different axes or a row is damaged.
    """
    if not path.is_dir():
        _, told, table = _one(path)
        return {path.stem: pattern(path, "xrd_operando", path.stem, *table.T, units="counts",
                                   attrs=_attrs(told))}  # fmt: skip
    scans = sorted(((*_one(file), file) for file in _scans(path)), key=lambda s: (s[0], s[3].name))
    first = scans[0]
    for _, _, table, file in scans:
        if table.shape != first[2].shape or np.max(np.abs(table[:, 0] - first[2][:, 0])) > 1e-4:
            raise FormatError(
                f"{path.name}: {file.name} has another two-theta axis than {first[3].name}; move "
                "it to a folder of its own"
            )
    time = np.array([(s[0] - first[0]).total_seconds() for s in scans])
    outer: dict[str, np.ndarray] = {"time": time}
    if np.any(np.diff(time) <= 0):
        scans.sort(key=lambda s: (_number(s[3]), s[3].name))
        numbers = [_number(s[3]) for s in scans]
        if len(set(numbers)) < len(numbers):
            raise FormatError(
                f"{path.name}: the scans have neither dates nor numbers of their own; number the "
                "file names"
            )
        outer = {"scan": np.array(numbers)}
    attrs = {k: v for k, v in _attrs(first[1]).items() if v is not None}
    ds = spectrum(
        np.stack([s[2][:, 1] for s in scans]),
        first[2][:, 0],
        technique="xrd",
        axis_name="two_theta",
        units="1",
        outer=outer,
        attrs={**attrs, "calibration": "two-theta of the goniometer as recorded"},
        source=source(path, "xrd_operando"),
    )
    return {path.name: _with_voltage(path, ds) if "time" in outer else ds}


def _with_voltage(folder: Path, ds: xr.Dataset) -> xr.Dataset:
    file = folder / "charge.txt"
    if not file.is_file():
        return ds
    rows = []
    for line in read_bytes(file, limit=64 * 1024**2).decode("cp1251", "replace").splitlines():
        found = re.match(r"(\d+):(\d\d):(\d\d)\s+([-\d.]+)", line)
        if found:
            h, m, s = (int(found[i]) for i in (1, 2, 3))
            rows.append((3600.0 * h + 60.0 * m + s, float(found[4])))
    if len(rows) < 2:
        return ds
    seconds, volts = np.array(rows).T
    order = np.argsort(seconds, kind="stable")
    value = np.interp(ds["time"].values, seconds[order], volts[order], left=np.nan, right=np.nan)
    return ds.assign_coords(voltage=("time", value, {"units": "V", "comment": "charge.txt, its "
                            "clock taken to start with the first scan"}))  # fmt: skip


FORMATS = (
    Format("xrd_operando", "Operando powder patterns, text", (".txt",), ("xrd",), _sniff, read),
)

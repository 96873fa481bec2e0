"""What EC-Lab's files beside a bare table say about it: loops, current, clock.

``<name>_<nn>_<TECHNIQUE>_C<channel>.*`` is technique nn of ``<name>.mps``. Only files of the
table's own folder are looked at, by these names.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..errors import FormatError
from ._biologic import with_loops
from ._biologic_modules import MAGIC, read_modules
from ._cell_numbers import duration, number
from .base import read_bytes

SETTINGS = b"EC-LAB SETTING FILE"
LOOPS = b"VMP EXPERIMENT LOOP INDEXES"
_NAME = re.compile(r"^(?P<stem>.+)_(?P<number>\d{2})_[A-Za-z]+_(?P<channel>C[A-Z]?\d{1,2})$")
_MAX_SETTINGS = 16 * 1024**2
_SCALES = {"A": 1e3, "mA": 1.0, "uA": 1e-3, "µA": 1e-3, "nA": 1e-6, "pA": 1e-9}


@dataclass(frozen=True)
class Sequence:
    """One column of a technique's settings: mA (NaN where none is set), s, s."""

    current: float
    duration: float
    rest: float


@dataclass(frozen=True)
class Technique:
    """One of the linked techniques."""

    number: int
    name: str
    sequences: tuple[Sequence, ...]
    repeats: int


def settings(path: Path) -> list[Technique]:
    """Read an .mps file.

    Parameters
    ----------
    path : Path
        At most 16 MiB.

    Raises
    ------
    FormatError
        If it is not a settings file.
    """
    raw = read_bytes(path, limit=_MAX_SETTINGS)
    if not raw.upper().startswith(SETTINGS):
        raise FormatError(f"{path.name}: does not begin with {SETTINGS.decode()!r}")
    lines = raw.decode("latin-1").splitlines()
    heads = [i for i, line in enumerate(lines) if re.match(r"Technique\s*:\s*\d+\s*$", line)]
    found: list[Technique] = []
    for at, end in itertools.pairwise([*heads, len(lines)]):
        name = lines[at + 1].strip() if at + 1 < len(lines) else ""
        keys: dict[str, list[str]] = {}
        for line in lines[at + 2 : end]:
            cells = [line[i : i + 20].strip() for i in range(0, min(len(line), 20_000), 20)]
            if len(cells) > 1 and cells[0]:
                keys.setdefault(cells[0], [c for c in cells[1:] if c])
        # the second "unit ..." of a key belongs to a later one; setdefault keeps the first
        told = number(lines[at].split(":")[1], False)
        found.append(Technique(int(told), name, _sequences(keys), _repeats(keys)))
    return found


def _sequences(keys: dict[str, list[str]]) -> tuple[Sequence, ...]:
    currents, units = keys.get("Is", []), keys.get("unit Is", [])
    if not currents:
        return (Sequence(np.nan, np.nan, np.nan),)
    made = []
    for i, text in enumerate(currents):
        scale = _SCALES.get(units[i] if i < len(units) else "mA", np.nan)
        times = [
            duration(values[i]) if i < len(values) else np.nan
            for values in (keys.get("t1 (h:m:s)", []), keys.get("tR (h:m:s)", []))
        ]
        made.append(Sequence(number(text, "," in text) * scale, times[0], times[1]))
    return tuple(made)


def _repeats(keys: dict[str, list[str]]) -> int:
    told = keys.get("nt times", [])
    return int(told[0]) if told and told[0].isdigit() else 0


def loop_rows(path: Path) -> npt.NDArray[np.int64]:
    """Return the rows of a _LOOP.txt file.

    Raises
    ------
    FormatError
        If it is not one, or a line is no whole number.
    """
    raw = read_bytes(path, limit=_MAX_SETTINGS)
    if not raw.startswith(LOOPS):
        raise FormatError(f"{path.name}: does not begin with {LOOPS.decode()!r}")
    lines = raw.decode("latin-1").splitlines()[1:]
    bad = next((i for i, t in enumerate(lines) if t.strip() and not t.strip().isdigit()), None)
    if bad is not None:
        raise FormatError(f"{path.name}: line {bad + 2}: {lines[bad][:40]!r} is no row number")
    rows = [int(text) for text in lines if text.strip()]
    if not rows or max(rows) > 2**53:
        raise FormatError(f"{path.name}: no row numbers below line 1: the file may be truncated")
    return np.array(rows, dtype=np.int64)


def with_neighbours(ds: xr.Dataset, path: Path) -> xr.Dataset:
    """Add to a bare table what the files beside it say; unreadable ones say nothing.

    Parameters
    ----------
    ds : xr.Dataset
        Channels along ``time`` of a table without header.
    path : Path
        Its file.

    Returns
    -------
    xr.Dataset
        With ``loop``, ``current`` (mA, as set) and attrs ``start``, where they were missing.
    """
    ds = _loops_of(ds, path)
    match = _NAME.match(path.stem)
    if match is None or "time" not in ds.dims:
        return ds
    if "current" not in ds:
        ds = _current_of(ds, path, match["stem"], int(match["number"]))
    if "start" not in ds.attrs:
        pattern = re.compile(
            rf"^{re.escape(match['stem'])}_\d{{2}}_[A-Za-z]+_{match['channel']}\.mpr$"
        )
        for beside in sorted(path.parent.glob("*.mpr")):
            start = _clock_of(beside) if pattern.match(beside.name) else ""
            if start:
                ds.attrs["start"] = start
                ds.attrs["start_origin"] = f"{beside.name}, a linked technique of the same run"
                break
    return ds


def _loops_of(ds: xr.Dataset, path: Path) -> xr.Dataset:
    beside = path.with_name(f"{path.stem}_LOOP.txt")
    if not beside.is_file():
        return ds
    try:
        return with_loops(ds, loop_rows(beside))
    except FormatError:
        return ds


def _current_of(ds: xr.Dataset, path: Path, stem: str, place: int) -> xr.Dataset:
    """Take the current of a galvanostatic technique from its settings if only one was applied."""
    beside = path.with_name(f"{stem}.mps")
    if not beside.is_file():
        return ds
    try:
        technique = next((t for t in settings(beside) if t.number == place), None)
    except FormatError:
        return ds
    if technique is None or not technique.name.startswith("Galvanostatic"):
        return ds
    active = [s for s in technique.sequences if s.current != 0.0 and s.duration > 0.0]
    rests = any(s.rest > 0.0 for s in technique.sequences)
    currents = {s.current for s in active}
    if len(currents) != 1 or rests or not np.isfinite(list(currents)).all():
        return ds
    (current,) = currents
    ds = ds.assign(current=("time", np.full(ds.sizes["time"], current), {"units": "mA"}))
    hours = active[0].duration / 3600.0
    ds.attrs["current_origin"] = (
        f"settings {beside.name}, technique {place}: {current:g} mA for {hours:g} h in each loop"
    )
    return ds


def _clock_of(path: Path) -> str:
    try:
        raw = read_bytes(path, limit=256 * 1024**2)
        return read_modules(raw, path).start if raw.startswith(MAGIC) else ""
    except FormatError:
        return ""

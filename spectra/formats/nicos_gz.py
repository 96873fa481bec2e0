"""NICOS charged-particle spectra (MARIA, TREFF and TMR neutron depth profiling): gzip of integers.

Layout, from the open source of NICOS (the setups ``ndp`` of MARIA, TREFF and TMR use its sink for
compressed numpy text): gzip; inside, ASCII, one unsigned count per line (or all on one line), no
header. Every detector has a file, ``<base>_<number>.gz`` (older setups ``<base>.gz``), and the run
has ``<base>.yaml``, whose list ``measurement: devices`` gives ``name``, ``unit`` and ``value`` of
the timer and the monitors. If that file lies beside it, ``real_time_s`` is the timer and the
variable ``monitor`` is the first monitor with counts. The file has no energy scale and no live
time: calibrate, and take dead time from its length if it matters (``correct(ds, "dead_time")``).
Uncertainties: those of counting. Written from the source of the writer; no measured file with an
open licence was found to test against.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ..convention import spectrum
from ..errors import FormatError
from .base import Format, Options, Regions, read_bytes, source

_MAX_TEXT = 16 * 1024**2
_MAX_YAML = 4 * 1024**2
_FEWEST, _MOST = 64, 1_048_576
_COUNTS = re.compile(rb"\d{1,10}(\s+\d{1,10})*\s*")


def sniff(head: bytes, path: Path) -> bool:
    """Whether gzip holds nothing but counts, one per line or all on one line."""
    if not head.startswith(b"\x1f\x8b") or path.suffix.lower() != ".gz":
        return False
    try:
        text = zlib.decompressobj(31).decompress(head, 65536)
    except zlib.error:
        return False
    lines = text.split(b"\n")
    short = all(b" " not in line.strip() for line in lines)
    return bool(text) and _COUNTS.fullmatch(text) is not None and (short or len(lines) <= 2)


def read(path: Path, options: Options) -> Regions:
    """Read the one spectrum, and times and monitor from the file beside it."""
    text = _unpacked(path, read_bytes(path, limit=_MAX_TEXT))
    if _COUNTS.fullmatch(text) is None:
        raise FormatError(f"{path.name}: expected counts only, one per line")
    lines = text.strip().split(b"\n")
    if len(lines) > 1 and b" " in lines[0].strip():
        raise FormatError(
            f"{path.name}: {len(lines)} lines of several counts: an image; a spectrum has one "
            "count per line"
        )
    counts = np.array(text.split(), dtype=np.int64)
    if not _FEWEST <= counts.size <= _MOST:
        raise FormatError(f"{path.name}: {counts.size} channels; allowed: {_FEWEST} to {_MOST}")
    attrs: dict[str, Any] = {}
    devices = _devices(path)
    timer = devices.get("timer")
    if timer and timer > 0:
        attrs["real_time_s"] = timer
    ds = spectrum(
        counts,
        np.arange(counts.size),
        technique="ndp",
        axis_name="channel",
        attrs=attrs,
        source=source(path, "nicos_gz", "ndp"),
    )
    monitor = next((v for k, v in sorted(devices.items()) if re.fullmatch(r"mon\d*", k) and v), 0.0)
    if monitor > 0:
        ds["monitor"] = ((), monitor, {"units": "1", "long_name": "neutron monitor, counts"})
    return {"ndp": ds}


def _unpacked(path: Path, packed: bytes) -> bytes:
    machine = zlib.decompressobj(31)
    try:
        text = machine.decompress(packed, _MAX_TEXT)
    except zlib.error as error:
        raise FormatError(f"{path.name}: damaged gzip ({error}); copy the file again") from None
    if machine.unconsumed_tail:
        raise FormatError(f"{path.name}: unpacks to more than {_MAX_TEXT} bytes; not a spectrum")
    if not machine.eof:
        raise FormatError(f"{path.name}: gzip ends early: the file is truncated; copy it again")
    return text


def _devices(path: Path) -> dict[str, float]:
    """Return the numbers of the devices in the YAML file of the run, if it lies beside."""
    stem = path.name[:-3]
    for base in (stem, re.sub(r"_\d+$", "", stem)):
        beside = path.with_name(base + ".yaml")
        if beside.is_file():
            return _numbers(beside)
    return {}


def _numbers(path: Path) -> dict[str, float]:
    import yaml

    try:
        text = read_bytes(path, limit=_MAX_YAML).decode("utf-8", "replace")
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise FormatError(f"{path.name}: YAML aliases are not allowed")
        whole = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise FormatError(
            f"{path.name}: not readable YAML beside the spectrum; copy it again or move it"
        ) from None
    found: dict[str, float] = {}
    measurement = whole.get("measurement") if isinstance(whole, dict) else None
    devices = measurement.get("devices") if isinstance(measurement, dict) else None
    for entry in devices if isinstance(devices, list) else []:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            continue
        value = entry.get("value")
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found[entry["name"]] = float(value)
    return found


FORMATS = (
    Format(
        name="nicos_gz",
        title="NICOS neutron depth profiling",
        suffixes=(".gz",),
        techniques=("ndp",),
        sniff=sniff,
        read=read,
    ),
)

"""PHI SPECTRUM (.spe) and depth profiles (.pro), all versions from PC-ACCESS to SmartSoft.

Layout: text header between ``SOFH`` and ``EOFH`` (``Key: value`` lines), then little-endian binary.
At its start 16 bytes (version, number of traces, length of the trace table, 16), then one record of
24 words per trace: word 3 region number, word 5 points, word 6 rows (cycles of a profile), words 8,
10, 14 labels of axes and unit, word 18 number type (``f4``; ``f8`` and ``u8`` are both float64),
word 19 bytes, word 20 offset from the start of the binary part. ``SpectralRegDef`` lines give for
each region: number, name, points, step, start, end, ..., counting time per point (s), pass energy.

Energies are binding energies, descending in the file. Values are counts per second; they are kept,
and where they are whole counts over the stated time the counting error becomes ``uncertainty``.
A profile's last traces are tables (cycle x region): sputter time (unit s), which becomes the
dimension ``etch_time``, and the instrument's own areas (attrs ``instrument_areas``).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import FormatError
from ._xps import decimal, region, region_name, unique, with_reference_lines
from .base import Format, Options, Regions, read_bytes, truncated

_TYPES = {"f4": "<f4", "u4": "<f4", "f8": "<f8", "u8": "<f8"}
_MAX_TRACES = 10_000


@dataclass(frozen=True)
class _Region:
    name: str
    points: int
    step: float
    start: float
    end: float
    seconds: float
    pass_energy: float


@dataclass(frozen=True)
class _Trace:
    region: int
    unit: str
    values: np.ndarray


def sniff(head: bytes, path: Path) -> bool:
    """Whether the file starts with PHI's header mark."""
    return head[:6].rstrip(b"\r\n") == b"SOFH" or head.startswith(b"SOFH\n")


def read(path: Path, options: Options) -> Regions:
    """Read all spectral regions; those of a profile along ``etch_time``."""
    raw = read_bytes(path, limit=2 * 1024**3)
    end = raw.find(b"EOFH")
    if end < 0:
        raise FormatError(f"{path.name}: no EOFH within {len(raw)} bytes: the header is truncated")
    header = _header(raw[:end].decode("latin-1"))
    start = end + 4
    while raw[start : start + 1] in (b"\r", b"\n"):
        start += 1
    defined = _defined(path, header)
    traces = _traces(path, raw, start)
    tables = [t for t in traces if t.region == 0]
    times = next((t.values for t in tables if t.unit == "s"), None)
    areas = next((t.values for t in tables if "eV" in t.unit), None)
    source = _first(header, "XraySource").split()
    attrs = {
        "photon_energy_eV": next((float(w) for w in source if _is_number(w)), None),
        "source_label": source[0] if source else "",
        "work_function_eV": _leading(_first(header, "AnalyserWorkFcn")),
        "instrument": _first(header, "InstrumentModel"),
        "measured": _first(header, "AcqFileDate"),
    }
    regions: dict[str, xr.Dataset] = {}
    spectra = [t for t in traces if t.region]
    if not spectra:
        raise FormatError(f"{path.name}: no spectral trace in it (found {len(traces)} tables)")
    areas_used = {t.region for t in spectra}
    for trace in spectra:
        if trace.region not in defined:
            raise FormatError(
                f"{path.name}: a trace of region {trace.region}, but SpectralRegDef lists "
                f"{', '.join(map(str, defined))}"
            )
        info = defined[trace.region]
        if info.points != trace.values.shape[1]:
            raise FormatError(
                f"{path.name}, region {info.name!r}: header says {info.points} points, the trace "
                f"has {trace.values.shape[1]}"
            )
        name = unique(region_name(info.name), regions)
        profile = "DEPTH" in _first(header, "FileType").upper() or trace.values.shape[0] > 1
        row = sorted(areas_used).index(trace.region)
        outer: dict[str, np.ndarray] = {}
        own: dict[str, Any] = {**attrs, "pass_energy_eV": info.pass_energy}
        if profile:
            count = trace.values.shape[0]
            if times is not None and times.shape[1] == count and row < times.shape[0]:
                outer["etch_time"] = times[row] + 0.0
            else:
                outer["cycle"] = np.arange(count)
            if areas is not None and areas.shape[1] == count and row < areas.shape[0]:
                own["instrument_areas"] = [float(v) for v in areas[row]]
        regions[name] = region(
            path,
            "phi_spe",
            name,
            info.start + info.step * np.arange(info.points),
            trace.values if profile else trace.values[0],
            units="counts/s",
            attrs=own,
            seconds=info.seconds,
            outer=outer,
        )
    return with_reference_lines(regions)


def _header(text: str) -> list[tuple[str, str]]:
    pairs = []
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            pairs.append((key.strip(), value.strip()))
    return pairs


def _first(header: list[tuple[str, str]], key: str) -> str:
    return next((v for k, v in header if k == key), "")


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _leading(text: str) -> float | None:
    word = text.split(" ")[0]
    return float(word) if _is_number(word) else None


def _defined(path: Path, header: list[tuple[str, str]]) -> dict[int, _Region]:
    """Read the SpectralRegDef lines by the number that traces refer to."""
    found: dict[int, _Region] = {}
    for key, value in header:
        if key != "SpectralRegDef":
            continue
        words = value.split()
        if len(words) < 12:
            raise FormatError(
                f"{path.name}: SpectralRegDef has {len(words)} fields, not 12: {value}"
            )
        number = [decimal(w, path, 0, "SpectralRegDef") for w in (*words[:2], *words[3:12])]
        # fields: number, number of the trace, name, Z, points, step, start, end, ., ., time, E_pass
        points = int(number[3])
        if points < 2 or not all(abs(n) < 1e9 for n in number):
            raise FormatError(f"{path.name}, region {words[2]!r}: {points} points")
        found[int(number[0])] = _Region(
            words[2], points, number[4], number[5], number[6], number[9], number[10]
        )
    if not found:
        raise FormatError(f"{path.name}: no SpectralRegDef line: not a file of spectra")
    return found


def _traces(path: Path, raw: bytes, start: int) -> list[_Trace]:
    if len(raw) < start + 16:
        raise truncated(path, len(raw), start + 16, "the binary part")
    count = struct.unpack_from("<i", raw, start + 4)[0]
    if not 1 <= count <= _MAX_TRACES:
        raise FormatError(
            f"{path.name}: byte {start + 4}: {count} traces; allowed 1 to {_MAX_TRACES}"
        )
    table = start + 16
    if len(raw) < table + 96 * count:
        raise truncated(path, len(raw), table + 96 * count, "the trace table")
    traces = []
    for k in range(count):
        record = raw[table + 96 * k : table + 96 * (k + 1)]
        words = struct.unpack("<24i", record)
        kind = record[72:76].split(b"\0")[0].decode("latin-1").strip()
        unit = record[56:64].split(b"\0")[0].decode("latin-1").strip()
        points, rows, size, offset = words[5], max(words[6], 1), words[19], words[20]
        if kind not in _TYPES:
            raise FormatError(
                f"{path.name}: trace {k + 1}: number type {kind!r}; allowed: {', '.join(_TYPES)}"
            )
        dtype = np.dtype(_TYPES[kind])
        needed = points * rows * dtype.itemsize
        if points < 1 or offset < 0 or size < needed:
            raise FormatError(
                f"{path.name}: trace {k + 1}: {points} x {rows} values do not fit {size} bytes"
            )
        begin = start + offset
        if begin + needed > len(raw):
            raise truncated(path, len(raw), begin + needed, f"trace {k + 1}")
        values = np.frombuffer(raw, dtype, points * rows, begin).reshape(rows, points)
        with np.errstate(invalid="ignore"):
            values = values.astype(float)
        if not np.all(np.abs(values) < 1e30):
            raise FormatError(f"{path.name}: trace {k + 1}: values that are not numbers")
        traces.append(_Trace(words[3], unit, values))
    return traces


FORMATS = (
    Format(
        name="phi_spe",
        title="PHI spectra and depth profiles (.spe, .pro)",
        suffixes=(".spe", ".pro"),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

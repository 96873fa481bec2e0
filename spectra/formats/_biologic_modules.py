"""The modules of EC-Lab's binary files (.mpr), and what its column numbers mean.

After 52 bytes (``BIO-LOGIC MODULAR FILE``, 0x1A, blanks, four zeros) modules follow each other:
``MODULE``, short name (10 bytes), long name (25), then lengths as little-endian u4 and a date of 8
characters. Before EC-Lab 11.50: length, version, date (51 bytes after the word). Since: 0xFFFFFFFF,
length, version, another number, date (59 bytes).

``VMP data``: u4 rows, u1 columns, the columns' numbers (one byte each in the oldest files, then
little-endian u2, since 11.50 high byte first), padding up to byte 100, 405, 406 or 1007 of the
module, and then packed records that reach its end. Columns 1, 2, 3, 21, 31 and 65 are bits of one
byte at the place of the first of them. ``VMP LOG`` holds the clock at time 0 as days since
1899-12-30 (f8) at byte 465, 469, 473 or 585; ``VMP loop`` a u4 count and the first rows of loops.
The first byte of ``VMP Set`` is the technique (4: GCPL, 6: CV, 0x6C: LSV ...).

A column whose number is not listed is skipped by its width, where the length of the records leaves
only one answer; else the file is refused. Layout and numbers as established by the users of such
files and checked here against the text that EC-Lab wrote from the same measurements.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from .base import truncated

MAGIC = b"BIO-LOGIC MODULAR FILE"
_FIRST = 52
_STARTS = (405, 406, 1007, 100)
_FLAGS = (1, 2, 3, 21, 31, 65)
_STAMPS = (465, 469, 473, 585)
_TECHNIQUES = {0x04: "GCPL", 0x06: "CV", 0x0B: "OCV", 0x16: "MP", 0x18: "CA", 0x19: "CP",
               0x1C: "WAIT", 0x1D: "PEIS", 0x1E: "GEIS", 0x30: "CV", 0x32: "ZIR", 0x33: "CVA",
               0x6C: "LSV", 0x75: "coV", 0x76: "coC", 0x77: "GCPL", 0x7F: "MB"}  # fmt: skip
_SWEEPS = ("CV", "CVA", "LSV")
_MAX_ROWS = 500_000_000

# number: name as in EC-Lab's text; single precision (f4) unless listed below
_F4 = {
    5: "control/V/mA", 6: "Ewe/V", 8: "I/mA", 9: "Ece/V", 16: "Analog IN 1/V", 17: "Analog IN 2/V",
    19: "control/V", 20: "control/mA", 26: "Rapp/Ohm", 27: "Ewe-Ece/V", 32: "freq/Hz",
    33: "|Ewe|/V", 34: "|I|/A", 35: "Phase(Z)/deg", 36: "|Z|/Ohm", 37: "Re(Z)/Ohm",
    38: "-Im(Z)/Ohm", 69: "R/Ohm", 70: "P/W", 75: "Analog OUT/V", 76: "<I>/mA", 77: "<Ewe>/V",
    78: "Cs-2/uF-2", 96: "|Ece|/V", 98: "Phase(Zce)/deg", 99: "|Zce|/Ohm", 100: "Re(Zce)/Ohm",
    101: "-Im(Zce)/Ohm", 163: "|Estack|/V", 168: "Rcmp/Ohm", 169: "Cs/uF", 172: "Cp/uF",
    173: "Cp-2/uF-2", 174: "<Ewe>/V", 178: "(Q-Qo)/C", 179: "dQ/C", 217: "THD Ewe/%",
    218: "THD I/%", 220: "NSD Ewe/%", 221: "NSD I/%", 223: "NSR Ewe/%", 224: "NSR I/%",
    241: "|E1|/V", 242: "|E2|/V", 271: "Phase(Z1)/deg", 272: "Phase(Z2)/deg", 301: "|Z1|/Ohm",
    302: "|Z2|/Ohm", 326: "P/W", 331: "Re(Z1)/Ohm", 332: "Re(Z2)/Ohm", 361: "-Im(Z1)/Ohm",
    362: "-Im(Z2)/Ohm", 391: "<E1>/V", 392: "<E2>/V", 422: "Phase(Zstack)/deg",
    423: "|Zstack|/Ohm", 424: "Re(Zstack)/Ohm", 425: "-Im(Zstack)/Ohm", 426: "<Estack>/V",
    430: "Phase(Zwe-ce)/deg", 431: "|Zwe-ce|/Ohm", 432: "Re(Zwe-ce)/Ohm", 433: "-Im(Zwe-ce)/Ohm",
    434: "(Q-Qo)/C", 435: "dQ/C", 441: "<Ecv>/V", 462: "Temperature/°C", 471: "<Ece>/V",
    473: "THD Ewe/%", 474: "THD I/%", 475: "THD Ece/%", 476: "NSD Ewe/%", 477: "NSD I/%",
    478: "NSD Ece/%", 479: "NSR Ewe/%", 480: "NSR I/%", 481: "NSR Ece/%", 505: "Rdc/Ohm",
}  # fmt: skip
_F8 = {
    4: "time/s", 7: "dq/mA.h", 11: "<I>/mA", 13: "(Q-Qo)/mA.h", 23: "dQ/mA.h", 24: "cycle number",
    74: "|Energy|/W.h", 123: "Energy charge/W.h", 124: "Energy discharge/W.h",
    125: "Capacitance charge/uF", 126: "Capacitance discharge/uF", 182: "step time/s",
    211: "Q charge/discharge/mA.h", 379: "Energy charge/W.h", 438: "step time/s",
    467: "Q charge/discharge/mA.h", 498: "Q charge/mA.h", 499: "Q discharge/mA.h",
    500: "step time/s", 501: "Efficiency/%", 502: "Capacity/mA.h",
}  # fmt: skip
_WHOLE = {
    39: ("I Range", "<u2"), 131: ("Ns", "<u2"), 295: ("I Range", "<u2"),
    212: ("half cycle", "<u4"), 213: ("z cycle", "<u4"), 468: ("half cycle", "<u4"),
    469: ("z cycle", "<u4"), 509: ("Acir/Dcir Control", "<u1"),
}  # fmt: skip
_HARMONICS = {**{230 + k: f"|Ewe h{k + 2}|/V" for k in range(6)},
              **{236 + k: f"|I h{k + 2}|/A" for k in range(6)},
              **{486 + k: f"|Ewe h{k + 2}|/V" for k in range(6)},
              **{492 + k: f"|I h{k + 2}|/A" for k in range(6)}}  # fmt: skip
COLUMNS: dict[int, tuple[str, str]] = {
    **{number: (name, "<f4") for number, name in {**_F4, **_HARMONICS}.items()},
    **{number: (name, "<f8") for number, name in _F8.items()},
    **_WHOLE,
}
"""Column number to name and NumPy type."""


@dataclass
class Measurement:
    """What one .mpr file holds.

    Parameters
    ----------
    columns : dict of str to ndarray
        By EC-Lab's names.
    start : str
        ISO time of time 0 by the instrument's local clock, or empty.
    loops : ndarray of int
        First rows of loops, without the trailing end.
    experiment : str
        EC-Lab's short name of the technique, or empty if its number is not known.
    swept : bool or None
        Whether the technique is a voltammetry; None if it is not known.
    skipped : tuple of int
        Numbers of columns that are not known.
    """

    columns: dict[str, npt.NDArray[np.float64]]
    start: str = ""
    loops: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    experiment: str = ""
    swept: bool | None = None
    skipped: tuple[int, ...] = ()


def read_modules(raw: bytes, path: Path) -> Measurement:
    """Read a whole .mpr file.

    Raises
    ------
    FormatError
        If it is cut, has no data module, or its records cannot be laid out.
    """
    found = {name: (data, date) for name, data, date in _modules(raw, path)}
    if "VMP data" not in found:
        raise FormatError(
            f"{path.name}: no data module after {len(raw)} bytes: the file is truncated, or the "
            "measurement has not recorded yet"
        )
    columns, skipped = _records(found["VMP data"][0], path)
    settings = found.get("VMP Set", (b"", ""))[0]
    log, date = found.get("VMP LOG", (b"", ""))
    loops = found.get("VMP loop", (b"", ""))[0]
    starts = np.frombuffer(loops[4 : 4 + max(len(loops) - 4, 0) // 4 * 4], "<u4")
    experiment = _TECHNIQUES.get(settings[0], "") if settings else ""
    return Measurement(
        columns,
        _start(log, date),
        np.trim_zeros(starts.astype(np.int64), "b"),
        experiment,
        experiment in _SWEEPS if experiment else None,
        skipped,
    )


def _modules(raw: bytes, path: Path) -> list[tuple[str, bytes, str]]:
    """Return short name, content and date of every module."""
    at, modules = _FIRST, []
    while at + 57 <= len(raw):
        if raw[at : at + 6] != b"MODULE":
            raise FormatError(
                f"{path.name}: byte {at}: expected a module, found {raw[at : at + 6]!r}: the file "
                "is damaged; copy it again"
            )
        newer = raw[at + 41 : at + 45] == b"\xff\xff\xff\xff"
        size = struct.unpack_from("<I", raw, at + (45 if newer else 41))[0]
        begin = at + (65 if newer else 57)
        date = raw[begin - 8 : begin].decode("latin-1")
        name = raw[at + 6 : at + 16].decode("latin-1").strip()
        if begin + size > len(raw):
            raise truncated(path, len(raw), begin + size, f"the module {name!r}")
        modules.append((name, raw[begin : begin + size], date))
        at = begin + size
    return modules


def _records(data: bytes, path: Path) -> tuple[dict[str, npt.NDArray[np.float64]], tuple[int, ...]]:
    """Return the columns of the data module and the numbers of those unknown."""
    if len(data) < 6:
        raise truncated(path, len(data), 6, "the data module")
    rows, count = struct.unpack_from("<IB", data, 0)
    if not 0 < rows < _MAX_ROWS or not count:
        raise FormatError(f"{path.name}: {rows} rows of {count} columns: nothing was recorded")
    for start in _STARTS:
        body = len(data) - start
        if body <= 0 or body % rows or 5 + count > start:
            continue
        numbers = _numbers(data, count, start)
        if numbers is None:
            continue
        layout = _layout(numbers, body // rows)
        if layout is not None:
            table = np.frombuffer(data, layout, rows, start)
            unknown = tuple(n for n in numbers if n not in COLUMNS and n not in _FLAGS)
            named = [name for name in layout.names or () if not name.startswith("?")]
            return {name: table[name].astype(float) for name in named}, unknown
    ids = _numbers(data, count, 405) or []
    strange = [str(n) for n in ids if n not in COLUMNS and n not in _FLAGS]
    raise FormatError(
        f"{path.name}: {rows} rows do not fill the data module of {len(data)} bytes"
        + (f"; column {', '.join(strange[:5])} is not known" if strange else "")
        + ": export the file as .mpt"
    )


def _numbers(data: bytes, count: int, start: int) -> list[int] | None:
    """Return the columns' numbers if they fit before ``start`` and zeros follow them."""
    if start == 100:
        return list(data[5 : 5 + count])
    if 5 + 2 * count > start:
        return None
    order = ">" if start == 1007 else "<"
    numbers = list(struct.unpack_from(f"{order}{count}H", data, 5))
    return numbers if all(0 < n < 2000 for n in numbers) else None


def _layout(numbers: list[int], width: int) -> np.dtype[np.void] | None:
    """Return the record type, or None if it cannot be ``width`` bytes."""
    unknown = sum(n not in COLUMNS and n not in _FLAGS for n in numbers)
    known = sum(np.dtype(COLUMNS[n][1]).itemsize for n in numbers if n in COLUMNS)
    known += any(n in _FLAGS for n in numbers)
    left = width - known
    if (unknown == 0 and left) or (unknown and (left % unknown or not _plain(left // unknown))):
        return None
    each = left // unknown if unknown else 0
    fields: list[tuple[str, str]] = []
    seen: dict[str, int] = {}
    for n in numbers:
        if n in _FLAGS:
            if "flags" in seen:
                continue
            name, kind = "flags", "u1"
        elif n in COLUMNS:
            name, kind = COLUMNS[n]
        else:
            name, kind = f"?{n}", f"V{each}"
        seen[name] = seen.get(name, 0) + 1
        fields.append((name if seen[name] == 1 else f"{name} {seen[name]}", kind))
    return np.dtype(fields)


def _plain(width: int) -> bool:
    return width in (1, 2, 4, 8)


def _start(log: bytes, date: str) -> str:
    """Return the clock at time 0: of the known places the one on the module's day."""
    found: list[datetime] = []
    for at in _STAMPS:
        if at + 8 <= len(log):
            days = struct.unpack_from("<d", log, at)[0]
            if math.isfinite(days) and 36000 < days < 60000:
                found.append(datetime(1899, 12, 30) + timedelta(days=days))
    digits = sorted("".join(c if c.isdigit() else " " for c in date).split())
    for when in found:
        if sorted((f"{when.month:02d}", f"{when.day:02d}", f"{when.year % 100:02d}")) == digits:
            return _rounded(when)
    return _rounded(found[0]) if found else ""


def _rounded(when: datetime) -> str:
    """Return ISO text to the millisecond, which is what a day as f8 carries."""
    when += timedelta(microseconds=500)
    text = when.isoformat(timespec="milliseconds")
    return text.removesuffix(".000")

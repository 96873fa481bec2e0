"""Powder patterns as columns of text: .xy, .xye, .chi (Fit2D), .plt (Bruker GADDS plotso).

- ``.xy``: two-theta and intensity; a third column, if it is not a standard error (``.xye``), is
  left out. Comment lines begin with ``#``, ``'``, ``!`` or ``;``. Whole numbers are counts.
- ``.xye``: two-theta, intensity, standard error (reported). Bruker writes counts per second and a
  first line ``'Id: ... Anode: Cu``.
- ``.chi``: four header lines, the second names the axis (``2th_deg``); arbitrary units.
- ``.plt``: lines ``!@!!`` with wavelengths (mean, Ka1, Ka2), ``!@!XDegrees``; normalised counts.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..errors import FormatError
from ._xrd import WAVELENGTHS, pattern
from .base import Format, Options, Regions, read_bytes

_COMMENT = ("#", "'", "!", ";")
_ROW = re.compile(r"\s*[-+]?[\d.]+(?:[eE][-+]?\d+)?(?:[\s,;]+[-+]?[\d.]+(?:[eE][-+]?\d+)?){1,2}\s*")


def _numeric_head(head: bytes) -> list[list[float]] | None:
    """First rows of numbers, None if there are other lines than comments and rows."""
    rows = []
    for line in head.decode("latin-1").lstrip("\ufeff").splitlines()[:-1][:40]:
        if not line.strip() or line.lstrip().startswith(_COMMENT):
            continue
        if not _ROW.fullmatch(line):
            return None
        try:
            rows.append([float(w) for w in re.split(r"[\s,;]+", line.strip())])
        except ValueError:
            return None
    return rows


def _sniff_xy(head: bytes, path: Path) -> bool:
    if path.suffix.lower() not in (".xy", ".xye") or b"SpecsLab" in head or b"Specs" in head[:400]:
        return False
    rows = _numeric_head(head)
    if not rows or len(rows) < 3:
        return False
    x = [r[0] for r in rows]
    steps = np.diff(x)
    return bool(min(x) >= 0.0 and max(x) < 180.0 and np.all(steps > 0) and np.max(steps) < 1.0)


def _sniff_chi(head: bytes, path: Path) -> bool:
    lines = head.decode("latin-1").splitlines()
    return (
        path.suffix.lower() == ".chi"
        and len(lines) > 5
        and bool(re.search(r"2[\s_-]*th|two", lines[1], re.I))
        and bool(re.match(r"\s*\d+", lines[3]))
    )


def _sniff_plt(head: bytes, path: Path) -> bool:
    return head.startswith(b"!@!!GADDS PLOTSO")


def _rows(path: Path, lines: list[str], first: int) -> np.ndarray:
    rows = []
    for number, line in enumerate(lines[first:], first + 1):
        if not line.strip() or line.lstrip().startswith(_COMMENT):
            continue
        try:
            rows.append([float(w) for w in re.split(r"[\s,;]+", line.strip())])
        except ValueError:
            raise FormatError(
                f"{path.name}: line {number}: {line[:40]!r} is not a row of numbers"
            ) from None
    widths = {len(r) for r in rows}
    if len(rows) < 2 or len(widths) != 1 or min(widths) < 2:
        raise FormatError(
            f"{path.name}: rows of {sorted(widths)} columns; a pattern has two (or three) in every "
            "row: the last row may be cut, copy the file again"
        )
    return np.array(rows)


def _lines(path: Path) -> list[str]:
    data = read_bytes(path, limit=256 * 1024**2)
    return data.decode("latin-1").lstrip("\ufeffï»¿").splitlines()


def read_xy(path: Path, options: Options) -> Regions:
    """Read a .xy or .xye file."""
    lines = _lines(path)
    table = _rows(path, lines, 0)
    errors = path.suffix.lower() == ".xye" and table.shape[1] == 3
    attrs: dict[str, object] = {}
    anode = re.search(r"Anode:\s*([A-Z][a-z])", "\n".join(lines[:5]))
    if anode and anode[1] in WAVELENGTHS:
        attrs["wavelength_A"], attrs["wavelength_2_A"] = WAVELENGTHS[anode[1]]
        attrs["anode"] = anode[1]
    y = table[:, 1]
    whole = bool(np.array_equal(y, np.round(y)))
    rate = errors and lines and lines[0].startswith("'Id:") and not whole
    units = "counts" if whole else ("counts/s" if rate else "1")
    ds = pattern(
        path,
        "xrd_xy",
        path.stem,
        table[:, 0],
        y,
        units=units,
        attrs=attrs,
        uncertainty=table[:, 2] if errors and np.all(table[:, 2] > 0) else None,
    )
    return {path.stem: ds}


def read_chi(path: Path, options: Options) -> Regions:
    """Read a Fit2D .chi file."""
    lines = _lines(path)
    if len(lines) < 6:
        raise FormatError(
            f"{path.name}: {len(lines)} lines; four of header and the pattern: truncated"
        )
    table = _rows(path, lines, 4)
    number = int(lines[3].split()[0])
    if len(table) < number:
        raise FormatError(
            f"{path.name}: {len(table)} points, the header says {number}: the file is truncated"
        )
    ds = pattern(path, "xrd_chi", path.stem, table[:, 0], table[:, 1], units="1")
    return {path.stem: ds}


def read_plt(path: Path, options: Options) -> Regions:
    """Read a GADDS plotso file."""
    lines = _lines(path)
    attrs: dict[str, object] = {}
    for line in lines[:60]:
        if line.startswith("!@!!Wavelengths"):
            words = re.findall(r"[\d.]+", line)
            if len(words) >= 3:
                attrs["wavelength_A"], attrs["wavelength_2_A"] = float(words[1]), float(words[2])
        if line.startswith("!@!!Title/SampleName:"):
            attrs["title"] = line.split(":", 1)[1].strip()
    first = next((i + 1 for i, line in enumerate(lines) if line.startswith("!@!Y")), 0)
    table = _rows(path, lines, first)
    ds = pattern(path, "gadds_plt", path.stem, table[:, 0], table[:, 1], units="1", attrs=attrs)
    return {path.stem: ds}


FORMATS = (
    Format("xrd_xy", "Powder pattern, columns", (".xy", ".xye"), ("xrd",), _sniff_xy, read_xy),
    Format("xrd_chi", "Fit2D pattern", (".chi",), ("xrd",), _sniff_chi, read_chi),
    Format("gadds_plt", "Bruker GADDS plotso pattern", (".plt",), ("xrd",), _sniff_plt, read_plt),
)

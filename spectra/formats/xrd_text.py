"""Powder patterns as columns of text: .xy, .xye, .chi (Fit2D, pyFAI), .plt (GADDS plotso), .dat.

- ``.xy``: two-theta and intensity; a third column, if it is not a standard error (``.xye``, or
  named sigma or error), is left out. Comment lines begin with ``#``, ``'``, ``!``, ``;``, ``%`` or
  ``/*``; one block of other words may stand above the rows. Decimal commas where columns are apart
  by blanks, tabs or semicolons. Whole numbers are counts.
- ``.xye``: two-theta, intensity, standard error (reported). Bruker writes counts per second and a
  first line ``'Id: ... Anode: Cu``.
- ``.chi``: four header lines, the second names the axis, or pyFAI's comments; arbitrary units.
- ``.dat .txt .asc .csv``: as .xy, where a heading names two-theta or q (pyFAI, beamlines).
- ``.plt``: lines ``!@!!`` with wavelengths (mean, Ka1, Ka2), ``!@!XDegrees``; normalised counts.

A heading may give the wavelength (``Wavelength: 4.1e-11 m``, ``wavelength = 0.4133 A``). An axis of
q (1/nm or 1/angstrom) becomes two-theta with it, one in radian degrees.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..errors import FormatError
from ._xrd import WAVELENGTHS, pattern
from .base import Format, Options, Regions, read_bytes

_COMMENT = ("#", "'", "!", ";", "%", "/*", "*", '"')
_N = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_ROW = re.compile(rf"\s*{_N}(?:(?:\s*[,;\t]\s*|\s+){_N}){{1,2}}\s*[,;]?\s*")
_COMMAS = re.compile(r"\s*-?\d+,\d+(?:[ \t;]+-?\d+(?:,\d+)?(?:[eE][-+]?\d+)?){1,2}\s*;?\s*")
_AXES = (
    (re.compile(r"2th(?:eta)?[_ ]*\(?rad|two.?theta.*radian", re.I), "radian"),
    (re.compile(r"\bq[_ ]*[(\[]?(?:nm|inverse nano)", re.I), "q_nm"),
    (re.compile(r"\bq[_ ]*[(\[]?(?:1/)?(?:a\^?-1|Å|angstrom|A\b|inverse ang)", re.I), "q_A"),
    (re.compile(r"2[\s_*-]*th|two[\s_-]*th|2θ|2-θ|°2", re.I), "degree"),
)
_WAVE = re.compile(
    r"(?:wave-?length|lambda)\s*(?:\(([^)]*)\))?\s*[:=]?\s*([\d.]+(?:[eE][-+]?\d+)?)\s*(m\b|nm|)",
    re.I,
)


def _numbers(line: str) -> list[float] | None:
    """Numbers of a row of two or three, None if it is none."""
    if _COMMAS.fullmatch(line):
        line = line.replace(",", ".")
    elif not _ROW.fullmatch(line):
        return None
    return [float(w) for w in re.split(r"[\s,;]+", line.strip(" ,;\t\r"))]


def _parts(lines: list[str]) -> tuple[list[str], int]:
    """Heading lines and where the rows begin."""
    for i, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith(_COMMENT) and _numbers(line) is not None:
            return lines[:i], i
    return lines, len(lines)


def _axis(heading: str) -> str | None:
    """Kind of axis that a heading names."""
    return next((kind for mark, kind in _AXES if mark.search(heading)), None)


def _text(head: bytes) -> list[str]:
    return head.decode("latin-1").removeprefix("\u00ef\u00bb\u00bf").splitlines()


def _rows_below(lines: list[str], first: int) -> list[list[float]] | None:
    rows = []
    for line in lines[first:-1][:40]:
        if not line.strip() or line.lstrip().startswith(_COMMENT):
            continue
        row = _numbers(line)
        if row is None:
            return None
        rows.append(row)
    return rows if len(rows) >= 3 and len({len(r) for r in rows}) == 1 else None


def _sniff_xy(head: bytes, path: Path) -> bool:
    if path.suffix.lower() not in (".xy", ".xye") or b"SpecsLab" in head or b"Specs" in head[:400]:
        return False
    lines = _text(head)
    heading, first = _parts(lines)
    words = [x for x in heading if x.strip() and not x.lstrip().startswith(_COMMENT)]
    rows = _rows_below(lines, first) if len(words) <= 30 else None
    if not rows:
        return False
    x = [r[0] for r in rows]
    steps = np.diff(x)
    likely = min(x) >= -20.0 and max(x) < 180.0 and np.all(steps > 0) and np.max(steps) < 1.0
    return bool(likely)


def _sniff_named(head: bytes, path: Path) -> bool:
    if path.suffix.lower() not in (".dat", ".txt", ".asc", ".csv") or b"\0" in head:
        return False
    if b"Lambda1" in head:  # the operando series of xrd_operando
        return False
    lines = _text(head)
    heading, first = _parts(lines)
    if not 1 <= len([x for x in heading if x.strip()]) <= 80 or first > 120:
        return False
    near = "\n".join(heading[-3:])
    told = _axis(near)
    rows = _rows_below(lines, first)
    if told is None or not rows or re.search(r"reflectivity|omega|potential|voltage", near, re.I):
        return False
    x = [r[0] for r in rows]
    limit = {"degree": 180.0, "radian": 3.2, "q_nm": 300.0, "q_A": 30.0}[told]
    return bool(min(x) >= -20.0 and max(x) < limit and np.all(np.diff(x) > 0))


def _sniff_chi(head: bytes, path: Path) -> bool:
    if path.suffix.lower() != ".chi":
        return False
    lines = _text(head)
    if len(lines) < 6:
        return False
    if lines[0].lstrip().startswith("#"):
        heading, first = _parts(lines)
        return _axis("\n".join(heading)) is not None and _rows_below(lines, first) is not None
    return _axis(lines[1]) is not None and bool(re.match(r"\s*\d+", lines[3]))


def _sniff_plt(head: bytes, path: Path) -> bool:
    return head.startswith(b"!@!!GADDS PLOTSO")


def _rows(path: Path, lines: list[str], first: int) -> np.ndarray:
    rows: list[list[float]] = []
    for number, line in enumerate(lines[first:], first + 1):
        if not line.strip() or line.lstrip().startswith(_COMMENT):
            continue
        row = _numbers(line)
        if row is None:
            raise FormatError(f"{path.name}: line {number}: {line[:40]!r} is not a row of numbers")
        rows.append(row)
    widths = {len(r) for r in rows}
    if len(rows) < 2 or len(widths) != 1 or min(widths) < 2:
        raise FormatError(
            f"{path.name}: rows of {sorted(widths)} columns; a pattern has two (or three) in every "
            "row: the last row may be cut, copy the file again"
        )
    return np.array(rows)


def _lines(path: Path) -> list[str]:
    data = read_bytes(path, limit=256 * 1024**2)
    return data.decode("latin-1").removeprefix("\u00ef\u00bb\u00bf").splitlines()


def _wavelength(heading: str) -> float | None:
    """Wavelength in angstrom that a heading gives."""
    found = _WAVE.search(heading)
    if found is None:
        return None
    unit = (found[1] or found[3] or "").strip().lower()
    try:
        value = float(found[2]) * {"m": 1e10, "nm": 10.0}.get(unit, 1.0)
    except ValueError:
        return None
    return float(f"{value:.8g}") if 0.01 < value < 10.0 else None


def _angles(path: Path, x: np.ndarray, kind: str | None, wavelength: float | None) -> np.ndarray:
    """Two-theta in degree from the axis of the file."""
    if kind in (None, "degree"):
        return x
    if kind == "radian":
        return np.asarray(np.degrees(x))
    if wavelength is None:
        raise FormatError(
            f"{path.name}: the axis is q and no wavelength is given; write 'Wavelength: 0.4e-10 m' "
            "in a comment above the rows, or export two-theta"
        )
    sine = x * (0.1 if kind == "q_nm" else 1.0) * wavelength / (4.0 * np.pi)
    if np.max(np.abs(sine)) >= 1.0:
        raise FormatError(f"{path.name}: q reaches {x.max():g}: beyond {wavelength:g} angstrom")
    return np.asarray(2.0 * np.degrees(np.arcsin(sine)))


def read_xy(path: Path, options: Options) -> Regions:
    """Read columns of angle, intensity and maybe standard error.

    Raises
    ------
    FormatError
        If a row is not numbers, rows differ in length, or an axis of q has no wavelength.
    """
    lines = _lines(path)
    heading, first = _parts(lines)
    table = _rows(path, lines, first)
    text = "\n".join(heading)
    named = bool(re.search(r"sigma|error|esd|std", text, re.I))
    errors = (path.suffix.lower() == ".xye" or named) and table.shape[1] == 3
    attrs: dict[str, object] = {"wavelength_A": _wavelength(text)}
    anode = re.search(r"Anode:\s*([A-Z][a-z])", text)
    if anode and anode[1] in WAVELENGTHS:
        attrs["wavelength_A"], attrs["wavelength_2_A"] = WAVELENGTHS[anode[1]]
        attrs["anode"] = anode[1]
    y = table[:, 1]
    whole = bool(np.array_equal(y, np.round(y)))
    rate = errors and lines and lines[0].startswith("'Id:") and not whole
    units = "counts" if whole else ("counts/s" if rate else "1")
    kind = None if path.suffix.lower() in (".xy", ".xye") else _axis("\n".join(heading[-3:]))
    if kind is None and _axis("\n".join(heading[-3:])) in ("radian", "q_nm", "q_A"):
        kind = _axis("\n".join(heading[-3:]))
    ds = pattern(
        path,
        "xrd_xy",
        path.stem,
        _angles(path, table[:, 0], kind, _wavelength(text)),
        y,
        units=units,
        attrs=attrs,
        uncertainty=table[:, 2] if errors and np.all(table[:, 2] > 0) else None,
    )
    return {path.stem: ds}


def read_chi(path: Path, options: Options) -> Regions:
    """Read a .chi file of Fit2D or pyFAI.

    Raises
    ------
    FormatError
        If points are missing, or an axis of q has no wavelength.
    """
    lines = _lines(path)
    if len(lines) < 6:
        raise FormatError(
            f"{path.name}: {len(lines)} lines; four of header and the pattern: truncated"
        )
    if lines[0].lstrip().startswith("#"):
        heading, first = _parts(lines)
        kind = _axis("\n".join(heading[-2:])) or _axis("\n".join(heading))
        number = 0
    else:
        heading, first, kind = lines[:4], 4, _axis(lines[1])
        try:
            number = int(re.split(r"[\s,]+", lines[3].strip())[0])
        except ValueError:
            raise FormatError(f"{path.name}: line 4 is not the number of points") from None
    table = _rows(path, lines, first)
    if len(table) < number:
        raise FormatError(
            f"{path.name}: {len(table)} points, the header says {number}: the file is truncated"
        )
    wavelength = _wavelength("\n".join(heading))
    named = bool(re.search(r"sigma|error", "\n".join(heading), re.I))
    errors = table[:, 2] if table.shape[1] == 3 and named and np.all(table[:, 2] > 0) else None
    ds = pattern(
        path, "xrd_chi", path.stem, _angles(path, table[:, 0], kind, wavelength), table[:, 1],
        units="1", attrs={"wavelength_A": wavelength}, uncertainty=errors,
    )  # fmt: skip
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
    Format(
        "xrd_named",
        "Powder pattern, columns with a heading",
        (".dat", ".txt", ".asc", ".csv"),
        ("xrd",),
        _sniff_named,
        read_xy,
    ),
    Format("xrd_chi", "Fit2D pattern", (".chi",), ("xrd",), _sniff_chi, read_chi),
    Format("gadds_plt", "Bruker GADDS plotso pattern", (".plt",), ("xrd",), _sniff_plt, read_plt),
)

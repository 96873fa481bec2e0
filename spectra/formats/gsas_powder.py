"""GSAS powder data (.gsa .gsas .gda .gss .fxye .fxy .xra .raw, text), one region per bank.

First line a title, then maybe ``Instrument parameter file: name``, comments (``#``), and per bank
``BANK n points records BINTYP c1 c2 c3 c4 TYPE``. BINTYP ``CONS``, ``CONST`` and ``FXYE``:
two-theta in hundredths of a degree, c1 the start and c2 the step. TYPE ``STD`` (the default): rows
of ten fields of 8 characters, two for the number of detectors, six for the mean count; ``ESD``:
five pairs of 8 + 8 characters, value and standard error; ``FXY``, ``FXYE``: rows of angle (1/100
deg), value, standard error. ``EDS`` banks are energy-dispersive (E = c1 + c2 ch + c3 ch^2, keV; the
title names the angle): scale and angle are the header's, not trusted. Banks in time of flight are
refused.

Wavelengths stand in the instrument file beside (``INS  1 ICONS  l1 l2``, or ``Lam:``, ``Lam1:``,
``Lam2:``), if it is there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._mca import as_counts, mca
from ._xrd import pattern, series, step_axis
from .base import Format, Options, Regions, read_bytes, source

MAX_BYTES = 256 * 1024**2
_BANK = re.compile(rb"^BANK\s+\d+\s+\d+\s+\d+\s", re.M)
_STEPS = ("CONS", "CONST", "CONS0", "FXYE", "FXY")


def _sniff(head: bytes, path: Path) -> bool:
    return bool(_BANK.search(head)) and b"\0" not in head


def read(path: Path, options: Options) -> Regions:
    """Read every bank.

    Raises
    ------
    FormatError
        If a bank is cut, damaged, or not over two-theta or energy.
    """
    lines = read_bytes(path, limit=MAX_BYTES).decode("latin-1").replace("\x1a", "").splitlines()
    at = [i for i, line in enumerate(lines) if line.startswith("BANK")]
    if not at:
        raise FormatError(f"{path.name}: no BANK line: the file is truncated")
    attrs = {"title": lines[0].strip() or None, **_instrument(path, lines[:3])}
    regions: dict[str, Any] = {}
    for first, end in zip(at, [*at[1:], len(lines)], strict=True):
        words = lines[first].split()
        if len(words) < 5:
            raise FormatError(f"{path.name}: line {first + 1}: {lines[first]!r} is no whole BANK")
        body = [x for x in lines[first + 1 : end] if x.strip() and not x.startswith("#")]
        name = path.stem if len(at) == 1 else f"bank {words[1]}"
        name = name if name not in regions else f"{name} line {first + 1}"
        where = f"{path.name}: {name}"
        try:
            points = int(words[2])
            coefficients = [float(w) for w in words[5:9] if re.match(r"[-+.\d]", w)]
        except ValueError:
            raise FormatError(f"{where}: {lines[first][:60]!r} is no BANK line") from None
        if not 2 <= points <= 1 << 22:
            raise FormatError(f"{where}: {points} points; allowed: 2 to {1 << 22}")
        kind = words[-1].upper() if words[-1].isalpha() else "STD"
        if words[4] == "EDS":
            regions[name] = _energies(path, where, lines[0], body, points, coefficients)
        elif words[4] in _STEPS:
            kind = words[4] if words[4].startswith("FXY") and kind == "STD" else kind
            regions[name] = _angles(path, name, body, points, coefficients, kind, attrs)
        else:
            raise FormatError(
                f"{where}: binning {words[4]} is time of flight or unknown; allowed: CONST, FXYE "
                "(two-theta), EDS (energy)"
            )
    if {ds.attrs["technique"] for ds in regions.values()} != {"xrd"}:
        return regions
    return series(path, regions)


def _angles(
    path: Path,
    name: str,
    body: list[str],
    points: int,
    coefficients: list[float],
    kind: str,
    attrs: dict[str, Any],
) -> Any:
    where = f"{path.name}: {name}"
    if kind in ("FXY", "FXYE"):
        try:
            table = np.array([[float(w) for w in line.split()] for line in body[:points]])
        except ValueError:
            raise FormatError(f"{where}: a row is not numbers, or rows differ in length") from None
        if table.ndim != 2 or table.shape[1] < (3 if kind == "FXYE" else 2):
            raise FormatError(f"{where}: no rows of angle, value and standard error")
        x, y = table[:, 0] / 100.0, table[:, 1]
        error = table[:, 2] if kind == "FXYE" else None
    else:
        y, error = _fields(where, body, kind)
        y, error = y[:points], None if error is None else error[:points]
        if len(coefficients) < 2:
            raise FormatError(f"{where}: the BANK line has no start and step")
        x = step_axis(path, name, coefficients[0] / 100.0, coefficients[1] / 100.0, y.size)
    if y.size < points:
        raise FormatError(
            f"{where}: {y.size} points, the BANK line says {points}: the file is truncated; copy "
            "it again"
        )
    good = error is None or bool(np.all(error > 0))
    ds = pattern(
        path, "gsas_powder", name, x, y, units="counts" if error is None else "1", attrs=attrs,
        uncertainty=np.where(error > 0, error, 1.0) if error is not None and error.any() else None,
    )  # fmt: skip
    if not good and error is not None:
        keep = (error > 0)[::-1] if x[-1] < x[0] else error > 0
        ds["valid"] = ("two_theta", keep, {"comment": "no standard error in the file"})
    return ds


def _fields(where: str, body: list[str], kind: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Values (and errors) of rows of fixed fields."""
    if kind not in ("STD", "ESD"):
        raise FormatError(f"{where}: data of type {kind}; allowed: STD, ESD, FXY, FXYE")
    values: list[float] = []
    errors: list[float] = []
    try:
        for line in body:
            row = line.rstrip("\r\n")
            if kind == "ESD":
                for at in range(0, min(len(row), 80), 16):
                    if row[at : at + 8].strip():
                        values.append(float(row[at : at + 8]))
                        errors.append(float(row[at + 8 : at + 16] or 0.0))
                continue
            for at in range(0, min(len(row), 80), 8):
                if row[at : at + 8].strip():
                    number = float(row[at : at + 2].strip() or 1.0)
                    values.append(float(row[at + 2 : at + 8].strip() or 0.0))
                    # the mean of n detectors
                    errors.append(np.sqrt(max(values[-1], 1.0) / max(number, 1.0)))
                    if number <= 1.0:
                        errors[-1] = 0.0
    except ValueError:
        raise FormatError(f"{where}: {row[:40]!r} is not a row of {kind} fields") from None
    told = np.array(errors)
    if kind == "STD" and not told.any():
        return np.array(values), None
    return np.array(values), np.where(told > 0, told, np.sqrt(np.maximum(values, 1.0)))


def _energies(
    path: Path, where: str, title: str, body: list[str], points: int, scale: list[float]
) -> Any:
    try:
        words = np.array(" ".join(body).split(), dtype=float)
    except ValueError:
        raise FormatError(f"{where}: a row is not counts") from None
    if words.size < points:
        raise FormatError(
            f"{where}: {words.size} counts, the BANK line says {points}: the file is truncated"
        )
    angle = re.search(r"Two-?Theta\s+([\d.]+)", title, re.I)
    return mca(
        as_counts(words[:points], path),
        technique="edxrd",
        source=source(path, "gsas_powder"),
        scale=scale[:3],
        two_theta_deg=float(angle[1]) if angle else None,
        attrs={"title": title.strip()},
    )


def _instrument(path: Path, head: list[str]) -> dict[str, Any]:
    """Wavelengths of the instrument file beside the data, if it is there."""
    names = [path.with_suffix(s).name for s in (".instprm", ".prm", ".ins")]
    for line in head[1:]:
        told = re.match(r"inst[^:]*:\s*(.+)", line, re.I)
        if told:
            names.insert(0, re.split(r"[\\/]", told[1].strip().strip("[]"))[-1].strip())
    for name in names:
        file = path.parent / name
        if name and name not in (".", "..") and file.is_file() and file.stat().st_size < 1 << 20:
            text = file.read_text("latin-1")
            found = re.search(r"^INS\s*\d*\s*ICONS\s+([\d.]+)\s+([\d.]+)", text, re.M)
            if found is None:
                one = re.search(r"^Lam1?:\s*([\d.]+)", text, re.M)
                two = re.search(r"^Lam2:\s*([\d.]+)", text, re.M)
                pair = (one[1] if one else "0", two[1] if two else "0")
            else:
                pair = (found[1], found[2])
            out: dict[str, Any] = {}
            for key, value in zip(("wavelength_A", "wavelength_2_A"), pair, strict=True):
                try:
                    if 0.05 < float(value) < 10.0:
                        out[key] = float(value)
                except ValueError:
                    continue
            return out
    return {}


FORMATS = (
    Format(
        "gsas_powder",
        "GSAS powder data, text",
        (".gsa", ".gsas", ".gda", ".gss", ".fxye", ".fxy", ".xra", ".raw"),
        ("xrd", "edxrd"),
        _sniff,
        read,
    ),
)

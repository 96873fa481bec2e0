"""TopSpin's text exports of a 1D spectrum.

``convbin2asc`` (``ascii-spec.txt``): a title line, then ``point, intensity, Hz, ppm`` per line;
intensities are rounded to whole numbers after ``2**NC_proc``, and the axis lies half a point below
that of ``procs``. ``totxt``: ``#`` comments with ``LEFT``, ``RIGHT`` (ppm) and ``SIZE``, then one
intensity per line. The frequency of 0 ppm follows from Hz over ppm where both are given. Neither
names the nucleus. No uncertainty is stored.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from . import base
from ._nmr import MAX_POINTS, processed
from .base import Format, Options, Regions

NAME = "bruker_txt"
MAX_BYTES = 512 * 1024**2
_ROW = re.compile(r"^\s*1,\s*-?[\d.eE+]+,\s*-?[\d.eE+]+,\s*-?[\d.eE+]+\s*$")
_LEFT = re.compile(r"#\s*LEFT\s*=\s*(-?[\d.]+)\s*ppm\.?\s*RIGHT\s*=\s*(-?[\d.]+)\s*ppm")


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is one of the two exports."""
    lines = head.decode("latin-1").splitlines()[:12]
    if lines and lines[0].startswith("#"):
        return any(_LEFT.match(line) for line in lines)
    return any(_ROW.match(line) for line in lines[:3])


def read(path: Path, options: Options) -> Regions:
    """Read the spectrum."""
    text = base.read_bytes(path, limit=MAX_BYTES).decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    attrs: dict[str, Any] = {}
    if lines[0].startswith("#"):
        axis, values = _totxt(path, lines)
    else:
        axis, values = _columns(path, lines, attrs)
    attrs["calibration"] = "as exported by TopSpin"
    return {"spectrum": processed(values, axis, attrs=attrs, source=base.source(path, NAME))}


def _totxt(path: Path, lines: list[str]) -> tuple[npt.NDArray, npt.NDArray]:
    limits = next((m for line in lines if (m := _LEFT.match(line))), None)
    sizes = next((m for line in lines if (m := re.match(r"#\s*SIZE\s*=\s*(\d+)", line))), None)
    if limits is None or sizes is None:
        raise FormatError(f"{path.name}: no '# LEFT = ... ppm' or '# SIZE =' line; export it again")
    values = _floats(path, [line for line in lines if not line.startswith("#")])
    points = int(sizes[1])
    if values.size != points or not 2 <= points <= MAX_POINTS:
        raise FormatError(
            f"{path.name}: {values.size} values, SIZE says {points}: the file is truncated"
        )
    return np.linspace(float(limits[1]), float(limits[2]), points), values


def _columns(
    path: Path, lines: list[str], attrs: dict[str, Any]
) -> tuple[npt.NDArray, npt.NDArray]:
    first = next((i for i, line in enumerate(lines[:3]) if _ROW.match(line)), None)
    if first is None:
        raise FormatError(f"{path.name}: no line 'point, intensity, Hz, ppm'; export it again")
    attrs["title"] = " ".join(lines[:first])
    words = [line.split(",") for line in lines[first:]]
    if any(len(w) != 4 for w in words):
        at = next(i for i, w in enumerate(words) if len(w) != 4)
        raise FormatError(
            f"{path.name}: line {first + at + 1} has {len(words[at])} columns, not 4: the file is "
            "truncated or edited"
        )
    table = _floats(path, [word for row in words for word in row]).reshape(-1, 4)
    if len(table) < 2 or not np.array_equal(table[:, 0], np.arange(1, len(table) + 1)):
        raise FormatError(f"{path.name}: points are not numbered from 1 without gaps")
    hertz, ppm = table[:, 2], table[:, 3]
    span = ppm[0] - ppm[-1]
    if span == 0:
        raise FormatError(f"{path.name}: all points lie at {ppm[0]:g} ppm")
    attrs["reference_MHz"] = float((hertz[0] - hertz[-1]) / span)
    return ppm, table[:, 1]


def _floats(path: Path, words: list[str]) -> npt.NDArray[np.float64]:
    try:
        return np.array(words, dtype=float)
    except ValueError as error:
        raise FormatError(f"{path.name}: a value is not a number ({error})") from None


FORMATS = (
    Format(
        name=NAME,
        title="TopSpin text export of a spectrum",
        suffixes=(".txt",),
        techniques=("nmr",),
        sniff=sniff,
        read=read,
    ),
)

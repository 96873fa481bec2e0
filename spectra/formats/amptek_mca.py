"""Amptek PMCA/DPPMCA text (.mca): ``<<PMCA SPECTRUM>>``, calibration points, ROIs, one column.

Numbers may have decimal commas; a ``LABEL`` in eV is turned into keV.
Keys ``LIVE_TIME - s``, ``REAL_TIME - s``; ``<<CALIBRATION>>`` with ``LABEL - unit`` and rows
``channel value``; ``<<DATA>>`` to ``<<END>>`` one count per line. The calibration points (keV)
become a line through them, kept as the header's scale. Counts are integers.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..errors import FormatError
from ._mca import TECHNIQUES, as_counts, mca, technique_of
from .base import Format, Options, Regions, read_bytes, source


def _sniff(head: bytes, path: Path) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<<PMCA SPECTRUM>>")


def _block(text: str, name: str, ends: str = r"\n<<") -> str | None:
    found = re.search(rf"<<{name}>>(.*?){ends}", text, re.S)
    return found[1] if found else None


def _number(word: str) -> float:
    """Return a number written with a decimal point or comma."""
    return float(word.replace(",", "."))


def read(path: Path, options: Options) -> Regions:
    """Read the one spectrum of the file.

    Raises
    ------
    FormatError
        If the data block is missing, not numbers, or does not end.
    """
    text = read_bytes(path, limit=64 * 1024**2).decode("latin-1").replace("\r\n", "\n")
    data = _block(text, "DATA", r"<<END>>")
    if data is None:
        raise FormatError(f"{path.name}: no <<DATA>> block up to <<END>>: the file is truncated")
    try:
        counts = np.array(data.split(), dtype=float)
    except ValueError:
        raise FormatError(f"{path.name}: <<DATA>> holds something that is not a number") from None

    def value(key: str) -> float | None:
        found = re.search(rf"^{key}\s*-\s*([-+.,\deE]+)", text, re.M)
        try:
            return float(found[1].replace(",", ".")) if found else None
        except ValueError:
            return None

    points = []
    for line in (_block(text, "CALIBRATION") or "").splitlines():
        words = line.split()
        try:
            points.append((_number(words[0]), _number(words[1])))
        except (ValueError, IndexError):
            continue
    scale = None
    if len({p[0] for p in points}) >= 2:
        ch, energy = np.array(points).T
        if re.search(r"^LABEL\s*-.*\beV\b", text, re.M):
            energy = 1e-3 * energy
        scale = np.polynomial.Polynomial.fit(ch, energy, 1).convert().coef
    ds = mca(
        as_counts(counts, path),
        technique=technique_of(options),
        source=source(path, "amptek_mca"),
        scale=None if scale is None else [float(c) for c in scale],
        live_time=value("LIVE_TIME"),
        real_time=value("REAL_TIME"),
        attrs={"calibration_points": "; ".join(f"{c:g} {e:g}" for c, e in points)}
        if points
        else None,
    )
    return {path.stem: ds}


FORMATS = (Format("amptek_mca", "Amptek PMCA text", (".mca",), TECHNIQUES, _sniff, read),)

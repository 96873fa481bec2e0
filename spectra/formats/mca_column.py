"""One column of counts after ``#`` comments (PyMca's simplest .mca): no times, no calibration.

The first channel is 0. Only files that end in .mca, .txt or .dat and hold nothing but one number
per line are claimed. Counts are integers where they are whole.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..errors import FormatError
from ._mca import TECHNIQUES, as_counts, mca, technique_of
from .base import Format, Options, Regions, read_bytes, source

_NUMBER = re.compile(rb"\s*\d+(\.\d*)?([eE][-+]?\d+)?\s*")


def _sniff(head: bytes, path: Path) -> bool:
    if path.suffix.lower() not in (".mca", ".txt", ".dat"):
        return False
    lines = [x for x in head.splitlines()[:-1] if x.strip() and not x.lstrip().startswith(b"#")]
    return len(lines) >= 32 and all(_NUMBER.fullmatch(x) for x in lines)


def read(path: Path, options: Options) -> Regions:
    """Read the column.

    Raises
    ------
    FormatError
        If a line is not one number.
    """
    values = []
    text = read_bytes(path, limit=64 * 1024**2)
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        try:
            values.append(float(line))
        except ValueError:
            raise FormatError(
                f"{path.name}: line {number}: {line[:30].decode('latin-1')!r} is not one number"
            ) from None
    ds = mca(
        as_counts(np.array(values), path),
        technique=technique_of(options),
        source=source(path, "mca_column"),
    )
    return {path.stem: ds}


FORMATS = (Format("mca_column", "One column of counts", (".mca",), TECHNIQUES, _sniff, read),)

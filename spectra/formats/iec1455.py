"""IEC 1455 ASCII gamma spectra (.iec): 70-character records that begin with A004.

Record 2: live time, real time (s), number of channels; record 4: c0 to c3 of the energy (keV);
records 59 on: the first channel of the row and five counts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import FormatError
from ._mca import TECHNIQUES, as_counts, mca, technique_of
from .base import Format, Options, Regions, read_bytes, source

_FIRST = 58


def _sniff(head: bytes, path: Path) -> bool:
    lines = head.splitlines()[:4]
    return len(lines) == 4 and all(line.startswith(b"A004") for line in lines)


def read(path: Path, options: Options) -> Regions:
    """Read the one spectrum of the file.

    Raises
    ------
    FormatError
        If a record is damaged or missing.
    """
    lines = read_bytes(path, limit=64 * 1024**2).decode("latin-1").splitlines()
    try:
        head = lines[1][4:].split()
        live, real, channels = float(head[0]), float(head[1]), int(head[2])
        scale = [float(lines[3][4:][i : i + 15]) for i in range(0, 45, 15)]
    except (IndexError, ValueError):
        raise FormatError(f"{path.name}: records 2 and 4 are not times and a calibration") from None
    if not 2 <= channels <= 1 << 20:
        raise FormatError(f"{path.name}: record 2: {channels} channels; allowed: 2 to 1048576")
    counts = np.zeros(channels)
    seen = np.zeros(channels, bool)
    for number, line in enumerate(lines[_FIRST:], _FIRST + 1):
        words = line[4:].split()
        if not words:
            continue
        try:
            values = [int(w) for w in words]
        except ValueError:
            raise FormatError(
                f"{path.name}: line {number}: {line[:40]!r} is not a row of counts"
            ) from None
        first, row = values[0], values[1:]
        if first < 0 or first >= channels:
            raise FormatError(f"{path.name}: line {number}: channel {first} of {channels}")
        row = row[: channels - first]
        counts[first : first + len(row)] = row
        seen[first : first + len(row)] = True
    if not seen.all():
        raise FormatError(
            f"{path.name}: counts of channel {int(np.argmin(seen))} are missing of {channels}: the "
            "file is truncated; copy it again"
        )
    ds = mca(
        as_counts(counts, path),
        technique=technique_of(options),
        source=source(path, "iec1455"),
        scale=scale,
        live_time=live,
        real_time=real,
    )
    return {path.stem: ds}


FORMATS = (Format("iec1455", "IEC 1455 gamma spectrum, text", (".iec",), TECHNIQUES, _sniff, read),)

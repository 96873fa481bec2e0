"""Ortec binary .Chn: 32-byte header, int32 counts, trailer with the calibration.

Little-endian. Header: int16 -1, int16 detector, int16 segment, 2 chars seconds, int32 real time and
int32 live time in 20 ms, 8 chars date, 4 chars time, int16 first channel, int16 number of channels.
Then counts as int32. Trailer: int16 -102 (or -101), int16 0, float32 c0, c1, c2 (keV).
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from ..errors import FormatError
from ._mca import TECHNIQUES, as_counts, mca, technique_of
from .base import Format, Options, Regions, read_bytes, source, truncated


def _sniff(head: bytes, path: Path) -> bool:
    if len(head) < 40 or head[:2] != b"\xff\xff" or path.suffix.lower() != ".chn":
        return False
    channels = struct.unpack_from("<H", head, 30)[0]
    return 2 <= channels <= 65535


def read(path: Path, options: Options) -> Regions:
    """Read the one spectrum of the file.

    Raises
    ------
    FormatError
        If the file ends within the counts.
    """
    data = read_bytes(path, limit=16 * 1024**2)
    if len(data) < 32:
        raise truncated(path, len(data), 32, "the header")
    real, live = struct.unpack_from("<ii", data, 8)
    first, channels = struct.unpack_from("<HH", data, 28)
    end = 32 + 4 * channels
    if len(data) < end:
        raise truncated(path, len(data), end, "the counts")
    if channels < 2:
        raise FormatError(f"{path.name}: {channels} channels; two are the least")
    counts = np.frombuffer(data, "<i4", channels, 32)
    scale = None
    if len(data) >= end + 16 and struct.unpack_from("<h", data, end)[0] in (-101, -102):
        found = struct.unpack_from("<3f", data, end + 4)
        scale = list(found) if struct.unpack_from("<h", data, end)[0] == -102 else list(found[:2])
    ds = mca(
        as_counts(counts.astype(float), path),
        technique=technique_of(options),
        source=source(path, "ortec_chn"),
        scale=scale,
        first_channel=first,
        live_time=0.02 * live,
        real_time=0.02 * real,
    )
    return {path.stem: ds}


FORMATS = (Format("ortec_chn", "Ortec binary .Chn", (".chn",), TECHNIQUES, _sniff, read),)

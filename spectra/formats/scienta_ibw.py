"""Igor binary waves (.ibw, version 5) written by Scienta SES, read with the package igor2.

Dimension 0 is the energy (``sfB + n sfA``; its unit text says binding or kinetic), dimension 1 if
there is one the angle or position, dimension 2 the points of a run (``scan``). Its note holds
SES's fields, as in the text export (`scienta_txt`). Waves of other programs (no ``[SES]`` note) are
refused. igor2 reads all numeric types right; it does not check lengths, so that a cut file is
caught here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._xps import region_name, with_reference_lines
from .base import Format, Options, Regions, read_bytes, truncated
from .scienta_txt import fields, scienta_region


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is an Igor binary wave of version 5, either byte order."""
    return head[:2] in (b"\x05\x00", b"\x00\x05") and path.suffix.lower() == ".ibw"


def read(path: Path, options: Options) -> Regions:
    """Read the wave."""
    from igor2 import binarywave

    raw = read_bytes(path, limit=1024**3)
    if len(raw) < 384:
        raise truncated(path, len(raw), 384, "the wave header")
    order = "<" if raw[:2] == b"\x05\x00" else ">"
    needed = 64 + int(np.frombuffer(raw, f"{order}i4", 1, 4)[0])
    if len(raw) < needed:
        raise truncated(path, len(raw), needed, "the wave")
    try:
        wave: dict[str, Any] = binarywave.load(str(path))["wave"]
        note = wave["note"].decode("latin-1")
        data = np.asarray(wave["wData"], dtype=float)
        header = wave["wave_header"]
    except Exception as error:  # igor2 raises what its parser meets
        raise FormatError(f"{path.name}: igor2 cannot read it: {error}") from None
    if "[SES]" not in note:
        raise FormatError(f"{path.name}: no [SES] note: not a wave of Scienta SES")
    info = fields(note.replace("\r", "\n").split("\n"))
    units = wave.get("dimension_units", b"").decode("latin-1")
    scale = [float(v) for v in header["sfA"]], [float(v) for v in header["sfB"]]
    energy = scale[1][0] + scale[0][0] * np.arange(data.shape[0])
    rows = data[None, :] if data.ndim == 1 else data.T
    if data.ndim > 3:
        raise FormatError(f"{path.name}: {data.ndim} dimensions; three are the most")
    along = None
    if data.ndim >= 2:
        along = [scale[1][1] + scale[0][1] * k for k in range(data.shape[1])]
    name = region_name(info.get("Region Name", "") or path.stem)
    info["Energy Axis"] = units or info.get("Energy Scale", "")
    ds = scienta_region(path, "scienta_ibw", name, energy, rows, info, units, along)
    return with_reference_lines({name: ds})


FORMATS = (
    Format(
        name="scienta_ibw",
        title="Scienta SES Igor wave (.ibw)",
        suffixes=(".ibw",),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

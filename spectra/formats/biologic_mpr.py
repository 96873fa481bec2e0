"""BioLogic EC-Lab binary files (.mpr), through the optional package galvani.

Layout: ``BIO-LOGIC MODULAR FILE``, then modules (settings, data, log); the data module names its
columns by number. The clock at time 0 comes from the log. Columns, coordinates and units:
`_biologic`. No uncertainties. galvani is under the GPL and therefore not installed by default.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import FormatError
from ._biologic import as_channels
from .base import Format, Options, Regions, read_bytes, source

_MAGIC = b"BIO-LOGIC MODULAR FILE"
_MORE_COLUMNS = {
    182: ("step time/s", "<f8"),
    241: ("|E1|/V", "<f4"),
    295: ("I Range", "<u2"),
    326: ("P/W", "<f4"),
    379: ("Energy charge/W.h", "<f8"),
    475: ("THD Ece/%", "<f4"),
    478: ("NSD Ece/%", "<f4"),
    481: ("NSR Ece/%", "<f4"),
}
"""Columns that galvani 0.5 does not list; 182 is checked against EC-Lab's own text export."""


def sniff(head: bytes, path: Path) -> bool:
    """Whether the file starts with the program's mark."""
    return head.startswith(_MAGIC)


def read(path: Path, options: Options) -> Regions:
    """Read the data module."""
    read_bytes(path, limit=1024**3)
    try:
        from galvani import BioLogic
    except ImportError:
        raise FormatError(
            f"{path.name}: .mpr needs the package galvani (GPL): pip install "
            "'interphase-workbench[gpl]', or export the file as .mpt"
        ) from None
    for number, column in _MORE_COLUMNS.items():
        BioLogic.VMPdata_colID_dtype_map.setdefault(number, column)
    try:
        with path.open("rb") as stream:  # given a path, galvani leaves the file open
            content = BioLogic.MPRfile(stream)
        data = content.data
    except Exception as error:  # galvani raises whatever its parsing met
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FormatError(
            f"{path.name}: galvani cannot read it ({reason}); the file may be truncated, or newer "
            "than galvani: export it as .mpt"
        ) from None
    columns = {name: np.asarray(data[name], dtype=float) for name in data.dtype.names or ()}
    stamp = getattr(content, "timestamp", None)
    src = source(path, "biologic_mpr", "cell")
    return {"cell": as_channels(columns, path, src, stamp.isoformat() if stamp else "")}


FORMATS = (
    Format(
        name="biologic_mpr",
        title="BioLogic EC-Lab binary",
        suffixes=(".mpr",),
        techniques=("cycling", "voltammetry", "impedance"),
        sniff=sniff,
        read=read,
        extra="gpl",
    ),
)

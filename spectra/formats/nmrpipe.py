"""NMRPipe files (``.fid``, ``.ft``, ``.ft2``): 2048 bytes of header, then float32 planes.

The header is 512 float32 numbers; number 2 is 2.345 and tells the byte order. Read with nmrglue:
1D and 2D. Width (Hz), carrier (ppm), observe frequency (MHz) and first value (``ORIG``, Hz) come
from the header; the shift of point ``i`` is ``(orig + sw (n - 1 - i) / n) / obs``. A second,
transformed dimension becomes ``indirect_shift``, another one numbered rows. No uncertainty is
stored.
"""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from . import base
from ._nmr import MAX_POINTS, nucleus_name, processed, raw
from .base import Format, Options, Regions

NAME = "nmrpipe"
HEADER_BYTES = 2048


def sniff(head: bytes, path: Path) -> bool:
    """Whether number 2 of the header is NMRPipe's 2.345 in either byte order."""
    if len(head) < HEADER_BYTES:
        return False
    return any(
        abs(struct.unpack(f"{order}f", head[8:12])[0] - 2.345) < 1e-6
        and struct.unpack(f"{order}f", head[0:4])[0] == 0.0
        for order in "<>"
    )


def read(path: Path, options: Options) -> Regions:
    """Read a 1D or 2D file."""
    from nmrglue.fileio import pipe

    content = base.read_bytes(path)
    if len(content) < HEADER_BYTES:
        raise base.truncated(path, len(content), HEADER_BYTES, "header")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pipe.fdata2dic(pipe.get_fdata(str(path)))
            needed = HEADER_BYTES + 4 * int(np.prod(pipe.find_shape(header), dtype=np.int64))
    except Exception as error:
        raise FormatError(f"{path.name}: the header cannot be read ({error})") from None
    if len(content) < needed:
        raise base.truncated(path, len(content), needed, "data")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dic, data = pipe.read(str(path))
    except Exception as error:
        raise FormatError(
            f"{path.name}: the data after byte {HEADER_BYTES} do not fit the header ({error}); "
            "the file may be truncated"
        ) from None
    values: npt.NDArray = np.asarray(data)
    if values.ndim not in (1, 2) or not 2 <= values.size <= MAX_POINTS:
        raise FormatError(f"{path.name}: array of shape {values.shape}; 1D and 2D are read")
    order = [str(o).partition(".")[0] for o in dic["FDDIMORDER"][:2]]
    if any(o not in ("1", "2", "3", "4") for o in order[: values.ndim]):
        raise FormatError(f"{path.name}: FDDIMORDER is {order}; the header is damaged")
    last = f"FDF{order[0]}"
    record = base.source(path, NAME)
    observe, width = float(dic[f"{last}OBS"]), float(dic[f"{last}SW"])
    if not observe > 0 or not width > 0:
        raise FormatError(f"{path.name}: header has OBS {observe:g} MHz and SW {width:g} Hz")
    carrier_ppm = float(dic[f"{last}CAR"])
    attrs: dict[str, Any] = {
        "nucleus": nucleus_name(str(dic[f"{last}LABEL"]).strip("\x00 ")),
        "reference_MHz": observe,
        "carrier_MHz": observe * (1.0 + carrier_ppm * 1e-6),
        "spectral_width_Hz": width,
        "title": str(dic.get("FDTITLE", "")).strip("\x00 "),
    }
    outer: dict[str, npt.ArrayLike] = {}
    if values.ndim == 2:
        first = f"FDF{order[1]}"
        if float(dic[f"{first}FTFLAG"]) == 1:
            outer = {"indirect_shift": _shift(dic, first, values.shape[0])}
        else:
            outer = {"scan": np.arange(1, values.shape[0] + 1)}
    if float(dic[f"{last}FTFLAG"]) != 1:
        # NMRPipe's transform runs the other way: its signals turn as exp(-i 2 pi f t).
        signal = np.conj(values.astype(complex))
        ds = raw(signal, 1.0 / width, attrs=attrs, source=record, outer=outer)
    else:
        attrs["calibration"] = f"NMRPipe carrier {carrier_ppm:g} ppm"
        axis = _shift(dic, last, values.shape[-1])
        ds = processed(values, axis, attrs=attrs, source=record, outer=outer)
    return {str(ds.attrs.get("nucleus", "nmr")): ds}


def _shift(dic: dict[str, Any], dim: str, points: int) -> npt.NDArray:
    """Descending shifts from ORIG, the frequency (Hz) of the last point."""
    width, origin = float(dic[f"{dim}SW"]), float(dic[f"{dim}ORIG"])
    hz = origin + width / points * np.arange(points - 1, -1, -1)
    return np.asarray(hz / float(dic[f"{dim}OBS"]))


FORMATS = (
    Format(
        name=NAME,
        title="NMRPipe",
        suffixes=(".ft", ".ft1", ".ft2", ".pipe"),
        techniques=("nmr",),
        sniff=sniff,
        read=read,
    ),
)

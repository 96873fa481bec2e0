"""ssNake's JSON files (``.json``): the fields of its spectrum class as lists of numbers.

``dataReal`` and ``dataImag`` (components x rows x points; files without ``hyper`` have no first
dimension), ``freq``, ``sw``, ``ref`` (Hz, per dimension; NaN: not set), ``spec`` (1: transformed),
``wholeEcho``, ``xaxArray`` (s, or Hz offset from ``ref``; one list per dimension), ``history``,
``metaData``; see `_ssnake`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from ._ssnake import FIELDS, spectrum_of
from .base import Format, Options, Regions, read_bytes

NAME = "ssnake_json"
MAX_BYTES = 256 * 1024**2


def sniff(head: bytes, path: Path) -> bool:
    """Whether it begins as an object with ssNake's real part."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"{") and b'"dataReal"' in start


def read(path: Path, options: Options) -> Regions:
    """Read the spectrum or signal."""
    try:
        told = json.loads(read_bytes(path, limit=MAX_BYTES).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0][:80]
        raise FormatError(
            f"{path.name}: not whole JSON ({reason}): the file is truncated; save it again"
        ) from None
    missing = [
        key for key in ("dataReal", "dataImag", *FIELDS[1:])
        if not (isinstance(told, dict) and key in told)
    ]  # fmt: skip
    if missing:
        raise FormatError(f"{path.name}: no {', '.join(missing)} in it; save it from ssNake again")
    real, imaginary = (_numbers(path, told, key) for key in ("dataReal", "dataImag"))
    if real.shape != imaginary.shape or not real.ndim:
        raise FormatError(
            f"{path.name}: dataReal of shape {real.shape}, dataImag of {imaginary.shape}"
        )
    data = real + 1j * imaginary
    if "hyper" in told:
        data = data[0] if data.ndim > 1 else data
    fields: dict[str, Any] = {
        key: _numbers(path, told, key) for key in ("spec", "ref", "sw", "freq", "wholeEcho")
        if key in told
    }  # fmt: skip
    axes = told["xaxArray"]
    if not isinstance(axes, list) or not axes:
        raise FormatError(f"{path.name}: xaxArray is no list of axes; save it again")
    last = axes[-1] if isinstance(axes[-1], list) else axes
    fields["xaxArray"] = _numbers(path, {"xaxArray": last}, "xaxArray")
    fields["data"] = np.atleast_2d(data)
    return {path.stem: spectrum_of(path, fields, NAME)}


def _numbers(path: Path, told: dict[str, Any], key: str) -> npt.NDArray:
    """Return a field as floats, null as NaN."""
    try:
        return np.array(told[key], dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise FormatError(
            f"{path.name}: {key} is no regular array of numbers; save it again"
        ) from None


FORMATS = (
    Format(
        name=NAME,
        title="ssNake (JSON)",
        suffixes=(".json",),
        techniques=("nmr",),
        sniff=sniff,
        read=read,
    ),
)

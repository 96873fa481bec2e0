"""ssNake's MATLAB files (``.mat``, version 5): one struct with the data and its axes.

Fields: ``data`` (complex, rows x points), ``freq``, ``sw``, ``ref`` (Hz, per dimension), ``spec``
(1: transformed), ``xaxArray`` (s, or Hz offset from ``ref``), ``history``; see `_ssnake`.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import FormatError
from . import _mat5
from ._ssnake import FIELDS, spectrum_of
from .base import Format, Options, Regions

NAME = "ssnake_mat"
MAX_BYTES = 1024**3


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is a MATLAB 5 file with a struct of ssNake's fields."""
    part = _mat5.opening(head)
    return all(name.encode() in part for name in ("wholeEcho", "hyper", "data"))


def read(path: Path, options: Options) -> Regions:
    """Read the spectrum or signal."""
    loaded = _mat5.read(path, MAX_BYTES)
    for name, value in loaded.items():
        if isinstance(value, dict) and all(field in value for field in FIELDS):
            return {name: spectrum_of(path, value, NAME)}
    raise FormatError(
        f"{path.name}: no struct with {', '.join(FIELDS)} (found: {', '.join(loaded)})"
    )


FORMATS = (
    Format(
        name=NAME,
        title="ssNake (MATLAB)",
        suffixes=(".mat",),
        techniques=("nmr",),
        sniff=sniff,
        read=read,
    ),
)

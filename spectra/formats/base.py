"""What a file format is: a record that a reader module fills, and helpers every reader needs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from ..convention import Source
from ..errors import FormatError

HEAD_BYTES = 8192
MAX_FILE_BYTES = 4 * 1024**3


@dataclass(frozen=True)
class Options:
    """What a caller may say about a file that the file itself does not.

    Parameters
    ----------
    technique : str, optional
        Where the content does not tell (two columns, a bare MCA).
    """

    technique: str | None = None


Regions = Mapping[str, xr.Dataset]
"""What ``read`` returns: region name to Spectrum, in file order. A file with one spectrum has one
entry; names are unique and never empty."""


@dataclass(frozen=True)
class Format:
    """One file format.

    Parameters
    ----------
    name : str
        Unique, ``<vendor>_<ext>``.
    title : str
        For people.
    suffixes : tuple of str
        Lower case, with dot; empty for folders or formats without one.
    techniques : tuple of str
        What such files hold; more than one: see ``Options.technique``.
    sniff : callable
        ``(head, path) -> bool``: whether these first `HEAD_BYTES` bytes (empty for a folder) are
        this format. Never raises; must not claim another format's file.
    read : callable
        ``(path, options) -> Regions``. Imports heavy libraries inside.
    extra : str
        Name of the optional dependency group it needs, if any.
    generic : bool
        Claims only what no other format claims (plain tables).
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    techniques: tuple[str, ...]
    sniff: Callable[[bytes, Path], bool]
    read: Callable[[Path, Options], Regions]
    extra: str = ""
    generic: bool = False


def source(path: Path, format_name: str, region: str = "") -> Source:
    """Return the provenance record of a file (or of all files in a folder, in sorted order)."""
    return Source(path.name, sha256(path), format_name, region)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's relative names and contents."""
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def read_bytes(path: Path, *, limit: int = MAX_FILE_BYTES) -> bytes:
    """Read a whole file after checking its size.

    Raises
    ------
    FormatError
        If it is larger than ``limit`` or empty.
    """
    size = path.stat().st_size
    if size > limit:
        raise FormatError(f"{path.name}: {size} bytes; {limit} is the limit for this format")
    if size == 0:
        raise FormatError(f"{path.name}: the file is empty")
    return path.read_bytes()


def truncated(path: Path, at: int, needed: int, what: str) -> FormatError:
    """Return the error for a file that ends too early.

    Parameters
    ----------
    path : Path
        The file.
    at : int
        Byte where it ends.
    needed : int
        Byte it should reach.
    what : str
        The block, scan or array that is cut.
    """
    return FormatError(
        f"{path.name}: {what} ends at byte {at} of {needed}: the file is truncated; copy it again"
    )

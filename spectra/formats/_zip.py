"""Zip archives from strangers, and the workbooks in them: sizes first, then what is inside."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import FormatError

Rows = list[tuple[Any, ...]]

_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
LARGEST = 512 * 1024**2


@contextmanager
def opened(path: Path, largest: int = LARGEST) -> Iterator[zipfile.ZipFile]:
    """Open an archive whose parts unpack to no more than `largest` bytes.

    Raises
    ------
    FormatError
        If it unpacks to more, or if it, or a part read inside the ``with``, is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > largest:
                raise FormatError(f"{path.name}: unpacks to {size} bytes; {largest} is the limit")
            yield archive
    except _DAMAGE as error:
        raise FormatError(
            f"{path.name}: not a whole zip ({_said(error)}): the file is truncated or damaged; "
            "copy it again"
        ) from None


def sheets(path: Path, largest: int = LARGEST) -> dict[str, Rows]:
    """Return the rows of every sheet of an Excel workbook (.xlsx), as openpyxl reads them.

    Raises
    ------
    FormatError
        If it unpacks to more than `largest` bytes or is no whole workbook.
    """
    import openpyxl

    with opened(path, largest):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            try:
                return {
                    str(sheet.title): list(sheet.iter_rows(values_only=True))
                    for sheet in book.worksheets
                    if hasattr(sheet, "iter_rows")
                }
            finally:
                book.close()
    except Exception as error:  # openpyxl raises whatever zip and XML meet
        raise FormatError(
            f"{path.name}: not a whole workbook ({_said(error)}): save or copy it again"
        ) from None


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__

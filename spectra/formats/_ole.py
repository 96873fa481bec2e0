"""Compound files (OLE, MS-CFB), opened with olefile (BSD)."""

from __future__ import annotations

import io
from pathlib import Path

from ..errors import FormatError
from .base import read_bytes, truncated


def streams(path: Path) -> dict[str, bytes]:
    """Return the streams of the root storage.

    Raises
    ------
    FormatError
        If the file is damaged.
    """
    import olefile

    raw = read_bytes(path, limit=2 * 1024**3)
    try:
        with olefile.OleFileIO(io.BytesIO(raw)) as ole:
            entries = [entry for entry in ole.listdir() if len(entry) == 1]
            found = {entry[0]: ole.openstream(entry).read() for entry in entries}
            sizes = {entry[0]: ole.get_size(entry) for entry in entries}
    except Exception as error:  # olefile raises a dozen kinds on damaged files
        said = " ".join(str(error).split())[:80]
        raise FormatError(
            f"{path.name}: the compound file is damaged ({said}); copy it again"
        ) from None
    for name, data in found.items():
        if len(data) < sizes[name]:
            raise truncated(path, len(data), sizes[name], f"stream {name}")
    return found

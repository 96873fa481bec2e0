"""One file per file format; the registry finds them."""

from __future__ import annotations

from .base import Format, Options, Regions
from .registry import formats, identify, read

__all__ = ["Format", "Options", "Regions", "formats", "identify", "read"]

"""One file per technique; the registry finds them and imports only what is asked for."""

from __future__ import annotations

from .registry import get, names

__all__ = ["get", "names"]

"""What nature says: species, lines, structures and thermodynamics, each value with its source."""

from __future__ import annotations

from .library import Library, load
from .model import CoreLevel, Line, Nucleus, Species

__all__ = ["CoreLevel", "Library", "Line", "Nucleus", "Species", "load"]

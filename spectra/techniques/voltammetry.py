"""Linear and cyclic voltammetry: channels of a cell, not fitted with species."""

from __future__ import annotations

from .base import Technique

TECHNIQUE = Technique(name="voltammetry", axis=None, title="Linear and cyclic voltammetry")

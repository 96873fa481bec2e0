"""Temperature: channels of a cell, not fitted with species."""

from __future__ import annotations

from .base import Technique

TECHNIQUE = Technique(name="temperature", axis=None, title="Temperature")

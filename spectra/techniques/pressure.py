"""Stack pressure: channels of a cell, not fitted with species."""

from __future__ import annotations

from .base import Technique

TECHNIQUE = Technique(name="pressure", axis=None, title="Stack pressure")

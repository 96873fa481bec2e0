"""Cycling: voltage and current: channels of a cell, not fitted with species."""

from __future__ import annotations

from .base import Technique

TECHNIQUE = Technique(name="cycling", axis=None, title="Cycling: voltage and current")

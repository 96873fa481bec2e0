"""Impedance spectroscopy: channels of a cell, not fitted with species."""

from __future__ import annotations

from .base import Technique

TECHNIQUE = Technique(name="impedance", axis=None, title="Impedance spectroscopy")

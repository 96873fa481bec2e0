"""Peaks with exponential tails and plateaus: chromatographic tails, germanium detectors, layers."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

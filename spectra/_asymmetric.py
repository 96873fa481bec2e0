"""Asymmetric peaks of photoemission and vibration: Doniach-Sunjic, LA, LF, sigmoidal width."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

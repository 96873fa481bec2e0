"""What was measured: spectra, file formats, techniques, line shapes and components."""

from __future__ import annotations

from .component import Component, Components, Curve, Param, SubLine, doublet

__all__ = ["Component", "Components", "Curve", "Param", "SubLine", "doublet"]

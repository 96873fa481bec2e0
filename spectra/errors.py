"""Errors about files, spectra and models; all rooted in ``references.errors.InterphaseError``."""

from __future__ import annotations

from references.errors import InterphaseError


class FormatError(InterphaseError):
    """A file cannot be read: the message names the file and the byte, line, block or field."""


class MissingExtraError(FormatError):
    """A reader needs an optional library that is not installed; the message says which."""


class TechniqueNeeded(FormatError):
    """A file does not say what was measured and ``Options.technique`` is None."""


class ConventionError(InterphaseError):
    """A dataset is not a valid Spectrum: the message names the variable, the rule and the mend."""


class CalibrationError(InterphaseError):
    """A calibration is missing or cannot be made from this spectrum."""


class ModelError(InterphaseError):
    """Components are inconsistent: unknown shape, parameter, bound or expression."""


class NoAmountsError(ModelError):
    """The fit is sound, but its areas are free and mean no amounts."""

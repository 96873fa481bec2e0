"""Which species a spectrum shows: sets of them ranked by evidence."""

from .answer import Finding, Identification, Misfit, Unexplained
from .ranking import identify

__all__ = ["Finding", "Identification", "Misfit", "Unexplained", "identify"]

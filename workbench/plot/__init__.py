"""Pictures of spectra, fits, amounts and cells; of depth profiles and phases in submodules."""

from . import depth, phases
from .channels import channels
from .spectra import amounts, balance, cell, colours, fit, locate, spectrum, status_of

__all__ = [
    "amounts",
    "balance",
    "cell",
    "channels",
    "colours",
    "depth",
    "fit",
    "locate",
    "phases",
    "spectrum",
    "status_of",
]

"""Lithium against depth from NDP spectra: profiles of free shape with honest bands."""

from .profile import MAH_PER_NMOL, depth_profile

__all__ = ["MAH_PER_NMOL", "depth_profile"]

"""Fit engines behind one seam: components become a plan once, every engine solves the same plan."""

from .warm import ready, warm

__all__ = ["ready", "warm"]

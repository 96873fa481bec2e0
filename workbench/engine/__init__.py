"""Fit engines behind one seam: components become a plan once, every engine solves the same plan."""

"""Fit engines behind one seam."""

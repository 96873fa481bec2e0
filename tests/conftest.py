"""Fixtures shared by the suite, and the rule that CI never skips for want of a browser."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import xarray as xr

from spectra.convention import spectrum

os.environ.setdefault("OMP_NUM_THREADS", "1")


def chromium() -> str | None:
    """Return the path of a Chromium, or None."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    return None


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of a Chromium; in CI a missing one is a failure, elsewhere a skip with the mend."""
    found = chromium()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium: CI must have one (Debian: apt-get install chromium)")
        pytest.skip("no chromium: install it (Debian: sudo apt-get install chromium)")
    return found


def make_spectrum(
    counts: np.ndarray, x: np.ndarray, *, technique: str = "raman", **outer: np.ndarray
) -> xr.Dataset:
    """Make a small Spectrum of counts on a technique's axis."""
    axis = {"raman": "raman_shift", "xps": "binding_energy", "ndp": "particle_energy"}[technique]
    return spectrum(counts, x, technique=technique, axis_name=axis, outer=outer)

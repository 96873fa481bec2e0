"""Compile the fit engine's kernels into the cache: ``python -m workbench.engine``."""

from __future__ import annotations

from .warm import available, warm

if __name__ == "__main__":
    if not available():
        print("no compiler (numba): the NumPy engine serves")
    elif warm():
        print("the fit engine is compiled and cached")
    else:
        print("compiled, but the cache cannot be written: new processes start cold")

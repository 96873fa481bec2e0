"""``python -m workbench.engine``: compile the fit engine into the cache, once per version."""

from __future__ import annotations

import sys
import time

from .cache import folder
from .warm import available, ready, warm


def main() -> int:
    """Compile unless done; say what happened."""
    if not available():
        sys.stdout.write("fit engine: numba is not installed, the NumPy engine serves\n")
        return 0
    if ready():
        sys.stdout.write(f"fit engine: compiled already, in {folder()}\n")
        return 0
    begin = time.perf_counter()
    sys.stdout.write("fit engine: compiling, once per version (about a minute) ... ")
    sys.stdout.flush()
    kept = warm()
    seconds = time.perf_counter() - begin
    text = "done" if kept else "no folder can be written: new processes use the NumPy engine"
    sys.stdout.write(f"{text}, {seconds:.0f} s\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Find the real measurements that tests read, or skip with the reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


def data_root() -> Path | None:
    """Return the folder of shared measurements, or None where there is none."""
    told = os.environ.get("INTERPHASE_DATA")
    for folder in [Path(told)] if told else [PROJECT.parent / "shared" / "data"]:
        if folder.is_dir():
            return folder
    return None


def data(name: str) -> Path:
    """Return the path of a shared measurement; skip the test where there are none.

    A folder that exists but lacks the file is an error, not a skip.
    """
    root = data_root()
    if root is None:
        pytest.skip("no shared measurements: set INTERPHASE_DATA to their folder")
    path = root / name
    if not path.exists():
        raise FileNotFoundError(f"{name} is not in the shared measurements")
    return path

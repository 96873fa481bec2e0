"""What made a number: inputs' hashes, recipe, versions. Added to every result, in one place."""

from __future__ import annotations

import json
import platform
from functools import cache
from importlib import metadata
from typing import Any

import xarray as xr

import references

_PACKAGES = ("interphase-workbench", "numpy", "scipy", "xarray", "lmfit", "numba", "pymatgen")


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python, this distribution and what computes with it."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def stamp(result: xr.Dataset, *inputs: xr.Dataset) -> xr.Dataset:
    """Return ``result`` with attrs ``source``, ``versions`` and ``library_hash``.

    Parameters
    ----------
    result : xr.Dataset
        What was computed.
    *inputs : xr.Dataset
        What it was computed from; their sources are joined, each once.
    """
    result = result.copy(deep=False)
    result.attrs["source"] = json.dumps(sources(*inputs))
    result.attrs["versions"] = json.dumps(versions())
    result.attrs["library_hash"] = references.load().hash
    return result


def sources(*inputs: xr.Dataset) -> list[dict[str, Any]]:
    """Return the source records (file, sha256, format, region) of datasets, each once."""
    found: list[dict[str, Any]] = []
    for ds in inputs:
        for entry in json.loads(ds.attrs.get("source", "[]")):
            if entry not in found:
                found.append(entry)
    return found

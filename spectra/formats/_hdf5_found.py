"""Multichannel spectra in HDF5 files of no fixed layout, found by name and shape.

- Diamond I12 (GDA): ``entry1/EDXD_Element_NN/data``, one dataset per element, or
  ``EDXD_elements/data`` with the elements before the channels; ``edxd_energy...`` beside it.
- ESRF (BLISS): ``<scan>/measurement/<name>_detN``, (points, channels), one region per scan.
- NSLS-II (pyXRF): ``xrfmap/detN/counts``, (rows, columns, channels); ``detsum`` where it is alone.
- The like: whole numbers (or counts as floats) whose path names a multichannel detector, with 512
  channels or more (a power of two) last.

Datasets that differ in one number of their path alone are elements of one detector. Outer
dimensions are counted (``scan``, or ``scan`` and ``point``): motors have names of the beamline's
own and are told in a ``.map.yaml``. An energy scale beside the counts is the header's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError

Places = dict[str, list[str]]
"""Name of a region to its datasets, one per element."""

_DETECTOR = re.compile(
    r"edxd|edxrd|mca|xmap|xspress|xrf|histogram|spectr|detsum|gsd|germanium|falcon|mercury|dxp",
    re.I,
)
_MOST = 20_000


def find(file: Any) -> Places:
    """Find stacks of spectra in an open file.

    Parameters
    ----------
    file : h5py.File

    Returns
    -------
    dict of str to list of str
        Empty if there are none. Soft links are not followed twice, external ones not at all.
    """
    import h5py

    seen: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    count = 0

    def visit(name: str, item: Any) -> bool | None:
        nonlocal count
        count += 1
        if count > _MOST:
            return True
        if isinstance(item, h5py.Dataset) and _spectra(name, item):
            key = re.sub(r"\d+(?=\D*$)", "#", name), tuple(item.shape)
            seen.setdefault(key, []).append(name)
        return None

    file.visititems(visit)
    groups = {k: sorted(v, key=_numbers) for k, v in seen.items()}
    alone = [k for k in groups if "detsum" in k[0]]
    if alone and len(groups) > len(alone):
        for k in alone:
            groups.pop(k)
    return {names[0]: names for names in groups.values()}


def _numbers(name: str) -> list[int]:
    return [int(d) for d in re.findall(r"\d+", name)]


def _spectra(name: str, item: Any) -> bool:
    shape = tuple(item.shape)
    if not 2 <= len(shape) <= 5 or item.dtype.kind not in "iuf" or not _DETECTOR.search(name):
        return False
    channels = shape[-1]
    if channels < 512 or channels & (channels - 1) or shape[-2] == channels or 0 in shape:
        return False
    return not re.search(
        r"energy|error|uncert|roi|calib|dead|weight", name.rsplit("/", 1)[-1], re.I
    )


def arrange(
    path: Path, file: Any, names: Sequence[str], counts: list[np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray | None]:
    """Put the elements together and name the dimensions.

    Parameters
    ----------
    path : Path
    file : h5py.File
    names : sequence of str
        Of `find`.
    counts : list of ndarray
        What they hold.

    Returns
    -------
    counts : ndarray, shape (*outer, channel)
    outer : dict of str to ndarray
    energy : ndarray or None
        keV per channel, if a dataset beside the counts gives it alike for all elements.

    Raises
    ------
    FormatError
        If there are more outer dimensions than can be named.
    """
    if len(counts) > 1:
        values = np.stack(counts, axis=-2)
        detector = True
    else:
        values = counts[0]
        detector = "element" in names[0].lower() and values.ndim > 2 and values.shape[-2] <= 256
    own = values.shape[: -2 if detector else -1]
    keep = [k for k, n in enumerate(own) if n > 1]
    values = values.reshape(*(own[k] for k in keep), *values.shape[len(own) :])
    own = tuple(own[k] for k in keep)
    if detector and values.shape[-2] == 1:
        values, detector = values[..., 0, :], False
    if len(own) > 3:
        raise FormatError(
            f"{path.name}: {names[0]} has {len(own)} dimensions before the channels; "
            "name them in a .map.yaml"
        )
    labels = {0: (), 1: ("scan",), 2: ("scan", "point"), 3: ("cycle", "scan", "point")}[len(own)]
    outer = {d: np.arange(n) for d, n in zip(labels, own, strict=True)}
    if detector:
        outer["detector"] = np.arange(values.shape[-2])
    return values, outer, _energy(file, names, values.shape[-1])


def _energy(file: Any, names: Sequence[str], channels: int) -> np.ndarray | None:
    scales = []
    for name in names:
        parent = file[name].parent
        keys = [k for k in parent if "energy" in k.lower()]
        found = next(
            (
                np.asarray(parent[k][()], float)
                for k in keys
                if getattr(parent[k], "shape", ())[-1:] == (channels,)
                and parent[k].dtype.kind == "f"
            ),
            None,
        )
        if found is None:
            return None
        scales.append(found.reshape(-1, channels))
    every = np.concatenate(scales)
    same = np.allclose(every, every[0], rtol=1e-9) and np.all(np.diff(every[0]) > 0)
    return every[0] if same else None

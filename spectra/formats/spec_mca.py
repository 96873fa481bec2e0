"""SPEC files with multichannel spectra: one region per scan, read with silx.

``#S n command`` opens a scan; ``@A`` blocks are its spectra (one per point and analyser),
``#@CHANN n first last step`` their channels, ``#@CALIB a b c`` the energy in keV (0 1 0 means
uncalibrated, and so does its absence), ``#@CTIME preset live real`` times in s. Points are the dim
``scan``; the first column of the scan (the motor) is the coordinate ``motor_<label>``.

Several analysers write one ``@A`` each at every point (their ``#@`` lines follow each other): those
of one length become the dim ``detector`` in front, others a region each (``<scan>_mca0`` ...).
Counts are integers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._mca import TECHNIQUES, as_counts, mca, technique_of
from .base import MAX_FILE_BYTES, Format, Options, Regions, source

_LOOK = 4 << 20


def _sniff(head: bytes, path: Path) -> bool:
    text = head.lstrip()
    if not text.startswith((b"#F ", b"#S ", b"#E ", b"#D ")) or b"\n#S " not in b"\n" + head:
        return False
    if b"\n@A" in head or b"#@MCA" in head:
        return True
    try:
        with path.open("rb") as file:
            return b"\n@A" in file.read(_LOOK)
    except OSError:
        return False


def read(path: Path, options: Options) -> Regions:
    """Read every scan with spectra.

    Raises
    ------
    FormatError
        If no scan holds one, or the file is damaged.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise FormatError(f"{path.name}: larger than {MAX_FILE_BYTES} bytes; split it")
    from silx.io.specfile import SpecFile

    regions: dict[str, Any] = {}
    try:
        file = SpecFile(str(path))
        for scan in file:
            number = _spectra(scan)
            if number:
                name = str(scan.number)
                name = name if name not in regions else f"{name}.{scan.order}"
                for suffix, members in _analysers(scan, number):
                    regions[name + suffix] = _scan(path, scan, members, options)
    except FormatError:
        raise
    except Exception as error:
        raise FormatError(
            f"{path.name}: not readable as SPEC ({type(error).__name__}: {str(error)[:80]}); the "
            "file may be truncated"
        ) from None
    if not regions:
        raise FormatError(f"{path.name}: no scan holds an @A spectrum")
    return regions


def _spectra(scan: Any) -> int:
    """Return the number of spectra of a scan; silx raises its own errors where there is none."""
    try:
        return len(scan.mca)
    except Exception:
        return 0


def _analysers(scan: Any, number: int) -> list[tuple[str, list[list[int]]]]:
    """Return name suffixes and, for each analyser of one region, the numbers of its spectra."""
    points = scan.data.shape[1] if getattr(scan.data, "ndim", 0) == 2 else 0
    devices = number // points if points and number % points == 0 else 1
    own = [list(range(k, number, devices)) for k in range(devices)]
    if devices == 1:
        return [("", own)]
    lengths = [len(scan.mca[k]) for k in range(devices)]
    if len(set(lengths)) == 1:
        return [("", own)]
    return [(f"_mca{k}", [members]) for k, members in enumerate(own)]


def _scan(path: Path, scan: Any, analysers: list[list[int]], options: Options) -> Any:
    rows = [[np.asarray(scan.mca[i], float) for i in members] for members in analysers]
    sizes = {r.size for row in rows for r in row}
    if len(sizes) != 1:
        raise FormatError(
            f"{path.name}: scan {scan.number}: spectra of {sorted(sizes)} channels; the last "
            "one may be truncated"
        )
    size = sizes.pop()
    which = analysers[0][0] if len(analysers) == 1 else 0
    channels, scales = list(scan.mca.channels or []), list(scan.mca.calibration or [])
    own = channels[min(which, len(channels) - 1)] if channels else []
    told = scan.scan_header_dict
    announced = told.get("@CHANN", "").split()
    expected = int(announced[0]) if announced and announced[0].isdigit() else len(own)
    if len(channels) <= 1 and expected and expected != size:
        raise FormatError(
            f"{path.name}: scan {scan.number}: {size} channels, the header says "
            f"{expected}: the file is truncated; copy it again"
        )
    first = int(own[0]) if len(own) == size else 0
    several = len(analysers) > 1
    scale = None
    if scales and not several:
        scale = [float(v) for v in scales[min(which, len(scales) - 1)]]
    times = [float(v) for v in told.get("@CTIME", "").split()[:3]]
    counts = as_counts(np.array(rows), path)  # (analyser, point, channel)
    number = counts.shape[1]
    outer: dict[str, Any] = {}
    if several:
        outer["detector"] = np.arange(len(analysers))
    else:
        counts = counts[0]
    if number > 1:
        outer["scan"] = np.arange(number)
    else:
        counts = counts[..., 0, :]
    shape = counts.shape[:-1]
    coords: dict[str, Any] = {}
    labels = list(scan.labels or [])
    if number > 1 and labels and scan.data.shape[1] == number:
        label = re.sub(r"\W", "_", labels[0])
        coords[f"motor_{label}"] = (("scan",), np.asarray(scan.data[0], float), "1")
    if several and len(scales) == len(analysers):
        for i in range(3):
            values = np.array([float(c[i]) for c in scales])
            coords[f"header_c{i}_keV"] = (("detector",), values, "keV")
    return mca(
        counts,
        technique=technique_of(options, "edxrd"),
        source=source(path, "spec_mca", str(scan.number)),
        scale=scale,
        first_channel=first,
        outer=outer or None,
        coords=coords or None,
        live_time=np.full(shape, times[1]) if len(times) == 3 else None,
        real_time=np.full(shape, times[2]) if len(times) == 3 else None,
        attrs={"title": str(told.get("S", ""))},
    )


FORMATS = (
    Format(
        name="spec_mca",
        title="SPEC with multichannel spectra",
        suffixes=(".spec", ".dat", ".mca"),
        techniques=TECHNIQUES,
        sniff=_sniff,
        read=read,
    ),
)

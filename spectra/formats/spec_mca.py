"""SPEC files with multichannel spectra: one region per scan, read with silx.

``#S n command`` opens a scan; ``@A`` blocks are its spectra (one per point and analyser),
``#@CHANN n first last step`` their channels, ``#@CALIB a b c`` the energy in keV (0 1 0 means
uncalibrated, and so does its absence), ``#@CTIME preset live real`` times in s. Motors of a scan
with several points are not read as dims: points are ``scan``. Counts are integers.
"""

from __future__ import annotations

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
                regions[name if name not in regions else f"{name}.{scan.order}"] = _scan(
                    path, scan, number, options
                )
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


def _scan(path: Path, scan: Any, number: int, options: Options) -> Any:
    rows = [np.asarray(scan.mca[i], float) for i in range(number)]
    sizes = {r.size for r in rows}
    if len(sizes) != 1:
        raise FormatError(
            f"{path.name}: scan {scan.number}: spectra of {sorted(sizes)} channels; the last "
            "one may be truncated"
        )
    told = scan.scan_header_dict
    announced = told.get("@CHANN", "").split()
    if announced and announced[0].isdigit() and int(announced[0]) != sizes.copy().pop():
        raise FormatError(
            f"{path.name}: scan {scan.number}: {sizes.pop()} channels, the header says "
            f"{announced[0]}: the file is truncated; copy it again"
        )
    first = int(float(announced[1])) if len(announced) > 1 else 0
    scale = None
    if "@CALIB" in told:
        scale = [float(v) for v in told["@CALIB"].split()]
    times = [float(v) for v in told.get("@CTIME", "").split()[:3]]
    counts = as_counts(np.array(rows), path)
    single = number == 1
    live = times[1] if len(times) == 3 else None
    real = times[2] if len(times) == 3 else None
    return mca(
        counts[0] if single else counts,
        technique=technique_of(options, "edxrd"),
        source=source(path, "spec_mca", str(scan.number)),
        scale=scale,
        first_channel=first,
        outer=None if single else {"scan": np.arange(number)},
        live_time=live if single or live is None else np.full(number, live),
        real_time=real if single or real is None else np.full(number, real),
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

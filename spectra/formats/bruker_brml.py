"""Bruker BRML (.brml): a zip of XML; every RawData*.xml is a region.

``DataRoute`` holds ``Datum`` rows: time (s), 1, one value per scan axis in the order of
``ScanAxisInfo``, counts. The two-theta axis is rebuilt from its Start and Increment, which have
more digits than the rows. ``WaveLengthAlpha1`` and ``...Alpha2`` (angstrom) stand in the
measurement's XML.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._xml import parse
from ._xrd import pattern
from .base import Format, Options, Regions

MAX_PART = 512 * 1024**2


def _sniff(head: bytes, path: Path) -> bool:
    return head.startswith(b"PK\x03\x04") and path.suffix.lower() == ".brml"


def read(path: Path, options: Options) -> Regions:
    """Read every raw scan.

    Raises
    ------
    FormatError
        If the zip is damaged or no part holds a two-theta scan.
    """
    regions: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            names = [i.filename for i in archive.infolist()]
            if sum(i.file_size for i in archive.infolist()) > MAX_PART:
                raise FormatError(f"{path.name}: unpacks to more than {MAX_PART} bytes")
            raw = sorted(
                (n for n in names if re.search(r"RawData\d+\.xml$", n)),
                key=lambda n: [int(d) for d in re.findall(r"\d+", n)],
            )
            for name in raw:
                data = archive.read(name)
                label = Path(name).stem if len(raw) > 1 else path.stem
                found = _scan(path, label, data)
                if found is not None:
                    regions[label if label not in regions else name] = found
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise FormatError(
            f"{path.name}: not a whole zip ({str(error)[:80]}): the file is truncated"
        ) from None
    if not regions:
        raise FormatError(f"{path.name}: no RawData part holds a scan over two-theta")
    return regions


def _scan(path: Path, label: str, data: bytes) -> Any:
    root = parse(data, f"{path.name}, {label}")
    route = next(iter(root.iter("DataRoute")), None)
    axes = list(root.iter("ScanAxisInfo"))
    names = [a.get("AxisName") for a in axes]
    if route is None or "TwoTheta" not in names:
        return None
    rows = [d.text.split(",") for d in route.iter("Datum") if d.text]
    at = names.index("TwoTheta")
    try:
        table = np.array(rows, dtype=float)
    except ValueError:
        raise FormatError(
            f"{path.name}: {label}: rows of unequal length: the file is damaged"
        ) from None
    if table.ndim != 2 or table.shape[1] < 4 + at:
        raise FormatError(
            f"{path.name}: {label}: rows of {table.shape[1:]} values; four are the least"
        )
    x = table[:, 2 + at]
    try:
        start, step = (
            float(axes[at].findtext("Start", "")),
            float(axes[at].findtext("Increment", "")),
        )
        exact = start + step * np.arange(len(x))
        if np.max(np.abs(exact - x)) < 2e-3:
            x = exact
    except ValueError:
        pass
    text = data.decode("utf-8", "replace")
    attrs = {}
    for tag, key in (("WaveLengthAlpha1", "wavelength_A"), ("WaveLengthAlpha2", "wavelength_2_A"),
                     ("WaveLengthRatio", "ratio_2")):  # fmt: skip
        hit = re.search(rf'<{tag}[^>]*?Value="([\d.]+)"', text) or re.search(
            rf"<{tag}[^>]*>([\d.]+)<", text
        )
        if hit:
            attrs[key] = float(hit[1])
    return pattern(
        path, "bruker_brml", label, x, table[:, -1], units="counts", attrs=attrs,
        time_per_step=float(np.median(table[:, 0])),
    )  # fmt: skip


FORMATS = (Format("bruker_brml", "Bruker BRML", (".brml",), ("xrd",), _sniff, read),)

"""Rigaku RASX (.rasx): a zip; every ``Data<n>/Profile<n>.txt`` is a region.

Profile: rows of angle (deg), intensity (as counted), attenuation factor, by tabs; intensities are
multiplied by the factor where an attenuator was in, and errors follow the counts. Scans over one
axis are one series, from three on.
``MesurementConditions<n>.xml`` (spelt so) names the scanned axis, the wavelengths (angstrom) and
the unit of intensity. Intensities that are not whole are arbitrary units.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._xml import parse
from ._xrd import pattern, series
from ._zip import opened
from .base import Format, Options, Regions


def _sniff(head: bytes, path: Path) -> bool:
    return head.startswith(b"PK\x03\x04") and path.suffix.lower() == ".rasx"


def read(path: Path, options: Options) -> Regions:
    """Read every profile.

    Raises
    ------
    FormatError
        If the zip is damaged or a profile is not columns of numbers.
    """
    regions: dict[str, Any] = {}
    with opened(path) as archive:
        parts = archive.namelist()
        profiles = sorted(
            (n for n in parts if re.search(r"Profile\d+\.txt$", n)),
            key=lambda n: [int(d) for d in re.findall(r"\d+", n)],
        )
        for name in profiles:
            label = Path(name).parent.name or Path(name).stem
            xml = re.sub(r"Profile(\d+)\.txt$", r"MesurementConditions\1.xml", name)
            attrs = _conditions(path, archive.read(xml)) if xml in parts else {}
            text = archive.read(name).decode("utf-8-sig", "replace")
            try:
                table = np.array([row.split() for row in text.splitlines() if row.strip()], float)
            except ValueError:
                raise FormatError(f"{path.name}: {name}: not columns of numbers") from None
            if table.ndim != 2 or table.shape[1] < 2:
                raise FormatError(f"{path.name}: {name}: one column; two are the least")
            title = path.stem if len(profiles) == 1 else label
            factor = table[:, 2] if table.shape[1] > 2 else np.ones(len(table))
            factor = np.where(factor > 0, factor, 1.0)
            regions[title] = pattern(
                path,
                "rigaku_rasx",
                title,
                table[:, 0],
                table[:, 1] * factor,
                units="counts",
                attrs=attrs,
                attenuation=factor,
            )
    if not regions:
        raise FormatError(f"{path.name}: no Profile*.txt in it")
    return series(path, regions)


def _conditions(path: Path, data: bytes) -> dict[str, Any]:
    root = parse(data, path.name)
    out: dict[str, Any] = {}
    for tag, key in (
        ("WavelengthKalpha1", "wavelength_A"),
        ("WavelengthKalpha2", "wavelength_2_A"),
    ):
        text = next((e.text for e in root.iter(tag) if e.text), None)
        try:
            if text and float(text) > 0:
                out[key] = float(text)
        except ValueError:
            continue
    wave = next((e.text for e in root.iter("WaveType") if e.text), "")
    if wave == "Ka1":
        out["ratio_2"] = 0.0
    return out


FORMATS = (Format("rigaku_rasx", "Rigaku RASX", (".rasx",), ("xrd",), _sniff, read),)

"""RRUFF mineral spectra and Ocean Optics (SpectraSuite, OceanView, OOIBase32) text.

RRUFF: ``##NAME=value`` lines (``##NAMES``, ``##RRUFFID``, ...), then ``shift, intensity`` rows and
``##END=``; Raman shift, arbitrary units. The laser stands in the file's name
(``Quartz__R040031__Raman__532__0__...txt``). Infrared files of RRUFF are refused.

Ocean Optics: ``SpectraSuite Data File``, ``Data from ... Node`` or ``OOIBase32 Version ...``, lines
``name: value``, ``>>>>>Begin ... Spectral Data<<<<<``, two columns, and with SpectraSuite an end
mark. Decimal point or comma. The x mode tells ``Raman Shifts`` from ``Wavelengths`` (nm, which stay
wavelengths). Whole numbers are counts. Uncertainties: none in either.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..errors import FormatError
from . import _raman
from .base import Format, Options, Regions

_BEGIN = re.compile(r">>>>>\s*Begin .*Data\s*<<<<<", re.IGNORECASE)
_LASER = re.compile(r"__Raman__(\d{3,4})__|_Raman_+(\d{3,4})_|(\d{3,4})\s*nm", re.IGNORECASE)


def sniff_rruff(head: bytes, path: Path) -> bool:
    """Whether it begins with labels of which one is ``RRUFFID``."""
    text = _raman.head_text(head)
    return text.lstrip().startswith("##") and "##RRUFFID" in text.upper()


def sniff_ocean(head: bytes, path: Path) -> bool:
    """Whether it has Ocean Optics' mark before the data."""
    text = _raman.head_text(head)
    return _BEGIN.search(text) is not None


def read_rruff(path: Path, options: Options) -> Regions:
    """Read the one mineral spectrum."""
    header: dict[str, str] = {}
    lines = _raman.text_of(path).splitlines()
    body: list[str] = []
    ended = False
    for line in lines:
        if line.startswith("##"):
            name, _, value = line[2:].partition("=")
            header.setdefault(name.strip().upper(), value.strip())
            ended = ended or name.strip().upper() == "END"
        elif not ended:
            body.append(re.sub(r"[,;\t ]+", " ", line.strip()))
        if ended:
            break
    told = path.name + header.get("DESCRIPTION", "")
    if "infrared" in told.lower() and "raman" not in told.lower():
        raise FormatError(f"{path.name}: an infrared spectrum; only Raman spectra are read")
    table = _raman.rows(path, body, len(header) + 1, " ", 2)
    laser = _LASER.search(path.name)
    attrs = {
        "mineral": header.get("NAMES"),
        "rruff_id": header.get("RRUFFID"),
        "formula": header.get("IDEAL CHEMISTRY"),
        "locality": header.get("LOCALITY"),
        "laser_nm": float(next(g for g in laser.groups() if g)) if laser else None,
    }
    ds = _raman.raman(
        path, "rruff_txt", table[:, 1], ("raman_shift", table[:, 0]), unit="RRUFF", attrs=attrs
    )
    return {"raman": ds}


def read_ocean(path: Path, options: Options) -> Regions:
    """Read the one spectrum."""
    lines = _raman.text_of(path).splitlines()
    start = next((i for i, line in enumerate(lines) if _BEGIN.search(line)), None)
    if start is None:
        raise FormatError(f"{path.name}: no mark before the data: truncated; copy it again")
    header: dict[str, str] = {}
    for line in lines[:start]:
        name, found, value = line.partition(":")
        if found:
            header.setdefault(name.strip().lower(), value.strip())
    body = [line for line in lines[start + 1 :] if not line.startswith(">>>>>")]
    table = _raman.rows(path, body, start + 2, None, 2)
    mode = f"{header.get('x axis mode', '')} {header.get('xaxis mode', '')}".lower()
    shift = "raman" in mode
    axis = _raman.axis_in(path, "1/cm" if shift else "nm", table[:, 0])
    attrs: dict[str, object] = {
        "measured": header.get("date"),
        "instrument": header.get("spectrometers") or header.get("spectrometer"),
    }
    for name, value in header.items():
        number = _raman.leading(value)
        if name.startswith("integration time") and number is not None:
            scale = 1e-6 if "usec" in name or "µs" in name else 1e-3 if "ms" in name else 1.0
            attrs["acquisition_time_s"] = number * scale
        elif "averaged" in name or name == "scans to average":
            attrs["accumulations"] = number
        elif "laser" in name and number is not None and 150 < number < 2500:
            attrs["laser_nm"] = number
    values = table[:, 1]
    unit = "averaged" if np.any(values != np.round(values)) else ""
    return {"raman": _raman.raman(path, "ocean_txt", values, axis, unit=unit, attrs=attrs)}


FORMATS = (
    Format("rruff_txt", "RRUFF mineral text", (".txt",), ("raman",), sniff_rruff, read_rruff),
    Format("ocean_txt", "Ocean Optics text", (".txt",), ("raman",), sniff_ocean, read_ocean),
)

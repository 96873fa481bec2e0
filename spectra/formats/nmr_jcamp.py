"""JCAMP-DX 5 and 6 of NMR spectra and signals (TopSpin, Mnova, Delta ... exports).

Text, labelled records ``##LABEL= value``; compound files (``LINK``) hold several. Claimed only if
``##DATA TYPE=`` names NMR: other JCAMP files belong to their own readers. Data are ``NTUPLES``
pages (real ``R``, imaginary ``I``) or one ``XYDATA`` table, packed as AFFN, PAC, SQZ, DIF or DUP
(decoded by nmrglue, whose result is checked against ``NPOINTS``/``VAR_DIM`` and the stated
``FIRST`` values here).

Axis: X in Hz (or ppm). Zero comes from ``.SHIFT REFERENCE= INTERNAL, solvent, point, shift`` or
Bruker's ``$OFFSET``; the frequency of 0 ppm from ``$SF``, else ``.OBSERVE FREQUENCY``. Bruker
exports are already multiplied out: ``$NC_proc`` is *not* applied again by this reader or by
TopSpin. No uncertainty is stored.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..errors import FormatError
from . import base
from ._nmr import MAX_POINTS, nucleus_name, processed, raw
from .base import Format, Options, Regions

NAME = "nmr_jcamp"
MAX_BYTES = 512 * 1024**2
_NMR = re.compile(r"(?im)^##\s*DATA\s*TYPE\s*=[^\n]*NMR")


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is JCAMP-DX whose data type is NMR."""
    text = head.decode("latin-1").upper()
    if "##" not in text[:200] or "JCAMP" not in text:
        return False
    for line in text.splitlines():
        label, _, value = line.partition("=")
        named = label.startswith("##") and "".join(label[2:].split()) == "DATATYPE"
        if named and "LINK" not in value:  # of a compound file the first of its blocks decides
            return "NMR" in value
    return False


def read(path: Path, options: Options) -> Regions:
    """Read every spectrum and signal; of several with the same nucleus the later are numbered."""
    text = base.read_bytes(path, limit=MAX_BYTES).decode("utf-8", "replace")
    if "##END" not in text:
        raise FormatError(f"{path.name}: no ##END= record: the file is truncated; copy it again")
    blocks = [b for b in re.split(r"(?im)^(?=##\s*TITLE\s*=)", text) if _NMR.search(b)]
    if len(blocks) < 2:
        return _block(path, path)
    regions: dict[str, xr.Dataset] = {}
    with tempfile.TemporaryDirectory() as folder:
        for at, block in enumerate(blocks, 1):
            part = Path(folder, f"{at}.dx")
            part.write_text(block, encoding="utf-8")
            for nucleus, ds in _block(path, part).items():
                regions[nucleus if nucleus not in regions else f"{nucleus} ({at})"] = ds
    return regions


def _block(path: Path, part: Path) -> Regions:
    """Read one block; `path` is the file for messages, `part` the file the block is in."""
    from nmrglue.fileio import jcampdx

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dic, data = jcampdx.read(str(part))
    except Exception as error:
        raise FormatError(
            f"{path.name}: the packed data cannot be decoded ({error}); export it again as JCAMP-DX"
        ) from None
    if data is None:
        raise FormatError(f"{path.name}: no data table found; export it again as JCAMP-DX")
    if "_datatype_NMRSPECTRUM" in dic:
        dic = dic["_datatype_NMRSPECTRUM"][0]
    pages = [np.asarray(p, float) for p in (data if isinstance(data, list) else [data])]
    table: dict[str, Any] = _columns(dic)
    _check(path, pages, table)
    values: npt.NDArray = pages[0]
    if len(pages) > 1:
        values = values + 1j * pages[1]
    attrs = _described(dic)
    kind = _one(dic, "DATATYPE").upper()
    record = base.source(path, NAME)
    nucleus = str(attrs.get("nucleus", "")) or "nmr"
    if "FID" in kind:
        width = (values.size - 1) / abs(table["last"] - table["first"])
        if not np.iscomplexobj(values):
            raise FormatError(f"{path.name}: a signal without its imaginary part; export both")
        attrs["spectral_width_Hz"] = width
        attrs["group_delay_points"] = max(0.0, _number(dic, "$GRPDLY") or 0.0)
        return {nucleus: raw(values, 1.0 / width, attrs=attrs, source=record)}
    axis = _shift(path, dic, table, values.size, float(attrs.get("reference_MHz", 0.0)))
    sf, bf = _number(dic, "$SF"), _number(dic, "$BF1")
    if sf is not None and bf is not None and abs(sf - bf) > 1e-9:
        attrs["calibration"] = f"SF {sf:.9g} MHz (SR {(sf - bf) * 1e6:.2f} Hz)"
    return {nucleus: processed(values, axis, attrs=attrs, source=record)}


def _one(dic: dict[str, Any], key: str) -> str:
    value = dic.get(key, "")
    return str(value[0] if isinstance(value, list) and value else value or "")


def _number(dic: dict[str, Any], key: str) -> float | None:
    try:
        value = float(_one(dic, key).strip().strip("<>").split()[0])
    except (ValueError, IndexError):
        return None
    return value if np.isfinite(value) else None


def _numbers(text: str) -> list[float]:
    found = []
    for word in text.replace(",", " ").split():
        try:
            found.append(float(word))
        except ValueError:
            return []
    return found


def _columns(dic: dict[str, Any]) -> dict[str, Any]:
    """Return first and last X, unit and stated first values of either kind of table."""
    if "NTUPLES" in dic or _one(dic, "DATACLASS").upper().startswith("NTUPLES"):
        first, last = _numbers(_one(dic, "FIRST")), _numbers(_one(dic, "LAST"))
        sizes = _numbers(_one(dic, "VARDIM")) or _numbers(_one(dic, "VAR_DIM"))
        unit = _one(dic, "UNITS").split(",")[0].strip().upper()
        return {
            "first": first[0] if first else None,
            "last": last[0] if last else None,
            "unit": unit,
            "starts": first[1:],
            "points": int(sizes[0]) if sizes else None,
        }
    points, start = _number(dic, "NPOINTS"), _number(dic, "FIRSTY")
    return {
        "first": _number(dic, "FIRSTX"),
        "last": _number(dic, "LASTX"),
        "unit": _one(dic, "XUNITS").strip().upper(),
        "starts": [] if start is None else [start],
        "points": None if points is None else int(points),
    }


def _check(path: Path, pages: list[npt.NDArray], table: dict[str, Any]) -> None:
    points = table["points"]
    for at, page in enumerate(pages):
        if page.ndim != 1 or not 2 <= page.size <= MAX_POINTS:
            raise FormatError(f"{path.name}: page {at + 1} holds an array of shape {page.shape}")
        if points is not None and page.size != points:
            raise FormatError(
                f"{path.name}: page {at + 1} holds {page.size} points, the header says {points}; "
                "the file is damaged, export it again"
            )
    for at, (page, start) in enumerate(zip(pages, table["starts"], strict=False)):
        first = page[0]  # nmrglue has multiplied with the factor
        if abs(first - start) > 1e-6 * max(1.0, abs(start)):
            raise FormatError(
                f"{path.name}: page {at + 1} begins with {first:g}, the header says {start:g}; "
                "the file is damaged, export it again"
            )
    if table["first"] is None or table["last"] is None or table["first"] == table["last"]:
        raise FormatError(f"{path.name}: FIRST and LAST of X are missing; export it again")


def _described(dic: dict[str, Any]) -> dict[str, Any]:
    observe = _number(dic, ".OBSERVEFREQUENCY")
    zero = _number(dic, "$SF") or observe
    found = {
        "nucleus": nucleus_name(_one(dic, ".OBSERVENUCLEUS")),
        "carrier_MHz": _number(dic, "$SFO1") or observe,
        "reference_MHz": zero,
        "base_MHz": _number(dic, "$BF1"),
        "scans": _number(dic, ".AVERAGES"),
        "pulse_program": _one(dic, ".PULSESEQUENCE").strip(),
        "solvent": _one(dic, ".SOLVENTNAME").strip(),
        "title": _one(dic, "TITLE").strip(),
    }
    return {k: v for k, v in found.items() if v not in (None, "")}


def _shift(
    path: Path, dic: dict[str, Any], table: dict[str, Any], points: int, zero: float
) -> npt.NDArray:
    x = np.linspace(table["first"], table["last"], points)
    if "PPM" in table["unit"]:
        return x
    if zero <= 0:
        raise FormatError(
            f"{path.name}: X in {table['unit'] or 'unnamed units'} and neither $SF nor "
            ".OBSERVE FREQUENCY: no shift scale possible"
        )
    reference = _one(dic, ".SHIFTREFERENCE").split(",")
    try:
        # ``INTERNAL, solvent, point, shift``: that point (from 1) lies at that shift.
        at, ppm = int(float(reference[-2])) - 1, float(reference[-1])
        anchor = x[at]
    except (ValueError, IndexError):
        offset = _number(dic, "$OFFSET")
        if offset is None:
            return x / zero
        anchor, ppm = x.max(), offset
    return ppm + (x - anchor) / zero


FORMATS = (
    Format(
        name=NAME,
        title="JCAMP-DX of an NMR spectrum or signal",
        suffixes=(".dx", ".jdx", ".jcamp"),
        techniques=("nmr",),
        sniff=sniff,
        read=read,
    ),
)

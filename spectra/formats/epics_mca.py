"""EPICS MCA text (.mca .xmca .hpmca .000 to .999, or no ending): APS 16-BM-B, 13-ID, GSECARS.

Lines ``KEY: values``, then ``DATA:`` and one row per channel with one column per element::

    VERSION:    3.1        ELEMENTS:   1 to 192 (1 if absent)
    DATE:       OCT 10, 2018 09:09:41.** (may be empty)
    CHANNELS:   4000       ROIS:  9 (one per element)
    REAL_TIME: LIVE_TIME: CAL_OFFSET: CAL_SLOPE: CAL_QUAD: TWO_THETA:   one value per element
    ROI_n_LEFT: ROI_n_RIGHT: ROI_n_LABEL:  labels end in "&"
    ENVIRONMENT: name="value" (description)
    DATA:

Exponents may have three digits (``e-002``); times of 0 mean unknown. A file of "VERSION: 3.1A" with
WAVELENGTH instead of TWO_THETA is angle-dispersive: its axis CAL_OFFSET + CAL_SLOPE ch is 2theta.
Dims: ``photon_energy`` (keV, from the header, not trusted) or ``channel``; ``detector`` in front
for more than one element (each with its own c0, c1, c2 as coordinates). Counts are integers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..convention import spectrum
from ..errors import FormatError
from ._mca import TECHNIQUES, as_counts, mca
from .base import Format, Options, Regions, read_bytes, source

_HEAD = re.compile(rb"^\s*VERSION:?[ \t]+\S+", re.I | re.M)
MAX_BYTES = 512 * 1024**2
MAX_VALUES = 1 << 27


def _sniff(head: bytes, path: Path) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf")
    if not _HEAD.search(text) or not re.search(rb"^\s*CHANNELS:", text, re.M):
        return False
    return b"ELEMENTS:" in text or b"CAL_SLOPE:" in text or b"LIVE_TIME:" in text


def read(path: Path, options: Options) -> Regions:
    """Read an EPICS MCA file; see the module for the layout.

    Raises
    ------
    FormatError
        If a header value is missing or not a number, or the data ends early.
    """
    text = read_bytes(path, limit=MAX_BYTES).removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    lines = text.splitlines()
    header: dict[str, str] = {}
    environment: list[str] = []
    rois: list[str] = []
    start = None
    for number, line in enumerate(lines):
        key, _, value = line.partition(":")
        key = key.strip().upper()
        if key == "DATA":
            start = number + 1
            break
        if key == "ENVIRONMENT":
            environment.append(value.strip())
        elif key.startswith("ROI_"):
            rois.append(f"{key[4:]}={value.strip()}")
        elif key:
            header.setdefault(key, value.strip())
    if start is None:
        raise FormatError(f"{path.name}: no line 'DATA:': the file is truncated; copy it again")
    header.setdefault("ELEMENTS", "1")  # early versions know only one
    elements = _whole(path, header, "ELEMENTS")
    count = _whole(path, header, "CHANNELS")
    if not (1 <= elements <= 4096 and count >= 2 and elements * count <= MAX_VALUES):
        raise FormatError(
            f"{path.name}: {elements} elements of {count} channels; allowed: 1 to 4096 elements, "
            f"2 channels or more, {MAX_VALUES} values in all"
        )
    start += next((i for i, row in enumerate(lines[start:]) if row.strip()), 0)  # blank lines
    rows = lines[start : start + count]
    try:
        data = np.array(" ".join(rows).split(), dtype=float)
    except ValueError:
        bad = next(i for i, r in enumerate(rows) if not _numeric(r))
        raise FormatError(
            f"{path.name}: line {start + bad + 1}: {rows[bad][:40]!r} is not a row of counts"
        ) from None
    if data.size != elements * count:
        raise FormatError(
            f"{path.name}: {data.size} counts after DATA:, the header says {count} channels of "
            f"{elements} elements = {elements * count}: the file is truncated; copy it again"
        )
    more = sum(1 for row in lines[start + count :] if row.strip() and _numeric(row))
    if more:
        raise FormatError(
            f"{path.name}: {count + more} rows of counts after DATA:, the header says CHANNELS: "
            f"{count}: correct the number if the rows are all of one spectrum"
        )
    counts = as_counts(data.reshape(count, elements).T, path)
    return {path.stem or path.name: _spectrum(path, options, header, counts, environment, rois)}


def _spectrum(
    path: Path,
    options: Options,
    header: dict[str, str],
    counts: np.ndarray,
    environment: list[str],
    rois: list[str],
) -> Any:
    elements = counts.shape[0]
    scales = [_values(path, header, f"CAL_{k}", elements) for k in ("OFFSET", "SLOPE", "QUAD")]
    angle = _values(path, header, "TWO_THETA", elements)
    attrs: dict[str, Any] = {}
    if header.get("DATE"):
        attrs["date"] = header["DATE"]
    if environment:
        attrs["environment"] = "\n".join(environment)
    if rois:
        attrs["rois"] = "\n".join(rois)
    origin = source(path, "epics_mca")
    if "WAVELENGTH" in header and options.technique is None:
        wavelength = float(_values(path, header, "WAVELENGTH", elements)[0])
        x = scales[0][0] + scales[1][0] * np.arange(counts.shape[1])
        return spectrum(
            counts[0] if elements == 1 else counts,
            x,
            technique="xrd",
            axis_name="two_theta",
            outer=None if elements == 1 else {"detector": np.arange(elements)},
            attrs={**attrs, "wavelength_A": wavelength},
            source=origin,
        )
    live = _values(path, header, "LIVE_TIME", elements)
    real = _values(path, header, "REAL_TIME", elements)
    technique = options.technique or "edxrd"
    if elements == 1:
        return mca(
            counts[0],
            technique=technique,
            source=origin,
            scale=[float(s[0]) for s in scales],
            live_time=live[0],
            real_time=real[0],
            two_theta_deg=float(angle[0]),
            attrs=attrs,
        )
    same = all(np.ptp(s) == 0.0 for s in scales)
    ds = mca(
        counts,
        technique=technique,
        source=origin,
        scale=[float(s[0]) for s in scales] if same else None,
        outer={"detector": np.arange(elements)},
        live_time=live,
        real_time=real,
        two_theta_deg=float(angle[0]) if np.ptp(angle) == 0.0 else None,
        attrs=attrs,
        coords={
            f"header_c{i}_keV": (("detector",), values, unit)
            for i, (values, unit) in enumerate(zip(scales, ("keV", "keV", "keV"), strict=True))
        },
    )
    if np.ptp(angle) > 0.0:
        ds = ds.assign_coords(header_two_theta=("detector", angle, {"units": "deg"}))
    return ds


def _numeric(row: str) -> bool:
    try:
        [float(v) for v in row.split()]
    except ValueError:
        return False
    return True


def _whole(path: Path, header: dict[str, str], key: str) -> int:
    try:
        return int(header[key].split()[0])
    except (KeyError, ValueError, IndexError):
        raise FormatError(
            f"{path.name}: header line '{key}:' is {header.get(key, 'missing')!r}, not a whole "
            "number; the file is damaged"
        ) from None


def _values(path: Path, header: dict[str, str], key: str, elements: int) -> np.ndarray:
    """One value per element; missing is zero (unknown), a single value stands for all."""
    words = header.get(key, "").replace("&", " ").split()
    if words and all(re.fullmatch(r"[-+]?\d+,\d+([eE][-+]?\d+)?", w) for w in words):
        words = [w.replace(",", ".") for w in words]  # written on a computer with decimal commas
    try:
        values = np.array([float(w) for w in words], dtype=float)
    except ValueError:
        raise FormatError(
            f"{path.name}: header line '{key}: {header[key][:40]}' is not numbers"
        ) from None
    if values.size == 0:
        return np.zeros(elements)
    if values.size == 1:
        return np.full(elements, values[0])
    if values.size < elements:
        raise FormatError(
            f"{path.name}: header line '{key}:' has {values.size} values for {elements} elements; "
            "the line is cut: copy the file again"
        )
    return values[:elements]


FORMATS = (
    Format(
        name="epics_mca",
        title="EPICS MCA text (APS, GSECARS)",
        suffixes=(".mca", ".xmca", ".hpmca"),
        techniques=(*TECHNIQUES, "xrd"),
        sniff=_sniff,
        read=read,
    ),
)

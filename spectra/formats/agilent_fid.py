"""Agilent / Varian VnmrJ: a folder with ``fid`` and ``procpar`` (often named ``*.fid``).

``fid`` is big endian: a file header of 32 bytes (``nblocks, ntraces, np, ebytes, tbytes, bbytes,
vers_id, status, nbheaders``; ``np`` counts real and imaginary numbers), then blocks of a 28 byte
header and traces of int16, int32 or float32 pairs. nmrglue reads both files after the sizes are
checked here; its complex numbers are conjugated, because the instrument's signal turns the other
way. ``procpar``: ``sw`` Hz, ``sfrq`` MHz carrier, ``reffrq`` MHz of 0 ppm (or ``rfl``/``rfp``),
``tn`` nucleus. Several traces are numbered rows (``scan``), or delays along
``evolution_time`` where d2, tau or another delay has as many values. No uncertainty is stored.
"""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from . import base
from ._nmr import MAX_POINTS, nucleus_name, raw
from .base import Format, Options, Regions

NAME = "agilent_fid"
DELAYS = ("d2", "tau", "bigtau", "delay", "mix")


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is a folder with ``fid`` and ``procpar``, or the ``fid`` in one."""
    folder = path if path.is_dir() else path.parent
    if not path.is_dir() and path.name != "fid":
        return False
    return (folder / "procpar").is_file() and (folder / "fid").is_file()


def read(path: Path, options: Options) -> Regions:
    """Read the signal with its parameters."""
    from nmrglue.fileio import varian

    record = base.source(path, NAME)
    folder = path if path.is_dir() else path.parent
    fid = folder / "fid"
    with fid.open("rb") as stream:
        head = stream.read(32)
    if len(head) < 32:
        raise base.truncated(fid, fid.stat().st_size, 32, "file header")
    blocks, traces, points, width, _, per_block, _, _, _ = struct.unpack(">6i2hi", head)
    total = blocks * traces * points
    if min(blocks, traces, points) < 1 or width not in (2, 4) or total > 2 * MAX_POINTS:
        raise FormatError(
            f"{record.file}: header claims {blocks} blocks of {traces} traces of {points} numbers "
            f"of {width} bytes; the fid file is damaged"
        )
    if fid.stat().st_size < 32 + blocks * per_block:
        raise base.truncated(fid, fid.stat().st_size, 32 + blocks * per_block, f"{blocks} blocks")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dic, data = varian.read(str(folder), as_2d=True)
    except Exception as error:
        raise FormatError(f"{record.file}: procpar or fid cannot be read ({error})") from None
    par = dic["procpar"]
    values = np.conj(np.atleast_2d(np.asarray(data)).astype(complex))
    attrs = _described(par, folder)
    sw = _number(par, "sw")
    if not sw or sw <= 0:
        raise FormatError(f"{record.file}: procpar has no sw (spectral width, Hz)")
    attrs["spectral_width_Hz"] = sw
    outer: dict[str, npt.ArrayLike] = {}
    if values.shape[0] > 1:
        outer = _rows(par, values.shape[0])
        attrs.update(_second_dimension(par, values.shape[0]))
    else:
        values = values[0]
    ds = raw(values, 1.0 / sw, attrs=attrs, source=record, outer=outer)
    return {str(ds.attrs.get("nucleus", "nmr")): ds}


def _values(par: dict[str, Any], key: str) -> list[str]:
    entry = par.get(key)
    return list(entry.get("values", [])) if isinstance(entry, dict) else []


def _number(par: dict[str, Any], key: str) -> float | None:
    try:
        value = float(_values(par, key)[0])
    except (IndexError, ValueError):
        return None
    return value if np.isfinite(value) else None


def _described(par: dict[str, Any], folder: Path) -> dict[str, Any]:
    carrier, zero = _number(par, "sfrq"), _number(par, "reffrq")
    sw, rfl, rfp = _number(par, "sw"), _number(par, "rfl"), _number(par, "rfp")
    if zero is None and None not in (carrier, sw, rfl, rfp):
        assert carrier is not None
        assert sw is not None
        assert rfl is not None
        assert rfp is not None
        zero = carrier + (rfl - rfp - 0.5 * sw) * 1e-6
    text = folder / "text"
    title = text.read_bytes()[:4000].decode("utf-8", "replace").strip() if text.is_file() else ""
    found = {
        "nucleus": nucleus_name((_values(par, "tn") or [""])[0]),
        "carrier_MHz": carrier,
        "reference_MHz": zero or carrier,
        "reference_source": "procpar reffrq" if _number(par, "reffrq") else None,
        "scans": _number(par, "ct") or _number(par, "nt"),
        "recycle_delay_s": _number(par, "d1"),
        "receiver_gain": _number(par, "gain"),
        "pulse_program": (_values(par, "seqfil") or [""])[0],
        "title": title,
    }
    return {k: v for k, v in found.items() if v not in (None, "")}


def _second_dimension(par: dict[str, Any], rows: int) -> dict[str, Any]:
    """Return what the transform along the rows needs, where ``phase`` makes pairs of them."""
    increments, width = _number(par, "ni"), _number(par, "sw1")
    if _values(par, "phase") not in (["1", "2"], ["1.0", "2.0"]) or not increments or not width:
        return {}
    if 2 * int(increments) != rows:
        return {}
    coefficients = (_values(par, "f1coef") or [""])[0].split()
    mixed = coefficients == ["1", "0", "-1", "0", "0", "1", "0", "1"]
    told: dict[str, Any] = {
        "indirect_mode": "echo_antiecho" if mixed else "states",
        "indirect_width_Hz": width,
    }
    zero, rfl, rfp = (_number(par, key) for key in ("reffrq1", "rfl1", "rfp1"))
    if zero is not None and rfl is not None and rfp is not None:
        told["indirect_reference_MHz"] = zero
        told["indirect_carrier_MHz"] = zero + (0.5 * width - rfl + rfp) * 1e-6
    return told


def _rows(par: dict[str, Any], rows: int) -> dict[str, npt.ArrayLike]:
    for name in DELAYS:
        words = _values(par, name)
        if len(words) == rows:
            try:
                return {"evolution_time": np.array([float(w) for w in words])}
            except ValueError:
                break
    return {"scan": np.arange(1, rows + 1)}


FORMATS = (
    Format(
        name=NAME,
        title="Agilent / Varian VnmrJ signal",
        suffixes=(".fid",),
        techniques=("nmr",),
        sniff=sniff,
        read=read,
    ),
)

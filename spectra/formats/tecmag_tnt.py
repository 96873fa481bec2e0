"""Tecmag ``.tnt``: signals and spectra of TNMR, one to four dimensions.

Binary: ``TNT1.0xx``, then tagged blocks ``TMAG`` (acquisition: points, observe frequencies, sweep
widths, dwell), ``DATA`` (complex64), ``TMG2``. Read with nmrglue; dimensions after the first are
numbered rows (``scan``). TNMR's signals turn as ``exp(+i 2 pi f t)``. Zero of the scale is
the observe frequency: reference the spectrum. No uncertainty is stored.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from . import base
from ._nmr import MAX_POINTS, carrier_axis, nucleus_name, processed, raw
from .base import Format, Options, Regions

NAME = "tecmag_tnt"


def sniff(head: bytes, path: Path) -> bool:
    """Whether it begins with ``TNT1.``."""
    return head[:5] == b"TNT1."


def read(path: Path, options: Options) -> Regions:
    """Read the signal."""
    from nmrglue.fileio import tecmag

    size = len(base.read_bytes(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dic, data = tecmag.read(str(path))
    except Exception as error:
        raise FormatError(
            f"{path.name}: not readable up to byte {size} ({error}); the file may be truncated"
        ) from None
    values: npt.NDArray = np.asarray(data)
    if not 2 <= values.size <= MAX_POINTS:
        raise FormatError(f"{path.name}: array of shape {values.shape}")
    # The first dimension is the acquisition, stored fastest.
    rows = values.reshape(values.shape[0], -1, order="F").T.astype(complex)
    width = float(np.ravel(dic["sw"])[0])
    observe = float(np.ravel(dic["ob_freq"])[0])
    if not width > 0 or not observe > 0:
        raise FormatError(f"{path.name}: sweep width {width:g} Hz, observe {observe:g} MHz")
    attrs: dict[str, Any] = {
        "nucleus": nucleus_name(np.ravel(dic["nuclei"])[0].decode("latin-1").strip("\x00 ")),
        "carrier_MHz": observe,
        "reference_MHz": observe,
        "spectral_width_Hz": width,
        "scans": int(np.ravel(dic["actual_scans"])[0]) if "actual_scans" in dic else None,
    }
    outer: dict[str, npt.ArrayLike] = {}
    if rows.shape[0] > 1:
        outer = {"scan": np.arange(1, rows.shape[0] + 1)}
    record, made = base.source(path, NAME), rows if outer else rows[0]
    if bool(np.ravel(dic["fft_flag"])[0]):
        axis = carrier_axis(rows.shape[-1], width, observe, observe)
        ds = processed(made, axis, attrs=attrs, source=record, outer=outer)
    else:
        ds = raw(made, 1.0 / width, attrs=attrs, source=record, outer=outer)
    return {str(ds.attrs.get("nucleus", "nmr")): ds}


FORMATS = (
    Format(
        name=NAME,
        title="Tecmag TNMR signal",
        suffixes=(".tnt",),
        techniques=("nmr",),
        sniff=sniff,
        read=read,
    ),
)

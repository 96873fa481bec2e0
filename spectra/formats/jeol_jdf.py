"""JEOL Delta ``.jdf``: one- and two-dimensional signals and spectra.

Binary: a header of 1360 bytes beginning ``JEOL.NMR`` (big endian, then the byte order of the rest),
parameters of 64 bytes each, and data in sections (real, imaginary) stored in tiles. nmrglue takes
the file apart; mended here: sizes are checked first, its complex numbers are conjugated (it writes
``re - i im``, with which higher frequency would run downwards), and the delay of the digital filter
is worked out: for stages of order ``o`` and factor ``f`` it is ``0.5 sum((o_i - 1) / prod(f_j, j >=
i))`` points.

Signals lie along ``acquisition_time``, spectra along ``chemical_shift``. The second dimension is
numbered rows (``scan``). No uncertainty is stored.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from . import base
from ._nmr import MAX_POINTS, nucleus_name, processed, raw
from .base import Format, Options, Regions

NAME = "jeol_jdf"
HEADER_BYTES = 1360


def sniff(head: bytes, path: Path) -> bool:
    """Whether it begins with ``JEOL.NMR``."""
    return head[:8] in (b"JEOL.NMR", b"RMN.LOEJ")


def read(path: Path, options: Options) -> Regions:
    """Read the signal or spectrum."""
    from nmrglue.fileio import jeol

    data = base.read_bytes(path)
    if len(data) < HEADER_BYTES:
        raise base.truncated(path, len(data), HEADER_BYTES, "header")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dic = jeol.parse_jeol(data)
        header = dic["header"]
        width = 4 if header["data_type"] == "float32" else 8
        needed = int(np.prod([max(1, n) for n in header["data_points"]]))
        needed = int(header["data_start"]) + needed * int(jeol.nsections(dic)) * width
    except Exception as error:
        raise FormatError(
            f"{path.name}: header or parameters cannot be read ({error}); copy the file again"
        ) from None
    if needed > MAX_POINTS * 16:
        raise FormatError(f"{path.name}: the header claims {needed} bytes of data; not plausible")
    if needed > len(data):
        raise base.truncated(path, len(data), needed, "data")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            dic, values = jeol.read(str(path))
    except Exception as error:
        raise FormatError(
            f"{path.name}: {header['data_format']} data of axes {header['data_axis_type'][:2]} "
            f"cannot be put in order ({error})"
        ) from None
    ds = _spectrum(path, header, dic["parameters"], np.conj(np.asarray(values)))
    return {str(ds.attrs.get("nucleus", "nmr")): ds}


def _spectrum(path: Path, header: dict[str, Any], par: dict[str, Any], values: npt.NDArray) -> Any:
    zero = _number(header["base_freq"][0])
    offset = _number(par.get("x_offset")) or 0.0
    carrier = (_number(par.get("x_freq")) or 0.0) / 1e6
    attrs: dict[str, Any] = {
        "nucleus": nucleus_name(str(par.get("x_domain") or header["data_axis_titles"][0])),
        "reference_MHz": zero,
        "carrier_MHz": (zero or carrier) * (1.0 + offset * 1e-6),
        "spectral_width_Hz": _number(par.get("x_sweep")),
        "scans": _number(par.get("total_scans")) or _number(par.get("scans")),
        "recycle_delay_s": _number(par.get("relaxation_delay")),
        "receiver_gain": _number(par.get("recvr_gain")),
        "field_T": _number(par.get("field_strength")),
        "solvent": _text(par.get("solvent")),
        "pulse_program": _text(par.get("experiment")),
        "title": _text(header.get("title")),
    }
    attrs = {k: v for k, v in attrs.items() if v not in (None, "")}
    record = base.source(path, NAME)
    start, stop = float(header["data_axis_start"][0]), float(header["data_axis_stop"][0])
    points = values.shape[-1]
    unit = str(header["units"][0][2]).lower()
    outer = {} if values.ndim == 1 else {"scan": np.arange(1, values.shape[0] + 1)}
    if values.ndim > 2 or points < 2 or start == stop:
        raise FormatError(f"{path.name}: {values.ndim} dimensions, axis {start:g} to {stop:g}")
    if unit == "second":
        dwell = (stop - start) / (points - 1)
        attrs["group_delay_points"] = _filter_delay(par)
        return raw(values.astype(complex), dwell, attrs=attrs, source=record, outer=outer)
    if unit == "ppm":
        axis = np.linspace(start, stop, points)
        return processed(values, axis, attrs=attrs, source=record, outer=outer)
    raise FormatError(f"{path.name}: axis in {unit!r}; seconds (signal) or ppm (spectrum) expected")


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _text(value: Any) -> str:
    return str(value).strip("\x00 ") if isinstance(value, str) else ""


def _filter_delay(par: dict[str, Any]) -> float:
    """Delay of the digital filter in points, from the orders and factors of its stages.

    ``orders`` is the number of stages followed by as many equally long numbers; ``factors`` the
    decimation factor of each stage, one digit (or equally many) each.
    """
    if str(par.get("digital_filter", "")).upper() != "TRUE":
        return 0.0
    orders, factors = str(par.get("orders", "")), str(par.get("factors", ""))
    try:
        stages = int(orders[0])
        size, each = (len(orders) - 1) // stages, len(factors) // stages
        order = [int(orders[1 + i * size : 1 + (i + 1) * size]) for i in range(stages)]
        factor = [int(factors[i * each : (i + 1) * each]) for i in range(stages)]
        return 0.5 * float(
            sum((o - 1) / np.prod(factor[i:], dtype=float) for i, o in enumerate(order))
        )
    except (ValueError, IndexError, ZeroDivisionError):
        return 0.0


FORMATS = (
    Format(
        name=NAME,
        title="JEOL Delta",
        suffixes=(".jdf",),
        techniques=("nmr",),
        sniff=sniff,
        read=read,
    ),
)

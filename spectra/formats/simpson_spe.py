"""SIMPSON text files (``.fid``, ``.spe``), as SIMPSON and dmfit write them.

::

    SIMP
    NP=2048          complex points
    SW=125000        spectral width, Hz
    SF=161.978       frequency of 0 ppm, MHz (not in SIMPSON's own files)
    X0=60718.3       first point, Hz, falling (dmfit); without it -SW/2 rising, plus REF
    TYPE=SPE         or FID
    NI=, SW1=        second dimension, row by row
    DATA
    real imaginary   NP (x NI) lines
    END

Spectra with a frequency lie along ``chemical_shift``, without one along ``frequency`` (Hz); signals
along ``acquisition_time``. Binary SIMPSON data are not read: SIMPSON writes text with ``fsave``. No
uncertainty is stored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..convention import Source, spectrum
from ..errors import FormatError
from . import base
from ._nmr import MAX_POINTS, processed, raw
from .base import Format, Options, Regions

NAME = "simpson_spe"
MAX_BYTES = 512 * 1024**2


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line is ``SIMP``."""
    return head[:16].decode("latin-1").split("\n")[0].strip() == "SIMP"


def read(path: Path, options: Options) -> Regions:
    """Read a SIMPSON text file."""
    text = base.read_bytes(path, limit=MAX_BYTES).decode("latin-1")
    ds = parse(path.name, text, base.source(path, NAME), {})
    return {str(ds.attrs.get("nucleus", "nmr")): ds}


def parse(name: str, text: str, record: Source, attrs: dict[str, Any]) -> xr.Dataset:
    """Parse one SIMPSON block; ``name`` is for messages."""
    head, found, body = text.partition("\nDATA")
    if not found:
        raise FormatError(f"{name}: no DATA line: the file is truncated")
    values: dict[str, str] = {}
    for line in head.splitlines()[1:]:
        key, _, value = line.partition("=")
        values[key.strip().upper()] = value.strip().upper()
    points, rows = _whole(values, "NP", name), _whole(values, "NI", name, 1)
    width = _real(values, "SW", name)
    kind = values.get("TYPE", "")
    if values.get("FORMAT", "TEXT") != "TEXT":
        raise FormatError(f"{name}: FORMAT={values['FORMAT']}; save it from SIMPSON as text")
    if points < 2 or rows < 1 or points * rows > MAX_POINTS or width <= 0:
        raise FormatError(f"{name}: NP={points}, NI={rows}, SW={width:g}; NP of 2 or more expected")
    block, ended, _ = body.partition("END")
    try:
        numbers = np.array(block.split(), dtype=float)
    except ValueError as error:
        raise FormatError(f"{name}: a value in DATA is not a number ({error})") from None
    if numbers.size != 2 * points * rows or not ended:
        raise FormatError(
            f"{name}: {numbers.size} numbers in DATA, {2 * points * rows} expected for "
            f"NP={points}, NI={rows}: the file is truncated"
        )
    data: npt.NDArray = (numbers[0::2] + 1j * numbers[1::2]).reshape(rows, points)
    data = data if rows > 1 else data[0]
    if not np.any(data.imag) and kind == "SPE":
        data = data.real
    attrs = {"spectral_width_Hz": width, **attrs}
    sf = values.get("SF")
    zero = _real(values, "SF", name) if sf else 0.0
    if abs(zero) > 1e5:  # some programs write Hz
        zero /= 1e6
    zero = abs(zero)
    if zero:
        attrs.update(reference_MHz=zero, carrier_MHz=zero)
    outer: dict[str, npt.ArrayLike] = {"scan": np.arange(1, rows + 1)} if rows > 1 else {}
    if kind == "FID":
        return raw(data.astype(complex), 1.0 / width, attrs=attrs, source=record, outer=outer)
    if kind != "SPE":
        raise FormatError(f"{name}: TYPE={kind or 'missing'}; SPE or FID expected")
    step = np.arange(points) * (width / points)
    if "X0" in values:
        hz = _real(values, "X0", name) - step
    else:
        hz = step - 0.5 * width + (_real(values, "REF", name) if "REF" in values else 0.0)
    if zero:
        return processed(data, hz / zero, attrs=attrs, source=record, outer=outer)
    return _on_frequency(data, hz, attrs, record, outer)


def _on_frequency(
    data: npt.NDArray, hz: npt.NDArray, attrs: dict[str, Any], record: Source, outer: Any
) -> xr.Dataset:
    dims = (*outer, "frequency")
    extra = {"intensity_im": (dims, data.imag.copy(), "1")} if np.iscomplexobj(data) else {}
    return spectrum(
        data.real.copy(),
        hz,
        technique="nmr",
        axis_name="frequency",
        units="1",
        outer=outer,
        extra=extra,
        attrs={k: v for k, v in attrs.items() if v not in (None, "")},
        source=record,
    )


def _real(values: dict[str, str], key: str, name: str) -> float:
    try:
        number = float(values[key])
    except (KeyError, ValueError):
        raise FormatError(f"{name}: {key}= is missing or not a number") from None
    if not np.isfinite(number):
        raise FormatError(f"{name}: {key}={values[key]}; a finite number expected")
    return number


def _whole(values: dict[str, str], key: str, name: str, default: int | None = None) -> int:
    if key not in values and default is not None:
        return default
    return int(_real(values, key, name))


FORMATS = (
    Format(
        name=NAME,
        title="SIMPSON spectrum or signal (text)",
        suffixes=(".spe", ".fid", ".in"),
        techniques=("nmr",),
        sniff=sniff,
        read=read,
    ),
)

"""What ssNake keeps of a data set, whichever file it is in: the fields of its spectrum class.

So ppm is ``1e6 xaxArray / ref``, or against ``freq`` where ``ref`` is not set. Rows of a second,
not transformed dimension are numbered (``scan``). The nucleus is not stored; the frequency says
which it may be. No uncertainty is stored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from . import base
from ._nmr import MAX_POINTS, processed, raw

FIELDS = ("data", "spec", "xaxArray", "ref", "sw")


def spectrum_of(path: Path, fields: dict[str, Any], name: str) -> Any:
    """Make a Spectrum of ssNake's fields as they are stored.

    Parameters
    ----------
    path : Path
    fields : dict
        ``data`` (rows x points; three dims: hypercomplex), ``freq``, ``sw``, ``ref`` (Hz, per
        dimension), ``spec`` (1: transformed), ``xaxArray`` (s, or Hz offset from ``ref``).
    name : str
        Of the format.

    Raises
    ------
    FormatError
        If a field does not hold what it should.
    """
    data: npt.NDArray = np.asarray(fields["data"])
    if data.dtype == object and data.size:
        data = np.asarray(data.ravel()[0])
    if data.ndim == 3:  # hypercomplex: the first is the ordinary part
        data = data[0]
    if data.ndim != 2 or data.dtype.kind not in "fc" or not 2 <= data.size <= MAX_POINTS:
        raise FormatError(
            f"{path.name}: data of shape {data.shape} and type {data.dtype}; 1D or 2D expected"
        )
    spec, ref = _row(path, fields, "spec"), _row(path, fields, "ref")
    freq = _row(path, fields, "freq" if "freq" in fields else "ref")
    width = _row(path, fields, "sw")
    axes = np.asarray(fields["xaxArray"])
    if axes.dtype == object:  # one array per dimension
        axes = np.asarray(axes.ravel()[-1])
    elif axes.ndim == 2 and axes.shape[0] == len(spec) > 1:
        axes = axes[-1]
    if axes.dtype.kind not in "fiu":
        raise FormatError(f"{path.name}: xaxArray holds {axes.dtype}, not numbers")
    x = axes.ravel().astype(float)
    if x.size != data.shape[-1]:
        raise FormatError(
            f"{path.name}: {x.size} axis values for {data.shape[-1]} points; save it again"
        )
    zero = ref[-1] if ref and np.isfinite(ref[-1]) and ref[-1] > 0 else freq[-1]
    if not zero > 0:
        raise FormatError(f"{path.name}: neither ref nor freq is a frequency; set one in ssNake")
    attrs: dict[str, Any] = {
        "reference_MHz": zero / 1e6,
        "carrier_MHz": freq[-1] / 1e6,
        "spectral_width_Hz": width[-1],
        "title": path.stem,
    }
    echo = np.asarray(fields.get("wholeEcho", 0)).ravel()
    if echo.size and echo[-1]:
        attrs["whole_echo"] = 1
    if zero == (ref[-1] if ref else 0):
        attrs["calibration"] = f"ssNake reference {zero / 1e6:.9g} MHz"
    record = base.source(path, name)
    values = data if data.shape[0] > 1 else data[0]
    outer: dict[str, npt.ArrayLike] = (
        {"scan": np.arange(1, data.shape[0] + 1)} if data.shape[0] > 1 else {}
    )
    if spec[-1]:
        return processed(values, x / zero * 1e6, attrs=attrs, source=record, outer=outer)
    attrs["reference_source"] = attrs.pop("calibration", None)
    dwell = float(x[1] - x[0])
    return raw(values.astype(complex), dwell, attrs=attrs, source=record, outer=outer)


def _row(path: Path, fields: dict[str, Any], name: str) -> list[float]:
    values = np.asarray(fields[name])
    if values.dtype.kind not in "fiub" or not values.size:
        raise FormatError(f"{path.name}: {name} holds {values.dtype} of size {values.size}")
    return [float(v) for v in values.ravel()]

"""Powder patterns against two-theta: what all their readers share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..convention import spectrum
from ..errors import FormatError
from .base import source


def pattern(
    path: Path,
    format_name: str,
    region: str,
    two_theta: npt.ArrayLike,
    intensity: npt.ArrayLike,
    *,
    units: str,
    attrs: Mapping[str, Any] | None = None,
    uncertainty: npt.ArrayLike | None = None,
    time_per_step: float | None = None,
) -> xr.Dataset:
    """Make the Spectrum of one powder pattern.

    Parameters
    ----------
    path : Path
    format_name, region : str
    two_theta, intensity : array_like
        Degree; counts or a rate.
    units : str
        ``"counts"`` (whole numbers become integers), ``"counts/s"`` or ``"1"``.
    attrs : mapping, optional
        ``wavelength_A`` (of Ka1), ``wavelength_2_A`` and ``ratio_2`` (Ka2) where known; None
        is left out.
    uncertainty : array_like, optional
        Standard errors as reported by the file.
    time_per_step : float, optional
        s.

    Returns
    -------
    xr.Dataset

    Raises
    ------
    FormatError
        If lengths differ or angles are not ordinary ones.
    """
    x, y = np.asarray(two_theta, float), np.asarray(intensity, float)
    if x.shape != y.shape or x.ndim != 1 or x.size < 2:
        raise FormatError(f"{path.name}: {x.size} angles, {y.size} intensities; a pattern has two "
                          "or more of both")  # fmt: skip
    if not (np.all(np.isfinite(x)) and np.all(np.isfinite(y))):
        raise FormatError(f"{path.name}: holds values that are not finite")
    if x.min() < -180.0 or x.max() > 180.0:
        raise FormatError(f"{path.name}: two-theta runs {x.min():g} to {x.max():g} deg; allowed: "
                          "-180 to 180")  # fmt: skip
    if units == "counts":
        whole = np.round(y)
        if np.array_equal(whole, y):
            y = whole.astype(np.int64)
        else:
            units = "1"
    told = {k: v for k, v in (attrs or {}).items() if v is not None}
    told["calibration"] = "two-theta of the goniometer as recorded"
    if time_per_step:
        told["time_per_step_s"] = float(time_per_step)
    ds = spectrum(
        y,
        x,
        technique="xrd",
        axis_name="two_theta",
        units=units,
        attrs=told,
        source=source(path, format_name, region),
    )
    if uncertainty is not None:
        error = np.asarray(uncertainty, float)
        error = error[::-1] if x[-1] < x[0] else error
        ds["uncertainty"] = ("two_theta", error, {"units": units, "origin": "reported"})
    return ds


WAVELENGTHS = {
    "Cu": (1.5405929, 1.5444274),
    "Co": (1.7889960, 1.7928350),
    "Mo": (0.7093172, 0.7136070),
    "Cr": (2.2897260, 2.2936510),
    "Fe": (1.9360410, 1.9399730),
    "Ag": (0.5594214, 0.5638131),
}
"""Ka1 and Ka2 in angstrom (G. Hoelzer et al., Phys. Rev. A 56 (1997) 4554; R. D. Deslattes et al.,
Rev. Mod. Phys. 75 (2003) 35)."""

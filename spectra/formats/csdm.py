"""Core Scientific Dataset Model (``.csdf``, ``.csdfe``): JSON with self-describing dimensions.

Read with csdmpy. The first dimension is the spectral one: a frequency whose ``origin_offset`` is
the frequency of 0 ppm (then ``chemical_shift``), or a time (then ``acquisition_time``). A second
one becomes an outer dimension where its quantity is known (time: ``evolution_time``), else numbered
rows. Every dependent variable is a region. Data in other files (``.csdfe``) are read only from the
same folder. Only NMR is read: a file whose first dimension is neither is refused. No uncertainty is
stored in version 1.0.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from . import base
from ._nmr import MAX_POINTS, nucleus_name, processed, raw
from .base import Format, Options, Regions

NAME = "csdm"
MAX_BYTES = 1024**3


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is JSON whose first key is ``csdm``."""
    text = head[:400].decode("utf-8", "replace").lstrip()
    return text.startswith("{") and '"csdm"' in text[:200]


def read(path: Path, options: Options) -> Regions:
    """Read every dependent variable."""
    import csdmpy

    content = base.read_bytes(path, limit=MAX_BYTES)
    try:
        model = json.loads(content)["csdm"]
        for variable in model.get("dependent_variables", []):
            _refuse_elsewhere(path, variable)
        for dimension in model.get("dimensions", []):
            if int(dimension.get("count", 1)) > MAX_POINTS:
                raise FormatError(f"{path.name}: dimension of {dimension['count']} points")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"{path.name}: not complete JSON at byte {getattr(error, 'pos', len(content))} "
            f"({error}); the file may be truncated; copy it again"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = csdmpy.load(str(path), verbose=False)
    except Exception as error:
        raise FormatError(f"{path.name}: csdmpy cannot read it ({error})") from None
    if len(loaded.x) not in (1, 2):
        raise FormatError(f"{path.name}: {len(loaded.x)} dimensions; one or two are read")
    regions = {}
    for at, variable in enumerate(loaded.y):
        components = np.asarray(variable.components)
        for part, values in enumerate(components):
            name = str(variable.name or f"variable {at + 1}")
            name += f" {part + 1}" if len(components) > 1 else ""
            name = name if name not in regions else f"{name} ({at + 1})"
            regions[name] = _spectrum(path, loaded, values, name, model)
    if not regions:
        raise FormatError(f"{path.name}: no dependent variable in it")
    return regions


def _refuse_elsewhere(path: Path, variable: dict[str, Any]) -> None:
    url = str(variable.get("components_url", ""))
    if not url:
        return
    name = url.removeprefix("file:").removeprefix("./")
    folder = path.parent.resolve()
    plain = name not in ("", ".", "..") and not set(name) & set("/\\%:?#")
    if not plain or (folder / name).resolve().parent != folder or not (folder / name).is_file():
        raise FormatError(
            f"{path.name}: its data are at {url!r}; only a file in the same folder is read"
        )


def _spectrum(
    path: Path, loaded: Any, values: npt.NDArray, name: str, model: dict[str, Any]
) -> Any:
    spectral = loaded.x[0]
    quantity = str(getattr(spectral, "quantity_name", "") or "")
    unit = spectral.coordinates.unit
    record = base.source(path, NAME, name if len(loaded.y) > 1 else "")
    text = json.dumps(model)
    attrs: dict[str, Any] = {
        "title": str(model.get("description", ""))[:400],
        "started": str(model.get("timestamp", "")),
        "nucleus": _nucleus(text),
    }
    outer = _outer(loaded.x[1]) if len(loaded.x) == 2 else {}
    if quantity == "time" or unit.is_equivalent("s"):
        t = spectral.coordinates.to_value("s")
        carrier = float(spectral.reciprocal.origin_offset.to_value("Hz")) / 1e6
        attrs.update(carrier_MHz=carrier, reference_MHz=carrier)
        step = float(t[1] - t[0])
        return raw(values.astype(complex), step, attrs=attrs, source=record, outer=outer)
    if unit.is_equivalent("Hz"):
        hz = spectral.coordinates.to_value("Hz")
        zero = float(spectral.origin_offset.to_value("Hz"))
        if zero <= 0:
            raise FormatError(
                f"{path.name}: the frequency dimension has no origin_offset, the frequency of "
                "0 ppm; set it and save again"
            )
        attrs.update(reference_MHz=zero / 1e6, carrier_MHz=zero / 1e6)
        attrs["spectral_width_Hz"] = float(abs(hz[1] - hz[0]) * hz.size)
        attrs["calibration"] = f"origin offset {zero / 1e6:.9g} MHz"
        return processed(values, hz / zero * 1e6, attrs=attrs, source=record, outer=outer)
    if unit.is_equivalent("") and str(unit) in ("ppm", ""):
        attrs["calibration"] = "shift axis of the file"
        axis = spectral.coordinates.to_value("ppm")
        return processed(values, axis, attrs=attrs, source=record, outer=outer)
    raise FormatError(
        f"{path.name}: the first dimension is a {quantity or str(unit)}; a frequency, a shift or a "
        "time is expected for NMR"
    )


def _outer(dimension: Any) -> dict[str, npt.ArrayLike]:
    try:
        return {"evolution_time": np.asarray(dimension.coordinates.to_value("s"), float)}
    except Exception:
        return {"scan": np.arange(1, dimension.count + 1)}


def _nucleus(text: str) -> str:
    from re import search

    match = search(r'"(?:nucleus|isotope|channel)"\s*:\s*\[?\s*"([^"]{1,12})"', text)
    return nucleus_name(match[1]) if match else ""


FORMATS = (
    Format(
        name=NAME,
        title="Core Scientific Dataset (mrsimulator, RMN)",
        suffixes=(".csdf", ".csdfe"),
        techniques=("nmr",),
        sniff=sniff,
        read=read,
    ),
)

"""Bruker BRML (.brml): a zip of XML; every RawData*.xml is a region.

``DataRoute`` holds ``Datum`` rows of numbers; its ``DataViews`` say what lies where: fixed columns
(``MeasuredTime`` s, ``AbsorptionFactor``), the scan axes, the recorded counter, and further
recorded values (temperature ...). Without views the rows are time, 1, one value per axis of
``ScanAxisInfo``, counts. The two-theta axis is rebuilt from its Start and Increment, which have
more digits than the rows. Where a line detector stands still, one row holds the whole pattern; its
angles are those of ``ScaleAxisInfo`` (or Reference plus Start of the scan axis) in steps of
Increment. Counts are multiplied by the absorber's factor where one was in the beam; errors follow
the counts. Times per point that differ are not evened out. ``WaveLengthAlpha1`` and ``...Alpha2``
(angstrom) stand in the measurement's XML. Scans over one axis are one series in time, from three
on.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ._xml import parse
from ._xrd import pattern, series
from ._zip import opened
from .base import Format, Options, Regions


def _sniff(head: bytes, path: Path) -> bool:
    return head.startswith(b"PK\x03\x04") and path.suffix.lower() == ".brml"


def read(path: Path, options: Options) -> Regions:
    """Read every raw scan.

    Raises
    ------
    FormatError
        If the zip is damaged or no part holds a two-theta scan.
    """
    regions: dict[str, Any] = {}
    with opened(path) as archive:
        raw = sorted(
            (n for n in archive.namelist() if re.search(r"RawData\d+\.xml$", n)),
            key=lambda n: [int(d) for d in re.findall(r"\d+", n)],
        )
        for name in raw:
            label = Path(name).stem if len(raw) > 1 else path.stem
            for key, found in _scans(path, label, archive.read(name)).items():
                regions[key if key not in regions else f"{name} {key}"] = found
    if not regions:
        raise FormatError(f"{path.name}: no RawData part holds a scan over two-theta")
    return series(path, regions)


def _scans(path: Path, label: str, data: bytes) -> dict[str, Any]:
    """Patterns of one RawData part, one per data route that is a scan over two-theta."""
    where = f"{path.name}: {label}"
    root = parse(data, f"{path.name}, {label}")
    attrs = _attrs(root, data)
    out: dict[str, Any] = {}
    for route in root.iter("DataRoute"):
        table = _table(where, route)
        if table is None:
            continue
        views = _views(route)
        own = label if not out else f"{label} {route.get('RouteFlag', '')} {len(out) + 1}"
        found = _still(path, own, route, table, views, attrs)
        if found is None:
            moved = _moving(path, own, route, table, views, attrs)
            found = {} if moved is None else {own: moved}
        out |= found
    return out


def _attrs(root: Any, data: bytes) -> dict[str, Any]:
    text = data.decode("utf-8", "replace")
    attrs: dict[str, Any] = {}
    for tag, key in (("WaveLengthAlpha1", "wavelength_A"), ("WaveLengthAlpha2", "wavelength_2_A"),
                     ("WaveLengthRatio", "ratio_2")):  # fmt: skip
        hit = re.search(rf'<{tag}[^>]*?Value="([\d.]+)"', text) or re.search(
            rf"<{tag}[^>]*>([\d.]+)<", text
        )
        if hit:
            attrs[key] = float(hit[1])
    began = root.findtext("TimeStampStarted")
    if began:
        attrs["started"] = re.sub(r"(\.\d{6})\d+", r"\1", began.strip())
    return attrs


def _table(where: str, route: Any) -> np.ndarray | None:
    rows = [d.text.split(",") for d in route.iter("Datum") if d.text and d.text.strip()]
    if not rows:
        return None
    try:
        table = np.array(rows, dtype=float)
    except ValueError:
        raise FormatError(
            f"{where}: rows of unequal length, or not numbers: the file is damaged"
        ) from None
    return table if table.ndim == 2 else None


def _views(route: Any) -> dict[str, tuple[int, int]]:
    """First column and width of each view; the counter is ``counts``."""
    out: dict[str, tuple[int, int]] = {}
    for view in route.iter("RawDataView"):
        try:
            at = int(view.get("Start", "0")), int(view.get("Length", "1"))
        except ValueError:
            continue
        recording = view.find("Recording")
        varying = view.find("Varying")
        if recording is not None:
            name = recording.get("LogicName", "") or ""
            counter = recording.get("Category") == "Count" or "ounter" in name
            if counter and "counts" not in out:
                out["counts"] = at
            else:
                out.setdefault(f"recorded {name}", at)
        elif varying is not None:
            for k, field in enumerate(varying.iter("FieldDefinitions")):
                axis = field.get("FieldName") or field.get("AxisId") or ""
                out.setdefault(f"axis {axis}", (at[0] + k, 1))
        else:
            out.setdefault(view.get("LogicName", ""), at)
    if "counts" not in out:  # a single recorded view without a category is the counter
        told = [v for k, v in out.items() if k.startswith("recorded ")]
        if len(told) == 1:
            out["counts"] = told[0]
    return out


def _absorber(table: np.ndarray, views: dict[str, tuple[int, int]]) -> np.ndarray:
    at = views.get("AbsorptionFactor", (-1, 1))[0]
    factor = table[:, at] if 0 <= at < table.shape[1] else np.ones(len(table))
    return np.where(factor > 0, factor, 1.0)


def _still(
    path: Path,
    label: str,
    route: Any,
    table: np.ndarray,
    views: dict[str, tuple[int, int]],
    attrs: dict[str, Any],
) -> dict[str, Any] | None:
    """Patterns of a line detector that stands still, one per row."""
    first, width = views.get("counts", (0, 1))
    scale = next(iter(route.iter("ScaleAxisInfo")), None)
    axes = [a for a in route.iter("ScanAxisInfo") if _name(a) == "TwoTheta"]
    if width < 8:
        # older files do not say how wide the record is: it fills the row to its end
        points = _number(route, "ScanInformation/MeasurementPoints")
        if scale is None or len(table) > 1 or points not in (None, 1.0):
            return None
        start, step, stop = (_number(scale, k) for k in ("Start", "Increment", "Stop"))
        if start is None or not step or stop is None:
            return None
        width = min(round((stop - start) / step) + 1, table.shape[1])
        first = table.shape[1] - width
        if width < 8:
            return None
    if first + width > table.shape[1]:
        raise FormatError(f"{path.name}: {label}: rows are shorter than the detector is wide")
    info = scale if scale is not None else (axes[0] if axes else None)
    if info is None:
        return None
    start, step = _number(info, "Start"), _number(info, "Increment")
    if start is None or not step:
        return None
    if scale is None:
        start += _number(info, "Reference") or 0.0
    x = start + step * np.arange(width)
    factor = _absorber(table, views)
    out = {}
    for k, row in enumerate(table):
        name = label if len(table) == 1 else f"{label} {k + 1}"
        out[name] = pattern(
            path, "bruker_brml", name, x, row[first : first + width] * factor[k], units="counts",
            attrs=attrs, time_per_step=float(row[views.get("MeasuredTime", (0, 1))[0]]),
            attenuation=np.full(width, factor[k]),
        )  # fmt: skip
    return out


def _moving(
    path: Path,
    label: str,
    route: Any,
    table: np.ndarray,
    views: dict[str, tuple[int, int]],
    attrs: dict[str, Any],
) -> Any:
    """Pattern of a scan over two-theta, None if it is another scan."""
    axes = list(route.iter("ScanAxisInfo"))
    names = [_name(a) for a in axes]
    if "TwoTheta" not in names or len(table) < 2:
        return None
    at = names.index("TwoTheta")
    column = views.get("axis TwoTheta", (2 + at, 1))[0]
    counts = views.get("counts", (table.shape[1] - 1 if not views else 2 + len(axes), 1))[0]
    if max(column, counts) >= table.shape[1]:
        raise FormatError(
            f"{path.name}: {label}: rows of {table.shape[1]} values; the counts should be value "
            f"{counts + 1}"
        )
    x = table[:, column]
    start, step = _number(axes[at], "Start"), _number(axes[at], "Increment")
    if start is not None and step is not None:
        exact = start + step * np.arange(len(x))
        if np.max(np.abs(exact - x)) < 2e-3:
            x = exact
    factor = _absorber(table, views)
    y = table[:, counts] * factor
    time = table[:, views.get("MeasuredTime", (0, 1))[0]]
    usual = float(np.median(time))
    return pattern(
        path, "bruker_brml", label, x, y, units="counts", attrs=attrs, time_per_step=usual,
        attenuation=factor,
    )  # fmt: skip


def _name(axis: Any) -> str | None:
    name = axis.get("AxisName") or axis.get("AxisId")
    return str(name) if name else None


def _number(element: Any, tag: str) -> float | None:
    try:
        return float(element.findtext(tag, ""))
    except ValueError:
        return None


FORMATS = (Format("bruker_brml", "Bruker BRML", (".brml",), ("xrd",), _sniff, read),)

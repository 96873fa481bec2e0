"""SPECS SpecsLab2 XML (serializer 1.3 and 1.6): groups of regions, raw counts of every channel.

Per region: definition (values per curve, step, excitation and kinetic energy, pass energy, dwell
time), ``mcd_head`` and ``mcd_tail`` (extra points before and after), the detectors with their
``shift``, and per scan the counts of all detectors, interleaved point by point:
``(head + values + tail) x detectors``. A detector sees the kinetic energy
``E0 + (i - head) step + shift E_pass`` at point i, so its curve starts at the point
``head - shift E_pass / step``, rounded; head and tail are just long enough for that. The channels
of a scan are summed after this alignment (gains that are not 1 are divided out first). Readers that
cut head and tail off every channel alike smear a line by several steps.

``BE = h nu - KE``. Scans are not summed: several become the dimension ``scan``, cycles ``cycle``.
Counts stay counts; the transmission function becomes the variable ``transmission``.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import xarray as xr

from ..errors import FormatError
from ._xml import parse
from ._xps import region, region_name, stated, unique, with_reference_lines
from .base import Format, Options, Regions, read_bytes


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is XML of SPECS's serializer."""
    return head.lstrip().startswith(b"<?xml") and (
        b"XMLSerializer" in head or b"specs.de/Serializer" in head
    )


def read(path: Path, options: Options) -> Regions:
    """Read all regions of all groups."""
    root = parse(read_bytes(path, limit=512 * 1024**2), path.name)
    groups = [e for e in root.iter("struct") if e.get("type_name") == "RegionGroup"]
    regions: dict[str, xr.Dataset] = {}
    for group in groups:
        title = _text(_child(group, "name"))
        for data in group.iter("struct"):
            if data.get("type_name") != "RegionData":
                continue
            label = region_name(_text(_child(data, "name")))
            if len(groups) > 1:
                label = f"{label} ({title})"
            name = unique(label, regions)
            made = _region(path, name, title, data)
            if made is not None:
                regions[name] = made
    if not regions:
        raise FormatError(f"{path.name}: no region with counts in it")
    return with_reference_lines(regions)


def _child(element: Element, name: str) -> Element | None:
    return next((e for e in element if e.get("name") == name), None)


def _text(element: Element | None) -> str:
    return (element.text or "").strip() if element is not None else ""


def _numbers(path: Path, element: Element | None) -> np.ndarray:
    if element is None:
        return np.empty(0)
    words = " ".join(e.text or "" for e in element).split()
    try:
        return np.array([float(w) for w in words])
    except ValueError as error:
        raise FormatError(f"{path.name}: {element.get('name')}: {error}") from None


def _region(path: Path, name: str, title: str, data: Element) -> xr.Dataset | None:
    place = f"{path.name}, region {name!r}"
    about = _child(data, "region")
    info = {
        str(e.get("name")): (e.text or "").strip() for e in (about if about is not None else ())
    }
    try:
        values = int(info["values_per_curve"])
        step, start = float(info["scan_delta"]), float(info["kinetic_energy"])
        photon, pass_energy = float(info["excitation_energy"]), float(info["pass_energy"])
        dwell = float(info.get("dwell_time", "0"))
        head = int(_text(_child(data, "mcd_head")) or 0)
        tail = int(_text(_child(data, "mcd_tail")) or 0)
    except (KeyError, ValueError) as error:
        raise FormatError(f"{place}: the region definition lacks or garbles {error}") from None
    if not (0 < abs(step) < 1e6 and max(abs(start), photon, pass_energy, dwell) < 1e6):
        raise FormatError(f"{place}: energies that are not: {start:g} by {step:g} eV")
    shifts, gains = _detectors(path, data)
    cycles = _child(data, "cycles")
    scans: list[np.ndarray] = []
    per_cycle: list[int] = []
    for cycle in cycles if cycles is not None else ():
        found = [
            _numbers(path, _child(e, "counts"))
            for e in cycle.iter("struct")
            if e.get("type_name") == "ScanData"
        ]
        per_cycle.append(len(found))
        scans += found
    if not scans:
        return None
    size = (values + head + tail) * len(shifts)
    for k, scan in enumerate(scans):
        if scan.size != size:
            raise FormatError(
                f"{place}: scan {k + 1}: {scan.size} counts of {size}: the scan was broken off or "
                "the file is truncated"
            )
    first = [round(head - s * pass_energy / step) for s in shifts]
    if min(first) < 0 or max(first) + values > values + head + tail:
        first = [min(max(f, 0), head + tail) for f in first]
    channels = np.stack(scans).reshape(len(scans), -1, len(shifts))
    rows = sum(
        channels[:, f : f + values, k] / (1.0 if g == 1.0 else g)
        for k, (f, g) in enumerate(zip(first, gains, strict=True))
    )
    y = np.asarray(rows)
    outer: dict[str, np.ndarray] = {}
    if len(scans) > 1:
        outer["cycle" if set(per_cycle) == {1} else "scan"] = np.arange(len(scans))
    through = _numbers(path, _child(data, "transmission"))
    extra = {}
    if through.size == values:
        extra["transmission"] = (("binding_energy",), through, "1")
    return region(
        path,
        "specs_xml",
        name,
        photon - (start + step * np.arange(values)),
        y if outer else y[0],
        units="counts" if all(g == 1.0 for g in gains) else "1",
        attrs={
            "photon_energy_eV": photon,
            "pass_energy_eV": pass_energy,
            "work_function_eV": stated(path, info, "effective_workfunction") or None,
            "dwell_time_s": dwell,
            "sweeps": 1,
            "lens_mode": info.get("analyzer_lens", ""),
            "sample": title,
        },
        seconds=dwell,
        outer=outer,
        extra=extra,
    )


def _detectors(path: Path, data: Element) -> tuple[list[float], list[float]]:
    """Return shifts (in pass energies) and gains of the channels; one at rest if none is listed."""
    shifts, gains = [], []
    for detector in data.iter("struct"):
        if detector.get("type_name") != "Detector":
            continue
        plain = {str(e.get("name")): e.text or "" for e in detector}
        try:
            shift, gain = float(plain.get("shift", "0")), float(plain.get("gain", "1")) or 1.0
        except ValueError:
            shift = gain = np.nan
        if not (abs(shift) < 1e3 and 1e-9 < abs(gain) < 1e9):
            raise FormatError(f"{path.name}: a detector's shift or gain is not a number")
        shifts.append(shift)
        gains.append(gain)
    return (shifts, gains) if shifts else ([0.0], [1.0])


FORMATS = (
    Format(
        name="specs_xml",
        title="SPECS SpecsLab2 (.xml)",
        suffixes=(".xml",),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

"""PETRA .fio: the motors of a scan; its spectra lie in .nxs files of the same folder.

Sections ``%c`` comments, ``%p`` parameters ``name = value``, ``%d`` columns ``Col n name TYPE`` and
rows. The column ``xspress3_index`` numbers the files ``<prefix>_<index, 5 digits>.nxs`` beside the
.fio or in a folder of its name (``<prefix>`` is its name, with or without a last number); those
that exist become one spectrum along ``scan``, with the scanned motors as coordinates. ``d1.rx`` is
the detector's angle, 2theta in degree, kept as the header's.

A file whose columns are spectra (``<scan>_mca_s<n>.fio``: a column per analyser, a row per channel,
no motor; parameter ``SAMPLE_TIME`` in s) is read as such, one region per column.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import xarray as xr

from ..convention import with_history
from ..errors import FormatError
from ._mca import TECHNIQUES, as_counts, mca, technique_of
from .base import Format, Options, Regions, read_bytes, source
from .hdf5_map import read as read_nxs

_INDEX = "xspress3_index"


def _sniff(head: bytes, path: Path) -> bool:
    return path.suffix.lower() == ".fio" and head.lstrip().startswith((b"!", b"%")) and b"%" in head


def table(path: Path) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Return the parameters and columns of a .fio file.

    Raises
    ------
    FormatError
        If a row does not have one number per column.
    """
    text = read_bytes(path, limit=64 * 1024**2).decode("latin-1")
    section, names, rows = "", [], []
    parameters: dict[str, float] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("!"):
            continue
        if re.fullmatch(r"%[a-z]", line):
            section = line[1]
        elif section == "p" and "=" in line:
            key, _, value = line.partition("=")
            try:
                parameters[key.strip()] = float(value)
            except ValueError:
                continue
        elif section == "d" and line.startswith("Col "):
            words = line.split()
            if len(words) < 3:
                raise FormatError(f"{path.name}: line {number}: {line[:40]!r} names no column")
            names.append(words[2])
        elif section == "d":
            try:
                row = [float(w) for w in line.split()]
            except ValueError:
                row = []
            if len(row) != len(names):
                raise FormatError(
                    f"{path.name}: line {number}: {len(row)} numbers for {len(names)} columns: the "
                    "file is truncated; copy it again"
                )
            rows.append(row)
    if not names or not rows:
        raise FormatError(f"{path.name}: no columns after %d: the file is truncated or not a scan")
    return parameters, dict(zip(names, np.array(rows).T, strict=True))


def read(path: Path, options: Options) -> Regions:
    """Read the spectra that a scan points to.

    Raises
    ------
    FormatError
        If the scan names no spectra, or none of its files is in the folder.
    """
    parameters, columns = table(path)
    if _INDEX not in columns and _are_spectra(path, columns):
        return _spectra(path, columns, parameters, options)
    if _INDEX not in columns:
        raise FormatError(
            f"{path.name}: a list of motors ({', '.join(columns)}) without spectra; open the .nxs "
            "files themselves"
        )
    prefix = re.sub(r"_?\d+$", "", path.stem)
    numbers = columns[_INDEX]
    if not np.all(np.isfinite(numbers)):
        raise FormatError(f"{path.name}: column {_INDEX} holds values that are not finite")
    found: list[tuple[int, Path]] = []
    for name in dict.fromkeys((path.stem, prefix)):
        for folder in (path.parent, path.parent / path.stem):
            if not found:
                files = [folder / f"{name}_{int(n):05d}.nxs" for n in numbers]
                found = [(k, file) for k, file in enumerate(files) if file.is_file()]
    if not found:
        raise FormatError(
            f"{path.name}: none of its {len(numbers)} files {prefix}_NNNNN.nxs is in the folder; "
            "put them beside it"
        )
    names = list(read_nxs(found[0][1], options))
    regions = {}
    for name in names:
        parts = []
        for _, file in found:
            one = read_nxs(file, options)
            if name not in one or one[name]["intensity"].ndim != 1:
                raise FormatError(
                    f"{file.name}: no single spectrum {name!r} as in {found[0][1].name}"
                )
            parts.append(one[name].drop_vars("valid", errors="ignore"))
        regions[name] = _joined(path, name, parts, [k for k, _ in found], columns, parameters)
    return regions


def _are_spectra(path: Path, columns: dict[str, np.ndarray]) -> bool:
    """Whether the columns hold counts by channel: named so, whole, and long enough."""
    values = np.array(list(columns.values()))
    counts = bool(np.all(np.isfinite(values)) and np.all(values >= 0.0))
    named = "mca" in path.stem.lower() or all("mca" in n.lower() for n in columns)
    return named and counts and values.shape[1] >= 128 and np.array_equal(values, np.round(values))


def _spectra(
    path: Path,
    columns: dict[str, np.ndarray],
    parameters: dict[str, float],
    options: Options,
) -> Regions:
    time = next((parameters[k] for k in ("SAMPLE_TIME", "exposure_time") if k in parameters), None)
    return {
        name: mca(
            as_counts(np.asarray(values, float), path),
            technique=technique_of(options, "edxrd"),
            source=source(path, "fio", name),
            real_time=time,
            two_theta_deg=parameters.get("d1.rx"),
        )
        for name, values in columns.items()
    }


def _joined(
    path: Path,
    name: str,
    parts: list[xr.Dataset],
    rows: list[int],
    columns: dict[str, np.ndarray],
    parameters: dict[str, float],
) -> xr.Dataset:
    ds = xr.concat(parts, "scan", combine_attrs="override", coords="minimal", compat="override")
    ds = ds.assign_coords(scan=("scan", np.array(rows), {"units": "1"}))
    for key, values in columns.items():
        if key != _INDEX:
            label = re.sub(r"\W", "_", key)
            ds = ds.assign_coords({f"motor_{label}": ("scan", values[rows], {"units": "1"})})
    if "d1.rx" in parameters and "d1.rx" not in columns:
        ds.attrs["header_two_theta_deg"] = parameters["d1.rx"]
    if "d1.rx" in columns:
        ds = ds.assign_coords(header_two_theta=("scan", columns["d1.rx"][rows], {"units": "deg"}))
    import json

    ds.attrs["source"] = json.dumps([source(path, "fio", name).__dict__])
    ds.attrs["history"] = ""
    return with_history(ds, f"open {path.name} [{name}]")


FORMATS = (Format("fio", "PETRA .fio scan with .nxs spectra", (".fio",), TECHNIQUES, _sniff, read),)

"""CasaXPS exports of spectra with their fits, tab-separated (.txt) or comma-separated (.csv).

Tables one below the other: per block ``Cycle n:<sample>:<region>``, characteristic energy (eV) and
acquisition time (s), rows Name/Position/FWHM/Area/Lineshape with one column per component, then
columns K.E., Counts, components, background, envelope, blank, B.E., CPS and the same in CPS.

Tables side by side: the rows Name to Lineshape, then one row of headers with ``B.E., Cycle n:
<sample>:<region>:CPS, <components>, Background, Envelope`` per spectrum, blank columns between.

Plain tables, commas or tabs, also several below each other: two rows (empty, or the VAMAS file and
the region), characteristic energy and acquisition time, a header ``[KE_...,] BE_..., CPS_...,
<components>, Background_..., Envelope_...``.

The binding energies of the file are taken as CasaXPS shows them, calibrated if they were there.
Intensities are the counts where the file holds them, else counts per second with the counting error
where they are whole counts over the acquisition time. The fit is kept beside the data as it stands:
``reported_background``, ``reported_envelope``, ``reported_components(component, binding_energy)``
(each on the background), and positions, widths, areas and line shapes in attrs
``casaxps_components`` (JSON).
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import FormatError
from ._xps import decimal, region, region_name, unique, with_reference_lines
from .base import Format, Options, Regions, read_bytes

_CYCLE = re.compile(r"^Cycle (\d+):(.*):([^:]*)$")
_SIDE = re.compile(r"^Cycle (\d+):(.*):([^:]*):(CPS|Counts)$")
_ROWS = ("Name", "Position", "FWHM", "Area", "Lineshape")


def sniff(head: bytes, path: Path) -> bool:
    """Whether the words CasaXPS writes stand where it puts them."""
    lines = head.decode("latin-1").splitlines()
    if len(lines) < 4:
        return False
    if lines[0].lstrip('"').startswith("Cycle ") and "Characteristic Energy eV" in lines[1]:
        return True
    if re.match(r"[,\t]?Characteristic Energy eV[,\t]", lines[2]):
        return True
    return _side_header(lines) is not None


def _side_header(lines: list[str]) -> int | None:
    """Return the line of headers of tables side by side."""
    for k, line in enumerate(lines[:12]):
        if re.match(r'^"?B\.E\."?[\t,]"?Cycle \d+:', line):
            return k
    return None


def _cells(lines: list[str]) -> list[list[str]]:
    """Split lines at their tabs or commas; quoted texts may hold commas."""
    mark = "\t" if sum(line.count("\t") for line in lines[:12]) else ","
    return list(csv.reader(lines, delimiter=mark, quoting=csv.QUOTE_MINIMAL))


def read(path: Path, options: Options) -> Regions:
    """Read all blocks."""
    lines = read_bytes(path, limit=512 * 1024**2).decode("latin-1").splitlines()
    try:
        if lines[0].lstrip('"').startswith("Cycle "):
            return with_reference_lines(_below(path, _cells(lines)))
        header = _side_header(lines)
        if header is not None:
            return with_reference_lines(_beside(path, _cells(lines), header))
        return with_reference_lines(_plain(path, _cells(lines)))
    except csv.Error as error:
        raise FormatError(f"{path.name}: not a table ({error})") from None


def _below(path: Path, cells: list[list[str]]) -> dict[str, xr.Dataset]:
    """Read tables one below the other."""
    firsts = [row[0].strip() if row else "" for row in cells]
    heads = [k for k, text in enumerate(firsts) if _CYCLE.match(text)]
    named = [_CYCLE.match(firsts[k]) for k in heads]
    several = len({m[2] for m in named if m}) > 1
    regions: dict[str, xr.Dataset] = {}
    for number, start in enumerate(heads):
        stop = heads[number + 1] if number + 1 < len(heads) else len(cells)
        block = [row or [""] for row in cells[start:stop]]
        match = named[number]
        assert match is not None
        label = _region_label(match[3]) + (f" ({match[2]})" if several else "")
        name = unique(label, regions)
        if len(block) < 10:
            raise FormatError(f"{path.name}: line {stop}: block {name!r} is cut off")
        head = next((k for k, row in enumerate(block) if row[0].strip() == "K.E."), None)
        columns = [] if head is None else [c.strip() for c in block[head]]
        if head is None or "B.E." not in columns:
            raise FormatError(f"{path.name}: block {name!r} has no columns K.E. and B.E.")
        table = _table(path, block[head + 1 :], len(columns), start + head + 2, name)
        be = columns.index("B.E.")
        parts = {row[0].strip(): [w.strip() for w in row] for row in block[2:head]}
        where = [k for k, w in enumerate(parts.get("Name", [])) if k > 1 and w]
        regions[name] = _region(
            path,
            name,
            table[:, be],
            table[:, 1],
            "counts",
            *_characteristic(block[1]),
            columns[2 : be - 1],
            table[:, 2 : be - 1],
            _about(parts, where),
            match[2],
        )
    if not regions:
        raise FormatError(f"{path.name}: no 'Cycle' block in it: the file is truncated")
    return regions


def _about(parts: dict[str, list[str]], where: list[int]) -> list[dict[str, str]]:
    """Return name, position, width, area and shape of the components in these columns."""
    return [
        {key: parts[key][k] for key in _ROWS}
        for k in where
        if all(len(parts.get(key, [])) > k for key in _ROWS)
    ]


def _region_label(text: str) -> str:
    return region_name(re.sub(r"\s+Scan$", "", text.strip()))


def _beside(path: Path, cells: list[list[str]], header: int) -> dict[str, xr.Dataset]:
    """Read tables side by side; shorter ones end in blank cells."""
    heads = [c.strip() for c in cells[header]]
    starts = [k for k, text in enumerate(heads) if text == "B.E."]
    found = [_SIDE.match(heads[k + 1]) if k + 1 < len(heads) else None for k in starts]
    several = len({m[2] for m in found if m}) > 1
    photon, seconds = next(
        (_characteristic(row) for row in cells[:header] if "Characteristic Energy eV" in row),
        (0.0, 0.0),
    )
    parts = {row[0].strip(): [w.strip() for w in row] for row in cells[:header] if row}
    regions: dict[str, xr.Dataset] = {}
    for start, stop, match in zip(starts, [*starts[1:], len(heads)], found, strict=True):
        if match is None:
            raise FormatError(
                f"{path.name}: line {header + 1}: no 'Cycle' after column {start + 1}"
            )
        used = [k for k in range(start, stop) if heads[k]]
        rows = [[row[k] if k < len(row) else "" for k in used] for row in cells[header + 1 :]]
        kept = [row for row in rows if row[0].strip()]
        label = _region_label(match[3]) + (f" ({match[2]})" if several else "")
        name = unique(label, regions)
        if any(not w.strip() for row in kept for w in row[:2]) or (
            kept and any(not w.strip() for w in kept[-1])
        ):
            raise FormatError(
                f"{path.name}: {name!r}: energies without values: the file is truncated"
            )
        table = _table(path, kept, len(used), header + 2, name)
        regions[name] = _region(
            path,
            name,
            table[:, 0],
            table[:, 1],
            "counts/s" if match[4] == "CPS" else "counts",
            photon,
            seconds,
            [heads[k].rpartition(":")[2] for k in used[2:]],
            table[:, 2:],
            _about(parts, [k for k in used[2:] if len(parts.get("Name", [])) > k]),
            match[2],
        )
    return regions


def _plain(path: Path, cells: list[list[str]]) -> dict[str, xr.Dataset]:
    """Read plain tables, each two rows below its start naming energy and time."""
    heads = [k for k, row in enumerate(cells) if "Characteristic Energy eV" in row[:2]]
    regions: dict[str, xr.Dataset] = {}
    for number, at in enumerate(heads):
        stop = heads[number + 1] - 2 if number + 1 < len(heads) else len(cells)
        header = [c.strip() for c in cells[at + 1]] if at + 1 < stop else []
        first = 1 if header and header[0].startswith("KE_") else 0
        if len(header) < first + 2 or not header[first].startswith("BE_"):
            raise FormatError(
                f"{path.name}: line {at + 2}: no columns BE_ and CPS_: the file is truncated"
            )
        block = header[first][3:]
        columns = [c.removesuffix(f"_{block}") for c in header]
        table = _table(path, cells[at + 2 : stop], len(columns), at + 3, block)
        told = cells[at - 2][0].strip() if at >= 2 and cells[at - 2] else ""
        name = unique(region_name(re.sub(r"\s+\d+$", "", block)), regions)
        regions[name] = _region(
            path,
            name,
            table[:, first],
            table[:, first + 1],
            "counts/s",
            *_characteristic(cells[at]),
            columns[first + 2 :],
            table[:, first + 2 :],
            [],
            re.split(r"[\\/]", told)[-1].rpartition(".")[0] or told or path.stem,
        )
    if not regions:
        raise FormatError(f"{path.name}: no 'Characteristic Energy eV': the file is truncated")
    return regions


def _characteristic(words: list[str]) -> tuple[float, float]:
    """Return photon energy and acquisition time, 0 where absent."""
    plain = [w.strip() for w in words]
    found = []
    for key in ("Characteristic Energy eV", "Acquisition Time s"):
        at = plain.index(key) + 1 if key in plain else len(plain)
        try:
            found.append(float(plain[at]))
        except (IndexError, ValueError):
            found.append(0.0)
    return found[0], found[1]


def _table(path: Path, rows: list[list[str]], columns: int, first: int, name: str) -> np.ndarray:
    kept = []
    for k, row in enumerate(rows):
        if not any(w.strip() for w in row):
            continue
        if len(row) < columns:
            raise FormatError(
                f"{path.name}: line {first + k}: {len(row)} of {columns} columns in {name!r}: the "
                "file is truncated; export it again"
            )
        words = row[:columns]
        kept.append([decimal(w, path, first + k, "value") if w.strip() else np.nan for w in words])
    if len(kept) < 2:
        raise FormatError(f"{path.name}: block {name!r} holds no values: the file is truncated")
    return np.array(kept)


def _region(
    path: Path,
    name: str,
    energy: np.ndarray,
    values: np.ndarray,
    units: str,
    photon: float,
    seconds: float,
    columns: list[str],
    table: np.ndarray,
    about: list[dict[str, str]],
    sample: str,
) -> xr.Dataset:
    extra: dict[str, tuple[tuple[str, ...], np.ndarray, str]] = {}
    plain = [c.casefold() for c in columns]
    for key in ("background", "envelope"):
        hit = [k for k, c in enumerate(plain) if c.startswith(key)]
        if hit:
            extra[f"reported_{key}"] = (("binding_energy",), table[:, hit[0]], units)
    parts = [k for k, c in enumerate(plain) if c and not c.startswith(("background", "envelope"))]
    attrs: dict[str, Any] = {"photon_energy_eV": photon or None, "sample": sample}
    extra = {k: v for k, v in extra.items() if np.isfinite(v[1]).all()}
    if parts:
        extra["reported_components"] = (("component", "binding_energy"), table[:, parts].T, units)
        attrs["casaxps_components"] = json.dumps(about or [{"Name": columns[k]} for k in parts])
    return region(
        path,
        "casaxps_txt",
        name,
        energy,
        values,
        units=units,
        attrs=attrs,
        seconds=seconds,
        extra=extra,
    )


FORMATS = (
    Format(
        name="casaxps_txt",
        title="CasaXPS text and csv exports",
        suffixes=(".txt", ".csv"),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

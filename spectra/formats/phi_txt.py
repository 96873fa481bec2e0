"""PHI AugerScan/RBD text export: a line of totals, region names, then each region's counts.

First line ``Cycles n; Regions n; Anode ..; Photon Energy ..; XPS;`` (absent for one
region). A region starts with
``Element <name>; Region i of n; Depth Cycle j of m; Time Per Step (ms); Sweeps; ...`` and lists
binding energy and counts, tab separated. Several depth cycles of a region become the dimension
``cycle``. Values are counts; the counting time is time per step times sweeps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from ..errors import FormatError
from ._xps import decimal, region, region_name, stated, unique, with_reference_lines
from .base import Format, Options, Regions, read_bytes


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line is PHI's line of totals, or that of a single region."""
    first = head.split(b"\n")[0]
    known = first.startswith((b"Cycles ", b"Element ")) and b"; Anode " in first
    return known and b"Photon Energy" in first


def read(path: Path, options: Options) -> Regions:
    """Read all regions."""
    lines = read_bytes(path, limit=512 * 1024**2).decode("latin-1").splitlines()
    heads = [k for k, line in enumerate(lines) if line.startswith("Element ")]
    total = _fields(lines[0]).get("Regions", "")
    if not heads:
        raise FormatError(f"{path.name}: no region in it: the file is truncated")
    blocks: dict[str, list[tuple[dict[str, str], np.ndarray]]] = {}
    for k, start in enumerate(heads):
        stop = heads[k + 1] if k + 1 < len(heads) else len(lines)
        about = _fields(lines[start])
        rows = [
            [decimal(w, path, start + 2 + n, "value") for w in line.split("\t")[:2]]
            for n, line in enumerate(lines[start + 1 : stop])
            if line.strip()
        ]
        if len(rows) < 2 or any(len(r) != 2 for r in rows):
            raise FormatError(
                f"{path.name}: line {stop}: region {about.get('Element')!r} is cut off: the file "
                "is truncated; export it again"
            )
        blocks.setdefault(about.get("Region", str(k)), []).append((about, np.array(rows)))
    if total.isdigit() and len(blocks) != int(total):
        raise FormatError(
            f"{path.name}: {len(blocks)} regions of {total}: the file is truncated; export it again"
        )
    regions: dict[str, xr.Dataset] = {}
    for parts in blocks.values():
        about, first = parts[0]
        if any(p.shape != first.shape for _, p in parts):
            raise FormatError(f"{path.name}: cycles of {about.get('Element')!r} differ in length")
        name = unique(region_name(about.get("Element", "")), regions)
        step, sweeps = (stated(path, about, k) for k in ("Time Per Step", "Sweeps"))
        y = np.stack([p[:, 1] for _, p in parts])
        regions[name] = region(
            path,
            "phi_txt",
            name,
            first[:, 0],
            y if len(parts) > 1 else y[0],
            units="counts",
            attrs={
                "photon_energy_eV": stated(path, about, "Photon Energy") or None,
                "source_label": about.get("Anode", ""),
                "dwell_time_s": step * 1e-3,
                "sweeps": int(sweeps),
            },
            seconds=step * 1e-3 * sweeps,
            outer={"cycle": np.arange(len(parts))} if len(parts) > 1 else None,
        )
    return with_reference_lines(regions)


def _fields(line: str) -> dict[str, str]:
    """Split ``Name value; Name value;``: the value is the last word, or ``i of n``."""
    found = {}
    for part in line.split(";"):
        words = part.split()
        if len(words) > 3 and words[-2] == "of":
            found[" ".join(words[:-3])] = " ".join(words[-3:])
        elif words and words[0] == "Element":
            found["Element"] = " ".join(words[1:])
        elif len(words) > 1:
            found[" ".join(words[:-1])] = words[-1]
    return found


FORMATS = (
    Format(
        name="phi_txt",
        title="PHI text export",
        suffixes=(".txt",),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

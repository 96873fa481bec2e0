"""SPECS Prodigy experiments (.sle, SQLite; also gzip-compressed as .sle.gz).

Tables: ``Configuration`` (the schedule as XML: names of spectra and groups by node), ``Spectrum``
(per node: energy channels, samples, first energy, ``Binding`` or ``Kinetic``, step, pass energy,
work function), ``RawData`` (one row per scan), ``CountRateData`` (float64 count rates in chunks by
offset), ``TransmissionData``. Binding energies descend from the first one by the step; kinetic ones
ascend and become ``h nu - KE``.

One region per spectrum node; its scans become the dimension ``scan`` and are not summed. A node
with many energy channels is a snapshot of the detector in time (alignment): its samples become
``scan`` and its axis the detector ``channel``. Rates are kept; the file states no counting error.
"""

from __future__ import annotations

import gzip
import sqlite3
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import xarray as xr

from ..convention import spectrum
from ..errors import FormatError
from ._xps import region, region_name, unique, with_reference_lines
from .base import Format, Options, Regions, source

_MAX_UNPACKED = 2 * 1024**3
_MAX_VALUES = 200_000_000
_SPECTRA = (
    "SELECT Node, EnergyChns, NonEnergyChns, Samples, ElectronEnergy, EnergyType, Step, "
    "EpassOrRR, Wf, Timestamp FROM Spectrum ORDER BY Node"
)
_MAGIC = b"SQLite format 3\0"


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is an SQLite file called .sle, or one compressed."""
    name = path.name.lower()
    return (name.endswith(".sle") and head.startswith(_MAGIC)) or (
        name.endswith(".sle.gz") and head.startswith(b"\x1f\x8b")
    )


def read(path: Path, options: Options) -> Regions:
    """Read all spectra of the experiment."""
    with _database(path) as file:
        try:
            with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)) as link:
                regions = _regions(path, link)
        except sqlite3.Error as error:
            raise FormatError(
                f"{path.name}: not a readable Prodigy database ({error}): the file is truncated or "
                "another program's; copy it again"
            ) from None
    if not regions:
        raise FormatError(f"{path.name}: no spectrum with data in it")
    return with_reference_lines(regions)


@contextmanager
def _database(path: Path) -> Iterator[Path]:
    """Give the file itself, or its unpacked copy for as long as it is read."""
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    if not packed:
        yield path.resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "unpacked.sle"
        try:
            with gzip.open(path) as stream, target.open("wb") as out:
                total = 0
                while block := stream.read(1 << 20):
                    total += len(block)
                    if total > _MAX_UNPACKED:
                        raise FormatError(f"{path.name}: unpacks to over {_MAX_UNPACKED} bytes")
                    out.write(block)
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(f"{path.name}: {error}: the file is truncated") from None
        yield target


def _regions(path: Path, link: sqlite3.Connection) -> dict[str, xr.Dataset]:
    names = _names(path, link)
    several = len({group for group, _ in names.values()}) > 1
    regions: dict[str, xr.Dataset] = {}
    for row in link.execute(_SPECTRA).fetchall():
        node, channels, others, samples, first, kind, step, pass_energy, wf, when = row
        if not (0 < samples <= 1e7 and 0 < channels <= 1e5 and 0 < others <= 1e5):
            raise FormatError(
                f"{path.name}: spectrum {node}: {samples} samples, {channels} channels"
            )
        scans = link.execute(
            "SELECT RawID, Scans, Eexc FROM RawData WHERE Node = ? ORDER BY RawID", (node,)
        ).fetchall()
        if not scans:
            continue
        if len(scans) * samples * channels * others > _MAX_VALUES:
            raise FormatError(f"{path.name}: spectrum {node}: over {_MAX_VALUES} values")
        size = samples * channels * others
        data = np.stack([_scan(path, link, node, raw, size) for raw, _, _ in scans])
        group, own = names.get(node, ("", f"spectrum {node}"))
        label = region_name(own) + (f" ({group})" if several and group else "")
        name = unique(label, regions)
        photon = float(scans[0][2])
        attrs = {
            "photon_energy_eV": photon,
            "pass_energy_eV": float(pass_energy),
            "work_function_eV": float(wf),
            "sample": group,
            "measured": str(when or ""),
            "sweeps": sum(int(s) for _, s, _ in scans),
        }
        if channels > 1 or others > 1:
            regions[name] = _snapshot(path, name, data.reshape(-1, channels * others), attrs)
            continue
        binding = str(kind).casefold().startswith("bind")
        energy = (
            first - step * np.arange(samples)
            if binding
            else (photon - (first + step * np.arange(samples)))
        )
        regions[name] = region(
            path,
            "specs_sle",
            name,
            energy,
            data if len(data) > 1 else data[0],
            units="counts/s",
            attrs=attrs,
            outer={"scan": np.arange(len(data))} if len(data) > 1 else None,
        )
    return regions


def _snapshot(path: Path, name: str, data: np.ndarray, attrs: dict[str, object]) -> xr.Dataset:
    return spectrum(
        data,
        np.arange(data.shape[1]),
        technique="xps",
        axis_name="channel",
        units="counts/s",
        outer={"scan": np.arange(len(data))},
        attrs={"region": name, **{k: v for k, v in attrs.items() if v != ""}},
        source=source(path, "specs_sle", name),
    )


def _scan(path: Path, link: sqlite3.Connection, node: int, raw: int, size: int) -> np.ndarray:
    chunks = link.execute(
        "SELECT Data FROM CountRateData WHERE RawID = ? ORDER BY Offset", (raw,)
    ).fetchall()
    data = b"".join(chunk for (chunk,) in chunks)
    if len(data) != 8 * size:
        raise FormatError(
            f"{path.name}: spectrum {node}, record {raw}: {len(data)} bytes of {8 * size}: the "
            "measurement was broken off or the file is truncated"
        )
    return np.frombuffer(data, "<f8")


def _names(path: Path, link: sqlite3.Connection) -> dict[int, tuple[str, str]]:
    """Return (group, name) by node from the schedule."""
    from ._xml import parse

    found = link.execute("SELECT Value FROM Configuration WHERE Key = 'Schedule'").fetchone()
    if not found:
        return {}
    root = parse(str(found[0]).encode(), path.name)
    names: dict[int, tuple[str, str]] = {}
    for group in root.iter("SpectrumGroup"):
        label = str(group.get("Name", "")).split(",")[0].strip()
        for spec in group.iter("Spectrum"):
            number = str(spec.get("ID", ""))
            if number.isdigit():
                names[int(number)] = (label, str(spec.get("Name", "")))
    return names


FORMATS = (
    Format(
        name="specs_sle",
        title="SPECS Prodigy experiment (.sle)",
        suffixes=(".sle", ".gz"),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

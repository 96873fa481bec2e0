"""Bruker TopSpin and XWIN-NMR: a folder per experiment, a folder of them, or a zip of either.

============== =================================================================================
in a folder    meaning
============== =================================================================================
acqus, acqu2s  JCAMP-like parameters of acquisition: ``##$NAME= value``, ``<text>``, ``(0..n)``
fid, ser       interleaved real, imaginary: ``DTYPA`` 0 int32, 1 float32, 2 float64;
               ``BYTORDA`` 0 little, 1 big endian; rows of ``ser`` padded to 1024 bytes;
               ``GRPDLY`` points of filter delay in front
pdata/N/procs  parameters of processing; proc2s for the indirect dimension
pdata/N/1r 1i  spectrum, ``DTYPP``/``BYTORDP`` as above, times ``2**NC_proc``; first point at
               ``OFFSET`` ppm, width ``SW_p`` Hz, zero of the scale ``SF`` MHz
pdata/N/2rr    the same in two dimensions, stored in tiles of ``XDIM`` points
============== =================================================================================

What is read: of an experiment its processed spectrum (lowest ``procno``), or the raw signal where
there is none; a path to ``fid``, ``ser`` or ``pdata/N`` (or a file in it) names just that. A folder
of numbered experiments becomes one Spectrum along ``time`` (start of each from DATE in ``acqus``,
which is UTC seconds; zero is the first), one region per kind of experiment if they differ.
Experiments set up but not run are left out, named in ``attrs["experiments_without_data"]``.

Shifts come from ``procs`` (``SF``, ``OFFSET``). Where ``SF`` is more than 1 % away from ``BF1`` it
belongs to another nucleus: the axis is then built from ``acqus`` against ``BF1`` and says so in
``attrs["axis_note"]``. ``MASR`` and ``TE`` are often defaults and are kept as ``*_as_stated``.
No uncertainty is stored in these files; ``correct noise`` measures it in a signal-free region.
"""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..convention import Source
from ..errors import FormatError
from . import base
from ._bruker import (
    Parameters,
    group_delay,
    noise_factor,
    number,
    parameters,
    seconds,
    text_of,
)
from ._bruker_series import stacked
from ._nmr import MAX_POINTS, nucleus_name, processed, raw, shift_axis, utc
from .base import Format, Options, Regions

NAME = "bruker_topspin"
MAX_ZIP_BYTES = 2 * 1024**3
SPECTRA = ("2rr", "1r")
RAW = ("ser", "fid")
_WANTED = {
    "acqus", "acqu2s", "acqu3s", "procs", "proc2s", "fid", "ser", "1r", "1i", "2rr", "2ri", "2ir",
    "2ii", "title", "vdlist", "vclist", "vplist",
}  # fmt: skip
_ROW = 1024
_TYPES = {0: "<i4", 1: "<f4", 2: "<f8"}
_SEQUENTIAL = {0: "QF", 2: "qseq"}


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is a TopSpin experiment, a folder or a zip of them, or a data file in one."""
    try:
        if path.is_dir():
            return _kind_of(path) is not None
        if head[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
            return any(PurePosixPath(n).name in ("acqus", "procs") for n in names)
        if path.name in RAW:
            return (path.parent / "acqus").is_file()
        return path.name in SPECTRA and (path.parent / "procs").is_file()
    except (OSError, zipfile.BadZipFile, ValueError):
        return False


def _kind_of(folder: Path) -> str | None:
    if (folder / "acqus").is_file():
        return "experiment"
    if (folder / "procs").is_file():
        return "processed"
    if any((child / "acqus").is_file() for child in _numbered(folder)):
        return "series"
    return None


def _numbered(folder: Path) -> list[Path]:
    """Subfolders with a number as name, in numerical order."""
    found = [p for p in folder.iterdir() if p.name.isdecimal() and p.is_dir()]
    return sorted(found, key=lambda p: int(p.name))


def read(path: Path, options: Options) -> Regions:
    """Read an experiment, a data file of one, a folder of experiments, or a zip."""
    record = base.source(path, NAME)
    if path.is_file() and zipfile.is_zipfile(path):
        with _unpacked(path) as folder:
            return _read_folder(folder, record)
    if path.is_file():
        if path.name in RAW:
            ds = _read_raw(path.parent, path, record)
        else:
            ds = _read_processed(path.parent, record)
        return {str(ds.attrs.get("nucleus", "nmr")): ds}
    return _read_folder(path, record)


def _read_folder(folder: Path, record: Source) -> Regions:
    kind = _kind_of(folder)
    if kind is None:
        inner = [p for p in sorted(folder.iterdir()) if p.is_dir() and _kind_of(p) is not None]
        if len(inner) != 1:
            raise FormatError(
                f"{record.file}: no acqus file and {len(inner)} experiment folders inside; "
                "give one experiment or a folder of numbered ones"
            )
        return _read_folder(inner[0], record)
    if kind == "processed":
        ds = _read_processed(folder, record)
    elif kind == "experiment":
        ds = _read_experiment(folder, record)
    else:
        return _read_series(folder, record)
    return {str(ds.attrs.get("nucleus", "nmr")): ds}


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """Unpack the wanted files of a zip into a temporary folder, never outside it."""
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as temporary:
        entries = []
        for info in archive.infolist():
            place = PurePosixPath(info.filename)
            if place.name not in _WANTED or place.parts[0] == "__MACOSX":
                continue
            if place.is_absolute() or ".." in place.parts or "\\" in info.filename:
                raise FormatError(f"{path.name}: entry {info.filename!r} leaves the archive")
            entries.append((info, place))
        if sum(info.file_size for info, _ in entries) > MAX_ZIP_BYTES:
            raise FormatError(f"{path.name}: more than {MAX_ZIP_BYTES} bytes unpacked; unzip it")
        for info, place in entries:
            target = Path(temporary, *place.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.write_bytes(archive.read(info))
            except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
                raise FormatError(
                    f"{path.name}: entry {info.filename!r} cannot be unpacked ({error})"
                ) from None
        yield Path(temporary)


def _array(path: Path, kind: float, order: float, count: int | None, what: str) -> npt.NDArray:
    """Read int32, float32 or float64 values of either byte order, after checking the size."""
    if kind not in _TYPES:
        raise FormatError(f"{path.name}: data type {kind!r}; 0 (int), 1 (float) or 2 (double)")
    dtype = np.dtype(_TYPES[int(kind)])
    if order == 1:
        dtype = dtype.newbyteorder(">")
    size = path.stat().st_size
    if count is not None and size < count * dtype.itemsize:
        raise base.truncated(path, size, count * dtype.itemsize, what)
    if size > MAX_POINTS * 8:
        raise FormatError(f"{path.name}: {size} bytes; {MAX_POINTS * 8} is the limit")
    return np.fromfile(path, dtype, count=-1 if count is None else count)


# --- parameters of the experiment -------------------------------------------------------------


def _described(acqus: Parameters, title: str) -> dict[str, Any]:
    attrs: dict[str, Any] = {
        "nucleus": nucleus_name(str(acqus.get("NUC1", ""))),
        "carrier_MHz": acqus.get("SFO1"),
        "base_MHz": acqus.get("BF1"),
        "spectral_width_Hz": acqus.get("SW_h"),
        "scans": acqus.get("NS"),
        "receiver_gain": acqus.get("RG"),
        "pulse_program": acqus.get("PULPROG"),
        "instrument": acqus.get("INSTRUM"),
        "solvent": acqus.get("SOLVENT"),
        "spinning_Hz_as_stated": acqus.get("MASR"),
        "temperature_K_as_stated": acqus.get("TE"),
        "title": title,
    }
    delays, pulses = acqus.get("D"), acqus.get("P")
    if isinstance(delays, list) and len(delays) > 1:
        attrs["recycle_delay_s"] = float(delays[1])
    if isinstance(pulses, list) and len(pulses) > 1:
        attrs["pulse_us"] = float(pulses[1])
    date = acqus.get("DATE")
    if isinstance(date, (int, float)) and date > 0:
        attrs["started"] = utc(date)
    return {k: v for k, v in attrs.items() if isinstance(v, (int, float, str)) and v != ""}


def _reference(procs: Parameters, acqus: Parameters, place: str) -> tuple[float, str, str]:
    """Return the frequency of 0 ppm, a note if it is not SF, and the calibration if SF was set."""
    bf1 = number(acqus, "BF1", place) if "BF1" in acqus else None
    sf = procs.get("SF")
    sf = float(sf) if isinstance(sf, (int, float)) and sf > 0 else None
    if sf is None and bf1 is None:
        raise FormatError(f"{place}: neither SF (procs) nor BF1 (acqus): no shift scale possible")
    if bf1 is None:
        assert sf is not None
        return sf, "", f"procs SF {sf:.9g} MHz"
    if sf is None:
        return bf1, "no SF in procs; zero of the scale is BF1 of acqus", ""
    if abs(sf - bf1) > 0.01 * bf1:
        note = (
            f"procs SF {sf:.6f} MHz is not that of {acqus.get('NUC1', 'the nucleus')} "
            f"(BF1 {bf1:.6f} MHz); axis from acqus, zero at BF1"
        )
        return bf1, note, ""
    # SR = SF - BF1 is zero until somebody references the spectrum.
    sr = (sf - bf1) * 1e6
    return sf, "", f"procs SF {sf:.9g} MHz (SR {sr:.2f} Hz)" if abs(sr) > 1e-3 else ""


# --- processed --------------------------------------------------------------------------------


def _read_experiment(folder: Path, record: Source) -> xr.Dataset:
    for procno in _numbered(folder / "pdata") if (folder / "pdata").is_dir() else []:
        if any((procno / name).is_file() for name in SPECTRA):
            return _read_processed(procno, record)
    for name in RAW:
        if (folder / name).is_file():
            return _read_raw(folder, folder / name, record)
    raise FormatError(
        f"{record.file}: experiment {folder.name} has no pdata/N/1r or 2rr and no fid or ser; "
        "copy the whole folder"
    )


def _has_data(folder: Path) -> bool:
    """Whether an experiment holds a raw signal or a processed spectrum."""
    if any((folder / name).is_file() for name in RAW):
        return True
    if not (folder / "pdata").is_dir():
        return False
    return any((n / name).is_file() for n in _numbered(folder / "pdata") for name in SPECTRA)


def _read_processed(folder: Path, record: Source) -> xr.Dataset:
    place = f"{record.file}, {folder.name}/procs"
    procs = parameters(folder / "procs")
    acqus_path = folder.parent.parent / "acqus"
    acqus = parameters(acqus_path) if acqus_path.is_file() else {}
    attrs = _described(acqus, text_of(folder, "title"))
    zero, note, calibration = _reference(procs, acqus, place)
    points, width = int(number(procs, "SI", place)), number(procs, "SW_p", place)
    if not 2 <= points <= MAX_POINTS or width <= 0:
        raise FormatError(f"{place}: SI {points}, SW_p {width:g}; SI of 2 or more, SW_p above 0")
    if note:
        first = (number(acqus, "SFO1", place) - zero) / zero * 1e6 + 0.5 * width / zero
    else:
        first = number(procs, "OFFSET", place)
    attrs.update(
        reference_MHz=zero,
        processed_width_Hz=width,
        line_broadening_Hz=procs.get("LB") if procs.get("WDW") in (1, 2) else None,
        phase0_deg=procs.get("PHC0"),
        phase1_deg=procs.get("PHC1"),
        noise_factor=noise_factor(procs, acqus, points, width),
    )
    if note:
        attrs["axis_note"] = note
    if calibration:
        attrs["calibration"] = calibration
    if procs.get("PH_mod") in (2, 3):
        attrs["magnitude"] = "magnitude" if procs["PH_mod"] == 2 else "power"
    axis = shift_axis(points, first, width, zero)
    if (folder / "2rr").is_file():
        return _read_2d(folder, procs, acqus, axis, attrs, record)
    if not (folder / "1r").is_file():
        raise FormatError(
            f"{record.file}: {folder.name} has neither 1r nor 2rr: not processed; open the raw "
            "signal (fid or ser) two folders up"
        )
    real = _scaled(folder / "1r", procs, points, "spectrum 1r")
    data: npt.NDArray = real
    if (folder / "1i").is_file():
        data = real + 1j * _scaled(folder / "1i", procs, points, "spectrum 1i")
    return processed(data, axis, attrs=attrs, source=record)


def _scaled(path: Path, procs: Parameters, points: int, what: str) -> npt.NDArray[np.float64]:
    values = _array(path, procs.get("DTYPP", 0), procs.get("BYTORDP", 0), points, what)
    nc = procs.get("NC_proc", 0)
    if not isinstance(nc, int) or abs(nc) > 200:
        raise FormatError(f"{path.parent.name}/procs: NC_proc is {nc!r}, not a small integer")
    return values.astype(float) * 2.0**nc


def _read_2d(
    folder: Path,
    procs: Parameters,
    acqus: Parameters,
    axis: npt.NDArray,
    attrs: dict[str, Any],
    record: Source,
) -> xr.Dataset:
    from nmrglue.fileio.bruker import reorder_submatrix

    place = f"{record.file}, {folder.name}/proc2s"
    proc2s = parameters(folder / "proc2s")
    rows, points = int(number(proc2s, "SI", place)), axis.size
    tile = (int(proc2s.get("XDIM", rows) or rows), int(procs.get("XDIM", points) or points))
    if rows < 1 or rows * points > MAX_POINTS or rows % tile[0] or points % tile[1]:
        raise FormatError(f"{place}: {rows} x {points} points do not divide into tiles {tile}")
    flat = _scaled(folder / "2rr", procs, rows * points, "spectrum 2rr")
    data = reorder_submatrix(flat, (rows, points), tile)
    acqu2s_path = folder.parent.parent / "acqu2s"
    acqu2s = parameters(acqu2s_path) if acqu2s_path.is_file() else {}
    transformed = proc2s.get("FT_mod") not in (None, 0, "no")
    if transformed:
        zero, width = number(proc2s, "SF", place), number(proc2s, "SW_p", place)
        indirect = shift_axis(rows, number(proc2s, "OFFSET", place), width, zero)[::-1]
        attrs["indirect_nucleus"] = nucleus_name(str(acqu2s.get("NUC1", "")))
        return processed(
            data[::-1], axis, attrs=attrs, source=record, outer={"indirect_shift": indirect}
        )
    # Rows beyond those measured are padding of the transform, not data.
    measured = acqu2s.get("TD")
    if isinstance(measured, int) and 0 < measured < rows:
        data, rows = data[:measured], measured
    outer = _along_rows(folder.parent.parent, rows)
    return processed(data, axis, attrs=attrs, source=record, outer=outer)


_FNMODE = {3: "tppi", 4: "states", 5: "states_tppi", 6: "echo_antiecho"}


# --- raw --------------------------------------------------------------------------------------


def _read_raw(folder: Path, path: Path, record: Source) -> xr.Dataset:
    place = f"{record.file}, {folder.name}/acqus"
    acqus = parameters(folder / "acqus")
    td, width = int(number(acqus, "TD", place)), number(acqus, "SW_h", place)
    if not 4 <= td <= MAX_POINTS or width <= 0:
        raise FormatError(f"{place}: TD {td}, SW_h {width:g}; TD of 4 or more, SW_h above 0")
    if acqus.get("AQ_mod") in _SEQUENTIAL:
        raise FormatError(
            f"{place}: AQ_mod is {_SEQUENTIAL[acqus['AQ_mod']]}: the signal is not of complex "
            "points; transform it in TopSpin and open pdata/1"
        )
    kind, order = acqus.get("DTYPA", 0), acqus.get("BYTORDA", 0)
    size = 8 if kind == 2 else 4
    procno = next(iter(_numbered(folder / "pdata")), None) if (folder / "pdata").is_dir() else None
    procs = parameters(procno / "procs") if procno and (procno / "procs").is_file() else {}
    zero, note, calibration = _reference(procs, acqus, place)
    attrs = _described(acqus, text_of(procno, "title") if procno else "")
    attrs.update(
        reference_MHz=zero,
        group_delay_points=group_delay(acqus),
        acquired_points=td // 2,
    )
    if note and procs:
        attrs["axis_note"] = note
    if calibration:
        attrs["reference_source"] = calibration
    if path.name == "fid":
        values = _array(path, kind, order, None, "signal")
        if values.size < td:
            raise base.truncated(path, path.stat().st_size, td * size, "signal")
        return raw(_complex(values), 1.0 / width, attrs=attrs, source=record)
    if acqus.get("FnTYPE") == 2:
        raise FormatError(
            f"{place}: rows sampled non-uniformly (NUS); reconstruct in TopSpin and open pdata/1"
        )
    block = -(-td * size // _ROW) * _ROW // size
    values = _array(path, kind, order, None, "rows of ser")
    rows_path = folder / "acqu2s"
    acqu2s = parameters(rows_path)
    rows = int(number(acqu2s, "TD", f"{record.file}, acqu2s"))
    proc2s = parameters(procno / "proc2s") if procno and (procno / "proc2s").is_file() else {}
    attrs.update(_second_dimension(acqu2s, proc2s))
    if rows < 1 or rows * block > MAX_POINTS:
        raise FormatError(f"{record.file}, acqu2s: TD is {rows}; 1 or more rows expected")
    if values.size == rows * td:
        block = td
    planned = rows
    if values.size < rows * block and values.size and values.size % block == 0:
        # Stopped, or still running: whole rows are what was measured.
        rows = values.size // block
        attrs["rows_planned"] = planned
    if values.size < rows * block:
        raise base.truncated(path, path.stat().st_size, rows * block * size, f"{rows} rows of ser")
    # A third dimension is kept flat: every row of the file is one row here.
    rows = values.size // block
    data = _complex(values[: rows * block].reshape(rows, block))
    empty = ~np.any(data, axis=-1)
    extra = {}
    if empty.any():
        extra["valid"] = (("scan",), ~empty, "1")
    outer = _along_rows(folder, rows)
    extra = {k: ((next(iter(outer)),), v, u) for k, (_, v, u) in extra.items()}
    ds = raw(data, 1.0 / width, attrs=attrs, source=record, outer=outer, extra=extra)
    if "valid" in ds:
        ds["valid"].attrs.update(
            flag_values=np.array([0, 1], np.int8), flag_meanings="not_measured ok"
        )
    return ds


def _second_dimension(acqu2s: Parameters, proc2s: Parameters) -> dict[str, Any]:
    """Return what the transform along the rows needs, where they are a second dimension.

    FnMODE 0 and 1 (undefined, QF) are what series have as well: those rows stay a series.
    """
    mode = _FNMODE.get(acqu2s.get("FnMODE", 0))
    if mode is None:
        return {}
    told = {
        "indirect_mode": mode,
        "indirect_width_Hz": acqu2s.get("SW_h"),
        "indirect_carrier_MHz": acqu2s.get("SFO1"),
        "indirect_reference_MHz": proc2s.get("SF") or acqu2s.get("BF1"),
        "indirect_nucleus": nucleus_name(str(acqu2s.get("NUC1", ""))),
    }
    return {
        k: v
        for k, v in told.items()
        if isinstance(v, str) or (isinstance(v, (int, float)) and v > 0)
    }


def _complex(values: npt.NDArray) -> npt.NDArray[np.complex128]:
    """Interleaved pairs as complex numbers with our sign of rotation (Bruker's is the same)."""
    pairs = values[..., : values.shape[-1] // 2 * 2].astype(float)
    return pairs[..., 0::2] + 1j * pairs[..., 1::2]


def _along_rows(folder: Path, rows: int) -> dict[str, npt.NDArray]:
    """Delays of ``vdlist`` where it fits, else plain row numbers."""
    path = folder / "vdlist"
    if path.is_file():
        delays = [seconds(word) for word in text_of(folder, "vdlist").split()]
        if len(delays) >= rows and all(d is not None for d in delays[:rows]):
            return {"evolution_time": np.array(delays[:rows], float)}
    return {"scan": np.arange(1, rows + 1)}


# --- a folder of experiments ------------------------------------------------------------------


def _read_series(folder: Path, record: Source) -> Regions:
    """Stack equal experiments along their start times; unlike ones become regions of their own."""
    groups: dict[tuple[Any, ...], list[tuple[int, float | None, xr.Dataset]]] = {}
    without: list[int] = []
    for child in _numbered(folder):
        if not (child / "acqus").is_file():
            continue
        if not _has_data(child):
            # Set up but not run (or still queued): common at the end of an operando series.
            without.append(int(child.name))
            continue
        ds = _read_experiment(child, Source(f"{record.file}/{child.name}", "", NAME))
        date = parameters(child / "acqus").get("DATE")
        when = float(date) if isinstance(date, (int, float)) and date > 0 else None
        axis = str(ds["intensity"].dims[-1])
        x = ds[axis].values
        key = (
            ds.attrs.get("nucleus", "nmr"), ds["intensity"].dims, ds["intensity"].shape,
            float(x[0]), float(x[-1]), ds.attrs.get("pulse_program"), "intensity_im" in ds,
        )  # fmt: skip
        groups.setdefault(key, []).append((int(child.name), when, ds))
    if not groups:
        raise FormatError(
            f"{record.file}: none of the {len(without)} experiments has a fid, ser, 1r or 2rr; "
            "copy the folder with its data"
        )
    regions: dict[str, xr.Dataset] = {}
    for key, members in groups.items():
        name = str(key[0])
        if sum(k[0] == key[0] for k in groups) > 1:
            numbers = f"{members[0][0]}" + (f"-{members[-1][0]}" if len(members) > 1 else "")
            name = f"{name} {numbers}"
        ds = stacked(members, Source(record.file, record.sha256, NAME, name))
        if without:
            ds.attrs["experiments_without_data"] = ", ".join(map(str, without))
        regions[name] = ds
    return regions


FORMATS = (
    Format(
        name=NAME,
        title="Bruker TopSpin experiment folder, folder of experiments, or zip",
        suffixes=(".zip",),
        techniques=("nmr",),
        sniff=sniff,
        read=read,
    ),
)

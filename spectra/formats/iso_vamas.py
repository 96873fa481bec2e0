"""VAMAS surface analysis files (ISO 14976:1998), text, one value per line; also PHI's ``.npl``.

Layout: header (identifier, five texts, comments, experiment and scan mode, experimental variables,
upgrade counts), then blocks: texts, date, comments, technique, source energy, analyser settings,
labels of species and transition, abscissa (``REGULAR``: start and increment; ``IRREGULAR``: the
first of the corresponding variables), corresponding variables interleaved point by point. A
parameter inclusion or exclusion list says which of the 40 numbered parts of a block (W. A. Dench et
al., Surf. Interface Anal. 13 (1988) 63) are the same in all blocks and stand in the first alone.

Energies: ``kinetic energy`` becomes binding energy with the block's source energy,
``BE = h nu - KE``; ``binding energy`` is taken as it is. Nothing is shifted: a charge correction
that CasaXPS noted in the comments is in attrs ``casaxps_shift_eV``, not applied; its regions and
components are in ``casaxps_model`` as they stand.

Blocks of one sample and region that differ in an experimental variable (etch time, angle) become
one Spectrum along it; other repeats stay apart, numbered. Counts stay counts; a second ordinate
called transmission becomes the variable ``transmission``. Uncertainties: those of counting.

The package ``vamas`` (BSD-3) reads the REGULAR files of the test set; it refuses IRREGULAR scans,
blank lines before the identifier and endings other than ``.vms``. Hence this reader.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from ..convention import spectrum
from ..errors import ConventionError, FormatError
from ._xps import counted, unknown, with_reference_lines
from .base import Format, Options, Regions, read_bytes, source

_IDENTIFIER = "VAMAS Surface Chemical Analysis Standard Data Transfer Format 1988 May 4"
_MAX_POINTS = 10_000_000
_PARTS = 40
_MAPPED = ("MAP", "MAPDP")
_SPUTTER_MODES = ("MAPDP", "MAPSVDP", "SDP", "SDPSV")
_ION_TECHNIQUES = ("FABMS", "FABMS energy spec", "ISS", "SIMS", "SIMS energy spec", "SNMS",
                   "SNMS energy spec")  # fmt: skip
_PROFILE_TECHNIQUES = ("AES diff", "AES dir", "EDX", "ELS", "UPS", "XPS", "XRF")
_ELECTRONS = {"XPS": "xps", "UPS": "xps"}
_NOTHING = ("none", "not specified", "unspecified", "unknown", "n/a", "-")
_CALIB = re.compile(r"Calib\s+M\s*=\s*(-?[\d.]+)\s+A\s*=\s*(-?[\d.]+)\s+(BE|KE)\s+ADD")


@dataclass
class _Lines:
    """The lines of a file, read one after another."""

    name: str
    lines: list[str]
    at: int = 0
    what: str = "header"
    first: dict[int, int] = field(default_factory=dict)
    """Where the numbered parts of the first block begin."""

    def text(self, what: str) -> str:
        if self.at >= len(self.lines):
            raise FormatError(
                f"{self.name}: {self.what} ends at line {self.at}, before {what!r}: the file is "
                "truncated; export it again"
            )
        self.at += 1
        return self.lines[self.at - 1].strip()

    def number(self, what: str) -> float:
        found = self.text(what)
        try:
            return _float(found)
        except ValueError:
            raise FormatError(
                f"{self.name}: line {self.at}, {self.what}: {what} is {found!r}, not a number"
            ) from None

    def count(self, what: str, most: int = 1_000_000) -> int:
        number = self.number(what)
        if not 0 <= number <= most or number != int(number):
            raise FormatError(
                f"{self.name}: line {self.at}, {self.what}: {what} is {number:g}; allowed: whole "
                f"numbers from 0 to {most}"
            )
        return int(number)

    def skip(self, number: int, what: str) -> None:
        for _ in range(number):
            self.text(what)

    @contextmanager
    def part(self, number: int, later: frozenset[int]) -> Iterator[None]:
        """Read a numbered part of a block, from the first block where this one leaves it out."""
        if number not in self.first:
            self.first[number] = self.at
        elif number not in later:
            here, self.at = self.at, self.first[number]
            yield
            self.at = here
            return
        yield


def _float(text: str) -> float:
    """Read a number; some programs write it with the decimal comma of their locale."""
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"could not convert string to float: {text!r}")
    return number


@dataclass
class _Header:
    mode: str
    scan: str
    variables: list[tuple[str, str]]
    future_block: int
    blocks: int
    later: frozenset[int]
    """Numbered parts of a block that the second and further blocks hold."""


@dataclass
class _Block:
    name: str
    sample: str
    when: str
    comments: list[str]
    technique: str
    variables: list[float]
    source_label: str
    source_energy: float
    pass_energy: float
    work_function: float
    species: str
    transition: str
    abscissa: tuple[str, str, float, float] | None
    corresponding: list[tuple[str, str]]
    dwell: float
    scans: int
    values: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))


def sniff(head: bytes, path: Path) -> bool:
    """Whether the identifier stands at the start, blank lines before it allowed."""
    return head.lstrip().startswith(_IDENTIFIER[:40].encode())


def read(path: Path, options: Options) -> Regions:
    """Read all XPS and UPS blocks."""
    raw = read_bytes(path, limit=512 * 1024**2)
    text = raw.decode("latin-1").replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n")
    lines = _Lines(path.name, [line.replace("\0", "") for line in text.split("\n")])
    while lines.at < len(lines.lines) and not lines.lines[lines.at].strip():
        lines.at += 1
    header = _header(lines)
    blocks = [_block(lines, header, number + 1) for number in range(header.blocks)]
    chosen = [b for b in blocks if b.technique in _ELECTRONS]
    return with_reference_lines(_regions(path, header, chosen, blocks))


def _header(lines: _Lines) -> _Header:
    if not lines.text("identifier").startswith(_IDENTIFIER[:40]):
        raise FormatError(f"{lines.name}: line {lines.at}: not a VAMAS identifier")
    lines.skip(4, "institution, instrument, operator, experiment")
    lines.skip(lines.count("number of comment lines"), "comment")
    mode = lines.text("experiment mode")
    scan = lines.text("scan mode")
    if scan not in ("REGULAR", "IRREGULAR"):
        raise FormatError(
            f"{lines.name}: scan mode {scan!r}; allowed: REGULAR, IRREGULAR (a MAPPING has no axis)"
        )
    if mode in (*_MAPPED, "NORM", "SDP"):
        lines.text("number of spectral regions")
    if mode in _MAPPED:
        lines.skip(3, "analysis positions")
    variables = [
        (lines.text("experimental variable"), lines.text("its units"))
        for _ in range(lines.count("number of experimental variables", 1000))
    ]
    later = _later(lines)
    lines.skip(lines.count("number of manually entered items", 1000), "manual item")
    future_experiment = lines.count("future upgrade experiment entries", 1000)
    future_block = lines.count("future upgrade block entries", 1000)
    lines.skip(future_experiment, "future upgrade entry")
    number = lines.count("number of blocks", 1_000_000)
    return _Header(mode, scan, variables, future_block, number, later)


def _later(lines: _Lines) -> frozenset[int]:
    """Read the list of parts that are the same in all blocks and stand in the first alone.

    Positive: the parts listed are in every block; negative: those not listed are; 0: all are.
    """
    listed = lines.number("entries in the parameter inclusion list")
    if listed != int(listed) or abs(listed) > _PARTS:
        raise FormatError(
            f"{lines.name}: line {lines.at}: {listed:g} entries in the parameter inclusion list; "
            f"allowed: whole numbers from -{_PARTS} to {_PARTS}"
        )
    named = {lines.count("number of a block parameter", _PARTS) for _ in range(abs(int(listed)))}
    every = frozenset(range(1, _PARTS + 1))
    return frozenset(named) & every if listed > 0 else every - named


def _block(lines: _Lines, header: _Header, number: int) -> _Block:
    """Read a block; the numbers of its parts are those of the parameter inclusion list."""
    lines.what = f"block {number}"
    mode = header.mode

    def part(which: int) -> AbstractContextManager[None]:
        return lines.part(which, header.later)

    name = lines.text("block identifier")
    sample = lines.text("sample identifier")
    date = []
    for which, unit in enumerate(("year", "month", "day", "hour", "minute", "second"), 1):
        with part(which):
            date.append(lines.number(unit))
    with part(7):
        lines.number("hours in advance of GMT")
    with part(8):
        comments = [lines.text("comment") for _ in range(lines.count("number of comment lines"))]
    with part(9):
        technique = lines.text("technique")
    with part(10):
        lines.skip(2 if mode in _MAPPED else 0, "coordinate")
    with part(11):
        variables = [lines.number(label) for label, _ in header.variables]
    with part(12):
        source_label = lines.text("source label")
    with part(13):
        ions = mode in _SPUTTER_MODES or technique in _ION_TECHNIQUES
        lines.skip(3 if ions else 0, "sputtering particle")
    with part(14):
        energy = lines.number("source energy")
    with part(15):
        lines.text("source strength")
    with part(16):
        lines.skip(2, "source width")
    with part(17):
        lines.skip(2 if mode in (*_MAPPED, "MAPSV", "MAPSVDP", "SEM") else 0, "field of view")
    with part(18):
        lines.skip(6 if mode in ("MAPSV", "MAPSVDP", "SEM") else 0, "line scan")
    for which, angle in ((19, "source polar angle"), (20, "source azimuth"), (21, "analyser mode")):
        with part(which):
            lines.text(angle)
    with part(22):
        pass_energy = lines.number("pass energy")
    with part(23):
        lines.skip(1 if technique == "AES diff" else 0, "differential width")
    with part(24):
        lines.text("magnification")
    with part(25):
        work_function = lines.number("work function")
    for which, length, what in ((26, 1, "bias"), (27, 2, "width"), (28, 2, "take-off angles")):
        with part(which):
            lines.skip(length, what)
    with part(29):
        species = lines.text("species label")
    with part(30):
        transition = lines.text("transition label")
        lines.text("charge of particle")
    with part(31):
        abscissa = _abscissa(lines) if header.scan == "REGULAR" else None
    with part(32):
        corresponding = [
            (lines.text("variable label"), lines.text("variable units"))
            for _ in range(lines.count("number of corresponding variables", 100))
        ]
    with part(33):
        lines.text("signal mode")
    with part(34):
        dwell = lines.number("signal collection time")
    with part(35):
        scans = int(lines.number("number of scans"))
    with part(36):
        lines.text("signal time correction")
    with part(37):
        profiled = technique in _PROFILE_TECHNIQUES and mode in _SPUTTER_MODES
        lines.skip(7 if profiled else 0, "sputtering source")
    with part(38):
        lines.skip(2, "sample tilt")
    with part(39):
        lines.text("sample rotation")
    with part(40):
        lines.skip(3 * lines.count("number of additional parameters", 1000), "additional parameter")
    lines.skip(header.future_block, "future upgrade entry")
    total = lines.count("number of ordinate values", _MAX_POINTS)
    lines.skip(2 * len(corresponding), "minimum and maximum")
    if not corresponding or total % len(corresponding):
        raise FormatError(
            f"{lines.name}: block {number} ({name}): {total} values do not divide among "
            f"{len(corresponding)} variables"
        )
    return _Block(
        name, sample, _date(date), comments, technique, variables, source_label, energy,
        pass_energy, work_function, species, transition, abscissa, corresponding, dwell, scans,
        _values(lines, total, number).reshape(-1, len(corresponding)),
    )  # fmt: skip


def _abscissa(lines: _Lines) -> tuple[str, str, float, float]:
    return (
        lines.text("abscissa label"),
        lines.text("abscissa units"),
        lines.number("abscissa start"),
        lines.number("abscissa increment"),
    )


def _values(lines: _Lines, total: int, number: int) -> np.ndarray:
    there = lines.lines[lines.at : lines.at + total]
    if len(there) < total or (total and not there[-1].strip()):
        raise FormatError(
            f"{lines.name}: block {number} ends at line {len(lines.lines)} of "
            f"{lines.at + total}: the file is truncated; export it again"
        )
    lines.at += total
    try:
        values = np.array([_float(v) for v in there])
    except ValueError as error:
        raise FormatError(f"{lines.name}: block {number}: {error}; export it again") from None
    return values


def _date(parts: list[float]) -> str:
    year, month, day, hour, minute, second = (int(p) for p in parts)
    if year < 1900 or not (1 <= month <= 12 and 1 <= day <= 31):
        return ""
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"


def _regions(
    path: Path, header: _Header, chosen: list[_Block], every: list[_Block]
) -> dict[str, xr.Dataset]:
    if not chosen:
        found = ", ".join(sorted({b.technique or "blank" for b in every})) or "no block"
        raise FormatError(f"{path.name}: no XPS or UPS block in it (found: {found})")
    samples = len({b.sample for b in chosen}) > 1
    groups: dict[tuple[str, ...], list[_Block]] = {}
    for number, block in enumerate(chosen):
        name = _region_name(block)
        key: tuple[str, ...] = (block.sample, name, block.technique)
        if not name:
            key = (*key, str(number))
        groups.setdefault(key, []).append(block)
    regions: dict[str, xr.Dataset] = {}
    for (sample, name, technique, *_), blocks in groups.items():
        label = name or _energy_name(blocks[0], len(regions) + 1)
        if technique != "XPS":
            label = f"{technique} {label}"
        if samples:
            label = f"{label} ({sample})"
        for part in _stacks(header, blocks):
            unique, number = label, 2
            while unique in regions:
                unique, number = f"{label} #{number}", number + 1
            regions[unique] = _spectrum(path, header, part, unique)
    return regions


def _region_name(block: _Block) -> str:
    """Name the region: species and transition, else the block's own name."""
    species, transition = _said(block.species), _said(block.transition)
    pair = f"{species} {transition}".strip()
    if re.fullmatch(r"[A-Z][a-z]?\s*\d[spdf]\S*", pair):
        return re.sub(r"^([A-Z][a-z]?)\s*(\d)", r"\1 \2", pair)
    named = species or _said(block.name)
    match = re.match(r"^([A-Z][a-z]?)\s*(\d[spdf])\b", named)
    return f"{match[1]} {match[2]}" if match else named.split("/")[0].strip()


def _said(text: str) -> str:
    """Return a label, empty where a program wrote that there is none."""
    return "" if text.strip().casefold() in _NOTHING else text.strip()


def _energy_name(block: _Block, number: int) -> str:
    x = _energies(block)
    return f"region {number} ({x.min():.0f} to {x.max():.0f} eV)"


def _stacks(header: _Header, blocks: list[_Block]) -> list[list[_Block]]:
    """Blocks that differ in an experimental variable belong together; repeats do not."""
    alike = len({(b.values.shape, _energies(b)[0], _energies(b)[-1]) for b in blocks}) == 1
    changing = header.variables and len({tuple(b.variables) for b in blocks}) == len(blocks)
    known = header.variables and _outer(header.variables[0][0])
    if len(blocks) > 1 and alike and changing and known:
        return [sorted(blocks, key=lambda b: b.variables[0])]
    return [[block] for block in blocks]


def _outer(label: str) -> tuple[str, float] | None:
    """Outer dimension and factor of an experimental variable."""
    plain = label.casefold()
    if "etch time" in plain or "sputter time" in plain:
        return "etch_time", 1.0
    if "angle" in plain or "tilt" in plain:
        return "angle", 1.0
    if "time" in plain:
        return "time", 1.0
    return None


def _energies(block: _Block) -> np.ndarray:
    """Return the abscissa as binding energy, eV, in file order."""
    if block.abscissa is not None:
        label, _, start, step = block.abscissa
        x = start + step * np.arange(block.values.shape[0])
    else:
        (label, _), x = block.corresponding[0], block.values[:, 0]
    if "binding" in label.casefold():
        return x
    return block.source_energy - x


def _spectrum(path: Path, header: _Header, blocks: list[_Block], name: str) -> xr.Dataset:
    first = blocks[0]
    place = f"{path.name}, region {name!r}"
    if first.values.shape[0] < 2:
        raise FormatError(f"{place}: {first.values.shape[0]} points; two are the least")
    ordinates = list(range(first.values.shape[1]))[1 if first.abscissa is None else 0 :]
    label, unit = first.corresponding[ordinates[0]]
    per_second = unit.casefold() in ("c/s", "cps", "counts/s") or "rate" in label.casefold()
    y = np.stack([b.values[:, ordinates[0]] for b in blocks])
    if not per_second and np.all(y == np.round(y)):
        y = y.astype(np.int64)
    outer: dict[str, np.ndarray] = {}
    if len(blocks) > 1:
        dim, factor = _outer(header.variables[0][0])  # type: ignore[misc]
        outer[dim] = np.array([b.variables[0] * factor for b in blocks])
    extra: dict[str, tuple[tuple[str, ...], np.ndarray, str]] = {}
    for column in ordinates[1:]:
        if "transmission" in first.corresponding[column][0].casefold():
            extra["transmission"] = (("binding_energy",), first.values[:, column], "1")
    attrs: dict[str, object] = {
        "region": name.split(" (")[0],
        "sample": _said(first.sample),
        "block": first.name,
        "measured": first.when,
        "source_label": first.source_label,
        "photon_energy_eV": first.source_energy,
        "pass_energy_eV": first.pass_energy,
        "work_function_eV": first.work_function,
        "dwell_time_s": first.dwell,
        "sweeps": first.scans,
    }
    casa = [line for line in first.comments if line.startswith(("CASA region", "CASA comp"))]
    if casa:
        attrs["casaxps_model"] = json.dumps(casa)
    shift = _casaxps_shift(first.comments)
    if shift:
        attrs["casaxps_shift_eV"] = shift
    try:
        ds = spectrum(
            y if outer else y[0],
            _energies(first),
            technique="xps",
            axis_name="binding_energy",
            units="counts/s" if per_second else "counts",
            outer=outer,
            extra=extra,
            attrs={k: v for k, v in attrs.items() if not unknown(v)},
            source=source(path, "iso_vamas", name),
        )
    except ConventionError as error:
        raise FormatError(f"{place}: {error}") from None
    seconds = first.dwell * first.scans
    if per_second and 0.0 < seconds < 1e9 and counted(y, seconds):
        sigma = np.sqrt(np.maximum(ds["intensity"].values * seconds, 1.0)) / seconds
        attrs = {"units": "counts/s", "origin": "counting"}
        ds["uncertainty"] = (ds["intensity"].dims, sigma, attrs)
    return ds


def _casaxps_shift(comments: list[str]) -> float:
    """Sum the charge corrections CasaXPS noted; to be added to the binding energies."""
    total = 0.0
    for line in comments:
        match = _CALIB.search(line)
        if match:
            by = float(match[2]) - float(match[1])
            total += by if match[3] == "BE" else -by
    return round(total, 6)


FORMATS = (
    Format(
        name="iso_vamas",
        title="VAMAS (ISO 14976), Kratos, SPECS, PHI MultiPak, CasaXPS",
        suffixes=(".vms", ".npl"),
        techniques=("xps",),
        sniff=sniff,
        read=read,
    ),
)

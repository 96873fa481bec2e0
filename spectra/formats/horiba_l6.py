"""Horiba LabSpec 6 ``.l6s`` (spectrum) and ``.l6m`` (map): the tree of `horiba_xml` in binary.

``LabSpec6``, then records, little endian. A record is ``u32 type``, ``u32``, ``u32 ID``, ``u32``
(memory, not to be read) and its value: a double (type 5), an int32 (4), text up to a zero (7) or,
for a node (9), two words. The low byte of the type counts; IDs are those of the XML export.

Every axis has a count (ID ``0x7D6CD4DB``: two words, the second is the number of values), a type
(``0x6D707974``), a unit (``0x7C696E75``) and a matrix node (``0x6D6174E3``): its values follow it
as float32, and the next record follows them. Axis 0 holds the intensities of all spectra, axis 1
the spectral axis, then come X, Y, Z or time; spectra run with axis 2 fastest. Behind the values
LabSpec keeps their least and greatest as doubles: where both are found, attrs ``stored_range`` says
that they agree with what was read.

There is no public description. The layout is what four independent public readers have in common
(GitHub: GBeurier/nirs4all-formats, whose tests find a map equal to its text export;
aaroncelestian/RamanLab; Hanlin822/labspec6-l6s-to-txt; and one of a corpus of paired text exports).
Whatever does not fit it is refused with the advice to export XML. LabSpec 5 is refused likewise.

Units, uncertainties and dims: see `horiba_xml`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from . import _horiba
from .base import Format, Options, Regions, read_bytes, truncated

NAME = "horiba_l6"
_MAGIC = b"LabSpec6"
_OLD = b"NGSNextGen"
_COUNT, _TYPE, _UNIT = b"\xdb\xd4\x6c\x7d", b"typm", b"uni|"
_MATRIX, _NAME, _VALUE, _EXACT = b"\xe3tam", b"namm", b"\xdb\x61\x6c\x7d", b"pos\x08"
_WINDOW = 256
_RANGE_WINDOW = 512
_NODE, _DOUBLE, _INT = 9, 5, 4
_EXPORT = "save it in LabSpec as .xml (or .txt) and open that"


@dataclass(frozen=True)
class _Block:
    label: str
    unit: str
    values: npt.NDArray[np.float32]
    end: int


def sniff(head: bytes, path: Path) -> bool:
    """Whether it begins like a LabSpec document."""
    return head.startswith((_MAGIC, _OLD))


def read(path: Path, options: Options) -> Regions:
    """Read the document's data set."""
    raw = read_bytes(path)
    if not raw.startswith(_MAGIC):
        raise FormatError(f"{path.name}: a LabSpec 5 document is not read; {_EXPORT}")
    blocks = list(_blocks(path, raw))
    first = next((i for i, b in enumerate(blocks) if b.label == "Intens"), None)
    if first is None:
        raise FormatError(f"{path.name}: no intensities known to this reader in it; {_EXPORT}")
    later = [i for i in range(first + 1, len(blocks)) if blocks[i].label == "Intens"]
    mine = blocks[first : later[0] if later else None]
    axis = next((b for b in mine if b.label.startswith("Spectr")), None)
    if axis is None or axis.values.size < 2:
        raise FormatError(
            f"{path.name}: intensities ({mine[0].unit}) without a spectral axis: a picture or a "
            f"profile; open the spectra, or {_EXPORT}"
        )
    steps = np.diff(axis.values)
    if not (np.all(steps > 0) or np.all(steps < 0)):
        raise FormatError(f"{path.name}: the spectral axis is not ordered; {_EXPORT}")
    flat = mine[0].values
    if flat.size == 0 or flat.size % axis.values.size:
        raise FormatError(
            f"{path.name}: {flat.size} intensities on an axis of {axis.values.size} points; "
            f"{_EXPORT}"
        )
    if not np.all(np.isfinite(flat)):
        raise FormatError(f"{path.name}: intensities that are no numbers; {_EXPORT}")
    attrs = _attrs(raw)
    if _has_range(raw, mine[0]):
        attrs["stored_range"] = "agrees with the values"
    if later:
        attrs["further_intensities"] = len(later)
    axes = [(b.label, b.unit, b.values.astype(float)) for b in mine[1:]]
    data = flat.reshape(-1, axis.values.size)
    told = (mine[0].label, mine[0].unit, np.zeros(0))
    return {"raman": _horiba.assemble(path, NAME, [told, *axes], data, attrs)}


def _blocks(path: Path, raw: bytes) -> Iterator[_Block]:
    """Yield every matrix node that has a count and a type before it."""
    done = at = len(_MAGIC)
    while (found := raw.find(_MATRIX, at)) >= 0:
        at = found + len(_MATRIX)
        low = max(done, found - _WINDOW)
        counted = raw.rfind(_COUNT, low, found)
        typed = raw.rfind(_TYPE, low, found)
        if counted < 0 or typed < 0 or counted + 16 > found:
            continue
        (count,) = struct.unpack_from("<I", raw, counted + 12)
        if count == 0:
            continue
        start, end = found + 16, found + 16 + 4 * count
        label = _text(raw, typed + 8)
        if end + 4 > len(raw):
            raise truncated(path, len(raw), end, f"axis {label!r}")
        if raw[end] != _NODE or raw[end + 2 : end + 4] != b"\0\0":
            raise FormatError(
                f"{path.name}: byte {end}: no record after the {count} values of axis {label!r}: "
                f"a variant that is not known here; {_EXPORT}"
            )
        told = raw.rfind(_UNIT, typed, found)
        unit = _text(raw, told + 8) if told >= 0 else ""
        yield _Block(label, unit, np.frombuffer(raw, "<f4", count, start), end)
        done = at = end


def _text(raw: bytes, at: int) -> str:
    """Return the text at a byte, up to a zero."""
    return raw[at : at + 64].split(b"\0", 1)[0].decode("latin-1").strip()


def _has_range(raw: bytes, block: _Block) -> bool:
    """Whether least and greatest value are kept behind the values."""
    behind = raw[block.end : block.end + _RANGE_WINDOW]
    ends = (float(block.values.min()), float(block.values.max()))
    return all(struct.pack("<d", value) in behind for value in ends)


def _attrs(raw: bytes) -> dict[str, object]:
    """Return the entries of the acquisition that are numbers; doubtful ones are left out.

    An entry's plain value comes before its name, that of a wheel (laser, grating) after it.
    """
    attrs: dict[str, object] = {}
    seconds = _number(raw, "Acq. time (s)", _VALUE, before=True)
    if seconds is not None and 0 < seconds < 1e6:
        attrs["acquisition_time_s"] = seconds
    times = _number(raw, "Accumulations", _VALUE, before=True)
    if times is not None and 0 < times < 1e6 and times == int(times):
        attrs["accumulations"] = times
    laser = _number(raw, "Laser (nm)", _EXACT, before=False)
    if laser is not None and 150 < laser < 3000:
        attrs["laser_nm"] = laser
    return attrs


def _number(raw: bytes, entry: str, tag: bytes, *, before: bool) -> float | None:
    """Return the number of an entry, from the record nearest to its name."""
    told = entry.encode("latin-1") + b"\0"
    at = raw.find(_NAME)
    while at >= 0 and raw[at + 8 : at + 8 + len(told)] != told:
        at = raw.find(_NAME, at + 1)
    if at < 0:
        return None
    if before:
        found = raw.rfind(tag, max(8, at - 128), at)
    else:
        following = raw.find(_NAME, at + 1, at + _WINDOW)
        found = raw.find(tag, at, following if following >= 0 else at + _WINDOW)
    if found < 8 or found + 16 > len(raw):
        return None
    if raw[found - 8] == _DOUBLE:
        (value,) = struct.unpack_from("<d", raw, found + 8)
    elif raw[found - 8] == _INT:
        (value,) = struct.unpack_from("<i", raw, found + 8)
    else:
        return None
    return float(value) if np.isfinite(value) else None


FORMATS = (
    Format(NAME, "Horiba LabSpec 6", (".l6s", ".l6m", ".ngs", ".ngc"), ("raman",), sniff, read),
)

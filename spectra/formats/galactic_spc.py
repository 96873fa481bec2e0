"""Galactic (Thermo) GRAMS ``.spc``, new little-endian format ``0x4B``, and the old one ``0x4D``.

Header of 512 bytes: flags (byte 0: 1 = 16-bit, 4 = several spectra, 0x40 = own x of every one,
0x80 = x stored), version, experiment (2), exponent (int8, 3), points (int32, 4), first and last x
(float64, 8 and 16), spectra (int32, 24), x, y, z type (28, 29, 30), date (uint32, 32), comment
(88), labels (218, 30 bytes), log offset (uint32, 248), planes (float32 step 308, int32 312, float32
w step 316). Then x (float32) if stored; per spectrum a sub-header of 32 bytes (exponent int8 at 1,
z float32 at 4, points int32 at 16, w float32 at 24) and y: float32 where the exponent is -128, else
int32 (int16) times 2^(exponent - 32 (16)). With own x (``TXYXYS``) each spectrum stores x before y
(float32, or integers scaled as y where only those lie between first and last x);
spectra of different axes become regions. The old format has 256 bytes, big-word-first int32 and
evenly spaced x. Big-endian ``0x4C`` files are refused.

x type 13 is Raman shift, 1 wavenumber (taken as shift only in an experiment called Raman), 2 um,
3 nm (wavelength). y types of infrared spectra (absorbance, transmission ...) are refused. Counts if
whole. A map has its stage positions in the log of WiRE (attrs ``log``), as far as it writes them:
spectra of several z are ``time`` (minutes, seconds) or else ``point`` with coordinate ``z_value``.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..errors import FormatError
from . import _raman
from .base import Format, Options, Regions, read_bytes, truncated

NAME = "galactic_spc"
_HEAD, _SUB, _OLD_HEAD = 512, 32, 256
_MULTI, _SHORT, _OWN_X, _STORED_X = 0x04, 0x01, 0x40, 0x80
_RAMAN_EXPERIMENTS = (11,)
_INFRARED = {2: "absorbance", 3: "Kubelka-Munk", 10: "log(1/R)", 128: "transmission",
             129: "reflectance", 1: "an interferogram"}  # fmt: skip
_SECONDS = {5: 60.0, 6: 1.0, 7: 1e-3, 8: 1e-6}


def sniff(head: bytes, path: Path) -> bool:
    """Whether version, exponent, sizes and axis of the header make sense together."""
    if len(head) < _OLD_HEAD + _SUB or path.suffix.lower() != ".spc":
        return False
    if head[1] == 0x4D:
        exponent, points, first, last = struct.unpack_from("<hfff", head, 2)
        return 2 <= points < 1e8 and np.isfinite(first) and first != last and abs(exponent) < 512
    if head[1] not in (0x4B, 0x4C) or len(head) < _HEAD:
        return False
    order = "<" if head[1] == 0x4B else ">"
    points, first, last, count = struct.unpack_from(order + "iddi", head, 4)
    return (
        0 <= points < 2**28
        and 0 <= count < 2**24
        and bool(np.isfinite(first) and np.isfinite(last))
        and head[28] <= 30
    )


def read(path: Path, options: Options) -> Regions:
    """Read all spectra; those of one axis as one array."""
    raw = read_bytes(path, limit=2 * 1024**3)
    if len(raw) < _OLD_HEAD + _SUB:
        raise truncated(path, len(raw), _HEAD, "the header")
    if raw[1] == 0x4C:
        raise FormatError(
            f"{path.name}: a big-endian SPC file (version 0x4C); only 0x4B and 0x4D are read: "
            "save it again with a current program"
        )
    if raw[1] == 0x4D:
        return _old(path, raw)
    if raw[1] != 0x4B:
        raise FormatError(f"{path.name}: byte 1: version {raw[1]:#x}; allowed: 0x4b, 0x4d")
    if len(raw) < _HEAD + _SUB:
        raise truncated(path, len(raw), _HEAD + _SUB, "the header")
    with np.errstate(invalid="ignore"):  # damaged float32 values; they are counted as missing
        return _new(path, raw)


def _new(path: Path, raw: bytes) -> Regions:
    flags, _, _, exponent = struct.unpack_from("<BBBb", raw, 0)
    points, first, last, count = struct.unpack_from("<iddi", raw, 4)
    count = max(count, 1) if flags & _MULTI else 1
    log_at = struct.unpack_from("<I", raw, 248)[0]
    attrs, log = _described(raw, log_at)
    end = log_at if _HEAD < log_at <= len(raw) else len(raw)
    x: npt.NDArray | None = None
    at = _HEAD
    if not flags & _OWN_X or not flags & _MULTI:
        if points < 2:
            raise FormatError(f"{path.name}: {points} points; two are the least")
        if 2 * points > len(raw):
            raise truncated(path, len(raw), _HEAD + 2 * points, f"{points} points")
        if flags & _STORED_X:
            x = _array(path, raw, at, points, "<f4", end).astype(float)
            at += 4 * points
        else:
            x = np.linspace(first, last, points)
    spectra: list[tuple[npt.NDArray, npt.NDArray]] = []
    places = []
    w_values = []
    for number in range(count):
        if at + _SUB > end:
            raise truncated(path, end, at + _SUB, f"spectrum {number + 1} of {count}")
        own_exponent, z, size = struct.unpack_from("<xbxxf8xi", raw, at)
        w_values.append(struct.unpack_from("<f", raw, at + 24)[0])
        at += _SUB
        own = x
        if own is None:
            if not 2 <= size <= len(raw):
                raise FormatError(f"{path.name}: spectrum {number + 1} has {size} points")
            own = _own_axis(path, raw, at, size, own_exponent or exponent, end, (first, last))
            at += 4 * size
        power = (own_exponent or exponent) if flags & _MULTI else exponent
        y, width = _values(path, raw, at, own.size, power, bool(flags & _SHORT), end)
        at += width * own.size
        spectra.append((own, y))
        places.append(z)
    return _regions(path, raw, spectra, np.array(places), np.array(w_values), attrs, log)


def _array(path: Path, raw: bytes, at: int, count: int, kind: str, end: int) -> npt.NDArray[Any]:
    size = np.dtype(kind).itemsize
    if count < 0 or at + size * count > end:
        raise truncated(path, end, at + size * count, f"an array of {count} values")
    return np.frombuffer(raw, kind, count, at)


def _values(
    path: Path, raw: bytes, at: int, count: int, exponent: int, short: bool, end: int
) -> tuple[npt.NDArray, int]:
    """Intensities and bytes per value."""
    if exponent == -128:
        return _array(path, raw, at, count, "<f4", end), 4
    kind, bits = ("<i2", 16) if short else ("<i4", 32)
    return _array(path, raw, at, count, kind, end) * 2.0 ** (exponent - bits), bits // 8


def _own_axis(
    path: Path,
    raw: bytes,
    at: int,
    size: int,
    exponent: int,
    end: int,
    within: tuple[float, float],
) -> npt.NDArray[np.float64]:
    """Return the x of one spectrum: float32, in some programs scaled integers as y."""
    x = _array(path, raw, at, size, "<f4", end).astype(float)
    low, high = min(within), max(within)
    margin = 0.01 * (high - low) + 1e-3
    inside = np.all(np.isfinite(x)) and np.ptp(x) > 0
    inside = inside and (low == high or (x.min() >= low - margin and x.max() <= high + margin))
    if inside or exponent == -128:
        return x
    scaled = _array(path, raw, at, size, "<i4", end) * 2.0 ** (exponent - 32)
    fits = np.ptp(scaled) > 0 and scaled.min() >= low - margin and scaled.max() <= high + margin
    return scaled if fits else x


def _described(raw: bytes, log_at: int) -> tuple[dict[str, object], dict[str, str]]:
    date = struct.unpack_from("<I", raw, 32)[0]
    attrs: dict[str, object] = {
        "comment": raw[88:218].split(b"\0")[0].decode("latin-1").strip(),
        "resolution": raw[36:45].split(b"\0")[0].decode("latin-1").strip(),
        "instrument": raw[45:54].split(b"\0")[0].decode("latin-1").strip(),
    }
    year, month, day = date >> 20, date >> 16 & 15, date >> 11 & 31
    if 1970 <= year <= 2100:  # WiRE and LabSpec write something else here
        attrs["measured"] = f"{year:04d}-{month:02d}-{day:02d}T{date >> 6 & 31:02d}:{date & 63:02d}"
    log: dict[str, str] = {}
    if log_at >= _HEAD and log_at + 64 <= len(raw):
        _, _, text_at = struct.unpack_from("<3I", raw, log_at)
        text = raw[log_at + text_at :].split(b"\0")[0].decode("latin-1")
        for line in text.replace("\n\r", "\n").splitlines():
            name, found, value = line.partition("=")
            if found:
                log.setdefault(name.strip().lower(), value.strip())
        attrs["log"] = "\n".join(t for t in text.splitlines() if t.strip())[:4000]
    attrs["laser_nm"] = _laser(log)
    for key, name in (
        ("acq. time (s)", "acquisition_time_s"),
        ("exposure_time", "acquisition_time_s"),
        ("accumulations", "accumulations"),
    ):
        told = _raman.leading(log.get(key, ""))
        if told is not None:
            # WiRE writes milliseconds.
            attrs[name] = told / 1e3 if key == "exposure_time" else told
    return attrs, log


def _laser(log: dict[str, str]) -> float | None:
    """Laser wavelength in nm; ``RAMANFREQ`` is a wavenumber."""
    for key in ("laser (nm)", "excit_line", "laser", "laser_wavelength", "excitation wavelength"):
        value = _raman.leading(log.get(key, ""))
        if value is not None and 150 < value < 2500:
            return value
    wavenumber = _raman.leading(log.get("ramanfreq", ""))
    return 1e7 / wavenumber if wavenumber is not None and wavenumber > 4000 else None


def _axis(path: Path, raw: bytes, log: dict[str, str], x: npt.NDArray) -> tuple[str, npt.NDArray]:
    experiment, x_type, y_type = raw[2], raw[28], raw[29]
    label = raw[218:248].decode("latin-1").lower()
    if y_type in _INFRARED:
        raise FormatError(
            f"{path.name}: the y values are {_INFRARED[y_type]}: not a Raman spectrum; "
            "infrared spectra are not read"
        )
    raman_told = (
        experiment in _RAMAN_EXPERIMENTS
        or any(word in label for word in ("raman", "rmn"))
        or "ramanfreq" in log
    )
    if x_type == 13 or (x_type in (0, 1) and raman_told):
        return "raman_shift", x
    if x_type in (2, 3):
        return _raman.axis_in(path, "um" if x_type == 2 else "nm", x)
    if x_type == 15:
        return _raman.axis_in(path, "eV", x)
    raise FormatError(
        f"{path.name}: x type {x_type} in experiment {experiment} is not said to be a Raman shift; "
        "read are types 13 (Raman shift), 2 (um), 3 (nm), 15 (eV)"
    )


def _regions(
    path: Path,
    raw: bytes,
    spectra: list[tuple[npt.NDArray, npt.NDArray]],
    z: npt.NDArray,
    w: npt.NDArray,
    attrs: dict[str, object],
    log: dict[str, str],
) -> dict[str, xr.Dataset]:
    groups: list[list[int]] = []
    for number, (x, _) in enumerate(spectra):
        mates = spectra[groups[-1][0]][0] if groups else None
        if mates is not None and np.array_equal(mates, x):
            groups[-1].append(number)
        else:
            groups.append([number])
    found: dict[str, xr.Dataset] = {}
    for group in groups:
        axis = _axis(path, raw, log, spectra[group[0]][0])
        values = np.array([spectra[i][1] for i in group])
        name = "raman" if len(groups) == 1 else f"raman_{group[0] + 1}"
        outer: dict[str, npt.NDArray] = {}
        coords: _raman.Coords = {}
        if len(group) == 1:
            values = values[0]
        else:
            scale = _SECONDS.get(raw[30])
            at, other = z[group].astype(float), w[group].astype(float)
            if scale is not None and np.unique(at).size == at.size and np.all(np.isfinite(at)):
                outer = {"time": at * scale}
            else:
                outer = {"point": np.arange(len(group))}
                coords = {"z_value": (("point",), at, "1")}
                if np.any(other != other[0]):
                    coords["w_value"] = (("point",), other, "1")
        found[name] = _raman.raman(
            path, NAME, values, axis, outer=outer, coords=coords, attrs=attrs, region=name
        )
    return found


def _old(path: Path, raw: bytes) -> Regions:
    """Read the format of before 1996: one or more spectra on an even axis."""
    exponent, points_told, first, last = struct.unpack_from("<hfff", raw, 2)
    flags = raw[0]
    if not np.isfinite(points_told) or not 2 <= points_told <= len(raw):
        raise FormatError(f"{path.name}: {points_told:g} points do not fit the file")
    points = int(points_told)
    x = np.linspace(first, last, points)
    x_type, y_type = raw[18], raw[19]
    head = bytearray(_HEAD)
    head[28], head[29] = x_type, y_type
    attrs: dict[str, object] = {"comment": raw[64:194].split(b"\0")[0].decode("latin-1").strip()}
    spectra = []
    at = _OLD_HEAD - _SUB  # the header's last 32 bytes are the first sub-header
    width = 2 if flags & _SHORT else 4
    while at + _SUB + width * points <= len(raw):
        own = struct.unpack_from("<b", raw, at + 1)[0]
        power = own if own != 0 else exponent
        at += _SUB
        if power == -128 or exponent == -128:
            y = np.frombuffer(raw, "<f4", points, at).astype(float)
        elif width == 2:
            y = np.frombuffer(raw, "<i2", points, at) * 2.0 ** (power - 16)
        else:
            words = np.frombuffer(raw, "<u2", 2 * points, at).reshape(-1, 2).astype(np.int64)
            whole = (words[:, 0] << 16 | words[:, 1]).astype(np.uint32).view(np.int32)
            y = whole * 2.0 ** (power - 32)
        at += width * points
        spectra.append((x, y))
        if not flags & _MULTI:
            break
    if not spectra:
        raise truncated(path, len(raw), at + _SUB + width * points, "the first spectrum")
    zeros = np.zeros(len(spectra))
    return _regions(path, bytes(head), spectra, zeros, zeros, attrs, {})


FORMATS = (Format(NAME, "Galactic (GRAMS) SPC", (".spc",), ("raman",), sniff, read),)

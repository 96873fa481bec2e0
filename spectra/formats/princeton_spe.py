"""Princeton Instruments ``.spe``: WinSpec 2.x (binary header) and LightField 3.0 (XML footer).

Header of 4100 bytes, little-endian: exposure s (float32, 10), date (20), columns (uint16, 42),
centre wavelength (float32, 72), data type (int16, 108: 0 float32, 1 int32, 2 int16, 3 uint16,
5 float64, 6 uint8, 8 uint32), time (172), comments (5 x 80, 200), rows (uint16, 656), place of the
XML (uint64, 678), frames (int32, 1446), version (float32, 1992), x calibration (3000 ...: valid
3098, order 3101, six coefficients 3263, laser nm 3311). Data from byte 4100 frame by frame.

2.x: the polynomial takes the pixel from 1; its values are in the unit of byte 3100 (4 nm, 5 1/cm,
6 shift). With a binned or cut region of interest it takes the centre of the binned pixels of the
detector. 3.0: ``DataBlock`` elements give frames and regions, ``Wavelength`` the axis in nm (cut to
the region by its ``SensorMapping``); several regions of different widths become regions here.

Outer dims: frames ``scan`` (``time`` in s where 3.0 stores time stamps), rows ``detector`` where
there is more than one. The wavelength stays one: ``calibrate(ds, "laser", ...)`` with the stored
``laser_nm`` makes it a shift. An uncalibrated file has the axis ``channel`` (pixel from 1). Counts
are integers as in the file; float data are arbitrary. Uncertainties: those of counting.
"""

from __future__ import annotations

import struct
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..errors import FormatError
from . import _raman, _xml
from .base import Format, Options, Regions, read_bytes, truncated

NAME = "princeton_spe"
_HEAD = 4100
_TYPES = {0: "<f4", 1: "<i4", 2: "<i2", 3: "<u2", 5: "<f8", 6: "u1", 8: "<u4"}
_PIXELS = {
    "MonochromeUnsigned16": "<u2",
    "MonochromeUnsigned32": "<u4",
    "MonochromeFloating32": "<f4",
}
_ABSOLUTE, _SHIFT = 5, 6  # units of the polynomial; 4 (and what old programs leave) is nm


def sniff(head: bytes, path: Path) -> bool:
    """Whether version, data type and marks are those of a WinSpec or LightField header."""
    if len(head) < _HEAD or path.suffix.lower() != ".spe" or b"\0" not in head[:_HEAD]:
        return False
    version = struct.unpack_from("<f", head, 1992)[0]
    kind = struct.unpack_from("<h", head, 108)[0]
    marked = struct.unpack_from("<H", head, 4098)[0] == 0x5555
    marked = marked or struct.unpack_from("<i", head, 2996)[0] == 19088743
    return kind in _TYPES and (marked or 1 <= version < 4)


def read(path: Path, options: Options) -> Regions:
    """Read every region of interest."""
    raw = read_bytes(path)
    if len(raw) < _HEAD:
        raise truncated(path, len(raw), _HEAD, "the header")
    version = struct.unpack_from("<f", raw, 1992)[0]
    footer = struct.unpack_from("<Q", raw, 678)[0]
    if version >= 3 and footer:
        if footer >= len(raw):
            raise truncated(path, len(raw), footer, "the data before the XML footer")
        return _lightfield(path, raw, footer)
    return {"raman": _winspec(path, raw)}


def _winspec(path: Path, raw: bytes) -> xr.Dataset:
    kind = struct.unpack_from("<h", raw, 108)[0]
    columns, rows = (struct.unpack_from("<H", raw, at)[0] for at in (42, 656))
    frames = struct.unpack_from("<i", raw, 1446)[0]
    if kind not in _TYPES or columns < 2 or rows < 1 or frames < 1:
        raise FormatError(
            f"{path.name}: data type {kind}, {frames} frames of {rows} x {columns}: not a WinSpec "
            "header, or a damaged one"
        )
    dtype = np.dtype(_TYPES[kind])
    end = _HEAD + dtype.itemsize * columns * rows * frames
    if len(raw) < end:
        raise truncated(path, len(raw), end, f"{frames} frames of {rows} x {columns}")
    data = np.frombuffer(raw, dtype, columns * rows * frames, _HEAD)
    axis = _polynomial(raw, _pixels(raw, columns))
    laser = struct.unpack_from("<d", raw, 3311)[0]
    exposure, centre = (float(struct.unpack_from("<f", raw, at)[0]) for at in (10, 72))
    date, time = (_text(raw, at, size) for at, size in ((20, 10), (172, 7)))
    comments = [_text(raw, 200 + 80 * n, 80) for n in range(5)]
    attrs = {
        "laser_nm": laser if np.isfinite(laser) and 150 < laser < 2500 else None,
        "acquisition_time_s": exposure if np.isfinite(exposure) and exposure > 0 else None,
        "centre_nm": centre if np.isfinite(centre) and centre > 0 else None,
        "measured": f"{date} {time[:2]}:{time[2:4]}:{time[4:]}" if date else "",
        "comment": " ".join(c for c in comments if c),
    }
    return _stack(path, data.reshape(frames, rows, columns), axis, attrs)


def _text(raw: bytes, at: int, size: int) -> str:
    return raw[at : at + size].split(b"\0")[0].decode("latin-1").strip()


def _pixels(raw: bytes, columns: int) -> npt.NDArray[np.float64]:
    """Detector pixel (from 1) at the centre of every column."""
    count = struct.unpack_from("<h", raw, 1510)[0]
    start, stop, group = struct.unpack_from("<3H", raw, 1512)
    if count == 1 and start >= 1 and group >= 1 and stop - start + 1 >= group * columns:
        return start + group * np.arange(columns) + (group - 1) / 2
    return np.arange(1.0, columns + 1)


def _polynomial(raw: bytes, pixel: npt.NDArray) -> tuple[str, npt.NDArray]:
    valid, _, unit, order = raw[3098], raw[3099], raw[3100], raw[3101]
    if not valid or not 1 <= order <= 5:
        return "channel", pixel
    coefficients = struct.unpack_from("<6d", raw, 3263)[: order + 1]
    if not np.all(np.isfinite(coefficients)) or not any(coefficients[1:]):
        return "channel", pixel
    x = np.polynomial.polynomial.polyval(pixel, coefficients)
    if unit == _SHIFT:
        return "raman_shift", x
    if unit == _ABSOLUTE and np.all(x > 0):
        return "wavelength", 1e7 / x
    return "wavelength", x


def _stack(
    path: Path,
    data: npt.NDArray,
    axis: tuple[str, npt.NDArray],
    attrs: dict[str, object],
    times: npt.NDArray | None = None,
    region: str = "raman",
) -> xr.Dataset:
    """Frames x rows x columns to a Spectrum; dims of one value are dropped."""
    frames, rows, columns = data.shape
    outer: dict[str, npt.NDArray] = {}
    shape: list[int] = []
    if frames > 1:
        outer["time" if times is not None else "scan"] = (
            times if times is not None else np.arange(frames)
        )
        shape.append(frames)
    if rows > 1:
        outer["detector"] = np.arange(rows)
        shape.append(rows)
    values = data.reshape(*shape, columns)
    return _raman.raman(path, NAME, values, axis, outer=outer, attrs=attrs, region=region)


def _local(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]


def _whole(path: Path, element: ElementTree.Element, name: str, least: int = 0) -> int:
    text = element.get(name, "")
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise FormatError(
            f"{path.name}: the XML footer gives {name} = {text[:20]!r} for a {_local(element)}"
        )
    return int(text)


def _lightfield(path: Path, raw: bytes, footer: int) -> Regions:
    root = _xml.parse(raw[footer:].rstrip(b"\0"), path.name)
    frame = next((e for e in root.iter() if e.get("type") == "Frame"), None)
    if frame is None or frame.get("pixelFormat") not in _PIXELS:
        what = "no frame" if frame is None else f"pixel format {frame.get('pixelFormat')!r}"
        raise FormatError(f"{path.name}: {what} in the XML footer; allowed: {', '.join(_PIXELS)}")
    dtype = np.dtype(_PIXELS[str(frame.get("pixelFormat"))])
    count, stride = _whole(path, frame, "count", 1), _whole(path, frame, "stride", 1)
    if _HEAD + count * stride > footer:
        raise truncated(path, footer, _HEAD + count * stride, f"{count} frames")
    blocks = [e for e in frame if e.get("type") == "Region"]
    attrs = _described(root)
    times = _time_stamps(path, root, raw, frame, count, stride)
    found: dict[str, xr.Dataset] = {}
    at = 0
    for number, block in enumerate(blocks, 1):
        width, height = _whole(path, block, "width", 2), _whole(path, block, "height", 1)
        size = _whole(path, block, "stride", 1)
        if width * height * dtype.itemsize > size or at + size > stride:
            raise FormatError(f"{path.name}: region {number} does not fit its frame of {stride}")
        frames = [
            np.frombuffer(raw, dtype, width * height, _HEAD + n * stride + at) for n in range(count)
        ]
        at += size
        name = "raman" if len(blocks) == 1 else f"raman_{number}"
        axis = _wavelengths(path, root, block, width)
        data = np.array(frames).reshape(count, height, width)
        found[name] = _stack(path, data, axis, attrs, times, name)
    if not found:
        raise FormatError(f"{path.name}: the XML footer lists no region; nothing to read")
    return found


def _wavelengths(
    path: Path, root: ElementTree.Element, block: ElementTree.Element, width: int
) -> tuple[str, npt.NDArray]:
    element = next((e for e in root.iter() if _local(e) == "Wavelength" and e.text), None)
    pairs = next((e for e in root.iter() if _local(e) == "WavelengthError" and e.text), None)
    try:
        if element is not None:
            x = np.array((element.text or "").split(","), dtype=float)
        elif pairs is not None:
            x = np.array([p.split(",")[0] for p in (pairs.text or "").split()], dtype=float)
        else:
            return "channel", np.arange(1.0, width + 1)
    except ValueError:
        raise FormatError(f"{path.name}: the XML footer's wavelengths are no numbers") from None
    mine = (block.get("calibrations") or "").replace(",", " ").split()
    mapping = next(
        (e for e in root.iter() if _local(e) == "SensorMapping" and e.get("id") in mine), None
    )
    if x.size == width:
        return "wavelength", x
    if mapping is not None:
        start, binning = _whole(path, mapping, "x"), max(_whole(path, mapping, "xBinning"), 1)
        cut = x[start : start + width * binning]
        if cut.size == width * binning:
            return "wavelength", cut.reshape(width, binning).mean(axis=1)
    raise FormatError(
        f"{path.name}: {x.size} wavelengths for {width} columns; the footer does not say which"
    )


def _time_stamps(
    path: Path,
    root: ElementTree.Element,
    raw: bytes,
    frame: ElementTree.Element,
    count: int,
    stride: int,
) -> npt.NDArray[np.float64] | None:
    """Start of every exposure in s after the first, from the words behind each frame."""
    block = next((e for e in root.iter() if _local(e) == "MetaBlock"), None)
    at = _HEAD + _whole(path, frame, "size", 1)
    for entry in block if block is not None else ():
        bits = entry.get("bitDepth") or "64"
        if _local(entry) == "TimeStamp" and "Started" in (entry.get("event") or ""):
            ticks = [struct.unpack_from("<q", raw, at + n * stride)[0] for n in range(count)]
            resolution = _raman.number(entry.get("resolution") or "")
            if not resolution or resolution <= 0:
                return None
            seconds = (np.array(ticks, dtype=float) - ticks[0]) / resolution
            return seconds if np.all(np.diff(seconds) > 0) else None
        at += int(bits) // 8 if bits.isdigit() else 8
        if at + 8 > _HEAD + stride:
            return None
    return None


_FOOTER = {
    "ExposureTime": "acquisition_time_s",
    "CenterWavelength": "centre_nm",
    "WavelengthLaserLine": "laser_nm",
    "LaserLine": "laser_nm",
    "ExcitationWavelength": "laser_nm",
}


def _described(root: ElementTree.Element) -> dict[str, object]:
    attrs: dict[str, object] = {}
    for element in root.iter():
        local = _local(element)
        name = _FOOTER.get(local)
        value = _raman.number(element.text or "") if name else None
        if name and value and name not in attrs:
            attrs[name] = value / 1e3 if name.endswith("_s") else value
        if element.get("created") and "measured" not in attrs:
            attrs["measured"] = str(element.get("created"))
        if local == "Camera" and element.get("model"):
            attrs.setdefault("detector_name", str(element.get("model")))
    return attrs


FORMATS = (Format(NAME, "Princeton Instruments SPE", (".spe",), ("raman",), sniff, read),)

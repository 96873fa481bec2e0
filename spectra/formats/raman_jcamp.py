"""JCAMP-DX 4.24 to 6 of Raman spectra (Ocean Optics, OMNIC, OPUS, GRAMS exports ...).

Text, labelled records ``##LABEL= value``, ``$$`` comments. Claimed if a ``##DATA TYPE=`` names
Raman (or infrared, which is refused in words; NMR is `nmr_jcamp`). ``XYDATA=(X++(Y..Y))``: every
line an X and its Ys, as plain numbers (AFFN, PAC) or squeezed (SQZ, DIF with the check value on the
next line, DUP); the axis is even from ``FIRSTX`` to ``LASTX``, and every line's X is
checked against it.
``XYDATA`` or ``XYPOINTS=(XY..XY)``: pairs. Values are multiplied by ``XFACTOR`` and ``YFACTOR``.
``NPOINTS``, ``FIRSTY`` and the difference checks must hold, else the file is refused as damaged.
Blocks of a ``LINK`` file become regions named by their title. ``NTUPLES`` of one X and one Y are a
series, a spectrum to a ``PAGE``: dim ``time`` (s) if the page's variable is one, else ``scan`` with
its value as coordinate ``page``.

``XUNITS`` 1/CM is Raman shift, nanometers and micrometers stay wavelengths. ``YUNITS`` counts that
are whole are counts, all else arbitrary. The decoder is own: nmrglue reads neither (XY..XY) nor
checks line values.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..errors import FormatError
from . import _raman
from .base import Format, Options, Regions

NAME = "raman_jcamp"
_TOKEN = re.compile(
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[Ee][+-]\d{1,3})?|[@A-Ia-i][\d.]*|[%J-Rj-r][\d.]*|[S-Zs]\d*|\?"
)
_MAX_POINTS = 2**22
_TUPLE = ("SYMBOL", "UNITS", "FIRST", "LAST", "FACTOR", "VARDIM")
_SQUEEZED = {c: str(i) for i, c in enumerate("@ABCDEFGHI")}
_SQUEEZED |= {c: f"-{i}" for i, c in enumerate("abcdefghi", 1)}
_DIFFERENCE = {c: str(i) for i, c in enumerate("%JKLMNOPQR")}
_DIFFERENCE |= {c: f"-{i}" for i, c in enumerate("jklmnopqr", 1)}
_REPEAT = {c: i for i, c in enumerate("STUVWXYZs", 1)}


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is JCAMP-DX with a data type that names Raman or infrared, and not NMR."""
    text = _raman.head_text(head).upper()
    if "##" not in text[:400] or "JCAMP" not in text:
        return False
    kinds = [v for k, v in _records(text) if k == "DATATYPE"]
    return not any("NMR" in k for k in kinds) and any(
        "RAMAN" in k or "INFRARED" in k for k in kinds
    )


def _records(text: str) -> list[tuple[str, str]]:
    """Labels (upper case, no blanks, dashes, slashes, underlines) and values in file order."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        line = line.split("$$", 1)[0]
        if line.startswith("##"):
            label, _, value = line[2:].partition("=")
            found.append((re.sub(r"[\s/_-]", "", label).upper(), [value.strip()]))
        elif found:
            found[-1][1].append(line)
    return [(label, "\n".join(lines)) for label, lines in found]


def read(path: Path, options: Options) -> Regions:
    """Read every Raman block."""
    blocks: list[dict[str, str]] = []
    pages: list[list[list[str]]] = []
    for label, value in _records(_raman.text_of(path)):
        if label == "TITLE":
            blocks.append({})
            pages.append([])
        if not blocks:
            continue
        if label == "PAGE":
            pages[-1].append([value, ""])
        elif label == "DATATABLE" and pages[-1]:
            pages[-1][-1][1] = value
        blocks[-1].setdefault(label, value)
    kinds = [block.get("DATATYPE", "").strip().upper() for block in blocks]
    spectra = [
        (b, listed) for b, listed, kind in zip(blocks, pages, kinds, strict=True) if "RAMAN" in kind
    ]
    if not spectra:
        told = next((k for k in kinds if k and k != "LINK"), "no data type")
        raise FormatError(
            f"{path.name}: {told.splitlines()[0][:60]}: not a Raman spectrum; infrared spectra are "
            "not read"
        )
    found: dict[str, xr.Dataset] = {}
    for number, (block, listed) in enumerate(spectra, 1):
        title = re.sub(r"\W+", "_", block.get("TITLE", "")).strip("_")
        name = "raman" if len(spectra) == 1 else title or f"raman_{number}"
        if name in found:
            name = f"{name}_{number}"
        found[name] = _series(path, block, listed, name) if listed else _block(path, block, name)
    return found


def _series(path: Path, block: dict[str, str], pages: list[list[str]], name: str) -> xr.Dataset:
    """Read the pages of an NTUPLES block."""
    table = {key: [v.strip() for v in block.get(key, "").split(",")] for key in _TUPLE}
    symbols = [symbol.upper() for symbol in table["SYMBOL"]]
    if not {"X", "Y"} <= set(symbols):
        raise FormatError(
            f"{path.name}: NTUPLES of {', '.join(symbols)}; read are those of X and Y"
        )

    def told(key: str, symbol: str) -> str:
        at = symbols.index(symbol)
        return table[key][at] if at < len(table[key]) else ""

    common = {k: v for k, v in block.items() if k not in _TUPLE}
    for label, key, symbol in (
        ("XUNITS", "UNITS", "X"), ("YUNITS", "UNITS", "Y"), ("FIRSTX", "FIRST", "X"),
        ("LASTX", "LAST", "X"), ("XFACTOR", "FACTOR", "X"), ("YFACTOR", "FACTOR", "Y"),
        ("NPOINTS", "VARDIM", "X"),
    ):  # fmt: skip
        if told(key, symbol):
            common[label] = told(key, symbol)
    parts = [_points(path, {**common, "XYDATA": body}) for _, body in pages]
    x = parts[0][0]
    if any(not np.array_equal(other, x) for other, _ in parts):
        raise FormatError(f"{path.name}: pages on different axes; export them one by one")
    values = np.array([y for _, y in parts])
    variable, _, _ = pages[0][0].partition("=")
    variable = variable.strip().upper()
    places = np.array([_raman.leading(page.partition("=")[2]) or 0.0 for page, _ in pages])
    unit = told("UNITS", variable).lower() if variable in symbols else ""
    scale = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "min": 60.0, "minutes": 60.0}.get(unit)
    if len(parts) == 1:
        return _made(path, common, x, values[0], name, {}, {})
    if scale and np.all(np.diff(places) > 0):
        return _made(path, common, x, values, name, {"time": places * scale}, {})
    coords: _raman.Coords = {"page": (("scan",), places, "1")}
    return _made(path, common, x, values, name, {"scan": np.arange(len(parts))}, coords)


def _number(block: dict[str, str], label: str, default: float | None = None) -> float | None:
    value = _raman.number(block.get(label, "").split("\n")[0].strip())
    return default if value is None else value


def _block(path: Path, block: dict[str, str], name: str) -> xr.Dataset:
    x, y = _points(path, block)
    return _made(path, block, x, y, name, {}, {})


def _points(path: Path, block: dict[str, str]) -> tuple[npt.NDArray, npt.NDArray]:
    """Decode and check the points of a block."""
    label = next((k for k in ("XYDATA", "XYPOINTS") if k in block), None)
    if label is None:
        raise FormatError(
            f"{path.name}: neither XYDATA nor XYPOINTS: a peak table or a truncated file"
        )
    form, _, body = block[label].partition("\n")
    points = _number(block, "NPOINTS")
    if points is not None and not 2 <= points <= _MAX_POINTS:
        raise FormatError(f"{path.name}: NPOINTS {points:g}; allowed: 2 to {_MAX_POINTS}")
    x_factor = _number(block, "XFACTOR", 1.0) or 1.0
    y_factor = _number(block, "YFACTOR", 1.0) or 1.0
    if "++" in form:
        x, y = _even(path, block, body, points, x_factor)
    elif "XY" in form.upper():
        pairs = _pairs(path, body, points)
        x, y = pairs[:, 0] * x_factor, pairs[:, 1]
    else:
        raise FormatError(f"{path.name}: {label}={form[:30]}: allowed: (X++(Y..Y)), (XY..XY)")
    if points is not None and y.size != points:
        raise FormatError(
            f"{path.name}: {y.size} points, NPOINTS says {points:g}: truncated or damaged; copy it "
            "again"
        )
    y = y * y_factor
    first = _number(block, "FIRSTY")
    tolerance = 1e-3 * max(abs(first or 0.0), float(np.nanmax(np.abs(y)))) + abs(y_factor)
    if first is not None and np.isfinite(y[0]) and abs(y[0] - first) > tolerance:
        raise FormatError(
            f"{path.name}: begins with {y[0]:g}, FIRSTY says {first:g}: the file is damaged"
        )
    return x, y


def _made(
    path: Path,
    block: dict[str, str],
    x: npt.NDArray,
    y: npt.NDArray,
    name: str,
    outer: dict[str, npt.NDArray],
    coords: _raman.Coords,
) -> xr.Dataset:
    unit = block.get("XUNITS", "").split("\n")[0]
    axis = _raman.axis_in(path, unit or "1/cm", x)
    attrs = {
        "title": block.get("TITLE", "").split("\n")[0],
        "instrument": block.get("SPECTROMETERDATASYSTEM", "").split("\n")[0],
        "measured": " ".join(
            block.get(k, "").split("\n")[0] for k in ("LONGDATE", "DATE", "TIME")
        ).strip(),
        "laser_nm": _laser(block),
        "owner": block.get("OWNER", "").split("\n")[0],
    }
    unit = block.get("YUNITS", "").split("\n")[0] or "ARBITRARY UNITS"
    return _raman.raman(
        path, NAME, y, axis, unit=unit, outer=outer, coords=coords, attrs=attrs, region=name
    )


def _laser(block: dict[str, str]) -> float | None:
    for label, text in block.items():
        if "EXCITATION" in label or "LASERWAVE" in label or label.endswith("LASER"):
            value = _raman.leading(text)
            if value is not None and 150 < value < 2500:
                return value
            if value is not None and value > 4000:
                return 1e7 / value
    return None


def _pairs(path: Path, body: str, points: float | None) -> npt.NDArray[np.float64]:
    text = body.strip()
    for separators, decimal in ((r"[\s,;]+", "."), (r"[\s;]+", ",")):
        words = [w for w in re.split(separators, text.replace(", ", " ")) if w]
        try:
            flat = np.array([w.replace(decimal, ".") for w in words], dtype=float)
        except ValueError:
            continue
        if flat.size % 2 == 0 and flat.size >= 4 and points in (None, flat.size // 2):
            return flat.reshape(-1, 2)
    raise FormatError(
        f"{path.name}: the pairs are no numbers or not as many as NPOINTS says: truncated?"
    )


def _even(
    path: Path, block: dict[str, str], body: str, points: float | None, x_factor: float
) -> tuple[npt.NDArray, npt.NDArray]:
    starts, values = _ladder(path, body, int(points) if points else _MAX_POINTS)
    y = np.array(values, dtype=float)
    if y.size < 2:
        raise FormatError(f"{path.name}: {y.size} points; the file is truncated, copy it again")
    first = _number(block, "FIRSTX", starts[0][1] * x_factor if starts else None)
    last = _number(block, "LASTX")
    step = _number(block, "DELTAX")
    if first is None or (last is None and not step):
        raise FormatError(f"{path.name}: no FIRSTX, LASTX or DELTAX: no axis; export it again")
    if last is None and step:
        last = first + step * (y.size - 1)
    if last is None or last == first:
        raise FormatError(f"{path.name}: FIRSTX and LASTX are both {first:g}; export it again")
    if points is None or y.size == points:
        x = np.linspace(first, last, y.size)
        width = abs(x[1] - x[0])
        for at, told in starts:
            place = told * x_factor
            if at < x.size and abs(place - x[at]) > 2 * width + abs(x_factor) + 1e-6 * abs(place):
                raise FormatError(
                    f"{path.name}: point {at + 1} is at {place:g} by its line, {x[at]:g} by FIRSTX "
                    "and LASTX: a line is missing or damaged"
                )
    else:
        x = np.arange(y.size, dtype=float)
    return x, y


def _ladder(path: Path, body: str, most: int) -> tuple[list[tuple[int, float]], list[float]]:
    """Decode the lines: index and X of each line's first value, and all values."""
    starts: list[tuple[int, float]] = []
    values: list[float] = []
    difference: float | None = None
    for number, line in enumerate(body.splitlines(), 1):
        tokens = _TOKEN.findall(line)
        if not tokens:
            continue
        if "".join(tokens) != re.sub(r"[\s,;]", "", line):
            raise FormatError(f"{path.name}: data line {number}: {line.strip()[:40]!r} is no data")
        check = difference is not None
        at = len(values) - check
        try:
            starts.append((at, float(_plain(tokens[0]))))
            for place, token in enumerate(tokens[1:]):
                if token[0] in _REPEAT:
                    times = int(f"{_REPEAT[token[0]]}{token[1:]}") - 1
                    if not values or len(values) + times > most:
                        raise ValueError(token)
                    for _ in range(times):
                        values.append(values[-1] + (difference or 0.0))
                elif token[0] in _DIFFERENCE:
                    difference = float(_DIFFERENCE[token[0]] + token[1:])
                    values.append(values[-1] + difference)
                else:
                    value = np.nan if token == "?" else float(_plain(token))  # noqa: S105
                    if check and place == 0:
                        if abs(value - values[-1]) > 0.5:
                            raise FormatError(
                                f"{path.name}: data line {number}: check value {value:g}, the line "
                                f"before ends with {values[-1]:g}: the file is damaged"
                            )
                        values[-1] = value
                    else:
                        values.append(value)
                    difference = None
        except (ValueError, IndexError):
            raise FormatError(
                f"{path.name}: data line {number}: {line.strip()[:40]!r} cannot be decoded"
            ) from None
        if len(values) > most:
            raise FormatError(f"{path.name}: more than NPOINTS values: the file is damaged")
    return starts, values


def _plain(token: str) -> str:
    return _SQUEEZED[token[0]] + token[1:] if token[0] in _SQUEEZED else token


FORMATS = (
    Format(
        name=NAME,
        title="JCAMP-DX of a Raman spectrum",
        suffixes=(".jdx", ".dx", ".jcamp", ".jcm"),
        techniques=("raman",),
        sniff=sniff,
        read=read,
    ),
)

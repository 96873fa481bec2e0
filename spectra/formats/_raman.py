"""What the Raman readers share: numbers in either locale, units of the axis, maps with gaps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..convention import COUNTS, spectrum
from ..errors import ConventionError, FormatError
from .base import read_bytes, source

MAX_TEXT = 1024**3
MAX_VALUES = 2**31
Coords = dict[str, tuple[tuple[str, ...], npt.NDArray, str]]


def text_of(path: Path) -> str:
    """Read a text in UTF-8, UTF-16 or Latin-1.

    Raises
    ------
    FormatError
        If it is empty, too large or binary.
    """
    raw = read_bytes(path, limit=MAX_TEXT)
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = raw.decode("utf-16", "replace")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
    if "\0" in text:
        raise FormatError(f"{path.name}: zero bytes in a text: the file is damaged; copy it again")
    return text


def head_text(head: bytes) -> str:
    """Return the beginning of a file as text; empty if it is binary."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head[: len(head) // 2 * 2].decode("utf-16", "replace")
    return "" if b"\0" in head else head.removeprefix(b"\xef\xbb\xbf").decode("latin-1")


def number(text: str) -> float | None:
    """Return a finite number written with decimal point or comma, else None."""
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def leading(text: str) -> float | None:
    """Return the first number in a text such as ``532nm_Edge`` or ``-60,1 C``, else None."""
    match = re.search(r"[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?", text)
    return number(match.group()) if match else None


def rows(
    path: Path, lines: Sequence[str], first: int, delimiter: str | None, width: int | None = None
) -> npt.NDArray[np.float64]:
    """Parse lines of numbers, all of the same length; blank lines are passed over.

    Parameters
    ----------
    path : Path
        For messages.
    lines : sequence of str
        Without the header.
    first : int
        Number of the first line in the file, from 1.
    delimiter : str or None
        What separates the numbers; None: blanks.
    width : int, optional
        Numbers in every line; the first line's by default.

    Returns
    -------
    ndarray, shape (lines, width)

    Raises
    ------
    FormatError
        Naming the first line that is not so.
    """
    table = []
    for at, line in enumerate(lines, first):
        if not line.strip():
            continue
        text = line if delimiter == "," else line.replace(",", ".")
        cells = text.strip(" \r\n").rstrip(delimiter).split(delimiter)
        try:
            row = np.array(cells, dtype=float)
        except ValueError:
            raise FormatError(
                f"{path.name}: line {at}: expected numbers, found {line.strip()[:40]!r}; "
                "take the line out or export again"
            ) from None
        width = row.size if width is None else width
        if row.size != width:
            raise FormatError(
                f"{path.name}: line {at} has {row.size} columns instead of {width}: "
                "the file is truncated or damaged; copy it again"
            )
        table.append(row)
    if not table:
        raise FormatError(f"{path.name}: no row of numbers below the header: truncated?")
    return np.array(table)


def axis_in(path: Path, unit: str, values: npt.ArrayLike) -> tuple[str, npt.NDArray]:
    """Return axis name and values in the unit of the convention.

    Parameters
    ----------
    path : Path
        For messages.
    unit : str
        As the vendor writes it: ``rel. 1/cm``, ``cm^-1``, ``nm``, ``um``, ``eV`` ...
    values : array_like

    Returns
    -------
    tuple of str and ndarray
    """
    x = np.asarray(values, dtype=float)
    word = re.sub(r"[^a-z0-9/μµ-]", "", unit.lower()).replace("μ", "u").replace("µ", "u")
    if word in ("1/cm", "rel1/cm", "cm-1", "cm1", "/cm", "relcm-1", "cm", "ramanshift/cm-1"):
        return "raman_shift", x
    if word in ("nm", "nanometers", "nanometer", "nanometre", "nanometres"):
        return "wavelength", x
    if word in ("um", "micrometers", "micrometer", "micron", "microns"):
        return "wavelength", x * 1e3
    if word == "ev":
        return "photon_energy", x * 1e-3
    raise FormatError(
        f"{path.name}: axis unit {unit!r}; read are 1/cm, nm, um and eV: export it in one of them"
    )


def outer_of(
    x: npt.NDArray, y: npt.NDArray
) -> tuple[dict[str, npt.NDArray], Coords, tuple[int, ...], npt.NDArray]:
    """Arrange positions as a full grid ``y, x``, else as a list ``point``.

    Parameters
    ----------
    x, y : ndarray, shape (spectra,)
        Stage positions, um.

    Returns
    -------
    outer, coords, shape, order
        ``values[order].reshape(*shape, -1)`` is the array of those dims.
    """
    count = x.size
    step = 1e-4 * max(float(np.ptp(x)), float(np.ptp(y)), 1e-9)
    column, xs = levels(x, step)
    row, ys = levels(y, step)
    full = xs.size > 1 and ys.size > 1 and xs.size * ys.size == count
    order = np.lexsort((column, row))
    if full and np.array_equal(row[order] * xs.size + column[order], np.arange(count)):
        return {"y": ys, "x": xs}, {}, (ys.size, xs.size), order
    coords: Coords = {"x": (("point",), x, "um"), "y": (("point",), y, "um")}
    return {"point": np.arange(count)}, coords, (count,), np.arange(count)


def levels(values: npt.NDArray, step: float) -> tuple[npt.NDArray, npt.NDArray]:
    """Find the few places a stage went to.

    Parameters
    ----------
    values : ndarray, shape (n,)
    step : float
        Sorted values closer than this belong together.

    Returns
    -------
    number, places : ndarray
        Number of the place of each value; the places (their middle values), ascending.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    group = np.concatenate(([0], np.cumsum(np.diff(ordered) > step)))
    number = np.empty(values.size, dtype=int)
    number[order] = group
    ends = np.cumsum(np.bincount(group))
    return number, ordered[ends - (np.bincount(group) + 1) // 2]


def raman(
    path: Path,
    format_name: str,
    values: npt.ArrayLike,
    axis: tuple[str, npt.NDArray],
    *,
    unit: str = "",
    outer: Mapping[str, npt.ArrayLike] | None = None,
    coords: Coords | None = None,
    extra: Coords | None = None,
    attrs: Mapping[str, Any] | None = None,
    region: str = "raman",
    technique: str = "raman",
) -> xr.Dataset:
    """Make the Spectrum: counts if the numbers are whole and the unit does not deny it.

    Parameters
    ----------
    path, format_name, region
        For the source.
    values : array_like, shape (*outer, axis)
        Intensities; axis points at one place (stitched windows) are averaged (``merged_points``),
        values that are no numbers are counted (``missing_points``).
    axis : tuple
        Name and values, in any order.
    unit : str
        The vendor's intensity unit, kept in attrs ``intensity_unit``.
    outer, coords, extra, attrs, technique
        See `spectra.convention.spectrum`.

    Raises
    ------
    FormatError
        If the parts do not make a Spectrum.
    """
    name, x = axis
    y = np.asarray(values)
    told = {k: v for k, v in (attrs or {}).items() if v not in ("", None)}
    if unit:
        told["intensity_unit"] = unit
    if y.shape[-1] != x.size or x.size < 2:
        raise FormatError(f"{path.name}: {y.shape[-1]} intensities on an axis of {x.size} points")
    if not np.all(np.isfinite(x)):
        raise FormatError(f"{path.name}: the axis holds values that are not finite")
    more = dict(extra or {})
    if np.any(np.diff(x) <= 0) and np.any(np.diff(x) >= 0):
        x, y, more, merged = _sorted(x, y, more, name)
        if merged:
            told["merged_points"] = merged
    missing = int(y.size - np.isfinite(y).sum())
    if missing == y.size:
        raise FormatError(f"{path.name}: no intensity is a number; the file is damaged")
    if missing:
        told["missing_points"] = missing
    word = unit.lower().replace(" ", "")
    if not np.issubdtype(y.dtype, np.integer) and np.all(np.isfinite(y)):
        whole = y.size > 0 and bool(np.all(y == np.round(y)) and np.abs(y).max() < 2**53)
        if whole:
            y = y.astype(np.int64)
    counts = np.issubdtype(y.dtype, np.integer) and bool(y.min() >= 0)
    kind = COUNTS if counts and word in _COUNTS else "1"
    if re.search(r"(cnt|cts|counts?)(/|per)s", word):
        kind, y = "counts/s", y.astype(float)
    try:
        return spectrum(
            y,
            x,
            technique=technique,
            axis_name=name,
            units=kind,
            outer=outer,
            coords=coords,
            extra=more,
            attrs=told,
            source=source(path, format_name, region),
        )
    except (ConventionError, ValueError) as error:
        raise FormatError(f"{path.name}: {error}".replace("\n", " ")) from None


_COUNTS = {"", "counts", "count", "cnt", "cts", "ccdcts", "ccdcounts", "a.u.", "a.u", "intensity"}


def _sorted(
    x: npt.NDArray, y: npt.NDArray, extra: Coords, name: str
) -> tuple[npt.NDArray, npt.NDArray, Coords, int]:
    """Sort along the axis; average points of one place."""
    places, inverse, times = np.unique(x, return_inverse=True, return_counts=True)

    def gather(values: npt.NDArray) -> npt.NDArray:
        if places.size == x.size:
            return values[..., np.argsort(x, kind="stable")]
        total = np.zeros((*values.shape[:-1], places.size))
        for at, place in enumerate(inverse):
            total[..., place] += values[..., at]
        return total / times

    more = {k: (d, gather(v) if d[-1] == name else v, u) for k, (d, v, u) in extra.items()}
    return places, gather(y), more, int(x.size - places.size)

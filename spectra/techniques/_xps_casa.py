"""The fit that CasaXPS kept in a VAMAS file: its regions, backgrounds, components and ties.

A component's line of the comments reads ``CASA comp (*name*) (*shape*) Area value min max tied-to
factor MFWHM value min max tied-to factor Position value min max tied-to offset RSF ...``; tied-to
is the number of another component or -1. Positions and limits are kinetic energies on CasaXPS's own
calibrated scale: apply ``calibrate(ds, "casaxps")`` first.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import xarray as xr

from ..backgrounds import STATIC
from ..component import Component, Components, Param
from ..convention import where
from ..errors import ModelError
from ..shapes import SHAPES, sgl_mixing
from .base import NoSettings

_NUMBER = r"(-?[\d.]+(?:[eE][-+]?\d+)?)"
_FIVE = rf"{_NUMBER} {_NUMBER} {_NUMBER} (-?\d+) {_NUMBER}"
_COMP = re.compile(
    rf"^CASA comp \(\*(.*?)\*\) \(\*(.*?)\*\) Area {_FIVE} M?FWHM {_FIVE} Position {_FIVE}"
)
_REGION = re.compile(rf"^CASA region \(\*(.*?)\*\) \(\*(.*?)\*\) {_NUMBER} {_NUMBER} (.*)$")


_SHAPE = re.compile(r"^\s*([A-Za-z]+)\(([-+\d.eE, ]*)\)\s*$")


@dataclass(frozen=True)
class CasaRegion:
    """One region of CasaXPS: name, background, limits as binding energies, further numbers."""

    name: str
    background: str
    low: float
    high: float
    numbers: tuple[float, ...]


@dataclass(frozen=True)
class _Row:
    name: str
    shape: str
    arguments: tuple[float, ...]
    area: tuple[float, float, float, int, float]
    fwhm: tuple[float, float, float, int, float]
    position: tuple[float, float, float, int, float]


def casaxps_model(ds: xr.Dataset) -> Components:
    """Return CasaXPS's components of this region, with its start values, bounds and ties.

    ``GL(p)`` becomes `gl_product`, ``SGL(p)`` `pseudo_voigt`, ``LA`` `la_gaussian`, ``LF`` `lf`.
    CasaXPS does not say how wide the Gaussian of LA and LF is for their last number: the widths are
    taken from curves it exported (`_LA_CHANNELS`, `_LF_GAUSSIAN`). ``LA(m)`` with one number and LF
    with an unknown one get a free Gaussian. Areas are of what the detector counted; CasaXPS stores
    them over the transmission: compare shares.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum read from a VAMAS file with such comments, calibrated as CasaXPS had it.

    Returns
    -------
    Components
        Named ``<name>_<number>`` by CasaXPS's names and order; without background.

    Raises
    ------
    ModelError
        If the file holds no such model, or a shape is not known here.
    """
    photon = float(ds.attrs.get("photon_energy_eV", 0.0))
    rows = casaxps_rows(ds)
    names = [f"{_identifier(row.name)}_{k + 1}" for k, row in enumerate(rows)]
    scale, least = _area_scale(ds, rows)
    items = []
    for k, row in enumerate(rows):
        params = {
            "area": _tied(row.area, names, k, "area", "*"),
            "center": _center(row.position, names, k, photon),
            **_shape_params(row, names, rows, k),
        }
        if params["area"].expr is None:
            params["area"] = Param(value=max(scale * row.area[0], least), min=0.0)
        items.append(Component(name=names[k], shape=_SHAPES[row.shape], params=params))
    return Components(items)


_SHAPES = {"GL": "gl_product", "SGL": "pseudo_voigt", "LA": "la_gaussian", "LF": "lf"}

_LF_GAUSSIAN = (100.0, 1.7034)
_LF_WIDTH = 0.4784
"""The m of LF(alpha, beta, w, m) and its Gaussian over its Lorentzian width there; the Lorentzian
width over CasaXPS's.

CasaXPS does not publish what m means. With these and w as the damping over the Lorentzian width,
two curves of different width that it exported for LF(0.54, 10, 80, 100, 6) are drawn within 1e-4 of
their height (rms), their positions within 0.001 eV. For other m the Gaussian width is free. A fifth
number has no known meaning."""

_LA_CHANNELS = 144.9
"""The n of LA(alpha, beta, n) at which the Gaussian is as wide as the Lorentzian.

CasaXPS does not publish it. Fourteen LA(1.53, 243) curves of a published set of exports are drawn
with it within 1e-5 to 9e-5 of their height (rms); stored fits with LA(2.5, 2.8, 70) come out of the
data within 0.002 eV and shares of 0.003. CasaXPS's width is the full width of the whole line."""


def _area_scale(ds: xr.Dataset, rows: list[_Row]) -> tuple[float, float]:
    """Return counted area over CasaXPS's, and the least area a line starts from."""
    x = ds["binding_energy"].values
    y = ds["intensity"].values.reshape(-1, x.size).astype(float).mean(axis=0)
    below = np.interp(x, x[[0, -1]], y[[0, -1]])
    if "background" in ds:
        below = ds["background"].values.reshape(-1, x.size).mean(axis=0)
    inside = ds["valid"].values.reshape(-1, x.size)[0] if "valid" in ds else np.ones(x.size, bool)
    whole = max(float(np.trapezoid(np.where(inside, y - below, 0.0), x)), 1e-12)
    return whole / max(sum(row.area[0] for row in rows), 1e-12), 1e-3 * whole


def casaxps_rows(ds: xr.Dataset) -> list[_Row]:
    """Return the components as CasaXPS stored them, without a counterpart's parameters."""
    rows = []
    for line in json.loads(str(ds.attrs.get("casaxps_model", "[]"))):
        match = _COMP.match(line)
        if not match:
            continue
        words = match.groups()
        fives = [words[2:7], words[7:12], words[12:17]]
        numbers = [(float(a), float(b), float(c), int(d), float(e)) for a, b, c, d, e in fives]
        written = _SHAPE.match(words[1])
        shape, inside = written.groups() if written else ("", "")
        if shape not in _SHAPES or not _counts_of(shape, inside):
            raise ModelError(
                f"{where(ds)}: CasaXPS's line shape {words[1]!r} has no counterpart here; known: "
                + ", ".join(f"{name}(...)" for name in _SHAPES)
            )
        arguments = tuple(float(w) for w in inside.split(","))
        rows.append(_Row(words[0], shape, arguments, *numbers))
    if not rows:
        raise ModelError(f"{where(ds)}: the file holds no CasaXPS components for this region")
    return rows


def _counts_of(shape: str, inside: str) -> bool:
    """Whether a shape has numbers, as many as it may have."""
    words = inside.split(",")
    try:
        [float(w) for w in words]
    except ValueError:
        return False
    most = {"GL": 1, "SGL": 1, "LA": 3, "LF": 5}[shape]
    return (2 if shape == "LF" else 1) <= len(words) <= most


def _identifier(name: str) -> str:
    plain = re.sub(r"\W+", "_", name).strip("_") or "line"
    return plain if plain[0].isalpha() else f"line_{plain}"


def _tied(
    five: tuple[float, float, float, int, float], names: list[str], k: int, key: str, sign: str
) -> Param:
    value, low, high, to, factor = five
    if 0 <= to < len(names) and to != k:
        return Param(value=value, expr=f"{names[to]}.{key} {sign} {factor!r}")
    if low < high:
        return Param(value=min(max(value, low), high), min=low, max=high)
    return Param(value=value)


def _center(
    five: tuple[float, float, float, int, float], names: list[str], k: int, photon: float
) -> Param:
    value, low, high, to, offset = five
    if 0 <= to < len(names) and to != k:
        return Param(value=photon - value, expr=f"{names[to]}.center + {-offset!r}")
    if low < high:
        at = min(max(photon - value, photon - high), photon - low)
        return Param(value=at, min=photon - high, max=photon - low)
    return Param(value=photon - value)


def _shape_params(row: _Row, names: list[str], rows: list[_Row], k: int) -> dict[str, Param]:
    value, low, high, to, factor = row.fwhm
    mine = _measure(row)
    if 0 <= to < len(names) and to != k:
        theirs = _measure(rows[to])
        times = factor * mine.scale / theirs.scale
        width = Param(value=value * mine.scale, expr=f"{names[to]}.{theirs.key} * {times!r}")
    elif low < high:
        ends = [v * mine.scale for v in (low, high)]
        width = Param(
            value=min(max(value * mine.scale, ends[0]), ends[1]), min=ends[0], max=ends[1]
        )
    else:
        width = Param(value=value * mine.scale)
    share = row.arguments[0] if row.arguments else 30.0
    if row.shape == "GL":
        return {"fwhm": width, "mixing": Param(value=share / 100.0, vary=False)}
    if row.shape == "SGL":
        return {"fwhm": width, "mixing": Param(value=sgl_mixing(share / 100.0), vary=False)}
    own = f"{names[k]}.fwhm_lorentzian"
    ratio = mine.gaussian
    if ratio is None:
        top = 2.0 * max(high, value)
        gaussian = Param(value=0.5 * value, min=0.02, max=top)
        width = width if width.expr else Param(value=0.5 * value, min=0.02, max=top)
    else:
        gaussian = Param(value=ratio * width.value, expr=f"{ratio!r} * {own}")
    least = 0.0 if row.shape == "LF" else 0.51
    alpha, beta = _powers(row)
    params = {
        "fwhm_lorentzian": width,
        "fwhm_gaussian": gaussian,
        "alpha": Param(value=max(alpha, least), vary=False),
        "beta": Param(value=max(beta, least), vary=False),
    }
    if row.shape == "LF":
        reach = row.arguments[2] if len(row.arguments) > 2 and row.arguments[2] > 0 else 1e3
        params["damping"] = Param(value=reach * width.value, expr=f"{reach!r} * {own}")
    return params


@dataclass(frozen=True)
class _Width:
    """The width parameter of a shape: its name, its value over CasaXPS's, Gaussian over it."""

    key: str
    scale: float
    gaussian: float | None = None


def _powers(row: _Row) -> tuple[float, float]:
    """Return alpha and beta: LA(a, b, n), LA(a, n) with b = a, LA(m) with both 1."""
    if row.shape == "LF" or len(row.arguments) > 2:
        return row.arguments[0], row.arguments[1]
    one = row.arguments[0] if len(row.arguments) == 2 else 1.0
    return one, one


def _measure(row: _Row) -> _Width:
    if row.shape in ("GL", "SGL"):
        return _Width("fwhm", 1.0)
    if row.shape == "LF":
        known = len(row.arguments) > 3 and row.arguments[3] == _LF_GAUSSIAN[0]
        return _Width("fwhm_lorentzian", _LF_WIDTH, _LF_GAUSSIAN[1] if known else None)
    if len(row.arguments) < 2:
        return _Width("fwhm_lorentzian", 0.5)
    ratio = max(row.arguments[-1], 0.0) / _LA_CHANNELS
    return _Width("fwhm_lorentzian", 1.0 / _la_width(ratio, *_powers(row)), ratio)


@lru_cache(maxsize=256)
def _la_width(ratio: float, alpha: float, beta: float) -> float:
    """Return the full width of LA over its Lorentzian one, Gaussian over Lorentzian ``ratio``."""
    reach = 3.0 + 2.0 * ratio
    t = np.linspace(-reach, reach, 8001)
    powers = max(alpha, 0.51), max(beta, 0.51)
    y = SHAPES["la_gaussian"].function(t, 1.0, 0.0, 1.0, ratio, *powers)[0]
    half = 0.5 * y.max()
    top = int(np.argmax(y))
    left = float(np.interp(half, y[: top + 1], t[: top + 1]))
    right = float(np.interp(-half, -y[top:], t[top:]))
    return right - left


def casaxps_region(ds: xr.Dataset) -> CasaRegion:
    """Return CasaXPS's region of this spectrum.

    Raises
    ------
    ModelError
        If the file holds none.
    """
    photon = float(ds.attrs.get("photon_energy_eV", 0.0))
    for line in json.loads(str(ds.attrs.get("casaxps_model", "[]"))):
        match = _REGION.match(line)
        if match:
            ends = sorted(photon - float(match[k]) for k in (3, 4))
            words = re.findall(_NUMBER, match[5].split("(*")[0])
            numbers = tuple(float(w) for w in words)
            return CasaRegion(match[1], match[2], ends[0], ends[1], numbers)
    raise ModelError(f"{where(ds)}: the file holds no CasaXPS region; use another background")


def casaxps_background(ds: xr.Dataset, settings: NoSettings) -> xr.Dataset:
    """Add the background of CasaXPS's region as ``background``, and leave out what lies outside.

    Shirley, Linear, and Tougaard U 2 and U 3 (with the cross-section's C and D as CasaXPS has
    them, B found at the upper end) are known.

    Parameters
    ----------
    ds : xr.Dataset
        Calibrated as CasaXPS had it.
    settings : NoSettings

    Returns
    -------
    xr.Dataset

    Raises
    ------
    ModelError
        If there is no region, or its background is another one.
    """
    found = casaxps_region(ds)
    x = ds["binding_energy"].values
    kinds = {"Shirley": "shirley", "Linear": "linear", "U 2 Tougaard": "tougaard",
             "U 3 Tougaard": "tougaard"}  # fmt: skip
    if found.background not in kinds:
        raise ModelError(
            f"{where(ds)}: CasaXPS's background {found.background!r} is not known here; known: "
            + ", ".join(kinds)
        )
    knobs: dict[str, float] = {}
    if found.background == "U 3 Tougaard" and len(found.numbers) >= 7:
        _, c, d, gap = found.numbers[-4:]
        knobs = {"c": c, "d": d, "sign": -1.0, "gap": gap}
    rows = ds["intensity"].values.reshape(-1, x.size).astype(float)
    low, high = max(found.low, float(x[0])), min(found.high, float(x[-1]))
    average = 2 * int(found.numbers[1]) + 1 if len(found.numbers) > 1 else 1
    made = np.stack(
        [
            STATIC[kinds[found.background]](x, y, between=(low, high), average=average, **knobs)[0]
            for y in rows
        ]
    )
    ds = ds.copy(deep=False)
    units = ds["intensity"].attrs["units"]
    attrs = {"units": units, "kind": f"CasaXPS {found.background}"}
    ds["background"] = (ds["intensity"].dims, made.reshape(ds["intensity"].shape), attrs)
    inside = (x >= low) & (x <= high)
    if "valid" in ds:
        inside = ds["valid"].values & inside
        ds["valid"] = (ds["valid"].dims, inside, ds["valid"].attrs)
    else:
        flags = {"flag_values": np.array([0, 1], dtype=np.uint8), "flag_meanings": "masked valid"}
        ds["valid"] = (("binding_energy",), inside, flags)
    return ds

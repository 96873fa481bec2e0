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

import numpy as np
import xarray as xr

from ..backgrounds import STATIC
from ..component import Component, Components, Param
from ..convention import where
from ..errors import ModelError
from ..shapes import sgl_mixing
from .base import NoSettings

_NUMBER = r"(-?[\d.]+(?:[eE][-+]?\d+)?)"
_FIVE = rf"{_NUMBER} {_NUMBER} {_NUMBER} (-?\d+) {_NUMBER}"
_COMP = re.compile(
    rf"^CASA comp \(\*(.*?)\*\) \(\*(.*?)\*\) Area {_FIVE} M?FWHM {_FIVE} Position {_FIVE}"
)
_REGION = re.compile(rf"^CASA region \(\*(.*?)\*\) \(\*(.*?)\*\) {_NUMBER} {_NUMBER} (.*)$")


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
    CasaXPS's convolution width m and damping w have no published meaning: the Gaussian width of LA
    is free; LF with its usual w and m is known from exported curves (`_LF_DAMPING`). Areas are of
    what the detector counted; CasaXPS stores them over the transmission: compare shares.

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
    rows = _rows(ds)
    names = [f"{_identifier(row.name)}_{k + 1}" for k, row in enumerate(rows)]
    top = float(np.nanmax(ds["intensity"].values))
    items = []
    for k, row in enumerate(rows):
        params = {
            "area": _tied(row.area, names, k, "area", "*"),
            "center": _center(row.position, names, k, photon),
            **_shape_params(row, names, k),
        }
        if params["area"].expr is None:
            start = 0.2 * top * params_width(row)
            params["area"] = Param(value=start, min=0.0)
        items.append(Component(name=names[k], shape=_SHAPES[row.shape], params=params))
    return Components(items)


def params_width(row: _Row) -> float:
    """Return the width CasaXPS found."""
    return row.fwhm[0]


_SHAPES = {"GL": "gl_product", "SGL": "pseudo_voigt", "LA": "la_gaussian", "LF": "lf"}

_LF_KNOWN = (80.0, 100.0)
_LF_GAUSSIAN = 1.563
_LF_DAMPING = 9.95
"""Gaussian width and damping of LF(alpha, beta, 80, 100) over its Lorentzian width.

CasaXPS does not publish what its w and m mean; these ratios make `lf` equal to two curves it
exported, of different width, within 0.07 % of their height (rms). For other w and m only the
damping is taken from them."""


def _rows(ds: xr.Dataset) -> list[_Row]:
    rows = []
    for line in json.loads(str(ds.attrs.get("casaxps_model", "[]"))):
        match = _COMP.match(line)
        if not match:
            continue
        words = match.groups()
        fives = [words[2:7], words[7:12], words[12:17]]
        numbers = [(float(a), float(b), float(c), int(d), float(e)) for a, b, c, d, e in fives]
        shape, _, inside = words[1].partition("(")
        if shape not in _SHAPES:
            raise ModelError(
                f"{where(ds)}: CasaXPS's line shape {words[1]!r} has no counterpart here; known: "
                + ", ".join(_SHAPES)
            )
        arguments = tuple(float(w) for w in inside.rstrip(")").split(",") if w.strip())
        rows.append(_Row(words[0], shape, arguments, *numbers))
    if not rows:
        raise ModelError(f"{where(ds)}: the file holds no CasaXPS components for this region")
    return rows


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


def _shape_params(row: _Row, names: list[str], k: int) -> dict[str, Param]:
    width = _tied(row.fwhm, names, k, "fwhm", "*")
    share = row.arguments[0] if row.arguments else 30.0
    if row.shape == "GL":
        return {"fwhm": width, "mixing": Param(value=share / 100.0, vary=False)}
    if row.shape == "SGL":
        return {"fwhm": width, "mixing": Param(value=sgl_mixing(share / 100.0), vary=False)}
    alpha = share
    beta = row.arguments[1] if len(row.arguments) > 2 else alpha
    half = row.fwhm[0] / 2.0
    tie = row.fwhm[3]
    if 0 <= tie < len(names) and tie != k:
        widths = {
            key: Param(value=half, expr=f"{names[tie]}.{key} * {row.fwhm[4]!r}")
            for key in ("fwhm_lorentzian", "fwhm_gaussian")
        }
    else:
        limit = 2.0 * max(row.fwhm[2], row.fwhm[0])
        widths = {
            "fwhm_lorentzian": Param(value=half, min=0.02, max=limit),
            "fwhm_gaussian": Param(value=half, min=0.02, max=limit),
        }
    if row.shape == "LF":
        own = f"{names[k]}.fwhm_lorentzian"
        gaussian = Param(value=_LF_GAUSSIAN * half, expr=f"{_LF_GAUSSIAN!r} * {own}")
        if row.arguments[2:4] == _LF_KNOWN:
            widths["fwhm_gaussian"] = gaussian
        return {
            **widths,
            "alpha": Param(value=alpha, vary=False),
            "beta": Param(value=beta, vary=False),
            "damping": Param(value=_LF_DAMPING * half, expr=f"{_LF_DAMPING!r} * {own}"),
        }
    return {
        **widths,
        "alpha": Param(value=max(alpha, 0.51), vary=False),
        "beta": Param(value=max(beta, 0.51), vary=False),
    }


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

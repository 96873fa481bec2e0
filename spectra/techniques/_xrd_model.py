"""Phases as components on a two-theta axis: every reflection a Ka doublet, areas and cells tied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..component import Component, Components, Param, SubLine
from ..convention import where
from ..errors import CalibrationError
from ..shapes import pseudo_voigt
from ._edxrd_columns import background, mean_spectrum, started
from ._xrd_bounds import cell_bounds
from ._xrd_parts import doublet_at, find_displacement, part_components
from .base import Settings

if TYPE_CHECKING:
    from references import Library

Array = npt.NDArray[np.float64]


class Model(Settings):
    """How phases become components."""

    wavelength_A: float | None = Field(
        None, gt=0, description="wavelength (Ka1), angstrom; none takes the file's"
    )
    wavelength_2_A: float | None = Field(None, ge=0, description="Ka2, angstrom; 0 is none")
    ratio_2: float | None = Field(
        None, ge=0, le=1, description="Ka2 over Ka1; none is the file's or 0.5"
    )
    intensities: Literal["tied", "free"] = Field(
        "tied", description="tied: j|F|^2 and Lorentz-polarisation; free: an area per reflection"
    )
    cells: Literal["free", "fixed"] = Field("free", description="fit the cell of every phase")
    cell_range: float = Field(0.02, gt=0, le=0.05, description="largest relative change of a cell")
    bounds: Literal["data", "range"] = Field(
        "data",
        description="how far a cell may move in one pattern. data: as far as in the patterns that "
        "show the phase clearly, and a little more; range: cell_range",
    )
    shift: Literal["displacement", "zero", "both", "none"] = Field(
        "displacement", description="error of the angles that all phases share"
    )
    radius_mm: float | None = Field(
        None, gt=0, description="radius of the goniometer, mm; none takes the file's, or 217.5"
    )
    widths: Literal["linear", "caglioti"] = Field(
        "linear",
        description="linear: fwhm = w + w_tan tan(theta) + size / cos(theta); caglioti: fwhm^2 = "
        "u tan^2 + v tan + w",
    )
    size: bool = Field(True, description="a size broadening of its own for every phase")
    fwhm: float = Field(0.1, gt=0, description="width to start from, deg")
    background: int = Field(10, ge=4, le=40, description="number of B-splines of the background")
    weakest: float = Field(3e-3, gt=0, lt=1, description="weakest line over the strongest")
    cell_parts: tuple[str, ...] = Field(
        (),
        description="species of current collectors and windows: lines with free areas and a "
        "displacement of their own, no amounts",
    )


@dataclass(frozen=True)
class Lines:
    """Reflections of one phase inside the axis.

    Parameters
    ----------
    two_theta : ndarray
        For Ka1, degree.
    strength : ndarray
        Area (both wavelengths) per unit of volume fraction, up to a common factor.
    share : ndarray, shape (n, 3)
        d ln(d) / d ln(a, b, c): sums to 1 in every row.
    hkl : tuple
    axes : tuple of str
        Independent axes of the crystal system: ``("a",)``, ``("a", "c")``, ``("a", "b", "c")``.
    """

    two_theta: Array
    strength: Array
    share: Array
    hkl: tuple[tuple[int, int, int], ...]
    axes: tuple[str, ...]


def overflow(sine: npt.ArrayLike, full: float) -> Array:
    """Return the share of the beam that falls on the sample.

    Parameters
    ----------
    sine : array_like
        Of half of two-theta.
    full : float
        The sine at which the footprint is as long as the sample; 0: all of it always does. The
        beam is brightest in its middle: ``erf(sqrt(pi) / 2 sine / full)``, which is ``sine / full``
        for a short sample, as for an even beam, but nears 1 smoothly.
    """
    from scipy.special import erf

    s = np.asarray(sine, float)
    return np.ones_like(s) if full <= 0.0 else np.asarray(erf(0.5 * np.sqrt(np.pi) * s / full))


def lines_of(
    species: str,
    library: Library,
    wavelength: float,
    low: float,
    high: float,
    weakest: float,
    attrs: Mapping[str, Any],
) -> Lines:
    """Return the reflections of a phase between two angles.

    ``strength = j |F|^2 LP exp(-2 B sin^2 / lambda^2) / V^2`` with ``LP = (1 + cos^2(2m) cos^2(2t))
    / (sin^2 t cos t)`` (Bragg-Brentano; m: monochromator, B: attrs ``monochromator_deg`` and
    ``b_iso_A2``, which ``calibrate(ds, 'known', ...)`` sets), times the share of the beam on the
    sample (`overflow`, with attrs ``overflow_sine`` of ``correct(ds, 'overflow', ...)``).

    Raises
    ------
    LibraryError
        If the library has no structure with atoms.
    """
    from references.diffraction import cell_volume, reflections, structure_data

    d_min = wavelength / (2.0 * np.sin(np.radians(min(high, 179.0)) / 2.0))
    table = reflections(
        species,
        d_min=float(np.floor(1e3 * d_min) / 1e3),
        library=library,
        energy_keV=round(12.398419843 / wavelength, 5),
    )
    data = structure_data(species, library)
    sine = np.array([wavelength / (2.0 * r.d) for r in table], float)
    ok = sine < 1.0
    theta = np.arcsin(np.where(ok, sine, 0.5))
    jf2 = np.array([r.multiplicity * r.f2 for r in table], float)
    mono = np.cos(np.radians(float(attrs.get("monochromator_deg", 0.0)))) ** 2
    b_iso = float(attrs.get("b_iso_A2", 0.5))
    lp = (1.0 + mono * np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    strength = jf2 * lp * np.exp(-2.0 * b_iso * (sine / wavelength) ** 2)
    strength = strength / cell_volume(species, library) ** 2
    strength = strength * overflow(np.sin(theta), float(attrs.get("overflow_sine", 0.0)))
    at = 2.0 * np.degrees(theta)
    keep = ok & (at >= low) & (at <= high)
    if keep.any():
        keep &= strength > weakest * strength[keep].max()
    index = np.flatnonzero(keep)
    index = index[np.argsort(at[index])]
    axes, share = _shares([table[i].hkl for i in index], data)
    return Lines(at[index], strength[index], share, tuple(table[i].hkl for i in index), axes)


def _shares(
    hkl: list[tuple[int, int, int]], cell: object
) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    """Share of the relative change of each axis that appears in d."""
    a, b, c = (float(getattr(cell, k)) for k in "abc")
    angles = [float(getattr(cell, k)) for k in ("alpha", "beta", "gamma")]
    h, k, j = np.array(hkl, float).reshape(-1, 3).T
    right = all(abs(x - 90.0) < 1e-6 for x in angles)
    hexagonal = abs(angles[2] - 120.0) < 1e-6 and abs(a - b) < 1e-6 * a
    if right:
        parts = np.stack([(h / a) ** 2, (k / b) ** 2, (j / c) ** 2], axis=1)
    elif hexagonal:
        parts = np.stack([4.0 / 3.0 * (h * h + h * k + k * k) / a**2, 0 * h, (j / c) ** 2], axis=1)
    else:
        return ("a",), np.tile([1.0, 0.0, 0.0], (len(hkl), 1))
    share = parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-30)
    if hexagonal or abs(a - b) < 1e-6 * a:
        share[:, 0] += share[:, 1]
        share[:, 1] = 0.0
        if right and abs(a - c) < 1e-6 * a:
            return ("a",), np.tile([1.0, 0.0, 0.0], (len(hkl), 1))
        return ("a", "c"), share
    return ("a", "b", "c"), share


def wavelengths(ds: xr.Dataset, settings: Model) -> tuple[float, float, float]:
    """Return Ka1, Ka2 (0: none) and the ratio of intensities.

    Raises
    ------
    CalibrationError
        If neither settings nor file give a wavelength.
    """
    one = settings.wavelength_A or ds.attrs.get("wavelength_A")
    if one is None:
        raise CalibrationError(
            f"{where(ds)}: no wavelength in the file; call calibrate(ds, 'known', anode='Cu') or "
            "calibrate(ds, 'known', wavelength_A=...)"
        )
    two = settings.wavelength_2_A
    if two is None:
        two = 0.0 if settings.wavelength_A else ds.attrs.get("wavelength_2_A", 0.0)
    ratio = settings.ratio_2 if settings.ratio_2 is not None else ds.attrs.get("ratio_2", 0.5)
    return float(one), float(two) if ratio else 0.0, float(ratio) if two else 0.0


def propose(
    ds: xr.Dataset, species: Sequence[str], library: Library, settings: Model
) -> Components:
    """Turn phases into components: one per reflection, areas and positions tied.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum on ``two_theta``.
    species : sequence of str
        Library ids with a structure.
    library : references.Library
    settings : Model

    Returns
    -------
    Components
        The strongest reflection of a phase is named as the species, others ``<species>_<hkl>``.
        Common parameters: ``<species>_strain_a`` ... (relative change of the axes from the cell
        in attrs), ``displacement`` (mm), ``zero`` (deg), ``w``, ``w_tan``, ``<species>_size``,
        ``mixing``. Positions are linear in the strains about a cell found first from the data.
    """
    one, two, ratio = wavelengths(ds, settings)
    radius = settings.radius_mm or float(ds.attrs.get("goniometer_radius_mm", 217.5))
    settings = settings.model_copy(update={"radius_mm": radius})
    x = ds["two_theta"].values
    low, high = max(float(x[0]), 1.0), float(x[-1])
    found = {
        name: lines_of(name, library, one, low, high, settings.weakest, ds.attrs)
        for name in species
    }
    found = {name: lines for name, lines in found.items() if lines.two_theta.size}
    if not found:
        return Components([])
    factor = _factors(ds, found, one, two, ratio, settings)
    common = _common(found, settings)
    items: list[Component] = []
    for name, lines in found.items():
        items += _phase(
            name, lines, factor[name], one, two, ratio, settings, f"{name}_size" in common
        )
    smooth = background(x, settings.background)
    bounds = _bounds(ds, found, factor, smooth, (one, two, ratio), settings)
    moved = {n: f for n, (f, _, _) in bounds.items() if abs(f - factor[n]) > 1e-12}
    for name in moved:
        items = [c for c in items if c.species != name]
    for name in moved:
        sized = f"{name}_size" in common
        items += _phase(name, found[name], moved[name], one, two, ratio, settings, sized)
    factor |= moved
    for name in found:
        for axis in found[name].axes if settings.cells == "free" else ():
            _, low_, high_ = bounds[name]
            common[f"{name}_strain_{axis}"] = Param(
                value=factor[name] - 1.0, min=low_ - 1.0, max=high_ - 1.0
            )
    for name in settings.cell_parts:
        lines = lines_of(name, library, one, low, high, settings.weakest, ds.attrs)
        if not lines.two_theta.size:
            continue
        curves = [np.interp(x, c.curve.x, c.curve.y, left=0, right=0) for c in smooth if c.curve]
        others = [
            _pattern(x, own, factor[n], 1.5 * settings.fwhm, (one, two, ratio))
            for n, own in found.items()
        ]
        start = find_displacement(
            ds, lines, others, np.array(curves), radius, settings.fwhm, (one, two, ratio),
        )  # fmt: skip
        free = settings.model_copy(update={"intensities": "free", "cells": "fixed"})
        own = _phase(name, lines, 1.0, one, two, ratio, free, False)
        made, extra = part_components(own, name, start)
        items += made
        common |= extra
    items += smooth
    return started(ds, Components(items, common))


def _bounds(
    ds: xr.Dataset,
    found: dict[str, Lines],
    factor: dict[str, float],
    smooth: list[Component],
    waves: tuple[float, float, float],
    settings: Model,
) -> dict[str, tuple[float, float, float]]:
    r = settings.cell_range
    if settings.bounds == "range" or settings.cells == "fixed":
        return {name: (factor[name], 1.0 - r, 1.0 + r) for name in found}
    x = ds["two_theta"].values
    curves = [np.interp(x, c.curve.x, c.curve.y, left=0, right=0) for c in smooth if c.curve]
    wide = max(settings.fwhm, 3.0 * float(np.median(np.diff(x))))
    middle = np.radians(float(np.median(x))) / 2.0
    return cell_bounds(
        ds,
        factor,
        np.array(curves),
        lambda name, f, w: _pattern(x, found[name], f, w * wide, waves),
        r,
        float(np.radians(wide) / 2.0 / np.tan(middle)),
        settings.shift != "none",
    )


def _pattern(
    x: Array, lines: Lines, factor: float, wide: float, waves: tuple[float, float, float]
) -> Array:
    """Return a phase's pattern on the axis, with its cell multiplied."""
    out = np.zeros_like(x)
    sine = np.sin(np.radians(lines.two_theta) / 2.0) / factor
    for value, strength in zip(sine, lines.strength, strict=True):
        if value < 1.0:
            out += strength * doublet_at(x, 2.0 * float(np.degrees(np.arcsin(value))), wide, waves)
    return out / max(float(out.max()), 1e-300)


def _common(found: dict[str, Lines], settings: Model) -> dict[str, Param]:
    common: dict[str, Param] = {"mixing": Param(value=0.5, min=0.0, max=1.0)}
    if settings.shift in ("displacement", "both"):
        common["displacement"] = Param(value=0.0, min=-2.0, max=2.0)
    if settings.shift in ("zero", "both"):
        common["zero"] = Param(value=0.0, min=-0.5, max=0.5)
    w = settings.fwhm
    if settings.widths == "linear":
        common["w"] = Param(value=0.6 * w, min=0.0, max=3.0)
        common["w_tan"] = Param(value=0.2 * w, min=0.0, max=3.0)
    else:
        common["u"] = Param(value=0.1 * w * w, min=0.0)
        common["v"] = Param(value=0.0, min=-0.5 * w * w, max=w * w)
        common["w"] = Param(value=w * w, min=0.1 * w * w)
    if settings.size and len(found) > 1 and settings.widths == "linear":
        for name in found:
            common[f"{name}_size"] = Param(value=0.2 * w, min=0.0, max=3.0)
    return common


def _phase(
    name: str,
    lines: Lines,
    factor: float,
    one: float,
    two: float,
    ratio: float,
    settings: Model,
    sized: bool,
) -> list[Component]:
    main = int(np.argmax(lines.strength))
    out = []
    order = [main, *(i for i in range(lines.two_theta.size) if i != main)]
    names: set[str] = set()
    for i in order:
        theta = np.radians(lines.two_theta[i]) / 2.0
        moved = np.arcsin(min(np.sin(theta) / factor, 0.9999))
        # linear in the strain about the cell found, exact there
        slope = -2.0 * np.degrees(np.tan(moved)) / factor
        start = 2.0 * np.degrees(moved) - slope * (factor - 1.0)
        terms = [f"{float(start)!r}"]
        if settings.cells == "free":
            terms += [
                f"{float(slope * lines.share[i, 'abc'.index(axis)])!r} * {name}_strain_{axis}"
                for axis in lines.axes
                if lines.share[i, "abc".index(axis)] > 1e-12
            ]
        if settings.shift in ("displacement", "both"):
            per = -2.0 * np.degrees(np.cos(moved)) / (settings.radius_mm or 217.5)
            terms.append(f"{float(per)!r} * displacement")
        if settings.shift in ("zero", "both"):
            terms.append("zero")
        label = name if i == main else f"{name}_{''.join(_digit(v) for v in lines.hkl[i])}"
        while label in names:
            label += "_"
        names.add(label)
        tie = None
        if i != main and settings.intensities == "tied":
            tie = f"{float(lines.strength[i] / lines.strength[main])!r} * {name}.area"
        width = _width(name, moved, settings, sized)
        split: tuple[SubLine, ...] = ()
        if two and np.sin(moved) * two / one < 1.0:
            offset = 2.0 * np.degrees(np.arcsin(np.sin(moved) * two / one) - moved)
            split = (
                SubLine(position=0.0, weight=1.0 / (1.0 + ratio)),
                SubLine(position=float(offset), weight=ratio / (1.0 + ratio)),
            )
        value = 2.0 * float(np.degrees(moved))
        out.append(
            Component(
                name=label,
                species=name,
                shape="pseudo_voigt",
                params={
                    "area": Param(value=float(lines.strength[i] / lines.strength[main]), expr=tie),
                    "center": Param(value=value, expr=" + ".join(terms) if len(terms) > 1 else None,
                                    vary=False),
                    "fwhm": Param(value=settings.fwhm, expr=width),
                    "mixing": Param(value=0.5, expr="mixing"),
                },
                lines=split,
            )
        )  # fmt: skip
    return out


def _width(name: str, theta: float, settings: Model, sized: bool) -> str:
    t = float(np.tan(theta))
    if settings.widths == "caglioti":
        base = f"sqrt({t * t!r} * u + {t!r} * v + w)"
    else:
        base = f"w + {t!r} * w_tan"
        if sized:
            base += f" + {1.0 / float(np.cos(theta))!r} * {name}_size"
    return base


def _digit(index: int) -> str:
    text = str(abs(index)) if abs(index) < 10 else f"_{abs(index)}_"
    return f"m{text}" if index < 0 else text


def _factors(
    ds: xr.Dataset,
    found: dict[str, Lines],
    one: float,
    two: float,
    ratio: float,
    settings: Model,
) -> dict[str, float]:
    """Isotropic factor on each cell that fits the mean pattern best, areas of all phases free."""
    out = dict.fromkeys(found, 1.0)
    if settings.cells == "fixed":
        return out
    x = ds["two_theta"].values
    y, good = mean_spectrum(ds)
    scale = float(np.median(np.diff(x)))
    weight = good / np.sqrt(np.maximum(np.nan_to_num(y), 0.02 * np.nanmax(y)))
    y = np.nan_to_num(y)
    smooth = np.array(
        [np.interp(x, c.curve.x, c.curve.y, left=0, right=0)
         for c in background(x, settings.background) if c.curve]
    )  # fmt: skip
    norm = np.maximum(np.linalg.norm(smooth * weight, axis=1, keepdims=True), 1e-300)
    smooth, y = smooth * weight / norm, y * weight
    width = max(settings.fwhm, 3.0 * scale)

    kept: dict[tuple[str, float, float], Array] = {}

    def column(name: str, factor: float, wide: float) -> Array:
        key = (name, factor, wide)
        if key not in kept:
            kept[key] = computed(name, factor, wide) * weight
        return kept[key]

    def computed(name: str, factor: float, wide: float) -> Array:
        lines = found[name]
        waves = [(wave, share) for wave, share in ((one, 1.0), (two, ratio)) if wave and share]
        half = np.sin(np.radians(lines.two_theta) / 2.0) / factor
        sine = np.concatenate([half * wave / one for wave, _ in waves])
        area = np.concatenate([lines.strength * share for _, share in waves])
        area, sine = area[sine < 1.0], sine[sine < 1.0]
        place = 2.0 * np.degrees(np.arcsin(sine))
        first, last = np.searchsorted(x, [place - 15 * wide, place + 15 * wide])
        at = first[:, None] + np.arange(max(int((last - first).max(initial=0)), 1))
        there = at < last[:, None]
        at = np.minimum(at, x.size - 1)
        value = area[:, None] * pseudo_voigt(x[at], 1.0, place[:, None], wide, 0.5)[0]
        total = np.bincount(at[there], value[there], minlength=x.size)
        return np.asarray(total / max(float(total.max()), 1e-300))

    def best(name: str, factors: Array, wide: float) -> float:
        """Return the factor with which a phase, beside all others, leaves least."""
        others = [column(n, f, wide) for n, f in out.items() if n != name]
        a = np.vstack([smooth, *others])
        size, along = np.linalg.eigh(a @ a.T)
        sane = size > 1e-12 * size[-1]
        basis = (along[:, sane] / np.sqrt(size[sane])).T @ a
        rest = y - (basis @ y) @ basis
        own = np.array([column(name, float(f), wide) for f in factors])
        own = own - (own @ basis.T) @ basis
        power = np.maximum(np.sum(own**2, axis=1), 1e-300)
        return float(factors[int(np.argmax((own @ rest) ** 2 / power))])

    for wide, reach, count in ((4 * width, settings.cell_range, 33), (2 * width, 4e-3, 17),
                               (width, 1.2e-3, 13)):  # fmt: skip
        for name in found:
            out[name] = best(name, out[name] + np.linspace(-reach, reach, count), wide)
    return out

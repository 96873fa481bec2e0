"""What a spectrometer would have recorded of a chemical history: 31P or 7Li against time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..convention import spectrum
from ..errors import ModelError
from ..shapes import pseudo_voigt
from ._nmr_lines import element_of, line_width, split_by_count
from .base import Settings

if TYPE_CHECKING:
    from references import Library

_RANGES = {"31P": (-360.0, 180.0), "7Li": (-60.0, 340.0), "6Li": (-60.0, 340.0)}
_MHZ_PER_T = {"31P": 17.251453, "7Li": 16.548278, "6Li": 6.266112}
_NOISE = {"31P": 0.004, "7Li": 0.0005, "6Li": 0.001}


class Simulation(Settings):
    """A series of spectra with thermal noise, drift of the field, and a baseline."""

    nucleus: Literal["31P", "7Li", "6Li"] = Field("31P", description="observed nucleus")
    field_T: float = Field(9.4, gt=0, description="magnetic field, T")
    points: int = Field(2048, ge=64, description="points of each spectrum")
    noise: float | None = Field(
        None,
        gt=0,
        description="thermal noise, as a share of the highest point of the first spectrum; "
        "by default 0.004 (31P), 0.0005 (7Li), 0.001 (6Li)",
    )
    drift_ppm: float = Field(0.3, ge=0, description="largest drift of the field, ppm")
    baseline: float = Field(
        0.01, ge=0, description="rolling baseline, as a share of the highest point"
    )
    microstructured: float = Field(
        0.4, ge=0, le=1, description="share of the lithium that is microstructured at the end"
    )
    standard: bool = Field(
        False, description="spins counted against a standard: amounts in nmol/cm2, not shares"
    )
    impurity: float = Field(
        0.0, ge=0, description="area of a line the model does not know, as a share of all nuclei"
    )
    asymmetry: float = Field(
        0.0, ge=0, le=0.5, description="share of each line in a foot the model does not know"
    )


def simulate(
    history: xr.Dataset, library: Library, settings: Simulation, rng: np.random.Generator
) -> xr.Dataset:
    """Simulate spectra of one nucleus for every time of a history.

    Every species that holds the nucleus' element contributes its library lines; lines that share
    the nuclei of a formula unit split its area by their counts. Lithium metal is flat at first
    and microstructured in a growing share. Nothing of an area is lost to relaxation or skin depth.

    Parameters
    ----------
    history : xr.Dataset
        ``amount(time, species)`` in nmol/cm2.
    library : references.Library
    settings : Simulation
    rng : numpy.random.Generator

    Returns
    -------
    xr.Dataset
        A Spectrum along ``time`` with ``uncertainty`` (the known noise) and ``truth(time,
        species)``: shares of formula units among the species seen (or nmol/cm2).

    Raises
    ------
    ModelError
        If no species of the history has a line of this nucleus.
    """
    low, high = _RANGES[settings.nucleus]
    x = np.linspace(low, high, settings.points)
    time = history["time"].values.astype(float)
    progress = _progress(time)
    drift = settings.drift_ppm * np.sin(2.3 * progress + 0.4)
    element = element_of(settings.nucleus)
    clean = np.zeros((time.size, x.size))
    seen: dict[str, npt.NDArray[np.float64]] = {}
    for name in (str(s) for s in history["species"].values):
        lines = [
            line
            for line in library.lines("nmr", name, settings.nucleus)
            if low <= line.value <= high
        ]
        count = float(library[name].atoms.get(element, 0.0))
        if not lines or count <= 0:
            continue
        amount = history["amount"].sel(species=name).values.astype(float)
        seen[name] = amount
        for line, share in zip(lines, _shares(lines, count, progress, settings), strict=True):
            clean += _line(x, amount * count * share, line, drift, settings)
    if not seen:
        raise ModelError(
            f"simulate nmr: none of {', '.join(map(str, history['species'].values))} has a "
            f"{settings.nucleus} line between {low:g} and {high:g} ppm"
        )
    top = float(clean[0].max())
    if settings.impurity:
        nuclei = sum(amount * float(library[name].atoms[element]) for name, amount in seen.items())
        foreign = np.asarray(settings.impurity * nuclei)[:, None]
        clean += pseudo_voigt(x[None, :], foreign, low + 0.8 * (high - low), 12.0, 0.3)[0]
    t = (x - low) / (high - low)
    wobble = 0.6 + 0.4 * np.cos(3.0 * progress)[:, None]
    clean += settings.baseline * top * wobble * (0.7 * t - 0.2)[None, :]
    sigma = (settings.noise or _NOISE[settings.nucleus]) * top
    measured = clean + rng.normal(0.0, sigma, clean.shape)
    species = list(seen)
    truth = np.stack([seen[name] for name in species], axis=-1)
    if not settings.standard:
        truth = truth / truth.sum(axis=-1, keepdims=True)
    attrs: dict[str, Any] = {
        "nucleus": settings.nucleus,
        "reference_MHz": settings.field_T * _MHZ_PER_T[settings.nucleus],
        "calibration": "simulated axis",
        "title": f"simulated {settings.nucleus}, {settings.field_T:g} T",
    }
    if settings.standard:
        attrs["amount_per_area"] = 1.0
    ds = spectrum(
        measured,
        x,
        technique="nmr",
        axis_name="chemical_shift",
        units="1",
        outer={"time": time},
        attrs=attrs,
    )
    ds["uncertainty"] = (
        ("time", "chemical_shift"),
        np.full(measured.shape, sigma),
        {"units": "1", "origin": "instrument"},
    )
    units = "nmol/cm2" if settings.standard else "1"
    ds["truth"] = (("time", "species"), truth, {"units": units})
    ds = ds.assign_coords(species=species)
    ds["true_shift"] = ("time", drift, {"units": "ppm"})
    return ds


def _progress(time: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    span = float(time[-1] - time[0]) if time.size > 1 else 0.0
    return (time - time[0]) / span if span > 0 else np.zeros_like(time)


def _shares(
    lines: list[Any], atoms: float, progress: npt.NDArray[np.float64], settings: Simulation
) -> list[npt.NDArray[np.float64]]:
    """How a species' area is split over its lines, for every time."""
    one = np.ones_like(progress)
    fixed = split_by_count(lines, atoms)
    if fixed is not None:
        return [one * share for share in fixed]
    # The first of several appearances of one metal is the flat one.
    rough = settings.microstructured * progress
    return [one - rough] + [rough / (len(lines) - 1)] * (len(lines) - 1)


def _line(
    x: npt.NDArray[np.float64],
    area: npt.NDArray[np.float64],
    line: Any,
    drift: npt.NDArray[np.float64],
    settings: Simulation,
) -> npt.NDArray[np.float64]:
    width = line_width(line)
    mixing = line.mixing if line.mixing is not None else 0.3
    foot = settings.asymmetry
    center = (line.value + drift)[:, None]
    made = pseudo_voigt(x[None, :], (1 - foot) * area[:, None], center, width, mixing)[0]
    if foot:
        made = (
            made
            + pseudo_voigt(
                x[None, :], foot * area[:, None], center - 0.8 * width, 2.0 * width, 0.0
            )[0]
        )
    return np.asarray(made)

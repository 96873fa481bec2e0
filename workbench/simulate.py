"""Measurements of a stated chemical history: what each technique would have recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

import references
from references.errors import nearest
from spectra import techniques
from spectra.techniques.base import Settings

from .errors import RecipeError
from .steps import record
from .verbs import checked_settings

FARADAY = 96485.33212  # C/mol, CODATA 2018
REACTION = "Li6PS5Cl + 8 Li -> 5 Li2S + Li3P + LiCl"
_FORMED = {"Li2S": 5.0, "Li3P": 1.0, "LiCl": 1.0}


class Plating(Settings):
    """Lithium plated through Li6PS5Cl at constant current, with an interphase that slows down."""

    hours: float = Field(6.0, gt=0, description="duration of plating, h")
    times: int = Field(60, ge=2, description="number of points in time")
    current_mA_cm2: float = Field(0.02, gt=0, description="plating current density, mA/cm2")
    electrolyte_nmol_cm2: float = Field(
        1000.0, gt=0, description="Li6PS5Cl within reach of the measurements, nmol/cm2"
    )
    interphase_nmol_cm2: float = Field(
        150.0, ge=0, description="formula units of Li6PS5Cl decomposed at the end, nmol/cm2"
    )
    contact_nmol_cm2: float = Field(
        20.0, ge=0, description="of these, decomposed on contact before the current, nmol/cm2"
    )
    seed_nmol_cm2: float = Field(400.0, ge=0, description="lithium put down before, nmol/cm2")
    slowing_h: float = Field(1.0, gt=0, description="time after which growth turns parabolic, h")


def plating(settings: Plating | None = None) -> xr.Dataset:
    """State the chemical history of a lithium | Li6PS5Cl cell while lithium is plated.

    The reaction is ``Li6PS5Cl + 8 Li -> 5 Li2S + Li3P + LiCl``. Its extent follows the
    linear-parabolic law of a layer that hinders its own growth (B. E. Deal, A. S. Grove,
    J. Appl. Phys. 36 (1965) 3770): ``x^2 + x = c t``, scaled to the stated end. Lithium that the
    charge brings and the reaction does not take is plated. The polarisation grows with the layer.

    Parameters
    ----------
    settings : Plating, optional
        Defaults give about 0.5 um of lithium in six hours.

    Returns
    -------
    xr.Dataset
        ``amount(time, species)`` in nmol/cm2, ``voltage(time)`` V, ``current(time)`` mA/cm2,
        ``temperature(time)`` degC, and ``extent(time)`` in nmol/cm2.

    Raises
    ------
    RecipeError
        If the reaction would take more lithium than the charge brings, or more electrolyte than
        there is.
    """
    s = settings or Plating()
    time = np.linspace(0.0, s.hours * 3600.0, s.times)
    shape = _linear_parabolic(time / (s.slowing_h * 3600.0))
    grown = s.interphase_nmol_cm2 - s.contact_nmol_cm2
    extent = s.contact_nmol_cm2 + grown * shape / shape[-1]
    charge = s.current_mA_cm2 * time  # mC/cm2
    lithium = charge * 1e-3 / FARADAY * 1e9
    plated = s.seed_nmol_cm2 + lithium - 8.0 * extent
    if np.any(plated < 0.0) or grown < 0.0 or s.interphase_nmol_cm2 > s.electrolyte_nmol_cm2:
        raise RecipeError(
            "plating: the reaction takes more lithium or electrolyte than there is, or less than "
            "on contact; lower interphase_nmol_cm2 or raise current_mA_cm2 or seed_nmol_cm2"
        )
    amounts = {
        "Li": plated,
        "Li6PS5Cl": s.electrolyte_nmol_cm2 - extent,
        **{name: number * extent for name, number in _FORMED.items()},
    }
    resistance = 40.0 + 900.0 * extent / s.electrolyte_nmol_cm2  # ohm cm2
    voltage = -1e-3 * s.current_mA_cm2 * resistance - 0.012 * np.exp(-time / 600.0)
    history = xr.Dataset(
        {
            "amount": (
                ("time", "species"),
                np.stack(list(amounts.values()), axis=-1),
                {"units": "nmol/cm2"},
            ),
            "extent": ("time", extent, {"units": "nmol/cm2"}),
            "voltage": ("time", voltage, {"units": "V"}),
            "current": ("time", np.full_like(time, -s.current_mA_cm2), {"units": "mA/cm2"}),
            "temperature": ("time", np.full_like(time, 25.0), {"units": "degC"}),
        },
        coords={"time": ("time", time, {"units": "s"}), "species": list(amounts)},
        attrs={"reaction": REACTION},
    )
    return history


def _linear_parabolic(t: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Solve ``x^2 + x = t`` for x >= 0."""
    return 0.5 * (np.sqrt(1.0 + 4.0 * t) - 1.0)


def simulate(
    technique: str,
    history: xr.Dataset | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    library: references.Library | None = None,
) -> xr.Dataset:
    """Simulate one measurement of a chemical history, noise and drifts included.

    Parameters
    ----------
    technique : str
        A technique with a forward model: ``xps``, ``nmr``, ``raman``, ``edxrd`` or ``ndp``.
    history : xr.Dataset, optional
        As `plating` returns; the default is ``plating()``.
    settings : mapping, optional
        The technique's simulation settings.
    seed : int
        Same seed, same counts.
    library : references.Library, optional
        Another library than the default one.

    Returns
    -------
    xr.Dataset
        A Spectrum with the variable ``truth(*outer, species)`` in the units of `quantify`.

    Raises
    ------
    RecipeError
        If the technique has no forward model or a setting is unknown.
    """
    able = [name for name in techniques.names() if techniques.get(name).simulate is not None]
    if technique not in able:
        raise RecipeError(f"simulate: technique {technique!r}: {nearest(technique, able)}")
    handler = techniques.get(technique)
    assert handler.simulate is not None
    checked = checked_settings(handler.simulation, settings or {}, f"simulate {technique}")
    rng = np.random.default_rng(seed)
    ds = handler.simulate(
        plating() if history is None else history, library or references.load(), checked, rng
    )
    given = checked.model_dump(mode="json", exclude_defaults=True)
    return record(ds, "simulate", {"technique": technique, "seed": seed, **given})

"""What a technique handler is: plain functions and settings models, held in one frozen record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from references import Library

    from ..component import Components


class Settings(BaseModel):
    """Base of all settings models: frozen, unknown keys refused, no NaN.

    Field descriptions are shown in the app's forms and in error messages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NoSettings(Settings):
    """For a step without settings."""


@dataclass(frozen=True)
class Step:
    """One named way to do a verb: a settings model and the function ``(ds, settings) -> ds``."""

    settings: type[Settings]
    function: Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Quantity:
    """One species' amount as a weighted sum of fitted parameters.

    Parameters
    ----------
    species : str
        Library id.
    weights : mapping of str to float
        Flat parameter name to weight: ``amount = sum(weight * value)``.
    """

    species: str
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Quantification:
    """What a technique's areas mean.

    Parameters
    ----------
    quantities : tuple of Quantity
        One per species.
    units : str
        Units of the weighted sums before normalisation.
    kind : str
        ``"amount"`` (absolute), or ``"fraction"`` (the sums are divided by their total).
    note : str
        What the numbers do and do not mean, for reports.
    response : mapping
        What the fit cannot know (texture ...): ``response[k][s]`` is the change of the amount of
        s, over the amount of k, for each of some independent deviations of k of one standard
        deviation. Added to the covariance before normalisation; NaN: no amount is given.
    """

    quantities: tuple[Quantity, ...]
    units: str
    kind: str = "amount"
    note: str = ""
    response: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Technique:
    """Everything the verbs need to know about one technique or cell channel.

    Parameters
    ----------
    name : str
        The value of ``attrs["technique"]``.
    axis : str or None
        Calibrated spectral axis (key of ``convention.AXES``); None for cell channels.
    calibrations, corrections : mapping of str to Step
        Named ways to calibrate (the first is the default) and to correct.
    settings : type of Settings
        Settings of ``propose`` beyond the species (widths, shifts, background).
    propose : callable, optional
        ``(ds, species ids, library, settings) -> Components``.
    quantify : callable, optional
        ``(components, attrs of the fit, library) -> Quantification``.
    simulation : type of Settings
        Settings of ``simulate``.
    simulate : callable, optional
        ``(history, library, settings, rng) -> Spectrum`` with the truth in it; ``history`` has
        ``amount(time, species)`` in mol (relative) and cell channels along ``time``.
    statistic : str
        The statistic that fits its raw data: ``"poisson"`` for counts, ``"chi2"`` otherwise.
    grounds : mapping of str to Step
        Named co-fitted backgrounds under components of a user's own:
        ``(components, settings) -> Components``.
    stored : callable, optional
        ``(ds) -> Components``: the model that another program left in the file.
    fingerprint : int or None
        How many strong lines of its own tell a species from ones that the library does not hold
        (0: its pattern always does; None: no number does, positions are too crowded).
    """

    name: str
    axis: str | None
    title: str
    calibrations: Mapping[str, Step] = field(default_factory=dict)
    corrections: Mapping[str, Step] = field(default_factory=dict)
    settings: type[Settings] = NoSettings
    propose: Callable[[xr.Dataset, Sequence[str], Library, Any], Components] | None = None
    quantify: Callable[[Components, Mapping[str, Any], Library], Quantification] | None = None
    simulation: type[Settings] = NoSettings
    simulate: Callable[[xr.Dataset, Library, Any, np.random.Generator], xr.Dataset] | None = None
    statistic: str = "chi2"
    grounds: Mapping[str, Step] = field(default_factory=dict)
    stored: Callable[[xr.Dataset], Components] | None = None
    fingerprint: int | None = None


Array = npt.NDArray[np.float64]

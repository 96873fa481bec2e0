"""The xarray accessor ``ds.interphase``: completion for the verbs, which it only forwards to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from spectra.component import Components

from .fit import fit as _fit
from .quantify import quantify as _quantify
from .verbs import calibrate as _calibrate
from .verbs import correct as _correct
from .verbs import propose as _propose


@xr.register_dataset_accessor("interphase")
class InterphaseAccessor:
    """Forwards to the verbs of `workbench`; holds nothing but the dataset."""

    def __init__(self, ds: xr.Dataset) -> None:
        self._ds = ds

    def calibrate(self, method: str | None = None, **settings: Any) -> xr.Dataset:
        """See `workbench.calibrate`."""
        return _calibrate(self._ds, method, **settings)

    def correct(self, method: str | None = None, **settings: Any) -> xr.Dataset:
        """See `workbench.correct`."""
        return _correct(self._ds, method, **settings)

    def propose(
        self, species: Sequence[str], *, settings: Mapping[str, Any] | None = None
    ) -> Components:
        """See `workbench.propose`."""
        return _propose(self._ds, species, settings=settings)

    def fit(
        self, comps: Components, *, engine: str = "batch", statistic: str = "chi2"
    ) -> xr.Dataset:
        """See `workbench.fit`."""
        return _fit(self._ds, comps, engine=engine, statistic=statistic)

    def quantify(self) -> xr.Dataset:
        """See `workbench.quantify`."""
        return _quantify(self._ds)

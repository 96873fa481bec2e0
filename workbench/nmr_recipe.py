"""Pattern fits as recipes: files, steps, sites and settings in one YAML text that runs again.

::

    version: 1
    correct:
      - {method: delays, start_s: 0.0005, step_s: 0.0005}
      - {method: fourier, points: 2048}
      - phase
    select: {evolution_time: [0, 0.0006]}
    nucleus: 27Al
    spinning_Hz: [20000]
    between: [-100, 150]
    sites:
      - name: IV
        kind: czjzek
        params: {shift: {value: 75}, sigma: {value: 5.5}, gauss: {value: 1700}}
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, Literal

import xarray as xr
from pydantic import Field, ValidationError, field_validator

from spectra.component import Frozen, Param, first_problem

from . import yaml_text
from .errors import RecipeError
from .nmr_models import SiteFit, fit_sites
from .nmr_parts import Site
from .recipe import Method
from .verbs import calibrate, correct, open, select


class SitesRecipe(Frozen):
    """Everything a pattern fit needs except the files.

    Parameters
    ----------
    calibrate, correct : tuple of Method
        Steps for every file, in order; see ``workbench.Recipe``.
    select : mapping of str to (low, high)
        Ranges kept after the steps.
    nucleus : str, optional
        Where the files do not say.
    spinning_Hz : tuple of float or Param
        One rate per file, or one for all.
    between, baseline, ties, reference_free, density, cq_limit_MHz
        As in `fit_sites`; ``between`` one range for all files, or one for each.
    sites : tuple of Site
    """

    version: Literal[1] = 1
    calibrate: tuple[Method, ...] = ()
    correct: tuple[Method, ...] = ()
    select: dict[str, tuple[float, float]] = Field(default_factory=dict)
    nucleus: str | None = None
    spinning_Hz: tuple[float | Param, ...] = (0.0,)
    between: tuple[float, float] | tuple[tuple[float, float], ...] | None = None
    baseline: int | None = Field(0, ge=0, le=8)
    ties: dict[str, str] = Field(default_factory=dict)
    reference_free: bool = False
    density: int = Field(70, ge=5, le=400)
    cq_limit_MHz: float = Field(20.0, gt=0)
    sites: tuple[Site, ...] = Field(min_length=1)

    @field_validator("spinning_Hz", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return value if isinstance(value, (list, tuple)) else [value]

    def run(self, *paths: str | PathLike[str]) -> SiteFit:
        """Open the files, take the steps, fit.

        Raises
        ------
        RecipeError
            If the number of spinning rates does not suit the files.
        """
        rates = self.spinning_Hz * len(paths) if len(self.spinning_Hz) == 1 else self.spinning_Hz
        if len(rates) != len(paths) or not paths:
            raise RecipeError(f"{len(paths)} files, {len(rates)} spinning rates: one rate per file")
        fit = fit_sites(
            [self._prepared(path) for path in paths],
            self.sites,
            nucleus=self.nucleus,
            spinning_Hz=rates,
            between=self.between,
            baseline=self.baseline,
            ties=self.ties,
            reference_free=self.reference_free,
            density=self.density,
            cq_limit_MHz=self.cq_limit_MHz,
        )
        fit.table.attrs["recipe"] = self.to_yaml()
        return fit

    def _prepared(self, path: str | PathLike[str]) -> xr.Dataset:
        ds = open(path, technique="nmr")
        for step in self.calibrate:
            ds = calibrate(ds, step.method, **step.settings)
        for step in self.correct:
            ds = correct(ds, step.method, **step.settings)
        return select(ds, self.select) if self.select else ds

    def to_yaml(self, path: str | PathLike[str] | None = None) -> str:
        """Return the recipe as YAML and, if a path is given, write it there atomically."""
        return yaml_text.dump(self.model_dump(mode="json", exclude_defaults=True), path)


def read_sites_recipe(path: str | PathLike[str]) -> SitesRecipe:
    """Read a recipe from a file, or from YAML text with more than one line.

    Raises
    ------
    RecipeError
        With the file, the key and what is wrong.
    """
    text = str(path)
    inline = "\n" in text
    data = yaml_text.parse(text) if inline else yaml_text.read(path)
    name = "recipe" if inline else Path(path).name
    try:
        return SitesRecipe.model_validate(data)
    except ValidationError as error:
        raise RecipeError(f"{name}: {first_problem(error)}") from None

"""What every technique with a forward model must keep to; itself tested with bad dummies.

Each function raises AssertionError in words. ``simulated`` is what `workbench.simulate` returns.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from pydantic import BaseModel

from spectra.convention import check
from spectra.techniques.base import Technique


def record_is_whole(technique: Technique, name: str) -> None:
    """The record's name is its module's; settings refuse unknown keys and describe every field."""
    assert technique.name == name, f"{name}: the record is called {technique.name!r}"
    assert technique.title, f"{name}: no title"
    models = [technique.settings, technique.simulation]
    steps = {**technique.calibrations, **technique.corrections}
    models += [step.settings for step in steps.values()]
    for model in models:
        settings_are_for_people(model)
    if technique.propose is not None:
        assert technique.quantify is not None, f"{name}: proposes but cannot quantify"
        assert technique.axis is not None, f"{name}: proposes without an axis"


def settings_are_for_people(model: type[BaseModel]) -> None:
    """Frozen, unknown keys refused, every field described, defaults valid."""
    assert model.model_config.get("extra") == "forbid", f"{model.__name__} takes unknown keys"
    assert model.model_config.get("frozen"), f"{model.__name__} is not frozen"
    for key, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{key} has no description"


def simulation_is_a_spectrum_with_its_truth(simulated: xr.Dataset) -> None:
    """A checked Spectrum with ``truth`` on its outer dims and species, finite and with units."""
    check(simulated)
    assert "truth" in simulated, "no truth in the simulation"
    truth = simulated["truth"]
    outer = simulated["intensity"].dims[:-1]
    assert truth.dims == (*outer, "species"), f"truth has dims {truth.dims}"
    assert truth.attrs.get("units"), "truth has no units"
    assert bool(np.isfinite(truth).all()), "truth is not finite"


def same_seed_same_counts(one: xr.Dataset, again: xr.Dataset, other: xr.Dataset) -> None:
    """A seed fixes the counts; another seed changes them."""
    assert one["intensity"].equals(again["intensity"]), "one seed gave two results"
    assert not one["intensity"].equals(other["intensity"]), "two seeds gave one result"


def nothing_was_changed(before: xr.Dataset, after: xr.Dataset) -> None:
    """A verb leaves its input as it was."""
    assert before.identical(after), "the input was changed"


def amounts_speak_the_truths_units(amounts: xr.Dataset, simulated: xr.Dataset) -> None:
    """Amounts and truth share units, and every species found is one of the truth."""
    units = simulated["truth"].attrs["units"]
    assert amounts["amount"].attrs["units"] == units, "units of amounts and truth differ"
    known = set(map(str, simulated["truth"]["species"].values))
    found = set(map(str, amounts["species"].values))
    assert found <= known, f"found {found - known}, which the truth does not know"


def pulls_are_standard_normal(
    pulls: np.ndarray, *, mean: float = 0.25, width: float = 0.25
) -> None:
    """Mean near 0 and standard deviation near 1 (limits for some hundred values)."""
    values = pulls[np.isfinite(pulls)]
    assert values.size >= 50, f"{values.size} pulls tell nothing"
    assert values.size == pulls.size, f"{pulls.size - values.size} values are missing"
    assert abs(values.mean()) < mean, f"mean of the pulls is {values.mean():+.2f}"
    assert abs(values.std() - 1.0) < width, f"standard deviation of the pulls is {values.std():.2f}"

"""A recipe: the verbs' settings as plain data, written to and read from YAML.

A recipe never holds code. Unknown keys are refused with the file, the key and what is allowed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import xarray as xr
from pydantic import Field, ValidationError, field_validator, model_validator

from references.errors import nearest
from spectra import techniques
from spectra.component import Component, Components, Frozen, Param, first_problem
from spectra.techniques.base import Technique

from . import yaml_text
from .depth.step import Profile
from .errors import RecipeError
from .steps import steps
from .verbs import checked_settings


class Opening(Frozen):
    """Settings of ``open``; the file itself is given apart."""

    region: str | None = None
    format: str | None = None


class Method(Frozen):
    """One calibration or correction: its name and its settings."""

    method: str
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"method": data}
        if isinstance(data, Mapping) and "settings" not in data:
            rest = {str(k): v for k, v in data.items() if k != "method"}
            return {"method": data.get("method"), "settings": rest}
        return data


class Proposal(Frozen):
    """Species to fit and the technique's model settings."""

    species: tuple[str, ...] = Field(min_length=1)
    settings: dict[str, Any] = Field(default_factory=dict)


class Change(Frozen):
    """A change to one parameter; what is left out stays."""

    value: float | None = None
    min: float | None = None
    max: float | None = None
    vary: bool | None = None
    expr: str | None = None


class OwnComponents(Frozen):
    """Components written by hand, instead of (or besides) species of the library.

    Parameters
    ----------
    items : tuple of Component
    common : dict of str to Param
        Parameters that several of them use.
    stored : bool
        Also those that another program left in the file (CasaXPS's model).
    background : Method, optional
        One of the technique's co-fitted backgrounds, under all peaks.
    """

    items: tuple[Component, ...] = ()
    common: dict[str, Param] = Field(default_factory=dict)
    stored: bool = False
    background: Method | None = None


class Fitting(Frozen):
    """Settings of ``fit``."""

    engine: Literal["batch", "numpy", "lmfit"] = "batch"
    statistic: Literal["chi2", "poisson"] | None = None
    shared: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)


class Recipe(Frozen):
    """The verbs' settings for one measurement of one technique.

    Parameters
    ----------
    version : int
        Of this layout; 1.
    technique : str
        What the recipe is for; its settings are checked against that technique's models.
    open : Opening
        Region and format.
    calibrate, correct : tuple of Method
        In order.
    select : mapping of str to (low, high)
        Ranges of dimensions that are fitted.
    propose : Proposal, optional
        Species and model settings.
    change : mapping of str to Change
        Changes to proposed parameters.
    drop : tuple of str
        Proposed components left out.
    components : OwnComponents, optional
        Components of the user's own.
    depth : Profile, optional
        Lithium against depth (NDP) instead of components.
    fit : Fitting
        Engine, statistic and shared parameters.
    """

    version: Literal[1] = 1
    technique: str
    open: Opening = Opening()
    calibrate: tuple[Method, ...] = ()
    correct: tuple[Method, ...] = ()
    select: dict[str, tuple[float, float]] = Field(default_factory=dict)
    propose: Proposal | None = None
    change: dict[str, Change] = Field(default_factory=dict)
    drop: tuple[str, ...] = ()
    components: OwnComponents | None = None
    depth: Profile | None = None
    fit: Fitting = Fitting()

    @field_validator("calibrate", "correct", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, (str, Mapping)) else value

    @model_validator(mode="after")
    def _settings_fit_the_technique(self) -> Recipe:
        if self.technique not in techniques.names():
            raise ValueError(
                f"technique {self.technique!r}: {nearest(self.technique, techniques.names())}"
            )
        handler = techniques.get(self.technique)
        for verb, given, known in (
            ("calibrate", self.calibrate, handler.calibrations),
            ("correct", self.correct, handler.corrections),
        ):
            for step in given:
                if step.method not in known:
                    raise ValueError(
                        f"{verb}: method {step.method!r}: {nearest(step.method, known)}"
                    )
                _checked(known[step.method].settings, step.settings, f"{verb} {step.method}")
        if self.propose is not None:
            _checked(handler.settings, self.propose.settings, "propose")
        if self.components is not None:
            self._own_fits(handler, self.components)
        if self.depth is not None:
            if self.technique != "ndp":
                raise ValueError(f"depth: profiles are made from ndp, not {self.technique}")
            if self.propose or self.components or self.change or self.drop:
                raise ValueError("depth: a profile takes no propose, components, change or drop")
        return self

    @model_validator(mode="after")
    def _something_to_fit(self) -> Recipe:
        if self.depth is None and self.propose is None and self.components is None:
            raise ValueError("nothing to fit: give 'propose' with species, or 'components'")
        return self

    @staticmethod
    def _own_fits(handler: Technique, own: OwnComponents) -> None:
        if own.stored and handler.stored is None:
            raise ValueError(f"components: {handler.name} files hold no models of other programs")
        if not (own.items or own.stored):
            raise ValueError("components: give items, or stored: true")
        if own.background is not None:
            method = own.background.method
            if method not in handler.grounds:
                raise ValueError(f"components: background {method!r}: " + (
                    nearest(method, handler.grounds) if handler.grounds else "there is none"
                ))  # fmt: skip
            _checked(handler.grounds[method].settings, own.background.settings, "background")

    def to_yaml(self, path: str | PathLike[str] | None = None) -> str:
        """Return the recipe as YAML and, if a path is given, write it there atomically."""
        return yaml_text.dump(plain(self), path)


def plain(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain data, methods flat, without what is default."""
    data = recipe.model_dump(mode="json", exclude_defaults=True)
    for verb in ("calibrate", "correct"):
        if verb in data:
            data[verb] = [{"method": m["method"], **m.get("settings", {})} for m in data[verb]]
    return data


def _checked(model: Any, settings: Mapping[str, Any], place: str) -> None:
    try:
        checked_settings(model, settings, place)
    except RecipeError as error:
        raise ValueError(str(error)) from None


class Measurement(Frozen):
    """One measurement of a campaign: a file under the campaign's folder and its recipe."""

    file: str
    recipe: Recipe
    start_s: float = 0.0

    @field_validator("file")
    @classmethod
    def _inside(cls, value: str) -> str:
        return inside(value)


class Channel(Frozen):
    """One file with a cell's own measurements: what to open, and by how much its clock is off."""

    file: str
    region: str | None = None
    start_s: float = 0.0

    @field_validator("file")
    @classmethod
    def _inside(cls, value: str) -> str:
        return inside(value)


class Preparation(Recipe):
    """A recipe of which only what comes before the fit is used: it need not fit anything."""

    @model_validator(mode="after")
    def _something_to_fit(self) -> Preparation:
        return self


class Campaign(Frozen):
    """Several measurements of one cell, its channels, and what to conclude from them.

    Parameters
    ----------
    version : int
        Of this layout; 1.
    campaign : str
        Title.
    measurements : mapping of str to Measurement
        By name; names become file names of results.
    channels : tuple of Channel or str
        Files with voltage and current (cycler exports); a name alone is ``file``.
    zone : str, optional
        Zone of clocks without an offset from UTC (``Europe/London``): align by the moments that
        the files state. Left out, every part's own time 0 is the same moment.
    area_cm2 : float, optional
        Electrode area: currents and charges per cm2.
    balance : str, optional
        Reaction to balance, ``"Li6PS5Cl + 8 Li -> 5 Li2S + Li3P + LiCl"``.
    """

    version: Literal[1] = 1
    campaign: str
    measurements: dict[str, Measurement] = Field(min_length=1)
    channels: tuple[Channel, ...] = ()
    zone: str | None = None
    area_cm2: float | None = Field(None, gt=0)
    balance: str | None = None

    @field_validator("channels", mode="before")
    @classmethod
    def _names_alone(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [{"file": item} if isinstance(item, str) else item for item in value]
        return value

    @field_validator("measurements")
    @classmethod
    def _plain_names(cls, value: dict[str, Measurement]) -> dict[str, Measurement]:
        for name in value:
            if not name.replace("-", "_").isidentifier():
                raise ValueError(f"{name!r}: use letters, digits, _ and - only")
            if name in ("cell", "balance"):
                raise ValueError(f"{name!r} is the name of a result; choose another")
        return value

    def to_yaml(self, path: str | PathLike[str] | None = None) -> str:
        """Return the campaign as YAML and, if a path is given, write it there atomically."""
        data = self.model_dump(mode="json", exclude_defaults=True)
        for name, measurement in self.measurements.items():
            data["measurements"][name]["recipe"] = plain(measurement.recipe)
        if "channels" in data:
            data["channels"] = [c["file"] if set(c) == {"file"} else c for c in data["channels"]]
        return yaml_text.dump(data, path)


def inside(name: str) -> str:
    """Return a relative path that stays in its folder, or raise ValueError."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise ValueError(f"{name!r} leads out of the folder; give a path inside it")
    return str(path)


def read_recipe(path: str | PathLike[str]) -> Recipe | Campaign:
    """Read a recipe or campaign from YAML.

    Parameters
    ----------
    path : path-like
        A file of at most 4 MiB; a campaign is known by its key ``measurements``.

    Returns
    -------
    Recipe or Campaign

    Raises
    ------
    RecipeError
        One line that names the file, the key and what is allowed.
    """
    data = yaml_text.read(path)
    model: type[Recipe] | type[Campaign] = Campaign if "measurements" in data else Recipe
    return _validated(model, data, Path(path).name)


def read_preparation(path: str | PathLike[str]) -> Preparation:
    """Read what a recipe does before the fit: technique, open, calibrate, correct, select.

    Parameters
    ----------
    path : path-like
        YAML; the keys of the fit may be there or not.

    Returns
    -------
    Preparation

    Raises
    ------
    RecipeError
        As `read_recipe`.
    """
    return preparation_from(yaml_text.read(path), Path(path).name)


def preparation_from(data: Mapping[str, Any], where: str = "recipe") -> Preparation:
    """Build from plain data what comes before the fit, with one-line errors."""
    preparation: Preparation = _validated(Preparation, data, where)
    return preparation


def recipe_from(data: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Build a recipe from plain data, with one-line errors."""
    return _validated(Recipe, data, where)


def _validated(model: type[Any], data: Mapping[str, Any], where: str) -> Any:
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        problem = error.errors()[0]
        message = first_problem(error)
        if problem["type"] == "extra_forbidden":
            message += _allowed_beside(model, problem["loc"])
        raise RecipeError(f"{where}: {message}") from None


def _allowed_beside(model: type[Any], location: tuple[int | str, ...]) -> str:
    """Name the keys allowed where an unknown one was found."""
    fields = model.model_fields
    for part in location[:-1]:
        if isinstance(part, str) and part in fields:
            annotation = str(fields[part].annotation)
            for candidate in (
                Opening,
                Proposal,
                Change,
                OwnComponents,
                Fitting,
                Profile,
                Measurement,
                Channel,
                Recipe,
            ):
                if candidate.__name__ in annotation:
                    fields = candidate.model_fields
                    break
    return "; " + nearest(str(location[-1]), fields, most=20)


def edited(components: Components, recipe: Recipe) -> Components:
    """Apply a recipe's own components, drops and changes to proposed ones."""
    own = recipe.components
    if own is not None:
        components = components + Components(own.items, own.common)
        if own.background is not None:
            step = techniques.get(recipe.technique).grounds[own.background.method]
            components = step.function(components, step.settings(**own.background.settings))
    if recipe.drop:
        components = components.drop(*recipe.drop)
    for name, change in recipe.change.items():
        components = components.set(name, **change.model_dump(exclude_unset=True))
    return components


def difference(proposed: Components, used: Components) -> tuple[dict[str, Change], tuple[str, ...]]:
    """Return the changes and drops that turn ``proposed`` into ``used``."""
    before, after = proposed.params, used.params
    changes = {}
    for name, param in after.items():
        if name in before and before[name] != param:
            old, new = before[name].model_dump(), param.model_dump()
            changes[name] = Change(**{k: v for k, v in new.items() if old[k] != v})
    kept = {c.name for c in used}
    return changes, tuple(c.name for c in proposed if c.name not in kept)


def recipe(result: xr.Dataset) -> Recipe:
    """Read the recipe back from what a result recorded.

    Parameters
    ----------
    result : xr.Dataset
        A FitResult or Amounts made by the verbs.

    Returns
    -------
    Recipe
        Run on the same file it gives the same numbers.

    Raises
    ------
    RecipeError
        If the dataset records no fit.
    """
    if "recipe" in result.attrs:
        return recipe_from(json.loads(result.attrs["recipe"]), "recorded recipe")
    depth = result.attrs.get("convention") == "depth-1"
    if "components" not in result.attrs and not depth:
        raise RecipeError("this dataset records no fit; take the recipe of a fit or its amounts")
    data: dict[str, Any] = {
        "technique": result.attrs.get("technique"),
        **({} if depth else {"components": json.loads(result.attrs["components"])}),
        "fit": {k: result.attrs[k] for k in ("engine", "statistic") if k in result.attrs},
    }
    for verb, settings in steps(result):
        match verb:
            case "open":
                kept = ("region", "format")
                data["open"] = {k: v for k, v in settings.items() if k in kept}
            case "calibrate" | "correct":
                # A calibration that needs a correction first (a shift scale needs the Fourier
                # transform) is a correction in order, where the technique offers it as one.
                known = techniques.get(str(data["technique"])).corrections
                if "correct" in data and settings.get("method") in known:
                    verb = "correct"
                data.setdefault(verb, []).append(settings)
            case "select":
                data.setdefault("select", {}).update(settings)
            case "depth_profile":
                data["depth"] = settings
    return recipe_from(data, "recorded recipe")

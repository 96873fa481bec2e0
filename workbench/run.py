"""Run a recipe on a file, or a campaign of them, to results on disk; resume what is there."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import xarray as xr

import references
from references.errors import InterphaseError
from spectra import formats, techniques
from spectra.component import Components
from spectra.convention import COUNTS
from spectra.errors import NoAmountsError
from spectra.formats.base import sha256

from .align import align
from .balance import balance
from .depth.step import lithium_amounts, profiled
from .errors import RecipeError
from .fit import fit
from .provenance import versions
from .quantify import quantify
from .recipe import Campaign, Measurement, Recipe, edited, read_recipe
from .result import components_of
from .store import load, save, write_text
from .verbs import calibrate, correct, open, propose, select

Work = tuple[Path, str, Measurement, Path, bool]
"""Folder, name, measurement, target folder, resume."""

Progress = Callable[[str, int, int], None]
"""Called as ``progress(what, done, total)``."""


@dataclass(frozen=True)
class Result:
    """What a recipe gave: the corrected data, the fit (or depth profile) and the amounts."""

    data: xr.Dataset
    fit: xr.Dataset
    amounts: xr.Dataset | None


def prepare(path: str | PathLike[str], recipe: Recipe) -> xr.Dataset:
    """Open, calibrate, correct and select, as the recipe says.

    Parameters
    ----------
    path : path-like
        The measurement.
    recipe : Recipe
        Of the technique of that file.

    Returns
    -------
    xr.Dataset
        The Spectrum that is fitted.

    Raises
    ------
    RecipeError
        If the file holds another technique than the recipe is for.
    """
    ds = open(
        path, region=recipe.open.region, format=recipe.open.format, technique=_told(path, recipe)
    )
    if ds.attrs["technique"] != recipe.technique:
        raise RecipeError(
            f"{Path(path).name}: holds {ds.attrs['technique']}, the recipe is for "
            f"{recipe.technique}; take another recipe"
        )
    for step in recipe.calibrate:
        ds = calibrate(ds, step.method, **step.settings)
    for step in recipe.correct:
        ds = correct(ds, step.method, **step.settings)
    if recipe.select:
        ds = select(ds, recipe.select)
    return ds


def _told(path: str | PathLike[str], recipe: Recipe) -> str | None:
    """Tell the technique only to formats that need it."""
    record = (
        formats.formats().get(recipe.open.format)
        if recipe.open.format
        else formats.identify(Path(path))
    )
    several = record is not None and len(record.techniques) > 1
    return recipe.technique if several else None


def run_recipe(
    path: str | PathLike[str],
    recipe: Recipe,
    *,
    progress: Callable[[int, int], bool | None] | None = None,
) -> Result:
    """Run one recipe on one file.

    Parameters
    ----------
    path : path-like
        The measurement.
    recipe : Recipe
        What to do with it.
    progress : callable, optional
        Called with (done, total) spectra; returning True cancels the fit.

    Returns
    -------
    Result
        Each part records inputs, recipe and versions.
    """
    ds = prepare(path, recipe)
    if recipe.depth is not None:
        profile = profiled(ds, recipe.depth)
        profile.attrs["recipe"] = recipe.model_dump_json(exclude_defaults=True)
        return Result(ds, profile, lithium_amounts(profile))
    components = edited(proposed(ds, recipe), recipe)
    statistic = recipe.fit.statistic or statistic_for(ds)
    result = fit(
        ds,
        components,
        engine=recipe.fit.engine,
        statistic=statistic,
        shared=recipe.fit.shared or None,
        progress=progress,
    )
    result.attrs["recipe"] = recipe.model_dump_json(exclude_defaults=True)
    amounts = None
    if components.species:
        try:
            amounts = quantify(result)
        except NoAmountsError as error:  # free intensities: cells and places, no amounts
            result.attrs["no_amounts"] = str(error)
    return Result(ds, result, amounts)


def statistic_for(ds: xr.Dataset) -> str:
    """Return the statistic for raw data of this technique; rates have none but chi2."""
    counts = ds["intensity"].attrs["units"] == COUNTS and "uncertainty" not in ds
    return techniques.get(ds.attrs["technique"]).statistic if counts else "chi2"


def proposed(ds: xr.Dataset, recipe: Recipe) -> Components:
    """Return the components a recipe proposes or finds in the file, before its changes."""
    components = Components()
    if recipe.propose is not None:
        components = propose(ds, recipe.propose.species, settings=recipe.propose.settings)
    stored = techniques.get(recipe.technique).stored
    if recipe.components is not None and recipe.components.stored and stored is not None:
        components = components + stored(ds)
    return components


@dataclass(frozen=True)
class Outcome:
    """How one measurement of a campaign ended."""

    name: str
    technique: str
    fitted: int
    flagged: int
    resumed: bool
    error: str = ""


def run(
    recipe_file: str | PathLike[str],
    out: str | PathLike[str],
    *,
    jobs: int = 1,
    resume: bool = False,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Run a campaign file to a folder of results.

    For each measurement ``<name>.nc`` is written (fit, data and amounts), then ``cell.nc`` (all
    amounts and channels on one clock), ``balance.nc`` and ``summary.json``.

    Parameters
    ----------
    recipe_file : path-like
        A campaign in YAML; its files are relative to its folder and stay inside it.
    out : path-like
        Folder for the results; made if missing.
    jobs : int
        Processes that work side by side.
    resume : bool
        Keep results whose inputs, recipe, library and versions are unchanged.
    scheduler : str, optional
        Address of a Dask scheduler whose workers see the same files.
    progress : callable, optional
        ``progress(what, done, total)``.

    Returns
    -------
    list of Outcome
        In the campaign's order. A measurement that cannot be read or fitted is an Outcome with
        an error; the others go on.

    Raises
    ------
    RecipeError
        If the file is not a campaign, or a file it names is missing.
    """
    source = Path(recipe_file)
    campaign = read_recipe(source)
    if not isinstance(campaign, Campaign):
        raise RecipeError(f"{source.name}: a recipe for one file; give the file: interphase fit")
    folder = source.resolve().parent
    for name, measurement in campaign.measurements.items():
        located(folder, measurement.file, f"{source.name}: {name}")
    target = Path(out)
    target.mkdir(parents=True, exist_ok=True)
    work = [(folder, name, m, target, resume) for name, m in campaign.measurements.items()]
    outcomes: list[Outcome] = []
    for outcome in _each(work, jobs, scheduler):
        outcomes.append(outcome)
        if progress is not None:
            progress(outcome.name, len(outcomes), len(work))
    _conclude(campaign, folder, target, [o for o in outcomes if not o.error])
    summary = {
        "campaign": campaign.campaign,
        "measurements": [o.__dict__ for o in outcomes],
        "versions": versions(),
        "library_hash": references.load().hash,
    }
    write_text(json.dumps(summary, indent=1), target / "summary.json")
    return outcomes


def _each(work: list[Work], jobs: int, scheduler: str | None) -> Iterator[Outcome]:
    """Do the work here, in processes, or on a Dask cluster; in order."""
    if scheduler is not None:
        try:
            from distributed import Client
        except ImportError:
            raise RecipeError(
                "run --scheduler: needs Dask's distributed; pip install distributed"
            ) from None
        try:
            client = Client(scheduler, timeout=10)
        except (OSError, ValueError) as error:
            raise RecipeError(f"run --scheduler {scheduler}: no answer ({error})") from None
        with client:
            yield from (future.result() for future in client.map(_one, work, pure=False))
    elif jobs > 1 and len(work) > 1:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(jobs, len(work)), mp_context=context) as pool:
            yield from pool.map(_one, work)
    else:
        yield from map(_one, work)


def located(folder: Path, name: str, place: str) -> Path:
    """Return the path of a campaign's file; it must exist and lie inside the folder.

    Raises
    ------
    RecipeError
        If it does not, following links.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise RecipeError(f"{place}: {name!r} leads out of the campaign's folder; copy it inside")
    if not path.exists():
        raise RecipeError(f"{place}: no file {name!r} beside the campaign")
    return path


def _one(work: Work) -> Outcome:
    folder, name, measurement, target, resume = work
    recipe = measurement.recipe
    try:
        path = located(folder, measurement.file, name)
        key = _key(path, recipe)
        kept = _kept(target, name, key) if resume else None
        if kept is None:
            result = run_recipe(path, recipe)
            fitted = result.fit
            fitted.attrs["key"] = key
            save_result(result, target / f"{name}.nc")
        else:
            fitted = kept
        flagged = count_flagged(fitted)
        return Outcome(name, recipe.technique, fitted["status"].size, flagged, kept is not None)
    except InterphaseError as error:
        return Outcome(name, recipe.technique, 0, 0, False, str(error))


def save_result(result: Result, path: Path) -> Path:
    """Write fit, data and amounts to one file."""
    parts = {"data": result.data}
    if result.amounts is not None:
        parts["amounts"] = result.amounts
    return save(result.fit, path, parts=parts)


def count_flagged(fitted: xr.Dataset) -> int:
    """Return how many spectra of a fit carry a status other than ok."""
    meanings = str(fitted["status"].attrs["flag_meanings"]).split()
    values = list(fitted["status"].attrs["flag_values"])
    return int((fitted["status"] != values[meanings.index("ok")]).sum())


def _key(path: Path, recipe: Recipe) -> str:
    """Hash everything a result depends on."""
    parts = [sha256(path), recipe.model_dump_json(), references.load().hash, versions()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _kept(target: Path, name: str, key: str) -> xr.Dataset | None:
    """Return the earlier fit if it was made from the same inputs."""
    path = target / f"{name}.nc"
    if not path.is_file():
        return None
    try:
        earlier = load(path)
    except InterphaseError:
        return None
    return earlier if earlier.attrs.get("key") == key else None


def _conclude(campaign: Campaign, folder: Path, target: Path, done: list[Outcome]) -> None:
    """Write what the measurements say together."""
    fits = {o.name: load(target / f"{o.name}.nc") for o in done}
    names = [
        name
        for name, fitted in fits.items()
        if fitted.attrs["convention"] == "depth-1" or components_of(fitted).species
    ]
    if not names:
        return
    parts = [load(target / f"{name}.nc", "amounts") for name in names]
    channels = [
        open(located(folder, c.file, campaign.campaign), region=c.region) for c in campaign.channels
    ]
    labels = [name.replace("-", "_") for name in names]
    start = {
        label: campaign.measurements[name].start_s
        for label, name in zip(labels, names, strict=True)
    }
    others = [f"channel{i + 1}" for i in range(len(channels))]
    start.update({name: c.start_s for name, c in zip(others, campaign.channels, strict=True)})
    cell = align(
        *parts,
        *channels,
        names=[*labels, *others],
        start={name: by for name, by in start.items() if by},
        zone=campaign.zone,
        area_cm2=campaign.area_cm2,
    )
    save(cell, target / "cell.nc")
    if campaign.balance is not None:
        save(balance(cell, campaign.balance), target / "balance.nc")

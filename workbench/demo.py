"""The demo campaign: a simulated lithium | Li6PS5Cl cell, measured five ways, with known truth.

The campaign is plain files and a campaign recipe; the same command runs the same recipes on real
files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from references.errors import InterphaseError
from spectra.channels import channels

from .provenance import stamp
from .recipe import Campaign, Measurement, recipe_from
from .run import Outcome, Progress, run
from .simulate import REACTION, plating, simulate
from .store import atomic, load, save, write_text

SPECIES = ("Li", "Li6PS5Cl", "Li2S", "Li3P", "LiCl")


@dataclass(frozen=True)
class Plan:
    """One measurement of the demo: technique, simulation settings and recipe."""

    technique: str
    simulation: dict[str, Any]
    recipe: dict[str, Any]


def _plan(
    technique: str,
    species: Sequence[str],
    *,
    simulation: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Plan:
    proposal = {"species": list(species), "settings": dict(settings or {})}
    return Plan(technique, dict(simulation or {}), {"propose": proposal})


PLANS: dict[str, Plan] = {
    "xps_S2p": _plan("xps", ["Li6PS5Cl", "Li2S"], simulation={"region": "S 2p"}),
    "xps_P2p": _plan("xps", ["Li6PS5Cl", "Li3P"], simulation={"region": "P 2p"}),
    "edxrd": _plan("edxrd", SPECIES),
    "ndp": _plan("ndp", ["Li", "Li6PS5Cl"]),
    "nmr_31P": _plan("nmr", ["Li6PS5Cl", "Li3P"], simulation={"nucleus": "31P"}),
    "nmr_7Li": _plan("nmr", SPECIES, simulation={"nucleus": "7Li"}),
    "raman": _plan("raman", ["Li6PS5Cl", "Li2S"]),
}


def write_campaign(folder: str | PathLike[str], *, seed: int = 0) -> Path:
    """Simulate every measurement of the demo and write files and campaign recipe.

    Parameters
    ----------
    folder : path-like
        Made if missing.
    seed : int
        Same seed, same counts.

    Returns
    -------
    Path
        ``campaign.yaml`` in the folder.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    history = plating()
    measurements = {}
    for number, (name, plan) in enumerate(PLANS.items()):
        ds = simulate(plan.technique, history, settings=plan.simulation, seed=seed + number)
        save(ds, target / f"{name}.nc")
        recipe = recipe_from({"technique": plan.technique, **plan.recipe}, name)
        measurements[name] = Measurement(file=f"{name}.nc", recipe=recipe)
    save(_cell(history), target / "cell_channels.nc")
    campaign = Campaign(
        campaign="Lithium plating on Li6PS5Cl (simulated)",
        measurements=measurements,
        channels=("cell_channels.nc",),
        balance=REACTION,
    )
    return write_text(campaign.to_yaml(), target / "campaign.yaml")


def _cell(history: xr.Dataset) -> xr.Dataset:
    ds = channels(
        history["time"].values,
        {
            "voltage": (history["voltage"].values, "V"),
            "current": (history["current"].values, "mA/cm2"),
        },
        technique="cycling",
    )
    return stamp(ds, ds)


@dataclass(frozen=True)
class Demo:
    """What the demo found, as text for the terminal, and where it lies."""

    head: list[str]
    rows: list[list[str]]
    pulls: list[list[str]]
    balance: list[str]
    paths: list[Path]


def run_demo(folder: str | PathLike[str], *, progress: Progress | None = None) -> Demo:
    """Simulate, fit, align and balance the demo cell; write pictures and a report.

    Parameters
    ----------
    folder : path-like
        Gets ``data/``, ``results/`` and ``report.html``.
    progress : callable, optional
        ``progress(what, done, total)``.

    Returns
    -------
    Demo

    Raises
    ------
    InterphaseError
        If a measurement of the demo could not be fitted: that is a fault of this program.
    """
    from . import plot
    from .report import balance_rows, report

    target = Path(folder)
    if progress is not None:
        progress("simulate", 0, len(PLANS) + 1)
    campaign = write_campaign(target / "data")
    results = target / "results"
    outcomes = run(campaign, results, progress=progress)
    for outcome in outcomes:
        if outcome.error:
            raise InterphaseError(f"demo: {outcome.name}: {outcome.error}")
    pictures = []
    for outcome in outcomes:
        amounts = load(results / f"{outcome.name}.nc", "amounts")
        truth = load(results / f"{outcome.name}.nc", "data")["truth"]
        pictures.append(_picture(plot.amounts(amounts, truth), results / f"{outcome.name}.png"))
    pictures.append(_picture(plot.cell(load(results / "cell.nc")), results / "cell.png"))
    checked = load(results / "balance.nc")
    pictures.append(_picture(plot.balance(checked), results / "balance.png"))
    page = report(results, target / "report.html")
    rows, pulls = _tables(outcomes, results)
    lines = [f"balance: {checked.attrs['reaction']}"] + [
        f"  {part}: chi2 {chi2} of {degrees} degrees, probability {probability}: {verdict}"
        for part, chi2, degrees, probability, verdict in balance_rows(checked)
    ]
    if "lithium_found" in checked:
        end = checked.isel(time=-1)
        lines.append(
            f"  lithium: {float(end['lithium_found']):.0f} +- {float(end['lithium_stderr']):.0f} "
            f"nmol/cm2 found since the start, {float(end['lithium_passed']):.0f} passed as charge"
        )
    head = ["measurement", "species", "true", "found", "1 sigma", "pull", "units"]
    return Demo(head, rows, pulls, lines, [*pictures, campaign, page])


def _picture(figure: Any, path: Path) -> Path:
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
    return path


def pulls_of(amounts: xr.Dataset, truth: xr.DataArray) -> xr.DataArray:
    """Return (found - true) / sigma for the species that both know.

    Parameters
    ----------
    amounts : xr.Dataset
        Amounts of a simulated measurement.
    truth : xr.DataArray
        Its ``truth(*outer, species)``.

    Returns
    -------
    xr.DataArray
        Dims of ``amount``; NaN where nothing was found.
    """
    shared = [s for s in amounts["species"].values if s in truth["species"].values]
    found = amounts.sel(species=shared)
    known = truth.sel(species=shared).transpose(*found["amount"].dims)
    # Positions are compared, not coordinates: a calibration may move an outer axis a little.
    return (found["amount"] - known.values) / found["stderr"]


def _tables(outcomes: list[Outcome], results: Path) -> tuple[list[list[str]], list[list[str]]]:
    """Rows at the last time (or map mean) per species, and the pulls of all values."""
    rows, pulls = [], []
    for outcome in outcomes:
        amounts = load(results / f"{outcome.name}.nc", "amounts")
        truth = load(results / f"{outcome.name}.nc", "data")["truth"]
        pull = pulls_of(amounts, truth)
        for species in pull["species"].values:
            true, found, sigma = _representative(amounts, truth, str(species))
            rows.append(
                [
                    outcome.name,
                    str(species),
                    f"{true:.4g}",
                    f"{found:.4g}",
                    f"{sigma:.2g}",
                    f"{(found - true) / sigma:+.2f}",
                    str(amounts["amount"].attrs["units"]),
                ]
            )
        if amounts.attrs["kind"] == "fraction":
            # Fractions sum to one: the first species tells nothing that the others do not.
            pull = pull.isel(species=slice(1, None))
        values = pull.values[np.isfinite(pull.values)]
        pulls.append(
            [outcome.name, str(values.size), f"{values.mean():+.3f}", f"{values.std():.3f}"]
        )
    return rows, pulls


def _representative(
    amounts: xr.Dataset, truth: xr.DataArray, species: str
) -> tuple[float, float, float]:
    """Truth, found and error of one species: last time, mean over all other dims."""
    found = amounts.sel(species=species)
    known = truth.sel(species=species).transpose(*found["amount"].dims)
    if "time" in found["amount"].dims:
        found, known = found.isel(time=-1), known.isel(time=-1)
    sigma = found["stderr"].values
    return (
        float(np.mean(known.values)),
        float(np.mean(found["amount"].values)),
        float(np.sqrt(np.sum(sigma**2)) / sigma.size),
    )

"""Check that the answers agree with each other, with a reaction and with the charge passed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import stats

from .errors import OrderError
from .formula import Reaction, parse_reaction
from .provenance import stamp
from .simulate import FARADAY
from .steps import record, require

CONVENTION = "balance-1"
FLAGS = ("agree", "disagree", "not_measured")

Array = npt.NDArray[np.float64]


def balance(cell: xr.Dataset, reaction: str) -> xr.Dataset:
    """Check measured amounts against a reaction and against each other.

    For every part and product the extent is the amount divided by the stoichiometric number.
    Within one part all products must give one extent: their weighted mean, its standard error,
    the pull of each product from it, and ``chi2`` with its probability. Fractions and relative
    amounts carry an unknown common factor, so only the agreement of their products is tested.
    Absolute lithium (in nmol/cm2, as depth profiling gives) is held against the charge in
    ``current``: lithium found, less what was there at the first time, against charge / F.

    Parameters
    ----------
    cell : xr.Dataset
        What `workbench.align` returns.
    reaction : str
        A balanced equation whose formulas are species ids of the library.

    Returns
    -------
    xr.Dataset
        ``extent`` and ``extent_stderr`` on ``(part, time, ...)``, ``pull`` on
        ``(part, time, product)``, ``chi2``, ``degrees`` and ``probability`` on ``(part,)``,
        ``verdict(part)`` with flag meanings; ``lithium_found``, ``lithium_stderr`` and
        ``lithium_passed`` along ``time`` where both exist.

    Raises
    ------
    OrderError
        If ``cell`` is not aligned, or no part holds a product of the reaction.
    InterphaseError
        If the equation cannot be read or does not balance.

    Notes
    -----
    A part disagrees where the probability of its chi2 is below 0.001: a set of parts that is
    fine then raises a false alarm once in a thousand.
    """
    require(cell, "aligned-1", "workbench.align(amounts, ...)")
    equation = parse_reaction(reaction)
    parts = [p for p in str(cell.attrs["parts"]).split() if f"{p}_amount" in cell]
    tested = [p for p in parts if _products(cell, p, equation).size]
    if not tested:
        raise OrderError(
            f"balance: no part holds {', '.join(equation.products)}; found "
            + ", ".join(str(s) for s in cell["species"].values)
        )
    on = str(cell.attrs.get("on", "time"))
    rows = [_tested(cell, part, equation, on) for part in tested]
    result = xr.concat(
        rows,
        dim="part",
        join="outer",
        coords="minimal",
        compat="override",
        combine_attrs="override",
    ).assign_coords(part=tested)
    result = result.merge(_lithium(cell, parts))
    result.attrs = {"convention": CONVENTION, "reaction": equation.text, "history": ""}
    return record(stamp(result, cell), "balance", {"reaction": equation.text})


def _products(cell: xr.Dataset, part: str, equation: Reaction) -> npt.NDArray[np.str_]:
    amount = cell[f"{part}_amount"]
    there = [
        p
        for p in equation.products
        if p in cell["species"].values and bool(np.isfinite(amount.sel(species=p).values).any())
    ]
    return np.array(there, dtype=str)


def _tested(cell: xr.Dataset, part: str, equation: Reaction, on: str) -> xr.Dataset:
    """Extent, pulls and chi2 of one part; dims other than ``on`` are summed over first."""
    amount, stderr = cell[f"{part}_amount"], cell[f"{part}_stderr"]
    extra = [d for d in amount.dims if d not in (on, "species")]
    if extra:
        seen = np.isfinite(amount)
        amount = amount.where(seen).mean(extra)
        count = seen.sum(extra)
        stderr = np.sqrt((stderr.where(seen) ** 2).sum(extra)) / count.where(count > 0)
    if on not in amount.dims:
        amount, stderr = amount.expand_dims({on: 1}), stderr.expand_dims({on: 1})
    names = _products(cell, part, equation)
    numbers = np.array([equation.coefficients[str(n)] for n in names])
    values = amount.sel(species=names).transpose(on, "species").values / numbers
    errors = stderr.sel(species=names).transpose(on, "species").values / numbers
    good = np.isfinite(values) & np.isfinite(errors) & (errors > 0)
    weight = np.where(good, 1.0 / np.where(good, errors, 1.0) ** 2, 0.0)
    total = weight.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        extent = np.where(
            total > 0, (weight * np.where(good, values, 0.0)).sum(axis=1) / total, np.nan
        )
        extent_stderr = np.where(total > 0, 1.0 / np.sqrt(total), np.nan)
        pull = np.where(good, (values - extent[:, None]) / errors, np.nan)
    chi2 = float(np.nansum(pull**2))
    degrees = int(sum(max(int(n) - 1, 0) for n in good.sum(axis=1)))
    probability = float(stats.chi2.sf(chi2, degrees)) if degrees else np.nan
    verdict = 2 if not degrees else int(probability < 1e-3)
    coords = {on: cell[on]} if on in cell[f"{part}_amount"].dims else {}
    units = str(cell[f"{part}_amount"].attrs.get("units", "1"))
    return xr.Dataset(
        {
            "extent": (on, extent, {"units": units}),
            "extent_stderr": (on, extent_stderr, {"units": units}),
            "pull": ((on, "product"), pull, {"units": "1"}),
            "chi2": ((), chi2, {"units": "1"}),
            "degrees": ((), degrees, {"units": "1"}),
            "probability": ((), probability, {"units": "1"}),
            "verdict": (
                (),
                np.uint8(verdict),
                {"flag_values": np.arange(3, dtype=np.uint8), "flag_meanings": " ".join(FLAGS)},
            ),
        },
        coords={**coords, "product": names},
    )


def _lithium(cell: xr.Dataset, parts: list[str]) -> xr.Dataset:
    """Lithium found by an absolute part against the charge that passed."""
    if "current" not in cell or "time" not in cell["current"].dims:
        return xr.Dataset()
    for part in parts:
        amount = cell[f"{part}_amount"]
        if cell.attrs.get(f"{part}_kind") != "lithium" or amount.dims != ("time", "species"):
            continue
        total = amount.sum("species", skipna=True, min_count=1)
        variance = (cell[f"{part}_stderr"] ** 2).sum("species", skipna=True, min_count=1)
        time = cell["time"].values
        current = cell["current"]
        if current.attrs.get("units") != "mA/cm2":
            return xr.Dataset()
        charge = np.concatenate(
            [[0.0], np.cumsum(0.5 * np.diff(time) * (current.values[1:] + current.values[:-1]))]
        )
        passed = np.abs(charge) * 1e-3 / FARADAY * 1e9
        return xr.Dataset(
            {
                "lithium_found": ("time", (total - total[0]).values, {"units": "nmol/cm2"}),
                "lithium_stderr": (
                    "time",
                    np.sqrt((variance + variance[0]).values),
                    {"units": "nmol/cm2"},
                ),
                "lithium_passed": ("time", passed, {"units": "nmol/cm2"}),
            },
            coords={"time": cell["time"]},
        )
    return xr.Dataset()

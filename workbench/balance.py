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
FLAGS = ("agree", "disagree", "one_product")

MAH_PER_NMOL = FARADAY / 3.6 * 1e-9
"""Charge of one nmol of lithium, mAh."""

Array = npt.NDArray[np.float64]


def balance(cell: xr.Dataset, reaction: str) -> xr.Dataset:
    """Check measured amounts against a reaction and against each other.

    For every part and product the extent is the amount divided by the stoichiometric number.
    Within one part all products must give one extent: their mean weighted with the covariance of
    the amounts, its standard error, the pull of each product from it (in standard errors of that
    difference), and ``chi2`` with its probability. A part that measures only one of the products
    has nothing to be held against: its verdict is ``one_product``. Fractions and relative
    amounts carry an unknown common factor, so only the agreement of their products is tested.
    Absolute lithium (in nmol/cm2, as depth profiling gives) is held against the charge in
    ``current``: lithium found, less what was there at the first time, against charge / F.

    Parameters
    ----------
    cell : xr.Dataset
        What `workbench.align` returns.
    reaction : str
        A balanced equation whose formulas are species ids of the library; or ``"charge"``: only
        lithium against charge, without chemistry.

    Returns
    -------
    xr.Dataset
        ``extent`` and ``extent_stderr`` on ``(part, time, ...)``, ``pull`` on
        ``(part, time, product)``, ``chi2``, ``degrees`` and ``probability`` on ``(part,)``,
        ``verdict(part)`` with flag meanings; ``lithium_found``, ``lithium_stderr`` and
        ``lithium_passed`` (nmol/cm2), ``lithium_found_mAh`` and ``charge_mAh`` (per cm2) and
        ``lithium_pull`` along ``time`` where both exist.

    Raises
    ------
    OrderError
        If ``cell`` is not aligned, no part holds a product of the reaction, or (``"charge"``) there
        is no lithium or no current.
    InterphaseError
        If the equation cannot be read or does not balance.

    Notes
    -----
    A part disagrees where the probability of its chi2 is below 0.001: a set of parts that is
    fine then raises a false alarm once in a thousand.
    """
    require(cell, "aligned-1", "workbench.align(amounts, ...)")
    parts = [p for p in str(cell.attrs["parts"]).split() if f"{p}_amount" in cell]
    if reaction == "charge":
        result = _lithium(cell, parts)
        if "lithium_found" not in result:
            raise OrderError(
                "balance 'charge': needs lithium in nmol/cm2 along time (NDP amounts) and current "
                "in mA/cm2 (a cycler's file); align both"
            )
        result.attrs = {"convention": CONVENTION, "reaction": reaction, "history": ""}
        return record(stamp(result, cell), "balance", {"reaction": reaction})
    equation = parse_reaction(reaction)
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
    """Extent, pulls and chi2 of one part; dims other than ``on`` are averaged over first."""
    amount, covar = _averaged(cell[f"{part}_amount"], cell[f"{part}_covar"], on)
    if on not in amount.dims:
        # One state without a place on the common axis: by convention its end.
        end = {on: cell[on].values[-1:]}
        amount, covar = amount.expand_dims(end), covar.expand_dims(end)
    names = _products(cell, part, equation)
    numbers = np.array([equation.coefficients[str(n)] for n in names])
    values = amount.sel(species=names).transpose(on, "species").values / numbers
    errors = covar.sel(species=names, species_2=names).transpose(on, "species", "species_2").values
    errors = errors / np.outer(numbers, numbers)
    extent, extent_stderr = np.full((2, values.shape[0]), np.nan)
    pull = np.full(values.shape, np.nan)
    chi2, degrees = 0.0, 0
    for row, (value, error) in enumerate(zip(values, errors, strict=True)):
        good = np.isfinite(value) & np.isfinite(np.diagonal(error)) & (np.diagonal(error) > 0)
        if not good.any():
            continue
        inverse = np.linalg.pinv(error[np.ix_(good, good)], hermitian=True)
        weight = inverse.sum()
        extent[row] = inverse.sum(axis=0) @ value[good] / weight
        extent_stderr[row] = 1.0 / np.sqrt(weight)
        rest = value[good] - extent[row]
        chi2 += float(rest @ inverse @ rest)
        degrees += int(good.sum()) - 1
        if good.sum() > 1:
            # The mean holds each value too: what is left scatters less than the value itself.
            spread = np.diagonal(error)[good] - 1.0 / weight
            pull[row, good] = rest / np.sqrt(np.where(spread > 0, spread, np.nan))
    probability = float(stats.chi2.sf(chi2, degrees)) if degrees else np.nan
    verdict = 2 if not degrees else int(probability < 1e-3)
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
        coords={on: amount[on].values, "product": names},
    )


def _averaged(
    amount: xr.DataArray, covar: xr.DataArray, on: str
) -> tuple[xr.DataArray, xr.DataArray]:
    """Average over all dims but ``on`` and species; independent spectra."""
    extra = [d for d in amount.dims if d not in (on, "species")]
    if not extra:
        return amount, covar
    count = amount.notnull().sum(extra)
    both = count.rename(species="species_2")
    total = covar.sum(extra, skipna=True, min_count=1)
    return amount.mean(extra), total / (count * both).where((count > 0) & (both > 0))


def _lithium(cell: xr.Dataset, parts: list[str]) -> xr.Dataset:
    """Lithium found by an absolute part against the charge that passed."""
    if "current" not in cell or "time" not in cell["current"].dims:
        return xr.Dataset()
    for part in parts:
        amount = cell[f"{part}_amount"]
        if cell.attrs.get(f"{part}_kind") != "lithium" or amount.dims != ("time", "species"):
            continue
        total = amount.sum("species", skipna=True, min_count=1)
        # Touching layers share lithium with opposite errors: the covariance counts.
        covar = cell[f"{part}_covar"].sum(("species", "species_2"), skipna=True, min_count=1)
        variance = covar.clip(min=0.0)
        time = cell["time"].values
        current = cell["current"]
        if current.attrs.get("units") != "mA/cm2":
            return xr.Dataset()
        charge = np.concatenate(
            [[0.0], np.cumsum(0.5 * np.diff(time) * (current.values[1:] + current.values[:-1]))]
        )
        passed = np.abs(charge) * 1e-3 / FARADAY * 1e9
        found = (total - total[0]).values
        spread = np.sqrt((variance + variance[0]).values)
        pull = (found - passed) / np.where(spread > 0, spread, np.nan)
        pull[0] = 0.0  # the reference of the difference
        values = {
            "lithium_found": (found, "nmol/cm2"),
            "lithium_stderr": (spread, "nmol/cm2"),
            "lithium_passed": (passed, "nmol/cm2"),
            "lithium_pull": (pull, "1"),
            "lithium_found_mAh": (found * MAH_PER_NMOL, "mAh/cm2"),
            "charge_mAh": (passed * MAH_PER_NMOL, "mAh/cm2"),
        }
        return xr.Dataset(
            {name: ("time", v, {"units": unit}) for name, (v, unit) in values.items()},
            coords={"time": cell["time"]},
        )
    return xr.Dataset()

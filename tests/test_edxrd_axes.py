"""Axes of a cell that move apart from spectrum to spectrum."""

from __future__ import annotations

import numpy as np
import pytest

import references
import workbench as wb
from references.diffraction import structure_data
from references.library import Library
from spectra.errors import ModelError
from spectra.techniques import edxrd
from workbench.simulate import plating

CHANGE = {"a": 1.2e-3, "c": -0.8e-3}


def stretched():
    """Simulate Li3P whose a grows and whose c shrinks, in two halves of one map."""
    base = references.load()
    history = plating().sel(species=["Li6PS5Cl", "Li3P"])
    told = {"positions": 6, "times": 4, "drift": 0.0, "brightness": 6.0}
    plain = wb.simulate("edxrd", history, settings=told, seed=1)
    cell = base["Li3P"].structures[0]
    moved = cell.model_copy(
        update={"a": cell.a * (1 + CHANGE["a"]), "b": cell.b * (1 + CHANGE["a"]),
                "c": cell.c * (1 + CHANGE["c"])}
    )  # fmt: skip
    species = base["Li3P"].model_copy(update={"structures": (moved,)})
    other = Library({**base.species, "Li3P": species}, base.core_levels, base.nuclei)
    late = wb.simulate("edxrd", history, settings=told, seed=2, library=other)
    out = plain.copy(deep=True)
    half = plain.sizes["time"] // 2
    out["intensity"][half:] = late["intensity"][half:].values
    return out, half


def test_axes_are_followed_apart():
    ds, half = stretched()
    comps = wb.propose(ds, ["Li6PS5Cl", "Li3P"], settings={"lattice": "axes"})
    fit = wb.fit(ds, comps, statistic="poisson")
    cells = edxrd.lattice(fit).sel(species="Li3P")
    library = structure_data("Li3P", references.load())
    for axis in "ac":
        true = np.full(ds.sizes["time"], getattr(library, axis))
        true[half:] *= 1.0 + CHANGE[axis]
        pull = (cells[axis].values - true[:, None]) / cells[f"{axis}_stderr"].values
        pull = pull[np.isfinite(pull)]
        assert pull.size >= 6
        assert np.sqrt(np.mean(pull**2)) < 1.6, axis
    volume = (2 * CHANGE["a"] + CHANGE["c"]) / 3
    off = (cells["strain"].values[half:] - volume) / cells["strain_stderr"].values[half:]
    assert np.sqrt(np.nanmean(off**2)) < 1.6
    # amounts stay what they were
    amounts = wb.quantify(fit)
    pull = ((amounts["amount"] - ds["truth"].sel(species=amounts["species"]))
            / amounts["stderr"]).values  # fmt: skip
    assert (np.abs(pull) < 2.6).mean() > 0.9


def test_one_strain_for_the_cell_is_flagged_where_its_axes_move_apart():
    ds, _ = stretched()
    apart = wb.propose(ds, ["Li6PS5Cl", "Li3P"], settings={"lattice": "axes"})
    whole = wb.propose(ds, ["Li6PS5Cl", "Li3P"], settings={"lattice": "each"})
    there = (ds["truth"].sel(species="Li3P") > 0.05).values
    better = wb.fit(ds, apart, statistic="poisson")["chisqr"].values[there].sum()
    worse = wb.fit(ds, whole, statistic="poisson")["chisqr"].values[there].sum()
    assert worse > better + 25.0


def test_axes_and_widths_are_fitted_one_after_the_other():
    ds, _ = stretched()
    with pytest.raises(ModelError, match="widths='fixed'"):
        wb.propose(ds, ["Li3P"], settings={"lattice": "axes", "widths": "both"})

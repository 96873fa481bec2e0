"""Debye-Waller factors of EDXRD: what they do to lines, and found from spectra."""

from __future__ import annotations

import json

import numpy as np
import pytest

import references
import workbench as wb
from spectra.errors import CalibrationError
from spectra.techniques._edxrd_columns import columns
from spectra.techniques._edxrd_physics import Incident, phase_lines
from workbench.simulate import plating

PHASES = ["Li6PS5Cl", "Li2S"]


@pytest.fixture(scope="module")
def series():
    """Spectra of two phases, made with B = 2.0 and 0.8 over a flat background."""
    ds = wb.simulate(
        "edxrd", plating().sel(species=PHASES), settings={"positions": 3, "times": 4}, seed=3
    )
    ds.attrs["debye_waller"] = json.dumps({"Li6PS5Cl": 2.0, "Li2S": 0.8})
    comps = wb.propose(ds, PHASES, settings={"cells": "library", "lattice": "fixed"})
    basis = columns(comps, ds["photon_energy"].values)
    top = np.array([3000.0, 800.0] + [300.0] * (len(basis) - 2)) / basis.max(axis=1)
    rng = np.random.default_rng(5)
    counts = rng.poisson(np.maximum(top @ basis, 0.0), ds["intensity"].shape)
    ds["intensity"] = (ds["intensity"].dims, counts, ds["intensity"].attrs)
    del ds.attrs["debye_waller"]
    return ds, float(top[0])


def test_lines_fall_as_the_factor_says():
    told = (references.load(), 5.33, 30.0, 110.0, Incident())
    plain, thermal = phase_lines("Li2S", *told), phase_lines("Li2S", *told, factors={"B": 1.5})
    s = dict(zip(plain.hkl, plain.strength, strict=True))
    for hkl, d, strength in zip(thermal.hkl, thermal.d, thermal.strength, strict=True):
        assert strength / s[hkl] == pytest.approx(np.exp(-2 * 1.5 / (4 * d**2)), rel=1e-9)


def test_factors_are_found_and_areas_with_them(series):
    ds, true = series
    done = wb.correct(ds, "debye_waller", find=PHASES)
    b = json.loads(done.attrs["debye_waller"])
    error = json.loads(done.attrs["debye_waller_stderr"])
    for name, value in (("Li6PS5Cl", 2.0), ("Li2S", 0.8)):
        assert error[name] < 0.3
        assert abs(b[name] - value) < 3.5 * error[name] + 0.02
    fit = wb.fit(done, wb.propose(done, PHASES, settings={"lattice": "each"}), statistic="poisson")
    assert float(fit["redchi"].mean()) < 1.1
    plain = wb.fit(ds, wb.propose(ds, PHASES, settings={"lattice": "each"}), statistic="poisson")
    assert float(plain["redchi"].mean()) > float(fit["redchi"].mean()) + 0.05
    area = float(fit["value"].sel(param="Li6PS5Cl.area").mean())
    assert area == pytest.approx(true, rel=0.02)


def test_what_cannot_be_found_is_refused(series):
    ds, _ = series
    bare = ds.copy()
    bare.attrs = {k: v for k, v in ds.attrs.items() if k != "incident"}
    with pytest.raises(CalibrationError, match="standard"):
        wb.correct(bare, "debye_waller", find=["Li2S"])
    with pytest.raises(CalibrationError, match="state it"):
        wb.correct(ds, "debye_waller", find=["LiF"], species=PHASES)

"""Species that cannot be told apart: flagged, and their sum given."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from workbench import blends
from workbench.simulate import plating

PAIR = ["Li2S", "Li3P"]


@pytest.fixture(scope="module")
def unresolved():
    """Li2S(111) and Li3P(101), the only lines in view, seen with wide slits."""
    ds = wb.simulate(
        "edxrd",
        plating().sel(species=PAIR),
        settings={"positions": 6, "times": 10, "divergence": 0.02},
        seed=2,
    )
    ds = ds.isel(photon_energy=(ds["photon_energy"] > 39.0) & (ds["photon_energy"] < 41.5))
    comps = wb.propose(ds, PAIR, settings={"background": 4, "cells": "library"})
    return ds, wb.quantify(wb.fit(ds, comps, statistic="poisson"))


def test_members_are_flagged_and_the_note_says_so(unresolved):
    _, amounts = unresolved
    assert amounts.attrs["blends"] == "Li2S+Li3P"
    meanings = amounts["flag"].attrs["flag_meanings"].split()
    assert (amounts["flag"].values == meanings.index("indistinct")).any()
    assert "Li2S + Li3P" in amounts.attrs["note"]


def test_the_sum_is_known_better_than_the_members(unresolved):
    ds, amounts = unresolved
    found = blends.groups(amounts)
    assert list(found["group"].values) == ["Li2S+Li3P"]
    truth = ds["truth"].sel(species=PAIR)
    weight = found["weight"].isel(group=0).sel(species=PAIR)
    assert float(weight[0]) == 1.0
    true = (truth * weight).sum("species")
    best, error = found["combination"].isel(group=0), found["combination_stderr"].isel(group=0)
    pull = ((best - true) / error).values
    assert abs(pull.mean()) < 0.4
    assert 0.75 < pull.std() < 1.3
    mixed = (amounts["flag"] == 2).sel(species=PAIR).all("species").values
    members = amounts["stderr"].sel(species=PAIR).values[mixed]
    assert np.median(error.values[mixed]) < 0.45 * np.median(members, axis=0).min()
    plain = (found["amount"].isel(group=0) - truth.sum("species")) / found["stderr"].isel(group=0)
    # strains that would bring one's line to the other's place are out of bounds: no second answer
    assert 0.9 <= float((np.abs(plain) < 1.96).mean()) <= 1.0
    assert float(np.abs(plain).max()) < 4.0
    # amounts are not negative, which holds the sum closer than its error says
    assert 0.45 < float(np.abs(plain).median()) / 0.6745 < 1.3


def test_resolved_species_are_left_alone():
    amount = np.array([10.0, 10.0])
    apart = np.array([[1.0, -0.95], [-0.95, 1.0]])
    # opposed, but both are known to a tenth
    assert not blends.blended_pairs(amount, apart).any()
    # opposed and uncertain, and nothing is there
    assert not blends.blended_pairs(np.array([0.2, 0.3]), 4.0 * apart).any()
    assert blends.blended_pairs(amount, 36.0 * apart).all() is np.False_
    assert blends.blended_pairs(amount, 36.0 * apart)[0, 1]
    # as uncertain, but not opposed
    assert not blends.blended_pairs(amount, 36.0 * np.eye(2)).any()


def test_pairs_that_meet_are_one_group():
    pairs = np.zeros((3, 4, 4), bool)
    pairs[0, 0, 1] = pairs[0, 1, 0] = True
    pairs[2, 1, 3] = pairs[2, 3, 1] = True
    assert blends.named(pairs, ["a", "b", "c", "d"]) == ["a+b+d"]


def test_no_blends_no_groups():
    ds = wb.simulate("edxrd", settings={"positions": 3, "times": 2}, seed=1)
    amounts = wb.quantify(wb.fit(ds, wb.propose(ds, ["Li6PS5Cl", "Li2S"]), statistic="poisson"))
    assert "blends" not in amounts.attrs
    assert blends.groups(amounts).sizes["group"] == 0

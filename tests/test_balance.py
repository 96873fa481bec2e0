"""The balance check: agrees when it should, objects when it should, and knows Faraday's law."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import workbench as wb
from references.errors import InterphaseError
from spectra.channels import channels
from tests.test_align import amounts
from workbench.errors import OrderError

REACTION = "Li6PS5Cl + 8 Li -> 5 Li2S + Li3P + LiCl"
SPECIES = ["Li2S", "Li3P", "LiCl"]
NUMBERS = np.array([5.0, 1.0, 1.0])


def products(scale, rng, sigma=0.1):
    """Amounts of products at growing extents, with Gaussian errors."""
    extent = np.linspace(0.5, 5.0, 40)[:, None]
    true = extent * NUMBERS * scale
    error = np.full(true.shape, sigma)
    return amounts(np.arange(40) * 60.0, rng.normal(true, error), error, SPECIES)


def test_stoichiometric_products_agree_and_the_chi2_has_its_distribution():
    rng = np.random.default_rng(1)
    probabilities = []
    for _ in range(60):
        result = wb.balance(wb.align(products(np.ones(3), rng)), REACTION)
        probabilities.append(float(result["probability"][0]))
        assert int(result["degrees"][0]) == 80
    # A right chi2 makes the probability uniform; its own test may fail once in 10^4.
    assert stats.kstest(probabilities, "uniform").pvalue > 1e-4


def test_correlated_errors_are_taken_into_account():
    # Two products that only their sum is known of: exchanged between them, nothing is wrong.
    rng = np.random.default_rng(5)
    good = products(np.ones(3), rng, sigma=0.1)
    moved = rng.normal(0.0, 3.0, 40)
    good["amount"][:, 0] += 5.0 * moved
    good["amount"][:, 1] -= moved
    error = np.diag([0.01, 0.01, 0.01]).astype(float)
    error[:2, :2] += 9.0 * np.array([[25.0, -5.0], [-5.0, 1.0]])
    good["covar"] = (good["covar"].dims, np.broadcast_to(error, good["covar"].shape).copy())
    good["stderr"] = (good["stderr"].dims, np.sqrt(np.diagonal(error)) * np.ones((40, 3)))
    result = wb.balance(wb.align(good), REACTION)
    assert float(result["probability"][0]) > 1e-3


def test_too_little_phosphide_disagrees():
    rng = np.random.default_rng(2)
    result = wb.balance(wb.align(products(np.array([1.0, 0.8, 1.0]), rng)), REACTION)
    names = result["verdict"].attrs["flag_meanings"].split()
    assert names[int(result["verdict"][0])] == "disagree"
    assert float(result["pull"].sel(product="Li3P").mean()) < 0


def test_pulls_have_unit_spread():
    # Of three products with unlike errors; the mean is made of them, so less than their own errors.
    rng = np.random.default_rng(6)
    extent = np.linspace(0.5, 5.0, 4000)[:, None]
    error = np.broadcast_to([0.2, 0.3, 0.05], (4000, 3))
    measured = rng.normal(extent * NUMBERS, error)
    result = wb.balance(
        wb.align(amounts(np.arange(4000) * 60.0, measured, error, SPECIES)), REACTION
    )
    np.testing.assert_allclose(result["pull"].std(["part", "time"]), 1.0, atol=0.06)


def test_a_part_with_one_product_has_nothing_to_be_held_against():
    rng = np.random.default_rng(7)
    one = products(np.ones(3), rng).sel(species=["Li2S"], species_2=["Li2S"])
    result = wb.balance(wb.align(one), REACTION)
    names = result["verdict"].attrs["flag_meanings"].split()
    assert names[int(result["verdict"][0])] == "one_product"
    assert bool(result["pull"].isnull().all())
    assert bool(result["extent"].notnull().all())


def test_extent_is_that_of_the_products():
    rng = np.random.default_rng(3)
    result = wb.balance(wb.align(products(np.ones(3), rng, sigma=1e-6)), REACTION)
    np.testing.assert_allclose(result["extent"].values[0], np.linspace(0.5, 5.0, 40), rtol=1e-4)


def test_lithium_found_follows_the_charge():
    time = np.linspace(0.0, 3600.0, 30)
    lithium = 0.1 * time / 96485.33212 * 1e-3 * 1e9  # 0.1 mA/cm2, in nmol/cm2
    found = amounts(time, 50.0 + lithium[:, None], np.full((30, 1), 5.0), ["Li"], "ndp", "nmol/cm2")
    found.attrs["kind"] = "lithium"
    rest = amounts(time, np.ones((30, 3)) * NUMBERS, np.full((30, 3), 0.1), SPECIES)
    cycler = channels(time, {"current": (np.full(30, -0.1), "mA/cm2")}, technique="cycling")
    result = wb.balance(wb.align(found, rest, cycler), REACTION)
    np.testing.assert_allclose(result["lithium_found"], result["lithium_passed"], atol=1e-6)
    assert float(result["lithium_passed"][-1]) == pytest.approx(3731.0, rel=1e-3)  # 0.1 mAh/cm2


def test_mistakes_are_named():
    rng = np.random.default_rng(4)
    cell = wb.align(products(np.ones(3), rng))
    with pytest.raises(InterphaseError, match="does not balance"):
        wb.balance(cell, "Li6PS5Cl + Li -> Li2S + Li3P + LiCl")
    with pytest.raises(OrderError, match="no part holds"):
        wb.balance(cell, "4 Ge + 15 Li -> Li15Ge4")
    with pytest.raises(OrderError, match="make it with workbench"):
        wb.balance(products(np.ones(3), rng), REACTION)

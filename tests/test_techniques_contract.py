"""Every registered technique against the contract; the contract against bad dummies."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr
from pydantic import BaseModel, Field

import workbench as wb
from spectra import techniques
from spectra.convention import spectrum
from spectra.techniques.base import Settings, Technique
from tests.contracts import technique_contract as contract
from workbench.demo import PLANS, pulls_of
from workbench.recipe import recipe_from
from workbench.run import Result, run_recipe

ABLE = [n for n in techniques.names() if techniques.get(n).simulate is not None]


@pytest.fixture(scope="module", params=list(PLANS))
def measured(request, tmp_path_factory) -> tuple[xr.Dataset, Result]:
    """One measurement of the demo, simulated and fitted with its recipe."""
    plan = PLANS[request.param]
    ds = wb.simulate(plan.technique, settings=plan.simulation, seed=11)
    path = wb.save(ds, tmp_path_factory.mktemp(request.param) / "a.nc")
    return ds, run_recipe(path, recipe_from({"technique": plan.technique, **plan.recipe}))


@pytest.mark.parametrize("name", techniques.names())
def test_records(name):
    contract.record_is_whole(techniques.get(name), name)


def test_the_demo_covers_every_technique_that_can_be_simulated():
    # the demo's cell is seen by EDXRD; XRD has the same phases and tests of its own
    assert {plan.technique for plan in PLANS.values()} | {"xrd"} == set(ABLE)
    assert set(ABLE) == {"xps", "nmr", "raman", "edxrd", "xrd", "ndp"}


def test_simulations(measured):
    contract.simulation_is_a_spectrum_with_its_truth(measured[0])


@pytest.mark.parametrize("name", ABLE)
def test_seeds(name):
    history = wb.plating().isel(time=slice(0, 3))
    one, again, other = (wb.simulate(name, history, seed=s) for s in (1, 1, 2))
    contract.same_seed_same_counts(one, again, other)


def test_amounts_and_their_errors(measured):
    ds, result = measured
    contract.amounts_speak_the_truths_units(result.amounts, ds)
    pulls = pulls_of(result.amounts, ds["truth"])
    if result.amounts.attrs["kind"] == "fraction":
        pulls = pulls.isel(species=slice(1, None))
    contract.pulls_are_standard_normal(pulls.values, mean=0.4, width=0.3)


def test_inputs_stay_as_they_were(measured):
    ds, _ = measured
    plan = next(p for p in PLANS.values() if p.technique == ds.attrs["technique"])
    before = ds.copy(deep=True)
    settings = plan.recipe["propose"].get("settings", {})
    wb.propose(ds, plan.recipe["propose"]["species"], settings=settings)
    contract.nothing_was_changed(before, ds)


class Loose(BaseModel):
    a: float = 1.0


class Mute(Settings):
    a: float = 1.0


class Good(Settings):
    a: float = Field(1.0, description="something")


GOOD = Technique(name="good", axis="raman_shift", title="Good", settings=Good)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (dataclasses.replace(GOOD, name="other"), "is called 'other'"),
        (dataclasses.replace(GOOD, title=""), "no title"),
        (dataclasses.replace(GOOD, settings=Loose), "takes unknown keys"),
        (dataclasses.replace(GOOD, settings=Mute), "has no description"),
        (dataclasses.replace(GOOD, propose=lambda *a: None), "cannot quantify"),
    ],
)
def test_the_contract_refuses_bad_records(bad, says):
    contract.record_is_whole(GOOD, "good")
    with pytest.raises(AssertionError, match=says):
        contract.record_is_whole(bad, "good")


def simulated() -> xr.Dataset:
    ds = spectrum(
        np.ones((3, 5)), np.arange(5.0), technique="raman", axis_name="raman_shift",
        outer={"time": np.arange(3.0)},
    )  # fmt: skip
    ds["truth"] = (("time", "species"), np.ones((3, 1)), {"units": "1"})
    return ds.assign_coords(species=["Li2S"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda ds: ds.drop_vars("truth"), "no truth"),
        (lambda ds: ds.assign(truth=ds["truth"].T.assign_attrs(units="1")), "truth has dims"),
        (lambda ds: ds.assign(truth=ds["truth"] * np.nan), "no units|not finite"),
    ],
)
def test_the_contract_refuses_bad_simulations(change, says):
    contract.simulation_is_a_spectrum_with_its_truth(simulated())
    with pytest.raises(AssertionError, match=says):
        contract.simulation_is_a_spectrum_with_its_truth(change(simulated()))


def test_the_contract_refuses_biased_or_wrong_errors():
    good = np.random.default_rng(0).normal(size=400)
    contract.pulls_are_standard_normal(good)
    for bad, says in (
        (good + 0.5, "mean"),
        (good * 1.6, "deviation"),
        (good * 0.5, "deviation"),
        (np.where(np.arange(400) == 3, np.nan, good), "missing"),
        (good[:10], "tell nothing"),
    ):
        with pytest.raises(AssertionError, match=says):
            contract.pulls_are_standard_normal(bad)


def test_the_contract_notices_a_changed_input_and_a_deaf_seed():
    ds = simulated()
    with pytest.raises(AssertionError, match="changed"):
        contract.nothing_was_changed(ds, ds.assign_attrs(a=1))
    with pytest.raises(AssertionError, match="two seeds gave one"):
        contract.same_seed_same_counts(ds, ds, ds)
    with pytest.raises(AssertionError, match="one seed gave two"):
        contract.same_seed_same_counts(ds, ds.assign(intensity=ds["intensity"] + 1), ds)

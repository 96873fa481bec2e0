"""Texture and few grains: found, told apart, and amounts widened or refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

import references
import workbench as wb
from references.diffraction import structure_data
from references.library import Library
from spectra.techniques import edxrd
from spectra.techniques._edxrd_texture import direction, march_dollase
from tests.shared_data import data
from workbench.simulate import plating

PHASES = ("Li6PS5Cl", "Li2S", "Li3P", "LiCl")


def mapped(seed: int = 2, **settings: float):
    history = plating().sel(species=list(PHASES))
    told = {"positions": 10, "times": 16, "channels": 1024, **settings}
    ds = wb.simulate("edxrd", history, settings=told, seed=seed)
    return wb.correct(ds, "texture", species=PHASES)


def pulls(ds):
    amounts = wb.quantify(wb.fit(ds, wb.propose(ds, PHASES), statistic="poisson"))
    truth = ds["truth"].sel(species=amounts["species"])
    there = (truth.sel(species="Li6PS5Cl") > 0.5).values
    return ((amounts["amount"] - truth) / amounts["stderr"]).values[there], amounts


def test_march_dollase_conserves_the_sphere():
    # averaged over all directions a texture neither adds nor removes intensity
    cell = structure_data("Li3P", references.load())  # hexagonal: fibre along c
    n = np.linspace(0.0, 1.0, 2001)
    weight = (0.6**2 * n**2 + (1 - n**2) / 0.6) ** -1.5
    assert np.trapezoid(weight, n) == pytest.approx(1.0, abs=1e-4)
    assert march_dollase((0, 0, 2), cell, 0.6) == pytest.approx(0.6**-3)
    assert march_dollase((1, 0, 0), cell, 0.6) == pytest.approx(0.6**1.5)
    assert march_dollase((1, 1, 1), structure_data("Li2S", references.load()), 0.6) < 1.3


def test_orders_of_a_plane_are_one_direction():
    assert direction((2, 2, 2)) == direction((-1, 1, -1))
    assert direction((4, 0, 0)) == direction((0, 0, -2))
    assert direction((2, 1, 0)) != direction((1, 1, 0))


def test_a_powder_is_a_powder():
    ds = mapped(3)
    found = json.loads(ds.attrs["texture"])
    assert {one["verdict"] for one in found.values()} == {"powder"}
    pull, _ = pulls(ds)
    assert 0.92 < (np.abs(pull) < 1.96).mean() <= 0.985


def test_texture_is_found_and_covered():
    ds = mapped(texture=0.8)
    found = json.loads(ds.attrs["texture"])
    assert found["Li3P"]["verdict"] == "texture or wrong intensities"
    library = references.load()
    cell = structure_data("Li6PS5Cl", library)
    true = np.std([march_dollase(h, cell, 0.8) for h in ((2, 2, 2), (3, 1, 1), (4, 0, 0),
                                                          (4, 4, 0), (2, 0, 0))])  # fmt: skip
    assert 0.4 * true < found["Li6PS5Cl"]["scatter"] < 2.0 * true
    pull, amounts = pulls(ds)
    assert (np.abs(pull) < 1.96).mean() > 0.95
    assert "texture" in amounts.attrs["note"]


@pytest.mark.parametrize("grains", [60.0, 300.0])
def test_few_grains_are_found_and_covered(grains):
    ds = mapped(grains=grains)
    found = json.loads(ds.attrs["texture"])["Li6PS5Cl"]
    assert found["verdict"] == "few grains"
    # a line of multiplicity m is made by grains * m / 24 crystallites on average
    assert 0.6 / np.sqrt(grains) < found["scatter"] < 2.2 / np.sqrt(grains)
    pull, _ = pulls(ds)
    sure = np.isfinite(pull)
    assert (np.abs(pull[sure]) < 1.96).mean() > 0.93
    # without the test the same amounts would be called far more certain than they are
    plain = ds.copy()
    del plain.attrs["texture"]
    naive, _ = pulls(plain)
    assert np.nanstd(naive[:, 0]) > 5.0


def test_amounts_of_a_handful_of_grains_are_refused():
    ds = mapped(grains=1.0)
    found = json.loads(ds.attrs["texture"])
    assert found["Li6PS5Cl"]["refused"]
    _, amounts = pulls(ds)
    own = amounts.sel(species="Li6PS5Cl")
    assert np.isnan(own["amount"].values).all()
    assert (own["flag"].values == 4).all()  # no_value
    assert "no amount" in amounts.attrs["note"]
    # the lattice does not need intensities
    cells = edxrd.lattice(wb.fit(ds, wb.propose(ds, PHASES), statistic="poisson"))
    found = np.isfinite(cells["a"].sel(species="Li6PS5Cl").values[:, -1])
    assert found.mean() > 0.8


def test_the_gold_wire_is_textured(monkeypatch):
    library = references.load()
    copper = library["Cu"]
    gold = copper.structures[0].model_copy(
        update={"id": "Au", "formula": "Au", "a": 4.0786, "b": 4.0786, "c": 4.0786,
                "sites": tuple(s.model_copy(update={"elements": {"Au": 1.0}})
                               for s in copper.structures[0].sites)}
    )  # fmt: skip
    species = copper.model_copy(update={"id": "Au", "formula": "Au", "aliases": (),
                                        "structures": (gold,)})  # fmt: skip
    with_gold = Library({**library.species, "Au": species}, library.core_levels, library.nuclei)
    monkeypatch.setattr(references, "load", lambda: with_gold)
    ds = wb.open(data("edxrd/aps16bmb_Au-wire_15deg_header15.0146.hpmca"))
    ds = wb.calibrate(ds, "known", c0=7.662833e-02, c1=3.163848e-02, two_theta_deg=15.0148)
    ds = ds.isel(photon_energy=(ds["photon_energy"] > 18) & (ds["photon_energy"] < 80))
    ds = wb.correct(ds, "texture", species=("Au",), fluorescence=("Au",), background=12)
    found = json.loads(ds.attrs["texture"])["Au"]
    assert found["scatter"] > 0.5  # 111 is almost absent
    assert found["refused"]

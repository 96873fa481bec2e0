"""NMR from species to amounts: simulated truth comes back, order and units are enforced."""

from __future__ import annotations

import numpy as np
import pytest

import references
import workbench as wb
from references.errors import InterphaseError
from spectra.errors import CalibrationError, ModelError
from spectra.techniques.nmr import TECHNIQUE
from tests.shared_data import data
from workbench.simulate import simulate

SPECIES = {
    "31P": ["Li6PS5Cl", "Li3P"],
    "7Li": ["Li", "Li6PS5Cl", "Li2S", "Li3P", "LiCl"],
}


def found(ds, **settings):
    comps = wb.propose(ds, species=SPECIES[ds.attrs["nucleus"]], settings=settings)
    fit = wb.fit(ds, comps)
    amounts = wb.quantify(fit)
    truth = ds["truth"].sel(species=amounts["species"].values)
    return fit, amounts, ((amounts["amount"] - truth) / amounts["stderr"]).values


@pytest.mark.parametrize("standard", [False, True])
@pytest.mark.parametrize("nucleus", ["31P", "7Li"])
def test_simulated_amounts_come_back_with_honest_errors(nucleus, standard):
    pulls = []
    for seed in range(3):
        ds = simulate("nmr", settings={"nucleus": nucleus, "standard": standard}, seed=seed)
        fit, amounts, pull = found(ds)
        pulls.append(pull)
    assert amounts["amount"].attrs["units"] == ("nmol/cm2" if standard else "1")
    assert amounts.attrs["kind"] == ("amount" if standard else "fraction")
    assert ds["truth"].attrs["units"] == amounts["amount"].attrs["units"]
    assert np.abs(np.mean(pulls)) < 0.2
    assert 0.8 < np.std(pulls) < 1.2
    assert np.all(np.abs(np.mean(pulls, axis=(0, 1))) < 0.35)
    assert float(fit["redchi"].mean()) == pytest.approx(1.0, abs=0.05)


def test_seed_of_the_demonstration():
    for nucleus in SPECIES:
        _, _, pull = found(simulate("nmr", settings={"nucleus": nucleus}, seed=0))
        assert abs(pull.mean()) < 0.2
        assert 0.8 < pull.std() < 1.2


def test_drift_is_found_as_the_common_shift():
    ds = simulate("nmr", seed=4)
    fit, _, _ = found(ds)
    shift = fit["value"].sel(param="shift").values
    error = fit["stderr"].sel(param="shift").values
    pull = (shift - ds["true_shift"].values) / error
    assert abs(pull.mean()) < 0.5
    assert 0.7 < pull.std() < 1.3


def test_effects_the_model_does_not_know_show_in_chi_square():
    plain = float(found(simulate("nmr", seed=1))[0]["redchi"].mean())
    for effect in ({"impurity": 0.02}, {"asymmetry": 0.3}):
        ds = simulate("nmr", settings=effect, seed=1)
        assert float(found(ds)[0]["redchi"].mean()) > plain + 0.05


def test_lithium_metal_is_split_and_carries_its_caveat():
    ds = simulate("nmr", settings={"nucleus": "7Li"}, seed=0)
    fit, amounts, _ = found(ds)
    flat = fit["value"].sel(param="Li.area").values
    rough = fit["value"].sel(param="Li_microstructured.area").values
    share = rough / (rough + flat)
    assert share[0] == pytest.approx(0.0, abs=0.1)
    assert share[-1] == pytest.approx(0.4, abs=0.02)
    assert "orientation" in amounts.attrs["note"]
    assert "skin depth" in amounts.attrs["note"]


def test_lines_tied_by_stoichiometry_and_widths_of_crowded_lines():
    ds = simulate("nmr", seed=0)
    comps = wb.propose(ds, species=["Li10GeP2S12", "Li6PS5Cl", "Li3P"])
    tied = [c for c in comps if c.species == "Li10GeP2S12"][1].params["area"]
    assert tied.expr == "1.0 * Li10GeP2S12.area"
    assert not comps["Li6PS5Cl"].params["fwhm"].vary  # the second LGPS line is 1 ppm away
    assert comps["Li3P"].params["fwhm"].vary
    assert wb.propose(ds, species=["Li6PS5Cl"])["Li6PS5Cl"].params["fwhm"].vary


def test_sidebands_count_for_their_species():
    ds = simulate("nmr", seed=0)
    settings = {"spinning_kHz": 10.0, "sidebands": 1}
    comps = wb.propose(ds, species=["Li6PS5Cl"], settings=settings)
    names = [c.name for c in comps if c.species]
    assert names == ["Li6PS5Cl", "Li6PS5Cl_ssb_m1", "Li6PS5Cl_ssb_p1"]
    spacing = 10e3 / ds.attrs["reference_MHz"]
    assert comps["Li6PS5Cl_ssb_p1"].params["center"].value == pytest.approx(94 + spacing)
    weights = TECHNIQUE.quantify(comps, ds.attrs, references.load()).quantities[0].weights
    assert set(weights) == {f"{name}.area" for name in names}


def test_amount_per_nucleus():
    comps = wb.propose(
        simulate("nmr", settings={"nucleus": "7Li"}), species=["Li6PS5Cl", "Li2S", "Li"]
    )
    got = TECHNIQUE.quantify(comps, {"nucleus": "7Li"}, references.load())
    weights = {q.species: set(q.weights.values()) for q in got.quantities}
    assert weights == {"Li6PS5Cl": {1 / 6}, "Li2S": {1 / 2}, "Li": {1.0}}
    with pytest.raises(ModelError, match="Li2S holds no P"):
        TECHNIQUE.quantify(comps, {"nucleus": "31P"}, references.load())


def test_a_species_without_a_line_in_range_is_an_error():
    with pytest.raises(InterphaseError, match="none of Li2S has a line"):
        wb.propose(simulate("nmr"), species=["Li2S"])


def test_unreferenced_and_magnitude_spectra_are_refused():
    ds = wb.open(data("nmr/bruker_31P_MAS_Ba2P2O7"))
    with pytest.raises(CalibrationError, match="calibrate"):
        wb.propose(ds, species=["Li3PO4"])
    referenced = wb.calibrate(ds, "reference", at=-10.0, between=(-23, -21))
    x = referenced["chemical_shift"].values
    assert x[np.argmax(referenced["intensity"].values)] == pytest.approx(-10.0, abs=0.05)
    magnitude = wb.correct(referenced, "magnitude")
    with pytest.raises(ModelError, match="magnitude spectrum"):
        wb.propose(magnitude, species=["Li3PO4"])
    raw = wb.open(data("nmr/bruker_31P_MAS_Ba2P2O7") / "fid")
    with pytest.raises(ModelError, match="fourier"):
        wb.propose(raw, species=["Li3PO4"])
    with pytest.raises(CalibrationError, match="fourier"):
        wb.calibrate(raw, "shift", by=1.0)


def test_absolute_referencing_agrees_with_the_operators():
    # 85 % H3PO4 was put at 0 ppm by hand; the unified scale with the proton frequency that this
    # implies must give the same axis, and a wrong proton frequency must be noticed.
    ds = wb.open(data("nmr/bruker_31P_H3PO4_reference/1"))
    proton = ds.attrs["reference_MHz"] / 0.40480742
    made = wb.calibrate(ds, "absolute", proton_MHz=proton)
    np.testing.assert_allclose(
        made["chemical_shift"].values, ds["chemical_shift"].values, atol=2e-3
    )
    assert "unified scale" in made.attrs["calibration"]
    with pytest.raises(CalibrationError, match="check proton_MHz"):
        wb.calibrate(ds, "absolute", proton_MHz=400.13)


def test_reference_by_species_shift_and_as_recorded():
    ds = simulate("nmr", seed=2).isel(time=slice(0, 3))
    moved = wb.calibrate(ds, "shift", by=3.0)
    assert moved["chemical_shift"].values[0] == pytest.approx(
        ds["chemical_shift"].values[0] + 3, abs=0.01
    )
    back = wb.calibrate(moved, "reference", line="Li6PS5Cl", between=(80, 110))
    x, y = back["chemical_shift"].values, back["intensity"].values.mean(axis=0)
    assert x[np.argmax(y)] == pytest.approx(94.0, abs=0.2)
    assert "Li6PS5Cl 31P" in back.attrs["calibration"]
    assert wb.calibrate(ds, "as_recorded").attrs["calibration"]
    with pytest.raises(CalibrationError, match="no line stands out"):
        wb.calibrate(ds, "reference", at=0.0, between=(-200, -150))


def test_measured_noise_makes_fit_errors_honest():
    # Without its stated uncertainty the simulated noise must be found from the spectra themselves.
    ds = simulate("nmr", seed=5)
    measured = wb.correct(ds.drop_vars("uncertainty"), "noise")
    ratio = measured["uncertainty"].values / ds["uncertainty"].values
    assert ratio.mean() == pytest.approx(1.0, abs=0.05)
    _, _, pull = found(measured)
    assert 0.75 < pull.std() < 1.25

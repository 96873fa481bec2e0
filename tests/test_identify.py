"""identify: finds what is there, what it cannot tell apart, and what nothing explains."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import workbench as wb
from references.errors import InterphaseError
from tests.shared_data import data
from workbench.errors import OrderError

SULFUR = ["Li6PS5Cl", "Li2S", "Li2Sx_terminal", "Li2Sx_bridging", "S8", "Li4P2S6"]


def at(region, seed, *, time=slice(40, 41), **settings):
    """One simulated core level of the plating cell."""
    ds = wb.simulate("xps", settings={"region": region, **settings}, seed=seed)
    return ds.isel(time=time)


def test_products_of_argyrodite_are_found_and_nothing_else():
    found = wb.identify(at("S 2p", 1), candidates=SULFUR)
    assert set(found.species) == {"Li6PS5Cl", "Li2S"}
    assert found["Li2S"].verdict == "certain"
    truth = at("S 2p", 1)["truth"].sel(species="Li2S").item()
    assert found["Li2S"].amount == pytest.approx(truth, abs=4 * found["Li2S"].stderr)
    assert found["S8"].verdict == "absent"
    assert 0 < found["S8"].limit < 0.05
    assert "Li2S: certain" in found.report()


def test_positions_alone_are_not_certain_but_expected_products_are():
    """S 2p is crowded: another species, not in the library, could lie where Li2S does."""
    open_world = wb.identify(at("S 2p", 1), elements="Li P S Cl")
    assert set(open_world.species) == {"Li6PS5Cl", "Li2S"}
    assert open_world["Li2S"].verdict == "likely"
    assert open_world["Li2S"].probability > 0.99
    assert open_world["Li2S"].positional
    assert "do not rule out a species that the library does not hold" in open_world.report()
    told = wb.identify(at("S 2p", 1), elements="Li P S Cl", precursors=["Li6PS5Cl"])
    assert told["Li2S"].verdict == "certain"
    assert not told["Li2S"].positional


def test_several_bands_are_a_fingerprint_and_one_is_not():
    history = xr.Dataset(
        {"amount": (("time", "species"), [[500.0, 500.0]] * 2, {"units": "nmol/cm2"})},
        coords={"time": ("time", [0.0, 3600.0], {"units": "s"}), "species": ["S8", "Li2S"]},
    )
    ds = wb.simulate("raman", history, settings={"size": 2, "counts": 3000.0}, seed=4)
    found = wb.identify(ds.drop_vars("truth"), elements="Li P S Cl")
    assert (found["S8"].verdict, found["Li2S"].verdict) == ("certain", "likely")


def test_free_sulfide_of_pristine_argyrodite_is_not_called_li2s():
    # Li6PS5Cl alone has a line where Li2S lies: a fifth of its sulfur.
    history = wb.plating().isel(time=slice(0, 2))
    history["amount"].loc[{"species": ["Li2S", "Li3P", "LiCl", "Li"]}] = 0.0
    ds = wb.simulate("xps", history, settings={"region": "S 2p"}, seed=4)
    found = wb.identify(ds, candidates=SULFUR)
    assert found.species == ("Li6PS5Cl",)
    assert found["Li2S"].verdict == "absent"
    assert found["Li2S"].limit < 0.1


def test_phases_with_the_same_lines_are_one_group():
    found = wb.identify(
        at("S 2p", 2), candidates=["Li6PS5Cl", "Li3PS4_beta", "Li3PS4_gamma", "Li2S"]
    )
    groups = [f for f in found.findings if f.group]
    for finding in groups:
        assert not finding.verdict.startswith("certain")
    # Chloride of the salt and of the argyrodite lie 0.2 eV apart: a common shift hides which.
    chlorine = wb.identify(at("Cl 2p", 3, time=slice(0, 1)), candidates=["Li6PS5Cl", "LiCl"])
    assert any(f.group for f in chlorine.findings)
    assert "one group" in chlorine.report()


def test_a_partner_line_decides():
    chlorine, phosphorus = at("Cl 2p", 3, time=slice(0, 1)), at("P 2p", 5, time=slice(0, 1))
    both = wb.identify([chlorine, phosphorus], candidates=["Li6PS5Cl", "LiCl", "Li3P"])
    assert both["Li6PS5Cl"].verdict == "certain"


def test_a_species_left_out_of_the_candidates_is_not_absorbed():
    found = wb.identify(at("S 2p", 6), candidates=["Li6PS5Cl", "S8"])
    near = [u for u in found.unexplained if abs(u.position - 160.2) < 0.8]
    assert near
    assert near[0].significance > 5
    assert near[0].area > 0
    assert found.reduced_deviance > 5
    assert "Unexplained" in found.report()


def test_intensity_on_lines_that_are_found_is_told_as_such():
    # A plate of corundum with texture: its own lines are left over, at their places.
    found = wb.identify(wb.open(data("xrd/corundum.xye")), elements="Al O")
    assert found.species == ("Al2O3",)
    strongest = found.unexplained[0]
    assert strongest.position == pytest.approx(35.15, abs=0.02)
    assert 0.1 < strongest.share < 3.0
    told = found.report()
    assert "perhaps their intensity" in told
    assert told.count("Unexplained in") == 8 < len(found.unexplained)
    assert f"And {len(found.unexplained) - 8} weaker peaks." in told
    assert "rests on: two-theta of the goniometer as recorded" in told


def test_a_map_of_a_real_layout_shows_its_phases_with_errors():
    # One of the phases is all but absent in one of the three sums: its draws lie below zero there.
    ds = wb.open(data("edxrd/syn_map_FeS2_Li6PS5Cl_LiIn.h5"))
    ds = wb.calibrate(ds, "known", trust_header=True)
    energy = np.geomspace(18, 155, 20)
    source = np.sqrt(energy / 33) * np.exp(-energy / 33 - (18 / energy) ** 3)
    source *= np.exp(-2 * (0.18 * (30 / energy) ** 3 + 0.17))
    ds = wb.correct(ds, "incident", energy=tuple(energy), value=tuple(source))
    ds.attrs.update(noise_keV=0.135, fano=0.106, divergence=0.0035)
    where = {"position": (350.0, 550.0)}
    ds = wb.correct(ds, "intensities", species="Li6PS5Cl", between=where)
    ds = ds.isel(photon_energy=(ds["photon_energy"] > 20) & (ds["photon_energy"] < 110))
    names = ["FeS2", "FeS", "Li2S", "Li6PS5Cl", "In0", "LiIn", "LiCl", "Li3P"]
    found = wb.identify(ds, candidates=names, settings={"edxrd": {"background": 10}})
    assert set(found.species) == {"FeS2", "FeS", "Li2S", "Li6PS5Cl", "In0", "LiIn"}
    for name in found.species:
        one = found[name]
        assert 1e-5 < one.stderr < 0.02
        assert one.interval[0] < one.amount < one.interval[1]


def test_an_axis_that_is_not_calibrated_is_told_whatever_the_file_is_called():
    ds = wb.simulate("raman", settings={"size": 2}).rename(raman_shift="wavelength")
    ds["wavelength"] = ("wavelength", 500.0 + 0.01 * ds["wavelength"].values, {"units": "nm"})
    ds.attrs["source"] = '[{"file": "Si-wafer.txt"}]'
    with pytest.raises(OrderError, match="not Raman shift; call calibrate"):
        wb.identify(ds, elements="Si")


def test_series_are_summed_and_components_are_ready_for_the_fit():
    ds = wb.simulate("nmr", settings={"nucleus": "31P"}, seed=2)
    found = wb.identify(ds, candidates=["Li6PS5Cl", "Li3P", "Li4P2S6", "Li3PO4"])
    assert set(found.species) == {"Li6PS5Cl", "Li3P"}
    fit = wb.fit(ds, found.components)
    assert np.isfinite(fit["value"]).all()


def test_thermodynamics_and_families_move_the_prior_not_the_data():
    ds = at("P 2p", 7)
    plain = wb.identify(ds, candidates=["Li6PS5Cl", "Li3P", "P_red", "LixP"])
    told = wb.identify(
        ds, candidates=["Li6PS5Cl", "Li3P", "P_red", "LixP"], precursors=["Li6PS5Cl"], potential=0.0
    )
    assert told["Li3P"].probability >= plain["Li3P"].probability - 1e-9
    assert "Li3P" in told.species


@pytest.mark.parametrize(("asymmetry", "seed"), [(0.25, 1), (0.35, 3)])
def test_lines_of_another_shape_are_not_taken_for_more_species(asymmetry, seed):
    """Tails towards higher energy could be products at higher energy; the model has no tails."""
    history = xr.Dataset(
        {"amount": (("time", "species"), [[300.0, 600.0]] * 2, {"units": "nmol/cm2"})},
        coords={"time": ("time", [0.0, 3600.0], {"units": "s"}), "species": ["Li6PS5Cl", "Li2S2"]},
    )
    told = {"region": "S 2p", "sample": "mixture", "counts": 3000.0, "asymmetry": asymmetry}
    ds = wb.simulate("xps", history, settings=told, seed=seed).isel(time=[1]).drop_vars("truth")
    found = wb.identify(ds, elements="Li P S Cl")
    assert "not shaped as the model has them" in " ".join(found.notes)
    assert all(f.verdict != "certain" for f in found.findings)
    assert 2 <= len(found.species) <= 3


def test_what_cannot_be_asked_is_said():
    ds = at("S 2p", 1)
    with pytest.raises(OrderError, match="no candidate has a line"):
        wb.identify(ds, elements="Ge")
    with pytest.raises(OrderError, match="symbols apart"):
        wb.identify(ds, elements="LiPSCl")
    with pytest.raises(InterphaseError, match="did you mean"):
        wb.identify(ds, candidates=["Li2SS"])
    del ds.attrs["calibration"]
    with pytest.raises(OrderError, match="call calibrate"):
        wb.identify(ds, elements="Li P S Cl")


def test_the_answer_is_plain_data():
    found = wb.identify(at("P 2p", 8), candidates=["Li6PS5Cl", "Li3P"])
    told = found.to_dict()
    assert {f["species"] for f in told["findings"]} == {"Li6PS5Cl", "Li3P"}
    assert isinstance(at("P 2p", 8), xr.Dataset)


def test_a_weighed_powder_mixture_is_found_and_its_misfit_said():
    """Anatase and zincite, 0.40 and 0.60 by weight: the dara data set's own weighing."""
    ds = wb.open(data("xrd/TiO2_0p4009-ZnO_0p6010--8min.xrdml"))
    found = wb.identify(ds, candidates=["TiO2", "ZnO", "CeO2", "Al2O3", "NiO"])
    assert {"TiO2", "ZnO"} <= set(found.species)
    assert found["TiO2"].amount == pytest.approx(0.40, abs=0.06)
    assert found["ZnO"].amount == pytest.approx(0.60, abs=0.06)
    others = [found[s] for s in ("CeO2", "Al2O3", "NiO")]
    assert all(f.verdict == "absent" or f.amount < 0.03 for f in others)
    assert found.flagged  # its lines are not quite of the model's shape
    assert all(f.verdict != "certain" for f in found.findings)

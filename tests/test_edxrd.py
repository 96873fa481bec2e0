"""EDXRD against real standards, sources and simulated truth."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import workbench as wb
from spectra.convention import check
from spectra.errors import CalibrationError, ModelError
from spectra.techniques import edxrd
from spectra.techniques._edxrd_calibrate import STANDARDS, reflections_of
from spectra.techniques._edxrd_escape import escape_fraction
from spectra.techniques._edxrd_fluorescence import showing
from spectra.techniques._edxrd_peaks import fit_peak
from spectra.techniques._edxrd_physics import (
    FLUORESCENCE,
    HC,
    Detector,
    bragg_energy,
    two_theta,
)
from tests.shared_data import data
from workbench.demo import pulls_of

SPECIES = ["Li", "Li6PS5Cl", "Li2S", "Li3P", "LiCl"]


@pytest.fixture(scope="module")
def simulated():
    return wb.simulate("edxrd", seed=20_261_123)


def test_bragg_energy_and_angle_are_inverse():
    d = np.array([3.0, 1.5, 0.9])
    energy = bragg_energy(d, 5.33)
    assert np.allclose(two_theta(d, energy), 5.33)
    assert np.isclose(bragg_energy(1.0, 180.0), HC / 2.0)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("Au", [(1, 1, 1), (2, 0, 0), (2, 2, 0), (3, 1, 1)]),
        ("Si", [(1, 1, 1), (2, 2, 0), (3, 1, 1), (4, 0, 0)]),
        ("LaB6", [(1, 0, 0), (1, 1, 0), (1, 1, 1), (2, 0, 0)]),
        ("Fe", [(1, 1, 0), (2, 0, 0), (2, 1, 1), (2, 2, 0)]),
    ],
)
def test_absences_of_standards(name, first):
    hkl, d = reflections_of(STANDARDS[name], 0.4)
    assert hkl[:4] == first
    assert np.allclose(d[0], STANDARDS[name].a / np.sqrt(np.sum(np.square(first[0]))))


@pytest.mark.parametrize(("energy", "measured"), [(38.6, 0.0148), (46.5, 0.0084), (52.0, 0.0075)])
def test_escape_fraction_of_germanium(energy, measured):
    # measured on the gold wire; the formula is for a thick crystal hit face on
    assert abs(float(escape_fraction(energy)) - measured) < 0.4 * measured
    assert float(escape_fraction(11.0)) == 0.0


def test_sources_give_the_scale_within_12_eV():
    ds = wb.open(data("edxrd/aps16bmb_Cd109-Co57_calibration.000"))
    assert "calibration" not in ds.attrs  # the header's scale is shown, not trusted
    out = wb.calibrate(ds, "sources", sources=["109Cd", "57Co", "Pb"])
    lines = json.loads(out.attrs["energy_lines"])
    assert len(lines) >= 5
    assert max(abs(row["residual"]) for row in lines) < 0.012
    assert out.attrs["c1_keV"] == pytest.approx(0.0316479, rel=2e-4)
    assert out.attrs["fano"] == pytest.approx(0.106, abs=0.012)
    assert out.attrs["noise_keV"] == pytest.approx(0.121, abs=0.02)
    assert int(out["intensity"].sum()) == int(ds["intensity"].sum())


@pytest.mark.parametrize("header", ["15.0146", "15.0520"])
def test_gold_wire_gives_the_angle_whatever_the_header_says(header):
    ds = wb.open(data(f"edxrd/aps16bmb_Au-wire_15deg_header{header}.hpmca"))
    # the energy scale both files share; the angle comes from gold alone
    ds = wb.calibrate(ds, "known", c0=7.662833e-02, c1=3.163848e-02)
    assert "two_theta_deg" not in ds.attrs
    out = wb.calibrate(ds, "standard", standard="Au")
    assert out.attrs["two_theta_deg"] == pytest.approx(15.0148, abs=0.002)
    used = [row for row in json.loads(out.attrs["two_theta_lines"]) if row["used"]]
    assert len(used) >= 10
    assert abs(out.attrs["two_theta_slope"]) < 4 * out.attrs["two_theta_slope_stderr"]


def test_the_second_gold_header_would_give_a_wrong_lattice():
    ds = wb.open(data("edxrd/aps16bmb_Au-wire_15deg_header15.0520.hpmca"))
    line = fit_peak(ds["photon_energy"].values, ds["intensity"].values.astype(float), 38.585, 0.32)
    a = (
        HC
        * np.sqrt(11)
        / (2 * line.center * np.sin(np.radians(ds.attrs["header_two_theta_deg"] / 2)))
    )
    assert a == pytest.approx(4.0686, abs=0.0008)


def test_escape_line_of_gold_is_found():
    ds = wb.open(data("edxrd/aps16bmb_Au-wire_15deg_header15.0146.hpmca"))
    x, y = ds["photon_energy"].values, ds["intensity"].values.astype(float)
    parent = fit_peak(x, y, 38.585, 0.32)
    escape = fit_peak(x, y, 38.585 - 9.876, 0.28)
    assert escape.area / parent.area == pytest.approx(0.0148, abs=0.003)


def test_silicon_angle_from_the_published_peaks():
    with data("edxrd/p61a_Si640f_peaks_vs_deadtime.csv").open() as file:
        row = next(csv.DictReader(file))
    centers = [float(v) for k, v in row.items() if k.endswith("_center") and v and float(v) > 0]
    _, d = reflections_of(STANDARDS["Si"], float(bragg_energy(150.0, 5.981)))
    angles = []
    for spacing, place in zip(d, bragg_energy(d, 5.981), strict=True):
        near = min(centers, key=lambda c: abs(c - place))
        if abs(near - place) < 0.15:
            angles.append(float(two_theta(spacing, near)))
    assert len(angles) >= 10
    assert np.mean(angles) == pytest.approx(5.981, abs=0.003)


def test_p61a_iron_lattice_at_two_angles():
    for number, angle in ((0, 5.0), (12, 6.2)):
        ds = wb.open(data(f"edxrd/p61a_tth_scan/tth_shift_{number:05d}.nxs"))
        ds = wb.calibrate(ds, "known", c0=0.025, c1=0.05, two_theta_deg=angle)
        x, y = ds["photon_energy"].values, ds["intensity"].values
        found = []
        for n in (2, 4, 6):
            place = float(bragg_energy(2.8412 / np.sqrt(n), angle))
            line = fit_peak(x, y, place, 0.5, search=0.2)
            found.append(HC * np.sqrt(n) / (2 * line.center * np.sin(np.radians(angle / 2))))
        assert np.mean(found) == pytest.approx(2.8412, abs=0.0012)


def test_synthetic_sources_and_ceo2_give_the_true_angle():
    path = data("edxrd/syn_calibration_sources_CeO2.spec")
    ds = wb.open(path, region="1")
    with pytest.raises(CalibrationError, match="guess"):
        wb.calibrate(ds, "sources", sources=["109Cd", "57Co"])
    ds = wb.calibrate(ds, "sources", sources=["109Cd", "57Co"], guess=(0.0, 0.0503))
    scale = {k: ds.attrs[f"{k}_keV"] for k in ("c0", "c1", "c2")}
    powder = wb.calibrate(wb.open(path, region="2"), "known", **scale)
    powder = wb.calibrate(powder, "standard", standard="CeO2", guess_deg=5.33)
    assert powder.attrs["two_theta_deg"] == pytest.approx(5.3287, abs=0.001)


def test_headers_are_not_trusted_without_saying_so():
    ds = wb.open(data("edxrd/aps16bmb_Au-wire_15deg_header15.0146.hpmca"))
    with pytest.raises(CalibrationError, match="trust_header"):
        wb.propose(ds, ["Li2S"])
    told = wb.calibrate(ds, "known", trust_header=True)
    assert "header" in told.attrs["calibration"]
    assert told.attrs["two_theta_deg"] == pytest.approx(15.014586)


def test_simulated_map_is_a_spectrum_of_integers(simulated):
    check(simulated)
    assert simulated["intensity"].dtype.kind == "i"
    again = wb.simulate("edxrd", seed=20_261_123, settings={})
    assert np.array_equal(again["intensity"], simulated["intensity"])
    assert set(simulated["truth"].dims) == {"time", "position", "species"}


def test_amounts_come_back_with_honest_errors(simulated):
    comps = wb.propose(simulated, SPECIES)
    assert [c.name for c in comps if c.species] == SPECIES
    fit = wb.fit(simulated, comps, statistic="poisson")
    amounts = wb.quantify(fit)
    assert amounts["amount"].attrs["units"] == "mmol/cm3"
    pull = pulls_of(amounts, simulated["truth"]).values.ravel()
    pull = pull[np.isfinite(pull)]
    assert pull.size == simulated["truth"].size
    assert abs(pull.mean()) < 0.2
    assert 0.8 < pull.std() < 1.2
    assert abs(float(fit["redchi"].mean()) - 1.0) < 0.05


def test_lattice_follows_the_drift(simulated):
    fit = wb.fit(simulated, wb.propose(simulated, SPECIES), statistic="poisson")
    found = edxrd.lattice(fit).sel(species="Li6PS5Cl").isel(position=-1)
    steps = simulated.sizes["time"]
    drift = 3e-4 * np.sin(2 * np.pi * 0.8 * np.arange(steps) / (steps - 1) + 0.4)
    pull = (found["strain"].values - drift) / found["strain_stderr"].values
    assert np.sqrt(np.mean(pull**2)) < 2.0


def test_pawley_intensities_of_a_powder_are_not_textured(simulated):
    one = simulated.isel(position=[-1], time=[0])
    comps = wb.propose(one, ["Li6PS5Cl"], settings={"mode": "pawley"})
    fit = wb.fit(one, comps, statistic="poisson")
    assert float(edxrd.texture(fit, "Li6PS5Cl")["scatter"].max()) < 0.2
    with pytest.raises(ModelError, match="pawley"):
        wb.quantify(fit)


def test_dead_time_above_a_tenth_is_flagged(simulated):
    late = simulated.assign(real_time=simulated["live_time"] * 1.2)
    late["real_time"].attrs["units"] = "s"
    out = wb.correct(late, "dead_time")
    assert bool((out["dead_time_flag"] == 1).all())
    assert bool((wb.correct(simulated, "dead_time")["dead_time_flag"] == 0).all())
    hidden = wb.correct(late, "dead_time", above="mask")
    assert not bool(hidden["valid"].any())


def test_synthetic_cell_map_against_its_truth():
    truth = json.loads(data("edxrd/syn_map_FeS2_Li6PS5Cl_LiIn_truth.json").read_text())
    ds = wb.open(data("edxrd/syn_map_FeS2_Li6PS5Cl_LiIn.h5"))
    ds = wb.calibrate(ds, "known", trust_header=True)
    energy = np.geomspace(18, 155, 20)
    source = np.sqrt(energy / 33) * np.exp(-energy / 33 - (18 / energy) ** 3)
    source *= np.exp(-2 * (0.18 * (30 / energy) ** 3 + 0.17))
    ds = wb.correct(ds, "incident", energy=tuple(energy), value=tuple(source))
    lines = ("W", "Pb")
    where = {"position": (350.0, 550.0)}
    ds.attrs.update(noise_keV=0.135, fano=0.106, divergence=0.0035)
    ds = wb.correct(ds, "intensities", species="Li6PS5Cl", between=where, fluorescence=lines)
    ds = ds.isel(photon_energy=(ds["photon_energy"] > 20) & (ds["photon_energy"] < 110))
    names = {"FeS2": "FeS2", "FeS": "FeS-troilite", "Li2S": "Li2S", "Li6PS5Cl": "Li6PS5Cl",
             "In0": "In", "LiIn": "LiIn"}  # fmt: skip
    comps = wb.propose(ds, list(names), settings={"fluorescence": lines, "background": 10})
    fit = wb.fit(ds, comps, statistic="poisson")
    found = wb.quantify(fit)["amount"].sel(species=list(names)).values
    known = np.stack([truth["phases"][n]["volume_fraction"] for n in names.values()], -1)
    known = known / known.sum(-1, keepdims=True)
    error = np.abs(found - known)
    assert np.quantile(error, 0.999) < 0.02
    assert error.max() < 0.025  # counting errors of the electrolyte are 0.3 %
    cell = edxrd.lattice(fit)
    for name, axis in (("In0", "a"), ("In0", "c"), ("LiIn", "a"), ("Li6PS5Cl", "a")):
        at = list(names).index(name)
        phase = truth["phases"][names[name]]
        true = phase["lattice"]["abc".index(axis)] * (1 + np.array(phase["strain"]))
        strong = known[..., at] > 0.5 if name == "Li6PS5Cl" else known[..., at] > 0.1
        relative = (cell[axis].sel(species=name).values / true - 1)[strong]
        assert np.median(np.abs(relative)) < 2e-4, name


def test_fluorescence_table_is_in_order():
    for element, lines in FLUORESCENCE.items():
        (ka1, top), (ka2, second) = lines[:2]
        assert top == 1.0, element
        assert ka2 < ka1 < lines[2][0], element
        assert 0.5 < second < 0.62, element


def test_width_grows_as_the_root_of_energy():
    detector = Detector(noise_keV=0.121, fano=0.106)
    assert float(detector.fwhm(122.06)) == pytest.approx(0.480, abs=0.01)
    assert float(detector.fwhm(88.03)) == pytest.approx(0.403, abs=0.012)


def test_pile_up_of_a_line_lies_at_twice_its_energy(simulated):
    settings = {"pile_up": 0.05, "positions": 2, "times": 1}
    ds = wb.simulate("edxrd", settings=settings, seed=4).isel(position=[1])
    plain = wb.simulate("edxrd", settings={**settings, "pile_up": 0.0}, seed=4).isel(position=[1])
    rate = float(ds["intensity"].sum()) / 60.0
    out = wb.correct(ds, "pile_up", resolving_us=-np.log1p(-0.05) / rate * 1e6)
    sums = out["background"].values[0, 0]
    x = ds["photon_energy"].values
    strongest = float(x[int(np.argmax(plain["intensity"].values[0, 0]))])
    near = np.abs(x - 2 * strongest) < 1.2
    assert x[near][np.argmax(sums[near])] == pytest.approx(2 * strongest, abs=0.3)
    # what pile-up added over a scaled clean spectrum is what the correction predicts
    x = ds["photon_energy"].values
    high = (x > 86) & (x < 96)
    excess = (
        ds["intensity"].values[0, 0][high].sum()
        - 0.95 * plain["intensity"].values[0, 0][high].sum()
    )
    noise = np.sqrt(2.0 * ds["intensity"].values[0, 0][high].sum())
    assert abs(excess - sums[high].sum()) < 4.0 * noise


def test_shields_that_fluoresce_are_seen_in_the_counts():
    cell = wb.open(data("edxrd/syn_map_FeS2_Li6PS5Cl_LiIn.h5"))
    cell = wb.calibrate(cell, "known", trust_header=True)
    wire = wb.open(data("edxrd/aps16bmb_Au-wire_15deg_header15.0146.hpmca"))
    for ds, there in ((cell, ("W", "Pb")), (wire, ("Au",))):
        ds = wb.calibrate(ds, "known", trust_header=True) if "photon_energy" not in ds else ds
        energy = ds["photon_energy"].values
        assert showing(ds, energy, Detector.of(ds.attrs)) == there
    names = {c.name for c in wb.propose(cell, ["FeS2"])}
    assert {"W_Ka", "Pb_Ka"} <= names
    assert not {n for n in names if n.startswith(("Au_", "Ta_"))}
    none = wb.propose(cell, ["FeS2"], settings={"fluorescence": ()})
    assert "W_Ka" not in {c.name for c in none}


def test_diffraction_lines_alone_are_not_taken_for_fluorescence():
    for seed in range(5):
        told = {"positions": 2, "times": 2, "fluorescence": ""}
        ds = wb.simulate("edxrd", settings=told, seed=seed)
        assert showing(ds, ds["photon_energy"].values, Detector.of(ds.attrs)) == ()

"""XPS from species to amounts: simulated truth comes back, scales and models are enforced."""

from __future__ import annotations

import json

import numpy as np
import pytest

import references
import workbench as wb
from references.errors import InterphaseError
from spectra.convention import spectrum
from spectra.errors import CalibrationError, ModelError
from spectra.shapes import SHAPES
from spectra.techniques._xps_calibrate import strongest_line
from spectra.techniques._xps_join import join
from spectra.techniques._xps_simulate import Simulation, apparent
from spectra.techniques.xps import (
    TECHNIQUE,
    attenuation_length,
    overlayer_thickness,
    sputtered_depth,
    tpp2m,
)
from workbench.simulate import plating, simulate

SPECIES = {"S 2p": ["Li6PS5Cl", "Li2S"], "P 2p": ["Li6PS5Cl", "Li3P"]}
JOINT = "S 2p + P 2p"


def found(ds, species, **settings):
    fit = wb.fit(ds, wb.propose(ds, species=species, settings=settings), statistic="poisson")
    amounts = wb.quantify(fit)
    truth = ds["truth"].sel(species=amounts["species"].values)
    return fit, amounts, ((amounts["amount"] - truth) / amounts["stderr"]).values


@pytest.mark.parametrize("sample", ["layer", "mixture"])
@pytest.mark.parametrize("region", ["S 2p", "P 2p"])
def test_simulated_shares_come_back_with_honest_errors(region, sample):
    pulls, chi = [], []
    for seed in range(4):
        ds = simulate("xps", settings={"region": region, "sample": sample}, seed=seed)
        fit, amounts, pull = found(ds, SPECIES[region])
        pulls.append(pull[:, 1])  # two shares sum to one: one of them is the measurement
        chi.append(float(fit["redchi"].mean()))
    assert amounts.attrs["kind"] == "fraction"
    assert abs(np.mean(pulls)) < 0.2
    assert 0.8 < np.std(pulls) < 1.2
    assert np.mean(chi) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("tied", [True, False])
def test_joint_fit_of_two_core_levels(tied):
    pulls = []
    for seed in range(2):
        ds = simulate("xps", settings={"region": JOINT}, seed=seed)
        fit, amounts, pull = found(ds, ["Li6PS5Cl", "Li2S", "Li3P"], tie_levels=tied)
        pulls.append(pull)
        shift = (fit["value"].sel(param="shift") - ds["true_shift"]) / fit["stderr"].sel(
            param="shift"
        )
        assert abs(float(shift.mean())) < 0.5
    assert np.all(np.abs(np.mean(pulls, axis=(0, 1))) < 0.25)
    assert 0.8 < np.std(pulls) < 1.2
    # The reaction's 5 Li2S : 1 Li3P is an answer of the fit, not an input.
    ratio = amounts["amount"].sel(species="Li2S") / amounts["amount"].sel(species="Li3P")
    assert float(ratio[-10:].mean()) == pytest.approx(5.0, rel=0.05)


def test_charging_is_found_as_the_common_shift():
    ds = simulate("xps", seed=4)
    fit, _, _ = found(ds, SPECIES["S 2p"])
    pull = (fit["value"].sel(param="shift") - ds["true_shift"]) / fit["stderr"].sel(param="shift")
    assert abs(float(pull.mean())) < 0.5
    assert 0.7 < float(pull.std()) < 1.3


def test_effects_the_model_does_not_know_show_in_chi_square():
    plain = float(found(simulate("xps", seed=1), SPECIES["S 2p"])[0]["redchi"].mean())
    for effect in ({"extra_line": 0.05}, {"asymmetry": 0.2}):
        ds = simulate("xps", settings=effect, seed=1)
        assert float(found(ds, SPECIES["S 2p"])[0]["redchi"].mean()) > plain + 0.15


def test_apparent_amounts_of_a_layer():
    library, history = references.load(), plating()
    thin = apparent(history, library, Simulation(contact_area=1e9, lithium_patches=0.0))
    history_ratio = history["amount"].sel(species="Li2S") / history["amount"].sel(species="Li3P")
    np.testing.assert_allclose(thin["Li2S"] / thin["Li3P"], history_ratio.values, rtol=1e-9)
    # A layer far thinner than the escape depth emits its whole amount per area ...
    np.testing.assert_allclose(
        thin["Li2S"], history["amount"].sel(species="Li2S").values / 1e9, rtol=1e-3
    )
    # ... and a thick one hides the electrolyte.
    thick = apparent(history, library, Simulation(contact_area=1.0, lithium_patches=0.0))
    assert thick["Li6PS5Cl"][-1] < 1e-10 * thick["Li2S"][-1]


def test_free_sulfide_is_tied_to_its_ps4():
    comps = wb.propose(simulate("xps"), species=["Li6PS5Cl", "Li2S"])
    assert comps["Li6PS5Cl_S2"].params["area"].expr == "0.25 * Li6PS5Cl.area"
    assert comps["Li2S"].params["fwhm"].expr == "Li6PS5Cl.fwhm"
    assert comps["Li2S"].params["center"].expr == "160.2 + shift"
    assert [line.position for line in comps["Li2S"].lines] == [0.0, 1.18]
    ratio = comps["Li2S"].lines[1].weight / comps["Li2S"].lines[0].weight
    assert ratio == pytest.approx(0.5, abs=1e-12)


def test_two_domains_float_apart():
    library = references.load()
    a, b = (library.lines("xps", s, "S 2p")[0] for s in ("Li6PS5Cl", "Li2S"))
    x = np.arange(155.0, 172.0, 0.1)
    line = SHAPES["pseudo_voigt"].function
    clean = np.full_like(x, 300.0)
    for value, area, moved in ((a.value, 4000.0, 0.4), (160.1, 1000.0, 0.4), (b.value, 3000, -0.5)):
        for share, offset in ((2 / 3, 0.0), (1 / 3, 1.18)):
            clean += line(x, area * share, value + moved + offset, 1.1, 0.3)[0]
    rng = np.random.default_rng(0)
    ds = spectrum(
        rng.poisson(clean),
        x,
        technique="xps",
        axis_name="binding_energy",
        attrs={"calibration": "true scale"},
    )
    settings = {"second_domain": ["Li2S"], "background": "linear"}
    comps = wb.propose(ds, species=["Li6PS5Cl", "Li2S"], settings=settings)
    fit = wb.fit(ds, comps, statistic="poisson")
    for name, true in (("shift", 0.4), ("shift_2", -0.5)):
        value, error = (float(fit[v].sel(param=name)) for v in ("value", "stderr"))
        assert abs(value - true) < 4 * error < 0.2
    with pytest.raises(ModelError, match="leave one in the first domain"):
        wb.propose(ds, species=["Li2S"], settings={"second_domain": ["Li2S"]})


def test_sensitivity_transmission_and_depth_enter_shares_of_different_levels():
    ds = simulate("xps", settings={"region": JOINT})
    comps = wb.propose(ds, species=["Li2S", "Li3P"])
    library = references.load()

    def weight(ds):
        got = TECHNIQUE.quantify(comps, ds.attrs, library).quantities
        w = {q.species: next(iter(q.weights.values())) for q in got}
        return w["Li3P"] / w["Li2S"]

    rsf = [library.core_level(n).rsf["scofield_1486.6"] for n in ("S 2p", "P 2p")]
    plain = rsf[0] / rsf[1]
    assert weight(ds) == pytest.approx(plain, rel=1e-9)
    own = wb.correct(ds, "sensitivity", factors={"S 2p": 2.0, "P 2p": 1.0})
    assert weight(own) == pytest.approx(2.0, rel=1e-9)
    seen = wb.correct(ds, "transmission", exponent=-0.7)
    kinetic = (1486.6 - 160.2) / (1486.6 - 126.3)
    assert weight(seen) == pytest.approx(plain * kinetic**-0.7, rel=1e-3)
    deep = wb.correct(seen, "escape_depth", material="Li2S", band_gap_eV=3.5)
    assert "equal" not in TECHNIQUE.quantify(comps, deep.attrs, library).note
    assert weight(deep) < weight(seen)  # P 2p electrons are faster and come from deeper
    with pytest.raises(ModelError, match="no sensitivity factor"):
        weight(wb.correct(ds, "sensitivity", set="unknown"))


# -- energy scale ----------------------------------------------------------------------------------


def test_a_spectrum_without_a_scale_is_refused():
    ds = simulate("xps").drop_attrs(deep=False)
    ds.attrs = {k: v for k, v in simulate("xps").attrs.items() if k != "calibration"}
    with pytest.raises(CalibrationError, match="calibrate"):
        wb.propose(ds, species=["Li2S"])
    taken = wb.calibrate(ds, "as_recorded")
    assert wb.propose(taken, species=["Li2S"]).species == ("Li2S",)


def test_strongest_line_is_found_within_its_error():
    rng = np.random.default_rng(1)
    x = np.arange(280.0, 292.0, 0.1)
    line = SHAPES["pseudo_voigt"].function
    clean = 100.0 + line(x, 3000.0, 284.3, 1.2, 0.3)[0]
    got = np.array([strongest_line(x, rng.poisson(clean).astype(float)) for _ in range(60)])
    pull = (got[:, 0] - 284.3) / got[:, 1]
    assert abs(pull.mean()) < 0.5
    assert 0.7 < pull.std() < 1.4
    beside = clean + line(x, 900.0, 285.9, 1.3, 0.3)[0]
    assert strongest_line(x, beside)[0] == pytest.approx(284.3, abs=0.03)
    with pytest.raises(CalibrationError, match="no line stands out"):
        strongest_line(x, rng.poisson(np.full_like(x, 100.0)).astype(float))


def flat(y, x, **attrs):
    return spectrum(y, x, technique="xps", axis_name="binding_energy", attrs=attrs)


def test_charge_reference_here_in_the_file_or_stated():
    x = np.arange(280.0, 292.0, 0.1)
    y = np.round(50.0 + SHAPES["pseudo_voigt"].function(x, 4000.0, 286.1, 1.2, 0.3)[0]).astype(int)
    here = wb.calibrate(flat(y, x), line="C 1s", at=284.8)
    assert here["binding_energy"].values[0] == pytest.approx(280.0 - 1.3, abs=0.005)
    s2p = flat(np.arange(100) + 5, np.linspace(155.0, 170.0, 100))
    with pytest.raises(CalibrationError, match="outside this region"):
        wb.calibrate(s2p, line="C 1s", at=284.8)
    s2p.attrs["reference_lines"] = json.dumps({"C 1s": [286.1, 0.01]})
    moved = wb.calibrate(s2p, line="C 1s", at=284.8)
    assert moved["binding_energy"].values[0] == pytest.approx(153.7)
    assert "same sample" in moved.attrs["calibration"]
    stated = wb.calibrate(s2p, found=285.0, at=284.8)
    assert stated["binding_energy"].values[0] == pytest.approx(154.8)
    assert stated.attrs["energy_shift_eV"] == pytest.approx(-0.2)


def test_fermi_edge_of_a_broadened_metal():
    from scipy.special import expit

    rng = np.random.default_rng(3)
    x = np.arange(-1.5, 1.5, 0.02)
    kernel = np.random.default_rng(0).normal(0.0, 0.12, 4000)
    step = expit((x[:, None] - 0.137 - kernel) / (8.617333262e-5 * 300.0)).mean(axis=1)
    ds = flat(rng.poisson(30.0 + (2000.0 + 100.0 * x) * step), x)
    moved = wb.calibrate(ds, "fermi_edge")
    by = moved["binding_energy"].values[0] - x[0]
    assert by == pytest.approx(-0.137, abs=0.005)
    with pytest.raises(CalibrationError, match="no clear Fermi edge"):
        wb.calibrate(flat(rng.poisson(np.full_like(x, 200.0)), x), "fermi_edge")


def test_positions_do_not_depend_on_the_scale_of_intensities():
    # Arbitrary units of any size: the scatter decides on the error, not the numbers.
    from scipy.special import expit

    rng = np.random.default_rng(5)
    x = np.arange(-0.8, 0.8, 0.02)
    edge = 1.2 + 1.3 * expit((x - 0.02) / 0.045) + rng.normal(0.0, 0.03, x.size)
    around = np.arange(280.0, 292.0, 0.1)
    line = SHAPES["pseudo_voigt"].function(around, 3.0, 284.6, 1.2, 0.3)[0]
    line = 0.5 + line + rng.normal(0.0, 0.01, around.size)
    found, errors = [], []
    for scale in (1e-3, 1.0, 1e4):
        moved = wb.calibrate(flat(scale * edge, x), "fermi_edge", window=0.7)
        at, error = strongest_line(around, scale * line)
        found.append((moved.attrs["energy_shift_eV"], at))
        errors.append(error)
    np.testing.assert_allclose(found, found[:1] * 3, atol=2e-4)
    np.testing.assert_allclose(errors, errors[0], rtol=0.05)
    assert found[0][0] == pytest.approx(-0.02, abs=0.02)
    assert abs(found[0][1] - 284.6) < 4 * errors[0] < 0.05


# -- corrections -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["shirley", "tougaard", "linear", "offset_shirley"])
def test_static_backgrounds_are_variables_and_counts_stay(kind):
    ds = simulate("xps").isel(time=slice(0, 2))
    made = wb.correct(ds, kind)
    np.testing.assert_array_equal(made["intensity"].values, ds["intensity"].values)
    assert made["background"].dims == ds["intensity"].dims
    assert not any(c.role == "background" for c in wb.propose(made, species=["Li2S"]))
    with pytest.raises(InterphaseError, match="outside the region"):
        wb.correct(ds, kind, between=(300, 310))


def test_backgrounds_with_settings_of_their_own():
    ds = simulate("xps").isel(time=0)
    x = ds["binding_energy"].values
    own = wb.correct(ds, "tougaard", b=900.0, c=600.0, sign=-1.0, d=300.0, gap=4.0)
    other = wb.correct(ds, "tougaard")
    assert not np.allclose(own["background"], other["background"])
    fixed = wb.correct(ds, "tougaard", b=1e-3, scale="fixed")
    np.testing.assert_allclose(fixed["background"], fixed["background"][0], rtol=1e-3)
    stepped = wb.correct(ds, "step", center=float(x.mean()), average=9)
    ends = stepped["background"].values[[0, -1]]
    assert np.min(ends) <= stepped["background"].values[x.size // 2] <= np.max(ends)
    smooth = wb.correct(ds, "polynomial", peaks=(157.5, 166.0), order=1)
    np.testing.assert_allclose(np.diff(smooth["background"], 2), 0.0, atol=1e-6)
    with pytest.raises(InterphaseError, match="beside"):
        wb.correct(ds, "polynomial", peaks=(float(x[0]), float(x[-1])))
    with pytest.raises(InterphaseError, match="center"):
        wb.correct(ds, "step")


def test_dead_time_is_inverted_with_its_error():
    x = np.linspace(150.0, 170.0, 40)
    true = np.linspace(1e4, 2e6, 40)  # counts per second
    tau, live = 70e-9, 2.0
    counts = np.round(true * live / (1.0 + true * tau)).astype(int)
    ds = flat(counts, x, dwell_time_s=0.5, sweeps=4)
    made = wb.correct(ds, "dead_time", tau_s=tau)
    np.testing.assert_allclose(made["intensity"].values, true, rtol=1e-4)
    assert made["intensity"].attrs["units"] == "counts/s"
    assert np.all(made["uncertainty"].values >= np.sqrt(counts) / live)
    with pytest.raises(InterphaseError, match="busy"):
        wb.correct(ds, "dead_time", tau_s=5e-7)
    with pytest.raises(InterphaseError, match="dwell_s"):
        wb.correct(flat(counts, x), "dead_time", tau_s=tau)


def test_join_refuses_what_does_not_belong_together():
    a = flat(np.arange(50), np.linspace(120, 140, 50), sample="A")
    b = flat(np.arange(50), np.linspace(155, 170, 50), sample="A")
    both = join({"S 2p": b, "P 2p": a})
    assert both.sizes["binding_energy"] == 100
    assert both.attrs["region"] == "P 2p + S 2p"
    with pytest.raises(ModelError, match="overlap"):
        join({"S 2p": b, "again": b})
    with pytest.raises(ModelError, match="sample"):
        join({"S 2p": flat(np.arange(50), np.linspace(155, 170, 50), sample="B"), "P 2p": a})
    with pytest.raises(ModelError, match="two regions"):
        join({"S 2p": b})
    with pytest.raises(ModelError, match="sweeps differ"):
        join({"S 2p": b.assign_attrs(sweeps=4), "P 2p": a.assign_attrs(sweeps=10)})


@pytest.mark.parametrize("noted", [False, True])
def test_joined_regions_are_compared_per_second(noted):
    # As many Li2S as Li3P, S 2p counted 2.5 times as long as P 2p, by Scofield's 1.68 and 1.19.
    rng = np.random.default_rng(2)
    parts = {}
    for level, species, at, seconds, factor in (
        ("S 2p", "Li2S", 160.0, 5.0, 1.68),
        ("P 2p", "Li3P", 126.0, 2.0, 1.19),
    ):
        x = np.arange(at - 6.0, at + 8.0, 0.05)
        main = references.load().lines("xps", species, level)[0].value
        level_ = references.load().core_level(level)
        curve = sum(
            w * SHAPES["gaussian"].function(x, 2e4 * factor * seconds, c, 1.1)[0]
            for w, c in ((2 / 3, main), (1 / 3, main + level_.splitting))
        )
        ds = flat(rng.poisson(200.0 * seconds + curve), x, sample="A", dwell_time_s=0.5)
        ds.attrs.update(sweeps=int(2 * seconds), photon_energy_eV=1486.6, pass_energy_eV=20.0)
        ds = wb.calibrate(ds, "as_recorded")
        parts[level] = wb.correct(ds, "transmission", exponent=0.0) if noted else ds
    both = join(parts)
    assert both["intensity"].dtype.kind == "i"
    assert "dwell_time_s" not in both.attrs
    comps = wb.propose(both, species=["Li2S", "Li3P"], settings={"background": "linear"})
    amounts = wb.quantify(wb.fit(both, comps, statistic="poisson"))
    share, error = amounts["amount"].values, amounts["stderr"].values
    assert abs(share[0] - 0.5) < 3 * error[0] + 0.005
    assert error[0] < 0.02
    if noted:
        with pytest.raises(ModelError, match="transmission"):
            join({**parts, "S 2p": both.isel(binding_energy=slice(300, None)).assign_attrs(
                {**parts["S 2p"].attrs, "response": "{}"})})  # fmt: skip
    parts["P 2p"].attrs.update(dwell_time_s=0.0)
    with pytest.raises(ModelError, match="counting time of 'P 2p'"):
        join(parts)
    parts["P 2p"].attrs.update(pass_energy_eV=160.0)
    with pytest.raises(ModelError, match="pass energy"):
        join(parts)


# -- depth -----------------------------------------------------------------------------------------


def test_tpp2m_against_published_mean_free_paths():
    # Tanuma, Powell, Penn, Surf. Interface Anal. 43 (2011) 689: optical IMFPs at 1 keV (nm),
    # which the formula meets within its stated 10 to 20 %.
    for density, mass, valence, gap, at_1000 in (
        (2.70, 26.98, 3, 0.0, 2.31),  # Al
        (2.33, 28.09, 4, 1.1, 2.36),  # Si
        (8.93, 63.55, 11, 0.0, 1.63),  # Cu
        (19.32, 196.97, 11, 0.0, 1.38),  # Au
    ):
        got = tpp2m(
            1000.0, density=density, molar_mass=mass, valence_electrons=valence, band_gap_eV=gap
        )
        assert float(got) == pytest.approx(at_1000, rel=0.2)
    library = references.load()
    assert 2.0 < float(attenuation_length(1325.0, library["Li6PS5Cl"], 3.0)) < 4.0
    with pytest.raises(ModelError, match="50 eV"):
        tpp2m(10.0, density=1.0, molar_mass=10.0, valence_electrons=2)
    with pytest.raises(ModelError, match="no density"):
        attenuation_length(1000.0, library["LiPON"])


def test_overlayer_thickness_inverts_the_layer():
    d = np.array([0.1, 1.0, 4.0, 12.0])
    over, under, r0 = 3.0, 2.4, 0.8
    cos = np.cos(np.deg2rad(40.0))
    ratio = r0 * -np.expm1(-d / over / cos) / np.exp(-d / under / cos)
    got, error = overlayer_thickness(
        ratio,
        0.01 * ratio,
        bulk_ratio=r0,
        length_over_nm=over,
        length_under_nm=under,
        emission_deg=40.0,
    )
    np.testing.assert_allclose(got, d, rtol=1e-9)
    up, _ = overlayer_thickness(
        ratio * 1.01, bulk_ratio=r0, length_over_nm=over, length_under_nm=under, emission_deg=40.0
    )
    np.testing.assert_allclose(error, up - got, rtol=0.02)
    assert np.isnan(overlayer_thickness(-1.0, bulk_ratio=1.0, length_over_nm=1.0)[0])


def test_depth_from_a_sputter_rate():
    ds = spectrum(
        np.ones((3, 20)),
        np.linspace(100, 110, 20),
        technique="xps",
        axis_name="binding_energy",
        outer={"etch_time": [0.0, 30.0, 60.0]},
    )
    deep = wb.correct(ds, "sputter_rate", rate_nm_s=0.05)
    assert '"sputter_rate"' in deep.attrs["history"]
    np.testing.assert_allclose(deep["depth"].values, [0.0, 1.5, 3.0])
    assert deep["depth"].attrs["units"] == "nm"
    with pytest.raises(ModelError, match="etch_time"):
        sputtered_depth(deep, 0.1)

"""NDP: stopping against NIST, counts conserved, lithium of synthetic files, honest errors."""

from __future__ import annotations

import json

import numpy as np
import pytest

import workbench as wb
from spectra.errors import CalibrationError, FormatError
from spectra.techniques import _ndp_stopping as stopping
from spectra.techniques._ndp_response import Detector, Layer, lithium_per_ug, response
from spectra.techniques.ndp import sensitivity_of
from tests.shared_data import data
from workbench.demo import pulls_of

# Residual energies after a layer, straight path, NIST PSTAR and ASTAR (README of the ndp data):
# formula, density, thickness um, triton from 2727.0, alpha from 2055.0 keV.
NIST = [
    (formula, density, um, triton, alpha)
    for formula, density, rows in (
        ("LiF", 2.635, [(0.1, 2721.4, 2023.3), (0.5, 2698.7, 1893.9), (1.0, 2670.2, 1725.7),
                        (2.0, 2612.6, 1364.6), (5.0, 2434.6, 160.6), (10.0, 2117.5, None),
                        (20.0, 1370.7, None)]),
        ("C22H10N2O5", 1.42, [(1.0, 2691.4, 1845.7), (5.0, 2545.7, 847.2), (7.5, 2451.7, 156.3),
                              (10.0, 2355.3, None), (25.0, 1709.1, None)]),
        ("Cu", 8.96, [(1.0, 2614.2, 1473.1), (5.0, 2133.8, None), (10.0, 1444.0, None),
                      (15.0, 610.7, None)]),
        ("Al", 2.70, [(1.0, 2677.6, 1784.2), (2.0, 2627.6, 1496.5), (5.0, 2474.0, 512.2),
                      (10.0, 2204.6, None), (20.0, 1598.2, None)]),
        ("C10H8O4", 1.40, [(1.0, 2691.2, 1844.2), (2.0, 2655.0, 1618.8), (5.0, 2544.5, 829.3),
                           (10.0, 2352.8, None)]),
    )
    for um, triton, alpha in rows
]  # fmt: skip


@pytest.mark.parametrize(("formula", "density", "um", "triton", "alpha"), NIST)
def test_energy_loss_agrees_with_nist_within_the_stated_systematic(
    formula, density, um, triton, alpha
):
    path = um * density * 100.0  # ug/cm2
    for ion, start, expected in (
        (stopping.TRITON, 2727.0, triton),
        (stopping.ALPHA, 2055.0, alpha),
    ):
        if expected is None:
            continue
        left = float(stopping.loss(formula, ion).after(np.array([start]), path)[0])
        # 4 %, two of the stated standard errors, of the energy lost.
        tolerance = 0.04 * (start - expected) + 1.0
        if expected < 1000:  # the end of the range amplifies it: the same error as a path
            tab = stopping.loss(formula, ion)
            ends = [float(tab.after(np.array([start]), f * path)[0]) for f in (0.94, 1.06)]
            assert ends[1] <= expected <= ends[0]
        else:
            assert left == pytest.approx(expected, abs=tolerance)


def test_range_left_agrees_with_nist():
    # Where NIST leaves a little energy, the range is the path plus what that energy still goes.
    for formula, density, um, ion, start, left in (
        ("LiF", 2.635, 5.0, stopping.ALPHA, 2055.0, 160.6),
        ("C22H10N2O5", 1.42, 7.5, stopping.ALPHA, 2055.0, 156.3),
        ("Cu", 8.96, 15.0, stopping.TRITON, 2727.0, 610.7),
    ):
        tab = stopping.loss(formula, ion)
        reach = np.interp(start, tab.energy, tab.path) - np.interp(left, tab.energy, tab.path)
        assert reach == pytest.approx(um * density * 100.0, rel=0.06)


def test_fractional_formulas_are_atoms_not_weights():
    # The stopping of LiPON must not depend on how many formula units are written.
    one = stopping.loss("Li2.9PO3.3N0.46", stopping.TRITON).at(2700.0)
    ten = stopping.loss("Li29P10O33N4.6", stopping.TRITON).at(2700.0)
    assert one == pytest.approx(ten, rel=1e-4)


@pytest.mark.parametrize(
    ("formula", "triton", "alpha"),
    [("Li3PS4", 2.3, 4.2), ("LiF", 2.3, -0.1), ("Li", -0.8, -1.9), ("Li6PS5Cl", 1.9, 3.4)],
)
def test_second_table_differs_as_measured(formula, triton, alpha):
    for ion, percent in ((stopping.TRITON, triton), (stopping.ALPHA, alpha)):
        one, two = (
            float(stopping.loss(formula, ion, table).at(ion.birth_keV - 0.7))
            for table in ("srim_85", "srim_95")
        )
        assert 100 * (two / one - 1) == pytest.approx(percent, abs=0.15)


@pytest.mark.parametrize("ion", [stopping.TRITON, stopping.ALPHA])
@pytest.mark.parametrize("nm", [30.0, 1000.0, 3000.0])
def test_counts_are_conserved(ion, nm):
    layers = (Layer(name="a", formula="LiF", density_g_cm3=2.635, thickness_nm=nm, species="LiF"),)
    edges = np.arange(200.0, 3000.0, 0.7)
    assert response(layers, 0, edges, Detector(), (ion,)).sum() == pytest.approx(1.0, abs=1e-9)


def truth():
    return json.loads(data("ndp/ndp_syn_truth.json").read_text())


def stack(*layers):
    """Layers as (formula, um, counted) with the densities of the truth file."""
    formulas = {"Kapton": "C22H10N2O5"}
    density = truth()["densities_g_cm3"]
    return [
        {
            "name": f"layer{i}",
            "formula": formulas.get(name, name),
            "density_g_cm3": density[name],
            "thickness_nm": um * 1000.0,
            "species": "LiF" if counted else None,
        }
        for i, (name, um, counted) in enumerate(layers)
    ]


FILES = [
    ("ndp_syn_reference_LiF_30nm.spe", [("LiF", 0.03, True)], "both", 13.93),
    ("ndp_syn_LiF_1000nm.spe", [("LiF", 1.0, True)], "both", 464.3),
    (
        "ndp_syn_Kapton7p5_Cu1_LiF2000.spe",
        [("Kapton", 7.5, False), ("Cu", 1.0, False), ("LiF", 2.0, True)],
        "tritons",
        None,
    ),
    (
        "ndp_syn_bilayer_LiF500_Al1000_LiF800.spe",
        [("LiF", 0.5, True), ("Al", 1.0, False), ("LiF", 0.8, True)],
        "both",
        603.6,
    ),
]


@pytest.mark.parametrize(("name", "layers", "ions", "expected"), FILES)
def test_lithium_of_monte_carlo_files(name, layers, ions, expected):
    known = truth()
    entry = known["files"][name]
    expected = expected or entry["areal_density_6Li_1e15_cm2"]
    per_s = known["reactions_per_ion_per_1e15_6Li_per_3600s"] / 3600.0
    ds = wb.open(data(f"ndp/{name}"))
    assert int(ds["intensity"].sum()) == entry["counts"]
    assert ds.attrs["live_time_s"] == entry["live_s"]
    scale = known["calibration_keV"]
    ds = wb.calibrate(
        ds,
        "known",
        slope_keV=scale["slope"],
        offset_keV=scale["offset"],
        counts_per_nmol_s=sensitivity_of(per_s),
    )
    low = 300.0 if ions == "both" else 2100.0
    ds = wb.select(ds, {"particle_energy": (low, 2900.0)})
    detector = {"fwhm_keV": 18.0, "dead_ug_cm2": 50e-7 * 2.33e6, "cos_min": 0.985}
    settings = {"layers": stack(*layers), "detector": detector, "ions": ions,
                "energy_shift_keV": 30.0}  # fmt: skip
    comps = wb.propose(ds, ["LiF"], settings=settings)
    fit = wb.fit(ds, comps, engine="numpy", statistic="poisson")
    assert str(fit["status"].attrs["flag_meanings"]).split()[int(fit["status"])] == "ok"
    amounts = wb.quantify(fit)
    found = float(amounts["amount"].sel(species="LiF"))
    sigma = float(amounts["stderr"].sel(species="LiF"))
    per_1e15 = found * 0.0759 * 0.602214076
    assert per_1e15 == pytest.approx(expected, rel=0.015, abs=3 * sigma * 0.0759 * 0.602)


def test_simulated_series_comes_back_with_honest_errors():
    pulls = []
    for seed in (1, 2, 3):
        ds = wb.simulate("ndp", seed=seed)
        fit = wb.fit(ds, wb.propose(ds, ["Li", "Li6PS5Cl"]), statistic="poisson")
        amounts = wb.quantify(fit)
        assert amounts["amount"].attrs["units"] == "nmol/cm2"
        pulls.append(pulls_of(amounts, ds["truth"]).values)
    assert abs(np.nanmean(pulls)) < 0.2
    assert 0.8 < np.nanstd(pulls) < 1.2


def test_plated_lithium_pushes_the_electrolyte_down():
    ds = wb.simulate("ndp", seed=1)
    comps = wb.propose(ds, ["Li", "Li6PS5Cl"])
    fit = wb.fit(ds, comps, engine="numpy", statistic="poisson")
    shift = fit["value"].sel(param="Li.low_edge") - fit["value"].sel(param="Li.high_edge")
    lost = float(shift[-1] - shift[0])
    plated = float(ds["truth"].sel(species="Li")[-1] - ds["truth"].sel(species="Li")[0])
    loss = float(stopping.loss("Li", stopping.TRITON).at(2610.0)) / lithium_per_ug("Li")
    assert lost == pytest.approx(-plated * loss, rel=0.1)


def test_amounts_need_a_sensitivity_and_an_energy_scale():
    ds = wb.open(data("ndp/ndp_syn_LiF_1000nm.spe"))
    with pytest.raises(CalibrationError, match="calibrate"):
        wb.propose(ds, ["LiF"], settings={"layers": stack(("LiF", 1.0, True))})


def test_series_of_columns_and_truncated_files(tmp_path):
    path = data("ndp/ndp_syn_timeseries_Kapton7p5_Cu2_LiF.csv")
    ds = wb.open(path)
    assert dict(ds["intensity"].sizes) == {"time": 12, "channel": 4096}
    assert ds["time"].values[-1] == 55 * 60
    cut = tmp_path / "cut.spe"
    cut.write_bytes(data("ndp/ndp_syn_LiF_1000nm.spe").read_bytes()[:9000])
    with pytest.raises(FormatError, match="of 4096 channels: the file is truncated"):
        wb.open(cut)


def test_tables_of_other_places(tmp_path):
    """A plain table of channels, and a series that states live times in its own way."""
    plain = tmp_path / "plain.txt"
    plain.write_text("channel counts\n" + "".join(f"{k} {k % 7}\n" for k in range(50)))
    ds = wb.open(plain, technique="ndp")
    assert ds["intensity"].dims == ("channel",)
    ds = wb.calibrate(
        ds, "known", slope_keV=1.0, offset_keV=0.0, counts_per_nmol_s=1.0, live_time_s=60.0
    )
    assert ds.attrs["live_time_s"] == 60.0
    many = tmp_path / "many.dat"
    many.write_text("".join(f"{k} {k % 7} {k % 5} {k % 3}\n" for k in range(50)))
    assert wb.open(many, technique="ndp")["intensity"].dims == ("point", "channel")
    series = tmp_path / "series.csv"
    rows = "".join(f"{k};{k % 7};{k % 5}\n" for k in range(50))
    series.write_text(
        f"# a film\n# time_h;0;0.5\n# live_time_s;3600;1800\nchannel;first;second\n{rows}"
    )
    ds = wb.open(series)
    np.testing.assert_array_equal(ds["time"].values, [0.0, 1800.0])
    np.testing.assert_array_equal(ds["live_time"].values, [3600.0, 1800.0])
    with pytest.raises(CalibrationError, match="live time of its own"):
        wb.calibrate(ds, "known", slope_keV=1.0, offset_keV=0.0, live_time_s=60.0)

"""What detector and beam do to a spectrum: pile-up, escape, incident spectrum, standards."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import workbench as wb
from spectra.errors import CalibrationError
from spectra.techniques import edxrd
from spectra.techniques._edxrd_calibrate import STANDARDS, reflections_of
from spectra.techniques._edxrd_physics import Incident
from spectra.techniques._edxrd_pileup import agreed
from spectra.techniques._edxrd_solve import Datum, solve
from spectra.techniques._edxrd_standards import standard_lines
from tests.shared_data import data


@pytest.fixture(scope="module")
def silicon():
    """Fitted peaks (energy, width, area) of Si 640f by rising dead time."""
    with data("edxrd/p61a_Si640f_peaks_vs_deadtime.csv").open() as file:
        rows = list(csv.DictReader(file))

    def dead(row):
        return float(row["ScreenName"].split("_")[2].replace("p", ".").replace("dt", ""))

    out = []
    for row in sorted(rows, key=dead):
        names = {k.split("_")[0] for k in row if k.startswith("pv") and row[k]}
        peaks = [
            [float(row[f"{n}_{k}"]) for k in ("center", "width", "amplitude")]
            for n in names
            if row.get(f"{n}_center")
        ]
        out.append((dead(row), np.array(peaks)))
    return out


def single(peaks, two_theta=5.981, high=165.0):
    """Lines of silicon that stand alone, with the peak fitted to each."""
    lines = standard_lines("Si", two_theta, 20.0, 170.0)
    for hkl, energy, strength, d in zip(
        lines.hkl, lines.energy, lines.strength, lines.d, strict=True
    ):
        gap = np.sort(np.abs(lines.energy - energy))[1]
        near = peaks[np.argmin(np.abs(peaks[:, 0] - energy))]
        if abs(near[0] - energy) < 0.2 and gap > 1.0 and energy < high:
            yield hkl, energy, strength, d, near


def test_silicon_angle_at_every_dead_time(silicon):
    angles = []
    for _, peaks in silicon:
        rows = [
            Datum("reflection", str(h), d, p[0] / 0.05 - 0.5,
                  p[1] / 0.05 / 2.355 / np.sqrt(p[2] / 0.05), p[1] / 0.05, 0.0)
            for h, _, _, d, p in single(peaks)
        ]  # fmt: skip
        for known in (57.9817, 59.31824, 74.9694):  # tungsten, lead
            p = peaks[np.argmin(np.abs(peaks[:, 0] - known))]
            if abs(p[0] - known) < 0.1:
                error = p[1] / 0.05 / 2.355 / np.sqrt(p[2] / 0.05)
                rows.append(Datum("line", "", known, p[0] / 0.05 - 0.5, error, p[1] / 0.05, 0.0))
        found = solve(rows, (0.025, 0.05), 5.98)
        angles.append((found.values["two_theta"], float(np.sqrt(found.covariance[3, 3]))))
    value, error = np.array(angles).T
    low = np.array([dead for dead, _ in silicon]) < 10.0
    # the 13 reflections by themselves, on the nominal scale, give 5.981 with a spread of 0.0026
    assert np.all(np.abs(value[low] - 5.981) < 0.0035)
    assert np.std(value[low]) < 0.0006
    assert np.all((error > 0.0003) & (error < 0.003))


def test_silicon_intensity_law(silicon):
    scatter = []
    for _, peaks in silicon:
        rows = list(single(peaks))
        e = np.log([r[1] for r in rows])
        with_law = np.log([r[4][2] / r[2] for r in rows])
        without = np.log([r[4][2] for r in rows])
        left = [np.std(v - np.polynomial.Polynomial.fit(e, v, 3)(e)) for v in (with_law, without)]
        scatter.append(left)
    law, plain = np.array(scatter).T
    assert law[0] < 0.13
    assert plain[0] > 0.45
    # at 35 % dead time sums of 220 + 220 on 440 break it
    assert law[-1] > 2.0 * law[0]


def test_absent_and_strong_lines_of_standards():
    flat = {n: standard_lines(n, 6.0, 10.0, 150.0) for n in STANDARDS}
    for name, lines in flat.items():
        hkl, d = reflections_of(STANDARDS[name], 0.55)
        assert np.allclose(lines.d[:4], d[:4], rtol=1e-9), name
        assert np.array_equal(np.sum(np.square(lines.hkl[:4]), axis=1),
                              np.sum(np.square(hkl[:4]), axis=1))  # fmt: skip
    # j |F|^2 of gold: 8 (111) to 6 (200), both with all four atoms in phase
    gold = flat["Au"]
    ratio = gold.strength[0] * gold.energy[0] ** 2 / (gold.strength[1] * gold.energy[1] ** 2)
    assert ratio == pytest.approx(8 / 6 * (66.0 / 62.5) ** 2, rel=0.06)


def test_incident_spectrum_of_a_campaign_comes_back():
    ds = wb.simulate("edxrd", seed=7, settings={"times": 6})
    true = Incident.of(ds.attrs)
    blank = ds.copy(deep=False)
    blank.attrs.pop("incident")
    found = wb.correct(blank, "incident", species="Li6PS5Cl", between={"position": (60, 1000)})
    energy = np.linspace(26.0, 98.0, 40)
    error = np.log(Incident.of(found.attrs)(energy)) - np.log(true(energy))
    error -= error.mean()
    assert np.max(np.abs(error)) < 0.02
    assert found.attrs["incident_scatter"] < 0.05
    # the amounts of all spectra with the function found, against those with the true one
    other = wb.correct(blank, "incident", **edxrd.incident_of(found))
    names = ["Li6PS5Cl", "Li2S"]
    one = wb.fit(ds, wb.propose(ds, names), statistic="poisson")
    two = wb.fit(other, wb.propose(other, names), statistic="poisson")
    a, b = (wb.quantify(f)["amount"].isel(position=-1).values for f in (one, two))
    # the scale of S is free: only ratios of amounts mean something with counts_per_volume of ds
    ratio = (b / a)[..., 0]
    assert np.std(ratio) / np.mean(ratio) < 0.02


def test_missing_phases_are_noticed():
    ds = wb.simulate("edxrd", seed=7, settings={"times": 2})
    with pytest.raises(CalibrationError, match=r"smooth function|clear lines"):
        wb.correct(ds, "incident", species="LiCoO2", between={"position": (60, 1000)})
    with pytest.raises(CalibrationError, match="name the species"):
        wb.correct(ds, "incident")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.05, 0.1])
def test_pile_up_finds_its_amount(share):
    settings = {"pile_up": share, "positions": 6, "times": 2, "brightness": 5}
    ds = wb.simulate("edxrd", seed=3, settings=settings).isel(position=[4, 5])
    out = wb.correct(ds, "pile_up")
    rate = float((ds["intensity"].sum("photon_energy") / ds["live_time"]).mean())
    found, error = (out.attrs[k] * rate * 1e-6 for k in ("pile_up_us", "pile_up_us_stderr"))
    assert abs(found - share) < 3.0 * error + 0.25 * share
    assert bool((out["background"].values.max() > 0.0) == (found > 2.0 * error))
    assert float(out["pile_up_share"].mean()) == pytest.approx(
        found if found > 2 * error else 0.0, abs=0.01
    )


def test_each_spectrum_may_have_its_own_pile_up():
    settings = {"pile_up": 0.05, "positions": 4, "times": 1, "brightness": 20}
    ds = wb.simulate("edxrd", seed=3, settings=settings).isel(position=[2, 3])
    out = wb.correct(ds, "pile_up", per="spectrum")
    assert out["pile_up_time"].dims == ("time", "position")
    assert bool((out["pile_up_time_stderr"] > 0).all())
    assert 0.02 < float(out["pile_up_share"].mean()) < 0.08


def test_escape_of_gold_is_measured_and_little_piles_up():
    ds = wb.open(data("edxrd/aps16bmb_Au-wire_15deg_header15.0146.hpmca"))
    ds = wb.calibrate(ds, "joint", standard="Au", sources=["Au"])
    out = wb.correct(ds, "escape")
    # known: 1.48, 0.84 and 0.75 % of lines where the thick crystal formula says 1.2, 0.7 and 0.6
    assert out.attrs["escape"] == pytest.approx(1.2, abs=0.25)
    assert out.attrs["escape_stderr"] < 0.2
    assert out.attrs["escape_lines"].count("share") >= 5
    piled = wb.correct(out, "pile_up")
    assert float(piled["pile_up_share"]) < 0.01
    flagged = wb.correct(ds, "dead_time")
    assert float(flagged["dead_time"]) == pytest.approx(0.2217, abs=0.001)
    assert int(flagged["dead_time_flag"]) == 1


def test_most_places_must_agree():
    good = np.array([0.05, 0.052, 0.048, 0.051])
    wrong = np.array([0.9, 2.0, 0.4, -0.3])
    value, error = agreed(np.concatenate([good, wrong]), np.full(8, 0.002))
    assert value == pytest.approx(0.05, abs=0.002)
    assert error < 0.003
    assert agreed(np.array([0.1, 0.2]), np.array([0.01, 0.01]))[1] == np.inf

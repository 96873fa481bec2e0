"""Operando 7Li of a lithium cell beside its voltage and current: one clock, one answer.

Li | 1 M LiTFSI in TEGDME | Li at 1 mA/cm2 (0.4 mA, 0.4 cm2): spectra, currents and impedance of one
run, from three instruments' files. While lithium plates as microstructure its signal grows with the
charge; when the cell shorts, the voltage collapses and the growth breaks off. Both are seen by
instruments that know nothing of each other, so that they coincide is a test of the clocks.
"""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest

import workbench as wb
from tests.shared_data import data
from workbench.recipe import read_recipe
from workbench.report import report
from workbench.run import run
from workbench.store import load

SPECTRA = "nmr/operando_7Li_LiLi_TEGDME"
CELL = "echem/operando_LiLi_TEGDME"
TABLES = ("LiLi_TEGDME_01_GCPL_C05.mpr", "LiLi_TEGDME_03_GCPL_C05.txt")

CAMPAIGN = """
version: 1
campaign: Li | TEGDME | Li while plating
zone: Europe/London        # the cycler writes local time, the spectrometer UTC
area_cm2: 0.4
channels:
  - LiLi_TEGDME_01_GCPL_C05.mpr
  - LiLi_TEGDME_03_GCPL_C05.txt
measurements:
  metal:
    file: spectra
    recipe:
      technique: nmr
      correct:
        - {method: noise, between: [-250, -150]}
        - {method: standard, amount_per_area: 0.06}
      select: {chemical_shift: [220, 310]}
      propose: {species: [Li], settings: {positions: each, widths: free}}
      drop: [baseline]
      change:
        Li.mixing: {value: 1.0}
        Li_microstructured.mixing: {value: 1.0}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A campaign's folder, as a user has it: spectra, tables and the settings beside them."""
    place = tmp_path_factory.mktemp("cell")
    shutil.copytree(data(SPECTRA), place / "spectra")
    for name in (*TABLES, "LiLi_TEGDME.mps", "LiLi_TEGDME_03_GCPL_C05_LOOP.txt"):
        shutil.copy(data(f"{CELL}/{name}"), place / name)
    (place / "campaign.yaml").write_text(CAMPAIGN, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def cell(folder):
    """The campaign run from its file: amounts, voltage, current and charge on one clock."""
    (outcome,) = run(folder / "campaign.yaml", folder / "out")
    assert not outcome.error
    return load(folder / "out" / "cell.nc")


def metal(cell):
    return cell["metal_amount"].sel(species="Li").values


def broken_line(x, y):
    """Return where two straight lines that fit ``y(x)`` best meet, and their slopes."""
    best = (np.inf, np.nan, np.nan, np.nan)
    for knee in np.linspace(x[4], x[-5], 400):
        columns = np.stack([np.ones_like(x), x, np.clip(x - knee, 0.0, None)], axis=1)
        found, *_ = np.linalg.lstsq(columns, y, rcond=None)
        rest = float(((y - columns @ found) ** 2).sum())
        if rest < best[0]:
            best = (rest, knee, found[1], found[1] + found[2])
    return best[1:]


def test_clocks(cell):
    # DATE of the first spectrum: 11:32:23 UTC; the cell began 12:40:15 in British summer time,
    # rested 300 s, passed 0.4 mA for 600 s, and then in blocks of an hour from 907.6 s on.
    assert cell.attrs["start"] == "2023-08-11T11:32:23+00:00"
    wait = 7 * 60 + 52
    assert np.isnan(cell["voltage"].values[0])  # the first spectrum is before the cycler's start
    second = float(cell["time"][1])
    expected = (600.0 + second - wait - 907.6) / 3600.0  # h at 1 mA/cm2
    assert float(cell["charge"][1]) == pytest.approx(expected, abs=0.003)
    assert cell["charge"].attrs["units"] == "mAh/cm2"
    np.testing.assert_allclose(cell["current"].values[1:], 1.0, rtol=1e-3)


def test_charge_is_that_of_the_schedule():
    tables = [wb.open(data(f"{CELL}/{name}")) for name in TABLES]
    whole = wb.align(*tables, grid=[0.0, 900.0, 200000.0])["charge"].values
    np.testing.assert_allclose(whole[1], 0.4 * 600 / 3600, rtol=2e-3)  # settings: 10 min
    np.testing.assert_allclose(whole[2] - whole[1], 45 * 0.4, rtol=2e-3)  # 45 passes of 1 h


def test_metal_grows_with_charge_until_the_cell_shorts(cell):
    charge, amount = cell["charge"].values, metal(cell)
    plating = (charge > 4.0) & (charge < 22.0)
    assert np.all(np.diff(amount[plating]) > 0)
    knee, before, after = broken_line(charge[charge > 4.0], amount[charge > 4.0])
    assert before > 0
    assert 0.1 * before < after < 0.5 * before
    assert 21.0 < knee < 25.5


def test_the_knee_is_where_the_voltage_collapses(cell):
    charge, amount = cell["charge"].values, metal(cell)
    late = charge > 4.0
    knee, _, _ = broken_line(charge[late], amount[late])
    table = wb.open(data(f"{CELL}/{TABLES[1]}"))
    loops = np.array([np.median(table.voltage.values[table.loop.values == k]) for k in range(35)])
    # the first hour after the largest fall, once nucleation is over (the first two hours)
    collapse = int(np.argmax(loops[2:-1] - loops[3:])) + 3
    assert collapse == 24
    # pass k begins with k + 1/6 mAh/cm2 on the clock
    assert knee == pytest.approx(collapse + 1 / 6, abs=1.5)
    # the interfacial resistance falls with it
    eis = wb.open(data(f"{CELL}/LiLi_TEGDME_02_GEIS_C05.mpr"))
    low = eis.impedance_re.values[np.isclose(eis.frequency.values, 0.8, rtol=0.01)]
    assert low[collapse] < 0.7 * low[collapse - 4 : collapse - 1].mean()


def test_growth_rests_while_the_cell_is_shorted_and_resumes(cell):
    charge, amount = cell["charge"].values, metal(cell)

    def rate(low, high):
        inside = (charge >= low) & (charge <= high)
        return np.polyfit(charge[inside], amount[inside], 1)[0]

    before, shorted, after = rate(14.0, 22.0), rate(24.2, 28.0), rate(28.3, 35.0)
    assert shorted < 0.3 * before  # the current runs through the short, nothing plates
    assert after > 1.5 * shorted
    voltage = cell["voltage"].values
    assert voltage[(charge > 24.2) & (charge < 28.0)].mean() < 0.065
    assert voltage[charge > 28.3].mean() > 0.075


def test_the_growing_line_is_the_microstructured_one(folder, cell):
    fit = load(folder / "out" / "metal.nc")
    rough = fit["value"].sel(param="Li_microstructured.area").values
    flat = fit["value"].sel(param="Li.area").values
    assert rough[-1] > 10 * rough[1]
    assert flat[-1] < flat[0]
    assert 264 < float(fit["value"].sel(param="Li_microstructured.center")[-1]) < 272
    with (data(SPECTRA) / "author_results.csv").open() as stream:
        rows = list(csv.DictReader(stream))[4:]
    theirs = np.array([float(r["peak1_area"]) + float(r["peak2_area"]) for r in rows])
    ours = metal(cell)[4:] / 0.06
    assert np.corrcoef(ours, theirs)[0, 1] > 0.998
    # theirs end at 220 and 310 ppm, ours count the tails of the Lorentzians too
    assert np.all((ours / theirs > 1.0) & (ours / theirs < 1.2))


def test_python_and_campaign_give_the_same(folder, cell):
    recipe = read_recipe(folder / "campaign.yaml").measurements["metal"].recipe
    ds = wb.open(folder / "spectra")
    ds = wb.correct(ds, "noise", between=(-250, -150))
    ds = wb.correct(ds, "standard", amount_per_area=0.06)
    ds = wb.select(ds, {"chemical_shift": (220, 310)})
    comps = wb.propose(ds, ["Li"], settings={"positions": "each", "widths": "free"})
    comps = comps.drop("baseline").set("Li.mixing", value=1.0)
    comps = comps.set("Li_microstructured.mixing", value=1.0)
    amounts = wb.quantify(wb.fit(ds, comps))
    channels = [wb.open(folder / name) for name in TABLES]
    other = wb.align(
        amounts, *channels, names=["metal", "a", "b"], zone="Europe/London", area_cm2=0.4
    )
    np.testing.assert_allclose(metal(other), metal(cell), rtol=1e-12)
    for name in ("voltage", "current", "charge"):
        np.testing.assert_allclose(other[name], cell[name], rtol=1e-12)
    assert recipe.technique == "nmr"
    page = report(folder / "out", folder / "report.html").read_text(encoding="utf-8")
    assert "All techniques on one clock" in page
    figure = wb.plot.cell(cell)
    assert len(figure.axes) == 3  # amounts, voltage, and current on its own scale

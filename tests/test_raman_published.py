"""Published Raman fits reproduced from the recipe alone, and baselines and masks it needs."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import workbench as wb
from spectra.errors import ModelError
from tests.shared_data import data
from workbench.recipe import read_recipe
from workbench.run import run_recipe

# Starts: rough places as one reads them off the spectrum; all 15 1/cm wide and 300 counts high.
PLACES = (343, 686, 505, 303, 250, 385, 618, 652, 430)

RECIPE = """
version: 1
technique: raman
correct:
  - {method: baseline, algorithm: points, points: [201.14, 954.85]}
  - {method: mask, below_baseline: BELOW}
select:
  raman_shift: [200.0, 957.3]
components:
  items:
BANDS
fit: {statistic: chi2}
"""

BAND = """
    - name: band{k}
      shape: lorentzian
      params:
        area: {{value: 7000.0, min: 0.0}}
        center: {{value: {at}, min: {low}, max: {high}}}
        fwhm: {{value: 15.0, min: 0.1, max: 200.0}}
"""


def fitted(tmp_path, below):
    """Run the published model: (place, height, width) of nine Lorentzians, and their errors.

    What the published fit did (fitspy, CEA-MetroCarac/fitspy, examples/data/spectra_2): the line
    through the data at both ends taken off, no weights, points below a limit left out, nine
    Lorentzians with places free within 20 1/cm, heights at or above zero, widths below 200 1/cm;
    heights stated per cent of the highest point between 670 and 700 1/cm.
    """
    bands = "".join(BAND.format(k=k, at=p, low=p - 20, high=p + 20) for k, p in enumerate(PLACES))
    text = RECIPE.replace("BANDS", bands.strip("\n")).replace("BELOW", repr(float(below)))
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    done = run_recipe(data("raman/fitted_fitspy/spectrum_2_1.txt"), read_recipe(path))
    net = (done.data["intensity"] - done.data["background"]).values
    x = done.data["raman_shift"].values
    unit = net[(x >= 670.0) & (x <= 700.0)].max() / 100.0
    value = done.fit["value"].to_series()
    error = done.fit["stderr"].to_series()
    rows, errors = [], []
    for k in range(len(PLACES)):
        area, center, fwhm = (value[f"band{k}.{p}"] for p in ("area", "center", "fwhm"))
        rows.append((center, 2.0 * area / (np.pi * fwhm) / unit, fwhm))
        errors.append(error[f"band{k}.center"])
    assert set(done.fit["status"].attrs["flag_meanings"].split()) > {"ok"}
    assert int(done.fit["status"]) == 0
    return np.array(rows), np.array(errors), unit


def test_the_fitspy_table_of_nine_bands(tmp_path):
    # The table is the fit with the points below the line left out (91 of 486).
    rows, errors, _ = fitted(tmp_path, 0.0)
    with data("raman/fitted_fitspy/spectrum_2_1.csv").open() as file:
        table = list(csv.DictReader(file, delimiter=";"))
    published = np.array([[float(r[k]) for k in ("x0", "ampli", "fwhm")] for r in table])
    assert np.all(np.abs(rows[:, 0] - published[:, 0]) < 0.02 * errors + 1e-3)
    np.testing.assert_allclose(rows[:, 1], published[:, 1], rtol=1e-3)
    np.testing.assert_allclose(rows[:, 2], published[:, 2], rtol=1e-3)


def test_the_fitspy_model_file(tmp_path):
    # model.json holds another fit of the same data: points below the noise level left out, 3.615
    # on its scale (half the median zigzag of the net spectrum).
    _, _, unit = fitted(tmp_path, 0.0)
    rows, _, _ = fitted(tmp_path, 3.6152651901989312 * unit)
    models = json.loads(data("raman/fitted_fitspy/model.json").read_text())["0"]["peak_models"]
    for row, model in zip(rows, models.values(), strict=True):
        stored = model["Lorentzian"]
        assert row[0] == pytest.approx(stored["x0"]["value"], abs=0.01)
        assert row[1] == pytest.approx(stored["ampli"]["value"], rel=1e-3)
        assert row[2] == pytest.approx(stored["fwhm"]["value"], rel=1e-3)


def test_all_points_change_the_answer_within_its_errors(tmp_path):
    # Nothing left out is what we recommend: weak bands next to the line come out weaker.
    rows, errors, _ = fitted(tmp_path, -1e9)
    table, _, _ = fitted(tmp_path, 0.0)
    assert np.all(np.abs(rows[:, 0] - table[:, 0]) < errors)
    np.testing.assert_allclose(rows[:4, 1], table[:4, 1], rtol=0.02)


def test_a_baseline_through_points_and_any_of_pybaselines():
    ds = wb.simulate("raman", settings={"size": 2}, seed=1)
    done = wb.correct(ds, "baseline", algorithm="points", points=[200.0, 350.0, 600.0])
    x = ds["raman_shift"].values
    at = [int(np.argmin(np.abs(x - p))) for p in (200.0, 350.0, 600.0)]
    ground = done["background"].values
    np.testing.assert_allclose(ground[..., at], ds["intensity"].values[..., at])
    slope = np.diff(ground[..., : at[0] + 1], axis=-1)
    np.testing.assert_allclose(slope, np.broadcast_to(slope[..., :1], slope.shape), rtol=1e-9)
    poly = wb.correct(ds, "baseline", algorithm="modpoly", knobs={"poly_order": 3})
    assert poly["background"].attrs["kind"] == "modpoly"
    assert '"algorithm": "modpoly"' in poly.attrs["history"]
    assert '"method": "baseline"' in poly.attrs["history"]
    with pytest.raises(ModelError, match="two points"):
        wb.correct(ds, "baseline", algorithm="points", points=[200.0])
    with pytest.raises(ModelError, match="pybaselines has no"):
        wb.correct(ds, "baseline", algorithm="magic")


def test_masked_ranges_do_not_count():
    ds = wb.simulate("raman", settings={"size": 3}, seed=1)
    spoiled = ds.copy(deep=True)
    inside = (ds["raman_shift"].values > 480.0) & (ds["raman_shift"].values < 520.0)
    spoiled["intensity"][..., inside] += 5000
    done = wb.correct(spoiled, "mask", ranges=[(480.0, 520.0)])
    assert done["intensity"].equals(spoiled["intensity"])
    assert int((~done["valid"]).sum()) == 9 * inside.sum()
    comps = wb.propose(done, ["Li6PS5Cl"])
    masked = wb.quantify(wb.fit(done, comps, statistic="poisson"))
    other = wb.correct(ds, "mask", ranges=[(480.0, 520.0)])
    clean = wb.quantify(wb.fit(other, comps, statistic="poisson"))
    np.testing.assert_allclose(masked["amount"], clean["amount"])
    # A baseline bridges what is masked.
    ground = wb.correct(done, "baseline")["background"]
    assert float(ground[..., inside].max()) < float(ds["intensity"].max())
    with pytest.raises(ModelError, match="leaves nothing"):
        wb.correct(ds, "mask", ranges=[(0.0, 5000.0)])
    with pytest.raises(ModelError, match="no static baseline"):
        wb.correct(ds, "mask", below_baseline=0.0)

"""Depth profiles without a person: recipe, command line, campaign, lithium against charge."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

import workbench as wb
from spectra.techniques.ndp import sensitivity_of
from tests.shared_data import data
from workbench.cli import main
from workbench.depth.step import lithium_amounts
from workbench.errors import OrderError, RecipeError
from workbench.recipe import recipe_from

UM = np.array([0.05, 0.15, 0.3, 0.5, 0.75, 1.0, 1.3, 1.6, 1.9, 2.2, 2.5, 2.8])
NMOL = UM * 263.5 * 1e3 / 25.9378


def settings():
    return {
        "technique": "ndp",
        "calibrate": {
            "method": "known",
            "slope_keV": 0.7144,
            "offset_keV": -12.45,
            "counts_per_nmol_s": sensitivity_of(40 / 3600) * 3600,
        },
        "select": {"particle_energy": [1900.0, 2900.0]},
        "depth": {
            "layers": [
                {
                    "name": "window",
                    "formula": "C22H10N2O5",
                    "density_g_cm3": 1.42,
                    "thickness_nm": 7500.0,
                },
                {
                    "name": "collector",
                    "formula": "Cu",
                    "density_g_cm3": 8.96,
                    "thickness_nm": 2000.0,
                },
                {
                    "name": "film",
                    "formula": "LiF",
                    "density_g_cm3": 2.635,
                    "thickness_nm": 3000.0,
                    "species": "LiF",
                },
            ],
            "detector": {"fwhm_keV": 18.0, "dead_ug_cm2": 11.65, "cos_min": 0.985},
            "ions": "tritons",
            "shift_keV": "fit",
            "kernels": False,
        },
    }


def series():
    """Twelve spectra; the file has no live time, so the sensitivity is per spectrum of 1 s."""
    ds = wb.open(data("ndp/ndp_syn_timeseries_Kapton7p5_Cu2_LiF.csv"))
    ds.attrs["live_time_s"] = 1.0
    return ds


@pytest.fixture
def folder(tmp_path):
    wb.save(series(), tmp_path / "series.nc")
    return tmp_path


def test_recipe_inverts_a_series_and_comes_back_from_the_result(folder, capsys):
    path = folder
    (path / "r.yaml").write_text(yaml.safe_dump(settings()))
    assert main(["fit", str(path / "series.nc"), "--recipe", str(path / "r.yaml"),
                 "-o", str(path / "out.nc")]) == 0  # fmt: skip
    assert "nmol/cm2" in capsys.readouterr().out
    found = wb.load(path / "out.nc")
    assert found.attrs["convention"] == "depth-1"
    np.testing.assert_allclose(found["total"].values[4:], NMOL[4:], rtol=0.015)
    amounts = wb.load(path / "out.nc", "amounts")
    np.testing.assert_allclose(amounts["amount"].sel(species="LiF"), found["total"])
    np.testing.assert_allclose(amounts["stderr"].sel(species="LiF"), found["total_stderr"])
    # The recipe of the result, and that read from the steps alone, give the same numbers.
    again = wb.recipe(found)
    assert again.depth.shift_keV == "fit"
    found.attrs.pop("recipe")
    assert wb.recipe(found).depth == again.depth


def test_campaign_balances_lithium_with_charge(folder):
    path = folder
    (path / "campaign.yaml").write_text(
        yaml.safe_dump(
            {"campaign": "film", "measurements": {"ndp": {"file": "series.nc",
                                                          "recipe": settings()}}}
        )
    )  # fmt: skip
    assert main(["run", str(path / "campaign.yaml"), "-o", str(path / "out")]) == 0
    summary = json.loads((path / "out" / "summary.json").read_text())
    assert summary["measurements"][0]["fitted"] == 12
    assert not summary["measurements"][0]["error"]
    profile = wb.load(path / "out" / "ndp.nc")
    assert profile["total_mAh"].attrs["units"] == "mAh/cm2"
    cell = wb.load(path / "out" / "cell.nc")
    # Charge that plates just this lithium: the passed charge between two spectra.
    time = cell["time"].values
    step = np.diff(NMOL) * 96485.33212 * 1e-6 / np.diff(time)
    current = np.zeros(12)
    for i in range(11):  # trapezoids that hold each step's charge
        current[i + 1] = 2 * step[i] - current[i]
    cell["current"] = ("time", current, {"units": "mA/cm2"})
    checked = wb.balance(cell, "charge")
    np.testing.assert_allclose(checked["lithium_passed"], NMOL - NMOL[0], rtol=1e-6)
    assert np.abs(checked["lithium_pull"]).max() < 3.0
    np.testing.assert_allclose(
        checked["charge_mAh"], (NMOL - NMOL[0]) * 1e-9 * 96485.33212 / 3.6, rtol=1e-6
    )
    # Charge that went elsewhere is seen.
    cell["current"] = cell["current"] * 1.25
    cell["current"].attrs["units"] = "mA/cm2"
    assert float(wb.balance(cell, "charge")["lithium_pull"].min()) < -5.0
    with pytest.raises(OrderError, match="current"):
        wb.balance(cell.drop_vars("current"), "charge")


def test_lithium_of_layers_carries_the_errors_of_the_total():
    ds = series().isel(time=[6, 11])
    recipe = recipe_from(settings())
    from workbench.depth.step import profiled

    step = recipe.calibrate[0]
    ds = wb.select(
        wb.calibrate(ds, step.method, **step.settings), {"particle_energy": (1900.0, 2900.0)}
    )
    found = profiled(ds, recipe.depth.model_copy(update={"shift_keV": 4.0}))
    amounts = lithium_amounts(found)
    total = amounts["covar"].sum(("species", "species_2"))
    np.testing.assert_allclose(np.sqrt(total), found["total_stderr"], rtol=1e-6)


def test_a_profile_recipe_refuses_what_it_cannot_use():
    with pytest.raises(RecipeError, match="made from ndp"):
        recipe_from({"technique": "xps", "depth": settings()["depth"]})
    with pytest.raises(RecipeError, match="takes no propose"):
        recipe_from({**settings(), "propose": {"species": ["LiF"]}})
    bad = settings()
    bad["depth"]["cell"] = 3
    with pytest.raises(RecipeError, match="cells"):
        recipe_from(bad)


@pytest.mark.parametrize("method", ["tikhonov", "naive"])
def test_the_file_as_it_is_from_the_command_line_to_a_report(tmp_path, capsys, method):
    """Live time in the recipe, lithium in all units on the terminal, pictures in the report."""
    told = settings()
    told["calibrate"] |= {"counts_per_nmol_s": sensitivity_of(40 / 3600), "live_time_s": 3600.0}
    told["depth"] |= {"method": method, "shift_keV": 5.0, "kernels": True}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(told))
    file = str(data("ndp/ndp_syn_timeseries_Kapton7p5_Cu2_LiF.csv"))
    out = tmp_path / "out.nc"
    assert main(["fit", file, "--recipe", str(tmp_path / "r.yaml"), "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert "mAh/cm2" in said.out
    assert "ug/cm2" in said.out
    assert said.err.strip() in ("", f"written: {out}")
    assert ("channel-by-channel" in said.out) == (method == "naive")
    assert main(["report", str(out), "-o", str(tmp_path / "out.html")]) == 0
    page = (tmp_path / "out.html").read_text()
    assert page.count("data:image/png") == (3 if method == "tikhonov" else 2)
    with pytest.raises(OrderError, match="time"):
        wb.plot.depth.profile(wb.load(out))

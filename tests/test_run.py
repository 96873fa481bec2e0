"""Campaigns: results on disk, resume, one bad file does not stop the others."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

import workbench as wb
from workbench.errors import RecipeError
from workbench.recipe import recipe_from

XPS = {"technique": "xps", "propose": {"species": ["Li6PS5Cl", "Li2S"]}, "fit": {"engine": "numpy"}}
P2P = {**XPS, "propose": {"species": ["Li6PS5Cl", "Li3P"]}}


@pytest.fixture
def campaign(tmp_path):
    """Two small measurements and a campaign file beside them."""
    history = wb.plating().isel(time=slice(10, 16))
    for name, region in (("s2p", "S 2p"), ("p2p", "P 2p")):
        wb.save(
            wb.simulate("xps", history, settings={"region": region}, seed=1),
            tmp_path / f"{name}.nc",
        )
    data = {
        "campaign": "small",
        "measurements": {
            "s2p": {"file": "s2p.nc", "recipe": XPS},
            "p2p": {"file": "p2p.nc", "recipe": P2P},
        },
        "balance": "Li6PS5Cl + 8 Li -> 5 Li2S + Li3P + LiCl",
    }
    path = tmp_path / "campaign.yaml"
    path.write_text(json.dumps(data))
    return path


def test_a_campaign_writes_fits_cell_balance_and_summary(campaign, tmp_path):
    out = tmp_path / "out"
    outcomes = wb.run(campaign, out)
    assert [(o.name, o.fitted, o.error) for o in outcomes] == [("s2p", 6, ""), ("p2p", 6, "")]
    fit = wb.load(out / "s2p.nc")
    assert fit.attrs["convention"] == "fit-1"
    assert json.loads(fit.attrs["source"])[0]["file"] == "s2p.nc"
    assert len(json.loads(fit.attrs["source"])[0]["sha256"]) == 64
    assert fit.attrs["library_hash"]
    assert wb.load(out / "s2p.nc", "amounts")["amount"].dims == ("time", "species")
    cell = wb.load(out / "cell.nc")
    assert set(cell["species"].values) == {"Li6PS5Cl", "Li2S", "Li3P"}
    assert wb.load(out / "balance.nc").attrs["reaction"].startswith("Li6PS5Cl")
    assert json.loads((out / "summary.json").read_text())["campaign"] == "small"


def test_resume_keeps_what_is_unchanged_and_redoes_what_is_not(campaign, tmp_path):
    out = tmp_path / "out"
    wb.run(campaign, out)
    before = (out / "s2p.nc").read_bytes()
    assert [o.resumed for o in wb.run(campaign, out, resume=True)] == [True, True]
    data = yaml.safe_load(campaign.read_text())
    data["measurements"]["p2p"]["recipe"]["propose"]["settings"] = {"shift_range": 0.7}
    campaign.write_text(json.dumps(data))
    assert [o.resumed for o in wb.run(campaign, out, resume=True)] == [True, False]
    assert (out / "s2p.nc").read_bytes() == before
    half = (out / "s2p.nc").read_bytes()[:-3000]
    (out / "s2p.nc").write_bytes(half)
    assert [o.resumed for o in wb.run(campaign, out, resume=True)] == [False, True]


def test_numbers_do_not_depend_on_the_number_of_processes(campaign, tmp_path):
    wb.run(campaign, tmp_path / "one")
    wb.run(campaign, tmp_path / "two", jobs=2)
    for name in ("s2p", "p2p"):
        a, b = (wb.load(tmp_path / d / f"{name}.nc")["value"] for d in ("one", "two"))
        np.testing.assert_array_equal(a, b)


def test_one_bad_file_is_an_outcome_and_the_rest_goes_on(campaign, tmp_path):
    broken = (tmp_path / "s2p.nc").read_bytes()[:3000]
    (tmp_path / "s2p.nc").write_bytes(broken)
    outcomes = wb.run(campaign, tmp_path / "out")
    assert "s2p.nc" in outcomes[0].error
    assert outcomes[1].error == ""
    assert not (tmp_path / "out" / "s2p.nc").exists()
    assert (tmp_path / "out" / "p2p.nc").exists()


def test_a_missing_file_is_named_before_any_work(campaign, tmp_path):
    (tmp_path / "p2p.nc").unlink()
    with pytest.raises(RecipeError, match=r"campaign\.yaml: p2p: no file 'p2p\.nc'"):
        wb.run(campaign, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_out_of_the_folder_is_refused(campaign, tmp_path):
    secret = tmp_path.parent / "elsewhere.nc"
    secret.write_bytes((tmp_path / "s2p.nc").read_bytes())
    (tmp_path / "s2p.nc").unlink()
    (tmp_path / "s2p.nc").symlink_to(secret)
    with pytest.raises(RecipeError, match="leads out of the campaign's folder"):
        wb.run(campaign, tmp_path / "out")


def test_a_recipe_for_another_technique_is_refused(tmp_path):
    ds = wb.simulate("nmr", wb.plating().isel(time=slice(0, 2)), settings={"nucleus": "31P"})
    path = wb.save(ds, tmp_path / "a.nc")
    with pytest.raises(RecipeError, match=r"a\.nc: holds nmr, the recipe is for xps"):
        wb.run_recipe(path, recipe_from(XPS))

"""Recipes: YAML in and out, unknown keys refused by name, no code, read back from results."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from references.errors import InterphaseError
from spectra import Component, Components
from workbench.errors import RecipeError
from workbench.recipe import Campaign, Recipe, edited, inside, read_recipe, recipe_from

GOOD = {
    "version": 1,
    "technique": "xps",
    "open": {"region": "S 2p"},
    "calibrate": [{"method": "shift", "by": 0.3}],
    "correct": [{"method": "linear"}],
    "select": {"binding_energy": [157, 168]},
    "propose": {"species": ["Li6PS5Cl", "Li2S"], "settings": {"shift_range": 0.5}},
    "change": {"Li2S.area": {"min": 0.0}},
    "fit": {"engine": "numpy", "statistic": "poisson"},
}


def written(tmp_path, data, name="r.yaml"):
    path = tmp_path / name
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data), encoding="utf-8")
    return path


def test_round_trip(tmp_path):
    recipe = recipe_from(GOOD)
    path = tmp_path / "r.yaml"
    recipe.to_yaml(path)
    assert read_recipe(path) == recipe
    assert yaml.safe_load(path.read_text())["calibrate"] == [{"method": "shift", "by": 0.3}]


finite = st.floats(-1e3, 1e3)


@settings(max_examples=40, deadline=None)
@given(
    by=finite,
    low=st.floats(100, 150),
    high=st.floats(151, 200),
    species=st.lists(st.sampled_from(["Li2S", "Li3P", "LiCl"]), min_size=1, unique=True),
    engine=st.sampled_from(["batch", "numpy", "lmfit"]),
    value=finite,
)
def test_any_recipe_survives_yaml(by, low, high, species, engine, value):
    recipe = recipe_from(
        {
            "technique": "xps",
            "calibrate": {"method": "shift", "by": by},
            "select": {"binding_energy": [low, high]},
            "propose": {"species": species},
            "change": {"a.b": {"value": value, "vary": False}},
            "fit": {"engine": engine},
        }
    )
    assert recipe_from(yaml.safe_load(recipe.to_yaml())) == recipe


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"calibrat": []}, "calibrat: unknown key; did you mean 'calibrate'"),
        ({"fit": {"engin": "batch"}}, "fit.engin: unknown key; did you mean 'engine'"),
        ({"fit": {"engine": "fast"}}, "fit.engine"),
        ({"technique": "xsp"}, "did you mean 'xps'"),
        ({"calibrate": [{"method": "shft"}]}, "did you mean 'shift'"),
        ({"calibrate": [{"method": "shift", "bye": 1}]}, "did you mean 'by'"),
        ({"calibrate": [{"method": "shift", "by": "much"}]}, "by: Input should be a valid number"),
        ({"propose": {"species": ["Li2S"], "settings": {"shif": 1}}}, "unknown setting 'shif'"),
        ({"propose": None}, "nothing to fit"),
        ({"version": 2}, "version"),
        ({"select": {"binding_energy": [1]}}, "select"),
        ({"change": {"Li2S.area": {"minimum": 0}}}, "unknown key; did you mean 'min'"),
    ],
)
def test_mistakes_name_file_key_and_what_is_allowed(tmp_path, change, says):
    with pytest.raises(RecipeError) as caught:
        read_recipe(written(tmp_path, {**GOOD, **change}))
    assert says in str(caught.value)
    assert str(caught.value).startswith("r.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['true']",
        "a: &x [1]\nb: *x",
        "just text",
        "a: [",
        "- 1",
        "\x00",
        "[" * 3000,
    ],
)
def test_what_is_no_recipe_is_refused_in_one_line(tmp_path, text):
    with pytest.raises(RecipeError) as caught:
        read_recipe(written(tmp_path, text))
    assert str(caught.value).startswith("r.yaml")


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="not UTF-8"):
        read_recipe(path)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.nc", "a/../../x", "a\\..\\x", ""])
def test_a_campaign_cannot_leave_its_folder(tmp_path, name):
    with pytest.raises(ValueError, match="leads out"):
        inside(name)
    data = {"campaign": "x", "measurements": {"a": {"file": name, "recipe": GOOD}}}
    with pytest.raises(RecipeError, match="leads out"):
        read_recipe(written(tmp_path, data))


def test_campaign_round_trip(tmp_path):
    data = {
        "campaign": "cell 7",
        "measurements": {"s2p": {"file": "a.nc", "recipe": GOOD, "start_s": 5.0}},
        "balance": "Li2S -> 2 Li + S",
    }
    campaign = read_recipe(written(tmp_path, data))
    assert isinstance(campaign, Campaign)
    campaign.to_yaml(tmp_path / "b.yaml")
    assert read_recipe(tmp_path / "b.yaml") == campaign


def test_the_recipe_of_a_fit_repeats_it(tmp_path):
    ds = wb.simulate("xps", settings={"region": "S 2p"}, seed=3).isel(time=slice(0, 4))
    path = wb.save(ds, tmp_path / "s2p.nc")
    ds = wb.select(wb.calibrate(wb.open(path), "shift", by=0.1), {"binding_energy": (157, 168)})
    comps = wb.propose(ds, ["Li6PS5Cl", "Li2S"]).set("Li2S.area", min=0.0)
    fit = wb.fit(ds, comps, engine="numpy", statistic="poisson")
    recipe = wb.recipe(fit)
    assert recipe.select == {"binding_energy": (157.0, 168.0)}
    again = wb.run_recipe(path, recipe_from(yaml.safe_load(recipe.to_yaml()))).fit
    assert (again["value"] == fit["value"]).all()
    assert (again["stderr"] == fit["stderr"]).all()


PEAK = """
technique: xps
components:
  background: active_shirley
  items:
  - name: silver
    shape: pseudo_voigt
    doublet: {splitting: 6.0, ratio: 0.6666666666666666}
    params: {area: {value: 1000, min: 0}, center: 368.0, fwhm: {value: 1.0, min: 0.2}}
"""


def test_a_doublet_and_a_step_under_it_are_said_in_two_words(tmp_path):
    recipe = read_recipe(written(tmp_path, PEAK))
    comps = edited(Components(), recipe)
    first, second = comps["silver"].lines
    assert second.position - first.position == 6.0
    assert second.weight / first.weight == pytest.approx(2.0 / 3.0)
    assert "shirley" in " ".join(c.shape for c in comps)
    assert comps.params["shirley_scale"].free
    again = read_recipe(written(tmp_path, recipe.to_yaml(), "again.yaml"))
    assert edited(Components(), again) == comps


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("active_shirley", "active_shirly", "did you mean 'active_shirley'"),
        ("background: active_shirley", "background: {method: active_shirley, scale: -1}", "scale"),
        ("{splitting: 6.0, ", "{splitting: 6.0, ratoi: 1, ", "ratoi"),
        ("    params:", "    lines: [{position: 0, weight: 1}]\n    params:", "not both"),
        ("technique: xps", "technique: nmr", "there is none"),
        (PEAK[PEAK.index("  background") :], "  stored: false\n", "give items, or stored"),
    ],
)
def test_mistakes_in_components_of_ones_own_are_named(tmp_path, was, becomes, says):
    assert was in PEAK
    with pytest.raises(RecipeError) as caught:
        read_recipe(written(tmp_path, PEAK.replace(was, becomes)))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_stored_models_are_of_techniques_that_have_them(tmp_path):
    text = "technique: raman\ncomponents: {stored: true}\n"
    with pytest.raises(RecipeError, match="raman files hold no models"):
        read_recipe(written(tmp_path, text))
    wb.save(wb.simulate("xps", settings={"region": "S 2p"}).isel(time=[0]), tmp_path / "s.nc")
    stored = read_recipe(written(tmp_path, text.replace("raman", "xps")))
    with pytest.raises(InterphaseError, match="no CasaXPS"):
        wb.run_recipe(tmp_path / "s.nc", stored)
    reported = text.replace("raman", "xps\ncorrect: reported")
    with pytest.raises(InterphaseError, match="no background of another program"):
        wb.run_recipe(tmp_path / "s.nc", read_recipe(written(tmp_path, reported)))


def test_own_components_drops_and_changes():
    own = {"items": [{"name": "mine", "shape": "gaussian",
                      "params": {"area": 1.0, "center": 160.0, "fwhm": 1.0}}]}  # fmt: skip
    recipe = Recipe.model_validate(
        {"technique": "xps", "components": own, "drop": ["a"], "change": {"mine.fwhm": {"max": 2}}}
    )
    given = Components([Component(name="a", params={"area": 1, "center": 1, "fwhm": 1})])
    result = edited(given, recipe)
    assert [c.name for c in result] == ["mine"]
    assert result["mine"].params["fwhm"].max == 2

"""The verb fit and its result: what a FitResult holds, says and refuses; inspect."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spectra.component import Component, Components, Param
from spectra.convention import spectrum
from tests.engine_cubes import FLAT, components, cube
from workbench import result
from workbench.errors import FitError
from workbench.fit import fit
from workbench.inspect import inspect


@pytest.fixture(scope="module")
def pair():
    ds, _ = cube(2, 3, points=200)
    return ds, fit(ds, components(), engine="numpy")


def test_result_says_everything_about_itself(pair):
    _, got = pair
    assert got.attrs["convention"] == "fit-1"
    assert got.attrs["technique"] == "xps"
    assert got.attrs["engine"] == "numpy"
    assert got.attrs["weights"] == "counts"
    assert got.attrs["scale_covar"] == "false"
    assert json.loads(got.attrs["fitted_range"]) == [158.0, 173.0]
    assert result.components_of(got) == components()
    assert got["value"].dims == ("y", "x", "param")
    assert got["covar"].dims == ("y", "x", "param", "param_2")
    assert str(got["param_unit"].sel(param="A.center").values) == "eV"
    assert str(got["param_unit"].sel(param="A.area").values) == "counts eV"
    meanings = got["flag"].attrs["flag_meanings"].split()
    assert meanings[int(got["flag"].sel(param="A2.area")[0, 0])] == "tied"
    assert meanings[int(got["flag"].sel(param="bg.x0")[0, 0])] == "fixed"
    assert "fit" in got.attrs["history"]
    assert result.all_ok(got)
    assert result.status_counts(got) == {"ok": 6}


def test_input_is_not_changed(pair):
    ds, _ = pair
    before = ds.copy(deep=True)
    fit(ds, components(), engine="numpy")
    assert ds.identical(before)


def test_no_outer_dims_and_no_covariance():
    ds, _ = cube(1, 1, points=200)
    got = fit(ds.isel(y=0, x=0, drop=True), components(), engine="numpy", covariance=False)
    assert got["value"].dims == ("param",)
    assert "covar" not in got
    assert got["status"].shape == ()


def test_inspect_is_lmfits_own_result_in_the_same_minimum(pair):
    ds, got = pair
    live = inspect(ds, got, x=1, y=1)
    here = got.sel(x=1, y=1)
    for name in FLAT:
        own = live.params[name.replace(".", "_")]
        error = float(here["stderr"].sel(param=name))
        assert abs(own.value - float(here["value"].sel(param=name))) < 0.01 * error
        assert own.stderr == pytest.approx(error, rel=0.01)
    assert live.redchi == pytest.approx(float(here["redchi"]), rel=1e-6)
    assert set(live.eval_components()) == {"A_", "A2_", "B_", "C_", "bg_"}
    assert "A_center" in live.fit_report()
    again = inspect(ds, got, sel={"x": 1, "y": 1})
    assert again.chisqr == live.chisqr


def test_inspect_needs_to_know_which(pair):
    ds, got = pair
    with pytest.raises(FitError, match="say which"):
        inspect(ds, got)
    with pytest.raises(FitError, match="no dimension 'time'"):
        inspect(ds, got, time=3.0)


def test_settings_that_do_not_exist_are_named(pair):
    ds, got = pair
    with pytest.raises(FitError, match="engine 'gpu'"):
        fit(ds, components(), engine="gpu")
    with pytest.raises(FitError, match="statistic 'l1'"):
        fit(ds, components(), statistic="l1")
    with pytest.raises(FitError, match="convention"):
        result.check(ds)
    with pytest.raises(FitError, match="no redchi"):
        result.check(got.drop_vars("redchi"))


def test_users_shape_without_a_compiler_is_served_by_numpy():
    import workbench.engine
    from spectra.shapes import SHAPES, shape

    workbench.engine.warm()

    @shape("area", "center", linear=("area",))
    def odd(x, area, center):
        table = {"width": 2.0}
        u = (x - center) / table["width"]
        value = np.exp(-u * u)
        return area * value, (value, area * value * 2 * u / table["width"])

    try:
        x = np.linspace(-5, 5, 60)
        ds = spectrum(
            np.rint(90 * np.exp(-(((x - 0.3) / 2) ** 2))),
            x,
            technique="xps",
            axis_name="binding_energy",
        )
        params = {"area": Param(value=50.0), "center": Param(value=0.0)}
        got = fit(ds, Components([Component(name="o", shape="odd", params=params)]))
        assert float(got["value"].sel(param="o.center")) == pytest.approx(0.3, abs=0.02)
        assert got.attrs["engine"] in ("numpy", "batch")
        if got.attrs["engine"] == "numpy":
            assert "odd" in got.attrs["engine_note"]
    finally:
        del SHAPES["odd"]

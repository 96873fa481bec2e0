"""What must not change a result (chunks, threads, order, dtype), and what must (masks, gaps)."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import workbench.engine
from spectra.component import Component, Components, Curve, Param
from spectra.convention import spectrum
from tests.engine_cubes import components, cube
from workbench.errors import FitError
from workbench.fit import fit
from workbench.result import status_counts


@pytest.fixture(scope="module", autouse=True)
def _warm():
    workbench.engine.warm()


@pytest.fixture(scope="module")
def small():
    ds, _ = cube(9, 14, points=200)
    return ds, fit(ds, components())


def same_bits(a: xr.Dataset, b: xr.Dataset) -> bool:
    return all(np.array_equal(a[k].values, b[k].values, equal_nan=True) for k in a.data_vars)


@pytest.mark.parametrize("threads", ["1", "2", "3"])
def test_threads(small, threads, monkeypatch):
    ds, whole = small
    monkeypatch.setenv("INTERPHASE_THREADS", threads)
    assert same_bits(fit(ds, components()), whole)


@pytest.mark.parametrize("chunks", [{"y": 1, "x": 14}, {"y": 5, "x": 3}, {"y": 9, "x": 14}])
@pytest.mark.parametrize("engine", ["batch", "numpy"])
def test_chunks(small, chunks, engine):
    ds, _ = small
    lazy = fit(ds.chunk(chunks), components(), engine=engine)
    assert hasattr(lazy["value"].data, "dask")
    assert same_bits(lazy.compute(), fit(ds, components(), engine=engine))


def test_order(small):
    ds, whole = small
    rng = np.random.default_rng(0)
    mixed = ds.isel(y=rng.permutation(9), x=rng.permutation(14))
    got = fit(mixed, components())
    assert np.array_equal(got["x"].values, mixed["x"].values)
    assert same_bits(got.sortby(["y", "x"]), whole)


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
def test_native_dtype(small, dtype):
    ds, whole = small
    assert same_bits(fit(ds.assign(intensity=ds["intensity"].astype(dtype)), components()), whole)


@pytest.mark.parametrize("engine", ["batch", "numpy", "lmfit"])
def test_masks_and_missing_points_do_not_count(engine):
    ds, _ = cube(1, 2, points=200)
    spoilt = ds.copy()
    y = ds["intensity"].values.astype(float)
    y[0, 0, 40:50] = np.nan
    y[0, 1, 60:70] = 1e6
    valid = np.ones(y.shape, bool)
    valid[0, 1, 60:70] = False
    spoilt["intensity"] = (ds["intensity"].dims, y, ds["intensity"].attrs)
    spoilt["valid"] = (ds["intensity"].dims, valid, {"flag_values": [0, 1]})
    got = fit(spoilt, components(), engine=engine)
    assert got["ndata"].values.tolist() == [[190, 190]]
    assert np.all(got["redchi"].values < 1.5)


def test_no_data_and_too_few_points_are_named():
    ds, _ = cube(1, 3, points=200)
    y = ds["intensity"].values.astype(float)
    y[0, 0] = np.nan
    y[0, 1, 9:] = np.nan
    ds["intensity"] = (ds["intensity"].dims, y, ds["intensity"].attrs)
    for engine in ("batch", "numpy", "lmfit"):
        got = fit(ds, components(), engine=engine)
        assert status_counts(got) == {"ok": 1, "no_data": 1, "too_few_points": 1}
        assert np.all(np.isnan(got["value"].values[0, :2]))
        assert np.all(np.isfinite(got["value"].values[0, 2]))


def test_cancel_and_progress():
    ds, _ = cube(4, 40, points=100)
    seen = []
    fit(ds, components(), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (160, 160)
    with pytest.raises(FitError, match="cancelled"):
        fit(ds, components(), progress=lambda done, total: True)


@pytest.mark.parametrize("engine", ["batch", "numpy", "lmfit"])
def test_static_background_is_added_to_the_model(engine):
    x = np.linspace(-5.0, 5.0, 101)
    ground = 50.0 + 3.0 * x
    rng = np.random.default_rng(1)
    y = rng.poisson(ground + 800 * np.exp(-4 * np.log(2) * x**2) * np.sqrt(4 * np.log(2) / np.pi))
    ds = spectrum(y, x, technique="xps", axis_name="binding_energy")
    ds["background"] = (ds["intensity"].dims, ground, {"units": "counts"})
    comps = Components([Component(name="g", shape="gaussian", params=peak(600.0, 0.2, 1.3))])
    got = fit(ds, comps, engine=engine)
    pull = (got["value"].sel(param="g.area") - 800) / got["stderr"].sel(param="g.area")
    assert abs(float(pull)) < 3
    assert float(got["redchi"]) < 1.5


def peak(area, center, fwhm):
    return {
        "area": Param(value=area, min=0.0),
        "center": Param(value=center),
        "fwhm": Param(value=fwhm, min=0.1),
    }


@pytest.mark.parametrize("moving", [False, True])
def test_templates_and_expressions_agree_across_engines(moving):
    x = np.linspace(0.0, 20.0, 300)
    bump = np.exp(-(((x - 9) / 2.0) ** 2)) + 0.4 * np.exp(-(((x - 13) / 1.0) ** 2))
    rng = np.random.default_rng(2)
    truth = 300 * np.interp(x - 0.3 * moving, x, bump)
    y = rng.poisson(20 + truth + 200 * np.exp(-4 * np.log(2) * ((x - 5) / 1.5) ** 2), (2, 300))
    ds = spectrum(y, x, technique="xps", axis_name="binding_energy", outer={"time": [0.0, 1.0]})
    comps = Components(
        [
            Component(
                name="t",
                shape="template",
                role="template",
                params={"area": Param(value=200.0, min=0), "shift": Param(vary=moving)},
                curve=Curve(x=tuple(x), y=tuple(bump)),
            ),
            Component(name="g", shape="gaussian", params=peak(250.0, 5.1, 1.4)),
            Component(
                name="h",
                shape="gaussian",
                params={
                    "area": Param(expr="0.1 * g.area * exp(-k / 2)"),
                    "center": Param(expr="sqrt(g.center ** 2) + 8 * max(k, 0.1)"),
                    "fwhm": Param(expr="g.fwhm"),
                },
            ),
            Component(
                name="b", shape="polynomial", role="background", params={"c0": Param(value=10.0)}
            ),
        ],
        common={"k": Param(value=0.4, min=0.0, max=2.0)},
    )
    fits = {e: fit(ds, comps, engine=e) for e in ("batch", "numpy", "lmfit")}
    for engine in ("batch", "numpy"):
        assert fits[engine].attrs["engine"] == engine
        ok = fits["lmfit"]["stderr"].values > 0
        error = np.where(ok, fits["lmfit"]["stderr"].values, 1.0)
        gap = np.abs(fits[engine]["value"].values - fits["lmfit"]["value"].values) / error
        assert np.nanmax(gap) < 0.01
        ratio = fits[engine]["stderr"].values[ok] / fits["lmfit"]["stderr"].values[ok]
        np.testing.assert_allclose(ratio, 1.0, rtol=0.02)


def test_unweighted_data_scale_their_errors_as_lmfit_does():
    lmfit_models = pytest.importorskip("lmfit.models")
    x = np.linspace(-5.0, 5.0, 120)
    rng = np.random.default_rng(3)
    y = 3.0 * np.exp(-4 * np.log(2) * (x / 1.5) ** 2) + rng.normal(0, 0.05, x.size)
    ds = spectrum(y, x, technique="raman", axis_name="raman_shift", units="1")
    comps = Components([Component(name="g", shape="gaussian", params=peak(4.0, 0.2, 1.2))])
    gauss = lmfit_models.GaussianModel()
    theirs = gauss.fit(y, x=x, amplitude=4.0, center=0.2, sigma=0.5)
    for engine in ("batch", "numpy", "lmfit"):
        got = fit(ds, comps, engine=engine)
        assert got.attrs["scale_covar"] == "true"
        area = got.sel(param="g.area")
        assert float(area["value"]) == pytest.approx(theirs.params["amplitude"].value, rel=1e-4)
        assert float(area["stderr"]) == pytest.approx(theirs.params["amplitude"].stderr, rel=1e-2)


def test_indistinct_species_are_flagged():
    x = np.linspace(-5.0, 5.0, 120)
    y = np.random.default_rng(4).poisson(30 + 400 * np.exp(-4 * np.log(2) * (x / 2) ** 2))
    ds = spectrum(y, x, technique="xps", axis_name="binding_energy")

    def fixed(name, center, species):
        params = {
            "area": Param(value=300.0),
            "center": Param(value=center, vary=False),
            "fwhm": Param(value=2.0, vary=False),
        }
        return Component(name=name, species=species, shape="gaussian", params=params)

    comps = Components(
        [
            fixed("a", 0.0, "a"),
            fixed("b", 0.05, "b"),
            Component(
                name="g", shape="polynomial", role="background", params={"c0": Param(value=20)}
            ),
        ]
    )
    for engine in ("batch", "numpy", "lmfit"):
        assert status_counts(fit(ds, comps, engine=engine)) == {"indistinct": 1}


def test_identical_peaks_are_undetermined_not_plausible():
    x = np.linspace(-5.0, 5.0, 120)
    y = np.random.default_rng(5).poisson(30 + 400 * np.exp(-4 * np.log(2) * (x / 2) ** 2))
    ds = spectrum(y, x, technique="xps", axis_name="binding_energy")
    twin = {
        "area": Param(value=300.0),
        "center": Param(vary=False),
        "fwhm": Param(value=2.0, vary=False),
    }
    comps = Components(
        [Component(name=n, species=n, shape="gaussian", params=dict(twin)) for n in ("a", "b")]
    )
    for engine in ("batch", "numpy"):
        got = fit(ds, comps, engine=engine)
        assert status_counts(got) == {"undetermined": 1}
        assert np.isnan(got["stderr"].sel(param="a.area"))

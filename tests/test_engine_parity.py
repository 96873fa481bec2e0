"""The batched engines against lmfit's own fits of independently written models."""

from __future__ import annotations

import numpy as np
import pytest

import workbench.engine
from tests.engine_cubes import FLAT, LOWER, UPPER, components, cube, lmfit_fits, start
from workbench.fit import fit

ENGINES = ("batch", "numpy")


@pytest.fixture(scope="module", autouse=True)
def _warm():
    workbench.engine.warm()


def case_of(hard, shape):
    ds, _ = cube(*shape, hard=hard)
    begin = start(0.12 if hard else 1.0)
    return ds, begin, lmfit_fits(ds, begin)


@pytest.fixture(scope="module", params=["reference", "hard"])
def case(request):
    return case_of(request.param == "hard", (10, 20))


@pytest.mark.slow
@pytest.mark.parametrize("hard", [False, True])
def test_all_spectra_of_both_cubes(hard):
    check_same_optimum(case_of(hard, (64, 64)), "batch")


@pytest.mark.parametrize("engine", ENGINES)
def test_same_optimum_as_lmfit(case, engine):
    check_same_optimum(case, engine)


def check_same_optimum(case, engine):
    ds, begin, (p, e, chi) = case
    got = fit(ds, components(begin), engine=engine)
    assert got.attrs["engine"] == engine
    c = got["chisqr"].values.ravel()
    assert np.all(c <= chi * (1 + 1e-6) + 1e-5)
    v = got["value"].sel(param=FLAT).values.reshape(-1, 14)
    s = got["stderr"].sel(param=FLAT).values.reshape(-1, 14)
    same = c > chi - 1e-3  # lmfit itself stops in a worse minimum now and then
    assert same.mean() > 0.98
    room = np.minimum(v - LOWER, UPPER - v) / s
    inside = same & np.all(room > 0.03, axis=1)
    assert np.max(np.abs(v - p)[inside] / s[inside]) < 0.01
    assert np.max(np.abs(s / e - 1.0)[inside]) < 0.01
    assert np.max(np.abs(v - p)[same] / s[same]) < 0.01


@pytest.mark.parametrize("engine", ENGINES)
def test_ties_and_their_errors(case, engine):
    ds, begin, _ = case
    got = fit(ds, components(begin), engine=engine)
    value, error = got["value"], got["stderr"]
    for tied, factor, offset in (("area", 0.5, 0.0), ("center", 1.0, 1.18), ("fwhm", 1.0, 0.0)):
        v = value.sel(param=f"A.{tied}").values * factor + offset
        np.testing.assert_allclose(value.sel(param=f"A2.{tied}").values, v, rtol=1e-12)
        np.testing.assert_allclose(
            error.sel(param=f"A2.{tied}").values,
            factor * error.sel(param=f"A.{tied}").values,
            rtol=1e-9,
        )
    ok = got["status"].values == 0
    covar = got["covar"].values[ok]
    np.testing.assert_allclose(
        np.sqrt(np.einsum("bii->bi", covar)), error.values[ok], rtol=1e-6, atol=1e-12
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_bad_starts_reach_the_best_minimum_as_often_as_trf(engine):
    from scipy.optimize import least_squares

    from tests.engine_cubes import model

    ds, _ = cube(6, 8)
    x = ds["binding_energy"].values
    counts = ds["intensity"].values.reshape(-1, x.size).astype(float)
    best = fit(ds, components(), engine="numpy")["chisqr"].values.ravel()
    rng = np.random.default_rng(7)
    ours, trf = 0, 0
    for k, y in enumerate(counts):
        begin = start()
        begin[[0, 4, 8]] /= 10.0
        begin[[1, 5, 9]] += rng.uniform(-0.6, 0.6, 3)
        begin = np.clip(begin, LOWER, UPPER)
        one = ds.isel(y=[k // 8], x=[k % 8])
        got = fit(one, components(begin), engine=engine)
        ours += float(got["chisqr"].values.ravel()[0]) < best[k] + 0.1
        w = 1.0 / np.sqrt(np.maximum(y, 1.0))

        def residual(p, w=w, y=y):
            return (model(x, p) - y) * w

        if k < 16:
            low = np.clip(begin, np.array(LOWER) + 1e-9, np.array(UPPER) - 1e-9)
            found = least_squares(residual, low, bounds=(LOWER, UPPER), x_scale="jac")
            trf += 2 * found.cost < best[k] + 0.1
    assert ours / len(counts) >= trf / 16

"""Parameters shared between spectra: against one dense fit of the whole problem."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.optimize import least_squares

import workbench.engine
from tests.engine_cubes import FLAT, components, cube, model, start
from workbench.errors import FitError
from workbench.fit import fit

SHARED = {"center": ["y", "x"], "fwhm": ["y", "x"]}
COLUMNS = [1, 2, 5, 6, 9, 10]


@pytest.fixture(scope="module", autouse=True)
def _warm():
    workbench.engine.warm()


def flat_cube(ny, nx, points=200, seed=5):
    """A cube whose positions and widths are the same everywhere."""
    ds, truth = cube(ny, nx, points=points)
    truth[..., COLUMNS] = truth[0, 0, COLUMNS]
    y = np.random.default_rng(seed).poisson(model(ds["binding_energy"].values, truth))
    ds["intensity"] = (ds["intensity"].dims, y.astype(np.uint16), ds["intensity"].attrs)
    return ds, truth


def test_errors_and_values_of_a_dense_solve():
    ds, truth = flat_cube(1, 4)
    got = fit(ds, components(), shared=SHARED)
    x = ds["binding_energy"].values
    y = ds["intensity"].values.reshape(4, -1).astype(float)
    w = 1.0 / np.sqrt(np.maximum(y, 1.0))
    own = [c for c in range(14) if c not in COLUMNS]

    def spread(q):
        p = np.empty((4, 14))
        p[:, COLUMNS] = q[:6]
        p[:, own] = q[6:].reshape(4, -1)
        return p

    def residual(q):
        return ((model(x, spread(q)) - y) * w).ravel()

    begin = np.concatenate([truth[0, 0, COLUMNS], truth.reshape(4, 14)[:, own].ravel()])
    dense = least_squares(residual, begin, x_scale="jac", xtol=1e-14, ftol=1e-14, gtol=1e-14)
    cov = np.linalg.inv(dense.jac.T @ dense.jac)
    p, e = spread(dense.x), spread(np.sqrt(np.diag(cov)))
    value = got["value"].sel(param=FLAT).values.reshape(4, 14)
    error = got["stderr"].sel(param=FLAT).values.reshape(4, 14)
    assert np.max(np.abs(value - p) / e) < 0.01
    np.testing.assert_allclose(error, e, rtol=0.01)
    assert got["chisqr"].sum().item() == pytest.approx(2 * dense.cost, rel=1e-6)
    covar = got["covar"].sel(param="A.area", param_2="B.center").values.ravel()
    names = [FLAT[c] for c in COLUMNS] + [FLAT[c] for c in own]
    for k in range(4):
        i = 6 + k * len(own) + own.index(0)
        j = names.index("B.center")
        assert covar[k] == pytest.approx(cov[i, j], rel=0.02, abs=0.02 * e[k, 0] * e[k, 5])


def test_shared_values_are_one_value_and_closer_to_the_truth():
    ds, truth = flat_cube(6, 8)
    alone = fit(ds, components())
    along_x = fit(ds, components(), shared={"A.center": "x", "fwhm": ["x", "y"]})
    center = along_x["value"].sel(param="A.center")
    assert np.ptp(center.values, axis=1).max() == 0.0
    assert np.ptp(center.values, axis=0).min() > 0.0
    assert np.ptp(along_x["value"].sel(param="C.fwhm").values) == 0.0
    ratio = along_x["stderr"].sel(param="A.center") / alone["stderr"].sel(param="A.center")
    assert float(ratio.mean()) == pytest.approx(1 / np.sqrt(8), rel=0.1)
    pull = ((center - truth[0, 0, 1]) / along_x["stderr"].sel(param="A.center")).values[:, 0]
    assert np.abs(pull).max() < 4
    assert set(np.unique(along_x["status"].values)) <= {0, 4}  # ok, or a mixing at its bound


def test_a_thousand_spectra_in_seconds():
    ds, truth = flat_cube(25, 40, points=512)
    begin = time.perf_counter()
    got = fit(ds, components(start()), shared=SHARED, covariance=False)
    seconds = time.perf_counter() - begin
    shared = got["value"].sel(param=[FLAT[c] for c in COLUMNS]).values[0, 0]
    error = got["stderr"].sel(param=[FLAT[c] for c in COLUMNS]).values[0, 0]
    assert np.max(np.abs(shared - truth[0, 0, COLUMNS]) / error) < 4.5
    assert seconds < 20  # 5 s on an idle machine


def test_poisson_and_shared_together():
    ds, _ = flat_cube(1, 5)
    got = fit(ds, components(), shared={"fwhm": "x"}, statistic="poisson")
    assert np.ptp(got["value"].sel(param="B.fwhm").values) == 0.0
    assert np.all(got["status"].values == 0)


def test_errors_name_what_is_wrong():
    ds, _ = flat_cube(1, 2)
    with pytest.raises(FitError, match="along 'time'"):
        fit(ds, components(), shared={"fwhm": "time"})
    with pytest.raises(FitError, match="fixed or tied"):
        fit(ds, components(), shared={"A2.center": "x"})
    with pytest.raises(FitError, match="no such free parameter"):
        fit(ds, components(), shared={"fwhn": "x"})

"""The Poisson statistic: no bias at low counts, and the same fixed point in every engine."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

import workbench.engine
from spectra.component import Component, Components, Param
from spectra.convention import spectrum
from workbench.errors import FitError
from workbench.fit import fit

X = np.linspace(-6.0, 6.0, 160)
TRUTH = {"g.area": 60.0, "g.center": 0.2, "g.fwhm": 2.0, "b.c0": 8.0}


def expected():
    shape = np.exp(-4 * np.log(2) * ((X - 0.2) / 2.0) ** 2) * np.sqrt(4 * np.log(2) / np.pi) / 2.0
    return 8.0 + 60.0 * shape


def many(count, seed=3):
    y = np.random.default_rng(seed).poisson(expected(), (count, X.size))
    return spectrum(
        y, X, technique="xps", axis_name="binding_energy", outer={"time": np.arange(count) * 1.0}
    )


def model():
    params = {
        "area": Param(value=50.0, min=0.0),
        "center": Param(value=0.0),
        "fwhm": Param(value=1.6, min=0.3),
    }
    return Components(
        [
            Component(name="g", shape="gaussian", params=params),
            Component(name="b", shape="polynomial", role="background", params={"c0": 9.0}),
        ]
    )


def model_free():
    return model().set("b.c0", vary=True)


@pytest.fixture(scope="module", autouse=True)
def _warm():
    workbench.engine.warm()


@pytest.mark.parametrize("engine", ["batch", "numpy"])
def test_no_bias_at_eight_counts_per_channel(engine):
    ds = many(1500)
    got = fit(ds, model_free(), engine=engine, statistic="poisson")
    assert got.attrs["engine"] == engine
    for name, truth in TRUTH.items():
        value, error = got["value"].sel(param=name), got["stderr"].sel(param=name)
        pull = ((value - truth) / error).values
        assert abs(np.mean(pull)) < 0.1, name
        assert abs(np.std(pull) - 1.0) < 0.08, name
    biased = fit(ds, model_free(), engine=engine)
    low = ((biased["value"] - 8.0) / biased["stderr"]).sel(param="b.c0")
    assert float(low.mean()) < -1.5  # what weights from counts do


def test_engines_agree_and_sit_on_the_maximum_of_the_likelihood():
    ds = many(6)
    fits = [
        fit(ds, model_free(), engine=e, statistic="poisson") for e in ("batch", "numpy", "lmfit")
    ]
    names = list(TRUTH)
    error = fits[2]["stderr"].sel(param=names).values
    for got in fits[:2]:
        gap = np.abs(
            got["value"].sel(param=names).values - fits[2]["value"].sel(param=names).values
        )
        assert np.max(gap / error) < 0.01

    def negative(p, y):
        area, center, fwhm, c0 = p
        shape = np.exp(-4 * np.log(2) * ((X - center) / fwhm) ** 2)
        mu = c0 + area * shape * np.sqrt(4 * np.log(2) / np.pi) / fwhm
        return np.sum(mu - y * np.log(mu)) if np.all(mu > 0) else np.inf

    for k in range(6):
        best = fits[0]["value"].sel(param=names).values[k]
        y = ds["intensity"].values[k]
        found = minimize(negative, best, args=(y,), method="Nelder-Mead", options={"xatol": 1e-7})
        assert negative(best, y) < found.fun + 1e-4


def test_needs_counts():
    ds = many(1)
    ds["intensity"].attrs["units"] = "counts/s"
    with pytest.raises(FitError, match="needs counts"):
        fit(ds, model_free(), statistic="poisson")

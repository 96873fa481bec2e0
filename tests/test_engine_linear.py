"""Amplitudes only: exact non-negative solutions, and unmixing of cubes with known parts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

import workbench.engine
from spectra.component import Component, Components, Param
from spectra.convention import spectrum
from workbench.engine.linear import grams, nonnegative
from workbench.errors import FitError
from workbench.fit import fit
from workbench.unmix import unmix


@pytest.mark.parametrize("n", [1, 3, 8, 20])
def test_nonnegative_equals_scipy(n):
    rng = np.random.default_rng(n)
    columns = rng.normal(size=(n, 60))
    data = rng.normal(size=(40, 60)) + rng.uniform(-1, 1, (40, n)) @ columns
    weight2 = rng.uniform(0.2, 2.0, data.shape)
    got = nonnegative(*grams(columns, weight2, data))
    for k in range(len(data)):
        w = np.sqrt(weight2[k])
        best, _ = nnls((columns * w).T, data[k] * w)
        np.testing.assert_allclose(got[k], best, atol=1e-7)


def test_amplitudes_may_be_free_and_columns_empty():
    rng = np.random.default_rng(0)
    columns = np.vstack([rng.normal(size=(2, 50)), np.zeros(50)])
    data = (-2.0 * columns[0] + 3.0 * columns[1])[None]
    got = nonnegative(*grams(columns, np.ones((1, 50)), data), free=np.array([True, False, False]))
    np.testing.assert_allclose(got, [[-2.0, 3.0, 0.0]], atol=1e-9)


@pytest.mark.parametrize("engine", ["batch", "numpy"])
def test_fit_with_all_shapes_fixed_is_nonnegative_least_squares(engine):
    workbench.engine.warm()
    x = np.linspace(0, 10, 80)
    rng = np.random.default_rng(1)
    centers = [2.0, 3.0, 5.0, 8.0]
    peaks = [
        np.exp(-4 * np.log(2) * (x - c) ** 2) * np.sqrt(4 * np.log(2) / np.pi) for c in centers
    ]
    y = rng.poisson(5 + 40 * peaks[0] + 90 * peaks[2], (12, 80))
    ds = spectrum(
        y, x, technique="xps", axis_name="binding_energy", outer={"time": np.arange(12.0)}
    )
    fixed = {"fwhm": Param(value=1.0, vary=False)}
    comps = Components(
        [
            Component(
                name=f"p{k}",
                shape="gaussian",
                params={
                    "area": Param(value=10.0, min=0.0),
                    "center": Param(value=c, vary=False),
                    **fixed,
                },
            )
            for k, c in enumerate(centers)
        ]
        + [
            Component(
                name="b",
                shape="polynomial",
                role="background",
                params={"c0": Param(value=1.0, min=0.0)},
            )
        ]
    )
    got = fit(ds, comps, engine=engine)
    names = [f"p{k}.area" for k in range(4)] + ["b.c0"]
    columns = np.vstack([*peaks, np.ones_like(x)])
    for k in range(12):
        w = 1 / np.sqrt(np.maximum(y[k], 1))
        best, _ = nnls((columns * w).T, y[k] * w)
        np.testing.assert_allclose(got["value"].sel(param=names).values[k], best, atol=1e-4)


def mixed(noise=True):
    x = np.linspace(0, 20, 150)
    pure = np.array([np.exp(-(((x - c) / 1.5) ** 2)) for c in (5.0, 8.0, 13.0)])
    pure /= (pure @ np.gradient(x))[:, None]
    t = np.linspace(0, 1, 40)
    amount = np.stack([np.clip(1 - 2 * t, 0, 1), np.exp(-(((t - 0.5) / 0.2) ** 2)), t**2]) * 2000
    amount[1, [0, -1]] = 0.0
    mu = amount.T @ pure
    y = np.random.default_rng(2).poisson(mu) if noise else mu
    ds = spectrum(y, x, technique="raman", axis_name="raman_shift", outer={"time": t})
    return ds, pure, amount.T


def test_unmix_finds_the_parts_of_a_cube():
    ds, pure, amount = mixed()
    got = unmix(ds, 3)
    assert got.attrs["converged"] == "True"
    y = ds["intensity"].values
    true_chi = np.sum((y - amount @ pure) ** 2 / np.maximum(y, 1), axis=1) / (150 - 3)
    assert float(got["redchi"].mean()) < true_chi.mean()
    match = np.corrcoef(np.vstack([pure, got["spectrum"].values]))[:3, 3:]
    order = match.argmax(axis=1)
    assert sorted(order) == [0, 1, 2]
    assert match.max(axis=1).min() > 0.97
    found = got["amount"].values[:, order]
    assert np.corrcoef(found.ravel(), amount.ravel())[0, 1] > 0.97
    assert np.all(got["amount"].values >= 0)
    assert np.all(got["spectrum"].values >= 0)


def test_unmix_with_known_references_gives_their_amounts():
    ds, pure, amount = mixed()
    got = unmix(ds, 3, start=pure, fixed=(0, 1, 2))
    pull = (got["amount"].values - amount) / got["stderr"].values
    inside = amount > 100
    assert abs(pull[inside].mean()) < 0.5
    assert np.all(got["spectrum"].values == pytest.approx(pure))


def test_unmix_refuses_what_cannot_be():
    ds, pure, _ = mixed()
    with pytest.raises(FitError, match="components from"):
        unmix(ds, 41)
    with pytest.raises(FitError, match="start has shape"):
        unmix(ds, 2, start=pure)
    with pytest.raises(FitError, match="cancelled"):
        unmix(ds, 3, progress=lambda done, total: True)

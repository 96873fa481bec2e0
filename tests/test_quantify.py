"""From areas to amounts: propagation against closed forms and Monte Carlo, flags, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from workbench.errors import OrderError


@pytest.fixture(scope="module")
def fitted():
    """A small S 2p series and its fit."""
    ds = wb.simulate("xps", wb.plating().isel(time=slice(10, 14)), settings={"region": "S 2p"})
    comps = wb.propose(ds, ["Li6PS5Cl", "Li2S"])
    return ds, comps, wb.fit(ds, comps, statistic="poisson")


def test_fractions_sum_to_one_and_their_errors_are_one_error(fitted):
    amounts = wb.quantify(fitted[2])
    np.testing.assert_allclose(amounts["amount"].sum("species"), 1.0)
    first, second = (amounts["stderr"].sel(species=s) for s in ("Li6PS5Cl", "Li2S"))
    np.testing.assert_allclose(first, second)
    # Rows of the covariance of fractions that sum to one sum to zero.
    np.testing.assert_allclose(amounts["covar"].sum("species_2"), 0.0, atol=1e-12)


def test_propagated_errors_agree_with_drawing_from_the_covariance(fitted):
    fit = fitted[2].isel(time=0)
    amounts = wb.quantify(fit)
    names = [str(p) for p in fit["param"].values]
    rng = np.random.default_rng(0)
    keys = [names.index(n) for n in ("Li6PS5Cl.area", "Li6PS5Cl_S2.area", "Li2S.area")]
    covar = fit["covar"].values[np.ix_(keys, keys)]
    drawn = rng.multivariate_normal(fit["value"].values[keys], covar, 20_000)
    argyrodite, sulfide = (drawn[:, 0] + drawn[:, 1]) / 5.0, drawn[:, 2]
    share = sulfide / (argyrodite + sulfide)
    assert share.std() == pytest.approx(float(amounts["stderr"].sel(species="Li2S")), rel=0.03)
    assert share.mean() == pytest.approx(float(amounts["amount"].sel(species="Li2S")), abs=1e-3)


def test_limit_is_currie_s(fitted):
    amounts = wb.quantify(fitted[2])
    np.testing.assert_allclose(amounts["limit"], 3.29 * amounts["stderr"])


def test_what_lies_below_its_limit_is_flagged(fitted):
    ds, _, _ = fitted
    comps = wb.propose(ds, ["Li6PS5Cl", "Li2S", "S8"])
    amounts = wb.quantify(wb.fit(ds, comps, statistic="poisson"))
    names = str(amounts["flag"].attrs["flag_meanings"]).split()
    flags = amounts["flag"].sel(species="S8").values
    assert (flags == names.index("below_detection_limit")).mean() > 0.5


def test_a_share_far_below_zero_flags_all_shares(fitted):
    fit = fitted[2].copy(deep=True)
    at = [str(p) for p in fit["param"].values].index("Li2S.area")
    fit["value"][1, at] = -8.0 * fit["stderr"][1, at]
    fit["value"][2, at] = -2.0 * fit["stderr"][2, at]
    amounts = wb.quantify(fit)
    names = str(amounts["flag"].attrs["flag_meanings"]).split()
    told = [[names[k] for k in row] for row in amounts["flag"].values]
    assert told[1] == ["below_zero", "below_zero"]
    assert set(told[2]) == {"ok", "below_detection_limit"}
    assert told[0] == ["ok", "ok"]


def test_a_result_says_what_made_it(fitted):
    amounts = wb.quantify(fitted[2])
    assert amounts.attrs["library_hash"] == fitted[2].attrs["library_hash"]
    assert "quantify" in amounts.attrs["history"]
    assert amounts.attrs["note"]


def test_wrong_order_is_refused_with_the_call_that_mends_it(fitted):
    ds, comps, _ = fitted
    with pytest.raises(OrderError, match=r"make it with workbench\.fit"):
        wb.quantify(ds)
    with pytest.raises(OrderError, match="covariance"):
        wb.quantify(wb.fit(ds, comps, statistic="poisson", covariance=False))

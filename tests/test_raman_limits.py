"""Detection limits: false alarms and misses happen as often as they should."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from spectra.convention import spectrum
from tests.shared_data import data
from workbench.errors import OrderError
from workbench.limits import detection, detection_map
from workbench.unmix import templates

HELD = {"shift_range": 0.0}
X = np.arange(150.0, 650.0, 1.2)


def pixels(amount, count=1600, ground=40.0, seed=0, present=6000.0):
    """Poisson spectra of Li6PS5Cl with an amount of S8 on a flat ground."""
    empty = spectrum(np.ones(X.size), X, technique="raman", axis_name="raman_shift")
    shapes, _, _ = templates(empty, ["Li6PS5Cl", "S8"])
    mean = ground + present * shapes[0] + amount * shapes[1]
    counts = np.random.default_rng(seed).poisson(mean, size=(count, X.size))
    return spectrum(counts, X, technique="raman", axis_name="raman_shift",
                    outer={"point": np.arange(count)})  # fmt: skip


def found_in(ds, **knobs):
    comps = wb.propose(ds, ["Li6PS5Cl", "S8"], settings={**HELD, "baseline": "linear"})
    return detection(ds, wb.fit(ds, comps, statistic="poisson"), **knobs)


def share(found, name="S8"):
    return float((found["detected"].sel(species=name) == 1).mean())


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_an_absent_species_is_called_as_often_as_asked(level):
    found = found_in(pixels(0.0), false_alarms=level)
    assert share(found) == pytest.approx(level, abs=3.5 * np.sqrt(level / 1600.0))
    assert share(found, "Li6PS5Cl") == 1.0
    # Levels scatter from pixel to pixel far less than the amounts they judge.
    critical = found["critical"].sel(species="S8")
    assert float(critical.std() / critical.mean()) < 0.05


def test_without_counting_errors_the_scatter_gives_the_level():
    ds = pixels(0.0, 800)
    plain = ds.copy(deep=True)
    plain["intensity"] = (ds["intensity"].dims, 0.01 * ds["intensity"].values, {"units": "1"})
    comps = wb.propose(plain, ["Li6PS5Cl", "S8"], settings={**HELD, "baseline": "linear"})
    found = detection(plain, wb.fit(plain, comps))
    assert share(found) == pytest.approx(0.05, abs=0.03)


def test_an_amount_at_the_limit_is_missed_as_often_as_asked():
    limit = float(found_in(pixels(0.0, 50))["limit"].sel(species="S8").mean())
    assert 1.0 - share(found_in(pixels(limit, seed=1))) == pytest.approx(0.05, abs=0.02)
    # On a ground of a tenth of a count per point the amount's own counts count.
    bare = found_in(pixels(0.0, 50, ground=0.1, present=0.0))
    limit = float(bare["limit"].sel(species="S8").median())
    critical = float(bare["critical"].sel(species="S8").median())
    assert limit > 2.5 * critical


def test_a_present_species_does_not_raise_its_own_critical_level():
    # quantify's limit, 3.29 of the error at hand, grows with the amount; Currie's does not.
    few = found_in(pixels(0.0, 50))
    many = found_in(pixels(30_000.0, 50))
    a, b = (float(f["critical"].sel(species="S8").mean()) for f in (few, many))
    assert b == pytest.approx(a, rel=0.05)
    error = many["stderr"].sel(species="S8")
    assert float(1.645 * error.mean()) > 1.3 * b


def test_false_calls_over_a_map_can_be_held():
    # 1,200 empty pixels and 100 with plenty: of those called, at most about 5 % are empty.
    empty, full = pixels(0.0, 1200), pixels(1500.0, 100, seed=3)
    counts = np.concatenate([empty["intensity"].values, full["intensity"].values])
    ds = spectrum(counts, X, technique="raman", axis_name="raman_shift",
                  outer={"point": np.arange(1300)})  # fmt: skip
    called = (found_in(ds, control="map")["detected"].sel(species="S8") == 1).values
    assert called[1200:].mean() > 0.95
    assert called[:1200].sum() <= 0.12 * called.sum()
    loose = (found_in(ds)["detected"].sel(species="S8") == 1).values
    assert loose[:1200].sum() > 2 * called[:1200].sum()


def test_a_map_is_drawn_with_what_is_not_known(tmp_path):
    ds = wb.simulate("raman", settings={"size": 8, "drift": 0.0}, seed=2)
    ds["intensity"] = ds["intensity"].astype(float)
    ds["intensity"][2, 3] = np.nan
    comps = wb.propose(ds, ["Li2S", "S8"], settings=HELD)
    found = detection(ds, wb.fit(ds, comps, statistic="poisson"))
    assert int(found["detected"].sel(species="S8")[2, 3]) == 2
    assert found["limit"].attrs["units"] == "counts 1/cm"
    figure = detection_map(found)
    assert len(figure.axes) == 8
    figure.savefig(tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 5000
    with pytest.raises(OrderError, match="outer dims"):
        detection_map(found.isel(y=0))
    with pytest.raises(OrderError, match="detection"):
        detection_map(ds)


def test_a_real_line_of_graphene():
    ds = wb.select(wb.open(data("raman/renishaw/line.wdf")), {"raman_shift": (1230.0, 2780.0)})
    fit = wb.fit(ds, wb.propose(ds, ["C_sp2"]), statistic="poisson")
    found = detection(ds, fit)
    # Graphene is there in every pixel of this line.
    assert float((found["detected"] == 1).mean()) > 0.95
    with pytest.raises(OrderError, match="other sizes"):
        detection(ds.isel(point=slice(0, 5)), fit)
    with pytest.raises(OrderError, match="between 0 and"):
        detection(ds, fit, misses=0.7)

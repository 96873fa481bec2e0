"""One reflection followed in space and time, and pictures of phases."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from spectra.techniques import edxrd
from tests.shared_data import data
from workbench.errors import OrderError
from workbench.simulate import plating


@pytest.fixture(scope="module")
def simulated():
    return wb.simulate("edxrd", seed=20_261_123)


def test_a_reflection_of_the_electrolyte_follows_the_drift(simulated):
    found = wb.phases.follow(simulated, "Li6PS5Cl", (3, 1, 1))
    assert found["d"].dims == ("time", "position")
    steps = simulated.sizes["time"]
    drift = 3e-4 * np.sin(2 * np.pi * 0.8 * np.arange(steps) / (steps - 1) + 0.4)
    right = found.isel(position=-1)
    pull = (right["d"] / found.attrs["d_library"] - 1 - drift) / (
        right["d_stderr"] / found.attrs["d_library"]
    )
    assert abs(float(pull.mean())) < 1.0
    assert 0.5 < float(pull.std()) < 1.6
    # the line is there where the phase is, and grows with it
    amount = simulated["truth"].sel(species="Li6PS5Cl")
    assert np.isnan(found["d"].values[amount.values < 0.02]).mean() > 0.9
    share = np.corrcoef(found["area"].values.ravel(), amount.values.ravel())[0, 1]
    assert share > 0.999


def test_lines_of_other_phases_may_lie_in_the_window():
    names = ["Li2S", "Li3P"]
    ds = wb.simulate("edxrd", plating().sel(species=names), settings={"positions": 6, "times": 6})
    ds = ds.isel(position=slice(2, 5))
    alone = wb.phases.follow(ds, "Li2S", (1, 1, 1))
    both = wb.phases.follow(ds, "Li2S", (1, 1, 1), others=["Li3P"])
    assert float(both["redchi"].mean()) < float(alone["redchi"].mean())
    assert float(both["redchi"].mean()) == pytest.approx(1.0, abs=0.15)


def test_a_reflection_that_is_not_there_names_those_that_are(simulated):
    with pytest.raises(OrderError, match="the strongest there"):
        wb.phases.follow(simulated, "Li2S", (1, 0, 0))


def test_the_operando_spinel_reflection():
    ds = wb.open(data("xrd/operando_LCoV"))
    ds = wb.calibrate(ds, "known", anode="Cu")
    found = wb.phases.follow(ds, "LNMO", (5, 1, 1), reach=0.02, fwhm=0.25)
    a = found["d"].values * np.sqrt(27)
    good = np.isfinite(a)
    # published path: 8.27 A at both ends, 8.18 A at the end of charge
    assert np.nanmedian(a[:3]) == pytest.approx(8.27, abs=0.015)
    assert np.nanmin(a[good]) == pytest.approx(8.18, abs=0.02)
    assert np.nanmedian(a[-3:]) == pytest.approx(8.271, abs=0.015)


def test_pictures_of_phases(simulated):
    one = wb.plot.phases.contour(simulated, ["Li6PS5Cl", "Li2S"], position=100.0)
    assert [t.get_text() for t in one.axes[1].get_yticklabels()] == ["Li6PS5Cl", "Li2S"]
    assert wb.plot.phases.contour(simulated, along="position").axes
    fit = wb.fit(simulated, wb.propose(simulated, ["Li", "Li6PS5Cl", "Li2S"]), statistic="poisson")
    amounts = wb.quantify(fit)
    assert len(wb.plot.phases.limits(amounts).axes) == 6  # three maps, three bars
    assert wb.plot.phases.maps(edxrd.lattice(fit), "strain", species=["Li6PS5Cl"], stderr=True).axes
    followed = wb.phases.follow(simulated, "Li6PS5Cl", (3, 1, 1))
    assert wb.plot.phases.maps(followed, "d").axes[0].get_title() == "Li6PS5Cl 3 1 1 d"
    assert wb.plot.phases.maps(followed.isel(position=-1), "area").axes
    with pytest.raises(OrderError, match="no variable 'x'"):
        wb.plot.phases.maps(followed, "x")
    with pytest.raises(OrderError, match="one spectrum"):
        wb.plot.phases.contour(simulated.isel(time=0, position=0))


def test_ticks_need_a_calibrated_axis(simulated):
    bare = simulated.copy()
    del bare.attrs["two_theta_deg"]
    with pytest.raises(OrderError, match="calibrate"):
        wb.phases.ticks(bare, "Li2S")
    place = wb.phases.ticks(simulated, "Li2S").place
    assert np.all((place > 22.0) & (place < 102.0))

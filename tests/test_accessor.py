"""The xarray accessor forwards to the verbs and holds nothing."""

from __future__ import annotations

import workbench as wb
import workbench.accessor


def test_it_gives_what_the_verbs_give():
    assert workbench.accessor.InterphaseAccessor
    ds = wb.simulate("xps", wb.plating().isel(time=slice(0, 3)), settings={"region": "S 2p"})
    ds = ds.drop_vars("truth")
    comps = ds.interphase.propose(["Li6PS5Cl", "Li2S"])
    assert comps == wb.propose(ds, ["Li6PS5Cl", "Li2S"])
    fit = ds.interphase.fit(comps, engine="numpy", statistic="poisson")
    assert fit.equals(wb.fit(ds, comps, engine="numpy", statistic="poisson"))
    assert fit.interphase.quantify().equals(wb.quantify(fit))
    moved = ds.interphase.calibrate("shift", by=0.2)
    assert moved.equals(wb.calibrate(ds, "shift", by=0.2))
    corrected = ds.interphase.correct("linear")
    assert corrected.equals(wb.correct(ds, "linear"))

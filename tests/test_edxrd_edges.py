"""EDXRD and XRD at the edges: no counts, spectra masked, maps of one row, times that lie."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from spectra.convention import spectrum
from spectra.errors import CalibrationError, FormatError
from spectra.techniques import edxrd
from workbench.errors import OrderError

PHASES = ["Li6PS5Cl", "Li2S"]
FLAGS = {"flag_values": np.array([0, 1], np.uint8), "flag_meanings": "masked valid"}


@pytest.fixture(scope="module")
def cell():
    return wb.simulate("edxrd", seed=1, settings={"positions": 6, "times": 4})


def fitted(ds, names=PHASES, **settings):
    return wb.fit(ds, wb.propose(ds, names, settings=settings), statistic="poisson")


def masked(ds, dims, at):
    """Mask what ``at`` selects, in a variable over ``dims`` only."""
    out = ds.copy(deep=True)
    valid = np.ones([ds.sizes[d] for d in dims], bool)
    valid[at] = False
    out["valid"] = (dims, valid, FLAGS)
    return out


@pytest.mark.parametrize(
    ("dims", "at"),
    [(("time", "position"), (1, 2)), (("position",), 3), (("time",), 0),
     (("photon_energy",), slice(300, 340)), (("position", "time"), (2, 1)),
     (("time", "photon_energy"), (2, slice(0, 100)))],
)  # fmt: skip
def test_any_part_may_be_masked(cell, dims, at):
    ds = masked(cell, dims, at)
    amounts = wb.quantify(fitted(ds))
    plain = wb.quantify(fitted(cell))
    whole = ds["valid"]
    whole = whole.any("photon_energy") if "photon_energy" in dims else whole
    # what is masked has no amount, and takes nothing from the rest
    off = (amounts["amount"] - plain["amount"]) / plain["stderr"]
    assert bool(np.isfinite(amounts["amount"].where(whole, 0.0)).all())
    assert float(np.abs(off.where(whole, 0.0)).max()) < (3.0 if "photon_energy" in dims else 0.5)
    if "photon_energy" not in dims:
        assert not bool(np.isfinite(amounts["amount"].where(~whole)).any())
        lattice = edxrd.lattice(fitted(ds))
        assert not bool(np.isfinite(lattice["a"].where(~whole)).any())
    wb.phases.follow(ds, "Li6PS5Cl", (3, 1, 1))
    wb.correct(ds, "texture", species=PHASES)


def test_bad_counts_of_a_masked_spectrum_do_no_harm(cell):
    ds = masked(cell, ("time", "position"), (1, 5))
    plain = wb.quantify(fitted(ds))["amount"]
    ds["intensity"][1, 5] = 10**7  # a detector that ran away: the brightest of all
    other = wb.quantify(fitted(ds))["amount"]
    assert np.allclose(other, plain, rtol=1e-3, atol=1e-4, equal_nan=True)


def test_maps_of_one_row_and_single_spectra(cell):
    whole = wb.quantify(fitted(cell))["amount"]
    for one in (cell.isel(time=[0]), cell.isel(position=[5]), cell.isel(position=5, time=0)):
        amounts = wb.quantify(fitted(one))
        assert set(amounts["amount"].dims) == {*one["intensity"].dims[:-1], "species"}
        assert np.isfinite(amounts["amount"]).all()
    assert float(amounts["amount"][0]) == pytest.approx(float(whole[0, 5, 0]), rel=0.05)
    row = cell.isel(time=[0])
    edxrd.smoothed(edxrd.lattice(fitted(row)))
    wb.plot.phases.maps(edxrd.lattice(fitted(row)), "strain")


def test_a_contour_runs_along_what_is_not_selected(cell):
    picture = wb.plot.phases.contour(cell, ["Li6PS5Cl"], position=float(cell["position"][0]))
    assert len(picture.axes) >= 2
    with pytest.raises(OrderError, match="no outer dim 'depth'"):
        wb.plot.phases.contour(cell, depth=1.0)
    with pytest.raises(OrderError, match="not selected"):
        wb.plot.phases.contour(cell, position=0.0, time=0.0)


def test_spectra_without_counts(cell):
    ds = cell.copy(deep=True)
    ds["intensity"][1, 2] = 0
    amounts = wb.quantify(fitted(ds))["amount"].values
    assert np.isfinite(np.delete(amounts.reshape(-1, 2), 8, axis=0)).all()
    empty = spectrum(np.zeros(256, int), np.arange(256), technique="edxrd", axis_name="channel")
    for method, told in (
        ("joint", {"sources": ["W"], "guess": (0.0, 0.3)}),
        ("joint", {"standard": "CeO2", "sources": ["Ce"], "guess": (0.0, 0.3)}),
    ):
        with pytest.raises(CalibrationError):
            wb.calibrate(empty, method, **told)
    known = wb.calibrate(empty, "known", c0=0.0, c1=0.3, two_theta_deg=5.3)
    for method, told in (("escape", {}), ("incident", {"standard": "CeO2"})):
        with pytest.raises(CalibrationError):
            wb.correct(known, method, **told)
    low = wb.calibrate(empty, "known", c0=0.0, c1=0.05, two_theta_deg=5.3)
    with pytest.raises(CalibrationError, match="no lines"):
        wb.correct(low, "incident", standard="CeO2")


@pytest.mark.parametrize(
    ("live", "share", "flag"),
    [(54.1, 0.0983, 0), (53.9, 0.1017, 1), (40.0, 1 / 3, 1), (60.0, 0.0, 0), (60.3, -0.005, 0),
     (70.0, np.nan, 0), (np.nan, np.nan, 0)],
)  # fmt: skip
def test_dead_times_and_times_that_lie(cell, live, share, flag):
    one = cell.isel(time=0, position=0).assign(live_time=live, real_time=60.0)
    for name in ("live_time", "real_time"):
        one[name].attrs["units"] = "s"
    out = wb.correct(one, "dead_time")
    assert float(out["dead_time"]) == pytest.approx(share, abs=1e-3, nan_ok=True)
    assert int(out["dead_time_flag"]) == flag
    hidden = wb.correct(one, "dead_time", above="mask")
    assert bool(hidden["valid"].any()) == (flag == 0)


def test_a_masked_scan_of_a_powder_series_moves_no_cell():
    ds = wb.simulate("xrd", seed=1)
    names = [str(s) for s in ds["truth"]["species"].values][:2]
    plain = wb.fit(ds, wb.propose(ds, names))
    hidden = masked(ds, ("time",), 1)
    hidden["intensity"][1] = 10**6
    found = wb.fit(hidden, wb.propose(hidden, names))
    at = [i for i in range(ds.sizes["time"]) if i != 1]
    assert np.isnan(found["value"].values[1]).all() or int(found["status"][1]) == 1
    strain = f"{names[0]}_strain_a"
    one, two = (f["value"].sel(param=strain).values[at] for f in (plain, found))
    assert np.allclose(one, two, atol=2e-4)


def test_rows_beyond_the_channels_are_not_dropped(tmp_path):
    path = tmp_path / "x.mca"
    rows = "\n".join(str(i % 7) for i in range(70))
    path.write_text(f"VERSION: 3.1\nELEMENTS: 1\nCHANNELS: 64\nLIVE_TIME: 1\nDATA:\n{rows}\n\n")
    with pytest.raises(FormatError, match=r"70 rows.*CHANNELS: 64"):
        wb.open(path)

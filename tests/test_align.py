"""One clock for all: interpolation, errors, gaps, one species vocabulary."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import workbench as wb
from spectra.channels import channels
from workbench.errors import OrderError


def amounts(time, values, stderr, species, technique="xps", units="1") -> xr.Dataset:
    """Amounts as quantify makes them, by hand."""
    dims = ("time", "species")
    values, stderr = np.asarray(values, float), np.asarray(stderr, float)
    ds = xr.Dataset(
        {
            "amount": (dims, values, {"units": units}),
            "stderr": (dims, stderr, {"units": units}),
            "limit": (dims, 3.29 * stderr, {"units": units}),
            "flag": (dims, np.zeros(values.shape, np.uint8), {"flag_values": [0]}),
            "covar": ((*dims, "species_2"), stderr[..., None] ** 2 * np.eye(stderr.shape[-1])),
        },
        coords={
            "time": ("time", np.asarray(time, float), {"units": "s"}),
            "species": species,
            "species_2": species,
        },
    )
    ds.attrs.update(convention="amount-1", technique=technique, kind="amount", history="")
    return ds


def test_values_are_interpolated_and_gaps_stay_gaps():
    a = amounts([0, 10, 20], [[0.0], [1.0], [2.0]], np.full((3, 1), 0.1), ["Li2S"])
    b = amounts([5, 15], [[10.0], [20.0]], [[3.0], [4.0]], ["Li3P"], technique="nmr")
    cell = wb.align(a, b)
    got = cell["nmr_amount"].sel(species="Li3P").values
    assert np.isnan(got[[0, 2]]).all()
    assert got[1] == pytest.approx(15.0)
    assert np.isnan(cell["xps_amount"].sel(species="Li3P")).all()
    assert list(cell["species"].values) == ["Li2S", "Li3P"]


def test_error_of_a_midpoint_is_that_of_two_independent_neighbours():
    b = amounts([0, 10], [[10.0], [20.0]], [[3.0], [4.0]], ["Li2S"])
    cell = wb.align(b, grid=[5.0])
    assert cell["xps_stderr"].item() == pytest.approx(np.hypot(1.5, 2.0))


def test_a_missing_value_does_not_spoil_its_neighbours():
    a = amounts([0, 10, 20], [[1.0], [np.nan], [3.0]], np.full((3, 1), 0.1), ["Li2S"])
    cell = wb.align(a, grid=[0.0, 5.0, 10.0, 20.0])
    got = cell["xps_amount"].values[:, 0]
    assert got[0] == 1.0
    assert got[3] == 3.0
    assert np.isnan(got[1:3]).all()


def test_channels_come_under_their_own_names_and_clocks_can_be_shifted():
    a = amounts([0, 10, 20], np.ones((3, 1)), np.ones((3, 1)), ["Li2S"])
    cycler = channels(np.array([100.0, 120.0]), {"voltage": (np.array([1.0, 3.0]), "V")},
                      technique="cycling")  # fmt: skip
    cell = wb.align(a, cycler, names=["xps", "cycler"], start={"cycler": -100.0})
    np.testing.assert_allclose(cell["voltage"].values, [1.0, 2.0, 3.0])
    assert cell["voltage"].attrs["units"] == "V"


def test_two_of_one_technique_are_numbered():
    a = amounts([0, 1], np.ones((2, 1)), np.ones((2, 1)), ["Li2S"])
    cell = wb.align(a, a)
    assert cell.attrs["parts"] == "xps xps2"


def test_what_cannot_be_aligned_is_named():
    with pytest.raises(OrderError, match="nothing given"):
        wb.align()
    with pytest.raises(OrderError, match="part 1 is Dataset"):
        wb.align(xr.Dataset())

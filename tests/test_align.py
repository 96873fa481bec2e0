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


def moments(time, start, **variables) -> xr.Dataset:
    units = {"voltage": "V", "current": "mA", "temperature": "degC"}
    attrs = {"start": start} if start else {}
    found = {k: (np.asarray(v, float), units[k]) for k, v in variables.items()}
    return channels(np.asarray(time, float), found, technique="cycling", attrs=attrs)


def test_stated_moments_put_parts_on_one_clock():
    spectra = amounts([0, 3600], np.ones((2, 1)), np.ones((2, 1)), ["Li"])
    spectra.attrs["started"] = "2023-08-11T11:32:23+00:00"
    local = moments([0, 7200], "2023-08-11T12:32:23", voltage=[0.0, 2.0])  # summer time
    other = moments([0, 7200], "2023-08-11T06:02:23-05:30", temperature=[20.0, 22.0])
    cell = wb.align(spectra, local, other, zone="Europe/London")
    np.testing.assert_allclose(cell["voltage"], [0.0, 1.0])
    np.testing.assert_allclose(cell["temperature"], [20.0, 21.0])
    assert cell.attrs["start"] == "2023-08-11T11:32:23+00:00"
    assert "clock_note" not in cell.attrs
    assert "zone=" in wb.align(spectra, local).attrs["clock_note"]
    late = wb.align(spectra, local, names=["nmr", "cell"], zone="Europe/London", start={"cell": 60})
    assert late["voltage"].values[1] == pytest.approx(2.0 * 3540 / 7200)
    with pytest.raises(OrderError, match="zone 'Moon/Base' is not known"):
        wb.align(spectra, local, zone="Moon/Base")
    with pytest.raises(OrderError, match="'cycling' does not say when it began"):
        wb.align(spectra, moments([0, 1], "", voltage=[0, 1]), zone="UTC")
    with pytest.raises(OrderError, match="start names 'cel'"):
        wb.align(spectra, local, names=["nmr", "cell"], start={"cel": 60})


def test_linked_files_fill_each_other_and_charge_runs_on():
    first = moments([0, 600, 1200], "", voltage=[1, 1, 1], current=[0.0, 2.0, 2.0])
    second = moments([1800, 3600], "", voltage=[3, 3], current=[-1.0, -1.0])
    cell = wb.align(first, second, grid=[0.0, 900.0, 1200.0, 1500.0, 1800.0, 2700.0, 3600.0])
    np.testing.assert_allclose(cell["voltage"], [1, 1, 1, np.nan, 3, 3, 3])
    # the jump from 0 to 2 mA belongs to the step that then begins; nothing flows between files
    mAh = 1.0 / 3600.0
    expected = np.array([0, 1800, 2400, 2400, 2400, 1500, 600]) * mAh
    np.testing.assert_allclose(cell["charge"], expected)
    assert cell["charge"].attrs["units"] == "mAh"
    area = wb.align(first, second, area_cm2=0.5, grid=[900.0])
    assert area["current"].attrs["units"] == "mA/cm2"
    assert float(area["current"][0]) == 4.0
    assert float(area["charge"][0]) == pytest.approx(3600 * mAh)


def test_overlapping_files_count_charge_once():
    whole = moments([0, 1800, 3600], "", current=[1.0, 1.0, 1.0])
    part = moments([900, 2700], "", current=[1.0, 1.0])
    cell = wb.align(whole, part, grid=[0.0, 3600.0])
    np.testing.assert_allclose(cell["charge"], [0.0, 1.0])


def test_the_same_channel_in_other_units_is_refused():
    a = moments([0, 1], "", current=[1, 1])
    b = channels([2.0, 3.0], {"current": ([1, 1], "mA/cm2")}, technique="cycling")
    with pytest.raises(OrderError, match="'current' of 'cycling2' is in mA/cm2"):
        wb.align(a, b)


def test_a_row_without_a_value_does_not_spoil_a_channel():
    cycler = moments([0, 1, 2], "", voltage=[0, np.nan, 2])
    np.testing.assert_allclose(wb.align(cycler)["voltage"], [0, 1, 2])


def test_impedance_beside_a_cycler_keeps_its_own_dimension_and_its_times_move():
    cycler = moments([0, 10], "2024-01-01T10:00:00", voltage=[1, 2])
    eis = channels(
        [0.0, 1.0],
        {"frequency": ([10.0, 1.0], "Hz"), "impedance_re": ([1.0, 2.0], "ohm"),
         "impedance_im": ([-1.0, -2.0], "ohm"), "time": ([5.0, 6.0], "s"),
         "voltage": ([1, 1], "V")},
        technique="impedance",
        along="point",
        attrs={"start": "2024-01-01T10:01:00"},
    )  # fmt: skip
    cell = wb.align(cycler, eis, names=["cycler", "eis"], zone="UTC")
    np.testing.assert_allclose(cell["voltage"], [1, 2])
    np.testing.assert_allclose(cell["eis_time"], [65, 66])
    assert cell["eis_voltage"].dims == cell["impedance_re"].dims == ("point",)

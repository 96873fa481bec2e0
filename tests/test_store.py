"""Saving and loading: round trips, atomic writes, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from spectra.convention import spectrum
from workbench.errors import StoreError
from workbench.store import atomic


def series(rows=3, points=7) -> xr.Dataset:
    rng = np.random.default_rng(0)
    return spectrum(
        rng.poisson(20, (rows, points)),
        np.linspace(100, 110, points),
        technique="raman",
        axis_name="raman_shift",
        outer={"time": np.arange(rows) * 60.0},
        coords={"temperature": (("time",), np.linspace(20, 30, rows), "degC")},
        attrs={"laser_nm": 532.0, "title": "täst"},
    )


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=st.integers(1, 4), points=st.integers(2, 9), note=st.text(max_size=30))
def test_round_trip(tmp_path, rows, points, note):
    ds = series(rows, points)
    ds.attrs["note"] = note.replace("\x00", "")
    path = wb.save(ds, tmp_path / "a.nc")
    back = wb.load(path)
    xr.testing.assert_identical(back, ds)
    assert back["intensity"].dtype == ds["intensity"].dtype


def test_long_attributes_survive(tmp_path):
    ds = series().assign_attrs(recipe=json.dumps(list(range(50_000))))
    assert wb.load(wb.save(ds, tmp_path / "a.nc")).attrs == ds.attrs


def test_what_was_saved_opens_like_any_file(tmp_path):
    ds = series()
    back = wb.open(wb.save(ds, tmp_path / "a.nc"))
    np.testing.assert_array_equal(back["intensity"], ds["intensity"])
    assert json.loads(back.attrs["source"])[0]["format"] == "interphase_nc"


def test_truncated_file_is_refused_in_one_line(tmp_path):
    path = wb.save(series(), tmp_path / "a.nc")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(StoreError, match=r"a\.nc: not a readable result") as caught:
        wb.load(path)
    assert "\n" not in str(caught.value)


def test_another_programs_file_is_refused(tmp_path):
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    with pytest.raises(StoreError, match="convention None"):
        wb.load(tmp_path / "b.nc")
    with pytest.raises(StoreError, match="no such file"):
        wb.load(tmp_path / "c.nc")


def test_a_failed_write_leaves_the_old_file_and_no_scraps(tmp_path):
    path = wb.save(series(), tmp_path / "a.nc")
    before = path.read_bytes()

    def interrupted():
        with atomic(path) as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.nc"]


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(StoreError, match="make the folder first"):
        wb.save(series(), tmp_path / "no" / "a.nc")

"""How this project's datasets lie in a netCDF-4 file; shared by the store and its own format."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

_LONG = 30_000  # HDF5 keeps an attribute in one object header message of 64 KiB
_PREFIX = "attr_"


def pack(ds: xr.Dataset) -> xr.Dataset:
    """Return a copy fit for netCDF: long text attributes become scalar string variables."""
    ds = ds.copy(deep=False)
    for name in list(ds.variables):
        ds[name].encoding = {}
    for key in [k for k, v in ds.attrs.items() if isinstance(v, str) and len(v) > _LONG]:
        ds[_PREFIX + key] = ((), ds.attrs.pop(key))
    ds.attrs = {k: v for k, v in ds.attrs.items() if v is not None}
    return ds


def unpack(ds: xr.Dataset) -> xr.Dataset:
    """Undo `pack`."""
    ds = ds.copy(deep=False)
    for name in [str(n) for n in ds.data_vars if str(n).startswith(_PREFIX)]:
        ds.attrs[name.removeprefix(_PREFIX)] = str(ds[name].item())
        ds = ds.drop_vars(name)
    for key, var in ds.variables.items():
        if var.dtype == object:
            ds[key] = ds[key].astype(str)
    return ds


def read(path: Path, group: str | None = None) -> xr.Dataset:
    """Read one group of a file into memory.

    Raises
    ------
    OSError, KeyError, ValueError
        As the HDF5 library does; callers say it in their own words.
    """
    with xr.open_dataset(
        path, group=group, engine="h5netcdf", decode_times=False, decode_timedelta=False
    ) as ds:
        return unpack(ds.load())

"""Save and load spectra, fits, amounts and whole cells as netCDF-4, atomically."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import xarray as xr

from .errors import StoreError

_LONG = 30_000  # HDF5 keeps an attribute in one 64 KiB object header message
_PREFIX = "attr_"
CONVENTIONS = ("spectrum-1", "channels-1", "fit-1", "amount-1", "aligned-1", "balance-1")


def save(ds: xr.Dataset | xr.DataTree, path: str | PathLike[str]) -> Path:
    """Write a dataset or tree to netCDF-4: whole or not at all.

    Parameters
    ----------
    ds : xr.Dataset or xr.DataTree
        Anything a verb returns.
    path : path-like
        Target; replaced if it exists.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    StoreError
        If the folder does not exist or cannot be written.
    """
    target = Path(path)
    with atomic(target) as temporary:
        if isinstance(ds, xr.DataTree):
            ds.map_over_datasets(_pack).to_netcdf(temporary, engine="h5netcdf")
        else:
            packed = _pack(ds)
            packed.to_netcdf(temporary, engine="h5netcdf", encoding=_encoding(packed))
    return target


def load(path: str | PathLike[str]) -> xr.Dataset | xr.DataTree:
    """Read back what `save` wrote.

    Parameters
    ----------
    path : path-like
        A netCDF-4 file.

    Returns
    -------
    xr.Dataset or xr.DataTree
        As it was saved, in memory.

    Raises
    ------
    StoreError
        If the file is missing, truncated, or of no kind this program writes.
    """
    source = Path(path)
    if not source.is_file():
        raise StoreError(f"{source.name}: no such file; results are written by 'interphase fit'")
    try:
        with xr.open_datatree(source, engine="h5netcdf") as tree:
            tree = tree.load()
    except Exception as error:
        raise StoreError(
            f"{source.name}: not a readable result ({type(error).__name__}); "
            "the file may be truncated: write it again"
        ) from None
    if tree.children:
        tree = tree.map_over_datasets(_unpack)
        return tree
    ds = _unpack(tree.to_dataset())
    if ds.attrs.get("convention") not in CONVENTIONS:
        raise StoreError(
            f"{source.name}: convention {ds.attrs.get('convention')!r} is none of "
            + ", ".join(CONVENTIONS)
        )
    return ds


def _encoding(ds: xr.Dataset) -> dict[str, dict[str, object]]:
    return {
        str(name): {"zlib": True, "complevel": 2}
        for name, var in ds.variables.items()
        if var.dtype.kind in "iuf" and var.size > 4096
    }


def _pack(ds: xr.Dataset) -> xr.Dataset:
    """Move long attributes into scalar string variables."""
    ds = ds.copy(deep=False)
    for var in ds.variables.values():
        var.encoding = {}
    for key in [k for k, v in ds.attrs.items() if isinstance(v, str) and len(v) > _LONG]:
        ds[_PREFIX + key] = ((), ds.attrs.pop(key))
    ds.attrs = {k: v for k, v in ds.attrs.items() if v is not None}
    return ds


def _unpack(ds: xr.Dataset) -> xr.Dataset:
    ds = ds.copy(deep=False)
    for name in [str(n) for n in ds.data_vars if str(n).startswith(_PREFIX)]:
        ds.attrs[name.removeprefix(_PREFIX)] = str(ds[name].item())
        ds = ds.drop_vars(name)
    for name, var in ds.variables.items():
        if var.dtype == object:
            ds[name] = ds[name].astype(str)
    return ds


@contextmanager
def atomic(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success fsync it and rename it over ``target``.

    Raises
    ------
    StoreError
        If the folder does not exist or cannot be written; nothing is left behind.
    """
    try:
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix
        )
    except OSError as error:
        raise StoreError(
            f"{target}: cannot be written ({error.strerror}); make the folder"
        ) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(text: str, target: Path) -> Path:
    """Write a text file, whole or not at all."""
    with atomic(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return target

"""Save and load spectra, fits, amounts and whole cells as netCDF-4, atomically.

A fit file holds the FitResult at its root and, as groups, the ``data`` it was fitted to and the
``amounts`` drawn from it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import xarray as xr

from spectra.errors import FormatError
from spectra.netcdf import pack, read, unpack

from .errors import StoreError

CONVENTIONS = (
    "spectrum-1", "channels-1", "fit-1", "depth-1", "amount-1", "aligned-1", "balance-1",
    "sites-1",
)  # fmt: skip
_OWN = frozenset(
    {".nc", ".csv", ".tsv", ".txt", ".html", ".yaml", ".yml", ".json", ".png", ".pdf", ".svg"}
)
"""Endings of what this program writes: a file of that name is taken for an earlier one."""


def save(
    ds: xr.Dataset | xr.DataTree,
    path: str | PathLike[str],
    *,
    parts: Mapping[str, xr.Dataset] | None = None,
) -> Path:
    """Write a dataset or tree to netCDF-4: whole or not at all.

    Parameters
    ----------
    ds : xr.Dataset or xr.DataTree
        Anything a verb returns.
    path : path-like
        Target; an earlier result is replaced, a measurement never.
    parts : mapping of str to xr.Dataset, optional
        What goes with a fit: ``"data"`` and ``"amounts"``; with sites areas and curves.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    StoreError
        If the folder does not exist or cannot be written, or a measurement has that name.
    """
    target = Path(path)
    _spare(target)
    with atomic(target) as temporary:
        if isinstance(ds, xr.DataTree):
            ds.map_over_datasets(pack).to_netcdf(temporary, engine="h5netcdf")
        else:
            _write(ds, temporary, None)
            for name, part in (parts or {}).items():
                _write(part, temporary, name)
    return target


def _write(ds: xr.Dataset, path: Path, group: str | None) -> None:
    packed = pack(ds)
    encoding = {
        str(name): {"zlib": True, "complevel": 2}
        for name, var in packed.variables.items()
        if var.dtype.kind in "iuf" and var.size > 4096
    }
    if group is None:
        packed.to_netcdf(path, mode="w", engine="h5netcdf", encoding=encoding)
    else:
        packed.to_netcdf(path, mode="a", group=group, engine="h5netcdf", encoding=encoding)


def load(path: str | PathLike[str], part: str | None = None) -> xr.Dataset:
    """Read back what `save` wrote.

    Parameters
    ----------
    path : path-like
        A netCDF-4 file.
    part : str, optional
        What goes with a fit (``"data"``, ``"amounts"``), instead of the fit itself.

    Returns
    -------
    xr.Dataset
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
        ds = read(source, part)
    except Exception as error:
        what = "a readable result" if part is None else f"a result with {part!r}"
        raise StoreError(
            f"{source.name}: not {what} ({type(error).__name__}); the file may be truncated: "
            "write it again"
        ) from None
    if ds.attrs.get("convention") not in CONVENTIONS:
        raise StoreError(
            f"{source.name}: convention {ds.attrs.get('convention')!r} is none of "
            + ", ".join(CONVENTIONS)
        )
    return ds


def load_tree(path: str | PathLike[str]) -> xr.DataTree:
    """Read a tree of regions that `save` wrote.

    Raises
    ------
    StoreError
        If the file is missing or not readable.
    """
    source = Path(path)
    try:
        with xr.open_datatree(source, engine="h5netcdf") as tree:
            return tree.load().map_over_datasets(unpack)
    except Exception as error:
        raise StoreError(f"{source.name}: not a readable tree ({type(error).__name__})") from None


@contextmanager
def atomic(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success fsync it and rename it over ``target``.

    Raises
    ------
    StoreError
        If the folder does not exist or cannot be written, or a measurement has that name; nothing
        is left behind.
    """
    if target.suffix.lower() not in _OWN:
        _spare(target)
    if target.is_dir():
        raise StoreError(f"{target}: is a folder; give the name of a file")
    try:
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix
        )
    except OSError as error:
        raise StoreError(
            f"{target}: cannot be written ({error.strerror}); make the folder first"
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


def _spare(target: Path) -> None:
    """Refuse to replace a file that a format of measurements claims."""
    if not target.is_file() or target.stat().st_size == 0:
        return
    from spectra.formats import registry

    try:
        found = registry.identify(target).title
    except FormatError as error:
        if "claimed by" not in str(error):
            return
        found = "several formats claim it"
    if found != registry.formats()["interphase_nc"].title:
        raise StoreError(
            f"{target}: is a measurement ({found}) and is not replaced; give another name"
        )


def write_text(text: str, target: Path) -> Path:
    """Write a text file, whole or not at all."""
    with atomic(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return target

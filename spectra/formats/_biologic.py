"""Columns of EC-Lab's tables as channels of a cell; shared by the binary and the text reader.

EC-Lab names a column with its unit (``Ewe/V``, ``-Im(Z)/Ohm``). Impedance tables run along
``point`` (several spectra follow each other, numbered in ``spectrum``), all others along ``time``
(s since the start of the acquisition). Columns without a fixed name here are left in the file.
No uncertainty is stored in such files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..channels import channels
from ..convention import Source
from ..errors import ConventionError, FormatError
from ._cell_assemble import numbered
from ._cell_charge import running

Columns = Mapping[str, npt.NDArray[np.float64]]

_FIRST_OF: dict[str, tuple[tuple[str, float], ...]] = {
    "voltage": (
        ("Ewe/V", 1.0),
        ("<Ewe>/V", 1.0),
        ("<Ewe/V>", 1.0),
        ("Ecell/V", 1.0),
        ("Ewe-Ece/V", 1.0),
    ),
    "counter_voltage": (("Ece/V", 1.0), ("<Ece>/V", 1.0)),
    "cell_voltage": (("Ecell/V", 1.0), ("Ewe-Ece/V", 1.0)),
    "current": (("I/mA", 1.0), ("<I>/mA", 1.0), ("I/A", 1e3), ("<I>/A", 1e3)),
    "capacity": (("(Q-Qo)/mA.h", 1.0), ("(Q-Qo)/C", 1 / 3.6)),
    "temperature": (("Temperature/°C", 1.0), ("T/°C", 1.0)),
    "frequency": (("freq/Hz", 1.0),),
    "impedance_re": (("Re(Z)/Ohm", 1.0),),
    "impedance_im": (("-Im(Z)/Ohm", -1.0), ("Im(Z)/Ohm", 1.0)),
    "analog_1": (("Analog IN 1/V", 1.0),),
    "analog_2": (("Analog IN 2/V", 1.0),),
    "step": (("Ns", 1.0),),
    "cycle": (("cycle number", 1.0),),
}
_UNITS = {
    "voltage": "V",
    "counter_voltage": "V",
    "cell_voltage": "V",
    "current": "mA",
    "capacity": "mAh",
    "temperature": "degC",
    "frequency": "Hz",
    "impedance_re": "ohm",
    "impedance_im": "ohm",
    "analog_1": "V",
    "analog_2": "V",
    "step": "1",
    "cycle": "1",
}
_SPECTRA = ("freq/Hz", "Re(Z)/Ohm", "-Im(Z)/Ohm", "Im(Z)/Ohm")


def as_regions(
    columns: Columns,
    path: Path,
    src: Source,
    start: str,
    *,
    swept: bool | None = None,
    loops: npt.NDArray[np.int64] | None = None,
) -> dict[str, xr.Dataset]:
    """Return the table as one region, or two where spectra and records in time are mixed.

    A row without a frequency belongs to no spectrum. If most rows are such (Modulo Bat), they are
    the region ``cell`` and the spectra the region ``impedance``; a few of them (the rest before a
    spectrum) are left out and counted in attrs ``dc_rows``.

    Parameters
    ----------
    columns, path, src, start, swept
        As in `as_channels`.
    loops : ndarray of int, optional
        Rows at which passes through linked techniques begin.
    """
    table = dict(columns)
    rows = max((values.size for values in table.values()), default=0)
    number = loop_numbers(loops, rows) if loops is not None else None
    if number is not None:
        table["loop"] = number
    if "freq/Hz" not in table or "Re(Z)/Ohm" not in table:
        return {"cell": as_channels(table, path, src, start, swept=swept)}
    still = ~(table["freq/Hz"] > 0.0)

    def part(keep: npt.NDArray[np.bool_], without: tuple[str, ...] = ()) -> xr.Dataset:
        kept = {key: values[keep] for key, values in table.items() if key not in without}
        return as_channels(kept, path, src, start, swept=swept)

    if still.mean() > 0.5:
        cell = part(still, _SPECTRA)
        return {"cell": cell} if still.all() else {"cell": cell, "impedance": part(~still)}
    ds = part(~still)
    if still.any():
        ds.attrs["dc_rows"] = int(still.sum())
    return {"cell": ds}


def as_channels(
    columns: Columns, path: Path, src: Source, start: str, *, swept: bool | None = None
) -> xr.Dataset:
    """Return the table as channels.

    Parameters
    ----------
    columns : mapping of str to ndarray
        EC-Lab's column names (a long dash or a micro sign as the program writes it) and values.
    path : Path
        For messages.
    src : Source
        Provenance.
    start : str
        ISO time of time 0, or empty.
    swept : bool, optional
        Whether the technique is a voltammetry, where the file says so.

    Raises
    ------
    FormatError
        If no column is known, or time runs back.
    """
    found: dict[str, tuple[npt.NDArray[np.float64], str]] = {}
    for name, choices in _FIRST_OF.items():
        for column, factor in choices:
            if column in columns:
                found[name] = (columns[column] * factor, _UNITS[name])
                break
    if not {"Ewe/V", "<Ewe>/V", "<Ewe/V>"} & set(columns):
        found.pop("cell_voltage", None)  # it is the voltage
    time = columns.get("time/s")
    spectra = "frequency" in found and "impedance_re" in found and "impedance_im" in found
    attrs: dict[str, str] = {"start": start} if start else {}
    if "current" not in found and time is not None and "dq/mA.h" in columns and time.size > 1:
        # charge between two rows over the time between them: the mean current of that interval
        step = np.diff(time, prepend=np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = columns["dq/mA.h"] * 3600.0 / step
        found["current"] = (np.where(step > 0, mean, np.nan), "mA")
        attrs["current_origin"] = "charge between rows over time between rows"
    for name, column in (("charge_capacity", "Q charge/mA.h"),
                         ("discharge_capacity", "Q discharge/mA.h")):  # fmt: skip
        if column in columns:
            found[name] = (running(columns[column]), "mAh")
    if "loop" in columns:
        found["loop"] = (columns["loop"], "1")
    if not found or (time is None and not spectra):
        listed = ", ".join(list(columns)[:12])
        raise FormatError(
            f"{path.name}: no time with voltage, current or impedance; it has {listed}"
        )
    try:
        if spectra:
            frequency = found["frequency"][0]
            found["spectrum"] = (numbered(frequency), "1")
            found.pop("cycle", None)
            if time is not None:
                found["time"] = (time, "s")
            index = np.arange(frequency.size, dtype=float)
            return channels(
                index, found, technique="impedance", along="point", attrs=attrs, source=src
            )
        assert time is not None
        if swept is None:
            swept = "control/V" in columns and "cycle" in found and "Ns" not in columns
        technique = "voltammetry" if swept else "cycling"
        return channels(time, found, technique=technique, attrs=attrs, source=src)
    except ConventionError as error:
        raise FormatError(str(error)) from None


def loop_numbers(first_rows: npt.NDArray[np.int64], rows: int) -> npt.NDArray[np.float64] | None:
    """Return every row's pass through linked techniques, counted from 0; None if there is one.

    Parameters
    ----------
    first_rows : ndarray of int
        Row at which each pass begins; the last may be the number of rows.
    rows : int
        Rows of the table.
    """
    inside = first_rows[(first_rows > 0) & (first_rows < rows)]
    if not inside.size or np.any(np.diff(inside) <= 0):
        return None
    return np.searchsorted(inside, np.arange(rows), side="right").astype(float)


def with_loops(ds: xr.Dataset, first_rows: npt.NDArray[np.int64]) -> xr.Dataset:
    """Return channels of one file with every row's pass in ``loop``; see `loop_numbers`."""
    (dim,) = ds.dims
    number = loop_numbers(first_rows, ds.sizes[dim])
    return ds if number is None else ds.assign(loop=(dim, number, {"units": "1"}))

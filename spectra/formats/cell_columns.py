"""Tables of a cell without headings, known by what their numbers obey.

``impedance``: three columns frequency Hz, Z' ohm, Z'' ohm (signed as printed). Claimed if the
frequencies are positive, in order and evenly apart on a logarithmic scale over a decade or more.

``strain``: seven columns time s, current A, voltage V, power W, cell temperature degC, hoop strain,
ambient temperature degC (electrothermal deformation set of the ARTS laboratory). Claimed if time
rises and the fourth column is the product of the second and third, row by row. Current is negative
while discharging.

Comma, semicolon, tab or blanks; decimal comma where the mark is no comma; byte-order mark allowed.
Uncertainties: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..channels import channels
from ..convention import Source
from ..errors import ConventionError, FormatError
from ._cell_assemble import impedance
from ._cell_numbers import decimal_comma, numbers
from ._cell_text import decoded, split
from .base import HEAD_BYTES, Format, Options, Regions, read_bytes, source

Array = npt.NDArray[np.float64]


def sniff(head: bytes, path: Path) -> bool:
    """Whether all rows are numbers that obey one of the two layouts."""
    if not head or (b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff"))):
        return False
    lines = decoded(head).splitlines()
    if len(head) >= HEAD_BYTES:
        lines = lines[:-1]
    table = _table([line for line in lines if line.strip()][:60])
    return table is not None and bool(_layout(table))


def _table(lines: Sequence[str]) -> Array | None:
    """Return the rows as numbers, or None if they are not all so and equally long."""
    if len(lines) < 5:
        return None
    mark = next((m for m in ("\t", ";", ",") if m in lines[0]), " ")
    rows = [[cell for cell in split(line.strip(), mark) if cell.strip()] for line in lines]
    if len(rows[0]) not in (3, 7) or any(len(row) != len(rows[0]) for row in rows):
        return None
    flat = [cell for row in rows for cell in row]
    comma = mark != "," and bool(decimal_comma(flat[:2000]))
    values = numbers(flat, comma)
    return values.reshape(len(rows), -1) if np.isfinite(values).all() else None


def _layout(table: Array) -> str:
    if table.shape[1] == 3:
        frequency = table[:, 0]
        if np.any(frequency <= 0) or np.ptp(np.log10(frequency)) < 1.0:
            return ""
        steps = np.diff(np.log10(frequency))
        within = steps[np.abs(steps) < 5 * np.abs(np.median(steps))]
        even = np.ptp(within) < 0.5 * abs(np.median(steps)) if within.size else False
        straight = np.ptp(np.diff(frequency)) < 0.01 * np.abs(np.diff(frequency)).mean()
        return "impedance" if even and not straight and within.size > 0.7 * steps.size else ""
    time, current, voltage, power = table[:, :4].T
    product = current * voltage
    size = np.maximum(np.abs(product), 0.05)
    moving = np.ptp(power) > 0 or np.any(power != 0)
    obeys = bool(np.all(np.abs(product - power) < 0.02 * size + 0.02))
    return "strain" if obeys and moving and np.all(np.diff(time) > 0) else ""


def read(path: Path, options: Options) -> Regions:
    """Read the table."""
    text = decoded(read_bytes(path, limit=512 * 1024**2))
    lines = [line for line in text.splitlines() if line.strip()]
    table = _table(lines)
    if table is None and len(lines) > 6:
        table = _table(lines[:-1])  # a last row cut short
    if table is None:
        raise FormatError(
            f"{path.name}: rows are not all of three or of seven numbers: the file may be "
            "truncated, or not a table of impedance or strain"
        )
    layout = _layout(table)
    if not layout:
        raise FormatError(
            f"{path.name}: columns are neither frequency, Z', Z'' nor time, current, voltage, "
            "power, temperature, strain, ambient; put a line of headings with units above"
        )
    src = source(path, "cell_columns", layout)
    try:
        if layout == "impedance":
            ds = impedance(table[:, 0], table[:, 1], table[:, 2], src, {})
        else:
            ds = _strain(table, src)
    except ConventionError as error:
        raise FormatError(f"{path.name}: {error}") from None
    return {layout: ds}


def _strain(table: Array, src: Source) -> xr.Dataset:
    time, current, voltage, power, temperature, strain, ambient = table.T
    return channels(
        time,
        {
            "current": (current * 1e3, "mA"),
            "voltage": (voltage, "V"),
            "power": (power, "W"),
            "temperature": (temperature, "degC"),
            "strain": (strain, "1"),
            "temperature_ambient": (ambient, "degC"),
        },
        technique="strain",
        source=src,
    )


FORMATS = (
    Format(
        name="cell_columns",
        title="Impedance or strain of a cell without headings",
        suffixes=(".csv", ".txt", ".dat"),
        techniques=("impedance", "strain"),
        sniff=sniff,
        read=read,
    ),
)

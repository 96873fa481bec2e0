"""Excel workbooks of cyclers (Arbin, Neware, others), read with openpyxl.

Arbin: ``Global_Info`` (name, channel, start), then ``Channel_<n>_<k>`` with a line of headings
``Test_Time(s)``, ``Current(A)`` ...; a long test continues on the next sheet of the channel, which
is joined here; ``ChannelNormal``/``Statistics`` sheets have no records. Neware: sheet ``record``
(``DataPoint``, ``Total Time``, ``Current(mA)`` ...). Any other workbook opens if a sheet has such a
table (`cell_table`). One region per channel or sheet. Cells are numbers or dates as Excel holds
them. Uncertainties: none.
"""

from __future__ import annotations

import itertools
import re
import zipfile
import zlib
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import xarray as xr

from ..errors import FormatError
from ._cell_assemble import as_dataset
from ._cell_columns import Table, suffices
from ._zip import Rows, sheets
from .base import Format, Options, Regions, read_bytes, source

_MAX_UNPACKED = 2 * 1024**3
_SEARCHED = 40
_EXCEL_97 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def sniff(head: bytes, path: Path) -> bool:
    """Whether an Excel workbook names sheets of channels or records (or is one of Excel 97)."""
    if head.startswith(_EXCEL_97) and path.suffix.lower() == ".xls":
        return True
    if not (head.startswith(b"PK\x03\x04") and path.suffix.lower() in (".xlsx", ".xlsm")):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo("xl/workbook.xml")
            if entry.file_size > 4 * 1024**2:
                return False
            book = archive.read(entry).decode("utf-8", errors="replace")
    except (KeyError, zipfile.BadZipFile, OSError, ValueError, NotImplementedError, zlib.error):
        return False
    names = [n.lower() for n in re.findall(r"<sheet[^>]*\bname=\"([^\"]*)\"", book)]
    return any(
        re.match(r"(channel[_ -]?\d|channel[_ ]?normal|record|detail|global_info$)", name)
        for name in names
    )


def read(path: Path, options: Options) -> Regions:
    """Read every sheet with a table of a cell's channels."""
    if read_bytes(path, limit=512 * 1024**2).startswith(_EXCEL_97):
        raise FormatError(
            f"{path.name}: a workbook of Excel 97 (.xls), which is not read; open it in a "
            "spreadsheet program and save it as .xlsx or csv"
        )
    book = {
        title: [row for row in rows if any(cell is not None for cell in row)]
        for title, rows in sheets(path, _MAX_UNPACKED).items()
    }
    told = _global(book.get("Global_Info", []))
    groups: dict[str, tuple[list[str], Rows]] = {}
    for title, rows in book.items():
        at = next((i for i, row in enumerate(rows[:_SEARCHED]) if suffices(_texts(row))), None)
        if at is None or len(rows) <= at + 1:
            continue
        names, body = _texts(rows[at]), rows[at + 1 :]
        part = re.match(r"(.+?)[_-]\d+$", title)
        key = part[1] if part and re.match(r"(?i)channel[_ -]?\d|detail", title) else title
        if key in groups and groups[key][0] == names:
            groups[key][1].extend(body)
        else:
            groups[key if key not in groups else title] = (names, list(body))
    if not groups:
        raise FormatError(
            f"{path.name}: no sheet with headings of time and voltage or current; sheets: "
            f"{', '.join(book)}"[:300]
        )
    regions: dict[str, xr.Dataset] = {}
    refused: FormatError | None = None
    for key, (names, rows) in groups.items():
        columns = [
            [_cell(row[i]) if i < len(row) else "" for row in rows] for i in range(len(names))
        ]
        name = "cell" if len(groups) == 1 else key
        src = source(path, "cell_xlsx", name)
        try:
            regions[name] = as_dataset(Table(names, columns), path, src, told)
        except FormatError as error:  # a summary sheet beside the records
            refused = error
    if not regions and refused is not None:
        raise refused
    return {"cell": next(iter(regions.values()))} if len(regions) == 1 else regions


def _texts(row: tuple[Any, ...]) -> list[str]:
    return ["" if cell is None else str(cell).strip() for cell in row]


def _cell(value: Any) -> Any:
    """Return numbers as they are, dates and times as text the other readers know."""
    if value is None:
        return ""
    if isinstance(value, (datetime, date)):
        return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, timedelta):
        whole = value.total_seconds()
        return f"{int(whole // 3600)}:{int(whole % 3600 // 60):02d}:{whole % 60:06.3f}"
    if isinstance(value, time):
        return value.isoformat()
    return value


def _global(rows: Rows) -> dict[str, str]:
    """Return channel, start, procedure and operator of Arbin's first sheet."""
    known = {"Channel": "channel", "Start DateTime": "start", "Start_DateTime": "start",
             "Schedule File Name": "procedure", "Schedule_File_Name": "procedure",
             "Creator": "operator", "Test Name": "title"}  # fmt: skip
    for names, values in itertools.pairwise(rows):
        titles = _texts(names)
        if "Channel" in titles:
            told = {}
            for title, value in zip(titles, values, strict=False):
                if title in known and value is not None:
                    told[known[title]] = (
                        value.isoformat() if isinstance(value, datetime) else str(value)
                    )
            return told
    return {}


FORMATS = (
    Format(
        name="cell_xlsx",
        title="Workbooks of cyclers (Arbin, Neware)",
        suffixes=(".xlsx", ".xlsm", ".xls"),
        techniques=("cycling", "impedance", "temperature"),
        sniff=sniff,
        read=read,
    ),
)

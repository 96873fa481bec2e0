"""Tables with headings, as cyclers, loggers and impedance programs export them.

Read by what the headings say (`_cell_words`), so one reader serves Arbin (csv), Maccor, Basytec,
Neware (flat csv), Novonix, Battery Data Format, RelaxIS, Novocontrol/NEISYS, CH Instruments and
tables of one's own:

=================  ===================================================================
Maccor             title lines, ``Rec#  Cyc#  Step  TestTime  ...``, tabs or commas; time as
                   ``0d 00:00:05.0`` or plain numbers (unit by the dates of the rows); current
                   without sign, ``State`` or ``Md`` says C, D, R
Basytec            lines with ``~``, the last one the headings: ``~Time[s]  U[V]  I[A]  Ah[Ah]``
Arbin csv          ``Test_Time(s)``, ``Current(A)``, ``Charge_Capacity(Ah)``
Neware flat csv    ``DataPoint, Cycle Index, Step Type, Total Time, Current(A)``
Novonix            ``[Summary]`` ... ``[Data]``, ``Run Time (h)``, ``Potential (V)``
BDF                ``Test Time / s, Voltage / V, Current / A`` or ``test_time_second, ...``
RelaxIS, NEISYS    ``Data: Frequency  Data: Z'``; ``Freq.[Hz]  Zs'[ohm]  Zs''[ohm]``, the pellet's
                   size in attrs ``diameter_mm``, ``thickness_mm`` where it is stated
=================  ===================================================================

Encoding, mark between cells, decimal mark and dates: `_cell_text`, `_cell_numbers`. Units, signs
and counters of the result: `_cell_assemble`. A last row cut short keeps its whole cells (attrs
``cut_rows``). Rows without a number for time or frequency are left out and counted
(``skipped_rows``). Uncertainties: none in such files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import FormatError
from ._cell_assemble import as_dataset
from ._cell_columns import Table, suffices
from ._cell_numbers import one_stamp
from ._cell_text import decoded, find, read_table
from .base import HEAD_BYTES, Format, Options, Regions, read_bytes, source

_MAX_BYTES = 1024**3
_OTHERS = (b"EC-Lab ASCII FILE", b"BT-Lab ASCII FILE", b"EXPLAIN", b"ZPLOT2", b"VMP EXPERIMENT",
           b"EC-LAB SETTING")  # fmt: skip
_STARTS = ("start of test", "date of test", "started", "start time", "start date", "startzeit",
           "beginn", "start des tests", "teststart", "testbeginn", "beginn des tests")  # fmt: skip
_TITLES = {"name of test": "title", "battery": "cell", "name": "title", "cell": "cell",
           "testchannel": "channel", "channel": "channel", "procedure": "procedure",
           "testplan": "procedure", "filename": "title"}  # fmt: skip


def sniff(head: bytes, path: Path) -> bool:
    """Whether headings with known channels stand above rows of numbers."""
    if not head or head.startswith(_OTHERS) or _binary(head):
        return False
    text = decoded(head)
    lines = text.splitlines()
    if lines[:1] == ["[Summary]"] and "Novonix" in "".join(lines[1:4]):
        return True
    if len(head) >= HEAD_BYTES:
        lines = lines[:-1]
    if not lines or is_layered(lines) or is_eclab(lines[0]):
        return False
    return find(lines) is not None


def _binary(head: bytes) -> bool:
    return b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff"))


def is_layered(lines: Sequence[str]) -> bool:
    """Whether the first three lines are headings of cycles, steps and records, each indented."""
    layers = [re.split(r"[\t,;]", line.strip('"\ufeff')) for line in lines[:3]]
    if len(layers) < 3 or min(len(layer) for layer in layers) < 3:
        return False
    first = [[cell.strip().strip('"') for cell in layer] for layer in layers]
    return (
        bool(first[0][0])
        and not first[1][0]
        and bool(first[1][1])
        and not any(first[2][:2])
        and bool(suffices(first[2]))
    )


def is_eclab(line: str) -> bool:
    """Whether a line is EC-Lab's headings without the program's lines above."""
    names = line.rstrip("\r\n\t ").split("\t")
    return len(names) > 1 and (
        names[0] == "mode"
        or any(name in ("Ewe/V", "Ecell/V", "<Ewe>/V", "<Ewe/V>") for name in names)
        or {"freq/Hz", "Re(Z)/Ohm"} <= set(names)
    )


def read(path: Path, options: Options) -> Regions:
    """Read the table."""
    raw = read_bytes(path, limit=_MAX_BYTES)
    if _binary(raw[:HEAD_BYTES]):
        raise FormatError(f"{path.name}: not a text file; export the data as text or csv")
    text = decoded(raw)
    start = text.find("[Data]")
    if text.startswith("[Summary]") and start > 0:
        told, text = _header(text[:start].splitlines()), text[start:]
    else:
        told = dict[str, str]()
    table, above, cut = read_table(text, path)
    table = _as_recorded(table, told)
    told = {**_header(above), **told}
    if cut:
        told["cut_rows"] = "1"
    ds = as_dataset(table, path, source(path, "cell_table", "cell"), told)
    return {"cell": ds}


def _as_recorded(table: Table, told: dict[str, str]) -> Table:
    """Keep the tester's own columns where a program added converted ones beside them.

    A known exporter writes ``Current / A`` from Arbin's ``Current`` as if that were in mA.
    """
    if not {"Test_Time", "Current", "Voltage"} <= set(table.headings):
        return table
    keep = [i for i, heading in enumerate(table.headings) if " / " not in heading]
    keep = [i for i in keep if table.headings[i] not in ("Time", "Capacity", "full cycle")]
    if len(keep) < len(table.headings):
        told["columns_note"] = "Arbin's own columns (A, Ah) used, not those converted from them"
    headings = [table.headings[i] for i in keep]
    return Table(headings, [table.columns[i] for i in keep], table.comma)


def _header(lines: Sequence[str]) -> dict[str, str]:
    """Return start, title, cell and channel from the lines above a table."""
    told: dict[str, str] = {}
    novocontrol = re.match(
        r"^(.+), (\d\d\.\d\d\.\d{4}), (\d\d:\d\d)\s*$", lines[0] if lines else ""
    )
    if novocontrol is not None:
        when = one_stamp(f"{novocontrol[2]} {novocontrol[3]}")
        told = {"title": novocontrol[1].strip(), "start": when.isoformat() if when else ""}
    for key, value in re.findall(
        r"(Diameter|Thickness)\s*\[mm\]:\s*([\d.eE+-]+)", "\n".join(lines[:5])
    ):
        told[f"{key.lower()}_mm"] = value
    dated = re.search(r"Date of Test:?[\s,]+([^\t\n]+?)\s*(?:\t|$)", "\n".join(lines[:5]))
    if dated is not None:  # Maccor, wherever in its title line
        when = one_stamp(dated[1])
        if when is not None:
            told["start"] = when.isoformat()
    first = one_stamp(lines[0]) if lines else None
    if first is not None:  # CH Instruments begins with the date
        told["start"] = first.isoformat()
    for line in lines[:400]:
        for part in re.split(r"\t(?=[A-Z][\w ]*:?\t)", line):
            match = re.match(r"^[~#\"]*\s*([A-Za-z][\w .'()]*?)\s*[:\t,=]+\s*(.+)$", part.strip())
            if match is None or len(part) > 500:
                continue
            key, value = match[1].strip().lower(), match[2].strip().strip('",\t ')
            if key in _STARTS and "start" not in told:
                when = one_stamp(value)
                if when is not None:
                    told["start"] = when.isoformat()
            elif key in _TITLES and value and _TITLES[key] not in told:
                told[_TITLES[key]] = value[:200]
    return told


FORMATS = (
    Format(
        name="cell_table",
        title="Tables of cyclers, loggers, impedance (Arbin, Maccor, Basytec, Novonix, BDF ...)",
        suffixes=(".csv", ".txt", ".dat", ".tsv", ".bdf"),
        techniques=(
            "cycling",
            "impedance",
            "voltammetry",
            "temperature",
            "pressure",
            "strain",
        ),
        sniff=sniff,
        read=read,
    ),
)

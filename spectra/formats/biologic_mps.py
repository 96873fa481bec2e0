"""EC-Lab settings (.mps) and loop lists (_LOOP.txt): the schedule of a measurement, not its data.

``.mps``: line 1 ``EC-LAB SETTING FILE``, then for each ``Technique : n`` its name and lines of a
key and one value per sequence, in columns of 20 characters; Latin-1. Each sequence of a
galvanostatic technique (``Is``, ``unit Is``, ``t1 (h:m:s)``, ``tR (h:m:s)``) becomes a point with
``current`` mA, ``duration`` s and ``rest`` s; all techniques appear with their number in
``technique_number``, others without a current. attrs ``techniques`` names them, ``repeats`` says
how often a loop goes back.

``_LOOP.txt``: line 1 ``VMP EXPERIMENT LOOP INDEXES``, then one whole number per line: the row of
the table at which a loop begins, last the number of rows. They become ``first_row``.
Uncertainties: none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..channels import channels
from ..errors import FormatError
from ._biologic_beside import LOOPS, SETTINGS, loop_rows, settings
from .base import Format, Options, Regions, source


def sniff_settings(head: bytes, path: Path) -> bool:
    """Whether the first line is that of a settings file."""
    return head[:19].upper() == SETTINGS


def sniff_loops(head: bytes, path: Path) -> bool:
    """Whether the first line is that of a list of loops."""
    return head.startswith(LOOPS)


def read_settings(path: Path, options: Options) -> Regions:
    """Read the sequences of all techniques."""
    techniques = settings(path)
    rows = [
        (technique.number, sequence.current, sequence.duration, sequence.rest)
        for technique in techniques
        for sequence in technique.sequences
    ]
    if not rows:
        raise FormatError(f"{path.name}: settings without any technique: the file may be truncated")
    table = np.array(rows, dtype=float)
    ds = channels(
        np.arange(len(rows), dtype=float),
        {
            "technique_number": (table[:, 0], "1"),
            "current": (table[:, 1], "mA"),
            "duration": (table[:, 2], "s"),
            "rest": (table[:, 3], "s"),
        },
        technique="cycling",
        along="point",
        attrs={
            "note": "settings, not data: what was to be done; the data are in the .mpr files",
            "techniques": "; ".join(t.name for t in techniques),
            "repeats": max((t.repeats for t in techniques), default=0),
        },
        source=source(path, "biologic_mps", "settings"),
    )
    return {"settings": ds}


def read_loops(path: Path, options: Options) -> Regions:
    """Read the rows at which loops begin."""
    rows = loop_rows(path)
    ds = channels(
        np.arange(rows.size, dtype=float),
        {"first_row": (rows.astype(float), "1")},
        technique="cycling",
        along="point",
        attrs={"note": "rows at which loops begin, last the number of rows; open the table itself"},
        source=source(path, "biologic_loop", "loops"),
    )
    return {"loops": ds}


FORMATS = (
    Format(
        name="biologic_mps",
        title="EC-Lab settings",
        suffixes=(".mps",),
        techniques=("cycling",),
        sniff=sniff_settings,
        read=read_settings,
    ),
    Format(
        name="biologic_loop",
        title="EC-Lab loop list",
        suffixes=(".txt",),
        techniques=("cycling",),
        sniff=sniff_loops,
        read=read_loops,
    ),
)

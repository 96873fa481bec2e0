"""IAEA/Ortec ASCII gamma spectra (.Spe, .spe): ``$KEY:`` lines, one count per line.

``$MEAS_TIM:`` live and real time (s); ``$DATA:`` first and last channel, then the counts;
``$MCA_CAL:`` number of coefficients, then c0 c1 c2 and the unit (keV where none is named);
``$ENER_FIT:`` c0 c1 is used where ``$MCA_CAL:`` is missing or empty. Colons after the keys may be
missing, decimal commas are read. Kromek writes the same without a calibration. Counts are integers.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..errors import FormatError
from ._mca import TECHNIQUES, as_counts, mca, technique_of, usable
from .base import Format, Options, Regions, read_bytes, source

_KEY = re.compile(r"^\$([A-Z_]+[A-Z_ \d]*)(?::|[ \t]*$)", re.M)


def _sniff(head: bytes, path: Path) -> bool:
    text = head.lstrip(b"\xef\xbb\xbf \r\n")
    return (text.startswith(b"$") and b"$SPEC_ID:" in head) or (
        text.startswith(b"$") and b"$DATA:" in head
    )


def read(path: Path, options: Options) -> Regions:
    """Read the one spectrum of the file.

    Raises
    ------
    FormatError
        If ``$DATA:`` is missing, short or not numbers.
    """
    text = read_bytes(path, limit=64 * 1024**2).decode("latin-1").replace("\r\n", "\n")
    marks = list(_KEY.finditer(text))
    blocks = {
        m[1].strip(): text[m.end() : (marks[i + 1].start() if i + 1 < len(marks) else None)].strip()
        for i, m in enumerate(marks)
    }
    if "DATA" not in blocks:
        raise FormatError(f"{path.name}: no $DATA: block; the file is truncated or not a spectrum")
    words = blocks["DATA"].split()
    try:
        first, last = int(words[0]), int(words[1])
        counts = np.array(words[2:], dtype=float)
    except (ValueError, IndexError):
        raise FormatError(f"{path.name}: $DATA: holds something that is not a number") from None
    # some writers announce the number of channels instead of the last one
    if counts.size != last - first + 1 and not (first == 0 and counts.size == last):
        raise FormatError(
            f"{path.name}: $DATA: announces channels {first} to {last}, {counts.size} counts "
            "follow: the file is truncated; copy it again"
        )
    times = _numbers(blocks.get("MEAS_TIM", ""))
    scale: list[float] | None = None
    if "MCA_CAL" in blocks:
        rows = blocks["MCA_CAL"].split("\n")
        # the number of coefficients stands above them, but for writers that leave it out
        row = rows[0] if len(_numbers(rows[0])) > 1 else "\n".join(rows[1:2])
        scale = _numbers(row)
        if re.search(r"\beV\b", row):
            scale = [1e-3 * c for c in scale]
    if usable(scale) is None and "ENER_FIT" in blocks:
        scale = _numbers(blocks["ENER_FIT"])
    ds = mca(
        as_counts(counts, path),
        technique=technique_of(options),
        source=source(path, "ortec_spe"),
        scale=scale,
        first_channel=first,
        live_time=times[0] if times else None,
        real_time=times[1] if len(times) > 1 else None,
        attrs={
            key: blocks[name].split("\n")[0]
            for key, name in (("title", "SPEC_ID"), ("date", "DATE_MEA"))
            if blocks.get(name)
        },
    )
    return {path.stem: ds}


def _numbers(text: str) -> list[float]:
    out = []
    for word in text.split():
        try:
            out.append(float(word.replace(",", ".")))
        except ValueError:
            break
    return out


FORMATS = (
    Format("ortec_spe", "IAEA/Ortec gamma spectrum, text", (".spe",), TECHNIQUES, _sniff, read),
)

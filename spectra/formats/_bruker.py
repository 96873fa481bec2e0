"""Bruker's parameter files (``acqus``, ``procs`` ...), delay lists and titles.

The parser is our own: nmrglue's (0.12) never returns from a truncated file, and stops at a blank
line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from . import base

MAX_PARAMETER_BYTES = 8 * 1024**2
Parameters = dict[str, Any]


def parameters(path: Path) -> Parameters:
    """Parse an ``acqus`` or ``procs`` file; text in angle brackets, numbers and lists.

    Raises
    ------
    FormatError
        If the file is missing, has no parameter, or a text or list does not end.
    """
    if not path.is_file():
        raise FormatError(f"{path.parent.name}/{path.name}: no such file; the folder is incomplete")
    text = base.read_bytes(path, limit=MAX_PARAMETER_BYTES).decode("utf-8", "replace")
    found: Parameters = {}
    blocks = text.split("\n##")
    for block in blocks:
        key, equals, value = block.removeprefix("##").partition("=")
        if not equals or not key.startswith("$"):
            continue
        found[key[1:].strip()] = _value(value, path, key[1:])
    if not found:
        raise FormatError(f"{path.parent.name}/{path.name}: no '##$NAME= value' line in it")
    return found


def _value(text: str, path: Path, key: str) -> Any:
    text = "\n".join(line for line in text.split("\n") if not line.startswith("$$")).strip()
    if text.startswith("<"):
        if ">" not in text:
            raise FormatError(
                f"{path.parent.name}/{path.name}: {key} has no closing '>': the file is truncated"
            )
        return text[1 : text.index(">")]
    if text.startswith("("):
        return [_number(part) for part in text.partition(")")[2].split()]
    return _number(text)


def _number(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text.strip("<>")


def number(par: Parameters, key: str, place: str) -> float:
    """Return a parameter that must be a finite number; ``place`` names the file in the error."""
    value = par.get(key)
    if not isinstance(value, (int, float)) or not np.isfinite(value):
        raise FormatError(f"{place}: {key} is {value!r}, not a number; the folder is damaged")
    return float(value)


def text_of(folder: Path, name: str) -> str:
    """Return the text of a small file (a title, a delay list), empty where there is none."""
    path = folder / name
    return path.read_bytes()[:4000].decode("utf-8", "replace").strip() if path.is_file() else ""


def seconds(word: str) -> float | None:
    """Return a delay such as ``10m`` in s, or None if it is not one."""
    factor = {"s": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}.get(word[-1:].lower())
    try:
        return float(word[:-1]) * factor if factor else float(word)
    except ValueError:
        return None


def noise_factor(procs: Parameters, acqus: Parameters, points: int, width: float) -> float | None:
    """How much larger noise is for a broad line than point to point, from window and zero filling.

    Noise of the signal is white; a window ``w`` over ``n`` complex points and a transform to ``N``
    points leave neighbouring points correlated, so that the spread of one point understates the
    uncertainty of a broad line by ``sqrt(N / (2 sum w**2))`` (1 where the points are independent).
    """
    size = procs.get("TDeff") or acqus.get("TD")
    window = procs.get("WDW", 0)
    if not isinstance(size, (int, float)) or size < 4 or window not in (0, 1):
        return None
    t = np.arange(int(min(size // 2, points))) / width
    lb = procs.get("LB", 0.0) if window == 1 else 0.0
    if not isinstance(lb, (int, float)) or lb < 0:
        return None
    return float(np.sqrt(max(1.0, points / (2.0 * np.sum(np.exp(-2.0 * np.pi * lb * t))))))


def group_delay(acqus: Parameters) -> float:
    """Delay of the digital filter in points: GRPDLY, or by DSPFVS and DECIM on older consoles."""
    stated = acqus.get("GRPDLY", -1)
    if isinstance(stated, (int, float)) and stated > 0:
        return float(stated)
    firmware, decimation = acqus.get("DSPFVS", 0), acqus.get("DECIM", 1)
    if not acqus.get("DIGMOD", 0) or firmware not in (10, 11, 12, 13):
        return 0.0
    from nmrglue.fileio.bruker import bruker_dsp_table

    table = bruker_dsp_table.get(firmware, {})
    return float(table.get(int(decimation), 0.0))

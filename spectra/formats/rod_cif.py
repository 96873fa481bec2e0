"""Raman Open Database ``.rod`` files: CIF with ``_raman_`` items.

One loop holds ``_raman_spectrum.raman_shift`` (1/cm) and ``_raman_spectrum.intensity`` (or
``raw_intensity``, ``counts``); other loops and items describe sample and device. Values may be
quoted, in text fields between lines of ``;``, or carry an uncertainty in brackets (dropped). Each
``data_`` block with a spectrum becomes a region. Intensities are as published: whole ones are
counts. Uncertainties: none in the file.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..errors import FormatError
from . import _raman
from .base import Format, Options, Regions

NAME = "rod_cif"
_SHIFT = "_raman_spectrum.raman_shift"
_INTENSITY = tuple(f"_raman_spectrum.{n}" for n in ("intensity", "raw_intensity", "counts"))
_WORD = re.compile(r"#.*|'(?:[^']|'(?=\S))*'|\"(?:[^\"]|\"(?=\S))*\"|\S+")
_DEVICE = "_raman_measurement_device."
_ATTRS = {
    "_chemical_name_mineral": "mineral",
    "_chemical_name_systematic": "chemical_name",
    "_chemical_formula_sum": "formula",
    "_rod_database.code": "rod_code",
    "_journal_paper_doi": "doi",
    f"{_DEVICE}excitation_laser_wavelength": "laser_nm",
    f"{_DEVICE}power_on_sample": "laser_power_mW",
    f"{_DEVICE}resolution": "resolution_1_per_cm",
    "_raman_measurement.integration_time": "acquisition_time_s",
    "_raman_measurement.temperature": "temperature_K",
}


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is CIF text with items of the Raman Open Database."""
    text = _raman.head_text(head)
    items = "\n_raman_" in text or "\n_rod_database" in text
    return items and re.search(r"^data_", text, re.MULTILINE) is not None


def _words(text: str) -> list[str]:
    """Words of CIF; text fields and quoted words begin with NUL so as not to be taken for names."""
    found: list[str] = []
    field: list[str] | None = None
    for line in text.splitlines():
        if line.startswith(";"):
            if field is None:
                field = [line[1:]]
            else:
                found.append("\0" + " ".join(" ".join(field).split()))
                field = None
        elif field is not None:
            field.append(line)
        else:
            for word in _WORD.findall(line):
                if word.startswith("#"):
                    break
                quoted = len(word) > 1 and word[0] in "'\"" and word[-1] == word[0]
                found.append("\0" + word[1:-1] if quoted else word)
    return found


def read(path: Path, options: Options) -> Regions:
    """Read every block with a spectrum."""
    words = _words(_raman.text_of(path))
    found: dict[str, xr.Dataset] = {}
    starts = [i for i, w in enumerate(words) if w.lower().startswith("data_")]
    for start, stop in pairwise([*starts, len(words)]):
        items, loops = _block(path, words[start + 1 : stop])
        for loop in loops:
            if _SHIFT in loop:
                name = words[start][5:] or "raman"
                while name in found:
                    name += "_"
                found[name] = _spectrum(path, items, loop, name)
    if not found:
        raise FormatError(f"{path.name}: no loop with {_SHIFT}: no spectrum, or truncated")
    return {"raman": found.popitem()[1]} if len(found) == 1 else found


def _block(path: Path, words: list[str]) -> tuple[dict[str, str], list[dict[str, list[str]]]]:
    items: dict[str, str] = {}
    loops: list[dict[str, list[str]]] = []
    at = 0
    while at < len(words):
        word = words[at]
        if word.lower() == "loop_":
            at += 1
            start = at
            while at < len(words) and words[at].startswith("_"):
                at += 1
            names = [w.lower() for w in words[start:at]]
            start = at
            while at < len(words) and not words[at].startswith("_") and words[at] != "loop_":
                at += 1
            values = words[start:at]
            if names and len(values) % len(names):
                raise FormatError(
                    f"{path.name}: the loop of {names[0]} has {len(values)} values for "
                    f"{len(names)} columns: truncated or damaged"
                )
            loops.append({n: values[i :: len(names)] for i, n in enumerate(names)})
        elif word.startswith("_") and at + 1 < len(words):
            items[word.lower()] = words[at + 1].lstrip("\0")
            at += 2
        else:
            at += 1
    return items, loops


def _numbers(path: Path, values: list[str], name: str) -> npt.NDArray[np.float64]:
    found = [_raman.number(re.sub(r"\(\d+\)$", "", v.lstrip("\0"))) for v in values]
    bad = next((v for v, n in zip(values, found, strict=True) if n is None), None)
    if bad is not None or len(found) < 2:
        shown = (bad or "")[:20].lstrip("\0")
        raise FormatError(f"{path.name}: {name}: {shown!r} is no number, or fewer than two rows")
    return np.array(found, dtype=float)


def _spectrum(
    path: Path, items: dict[str, str], loop: dict[str, list[str]], name: str
) -> xr.Dataset:
    column = next((n for n in _INTENSITY if n in loop), None)
    if column is None:
        raise FormatError(f"{path.name}: the spectrum has none of {', '.join(_INTENSITY)}")
    attrs: dict[str, object] = {}
    for key, attr in _ATTRS.items():
        value = items.get(key, "")
        if value not in ("", "?", "."):
            number = attr.endswith(("_nm", "_mW", "_cm", "_s", "_K"))
            attrs[attr] = _raman.leading(value) if number else value
    corrected = [
        what
        for what in ("background_subtraction", "baseline_correction")
        if items.get(f"_raman_measurement.{what}", "no").lower() not in ("no", "none", "?", ".")
    ]
    attrs["processing"] = ", ".join(corrected)
    axis = ("raman_shift", _numbers(path, loop[_SHIFT], _SHIFT))
    return _raman.raman(
        path, NAME, _numbers(path, loop[column], column), axis, attrs=attrs, region=name
    )


FORMATS = (Format(NAME, "Raman Open Database CIF", (".rod", ".cif"), ("raman",), sniff, read),)

"""dmfit archives (``.fxmla``): XML around a SIMPSON text block with the measured spectrum.

The measured block is read as `spectra.formats.simpson_spe` reads it. The fitted model (per line its
kind, amplitude, position, width, anisotropy ``dCS`` ...) is kept as JSON in
``attrs["dmfit_model"]``; ``dCS`` has the sign of ``zeta`` on the shift scale. The XML is searched
as text: no parser, nothing to expand. No uncertainty is stored.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..errors import FormatError
from . import base
from ._nmr import nucleus_name
from .base import Format, Options, Regions
from .simpson_spe import parse

NAME = "dmfit_fxmla"
MAX_BYTES = 512 * 1024**2


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is XML whose root is ``NMRFit``."""
    return b"<NMRFit" in head[:2000] and head.lstrip()[:1] == b"<"


def read(path: Path, options: Options) -> Regions:
    """Read the measured data of a dmfit archive, and its model."""
    text = base.read_bytes(path, limit=MAX_BYTES).decode("utf-8", "replace")
    begin, end = text.find("SIMP"), text.find("\nEND")
    if begin < 0 or end < begin:
        raise FormatError(
            f"{path.name}: no SIMPSON block 'SIMP ... END' in it; the archive is truncated or was "
            "saved without data"
        )
    model = _model(text[:begin])
    attrs: dict[str, Any] = {"nucleus": model.get("nucleus", "")}
    if model:
        attrs["dmfit_model"] = json.dumps(model)
    attrs["calibration"] = "as referenced in dmfit"
    ds = parse(path.name, text[begin : end + 4], base.source(path, NAME), attrs)
    return {str(ds.attrs.get("nucleus", "nmr")): ds}


def _model(text: str) -> dict[str, Any]:
    """Fitted numbers of the archive by plain search: no XML parser, nothing to expand."""

    def found(tag: str, part: str) -> float | None:
        match = re.search(rf"<{tag}(?:\s[^>]*)?>\s*([-+0-9.eE]+)\s*</{tag}>", part)
        return float(match[1]) if match else None

    model: dict[str, Any] = {}
    if match := re.search(r"<nucleus>([^<]{1,10})</nucleus>", text):
        model["nucleus"] = nucleus_name(match[1])
    for key, tag in (("frequency_MHz", "frequency"), ("spinning_Hz", "spinrate")):
        value = found(tag, text)
        if value is not None:
            model[key] = value
    lines = []
    for block in re.findall(r"<line>(.*?)</line>", text, re.DOTALL)[:200]:
        name = re.search(r"<ModelName>([^<]{1,60})</ModelName>", block)
        numbers = {
            tag: found(tag, block)
            for tag in ("amp", "pos", "wid", "gl", "dCS", "etaCS", "nuQ", "etaQ", "CQ")
        }
        lines.append(
            {"model": name[1] if name else ""} | {k: v for k, v in numbers.items() if v is not None}
        )
    if lines:
        model["lines"] = lines
    return model


FORMATS = (
    Format(
        name=NAME,
        title="dmfit archive",
        suffixes=(".fxmla", ".fxml"),
        techniques=("nmr",),
        sniff=sniff,
        read=read,
    ),
)

"""Horiba LabSpec 6 ``.xml``: the tree of a LabSpec document as nested ``LSX`` elements.

``LSX_Tree`` holds the header, ``LSX_Matrix`` one ``LSX_Row`` per spectrum. The list of axes
(ID ``0x7B697861``) numbers them: 0 intensity, 1 spectral, then ``X``, ``Y``, ``Z`` or ``Time``;
each has a type (``0x6D707974``), a unit (``0x7C696E75``) and its values (``0x7D6CD4DB``). Rows run
with axis 2 fastest. The record list (``0x8716361``) holds the acquisition's entries: name
(``0x6D6D616E``), value (``0x7D6C61DB``) and, for wheels, the exact number (``0x8736F70``).

Units: intensity ``Cnt`` or ``Cnt/sec``, axis 1/cm or nm (stays a wavelength), stage um.
No uncertainty is stored. XML entities are refused. Layout after files and RosettaSciIO's notes.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from . import _horiba, _raman, _xml
from .base import Format, Options, Regions, read_bytes

NAME = "horiba_xml"
_AXES, _TYPE, _UNIT, _VALUES = "0x7B697861", "0x6D707974", "0x7C696E75", "0x7D6CD4DB"
_NAME, _VALUE, _EXACT = "0x6D6D616E", "0x7D6C61DB", "0x8736F70"
_ATTRS = {
    "Acq. time (s)": "acquisition_time_s",
    "Accumulations": "accumulations",
    "Laser (nm)": "laser_nm",
    "Objective": "objective",
    "Grating": "grating",
    "Instrument": "instrument",
    "Detector": "detector_name",
    "Title": "title",
    "Sample": "sample",
    "X (µm)": "stage_x_um",
    "Y (µm)": "stage_y_um",
    "Z (µm)": "stage_z_um",
}


def sniff(head: bytes, path: Path) -> bool:
    """Whether the root element is ``LSX_Data``."""
    return b"<LSX_Data" in head[:600] or b"<LSX_Data" in head[:1200].replace(b"\0", b"")


def read(path: Path, options: Options) -> Regions:
    """Read the one data set."""
    root = _xml.parse(read_bytes(path, limit=_raman.MAX_TEXT), path.name)
    tree, matrix = root.find("LSX_Tree"), root.find("LSX_Matrix")
    if tree is None or matrix is None:
        raise FormatError(f"{path.name}: no LSX_Tree or LSX_Matrix: the export is not whole")
    axes = next((e for e in tree.iter("LSX") if e.get("ID") == _AXES), None)
    if axes is None:
        raise FormatError(f"{path.name}: no list of axes in the header; export it again")
    labels = [(_text(a, _TYPE), _text(a, _UNIT), _numbers(path, a)) for a in axes]
    if len(labels) < 2:
        raise FormatError(f"{path.name}: {len(labels)} axes; intensity and spectrum are the least")
    spectral = next((entry for entry in labels if entry[0].startswith("Spectr")), labels[1])
    data = _matrix(path, matrix, spectral[2].size)
    return {"raman": _horiba.assemble(path, NAME, labels, data, _attrs(tree))}


def _text(element: ElementTree.Element, key: str) -> str:
    found = next((e for e in element if e.get("ID") == key), None)
    return (found.text or "").strip() if found is not None else ""


def _floats(path: Path, text: str | None, what: str) -> npt.NDArray[np.float64]:
    try:
        return np.array((text or "").replace(",", ".").split(), dtype=float)
    except ValueError:
        raise FormatError(f"{path.name}: {what} holds something that is no number") from None


def _numbers(path: Path, axis: ElementTree.Element) -> npt.NDArray[np.float64]:
    return _floats(path, _text(axis, _VALUES), f"axis {_text(axis, _TYPE)!r}")


def _matrix(path: Path, matrix: ElementTree.Element, points: int) -> npt.NDArray[np.float64]:
    found = [
        _floats(path, row.text, f"row {number}")
        for number, row in enumerate(matrix.iter("LSX_Row"))
    ]
    if not found:
        flat = _floats(path, matrix.text, "the matrix")
        found = list(flat.reshape(-1, points)) if points and flat.size % points == 0 else [flat]
    for number, row in enumerate(found):
        if row.size != points or points < 2:
            raise FormatError(
                f"{path.name}: row {number} holds {row.size} values, the axis {points}: truncated"
            )
    return np.array(found)


def _attrs(tree: ElementTree.Element) -> dict[str, object]:
    attrs: dict[str, object] = {}
    for entry in tree.iter("LSX"):
        name = _ATTRS.get(_text(entry, _NAME))
        value = (_text(entry, _EXACT) if name == "laser_nm" else "") or _text(entry, _VALUE)
        if name is None or not value or name in attrs:
            continue
        numeric = name.endswith(("_s", "_nm", "_um")) or name == "accumulations"
        attrs[name] = _raman.leading(value) if numeric else value
    return attrs


FORMATS = (Format(NAME, "Horiba LabSpec XML", (".xml",), ("raman",), sniff, read),)

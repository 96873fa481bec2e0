"""Find file formats: every module of this package with ``FORMATS``, a tuple of `Format` records."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from references.errors import nearest

from ..errors import FormatError, TechniqueNeeded
from ._hdf5_declare import MAGIC, undeclared
from .base import HEAD_BYTES, Format, Options, Regions

_NOT_FORMATS = frozenset({"base", "registry"})


@cache
def formats() -> dict[str, Format]:
    """Return all formats by name."""
    package = importlib.import_module(__package__)
    found: dict[str, Format] = {}
    for module in pkgutil.iter_modules(package.__path__):
        if module.name in _NOT_FORMATS or module.name.startswith("_"):
            continue
        for record in importlib.import_module(f"{__package__}.{module.name}").FORMATS:
            if record.name in found:
                raise FormatError(f"format {record.name!r} is registered twice")
            found[record.name] = record
    return found


def identify(path: Path) -> Format:
    """Return the one format that claims a file or folder.

    Raises
    ------
    FormatError
        If no format claims it, or more than one does.
    """
    if not path.exists():
        raise FormatError(f"{path.name}: no such file; check the name and the folder")
    head = b""
    if path.is_file():
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
        if not head:
            raise FormatError(f"{path.name}: the file is empty")
    claims = [record for record in formats().values() if record.sniff(head, path)]
    claims = [record for record in claims if not record.generic] or claims
    if not claims and head.startswith(MAGIC):
        raise FormatError(f"{path.name}: {undeclared(path)}")
    if not claims:
        raise FormatError(f"{path.name}: not a format known here: {_why_not(path)}")
    if len(claims) > 1:
        raise FormatError(
            f"{path.name}: claimed by {', '.join(c.name for c in claims)}; name one with --format"
        )
    return claims[0]


_SAVE_AS = {
    ".kal": "Kratos's own files are not read; export VAMAS (.vms) from its program",
    ".zip": "of zips only TopSpin experiments and Scienta DA30 archives are read; unpack it",
    ".itx": "of Igor text only SPECS Prodigy's export is read; save two columns as .txt",
    ".dset": "Kratos's own files are not read; export VAMAS (.vms) from its program",
    ".spa": "OMNIC's own files are not read; save the spectrum as JCAMP-DX, SPC or csv",
    ".srs": "OMNIC's own series are not read; save the spectra as JCAMP-DX, SPC or csv",
    ".sif": "Andor's own files are not read; export them as ascii from Solis",
    ".0": "OPUS's own files are not read; save the spectrum as JCAMP-DX or a data point table",
    ".ngs": "LabSpec 5's own files are not read; save them as .txt or .xml, with the axes",
    ".tnt": "this Tecmag file has no TNMR header; save it from TNMR again",
}
"""What to do with files of programs whose own format is not read, or not of this content."""


def _why_not(path: Path) -> str:
    """Say what no format found in a file or folder, and what to do."""
    if path.is_dir():
        return "the folder is no measurement by itself; name a file in it"
    suffix = path.suffix.lower()
    if not suffix:
        return "its content is of no known format; if it belongs to a measurement, name the folder"
    if suffix in _SAVE_AS:
        return _SAVE_AS[suffix]
    same = sorted(record.name for record in formats().values() if suffix in record.suffixes)
    if not same:
        return f"no format has files ending in {suffix!r}; see 'interphase formats'"
    which = f"that of {' or '.join(same)}"
    if len(same) > 4:
        which = f"that of any of the {len(same)} formats with {suffix} files"
    if "table_text" in same:
        told = (
            "columns of numbers below a header of their own open with --format table_text (two) or"
        )
        return f"its content is not {which}; {told} columns_text, and --technique"
    return f"its content is not {which}; export it as a table of columns, see 'interphase formats'"


def read(path: Path, *, format: str | None = None, technique: str | None = None) -> Regions:
    """Read every region of a file.

    Parameters
    ----------
    path : Path
        File, or folder for formats that are folders.
    format : str, optional
        Name of the format, instead of asking the content.
    technique : str, optional
        What was measured, where the file does not say.

    Returns
    -------
    mapping of str to xr.Dataset
        Spectra by region name.
    """
    if format is not None and format not in formats():
        raise FormatError(f"format {format!r}: {nearest(format, formats())}")
    record = formats()[format] if format is not None else identify(path)
    if technique is not None and technique not in record.techniques:
        raise FormatError(
            f"{path.name}: files of the format {record.name} hold "
            f"{' or '.join(record.techniques)}, not {technique!r}"
        )
    if technique is None and len(record.techniques) > 1:
        try:
            return record.read(path, Options(None))
        except TechniqueNeeded:
            raise FormatError(
                f"{path.name}: the content does not say what was measured; "
                f"pass --technique, one of {', '.join(record.techniques)}"
            ) from None
    return record.read(path, Options(technique or record.techniques[0]))

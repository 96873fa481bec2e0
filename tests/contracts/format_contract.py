"""What every file format must keep to; itself tested with bad dummies.

Each function raises AssertionError in words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from spectra.channels import check_channels
from spectra.convention import check
from spectra.errors import ConventionError, FormatError
from spectra.formats.base import HEAD_BYTES, Format, Options, Regions


def record_is_whole(record: Format) -> None:
    """Name, title, techniques and endings are as the registry and the help text need them."""
    assert record.name.isidentifier(), f"{record.name!r} is not an identifier"
    assert record.title, f"{record.name}: no title"
    assert record.techniques, f"{record.name}: no technique"
    for suffix in record.suffixes:
        assert suffix.startswith("."), f"{record.name}: ending {suffix!r} has no dot"
        assert suffix == suffix.lower(), f"{record.name}: ending {suffix!r} is not lower case"


def head_of(path: Path) -> bytes:
    """Return what a sniff is given."""
    if path.is_dir():
        return b""
    with path.open("rb") as stream:
        return stream.read(HEAD_BYTES)


def claims(records: Iterable[Format], path: Path) -> list[str]:
    """Return the names of the formats that claim a file; a sniff must never raise."""
    head = head_of(path)
    found: list[Format] = []
    for record in records:
        try:
            claimed = record.sniff(head, path)
        except Exception as error:
            raise AssertionError(f"{record.name}: sniff raised {error!r} on {path.name}") from error
        if claimed:
            found.append(record)
    return [r.name for r in ([r for r in found if not r.generic] or found)]


def claimed_once(records: Iterable[Format], path: Path) -> None:
    """No file is claimed by two formats."""
    found = claims(records, path)
    assert len(found) <= 1, f"{path.name} is claimed by {', '.join(found)}"


def opens_to_checked_data(record: Format, path: Path) -> Regions:
    """A sample gives at least one region, each valid, with its file and hash recorded."""
    technique = record.techniques[0] if len(record.techniques) > 1 else None
    regions = record.read(path, Options(technique))
    assert regions, f"{record.name}: {path.name} gave no region"
    for name, ds in regions.items():
        assert name, f"{record.name}: a region without a name"
        if ds.attrs.get("convention") == "channels-1":
            check_channels(ds)
        else:
            check(ds)
        source = json.loads(ds.attrs.get("source", "[]"))
        assert source, f"{record.name}: {name!r} does not say its source"
        assert len(source[0]["sha256"]) == 64, f"{record.name}: no SHA-256"
        assert "/" not in source[0]["file"], f"{record.name}: a folder in the recorded file name"
    return regions


def damage_is_an_error_in_words(record: Format, damaged: Path) -> None:
    """A damaged file is a FormatError of one line that names it, or reads to valid data.

    Conventions may be refused too (a damaged axis); nothing else may be raised.
    """
    technique = record.techniques[0] if len(record.techniques) > 1 else None
    try:
        record.read(damaged, Options(technique))
    except FormatError as error:
        text = str(error)
        assert damaged.name in text, f"{record.name}: {text!r} does not name the file"
        assert "\n" not in text, f"{record.name}: more than one line: {text!r}"
    except ConventionError:
        return
    except Exception as error:
        raise AssertionError(f"{record.name}: {type(error).__name__}: {error}") from error

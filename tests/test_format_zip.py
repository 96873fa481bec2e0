"""Zip archives from strangers: sizes are known before memory is taken, damage is one line."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

import workbench as wb
from spectra.errors import FormatError
from spectra.formats._zip import opened


def _bomb(path: Path, name: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        part = zipfile.ZipInfo(name)
        part.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(part, "w", force_zip64=True) as stream:
            for _ in range(520):
                stream.write(bytes(1024**2))
    return path


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("a.brml", "Experiment0/RawData0.xml"),
        ("a.rasx", "Data0/Profile0.txt"),
        ("a.xlsx", "xl/workbook.xml"),
    ],
)
def test_a_small_file_that_unpacks_to_a_huge_one_is_refused(
    tmp_path: Path, file: str, part: str
) -> None:
    path = _bomb(tmp_path / file, part)
    assert path.stat().st_size < 1024**2
    with pytest.raises(FormatError, match=rf"{file}: unpacks to 5\d+ bytes; 5\d+ is the"):
        wb.open(path)


def test_a_part_that_does_not_match_its_checksum_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("x.txt", "10.0\t5\n" * 100)
    path.write_bytes(path.read_bytes().replace(b"10.0\t5", b"99.0\t5", 1))
    with pytest.raises(FormatError, match=r"a\.zip: not a whole zip \(Bad CRC"), opened(path) as z:
        z.read("x.txt")


def test_half_an_archive_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.brml"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Experiment0/RawData0.xml", "<RawData/>" * 1000)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(FormatError, match=r"a\.brml: not a whole zip .* copy it again"):
        wb.open(path)

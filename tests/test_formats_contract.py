"""Every registered format against the contract on real files; the contract against bad dummies."""

from __future__ import annotations

import dataclasses
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from spectra import formats
from spectra.convention import spectrum
from spectra.errors import FormatError
from spectra.formats.base import Format, source
from tests.contracts import format_contract as contract
from tests.shared_data import data_root

LARGEST = 1_500_000
RECORDS = formats.formats()


@cache
def files() -> tuple[Path, ...]:
    root = data_root()
    if root is None:
        return ()
    return tuple(sorted(p for p in root.rglob("*") if p.is_file()))


# Files that their README says may be refused: no sample of their format.
REFUSED = {"renishaw_test_undefined.wdf"}


@cache
def samples() -> dict[str, Path]:
    """The smallest file that each format claims; formats that are folders have none here."""
    found: dict[str, Path] = {}
    for path in sorted(files(), key=lambda p: (p.stat().st_size, str(p))):
        for name in contract.claims(RECORDS.values(), path):
            if path.name not in REFUSED:
                found.setdefault(name, path)
    return found


def sample(name: str) -> Path:
    if not files():
        pytest.skip("no shared measurements: set INTERPHASE_DATA to their folder")
    if name not in samples():
        pytest.skip(f"no shared measurement in the format {name}")
    return samples()[name]


@pytest.mark.parametrize("name", RECORDS)
def test_records(name):
    contract.record_is_whole(RECORDS[name])


def test_no_file_is_claimed_twice():
    if not files():
        pytest.skip("no shared measurements: set INTERPHASE_DATA to their folder")
    for path in files():
        contract.claimed_once(RECORDS.values(), path)


@pytest.mark.parametrize("name", RECORDS)
def test_its_own_sample_opens(name):
    path = sample(name)
    contract.opens_to_checked_data(RECORDS[name], path)


@pytest.mark.parametrize("name", RECORDS)
def test_damaged_files_are_refused_in_words(name, tmp_path):
    path = sample(name)
    if path.stat().st_size > LARGEST:
        pytest.skip("the sample is too large to damage many times")
    content = path.read_bytes()
    rng = np.random.default_rng(len(content))
    cuts = [int(share * len(content)) for share in (0.02, 0.3, 0.75, 0.97)]
    for number, cut in enumerate([*cuts, len(content)]):
        damaged = bytearray(content[: max(cut, 1)])
        if cut == len(content):
            for at in rng.integers(0, len(damaged), 12):
                damaged[int(at)] = int(rng.integers(0, 256))
        folder = tmp_path / str(number)
        folder.mkdir()
        target = folder / path.name
        for beside in path.parent.iterdir():
            if beside.is_file() and beside != path and beside.stat().st_size < LARGEST:
                shutil.copy(beside, folder / beside.name)
        target.write_bytes(bytes(damaged))
        contract.damage_is_an_error_in_words(RECORDS[name], target)


def dummy(**changes) -> Format:
    """A format that is right but for what is changed."""

    def read(path, options):
        if path.stat().st_size < 4:
            raise FormatError(f"{path.name}: ends at byte {path.stat().st_size} of 4")
        ds = spectrum([1, 2, 3], [1.0, 2.0, 3.0], technique="raman", axis_name="raman_shift",
                      source=source(path, "dummy"))  # fmt: skip
        return {"raman": ds}

    good = Format("dummy", "Dummy", (".dum",), ("raman",), lambda head, path: True, read)
    return dataclasses.replace(good, **changes)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.dum"
    path.write_bytes(b"good")
    return path


def raising(error):
    def function(*_):
        raise error

    return function


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"name": "a-b"}, "not an identifier"),
        ({"title": ""}, "no title"),
        ({"techniques": ()}, "no technique"),
        ({"suffixes": ("dum",)}, "has no dot"),
        ({"suffixes": (".DUM",)}, "not lower case"),
    ],
)
def test_the_contract_refuses_bad_records(bad, says):
    contract.record_is_whole(dummy())
    with pytest.raises(AssertionError, match=says):
        contract.record_is_whole(dummy(**bad))


def test_the_contract_refuses_greedy_and_raising_sniffs(file):
    contract.claimed_once([dummy()], file)
    with pytest.raises(AssertionError, match=r"a\.dum is claimed by dummy, other"):
        contract.claimed_once([dummy(), dummy(name="other")], file)
    with pytest.raises(AssertionError, match="sniff raised"):
        contract.claims([dummy(sniff=raising(ValueError("x")))], file)


def test_the_contract_refuses_bad_readers(file):
    contract.opens_to_checked_data(dummy(), file)
    contract.damage_is_an_error_in_words(dummy(), file)
    for bad, says in (
        (lambda p, o: {}, "no region"),
        (lambda p, o: {"": dummy().read(p, o)["raman"]}, "without a name"),
        (
            lambda p, o: {"a": dummy().read(p, o)["raman"].drop_attrs(deep=False)},
            "not 'spectrum-1'",
        ),
    ):
        with pytest.raises(Exception, match=says):
            contract.opens_to_checked_data(dummy(read=bad), file)
    for error, says in (
        (KeyError("x"), "KeyError"),
        (FormatError("something is wrong"), "does not name the file"),
        (FormatError("a.dum: two\nlines"), "more than one line"),
    ):
        with pytest.raises(AssertionError, match=says):
            contract.damage_is_an_error_in_words(dummy(read=raising(error)), file)

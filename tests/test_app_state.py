"""The app's state without a browser: a session is a recipe and its results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

import workbench as wb
from apps.state import Session
from workbench.recipe import Change


@pytest.fixture
def folder(tmp_path):
    """A folder with one small series and a file that is nothing."""
    history = wb.plating().isel(time=slice(30, 34))
    wb.save(wb.simulate("xps", history, settings={"region": "S 2p"}), tmp_path / "s2p.nc")
    (tmp_path / "notes.txt").write_text("nothing to read")
    return tmp_path


def test_from_file_to_amounts_and_the_same_numbers_from_the_recipe(folder, tmp_path):
    session = Session(folder=folder)
    assert session.files() == ["notes.txt", "s2p.nc"]
    session.open_named("s2p.nc")
    assert session.regions == ["S 2p"]
    assert "Li2S" in session.candidates()
    session.set_steps("calibrate", [{"method": "shift", "by": 0.1}])
    session.set_range((157.0, 168.0))
    session.propose(["Li6PS5Cl", "Li2S"], {"shift_range": 0.8})
    session.change("Li2S.area", Change(min=0.0))
    session.fit()
    assert not session.failed, session.message
    out = tmp_path / "out"
    out.mkdir()
    fit_file, recipe_file = session.export(out)
    again = wb.run_recipe(folder / "s2p.nc", wb.read_recipe(recipe_file))
    np.testing.assert_array_equal(again.fit["value"], wb.load(fit_file)["value"])
    np.testing.assert_array_equal(again.amounts["amount"], session.result.amounts["amount"])
    told = yaml.safe_load(recipe_file.read_text())
    assert told["change"] == {"Li2S.area": {"min": 0.0}}


def test_errors_are_messages_and_what_was_there_stays(folder):
    session = Session(folder=folder)
    session.open_named("s2p.nc")
    before = session.spectrum
    session.open_named("notes.txt")
    assert session.failed
    assert "notes.txt" in session.message
    assert session.spectrum is before
    session.propose(["Li2SS"], {})
    assert session.failed
    assert "did you mean" in session.message
    session.set_steps("calibrate", [{"method": "line", "at": 900.0}])
    assert session.failed
    assert session.draft.get("calibrate") is None


def test_files_outside_the_folder_are_refused(folder):
    session = Session(folder=folder)
    session.open_named("../../etc/passwd")
    assert session.failed
    assert "outside the folder" in session.message


@pytest.mark.parametrize("name", ["../../x.nc", "a\\b\\x.nc", ".hidden.nc", "x.nc\x00.sh"])
def test_a_dropped_file_keeps_to_its_inbox(folder, tmp_path, name):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    session = Session(folder=folder)
    session.open_dropped(name, (folder / "s2p.nc").read_bytes(), inbox)
    kept = list(inbox.iterdir())
    assert len(kept) == 1
    assert kept[0].parent == inbox
    assert not kept[0].name.startswith(".")
    assert not (Path(tmp_path).parent / "x.nc").exists()


def test_an_upload_that_is_too_large_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("apps.state.MAX_UPLOAD_BYTES", 10)
    session = Session(folder=folder)
    session.open_dropped("x.nc", b"x" * 11, tmp_path)
    assert session.failed
    assert not (tmp_path / "x.nc").exists()

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


def test_own_peaks_on_an_own_background_give_the_numbers_of_a_fit_by_hand(tmp_path):
    x = np.linspace(155.0, 170.0, 301)
    rng = np.random.default_rng(3)
    width = 1.1 / 2.3548200450309493
    clean = 50.0 + sum(
        900.0 * h * np.exp(-0.5 * ((x - at) / width) ** 2)
        for at, h in ((161.6, 1.0), (162.78, 0.5))
    )
    counts = rng.poisson(clean)
    table = "\n".join(f"{a:.3f},{b}" for a, b in zip(x, counts, strict=True))
    (tmp_path / "own.csv").write_text("Binding Energy (eV),Counts\n" + table + "\n")
    session = Session(folder=tmp_path)
    session.open_named("own.csv")
    assert session.technique is not None, session.message
    session.add_peak({"name": "A b"})
    assert session.failed
    assert "identifier" in session.message
    session.add_peak(
        {"name": "A", "shape": "gaussian", "center": 161.3, "fwhm": 1.5, "splitting": 1.18}
    )
    session.add_straight()
    session.add_peak({"name": "B", "shape": "gaussian", "center": 167.0})
    session.drop("B")
    assert [c.name for c in session.components] == ["A", "ground"]
    session.set_range((158.0, 168.0))
    assert [c.name for c in session.components] == ["A", "ground"]
    session.fit()
    assert not session.failed, session.message
    fit = session.result.fit
    for name, true in (
        ("A.center", 161.6),
        ("A.fwhm", 1.1),
        ("A.area", 900.0 * 1.5 * width * np.sqrt(2.0 * np.pi)),
    ):
        one = fit.sel(param=name)
        assert abs(float(one["value"]) - true) < 4.0 * float(one["stderr"]), name
    assert session.result.data.sizes["binding_energy"] == 201
    told = session.recipe()
    again = wb.run_recipe(tmp_path / "own.csv", told)
    np.testing.assert_array_equal(again.fit["value"], fit["value"])


def test_a_folder_that_is_a_measurement_can_be_picked(tmp_path):
    series = tmp_path / "series"
    for number in (1, 2):
        experiment = series / str(number)
        (experiment / "pdata" / "1").mkdir(parents=True)
        (experiment / "acqus").write_text("##TITLE= x\n##END=\n")
        (experiment / "pdata" / "1" / "procs").write_text("##TITLE= x\n##END=\n")
        (experiment / "fid").write_bytes(bytes(64))
    (series / "notes.csv").write_text("a,b\n")
    picked = Session(folder=tmp_path).files()
    assert picked == ["series/", "series/1/", "series/2/", "series/notes.csv"]


DEPTH = """
technique: ndp
depth:
  layers:
  - {name: collector, formula: Cu, areal_ug_cm2: 1800}
  - {name: plated, formula: Li, species: Li, grows: true}
  - {name: electrolyte, formula: Li6PS5Cl, areal_ug_cm2: 3000, species: Li6PS5Cl}
  detector: {fwhm_keV: 16}
  ions: tritons
  cells: 20
"""


def test_a_recipe_written_by_hand_is_taken_over_and_inverts_a_depth_profile(tmp_path):
    history = wb.plating().isel(time=slice(40, 43))
    wb.save(wb.simulate("ndp", history), tmp_path / "ndp.nc")
    session = Session(folder=tmp_path)
    session.use(DEPTH)
    assert session.failed
    assert "open a file first" in session.message
    session.open_named("ndp.nc")
    assert "technique: ndp" in session.text()
    session.use(DEPTH)
    assert not session.failed, session.message
    session.fit()
    assert not session.failed, session.message
    assert session.result.fit.attrs["convention"] == "depth-1"
    assert session.result.amounts.sizes["time"] == 3
    assert "depth:" in session.text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("technique: raman\npropose: {species: [Li2S]}", "the recipe is for raman"),
        ("technique: [xps", "line 1: not YAML"),
        ("a: &x 1\nb: *x", "aliases"),
        ("technique: xps\npropose: {species: [Li2S]}\nclibrate: []", "clibrate"),
        ("just words", "expected keys and values"),
        ("technique: xps\nopen: {region: P 2p}\npropose: {species: [Li2S]}", "P 2p"),
    ],
)
def test_a_recipe_that_does_not_fit_the_file_changes_nothing(folder, text, said):
    session = Session(folder=folder)
    session.open_named("s2p.nc")
    before = session.draft, session.prepared
    session.use(text)
    assert session.failed
    assert said in session.message
    assert (session.draft, session.prepared) == before

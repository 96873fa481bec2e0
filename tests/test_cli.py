"""The command line as a user meets it: output, exit status, one-line errors, nothing half done."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import numpy as np
import pytest
import yaml

import workbench as wb
from workbench.cli import main
from workbench.errors import UsageError


@pytest.fixture(scope="module")
def s2p(tmp_path_factory):
    """A small simulated S 2p series on disk."""
    folder = tmp_path_factory.mktemp("cli")
    history = wb.plating().isel(time=slice(20, 24))
    return wb.save(wb.simulate("xps", history, settings={"region": "S 2p"}), folder / "s2p.nc")


def run(capsys, *args):
    """Run the command; return status, stdout, stderr."""
    status = main([str(a) for a in args])
    out, err = capsys.readouterr()
    return status, out, err


def refused(capsys, *args):
    """Run a command that must fail; return its one line."""
    status, out, err = run(capsys, *args)
    assert status == 1
    assert out == ""
    assert err.startswith("interphase: ")
    assert err.count("\n") == 1
    return err


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from apps.launch import main; sys.argv = ['interphase', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'xarray', 'panel', 'pymatgen', 'numba', 'lmfit'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: interphase" in done.stdout


def test_open_tells_what_is_in_a_file(capsys, s2p):
    status, out, _ = run(capsys, "open", s2p, "--json")
    told = json.loads(out)
    assert status == 0
    assert told["technique"] == "xps"
    assert told["format"] == "interphase_nc"
    assert told["dims"]["time"] == 4
    assert told["axis"] == "binding_energy"
    assert told["regions"][0]["technique"] == "xps"


def test_open_draws(capsys, s2p, tmp_path):
    status, _, _ = run(capsys, "open", s2p, "--plot", tmp_path / "a.png")
    assert status == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_formats_and_species_as_json(capsys):
    _, out, _ = run(capsys, "formats", "--json")
    assert {"name", "techniques", "suffixes"} <= set(json.loads(out)[0])
    _, out, _ = run(capsys, "species", "list", "--json")
    assert "Li2S" in [s["id"] for s in json.loads(out)]
    _, out, _ = run(capsys, "species", "show", "Li2S", "--json")
    told = json.loads(out)
    assert all(line["source"] for line in told["lines"])


def test_fit_report_and_why(capsys, s2p, tmp_path):
    status, out, _ = run(capsys, "fit", s2p, "--species", "Li6PS5Cl,Li2S", "-o", tmp_path / "o.nc")
    assert status == 0
    assert "Li2S" in out
    status, _, _ = run(capsys, "report", tmp_path / "o.nc", "-o", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert status == 0
    assert "<script" not in page
    assert "http://" not in page
    assert "Li2S" in page
    status, out, _ = run(
        capsys, "why", tmp_path / "o.nc", "--param", "Li2S.area", "--at", "time=8000", "--json"
    )
    told = json.loads(out)
    assert told["inputs"][0]["file"] == "s2p.nc"
    assert told["recipe"]["propose"]["species"] == ["Li6PS5Cl", "Li2S"]
    assert told["versions"]["numpy"] == np.__version__
    assert told["param"]["stderr"] > 0
    assert told["param"]["correlations"]


def test_flagged_fits_exit_with_two_and_are_listed(capsys, s2p, tmp_path):
    recipe = {
        "technique": "xps",
        "propose": {"species": ["Li6PS5Cl", "Li2S"]},
        "change": {"Li6PS5Cl.fwhm": {"min": 0.2, "max": 0.5, "value": 0.4}},
    }
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    status, _, err = run(
        capsys, "fit", s2p, "--recipe", tmp_path / "r.yaml", "-o", tmp_path / "o.nc"
    )
    assert status == 2
    assert "flagged: time = " in err
    assert "at_bound" in err


def test_simulate_with_a_setting(capsys, tmp_path):
    status, _, _ = run(
        capsys, "simulate", "xps", "-o", tmp_path / "p.nc", "--set", "region=P 2p", "--seed", "4"
    )
    assert status == 0
    assert wb.open(tmp_path / "p.nc").attrs["region"] == "P 2p"


def test_species_check_passes_on_the_library(capsys):
    status, out, err = run(capsys, "species", "check")
    assert (status, err) == (0, "")
    assert "0 problems" in out


def test_identify_ranks_species_with_limits_of_the_absent(capsys, s2p):
    status, out, _ = run(capsys, "identify", s2p, "--elements", "Li P S Cl", "--json")
    told = json.loads(out)
    assert status == 0
    found = {f["species"]: f for f in told["findings"]}
    assert found["Li2S"]["verdict"] == found["Li6PS5Cl"]["verdict"] == "likely"
    assert found["Li2S"]["positional"]
    assert found["S8"]["verdict"] == "absent"
    assert 0 < found["S8"]["limit"] < 0.01
    assert told["unexplained"] == []
    status, out, _ = run(
        capsys, "identify", s2p, "--elements", "Li P S Cl", "--precursors", "Li6PS5Cl,Li"
    )
    assert "Li2S: certain" in out
    status, out, _ = run(capsys, "identify", s2p, "--candidates", "Li2S,S8")
    assert status == 2
    assert "Unexplained in spectrum 1: a peak" in out
    assert "Li6PS5Cl" not in out
    assert "'Unobtainium'" in refused(capsys, "identify", s2p, "--candidates", "Unobtainium")
    assert "elements" in refused(capsys, "identify", s2p, "--elements", "Au Pt")


def test_spectra_of_one_sample_are_identified_together(capsys, tmp_path):
    history = wb.plating().isel(time=slice(20, 24))
    files = [tmp_path / "s2p.nc", tmp_path / "p2p.nc"]
    for file, region in zip(files, ("S 2p", "P 2p"), strict=True):
        wb.save(wb.simulate("xps", history, settings={"region": region}), file)
    told = run(capsys, "identify", *files, "--candidates", "Li6PS5Cl,Li2S,Li3P", "--json")[1]
    found = {f["species"]: f for f in json.loads(told)["findings"]}
    assert {found[s]["verdict"] for s in ("Li6PS5Cl", "Li2S", "Li3P")} == {"certain"}
    assert found["Li2S"]["spectrum"] == 0
    assert found["Li3P"]["spectrum"] == 1
    out = run(capsys, "identify", *files, "--candidates", "Li6PS5Cl,Li2S,Li3P")[1]
    assert "in spectrum 2" in out


def test_steps_before_can_be_told_without_a_recipe(capsys, tmp_path):
    ds = wb.simulate("xps", wb.plating().isel(time=slice(20, 24)), settings={"region": "S 2p"})
    del ds.attrs["calibration"]
    path, result = tmp_path / "s2p.nc", tmp_path / "o.nc"
    wb.save(ds, path)
    species = ("--species", "Li6PS5Cl,Li2S", "-o", result)
    assert "(on the command line: --calibrate as_recorded)" in refused(
        capsys, "fit", path, *species
    )
    assert run(capsys, "fit", path, *species, "--calibrate", "as_recorded")[0] == 0
    moved = ("--calibrate", "method: shift, by: 0.25")
    told = json.loads(run(capsys, "open", path, "--json", *moved)[1])
    low = json.loads(run(capsys, "open", path, "--json")[1])["range"]
    assert told["range"] != low
    assert run(capsys, "identify", path, "--candidates", "Li6PS5Cl,Li2S", *moved)[0] == 0
    recipe = tmp_path / "r.yaml"
    recipe.write_text("technique: xps\ncalibrate: as_recorded\npropose: {species: [Li2S]}\n")
    both = ("--recipe", recipe, *moved)
    assert "--recipe has its own steps" in refused(capsys, "fit", path, *both, "-o", result)
    assert "--recipe has its own steps" in refused(capsys, "identify", path, *both)
    assert "not YAML" in refused(capsys, "open", path, "--calibrate", "method: [")
    wide = ("--set", "shift_range=0")
    fixed = run(capsys, "identify", path, "--candidates", "Li6PS5Cl,Li2S", *moved, *wide)
    assert fixed[0] == 2  # a quarter of an eV off, and the shift is fixed
    assert run(capsys, "fit", path, *species, *moved, *wide)[0] == 0
    assert wb.recipe(wb.load(result)).propose.settings == {"shift_range": 0}
    assert "'shift_rage'" in refused(capsys, "fit", path, *species, *moved, "--set", "shift_rage=1")
    assert "'by'" in refused(capsys, "open", path, "--calibrate", "method: shift, bye: 1")


def test_doctor_tells_versions_and_owners(capsys):
    status, out, _ = run(capsys, "doctor", "--json")
    found = {f["what"]: f for f in json.loads(out)}
    assert status == 0
    assert found["numpy"]["found"] == np.__version__
    assert found["owner of spectra"]["state"] == "ok"


def test_bad_input_is_one_line_that_says_what_to_do(capsys, s2p, tmp_path):
    (tmp_path / "cut.nc").write_bytes(s2p.read_bytes()[:4000])
    (tmp_path / "noise.dat").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "empty.vms").write_bytes(b"")
    out = tmp_path / "o.nc"
    assert "cut.nc" in refused(capsys, "open", tmp_path / "cut.nc")
    assert "not a format known here" in refused(capsys, "open", tmp_path / "noise.dat")
    assert "the file is empty" in refused(capsys, "open", tmp_path / "empty.vms")
    assert "no such file" in refused(capsys, "open", tmp_path / "none.vms")
    assert "did you mean 'Li2S'" in refused(capsys, "fit", s2p, "--species", "Li2SS", "-o", out)
    assert "did you mean" in refused(capsys, "open", s2p, "--region", "S 2s")
    assert "give --species" in refused(capsys, "fit", s2p, "-o", out)
    assert "cannot be written" in refused(
        capsys, "fit", s2p, "--species", "Li2S,Li6PS5Cl", "-o", tmp_path / "no" / "o.nc"
    )
    assert "no parameter" not in refused(capsys, "why", s2p.parent / "none.nc")
    assert "write DIM=VALUE" in refused(capsys, "why", s2p, "--at", "time")
    assert "unknown setting" in refused(capsys, "simulate", "xps", "-o", out, "--set", "nothing=1")
    assert "technique 'rman'" in refused(capsys, "simulate", "rman", "-o", out)
    assert "invalid choice" in refused(capsys, "fitt")
    assert not out.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut.nc", "empty.vms", "noise.dat"]


def test_a_recipe_with_an_unknown_key(capsys, s2p, tmp_path):
    (tmp_path / "r.yaml").write_text("technique: xps\nproposes: {species: [Li2S]}\n")
    line = refused(capsys, "fit", s2p, "--recipe", tmp_path / "r.yaml", "-o", tmp_path / "o.nc")
    assert "r.yaml: proposes: unknown key" in line


def test_a_campaign_that_leaves_its_folder(capsys, tmp_path):
    recipe = {"technique": "xps", "propose": {"species": ["Li2S"]}}
    data = {"campaign": "x", "measurements": {"a": {"file": "../a.nc", "recipe": recipe}}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(data))
    assert "leads out of the folder" in refused(
        capsys, "run", tmp_path / "c.yaml", "-o", tmp_path / "out"
    )
    assert not (tmp_path / "out").exists()


def test_an_axis_without_units_is_named(capsys, s2p, tmp_path):
    import h5py

    path = tmp_path / "nounits.nc"
    path.write_bytes(s2p.read_bytes())
    with h5py.File(path, "a") as file:
        del file["binding_energy"].attrs["units"]
    line = refused(capsys, "open", path)
    assert "'binding_energy' has no units" in line


def test_what_nothing_reads_and_what_does_not_fit_is_said(capsys, tmp_path, s2p):
    (tmp_path / "noise.wdf").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "noise.xyzzy").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "part").write_bytes(bytes(range(256)) * 40)
    assert "not that of renishaw_wdf" in refused(capsys, "open", tmp_path / "noise.wdf")
    (tmp_path / "s2p.kal").write_bytes(b"Kratos" * 40)
    assert "export VAMAS (.vms)" in refused(capsys, "open", tmp_path / "s2p.kal")
    assert "no format has files ending in '.xyzzy'" in refused(
        capsys, "open", tmp_path / "noise.xyzzy"
    )
    assert "name the folder" in refused(capsys, "open", tmp_path / "part")
    own = tmp_path / "own.txt"
    rows = "".join(f"{100.5 + i}\t{i},5\n" for i in range(9))
    own.write_text(f"Laser: 532 nm\nSample: pellet\n[1/cm]\t[counts]\n{rows}")
    assert "--format table_text (two)" in refused(capsys, "open", own)
    told = run(capsys, "open", own, "--format", "table_text", "--technique", "raman")
    assert "raman_shift 9" in told[1]
    assert "name a file in it" in refused(capsys, "open", tmp_path)
    wb.save(wb.simulate("raman", settings={"size": 2}), tmp_path / "map.nc")
    nm = wb.open(tmp_path / "map.nc").rename(raman_shift="wavelength")
    nm["wavelength"] = ("wavelength", 500.0 + 0.01 * nm["wavelength"].values, {"units": "nm"})
    wb.save(nm, tmp_path / "nm.nc")
    asked = refused(capsys, "fit", tmp_path / "nm.nc", "--species", "Li2S", "-o", tmp_path / "o.nc")
    assert "on the command line: --calibrate laser" in asked
    _, _, err = run(capsys, "fit", s2p, "--species", "Li2SO4", "-o", tmp_path / "o.nc")
    assert "misfit: reduced chi-square" in err


def test_means_leave_out_fits_that_gave_no_number(capsys, tmp_path):
    ds = wb.simulate("raman", settings={"size": 3}, seed=2)
    about = {"flag_values": np.array([0, 1], np.int8), "flag_meanings": "masked used"}
    ds["valid"] = (ds["intensity"].dims, np.ones(ds["intensity"].shape, bool), about)
    ds["valid"][0, 0, :] = False
    wb.save(ds, tmp_path / "map.nc")
    status, out, err = run(
        capsys, "fit", tmp_path / "map.nc", "--species", "Li6PS5Cl", "-o", tmp_path / "o.nc"
    )
    assert status == 2
    assert "mean of 8" in out
    assert "no_data" in err
    assert "nan" not in out


def test_a_measurement_is_never_written_over(capsys, tmp_path, s2p):
    rows = "".join(f"{100 + i}\t{i % 7}\n" for i in range(50))
    (tmp_path / "measured.txt").write_text(rows)
    wb.save(wb.open(s2p), tmp_path / "in.nc")
    kept = (tmp_path / "in.nc").read_bytes()
    what = ("fit", tmp_path / "in.nc", "--species", "Li2S,Li6PS5Cl", "-o")
    assert "is the measurement itself" in refused(capsys, *what, tmp_path / "in.nc")
    assert "is not replaced" in refused(capsys, *what, tmp_path / "measured.txt")
    assert "is a folder" in refused(capsys, *what, tmp_path)
    assert (tmp_path / "in.nc").read_bytes() == kept
    assert (tmp_path / "measured.txt").read_text() == rows
    for _ in range(2):  # an earlier result is replaced
        assert run(capsys, *what, tmp_path / "out.nc")[0] in (0, 2)
    assert "is no page" in refused(
        capsys, "report", tmp_path / "out.nc", "-o", tmp_path / "measured.txt"
    )
    assert "is not between" in refused(
        capsys, "why", tmp_path / "out.nc", "--param", "Li2S.area", "--at", "time=-1e9"
    )
    assert "with --param" in refused(capsys, "why", tmp_path / "out.nc", "--at", "time=0")
    cell = tmp_path / "cell.csv"
    cell.write_text("time/s,Ewe/V,I/mA\n" + "".join(f"{t},3.{t},0.1\n" for t in range(9)))
    assert "under 'channels' of a campaign" in refused(
        capsys, "fit", cell, "--species", "Li2S", "-o", tmp_path / "o.nc"
    )
    assert not (tmp_path / "o.nc").exists()


def test_a_folder_is_named_even_where_it_is_the_current_one(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"{tmp_path.name}: not a format" in refused(capsys, "open", ".")
    assert f"{tmp_path.name}: no fits" in refused(capsys, "report", ".", "-o", "page.html")


@pytest.mark.parametrize("port", ["0", "65536", "x", "9" * 20])
def test_a_port_that_cannot_be_is_refused(capsys, port):
    assert "must be 1 to 65535" in refused(capsys, "app", ".", "--port", port)


def test_a_port_that_is_taken_is_named(tmp_path):
    from apps.main import serve

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} is taken"):
            serve(tmp_path, port)

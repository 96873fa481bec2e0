"""The wheel holds everything: built, unpacked elsewhere, run from another folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel with the build tools of this environment."""
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "-o",
        str(out),
        str(ROOT),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(out.glob("*.whl"))


def test_the_wheel_holds_the_four_packages_and_their_data(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if not name.startswith("interphase_workbench-")}
    assert tops == {"references", "spectra", "workbench", "apps"}
    assert sum(n.startswith("references/species/") and n.endswith(".yaml") for n in names) >= 80
    for name in ("core_levels.yaml", "nuclei.yaml", "formation_energies.yaml"):
        assert f"references/{name}" in names


def test_the_unpacked_wheel_runs_from_another_folder(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # -S keeps this checkout's editable install off the path; the libraries come from its folder.
    libraries = next(p for p in sys.path if p.endswith("site-packages"))
    code = (
        "import sys; from apps.launch import main, strangers; assert not strangers()\n"
        "sys.argv = ['interphase', 'species', 'show', 'Li2S']; sys.exit(main())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), libraries])}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "formula: Li2S" in done.stdout


def test_another_distribution_s_package_is_noticed(tmp_path):
    (tmp_path / "spectra").mkdir()
    (tmp_path / "spectra" / "__init__.py").write_text("")
    code = "from apps.launch import main; import sys; sys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "another distribution provides spectra" in done.stderr
    assert "environment of its own" in done.stderr

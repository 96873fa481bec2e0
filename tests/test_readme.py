"""The README's example runs as printed, and its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from workbench.cli import parser

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_notebook_example_runs_as_printed(tmp_path, monkeypatch, capsys):
    code = README.split("```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})  # the text under test is our own
    out = capsys.readouterr().out
    assert "Li2S" in out
    assert (tmp_path / "cell7.nc").exists()
    assert "technique: xps" in (tmp_path / "cell7.yaml").read_text()


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^    interphase (\w+)", README, re.M))))
def test_commands_of_the_readme_exist(command):
    with pytest.raises(SystemExit) as caught:
        parser().parse_args([command, "--help"])
    assert caught.value.code == 0


def test_files_the_readme_names_exist():
    root = Path(__file__).parent.parent
    for name in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (root / name).exists(), name

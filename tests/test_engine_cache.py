"""Compilation never surprises: cold starts, read-only folders, two processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import workbench.engine
from workbench.engine import cache

PROJECT = Path(__file__).resolve().parent.parent
FIT = """
import time
t = time.perf_counter()
import numpy as np
from spectra.component import Component, Components, Param
from spectra.convention import spectrum
from workbench.fit import fit
x = np.linspace(-5, 5, 200)
y = np.rint(100 * np.exp(-x * x))
ds = spectrum(y, x, technique="xps", axis_name="binding_energy")
p = {"area": Param(value=150.0, min=0), "center": Param(value=0.1), "fwhm": Param(value=1.5)}
got = fit(ds, Components([Component(name="g", shape="gaussian", params=p)]))
print(got.attrs["engine"], round(float(got.value.sel(param="g.area")), 1), time.perf_counter() - t)
"""


def python(code: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.split()


def test_cold_process_uses_numpy_and_is_quick(tmp_path):
    names = ("NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME", "TMPDIR")
    engine, area, seconds = said(python(FIT, **dict.fromkeys(names, str(tmp_path))))
    assert engine == "numpy"
    assert float(area) == pytest.approx(177.2, abs=0.5)
    assert float(seconds) < 8.0  # 2 s on an idle machine


def test_warm_process_loads_the_compiled_engine():
    workbench.engine.warm()
    begin = time.perf_counter()
    engine, _, _ = said(python(FIT))
    assert engine == "batch"
    assert time.perf_counter() - begin < 20.0


def test_read_only_cache_still_serves(tmp_path):
    workbench.engine.warm()
    folder = cache.folder()
    assert folder is not None
    base = tmp_path / "cache"
    target = base / folder.name
    target.mkdir(parents=True, mode=0o700)
    for path in folder.rglob("*"):
        to = target / path.relative_to(folder)
        if path.is_dir():
            to.mkdir(exist_ok=True)
        else:
            to.write_bytes(path.read_bytes())
    for path in [*target.rglob("*"), target, base]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        engine, *_ = said(python(FIT, NUMBA_CACHE_DIR=str(base)))
    finally:
        for path in [base, target, *target.rglob("*")]:
            path.chmod(0o700)
    assert engine == "batch"


def test_folders_others_may_write_are_not_trusted(tmp_path, monkeypatch):
    base = tmp_path / "open"
    (base / cache.key()).mkdir(parents=True)
    (base / cache.key()).chmod(0o777)
    (base / cache.key() / cache.MARKER).write_text("anything")
    monkeypatch.setattr(cache, "_base", lambda: [base])
    assert cache.readable() is None


@pytest.mark.slow
def test_two_processes_may_warm_at_once(tmp_path):
    code = "import workbench.engine as e; print(e.warm(), e.ready())"
    pair = [python(code, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
    for process in pair:
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        assert out.split() == ["True", "True"]
    assert said(python(FIT, NUMBA_CACHE_DIR=str(tmp_path)))[0] == "batch"

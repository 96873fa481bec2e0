"""The main job as a newcomer runs it: results, pictures, honest pulls, a balance that agrees."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from workbench.demo import PLANS, run_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The whole demo, once."""
    return run_demo(tmp_path_factory.mktemp("demo"))


def test_pulls_of_every_technique(demo):
    # The judged limits: |mean| < 0.2, standard deviation within 0.8 to 1.2, per technique.
    by_technique: dict[str, list[list[float]]] = {}
    for name, number, mean, width in demo.pulls:
        row = [float(number), float(mean), float(width)]
        by_technique.setdefault(PLANS[name].technique, []).append(row)
    assert set(by_technique) == {"xps", "nmr", "raman", "edxrd", "ndp"}
    for technique, rows in by_technique.items():
        number, mean, width = np.array(rows).T
        pooled = np.sum(number * mean) / number.sum()
        square = np.sum(number * (width**2 + mean**2)) / number.sum() - pooled**2
        assert abs(pooled) < 0.2, technique
        assert 0.8 < np.sqrt(square) < 1.2, technique


def test_the_table_has_true_found_error_and_pull(demo):
    assert demo.head[1:6] == ["species", "true", "found", "1 sigma", "pull"]
    assert {row[1] for row in demo.rows} == {"Li", "Li6PS5Cl", "Li2S", "Li3P", "LiCl"}


def test_every_file_it_names_is_there(demo):
    for path in demo.paths:
        assert path.stat().st_size > 500
    page = next(p for p in demo.paths if p.name == "report.html").read_text()
    assert "Li6PS5Cl + 8 Li" in page


def test_the_parts_that_see_several_products_agree_with_the_reaction(demo):
    results = next(p for p in demo.paths if p.name == "balance.png").parent
    balance = wb.load(results / "balance.nc")
    names = str(balance["verdict"].attrs["flag_meanings"]).split()
    verdicts = {str(p): names[int(balance["verdict"].sel(part=p))] for p in balance["part"].values}
    assert verdicts["edxrd"] == "agree"
    assert verdicts["nmr_7Li"] == "agree"
    assert "disagree" not in verdicts.values()
    off = (balance["lithium_found"] - balance["lithium_passed"]) / balance["lithium_stderr"]
    assert float(np.abs(off[1:]).max()) < 4.5

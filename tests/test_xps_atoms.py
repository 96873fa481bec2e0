"""Atomic percent of several core levels: by hand, with errors that hold, and refused if unfit."""

import numpy as np
import pytest

import references
import workbench as wb
from spectra.component import Component, Components, Param
from spectra.convention import spectrum
from spectra.errors import ModelError
from spectra.shapes import SHAPES
from spectra.techniques.xps import atomic_percent, join

SCOFIELD = {"C 1s": (285.0, 1.0), "O 1s": (532.0, 2.93), "S 2s": (228.0, 1.43)}


def fitted(level, atoms, *, seconds=1.0, rows=1, seed=0, noted=None, **attrs):
    """Fit a line whose area is that of so many atoms, counted for so long."""
    at, factor = SCOFIELD[level]
    x = np.arange(at - 6.0, at + 6.0, 0.1)
    curve = SHAPES["gaussian"].function(x, 300.0 * atoms * factor * seconds, at, 1.3)[0]
    y = np.random.default_rng(seed).poisson(50.0 * seconds + curve, (rows, x.size))
    ds = spectrum(
        y,
        x,
        technique="xps",
        axis_name="binding_energy",
        outer={"scan": np.arange(rows)},
        attrs={
            "photon_energy_eV": 1486.6,
            "pass_energy_eV": 20.0,
            "dwell_time_s": seconds,
            **attrs,
        },
    )
    ds = wb.calibrate(ds, "as_recorded")
    for method, settings in (noted or {}).items():
        ds = wb.correct(ds, method, **settings)
    line = Component(
        name="line",
        shape="gaussian",
        params={
            "area": Param(value=5000.0),
            "center": Param(value=at, min=at - 1, max=at + 1),
            "fwhm": Param(value=1.2, min=0.5, max=3),
        },
    )
    base = Component(
        name="flat", shape="polynomial", role="background", params={"c0": Param(value=50.0)}
    )
    return wb.fit(ds, Components([line, base]), statistic="poisson")


def test_atomic_percent_by_hand_with_errors_that_hold():
    # 3 C to 1 O: 75 and 25 at.%. The O 1s region was counted four times as long.
    fits = {
        "C 1s": fitted("C 1s", 3.0, rows=120),
        "O 1s": fitted("O 1s", 1.0, rows=120, seconds=4.0, seed=1),
    }
    made = atomic_percent(fits)
    assert list(made["component"].values) == ["C 1s: line", "O 1s: line"]
    assert list(made["level"].values) == ["C 1s", "O 1s"]
    np.testing.assert_allclose(made["percent"].sum("component"), 100.0)
    np.testing.assert_allclose(made["element_percent"].mean("scan"), [75.0, 25.0], atol=0.5)
    pull = (made["percent"].values[:, 1] - 25.0) / made["stderr"].values[:, 1]
    assert abs(pull.mean()) < 4 / np.sqrt(120)
    assert pull.std() == pytest.approx(1.0, abs=0.2)
    # two parts of a whole have equal errors and are anticorrelated
    np.testing.assert_allclose(made["stderr"].values[:, 0], made["stderr"].values[:, 1])
    np.testing.assert_allclose(made["covar"].values[:, 0, 1], -(made["stderr"].values[:, 0] ** 2))
    # by hand, from the fitted areas
    area = {k: f["value"].sel(param="line.area").values[0] for k, f in fits.items()}
    hand = area["O 1s"] / 2.93 / 4.0 / (area["C 1s"] + area["O 1s"] / 2.93 / 4.0)
    assert made["percent"].values[0, 1] == pytest.approx(100.0 * hand, rel=1e-9)


def test_own_factors_and_transmission_count():
    noted = {"sensitivity": {"factors": {"O 1s": 2.93 / 2}}, "transmission": {"exponent": -1.0}}
    fits = {"C 1s": fitted("C 1s", 3.0, noted=noted), "O 1s": fitted("O 1s", 1.0, noted=noted)}
    area = {k: f["value"].sel(param="line.area").values[0] for k, f in fits.items()}
    kinetic = {k: 1486.6 - f["value"].sel(param="line.center").values[0] for k, f in fits.items()}
    carbon = area["C 1s"] * kinetic["C 1s"]
    oxygen = area["O 1s"] * kinetic["O 1s"] / (2.93 / 2)
    got = atomic_percent(fits)["percent"].values[0, 1]
    assert got == pytest.approx(100 * oxygen / (carbon + oxygen), rel=1e-4)


def test_what_does_not_compare_is_refused():
    carbon = fitted("C 1s", 3.0)
    for other, says in (
        (fitted("O 1s", 1.0, pass_energy_eV=160.0), "pass_energy_eV"),
        (fitted("O 1s", 1.0, photon_energy_eV=1253.6), "photon_energy_eV"),
        (fitted("O 1s", 1.0, rows=2), "outer"),
        (fitted("O 1s", 1.0, dwell_time_s=0.0), "no counting time of 'O 1s'"),
        (carbon.drop_vars("covar"), "covariance"),
    ):
        with pytest.raises(ModelError, match=says):
            atomic_percent({"C 1s": carbon, "O 1s": other})
    with pytest.raises(ModelError, match="by core level"):
        atomic_percent({})
    with pytest.raises(ModelError, match="count S twice"):
        atomic_percent({"S 2s": carbon, "S 2p": carbon})
    both = {"O 1s": carbon, "S 2s": fitted("S 2s", 1.0)}
    with pytest.raises(ModelError, match=r"K 2p.*factors="):
        atomic_percent({"K 2p": carbon})
    levels = list(atomic_percent(both, levels={"line": "C 1s"})["level"].values)
    assert levels == ["C 1s", "C 1s"]


def test_a_joint_fit_and_a_survey_count_by_their_lines():
    # Li2S and Li3P in one joint fit: S 2p counted 5 s and P 2p 2 s per point, as many S as P.
    lines = {"S 2p": ("Li2S", 160.0, 5.0, 1.68), "P 2p": ("Li3P", 126.0, 2.0, 1.19)}
    rng = np.random.default_rng(4)
    library, parts = references.load(), {}
    for level, (species, at, seconds, factor) in lines.items():
        x = np.arange(at - 6.0, at + 8.0, 0.05)
        main = library.lines("xps", species, level)[0].value
        curve = sum(
            w * SHAPES["gaussian"].function(x, 2e4 * factor * seconds, c, 1.1)[0]
            for w, c in ((2 / 3, main), (1 / 3, main + library.core_level(level).splitting))
        )
        ds = spectrum(
            rng.poisson(200.0 * seconds + curve), x, technique="xps", axis_name="binding_energy",
            attrs={"photon_energy_eV": 1486.6, "dwell_time_s": seconds, "sample": "A"},
        )  # fmt: skip
        parts[level] = wb.calibrate(ds, "as_recorded")
    both = join(parts)
    comps = wb.propose(both, species=["Li2S", "Li3P"], settings={"background": "linear"})
    made = atomic_percent({"both": wb.fit(both, comps, statistic="poisson")})
    assert sorted(made["level"].values) == ["P 2p", "S 2p"]
    np.testing.assert_allclose(made["percent"], 50.0, atol=1.0)
    # a survey, whose peaks are named in levels
    fit = fitted("O 1s", 1.0)
    survey = atomic_percent({"survey": fit}, levels={"line": "O 1s"})
    assert list(survey["element"].values) == ["O"]
    with pytest.raises(ModelError, match="survey"):
        atomic_percent({"survey": fit})

"""What detector and electronics did to measured spectra: escape, pile-up, shifts at high rates."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy.optimize import least_squares

import references
import workbench as wb
from references.library import Library
from spectra.techniques._edxrd_escape import GE_KA, escape_fraction
from spectra.techniques._edxrd_model import sublines
from spectra.techniques._edxrd_peaks import fit_peak
from spectra.techniques._edxrd_physics import (
    Detector,
    PhaseLines,
    two_theta,
)
from spectra.techniques._edxrd_standards import standard_lines
from tests.shared_data import data
from workbench.curves import curves

GOLD = "edxrd/aps16bmb_Au-wire_15deg_header15.0146.hpmca"
_FWHM = 2.3548200450309493


@pytest.fixture(scope="module")
def silicon():
    """Rows of the table of Si 640f by rising dead time: (percent, chi2 of the file, peaks)."""
    with data("edxrd/p61a_Si640f_peaks_vs_deadtime.csv").open() as file:
        rows = list(csv.DictReader(file))
    out = []
    for row in rows:
        names = [k[:-7] for k in row if k.endswith("_center") and row[k]]
        peaks = [[float(row[f"{n}_{k}"]) for k in ("center", "width", "amplitude")] for n in names]
        dead = float(row["ScreenName"].split("_")[2].replace("p", ".").replace("dt", ""))
        out.append((dead, float(row["Chi2"]), np.array(peaks)))
    return sorted(out, key=lambda row: row[0])


def lone(peaks):
    """Lines of silicon more than 1 keV from the next: (hkl, d, j|F|^2/E^2, peak)."""
    lines = standard_lines("Si", 5.981, 20.0, 170.0)
    for hkl, d, strength, energy in zip(
        lines.hkl, lines.d, lines.strength, lines.energy, strict=True
    ):
        near = peaks[np.argmin(np.abs(peaks[:, 0] - energy))]
        if abs(near[0] - energy) < 0.2 and np.sort(np.abs(lines.energy - energy))[1] > 1.0:
            yield tuple(hkl), d, strength, near


def at(peaks, hkl):
    return next(peak for h, _, _, peak in lone(peaks) if h == hkl)


def test_twenty_five_spectra_from_3_to_35_percent(silicon):
    assert len(silicon) == 25
    assert [silicon[0][0], silicon[-1][0]] == [3.0, 35.35]
    assert [silicon[0][1], silicon[-1][1]] == pytest.approx([1.2, 12.6], abs=0.05)
    low, high = silicon[0][2], silicon[-1][2]
    # lines walk to higher energies as the rate grows, and widen
    assert at(high, (4, 2, 2))[0] - at(low, (4, 2, 2))[0] == pytest.approx(0.045, abs=0.006)
    assert at(high, (7, 1, 1))[0] - at(low, (7, 1, 1))[0] == pytest.approx(0.129, abs=0.002)
    widths = [at(peaks, (7, 1, 1))[1] for peaks in (low, high)]
    assert widths == pytest.approx([0.87, 1.32], abs=0.01)


def test_angle_of_thirteen_reflections_and_its_drift_with_energy(silicon):
    rows = list(lone(silicon[0][2]))[:13]
    angles = np.array([float(two_theta(d, peak[0])) for _, d, _, peak in rows])
    assert angles.mean() == pytest.approx(5.981, abs=0.0005)
    assert angles.std(ddof=1) == pytest.approx(0.0026, abs=0.0003)
    # from 5.974 deg at 38 keV to 5.983 at 140: a bent energy scale, not noise
    assert angles[0] == pytest.approx(5.974, abs=0.001)
    assert angles[-1] == pytest.approx(5.983, abs=0.001)


def test_intensity_law_of_fourteen_lines(silicon):
    rows = list(lone(silicon[0][2]))[:14]
    area = np.array([peak[2] for *_, peak in rows])
    energy = np.log([peak[0] for *_, peak in rows])
    law = area / np.array([s for _, _, s, _ in rows])
    plain = area * np.exp(2.0 * energy)
    left = []
    for y in (law, plain):
        curve = np.polynomial.Polynomial.fit(energy, np.log(y), 3)(energy)
        left.append(np.std(np.log(y) - curve))
    assert left == pytest.approx([0.12, 0.51], abs=0.04)  # 0.54 is stated of the second


def test_two_photons_of_220_make_440(silicon):
    excess = []
    for _, _, peaks in silicon:
        rows = list(lone(peaks))
        energy = np.log([peak[0] for *_, peak in rows])
        law = np.log([peak[2] / s for _, _, s, peak in rows])
        own = [h for h, *_ in rows].index((4, 4, 0))
        rest = np.arange(len(rows)) != own
        curve = np.polynomial.Polynomial.fit(energy[rest], law[rest], 2)
        excess.append(float(np.exp(law[own] - curve(energy[own]))))
    assert excess[0] == pytest.approx(1.1, abs=0.15)  # 1.2 is stated
    assert excess[-1] == pytest.approx(2.9, abs=0.15)
    # and in proportion to the rate, as sums of two are
    dead = np.array([row[0] for row in silicon])
    assert np.corrcoef(dead, excess)[0, 1] > 0.97


@pytest.fixture(scope="module")
def wire():
    """The gold wire, calibrated by itself, with the escape that the workbench finds in it."""
    ds = wb.calibrate(wb.open(data(GOLD)), "joint", standard="Au", sources=["Au"])
    return wb.correct(ds, "escape")


def test_escape_of_220_lies_under_200(wire):
    x, y = wire["photon_energy"].values, wire["intensity"].values.astype(float).ravel()
    parent = fit_peak(x, y, 32.9, 0.3, search=0.2)
    found = wire.attrs["escape"] * float(escape_fraction(parent.center)) * parent.area
    step = float(np.median(np.diff(x)))
    inside = (x > 22.6) & (x < 23.9)
    xs, ys = x[inside], y[inside]

    def fitted(escape):
        """Reduced chi-square, area of (200), area of the escape line (None fits it)."""

        def model(p):
            sigma = p[2] / _FWHM
            norm = step / (sigma * np.sqrt(2 * np.pi))
            lost = p[5] if escape is None else escape
            line = p[0] * np.exp(-0.5 * ((xs - p[1]) / sigma) ** 2)
            under = lost * np.exp(-0.5 * ((xs - parent.center + GE_KA) / sigma) ** 2)
            return norm * (line + under) + p[3] + p[4] * (xs - 23.25)

        start = np.array(
            [0.8 * ys.sum(), 23.27, 0.26, ys.min(), 0.0, 5e3][: 6 - (escape is not None)]
        )
        fit = least_squares(
            lambda p: (model(p) - ys) / np.sqrt(np.maximum(ys, 1.0)), start,
            x_scale=np.abs(start) + 1.0,
        )  # fmt: skip
        return 2.0 * fit.cost / (ys.size - start.size), fit.x[0], (*fit.x, escape)[5]

    without, all_of_it, _ = fitted(0.0)
    free, own, measured = fitted(None)
    told, _, _ = fitted(found)
    assert without > 25.0
    assert free == pytest.approx(2.3, abs=0.6)  # stated of another window
    assert told < 4.0  # nothing free but the line itself
    assert all_of_it == pytest.approx(193_000, rel=0.03)
    assert measured == pytest.approx(9_400, rel=0.12)  # 9,900 in 22.7 to 23.8 keV
    assert found == pytest.approx(measured, rel=0.15)
    assert 0.05 < measured / own < 0.06


def test_escape_is_what_a_fit_of_gold_lacked(wire):
    known = references.load()
    copper = known["Cu"]
    gold = copper.structures[0].model_copy(
        update={"id": "Au", "formula": "Au", "a": 4.0786, "b": 4.0786, "c": 4.0786,
                "sites": tuple(s.model_copy(update={"elements": {"Au": 1.0}})
                               for s in copper.structures[0].sites)}
    )  # fmt: skip
    own = copper.model_copy(
        update={"id": "Au", "formula": "Au", "aliases": (), "structures": (gold,)}
    )
    lib = Library({**known.species, "Au": own}, known.core_levels, known.nuclei)
    ds = wire.isel(photon_energy=(wire["photon_energy"] > 18) & (wire["photon_energy"] < 80))
    told = {"mode": "pawley", "fluorescence": ("Au",), "background": 14, "widths": "free"}
    chi2 = {}
    for factor in (0.0, wire.attrs["escape"]):
        one = ds.assign_attrs(escape=factor)
        fit = wb.fit(one, wb.propose(one, ["Au"], library=lib, settings=told), statistic="poisson")
        left = curves(one, fit)
        for low, high in ((22.6, 23.9), (26.0, 29.5)):
            part = left.sel(photon_energy=slice(low, high))
            pull = part["residual"] / np.sqrt(np.maximum(part["model"], 1.0))
            chi2[low, factor] = float((pull**2).mean())
    # under (200), and where 311 and 222 leave escape lines that nothing else hides
    for low in (22.6, 26.0):
        assert chi2[low, wire.attrs["escape"]] < 0.25 * chi2[low, 0.0]


def test_an_escape_line_is_as_wide_as_the_slits_make_its_parent():
    ds = wb.simulate("edxrd", seed=1, settings={"positions": 1, "times": 1})
    detector = Detector(0.12, 0.106, 0.004)
    line = PhaseLines(np.array([60.0]), np.array([1.0]), np.array([2.0]), ((1, 1, 1),))
    (own, alpha, _), _, _ = sublines(ds, line, detector)
    squared = 0.12**2 + _FWHM**2 * 0.106 * 2.96e-3 * (60.0 - GE_KA) + (0.004 * 60.0) ** 2
    assert own.width == pytest.approx(1.0)
    assert alpha.position * 60.0 == pytest.approx(60.0 - GE_KA)
    assert alpha.width * float(detector.fwhm(60.0)) == pytest.approx(np.sqrt(squared))


def test_gold_fluorescence_lies_on_the_scale(wire):
    """L and K lines of the wire itself; L Kb1 11.442 is a close group, so 30 eV."""
    x, y = wire["photon_energy"].values, wire["intensity"].values.astype(float).ravel()
    for energy, width, within in ((9.713, 0.22, 0.03), (11.442, 0.25, 0.03), (66.990, 0.42, 0.02)):
        peak = fit_peak(x, y, energy, width, search=0.08)
        assert peak is not None, energy
        assert peak.center == pytest.approx(energy, abs=within)

"""Titanium at P61A: cells from the peak tables of the beamline's own program."""

from __future__ import annotations

import csv
from collections import defaultdict

import numpy as np
import pytest
from scipy.optimize import curve_fit

from spectra.errors import ModelError
from spectra.techniques import edxrd
from spectra.techniques._edxrd_physics import HC
from tests.shared_data import data

ANGLE = 5.274  # from Si 640f


def tables(name: str) -> list[dict[str, str]]:
    with data(f"edxrd/{name}").open() as file:
        return list(csv.DictReader(file))


def lines_of(row: dict[str, str]) -> tuple[list[float], list[tuple[int, int, int]]]:
    """Energies and indices of the lines of the hexagonal phase in one row."""
    energy, hkl = [], []
    for key in row:
        if not key.endswith("_h") or not row[key]:
            continue
        peak = key[:-2]
        if row[f"{peak}_center"] and float(row[f"{peak}_amplitude"] or 0.0) > 0.0:
            energy.append(float(row[f"{peak}_center"]))
            hkl.append(tuple(int(float(row[f"{peak}_{i}"])) for i in "hkl"))
    return energy, hkl


def test_cell_of_the_stress_free_sheet():
    cells = []
    for row in tables("p61a_Ti_d0_reference_peaks.csv"):
        energy, hkl = lines_of(row)
        if len(hkl) >= 9:
            cells.append(edxrd.cell_of_lines(energy, hkl, ANGLE, "hexagonal"))
    assert len(cells) > 20
    assert np.median([c["a"] for c in cells]) == pytest.approx(2.9261, abs=0.0012)
    assert np.median([c["c"] for c in cells]) == pytest.approx(4.6738, abs=0.002)


def test_reference_sheet_and_what_its_low_energies_lack():
    rows = tables("p61a_Ti_d0_reference_peaks.csv")
    assert len(rows) == 55
    found = defaultdict(list)
    for row in rows:
        for energy, hkl in zip(*lines_of(row), strict=True):
            found[hkl].append(energy)
    assert len(found) == 11
    hkl = np.array(list(found))
    energy = np.array([np.median(found[h]) for h in found])
    h, k, j = hkl.T
    n = HC / (2.0 * np.sin(np.radians(ANGLE / 2.0)))

    def model(_, a, c):
        return n * np.sqrt(4.0 / 3.0 * (h * h + h * k + k * k) / a**2 + j * j / c**2)

    (a, c), _ = curve_fit(model, energy, energy, [2.93, 4.67])
    assert a == pytest.approx(2.9261, abs=3e-4)
    assert c == pytest.approx(4.6738, abs=5e-4)
    # in d: -503 (100) to +89 ppm (202) are stated, all lines alike; the low end is off, not noise
    off = {tuple(x): 1e6 * (model(0, a, c)[i] / energy[i] - 1) for i, x in enumerate(hkl)}
    assert min(off, key=off.get) == (1, 0, 0)
    assert off[1, 0, 0] == pytest.approx(-503, abs=60)
    assert max(off, key=off.get) == (2, 0, 2)
    assert off[2, 0, 2] == pytest.approx(89, abs=80)
    scatter = np.std(found[1, 0, 0]) / np.sqrt(55) / energy[0]
    assert scatter < 5e-5


def test_depths_and_tilts_of_the_scan():
    rows = tables("p61a_Ti_depth_scan_phi0_peaks.csv")
    depth = defaultdict(list)
    tilts = set()
    families = set()
    for row in rows:
        tilts.add(round(float(row["eu.chi"]), 2))
        for key in (k[:-2] for k in row if k.endswith("_h") and row[k]):
            hkl = tuple(int(float(row[f"{key}_{i}"])) for i in "hkl")
            families.add(hkl)
            if hkl == (1, 0, 1) and row[f"{key}_amplitude"]:
                depth[round(float(row["eu.z"]), 3)].append(float(row[f"{key}_amplitude"]))
    assert (len(depth), len(tilts), len(rows)) == (27, 21, 567)
    assert len(families) == 18  # of 19 peaks; one plane is there twice
    z = np.array(sorted(depth))
    height = np.array([np.median(depth[k]) for k in z])
    # rises and falls over about 0.35 mm: where it is above a tenth of its top
    lit = z[height > 0.1 * height.max()]
    assert np.ptp(lit) == pytest.approx(0.35, abs=0.08)
    assert -52.0 < z[np.argmax(height)] < -51.9


def test_depth_scan_of_the_peened_sheet():
    # inside the sheet the lines are strong, and tilts see other strains than the surface
    by_depth = defaultdict(list)
    for row in tables("p61a_Ti_depth_scan_phi0_peaks.csv"):
        energy, hkl = lines_of(row)
        strong = [i for i, h in enumerate(hkl) if h in ((1, 0, 1), (1, 0, 2), (1, 1, 0), (1, 0, 3))]
        if len(strong) == 4:
            cell = edxrd.cell_of_lines(
                [energy[i] for i in strong], [hkl[i] for i in strong], ANGLE, "hexagonal"
            )
            if cell["scatter"] < 1e-3:
                by_depth[round(float(row["eu.z"]), 3)].append(cell["a"])
    depths = [z for z, values in by_depth.items() if len(values) >= 5]
    assert len(depths) >= 5
    middle = [np.median(by_depth[z]) for z in depths]
    assert np.median(middle) == pytest.approx(2.927, abs=0.004)
    assert np.ptp(middle) < 0.012  # strains of a few 1e-3 at most


def test_cells_of_exact_lines():
    a, c = 2.95, 4.68
    hkl = np.array([(1, 0, 0), (0, 0, 2), (1, 0, 1), (1, 1, 0), (1, 0, 3)])
    h, k, j = hkl.T
    d = 1.0 / np.sqrt(4.0 / 3.0 * (h * h + h * k + k * k) / a**2 + j * j / c**2)
    energy = 12.398419843 / (2.0 * d * np.sin(np.radians(ANGLE / 2.0)))
    found = edxrd.cell_of_lines(energy, hkl, ANGLE, "hexagonal")
    assert found["a"] == pytest.approx(a, rel=1e-9)
    assert found["c"] == pytest.approx(c, rel=1e-9)
    assert found["scatter"] < 1e-9
    with pytest.raises(ModelError, match="cannot give"):
        edxrd.cell_of_lines(energy[:1], hkl[:1], ANGLE, "hexagonal")
    with pytest.raises(ModelError, match="allowed"):
        edxrd.cell_of_lines(energy, hkl, ANGLE, "trigonal")


def test_errors_of_a_cell_cover_the_scatter():
    rng = np.random.default_rng(1)
    hkl = np.array([(1, 1, 1), (2, 0, 0), (2, 2, 0), (3, 1, 1), (2, 2, 2), (4, 0, 0), (3, 3, 1)])
    d = 4.0786 / np.sqrt((hkl**2).sum(axis=1))
    energy = 12.398419843 / (2.0 * d * np.sin(np.radians(7.5)))
    pulls = []
    for _ in range(400):
        noisy = energy * (1.0 + 2e-4 * rng.standard_normal(d.size))
        found = edxrd.cell_of_lines(noisy, hkl, 15.0, "cubic")
        pulls.append((found["a"] - 4.0786) / found["a_stderr"])
    assert 1.0 < np.std(pulls) < 1.5  # a t distribution of six degrees of freedom: 1.22

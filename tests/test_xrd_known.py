"""Powder patterns against the figures stated of each file, without the workbench's own model."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy.optimize import curve_fit

import references
import workbench as wb
from spectra.techniques._edxrd_peaks import fit_peak
from tests.shared_data import data

KA1, KA2 = 1.540593, 1.544427


def place(ds, at, width=0.08, reach=0.35):
    """Two-theta of one reflection's Ka1, both lines fitted as pseudo-Voigts of one width."""
    x, y = ds["two_theta"].values, ds["intensity"].values.astype(float)
    inside = np.abs(x - at) < reach

    def model(t, c, w, height, mix, base, slope):
        other = 2 * np.degrees(np.arcsin(KA2 / KA1 * np.sin(np.radians(c / 2))))
        out = base + slope * (t - at)
        for center, part in ((c, 1.0), (other, 0.5)):
            u = (t - center) / w
            shape = mix / (1 + 4 * u**2) + (1 - mix) * np.exp(-4 * np.log(2) * u**2)
            out = out + part * height * shape
        return out

    top = float(x[inside][np.argmax(y[inside])])
    start = [top, width, np.ptp(y[inside]), 0.5, y[inside].min(), 0.0]
    found = curve_fit(model, x[inside], y[inside], start, sigma=np.sqrt(y[inside] + 1.0))[0]
    return float(found[0])


def spacing(angle):
    return KA1 / (2 * np.sin(np.radians(angle / 2)))


def test_two_scans_of_corundum_agree():
    brml, xye = wb.open(data("xrd/corundum.brml")), wb.open(data("xrd/corundum.xye"))
    lines = (25.58, 35.15, 43.36, 52.55, 57.50, 66.52, 68.21, 76.87)
    one = np.array([place(brml, at) for at in lines])
    two = np.array([place(xye, at) for at in lines])
    assert np.max(np.abs(one - two)) < 0.0015
    # a hexagonal cell with a zero and a displacement from the eight, as the stated one was found
    hkl = np.array([(0, 1, 2), (1, 0, 4), (1, 1, 3), (0, 2, 4), (1, 1, 6), (2, 1, 4), (3, 0, 0),
                    (1, 0, 10)])  # fmt: skip
    h, k, along = hkl.T

    def angles(_, a, c, displacement):
        d = 1 / np.sqrt(4 / 3 * (h * h + h * k + k * k) / a**2 + along**2 / c**2)
        t = 2 * np.degrees(np.arcsin(KA1 / (2 * d)))
        return t + displacement * np.cos(np.radians(t / 2))

    a, c, _ = curve_fit(angles, one, one, [4.76, 13.0, 0.0])[0]
    assert a == pytest.approx(4.75909, abs=9e-5)  # three of the stated errors
    assert c == pytest.approx(12.99336, abs=4.2e-4)


def test_bixbyite_and_manganosite_cells():
    oxide = wb.open(data("xrd/Mn2O3.xy"))
    cells = [
        spacing(place(oxide, at, 0.15, 0.5)) * np.sqrt(n)
        for at, n in ((32.95, 12), (55.2, 32), (65.8, 44))
    ]
    assert all(9.405 < a < 9.419 for a in cells)
    assert np.mean(cells) == pytest.approx(9.412, abs=0.003)
    rock = wb.open(data("xrd/MnO.xy"))
    cells = [
        spacing(place(rock, at, 0.15, 0.5)) * np.sqrt(n)
        for at, n in ((34.95, 3), (40.58, 4), (58.75, 8), (70.2, 11))
    ]
    assert np.mean(cells) == pytest.approx(4.4434, abs=0.002)


def test_lithium_fluoride_111():
    mixture = wb.open(data("xrd/Mn2O3+LiF.xy"))
    found = spacing(place(mixture, 38.7, 0.15, 0.25)) * np.sqrt(3)
    assert found == pytest.approx(4.0272, abs=0.004)


@pytest.mark.parametrize(
    ("file", "maxima"), [("LiMn2O4_two-phase.plt", (64.72, 65.52)),
                         ("LiMn2O4_solid-solution.plt", (64.47,))]
)  # fmt: skip
def test_places_of_440(file, maxima):
    ds = wb.open(data(f"xrd/{file}"))
    x, y = ds["two_theta"].values, ds["intensity"].values.astype(float)
    for at in maxima:
        inside = np.abs(x - at) < 0.15
        assert float(x[inside][np.argmax(y[inside])]) == pytest.approx(at, abs=0.06)


def test_rows_and_ranges_of_the_readers():
    rigaku = wb.open(data("xrd/TwoTheta_scan_powder.rasx"))
    assert np.allclose(rigaku["two_theta"][:2], [10.0, 10.04])
    assert np.allclose(rigaku["intensity"][:2], [170.553, 170.542], atol=6e-4)
    assert rigaku.attrs["wavelength_A"] == pytest.approx(1.540593)
    scan = wb.open(data("xrd/XRD-918-16_10.xrdml"))["two_theta"]
    assert [float(scan[0]), float(scan[-1])] == pytest.approx([4.0066, 69.9994], abs=1e-4)


def test_lanthanum_hexaboride_from_ten_lines():
    ds = wb.open(data("xrd/LaB6_40keV_MarCCD.chi"))
    x, y = ds["two_theta"].values, ds["intensity"].values.astype(float)
    cells = []
    for n in (1, 2, 3, 4, 5, 6, 8, 9, 10, 11):
        at = 2 * np.degrees(np.arcsin(0.31 * np.sqrt(n) / (2 * 4.157)))
        peak = fit_peak(x, y, float(at), 0.06, search=0.05)
        if peak is not None:
            cells.append(0.31 * np.sqrt(n) / (2 * np.sin(np.radians(peak.center / 2))))
    assert len(cells) >= 9
    assert np.mean(cells) == pytest.approx(4.1575, abs=0.0006)


def test_cells_of_the_library_are_those_published():
    with data("xrd/published_lattice_constants.csv").open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith('"#')))
    assert len(rows) == 50
    known = references.load()
    compared = set()
    for row in rows:
        name = row["composition"]
        if name in known.species and known[name].structures:
            cell = known[name].structures[0]
            found = {abs(float(row[k]) / v - 1.0) for k, v in (("a", cell.a), ("c", cell.c))}
            if max(found) < 0.05:  # the same setting of the same polymorph
                compared.add(name)
                # samples of one argyrodite differ by 0.6 % with their chloride
                assert max(found) < 0.008, (name, row["doi"])
    assert "Li6PS5Cl" in compared

"""Joint calibration of EDXRD: known answers, honest errors, and what they do to a lattice."""

from __future__ import annotations

import json

import numpy as np
import pytest

import workbench as wb
from spectra.convention import spectrum
from spectra.errors import CalibrationError
from spectra.techniques import edxrd
from spectra.techniques._edxrd_covariance import Covariance, strain_sensitivity
from spectra.techniques._edxrd_lines import fit_line, significance
from spectra.techniques._edxrd_physics import (
    EPSILON_GE,
    FLUORESCENCE,
    HC,
    Detector,
    bragg_energy,
)
from spectra.techniques._edxrd_solve import Datum, solve
from tests.shared_data import data

TRUE = {"c0": -0.05, "c1": 0.0502, "c2": 1.1e-7, "angle": 5.33, "noise": 0.13, "fano": 0.11}
_FWHM = 2.3548200450309493


def standard_spectrum(seed, counts=40_000, outer=1, channels=3000, **changed):
    """CeO2 with cerium and lead fluorescence on a known scale, at a known angle."""
    true = TRUE | changed
    rng = np.random.default_rng(seed)
    ch = np.arange(channels)
    energy = true["c0"] + true["c1"] * ch + true["c2"] * ch**2
    detector = Detector(true["noise"], true["fano"], 0.0035)
    rate = np.full(channels, 40.0)
    n2 = np.array([3, 4, 8, 11, 12, 16, 19, 20, 24, 27, 32, 35, 36])
    lines = [
        (e, counts / np.sqrt(k + 1.0), detector.fwhm(e))
        for k, e in enumerate(bragg_energy(5.41153 / np.sqrt(n2), true["angle"]))
    ]
    for element, height in (("Ce", counts), ("Pb", 0.5 * counts)):
        lines += [
            (e, height * w, detector.fwhm(e, fluorescence=True)) for e, w in FLUORESCENCE[element]
        ]
    for place, area, width in lines:
        sigma = float(width) / _FWHM
        per = np.gradient(energy)
        shape = np.exp(-0.5 * ((energy - place) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
        rate = rate + area * shape * per
    shape = (channels,) if outer == 1 else (outer, channels)
    return spectrum(
        rng.poisson(rate, shape).astype(np.int32),
        ch,
        technique="edxrd",
        axis_name="channel",
        outer=None if outer == 1 else {"detector": np.arange(outer)},
    )


def both(ds, **more):
    return wb.calibrate(
        ds, "joint", standard="CeO2", sources=["Ce", "Pb"], guess=(0.0, 0.0505), **more
    )


def test_line_fits_have_honest_errors():
    rng = np.random.default_rng(3)
    x = np.arange(120.0)
    sigma = 8.0 / _FWHM
    rate = 2000 / (sigma * np.sqrt(2 * np.pi)) * np.exp(-0.5 * ((x - 60.3) / sigma) ** 2) + 30.0
    pulls = []
    for _ in range(120):
        line = fit_line(x, rng.poisson(rate).astype(float), 60.0 + rng.normal(0, 2), 8.5)
        pulls.append(
            [
                (line.center - 60.3) / line.center_stderr,
                (line.fwhm - 8.0) / line.fwhm_stderr,
                (line.area - 2000.0) / line.area_stderr,
            ]
        )
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 0.35)
    assert np.all(np.abs(np.std(pulls, axis=0) - 1.0) < 0.25)


def test_a_line_on_a_step_is_not_pulled_by_it():
    from scipy.special import erfc

    x = np.arange(100.0)
    line = 900 * np.exp(-0.5 * ((x - 50.0) / 3.4) ** 2)
    step = 150 * erfc((x - 50.0) / (3.4 * np.sqrt(2)))
    found = fit_line(x, line + step + 20.0, 49.0, 8.0)
    assert found.center == pytest.approx(50.0, abs=0.01)
    assert significance(line + 20.0, np.full(100, 8.0)).argmax() == 50


def test_scale_angle_and_widths_come_back_within_their_errors():
    pulls = []
    for seed in range(12):
        out = both(standard_spectrum(seed, counts=4000), guess_deg=5.3)
        found = Covariance.of(out.attrs)
        truth = [TRUE[k] for k in ("c0", "c1", "c2", "angle", "noise", "fano")]
        error = np.sqrt(np.diag(found.array))[:6]
        pulls.append((np.array(found.value[:6]) - truth) / error)
    pulls = np.array(pulls)
    geometry = pulls[:, :4]
    assert np.sqrt(np.mean(geometry**2)) == pytest.approx(1.0, abs=0.5)
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 1.2)
    out = both(standard_spectrum(3), guess_deg=5.3)
    assert out.attrs["noise_keV"] == pytest.approx(TRUE["noise"], abs=0.02)
    assert out.attrs["fano"] == pytest.approx(TRUE["fano"], abs=0.015)
    assert out.attrs["divergence"] == pytest.approx(0.0035, rel=0.15)
    found = Covariance.of(out.attrs)
    # scale and angle share their errors (multiple correlation): they must be reported together
    part = found.part(("c0", "c1", "c2", "two_theta"))
    size = np.sqrt(np.diag(part))
    correlation = part / np.outer(size, size)
    assert 1.0 - 1.0 / np.linalg.inv(correlation)[3, 3] > 0.5


def test_no_header_angle_is_needed():
    out = both(standard_spectrum(1))
    assert out.attrs["two_theta_deg"] == pytest.approx(TRUE["angle"], abs=0.002)
    far = standard_spectrum(2, angle=9.1)
    assert both(far).attrs["two_theta_deg"] == pytest.approx(9.1, abs=0.004)


def test_reflections_alone_cannot_tell_scale_from_angle():
    ds = standard_spectrum(1)
    with pytest.raises(CalibrationError, match="cannot tell"):
        wb.calibrate(ds, "joint", standard="CeO2", guess=(0.0, 0.0502), guess_deg=5.33)
    with pytest.raises(CalibrationError, match="standard"):
        wb.calibrate(ds.isel(channel=slice(0, 900)), "joint", standard="CeO2", sources=["Ce"],
                     guess=(0.0, 0.0502), guess_deg=5.33)  # fmt: skip


def test_the_error_of_a_lattice_holds_what_the_calibration_adds():
    # the same powder measured with a calibration of its own each time: the scatter of the lattice
    # of a second phase (here one line at 60 keV, without noise) is what the covariance says
    place, strains, said = 60.0, [], []
    for seed in range(12):
        out = both(standard_spectrum(seed, counts=4000), guess_deg=5.33)
        a = out.attrs
        ch = np.arange(3000.0)
        scale = TRUE["c0"] + TRUE["c1"] * ch + TRUE["c2"] * ch**2
        true_channel = np.interp(place, scale, ch)
        energy = a["c0_keV"] + a["c1_keV"] * true_channel + a["c2_keV"] * true_channel**2
        d = HC / (2 * energy * np.sin(np.radians(a["two_theta_deg"] / 2)))
        truth = HC / (2 * place * np.sin(np.radians(TRUE["angle"] / 2)))
        strains.append(d / truth - 1.0)
        jac = strain_sensitivity([place], [1.0], a)
        part = Covariance.of(a).part(("c0", "c1", "c2", "two_theta"))
        said.append(np.sqrt(jac @ part @ jac))
    ratio = np.sqrt(np.mean(np.square(strains))) / np.mean(said)
    assert 0.5 < ratio < 1.6
    # without the correlation of scale and angle the error would be several times too wide
    apart = np.sqrt(np.sum(jac**2 * np.diag(part)))
    assert apart > 2.0 * said[-1]


def test_the_calibration_reaches_the_lattices_of_a_fit():
    ds = wb.simulate("edxrd", seed=4, settings={"positions": 2, "times": 1})
    matrix = np.diag([1e-3, 1e-6, 1e-10, 5e-4]) ** 2
    scale = {f"c{i}": ds.attrs[f"c{i}_keV"] for i in range(3)}
    told = wb.calibrate(ds, "known", **scale, two_theta_deg=5.33, covariance=matrix.tolist())
    fit = wb.fit(told, wb.propose(told, ["Li6PS5Cl"]), statistic="poisson")
    cells = edxrd.lattice(fit)
    relative = float(cells["strain_stderr_calibration"][0])
    half = np.radians(5.33) / 2
    assert relative > np.radians(5e-4) / 2 / np.tan(half)
    assert relative < 3 * np.radians(5e-4) / 2 / np.tan(half)
    a = cells["a"].isel(species=0).mean()
    assert float(cells["a_stderr_calibration"][0]) == pytest.approx(relative * float(a))
    assert cells["strain_covar_calibration"].shape == (1, 1)


@pytest.mark.parametrize("header", ["15.0146", "15.0520"])
def test_gold_alone_gives_scale_and_angle(header):
    ds = wb.open(data(f"edxrd/aps16bmb_Au-wire_15deg_header{header}.hpmca"))
    out = wb.calibrate(ds, "joint", standard="Au", sources=["Au"])
    assert out.attrs["two_theta_deg"] == pytest.approx(15.0148, abs=0.002)
    assert 0.0003 < out.attrs["two_theta_stderr"] < 0.002
    report = edxrd.flatness(out)
    assert int(report["used"].sum()) >= 10
    assert abs(report.attrs["two_theta_slope"]) < 3 * report.attrs["two_theta_slope_stderr"]
    # Ka1 lies under (5 3 1): only Ka2 is taken
    assert [r["energy"] for r in json.loads(out.attrs["energy_lines"])] == [66.9895]


def test_gold_with_sources_measured_nine_days_earlier():
    sources = wb.open(data("edxrd/aps16bmb_Cd109-Co57_calibration.000"))
    sources = wb.calibrate(sources, "joint", sources=["109Cd", "57Co", "Pb"])
    rows = json.loads(sources.attrs["energy_lines"])
    assert len(rows) == 6
    assert max(abs(r["residual"]) for r in rows) < 0.012
    ds = wb.open(data("edxrd/aps16bmb_Au-wire_15deg_header15.0520.hpmca"))
    ds.attrs.pop("header_two_theta_deg")
    out = wb.calibrate(ds, "joint", standard="Au", sources=["Au"], measured=edxrd.lines_of(sources),
                       drift_keV=0.02)  # fmt: skip
    assert out.attrs["two_theta_deg"] == pytest.approx(15.0148, abs=0.002)
    kept = [r for r in json.loads(out.attrs["energy_lines"]) if r["used"]]
    assert max(abs(r["residual"]) for r in kept) < 0.012
    assert out.attrs["fano"] == pytest.approx(0.106, abs=0.015)
    assert out.attrs["noise_keV"] == pytest.approx(0.121, abs=0.025)


def test_synthetic_sources_and_ceo2_in_one_fit():
    path = data("edxrd/syn_calibration_sources_CeO2.spec")
    first = wb.calibrate(wb.open(path, region="1"), "joint", sources=["109Cd", "57Co"],
                         guess=(0.0, 0.0503))  # fmt: skip
    out = wb.calibrate(wb.open(path, region="2"), "joint", standard="CeO2", sources=["W", "Pb"],
                       measured=edxrd.lines_of(first), drift_keV=0.001)  # fmt: skip
    assert out.attrs["two_theta_deg"] == pytest.approx(5.3287, abs=0.0006)
    assert out.attrs["two_theta_stderr"] < 0.0006
    assert out.attrs["c1_keV"] == pytest.approx(0.05021, abs=6e-5)


def test_figure_and_report():
    out = both(standard_spectrum(5), guess_deg=5.33)
    report = edxrd.flatness(out)
    assert set(report["residual"].dims) == {"reflection"}
    assert report["two_theta_stderr"].values.min() > 0.0
    assert 0.2 < report.attrs["reduced_chi2"] < 3.0
    figure = edxrd.plot_flatness(out)
    assert len(figure.axes) == 2
    assert figure.axes[0].get_ylabel().startswith("2")
    with pytest.raises(CalibrationError, match="joint"):
        edxrd.flatness(standard_spectrum(5))


def test_a_calibration_carries_over_with_its_covariance():
    out = both(standard_spectrum(5), guess_deg=5.33)
    other = wb.calibrate(standard_spectrum(6), "known", **edxrd.scale_of(out))
    assert np.array_equal(other["photon_energy"], out["photon_energy"])
    assert other.attrs["two_theta_deg"] == out.attrs["two_theta_deg"]
    assert other.attrs["noise_keV"] == out.attrs["noise_keV"]
    one, two = Covariance.of(out.attrs), Covariance.of(other.attrs)
    names = ("c0", "c1", "c2", "two_theta")
    assert np.allclose(one.part(names), two.part(names), rtol=1e-9)


def test_a_line_where_the_electronics_saturate_is_left_out():
    energies = [22.16, 24.94, 39.3, 59.54, 88.03, 122.06, 136.47]
    ch = [(e + 1.0) / 0.05 for e in energies]
    ch[-1] -= 6.0  # 0.3 keV low
    rows = [Datum("line", "", e, c, 0.1, 8.0, 0.2) for e, c in zip(energies, ch, strict=True)]
    found = solve(rows, (-1.0, 0.05), None)
    assert list(found.used) == [True] * 6 + [False]
    assert abs(found.values["c0"] + 1.0) < 0.05
    assert np.max(np.abs(found.residual[:6])) < 0.01


def test_fano_and_noise_are_what_widths_say():
    noise, fano = 0.2, 0.12
    energies = np.array([22.0, 35.0, 60.0, 88.0, 122.0])
    width = np.sqrt(noise**2 + _FWHM**2 * fano * EPSILON_GE * energies) / 0.04
    rows = [
        Datum("line", "", e, e / 0.04, 0.05, w, 0.02) for e, w in zip(energies, width, strict=True)
    ]
    found = solve(rows, (0.0, 0.04), None, degree=1)
    assert found.values["noise_keV"] == pytest.approx(noise, abs=0.01)
    assert found.values["fano"] == pytest.approx(fano, abs=0.006)


def test_every_element_has_its_own_scale_and_all_share_one_axis():
    parts = [standard_spectrum(k, c1=0.0502 * (1 + 0.004 * k), c0=-0.05 + 0.2 * k)
             for k in range(3)]  # fmt: skip
    counts = np.stack([p["intensity"].values for p in parts])
    ds = spectrum(counts, np.arange(3000), technique="edxrd", axis_name="channel",
                  outer={"detector": [0, 1, 7]})  # fmt: skip
    out = both(ds, guess_deg=5.33)
    assert out["intensity"].dims == ("detector", "photon_energy")
    assert out.attrs["two_theta_deg"] == pytest.approx(TRUE["angle"], abs=0.001)
    x = out["photon_energy"].values
    places = [
        fit_line(x, row.astype(float), float(bragg_energy(5.41153 / np.sqrt(8), 5.33)), 0.35).center
        for row in out["intensity"].values
    ]
    assert np.ptp(places) < 0.01
    assert np.allclose(out["element_c1"], 0.0502 * (1 + 0.004 * np.arange(3)), rtol=3e-4)
    kept = out["intensity"].sum("photon_energy").values / counts.sum(axis=1)
    assert np.all(kept > 0.97)
    assert out["intensity"].dtype.kind == "i"
    total = wb.correct(out, "sum_elements")
    assert total["intensity"].dims == ("photon_energy",)
    assert int(total["intensity"].sum()) == int(out["intensity"].sum())
    one = edxrd.element(out, 7)
    assert one.attrs["two_theta_deg"] == pytest.approx(TRUE["angle"], abs=0.003)
    assert Covariance.of(one.attrs) is not None
    again = wb.calibrate(ds, "known", **edxrd.scale_of(out))
    assert np.array_equal(again["intensity"], out["intensity"])


def test_moving_counts_keeps_them_poisson():
    from spectra.techniques._edxrd_elements import redistributed

    rng = np.random.default_rng(1)
    counts = rng.poisson(20.0, (400, 200))
    moved = redistributed(counts, np.linspace(-0.3, 199.6, 201), rng)
    inner = moved[:, 5:-5]
    assert inner.var() / inner.mean() == pytest.approx(1.0, abs=0.03)
    neighbours = np.mean((inner[:, 1:] - inner.mean()) * (inner[:, :-1] - inner.mean()))
    assert abs(neighbours) < 0.15  # interpolation would give about 4
    parts = redistributed(counts.astype(float), np.linspace(0.0, 200.0, 201), rng)
    assert np.allclose(parts, counts)


def test_strips_of_a_germanium_detector():
    ds = wb.open(data("edxrd/aps16bmb_GSD192_Cd109-Co57.hpmca")).isel(detector=slice(0, 192, 5))
    out = wb.calibrate(ds, "joint", sources=["109Cd", "57Co"])
    records = json.loads(out.attrs["element_calibrations"])
    assert all(r is not None for r in records)
    by_line = {}
    for record in records:
        for row in record["energy_lines"]:
            by_line.setdefault(row["energy"], []).append(row)
    # 136.47 keV lies where the strips saturate: 0.15 keV off, left out in all
    assert sorted(by_line) == [22.16292, 24.9424, 88.0336, 122.06065]
    for rows in by_line.values():
        residual = np.array([r["residual"] for r in rows])
        assert abs(np.median(residual)) < 0.012
        pull = residual / np.array([r["residual_stderr"] for r in rows])
        assert np.max(np.abs(pull)) < 3.0
    width = Detector.of(out.attrs).fwhm(88.0)
    assert float(width) == pytest.approx(0.73, abs=0.06)

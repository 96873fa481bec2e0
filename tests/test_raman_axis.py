"""Raman scale on several standards: real interlaboratory spectra, held-out lines, known answers."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from spectra.convention import spectrum
from spectra.errors import CalibrationError
from spectra.techniques import raman
from spectra.techniques._raman_standards import MATERIALS, vacuum_wavenumber
from tests.shared_data import data
from workbench.recipe import Recipe


def horiba(name):
    return wb.open(data(f"raman/calibration/FMNT-M_Ho785/{name}"), technique="raman")


def bwtek(name):
    """The columns Raman Shift and Dark Subtracted of a B&W Tek file, read independently."""
    path = data(f"raman/calibration/FMNT-M_BW532/{name}")
    lines = path.read_text(encoding="latin-1").splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("Pixel;"))
    names = lines[start].split(";")
    columns = [names.index("Raman Shift"), names.index("Dark Subtracted #1")]
    rows = [line.split(";") for line in lines[start + 1 :] if line.strip()]
    pairs = [[row[k].strip().replace(",", ".") for k in columns] for row in rows]
    table = np.array([[float(a), float(b)] for a, b in pairs if a and b])
    return made(table[:, 0], table[:, 1], laser_nm=532.02)


def made(x, y, **attrs):
    return spectrum(y, x, technique="raman", axis_name="raman_shift", units="1", attrs=attrs)


def corrected(ds, lines):
    """Places of found lines on the calibrated scale of ``ds``, and its standard error there."""
    raw = np.array([line.found for line in lines if line.found is not None])
    by = np.interp(raw, np.array(ds.attrs["raw_axis"]), ds["raman_shift"].values)
    return by, np.interp(by, ds["raman_shift"].values, ds["raman_shift_stderr"].values)


def calibrated(ds, lines, **settings):
    raw = ds["raman_shift"].values
    out = wb.calibrate(ds, "standards", lines=lines, **settings)
    out.attrs["raw_axis"] = raw
    return out


def test_paracetamol_loses_its_error():
    # README of the data: 213.4, 391.4, 652.6 ... 1566.4, 1654.0: an error growing to +5.6 1/cm.
    ds = wb.open(data("raman/renishaw/paracetamol.txt"), technique="raman")
    lines = raman.standard_lines(ds, "paracetamol")
    assert len(lines) == 23
    assert all(line.found is not None for line in lines)
    before = {line.reference: line.found - line.reference for line in lines}
    assert before[1648.4] == pytest.approx(5.4, abs=0.5)
    report = raman.calibration_report(wb.calibrate(ds, "standards", lines=lines))
    inner = report["residual"].values[np.abs(report["reference"].values - 900.0) < 800.0]
    assert np.sqrt(np.mean(inner**2)) < 0.45
    # Held out: a scale made from every other line predicts the rest within their errors.
    for first in (0, 1):
        out = calibrated(ds, lines[first::2])
        rest = lines[1 - first :: 2]
        by, error = corrected(out, rest)
        own = [np.hypot(line.error, line.reference_error) for line in rest]
        pull = (by - [line.reference for line in rest]) / np.hypot(own, error)
        assert np.mean(pull**2) < 1.5
        assert np.abs(pull).max() < 3.0


def test_neon_and_silicon_predict_calcite():
    # Interlaboratory set of CHARISMA, 785 nm, four 1/cm per pixel.
    neon = raman.standard_lines(horiba("NeonSNQ043_iR785_OP01.txt"), "neon", laser_nm=785.0)
    silicon = raman.standard_lines(horiba("S0N10_iR785_OP01_6000msx4.txt"), "silicon")
    assert silicon[0].found == pytest.approx(523.2, abs=0.5)
    ds = horiba("sCAL10_iR785_OP01_4000msx4.txt")
    out = calibrated(ds, neon + silicon)
    assert "laser line off by" in out.attrs["calibration"]
    report = raman.calibration_report(out)
    used = report.where(report["used"], drop=True)
    assert used.sizes["line"] > 25
    assert float(np.sqrt((used["residual"] ** 2).mean())) < 0.5
    by, _ = corrected(out, raman.standard_lines(ds, "calcite"))
    np.testing.assert_allclose(by, [281.0, 712.0, 1086.0], atol=1.0)
    # The polystyrene of this set was measured with the whole spectrum 2 1/cm lower: all its strong
    # lines say so alike, which is what a residual report is for.
    ds = horiba("PST10_iR785_OP01_40000msx4.txt")
    strong = [n for n in raman.standard_lines(ds, "polystyrene") if n.reference < 1100]
    by, _ = corrected(calibrated(ds, neon + silicon), strong)
    missing = by - [n.reference for n in strong]
    assert missing.mean() == pytest.approx(-2.1, abs=0.6)
    assert missing.std() < 0.7


def test_lines_a_detector_clipped_are_named_and_nitrogen_comes_near():
    silicon = bwtek("S0N10_iR532_Probe_100_30000msx3.txt")
    neon = raman.standard_lines(bwtek("NeonSNQ043_iR532_Probe_100msx2.txt"), "neon")
    clipped = [n for n in neon if n.note == "clipped by the detector"]
    assert len(clipped) >= 10
    assert all(n.found is None for n in clipped)
    lines = raman.standard_lines(bwtek("PST10_iR532_Probe_100_3000msx7.txt"), "polystyrene")
    out = calibrated(silicon, lines)
    # Held out: silicon and the nitrogen of air (2328.8 in the file, 2330 in the literature).
    by, error = corrected(out, raman.standard_lines(silicon, "silicon"))
    assert by[0] == pytest.approx(520.45, abs=1.5)
    nitrogen = raman.standard_lines(silicon, "nitrogen")
    by, error = corrected(out, nitrogen)
    assert abs(by[0] - 2329.9) < abs(nitrogen[0].found - 2329.9)
    assert by[0] == pytest.approx(2329.9, abs=1.5)
    assert 0.05 < error[0] < 1.0
    # With silicon, or with silicon and the lamp, nearer still, within the errors of both.
    for more in (raman.standard_lines(silicon, "silicon"), neon):
        lines = lines + more
        by, error = corrected(calibrated(silicon, lines), nitrogen)
        assert abs(by[0] - 2329.9) < 2.0 * np.hypot(error[0], nitrogen[0].error)
        assert by[0] == pytest.approx(2329.9, abs=1.0)


TRUE = np.linspace(150.0, 3300.0, 2600)


def bent(x):
    """What a scale may be off by, 1/cm, as a function of the wrong scale."""
    u = (x - 1700.0) / 1600.0
    return -2.0 - 3.0 * u + 1.2 * u**2


def wrong_scale():
    x = TRUE.copy()
    for _ in range(50):
        x = TRUE - bent(x)
    return x


def polystyrene(rng, counts):
    """Polystyrene lines (Lorentzian, 9 1/cm) on a wrong scale."""
    x = wrong_scale()
    clean = 0.05 * np.ones(x.size)
    for place, _ in MATERIALS["polystyrene"]:
        clean += 1.0 / (1.0 + ((TRUE - place) / 4.5) ** 2)
    return x, made(x, rng.poisson(counts * clean).astype(float))


def test_a_known_error_of_the_scale_comes_back_with_its_uncertainty():
    pulls, worst = [], []
    for seed in range(12):
        _, ds = polystyrene(np.random.default_rng(seed), 400.0)
        lines = [
            line.model_copy(update={"reference_error": 0.02})
            for line in raman.standard_lines(ds, "polystyrene")
        ]
        out = wb.calibrate(ds, "standards", lines=lines)
        inside = (TRUE > 640.0) & (TRUE < 3040.0)
        off = out["raman_shift"].values - TRUE
        worst.append(np.abs(off[inside]).max())
        pulls.append((off / out["raman_shift_stderr"].values)[inside][::200])
        assert out["intensity"].equals(ds["intensity"].assign_coords(out.coords))
    assert np.median(worst) < 0.4
    spread = float(np.std(np.concatenate(pulls)))
    assert 0.5 < spread < 1.7


def test_neon_finds_the_error_of_the_laser_line():
    # A lamp and silicon on a wrong scale, with a laser 0.2 nm from the stated one.
    rng = np.random.default_rng(4)
    x = wrong_scale()
    laser = float(vacuum_wavenumber(785.2))
    clean = np.full(x.size, 0.002)
    from spectra.techniques._raman_standards import NEON

    for nm, strength in NEON:
        clean += strength / 800.0 * np.exp(-(((TRUE - laser + vacuum_wavenumber(nm)) / 3.0) ** 2))
    lamp = made(x, rng.poisson(2e4 * clean).astype(float))
    clean = 0.05 + 1.0 / (1.0 + ((TRUE - 520.45) / 3.0) ** 2)
    wafer = made(x, rng.poisson(2e3 * clean).astype(float))
    lines = raman.standard_lines(lamp, "neon", laser_nm=785.0)
    lines += raman.standard_lines(wafer, "silicon")
    out = wb.calibrate(wafer, "standards", lines=lines)
    off = float(vacuum_wavenumber(785.2) - vacuum_wavenumber(785.0))
    said = float(out.attrs["calibration"].split("laser line off by ")[1].split(" ")[0])
    assert said == pytest.approx(off, abs=0.4)
    low, high = out.attrs["calibrated_from"], out.attrs["calibrated_to"]
    inside = (low < TRUE) & (high > TRUE)
    assert np.abs(out["raman_shift"].values - TRUE)[inside].max() < 0.5


def test_a_line_that_contradicts_is_named_and_left_out():
    _, ds = polystyrene(np.random.default_rng(1), 4000.0)
    lines = raman.standard_lines(ds, "polystyrene")
    wrong = lines[4].model_copy(update={"found": lines[4].found + 8.0})
    out = wb.calibrate(ds, "standards", lines=[*lines[:4], wrong, *lines[5:]])
    report = raman.calibration_report(out)
    assert report["used"].values.tolist() == [k != 4 for k in range(11)]
    assert str(report["note"].values[4]) == "contradicted by the other lines"
    assert "left out: polystyrene 1155.3" in out.attrs["calibration"]


def test_beyond_the_lines_the_error_grows_and_is_said():
    _, ds = polystyrene(np.random.default_rng(2), 4000.0)
    lines = [n for n in raman.standard_lines(ds, "polystyrene") if n.reference < 1700.0]
    out = wb.calibrate(ds, "standards", lines=lines, degree=2)
    assert "extrapolated below 621 and above 1602 1/cm" in out.attrs["calibration"]
    error = out["raman_shift_stderr"]
    assert float(error.sel(raman_shift=3200.0, method="nearest")) > 4.0 * float(
        error.sel(raman_shift=1100.0, method="nearest")
    )


def test_a_recipe_holds_the_lines():
    _, ds = polystyrene(np.random.default_rng(3), 4000.0)
    lines = raman.standard_lines(ds, "polystyrene")
    step = {"method": "standards", "lines": [line.model_dump(mode="json") for line in lines]}
    recipe = Recipe.model_validate(
        {"technique": "raman", "calibrate": [step], "propose": {"species": ["Li2S"]}}
    )
    kept = recipe.calibrate[0]
    again = wb.calibrate(ds, kept.method, **kept.settings)
    by_hand = wb.calibrate(ds, "standards", lines=lines)
    np.testing.assert_array_equal(again["raman_shift"], by_hand["raman_shift"])
    assert again.attrs["history"] == by_hand.attrs["history"]
    itself = wb.calibrate(ds, "standards", standard="polystyrene")
    np.testing.assert_array_equal(itself["raman_shift"], by_hand["raman_shift"])


def test_what_cannot_be_calibrated_is_refused():
    x, ds = polystyrene(np.random.default_rng(3), 4000.0)
    with pytest.raises(CalibrationError, match="allowed: neon, silicon"):
        raman.standard_lines(ds, "unobtainium")
    with pytest.raises(CalibrationError, match="needs the laser line"):
        raman.standard_lines(ds, "neon")
    with pytest.raises(CalibrationError, match="no line of a standard"):
        wb.calibrate(ds, "standards")
    with pytest.raises(CalibrationError, match="no line of silicon between"):
        raman.standard_lines(wb.select(ds, {"raman_shift": (1000.0, 1500.0)}), "silicon")
    done = wb.calibrate(ds, "standards", standard="polystyrene")
    with pytest.raises(CalibrationError, match="before"):
        wb.calibrate(done, "standards", standard="polystyrene")
    with pytest.raises(CalibrationError, match="no report"):
        raman.calibration_report(ds)
    flat = made(x, np.random.default_rng(0).normal(100.0, 1.0, x.size))
    lines = raman.standard_lines(flat, "silicon")
    assert lines[0].found is None
    assert lines[0].note
    few = [n for n in raman.standard_lines(ds, "polystyrene") if n.reference < 1000.0]
    with pytest.raises(CalibrationError, match="degree 3 needs 4 lines"):
        wb.calibrate(ds, "standards", lines=few, degree=3)


def test_wavelengths_in_air_become_shifts_in_vacuum():
    nm = np.array([540.0, 560.0, 600.0, 640.0])
    ds = spectrum(np.ones(4), nm, technique="raman", axis_name="wavelength", units="1")
    out = wb.calibrate(ds, "laser", wavelength_nm=532.0, medium="air")
    plain = wb.calibrate(ds, "laser", wavelength_nm=532.0)
    # Refractive index of air 1.000278: shifts in vacuum are smaller by that share.
    np.testing.assert_allclose(out["raman_shift"] / plain["raman_shift"], 1 - 2.77e-4, atol=3e-6)
    # Ne 585.24879 nm in air is 17082.09 1/cm (585.4110 nm in vacuum, NIST).
    assert float(vacuum_wavenumber(585.24879)) == pytest.approx(1e7 / 585.4110, abs=0.01)


@pytest.mark.parametrize("laser_nm", [532.0, 632.8, 785.0])
@pytest.mark.parametrize("fwhm", [2.5, 12.0])
def test_lamp_lines_are_matched_on_any_scale(laser_nm, fwhm):
    # Shifted by up to 12 1/cm and bent, heights off by a factor of two, tops clipped.
    from spectra.techniques._raman_standards import NEON

    table = np.array(NEON)
    for seed in range(2):
        rng = np.random.default_rng(seed)
        true = np.linspace(100.0, 3300.0, int(3200.0 * rng.uniform(1.8, 4.0) / fwhm))
        u = (true - 1700.0) / 1600.0
        read = true - rng.uniform(-12.0, 12.0) - rng.uniform(-3.0, 3.0) * u - 2.0 * u**2
        shifts = float(vacuum_wavenumber(laser_nm)) - vacuum_wavenumber(table[:, 0])
        heights = 100.0 * table[:, 1] * np.exp(rng.normal(0.0, 0.7, len(table)))
        mean = 20.0 + np.sum(
            heights * np.exp(-2.7726 * ((true[:, None] - shifts) / fwhm) ** 2), axis=1
        )
        counts = np.minimum(rng.poisson(mean), 30_000).astype(float)
        lines = raman.standard_lines(made(read, counts), "neon", laser_nm=laser_nm)
        found = [line for line in lines if line.found is not None]
        assert len(found) >= 10
        off = np.interp([n.found for n in found], read, true) - [n.reference for n in found]
        error = [np.hypot(n.error, n.reference_error) for n in found]
        assert np.abs(off).max() < 0.5 * fwhm
        assert np.median(np.abs(off) / error) < 1.0

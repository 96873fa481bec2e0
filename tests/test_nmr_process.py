"""Raw signal to spectrum: against TopSpin's own processing and against signals of known content."""

from __future__ import annotations

import numpy as np
import pytest

from spectra import formats
from spectra.convention import spectrum
from spectra.errors import CalibrationError, ModelError
from spectra.techniques.nmr import TECHNIQUE
from tests.shared_data import data

WIDTH, ZERO, CARRIER = 50e3, 100.0, 100.002


def do(ds, step, **settings):
    made = TECHNIQUE.corrections[step]
    return made.function(ds, made.settings(**settings))


def signal(lines, *, points=2048, noise=0.0, phase=0.0, delay=0.0, seed=1, rows=None):
    """Decaying lines ``(ppm, amplitude, Lorentz Hz)`` from time zero, as a raw Spectrum."""
    t = (np.arange(points) - delay) / WIDTH
    outer = {} if rows is None else {"scan": np.arange(1, rows + 1)}
    total = np.zeros((*(len(v) for v in outer.values()), points), complex)
    for ppm, amplitude, lorentz in lines:
        f = ppm * ZERO - (CARRIER - ZERO) * 1e6
        wave = np.exp(2j * np.pi * f * t - np.pi * lorentz * np.abs(t)) * (t >= -0.5 / WIDTH)
        total = total + np.multiply.outer(np.asarray(amplitude, float), wave)
    total = total * np.exp(1j * np.radians(phase))
    rng = np.random.default_rng(seed)
    total = total + noise * (rng.normal(size=total.shape) + 1j * rng.normal(size=total.shape))
    dims = (*outer, "acquisition_time")
    return spectrum(
        total.real,
        np.arange(points) / WIDTH,
        technique="nmr",
        axis_name="acquisition_time",
        units="1",
        outer=outer,
        extra={"intensity_im": (dims, total.imag, "1")},
        attrs={
            "nucleus": "31P",
            "carrier_MHz": CARRIER,
            "reference_MHz": ZERO,
            "group_delay_points": delay,
        },
    )


def test_topspins_spectrum_is_reproduced_from_its_raw_signal():
    folder = data("nmr/bruker_31P_H3PO4_reference/1")
    (fid,) = formats.read(folder / "fid").values()
    (topspin,) = formats.read(folder).values()
    made = do(do(fid, "apodise", lorentz_Hz=50), "fourier", points=16384)
    ours = np.hypot(made["intensity"].values, made["intensity_im"].values)
    theirs = np.hypot(topspin["intensity"].values, topspin["intensity_im"].values)
    x = topspin["chemical_shift"].values
    there = np.interp(x[2:-2], made["chemical_shift"].values, ours)
    scale = (there @ theirs[2:-2]) / (there @ there)
    np.testing.assert_allclose(there * scale, theirs[2:-2], atol=2e-3 * theirs.max())
    assert made.attrs["noise_factor"] == pytest.approx(topspin.attrs["noise_factor"], rel=0.01)
    assert made.attrs["calibration"] == topspin.attrs["calibration"]


def test_shift_width_and_area_of_a_line():
    ds = do(signal([(35.0, 10.0, 100.0)]), "apodise", lorentz_Hz=50)
    ds = do(do(ds, "zero_fill", factor=2), "fourier")
    x, y = ds["chemical_shift"].values, ds["intensity"].values
    assert x[np.argmax(y)] == pytest.approx(35.0, abs=x[1] - x[0])
    above = x[y > y.max() / 2]
    assert above[-1] - above[0] == pytest.approx(1.5, abs=0.15)
    # The integral is the first point of the signal: 10, here per point of the transform.
    assert y.sum() / y.size == pytest.approx(5.0, rel=1e-6)


def test_filter_delay_is_taken_out_as_a_phase():
    delayed = do(signal([(35.0, 10.0, 200.0)], delay=60.0), "fourier")
    x, y = delayed["chemical_shift"].values, delayed["intensity"].values
    top = np.argmax(y)
    assert x[top] == pytest.approx(35.0, abs=0.3)
    assert abs(delayed["intensity_im"].values[top]) < 0.15 * y[top]


@pytest.mark.parametrize("first", [0.0, 140.0])
def test_automatic_phase_and_its_error(first):
    true = [(-120.0, 4.0, 80.0), (-20.0, 9.0, 120.0), (60.0, 6.0, 100.0), (180.0, 3.0, 90.0)]
    pulls = []
    for seed in range(24):
        ds = do(do(signal(true, noise=0.3, seed=seed), "zero_fill"), "fourier")
        x = ds["chemical_shift"].values
        turn = np.exp(1j * np.radians(63.0 + first * (x - 20.0) / (x[-1] - x[0])))
        z = (ds["intensity"].values + 1j * ds["intensity_im"].values) * turn
        ds["intensity"] = ds["intensity"].copy(data=z.real)
        ds["intensity_im"] = ds["intensity_im"].copy(data=z.imag)
        made = do(ds, "phase", pivot_ppm=20.0)
        pulls.append(
            [
                (float(made["phase0"]) - 63.0) / float(made["phase0_stderr"]),
                (float(made["phase1"]) - first) / float(made["phase1_stderr"]),
            ]
        )
        assert abs(float(made["phase0"]) - 63.0) < 1.5
        assert abs(float(made["phase1"]) - first) < 15
    # Noise is described; what the windows leave of the neighbours' dispersion stays within 2.5.
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 2.5)
    assert np.all(np.std(pulls, axis=0) < 1.6)


def test_a_stated_phase_is_applied_and_needs_the_imaginary_part():
    ds = do(signal([(35.0, 10.0, 100.0)], phase=90.0), "fourier")
    made = do(ds, "phase", p0_deg=90.0)
    top = int(np.argmax(made["intensity"].values))
    assert made["chemical_shift"].values[top] == pytest.approx(35.0, abs=0.3)
    with pytest.raises(ModelError, match="no imaginary part"):
        do(made.drop_vars("intensity_im"), "phase")


def test_whole_echo_needs_only_a_constant_phase():
    n, top = 1024, 400
    t = (np.arange(n) - top) / WIDTH
    f = 30.0 * ZERO - 2000.0
    echo = np.exp(2j * np.pi * f * t - (np.pi * 600 * t) ** 2 / (4 * np.log(2))) * np.exp(0.8j)
    ds = signal([(0.0, 1.0, 1.0)], points=n)
    ds["intensity"] = ds["intensity"].copy(data=echo.real)
    ds["intensity_im"] = ds["intensity_im"].copy(data=echo.imag)
    ds = do(do(do(ds, "swap_echo"), "zero_fill", points=2048), "fourier")
    assert ds.attrs["echo_top"] == top
    made = do(ds, "phase", p0_deg=float(np.degrees(0.8)))
    y = made["intensity"].values
    assert np.abs(made["intensity_im"].values).max() < 1e-6 * y.max()
    assert made["chemical_shift"].values[np.argmax(y)] == pytest.approx(30.0, abs=0.3)


def test_noise_of_a_broadened_zero_filled_spectrum_describes_broad_lines():
    # The scatter of integrals over many noise-only spectra is the truth the factor must predict.
    ds = signal([], noise=1.0, rows=200, points=1024)
    ds = do(do(do(ds, "apodise", lorentz_Hz=100), "zero_fill", factor=4), "fourier")
    made = do(ds, "noise")
    y = made["intensity"].values
    size = 1600  # points: broad against the 100 Hz of the window
    sums = y[:, 1000 : 1000 + size].sum(axis=1)
    predicted = float(made["uncertainty"].values.mean()) * np.sqrt(size)
    assert np.std(sums) == pytest.approx(predicted, rel=0.15)
    assert made["uncertainty"].attrs["noise_factor"] > 2
    assert made["uncertainty"].attrs["origin"] == "instrument"


def test_noise_is_found_beside_lines_and_without_knowledge_of_the_processing():
    ds = signal([(0.0, 400.0, 300.0)], noise=1.0, points=8192)
    ds = do(do(ds, "apodise", lorentz_Hz=50), "fourier")
    known = do(ds, "noise")
    blind = do(ds.assign_attrs(noise_factor=0.0), "noise")
    between = do(ds, "noise", between=(100.0, 250.0))
    for made in (blind, between):
        ratio = made["uncertainty"].values.mean() / known["uncertainty"].values.mean()
        assert 0.5 < ratio < 1.5


def test_strongly_smoothed_noise_of_a_processed_file_is_not_underestimated():
    # A spectrum from elsewhere does not say how it was made: 300 Hz of broadening and zero filling
    # to eight times the points make the noise of a hundred neighbours one.
    ds = signal([], noise=1.0, rows=8, points=2048)
    ds = do(do(do(ds, "apodise", lorentz_Hz=300), "zero_fill", factor=8), "fourier")
    known = do(ds, "noise")["uncertainty"].attrs["noise_factor"]
    blind = do(ds.assign_attrs(noise_factor=0.0), "noise")["uncertainty"].attrs["noise_factor"]
    assert known > 8
    assert blind == pytest.approx(known, rel=0.3)


def test_baseline_is_a_static_background():
    ds = do(signal([(35.0, 10.0, 100.0)], noise=0.05), "fourier")
    x = ds["chemical_shift"].values
    roll = 20.0 + 0.1 * x + 1e-4 * x**2
    ds["intensity"] = ds["intensity"] + roll
    ds["intensity"].attrs["units"] = "1"
    for settings in (
        {"order": 2},
        {"order": 2, "between": ((-240.0, -50.0), (120.0, 260.0))},
        {"method": "arpls", "smoothness": 1e9},
    ):
        made = do(ds, "baseline", **settings)
        far = np.abs(x - 35.0) > 60
        assert np.abs(made["background"].values - roll)[far].max() < 3.0
        np.testing.assert_array_equal(made["intensity"].values, ds["intensity"].values)


def test_rows_get_their_delays():
    ds = signal([(0.0, np.exp(-np.arange(3.0)), 100.0)], rows=3)
    made = do(ds, "delays", start_s=0.5e-3, step_s=0.5e-3)
    assert made["intensity"].dims == ("evolution_time", "acquisition_time")
    np.testing.assert_allclose(made["evolution_time"].values, [0.5e-3, 1e-3, 1.5e-3])
    with pytest.raises(CalibrationError, match="2 delays for 3 rows"):
        do(ds, "delays", values_s=(1.0, 2.0))


def test_wrong_order_is_refused_with_the_call_that_mends_it():
    raw = signal([(0.0, 1.0, 100.0)])
    for step in ("phase", "noise", "baseline"):
        with pytest.raises((ModelError, CalibrationError), match="fourier"):
            do(raw, step)
    with pytest.raises(ModelError, match="works on a raw signal"):
        do(do(raw, "fourier"), "apodise", lorentz_Hz=1)
    with pytest.raises(ModelError, match="zero_fill to 100 points"):
        do(raw, "zero_fill", points=100)


def test_the_recipe_of_a_processed_signal_runs_again_to_the_same_numbers():
    import workbench as wb
    from spectra import Component, Components, Param
    from workbench.run import run_recipe

    path = data("nmr/bruker_31P_H3PO4_reference/1") / "fid"
    ds = wb.open(path)
    ds = wb.correct(ds, "apodise", lorentz_Hz=50.0)
    ds = wb.correct(ds, "fourier", points=8192)
    ds = wb.correct(ds, "phase")
    ds = wb.calibrate(ds, "reference", at=0.0, between=(-20.0, 20.0))
    ds = wb.correct(ds, "noise")
    ds = wb.correct(ds, "baseline", order=1, between=((-200.0, -100.0), (100.0, 280.0)))
    acid = Component(
        name="acid",
        shape="lorentzian",
        params={
            "area": Param(value=1e8),
            "center": Param(value=0.0, min=-1, max=1),
            "fwhm": Param(value=1.0, min=0.1, max=5),
        },
    )
    fit = wb.fit(ds, Components([acid]))
    assert float(fit["value"].sel(param="acid.center")) == pytest.approx(0.0, abs=0.05)
    recipe = wb.recipe(fit)
    again = run_recipe(path, recipe)
    np.testing.assert_array_equal(again.fit["value"].values, fit["value"].values)
    np.testing.assert_array_equal(again.fit["stderr"].values, fit["stderr"].values)

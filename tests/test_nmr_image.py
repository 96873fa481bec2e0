"""Chemical shift imaging from raw rows: a known object comes back where it was."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

import workbench as wb
from spectra.component import Component, Components, Param
from spectra.convention import spectrum
from spectra.errors import CalibrationError, ModelError

FOV, STEPS, POINTS, WIDTH, ZERO = 3200.0, 32, 512, 40e3, 116.6


def rows(objects, *, images=1, noise=0.0, steps=STEPS, points=POINTS):
    """Phase-encoded signals of thin slabs ``(z um, shift ppm, amount(image), width Hz)``."""
    t = np.arange(points) / WIDTH
    k = (np.arange(steps) - steps // 2) / FOV
    total = np.zeros((images, steps, points), complex)
    for z, ppm, amount, lorentz in objects:
        wave = np.exp(2j * np.pi * ppm * ZERO * t - np.pi * lorentz * t)
        wave[0] *= 0.5
        total += (
            np.broadcast_to(amount, images)[:, None, None]
            * np.exp(2j * np.pi * k * z)[None, :, None]
            * wave[None, None, :]
        )
    rng = np.random.default_rng(0)
    total = total + noise * (rng.normal(size=total.shape) + 1j * rng.normal(size=total.shape))
    flat = total.reshape(-1, points)
    return spectrum(
        flat.real,
        t,
        technique="nmr",
        axis_name="acquisition_time",
        units="1",
        outer={"scan": np.arange(1, flat.shape[0] + 1)},
        extra={"intensity_im": (("scan", "acquisition_time"), flat.imag, "1")},
        attrs={"nucleus": "7Li", "carrier_MHz": ZERO, "reference_MHz": ZERO},
    )


def imaged(ds, **settings):
    ds = wb.correct(ds, "image", **({"field_of_view_um": FOV} | settings))
    return wb.correct(ds, "fourier", first_point=1.0, points=2 * ds.sizes["acquisition_time"])


def test_two_slabs_come_back_at_their_places_and_shifts():
    made = imaged(rows([(-800.0, 0.0, 2.0, 300.0), (500.0, 250.0 / 3, 1.0, 300.0)]))
    assert made["intensity"].dims == ("z", "chemical_shift")
    z, x = made["z"].values, made["chemical_shift"].values
    y = made["intensity"].values
    for place, shift, amount in ((-800.0, 0.0, 2.0), (500.0, 250.0 / 3, 1.0)):
        at = int(np.argmin(np.abs(z - place)))
        assert z[at] == pytest.approx(place)
        near = np.abs(x - shift) < 20
        assert x[near][np.argmax(y[at, near])] == pytest.approx(shift, abs=0.4)
        area = np.trapezoid(y[at], x) * ZERO / WIDTH
        assert area == pytest.approx(amount / 2, rel=0.02)
    away = int(np.argmin(np.abs(z - 1200.0)))
    assert np.abs(y[away]).max() < 1e-9 * y.max()
    assert made.attrs["resolution_um"] == FOV / STEPS


def test_order_and_sign_of_the_encoding():
    ds = rows([(-800.0, 0.0, 1.0, 300.0)])
    mirrored = imaged(ds, direction="backward")
    assert mirrored["z"].values[mirrored["intensity"].values.max(axis=1).argmax()] == 800.0
    turned = rows([(-800.0, 0.0, 1.0, 300.0)], steps=31)
    turned = turned.isel(scan=slice(None, None, -1)).assign_coords(scan=turned["scan"])
    made = imaged(turned, first="positive")
    z = made["z"].values[made["intensity"].values.max(axis=1).argmax()]
    assert z == pytest.approx(-800.0, abs=FOV / 31)


def test_field_of_view_from_the_gradient():
    # gamma(7Li) / 2 pi = 16.548 MHz/T: 0.1 T/m steps of 100 us are 1 / 165.48 m = 6043 um.
    ds = rows([(0.0, 0.0, 1.0, 300.0)])
    made = wb.correct(ds, "image", gradient_step_T_m=0.1, duration_s=1e-4)
    z = made["z"].values
    assert (z[1] - z[0]) * STEPS == pytest.approx(6043, abs=2)


def test_repeated_images_follow_an_amount_in_time():
    growth = np.linspace(0.2, 2.0, 10)
    ds = rows([(-800.0, 0.0, 1.0, 300.0), (500.0, 80.0, growth, 300.0)], images=10, noise=0.02)
    made = imaged(ds, steps=STEPS, interval_s=600.0, window="hann", positions=64)
    assert made["intensity"].dims == ("time", "z", "chemical_shift")
    assert made["time"].values[-1] == 5400.0
    at = int(np.argmin(np.abs(made["z"].values - 500.0)))
    x = made["chemical_shift"].values
    height = made["intensity"].values[:, at, :][:, np.argmin(np.abs(x - 80.0))]
    assert np.corrcoef(height, growth)[0, 1] > 0.999


def test_errors_name_the_cure():
    ds = rows([(0.0, 0.0, 1.0, 300.0)])
    with pytest.raises(CalibrationError, match="field_of_view_um"):
        wb.correct(ds, "image")
    with pytest.raises(ModelError, match="not whole images of 20"):
        wb.correct(ds, "image", field_of_view_um=FOV, steps=20)
    with pytest.raises(CalibrationError, match="interval_s"):
        wb.correct(ds, "image", field_of_view_um=FOV, steps=16)
    with pytest.raises(ModelError, match="complex rows along scan"):
        wb.correct(ds.drop_vars("intensity_im"), "image", field_of_view_um=FOV)


def test_a_thousand_slices_are_imaged_and_fitted_within_a_minute():
    start = time.perf_counter()
    images = 32
    growth = np.linspace(0.2, 2.0, images)
    ds = rows(
        [(-800.0, 0.0, 1.0, 400.0), (500.0, 80.0, growth, 400.0)], images=images, noise=0.02,
        points=256,
    )  # fmt: skip
    made = imaged(ds, steps=STEPS, interval_s=60.0)
    made = wb.correct(made, "noise", each=False, between=(-160, -60))
    made = wb.calibrate(made, "as_recorded")
    assert made.sizes["time"] * made.sizes["z"] == 1024
    comps = Components(
        [
            Component(
                name=name,
                shape="lorentzian",
                params={
                    "area": Param(value=1.0),
                    "center": Param(value=at, vary=False),
                    "fwhm": Param(value=400.0 / ZERO, vary=False),
                },
            )
            for name, at in (("salt", 0.0), ("metal", 80.0))
        ]
    )
    fit = wb.fit(made, comps)
    at = int(np.argmin(np.abs(made["z"].values - 500.0)))
    metal = fit["value"].sel(param="metal.area").values
    assert np.corrcoef(metal[:, at], growth)[0, 1] > 0.999
    assert np.abs(np.delete(metal, at, axis=1)).mean() < 0.05 * metal[:, at].mean()
    assert time.perf_counter() - start < 60


def test_imaging_a_series_takes_twice_the_raw_cube_beside_it():
    ds = rows([(-800.0, 0.0, 1.0, 400.0)], images=32, noise=0.02, points=1024)
    cube = ds["intensity"].nbytes + ds["intensity_im"].nbytes
    tracemalloc.start()
    made = wb.correct(ds, "image", field_of_view_um=FOV, steps=STEPS, interval_s=60.0)
    made = wb.correct(made, "fourier", first_point=1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made["intensity"].shape == (32, STEPS, 1024)
    # The images and the spectra, beside the raw cube itself.
    assert peak < 2.1 * cube

"""A 100 x 100 map with baseline and five bands, from file to maps: time and memory."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

import workbench as wb
from spectra import Component, Components, Param
from spectra.convention import spectrum

BANDS = ((250.0, 14.0), (372.0, 12.0), (427.0, 12.0), (520.0, 10.0), (960.0, 16.0))


def cube(rng, size=100):
    """Counts of five drifting Lorentzians on a sloping ground, 1015 points each."""
    x = np.linspace(100.0, 1320.0, 1015)
    at = np.linspace(0.0, 1.0, size)
    rows, columns = np.meshgrid(at, at, indexing="ij")
    heights = (300 * (1 + columns), 500 * (1.2 - rows), 800 * (0.3 + columns * rows),
               200 * (1 + np.sin(6 * columns)), 400 * (0.5 + rows**2))  # fmt: skip
    drift = 1.5 * np.sin(3 * columns + 2 * rows)
    counts = np.empty((size, size, x.size), np.int32)
    for i in range(size):
        mean = (600.0 - 200.0 * (x - 100.0) / 1220.0) * (1.0 + 0.3 * columns[i][:, None])
        for (center, fwhm), height in zip(BANDS, heights, strict=True):
            u = (x - center - drift[i][:, None]) / (0.5 * fwhm)
            mean = mean + height[i][:, None] / (1.0 + u * u)
        counts[i] = rng.poisson(mean)
    return spectrum(counts, x, technique="raman", axis_name="raman_shift",
                    outer={"y": 100.0 * at, "x": 100.0 * at},
                    attrs={"calibration": "given"}), np.stack(heights, axis=-1)  # fmt: skip


def model():
    items = [
        Component(
            name=f"band{k}",
            shape="lorentzian",
            params={
                "area": Param(value=800.0 * fwhm),
                "center": Param(value=center, min=center - 10.0, max=center + 10.0),
                "fwhm": Param(value=fwhm, min=3.0, max=60.0),
            },
        )
        for k, (center, fwhm) in enumerate(BANDS)
    ]
    ground = {"c0": Param(value=500.0), "c1": Param(), "c2": Param(),
              "x0": Param(value=700.0, vary=False)}  # fmt: skip
    items.append(Component(name="baseline", shape="polynomial", role="background", params=ground))
    return Components(items)


@pytest.mark.slow
def test_a_large_map_in_a_minute_and_three_cubes(tmp_path):
    made, heights = cube(np.random.default_rng(0))
    wb.save(made, tmp_path / "map.nc")
    raw = made["intensity"].nbytes
    del made
    small = wb.open(tmp_path / "map.nc").isel(x=slice(0, 2), y=slice(0, 2))
    wb.fit(small, model(), statistic="poisson")  # libraries are loaded, kernels too
    tracemalloc.start()
    begin = time.perf_counter()
    ds = wb.open(tmp_path / "map.nc")
    fit = wb.fit(ds, model(), statistic="poisson")
    maps = fit["value"].sel(param=[f"band{k}.area" for k in range(5)]).values
    took = time.perf_counter() - begin
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took < 60.0
    assert peak < 3.0 * raw
    widths = np.array([fwhm for _, fwhm in BANDS])
    error = fit["stderr"].sel(param=[f"band{k}.area" for k in range(5)]).values
    pull = (maps - heights * widths * np.pi / 2.0) / error
    assert abs(float(np.median(pull))) < 0.1
    assert 0.9 < float(np.percentile(np.abs(pull), 68.3)) < 1.1


@pytest.mark.slow
def test_rays_masked_and_a_static_baseline_stay_under_three_cubes(tmp_path):
    made, _ = cube(np.random.default_rng(0))
    wb.save(made, tmp_path / "map.nc")
    raw = made["intensity"].nbytes
    del made
    bands = model().drop("baseline")

    def maps(ds):
        ds = wb.correct(wb.correct(ds, "spikes"), "baseline", algorithm="arpls")
        return wb.fit(ds, bands, statistic="poisson")

    maps(wb.open(tmp_path / "map.nc").isel(x=slice(0, 2), y=slice(0, 2)))
    tracemalloc.start()
    begin = time.perf_counter()
    fit = maps(wb.open(tmp_path / "map.nc"))
    took = time.perf_counter() - begin
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "covar" in fit
    assert took < 60.0
    assert peak < 3.0 * raw

"""A layer that grows pushes what lies below: known answers with every stack computed anew."""

from __future__ import annotations

import numpy as np
import pytest

from spectra.convention import spectrum
from spectra.errors import ModelError
from spectra.techniques._ndp_response import Detector, Layer, cell_response, lithium_per_ug
from spectra.techniques._ndp_stopping import TRITON
from workbench.depth import depth_profile

DETECTOR = Detector(fwhm_keV=18.0)
PURE = lithium_per_ug("Li")


def layers(plated=None):
    lithium = Layer(name="plated", formula="Li", density_g_cm3=0.534, species="Li", grows=True)
    if plated is not None:
        lithium = lithium.model_copy(update={"areal_ug_cm2": max(plated, 1e-3)})
    return [
        Layer(name="collector", formula="Cu", areal_ug_cm2=900.0),
        lithium,
        Layer(name="below", formula="Li6PS5Cl", areal_ug_cm2=1500.0, species="Li6PS5Cl"),
    ]


def plating(um, seed, per=1.0):
    """Counts of a series: lithium metal grows over an electrolyte with a dip that stays."""
    rng = np.random.default_rng(seed)
    energy = np.arange(1500.0, 2760.0, 1.2)
    edges = np.append(energy - 0.6, energy[-1] + 0.6)
    areal = np.asarray(um) * 53.4
    s = (np.arange(240) + 0.5) / 240
    content = 22.0 * (1.0 - 0.5 * np.exp(-0.5 * ((s - 0.4) / 0.12) ** 2))
    counts = []
    for a in areal:
        stack = layers(a)
        below = cell_response(stack, 2, np.linspace(0, 1500, 241), edges, DETECTOR, (TRITON,))
        above = cell_response(stack, 1, np.array([0, max(a, 1e-3)]), edges, DETECTOR, (TRITON,))
        expected = per * (content * (1500 / 240) @ below + a * PURE * above[0]) + 1.0
        counts.append(rng.poisson(expected))
    ds = spectrum(
        np.array(counts),
        energy,
        technique="ndp",
        axis_name="particle_energy",
        outer={"time": 60.0 * np.arange(areal.size)},
        attrs={"calibration": "simulated", "counts_per_nmol_s": per / 100, "live_time_s": 100.0},
    )
    return ds, areal, content.reshape(60, 4).mean(axis=1)


def test_thickness_and_what_lies_below_come_back():
    ds, areal, content = plating([0.0, 1.0, 2.5, 4.0, 6.0, 8.0], 1)
    found = depth_profile(ds, layers(), DETECTOR, ions="tritons", stopping=0.0)
    plated = found["by_species"].sel(species="Li").values
    error = np.sqrt(found["by_species_covar"].sel(species="Li", species_2="Li").values)
    pull = (plated - areal * PURE) / error
    assert np.abs(pull).max() < 3.5
    np.testing.assert_allclose(found["grown"].values, areal, atol=3.5 * error.max() / PURE)
    # The electrolyte keeps its profile while 100 keV of lithium grow over it.
    below = found["lithium"].values[:, 1:]
    assert np.sqrt(np.mean((below - content) ** 2, axis=1)).max() < 0.9
    held = (found["low"].values[:, 1:] <= content) & (content <= found["high"].values[:, 1:])
    assert held.mean() >= 0.93
    total = areal * PURE + content.sum() * 25.0
    assert np.abs((found["total"].values - total) / found["total_stderr"].values).max() < 3.5
    assert (found["status"] == 0).all()
    # Pure lithium in its own layer, and places that move with it.
    np.testing.assert_allclose(found["lithium"].values[2:, 0], PURE, rtol=1e-6)
    moved = found["place"].values[:, 10] - found["place"].values[0, 10]
    np.testing.assert_allclose(moved, found["grown"].values - found["grown"].values[0])


def test_one_stack_for_all_would_be_wrong():
    ds, areal, content = plating([0.5, 8.0], 2)
    thickest = layers(areal[-1])
    thickest[1] = thickest[1].model_copy(update={"grows": False})
    fixed = depth_profile(ds, thickest, DETECTOR, ions="tritons", stopping=0.0)
    below = fixed["lithium"].values[0, -60:]
    assert np.sqrt(np.mean((below - content) ** 2)) > 3.0
    moving = depth_profile(ds, layers(), DETECTOR, ions="tritons", stopping=0.0)
    assert np.sqrt(np.mean((moving["lithium"].values[0, 1:] - content) ** 2)) < 0.9


def test_growth_is_not_for_the_naive_conversion():
    ds, _, _ = plating([1.0], 3)
    with pytest.raises(ModelError, match="naive"):
        depth_profile(ds, layers(), DETECTOR, ions="tritons", method="naive")

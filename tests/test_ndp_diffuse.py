"""Layers with diffuse edges: width and place of an interdiffused edge through the fit engine."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf

import workbench as wb
from spectra.convention import spectrum
from spectra.errors import ModelError
from spectra.techniques._ndp_response import Detector, Layer, cell_response
from spectra.techniques._ndp_stopping import TRITON
from spectra.techniques.ndp import Model, diffuse_depth

DETECTOR = Detector(fwhm_keV=12.0)
STACK = (
    Layer(name="cover", formula="Cu", areal_ug_cm2=450.0),
    Layer(name="film", formula="Li3PO4", areal_ug_cm2=460.0, species="Li3PO4", diffuse=True),
)


def film(thickness, sigma, seed, per=400.0):
    """A film under copper whose back edge is an error function in depth."""
    rng = np.random.default_rng(seed)
    energy = np.arange(2200.0, 2760.0, 1.0)
    edges = np.append(energy - 0.5, energy[-1] + 0.5)
    bounds = np.linspace(0.0, 1000.0, 401)
    deep = 0.5 * (bounds[1:] + bounds[:-1])
    content = 20.0 * 0.5 * (1 - erf((deep - thickness) / (np.sqrt(2) * sigma)))
    layers = [STACK[0], STACK[1].model_copy(update={"areal_ug_cm2": 1000.0})]
    cells = cell_response(layers, 1, bounds, edges, DETECTOR, (TRITON,))
    expected = per / 100 * (content * 2.5) @ cells
    ds = spectrum(
        rng.poisson(expected + 2.0),
        energy,
        technique="ndp",
        axis_name="particle_energy",
        attrs={
            "calibration": "simulated",
            "counts_per_nmol_s": per / 1e4,
            "live_time_s": 100.0,
            "channel_keV": 1.0,
        },
    )
    return ds, float((content * 2.5).sum())


@pytest.mark.parametrize(("thickness", "sigma"), [(460.0, 60.0), (400.0, 25.0)])
def test_width_and_place_of_an_interdiffused_edge(thickness, sigma):
    ds, lithium = film(thickness, sigma, 1)
    settings = {"layers": STACK, "detector": DETECTOR}
    fit = wb.fit(ds, wb.propose(ds, ["Li3PO4"], settings=settings), statistic="poisson")
    amounts = wb.quantify(fit)
    found = float(amounts["amount"].sel(species="Li3PO4"))
    sure = float(amounts["stderr"].sel(species="Li3PO4"))
    assert found == pytest.approx(lithium, abs=3.5 * sure + 0.01 * lithium)
    value = {
        str(p): float(v) for p, v in zip(fit["param"].values, fit["value"].values, strict=True)
    }
    deep, front, back = diffuse_depth(
        Model(**settings), "film", *(value[f"Li3PO4.{k}"] for k in
                                     ("high_edge", "low_edge", "fwhm_high", "fwhm_low"))
    )  # fmt: skip
    assert deep == pytest.approx(thickness, abs=15.0)
    assert back == pytest.approx(2.3548 * sigma, rel=0.2)
    assert front < 30.0


def test_diffuse_layers_refuse_what_they_cannot_be():
    with pytest.raises(ValueError, match="exclude"):
        Layer(name="a", formula="Li", species="Li", grows=True, diffuse=True)
    ds, _ = film(400.0, 30.0, 2)
    with pytest.raises(ModelError, match="tritons only"):
        wb.propose(ds, ["Li3PO4"], settings={"layers": STACK, "ions": "both"})
    with pytest.raises(ModelError, match="no layer"):
        diffuse_depth(Model(layers=STACK), "floor", 2600.0, 2400.0, 20.0, 20.0)

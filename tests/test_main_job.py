"""The main job on real files of all five techniques: file and recipe in, result out."""

from __future__ import annotations

import json

import numpy as np
import pytest

import workbench as wb
from spectra.techniques.ndp import sensitivity_of
from tests.shared_data import data
from workbench.cli import main


def line(name, shape, center, fwhm, area=1000.0, **more):
    """One hand-made component; the centre may move by its width."""
    params = {
        "area": {"value": area},
        "center": {"value": center, "min": center - fwhm, "max": center + fwhm},
        "fwhm": {"value": fwhm, "min": 0.2 * fwhm, "max": 4 * fwhm},
    }
    return {"name": name, "shape": shape, "params": params, **more}


def ground(x0, level=100.0):
    """A straight background."""
    params = {"c0": {"value": level}, "c1": {"value": 0.0}, "x0": {"value": x0, "vary": False}}
    return {"name": "ground", "shape": "polynomial", "role": "background", "params": params}


SULFUR = [
    {"position": 0.0, "weight": 2 / 3, "width": 1.0},
    {"position": 1.16, "weight": 1 / 3, "width": 1.0},
]

JOBS = {
    # S 2p3/2 of WS2: 162.672 eV as stored by CasaXPS, 162.662 by a refit (README of the xps data).
    "xps": (
        "xps/vamas/kratos_ws2_mos2_casaxps.vms",
        {
            "technique": "xps",
            "open": {"region": "S 2p (RW_WS2)"},
            "calibrate": "casaxps",
            "select": {"binding_energy": [158.5, 168.0]},
            "components": {
                "items": [line("S", "pseudo_voigt", 162.5, 0.8, lines=SULFUR), ground(163.0)]
            },
            "fit": {"statistic": "chi2"},
        },
        ("S.center", 162.667, 0.03),
    ),
    # G band of the graphene map: 1583.6 1/cm.
    "raman": (
        "raman/renishaw/6x6.wdf",
        {
            "technique": "raman",
            "select": {"raman_shift": [1520, 1650]},
            "components": {
                "items": [line("G", "lorentzian", 1583.0, 18.0, 1e5), ground(1585, 500)]
            },
            "fit": {"statistic": "chi2"},
        },
        ("G.center", 1583.6, 3.0),
    ),
    # 85 % phosphoric acid is the reference: 0 ppm.
    "nmr": (
        "nmr/bruker_31P_H3PO4_reference/1",
        {
            "technique": "nmr",
            "calibrate": "as_recorded",
            "select": {"chemical_shift": [-10, 10]},
            "components": {"items": [line("P", "lorentzian", 0.0, 1.0, 1e8), ground(0.0, 0.0)]},
        },
        ("P.center", 0.0, 0.05),
    ),
    # Gold (311) at 38.585 keV, the line whose Ge escape peak the README names.
    "edxrd": (
        "edxrd/aps16bmb_Au-wire_15deg_header15.0146.hpmca",
        {
            "technique": "edxrd",
            "calibrate": {"method": "known", "trust_header": True},
            "select": {"photon_energy": [37.6, 39.6]},
            "components": {"items": [line("Au311", "gaussian", 38.6, 0.3, 2e5), ground(38.6, 500)]},
        },
        ("Au311.center", 38.585, 0.02),
    ),
    # 464.3e15 6Li/cm2 in 1 um of LiF, in nmol/cm2 of lithium.
    "ndp": (
        "ndp/ndp_syn_LiF_1000nm.spe",
        {
            "technique": "ndp",
            "calibrate": {
                "method": "known",
                "slope_keV": 0.7144,
                "offset_keV": -12.45,
                "counts_per_nmol_s": sensitivity_of(40.0 / 3600.0),
            },
            "select": {"particle_energy": [300, 2900]},
            "propose": {
                "species": ["LiF"],
                "settings": {
                    "ions": "both",
                    "energy_shift_keV": 30.0,
                    "detector": {"fwhm_keV": 18.0, "dead_ug_cm2": 11.65, "cos_min": 0.985},
                    "layers": [
                        {
                            "name": "film",
                            "formula": "LiF",
                            "density_g_cm3": 2.635,
                            "thickness_nm": 1000.0,
                            "species": "LiF",
                        }
                    ],
                },
            },
        },
        None,
    ),
}


@pytest.mark.parametrize("technique", JOBS)
def test_a_real_file_and_a_recipe_give_a_result(technique, tmp_path, capsys):
    name, recipe, expected = JOBS[technique]
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    out = tmp_path / "out.nc"
    status = main(
        ["fit", str(data(name)), "--recipe", str(tmp_path / "recipe.yaml"), "-o", str(out)]
    )
    told = capsys.readouterr()
    assert status in (0, 2), told.err
    fit = wb.load(out)
    assert fit.attrs["technique"] == technique
    source = json.loads(fit.attrs["source"])[0]
    assert source["file"] == data(name).name
    assert len(source["sha256"]) == 64
    assert np.isfinite(fit["value"]).all()
    if expected is not None:
        param, value, tolerance = expected
        found = fit["value"].sel(param=param)
        assert float(found.mean()) == pytest.approx(value, abs=tolerance)
        assert (fit["stderr"].sel(param=param) > 0).all()
    else:
        amounts = wb.load(out, "amounts")
        expected_nmol = 464.3 / (0.0759 * 0.602214076)
        assert float(amounts["amount"].sel(species="LiF")) == pytest.approx(
            expected_nmol, rel=0.015
        )
    assert main(["report", str(out), "-o", str(tmp_path / "r.html")]) == 0
    assert main(["why", str(out)]) == 0

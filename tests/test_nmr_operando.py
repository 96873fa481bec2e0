"""Operando 7Li of lithium metal: the authors' two-peak fits, from the spectra alone.

Source: example data of datalab-app-plugin-insitu (Li-Li in TEGDME), ``author_results.csv``.
"""

from __future__ import annotations

import csv

import numpy as np
import pytest

from spectra import formats
from spectra.component import Component, Components, Param
from spectra.shapes import pseudo_voigt
from tests.shared_data import data
from workbench.fit import fit
from workbench.recipe import recipe_from
from workbench.run import run_recipe

OPERANDO = "nmr/operando_7Li_LiLi_TEGDME"
FROM = 4  # experiments 41 to 431; before that the authors' second peak rests on its centre's bound


@pytest.fixture(scope="module")
def metal():
    (ds,) = formats.read(data(OPERANDO)).values()
    return ds.sel(chemical_shift=slice(220, 310)).isel(time=slice(FROM, None))


@pytest.fixture(scope="module")
def authors():
    with (data(OPERANDO) / "author_results.csv").open() as stream:
        rows = list(csv.DictReader(stream))[FROM:]
    return {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}


def peak(name, center, low, high, area, *, fwhm, mixing):
    params = {
        "area": Param(value=area, min=0),
        "center": Param(value=center, min=low, max=high),
        "fwhm": fwhm,
        "mixing": mixing,
    }
    return Component(name=name, shape="pseudo_voigt", params=params)


def areas(result, name, x):
    """Area between 220 and 310 ppm, as the authors state it."""
    found = []
    for at in range(result.sizes["time"]):
        p = [
            float(result["value"].sel(param=f"{name}.{key}")[at])
            for key in ("area", "center", "fwhm", "mixing")
        ]
        found.append(np.trapezoid(pseudo_voigt(x, *p)[0], x))
    return np.array(found)


def test_fitted_areas_are_the_authors_within_one_percent(metal, authors):
    # Both Lorentz fractions and the width of peak 2 stayed on the authors' upper bounds (1 and
    # 6.5 ppm half width) in every one of these fits; held there, the minimum is theirs.
    assert np.all(authors["peak1_lorentz_fraction"] == 1)
    assert np.all(authors["peak2_lorentz_fraction"] == 1)
    assert np.all(authors["peak2_hwhm_ppm"] == 6.5)
    one = Param(value=1.0, vary=False)
    comps = Components(
        [
            peak("flat", 248, 244, 252.5, 8e6, fwhm=Param(value=7, min=0.1, max=13), mixing=one),
            peak("rough", 265, 257, 277, 2e6, fwhm=Param(value=13, vary=False), mixing=one),
        ]
    )
    recipe = recipe_from(
        {
            "technique": "nmr",
            "select": {"chemical_shift": [220, 310], "time": [11e3, 1e6]},
            "components": comps.model_dump(mode="json", exclude_none=True),
        }
    )
    result = run_recipe(data(OPERANDO), recipe).fit
    assert result.sizes["time"] == metal.sizes["time"]
    x = metal["chemical_shift"].values
    np.testing.assert_allclose(areas(result, "flat", x), authors["peak1_area"], rtol=0.01)
    np.testing.assert_allclose(areas(result, "rough", x), authors["peak2_area"], rtol=0.01)
    centers = result["value"].sel(param="flat.center").values
    # The authors' axis is TopSpin's text export, half a point (0.049 ppm) lower.
    np.testing.assert_allclose(centers - 0.049, authors["peak1_centre_ppm"], atol=0.02)


def test_within_the_same_bounds_a_better_fit_exists_and_is_found(metal):
    within = Param(value=0.7, min=0.2, max=1)
    wide = Param(value=7, min=0.1, max=13)
    held = Param(value=1.0, vary=False)

    def chi2(mixing, second):
        comps = Components(
            [
                peak("flat", 248, 244, 252.5, 8e6, fwhm=wide, mixing=mixing),
                peak("rough", 265, 257, 277, 2e6, fwhm=second, mixing=mixing),
            ]
        )
        return fit(metal.isel(time=slice(0, None, 5)), comps)["chisqr"].values

    assert np.all(chi2(within, wide) < 0.7 * chi2(held, Param(value=13, vary=False)))

"""Size and strain broadening; truth that the model does not know is flagged."""

from __future__ import annotations

import json

import numpy as np
import pytest

import workbench as wb
from spectra.errors import ModelError
from spectra.techniques import edxrd
from spectra.techniques._edxrd_physics import HC
from spectra.techniques._edxrd_widths import SCHERRER
from workbench.simulate import plating

PHASES = ["Li6PS5Cl", "Li2S", "Li3P", "LiCl"]


def simulated(**settings: float):
    told = {"positions": 8, "times": 12, "channels": 1024, **settings}
    return wb.simulate("edxrd", plating().sel(species=PHASES), settings=told, seed=2)


def fitted(ds, **settings):
    fit = wb.fit(ds, wb.propose(ds, PHASES, settings=settings), statistic="poisson")
    return fit, wb.quantify(fit)


def there(ds):
    return (ds["truth"].sel(species="Li6PS5Cl") > 0.5).values


def pulls(ds, amounts):
    truth = ds["truth"].sel(species=amounts["species"])
    return ((amounts["amount"] - truth) / amounts["stderr"]).values


def test_microstrain_comes_back_with_its_error():
    ds = simulated(strain_width=0.005)
    fit, amounts = fitted(ds, widths="strain")
    found = edxrd.broadening(fit)
    for name in ("Li6PS5Cl", "Li2S"):
        one = found.sel(species=name)
        pull = ((one["strain2"] - 0.005**2) / one["strain2_stderr"]).values[there(ds)]
        pull = pull[np.isfinite(pull)]
        assert abs(pull.mean()) < 1.0
        assert 0.7 < pull.std() < 1.4
    strain = float(found["strain_fwhm"].sel(species="Li6PS5Cl").median())
    assert strain == pytest.approx(0.005, rel=0.03)
    assert (np.abs(pulls(ds, amounts)[there(ds)]) < 1.96).mean() > 0.9


def test_size_and_strain_are_told_apart_by_energy():
    # the simulation widens in proportion to energy: none of it may be taken for small crystals
    ds = simulated(strain_width=0.006)
    found = edxrd.broadening(fitted(ds, widths="both")[0]).sel(species="Li6PS5Cl")
    both = found["strain2"].values[there(ds)], found["size2"].values[there(ds)]
    sigma = found["size2_stderr"].values[there(ds)]
    good = np.isfinite(both[1] + sigma)
    assert np.median(both[0][good]) == pytest.approx(0.006**2, rel=0.08)
    assert abs(np.median(both[1][good] / sigma[good])) < 2.0
    # the largest size broadening that is left, as a smallest size by Scherrer's formula
    half = np.sin(np.radians(5.33 / 2.0))
    limit = found["size_limit"].values[there(ds)][good]
    square = np.maximum(both[1][good], 0.0) + 2.0 * sigma[good]
    assert np.allclose(limit, 0.1 * SCHERRER * HC / (2.0 * half * np.sqrt(square)))


def test_no_broadening_gives_a_limit_and_no_value():
    ds = simulated()
    found = edxrd.broadening(fitted(ds, widths="strain")[0]).sel(species="Li6PS5Cl")
    value, limit = found["strain_fwhm"].values[there(ds)], found["strain_limit"].values[there(ds)]
    assert np.isnan(value).mean() > 0.85
    assert np.nanmedian(limit) < 0.0015


@pytest.mark.parametrize("settings", [{"strain_width": 0.006}, {"tail": 0.25}])
def test_line_shapes_the_model_does_not_know_are_flagged(settings):
    ds = simulated(**settings)
    _, amounts = fitted(ds)
    seen = amounts["misfit"].values[:, -3:]  # electrolyte fills the right half
    assert seen.mean() > 0.9
    assert "misfit" in amounts.attrs["note"]
    assert amounts["misfit"].values[:, 0].mean() < 0.1  # nothing diffracts there


def test_a_wrong_incident_spectrum_is_flagged():
    ds = simulated()
    told = json.loads(ds.attrs["incident"])
    energy = np.array(told["energy"])
    value = np.array(told["value"]) * (energy / 50.0) ** 0.7  # a filter forgotten
    ds.attrs["incident"] = json.dumps({"energy": energy.tolist(), "value": value.tolist()})
    _, amounts = fitted(ds)
    assert amounts["misfit"].values[:, -3:].mean() > 0.9


def test_a_right_model_is_not_flagged():
    _, amounts = fitted(simulated())
    assert amounts["misfit"].values.mean() < 0.02
    assert "misfit" not in amounts.attrs["note"]


def test_broadening_needs_widths_that_were_fitted():
    ds = simulated(positions=2, times=1)
    with pytest.raises(ModelError, match="widths='both'"):
        edxrd.broadening(fitted(ds)[0])

"""What a Spectrum is: the checker accepts valid ones and names what is wrong with others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectra.convention import (
    AXES,
    OUTER,
    axis_of,
    check,
    has_step,
    outer_dims,
    spectrum,
    with_history,
)
from spectra.errors import ConventionError

X = np.linspace(100.0, 110.0, 11)


def one(**changes):
    given_ = {"technique": "raman", "axis_name": "raman_shift", **changes}
    return spectrum(np.arange(11), X, **given_)


def test_descending_axis_is_turned_with_its_counts():
    ds = spectrum(np.arange(11), X[::-1], technique="xps", axis_name="binding_energy")
    assert np.all(np.diff(ds["binding_energy"]) > 0)
    assert ds["intensity"].sel(binding_energy=100.0) == 10


def test_counts_stay_integers():
    assert one()["intensity"].dtype.kind == "i"


@given(
    st.sampled_from(sorted(AXES)),
    st.lists(st.sampled_from(sorted(OUTER)), unique=True, max_size=3),
    st.integers(2, 6),
)
def test_every_axis_and_outer_dim_of_the_lists_makes_a_valid_spectrum(axis, outer, size):
    shape = tuple(range(2, 2 + len(outer)))
    ds = spectrum(
        np.zeros((*shape, size)),
        np.arange(size, dtype=float),
        technique="raman",
        axis_name=axis,
        outer={d: np.arange(n, dtype=float) for d, n in zip(outer, shape, strict=True)},
    )
    assert axis_of(ds) == axis
    assert outer_dims(ds) == tuple(outer)
    assert check(ds) is ds


def broken(change):
    ds = one().copy(deep=True)
    return change(ds)


def without_units(ds):
    del ds["intensity"].attrs["units"]
    return ds


def axis_without_units(ds):
    del ds["raman_shift"].attrs["units"]
    return ds


def wrong_axis_units(ds):
    ds["raman_shift"].attrs["units"] = "nm"
    return ds


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without_units, "'intensity' has no units"),
        (
            axis_without_units,
            "'raman_shift' has no units; set 'raman_shift'.attrs['units'] = '1/cm'",
        ),
        (wrong_axis_units, "has units 'nm', not '1/cm'"),
        (lambda ds: ds.drop_vars("intensity"), "no variable 'intensity'"),
        (lambda ds: ds.assign_attrs(convention="other"), "attrs['convention'] is 'other'"),
        (lambda ds: ds.assign_attrs(technique=""), "attrs['technique'] is missing"),
        (lambda ds: ds.isel(raman_shift=[0, 2, 1]), "does not ascend at point 1"),
        (lambda ds: ds.isel(raman_shift=[0]), "has 1 points"),
        (lambda ds: ds.expand_dims({"wavenumber": [1.0]}), "outer dimension 'wavenumber'"),
        (lambda ds: ds.assign(intensity=ds["intensity"].astype(complex)), "is complex"),
        (lambda ds: ds.drop_vars("raman_shift"), "has no coordinate values"),
    ],
)
def test_faults_are_named(change, says):
    with pytest.raises(ConventionError) as caught:
        check(broken(change))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_uncertainty_needs_its_origin():
    ds = one()
    ds["uncertainty"] = ("raman_shift", np.ones(11), {"units": "counts"})
    with pytest.raises(ConventionError, match="origin"):
        check(ds)
    ds["uncertainty"].attrs["origin"] = "counting"
    assert check(ds) is ds


def test_axis_that_is_not_finite_is_refused():
    x = X.copy()
    x[3] = np.nan
    with pytest.raises(ConventionError, match="not finite"):
        spectrum(np.arange(11), x, technique="raman", axis_name="raman_shift")


def test_history_grows_on_a_copy():
    ds = one()
    later = with_history(ds, "calibrate {}")
    assert has_step(later, "calibrate")
    assert not has_step(ds, "calibrate")

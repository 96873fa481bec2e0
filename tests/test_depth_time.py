"""Series solved jointly in depth and time: errors fall, bands hold, the algebra is right."""

from __future__ import annotations

import numpy as np
import pytest

from spectra.errors import ModelError
from tests.test_depth import simulated
from workbench.depth import depth_profile
from workbench.depth.joint import _banded, _blocks, _nonnegative


@pytest.mark.parametrize("rule", ["discrepancy", "evidence"])
@pytest.mark.parametrize("kind", ["waves", "front"])
def test_neighbours_in_time_help_and_bands_hold(kind, rule):
    ds, layer, detector, truth = simulated(60, 3, kind, per=0.5)
    given = {"kernels": False, "stopping": 0.0}
    alone = depth_profile(ds, [layer], detector, **given)
    found = depth_profile(ds, [layer], detector, in_time=rule, **given)

    def rms(profile):
        return float(np.sqrt(np.mean((profile["lithium"].values - truth) ** 2)))

    assert rms(found) < 0.75 * rms(alone)
    inside = (found["low"].values <= truth) & (truth <= found["high"].values)
    assert 0.93 <= inside.mean() <= 0.995
    total = truth.sum(axis=1) * 560.0 / 60
    pull = (found["total"].values - total) / found["total_stderr"].values
    assert np.abs(pull).mean() < 1.2
    assert float(found["weight_in_time"]) > 0
    assert (found["status"] == 0).all()


def test_banded_system_against_dense_algebra():
    rng = np.random.default_rng(1)
    n, k = 6, 5
    a = rng.normal(size=(n, 9, k))
    h = np.swapaxes(a, 1, 2) @ a
    link, smoothed = rng.uniform(0.5, 2.0, n - 1), np.array([1, 1, 1, 1, 0], bool)
    both = np.append(link, 0) + np.append(0, link)
    h[:, np.arange(4), np.arange(4)] += both[:, None]
    dense = np.zeros((n * k, n * k))
    for t in range(n):
        dense[t * k : t * k + k, t * k : t * k + k] = h[t]
    for t in range(n - 1):
        for j in range(4):
            dense[t * k + j, (t + 1) * k + j] = dense[(t + 1) * k + j, t * k + j] = -link[t]
    right = rng.normal(size=n * k)
    from scipy.optimize import nnls

    root = np.linalg.cholesky(dense)
    expected = nnls(root.T, np.linalg.solve(root, right))[0]
    np.testing.assert_allclose(
        _nonnegative(_banded(h, link, smoothed), right, k), expected, atol=1e-9
    )
    inverse = np.linalg.inv(dense)
    for t, block in enumerate(_blocks(h, link, smoothed)):
        at = slice(t * k, t * k + k)
        np.testing.assert_allclose(block, inverse[at, at], atol=1e-9)


def test_a_series_is_needed():
    ds, layer, detector, _ = simulated(3, 1, "waves")
    with pytest.raises(ModelError, match="three spectra"):
        depth_profile(ds.isel(time=0), [layer], detector, in_time="evidence")
    with pytest.raises(ModelError, match="ascend"):
        depth_profile(ds.isel(time=[2, 1, 0]), [layer], detector, in_time=1.0)

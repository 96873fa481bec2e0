"""Unmixing: exact amounts, unknown parts found and flagged, the band of rotational ambiguity."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from spectra.convention import spectrum
from tests.shared_data import data
from tests.test_engine_linear import mixed
from workbench.ambiguity import Limits, band
from workbench.errors import FitError
from workbench.unmix import components_above_noise, templates, unmix

IDS = ["Li6PS5Cl", "Li2S"]


def flags(found):
    names = found["flag"].attrs["flag_meanings"].split()
    return {names[k]: int(n) for k, n in enumerate(np.bincount(found["flag"].values.ravel())) if n}


def simulated(**settings):
    return wb.simulate("raman", settings={"size": 16, "drift": 0.0, **settings}, seed=2)


def pulls(found, ds):
    named = found.rename(component="species")
    return (named["amount"] - ds["truth"]) / named["stderr"]


def test_known_spectra_give_amounts_with_poisson_errors():
    ds = simulated()
    found = unmix(ds, species=IDS, ground="quadratic")
    assert found.attrs["method"] == "nnls"
    assert list(found["component"].values) == IDS
    assert found["amount"].dims == ("y", "x", "component")
    assert found["amount"].attrs["units"] == "counts 1/cm"
    pull = pulls(found, ds)
    assert abs(float(pull.mean())) < 0.15
    assert 0.85 < float(pull.std()) < 1.1
    assert 0.95 < float(found["redchi"].mean()) < 1.05
    assert "fit_flagged" not in flags(found)
    np.testing.assert_allclose(found["limit"], 3.29 * found["stderr"])


def test_it_agrees_with_the_fit_of_the_same_bands():
    ds = simulated(size=6)
    model = {"shift_range": 0.0}
    fit = wb.fit(ds, wb.propose(ds, IDS, settings=model), statistic="poisson")
    fitted = wb.quantify(fit)
    found = unmix(ds, species=IDS, ground="quadratic")
    np.testing.assert_allclose(found["amount"], fitted["amount"], rtol=2e-3, atol=5.0)
    np.testing.assert_allclose(found["stderr"], fitted["stderr"], rtol=0.02)


def test_weak_counts_are_not_biased():
    # A tenth of a count per point: weights from the data would pull every amount down.
    x = np.arange(150.0, 650.0, 1.2)
    shape = templates(spectrum(np.ones(x.size), x, technique="raman", axis_name="raman_shift"),
                      ["Li2S"])[0][0]  # fmt: skip
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.1 + 40.0 * shape, size=(400, x.size))
    ds = spectrum(counts, x, technique="raman", axis_name="raman_shift",
                  outer={"point": np.arange(400)})  # fmt: skip
    found = unmix(ds, species=["Li2S"], ground="constant")
    mean, error = found["amount"].values.mean(), found["amount"].values.std() / 20.0
    assert mean == pytest.approx(40.0, abs=3.0 * error + 0.5)


def test_what_the_library_spectra_do_not_explain_is_flagged():
    drifted = simulated(drift=2.5)
    found = unmix(drifted, species=IDS, ground="quadratic")
    assert flags(found)["fit_flagged"] > 100
    # Two species whose spectra are nearly one: amounts exist, but not one by one.
    alike = unmix(simulated(), species=["Li3PS4_beta", "Li6PS5Br"], ground="quadratic")
    assert float(np.abs(alike["stderr"] / unmix(simulated(), species=["Li6PS5Br"],
                 ground="quadratic")["stderr"].values).min()) > 1.5  # fmt: skip


def with_unknown(ds, rng):
    """Add a third part with bands no library species of the fit has."""
    x = ds["raman_shift"].values
    shape = np.zeros(x.size)
    for place, height in ((250.0, 1.0), (300.0, 0.6), (520.0, 0.8)):
        shape += height / (1.0 + ((x - place) / 7.0) ** 2)
    shape /= shape @ np.gradient(x)
    size = ds["truth"].values[..., 0].max()
    share = np.linspace(0.0, 1.0, ds.sizes["x"])[None, :] * np.ones((ds.sizes["y"], 1)) * size
    out = ds.copy(deep=True)
    more = rng.poisson(share[..., None] * shape)
    out["intensity"] = (ds["intensity"].dims, ds["intensity"].values + more, ds["intensity"].attrs)
    return out, shape, share


def test_an_unknown_part_is_found_beside_known_ones():
    ds, shape, share = with_unknown(simulated(), np.random.default_rng(5))
    blind = unmix(ds, species=IDS, ground="quadratic")
    assert flags(blind)["fit_flagged"] > 200
    found = unmix(ds, 3, species=IDS, fixed=IDS, ground="quadratic", ambiguity=True)
    assert found.attrs["method"] == "mcr"
    assert list(found["component"].values) == [*IDS, "2"]
    assert float(found["redchi"].mean()) < 1.05
    got = found["spectrum"].sel(component="2").values
    assert np.corrcoef(got, shape)[0, 1] > 0.98
    amount = found["amount"].sel(component="2").values
    assert np.corrcoef(amount.ravel(), share.ravel())[0, 1] > 0.99
    # A free spectrum may hold some of the fixed ones: the band says so, and holds the truth.
    reference = np.vstack([templates(ds, IDS)[0], shape])
    amounts = np.concatenate([ds["truth"].values, share[..., None]], axis=-1).reshape(-1, 3)
    true = np.linalg.norm(amounts, axis=0) * np.linalg.norm(reference, axis=1)
    true /= np.linalg.norm(amounts @ reference)
    low, high = found["share_low"].values, found["share_high"].values
    assert np.all(low - 0.005 <= true)
    assert np.all(true <= high + 0.005)
    assert 0.005 < high[2] - low[2] < 0.3


def test_soft_lies_between_fixed_and_free():
    ds = simulated(size=10)
    widths, off = [], []
    reference = templates(ds, IDS)[0]
    for soft in ({"Li6PS5Cl": 0.01, "Li2S": 0.01}, {"Li6PS5Cl": 0.2, "Li2S": 0.2}, None):
        found = unmix(ds, 2, species=IDS, method="mcr", soft=soft, ground="quadratic",
                      ambiguity=True)  # fmt: skip
        widths.append(float((found["share_high"] - found["share_low"]).max()))
        shapes = found["spectrum"].values / found["spectrum"].values.max(axis=1, keepdims=True)
        off.append(np.abs(shapes - reference / reference.max(axis=1, keepdims=True)).max())
    assert off[0] < 0.02
    assert off[0] < off[1] <= off[2] + 0.05
    assert widths[0] < widths[2]
    everything = unmix(ds, 2, species=IDS, method="mcr", fixed=IDS, ground="quadratic",
                       ambiguity=True)  # fmt: skip
    np.testing.assert_array_equal(everything["share_low"], everything["share_high"])
    np.testing.assert_allclose(everything["amount"],
                               unmix(ds, species=IDS, ground="quadratic")["amount"])  # fmt: skip


def parts():
    """Two parts that are nowhere pure, without noise."""
    x = np.linspace(0.0, 20.0, 150)
    spectra = np.array([np.exp(-(((x - c) / 2.0) ** 2)) for c in (8.0, 11.0)]) + 0.02
    spectra[0] += 0.1 * np.exp(-(((x - 15.0) / 2.0) ** 2))
    t = np.linspace(0.0, 1.0, 40)
    return np.stack([0.2 + 0.8 * (1 - t), 0.1 + t], axis=1), spectra


def open_limits(amount, spectra, fixed=()):
    infinite = np.full(spectra.shape, np.inf)
    return Limits(np.zeros(amount.shape), np.zeros(spectra.shape), -infinite, infinite, fixed)


def test_the_band_of_two_parts_is_that_of_an_exhaustive_search():
    amount, spectra = parts()
    total = np.linalg.norm(amount @ spectra)
    p, q = np.meshgrid(np.linspace(-2.0, 2.0, 801), np.linspace(-2.0, 2.0, 801), indexing="ij")
    det = 1.0 - p * q
    ok = det > 1e-6
    for a, b in amount:
        ok &= (a + q * b >= 0.0) & (p * a + b >= 0.0)
    for a, b in spectra.T:
        ok &= (a - p * b >= 0.0) & (b - q * a >= 0.0)
    gram_c, gram_s = amount.T @ amount, spectra @ spectra.T
    first = (gram_c[0, 0] + 2 * q * gram_c[0, 1] + q**2 * gram_c[1, 1]) * (
        gram_s[0, 0] - 2 * p * gram_s[0, 1] + p**2 * gram_s[1, 1]
    )
    share = np.sqrt(np.maximum(first, 0.0))[ok] / det[ok] / total
    got = band(amount, spectra, open_limits(amount, spectra))
    assert got.low[0] == pytest.approx(share.min(), abs=0.004)
    assert got.high[0] == pytest.approx(share.max(), abs=0.004)
    for k in range(2):
        for turn in got.turns[k]:
            assert (amount @ turn).min() > -1e-5
            assert (np.linalg.inv(turn) @ spectra).min() > -1e-5
            np.testing.assert_allclose(
                (amount @ turn) @ (np.linalg.inv(turn) @ spectra), amount @ spectra, atol=1e-9
            )


def test_fixed_spectra_and_pure_pixels_leave_no_band():
    amount, spectra = parts()
    known = band(amount, spectra, open_limits(amount, spectra, (0, 1)))
    np.testing.assert_array_equal(known.low, known.high)
    one = band(amount, spectra, open_limits(amount, spectra, (0,)))
    free = band(amount, spectra, open_limits(amount, spectra))
    assert np.all(one.high - one.low <= free.high - free.low + 1e-6)
    assert np.any(one.high - one.low < free.high - free.low - 0.01)
    # Pixels with one part only, channels with one part only: nothing can be turned.
    pure = np.vstack([amount, [[1.0, 0.0], [0.0, 1.0]]])
    x = np.linspace(0.0, 20.0, 150)
    apart = np.array([np.where(x < 9.0, np.exp(-(((x - 5.0) / 2.0) ** 2)), 0.0),
                      np.where(x > 11.0, np.exp(-(((x - 14.0) / 2.0) ** 2)), 0.0)])  # fmt: skip
    tight = band(pure, apart, open_limits(pure, apart))
    np.testing.assert_allclose(tight.low, tight.high, atol=1e-4)


def test_the_truth_lies_in_the_band():
    # Three parts on 40 spectra with Poisson noise: the true shares lie within the band found.
    ds, pure, amount = mixed()
    found = unmix(ds, 3, ambiguity=True)
    match = np.corrcoef(np.vstack([pure, found["spectrum"].values]))[:3, 3:].argmax(axis=1)
    total = np.linalg.norm(amount @ pure)
    true = [np.linalg.norm(amount[:, k]) * np.linalg.norm(pure[k]) / total for k in range(3)]
    low, high = found["share_low"].values[match], found["share_high"].values[match]
    assert np.all(low <= np.array(true) + 0.003)
    assert np.all(high >= np.array(true) - 0.003)
    # Amounts and spectra at the ends explain the data as well.
    for side in ("low", "high"):
        assert np.isfinite(found[f"amount_{side}"]).all()
        assert found[f"spectrum_{side}"].dims == ("component", "raman_shift")


def test_noise_says_how_many_parts_there_are():
    ds, _, _ = mixed()
    assert components_above_noise(ds) == 3
    assert unmix(ds).sizes["component"] == 3
    rng = np.random.default_rng(0)
    x = np.linspace(0.0, 10.0, 200)
    level = 50.0 * np.ones((60, 200))
    noise = spectrum(rng.poisson(level), x, technique="raman", axis_name="raman_shift",
                     outer={"point": np.arange(60)})  # fmt: skip
    assert components_above_noise(noise) == 1
    loose = noise.copy(deep=True)
    loose["intensity"] = (loose["intensity"].dims, 0.01 * noise["intensity"].values,
                          {"units": "1"})  # fmt: skip
    assert components_above_noise(loose) == 1


def test_mixtures_of_real_spectra_come_apart():
    # Two ends of a real line scan over graphene, mixed in known shares with Poisson noise.
    line = wb.open(data("raman/renishaw/line.wdf"))
    counts = line["intensity"].values.astype(float)
    ends = np.array([counts[:20].mean(axis=0), counts[-20:].mean(axis=0)])
    ends -= ends.min(axis=1, keepdims=True) * 0.9
    share = np.linspace(0.0, 1.0, 30)
    mean = 2.0 * (np.outer(1.0 - share, ends[0]) + np.outer(share, ends[1]))
    x = line["raman_shift"].values
    ds = spectrum(np.random.default_rng(1).poisson(mean), x, technique="raman",
                  axis_name="raman_shift", outer={"point": np.arange(30)})  # fmt: skip
    known = unmix(ds, start=ends, names=["first", "last"], method="nnls")
    size = ends @ np.gradient(x)
    got = known["amount"].values
    true = 2.0 * np.stack([1.0 - share, share], axis=1)
    pull = (got - true) / known["stderr"].values
    assert np.abs(pull[5:25].mean()) < 0.6
    blind = unmix(ds, 2, ambiguity=True)
    order = np.argsort(blind["amount"].values[0])[::-1]
    found = blind["amount"].values[:, order]
    assert np.abs(found - true * size).max() < 0.1 * size.max() * 2.0
    assert float((blind["share_high"] - blind["share_low"]).max()) < 0.35


def test_a_real_line_scan():
    ds = wb.select(wb.open(data("raman/renishaw/line.wdf")), {"raman_shift": (1230.0, 2780.0)})
    found = unmix(ds, 2, ground="constant", ambiguity=True, tolerance=1e-5)
    assert found["amount"].dims == ("point", "component")
    assert np.isfinite(found["share_low"]).all()
    model = found["amount"].values @ found["spectrum"].values + found["ground"].values
    explained = 1.0 - np.var(ds["intensity"].values - model) / np.var(ds["intensity"].values)
    assert explained > 0.94
    x = found["raman_shift"].values
    tops = x[found["spectrum"].values.argmax(axis=1)]
    # README of the data: G 1569 to 1585, 2D 2644 to 2675 1/cm.
    assert any(1565.0 < t < 1590.0 for t in tops) or any(2640.0 < t < 2680.0 for t in tops)


def test_a_response_is_in_the_amounts():
    ds = simulated(size=4)
    x = ds["raman_shift"].values
    half = wb.correct(ds, "intensity_response", shift=(x[0], x[-1]), response=(0.5, 0.5))
    one = unmix(ds, species=IDS, ground="quadratic")
    two = unmix(half, species=IDS, ground="quadratic")
    np.testing.assert_allclose(two["amount"], 2.0 * one["amount"])


def test_one_spectrum_missing_pixels_and_other_techniques():
    ds = simulated(size=4)
    one = unmix(ds.isel(x=1, y=2), species=IDS, ground="quadratic")
    assert one["amount"].dims == ("component",)
    whole = unmix(ds, species=IDS, ground="quadratic")
    np.testing.assert_allclose(one["amount"], whole["amount"].isel(x=1, y=2))
    gap = ds.copy(deep=True)
    gap["intensity"] = gap["intensity"].astype(float)
    gap["intensity"][0, 0] = np.nan
    holed = unmix(gap, species=IDS, ground="quadratic", method="mcr", fixed=IDS, ambiguity=True)
    assert flags(holed) == {"no_value": 2, **{k: v - 2 for k, v in flags(whole).items()}}
    assert np.isnan(holed["amount"][0, 0]).all()
    lazy = unmix(ds.chunk({"y": 2}), species=IDS, ground="quadratic")
    np.testing.assert_array_equal(lazy["amount"], whole["amount"])
    series = wb.simulate("xps", settings={"region": "S 2p"}, seed=1)
    shared = unmix(series, species=IDS, ground="cubic")
    trend = shared["amount"].sel(component="Li2S") / shared["amount"].sum("component")
    assert float(trend[-1]) > float(trend[0]) + 0.2


def test_what_cannot_be_unmixed_is_said():
    ds = simulated(size=4)
    with pytest.raises(FitError, match="nnls needs every spectrum"):
        unmix(ds, method="nnls")
    with pytest.raises(FitError, match="fixed or soft, not both"):
        unmix(ds, species=IDS, fixed=["Li2S"], soft={"Li2S": 0.1})
    with pytest.raises(FitError, match="component 'Li3P'"):
        unmix(ds, species=IDS, fixed=["Li3P"])
    with pytest.raises(FitError, match="has no reference"):
        unmix(ds, 2, soft={1: 0.1})
    with pytest.raises(FitError, match="ground 'wavy'"):
        unmix(ds, species=IDS, ground="wavy")
    with pytest.raises(FitError, match="names for"):
        unmix(ds, start=np.ones((1, ds.sizes["raman_shift"])), names=["a", "b"])
    with pytest.raises(FitError, match="allowed: nnls, mcr"):
        unmix(ds, 2, method="pca")

"""XPS models from species: energy differences, asymmetric metals, satellites, measured shapes."""

from __future__ import annotations

import numpy as np
import pytest

import references
import workbench as wb
from spectra.component import Components
from spectra.convention import spectrum
from spectra.errors import ModelError
from spectra.shapes import SHAPES
from spectra.techniques._xps_positions import Placed, centers, links
from spectra.techniques.xps import TECHNIQUE, join, measured_component

PHOTON = 1486.6


def region(y, x, **attrs):
    attrs = {"calibration": "true scale", "photon_energy_eV": PHOTON, **attrs}
    return spectrum(y, x, technique="xps", axis_name="binding_energy", attrs=attrs)


def doublet_at(x, at, area, level, width=1.1):
    """Return a pseudo-Voigt doublet of a core level, written out."""
    line = SHAPES["pseudo_voigt"].function
    if not level.splitting:
        return line(x, area, at, width, 0.3)[0]
    low = area / (1.0 + level.area_ratio)
    return (
        line(x, low, at, width, 0.3)[0] + line(x, area - low, at + level.splitting, width, 0.3)[0]
    )


def value_of(fit, name):
    row = fit.sel(param=name)
    return float(row["value"]), float(row["stderr"])


# -- energy differences ----------------------------------------------------------------------------


def test_an_energy_difference_outranks_two_positions():
    # The library puts Li2S 1.5 below PS4 by a difference, 1.4 by the positions of two papers.
    library = references.load()
    x = np.arange(156.0, 168.0, 0.1)
    level = library.core_level("S 2p")
    clean = 400.0 + doublet_at(x, 161.9, 6000.0, level) + doublet_at(x, 160.4, 3000.0, level)
    ds = region(np.random.default_rng(1).poisson(clean), x)
    for order in (["PS4_glass", "Li2S"], ["Li2S", "PS4_glass"]):
        comps = wb.propose(ds, species=order, settings={"background": "linear"})
        assert comps["Li2S"].params["center"].expr == "PS4_glass.center + -1.5"
        assert comps["PS4_glass"].params["center"].expr == "161.6 + shift"
        fit = wb.fit(ds, comps, statistic="poisson")
        shift, error = value_of(fit, "shift")
        assert abs(shift - 0.3) < 4 * error < 0.1
        area, error = value_of(fit, "Li2S.area")
        assert abs(area - 3000.0) < 4 * error
        assert float(fit["redchi"]) < 1.3


def test_a_difference_may_move_within_its_range_where_positions_may():
    library = references.load()
    x = np.arange(156.0, 168.0, 0.1)
    level = library.core_level("S 2p")
    clean = 400.0 + doublet_at(x, 161.7, 6000.0, level) + doublet_at(x, 160.0, 3000.0, level)
    ds = region(np.random.default_rng(2).poisson(clean), x)
    settings = {"positions": "each", "background": "linear"}
    comps = wb.propose(ds, species=["PS4_glass", "Li2S"], settings=settings)
    apart = comps.common["Li2S_apart"]
    assert (apart.min, apart.max) == (-1.8, -1.2)
    found, error = value_of(wb.fit(ds, comps, statistic="poisson"), "Li2S_apart")
    assert abs(found + 1.7) < 4 * error < 0.2


def test_core_levels_that_a_difference_links_share_the_shift_alone():
    # F 1s minus Li 1s of LiF: 629.2 eV, whatever the charge reference.
    library = references.load()
    lines = [i for i in library.lines("xps", "LiF") if i.transition in ("F 1s", "Li 1s")]
    placed = [Placed(i.transition.replace(" ", ""), i, "shift") for i in lines]
    assert [link.value for link in links(placed, library)] == [629.2]
    found, common = centers(placed, library)
    assert common == {}
    assert found["F1s"].expr == "Li1s.center + 629.2"


def joint(moved_p, seed=0, shift=0.35):
    """Return a joint region of PS4 (S 2p, P 2p), the second level ``moved_p`` off the library."""
    library = references.load()
    rng = np.random.default_rng(seed)
    parts = {}
    for name, off in (("S 2p", 0.0), ("P 2p", moved_p)):
        level = library.core_level(name)
        line = next(i for i in library.lines("xps", "Li6PS5Cl", name))
        x = np.arange(line.value - 5.0, line.value + 7.0, 0.1)
        clean = 300.0 + doublet_at(x, line.value + shift + off, 8000.0, level)
        if name == "S 2p":
            clean += doublet_at(x, 160.1 + shift, 2000.0, level)
        parts[name] = region(rng.poisson(clean), x)
    return join(parts)


def test_core_levels_that_nothing_links_lie_off_within_bounds_and_say_so():
    ds = joint(0.15)
    comps = wb.propose(ds, species=["Li6PS5Cl"])
    assert comps["Li6PS5Cl"].params["center"].expr.endswith("+ shift")
    fit = wb.fit(ds, comps, statistic="poisson")
    for name, true in (("shift", 0.35), ("offset_P_2p", 0.15)):
        found, error = value_of(fit, name)
        assert abs(found - true) < 4 * error < 0.1
    held = wb.propose(ds, species=["Li6PS5Cl"], settings={"level_offsets": False})
    assert "offset_P_2p" not in held.common
    assert float(wb.fit(ds, held, statistic="poisson")["redchi"]) > float(fit["redchi"]) + 0.3
    said = TECHNIQUE.quantify(comps, ds.attrs, references.load()).note
    assert "P 2p" in said
    assert "fitted" in said


def test_four_core_levels_of_one_sample_tied_by_stoichiometry():
    # S 2p, P 2p, Cl 2p and Li 1s of five species, the last level crowded and weak.
    from workbench.simulate import simulate

    region_of_all = "S 2p + P 2p + Cl 2p + Li 1s"
    ds = simulate("xps", settings={"region": region_of_all, "counts": 8000.0}, seed=0)
    species = ["Li6PS5Cl", "Li2S", "Li3P", "LiCl", "Li"]
    comps = wb.propose(ds, species=species, settings={"tie_levels": True})
    # the shift is of the strongest level; LiCl's chlorine is tied to its lithium
    assert comps["Li6PS5Cl_S2p"].params["center"].expr == "161.6 + shift"
    assert {k for k in comps.common if k.startswith("offset")} >= {"offset_P_2p"}
    fit = wb.fit(ds, comps, statistic="poisson")
    amounts = wb.quantify(fit)
    truth = ds["truth"].sel(species=amounts["species"].values)
    pull = ((amounts["amount"] - truth) / amounts["stderr"]).values
    assert np.all(np.abs(pull.mean(axis=0)) < 0.6)
    assert np.all(np.abs(pull.std(axis=0) - 1.0) < 0.25)
    assert "fitted" in amounts.attrs["note"]


def test_two_domains_are_not_linked():
    ds = region(np.full(120, 100), np.arange(156.0, 168.0, 0.1))
    comps = wb.propose(ds, species=["PS4_glass", "Li2S"], settings={"second_domain": ["Li2S"]})
    assert comps["Li2S"].params["center"].expr == "160.2 + shift_2"


# -- shapes ----------------------------------------------------------------------------------------


def metal(x, at, area, asymmetry, width, natural, level):
    """Return a metal's doublet folded numerically with the resolution, its maximum at ``at``."""
    fine = np.arange(-30.0, 60.0, 0.005)
    gamma = 0.5 * natural
    phase = 0.5 * np.pi * asymmetry - (1.0 - asymmetry) * np.arctan(fine / gamma)
    line = np.cos(phase) / (fine**2 + gamma**2) ** (0.5 * (1.0 - asymmetry))
    sigma = width / 2.3548
    kernel = np.exp(-0.5 * (np.arange(-800, 801) * 0.005 / sigma) ** 2)
    line = np.convolve(line, kernel / kernel.sum(), mode="same")
    line /= np.trapezoid(line[(fine >= -5) & (fine <= 15)], dx=0.005)
    top = fine[np.argmax(line)]
    share = 1.0 / (1.0 + level.area_ratio)
    return area * (
        share * np.interp(x - at + top, fine, line)
        + (1.0 - share) * np.interp(x - at - level.splitting + top, fine, line)
    )


def test_a_metal_is_asymmetric_and_lies_with_its_maximum_at_the_library_energy():
    library = references.load()
    level = library.core_level("Zr 3d")
    line = library.lines("xps", "Zr0", "Zr 3d")[0]
    x = np.arange(172.0, 194.0, 0.1)
    natural = level.lifetime_width or 0.1
    clean = 800.0 + metal(x, line.value + 0.2, 20000.0, 0.12, 0.8, natural, level)
    oxide = next(i for i in library.lines("xps", transition="Zr 3d") if i.species == "LLZO")
    clean += doublet_at(x, oxide.value + 0.2, 8000.0, level, width=1.4)
    clean += 0.02 * np.cumsum(clean - 800.0) * 0.1
    ds = region(np.random.default_rng(0).poisson(clean), x)
    comps = wb.propose(ds, species=["Zr0", "LLZO"])
    assert comps["Zr0"].shape == "doniach_sunjic_gaussian"
    assert comps["LLZO"].shape == "pseudo_voigt"
    assert comps["LLZO"].params["fwhm"].expr is None  # an oxide is not as narrow as the metal
    fit = wb.fit(ds, comps, statistic="poisson")
    assert float(fit["redchi"]) < 1.3
    for name, true, least in (
        ("shift", 0.2, 0.02), ("Zr0.asymmetry", 0.12, 0.02), ("Zr0.fwhm_gaussian", 0.8, 0.04),
        ("Zr0.area", 20000.0, 600.0), ("LLZO.area", 8000.0, 400.0),
    ):  # fmt: skip
        found, error = value_of(fit, name)
        assert abs(found - true) < max(4 * error, least), name
    plain = wb.propose(ds, species=["Zr0", "LLZO"], settings={"shape": "pseudo_voigt"})
    assert float(wb.fit(ds, plain, statistic="poisson")["redchi"]) > 2.0


@pytest.mark.parametrize(
    "shape", ["pseudo_voigt", "gl_product", "gaussian", "voigt", "doniach_sunjic", "tailed"]
)
def test_every_shape_comes_with_its_background(shape):
    ds = joint(0.0).isel(binding_energy=slice(120, None))
    ds = ds.drop_vars("section")
    comps = wb.propose(ds, species=["Li6PS5Cl"], settings={"shape": shape})
    fit = wb.fit(ds, comps, statistic="poisson")
    area, error = value_of(fit, "Li6PS5Cl.area")
    assert np.isfinite(area)
    assert abs(area - 8000.0) < max(5 * error, 800.0)


def test_an_exponential_tail_is_found():
    library = references.load()
    x = np.arange(156.0, 170.0, 0.1)
    level = library.core_level("S 2p")
    fine = np.arange(150.0, 176.0, 0.02)
    tail = np.exp(-np.arange(0.0, 8.0, 0.02) / 0.6)
    curve = np.convolve(doublet_at(fine, 160.2, 6000.0, level), tail / tail.sum())[: fine.size]
    ds = region(np.random.default_rng(4).poisson(200.0 + np.interp(x, fine, curve)), x)
    settings = {"shape": "tailed", "background": "linear"}
    fit = wb.fit(ds, wb.propose(ds, species=["Li2S"], settings=settings), statistic="poisson")
    found, error = value_of(fit, "Li2S.tail")
    assert abs(found - 0.6) < max(4 * error, 0.03)
    assert float(fit["redchi"]) < 1.3


def test_coster_kronig_width_of_the_second_line():
    library = references.load()
    level = library.core_level("Ti 2p")
    line = library.lines("xps", "LATP", "Ti 2p")[0]
    x = np.arange(line.value - 6.0, line.value + 12.0, 0.1)
    peak = SHAPES["pseudo_voigt"].function
    clean = 300.0 + peak(x, 6000.0, line.value, 1.2, 0.3)[0]
    clean += peak(x, 3000.0, line.value + level.splitting, 2.16, 0.3)[0]
    ds = region(np.random.default_rng(5).poisson(clean), x)
    chi = {}
    for ratio in (1.0, 1.8):
        settings = {"coster_kronig": {"Ti 2p": ratio}, "background": "linear"}
        comps = wb.propose(ds, species=["LATP"], settings=settings)
        fit = wb.fit(ds, comps, statistic="poisson")
        chi[ratio] = float(fit["redchi"])
    area, error = value_of(fit, "LATP.area")
    assert abs(area - 9000.0) < 4 * error
    assert chi[1.8] < 1.3 < chi[1.0] - 1.0


def test_satellites_are_part_of_their_species():
    library = references.load()
    x = np.arange(280.0, 298.0, 0.1)
    level = library.core_level("C 1s")
    line = library.lines("xps", "C_sp2", "C 1s")[0]
    clean = 300.0 + metal(x, line.value, 9000.0, 0.1, 0.6, level.lifetime_width or 0.1, level)
    clean += SHAPES["gaussian"].function(x, 700.0, line.value + 6.5, 2.6)[0]
    ds = region(np.random.default_rng(6).poisson(clean), x)
    settings = {"satellites": True, "background": "constant"}
    comps = wb.propose(ds, species=["C_sp2"], settings=settings)
    loss = comps.common["C_sp2_satellite_loss"]
    assert (loss.min, loss.max) == (5.5, 7.0)
    fit = wb.fit(ds, comps, statistic="poisson")
    found, error = value_of(fit, "C_sp2_satellite_loss")
    assert abs(found - 6.5) < max(4 * error, 0.1)
    weights = TECHNIQUE.quantify(comps, ds.attrs, library).quantities[0].weights
    assert set(weights) == {"C_sp2.area", "C_sp2_satellite.area"}
    assert len(set(weights.values())) == 1
    without = TECHNIQUE.quantify(wb.propose(ds, species=["C_sp2"]), ds.attrs, library)
    assert without.quantities[0].weights["C_sp2.area"] == pytest.approx(weights["C_sp2.area"])


# -- measured shapes -------------------------------------------------------------------------------


def test_measured_reference_spectra_as_components():
    library = references.load()
    level = library.core_level("S 2p")
    rng = np.random.default_rng(7)
    x = np.arange(154.0, 172.0, 0.1)

    def odd(at, area):  # a shape no function here has: two unequal humps
        return doublet_at(x, at, 0.8 * area, level) + doublet_at(x, at + 0.7, 0.2 * area, level)

    parts = {}
    for name, at in (("Li2S", 160.2), ("PS4_glass", 161.6)):
        pure = region(rng.poisson(500.0 + odd(at, 2e6)), x)
        parts[name] = measured_component(wb.correct(pure, "linear", average=9), name, species=name)
    mixed = region(rng.poisson(500.0 + odd(160.45, 3000.0) + odd(161.85, 6000.0)), x)
    base = wb.propose(mixed, species=["Li2S"], settings={"background": "linear"}).drop("Li2S")
    comps = Components([*parts.values(), *base], base.common)
    fit = wb.fit(mixed, comps, statistic="poisson")
    shift, error = value_of(fit, "shift")
    assert abs(shift - 0.25) < max(4 * error, 0.01)
    amounts = wb.quantify(fit)
    # per formula unit: PS4 has four sulfur atoms
    share = (3000.0) / (3000.0 + 6000.0 / 4.0)
    found = amounts.sel(species="Li2S")
    assert abs(float(found["amount"]) - share) < 4 * float(found["stderr"])
    assert float(fit["redchi"]) < 1.3


def test_a_reference_without_background_or_signal_is_refused():
    x = np.arange(154.0, 172.0, 0.1)
    empty = region(np.random.default_rng(0).poisson(np.full_like(x, 100.0)), x)
    with pytest.raises(ModelError, match="background taken apart"):
        measured_component(empty, "a")
    with pytest.raises(ModelError, match="no signal"):
        measured_component(wb.correct(empty, "linear"), "a")

"""Escape lines of germanium, silicon and cadmium telluride, against photons followed one by one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xraydb

import workbench as wb
from spectra.techniques import edxrd
from spectra.techniques._edxrd_escape import CRYSTALS, escape_fraction, escapes
from spectra.techniques._edxrd_lines import fit_line
from spectra.techniques._edxrd_physics import Detector, with_escape
from spectra.techniques._edxrd_pileup import escaped

DENSITY = {"Ge": 5.323, "CdTe": 5.85, "CZT": 5.78, "Si": 2.33}


def followed(crystal, energy, photons=300_000, thickness=3.0):
    """Shares of escaped Ka by element: photons absorbed in a slab, K photons leaving at random."""
    rng = np.random.default_rng(5)
    atoms = CRYSTALS[crystal]
    mass = {el: n * xraydb.atomic_mass(el) for el, n in atoms.items()}
    weight = {el: m / sum(mass.values()) for el, m in mass.items()}
    rho = DENSITY[crystal]

    def mu(kev, el=None):
        parts = {e: w * rho * xraydb.mu_elam(e, 1e3 * kev, kind="photo") for e, w in weight.items()}
        return parts[el] if el else sum(parts.values())

    depth = rng.exponential(1.0 / mu(energy), photons)
    inside = depth < thickness
    out, counted = {}, inside.sum()
    for el in atoms:
        edge = xraydb.xray_edge(el, "K")
        if el == "Zn" or edge.energy > 1e3 * energy:
            continue
        lines = xraydb.xray_lines(el, "K")
        total = sum(v.intensity for v in lines.values())
        alpha = [v for k, v in lines.items() if k.startswith("Ka")]
        part = sum(v.intensity for v in alpha) / total
        place = sum(v.energy * v.intensity for v in alpha) / sum(v.intensity for v in alpha) * 1e-3
        chance = mu(energy, el) / mu(energy) * (1 - 1 / edge.jump_ratio) * edge.fyield * part
        lit = inside & (rng.random(photons) < chance)
        cosine = rng.uniform(-1.0, 1.0, photons)
        way = np.where(cosine < 0, depth / np.maximum(-cosine, 1e-12),
                       np.abs(thickness - depth) / np.maximum(cosine, 1e-12))  # fmt: skip
        gone = lit & (rng.random(photons) < np.exp(-np.minimum(mu(place) * way, 200.0)))
        out[place] = gone.sum() / counted
    return out


@pytest.mark.parametrize(
    ("crystal", "energy"),
    [("CdTe", 35.0), ("CdTe", 60.0), ("CdTe", 100.0), ("CZT", 60.0), ("CdTe", 29.0), ("Ge", 40.0)],
)
def test_shares_are_those_of_single_photons(crystal, energy):
    told = {round(loss, 1): float(share) for loss, share in escapes(energy, crystal)}
    found = followed(crystal, energy)
    assert len(found) == (1 if crystal == "Ge" or energy < 31.8 else 2)
    for place, share in found.items():
        near = min(told, key=lambda loss: abs(loss - place))
        assert near == pytest.approx(place, abs=0.06)
        noise = 3.0 * np.sqrt(share / 3e5)
        assert told[near] == pytest.approx(share, rel=0.06, abs=noise)


def test_cadmium_and_tellurium_lose_their_own_lines():
    (cd_a, a), (cd_b, b), (te_a, c), (te_b, _) = escapes(60.0, "CdTe")
    assert [cd_a, cd_b, te_a, te_b] == pytest.approx([23.11, 26.19, 27.38, 31.10], abs=0.06)
    assert [float(a), float(c)] == pytest.approx([0.022, 0.0176], rel=0.03)  # 2 mm and thicker
    assert 0.1 < float(b / a) < 0.4
    below = [float(share) for _, share in escapes(26.5, "CdTe")]
    assert below == [0.0] * 4
    only_cd = [float(share) > 0 for _, share in escapes(30.0, "CdTe")]
    assert only_cd == [True, True, False, False]
    # silicon loses next to nothing at these energies
    assert max(float(share) for _, share in escapes(40.0, "Si")) < 1e-4


def test_germanium_is_what_it_was():
    e = np.array([12.0, 25.0, 38.6, 80.0])
    (_, a), (_, b) = escapes(e)
    assert np.allclose(a + b, escape_fraction(e))
    place, strength, parent = with_escape(e, np.ones(4), Detector())
    assert place.size == 12
    assert np.array_equal(parent, np.tile(np.arange(4), 3))
    assert np.allclose(strength[4:8], 0.88 * escape_fraction(e))


def telluride(seed=1, factor=1.0):
    """Ten lines above a background, with the escape lines of CdTe."""
    rng = np.random.default_rng(seed)
    ch = np.arange(3000)
    energy = 0.05 + 0.05 * ch
    detector = Detector(0.5, 0.15, crystal="CdTe", escape=factor)
    lines = np.array([33.1, 38.3, 54.2, 63.5, 66.3, 76.6, 83.5, 97.0, 109.0, 122.0])
    area = np.linspace(4e5, 1e5, lines.size)
    place, strength, parent = with_escape(lines, area, detector)
    wide = detector.fwhm(lines)[parent] / 2.3548
    shape = np.exp(-0.5 * ((energy[:, None] - place) / wide) ** 2) / (wide * np.sqrt(2 * np.pi))
    rate = 300.0 * np.exp(-energy / 90.0) + 0.05 * shape @ strength
    from spectra.convention import spectrum

    ds = spectrum(rng.poisson(rate), ch, technique="edxrd", axis_name="channel")
    return ds, lines, area


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.4])
def test_how_much_escapes_is_found(factor):
    ds, *_ = telluride(factor=factor)
    told = {"c0": 0.05, "c1": 0.05, "noise_keV": 0.5, "fano": 0.15, "crystal": "CdTe"}
    ds = wb.calibrate(ds, "known", **told)
    out = wb.correct(ds, "escape")
    assert out.attrs["escape"] == pytest.approx(factor, abs=4 * out.attrs["escape_stderr"] + 0.05)
    rows = json.loads(out.attrs["escape_lines"])
    lost = {round(row["line"] - row["escape"], 1) for row in rows}
    assert lost == {23.1, 26.2, 27.4, 31.1}
    assert edxrd.scale_of(out)["crystal"] == "CdTe"
    # taken for germanium, the same spectrum shows none of its lines
    other = wb.calibrate(ds, "known", **{**told, "crystal": "Ge"})
    with_ge = escaped(ds["photon_energy"].values, ds["intensity"].values[None].astype(float))
    assert other.attrs["detector_crystal"] == "Ge"
    assert with_ge.sum() < 0.25 * escaped(
        ds["photon_energy"].values, ds["intensity"].values[None].astype(float), "CdTe"
    ).sum()  # fmt: skip


def test_a_calibration_knows_the_crystal():
    ds, lines, _ = telluride()
    told = {"lines": tuple(lines), "guess": (0.0, 0.0501)}
    out = wb.calibrate(ds, "joint", crystal="CdTe", **told)
    assert out.attrs["detector_crystal"] == "CdTe"
    assert out.attrs["c1_keV"] == pytest.approx(0.05, abs=2e-5)
    assert Detector.of(out.attrs).crystal == "CdTe"
    line = fit_line(out["photon_energy"].values, out["intensity"].values.astype(float), 76.6, 0.9)
    assert line.center == pytest.approx(76.6, abs=0.02)

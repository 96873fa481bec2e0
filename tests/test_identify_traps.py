"""identify and the classic overlaps: alone the honest answer is a group, a partner line decides."""

from __future__ import annotations

import numpy as np
import xarray as xr

import workbench as wb


def measured(region, amounts, *, technique="xps", seed=1, **settings):
    """One spectrum of an even mixture."""
    names = list(amounts)
    row = np.array([amounts[n] for n in names], dtype=float)
    history = xr.Dataset(
        {"amount": (("time", "species"), np.stack([row, row]), {"units": "nmol/cm2"})},
        coords={"time": ("time", [0.0, 3600.0], {"units": "s"}), "species": names},
    )
    told = {"region": region, "sample": "mixture"} if technique == "xps" else {"nucleus": region}
    ds = wb.simulate(technique, history, settings={**told, **settings}, seed=seed)
    return ds.isel(time=[0]).drop_vars("truth")


def together(found, *names):
    """Whether some finding reports exactly these species as one group."""
    return any({f.species, *f.group} == set(names) for f in found.findings if f.verdict == "group")


SULFIDE = ["Li6PS5Cl", "Li3PS4_beta", "Li2S"]


def test_sulfide_beside_thiophosphate_may_be_argyrodite():
    # One sulfide to four sulfurs of PS4: what the free sulfide of the argyrodite looks like.
    sulfur = measured("S 2p", {"Li3PS4_beta": 1.0, "Li2S": 1.0}, counts=1000.0)
    found = wb.identify(sulfur, candidates=SULFIDE)
    assert together(found, "Li2S", "Li6PS5Cl")
    assert found["Li2S"].verdict != "certain"


def test_phosphorus_nmr_says_whether_the_sulfide_is_free():
    sulfur = measured("S 2p", {"Li3PS4_beta": 1.0, "Li2S": 1.0}, counts=1000.0)
    phosphorus = measured("31P", {"Li3PS4_beta": 1.0}, technique="nmr")
    found = wb.identify([sulfur, phosphorus], candidates=SULFIDE)
    assert set(found.species) == {"Li3PS4_beta", "Li2S"}
    assert found["Li6PS5Cl"].verdict == "absent"


POLYSULFIDE = ["Li3PS4_beta", "Li2Sx_terminal", "Li2Sx_bridging"]


def test_terminal_polysulfide_lies_under_thiophosphate():
    sulfur = measured("S 2p", {"Li3PS4_beta": 1.0}, counts=2000.0)
    found = wb.identify(sulfur, candidates=POLYSULFIDE)
    assert together(found, "Li3PS4_beta", "Li2Sx_terminal")


def test_phosphorus_2p_tells_thiophosphate_from_polysulfide():
    sulfur = measured("S 2p", {"Li3PS4_beta": 1.0}, counts=2000.0)
    phosphorus = measured("P 2p", {"Li3PS4_beta": 1.0}, counts=2000.0)
    found = wb.identify([sulfur, phosphorus], candidates=POLYSULFIDE)
    assert found["Li3PS4_beta"].verdict == "certain"
    assert "Li2Sx_terminal" not in found.species


BRIDGING = ["Li4P2S7", "Li3PS4_beta", "Li2Sx_bridging"]


def test_bridging_sulfur_of_thiophosphate_lies_under_polysulfide():
    sulfur = measured("S 2p", {"Li3PS4_beta": 1.0, "Li2Sx_bridging": 0.67}, counts=400.0)
    found = wb.identify(sulfur, candidates=BRIDGING)
    assert together(found, "Li2Sx_bridging", "Li4P2S7")
    assert found["Li2Sx_bridging"].verdict != "certain"


def test_phosphorus_on_the_same_scale_tells_bridging_sulfur_apart():
    joint = measured("S 2p + P 2p", {"Li4P2S7": 1.0}, counts=2000.0)
    found = wb.identify(joint, candidates=BRIDGING)
    assert found.species == ("Li4P2S7",)
    assert found["Li2Sx_bridging"].verdict == "absent"


CHLORIDE = ["LiCl", "Li6PS5Cl"]


def test_lithium_chloride_lies_under_argyrodite():
    chlorine = measured("Cl 2p", {"LiCl": 1.0}, counts=4000.0)
    found = wb.identify(chlorine, candidates=CHLORIDE)
    assert together(found, *CHLORIDE)


def test_sulfur_2p_tells_argyrodite_from_lithium_chloride():
    chlorine = measured("Cl 2p", {"Li6PS5Cl": 1.0}, counts=4000.0)
    sulfur = measured("S 2p", {"Li6PS5Cl": 1.0}, counts=4000.0)
    found = wb.identify([chlorine, sulfur], candidates=CHLORIDE)
    assert found["Li6PS5Cl"].verdict == "certain"
    assert "LiCl" not in found.species
    other = wb.identify(
        [
            measured("Cl 2p", {"LiCl": 1.0}, counts=4000.0),
            measured("S 2p", {"Li2S": 1.0}, counts=4000.0),
        ],
        candidates=[*CHLORIDE, "Li2S"],
    )
    assert set(other.species) == {"LiCl", "Li2S"}

"""Powder XRD against standards and weighed mixtures."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest
import xarray as xr

import references
import workbench as wb
from references.diffraction import reflections
from references.library import Library
from references.model import Site, Species, StructureData
from spectra.errors import CalibrationError, ModelError
from spectra.techniques import xrd
from spectra.techniques._xrd_absorption import attenuation, brindley
from spectra.techniques._xrd_model import Model, lines_of
from tests.shared_data import data


@cache
def phase(file: str, name: str, formula: str, a: float | None = None) -> Species:
    """Make a species of a CIF file (all atoms in P1), optionally with the cell scaled to ``a``."""
    from pymatgen.io.cif import CifParser
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = CifParser(str(data(f"xrd/cif/{file}.cif"))).parse_structures(primitive=False)[0]
        s = SpacegroupAnalyzer(parsed, symprec=0.02).get_conventional_standard_structure()
    k = a / s.lattice.a if a else 1.0
    sites = tuple(
        Site(elements={str(atom.specie): 1.0}, x=atom.frac_coords[0], y=atom.frac_coords[1],
             z=atom.frac_coords[2])
        for atom in s
    )  # fmt: skip
    cell = s.lattice
    structure = StructureData(
        id=name, formula=formula, space_group="P1", number=1, a=cell.a * k, b=cell.b * k,
        c=cell.c * k, alpha=round(cell.alpha, 5), beta=round(cell.beta, 5),
        gamma=round(cell.gamma, 5), sites=sites, source=f"{file}.cif", confidence="user",
    )  # fmt: skip
    return Species(id=name, name=name, formula=formula, role="product", structures=(structure,))


def library(*species: Species) -> Library:
    base = references.load()
    return Library({**base.species, **{s.id: s for s in species}}, base.core_levels, base.nuclei)


def cut(ds: xr.Dataset, low: float, high: float) -> xr.Dataset:
    return ds.isel(two_theta=(ds["two_theta"] > low) & (ds["two_theta"] < high))


def test_lines_of_a_cubic_phase_obey_bragg():
    lines = lines_of("Li2S", references.load(), 1.5405929, 20, 90, 1e-3, {})
    n = np.array([sum(v * v for v in h) for h in lines.hkl])
    expected = 2 * np.degrees(np.arcsin(1.5405929 * np.sqrt(n) / (2 * 5.71)))
    assert np.allclose(lines.two_theta, expected, atol=1e-4)
    assert lines.axes == ("a",)


def test_shares_of_a_hexagonal_cell():
    lines = lines_of("Li3P", references.load(), 1.5405929, 20, 60, 1e-3, {})
    assert lines.axes == ("a", "c")
    share = dict(zip(lines.hkl, lines.share, strict=True))
    assert np.allclose([s.sum() for s in share.values()], 1.0)
    along = next(s for h, s in share.items() if h[0] == h[1] == 0)
    assert along[2] == pytest.approx(1.0)


def test_corundum_cell():
    corundum = phase("COD_Al2O3-Corundum", "corundum", "Al2O3", 4.7602)
    lib = library(corundum)
    ds = cut(wb.open(data("xrd/corundum.brml")), 20, 80)
    comps = wb.propose(ds, ["corundum"], library=lib, settings={"intensities": "free"})
    found = xrd.cells(wb.fit(ds, comps), lib).sel(species="corundum")
    assert float(found["a"]) == pytest.approx(4.75909, abs=1e-4)
    assert float(found["c"]) == pytest.approx(12.99336, abs=5e-4)


WEIGHED = {
    "TiO2_0p4009-ZnO_0p6010--8min.xrdml": {"anatase": 0.4002, "zincite": 0.5998},
    "NiO_0p2030-Li2CO3_0p2999-TiO2_0p5025--8min.xrdml": {
        "bunsenite": 0.2019, "zabuyelite": 0.2983, "anatase": 0.4998,
    },
}  # fmt: skip


@cache
def weighed(file: str, diameter: float) -> xr.Dataset:
    lib = library(
        phase("COD_TiO2-Anatase", "anatase", "TiO2"),
        phase("COD_ZnO-Zincite", "zincite", "ZnO"),
        phase("COD_NiO-Bunsenite", "bunsenite", "NiO"),
        phase("COD_Li2CO3-Zabuyelite", "zabuyelite", "Li2CO3"),
    )
    ds = cut(wb.open(data(f"xrd/{file}")), 19, 80)
    if diameter:
        ds = wb.correct(ds, "microabsorption", diameter_um=diameter)
    comps = wb.propose(ds, list(WEIGHED[file]), library=lib, settings={"radius_mm": 145.0})
    return wb.quantify(wb.fit(ds, comps), library=lib)


@pytest.mark.parametrize("file", WEIGHED)
def test_weighed_mixtures_with_one_plausible_grain_size(file):
    # both mixtures hold the same anatase powder: one grain size must serve both
    plain, corrected = weighed(file, 0.0), weighed(file, 4.0)
    known = np.array([WEIGHED[file][str(s)] for s in plain["species"].values])
    off = np.abs(plain["amount"].values - known)
    better = np.abs(corrected["amount"].values - known)
    assert off.max() < 0.035
    assert better.max() < 0.02
    assert better.max() < off.max()
    assert "not corrected" in plain.attrs["note"]
    assert "Brindley" in corrected.attrs["note"]


def test_nickel_scatters_less_just_below_its_edge():
    # f' of Ni is -3.0 electrons at Cu Ka: without it NiO is found a quarter too low (0.149)
    lib = library(phase("COD_NiO-Bunsenite", "bunsenite", "NiO"))
    with_f1 = lines_of("bunsenite", lib, 1.5405929, 30, 80, 1e-3, {})
    far = {r.hkl: r.f2 for r in reflections("bunsenite", d_min=0.9, library=lib)}
    told = reflections("bunsenite", d_min=0.9, library=lib, energy_keV=8.048)
    near = {r.hkl: r.f2 for r in told}
    assert near[(2, 0, 0)] / far[(2, 0, 0)] == pytest.approx(0.79, abs=0.03)
    assert with_f1.two_theta.size > 3
    share = float(weighed(list(WEIGHED)[1], 0.0)["amount"].sel(species="bunsenite"))
    assert share == pytest.approx(0.2019, abs=0.01)


def test_brindley_factors_of_his_table():
    table = {-0.3: 1.567, -0.2: 1.355, -0.1: 1.162, 0.0: 1.0, 0.1: 0.862, 0.2: 0.743,
             0.3: 0.640, 0.5: 0.481}  # fmt: skip
    for x, tau in table.items():
        assert brindley(x) == pytest.approx(tau, rel=0.01)


def test_attenuation_of_solids_below_and_above_their_edges():
    lib = library(phase("COD_NiO-Bunsenite", "bunsenite", "NiO"))
    below, density = attenuation("bunsenite", 1.5406, lib)
    above, _ = attenuation("bunsenite", 1.4, lib)
    assert density == pytest.approx(6.85, abs=0.1)
    assert above > 5.0 * below  # the Ni K edge lies at 1.488 A


def test_microabsorption_names_what_it_does_not_know():
    ds = wb.open(data(f"xrd/{next(iter(WEIGHED))}"))
    with pytest.raises(CalibrationError, match="grain size"):
        wb.correct(ds, "microabsorption")
    lib = library(phase("COD_ZnO-Zincite", "zincite", "ZnO"))
    one = cut(wb.correct(ds, "microabsorption", diameters_um={"Li2S": 3.0}), 30, 50)
    comps = wb.propose(one, ["zincite"], library=lib)
    with pytest.raises(ModelError, match="not a phase"):
        wb.quantify(wb.fit(one, comps), library=lib)


def test_free_areas_carry_no_amounts():
    ds = cut(wb.open(data("xrd/TiO2_0p4009-ZnO_0p6010--8min.xrdml")), 30, 40)
    lib = library(phase("COD_ZnO-Zincite", "zincite", "ZnO"))
    comps = wb.propose(
        ds, ["zincite"], library=lib, settings={"intensities": "free", "cells": "fixed"}
    )
    with pytest.raises(ModelError, match="tied"):
        wb.quantify(wb.fit(ds, comps), library=lib)


def test_a_pattern_without_wavelength_asks_for_it():
    ds = wb.open(data("xrd/MnO.xy"))
    with pytest.raises(CalibrationError, match="anode"):
        wb.propose(ds, ["Li2S"])
    told = wb.calibrate(ds, "known", anode="Cu")
    lib = library(phase("COD_MnO-Manganosite", "MnO", "MnO"))
    told = cut(told, 30, 90)
    fit = wb.fit(told, wb.propose(told, ["MnO"], library=lib))
    assert float(xrd.cells(fit, lib)["a"].sel(species="MnO")) == pytest.approx(4.4434, abs=0.003)


def test_lithium_fluoride_in_a_mixture():
    ds = cut(wb.calibrate(wb.open(data("xrd/Mn2O3+LiF.xy")), "known", anode="Cu"), 43, 47)
    comps = wb.propose(ds, ["LiF"], settings={"shift": "none", "background": 4})
    found = xrd.cells(wb.fit(ds, comps))
    assert float(found["a"].sel(species="LiF")) == pytest.approx(4.027, abs=0.006)


def test_operando_spinel_cell_goes_out_and_back():
    ds = wb.open(data("xrd/operando_LCoV"))
    parts = [(35.2, 36.8), (37.7, 39.3), (41.5, 43.0), (44.4, 45.6), (48.6, 50.2), (64.4, 66.0)]
    ds = cut(wb.correct(ds, "mask", ranges=parts), 34, 70)  # current collector and windows
    settings = {"intensities": "free", "shift": "none", "fwhm": 0.25, "weakest": 0.02}
    fit = wb.fit(ds, wb.propose(ds, ["LiMn2O4"], settings=settings))  # the spinel framework
    a = xrd.cells(fit)["a"].sel(species="LiMn2O4")
    assert float(a.sel(scan=1)) == pytest.approx(8.268, abs=0.004)
    assert float(a.sel(scan=49)) == pytest.approx(8.179, abs=0.004)
    assert float(a.sel(scan=97)) == pytest.approx(8.271, abs=0.004)
    middle = a.values[:13]
    assert np.all(np.diff(middle) < 0.0)  # a solid solution: no jump, no plateau


def test_defaults_are_valid():
    assert Model().background == 10

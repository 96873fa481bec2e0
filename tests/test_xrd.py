"""Powder XRD against standards and weighed mixtures."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest
import xarray as xr

import references
import workbench as wb
from references.library import Library
from references.model import Site, Species, StructureData
from spectra.errors import CalibrationError, ModelError
from spectra.techniques import xrd
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


def test_weighed_anatase_and_zincite():
    lib = library(
        phase("COD_TiO2-Anatase", "anatase", "TiO2"), phase("COD_ZnO-Zincite", "zincite", "ZnO")
    )
    ds = cut(wb.open(data("xrd/TiO2_0p4009-ZnO_0p6010--8min.xrdml")), 20, 80)
    comps = wb.propose(ds, ["anatase", "zincite"], library=lib, settings={"radius_mm": 145.0})
    amounts = wb.quantify(wb.fit(ds, comps), library=lib)
    assert float(amounts["amount"].sel(species="anatase")) == pytest.approx(0.4002, abs=0.02)
    assert float(amounts["amount"].sum()) == pytest.approx(1.0)


def test_nickel_oxide_is_found_too_low_and_the_note_says_why():
    lib = library(
        phase("COD_NiO-Bunsenite", "NiO", "NiO"),
        phase("COD_TiO2-Anatase", "anatase", "TiO2"),
    )
    ds = cut(wb.open(data("xrd/NiO_0p2030-Li2CO3_0p2999-TiO2_0p5025--8min.xrdml")), 20, 70)
    comps = wb.propose(
        ds, ["NiO", "anatase"], library=lib, settings={"radius_mm": 145.0, "size": False}
    )
    amounts = wb.quantify(wb.fit(ds, comps), library=lib)
    share = float(amounts["amount"].sel(species="NiO"))
    assert share < 0.2019 / (0.2019 + 0.4998)  # microabsorption
    assert "icroabsorption" in amounts.attrs["note"]


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

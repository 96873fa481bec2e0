"""XRD fits of real files with known cells: two phases of one spinel, a synchrotron standard."""

from __future__ import annotations

import numpy as np
import pytest

import references
import workbench as wb
from references.library import Library
from spectra.techniques import xrd
from tests.shared_data import data


def with_cells(species: str, cells: dict[str, float], formula: str | None = None) -> Library:
    """Add copies of a cubic species with other cells (and one element put for another)."""
    base = references.load()
    source = base[species]
    made = {}
    for name, a in cells.items():
        structure = source.structures[0].model_copy(
            update={"id": name, "a": a, "b": a, "c": a, "formula": formula or source.formula}
        )
        made[name] = source.model_copy(
            update={"id": name, "name": name, "aliases": (), "structures": (structure,)}
        )
    return Library({**base.species, **made}, base.core_levels, base.nuclei)


@pytest.mark.parametrize(
    ("file", "rich", "poor"),
    [
        # maxima of 440 at 64.72 and 65.52 deg
        ("LiMn2O4_two-phase.plt", 8.148, 8.058),
        # another scan: the cells its authors start from
        ("LiMn2O4_two-phase.brml", 8.13, 8.05),
    ],
)
def test_two_spinels_of_a_charging_electrode(file, rich, poor):
    lib = with_cells("LiMn2O4", {"rich": 8.13, "poor": 8.05})
    ds = wb.open(data(f"xrd/{file}"))
    ds = ds.isel(two_theta=(ds["two_theta"] > 55.5) & (ds["two_theta"] < 70.0))
    told = {"intensities": "free", "shift": "none", "cell_range": 0.006, "fwhm": 0.3,
            "weakest": 0.05, "background": 4, "size": False}  # fmt: skip
    fit = wb.fit(ds, wb.propose(ds, ["rich", "poor"], library=lib, settings=told))
    a = xrd.cells(fit, lib)["a"]
    assert float(a.sel(species="rich")) == pytest.approx(rich, abs=0.012)
    assert float(a.sel(species="poor")) == pytest.approx(poor, abs=0.012)


def test_one_spinel_of_the_solid_solution():
    lib = with_cells("LiMn2O4", {"spinel": 8.18})
    ds = wb.open(data("xrd/LiMn2O4_solid-solution.plt"))
    ds = ds.isel(two_theta=(ds["two_theta"] > 55.5) & (ds["two_theta"] < 70.0))
    told = {"intensities": "free", "shift": "none", "cell_range": 0.008, "fwhm": 0.3,
            "weakest": 0.05, "background": 4}  # fmt: skip
    fit = wb.fit(ds, wb.propose(ds, ["spinel"], library=lib, settings=told))
    found = float(xrd.cells(fit, lib)["a"].sel(species="spinel"))
    # the maximum of 440 lies at 64.47 deg: 8.173 A with the mean Ka wavelength
    assert found == pytest.approx(8.173, abs=0.01)


def test_lanthanum_hexaboride_at_a_synchrotron():
    # a CsCl-like primitive cubic cell serves: areas are free, only places count
    from references.model import Site, Species, StructureData

    corner = {"La": (0.0, 0.0, 0.0)}
    ring = [(0.1975, 0.5, 0.5), (0.8025, 0.5, 0.5), (0.5, 0.1975, 0.5), (0.5, 0.8025, 0.5),
            (0.5, 0.5, 0.1975), (0.5, 0.5, 0.8025)]  # fmt: skip
    sites = [Site(elements={e: 1.0}, x=x, y=y, z=z) for e, (x, y, z) in corner.items()]
    sites += [Site(elements={"B": 1.0}, x=x, y=y, z=z) for x, y, z in ring]
    structure = StructureData(
        id="LaB6", formula="LaB6", space_group="P1", number=1, a=4.1569, b=4.1569, c=4.1569,
        alpha=90.0, beta=90.0, gamma=90.0, sites=tuple(sites), source="NIST SRM 660",
        confidence="user",
    )  # fmt: skip
    species = Species(id="LaB6", name="LaB6", formula="LaB6", role="product",
                      structures=(structure,))  # fmt: skip
    base = references.load()
    lib = Library({**base.species, "LaB6": species}, base.core_levels, base.nuclei)
    ds = wb.open(data("xrd/LaB6_40keV_MarCCD.chi"))
    ds = wb.calibrate(ds, "known", wavelength_A=0.3100)
    ds = ds.isel(two_theta=(ds["two_theta"] > 4.0) & (ds["two_theta"] < 15.0))
    told = {"intensities": "free", "shift": "none", "fwhm": 0.06, "weakest": 0.02}
    fit = wb.fit(ds, wb.propose(ds, ["LaB6"], library=lib, settings=told))
    cells = xrd.cells(fit, lib)
    assert float(cells["a"].sel(species="LaB6")) == pytest.approx(4.1575, abs=0.0012)
    assert np.isfinite(float(cells["a_stderr"].sel(species="LaB6")))

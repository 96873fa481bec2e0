"""Make ``edxrd.png``: real fits of EDXRD (gold wire) and XRD (weighed mixture, operando cell).

Run from the project's folder: ``python docs/pictures/edxrd.py <folder of measurements>``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import references
import workbench as wb
from references.library import Library
from spectra.techniques import xrd
from workbench.curves import curves


def gold() -> Library:
    """Return the library with gold: copper's structure with another cell."""
    base = references.load()
    copper = base["Cu"]
    sites = tuple(
        s.model_copy(update={"elements": {"Au": 1.0}}) for s in copper.structures[0].sites
    )
    cell = copper.structures[0].model_copy(
        update={"id": "Au", "formula": "Au", "a": 4.0786, "b": 4.0786, "c": 4.0786, "sites": sites}
    )
    made = copper.model_copy(
        update={"id": "Au", "formula": "Au", "aliases": (), "structures": (cell,)}
    )
    return Library({**base.species, "Au": made}, base.core_levels, base.nuclei)


def wire(ax: plt.Axes, folder: Path) -> None:
    """Gold wire at 15 degrees, every line with an area of its own."""
    ds = wb.open(folder / "edxrd" / "aps16bmb_Au-wire_15deg_header15.0146.hpmca")
    ds = wb.calibrate(ds, "known", c0=7.662833e-02, c1=3.163848e-02, two_theta_deg=15.0149)
    ds = ds.isel(photon_energy=(ds["photon_energy"] > 18) & (ds["photon_energy"] < 80))
    told = {"mode": "pawley", "fluorescence": ("Au",), "background": 14, "weakest": 1e-4,
            "widths": "free"}  # fmt: skip
    library = gold()
    fit = wb.fit(ds, wb.propose(ds, ["Au"], library=library, settings=told), statistic="poisson")
    drawn = curves(ds, fit)
    x = ds["photon_energy"].values
    ax.semilogy(x, ds["intensity"].values, ".", ms=1.5, color="0.5", label="counts")
    ax.semilogy(x, drawn["model"].values, color="C3", lw=0.9, label="free areas, escape lines")
    marks = wb.phases.ticks(ds, "Au", weakest=1e-3, library=library)
    ax.vlines(marks.place, 40, 70, color="C0", lw=1.0, label="Au")
    ax.set(xlabel="photon energy / keV", ylabel="counts", title="gold wire, 2theta = 15.015 deg")
    ax.legend(frameon=False, fontsize=8)
    print("gold: reduced chi-square", float(fit["redchi"]))


def mixture(ax: plt.Axes, folder: Path) -> None:
    """Weighed mixture of NiO, Li2CO3 and anatase, grains of 4 um stated."""
    ds = wb.open(folder / "xrd" / "NiO_0p2030-Li2CO3_0p2999-TiO2_0p5025--8min.xrdml")
    ds = ds.isel(two_theta=(ds["two_theta"] > 19) & (ds["two_theta"] < 66))
    ds = wb.correct(ds, "microabsorption", diameter_um=4.0)
    species = ["NiO", "Li2CO3", "TiO2"]
    fit = wb.fit(ds, wb.propose(ds, species, settings={"radius_mm": 145.0}))
    amounts = wb.quantify(fit)
    drawn = curves(ds, fit)
    x = ds["two_theta"].values
    y = ds["intensity"].values
    ax.plot(x, y, ".", ms=1.5, color="0.5")
    ax.plot(x, drawn["model"].values, color="C3", lw=0.8)
    low = float(y.max()) * -0.06
    for row, name in enumerate(species):
        marks = wb.phases.ticks(ds, name)
        share = float(amounts["amount"].sel(species=name))
        ax.vlines(marks.place, low * (row + 0.8), low * row, color=f"C{row}",
                  label=f"{name} {share:.3f}")  # fmt: skip
    ax.set(xlabel="2theta / deg", title="weighed NiO 0.202, Li2CO3 0.298, TiO2 0.500")
    ax.legend(frameon=False, fontsize=8)
    print("mixture", amounts["amount"].values, float(fit["redchi"]))


def operando(ax: plt.Axes, below: plt.Axes, folder: Path) -> None:
    """Spinel framework of an operando cell: the contour and the cell found in it."""
    ds = wb.open(folder / "xrd" / "operando_LCoV")
    parts = [(35.2, 36.8), (37.7, 39.3), (41.5, 43.0), (44.4, 45.6), (48.6, 50.2), (64.4, 66.0)]
    cut = wb.correct(ds, "mask", ranges=parts)
    cut = cut.isel(two_theta=(cut["two_theta"] > 34) & (cut["two_theta"] < 70))
    told = {"intensities": "free", "shift": "none", "fwhm": 0.25, "weakest": 0.02}
    fit = wb.fit(cut, wb.propose(cut, ["LiMn2O4"], settings=told))
    cells = xrd.cells(fit).sel(species="LiMn2O4")
    scan = ds["scan"].values
    image = np.sqrt(np.maximum(ds["intensity"].values.astype(float), 0.0))
    x = ds["two_theta"].values
    at = (x > 56) & (x < 64.9)
    ax.pcolormesh(x[at], scan, image[:, at], shading="nearest", rasterized=True,
                  vmax=float(np.percentile(image[:, at], 99.5)))  # fmt: skip
    ax.set(xlabel="2theta / deg", ylabel="scan", title="operando spinel: 511 and 440")
    below.errorbar(scan, cells["a"], cells["a_stderr"], fmt=".-", ms=4, lw=0.7)
    known = [(1, 8.268), (47, 8.179), (100, 8.271)]
    below.plot(*np.array(known).T, "o", mfc="none", color="C3", label="known")
    below.set(xlabel="scan", ylabel="a / angstrom", title="its cell, out and back")
    below.legend(frameon=False)


def main(folder: Path) -> None:
    """Write the picture beside this file."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 7.5), layout="constrained")
    wire(axes[0, 0], folder)
    mixture(axes[0, 1], folder)
    operando(axes[1, 0], axes[1, 1], folder)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

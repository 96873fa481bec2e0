"""Make ``raman.png``: a scale on standards, a published fit, carbon, and a map with limits.

Run from the project's folder: ``python docs/pictures/raman.py <folder of measurements>``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import workbench as wb
from spectra import Component, Components, Param
from spectra.techniques import raman
from workbench.carbon import carbon, carbon_bands
from workbench.curves import curves
from workbench.limits import detection

PLACES = (343, 686, 505, 303, 250, 385, 618, 652, 430)


def scale(ax, folder: Path) -> None:
    """Draw the error of a real scale, line by line, and the correction."""
    ds = wb.open(folder / "raman/renishaw/paracetamol.txt", technique="raman")
    done = wb.calibrate(ds, "standards", standard="paracetamol")
    report = raman.calibration_report(done)
    x = ds["raman_shift"].values
    by, error = done["raman_shift"].values - x, done["raman_shift_stderr"].values
    ax.fill_between(x, by - 1.96 * error, by + 1.96 * error, color="C0", alpha=0.25)
    ax.plot(x, by, color="C0", label="correction, 95 %")
    wanted = report["reference"] - report["found"]
    ax.errorbar(report["found"], wanted, report["error"], fmt=".", color="0.3", label="lines")
    ax.set(
        xlabel="Raman shift as read / cm$^{-1}$",
        ylabel="to be added / cm$^{-1}$",
        title="scale on 23 lines of paracetamol (ASTM E1840)",
    )
    ax.legend(frameon=False)


def published(ax, folder: Path) -> None:
    """Draw the nine-band fit of fitspy's example, reproduced."""
    ds = wb.open(folder / "raman/fitted_fitspy/spectrum_2_1.txt", technique="raman")
    ds = wb.correct(ds, "baseline", algorithm="points", points=[201.14, 954.85])
    ds = wb.select(wb.correct(ds, "mask", below_baseline=0.0), {"raman_shift": (200.0, 957.3)})
    comps = Components(
        Component(
            name=f"band{k}",
            shape="lorentzian",
            params={
                "area": Param(value=7000.0, min=0.0),
                "center": Param(value=at, min=at - 20.0, max=at + 20.0),
                "fwhm": Param(value=15.0, min=0.1, max=200.0),
            },
        )
        for k, at in enumerate(PLACES)
    )
    fit = wb.fit(ds, comps)
    drawn = curves(ds, fit)
    x = ds["raman_shift"].values
    ax.plot(x, drawn["data"], ".", color="0.5", ms=3, label="data")
    ax.plot(x, drawn["model"], color="C3", lw=1.2, label="fit")
    for k in range(len(PLACES)):
        ax.plot(x, drawn["background"] + drawn["part"][k], color="C0", lw=0.7)
    ax.set(
        xlabel="Raman shift / cm$^{-1}$",
        ylabel="intensity",
        title="published fit of nine bands, within 0.1 %",
        ylim=(100.0, 1000.0),
    )
    ax.legend(frameon=False)


def disordered(ax, folder: Path) -> None:
    """Draw D4, D, D3, G of a disordered carbon with the ratio and its error."""
    ds = wb.open(folder / "raman/carbon_dg/testDW38C_pos1.txt", technique="raman")
    ds = wb.select(ds, {"raman_shift": (900.0, 1900.0)})
    fit = wb.fit(ds, carbon_bands(ds))
    found = carbon(fit)
    drawn = curves(ds, fit)
    x = ds["raman_shift"].values
    ax.plot(x, drawn["data"], ".", color="0.6", ms=3)
    ax.plot(x, drawn["model"], color="C3")
    for name in ("D4", "D", "D3", "G"):
        part = drawn["background"] + drawn["part"].sel(component=name)
        ax.plot(x, part, lw=0.9, label=name)
    ratio, error = float(found["height_ratio"]), float(found["height_ratio_stderr"])
    ax.set(
        xlabel="Raman shift / cm$^{-1}$",
        ylabel="intensity",
        title=f"disordered carbon: I(D)/I(G) = {ratio:.2f} ± {error:.2f}",
    )
    ax.legend(frameon=False)


def detected(ax, figure) -> None:
    """Draw where a species is detected in a simulated map, and its limit."""
    ds = wb.simulate("raman", settings={"size": 40, "counts": 14.0, "patch_um": 12.0}, seed=4)
    comps = wb.propose(ds, ["Li6PS5Cl", "Li2S"])
    found = detection(ds, wb.fit(ds, comps, statistic="poisson")).sel(species="Li2S")
    shown = found["amount"].where(found["detected"] == 1)
    ax.set_facecolor("0.85")
    drawn = ax.pcolormesh(found["x"], found["y"], shown, shading="nearest")
    figure.colorbar(drawn, ax=ax, label="counts cm$^{-1}$")
    limit = float(found["limit"].median())
    share = float((found["detected"] == 1).mean())
    ax.set(
        xlabel="x / um",
        ylabel="y / um",
        title=f"Li2S in a simulated map: detected in {share:.0%}, limit {limit:.0f}",
        aspect="equal",
    )


def main(folder: Path) -> None:
    """Write the picture beside this file."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 7.4), layout="constrained")
    scale(axes[0, 0], folder)
    published(axes[0, 1], folder)
    disordered(axes[1, 0], folder)
    detected(axes[1, 1], figure)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=80)
    print("finite", bool(np.isfinite(axes[0, 0].dataLim.bounds).all()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

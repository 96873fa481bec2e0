"""Make ``xps.png``: two stored CasaXPS fits reproduced, platinum's asymmetry, an operando series.

Run from the project's folder: ``python docs/pictures/xps.py <folder of measurements>``.
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
from spectra.component import doublet
from spectra.techniques._xps_lines import shirley_steps
from spectra.techniques.xps import casaxps_model
from workbench.curves import curves


def drawn(ax, ds, fit, title: str) -> None:
    """Draw counts, fit and its lines on their background."""
    parts = curves(ds, fit)
    x = ds["binding_energy"].values
    seen = ds["valid"].values if "valid" in ds else np.ones(x.size, bool)
    ax.plot(x[seen], ds["intensity"].values[seen], ".", ms=3, color="0.4", label="counts")
    if "background" in ds:
        ground = ds["background"].values
        for y in parts["part"].values:
            ax.fill_between(x[seen], (y + ground)[seen], ground[seen], alpha=0.35)
    ax.plot(x[seen], parts["model"].values[seen], color="C3", lw=1, label="fit")
    if "background" in ds:
        ax.plot(x[seen], ground[seen], "--", color="0.4", lw=1)
    ax.invert_xaxis()
    ax.set(xlabel="binding energy / eV", title=title)
    ax.set_ylabel(ds["intensity"].attrs["units"])
    ax.legend(frameon=False)


def stored(ax, path: Path, region: str | None, method: str, title: str) -> None:
    """Draw a model that CasaXPS stored, fitted to the counts from its recipe."""
    ds = wb.open(path, region=region) if region else wb.open(path)
    ds = wb.correct(wb.calibrate(ds, method), "casaxps")
    ds = wb.correct(ds, "equal_errors")
    drawn(ax, ds, wb.fit(ds, casaxps_model(ds)), title)


def platinum(ax, folder: Path) -> None:
    """Draw Pt 4f with a Doniach-Sunjic doublet on its own Shirley step."""
    ds = wb.select(wb.open(folder / "xps/thermo/Pt4f.vms"), {"binding_energy": (66, 82)})
    metal = Component(
        name="Pt",
        shape="doniach_sunjic_gaussian",
        params={
            "area": Param(value=1e4, min=0.0),
            "center": Param(value=71.0, min=70.0, max=72.0),
            "fwhm_lorentzian": Param(value=0.4, min=0.05, max=1.5),
            "fwhm_gaussian": Param(value=0.8, min=0.1, max=2.0),
            "asymmetry": Param(value=0.1, min=0.0, max=0.35),
        },
        lines=doublet(3.33, 0.75),
    )
    level = Param(value=float(ds["intensity"].min()))
    params = {"c0": level, "c1": Param(value=0.0), "x0": Param(value=66.0, vary=False)}
    base = Component(name="baseline", shape="polynomial", role="background", params=params)
    comps = shirley_steps(Components([metal, base]), scale=Param(value=0.01, min=0.0, max=1.0))
    fit = wb.fit(ds, comps)
    skew = fit.sel(param="Pt.asymmetry")
    said = f"asymmetry {float(skew['value']):.3f}({1e3 * float(skew['stderr']):.0f})"
    drawn(ax, ds, fit, f"Pt 4f, {said}")


def operando(ax) -> None:
    """Draw shares of a simulated series with their errors, and the truth."""
    ds = wb.simulate("xps", settings={"region": "S 2p"}, seed=1)
    fit = wb.fit(ds, wb.propose(ds, species=["Li6PS5Cl", "Li2S"]), statistic="poisson")
    amounts = wb.quantify(fit)
    hours = ds["time"].values / 3600.0
    for name in amounts["species"].values:
        one = amounts.sel(species=name)
        ax.errorbar(hours, one["amount"], one["stderr"], fmt=".", ms=3, label=name)
        ax.plot(hours, ds["truth"].sel(species=name), color="k", lw=0.8)
    ax.set(xlabel="time / h", ylabel="share of formula units", title="operando, simulated")
    ax.legend(frameon=False)


def main(folder: Path) -> None:
    """Draw and save."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 7.5), layout="constrained")
    kratos = folder / "xps/vamas/kratos_ws2_mos2_casaxps.vms"
    stored(axes[0, 0], kratos, "Mo 3d (RW_Nb_MoS2)", "casaxps", "Mo 3d, ten LA lines of CasaXPS")
    iron = folder / "xps/casaxps_feo/FeO_analyzed.vms"
    stored(axes[0, 1], iron, None, "as_recorded", "Fe 2p of FeO, LF and SGL lines of CasaXPS")
    platinum(axes[1, 0], folder)
    operando(axes[1, 1])
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Make ``xps.png``: CasaXPS's fit of a real S 2p spectrum, and the operando series of the demo.

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
from spectra.techniques.xps import casaxps_model
from workbench.curves import curves


def main(folder: Path) -> None:
    """Write the picture beside this file."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    path = folder / "xps" / "vamas" / "kratos_ws2_mos2_casaxps.vms"
    ds = wb.open(path, region="S 2p (RW_WS2_MoS2_thicker)")
    ds = wb.correct(wb.calibrate(ds, "casaxps"), "casaxps")
    fit = wb.fit(ds, casaxps_model(ds))
    drawn = curves(ds, fit)
    inside = ds["valid"].values
    x = ds["binding_energy"].values[inside]
    left.plot(x, ds["intensity"].values[inside], ".", color="0.4", ms=4, label="counts")
    left.plot(x, drawn["model"].values[inside], color="C3", label="fit, CasaXPS's model")
    left.plot(x, ds["background"].values[inside], "--", color="0.5", label="Tougaard U2")
    left.invert_xaxis()
    left.set(xlabel="binding energy / eV", ylabel="counts", title="S 2p of MoS2 with WS2 (Kratos)")
    left.legend(frameon=False)
    series = wb.simulate("xps", settings={"region": "S 2p"}, seed=1)
    comps = wb.propose(series, species=["Li6PS5Cl", "Li2S"])
    amounts = wb.quantify(wb.fit(series, comps, statistic="poisson"))
    hours = amounts["time"].values / 3600.0
    for name in ("Li6PS5Cl", "Li2S"):
        one = amounts.sel(species=name)
        right.errorbar(hours, one["amount"], 1.96 * one["stderr"], fmt=".", ms=4, label=name)
        right.plot(hours, series["truth"].sel(species=name), color="0.3", lw=0.8)
    right.set(
        xlabel="time / h", ylabel="share of formula units", title="operando, simulated", ylim=(0, 1)
    )
    right.legend(frameon=False)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=90)
    print(
        "largest pull",
        float(np.abs((amounts["amount"] - series["truth"]) / amounts["stderr"]).max()),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Draw ``operando.png``: lithium metal by 7Li NMR beside voltage and resistance of its cell."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import workbench as wb


def main(data: Path, target: Path) -> None:
    """Read the measurements under ``data`` and write the picture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    spectra = wb.open(data / "nmr/operando_7Li_LiLi_TEGDME")
    spectra = wb.correct(spectra, "noise", between=(-250, -150))
    spectra = wb.correct(spectra, "standard", amount_per_area=0.06)
    spectra = wb.select(spectra, {"chemical_shift": (220, 310)})
    comps = wb.propose(spectra, ["Li"], settings={"positions": "each", "widths": "free"})
    comps = comps.drop("baseline").set("Li.mixing", value=1.0)
    comps = comps.set("Li_microstructured.mixing", value=1.0)
    fit = wb.fit(spectra, comps)
    folder = data / "echem/operando_LiLi_TEGDME"
    tables = [wb.open(folder / f"LiLi_TEGDME_{name}") for name in
              ("01_GCPL_C05.mpr", "03_GCPL_C05.txt")]  # fmt: skip
    cell = wb.align(
        wb.quantify(fit), *tables, names=["nmr", "a", "b"], zone="Europe/London", area_cm2=0.4
    )
    fine = wb.align(*tables, grid=np.arange(0.0, 130e3, 60.0), area_cm2=0.4)
    eis = wb.open(folder / "LiLi_TEGDME_02_GEIS_C05.mpr")
    low = eis.isel(point=np.isclose(eis.frequency.values, 0.8, rtol=0.01))
    own = wb.align(*tables, grid=low.time.values, area_cm2=0.4)["charge"]

    figure, axes = plt.subplots(3, 1, figsize=(7.5, 7), sharex=True, layout="constrained")
    charge = cell["charge"].values
    for name, label in (("Li", "flat"), ("Li_microstructured", "microstructured")):
        area = fit["value"].sel(param=f"{name}.area").values * 1e-6
        error = fit["stderr"].sel(param=f"{name}.area").values * 1e-6
        axes[0].errorbar(charge, area, error, fmt="o", ms=3, lw=0.8, label=label)
    total = sum(fit["value"].sel(param=f"{n}.area").values for n in ("Li", "Li_microstructured"))
    axes[0].plot(charge, total * 1e-6, "k-", lw=0.8, label="sum")
    axes[0].set_ylabel("$^7$Li metal area / 10$^6$")
    axes[0].legend(fontsize=8)
    axes[1].plot(fine["charge"], fine["voltage"] * 1e3, "k-", lw=0.5)
    axes[1].set_ylabel("Voltage / mV")
    axes[1].set_ylim(0, 200)
    axes[2].plot(own, low.impedance_re, "s-", ms=3, lw=0.8, color="#D55E00")
    axes[2].set_ylabel("Re Z at 0.8 Hz / ohm")
    axes[2].set_xlabel("Charge passed / mAh cm$^{-2}$")
    axes[2].set_xlim(0, 36)
    for axis in axes:
        axis.axvspan(23.4, 24.2, color="0.85", zorder=0)
    figure.savefig(target, dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).with_name("operando.png"))

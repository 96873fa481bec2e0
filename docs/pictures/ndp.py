"""Make ``ndp.png``: counts and their fit, profiles with bands, a growing film, the resolution.

Run from the project's folder: ``python docs/pictures/ndp.py <folder of measurements>``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import workbench as wb
from spectra.techniques.ndp import sensitivity_of
from workbench.curves import curves

DETECTOR = {"fwhm_keV": 18.0, "dead_ug_cm2": 11.65, "cos_min": 0.985}
DENSITY = {"LiF": 2.635, "Kapton": 1.42, "Al": 2.699, "Cu": 8.96}
PURE = 1e3 / 25.9378  # nmol of lithium in one ug of LiF


def opened(folder: Path, name: str, low: float, live: float | None = None) -> xr.Dataset:
    """Open a file of the set with its scale and sensitivity."""
    ds = wb.open(folder / "ndp" / name)
    if live:
        ds.attrs["live_time_s"] = live
    ds = wb.calibrate(ds, "known", slope_keV=0.7144, offset_keV=-12.45,
                      counts_per_nmol_s=sensitivity_of(40 / 3600))  # fmt: skip
    return wb.select(ds, {"particle_energy": (low, 2900.0)})


def stack(*layers: tuple[str, float]) -> list[dict[str, object]]:
    """Return layers of given thickness (um) from the detector inwards; LiF holds lithium."""
    return [
        {"name": f"layer{i}", "formula": {"Kapton": "C22H10N2O5"}.get(name, name),
         "density_g_cm3": DENSITY[name], "thickness_nm": 1000.0 * um,
         "species": "LiF" if name == "LiF" else None}
        for i, (name, um) in enumerate(layers)
    ]  # fmt: skip


def spectrum(ax: plt.Axes, folder: Path) -> None:
    """Draw two films and what lies between, fitted as layers."""
    ds = opened(folder, "ndp_syn_bilayer_LiF500_Al1000_LiF800.spe", 900.0)
    told = {"layers": stack(("LiF", 0.5), ("Al", 1.0), ("LiF", 0.8)), "detector": DETECTOR,
            "ions": "both"}  # fmt: skip
    fit = wb.fit(ds, wb.propose(ds, ["LiF"], settings=told), statistic="poisson")
    drawn = curves(ds, fit)
    x = ds["particle_energy"].values
    ax.plot(x, ds["intensity"].values, ".", ms=1.5, color="0.6", label="counts")
    ax.plot(x, drawn["model"].values, color="C3", lw=1.0, label="layers, fitted")
    ax.set(xlabel="energy / keV", ylabel="counts",
           title="LiF | Al | LiF: alphas left, tritons right")  # fmt: skip
    ax.legend(frameon=False)
    total = float(wb.quantify(fit)["amount"].sum("species"))
    print("bilayer by layers: nmol/cm2", total, "redchi", float(fit["redchi"]))


def gradient(ax: plt.Axes, folder: Path) -> None:
    """Draw the gradient, its band, and the naive conversion."""
    ds = opened(folder, "ndp_syn_LiF_3000nm_gradient.spe", 500.0)
    film = stack(("LiF", 3.0))
    found = wb.depth_profile(ds, film, DETECTOR)
    naive = wb.depth_profile(ds, film, DETECTOR, method="naive")
    um = found["depth_nm"].values / 1000
    ax.fill_between(um, found["low"] / PURE, found["high"] / PURE, alpha=0.3, label="95 % band")
    ax.plot(um, found["lithium"] / PURE, label="profile")
    ax.plot(um, naive["lithium"] / PURE, ".", ms=3, color="0.5", label="channel by channel")
    ax.plot(um, 1 - 0.7 * um / 3.0, "k--", lw=0.8, label="truth")
    ax.set(xlabel="depth / um", ylabel="lithium over that of LiF", title="3 um LiF with a gradient",
           ylim=(0, 1.15))  # fmt: skip
    ax.legend(frameon=False)
    rms = np.sqrt(np.mean((found["lithium"].values / PURE - (1 - 0.7 * um / 3.0)) ** 2))
    held = (found["low"] / PURE <= 1 - 0.7 * um / 3) & (found["high"] / PURE >= 1 - 0.7 * um / 3)
    print("gradient: rms", rms, "in the band", float(held.mean()))


def kernels(ax: plt.Axes, folder: Path) -> None:
    """Draw what one cell answers to lithium elsewhere."""
    ds = opened(folder, "ndp_syn_bilayer_LiF500_Al1000_LiF800.spe", 300.0)
    found = wb.depth_profile(ds, stack(("LiF", 0.5), ("Al", 1.0), ("LiF", 0.8)), DETECTOR)
    um = found["depth_nm"].values / 1000
    ax.fill_between(um, found["low"] / PURE, found["high"] / PURE, alpha=0.3, step="mid")
    ax.step(um, found["lithium"] / PURE, where="mid", label="profile, 95 % band")
    for at in (0.25, 1.8):
        k = int(np.argmin(np.abs(um - at)))
        kernel = found["kernel"].values[k] * found["cell"].values
        ax.plot(um, kernel / kernel.max(), color="C1", lw=1.0)
    ax.plot([], [], color="C1", label="averaging kernels at 0.25 and 1.8 um")
    ax.set(xlabel="depth / um", ylabel="lithium over that of LiF", ylim=(0, 1.45),
           title="LiF | Al | LiF: the gap is found, not told")  # fmt: skip
    ax.legend(frameon=False, loc="upper center")
    print("bilayer profile: total nmol/cm2", float(found["total"]))


def growing(ax: plt.Axes, folder: Path) -> None:
    """Draw lithium of a film that grows under a window, against what is there."""
    ds = opened(folder, "ndp_syn_timeseries_Kapton7p5_Cu2_LiF.csv", 1900.0, 3600.0)
    layers = stack(("Kapton", 7.5), ("Cu", 2.0), ("LiF", 3.0))
    found = wb.depth_profile(ds, layers, DETECTOR, ions="tritons", shift_keV="fit")
    um = np.array([0.05, 0.15, 0.3, 0.5, 0.75, 1.0, 1.3, 1.6, 1.9, 2.2, 2.5, 2.8])
    truth = um * 263.5 * PURE
    ug = found["total_ug"].values
    error = 1.96 * found["total_stderr"].values * ug / found["total"].values
    ax.errorbar(truth * 6.94e-3, ug, error, fmt="o", ms=4, label="found")
    ax.plot(truth * 6.94e-3, truth * 6.94e-3, "k--", lw=0.8, label="truth")
    per = 3.8616e-3  # mAh of one ug of lithium
    other = ax.secondary_yaxis("right", functions=(lambda v: v * per, lambda v: v / per))
    other.set_ylabel("mAh cm$^{-2}$")
    ax.set(xlabel="lithium in the film / ug cm$^{-2}$", ylabel="lithium found / ug cm$^{-2}$",
           title="film growing under 7.5 um Kapton and 2 um Cu")  # fmt: skip
    ax.legend(frameon=False)
    print("growing: found over truth", np.round(found["total"].values / truth, 4))


def main(folder: Path) -> None:
    """Write the picture beside this file."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 7.5), layout="constrained")
    spectrum(axes[0, 0], folder)
    gradient(axes[0, 1], folder)
    kernels(axes[1, 0], folder)
    growing(axes[1, 1], folder)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

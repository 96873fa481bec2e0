"""Draw ``nmr.png``: three real fits, from the shared measurements alone."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

import workbench as wb
from spectra.component import Component, Components, Param
from workbench.nmr_models import Site, fit_sites


def main(data: Path, target: Path) -> None:
    """Read the measurements under ``data`` and write the picture."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    _lithium(axes[0], data)
    _phosphate(axes[1], data)
    _alumina(axes[2], data)
    figure.savefig(target, dpi=110)


def _lithium(axis, data: Path) -> None:  # type: ignore[no-untyped-def]
    ds = wb.open(data / "nmr/operando_7Li_LiLi_TEGDME").sel(chemical_shift=slice(220, 310))
    wide, mixed = Param(value=7, min=0.1, max=20), Param(value=0.7, min=0.0, max=1.0)
    comps = Components(
        [
            Component(
                name=name,
                shape="pseudo_voigt",
                params={
                    "area": Param(value=area, min=0),
                    "center": Param(value=at, min=low, max=high),
                    "fwhm": wide,
                    "mixing": mixed,
                },
            )
            for name, at, low, high, area in (
                ("flat", 248.0, 244.0, 252.5, 8e6),
                ("microstructured", 265.0, 257.0, 277.0, 2e6),
            )
        ]
    )
    fit = wb.fit(ds, comps)
    hours = ds["time"].values / 3600
    for name in ("flat", "microstructured"):
        area = fit["value"].sel(param=f"{name}.area").values
        axis.plot(hours, area / area[0] if name == "flat" else area / 8e6, ".-", label=name)
    axis.set(xlabel="time, h", ylabel="area (relative)", title="7Li metal, operando")
    axis.legend()


def _phosphate(axis, data: Path) -> None:  # type: ignore[no-untyped-def]
    ds = wb.open(data / "nmr/dmfit/31P_phosphate_MAS_6kHz.fxmla")
    names = {"shift": 7.5, "zeta": 85.0, "eta": 0.4, "lorentz": 200.0, "gauss": 100.0}
    site = Site(name="P", kind="csa", params={k: Param(value=v) for k, v in names.items()})
    fit = fit_sites(ds, [site], spinning_Hz=Param(value=6012.0, min=5900, max=6100))
    _curves(axis, fit.curves[0], "31P phosphate, 6 kHz: shielding anisotropy", (-150, 160))


def _alumina(axis, data: Path) -> None:  # type: ignore[no-untyped-def]
    ds = wb.open(data / "nmr/bruker_27Al_MAS_Al2O3_T2_pseudo2D/2")
    ds = wb.correct(ds, "delays", start_s=0.5e-3, step_s=0.5e-3)
    ds = wb.correct(wb.correct(ds, "fourier", points=2048), "phase")
    sites = [
        Site(
            name=name,
            kind="czjzek",
            params={
                "shift": Param(value=at),
                "sigma": Param(value=w),
                "gauss": Param(value=1700.0),
            },
        )
        for name, at, w in (("IV", 75, 5.5), ("V", 43, 4.7), ("VI", 12, 2.9))
    ]
    fit = fit_sites(
        ds.isel(evolution_time=slice(0, 1)), sites, spinning_Hz=20e3, between=(-100, 150)
    )
    _curves(axis, fit.curves[0].isel(evolution_time=0), "27Al alumina: Czjzek sites", (-60, 130))


def _curves(axis, curve, title: str, limits: tuple[float, float]) -> None:  # type: ignore[no-untyped-def]
    x, data = curve["chemical_shift"].values, curve["data"].values
    shown = (x > limits[0]) & (x < limits[1])
    rest = data - curve["model"].values
    axis.plot(x[shown], data[shown], lw=0.8, color="0.4", label="data")
    axis.plot(x[shown], curve["model"].values[shown], lw=0.9, label="fit")
    for single in curve["site_curve"].values:
        axis.fill_between(x[shown], single[shown], alpha=0.25)
    axis.plot(x[shown], rest[shown] - 0.12 * np.ptp(data), lw=0.6, color="C3", label="residual")
    axis.set(xlabel="chemical shift, ppm", yticks=[], title=title, xlim=limits[::-1])
    axis.legend()


if __name__ == "__main__":
    import sys

    main(Path(sys.argv[1]), Path(__file__).with_name("nmr.png"))

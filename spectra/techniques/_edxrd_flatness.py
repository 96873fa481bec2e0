"""Whether a calibration holds: 2theta of a standard's reflections against their energy.

The angle cannot depend on the energy. A slope is an error of the scale, a bend a missing term of
it, the scatter the honest uncertainty.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..convention import where
from ..errors import CalibrationError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def flatness(ds: xr.Dataset) -> xr.Dataset:
    """Return the report of a calibration: every line with its residual and error.

    Parameters
    ----------
    ds : xr.Dataset
        Calibrated with ``joint``, ``standard`` or ``sources``.

    Returns
    -------
    xr.Dataset
        Along ``reflection`` (labels "h k l"): ``energy`` (keV), ``two_theta`` and
        ``two_theta_stderr`` (deg), ``residual`` (against the angle found, deg) and ``used``. Along
        ``line``: ``line_energy``, ``line_residual`` and ``line_residual_stderr`` (keV) of lines of
        known energy, ``line_used``. Attrs: ``two_theta_deg``, its error, slope and scatter, and
        ``reduced_chi2`` of the reflections about one angle.

    Raises
    ------
    CalibrationError
        If the spectrum holds no such lines.
    """
    angles = json.loads(str(ds.attrs.get("two_theta_lines", "[]")))
    lines = json.loads(str(ds.attrs.get("energy_lines", "[]")))
    if not angles and not lines:
        raise CalibrationError(
            f"{where(ds)}: no lines of a calibration; calibrate(ds, 'joint', standard=...) first"
        )

    def column(rows: list[dict[str, Any]], key: str) -> np.ndarray:
        return np.array([float(r.get(key, np.nan)) for r in rows])

    middle = float(ds.attrs.get("two_theta_deg", np.nan))
    value, error = column(angles, "two_theta"), column(angles, "stderr")
    used = np.array([bool(r["used"]) for r in angles], bool)
    out = xr.Dataset(
        {
            "energy": ("reflection", column(angles, "energy"), {"units": "keV"}),
            "two_theta": ("reflection", value, {"units": "deg"}),
            "two_theta_stderr": ("reflection", error, {"units": "deg"}),
            "residual": ("reflection", value - middle, {"units": "deg"}),
            "used": ("reflection", used),
            "line_energy": ("line", column(lines, "energy"), {"units": "keV"}),
            "line_residual": ("line", column(lines, "residual"), {"units": "keV"}),
            "line_residual_stderr": ("line", column(lines, "residual_stderr"), {"units": "keV"}),
            "line_used": ("line", np.array([bool(r.get("used", True)) for r in lines], bool)),
        },
        coords={
            "reflection": np.array([" ".join(map(str, r["hkl"])) for r in angles], dtype=str),
            "line": np.array([str(r.get("label", "")) for r in lines], dtype=str),
        },
    )
    for key in ("two_theta_deg", "two_theta_stderr", "two_theta_slope", "two_theta_slope_stderr",
                "two_theta_scatter", "calibration"):  # fmt: skip
        if key in ds.attrs:
            out.attrs[key] = ds.attrs[key]
    if used.sum() > 1:
        pull = (value - middle)[used] / np.maximum(error[used], 1e-12)
        out.attrs["reduced_chi2"] = float(np.sum(pull**2) / (used.sum() - 1))
    return out


def plot_flatness(ds: xr.Dataset) -> Figure:
    """Draw 2theta against energy, and the residuals of the lines of known energy.

    Parameters
    ----------
    ds : xr.Dataset
        A calibrated spectrum, or what `flatness` returned.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    report = ds if "line_residual" in ds else flatness(ds)
    rows = (report.sizes["reflection"] > 0) + (report.sizes["line"] > 0)
    figure = Figure(figsize=(7.0, 3.2 * rows), layout="constrained")
    axes = list(figure.subplots(rows, 1, squeeze=False)[:, 0])
    if report.sizes["reflection"]:
        axis = axes.pop(0)
        used = report["used"].values
        for keep, style, label in ((used, "o", "used"), (~used, "x", "left out")):
            if keep.any():
                axis.errorbar(
                    report["energy"].values[keep],
                    report["two_theta"].values[keep],
                    report["two_theta_stderr"].values[keep],
                    fmt=style,
                    label=label,
                )
        for name, x, y in zip(
            report["reflection"].values,
            report["energy"].values,
            report["two_theta"].values,
            strict=True,
        ):
            axis.annotate(name, (x, y), fontsize=7, xytext=(2, 4), textcoords="offset points")
        middle = report.attrs.get("two_theta_deg")
        if middle is not None:
            error = report.attrs.get("two_theta_stderr", 0.0)
            axis.axhline(middle, color="black", linewidth=0.8)
            axis.axhspan(middle - error, middle + error, color="black", alpha=0.1)
            axis.set_title(
                f"2$\\theta$ = {middle:.4f} $\\pm$ {error:.4f} deg, slope "
                f"{report.attrs.get('two_theta_slope', float('nan')):.1e} deg/keV"
            )
        axis.set_xlabel("Photon energy / keV")
        axis.set_ylabel("2$\\theta$ / deg")
        axis.legend()
    if report.sizes["line"]:
        axis = axes.pop(0)
        axis.errorbar(
            report["line_energy"].values,
            1e3 * report["line_residual"].values,
            1e3 * np.nan_to_num(report["line_residual_stderr"].values),
            fmt="o",
        )
        axis.axhline(0.0, color="black", linewidth=0.8)
        axis.set_xlabel("Energy of the line / keV")
        axis.set_ylabel("Found minus known / eV")
    return figure


def scale_of(ds: xr.Dataset) -> dict[str, Any]:
    """Return a calibration as the settings of ``known``, to use it on other measurements.

    ``wb.calibrate(other, "known", **scale_of(calibrated))`` carries scale, angle, widths and the
    covariance on.

    Parameters
    ----------
    ds : xr.Dataset
        A calibrated spectrum, or detector whose elements were calibrated one by one.

    Returns
    -------
    dict

    Raises
    ------
    CalibrationError
        If it is not calibrated.
    """
    from ._edxrd_covariance import Covariance

    if not ds.attrs.get("energy_calibration"):
        raise CalibrationError(f"{where(ds)}: not calibrated; calibrate(ds, 'joint', ...) first")
    found: dict[str, Any] = {
        key: float(ds.attrs[key])
        for key in ("two_theta_deg", "noise_keV", "fano", "divergence")
        if key in ds.attrs
    }
    if "detector_crystal" in ds.attrs:
        found["crystal"] = str(ds.attrs["detector_crystal"])
    records = ds.attrs.get("element_calibrations")
    if records and "detector" in ds.dims:
        rows = json.loads(str(records))
        if any(r is None for r in rows):
            raise CalibrationError(
                f"{where(ds)}: {sum(r is None for r in rows)} elements are not calibrated; leave "
                "them out with isel(detector=...) in both measurements"
            )
        found["elements"] = tuple(tuple(float(r[f"c{i}_keV"]) for i in range(3)) for r in rows)
        return found
    found.update({f"c{i}": float(ds.attrs[f"c{i}_keV"]) for i in range(3)})
    covariance = Covariance.of(ds.attrs)
    if covariance is not None:
        matrix = covariance.part(("c0", "c1", "c2", "two_theta"))
        found["covariance"] = tuple(tuple(map(float, row)) for row in matrix)
    return found

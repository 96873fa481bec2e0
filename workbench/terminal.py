"""What the command line prints: tables, plain data and the progress of results."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr


def print_json(data: Any) -> None:
    """Print plain data as JSON."""
    print(json.dumps(data, indent=1, ensure_ascii=False, default=str))


def print_table(rows: Sequence[Sequence[str]], head: Sequence[str]) -> None:
    """Print rows under a head, columns aligned."""
    widths = [max(len(str(r[i])) for r in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(str(c).ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


def describe(ds: xr.Dataset) -> dict[str, Any]:
    """Describe a Spectrum or channels as plain data."""
    about: dict[str, Any] = {
        "technique": ds.attrs.get("technique"),
        "dims": {str(k): int(v) for k, v in ds.sizes.items()},
        "variables": [str(v) for v in ds.data_vars],
    }
    if "intensity" in ds:
        axis = str(ds["intensity"].dims[-1])
        x = ds[axis].values
        about["dims"] = {str(d): ds.sizes[d] for d in ds["intensity"].dims}
        about["axis"] = axis
        about["axis_units"] = ds[axis].attrs["units"]
        about["axis_range"] = [float(x[0]), float(x[-1])]
        about["range"] = f"{axis} {x[0]:.6g} to {x[-1]:.6g} {ds[axis].attrs['units']}"
        if axis == "photon_energy" and not ds.attrs.get("calibration"):
            about["range"] += " (the file's scale, not calibrated)"
        about["units"] = ds["intensity"].attrs["units"]
        about["calibration"] = ds.attrs.get("calibration")
    about["attrs"] = {
        k: v
        for k, v in ds.attrs.items()
        if k not in ("history", "source", "convention") and isinstance(v, (str, int, float))
    }
    return about


def amounts_json(amounts: xr.Dataset) -> dict[str, Any]:
    """Return amounts as plain data."""
    return {
        "species": [str(s) for s in amounts["species"].values],
        "dims": list(amounts["amount"].dims),
        "units": amounts["amount"].attrs["units"],
        "amount": amounts["amount"].values.tolist(),
        "stderr": amounts["stderr"].values.tolist(),
        "flag": amounts["flag"].values.tolist(),
        "flag_meanings": str(amounts["flag"].attrs["flag_meanings"]).split(),
    }


_FAILED = ("no_data", "too_few_points", "not_converged", "undetermined")


def print_result(fit: xr.Dataset, amounts: xr.Dataset | None) -> None:
    """Print amounts by species, or the parameters of one spectrum without species."""
    if amounts is None:
        if fit["status"].ndim == 0:
            rows = [
                [str(p), f"{float(v):.6g}", f"{float(e):.2g}"]
                for p, v, e in zip(fit["param"].values, fit["value"], fit["stderr"], strict=True)
            ]
            print_table(rows, ["parameter", "value", "1 sigma"])
            return
        # what all components share (strains, shifts, widths) over the series
        common = [k for k, p in enumerate(fit["param"].values) if "." not in str(p)]
        rows = []
        for k in common:
            value = fit["value"].values[..., k].ravel()
            error = fit["stderr"].values[..., k].ravel()
            good = np.isfinite(value)
            if good.any():
                sigma = np.median(error[good & np.isfinite(error)]) if (error > 0).any() else 0.0
                rows.append([str(fit["param"].values[k]), f"{value[good].min():.6g}",
                             f"{value[good].max():.6g}", f"{sigma:.2g}"])  # fmt: skip
        if rows:
            print_table(rows, ["parameter", "least", "largest", "1 sigma"])
        return
    outer = [d for d in amounts["amount"].dims if d != "species"]
    units = amounts["amount"].attrs["units"]
    names = str(amounts["flag"].attrs["flag_meanings"]).split()
    states = str(fit["status"].attrs["flag_meanings"]).split()
    codes = [
        v for v, n in zip(fit["status"].attrs["flag_values"], states, strict=True) if n in _FAILED
    ]
    failed = np.isin(fit["status"].values.ravel(), codes)
    rows = []
    for name in amounts["species"].values:
        one = amounts.sel(species=name)
        flags = one["flag"].values.ravel()
        if outer:
            # Those below the limit belong into a mean, those that gave no number do not.
            good = ~failed
            mean = float(np.mean(one["amount"].values.ravel()[good])) if good.any() else np.nan
            sigma = float(np.median(one["stderr"].values.ravel()[good])) if good.any() else np.nan
            text = f"{int(np.sum(flags != 0))} of {flags.size} flagged"
            if not good.all():
                text += f", mean of {int(good.sum())}"
        else:
            mean, sigma = float(one["amount"]), float(one["stderr"])
            text = names[int(flags[0])]
        rows.append([str(name), f"{mean:.4g}", f"{sigma:.2g}", units, text])
    which = "mean" if outer else "amount"
    print_table(rows, ["species", which, "1 sigma", "units", "flag"])
    if fit.attrs["convention"] == "depth-1":
        from .report import depth_rows

        print()
        print_table(depth_rows(fit), ["lithium", "least", "largest", "1 sigma"])
        print(f"{fit.attrs['method']}: {fit.attrs['note']}")


def print_calibration(ds: xr.Dataset) -> None:
    """Print the lines an EDXRD calibration rests on, and the step that gives it to other files."""
    if ds.attrs["technique"] != "edxrd" or "photon_energy" not in ds.dims:
        return
    from spectra.errors import CalibrationError
    from spectra.techniques import edxrd

    rows = [
        [
            " ".join(map(str, r["hkl"])) if "hkl" in r else str(r.get("label", "")),
            f"{r['energy']:.4f}",
            f"{1e3 * r['residual']:.1f}",
            f"{1e3 * r['residual_stderr']:.1f}" if "residual_stderr" in r else "",
            "" if r.get("used", True) else "left out",
        ]
        for key in ("energy_lines", "two_theta_lines")
        for r in json.loads(str(ds.attrs.get(key, "[]")))
    ]
    if rows:
        print_table(rows, ["line", "keV", "residual eV", "1 sigma", ""])
    try:
        scale = edxrd.scale_of(ds)
    except CalibrationError:
        return
    step = json.dumps({"method": "known", **{k: v for k, v in scale.items() if v is not None}})
    print(f"for other files of this detector:\ncalibrate: {step}")


def tell_misfit(fit: xr.Dataset, limit: float = 5.0) -> None:
    """Say on stderr where the model does not explain the data: there the errors are too small.

    Parameters
    ----------
    fit : xr.Dataset
        A FitResult. Where its errors were scaled with the residual nothing is said.
    limit : float
        Reduced chi-square above which a spectrum counts; systematic differences of line shapes in
        spectra of many counts stay below.
    """
    if fit.attrs.get("scale_covar") == "true" or "redchi" not in fit:
        return
    values = np.atleast_1d(fit["redchi"].values)
    bad = values > limit
    if not bad.any():
        return
    which = "" if values.size == 1 else f" in {int(bad.sum())} of {values.size} spectra (median)"
    print(
        f"misfit: reduced chi-square {float(np.median(values[bad])):.3g}{which}: the model does "
        "not explain the data and the errors above are too small; look at the residual "
        "('interphase report'), try other species ('interphase identify')",
        file=sys.stderr,
    )


def list_flagged(fit: xr.Dataset, most: int = 10) -> None:
    """List on stderr which spectra are flagged and how."""
    names = str(fit["status"].attrs["flag_meanings"]).split()
    values = list(fit["status"].attrs["flag_values"])
    status = fit["status"].values
    bad = np.argwhere(np.atleast_1d(status) != values[names.index("ok")])
    for at in bad[:most]:
        place = ", ".join(
            f"{d} = {float(fit[d].values[i]):g}"
            for d, i in zip(fit["status"].dims, at, strict=False)
        )
        code = np.atleast_1d(status)[tuple(at)]
        print(f"flagged: {place or 'the spectrum'}: {names[values.index(code)]}", file=sys.stderr)
    if len(bad) > most:
        print(f"flagged: {len(bad) - most} more", file=sys.stderr)


class Progress:
    """A progress bar on stderr; silent when that is not a terminal."""

    def __init__(self, unit: str = "file") -> None:
        self.unit = unit

    def __enter__(self) -> Callable[[str, int, int], None]:
        from tqdm import tqdm

        self.bar = tqdm(total=None, disable=not sys.stderr.isatty(), leave=False, unit=self.unit)

        def tell(what: str, done: int, total: int) -> None:
            self.bar.total = total
            self.bar.set_description(what)
            self.bar.update(done - self.bar.n)

        return tell

    def __exit__(self, *_: object) -> None:
        self.bar.close()

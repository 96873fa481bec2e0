"""Energy scale, sensitivity and beam of NDP: reference lines, a reference film, a monitor."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field, model_validator

from ..convention import AXES, outer_dims, where
from ..errors import CalibrationError
from ._ndp_response import Detector
from ._ndp_stopping import ALPHA, TRITON, Ion, loss
from .base import Settings

Array = npt.NDArray[np.float64]

LINES: dict[str, Ion] = {
    "triton": TRITON,
    "alpha": ALPHA,
    "boron_alpha": Ion("alpha", 4.00151, 2, 1472.35),
    "boron_alpha_ground": Ion("alpha", 4.00151, 2, 1776.0),
    "boron_lithium": Ion("lithium", 7.01436, 3, 840.0),
    "boron_lithium_ground": Ion("lithium", 7.01436, 3, 1013.0),
}
"""6Li(n,t)4He, and 10B(n,a)7Li to the excited (94 %) and to the ground state of 7Li."""

Line = Literal[
    "triton",
    "alpha",
    "boron_alpha",
    "boron_alpha_ground",
    "boron_lithium",
    "boron_lithium_ground",
]


class Lines(Settings):
    """Find the energy scale from reference lines, and the sensitivity from a known thin film."""

    peaks: dict[Line, float] = Field(
        description="line to the channel where it is seen, roughly; two lines at least"
    )
    window: float = Field(60.0, ge=5.0, description="half width of the fit, channels")
    film: str | None = Field(None, description="composition of the reference film")
    film_ug_cm2: float = Field(0.0, ge=0, description="its areal density, ug/cm2")
    detector: Detector = Field(Detector(), description="dead layer and cone")
    reference_nmol_cm2: float | None = Field(
        None, gt=0, description="its lithium (all isotopes), nmol/cm2: gives the sensitivity"
    )

    @model_validator(mode="after")
    def _enough(self) -> Lines:
        if len(self.peaks) < 2:
            raise ValueError("two lines are the least that give slope and offset")
        if self.reference_nmol_cm2 is not None and not {"triton", "alpha"} & set(self.peaks):
            raise ValueError("the sensitivity needs the triton or the alpha line among peaks")
        return self


def lines(ds: xr.Dataset, settings: Lines) -> xr.Dataset:
    """Fit the lines of the summed series and put channels on particle energy.

    Each line is a Gaussian on a constant. Its energy is that of birth less the loss in half the
    film and in the dead layer of the detector, along the mean path of the cone. Slope and offset
    are weighted least squares; their standard errors and the worst residual stand in attrs.
    """
    if "channel" not in ds["intensity"].dims:
        raise CalibrationError(f"{where(ds)}: the axis is an energy already")
    x = ds["channel"].values.astype(float)
    y = np.nansum(ds["intensity"].values.reshape(-1, x.size).astype(float), axis=0)
    found = {name: _peak(ds, x, y, name, at, settings) for name, at in settings.peaks.items()}
    energy = np.array([_arriving(LINES[name], settings) for name in found])
    place = np.array([f[0] for f in found.values()])
    error = np.array([f[1] for f in found.values()])
    if np.ptp(place) < 5.0:
        raise CalibrationError(
            f"{where(ds)}: the lines fall on one peak (channels {place.min():.1f} to "
            f"{place.max():.1f}); give the channel of each"
        )
    # Errors of the places become errors of energy through the slope.
    slope = float(np.polyfit(place, energy, 1)[0])
    design = np.stack([np.ones(place.size), place], axis=1) / (slope * error)[:, None]
    covariance = np.linalg.inv(design.T @ design)
    offset, slope = covariance @ design.T @ (energy / (slope * error))
    if slope <= 0:
        raise CalibrationError(
            f"{where(ds)}: energy falls with channel ({slope:g} keV per channel); check peaks"
        )
    residual = energy - offset - slope * place
    out = ds.rename(channel="particle_energy").assign_coords(
        particle_energy=(
            "particle_energy",
            offset + slope * x,
            {"units": AXES["particle_energy"]},
        )
    )
    spread = np.sqrt(np.diag(covariance))
    out.attrs["calibration"] = (
        f"{slope:.6g} +- {spread[1]:.2g} keV per channel from {offset:.6g} +- {spread[0]:.2g} keV; "
        f"lines {', '.join(found)}; largest residual {np.abs(residual).max():.2g} keV"
    )
    if not settings.detector.dead_ug_cm2 and {"triton", "alpha"} <= set(found):
        # 50 nm of silicon bend a scale from one triton and one alpha line by 1.4 %
        out.attrs["calibration"] += (
            "; no dead layer of the detector told (50 nm of silicon take 12 keV from alphas, "
            "2 from tritons): give detector.dead_ug_cm2"
        )
    out.attrs["channel_keV"] = float(slope)
    if settings.reference_nmol_cm2 is not None:
        live = ds["live_time"].values if "live_time" in ds else ds.attrs.get("live_time_s")
        if live is None or not np.all(np.asarray(live) > 0):
            raise CalibrationError(f"{where(ds)}: no live time; set attrs['live_time_s']")
        spectra = int(np.prod([ds.sizes[d] for d in outer_dims(ds)], dtype=int))
        seconds = float(np.sum(live)) if np.size(live) == spectra > 1 else (
            float(np.mean(live)) * spectra)  # fmt: skip
        counted = [found[name][2] for name in ("triton", "alpha") if name in found]
        out.attrs["counts_per_nmol_s"] = float(np.mean(counted)) / (
            seconds * settings.reference_nmol_cm2
        )
    return out


def _arriving(ion: Ion, settings: Lines) -> float:
    energy = np.array([ion.birth_keV])
    factor = settings.detector.path_factor
    if settings.film and settings.film_ug_cm2:
        energy = loss(settings.film, ion).after(energy, 0.5 * settings.film_ug_cm2 * factor)
    if settings.detector.dead_ug_cm2:
        energy = loss("Si", ion).after(energy, settings.detector.dead_ug_cm2 * factor)
    return float(energy[0])


def _peak(
    ds: xr.Dataset, x: Array, y: Array, name: str, at: float, settings: Lines
) -> tuple[float, float, float]:
    """Place, its standard error (channels) and counts of one line."""
    from scipy.optimize import curve_fit

    inside = np.abs(x - at) <= settings.window
    xs, ys = x[inside], y[inside]
    if xs.size < 8 or ys.sum() < 50:
        raise CalibrationError(
            f"{where(ds)}: line {name!r}: {ys.sum():.0f} counts in {xs.size} channels around "
            f"{at:g}; give the channel where it is seen, or a wider window"
        )
    base = float(np.percentile(ys, 10))
    start = float(xs[int(np.argmax(np.convolve(ys, np.ones(5), "same")))])
    net = max(float((ys - base).sum()), 1.0)
    step = float(np.median(np.diff(xs)))

    def model(c: Array, area: float, center: float, sigma: float, level: float) -> Array:
        u = (c - center) / sigma
        return np.asarray(area * step / (sigma * np.sqrt(2 * np.pi)) * np.exp(-0.5 * u * u) + level)

    low, high = [0.0, at - settings.window, step, 0.0], [np.inf, at + settings.window,
                                                        2 * settings.window, np.inf]  # fmt: skip
    guess = np.array([net, start, settings.window / 6.0, max(base, 0.1)])
    weight = np.sqrt(np.maximum(ys, 1.0))
    for _ in range(3):  # variances from the model, not from the counts: no bias of the area
        try:
            guess, covariance = curve_fit(
                model, xs, ys, guess, sigma=weight, absolute_sigma=True, bounds=(low, high)
            )
        except (RuntimeError, ValueError) as failed:
            raise CalibrationError(
                f"{where(ds)}: line {name!r} is not found around channel {at:g} ({failed})"
            ) from None
        weight = np.sqrt(np.maximum(model(xs, *guess), 0.3))
    sigma = float(np.sqrt(covariance[0, 0]))
    if not guess[0] > 5.0 * sigma:
        raise CalibrationError(
            f"{where(ds)}: line {name!r}: {guess[0]:.0f} +- {sigma:.0f} counts around channel "
            f"{at:g} are no peak; give the channel where it is seen"
        )
    return float(guess[1]), float(np.sqrt(covariance[1, 1])), float(guess[0])


class Monitor(Settings):
    """Make times those of a steady beam, by a neutron monitor instead of the clock."""

    counts: tuple[float, ...] = Field(
        (), description="monitor counts, one per spectrum; none: variable 'monitor'"
    )
    reference_per_s: float = Field(
        gt=0, description="monitor counts per second at which the sensitivity was measured"
    )


def monitor(ds: xr.Dataset, settings: Monitor) -> xr.Dataset:
    """Set ``live_time`` to what the reference beam would have needed; counts stay.

    The monitor counts all real time, so its time is scaled by live over real time where both are
    known.
    """
    dims = outer_dims(ds)
    shape = tuple(ds.sizes[d] for d in dims)
    if settings.counts:
        values = np.asarray(settings.counts, dtype=float)
        if values.size != int(np.prod(shape, dtype=int)):
            raise CalibrationError(
                f"{where(ds)}: {values.size} monitor counts for {int(np.prod(shape, dtype=int))} "
                "spectra; give one per spectrum"
            )
        seen = xr.DataArray(values.reshape(shape), dims=dims)
    elif "monitor" in ds:
        seen = ds["monitor"]
    else:
        raise CalibrationError(f"{where(ds)}: no variable 'monitor'; give counts=")
    if not bool(((seen > 0) & np.isfinite(seen)).all()):
        raise CalibrationError(f"{where(ds)}: monitor counts must be positive; leave those out")
    live = ds["live_time"] if "live_time" in ds else ds.attrs.get("live_time_s")
    real = ds["real_time"] if "real_time" in ds else ds.attrs.get("real_time_s")
    share = live / real if live is not None and real is not None else 1.0
    out = ds.copy(deep=False)
    out["live_time"] = (seen * share / settings.reference_per_s).astype(float)
    out["live_time"].attrs = {"units": "s", "long_name": "live time at the reference beam"}
    if not dims:
        out.attrs["live_time_s"] = float(out["live_time"])
    return out


class DeadTime(Settings):
    """Turn the time of the clock into live time, from the rate of all counts."""

    per_count_us: float = Field(gt=0, description="dead time of one count, microseconds")
    model: Literal["fixed", "extending"] = Field(
        "fixed", description="counts in the dead time are lost, or lost and extend it"
    )
    real_time_s: float | None = Field(
        None, gt=0, description="time of the clock per spectrum, if the file has none"
    )
    limit: float = Field(0.3, gt=0, lt=1, description="largest share that is still corrected")


def dead_time(ds: xr.Dataset, settings: DeadTime) -> xr.Dataset:
    """Set ``live_time`` from real time and the counts of the whole spectrum; counts stay.

    Fixed (non-paralysable): ``live / real = 1 - m tau`` with the measured rate m. Extending
    (paralysable): ``m = n exp(-n tau)``, lower branch, ``live / real = exp(-n tau)`` (G. F. Knoll,
    Radiation Detection and Measurement, 4th ed., section 4.VII). Call it before channels are cut
    off: every count is dead time. The share goes to ``dead_time``.

    Raises
    ------
    CalibrationError
        If no real time is known, or more is lost than can be corrected.
    """
    from scipy.special import lambertw

    real = ds["real_time"] if "real_time" in ds else ds.attrs.get("real_time_s")
    real = settings.real_time_s or real
    if real is None:
        raise CalibrationError(f"{where(ds)}: no real time; give real_time_s=")
    axis = str(ds["intensity"].dims[-1])
    counted = ds["intensity"].sum(axis) * settings.per_count_us * 1e-6
    busy = counted / real
    if settings.model == "extending":
        if bool((busy >= np.exp(-1.0)).any()):
            raise CalibrationError(
                f"{where(ds)}: the rate is above what an extending dead time of "
                f"{settings.per_count_us:g} us lets through; check per_count_us and real_time_s"
            )
        share = 1.0 - np.exp(xr.apply_ufunc(lambda b: np.real(lambertw(-b)), busy))
    else:
        share = busy
    if bool((share > settings.limit).any()):
        raise CalibrationError(
            f"{where(ds)}: dead time up to {float(share.max()):.0%} of the time; allowed: "
            f"{settings.limit:.0%}; shapes change too, so no correction is right"
        )
    out = ds.copy(deep=False)
    out["dead_time"] = share.assign_attrs(units="1", long_name="share of the real time")
    out["live_time"] = ((1.0 - share) * real).assign_attrs(units="s", long_name="live time")
    if not out["live_time"].dims:
        out.attrs["live_time_s"] = float(out["live_time"])
    return out

"""Lines that the detector makes: sums of two photons (pile-up) and escape, measured.

Both follow from the spectrum itself. Pile-up of two photons is ``p / 2 (N * N) / sum(N)``: the
spectrum N folded with itself, ``p = 1 - exp(-rate t)`` with the resolving time t. Escape is a share
of every line, moved down by the energy of a K line of the crystal. Their sizes are found where sums
and escape lines are expected: most of these places must agree, since the spectrum's own lines lie
on some.
"""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..convention import where
from ..errors import CalibrationError, ConventionError
from ._edxrd_escape import escapes
from ._edxrd_lines import response
from ._edxrd_physics import Detector
from .base import Settings

Array = npt.NDArray[np.float64]
_FWHM = 2.3548200450309493


class PileUp(Settings):
    """Sums of two photons that the electronics take for one."""

    resolving_us: float | None = Field(
        None,
        gt=0,
        description="time within which two photons are one, microseconds; none fits it",
    )
    per: str = Field(
        "campaign",
        pattern="^(campaign|spectrum)$",
        description="one resolving time for all spectra, or one for each",
    )
    low_keV: float = Field(0.0, ge=0, description="fit it above this energy")
    high_keV: float = Field(1e4, gt=0, description="and below this")


class Escape(Settings):
    """Factor on the computed share of escape lines, measured on the spectra."""

    low_keV: float = Field(0.0, ge=0, description="fit it above this energy")
    high_keV: float = Field(1e4, gt=0, description="and below this")


def sums_of_two(x: Array, counts: Array) -> Array:
    """Return the spectrum of sums of two photons for a share of 1, ``(N * N) / (2 sum(N))``.

    Parameters
    ----------
    x : ndarray
        Energies, ascending, keV (the offset of channel 0 is respected).
    counts : ndarray
        Shape (n, channels).

    Returns
    -------
    ndarray
        Shape (n, channels).
    """
    from scipy.signal import fftconvolve

    step = float(np.median(np.diff(x)))
    grid = np.arange(0.0, float(x[-1]) + step, step)
    width = np.gradient(x)
    out = np.zeros_like(counts, dtype=float)
    for k, row in enumerate(counts):
        total = float(row.sum())
        if total > 0.0:
            even = np.interp(grid, x, row / width, left=0.0, right=0.0) * step
            pairs = np.clip(fftconvolve(even, even)[: grid.size], 0.0, None)
            out[k] = 0.5 / total * np.interp(x, grid, pairs / step) * width
    return out


def escaped(x: Array, counts: Array, crystal: str = "Ge") -> Array:
    """Return the spectrum of escape lines of counts, for the computed shares.

    Parameters
    ----------
    x : ndarray
        Energies, keV.
    counts : ndarray
        Shape (n, channels).
    crystal : str
        Of the detector.

    Returns
    -------
    ndarray
        Shape (n, channels).
    """
    width = np.gradient(x)
    out = np.zeros_like(counts, dtype=float)
    for number, (loss, _) in enumerate(escapes(x, crystal)):
        at = x + loss
        lost = escapes(at, crystal)[number][1]
        for k, row in enumerate(counts):
            out[k] += lost * np.interp(at, x, row / width, left=0.0, right=0.0) * width
    return out


def pile_up(ds: xr.Dataset, settings: PileUp) -> xr.Dataset:
    """Add the expected sums of two photons to the static ``background``.

    First order, good while the share is small. The sum of two photons of a line lies exactly on
    (2h 2k 2l). Counts lost from the lines (a share p of all) are not put back: they do not change
    ratios.

    Parameters
    ----------
    ds : xr.Dataset
        Counts on ``photon_energy`` with ``live_time`` (s).
    settings : PileUp

    Returns
    -------
    xr.Dataset
        With ``background`` and, per spectrum, ``pile_up_share``; where fitted, attrs
        ``pile_up_us`` and ``pile_up_us_stderr`` or the variables ``pile_up_time`` and
        ``pile_up_time_stderr`` (us). A fitted time below two of its standard errors adds nothing.

    Raises
    ------
    ConventionError
        If the axis is not an energy or the live time is not known.
    """
    if "photon_energy" not in ds["intensity"].dims or "live_time" not in ds:
        raise ConventionError(
            f"{where(ds)}: pile-up needs counts on photon_energy and the variable live_time (s); "
            "calibrate first and assign live_time if you know it"
        )
    x = np.asarray(ds["photon_energy"].values, float)
    shape = ds["intensity"].shape
    counts = np.nan_to_num(ds["intensity"].values.astype(float)).reshape(-1, x.size)
    live = np.broadcast_to(ds["live_time"].values, shape[:-1]).reshape(-1).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(live > 0.0, counts.sum(axis=1) / live, 0.0)
    pairs = sums_of_two(x, counts)
    out = ds.copy(deep=False)
    outer = ds["intensity"].dims[:-1]
    if settings.resolving_us is not None:
        time = np.full(len(counts), settings.resolving_us)
    else:
        part = _range(x, settings.low_keV, settings.high_keV)
        share, error = amplitudes(x, counts, pairs, Detector.of(ds.attrs), part, 0.3)
        # first order in the rate; a share is divided by the rate to give a time
        with np.errstate(divide="ignore", invalid="ignore"):
            each = np.where(rate > 0.0, share / rate * 1e6, np.nan)
            each_error = np.where(rate > 0.0, error / rate * 1e6, np.inf)
        if settings.per == "spectrum":
            time = np.where(each > 2.0 * each_error, each, 0.0)
            for name, v in (("pile_up_time", each), ("pile_up_time_stderr", each_error)):
                out[name] = (outer, v.reshape(shape[:-1]), {"units": "us"})
        else:
            weight = np.where(np.isfinite(each), each_error**-2.0, 0.0)
            if not weight.sum() > 0.0:
                raise CalibrationError(f"{where(ds)}: no counts to fit pile-up to")
            mean = float(np.sum(weight * np.nan_to_num(each)) / weight.sum())
            stderr = float(weight.sum() ** -0.5)
            if (weight > 0.0).sum() > 1:
                spread = np.sum(weight * (np.nan_to_num(each) - mean) ** 2)
                stderr *= max(1.0, float(np.sqrt(spread / ((weight > 0.0).sum() - 1))))
            out.attrs.update(pile_up_us=mean, pile_up_us_stderr=stderr)
            time = np.full(len(counts), mean if mean > 2.0 * stderr else 0.0)
    share = -np.expm1(-rate * time * 1e-6)
    out["pile_up_share"] = (outer, share.reshape(shape[:-1]), {"units": "1"})
    before = ds.get("background", 0.0)
    sums = (share[:, None] * pairs).reshape(shape)
    out["background"] = (ds["intensity"] * 0.0 + sums + before).assign_attrs(
        units=ds["intensity"].attrs["units"], long_name="sums of two photons"
    )
    return out


def escape(ds: xr.Dataset, settings: Escape) -> xr.Dataset:
    """Measure the factor on the computed escape fractions; set attrs ``escape``.

    Returns
    -------
    xr.Dataset
        attrs ``escape`` and ``escape_stderr``, which `propose` uses for all escape lines.

    Raises
    ------
    CalibrationError
        If the axis is not an energy, or the spectra are too poor to tell (error above one half).
    """
    if "photon_energy" not in ds["intensity"].dims:
        raise CalibrationError(f"{where(ds)}: escape lines need an energy axis; calibrate first")
    x = np.asarray(ds["photon_energy"].values, float)
    total = np.nan_to_num(ds["intensity"].values.astype(float)).reshape(-1, x.size).sum(axis=0)
    one = total[None, :]
    part = _range(x, settings.low_keV, settings.high_keV)
    detector = Detector.of(ds.attrs)
    template = escaped(x, one, detector.crystal)
    value, error = amplitudes(x, one, template, detector, part, 3.0)
    if not error[0] < 0.5:
        raise CalibrationError(
            f"{where(ds)}: escape lines are not clear of the noise (factor {value[0]:.2f} +- "
            f"{error[0]:.2f}); take a longer measurement, or set escape in the model's settings"
        )
    out = ds.copy(deep=False)
    out.attrs.update(escape=float(max(value[0], 0.0)), escape_stderr=float(error[0]))
    out.attrs["escape_lines"] = json.dumps(_escape_lines(x, total, Detector.of(ds.attrs)))
    return out


def _escape_lines(x: Array, total: Array, detector: Detector) -> list[dict[str, float]]:
    """Strongest lines with the place and the computed share of their escape lines."""
    z = _peaks(x, total, detector)
    rows = []
    for k in sorted(z, key=lambda k: -total[k])[:12]:
        for loss, share in escapes(x[k], detector.crystal):
            if float(share) > 1e-3 and x[k] - loss > x[0]:
                row = {"line": float(x[k]), "escape": float(x[k] - loss), "share": float(share)}
                rows.append(row)
    return rows


def _range(x: Array, low: float, high: float) -> npt.NDArray[np.bool_]:
    return (x >= low) & (x <= high)


def _peaks(x: Array, counts: Array, detector: Detector) -> list[int]:
    """Channels of the clear lines of a spectrum."""
    width = detector.fwhm(np.maximum(x, 1.0)) / np.gradient(x)
    signal, variance = response(counts, width)
    z = signal / np.sqrt(variance)
    top = (z[1:-1] > z[:-2]) & (z[1:-1] >= z[2:]) & (z[1:-1] > 5.0)
    return [int(k) for k in np.flatnonzero(top) + 1]


def amplitudes(
    x: Array,
    counts: Array,
    template: Array,
    detector: Detector,
    part: npt.NDArray[np.bool_],
    limit: float,
) -> tuple[Array, Array]:
    """Find how much of a template each spectrum holds, from the template's own lines.

    Around each line of the template the counts are fitted with it, a straight background and the
    spectrum's own lines nearby. Where an own line coincides, the amount comes out too large; where
    nothing coincides, all places agree. So the amount is the one that most places agree on.

    Parameters
    ----------
    x : ndarray
        Energies, keV.
    counts, template : ndarray
        Shape (n, channels).
    detector : Detector
    part : ndarray of bool
        Channels to use.
    limit : float
        Amount that is out of the question.

    Returns
    -------
    value, stderr : ndarray
        Of shape (n,); infinite errors where too few places tell.
    """
    total, sums = counts.sum(axis=0), template.sum(axis=0)
    own = _peaks(x, total, detector)
    width = detector.fwhm(np.maximum(x, 1.0)) / np.gradient(x)
    made, _ = response(sums, width)
    top = (made[1:-1] > made[:-2]) & (made[1:-1] >= made[2:]) & part[1:-1]
    places = np.flatnonzero(top) + 1
    # those that a tenth of the template would show clearly, the clearest first
    seen, variance = response(total, width)
    # a peak where the template has one may be the template's, unless it is far too strong for it
    own = [
        k
        for k in own
        if seen[k] > limit * made[k]
        or not places.size
        or np.min(np.abs(places - k)) > 0.7 * width[k]
    ]
    clear = made[places] / np.sqrt(variance[places])
    places = places[np.argsort(-clear)][:60]
    windows = [w for k in places if (w := _window(x, int(k), own, width, part)) is not None]
    value, error = np.zeros(len(counts)), np.full(len(counts), np.inf)
    for i, (row, shape) in enumerate(zip(counts, template, strict=True)):
        if row.sum() > 0.0 and windows:
            found = np.array([_local(row, shape, at, basis) for at, basis in windows])
            value[i], error[i] = agreed(found[:, 0], found[:, 1])
    return value, error


def _window(
    x: Array, k: int, own: list[int], width: Array, part: npt.NDArray[np.bool_]
) -> tuple[slice, Array] | None:
    """Channels around a place and the curves that are free there, beside the template."""
    w = float(width[k])
    low, high = int(k - 2.0 * w), int(k + 2.0 * w) + 1
    if low < 0 or high > x.size or high - low < 9 or not part[low:high].all():
        return None
    t = np.arange(low, high, dtype=float)
    rows = [np.ones_like(t), (t - k) / w]
    for p in own:
        if 0.7 * w < abs(p - k) < 3.5 * w:
            u = (t - p) * _FWHM / w
            rows += [np.exp(-0.5 * u**2), u * np.exp(-0.5 * u**2)]
    return slice(low, high), np.array(rows)


def _local(row: Array, shape: Array, at: slice, basis: Array) -> tuple[float, float]:
    """Amount of the template in one window and its standard error."""
    y, t = row[at], shape[at]
    size = float(t.max())
    if size <= 0.0:
        return 0.0, np.inf
    a = np.vstack([basis, t / size])
    weight = 1.0 / np.maximum(y, 1.0)
    for _ in range(2):
        w = np.sqrt(weight)
        normal = (a * w) @ (a * w).T
        inverse = np.linalg.pinv(normal, rcond=1e-10)
        found = inverse @ ((a * weight) @ y)
        weight = 1.0 / np.maximum(found @ a, 0.5)
    misfit = float(np.sum(weight * (y - found @ a) ** 2)) / max(y.size - len(a), 1)
    error = np.sqrt(max(float(inverse[-1, -1]), 0.0) * max(misfit, 1.0))
    return float(found[-1]) / size, float(error) / size


def agreed(value: Array, error: Array) -> tuple[float, float]:
    """Return the value on which most estimates agree, and its standard error.

    Estimates count by their precision, but none for more than a few: some are wrong by far.

    Parameters
    ----------
    value, error : ndarray

    Returns
    -------
    value, stderr : float
        An infinite error if fewer than three estimates agree.
    """
    good = np.isfinite(error) & (error > 0.0)
    v, s = value[good], error[good]
    if v.size < 3:
        return 0.0, np.inf
    floor = float(np.percentile(s, 25))
    trust = 1.0 / (1.0 + (s / floor) ** 2)
    trial = np.unique(np.concatenate([v, [0.0]]))
    # windows share their faults (lines are no exact Gaussians): a tenth of the value
    spread = np.hypot(np.maximum(s, 0.3 * floor)[None, :], 0.1 * np.abs(trial)[:, None])
    pull = (v[None, :] - trial[:, None]) / spread
    score = np.sum(trust * np.exp(-0.5 * pull**2), axis=1)
    best = float(trial[int(np.argmax(score))])
    own = np.hypot(np.maximum(s, 0.3 * floor), 0.1 * abs(best))
    near = np.abs(v - best) < 2.5 * own
    if near.sum() < 3:
        return 0.0, np.inf
    weight = 1.0 / own[near] ** 2
    mean = float(np.sum(weight * v[near]) / weight.sum())
    chi2 = float(np.sum(weight * (v[near] - mean) ** 2)) / (near.sum() - 1)
    return mean, float(np.sqrt(max(chi2, 1.0) / weight.sum()))

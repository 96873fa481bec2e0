"""Reference lines of Raman standards, and how they are found in a measured spectrum.

Sources of the values:

- neon: neutral neon, wavelengths in air, NIST Atomic Spectra Database (J. E. Sansonetti and
  W. C. Martin, J. Phys. Chem. Ref. Data 34 (2005) 1559); known to 1e-4 nm and better;
- silicon: 520.45 +- 0.28 (k = 2) 1/cm, N. Itoh and K. Shirono, J. Raman Spectrosc. 51 (2020) 2496;
- polystyrene, paracetamol, cyclohexane: ASTM E1840-96, mean and standard deviation of seven
  laboratories (the bands that stand alone);
- calcite: S. Gunasekaran, G. Anbalagan and S. Pandi, J. Raman Spectrosc. 37 (2006) 892, rounded as
  literature values scatter by 1 1/cm;
- nitrogen: Q branch of air at room temperature, J. Bendtsen and F. Rasmussen, J. Raman Spectrosc.
  31 (2000) 433 (band origin 2329.91; the unresolved branch has its top at 2329.6 to 2330.0).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from ..convention import where
from ..errors import CalibrationError
from ._raman_lines import fit_lines, half_width, noise_of, unsaturated
from .base import Settings

Array = npt.NDArray[np.float64]

NEON: tuple[tuple[float, float], ...] = (
    (533.07775, 60), (534.10938, 100), (534.32834, 60), (540.05618, 200), (556.27662, 50),
    (565.66588, 50), (571.92248, 50), (574.82985, 50), (576.44188, 70), (580.44496, 50),
    (582.01558, 50), (585.24879, 200), (587.28275, 50), (588.18952, 100), (590.24623, 5),
    (590.64294, 5), (594.48342, 50), (596.5471, 50), (597.46273, 50), (597.5534, 60),
    (598.79074, 15), (602.99969, 100), (607.43377, 100), (609.61631, 30), (612.84499, 10),
    (614.30626, 100), (616.35939, 100), (618.2146, 15), (621.72812, 100), (626.6495, 100),
    (630.47889, 10), (632.81646, 30), (633.44278, 100), (638.29917, 100), (640.2248, 200),
    (650.65281, 150), (653.28822, 10), (659.89529, 100), (665.20927, 15), (667.82762, 50),
    (671.7043, 7), (692.94673, 1000), (702.40504, 300), (703.24131, 800), (705.91074, 100),
    (717.39381, 800), (724.51666, 800), (747.24386, 30), (748.88712, 300), (753.57741, 300),
    (754.40443, 130), (793.69961, 13), (794.31814, 80), (808.2458, 60), (811.85492, 40),
    (812.89108, 12), (813.64054, 170), (825.9379, 30), (826.60772, 70), (830.03258, 300),
    (836.57466, 50), (837.7608, 800), (841.71606, 30), (841.84274, 250), (846.33575, 40),
    (848.44435, 13), (849.53598, 700), (854.46958, 15), (857.13524, 30), (859.12584, 400),
    (863.4647, 350), (864.70411, 60), (865.43831, 600), (865.5522, 80), (867.94925, 130),
    (868.19211, 150), (870.41116, 30), (877.16563, 100), (878.06226, 600), (878.37533, 400),
    (885.38668, 300), (886.53063, 20), (886.57552, 150), (891.95006, 60), (898.85564, 20),
    (914.86716, 120), (920.17591, 90), (922.00601, 60), (922.15801, 20), (922.66903, 20),
    (927.55196, 9), (930.08527, 80), (931.05839, 8), (931.39726, 30), (932.65068, 70),
    (937.33078, 15), (942.53788, 50), (945.92095, 30), (948.66818, 50), (953.41629, 60),
    (954.74049, 30), (966.54197, 180), (1029.54174, 4), (1056.24075, 80), (1079.80429, 60),
    (1084.44772, 90), (1114.302, 300), (1117.7524, 500),
)  # fmt: skip
"""Lines of neutral neon: wavelength in air (nm) and NIST's rough relative intensity."""

NITROGEN = 2329.9

MATERIALS: dict[str, tuple[tuple[float, float], ...]] = {
    "silicon": ((520.45, 0.14),),
    "polystyrene": (
        (620.9, 0.69), (795.8, 0.78), (1001.4, 0.54), (1031.8, 0.43), (1155.3, 0.56),
        (1450.5, 0.56), (1583.1, 0.86), (1602.3, 0.73), (2852.4, 0.89), (2904.5, 1.22),
        (3054.3, 1.36),
    ),
    "paracetamol": (
        (213.3, 1.77), (329.2, 0.52), (390.9, 0.76), (465.1, 0.30), (504.0, 0.60),
        (651.6, 0.50), (710.8, 0.68), (797.2, 0.48), (834.5, 0.46), (857.9, 0.50),
        (968.7, 0.60), (1105.5, 0.27), (1168.5, 0.65), (1236.8, 0.46), (1278.5, 0.45),
        (1323.9, 0.46), (1371.5, 0.11), (1515.1, 0.70), (1561.5, 0.52), (1648.4, 0.50),
        (2931.1, 0.63), (3064.6, 0.31), (3102.4, 0.95),
    ),
    "cyclohexane": (
        (384.1, 0.78), (426.3, 0.41), (801.3, 0.96), (1028.3, 0.45), (1157.6, 0.94),
        (1266.4, 0.58), (1444.4, 0.30), (2664.4, 0.42), (2852.9, 0.32), (2923.8, 0.36),
        (2938.3, 0.51),
    ),
    "calcite": ((281.0, 1.0), (712.0, 1.0), (1086.0, 0.7)),
    "nitrogen": ((NITROGEN, 0.3),),
}  # fmt: skip
"""Bands of Raman standards with their standard uncertainty, 1/cm."""

STANDARDS = ("neon", *MATERIALS)


class FoundLine(Settings):
    """One line of a standard as it stands on the scale that is to be calibrated."""

    standard: str = Field(description="which standard it belongs to")
    reference: float = Field(description="where it belongs, 1/cm (lamp: with the laser as stated)")
    found: float | None = Field(None, description="where it was found, 1/cm; none: it was not")
    error: float = Field(0.0, ge=0, description="standard error of the fit, 1/cm")
    reference_error: float = Field(0.0, ge=0, description="of the reference value, 1/cm")
    emission: bool = Field(False, description="an emission line: needs the laser's wavelength")
    note: str = Field("", description="why it was left out")


def vacuum_wavenumber(air_nm: npt.ArrayLike) -> Array:
    """Return the wavenumber in vacuum (1/cm) of a wavelength in air.

    Refractive index of standard air by P. E. Ciddor, Appl. Opt. 35 (1996) 1566, eq. 1; good to
    1e-8 from 300 to 1700 nm at 15 C; the difference to room temperature is below 0.01 1/cm in a
    Raman shift.
    """
    wavelength = np.asarray(air_nm, float)
    s2 = (1e3 / wavelength) ** 2
    index = 1.0 + 0.05792105 / (238.0185 - s2) + 0.00167917 / (57.362 - s2)
    return np.asarray(1e7 / (index * wavelength))


def neon(laser_nm: float) -> tuple[Array, Array]:
    """Return Raman shifts (1/cm, ascending) and rough strengths of neon, for a laser in air."""
    table = np.array(NEON)
    shifts = float(vacuum_wavenumber(laser_nm)) - vacuum_wavenumber(table[:, 0])
    order = np.argsort(shifts)
    return shifts[order], table[order, 1]


def standard_lines(
    ds: xr.Dataset, standard: str, *, laser_nm: float | None = None, search: float = 12.0
) -> list[FoundLine]:
    """Find the lines of a standard in its spectrum, for ``calibrate(..., "standards", lines=...)``.

    Every line is a pseudo-Voigt on a straight ground, fitted to the mean over the outer dims. Lamp
    lines the spectrometer does not resolve are fitted together at their known distances and give
    one place. The error is that of the fit, scaled with its residuals, and never below a fiftieth
    of the distance of points.

    Parameters
    ----------
    ds : xr.Dataset
        Spectrum of the standard, on the same uncalibrated Raman scale as the sample's.
    standard : str
        One of `STANDARDS`.
    laser_nm : float, optional
        Laser line in air, nm; needed for a lamp if the file does not state it.
    search : float
        How far from its place a line may be found, 1/cm.

    Returns
    -------
    list of FoundLine
        Lines within the axis, also those that were not found (``found`` none, with a note).

    Raises
    ------
    CalibrationError
        If the axis is no Raman shift, or the standard is unknown or outside the spectrum.
    """
    if "raman_shift" not in ds["intensity"].dims:
        raise CalibrationError(f"{where(ds)}: no Raman shift; use calibrate(ds, 'laser') first")
    x = np.asarray(ds["raman_shift"].values, float)
    y = mean_spectrum(ds)
    if standard == "neon":
        laser = laser_nm if laser_nm is not None else ds.attrs.get("laser_nm")
        if laser is None:
            raise CalibrationError(f"{where(ds)}: neon needs the laser line; pass laser_nm=")
        places, strengths = neon(float(laser))
        inside = (places > x[0] + search) & (places < x[-1] - search)
        _require(ds, standard, int(inside.sum()))
        return _lamp(x, y, places[inside], strengths[inside], search)
    if standard not in MATERIALS:
        raise CalibrationError(f"standard {standard!r}: allowed: {', '.join(STANDARDS)}")
    known = [(v, e) for v, e in MATERIALS[standard] if x[0] + search < v < x[-1] - search]
    _require(ds, standard, len(known))
    return _bands(x, y, known, standard, search)


def _require(ds: xr.Dataset, standard: str, count: int) -> None:
    if not count:
        x = ds["raman_shift"].values
        raise CalibrationError(
            f"{where(ds)}: no line of {standard} between {x[0]:g} and {x[-1]:g} 1/cm"
        )


def mean_spectrum(ds: xr.Dataset) -> Array:
    """Return the mean spectrum of all valid points above a measured dark one, gaps bridged."""
    y = ds["intensity"]
    if "dark" in ds:
        y = y - ds["dark"]
    elif "background" in ds and ds["background"].attrs.get("kind") == "dark":
        y = y - ds["background"]
    if "valid" in ds:
        y = y.where(ds["valid"])
    rows = np.asarray(y.values, float).reshape(-1, ds.sizes["raman_shift"])
    kept = np.isfinite(rows)
    count = kept.sum(axis=0)
    if not count.any():
        raise CalibrationError(f"{where(ds)}: no finite intensity")
    mean = np.where(kept, rows, 0.0).sum(axis=0) / np.maximum(count, 1)
    good = np.flatnonzero(count)
    return np.interp(np.arange(mean.size), good, mean[good])


def _bands(
    x: Array, y: Array, known: list[tuple[float, float]], standard: str, search: float
) -> list[FoundLine]:
    """Find bands one by one; those missed once more, where the others say they are moved to."""
    lines = [_band(x, y, known, k, standard, known[k][0], search) for k in range(len(known))]
    seen = [line for line in lines if line.found is not None]
    if len(seen) >= 2:
        at = np.array([line.reference for line in seen])
        move = np.array([line.found for line in seen], float) - at
        for k, line in enumerate(lines):
            if line.found is None:
                value = known[k][0]
                near = value + float(np.interp(value, at, move))
                lines[k] = _band(x, y, known, k, standard, near, 0.6 * search)
    return lines


def _band(
    x: Array,
    y: Array,
    known: list[tuple[float, float]],
    index: int,
    standard: str,
    expected: float,
    search: float,
) -> FoundLine:
    """Find one band: the highest point near, then fits with its listed neighbours.

    Two fits, of the top and of most of the band; half of what they differ by is added to the
    error: bands are not symmetric, and the reference values are those of tops.
    """
    value, error = known[index]
    line = FoundLine(standard=standard, reference=value, reference_error=error)
    near = np.flatnonzero(np.abs(x - expected) <= search)
    if near.size < 5:
        return line.model_copy(update={"note": "fewer than five points"})
    ground = np.interp(x[near], x[near[[0, -1]]], y[near[[0, -1]]])
    top = int(near[int(np.argmax(y[near] - ground))])
    step = float(np.median(np.diff(x)))
    width = half_width(x, y, top)
    others = [v - value for v, _ in known if 0.0 < abs(v - value) < 2.5 * width]
    offsets = np.array([0.0, *others])
    weight = unsaturated(y).astype(float)
    spots = []
    for reach in (0.8, 1.2, 1.8):
        span = max(reach * width, 4.2 * step)
        spot = fit_lines(
            x, y, offsets, np.eye(offsets.size), float(x[top]), width, span, weight=weight
        )
        if spot is not None:
            spots.append(spot)
        if len(spots) == 2:
            break
    if not spots:
        note = "no line could be fitted"
    elif spots[0].significance[0] < 5.0 or spots[0].heights[0] < 5.0 * noise_of(y):
        note = "does not stand out of the noise"
    elif abs(spots[0].place - expected) > search:
        note = f"nothing within {search:g} 1/cm of {expected:.1f}"
    else:
        skew = 0.5 * abs(spots[-1].place - spots[0].place)
        found = {"found": spots[0].place, "error": float(np.hypot(spots[0].error, skew))}
        return line.model_copy(update=found)
    return line.model_copy(update={"note": note})


def _lamp(x: Array, y: Array, places: Array, strengths: Array, search: float) -> list[FoundLine]:
    """Find lamp lines: the whole pattern first, then each line with its neighbours."""
    weight = unsaturated(y).astype(float)
    width = _lamp_width(x, y, weight)
    step = float(np.median(np.diff(x)))
    shift, stretch = _aligned(x, y, places, strengths, width, search)
    groups = _groups(places, 0.7 * width)
    middles = np.array([float(np.average(places[g], weights=strengths[g])) for g in groups])
    out = []
    for k, middle in enumerate(middles):
        near = [j for j in range(len(groups)) if abs(middles[j] - middle) < 3.0 * width]
        index = np.concatenate([groups[j] for j in near])
        share = np.zeros((index.size, len(near)))
        for column, j in enumerate(near):
            share[:, column] = np.where(np.isin(index, groups[j]), strengths[index], 0.0)
            share[:, column] /= share[:, column].max()
        own = near.index(k)
        # The strengths of the tables are rough: a blend's place is as uncertain as its spread says.
        spread = float(np.average((places[groups[k]] - middle) ** 2, weights=strengths[groups[k]]))
        line = FoundLine(
            standard="neon",
            reference=float(middle),
            reference_error=float(np.hypot(0.01, 0.3 * np.sqrt(spread))),
            emission=True,
        )
        start = float(middle + shift + stretch * (middle - x[0]))
        clipped = bool(np.any(weight[np.abs(x - start) < max(width, 2.0 * step)] == 0.0))
        spot = fit_lines(
            x, y, places[index] - middle, share, start, width, max(1.2 * width, 4.2 * step),
            weight=weight, move=0.8 * width,
        )  # fmt: skip
        if clipped:
            note = "clipped by the detector"
        elif spot is None:
            note = "no line could be fitted"
        elif spot.significance[own] < 5.0 or spot.heights[own] < 10.0 * noise_of(y):
            note = "does not stand out of the noise"
        elif spot.heights[own] < 0.2 * spot.heights.max():
            note = "too weak beside its neighbours"
        else:
            out.append(line.model_copy(update={"found": spot.place, "error": spot.error}))
            continue
        out.append(line.model_copy(update={"note": note}))
    return out


def _groups(places: Array, gap: float) -> list[npt.NDArray[np.intp]]:
    """Chains of lines closer than ``gap``."""
    return np.split(np.arange(places.size), np.flatnonzero(np.diff(places) > gap) + 1)


def _lamp_width(x: Array, y: Array, weight: Array) -> float:
    """Median width of the strongest lines that were not clipped."""
    inner = np.arange(2, y.size - 2)
    top = inner[(y[inner] >= y[inner - 1]) & (y[inner] > y[inner + 1]) & (weight[inner] > 0)]
    strong = top[np.argsort(y[top])[::-1][:12]]
    return float(np.median([half_width(x, y, int(k)) for k in strong]))


def _aligned(
    x: Array, y: Array, places: Array, strengths: Array, width: float, search: float
) -> tuple[float, float]:
    """Return shift and stretch that bring the lamp's pattern upon the spectrum.

    Logarithms of heights are compared, so that neither the strongest line nor the sensitivity of
    the instrument decides alone.
    """
    from scipy.ndimage import gaussian_filter1d

    grid = np.arange(x[0], x[-1], min(float(np.median(np.diff(x))), 0.3 * width))
    step = grid[1] - grid[0]
    data = np.log1p(np.maximum(y - np.percentile(y, 20), 0.0) / (10.0 * noise_of(y)))
    data = np.interp(grid, x, data)
    data -= gaussian_filter1d(data, 6.0 * width / step)
    height = np.log1p(strengths)
    best = (-np.inf, 0.0, 0.0)
    for stretch in np.linspace(-0.01, 0.01, 11):
        for shift in np.arange(-2.0 * search, 2.0 * search + 0.1, 0.25 * width):
            at = places + shift + stretch * (places - x[0])
            index = np.round((at - grid[0]) / step).astype(int)
            inside = (index >= 0) & (index < grid.size)
            model = np.zeros(grid.size)
            np.add.at(model, index[inside], height[inside])
            model = gaussian_filter1d(model, 0.4 * width / step)
            score = float(model @ data) / float(np.sqrt(model @ model) + 1e-300)
            if score > best[0]:
                best = (score, float(shift), float(stretch))
    return best[1], best[2]

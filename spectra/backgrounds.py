"""Static backgrounds, and helpers that write the co-fitted ones of `spectra._cofitted`.

A static background is one function ``(x, y, knobs) -> (background, params)`` on plain arrays of one
spectrum: x ascending, shape (N,); y the intensity, shape (N,); the background has shape (N,), and
params say what was found (``converged``, end values, scale). On a binding energy axis losses
accumulate towards high x. ``STATIC`` lists them. Points that are not finite are bridged linearly; a
spectrum with fewer than three finite points in the window gives NaN and ``converged`` False.
Nothing is subtracted here: the background becomes a variable that the fit adds to the model.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from references.errors import nearest

from ._active import active_shirley, active_tougaard, tougaard_curve
from ._tougaard import CROSS_SECTIONS, cross_section, cross_section_of, losses
from .errors import ModelError
from .shapes import SHAPES

__all__ = [
    "CROSS_SECTIONS",
    "STATIC",
    "active_shirley",
    "active_tougaard",
    "baseline",
    "cross_section",
    "linear",
    "offset_shirley",
    "polynomial",
    "shirley",
    "step",
    "tougaard",
    "tougaard_curve",
]

Array = npt.NDArray[np.float64]
Window = tuple[float, float]
Static = tuple[Array, dict[str, Any]]


def _prepare(
    name: str, x: npt.ArrayLike, y: npt.ArrayLike, between: Window | None, average: int
) -> tuple[Array, Array, slice]:
    """Check the arrays; bridge points that are not finite; return the window as a slice."""
    xs = np.asarray(x, dtype=float)
    ys = np.asarray(y, dtype=float)
    if xs.ndim != 1 or xs.shape != ys.shape:
        raise ModelError(
            f"{name}: x has shape {xs.shape} and y {ys.shape}; one spectrum is allowed"
        )
    if xs.size < 3 or not np.all(np.diff(xs) > 0.0):
        raise ModelError(f"{name}: x must ascend strictly and have three points or more; sort it")
    if average < 1:
        raise ModelError(f"{name}: average is {average}; one point at each end is the least")
    low, high = (xs[0], xs[-1]) if between is None else between
    if not low < high:
        raise ModelError(f"{name}: between is {low:g} to {high:g}; give (low, high)")
    start = int(np.searchsorted(xs, low - 1e-9 * abs(low), side="left"))
    stop = int(np.searchsorted(xs, high + 1e-9 * abs(high), side="right"))
    if stop - start < 3:
        raise ModelError(
            f"{name}: {stop - start} points lie between {low:g} and {high:g}; the axis runs "
            f"{xs[0]:g} to {xs[-1]:g}; choose a window with three or more"
        )
    finite = np.isfinite(ys)
    if np.count_nonzero(finite[start:stop]) < 3:
        ys = np.full_like(ys, np.nan)
    elif not finite.all():
        ys = np.interp(xs, xs[finite], ys[finite])
    return xs, ys, slice(start, stop)


def _ends(y: Array, window: slice, average: int) -> tuple[float, float]:
    """Return the mean of the points around both ends of the window, as many as there are."""
    half = average // 2
    first, last = window.start, window.stop - 1
    return (
        float(np.mean(y[max(0, first - half) : first + half + 1])),
        float(np.mean(y[max(0, last - half) : last + half + 1])),
    )


def _cumulative(x: Array, y: Array) -> Array:
    """Trapezoidal integral from the first point on."""
    return np.concatenate([[0.0], np.cumsum(0.5 * (y[1:] + y[:-1]) * np.diff(x))])


def _spread(y: Array, window: slice, inside: Array) -> Array:
    """Continue the background constant outside its window."""
    out = np.empty_like(y)
    out[window] = inside
    out[: window.start] = inside[0]
    out[window.stop :] = inside[-1]
    return out


def linear(
    x: npt.ArrayLike, y: npt.ArrayLike, *, between: Window | None = None, average: int = 1
) -> Static:
    """Draw a straight line between the ends of the window.

    Parameters
    ----------
    x, y : array_like, shape (N,)
        Axis and intensity.
    between : (low, high), optional
        Window; the whole axis if absent. Outside it the background is constant.
    average : int
        Points averaged around each end of the window (odd; those outside it too).

    Returns
    -------
    background : ndarray, shape (N,)
    params : dict
        ``low``, ``high`` (end values, intensity units), ``converged``.

    Raises
    ------
    ModelError
        If the arrays or the window cannot be used.
    """
    xs, ys, window = _prepare("linear", x, y, between, average)
    xw = xs[window]
    low, high = _ends(ys, window, average)
    inside = low + (high - low) * (xw - xw[0]) / (xw[-1] - xw[0])
    return _spread(ys, window, inside), {
        "low": low,
        "high": high,
        "converged": bool(np.isfinite(low)),
    }


def shirley(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    between: Window | None = None,
    average: int = 1,
    tolerance: float = 1e-6,
    max_iterations: int = 100,
) -> Static:
    """Iterate the Shirley background: it rises with the peak area at lower x.

    Parameters
    ----------
    x, y : array_like, shape (N,)
        Axis (binding energy, ascending) and intensity.
    between : (low, high), optional
        Window; the whole axis if absent. Outside it the background is constant.
    average : int
        Points averaged around each end of the window (odd; those outside it too).
    tolerance : float
        Largest change of the last iteration over the step.
    max_iterations : int
        At most this many.

    Returns
    -------
    background : ndarray, shape (N,)
    params : dict
        ``low``, ``high``, ``area`` (of the peaks), ``iterations``, ``converged``.

    Raises
    ------
    ModelError
        If the arrays or the window cannot be used.

    References
    ----------
    D. A. Shirley, Phys. Rev. B 5, 4709 (1972); A. Proctor and P. M. A. Sherwood, Anal. Chem. 54, 13
    (1982) for the iteration.
    """
    return offset_shirley(
        x,
        y,
        between=between,
        average=average,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )


def offset_shirley(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    between: Window | None = None,
    average: int = 1,
    offset_low: float = 0.0,
    offset_high: float = 0.0,
    tolerance: float = 1e-6,
    max_iterations: int = 100,
) -> Static:
    """Iterate a Shirley background whose ends are moved off the data.

    Parameters
    ----------
    x, y, between, average, tolerance, max_iterations
        As in `shirley`.
    offset_low, offset_high : float
        Added to the end values, intensity units: a negative one lets a tail reach the window's end.

    Returns
    -------
    background : ndarray, shape (N,)
    params : dict
        As in `shirley`.

    Raises
    ------
    ModelError
        If the arrays or the window cannot be used.
    """
    xs, ys, window = _prepare("shirley", x, y, between, average)
    xw, yw = xs[window], ys[window]
    low, high = _ends(ys, window, average)
    low, high = low + offset_low, high + offset_high
    if not np.isfinite(low + high):
        return np.full_like(ys, np.nan), {
            "low": low,
            "high": high,
            "area": np.nan,
            "iterations": 0,
            "converged": False,
        }
    step = high - low
    inside = low + step * (xw - xw[0]) / (xw[-1] - xw[0])
    converged = step == 0.0
    area, iteration = float(_cumulative(xw, yw - inside)[-1]), 0
    while not converged and iteration < max_iterations:
        iteration += 1
        grown = _cumulative(xw, yw - inside)
        area = float(grown[-1])
        # no area above the background: there is no step to distribute, the line stays
        if not abs(area) > 1e-12 * float(np.ptp(yw)) * float(xw[-1] - xw[0]):
            break
        new = low + step * grown / area
        change = float(np.max(np.abs(new - inside)))
        inside = new
        converged = change <= tolerance * abs(step)
        if change > 1e3 * (abs(step) + float(np.ptp(yw))):
            break
    return _spread(ys, window, inside), {
        "low": low,
        "high": high,
        "area": area,
        "iterations": iteration,
        "converged": bool(converged),
    }


def tougaard(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    between: Window | None = None,
    average: int = 1,
    material: str = "universal",
    b: float | None = None,
    c: float | None = None,
    sign: float | None = None,
    d: float | None = None,
    gap: float = 0.0,
    scale: Literal["match", "fixed"] = "match",
) -> Static:
    """Compute the Tougaard background: the intensity at lower x, spread by the cross-section.

    The intensity of the low end is taken as a constant base. With ``scale="match"`` B is chosen so
    that the background meets the data at the high end; ``"fixed"`` uses B as given (absolute
    intensities, a homogeneous solid).

    Parameters
    ----------
    x, y : array_like, shape (N,)
        Axis (binding energy in eV, ascending) and intensity; any spacing.
    between : (low, high), optional
        Window; the whole axis if absent. Outside it the background is constant.
    average : int
        Points averaged around each end of the window (odd; those outside it too).
    material : str
        Key of `CROSS_SECTIONS`.
    b, c, sign, d : float, optional
        Replace single parameters of the material, see `cross_section`.
    gap : float
        Energy below which nothing is lost (U4), eV.
    scale : {"match", "fixed"}
        Whether B is found or given.

    Returns
    -------
    background : ndarray, shape (N,)
    params : dict
        ``b`` (as used), ``c``, ``sign``, ``d``, ``gap``, ``low``, ``high``, ``converged``.

    Raises
    ------
    ModelError
        If the material is unknown, or the arrays or the window cannot be used.

    References
    ----------
    S. Tougaard, Surf. Interface Anal. 11, 453 (1988); ibid. 25, 137 (1997).
    """
    xs, ys, window = _prepare("tougaard", x, y, between, average)
    xw, yw = xs[window], ys[window]
    found = cross_section_of(material, b, c, sign, d)
    low, high = _ends(ys, window, average)
    shape = losses(xw, yw - low, {**found, "b": 1.0, "gap": gap})
    used = found["b"]
    if scale == "match":
        used = float((high - low) / shape[-1]) if shape[-1] != 0.0 else np.nan
    inside = low + used * shape
    return _spread(ys, window, inside), {
        **found,
        "b": used,
        "gap": gap,
        "low": low,
        "high": high,
        "converged": bool(np.isfinite(inside).all()),
    }


def step(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    center: float,
    width: float = 1.0,
    edge: Literal["erf", "arctan"] = "erf",
    between: Window | None = None,
    average: int = 1,
) -> Static:
    """Draw a step between the end values of the window.

    Parameters
    ----------
    x, y, between, average
        As in `linear`.
    center : float
        Where the step is half way.
    width : float
        Full width at half maximum of its derivative, axis units.
    edge : {"erf", "arctan"}
        A Gaussian's or a Lorentzian's integral.

    Returns
    -------
    background : ndarray, shape (N,)
    params : dict
        ``low``, ``high``, ``center``, ``width``, ``converged``.

    Raises
    ------
    ModelError
        If the arrays, the window or the width cannot be used.
    """
    xs, ys, window = _prepare("step", x, y, between, average)
    if edge not in ("erf", "arctan"):
        raise ModelError(f"step: edge {edge!r}: {nearest(edge, ('erf', 'arctan'))}")
    if not width > 0.0:
        raise ModelError(f"step: width is {width:g}; it must be positive")
    xw = xs[window]
    low, high = _ends(ys, window, average)
    name = "gaussian" if edge == "erf" else "lorentzian"
    cumulative = SHAPES[name].cumulative
    assert cumulative is not None
    rise = np.asarray(cumulative(xw, 1.0, center, width)[0])
    span = rise[-1] - rise[0]
    if not span > 0.0:
        raise ModelError(
            f"step: center {center:g} lies outside {xw[0]:g} to {xw[-1]:g}; move it inside"
        )
    inside = low + (high - low) * (rise - rise[0]) / span
    return _spread(ys, window, inside), {
        "low": low,
        "high": high,
        "center": center,
        "width": width,
        "converged": bool(np.isfinite(low)),
    }


def polynomial(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    peaks: Window,
    order: int = 2,
    between: Window | None = None,
    average: int = 1,
) -> Static:
    """Fit a polynomial to the points beside the peaks, weighted as counts are.

    Parameters
    ----------
    x, y, between
        As in `linear`; outside ``between`` nothing is fitted and the background is constant.
    peaks : (low, high)
        Range that is left out.
    order : int
        0 to 5.
    average : int
        Without meaning here.

    Returns
    -------
    background : ndarray, shape (N,)
    params : dict
        ``coefficients`` (rising powers of x scaled to -1 to 1), ``converged``.

    Raises
    ------
    ModelError
        If fewer points than coefficients lie beside the peaks, or the arrays cannot be used.
    """
    xs, ys, window = _prepare("polynomial", x, y, between, average)
    xw, yw = xs[window], ys[window]
    beside = (xw < min(peaks)) | (xw > max(peaks))
    if not 0 <= order <= 5 or np.count_nonzero(beside) <= order + 1:
        raise ModelError(
            f"polynomial: order {order} through {np.count_nonzero(beside)} points beside "
            f"{min(peaks):g} to {max(peaks):g}; order 0 to 5 and more points than that are allowed"
        )
    scaled = 2.0 * (xw - xw[0]) / (xw[-1] - xw[0]) - 1.0
    if not np.isfinite(yw).all():
        return np.full_like(ys, np.nan), {"coefficients": np.full(order + 1, np.nan),
                                          "converged": False}  # fmt: skip
    least = max(float(np.max(np.abs(yw))) * 1e-6, 1e-300)
    weight = 1.0 / np.sqrt(np.maximum(np.abs(yw[beside]), least))
    found = np.polynomial.polynomial.polyfit(scaled[beside], yw[beside], order, w=weight)
    inside = np.polynomial.polynomial.polyval(scaled, found)
    return _spread(ys, window, inside), {"coefficients": found, "converged": True}


def baseline(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    method: str = "arpls",
    knobs: Mapping[str, Any] | None = None,
    between: Window | None = None,
    valid: npt.ArrayLike | None = None,
) -> Static:
    """Compute any baseline of pybaselines.

    Parameters
    ----------
    x, y : array_like, shape (N,)
        Axis and intensity.
    method : str
        Name of a method of ``pybaselines.Baseline``: ``"arpls"``, ``"modpoly"``, ``"snip"`` ...
    knobs : mapping, optional
        Its parameters (``{"lam": 1e6}``), as pybaselines documents them.
    between : (low, high), optional
        Window; outside it the baseline is constant.
    valid : array_like of bool, shape (N,), optional
        False: the point is bridged (a masked region, a spike).

    Returns
    -------
    background : ndarray, shape (N,)
    params : dict
        What pybaselines returned, scalars and small arrays; ``converged`` where it has a
        tolerance history.

    Raises
    ------
    ModelError
        If the method or a knob is unknown, or pybaselines refuses the data.
    """
    from pybaselines import Baseline
    from pybaselines.utils import ParameterWarning

    ys = np.asarray(y, dtype=float)
    if valid is not None:
        ys = np.where(np.asarray(valid, dtype=bool), ys, np.nan)
    xs, ys, window = _prepare("baseline", x, ys, between, 1)
    allowed = [m for m in dir(Baseline) if not m.startswith("_") and callable(getattr(Baseline, m))]
    if method not in allowed:
        raise ModelError(f"baseline: pybaselines has no {method!r}: {nearest(method, allowed)}")
    if np.isnan(ys).any():
        return ys, {"converged": False}
    given = dict(knobs or {})
    function: Callable[..., Any] = getattr(Baseline(x_data=xs[window]), method)
    known = set(inspect.signature(function).parameters) - {"data"}
    for knob in given:
        if knob not in known:
            raise ModelError(f"baseline: {method} has no {knob!r}: {nearest(knob, known)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ParameterWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            inside, params = function(ys[window], **given)
    except (ValueError, TypeError, np.linalg.LinAlgError) as error:
        raise ModelError(f"baseline: {method}: {str(error).splitlines()[0]}") from None
    found = dict(params)
    found["converged"] = _converged(found, given, function)
    return _spread(ys, window, np.asarray(inside, dtype=float)), found


def _converged(params: Mapping[str, Any], given: Mapping[str, Any], function: Any) -> bool:
    """Whether the last entry of pybaselines' tolerance history is within its tolerance."""
    history = params.get("tol_history")
    if history is None:
        return True
    default = inspect.signature(function).parameters.get("tol")
    tolerance = given.get("tol", default.default if default is not None else np.inf)
    last = np.ravel(history)
    return bool(last.size and last[-1] <= tolerance)


STATIC: dict[str, Callable[..., Static]] = {
    "linear": linear,
    "shirley": shirley,
    "offset_shirley": offset_shirley,
    "tougaard": tougaard,
    "step": step,
    "polynomial": polynomial,
    "baseline": baseline,
}

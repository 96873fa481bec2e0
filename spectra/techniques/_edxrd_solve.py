"""Energy scale, scattering angle and detector widths from measured lines, in one fit.

Unknown are ``E = c0 + c1 ch + c2 ch^2`` (keV), 2theta, and the widths ``fwhm^2 = noise^2 + 5.545 F
eps E (+ divergence^2 E^2 of diffraction lines)``. Source and fluorescence lines have known
energies; reflections of a standard have ``hc / (2 d sin(theta))``, so that they test the scale and
give the angle together. Lines of another spectrum of the same electronics may join, with a drift of
offset and gain between the two that is fitted within a stated size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ._edxrd_physics import EPSILON_GE, HC

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
_FWHM = 2.3548200450309493
NAMES = ("c0", "c1", "c2", "two_theta", "noise_keV", "fano", "divergence")
UNITS = ("keV", "keV", "keV", "deg", "keV", "1", "1")
TABLE_KEV = 1e-3
"""Standard error given to tabulated energies (X-ray lines broaden and shift chemically)."""
_STEP = {"c0": 1e-4, "c1": 1e-4, "c2": 1e-4, "two_theta": 1e-5, "noise2": 1e-5, "fano": 1e-4,
         "divergence2": 1e-9, "offset": 1e-5, "gain": 1e-7}  # fmt: skip
FANO, FANO_STDERR = 0.106, 0.03
"""What is known of the Fano factor of germanium before the fit; without it, few lines cannot tell
noise from Fano width."""


@dataclass(frozen=True)
class Datum:
    """One measured line.

    Parameters
    ----------
    kind : str
        ``"line"`` (energy known), ``"reflection"`` (d known), ``"elsewhere"`` (energy known, from
        another spectrum).
    label : str
        For people: source, or hkl.
    known : float
        Energy in keV, or d in angstrom.
    channel, stderr, fwhm, fwhm_stderr : float
        In channels; ``fwhm_stderr`` 0 where the width says nothing.
    """

    kind: str
    label: str
    known: float
    channel: float
    stderr: float
    fwhm: float
    fwhm_stderr: float
    area: float = 0.0


@dataclass(frozen=True)
class Solution:
    """What the joint fit found.

    Parameters
    ----------
    values : dict of str to float
        By `NAMES`.
    covariance : ndarray
        In the order of `NAMES`; rows of what was not fitted are zero.
    residual : ndarray
        Energy of each line minus what it should be, keV.
    sigma : ndarray
        Standard errors of the residuals, with the common scatter in them.
    used : ndarray of bool
    scatter : float
        Scatter of the lines beyond counting, as a share of their width.
    drift : tuple of float
        Offset (keV) and relative gain of the spectrum elsewhere against this one.
    """

    values: dict[str, float]
    covariance: Array
    residual: Array
    sigma: Array
    used: npt.NDArray[np.bool_]
    scatter: float
    drift: tuple[float, float] = (0.0, 0.0)
    fitted: frozenset[str] = field(default_factory=frozenset)


@dataclass
class _Problem:
    data: Sequence[Datum]
    degree: int
    scale: float
    drift: float
    angle: bool
    noise: float

    def __post_init__(self) -> None:
        kind = np.array([d.kind for d in self.data])
        self.reflection = kind == "reflection"
        self.elsewhere = kind == "elsewhere"
        self.known = np.array([d.known for d in self.data])
        self.ch = np.array([d.channel for d in self.data])
        self.ch_error = np.array([d.stderr for d in self.data])
        self.width = np.array([d.fwhm for d in self.data])
        self.width_error = np.array([d.fwhm_stderr for d in self.data])
        self.names = [f"c{i}" for i in range(self.degree + 1)]
        if self.angle:
            self.names.append("two_theta")
        clear = self.width_error > 0.0
        if clear.any():
            self.names += ["noise2", "fano"]
            if (clear & self.reflection).sum() > 2:
                self.names.append("divergence2")
        if self.elsewhere.any():
            self.names += ["offset", "gain"]

    def unpack(self, q: Array) -> dict[str, float]:
        p = {"c2": 0.0, "offset": 0.0, "gain": 0.0, "divergence2": 0.0}
        p |= {"noise2": self.noise**2, "fano": FANO}
        p.update(zip(self.names, map(float, q), strict=True))
        return p

    def energies(self, p: dict[str, float]) -> tuple[Array, Array, Array]:
        """Energy at each line, energy it should have, and keV per channel there."""
        u = self.ch / self.scale
        e = p["c0"] + u * (p["c1"] + u * p["c2"])
        per = (p["c1"] + 2.0 * u * p["c2"]) / self.scale
        e = np.where(self.elsewhere, e + p["offset"] + p["gain"] * e, e)
        should = self.known.copy()
        if self.reflection.any():
            half = np.radians(p["two_theta"]) / 2.0
            should[self.reflection] = HC / (2.0 * self.known[self.reflection] * np.sin(half))
        return e, should, per

    def model_width2(self, p: dict[str, float], energy: Array) -> Array:
        own = p["noise2"] + _FWHM**2 * p["fano"] * EPSILON_GE * energy
        return np.asarray(own + np.where(self.reflection, p["divergence2"] * energy**2, 0.0))

    def sigma(self, p: dict[str, float], scatter: float) -> Array:
        """Return the standard error of each line's energy."""
        _, should, per = self.energies(p)
        own = np.hypot(self.ch_error * per, TABLE_KEV)
        return np.asarray(np.hypot(own, scatter * np.sqrt(self.model_width2(p, should).clip(1e-8))))

    def residuals(self, q: Array, sigma: Array, used: Mask) -> Array:
        p = self.unpack(q)
        e, should, per = self.energies(p)
        parts = [((e - should) / sigma)[used]]
        clear = (self.width_error > 0.0) & used
        if clear.any():
            width = (self.width * per)[clear]
            # 3 %: lines are not exactly Gaussian
            error = 2.0 * width * np.hypot((self.width_error * per)[clear], 0.03 * width)
            parts.append((width**2 - self.model_width2(p, should)[clear]) / error)
            parts.append(np.array([(p["fano"] - FANO) / FANO_STDERR]))
        if self.elsewhere.any():
            parts.append(np.array([p["offset"] / self.drift, p["gain"] / (self.drift / 60.0)]))
        return np.concatenate(parts)


def solve(
    data: Sequence[Datum],
    start: Sequence[float],
    two_theta_deg: float | None,
    *,
    degree: int = 2,
    drift_keV: float = 0.005,
    noise_keV: float = 0.15,
) -> Solution:
    """Fit scale, angle and widths to lines.

    Lines that the others contradict (by more than five robust standard errors) are left out, one
    after the other. What scatter is left beyond counting enters as an error of every line in
    proportion to its width, so that strong lines do not lead by their counting error alone.

    Parameters
    ----------
    data : sequence of Datum
    start : sequence of float
        c0, c1 (and c2) to start from.
    two_theta_deg : float or None
        Start of the angle; None if there are no reflections.
    degree : {1, 2}
        Of the polynomial.
    drift_keV : float
        Expected size of the offset between this spectrum and lines from elsewhere.
    noise_keV : float
        Start of the noise; its value where no line tells its width.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError
        If there are fewer lines than unknowns.
    """
    from scipy.optimize import least_squares

    reflections = sum(d.kind == "reflection" for d in data)
    angle = reflections > 0
    unknown = degree + 1 + angle
    if len(data) < unknown:
        raise ValueError(f"{len(data)} lines for {unknown} unknowns")
    scale = max(d.channel for d in data)
    problem = _Problem(data, degree, scale, drift_keV, angle, noise_keV)
    c = [*start, 0.0, 0.0]
    first = {
        "c0": c[0], "c1": c[1] * scale, "c2": c[2] * scale**2, "two_theta": two_theta_deg or 0.0,
        "noise2": noise_keV**2, "fano": FANO, "divergence2": 1e-6, "offset": 0.0, "gain": 0.0,
    }  # fmt: skip
    q = np.array([first[n] for n in problem.names])
    floor = {"noise2": 0.0, "fano": 0.0, "divergence2": 0.0}
    lower = np.array([floor.get(n, -np.inf) for n in problem.names])
    typical = {"c0": 0.05, "c1": 0.05, "c2": 0.05, "two_theta": 0.003, "noise2": 0.01,
               "fano": 0.03, "divergence2": 1e-6, "offset": 0.005, "gain": 1e-4}  # fmt: skip
    sizes = np.array([typical[n] for n in problem.names])
    used = np.ones(len(data), bool)
    scatter = 0.0

    def run(q: Array, loss: str = "linear") -> Array:
        sigma = problem.sigma(problem.unpack(q), scatter)
        found = least_squares(
            problem.residuals,
            np.maximum(q, lower + 1e-12),
            args=(sigma, used),
            bounds=(lower, np.inf),
            x_scale=sizes,
            loss=loss,
            max_nfev=60,
        )
        return np.asarray(found.x)

    scatter = 0.03
    q = run(q, "soft_l1")
    for _ in range(8):
        scatter = 0.02
        q = run(q)
        freedom = int(used.sum()) - unknown
        worst = _stray(problem, q, used, freedom)
        if worst is None and freedom > 1:
            scatter = _scatter(problem, problem.unpack(q), used, freedom)
            p = problem.unpack(run(q, "soft_l1"))
            e, should, _ = problem.energies(p)
            pull = np.abs(e - should) / problem.sigma(p, min(scatter, 0.08))
            robust = max(1.0, 1.4826 * float(np.median(pull[used])))
            top = int(np.argmax(np.where(used, pull, 0.0)))
            worst = top if pull[top] > 5.0 * robust else None
        if worst is None:
            break
        used[worst] = False
    for _ in range(2):
        scatter = _scatter(problem, problem.unpack(q), used, int(used.sum()) - unknown)
        q = run(q)
    return _solution(problem, q, used, scatter, drift_keV)


def _scatter(problem: _Problem, p: dict[str, float], used: Mask, freedom: int) -> float:
    """Share of the width that makes chi-square of the lines equal to its degrees of freedom."""
    if freedom < 1:
        return 0.0
    e, should, _ = problem.energies(p)

    def excess(s: float) -> float:
        return float(np.sum(((e - should) / problem.sigma(p, s))[used] ** 2)) - freedom

    if excess(0.0) <= 0.0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if excess(middle) > 0.0 else (low, middle)
    return 0.5 * (low + high)


def _jacobian(problem: _Problem, q: Array, sigma: Array, used: Mask) -> Array:
    """Central differences with steps far below the errors."""
    columns = []
    for i, name in enumerate(problem.names):
        step = np.zeros_like(q)
        step[i] = _STEP[name]
        up, down = (problem.residuals(q + s, sigma, used) for s in (step, -step))
        columns.append((up - down) / (2.0 * _STEP[name]))
    return np.stack(columns, axis=1)


def _stray(problem: _Problem, q: Array, used: Mask, freedom: int) -> int | None:
    """Return the one line without which the others agree, if there is one.

    A line in the range where an amplifier saturates contradicts a polynomial that fits all others.
    With few lines it hides: the fit leans on it. So each line is judged by what chi-square loses
    without it, ``r^2 / (1 - h)`` with its leverage h.
    """
    if freedom < 2:
        return None
    sigma = problem.sigma(problem.unpack(q), 0.02)
    jac = _jacobian(problem, q, sigma, used)
    q1, _ = np.linalg.qr(jac / np.maximum(np.linalg.norm(jac, axis=0), 1e-300))
    leverage = np.sum(q1**2, axis=1)[: int(used.sum())]
    r = problem.residuals(q, sigma, used)[: int(used.sum())]
    chi2 = float(np.sum(r**2))
    lost = r**2 / np.maximum(1.0 - leverage, 1e-3)
    passes = (lost > 9.0) & ((chi2 - lost) / (freedom - 1) < 0.3 * chi2 / freedom)
    if not passes.any():
        return None
    at = np.flatnonzero(used)
    # where several would do, the line at the end of the range is the one extrapolated to
    top = int(np.argmax(problem.ch[at]))
    return int(at[top if passes[top] else int(np.argmax(np.where(passes, lost, 0.0)))])


def _solution(problem: _Problem, q: Array, used: Mask, scatter: float, drift: float) -> Solution:
    p = problem.unpack(q)
    sigma = problem.sigma(p, scatter)
    jac = _jacobian(problem, q, sigma, used)
    size = np.maximum(np.linalg.norm(jac, axis=0), 1e-300)
    inverse = np.linalg.pinv((jac / size).T @ (jac / size), rcond=1e-13) / np.outer(size, size)
    values = {
        "c0": p["c0"],
        "c1": p["c1"] / problem.scale,
        "c2": p["c2"] / problem.scale**2,
        "two_theta": p.get("two_theta", np.nan),
        "noise_keV": float(np.sqrt(p["noise2"])),
        "fano": p["fano"],
        "divergence": float(np.sqrt(p["divergence2"])),
    }
    # derivative of what is reported by what was fitted; a root near zero is held off it
    factor = {"c1": 1.0 / problem.scale, "c2": 1.0 / problem.scale**2}
    for name, square in (("noise_keV", "noise2"), ("divergence", "divergence2")):
        if square in problem.names:
            k = problem.names.index(square)
            error = float(np.sqrt(max(inverse[k, k], 0.0)))
            factor[square] = 0.5 / max(values[name], np.sqrt(error), 1e-9)
    reported = {"noise2": "noise_keV", "divergence2": "divergence"}
    covariance = np.zeros((len(NAMES), len(NAMES)))
    place = [
        NAMES.index(reported.get(n, n)) if reported.get(n, n) in NAMES else -1
        for n in problem.names
    ]
    for i, a in enumerate(place):
        for j, b in enumerate(place):
            if a >= 0 and b >= 0:
                one, two = problem.names[i], problem.names[j]
                covariance[a, b] = inverse[i, j] * factor.get(one, 1.0) * factor.get(two, 1.0)
    e, should, _ = problem.energies(p)
    return Solution(
        values,
        covariance,
        e - should,
        sigma,
        used.astype(bool),
        scatter,
        (p["offset"], p["gain"]),
        frozenset(NAMES[a] for a in place if a >= 0),
    )

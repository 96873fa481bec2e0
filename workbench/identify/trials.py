"""Sets of species tried on several spectra at once, each scored by its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .evidence import View, typical_width
from .fitted import Amounts, Fitted
from .flexible import RIGID, Freedom

Array = npt.NDArray[np.float64]
Set = frozenset[str]

_RATIO_ERROR = 0.1
"""Relative error of sensitivity factors and the like between two spectra of one sample."""
_SCALE_SPREAD = float(np.log(3.0))
"""Spread of the logarithm of the scale between two spectra of one technique."""
_SHAPE_PRICE, _MOVED_PRICE = 6.0, 2.0
"""Minus twice the log odds, beforehand, of a free line shape and of a species off the scale."""


@dataclass(frozen=True)
class Trial:
    """One set of species fitted to all spectra.

    Parameters
    ----------
    species : frozenset of str
    freedom : Freedom
    deviance : float
        Summed over the spectra, with the price of amounts that disagree between them; infinite
        where a fit failed or an amount is negative.
    free, points : int
        Fitted parameters and data points of all spectra.
    fits : tuple of Fitted
        One per spectrum; empty where a fit failed.
    saved : float
        What amounts tied between spectra save of the price of their freedom.
    """

    species: Set
    freedom: Freedom
    deviance: float
    free: int
    points: int
    fits: tuple[Fitted, ...]
    saved: float

    @property
    def reduced(self) -> float:
        """Deviance per degree of freedom."""
        return self.deviance / max(self.points - self.free, 1)


class Trials:
    """Trials of sets on some spectra, each done once.

    Parameters
    ----------
    views : sequence of View
    prior : mapping of str to float
        Log odds of each candidate before the data.
    """

    def __init__(self, views: Sequence[View], prior: Mapping[str, float]) -> None:
        self.views = list(views)
        self.prior = prior
        self.done: dict[tuple[Set, Freedom], Trial] = {}
        self._scores: dict[tuple[Set, Freedom, float], float] = {}
        self._waves: dict[tuple[Set, Freedom], float] = {}

    def __call__(self, species: Set, freedom: Freedom = RIGID, *, again: bool = False) -> Trial:
        """Return the trial of a set; ``again`` fits it once more and keeps the better one."""
        freedom = Freedom(freedom.shape, freedom.moved & species)
        key = (species, freedom)
        known = self.done.get(key)
        if known is None or again:
            tried = self._try(species, freedom)
            if known is None or tried.deviance < known.deviance:
                self.done[key] = tried
                if known is not None:
                    self._scores.clear()
                    self._waves.pop(key, None)
        return self.done[key]

    def _try(self, species: Set, freedom: Freedom) -> Trial:
        points = sum(view.points for view in self.views)
        fits = [view.fit(species, freedom) for view in self.views]
        good = tuple(f for f in fits if f is not None)
        if len(good) < len(fits):
            return Trial(species, freedom, float("inf"), 0, points, (), 0.0)
        price, saved = disagreement(self.views, good)
        deviance = sum(f.deviance for f in good) + price
        free = sum(f.plan.size for f in good)
        return Trial(species, freedom, deviance, free, points, good, saved)

    def of(self, freedom: Freedom) -> list[Trial]:
        """Return all trials with a freedom."""
        return [
            t
            for t in self.done.values()
            if t.freedom.shape == freedom.shape and t.freedom.moved == freedom.moved & t.species
        ]

    def dispersion_of(self, freedom: Freedom) -> float:
        """Return how far the best fit with a freedom scatters over the noise; 1 if not clearly.

        The larger of the reduced deviance and the variance of the residual summed over a line's
        width: what no set can explain is seldom white, and would else be bought with species.
        """
        found = [t for t in self.of(freedom) if np.isfinite(t.deviance)]
        if not found:
            return 1.0
        best = min(found, key=lambda t: t.reduced)
        limit = 1.0 + 3.0 * float(np.sqrt(2.0 / max(best.points - best.free, 1)))
        if best.reduced <= limit:
            return 1.0
        key = (best.species, best.freedom)
        if key not in self._waves:
            self._waves[key] = _wave(self.views, best.fits)
        return max(best.reduced, self._waves[key])

    def score(self, trial: Trial, dispersion: float) -> float:
        """Return minus twice the log of evidence times prior."""
        if not np.isfinite(trial.deviance):
            return float("inf")
        price = _SHAPE_PRICE * trial.freedom.shape + _MOVED_PRICE * len(trial.freedom.moved)
        key = (trial.species, trial.freedom, dispersion)
        if key not in self._scores:
            occam = sum(f.occam(dispersion) for f in trial.fits) + trial.saved
            odds = sum(self.prior[s] for s in trial.species)
            self._scores[key] = trial.deviance / dispersion + occam + price - 2.0 * odds
        return self._scores[key]

    def best(self, freedom: Freedom) -> Trial:
        """Return the best of the trials with a freedom."""
        dispersion = self.dispersion_of(freedom)
        return min(self.of(freedom), key=lambda t: (self.score(t, dispersion), sorted(t.species)))


def _wave(views: Sequence[View], fits: Sequence[Fitted]) -> float:
    """Return the variance of residuals summed over a line's width, over that of white noise."""
    squares, number = 0.0, 0
    for view, fitted in zip(views, fits, strict=True):
        residual, _, weight = view.residual(fitted)
        seen = residual[weight > 0.0]
        width = typical_width(fitted.plan, fitted.full) / float(np.median(np.diff(view.x)))
        size = int(np.clip(round(width), 1, max(seen.size // 4, 1)))
        sums = np.convolve(seen, np.ones(size), mode="valid")
        squares += float(sums @ sums) / size
        number += sums.size
    return squares / max(number, 1)


def disagreement(views: Sequence[View], fits: Sequence[Fitted]) -> tuple[float, float]:
    """Return the price of amounts that differ between spectra of one sample.

    Two spectra that show the same species must do so in one ratio: ``A2 = k A1`` for all of them,
    within errors and a tenth (sensitivity factors). The scale ``k`` is free; between spectra of one
    technique it has a broad prior around one, so that a species cannot hide its partner line.

    Returns
    -------
    price : float
        Squares to add.
    saved : float
        What the ties save of the price of the second spectrum's freedom (negative).
    """
    sources = sorted({view.source for view in views})
    if len(sources) < 2:
        return 0.0, 0.0
    found = [of_source(views, fits, source) for source in sources]
    techniques = [next(v for v in views if v.source == s).ds.attrs["technique"] for s in sources]
    price, saved = 0.0, 0.0
    scales = np.linspace(-6.0, 6.0, 97)
    for j, second in enumerate(found):
        for i, first in enumerate(found[:j]):
            if first is None or second is None:
                continue
            both = [s for s in second.species if s in first.species]
            if not both:
                continue
            one, two = ([m.species.index(s) for s in both] for m in (first, second))
            a, b = first.raw[one], second.raw[two]
            va, vb = first.covariance[np.ix_(one, one)], second.covariance[np.ix_(two, two)]
            va = va + np.diag((_RATIO_ERROR * a) ** 2)
            vb = vb + np.diag((_RATIO_ERROR * b) ** 2)
            same = techniques[i] == techniques[j]
            center = 0.0 if same else float(np.log(max(b.sum(), 1e-300) / max(a.sum(), 1e-300)))
            tried = []
            for scale in scales + center:
                k = float(np.exp(scale))
                off, spread = b - k * a, vb + k * k * va
                squares = float(off @ np.linalg.solve(spread, off))
                tried.append((squares + (scale / _SCALE_SPREAD) ** 2 * same, k))
            least, k = min(tried)
            price += least
            _, log = np.linalg.slogdet(2.0 * np.pi * (vb + k * k * va))
            room = 2.0 * float(np.sum(np.log(second.room[two])))
            saved += (float(log) - room) * (len(both) - 1) / len(both)
            break
    return price, saved


def of_source(
    views: Sequence[View], fits: Sequence[Fitted], source: int, dispersion: float = 1.0
) -> Amounts | None:
    """Return mean amounts over the views of one source, weighted with their numbers of spectra."""
    mine = [(v, f) for v, f in zip(views, fits, strict=True) if v.source == source]
    whole = sum(v.count for v, _ in mine)
    known = [
        (v.count / whole, one) for v, f in mine if (one := v.amounts(f, dispersion)) is not None
    ]
    if not known:
        return None
    first = known[0][1]
    return Amounts(
        first.species,
        np.sum([share * one.raw for share, one in known], axis=0),
        np.sum([share**2 * one.covariance for share, one in known], axis=0),
        np.sum([share * one.room for share, one in known], axis=0),
        np.sum([share * one.draws for share, one in known], axis=0),
        first.kind,
        first.units,
    )

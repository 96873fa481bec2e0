"""Predicts how neighbours of a fitted set would fit, by linear algebra on its Jacobian."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..engine.plan import jacobian
from .evidence import View, area_columns, solved
from .fitted import Fitted
from .trials import Set, Trial

Array = npt.NDArray[np.float64]

_BELOW = 2.0
"""Standard errors that an amount may lie below zero."""


class Screen:
    """Scores of a fitted set's neighbours, to first order.

    Parameters
    ----------
    trial : Trial
    views : sequence of View
    names : sequence of str
        Candidates.
    """

    def __init__(self, trial: Trial, views: Sequence[View], names: Sequence[str]) -> None:
        self._parts = [
            _Part(view, fitted, [n for n in names if view.shows(n)])
            for view, fitted in zip(views, trial.fits, strict=True)
        ]

    def score(self, out: Set, into: Set, dispersion: float) -> float:
        """Return the predicted score of a neighbour, but for its prior; infinite if negative."""
        total, above = 0.0, dict.fromkeys(into, False)
        for part in self._parts:
            value, positive = part.predict(out, into, dispersion)
            total += value
            for name in positive:
                above[name] = True
        return total if all(above.values()) else float("inf")

    def spreads(self, name: str) -> list[float]:
        """Return, per spectrum, the error the area of an absent species has; NaN where unseen."""
        return [part.spread(name) for part in self._parts]


class _Part:
    """Normal equations of one spectrum: the fit's parameters, then areas of absent species."""

    def __init__(self, view: View, fitted: Fitted, names: Sequence[str]) -> None:
        self.fitted = fitted
        residual, jac, weight = view.residual(fitted)
        self.inside = area_columns(fitted.plan)
        outside = [n for n in names if n not in self.inside]
        self.size = jac.shape[0]
        self.outside: dict[str, list[int]] = {}
        rows = [jac]
        if outside:
            union = view.plan([*self.inside, *outside])
            start = view.starting(union, fitted.values)
            _, more = jacobian(union, view.x, start[None])
            columns = area_columns(union)
            for name in outside:
                at = sum(len(r) for r in rows)
                self.outside[name] = list(range(at, at + len(columns[name])))
                rows.append(more[0][columns[name]] * weight)
        every = np.concatenate(rows)
        self.gram = every @ every.T
        self.right = every @ residual
        self.square = float(residual @ residual)
        self.ranges = np.concatenate(
            [fitted.ranges, np.full(len(every) - self.size, view.intensity)]
        )
        self.own = {n: _private(fitted, n, c) for n, c in self.inside.items()}

    def predict(self, out: Set, into: Set, dispersion: float) -> tuple[float, list[str]]:
        gone = [c for s in out for c in self.inside.get(s, ())]
        dropped = {c for s in out for c in self.own.get(s, ())} | set(gone)
        added = [c for s in into for c in self.outside.get(s, ())]
        kept = [c for c in range(self.size) if c not in dropped] + added
        p = self.fitted.p[gone]
        square = self.square
        right = self.right[kept]
        if gone:
            right = right + self.gram[np.ix_(kept, gone)] @ p
            square += float(2.0 * self.right[gone] @ p + p @ self.gram[np.ix_(gone, gone)] @ p)
        if not kept:
            return square / dispersion, []
        gram = self.gram[np.ix_(kept, kept)]
        step = solved(gram, right)
        square = max(square - float(right @ step), 0.0)
        ranges = self.ranges[kept]
        said = np.isfinite(ranges)
        before = np.where(said, 1.0 / np.where(said, ranges, 1.0) ** 2, 0.0)
        precision = gram / dispersion + np.diag(before)
        diagonal = np.maximum(np.diagonal(precision), 1e-300)
        scale = 1.0 / np.sqrt(diagonal)
        inner = precision * scale[:, None] * scale[None, :] + 1e-12 * np.eye(len(kept))
        _, log = np.linalg.slogdet(inner)
        paid = float(log) + float(np.sum(np.log(diagonal[said] * ranges[said] ** 2)))
        paid += float(np.count_nonzero(~said)) * np.log(self.fitted.points)
        paid -= float(np.count_nonzero(said)) * np.log(2.0 * np.pi)
        place = {c: k for k, c in enumerate(kept)}
        positive = []
        spread = np.sqrt(np.maximum(np.diagonal(np.linalg.inv(inner)), 0.0)) * scale
        for s in into:
            columns = [place[c] for c in self.outside.get(s, ())]
            if columns and sum(step[columns]) > -_BELOW * float(spread[columns].sum()):
                positive.append(s)
        return square / dispersion + paid, positive

    def spread(self, name: str) -> float:
        if name not in self.outside:
            return float("nan")
        column = self.outside[name][0]
        kept = [*range(self.size), column]
        unit = np.zeros(len(kept))
        unit[-1] = 1.0
        return float(np.sqrt(max(solved(self.gram[np.ix_(kept, kept)], unit)[-1], 0.0)))


def _private(fitted: Fitted, name: str, areas: Sequence[int]) -> list[int]:
    """Return the columns, other than areas, that only this species' components use."""
    plan = fitted.plan
    users: dict[int, set[str]] = {}
    for component in plan.components:
        for key in component.params:
            for c in plan.columns_of(plan.index[f"{component.name}.{key}"]):
                users.setdefault(int(c), set()).add(component.species or component.name)
    return [c for c, who in users.items() if who == {name} and c not in areas]

"""How far an unmixing can be turned without losing fit or sign: the band of rotational ambiguity.

``C S = (C T)(T^-1 S)`` for every invertible T: many pairs of amounts and spectra fit equally well.
Constraints leave a set of T; its extremes are found for the share of each component in the whole
signal, as in MCR-BANDS (R. Tauler, J. Chemometrics 15 (2001) 627; J. Jaumot and R. Tauler,
Chemom. Intell. Lab. Syst. 103 (2010) 96).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """Extremes of each component's share of the signal.

    Attributes
    ----------
    share, low, high : ndarray, shape (n,)
        ``||c_k s_k|| / ||C S||`` as found, at its least and at its most.
    turns : ndarray, shape (n, 2, n, n)
        The T that give the least and the most of each component.
    """

    share: Array
    low: Array
    high: Array
    turns: Array


@dataclass(frozen=True)
class Limits:
    """What a turned solution must keep.

    Attributes
    ----------
    amount, spectrum : ndarray, shapes (B, n) and (n, N)
        How far below zero each may be (its uncertainty).
    floor, ceiling : ndarray, shape (n, N)
        Where a spectrum must stay (soft components); infinite where it is free.
    fixed : tuple of int
        Components whose spectra do not change.
    """

    amount: Array
    spectrum: Array
    floor: Array
    ceiling: Array
    fixed: tuple[int, ...] = ()


class _Problem:
    """Rows of the inequality system for one working set; everything in scaled units."""

    def __init__(self, amount: Array, spectra: Array, limits: Limits) -> None:
        self.count = amount.shape[1]
        top_c = np.maximum(amount.max(axis=0), 1e-300)
        top_s = np.maximum(spectra.max(axis=1), 1e-300)
        # Each component's largest amount and largest signal become 1; T stays as it is.
        both = np.sqrt(top_c / top_s)
        self.unit = both
        self.c, self.s = amount / both, spectra * both[:, None]
        self.tol_c, self.tol_s = limits.amount / both, limits.spectrum * both[:, None]
        self.floor, self.ceiling = limits.floor * both[:, None], limits.ceiling * both[:, None]
        self.scale_c = np.maximum(self.c.max(axis=0), 1e-300)
        self.scale_s = np.maximum(self.s.max(axis=1), 1e-300)
        self.gram_c, self.gram_s = self.c.T @ self.c, self.s @ self.s.T
        self.total = float(np.sqrt(np.sum(self.gram_c * self.gram_s)))
        free = [k for k in range(self.count) if k not in limits.fixed]
        self.places = [(i, j) for i in free for j in range(self.count) if i != j]
        self.soft = np.isfinite(self.floor).any(axis=1)

    def turn(self, p: Array) -> Array:
        t = np.eye(self.count)
        for value, (i, j) in zip(p, self.places, strict=True):
            t[i, j] = value
        return t

    def share(self, p: Array, k: int) -> float:
        t = self.turn(p)
        try:
            back = np.linalg.inv(t)
        except np.linalg.LinAlgError:
            return 0.0
        c2 = t[:, k] @ self.gram_c @ t[:, k]
        s2 = back[k] @ self.gram_s @ back[k]
        return float(np.sqrt(max(c2 * s2, 0.0)) / self.total)

    def values(self, p: Array, rows: Array, columns: Array) -> Array:
        """All inequalities of a working set, each at least zero where it holds."""
        t = self.turn(p)
        back = np.linalg.pinv(t)
        amounts = (self.c[rows] @ t + self.tol_c[rows]) / self.scale_c
        spectra = (back @ self.s[:, columns] + self.tol_s[:, columns]) / self.scale_s[:, None]
        parts = [amounts.ravel(), spectra.ravel()]
        if self.soft.any():
            turned = back[self.soft] @ self.s[:, columns]
            scale = self.scale_s[self.soft, None]
            parts.append(((turned - self.floor[self.soft][:, columns]) / scale).ravel())
            parts.append(((self.ceiling[self.soft][:, columns] - turned) / scale).ravel())
        return np.concatenate(parts)

    def broken(self, p: Array, most: int) -> tuple[Array, Array, float]:
        """Return rows and columns whose inequalities fail worst, and by how much."""
        t = self.turn(p)
        back = np.linalg.pinv(t)
        amounts = ((self.c @ t + self.tol_c) / self.scale_c).min(axis=1)
        turned = back @ self.s
        spectra = ((turned + self.tol_s) / self.scale_s[:, None]).min(axis=0)
        if self.soft.any():
            scale = self.scale_s[self.soft, None]
            low = ((turned[self.soft] - self.floor[self.soft]) / scale).min(axis=0)
            high = ((self.ceiling[self.soft] - turned[self.soft]) / scale).min(axis=0)
            spectra = np.minimum(spectra, np.minimum(low, high))
        rows, columns = np.argsort(amounts)[:most], np.argsort(spectra)[:most]
        return (
            rows[amounts[rows] < -1e-9],
            columns[spectra[columns] < -1e-9],
            float(min(amounts.min(), spectra.min())),
        )

    def first(self, most: int = 6) -> tuple[Array, Array]:
        """Rows and columns that are nearest to pure: where one is least against another."""
        rows: set[int] = set()
        columns: set[int] = set()
        for i in range(self.count):
            for j in range(self.count):
                if i != j:
                    ratio = (self.c[:, i] + self.tol_c[:, i]) / np.maximum(self.c[:, j], 1e-12)
                    rows.update(int(k) for k in np.argsort(ratio)[:most])
                    ratio = (self.s[i] + self.tol_s[i]) / np.maximum(self.s[j], 1e-12)
                    columns.update(int(k) for k in np.argsort(ratio)[:most])
        return np.array(sorted(rows)), np.array(sorted(columns))


def band(amount: Array, spectra: Array, limits: Limits, *, rounds: int = 12) -> Band:
    """Find the least and the most of each component's share that the constraints allow.

    Sequential quadratic programming on T with a growing set of inequalities: those nearest to
    binding first, then whatever the solution breaks.

    Parameters
    ----------
    amount : ndarray, shape (B, n)
    spectra : ndarray, shape (n, N)
    limits : Limits
    rounds : int
        At most so many times inequalities are added.

    Returns
    -------
    Band
    """
    problem = _Problem(amount, spectra, limits)
    n, size = problem.count, len(problem.places)
    share = np.array([problem.share(np.zeros(size), k) for k in range(n)])
    low, high = share.copy(), share.copy()
    turns = np.broadcast_to(np.eye(n), (n, 2, n, n)).copy()
    if not size:
        return Band(share, low, high, turns)
    found = [np.zeros(size)]
    for k in range(n):
        for side, sign in ((0, 1.0), (1, -1.0)):
            best, at = share[k], np.zeros(size)
            for start in _starts(problem, found, k):
                p = _extreme(problem, start, k, sign, rounds)
                if p is not None and sign * problem.share(p, k) < sign * best:
                    best, at = problem.share(p, k), p
            found.append(at)
            (low if side == 0 else high)[k] = best
            # T of scaled quantities, back to those given.
            turns[k, side] = problem.turn(at) / problem.unit[:, None] * problem.unit[None, :]
    return Band(share, low, high, turns)


def _starts(problem: _Problem, found: list[Array], k: int) -> list[Array]:
    """Start at no turn, and at the best of what other searches ended with."""
    shares = [problem.share(p, k) for p in found]
    picked = {0, int(np.argmin(shares)), int(np.argmax(shares))}
    return [found[i] for i in sorted(picked)]


def _extreme(problem: _Problem, start: Array, k: int, sign: float, rounds: int) -> Array | None:
    """Return a turn of extreme share that breaks nothing by more than a thousandth, or None."""
    from scipy.optimize import minimize

    rows, columns = problem.first()
    p = start
    for _ in range(rounds):
        solved = minimize(
            lambda q: sign * problem.share(q, k),
            p,
            method="SLSQP",
            bounds=[(-3.0, 3.0)] * p.size,
            constraints={
                "type": "ineq",
                "fun": lambda q, r=rows, c=columns: problem.values(q, r, c),
            },
            options={"maxiter": 200, "ftol": 1e-9},
        )
        p = np.asarray(solved.x)
        if not np.isfinite(p).all():
            return None
        more_rows, more_columns, worst = problem.broken(p, 10)
        if worst > -1e-6:
            return p
        new_rows, new_columns = np.union1d(rows, more_rows), np.union1d(columns, more_columns)
        if new_rows.size == rows.size and new_columns.size == columns.size:
            break
        rows, columns = new_rows.astype(int), new_columns.astype(int)
    return _inward(problem, p)


def _inward(problem: _Problem, p: Array) -> Array | None:
    """Shrink a turn towards none until it breaks nothing; convex sets allow that."""
    for factor in 1.0 - np.geomspace(1e-4, 1.0, 40):
        if problem.broken(factor * p, 1)[2] > -1e-6:
            return np.asarray(factor * p)
    return None

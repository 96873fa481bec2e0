"""The reference engine: lmfit's leastsq (MINPACK) with lmfit's bounds, one spectrum at a time.

The model, its derivatives and the ties come from the plan, so that every shape, also a user's own,
and every expression is served; minimisation and bounds are lmfit's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .plan import Plan, jacobian, model
from .problem import Block, Solution, poisson_weight

Array = npt.NDArray[np.float64]

ROUNDS = 30
MOVE = 0.01
"""A Poisson fit ends when reweighting moves no parameter by this many standard errors."""


def solve(
    plan: Plan, block: Block, start: Array, *, done: Callable[[int], None] | None = None
) -> Solution:
    """Fit each spectrum with lmfit.

    Parameters
    ----------
    plan : Plan
    block : Block
    start : ndarray, shape (n,) or (B, n)
        Start values of the free parameters.
    done : callable, optional
        Told the number of spectra finished since it was last called.
    """
    count = len(block.y)
    out = Solution.empty(count, plan)
    starts = np.broadcast_to(start, (count, plan.size))
    for b in range(count):
        weight = block.weight[b]
        if np.count_nonzero(weight) >= plan.size:
            target = block.y[b] - (0.0 if block.background is None else block.background[b])
            p, nfev, ok = _one(plan, block.x, target, weight, starts[b])
            if block.poisson and ok:
                static = 0.0 if block.background is None else block.background[b]
                weight, p, more, ok = _reweighted(plan, block.x, target, static, weight, p)
                nfev += more
            curve, jac = jacobian(plan, block.x, p[None])
            rows = jac[0] * weight
            out.p[b] = p
            out.hessian[b] = rows @ rows.T
            out.chisqr[b] = float(np.sum(((target - curve[0]) * weight) ** 2))
            out.nfev[b], out.converged[b] = nfev, ok
        if done is not None:
            done(1)
    return out


def _reweighted(
    plan: Plan, x: Array, target: Array, static: Array | float, weight: Array, p: Array
) -> tuple[Array, Array, int, bool]:
    """Refit with w = 1/sqrt(model) until it stands still."""
    nfev = 0
    for _ in range(ROUNDS):
        w = poisson_weight(model(plan, x, p[None])[0] + static, weight)
        q, used, ok = _one(plan, x, target, w, p)
        nfev += used
        rows = jacobian(plan, x, q[None])[1][0] * w
        moved = float((q - p) @ (rows @ rows.T) @ (q - p))
        p = q
        if not ok:
            return w, p, nfev, False
        if moved < (0.1 * MOVE) ** 2:
            return w, p, nfev, True
    return w, p, nfev, moved < MOVE**2


def _one(plan: Plan, x: Array, y: Array, w: Array, start: Array) -> tuple[Array, int, bool]:
    """Return parameters, evaluations and success of one lmfit minimisation."""
    import lmfit

    if plan.size == 0:
        return np.zeros(0), 1, True
    params = lmfit.Parameters()
    for k, value in enumerate(_inside(plan, start)):
        params.add(f"p{k}", value=value, min=plan.lower[k], max=plan.upper[k])
    seen = w > 0.0
    xs, ys, ws = x[seen], y[seen], w[seen]

    def residual(pars: lmfit.Parameters) -> Array:
        p = np.array([[q.value for q in pars.values()]])
        out = (model(plan, xs, p)[0] - ys) * ws
        return np.where(np.isfinite(out), out, 1e15)

    def slope(pars: lmfit.Parameters) -> Array:
        p = np.array([[q.value for q in pars.values()]])
        out = jacobian(plan, xs, p)[1][0] * ws
        return np.where(np.isfinite(out), out, 0.0)

    minimizer = lmfit.Minimizer(residual, params, calc_covar=False)
    result = minimizer.leastsq(
        Dfun=slope, col_deriv=True, max_nfev=400 * (plan.size + 1), ftol=1e-12, xtol=1e-12
    )
    p = np.array([q.value for q in result.params.values()])
    return p, int(result.nfev), bool(result.success)


def _inside(plan: Plan, start: Array) -> Array:
    """Move starts off their bounds: lmfit's transform has no slope there."""
    p = np.array(start, dtype=float)
    for k in range(p.size):
        low, high = plan.lower[k], plan.upper[k]
        if low == high:
            continue
        room = high - low if np.isfinite(high - low) else max(abs(p[k]), 1.0)
        if p[k] <= low:
            p[k] = low + 0.01 * room
        elif p[k] >= high:
            p[k] = high - 0.01 * room
    return p

"""Levenberg-Marquardt for one spectrum, compiled: bounds, trust limits, projection, two precisions.

All of it is algebra on the Gram matrix H (lower half; row n is the gradient, its corner
chi-square): only an evaluation passes over the points.
"""

from __future__ import annotations

import math

import numpy as np
from numba import carray, njit

from .cache import compiled
from .frame import (
    BEFORE,
    DESCEND_SIGNATURE,
    EVALUATE32,
    EVALUATE64,
    FACTOR,
    FREE_COUNT,
    JACOBI,
    LENGTH,
    MOVED,
    RATIO,
    STEP,
    TRIAL,
    H,
    P,
    Q,
    call_evaluate,
    floats,
    full_of,
    ints,
    matrix,
    state_of,
    vector,
)
from .maths import FLAGS, INNER
from .tables import (
    LIMIT_BY,
    LIMIT_FACTOR,
    LINEAR,
    LOWER,
    MAY_BE_SINGLE,
    MAY_PROJECT,
    OWNER,
    SETTINGS,
    UPPER,
)
from .ties import transform

MAX_EVALUATIONS = 400
FAR = 1e-2
"""Below this expected reduction of chi-square evaluations are in float64."""


@njit(nogil=True, error_model="numpy", fastmath=FLAGS, **INNER)
def solve(h, lam, f):  # type: ignore[no-untyped-def]
    """Solve (H + lam diag H) step = g on the entries of state 0, by Jacobi-scaled Cholesky.

    The others move by ``moved``. Returns False if the matrix is not positive definite.
    """
    n = f[FREE_COUNT]
    low, step, scale = matrix(f, FACTOR), vector(f, STEP), vector(f, JACOBI)
    state, moved = state_of(f), vector(f, MOVED)
    for i in range(n):
        d = h[i, i]
        scale[i] = 1.0 / math.sqrt(d) if d > 0.0 else 0.0
    ok = True
    for i in range(n):
        li = low[i]
        if state[i] != 0 or scale[i] == 0.0:
            for j in range(i):
                li[j] = 0.0
            li[i] = 1.0
            step[i] = 0.0
            continue
        b = h[n, i]
        for j in range(n):
            if state[j] != 0 and moved[j] != 0.0:
                b -= (h[i, j] if j < i else h[j, i]) * moved[j]
        b *= scale[i]
        for j in range(i + 1):
            if j < i and (state[j] != 0 or scale[j] == 0.0):
                li[j] = 0.0
                continue
            v = h[i, j] * scale[i] * scale[j]
            lj = low[j]
            if i == j:
                v += lam
            for k in range(j):
                v -= li[k] * lj[k]
            if i == j:
                if not v > 1e-14:
                    ok = False
                    v = 1e-14
                li[i] = math.sqrt(v)
            else:
                li[j] = v / lj[j]
        for k in range(i):
            b -= li[k] * step[k]
        step[i] = b / li[i]
    for i in range(n - 1, -1, -1):
        if state[i] != 0 or scale[i] == 0.0:
            continue
        v = step[i]
        for k in range(i + 1, n):
            v -= low[k, i] * step[k]
        step[i] = v / low[i, i]
    for i in range(n):
        if state[i] != 0:
            step[i] = moved[i]
        else:
            step[i] *= scale[i]
    return ok


@njit(nogil=True, error_model="numpy", **INNER)
def project(f, h, p):  # type: ignore[no-untyped-def]
    """Move to the exact optimum of the linear parameters without a pass over the points.

    The column of a shape parameter is proportional to the amplitude that owns it, so H and g at the
    new amplitudes follow by rescaling (Kaufman's variable projection). Skipped at bounds.
    """
    n = f[FREE_COUNT]
    step, scale, ratio = vector(f, STEP), vector(f, JACOBI), vector(f, RATIO)
    state, moved = state_of(f), vector(f, MOVED)
    linear, owner = ints(f, LINEAR), ints(f, OWNER)
    lower, upper = floats(f, LOWER), floats(f, UPPER)
    for i in range(n):
        state[i] = 0 if linear[i] == 1 else 1
        moved[i] = 0.0
    if not solve(h, 0.0, f):
        return
    for i in range(n):
        ratio[i] = 1.0
        if linear[i] == 1 and (p[i] + step[i] < lower[i] or p[i] + step[i] > upper[i]):
            return
    for i in range(n):
        o = owner[i]
        if o >= 0:
            v = (p[o] + step[o]) / p[o] if p[o] != 0.0 else 0.0
            if not 0.1 < v < 10.0:
                return
            ratio[i] = v
    corner = h[n, n]
    for i in range(n):
        if linear[i] == 1:
            corner -= h[n, i] * step[i]
    for i in range(n):
        v = h[n, i]
        for j in range(n):
            if linear[j] == 1:
                v -= (h[i, j] if j <= i else h[j, i]) * step[j]
        scale[i] = v * ratio[i]
    for i in range(n):
        h[n, i] = scale[i] if linear[i] == 0 else 0.0
        for j in range(i + 1):
            h[i, j] *= ratio[i] * ratio[j]
        if linear[i] == 1:
            p[i] += step[i]
    h[n, n] = corner


@njit(nogil=True, error_model="numpy", **INNER)
def choose(f, h, p, lam, share):  # type: ignore[no-untyped-def]
    """Find the step inside bounds and trust limits, and the trial it leads to.

    Gauss-Newton steps may overshoot and swing about the minimum. Where a step runs back along the
    one before it (of which ``share`` was taken), the two tell by how much, and only that share
    of the step is tried.

    Returns
    -------
    lam : float
        The damping used.
    gain : float
        Expected reduction of the objective for the whole step.
    share : float
        Share of the step that the trial takes.
    """
    n = f[FREE_COUNT]
    step, scale, q = vector(f, STEP), vector(f, JACOBI), vector(f, Q)
    state, moved, before = state_of(f), vector(f, MOVED), vector(f, BEFORE)
    lower, upper = floats(f, LOWER), floats(f, UPPER)
    limit_by, limit_factor = ints(f, LIMIT_BY), floats(f, LIMIT_FACTOR)
    full = full_of(f)
    for i in range(n):
        g = h[n, i]
        state[i] = 1 if (p[i] <= lower[i] and g < 0) or (p[i] >= upper[i] and g > 0) else 0
        moved[i] = 0.0
    for _ in range(n + 30):
        solve(h, lam, f)
        over = 0.0
        for i in range(n):
            by = limit_by[i]
            if state[i] == 0 and by >= 0:
                limit = limit_factor[i] * abs(full[by])
                if limit > 0.0:
                    over = max(over, abs(step[i]) / limit)
        if over > 1.0 and lam < 1e6:
            lam = max(lam * 4.0, 1e-3)
            continue
        crossed = False
        for i in range(n):
            if state[i] == 0:
                to = p[i] + step[i]
                if to < lower[i] or to > upper[i]:
                    # onto the bound when it is near, else most of the way: it may come back
                    gap = (lower[i] if to < lower[i] else upper[i]) - p[i]
                    state[i] = 2
                    moved[i] = gap if abs(gap) < 2.0 * scale[i] else 0.7 * gap
                    crossed = True
        if not crossed:
            break
    gain = 0.0
    for i in range(n):
        v = 2.0 * h[n, i]
        for j in range(n):
            v -= (h[i, j] if j <= i else h[j, i]) * step[j]
        gain += v * step[i]
    take = 1.0
    if share > 0.0:
        across = 0.0
        own = 0.0
        past = 0.0
        for i in range(n):
            v = 0.0
            u = 0.0
            for j in range(n):
                hij = h[i, j] if j <= i else h[j, i]
                v += hij * step[j]
                u += hij * before[j]
            across += before[i] * v
            own += step[i] * v
            past += before[i] * u
        if past > 0.0 and own > 0.0 and across < -0.8 * math.sqrt(own * past):
            take = max(0.5, min(1.0, share / (1.0 - across / past)))
    for i in range(n):
        q[i] = min(max(p[i] + take * step[i], lower[i]), upper[i])
    return lam, gain, take


@njit(nogil=True, error_model="numpy", **INNER)
def look(f, low, poisson, p, out):  # type: ignore[no-untyped-def]
    """Evaluate at ``p`` in one of the precisions; returns the objective."""
    transform(f, p)
    if low == 1:
        return call_evaluate(f[EVALUATE32], f.ctypes.data, np.int64(0), out)
    return call_evaluate(f[EVALUATE64], f.ctypes.data, poisson, out)


def descend(pointer, poisson, edm, unit):  # type: ignore[no-untyped-def]
    """Minimise from vector ``P``; leaves parameters there and the Gram matrix in ``H``.

    Parameters
    ----------
    pointer : address
        The frame.
    poisson : int
        1: weights and objective of the Poisson likelihood.
    edm, unit : float
        Ends when the expected reduction falls below ``edm``, times chi-square / ``unit`` if that
        is above 0.

    Returns
    -------
    float
        Evaluations; negative if the fit did not converge. Chi-square (Pearson's for Poisson) is
        the corner of H.
    """
    f = carray(pointer, (LENGTH,))
    n = f[FREE_COUNT]
    h, trial = matrix(f, H), matrix(f, TRIAL)
    p, q = vector(f, P), vector(f, Q)
    step, before = vector(f, STEP), vector(f, BEFORE)
    lower, upper = floats(f, LOWER), floats(f, UPPER)
    settings = ints(f, SETTINGS)
    low = settings[MAY_BE_SINGLE] if poisson == 0 else np.int64(0)
    for i in range(n):
        p[i] = min(max(p[i], lower[i]), upper[i])
    now = look(f, low, poisson, p, np.int64(H))
    count = 1
    if low == 1 and not math.isfinite(now):
        low = np.int64(0)
        now = look(f, low, poisson, p, np.int64(H))
        count += 1
    if not math.isfinite(now):
        return -float(count)
    may_project = settings[MAY_PROJECT] == 1 and poisson == 0
    if may_project:
        project(f, h, p)
        now = h[n, n]
        transform(f, p)
    lam = 1e-3
    refused = 0
    share = 0.0
    rho = 1.0
    while count < MAX_EVALUATIONS:
        lam, gain, take = choose(f, h, p, lam, share)
        goal = edm * now / unit if unit > 0.0 else edm
        if take < 0.9 or abs(rho - 1.0) > 0.25:
            goal *= 0.05  # where steps swing or creep, the expected gain is too small
        if gain <= goal and lam > 1e-3:
            # damping hides what the undamped step would gain
            _, gain, take = choose(f, h, p, 0.0, share)
            if gain <= goal:
                lam = 0.0
            else:
                lam, gain, take = choose(f, h, p, lam, share)
        if low == 1 and (gain < max(FAR, 1e-7 * now) or refused > 2):
            if gain > 0.0 and refused == 0:
                for i in range(n):
                    p[i] = q[i]
                    before[i] = step[i]
                share = take
                lam = min(lam, 1e-6)
            low = np.int64(0)
            now = look(f, low, poisson, p, np.int64(H))
            count += 1
            refused = 0
            if not math.isfinite(now):
                return -float(count)
            continue
        if gain <= goal and lam <= 1e-3:
            # the last step is taken unverified: it is shorter than sqrt(edm) standard errors
            if gain > 0.0:
                for i in range(n):
                    p[i] = q[i]
                if poisson == 0:
                    h[n, n] -= gain
            return float(count)
        after = look(f, low, poisson, q, np.int64(TRIAL))
        count += 1
        good = math.isfinite(after)
        if good and may_project and gain > 4.0 * n:
            project(f, trial, q)
            after = trial[n, n]
        rho = (now - after) / gain if good and gain > 0.0 else -1.0
        if rho > 1e-3:
            for i in range(n + 1):
                for j in range(i + 1):
                    h[i, j] = trial[i, j]
            now = after
            share = take
            for i in range(n):
                p[i] = q[i]
                before[i] = step[i]
            if rho > 0.75:
                lam *= 0.05
                if lam < 1e-9:
                    lam = 0.0
            elif rho < 0.25:
                lam = max(lam * 4.0, 1e-4)
            refused = 0
        else:
            lam = max(lam * 10.0, 1e-4)
            refused += 1
            share = 0.0
            if lam > 1e12:
                break
        transform(f, p)
    return -float(count)


def address() -> int:
    """Return the address of the minimiser."""
    return compiled(descend, DESCEND_SIGNATURE, "descend")

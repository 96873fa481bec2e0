"""Values, errors, flags and a status of one fit, compiled: the rules of `uncertainty`.

Spectra whose Gram matrix is nearly singular are left to `uncertainty.report`, which looks at its
eigenvectors; everything else is decided here.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .frame import FACTOR, INVERSE, STEP, Q, floats, full_of, ints, matrix, values_of, vector
from .maths import INNER
from .tables import (
    AMPLITUDE,
    AREA,
    AREA_GROUP,
    COLUMN_OF,
    FREE,
    FULL_LOWER,
    FULL_UPPER,
    HAS_BACKGROUND,
    ROW,
    SETTINGS,
    SHAPE_OF,
    WORTH,
)
from .uncertainty import (
    AT_BOUND,
    AT_MAX,
    AT_MIN,
    CORRELATED,
    FIXED,
    INDISTINCT,
    NO_VALUE,
    S_AT_BOUND,
    S_BACKGROUND,
    S_INDISTINCT,
    S_OK,
    S_UNDETERMINED,
    SINGULAR,
    TIED,
    UNDETERMINED,
)


@njit(nogil=True, error_model="numpy", **INNER)
def invert(h, n, low, inverse, lost, scale):  # type: ignore[no-untyped-def]
    """Covariance of the free parameters; False if some pivot says the matrix is singular."""
    for i in range(n):
        d = h[i, i]
        lost[i] = 0 if d > 0.0 and math.isfinite(d) else 1
        scale[i] = 1.0 / math.sqrt(d) if lost[i] == 0 else 0.0
    for i in range(n):
        for j in range(i + 1):
            v = h[i, j] * scale[i] * scale[j]
            if i == j and lost[i] == 1:
                v = 1.0
            for k in range(j):
                v -= low[i, k] * low[j, k]
            if i == j:
                if not v > SINGULAR:
                    return False
                low[i, i] = math.sqrt(v)
            else:
                low[i, j] = v / low[j, j]
    # the inverse of the factor into the strict upper half and its diagonal into `scale`-free form
    for j in range(n):
        inverse[j, j] = 1.0 / low[j, j]
        for i in range(j + 1, n):
            v = 0.0
            for k in range(j, i):
                v -= low[i, k] * inverse[k, j]
            inverse[i, j] = v / low[i, i]
    for i in range(n):
        for j in range(i + 1):
            v = 0.0
            for k in range(i, n):
                v += inverse[k, i] * inverse[k, j]
            low[i, j] = v
    for i in range(n):
        if low[i, i] > 1.0 / SINGULAR:
            return False
        for j in range(i + 1):
            v = low[i, j] * scale[i] * scale[j]
            inverse[i, j] = v
            inverse[j, i] = v
    return True


@njit(nogil=True, error_model="numpy", **INNER)
def wald(a, block, n, low, work):  # type: ignore[no-untyped-def]
    """Compute a' C^-1 a by Jacobi-scaled Cholesky, undetermined entries left out."""
    total = 0.0
    for i in range(n):
        work[i] = 0.0
        si = 1.0 / math.sqrt(block[i, i]) if block[i, i] > 0.0 else 0.0
        if si == 0.0:
            for j in range(i):
                low[i, j] = 0.0
            low[i, i] = 1.0
            continue
        b = a[i] * si
        for j in range(i + 1):
            sj = 1.0 / math.sqrt(block[j, j]) if block[j, j] > 0.0 else 0.0
            v = block[i, j] * si * sj
            for k in range(j):
                v -= low[i, k] * low[j, k]
            if i == j:
                low[i, i] = math.sqrt(max(v, SINGULAR))
            else:
                low[i, j] = v / low[j, j]
        for k in range(i):
            b -= low[i, k] * work[k]
        work[i] = b / low[i, i]
        total += work[i] * work[i]
    return total


@njit(nogil=True, error_model="numpy", **INNER)
def settle(t, factor, cov, lost, value, stderr, flag):  # type: ignore[no-untyped-def]
    """Fill one spectrum's row from its full parameters, C and free covariance; returns the status.

    Parameters
    ----------
    t : ndarray of int
        The frame, with full parameters and dP/dp at the solution and the covariance in ``INVERSE``.
    factor : float
        On the covariance (the reduced chi-square for data without errors).
    cov : ndarray, shape (P, P)
        Receives the covariance of all parameters.
    lost : ndarray of int, shape (n,)
        Free parameters nothing is known of.
    value, stderr, flag : ndarray, shape (P,)
    """
    row, column, free = ints(t, ROW), ints(t, COLUMN_OF), ints(t, FREE)
    shape_of, amplitude = ints(t, SHAPE_OF), ints(t, AMPLITUDE)
    area, area_group = ints(t, AREA), ints(t, AREA_GROUP)
    lower, upper = floats(t, FULL_LOWER), floats(t, FULL_UPPER)
    inverse, factor_ = matrix(t, INVERSE), matrix(t, FACTOR)
    full, values = full_of(t), values_of(t)
    areas_at = vector(t, Q)
    count = value.shape[0]
    n = free.shape[0]
    for i in range(count):
        value[i] = full[i]
        for j in range(i + 1):
            v = 0.0
            for e in range(row[i], row[i + 1]):
                if lost[column[e]] == 1:
                    continue
                u = 0.0
                for f in range(row[j], row[j + 1]):
                    if lost[column[f]] == 0:
                        u += values[f] * inverse[column[e], column[f]]
                v += values[e] * u
            v *= factor
            cov[i, j] = v
            cov[j, i] = v
        stderr[i] = math.sqrt(max(cov[i, i], 0.0))
        flag[i] = FIXED if row[i + 1] == row[i] else TIED
    for k in range(n):
        flag[free[k]] = 0
    unknown = False
    bound = False
    for i in range(count):
        if row[i + 1] == row[i]:
            continue
        near = AT_BOUND * stderr[i]
        for e in range(row[i], row[i + 1]):
            if lost[column[e]] == 1 and values[e] != 0.0:
                stderr[i] = np.nan
                flag[i] = UNDETERMINED
                near = 0.0
        at_min = value[i] <= lower[i] + near
        at_max = value[i] >= upper[i] - near
        if at_min:
            flag[i] = AT_MIN
        elif at_max:
            flag[i] = AT_MAX
    for i in range(count):
        if row[i + 1] == row[i]:
            continue
        of = shape_of[i]
        vanished = of >= 0 and (value[of] == 0.0 or flag[of] == AT_MIN)
        if math.isnan(stderr[i]) and not vanished:
            unknown = True
        if flag[i] == AT_MAX and amplitude[i] == 1:
            bound = True
        if (flag[i] == AT_MIN or flag[i] == AT_MAX) and amplitude[i] == 0 and not vanished:
            bound = True
    status = S_AT_BOUND if bound else S_OK
    areas = area.shape[0]
    if ints(t, SETTINGS)[HAS_BACKGROUND] == 1 and areas > 0:
        used = 0
        for a in range(areas):
            i = area[a]
            e = row[i]
            if row[i + 1] == e + 1 and free[column[e]] == i:
                areas_at[used] = value[i]
                other = 0
                for b in range(a + 1):
                    j = area[b]
                    f = row[j]
                    if row[j + 1] == f + 1 and free[column[f]] == j:
                        factor_[used, other] = cov[i, j]
                        factor_[other, used] = cov[i, j]
                        other += 1
                used += 1
        if used > 0:
            cost = wald(areas_at, factor_, used, inverse, vector(t, STEP))
            if math.isfinite(cost) and cost < floats(t, WORTH)[0]:
                status = S_BACKGROUND
    for a in range(areas):
        for b in range(a + 1, areas):
            i, j = area[a], area[b]
            if area_group[a] == area_group[b]:
                continue
            tied = False
            for e in range(row[i], row[i + 1]):
                for f in range(row[j], row[j + 1]):
                    if column[e] == column[f]:
                        tied = True
            if tied:
                continue
            both = stderr[i] * stderr[j]
            if both > 0.0 and abs(cov[i, j]) > CORRELATED * both:
                for k in (i, j):
                    if flag[k] != AT_MIN:
                        flag[k] = INDISTINCT
    for i in range(count):
        if flag[i] == INDISTINCT:
            status = S_INDISTINCT
    if unknown:
        status = S_UNDETERMINED
    return status


@njit(nogil=True, error_model="numpy", **INNER)
def fail(value, stderr, flag):  # type: ignore[no-untyped-def]
    """NaN and a flag: there is no value."""
    for i in range(value.shape[0]):
        value[i] = np.nan
        stderr[i] = np.nan
        flag[i] = NO_VALUE

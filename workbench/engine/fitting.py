"""Groups of spectra, compiled: the mean first, then its members, then the rescue of bad ones.

The same rules as `starts`, for which see there; a group needs nothing from outside, so threads and
chunks that keep groups whole give the same bits.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .cache import CACHED
from .frame import (
    DESCEND,
    FACTOR,
    FREE_COUNT,
    INVERSE,
    JACOBI,
    POINTS,
    H,
    P,
    call_descend,
    floats,
    ints,
    lines32,
    lines64,
    matrix,
    vector,
)
from .maths import INNER
from .outcome import fail, invert, settle
from .starts import COARSE, WORSE
from .tables import (
    AMPLITUDE,
    FREE,
    LOWER,
    MAY_BE_SINGLE,
    RESET,
    RESET_AREA,
    RESET_FIRST,
    SETTINGS,
    START,
)
from .ties import transform
from .uncertainty import S_NO_DATA, S_NOT_CONVERGED, S_TOO_FEW

COUNTS, SIGMA, UNIT = 0, 1, 2
"""Where weights come from: counts, given standard deviations, none."""


@njit(nogil=True, error_model="numpy", **INNER)
def fill(y, sigma, background, mode, weight, data, static):  # type: ignore[no-untyped-def]
    """Weights and data of one spectrum (NaN: no data); returns the number of points that count."""
    seen = 0
    some = background.shape[0] > 0
    for k in range(y.shape[0]):
        w = 1.0
        if mode == 0:
            w = 1.0 / math.sqrt(max(y[k], 1.0))
        elif mode == 1:
            w = 1.0 / sigma[k] if sigma[k] > 0.0 and math.isfinite(sigma[k]) else 0.0
        if not math.isfinite(y[k]) or (some and not math.isfinite(background[k])):
            w = 0.0
        weight[k] = w
        if w > 0.0:
            seen += 1
            data[k] = y[k]
            static[k] = background[k] if some else 0.0
        else:
            data[k] = 0.0
            static[k] = 0.0
    return seen


@njit(nogil=True, error_model="numpy", **INNER)
def load(f, weight, data, static, poisson):  # type: ignore[no-untyped-def]
    """Put a spectrum into the lines of both precisions, weighted."""
    lines, low = lines64(f), lines32(f)
    if poisson == 1:
        for k in range(data.shape[0]):
            seen = 1.0 if weight[k] > 0.0 else 0.0
            lines[1, k] = seen
            lines[2, k] = data[k] * seen
            lines[3, k] = static[k] * seen
        return
    for k in range(data.shape[0]):
        w = weight[k]
        lines[1, k] = w
        lines[2, k] = data[k] * w
        lines[3, k] = static[k] * w
    if ints(f, SETTINGS)[MAY_BE_SINGLE] == 1:
        for k in range(data.shape[0]):
            low[1, k] = np.float32(weight[k])
            low[2, k] = np.float32(lines[2, k] - lines[3, k])


@njit(nogil=True, error_model="numpy", **INNER)
def run(f, weight, data, static, poisson, edm, unit):  # type: ignore[no-untyped-def]
    """Fit one spectrum from ``P``: chi-square first, then the likelihood if asked for."""
    load(f, weight, data, static, np.int64(0))
    first_edm = 1e-1 if poisson == 1 else edm
    count = call_descend(f[DESCEND], f.ctypes.data, np.int64(0), first_edm, unit)
    done = count > 0.0
    count = abs(count)
    if poisson == 1:
        load(f, weight, data, static, np.int64(1))
        more = call_descend(f[DESCEND], f.ctypes.data, np.int64(1), edm, unit)
        done = more > 0.0
        count += abs(more)
    n = f[FREE_COUNT]
    return done, matrix(f, H)[n, n], int(count)


@njit(nogil=True, error_model="numpy", **INNER)
def group_start(f, members, y, sigma, background, mode, buffers, start):  # type: ignore[no-untyped-def]
    """Fit the mean of a group into ``start``; the user's start where that says nothing."""
    n = f[FREE_COUNT]
    points = f[POINTS]
    mean, variance, ground, times = buffers[0], buffers[1], buffers[2], buffers[3]
    weight, data, static = buffers[4], buffers[5], buffers[6]
    begin, lower, p = floats(f, START), floats(f, LOWER), vector(f, P)
    reset_area, reset_first, reset = ints(f, RESET_AREA), ints(f, RESET_FIRST), ints(f, RESET)
    mean[:] = 0.0
    variance[:] = 0.0
    ground[:] = 0.0
    times[:] = 0.0
    for k in range(members.shape[0]):
        m = members[k]
        fill(
            y[m], sigma[m if sigma.shape[0] > 1 else 0],
            background[m if background.shape[0] > 1 else 0], mode, weight, data, static,
        )  # fmt: skip
        for i in range(points):
            if weight[i] > 0.0:
                mean[i] += data[i]
                ground[i] += static[i]
                variance[i] += 1.0 / (weight[i] * weight[i])
                times[i] += 1.0
    seen = 0
    for i in range(points):
        if times[i] > 0.0:
            data[i] = mean[i] / times[i]
            static[i] = ground[i] / times[i]
            weight[i] = times[i] / math.sqrt(variance[i])
            seen += 1
        else:
            data[i] = 0.0
            static[i] = 0.0
            weight[i] = 0.0
    for i in range(n):
        p[i] = begin[i]
        start[i] = begin[i]
    if seen < max(n, 1):
        return
    unit = float(max(seen - n, 1)) if mode == UNIT else 0.0
    done, _, _ = run(f, weight, data, static, np.int64(0), COARSE, unit)
    if not done:
        return
    for i in range(n):
        if not math.isfinite(p[i]):
            return
    for i in range(n):
        start[i] = p[i]
    for r in range(reset_area.shape[0]):
        a = reset_area[r]
        if p[a] <= max(lower[a], 0.0):
            for e in range(reset_first[r], reset_first[r + 1]):
                start[reset[e]] = begin[reset[e]]


@njit(nogil=True, error_model="numpy", cache=CACHED)
def fit_groups(  # type: ignore[no-untyped-def]
    f, y, sigma, background, mode, poisson, order, first, edm, buffers, kept_p, kept_h, cov_out,
    value, stderr, flag, redchi, chisqr, ndata, nfev, status, hard, free_out,
):  # fmt: skip
    """Fit groups of spectra and report on each of them.

    Parameters
    ----------
    f : ndarray of int
        The frame of this worker.
    y, sigma, background : ndarray, shape (M, N)
        ``sigma`` and ``background`` may be of shape (1, 0): there are none.
    order, first : ndarray of int
        Group g is ``order[first[g]:first[g + 1]]``.
    kept_p, kept_h : ndarray
        Parameters and Gram matrices of one group.
    cov_out : ndarray, shape (M, P, P) or (1, P, P)
    hard : ndarray of int, shape (M,)
        Set where the Gram matrix is nearly singular and `uncertainty.report` has to look.
    """
    n = f[FREE_COUNT]
    weight, data, static = buffers[4], buffers[5], buffers[6]
    begin, p = floats(f, START), vector(f, P)
    start = np.empty(n)
    lost = np.zeros(n, np.int64)
    keep_cov = cov_out.shape[0] == y.shape[0]
    scaled = mode == UNIT and poisson == 0
    for g in range(first.shape[0] - 1):
        members = order[first[g] : first[g + 1]]
        size = members.shape[0]
        for i in range(n):
            start[i] = begin[i]
        if size > 1:
            group_start(f, members, y, sigma, background, mode, buffers, start)
        red = np.empty(size)
        ended = np.zeros(size, np.int64)
        for k in range(size):
            m = members[k]
            seen = fill(
                y[m], sigma[m if sigma.shape[0] > 1 else 0],
                background[m if background.shape[0] > 1 else 0], mode, weight, data, static,
            )  # fmt: skip
            ndata[m] = seen
            red[k] = np.inf
            if seen < max(n, 1):
                continue
            for i in range(n):
                p[i] = start[i]
            unit = float(max(seen - n, 1)) if scaled else 0.0
            done, chi, count = run(f, weight, data, static, poisson, edm, unit)
            nfev[m] = count
            chisqr[m] = chi
            if done and math.isfinite(chi):
                ended[k] = 1
                red[k] = chi / max(seen - n, 1)
            kept_p[k] = p
            kept_h[k] = matrix(f, H)
        _rescue(
            f, members, y, sigma, background, mode, poisson, scaled, buffers, edm, kept_p, kept_h,
            red, ended, chisqr, ndata, nfev,
        )  # fmt: skip
        for k in range(size):
            m = members[k]
            c = cov_out[m] if keep_cov else cov_out[0]
            dof = ndata[m] - n
            if ended[k] == 0 or dof < 0:
                status[m] = S_NOT_CONVERGED
                if dof < 0:
                    status[m] = S_TOO_FEW
                if ndata[m] == 0:
                    status[m] = S_NO_DATA
                redchi[m] = np.nan
                chisqr[m] = np.nan
                fail(value[m], stderr[m], flag[m])
                if keep_cov:
                    c[:, :] = np.nan
                continue
            redchi[m] = chisqr[m] / dof if dof > 0 else np.nan
            transform(f, kept_p[k])
            free_out[m] = kept_p[k]
            if not invert(
                kept_h[k], n, matrix(f, FACTOR), matrix(f, INVERSE), lost, vector(f, JACOBI)
            ):
                hard[m] = 1
                continue
            factor = redchi[m] if scaled and dof > 0 else 1.0
            status[m] = settle(f, factor, c, lost, value[m], stderr[m], flag[m])


@njit(nogil=True, error_model="numpy", **INNER)
def _rescue(  # type: ignore[no-untyped-def]
    f, members, y, sigma, background, mode, poisson, scaled, buffers, edm, kept_p, kept_h,
    red, ended, chisqr, ndata, nfev,
):  # fmt: skip
    """Refit bad members from the common start and from the best neighbour; keep the lowest."""
    n = f[FREE_COUNT]
    weight, data, static = buffers[4], buffers[5], buffers[6]
    begin, lower, p = floats(f, START), floats(f, LOWER), vector(f, P)
    amplitude, free = ints(f, AMPLITUDE), ints(f, FREE)
    size = members.shape[0]
    fine = np.sort(red[np.isfinite(red)])
    median = np.inf
    best = -1
    if fine.shape[0] > 0:
        h = fine.shape[0] // 2
        median = fine[h] if fine.shape[0] % 2 == 1 else 0.5 * (fine[h - 1] + fine[h])
        best = int(np.argmin(red))
    friend = np.empty(n)
    if best >= 0:
        friend[:] = kept_p[best]
    for k in range(size):
        m = members[k]
        if ndata[m] < max(n, 1):
            continue
        bad = ended[k] == 0 or red[k] > WORSE * median
        for i in range(n):
            if amplitude[free[i]] == 1 and kept_p[k, i] <= lower[i]:
                bad = True
        if not bad:
            continue
        seen = fill(
            y[m], sigma[m if sigma.shape[0] > 1 else 0],
            background[m if background.shape[0] > 1 else 0], mode, weight, data, static,
        )  # fmt: skip
        unit = float(max(seen - n, 1)) if scaled else 0.0
        for trial in range(2 if best >= 0 else 1):
            for i in range(n):
                p[i] = begin[i] if trial == 0 else friend[i]
            done, chi, count = run(f, weight, data, static, poisson, edm, unit)
            nfev[m] += count
            if done and chi / max(seen - n, 1) < red[k]:
                red[k] = chi / max(seen - n, 1)
                ended[k] = 1
                chisqr[m] = chi
                kept_p[k] = p
                kept_h[k] = matrix(f, H)

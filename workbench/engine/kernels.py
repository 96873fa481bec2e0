"""One fused pass over the points: weighted model, Jacobian tile and Gram matrix, compiled.

Per spectrum, tiles of a compile-time constant length: rows 0..n-1 hold the weighted columns, the
next row the weighted residual; H += J J^T in 4x4 register blocks. The Jacobian is never whole.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import carray, njit

from .cache import compiled
from .frame import (
    ARGS32,
    ARGS64,
    COLUMNS32,
    COLUMNS64,
    EVALUATE_SIGNATURE,
    FREE_COUNT,
    LENGTH,
    LINES32,
    LINES64,
    PLACES,
    POINTS,
    SIZE,
    SLOTS,
    TEMPLATES,
    TILE32,
    TILE64,
    TILE_GRAM,
    TILE_LENGTH,
    double,
    floats,
    full_of,
    ints,
    matrix,
    values_of,
    whole,
)
from .frame import (
    single as pointer32,
)
from .maths import FLAGS, INNER, log64
from .problem import COUNT_FLOOR
from .tables import (
    ADDRESS,
    ADDRESS32,
    COLUMN,
    COLUMN_OF,
    DIRECT,
    KIND,
    POSITION,
    REACH_CENTER,
    REACH_WIDTH,
    REACHES,
    REFERENCE,
    ROW,
    SCALE,
    SETTINGS,
    SHIFT,
    SLOT,
    SLOT_FIRST,
    TABLE,
    TABLE_FIRST,
    TABLE_X,
    TABLE_Y,
    WINDOWED,
)
from .tiles import MAX_PARAMS, call32, call64

LONG, SHORT = TILE_LENGTH, 64
"""Tile lengths; the short one serves the last points."""


@njit(nogil=True, error_model="numpy", **INNER)
def table_tile(f, k, lines, t0, n, area, shift, tile, r0, r1, model):  # type: ignore[no-untyped-def]
    """Tabulated curve with a moving shift: linear interpolation, zero outside the table."""
    place, tx, ty = ints(f, TABLE_FIRST), floats(f, TABLE_X), floats(f, TABLE_Y)
    first = place[k]
    last = place[k + 1] - 1
    j = first
    for i in range(n):
        u = lines[0, t0 + i] - shift
        w = lines[1, t0 + i]
        value = 0.0
        slope = 0.0
        if u >= tx[first] and u <= tx[last]:
            while j < last - 1 and tx[j + 1] <= u:
                j += 1
            slope = (ty[j + 1] - ty[j]) / (tx[j + 1] - tx[j])
            value = ty[j] + slope * (u - tx[j])
        tile[r0, i] = w * value
        tile[r1, i] = -w * area * slope
        tile[model, i] += w * area * value


def _gram_of(number: Any, length: int) -> Any:
    zero = number(0.0)

    @njit(nogil=True, fastmath=FLAGS, error_model="numpy", **INNER)
    def gram(jac, size, out):  # type: ignore[no-untyped-def]
        # fmt: off
        for i in range(0, size, 4):
            for j in range(0, i + 1, 4):
                s00 = zero; s01 = zero; s02 = zero; s03 = zero  # noqa: E702
                s10 = zero; s11 = zero; s12 = zero; s13 = zero  # noqa: E702
                s20 = zero; s21 = zero; s22 = zero; s23 = zero  # noqa: E702
                s30 = zero; s31 = zero; s32 = zero; s33 = zero  # noqa: E702
                a0 = jac[i]; a1 = jac[i + 1]; a2 = jac[i + 2]; a3 = jac[i + 3]  # noqa: E702
                b0 = jac[j]; b1 = jac[j + 1]; b2 = jac[j + 2]; b3 = jac[j + 3]  # noqa: E702
                for k in range(length):
                    x0 = a0[k]; x1 = a1[k]; x2 = a2[k]; x3 = a3[k]  # noqa: E702
                    y0 = b0[k]; y1 = b1[k]; y2 = b2[k]; y3 = b3[k]  # noqa: E702
                    s00 += x0 * y0; s01 += x0 * y1; s02 += x0 * y2; s03 += x0 * y3  # noqa: E702
                    s10 += x1 * y0; s11 += x1 * y1; s12 += x1 * y2; s13 += x1 * y3  # noqa: E702
                    s20 += x2 * y0; s21 += x2 * y1; s22 += x2 * y2; s23 += x2 * y3  # noqa: E702
                    s30 += x3 * y0; s31 += x3 * y1; s32 += x3 * y2; s33 += x3 * y3  # noqa: E702
                o0 = out[i]; o1 = out[i + 1]; o2 = out[i + 2]; o3 = out[i + 3]  # noqa: E702
                o0[j] += s00; o0[j + 1] += s01; o0[j + 2] += s02; o0[j + 3] += s03  # noqa: E702
                o1[j] += s10; o1[j + 1] += s11; o1[j + 2] += s12; o1[j + 3] += s13  # noqa: E702
                o2[j] += s20; o2[j + 1] += s21; o2[j + 2] += s22; o2[j + 3] += s23  # noqa: E702
                o3[j] += s30; o3[j + 1] += s31; o3[j + 2] += s32; o3[j + 3] += s33  # noqa: E702
        # fmt: on

    return gram


def _make(single: bool) -> Any:
    """Make the evaluation kernel of one precision."""
    number = np.float32 if single else np.float64
    nbytes = 4 if single else 8
    call = call32 if single else call64
    addresses = ADDRESS32 if single else ADDRESS
    pointer = pointer32 if single else double
    lines_at = LINES32 if single else LINES64
    tile_at = TILE32 if single else TILE64
    args_at = ARGS32 if single else ARGS64
    columns_at = COLUMNS32 if single else COLUMNS64
    zero, one = number(0.0), number(1.0)
    gram_long, gram_short = _gram_of(number, LONG), _gram_of(number, SHORT)

    @njit(nogil=True, fastmath=FLAGS, error_model="numpy", **INNER)
    def add_row(jac, to, of, factor, n, fresh):  # type: ignore[no-untyped-def]
        if fresh:
            for i in range(n):
                jac[to, i] = factor * jac[of, i]
        else:
            for i in range(n):
                jac[to, i] += factor * jac[of, i]

    @njit(nogil=True, fastmath=FLAGS, error_model="numpy", **INNER)
    def column_tile(column, lines, t0, n, area, jac, row, model):  # type: ignore[no-untyped-def]
        for i in range(n):
            v = lines[1, t0 + i] * column[t0 + i]
            jac[row, i] = v
            jac[model, i] += area * v

    @njit(nogil=True, fastmath=FLAGS, error_model="numpy", **INNER)
    def poisson_tile(lines, t0, n, used, jac, model):  # type: ignore[no-untyped-def]
        """Weights from the model: scale the rows, leave the residual in row ``used``."""
        floor = number(COUNT_FLOOR)
        total = 0.0
        for i in range(n):
            y = lines[2, t0 + i]
            w = lines[1, t0 + i]
            mu = jac[model, i]
            high = max(mu, floor)
            jac[used, i] = w / np.sqrt(high)
            total += w * (
                2.0 * (high - y + y * log64(max(y, 1e-300) / high))
                + ((mu - y) ** 2 - (high - y) ** 2) / floor
            )
        for r in range(used):
            for i in range(n):
                jac[r, i] *= jac[used, i]
        for i in range(n):
            jac[used, i] *= lines[2, t0 + i] - jac[model, i]
        return total

    @njit(nogil=True, error_model="numpy", **INNER)
    def accumulate(jac, used, n, size, out):  # type: ignore[no-untyped-def]
        if n > SHORT:
            if n < LONG:
                for i in range(used + 1):
                    for k in range(n, LONG):
                        jac[i, k] = zero
            gram_long(jac, size, out)
        else:
            for i in range(used + 1):
                for k in range(n, SHORT):
                    jac[i, k] = zero
            gram_short(jac, size, out)

    @njit(nogil=True, error_model="numpy", **INNER)
    def scattered(jac, used, n, row_of, nf, tile_gram, out):  # type: ignore[no-untyped-def]
        """Gram matrix of the rows in use, added where they belong."""
        tall = (used + 4) // 4 * 4
        for i in range(tall):
            for j in range(i // 4 * 4 + 4):
                tile_gram[i, j] = 0.0
        accumulate(jac, used, n, tall, tile_gram)
        for a in range(nf):
            ra = row_of[a]
            if ra < 0:
                continue
            out[nf, a] += tile_gram[used, ra]
            for b in range(a + 1):
                rb = row_of[b]
                if rb >= 0:
                    out[a, b] += tile_gram[max(ra, rb), min(ra, rb)]
        out[nf, nf] += tile_gram[used, used]

    def evaluate(pointer_to_frame, poisson, target):  # type: ignore[no-untyped-def]
        """Gram matrix with the residual as last row into a buffer; returns the objective."""
        t = carray(pointer_to_frame, (LENGTH,))
        kind, address, direct = ints(t, KIND), ints(t, addresses), ints(t, DIRECT)
        slot_first, slot, position = ints(t, SLOT_FIRST), ints(t, SLOT), ints(t, POSITION)
        row, column = ints(t, ROW), ints(t, COLUMN_OF)
        table_first = ints(t, TABLE_FIRST)
        reach_center, reach_width = ints(t, REACH_CENTER), ints(t, REACH_WIDTH)
        scale, shift, reach = floats(t, SCALE), floats(t, SHIFT), floats(t, REACHES)
        windowed = ints(t, SETTINGS)[WINDOWED] == 1
        nf, size, points, slots = t[FREE_COUNT], t[SIZE], t[POINTS], t[SLOTS]
        scratch = size
        model = size + MAX_PARAMS
        lines = carray(pointer(t[lines_at]), (4, points))
        jac = carray(pointer(t[tile_at]), (model + 1, LONG))
        args = carray(pointer(t[args_at]), (slots + 2 * MAX_PARAMS,))
        columns = carray(pointer(t[columns_at]), (t[TEMPLATES], points))
        places = carray(whole(t[PLACES]), (MAX_PARAMS + nf,))
        row_of = places[MAX_PARAMS:]
        full, values = full_of(t), values_of(t)
        out, tile_gram = matrix(t, target), matrix(t, TILE_GRAM)
        x0, arg0, jac0 = t[lines_at], t[args_at], t[tile_at]
        reference = floats(t, REFERENCE)[0] if single else 0.0
        for s in range(slots):
            v = scale[s] * full[slot[s]] + shift[s]
            args[s] = number(v - reference) if position[s] == 1 else number(v)
        factors = args[slots + MAX_PARAMS :]
        for i in range(size):
            for j in range(i // 4 * 4 + 4):
                out[i, j] = 0.0
        total = 0.0
        for t0 in range(0, points, LONG):
            n = min(LONG, points - t0)
            for i in range(n):
                jac[model, i] = lines[3, t0 + i]
            used = 0 if windowed else nf
            for c in range(nf):
                row_of[c] = -1
            for k in range(kind.shape[0]):
                s0 = slot_first[k]
                count = slot_first[k + 1] - s0
                if windowed and reach[k] > 0.0:
                    center = args[s0 + reach_center[k]]
                    wide = number(reach[k]) * abs(args[s0 + reach_width[k]])
                    if lines[0, t0] > center + wide or lines[0, t0 + n - 1] < center - wide:
                        continue
                fresh = True
                if direct[k] == 1:
                    for s in range(count):
                        i = slot[s0 + s]
                        e = row[i]
                        if row[i + 1] > e and row_of[column[e]] >= 0:
                            fresh = False
                for s in range(count):
                    i = slot[s0 + s]
                    e = row[i]
                    places[s] = (scratch + s) * LONG
                    factors[s] = one
                    if direct[k] == 0:
                        continue
                    if row[i + 1] == e:
                        factors[s] = zero
                        continue
                    c = column[e]
                    if row_of[c] < 0:
                        row_of[c] = used if windowed else c
                        used += 1 if windowed else 0
                        if not fresh:
                            for m in range(n):
                                jac[row_of[c], m] = zero
                    places[s] = row_of[c] * LONG
                    factors[s] = number(scale[s0 + s] * values[e])
                if kind[k] == COLUMN:
                    j = table_first[k]
                    column_tile(columns[j], lines, t0, n, args[s0], jac, scratch, model)
                    count = 1
                elif kind[k] == TABLE:
                    table_tile(
                        t, k, lines, t0, n, args[s0], args[s0 + 1], jac, scratch, scratch + 1, model
                    )
                else:
                    call(
                        address[k],
                        x0 + nbytes * t0,
                        x0 + nbytes * (points + t0),
                        n,
                        arg0 + nbytes * s0,
                        arg0 + nbytes * (slots + MAX_PARAMS),
                        t[PLACES],
                        jac0,
                        jac0 + nbytes * model * LONG,
                        0 if fresh else 1,
                    )
                if direct[k] == 1:
                    continue
                for s in range(count):
                    i = slot[s0 + s]
                    for e in range(row[i], row[i + 1]):
                        c = column[e]
                        fresh = row_of[c] < 0
                        if fresh:
                            row_of[c] = used if windowed else c
                            used += 1 if windowed else 0
                        factor = number(scale[s0 + s] * values[e])
                        add_row(jac, row_of[c], scratch + s, factor, n, fresh)
            if poisson == 1:
                total += poisson_tile(lines, t0, n, used, jac, model)
            else:
                for i in range(n):
                    jac[used, i] = lines[2, t0 + i] - jac[model, i]
            if windowed:
                scattered(jac, used, n, row_of, nf, tile_gram, out)
            else:
                accumulate(jac, nf, n, size, out)
        return total if poisson == 1 else out[nf, nf]

    return evaluate


@lru_cache(maxsize=1)
def addresses() -> tuple[int, int]:
    """Return the addresses of the evaluation in double and in single precision."""
    return (
        compiled(_make(False), EVALUATE_SIGNATURE, "evaluate64"),
        compiled(_make(True), EVALUATE_SIGNATURE, "evaluate32"),
    )

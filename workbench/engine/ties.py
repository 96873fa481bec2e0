"""Free to full parameters, compiled: affine rows, and programs on a stack with derivatives."""

from __future__ import annotations

import math

from numba import carray, njit

from .frame import DEPTH, STACK, WIDTH, double, floats, full_of, ints, values_of
from .maths import INNER
from .tables import CODES, COLUMN_OF, CONSTANTS, LOADS, OFFSET, ROW, TIE, TIE_FIRST, VALUE


@njit(nogil=True, error_model="numpy", **INNER)
def transform(t, p):  # type: ignore[no-untyped-def]
    """Fill the full parameters and the sparse rows of dP/dp of a frame from ``p``.

    The stack holds a value and its derivatives per level.
    """
    full, values = full_of(t), values_of(t)
    stack = carray(double(t[STACK]), (t[DEPTH], 1 + t[WIDTH]))
    offset, value = floats(t, OFFSET), floats(t, VALUE)
    row, column, tie = ints(t, ROW), ints(t, COLUMN_OF), ints(t, TIE)
    for i in range(offset.shape[0]):
        v = offset[i]
        for e in range(row[i], row[i + 1]):
            values[e] = value[e]
            v += value[e] * p[column[e]]
        full[i] = v
    if tie.shape[0] == 0:
        return
    codes, loads, first_of = ints(t, CODES), ints(t, LOADS), ints(t, TIE_FIRST)
    constants = floats(t, CONSTANTS)
    for q in range(tie.shape[0]):
        i = tie[q]
        first = row[i]
        width = row[i + 1] - first
        top = -1
        for o in range(first_of[q], first_of[q + 1]):
            code = codes[o]
            if code <= 1:
                top += 1
                stack[top, 0] = constants[o]
                for c in range(width):
                    stack[top, 1 + c] = 0.0
                if code == 1:
                    load = loads[o]
                    stack[top, 0] = full[load]
                    for e in range(row[load], row[load + 1]):
                        for c in range(width):
                            if column[first + c] == column[e]:
                                stack[top, 1 + c] = values[e]
            elif code <= 6 or code >= 15:
                top -= 1
                _binary(code, stack, top, width)
            else:
                _unary(code, stack, top, width)
        full[i] = stack[0, 0]
        for c in range(width):
            values[first + c] = stack[0, 1 + c]


@njit(nogil=True, error_model="numpy", **INNER)
def _binary(code, stack, top, width):  # type: ignore[no-untyped-def]
    a = stack[top, 0]
    b = stack[top + 1, 0]
    if code == 2:
        v, fa, fb = a + b, 1.0, 1.0
    elif code == 3:
        v, fa, fb = a - b, 1.0, -1.0
    elif code == 4:
        v, fa, fb = a * b, b, a
    elif code == 5:
        v = a / b
        fa, fb = 1.0 / b, -v / b
    elif code == 6:
        v = a**b
        fa = 0.0 if b == 0.0 else b * a ** (b - 1.0)
        fb = 0.0
        for c in range(width):
            if stack[top + 1, 1 + c] != 0.0:
                fb = v * math.log(a)
    else:
        first = a <= b if code == 15 else a >= b
        v = a if first else b
        fa = 1.0 if first else 0.0
        fb = 1.0 - fa
    stack[top, 0] = v
    for c in range(1, width + 1):
        stack[top, c] = fa * stack[top, c] + fb * stack[top + 1, c]


@njit(nogil=True, error_model="numpy", **INNER)
def _unary(code, stack, top, width):  # type: ignore[no-untyped-def]
    a = stack[top, 0]
    if code == 7:
        v, f = -a, -1.0
    elif code == 8:
        v = math.sqrt(a)
        f = 0.5 / v
    elif code == 9:
        v = math.exp(a)
        f = v
    elif code == 10:
        v, f = math.log(a), 1.0 / a
    elif code == 11:
        v, f = math.sin(a), math.cos(a)
    elif code == 12:
        v, f = math.cos(a), -math.sin(a)
    elif code == 13:
        v = math.tan(a)
        f = 1.0 + v * v
    else:
        v = abs(a)
        f = 1.0 if a > 0.0 else (-1.0 if a < 0.0 else 0.0)
    stack[top, 0] = v
    for c in range(1, width + 1):
        stack[top, c] *= f

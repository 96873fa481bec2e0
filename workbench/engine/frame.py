"""The frame of a worker: one array of addresses and sizes that all compiled functions share.

Compiled functions that hand dozens of arrays to each other compile slowly (each caller is optimised
together with all it calls) and run slowly (hundreds of machine words per call). Here they pass one
array, look their buffers up in it, and the large ones call each other by address.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

from .maths import INNER
from .plan import Plan
from .tables import INTEGERS, Tables
from .tiles import MAX_PARAMS

TILE_LENGTH = 256
"""Points in a tile of the Jacobian."""

(
    INTS, INTS_SIZE, FLOATS_AT, FLOATS_SIZE, COLUMNS64, COLUMNS32, TEMPLATES,
    POINTS, FREE_COUNT, FULL_COUNT, ENTRIES, SLOTS, SIZE, DEPTH, WIDTH,
    LINES64, TILE64, ARGS64, LINES32, TILE32, ARGS32, PLACES,
    MATRICES, VECTORS, STATE, FULL_AT, VALUES_AT, STACK,
    EVALUATE64, EVALUATE32, DESCEND, LENGTH,
) = range(32)  # fmt: skip

H, TRIAL, TILE_GRAM, FACTOR, INVERSE = range(5)
"""Square buffers: H, H of a trial, Gram matrix of a tile, Cholesky factor, inverse."""
P, Q, STEP, JACOBI, MOVED, RATIO, BEFORE = range(7)
"""Vector buffers: parameters, trial, step, Jacobi scale, fixed moves, ratios, the step before."""
X, WEIGHT, DATA, STATIC = range(4)
"""Lines: coordinates, weights, weighted data, weighted static background."""

_FLOAT_HEADER = len(INTEGERS) + 1


class Worker:
    """Buffers of one worker for one plan and axis, and the frame that tells where they are.

    Parameters
    ----------
    plan : Plan
    tables : Tables
    x : ndarray, shape (N,)
    reference : float
        Subtracted from the axis in float32.
    """

    def __init__(self, plan: Plan, tables: Tables, x: Any, reference: float) -> None:
        n, points = plan.size, x.size
        size = (n + 4) // 4 * 4
        slots = sum(len(q.slots) for q in plan.primitives)
        depth = max([q.program.depth for q in plan.ties], default=1) + 1
        width = int(np.max(np.diff(plan.row), initial=1))
        rows = size + MAX_PARAMS + 1
        self.frame = np.zeros(LENGTH, np.int64)
        self.buffers: dict[int, Any] = {
            INTS: tables.integers,
            FLOATS_AT: tables.floats,
            COLUMNS64: tables.columns,
            COLUMNS32: tables.columns32,
            LINES64: np.zeros((4, points)),
            TILE64: np.zeros((rows, TILE_LENGTH)),
            ARGS64: np.zeros(slots + 2 * MAX_PARAMS),
            LINES32: np.zeros((4, points), np.float32),
            TILE32: np.zeros((rows, TILE_LENGTH), np.float32),
            ARGS32: np.zeros(slots + 2 * MAX_PARAMS, np.float32),
            PLACES: np.zeros(MAX_PARAMS + max(n, 1), np.int64),
            MATRICES: np.zeros((5, size, size)),
            VECTORS: np.zeros((7, max(n, 1))),
            STATE: np.zeros(max(n, 1), np.int64),
            FULL_AT: np.zeros(len(plan.names)),
            VALUES_AT: np.zeros(plan.value.size + 1),
            STACK: np.zeros((depth, 1 + width)),
        }
        for k, array in self.buffers.items():
            self.frame[k] = array.ctypes.data
        sizes = {
            INTS_SIZE: tables.integers.size,
            FLOATS_SIZE: tables.floats.size,
            TEMPLATES: len(tables.columns),
            POINTS: points,
            FREE_COUNT: n,
            FULL_COUNT: len(plan.names),
            ENTRIES: plan.value.size,
            SLOTS: slots,
            SIZE: size,
            DEPTH: depth,
            WIDTH: width,
        }
        for k, number in sizes.items():
            self.frame[k] = number
        self.buffers[LINES64][X] = x
        self.buffers[LINES32][X] = x - reference


def _pointer(target: Any, llvm: Any) -> Any:
    @intrinsic
    def pointer(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], llvm.as_pointer())

        return types.CPointer(target)(types.int64), generate

    return pointer


double = _pointer(types.float64, ir.DoubleType())
single = _pointer(types.float32, ir.FloatType())
whole = _pointer(types.int64, ir.IntType(64))


@njit(nogil=True, error_model="numpy", **INNER)
def ints(f, k):  # type: ignore[no-untyped-def]
    """Return a segment of the tables' integers."""
    t = carray(whole(f[INTS]), (f[INTS_SIZE],))
    return t[t[k] : t[k + 1]]


@njit(nogil=True, error_model="numpy", **INNER)
def floats(f, k):  # type: ignore[no-untyped-def]
    """Return a segment of the tables' floats."""
    t = carray(whole(f[INTS]), (f[INTS_SIZE],))
    d = carray(double(f[FLOATS_AT]), (f[FLOATS_SIZE],))
    return d[t[_FLOAT_HEADER + k] : t[_FLOAT_HEADER + k + 1]]


@njit(nogil=True, error_model="numpy", **INNER)
def matrix(f, k):  # type: ignore[no-untyped-def]
    """Return a square buffer."""
    size = f[SIZE]
    return carray(double(f[MATRICES] + 8 * k * size * size), (size, size))


@njit(nogil=True, error_model="numpy", **INNER)
def vector(f, k):  # type: ignore[no-untyped-def]
    """Return a buffer of one number per free parameter."""
    n = f[FREE_COUNT]
    return carray(double(f[VECTORS] + 8 * k * n), (n,))


@njit(nogil=True, error_model="numpy", **INNER)
def state_of(f):  # type: ignore[no-untyped-def]
    """Return what holds each free parameter in a step: nothing (0), a bound (1, 2)."""
    return carray(whole(f[STATE]), (f[FREE_COUNT],))


@njit(nogil=True, error_model="numpy", **INNER)
def full_of(f):  # type: ignore[no-untyped-def]
    """Return the full parameters."""
    return carray(double(f[FULL_AT]), (f[FULL_COUNT],))


@njit(nogil=True, error_model="numpy", **INNER)
def values_of(f):  # type: ignore[no-untyped-def]
    """Return the entries of dP/dp."""
    return carray(double(f[VALUES_AT]), (f[ENTRIES],))


@njit(nogil=True, error_model="numpy", **INNER)
def lines64(f):  # type: ignore[no-untyped-def]
    """Return the lines of a spectrum."""
    return carray(double(f[LINES64]), (4, f[POINTS]))


@njit(nogil=True, error_model="numpy", **INNER)
def lines32(f):  # type: ignore[no-untyped-def]
    """Return the lines of a spectrum in single precision."""
    return carray(single(f[LINES32]), (4, f[POINTS]))


EVALUATE_SIGNATURE = types.float64(types.CPointer(types.int64), types.int64, types.int64)
"""Frame, whether Poisson, which square buffer receives the Gram matrix."""
DESCEND_SIGNATURE = types.float64(
    types.CPointer(types.int64), types.int64, types.float64, types.float64
)
"""Frame, whether Poisson, stopping rule, degrees of freedom it is scaled with (or 0)."""


@intrinsic
def call_evaluate(typing: Any, address: Any, frame: Any, poisson: Any, out: Any) -> Any:
    """Call an evaluation by its address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i64 = ir.IntType(64)
        kind = ir.FunctionType(ir.DoubleType(), [i64.as_pointer(), i64, i64])
        target = builder.inttoptr(args[0], kind.as_pointer())
        pointer = builder.inttoptr(args[1], i64.as_pointer())
        return builder.call(target, [pointer, args[2], args[3]])

    return types.float64(types.int64, types.int64, types.int64, types.int64), generate


@intrinsic
def call_descend(typing: Any, address: Any, frame: Any, poisson: Any, edm: Any, unit: Any) -> Any:
    """Call the minimiser by its address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i64, number = ir.IntType(64), ir.DoubleType()
        kind = ir.FunctionType(number, [i64.as_pointer(), i64, number, number])
        target = builder.inttoptr(args[0], kind.as_pointer())
        pointer = builder.inttoptr(args[1], i64.as_pointer())
        return builder.call(target, [pointer, args[2], args[3], args[4]])

    return (
        types.float64(types.int64, types.int64, types.int64, types.float64, types.float64),
        generate,
    )

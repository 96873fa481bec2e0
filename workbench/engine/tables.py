"""The plan as plain arrays: what the compiled kernels read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import tiles
from .expressions import CONST, LOAD
from .limits import is_width, trust
from .plan import Plan, Primitive, interpolate
from .uncertainty import area_groups

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CALL, COLUMN, TABLE = 0, 1, 2
"""Primitive kinds: tile function by address, precomputed column, table with a moving shift."""

REACH = {"gaussian": 3.5}
"""Half width, in fwhm, outside which a shape and its derivatives are below 1e-14 of the peak."""

SINGLE = {
    "gaussian": "center",
    "lorentzian": "center",
    "pseudo_voigt": "center",
    "polynomial": "x0",
}
"""Shapes that may run in float32 while a fit is far from its end, and their position."""


INTEGERS = (
    "row", "column", "tie", "tie_first", "codes", "loads", "kind", "address", "address32",
    "slot_first", "slot", "position", "direct", "reach_center", "reach_width", "table_first",
    "limit_by", "linear", "owner", "free", "area", "area_group", "amplitude", "shape_of",
    "reset_area", "reset_first", "reset", "settings",
)  # fmt: skip
FLOATS = (
    "offset", "value", "constants", "scale", "shift", "reach", "table_x", "table_y", "start",
    "lower", "upper", "limit_factor", "full_lower", "full_upper", "worth", "reference",
)  # fmt: skip
(
    ROW, COLUMN_OF, TIE, TIE_FIRST, CODES, LOADS, KIND, ADDRESS, ADDRESS32,
    SLOT_FIRST, SLOT, POSITION, DIRECT, REACH_CENTER, REACH_WIDTH, TABLE_FIRST,
    LIMIT_BY, LINEAR, OWNER, FREE, AREA, AREA_GROUP, AMPLITUDE, SHAPE_OF,
    RESET_AREA, RESET_FIRST, RESET, SETTINGS,
) = range(len(INTEGERS))  # fmt: skip
(
    OFFSET, VALUE, CONSTANTS, SCALE, SHIFT, REACHES, TABLE_X, TABLE_Y, START,
    LOWER, UPPER, LIMIT_FACTOR, FULL_LOWER, FULL_UPPER, WORTH, REFERENCE,
) = range(len(FLOATS))  # fmt: skip
WINDOWED, MAY_BE_SINGLE, MAY_PROJECT, HAS_BACKGROUND = range(4)
"""Places in the segment ``settings``."""


class Tables(NamedTuple):
    """A plan on one axis in four arrays: compiled calls pass few arguments fast, many slowly.

    Attributes
    ----------
    integers : ndarray of int
        The places of all segments, then the segments of `INTEGERS`.
    floats : ndarray
        The segments of `FLOATS`.
    columns, columns32 : ndarray, shape (templates, N)
        Templates that do not move, in both precisions.
    """

    integers: Ints
    floats: Array
    columns: Array
    columns32: npt.NDArray[np.float32]


def pack(segments: Mapping[str, Any], columns: Array) -> Tables:
    """Put named segments behind one header of their places."""
    whole = [np.atleast_1d(np.asarray(segments[k], dtype=np.int64)) for k in INTEGERS]
    real = [np.atleast_1d(np.asarray(segments[k], dtype=np.float64)) for k in FLOATS]
    header = len(INTEGERS) + len(FLOATS) + 2
    first = header + np.cumsum([0, *(a.size for a in whole)])
    second = np.cumsum([0, *(a.size for a in real)])
    return Tables(
        np.concatenate([first, second, *whole]).astype(np.int64),
        np.concatenate(real),
        np.ascontiguousarray(columns),
        np.ascontiguousarray(columns, dtype=np.float32),
    )


def tabulate(plan: Plan, x: Array) -> Tables:
    """Lay a plan out as arrays for the compiled engine; compiles or loads the shapes it uses.

    Parameters
    ----------
    plan : Plan
    x : ndarray, shape (N,)
        The spectral axis.
    """
    primitives = plan.primitives
    moving = np.diff(plan.row) > 0
    fixed_table = [p.table is not None and not moving[p.slots[1].index] for p in primitives]
    kind = [
        (COLUMN if still else TABLE) if p.table is not None else CALL
        for p, still in zip(primitives, fixed_table, strict=True)
    ]
    single = all(
        k == COLUMN or p.shape.name in SINGLE for k, p in zip(kind, primitives, strict=True)
    )
    calls = [k == CALL for k in kind]
    columns: list[Array] = []
    table_x: list[Array] = []
    table_y: list[Array] = []
    table_first, place = [0], []
    for p, k in zip(primitives, kind, strict=True):
        place.append(len(columns))
        if p.table is not None and k == COLUMN:
            slot = p.slots[1]
            columns.append(interpolate(p.table, x - slot.scale * plan.offset[slot.index])[0])
        if p.table is not None and k == TABLE:
            table_x.append(p.table[0])
            table_y.append(p.table[1])
        table_first.append(sum(len(t) for t in table_x))
    by, factor = trust(plan)
    owner, can_project = owners(plan)
    reach = [_reach(plan, p) for p in primitives]
    areas = {n: v for n, v in area_groups(plan).items() if moving[v[0]]}
    reset = _resets(plan)
    stacked = np.array(columns).reshape(len(columns), x.size)
    segments = dict(
        offset=plan.offset,
        row=plan.row,
        column=plan.column,
        value=np.array(plan.value, dtype=float),
        **_programs(plan),
        kind=np.array(kind, dtype=np.int64),
        address=np.array(
            [tiles.address(p.shape) if c else 0 for p, c in zip(primitives, calls, strict=True)],
            dtype=np.int64,
        ),
        address32=np.array(
            [
                tiles.address(p.shape, True) if c and single else 0
                for p, c in zip(primitives, calls, strict=True)
            ],
            dtype=np.int64,
        ),
        slot_first=np.cumsum([0, *(len(p.slots) for p in primitives)]).astype(np.int64),
        slot=np.array([s.index for p in primitives for s in p.slots], dtype=np.int64),
        scale=np.array([s.scale for p in primitives for s in p.slots]),
        shift=np.array([s.offset for p in primitives for s in p.slots]),
        position=np.array(
            [int(key == SINGLE.get(p.shape.name)) for p in primitives for key in p.shape.params],
            dtype=np.int64,
        ),
        direct=np.array([_direct(plan, p) for p in primitives], dtype=np.int64),
        reach=np.array([r[0] for r in reach]),
        reach_center=np.array([r[1] for r in reach], dtype=np.int64),
        reach_width=np.array([r[2] for r in reach], dtype=np.int64),
        table_first=np.array(
            [place[k] if kind[k] == COLUMN else table_first[k] for k in range(len(kind))]
            + [table_first[-1]],
            dtype=np.int64,
        ),
        table_x=np.concatenate(table_x) if table_x else np.zeros(0),
        table_y=np.concatenate(table_y) if table_y else np.zeros(0),
        settings=[
            any(r[0] > 0.0 for r in reach) and len(primitives) > 6,
            single,
            can_project,
            any(c.role == "background" for c in plan.components),
        ],
        start=plan.start,
        lower=plan.lower,
        upper=plan.upper,
        limit_by=by,
        limit_factor=factor,
        linear=plan.linear.astype(np.int64),
        owner=owner,
        free=plan.free,
        full_lower=plan.full_lower,
        full_upper=plan.full_upper,
        area=np.array([i for i, _ in areas.values()], dtype=np.int64),
        area_group=np.array([g for _, g in areas.values()], dtype=np.int64),
        amplitude=np.array([int(name.endswith(".area")) for name in plan.names], dtype=np.int64),
        shape_of=_shape_of(plan),
        worth=peak_worth(plan),
        reference=reference_of(x),
        reset_area=np.array([r[0] for r in reset], dtype=np.int64),
        reset_first=np.cumsum([0, *(len(r[1]) for r in reset)]).astype(np.int64),
        reset=np.array([c for r in reset for c in r[1]], dtype=np.int64),
    )
    return pack(segments, stacked)


def reference_of(x: Array) -> float:
    """Return what is subtracted from positions in single precision: the middle of the axis."""
    return 0.5 * float(x[0] + x[-1])


def _programs(plan: Plan) -> dict[str, Any]:
    codes = [c for tie in plan.ties for c in tie.program.codes]
    return {
        "tie": np.array([tie.index for tie in plan.ties], dtype=np.int64),
        "tie_first": np.cumsum([0, *(len(t.program.codes) for t in plan.ties)]).astype(np.int64),
        "codes": np.array(codes, dtype=np.int64),
        "constants": np.array(
            [
                v if c == CONST else 0.0
                for tie in plan.ties
                for c, v in zip(tie.program.codes, tie.program.constants, strict=True)
            ]
        ),
        "loads": np.array(
            [
                v if c == LOAD else 0
                for tie in plan.ties
                for c, v in zip(tie.program.codes, tie.program.loads, strict=True)
            ],
            dtype=np.int64,
        ),
        "depth": max([tie.program.depth for tie in plan.ties], default=1),
    }


def _direct(plan: Plan, primitive: Primitive) -> int:
    """Whether every slot depends on at most one free parameter, each on another one."""
    if primitive.table is not None:
        return 0
    seen: list[int] = []
    for slot in primitive.slots:
        columns = plan.columns_of(slot.index)
        if columns.size > 1:
            return 0
        seen += [int(c) for c in columns]
    return int(len(seen) == len(set(seen)))


def _reach(plan: Plan, primitive: Primitive) -> tuple[float, int, int]:
    """Window of a local shape: (half width in fwhm, slot of the center, slot of the width)."""
    reach = REACH.get(primitive.shape.name, 0.0)
    if reach == 0.0:
        return 0.0, 0, 0
    keys = primitive.shape.params
    return (
        reach,
        keys.index("center"),
        next(k for k, key in enumerate(keys) if is_width(primitive.shape, key)),
    )


def owners(plan: Plan) -> tuple[Ints, bool]:
    """Return the free amplitude that every column of a shape parameter is proportional to.

    Returns
    -------
    owner : ndarray of int, shape (n,)
        -1 for linear parameters and for columns no amplitude owns.
    ok : bool
        False if some shape parameter serves several amplitudes, where projection does not apply.
    """
    owner = np.full(plan.size, -1, dtype=np.int64)
    ok = not plan.ties
    for primitive in plan.primitives:
        keys = primitive.shape.params
        amplitudes = {
            int(c)
            for key, slot in zip(keys, primitive.slots, strict=True)
            if key in primitive.shape.linear
            for c in plan.columns_of(slot.index)
        }
        offset = any(
            plan.offset[slot.index] != 0.0
            for key, slot in zip(keys, primitive.slots, strict=True)
            if key in primitive.shape.linear
        )
        for key, slot in zip(keys, primitive.slots, strict=True):
            if key in primitive.shape.linear:
                continue
            for c in plan.columns_of(slot.index):
                if len(amplitudes) != 1 or offset or not plan.linear[next(iter(amplitudes))]:
                    ok = False
                    continue
                mine = next(iter(amplitudes))
                if owner[c] not in (-1, mine):
                    ok = False
                owner[c] = mine
    return owner, bool(ok and plan.linear.any())


def _shape_of(plan: Plan) -> Ints:
    """For each full parameter of a component, the full index of that component's area, or -1."""
    out = np.full(len(plan.names), -1, dtype=np.int64)
    for component in plan.components:
        area = plan.index.get(f"{component.name}.area")
        for key in component.params:
            if area is not None and key != "area":
                out[plan.index[f"{component.name}.{key}"]] = area
    return out


def peak_worth(plan: Plan) -> float:
    """Akaike's price of the peaks: 2 per free parameter of components that are not background."""
    peak = [
        plan.index[f"{c.name}.{key}"]
        for c in plan.components
        if c.role != "background"
        for key in c.params
    ]
    return 2.0 * len({int(c) for i in peak for c in plan.columns_of(i)})


def _resets(plan: Plan) -> list[tuple[int, list[int]]]:
    """Free areas with the free parameters to restart if the area vanished."""
    out = []
    for component in plan.components:
        area = plan.index.get(f"{component.name}.area")
        if area is None or area not in plan.free:
            continue
        columns = {
            int(c)
            for key in component.params
            for c in plan.columns_of(plan.index[f"{component.name}.{key}"])
        }
        out.append((int(np.flatnonzero(plan.free == area)[0]), sorted(columns)))
    return out

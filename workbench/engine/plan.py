"""The plan of a fit: Components as primitives on one full parameter vector, made once per model.

free vector p  ->  full vector P = T(p), C = dT/dp as sparse rows  ->  primitives (one shape with
its slots ``scale * P[index] + offset``)  ->  model. Sub-lines, ties and templates end here:
the engines see primitives only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from spectra.component import Component, Components, names_in
from spectra.errors import ModelError
from spectra.shapes import SHAPES, Shape

from .expressions import Affine, Program, as_affine, run, translate

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Slot:
    """One argument of a primitive: ``scale * P[index] + offset``."""

    index: int
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Primitive:
    """One evaluated term: a shape (or a table, for templates) and where its arguments come from."""

    shape: Shape
    slots: tuple[Slot, ...]
    component: int
    table: tuple[Array, Array] | None = None


@dataclass(frozen=True)
class Tie:
    """A full parameter given by a program; its derivatives fill ``values[first:last]`` of C."""

    index: int
    program: Program
    columns: Ints


@dataclass(frozen=True)
class Plan:
    """Everything about the model that does not depend on the data.

    Attributes
    ----------
    names : tuple of str
        Full parameters, length P.
    free : ndarray of int
        Places of the n free parameters in the full vector.
    start, lower, upper : ndarray, shape (n,)
        Start values inside the bounds, and the bounds.
    offset : ndarray, shape (P,)
        Constant part of the affine map.
    row, column, value : ndarray
        Sparse rows of C: entries ``row[i]:row[i + 1]`` belong to full parameter i; ``value`` holds
        the affine coefficients (zeros where a program fills them).
    ties : tuple of Tie
        Programs in the order in which they can run.
    primitives : tuple of Primitive
    linear : ndarray of bool, shape (n,)
        Free parameters in which the whole model is linear.
    full_lower, full_upper : ndarray, shape (P,)
        Bounds of all parameters: those given, within those where the shapes have a meaning.
    """

    components: Components
    names: tuple[str, ...]
    free: Ints
    start: Array
    lower: Array
    upper: Array
    offset: Array
    row: Ints
    column: Ints
    value: Array
    ties: tuple[Tie, ...]
    primitives: tuple[Primitive, ...]
    linear: npt.NDArray[np.bool_]
    full_lower: Array
    full_upper: Array
    index: dict[str, int] = field(repr=False, compare=False)

    @property
    def size(self) -> int:
        """Number of free parameters."""
        return int(self.free.size)

    def columns_of(self, index: int) -> Ints:
        """Return the free parameters that full parameter ``index`` depends on."""
        return self.column[self.row[index] : self.row[index + 1]]

    def transform(self, p: Array) -> tuple[Array, Array]:
        """Map free to full parameters.

        Parameters
        ----------
        p : ndarray, shape (B, n)

        Returns
        -------
        full : ndarray, shape (B, P)
        values : ndarray, shape (B, nnz)
            Entries of C = dP/dp in the order of ``column``.
        """
        size = p.shape[0]
        full = np.empty((size, len(self.names)))
        values = np.broadcast_to(self.value, (size, self.value.size))
        if self.ties:
            values = values.copy()
        full[:] = self.offset
        owner = np.repeat(np.arange(len(self.names)), np.diff(self.row))
        if self.column.size:
            for e, i in enumerate(owner):
                full[:, i] += self.value[e] * p[:, self.column[e]]
        for tie in self.ties:
            width = tie.columns.size
            place = {int(c): k for k, c in enumerate(tie.columns)}
            gradient: dict[int, Array] = {}
            for load in {
                m for c, m in zip(tie.program.codes, tie.program.loads, strict=True) if c == 1
            }:
                rows = np.zeros((size, width))
                for e in range(self.row[load], self.row[load + 1]):
                    rows[:, place[int(self.column[e])]] = values[:, e]
                gradient[load] = rows
            full[:, tie.index], out = run(tie.program, full, gradient, width)
            values[:, self.row[tie.index] : self.row[tie.index + 1]] = out
        return full, values

    def dense(self, values: Array) -> Array:
        """Return C of one or many spectra as dense matrices, shape (B, P, n)."""
        out = np.zeros((values.shape[0], len(self.names), self.size))
        owner = np.repeat(np.arange(len(self.names)), np.diff(self.row))
        out[:, owner, self.column] = values
        return out

    def arguments(self, primitive: Primitive, full: Array) -> list[Array]:
        """Return the primitive's arguments as columns, each of shape (B, 1)."""
        return [s.scale * full[:, s.index, None] + s.offset for s in primitive.slots]


def build(components: Components) -> Plan:
    """Make the plan of a model.

    Parameters
    ----------
    components : Components
        What is fitted; every tied parameter may use any other.

    Returns
    -------
    Plan

    Raises
    ------
    ModelError
        If there is nothing to fit, or an expression is outside the grammar.
    """
    if not len(components):
        raise ModelError("no components: nothing to fit; propose some or add a Component")
    flat = components.params
    names = tuple(flat)
    index = {name: i for i, name in enumerate(names)}
    free = [i for i, param in enumerate(flat.values()) if param.free and param.lower < param.upper]
    position = {i: k for k, i in enumerate(free)}
    affine: dict[int, Affine] = {}
    columns: dict[int, tuple[int, ...]] = {}
    programs: dict[int, Program] = {}
    order: list[int] = []

    def resolve(name: str) -> None:
        i = index[name]
        if i in columns:
            return
        param = flat[name]
        if param.expr is None:
            columns[i] = (position[i],) if i in position else ()
            held = min(max(param.value, param.lower), param.upper)
            affine[i] = Affine(0.0, {position[i]: 1.0}) if i in position else Affine(held, {})
            return
        used = names_in(param.expr)
        for other in used:
            resolve(other)
        program = translate(param.expr, index)
        form = as_affine(program, affine)
        if form is not None:
            affine[i] = form
            columns[i] = tuple(sorted(form.coefficients))
        else:
            columns[i] = tuple(sorted({c for other in used for c in columns[index[other]]}))
            programs[i] = program
            order.append(i)

    for name in names:
        resolve(name)
    row = np.cumsum([0, *(len(columns[i]) for i in range(len(names)))]).astype(np.int64)
    column = np.array([c for i in range(len(names)) for c in columns[i]], dtype=np.int64)
    value = np.array(
        [
            affine[i].coefficients[c] if i in affine else 0.0
            for i in range(len(names))
            for c in columns[i]
        ]
    )
    offset = np.array([affine[i].offset if i in affine else 0.0 for i in range(len(names))])
    ties = tuple(Tie(i, programs[i], np.array(columns[i], dtype=np.int64)) for i in order)
    primitives = tuple(
        primitive
        for k, component in enumerate(components)
        for primitive in _primitives(k, component, index)
    )
    used_columns = {c for prim in primitives for slot in prim.slots for c in columns[slot.index]}
    params = list(flat.values())
    idle = [names[i] for i in free if position[i] not in used_columns]
    if idle:
        raise ModelError(
            f"parameter {idle[0]!r} is free but no component uses it; fix it (vary=False) or use it"
        )
    full_lower, full_upper = _bounds(components, index)
    lower, upper = full_lower[free], full_upper[free]
    start = np.clip(np.array([params[i].value for i in free], dtype=float), lower, upper)
    plan = Plan(
        components=components,
        names=names,
        free=np.array(free, dtype=np.int64),
        start=start,
        lower=lower,
        upper=upper,
        offset=offset,
        row=row,
        column=column,
        value=value,
        ties=ties,
        primitives=primitives,
        full_lower=full_lower,
        full_upper=full_upper,
        linear=_linear(primitives, columns, programs, len(free)),
        index=index,
    )
    return plan


def _bounds(components: Components, index: dict[str, int]) -> tuple[Array, Array]:
    """Bounds of all parameters: the user's, and for free ones also where the shape has a meaning.

    A width has no meaning at 0 itself, so it stays above a ten-thousandth of its start.
    """
    params = components.params
    lower = np.array([p.lower for p in params.values()], dtype=float)
    upper = np.array([p.upper for p in params.values()], dtype=float)
    for component in components:
        shape = SHAPES[component.shape]
        for key, (low, high) in shape.limits.items():
            i = index[f"{component.name}.{key}"]
            param = component.params[key]
            if not param.free:
                continue
            if key in shape.width and low == 0.0:
                low = 1e-4 * abs(param.value)
            if param.lower < low < param.upper:
                lower[i] = low
            if param.lower < high < param.upper:
                upper[i] = high
    return lower, upper


def _primitives(k: int, component: Component, index: dict[str, int]) -> list[Primitive]:
    """Expand one component: sub-lines become primitives with multiples of its parameters."""
    shape = SHAPES[component.shape]
    at = [index[f"{component.name}.{key}"] for key in shape.params]
    table = None
    if component.curve is not None:
        table = (np.array(component.curve.x), np.array(component.curve.y))
    if not component.lines:
        return [Primitive(shape, tuple(Slot(i) for i in at), k, table)]
    out = []
    for line in component.lines:
        if line.weight == 0.0:
            continue
        slots = []
        for key, i in zip(shape.params, at, strict=True):
            if key == "area":
                slots.append(Slot(i, line.weight))
            elif key == "center":
                ratio = component.line_scale == "ratio"
                slots.append(Slot(i, line.position) if ratio else Slot(i, 1.0, line.position))
            elif key.startswith("fwhm"):
                slots.append(Slot(i, line.width))
            else:
                slots.append(Slot(i))
        out.append(Primitive(shape, tuple(slots), k, table))
    return out


def _linear(
    primitives: tuple[Primitive, ...],
    columns: dict[int, tuple[int, ...]],
    programs: dict[int, Program],
    size: int,
) -> npt.NDArray[np.bool_]:
    """Free parameters that enter every primitive through linear slots alone, and no program."""
    linear = np.zeros(size, dtype=bool)
    other = np.zeros(size, dtype=bool)
    for primitive in primitives:
        for key, slot in zip(primitive.shape.params, primitive.slots, strict=True):
            target = linear if key in primitive.shape.linear else other
            if slot.index in programs:
                target = other
            for c in columns[slot.index]:
                target[c] = True
    return linear & ~other


def interpolate(table: tuple[Array, Array], x: Array) -> tuple[Array, Array]:
    """Value and slope of a piecewise linear curve, zero outside its table."""
    tx, ty = table
    k = np.clip(np.searchsorted(tx, x, side="right") - 1, 0, tx.size - 2)
    slope = (ty[k + 1] - ty[k]) / (tx[k + 1] - tx[k])
    inside = (x >= tx[0]) & (x <= tx[-1])
    return (
        np.where(inside, ty[k] + slope * (x - tx[k]), 0.0),
        np.where(inside, slope, 0.0),
    )


def evaluate_primitive(
    primitive: Primitive, x: Array, args: list[Array]
) -> tuple[Array, tuple[Array, ...]]:
    """Value and derivatives (B, N) of a primitive at its arguments (B, 1)."""
    if primitive.table is not None:
        area, shift = args
        value, slope = interpolate(primitive.table, x - shift)
        return area * value, (value, -area * slope)
    function: Callable[..., Any] = primitive.shape.function
    return function(x, *args)  # type: ignore[no-any-return]


def model(plan: Plan, x: Array, p: Array) -> Array:
    """Return the model of a block of spectra, shape (B, N), without static background."""
    full, _ = plan.transform(p)
    out = np.zeros((p.shape[0], x.size))
    with np.errstate(all="ignore"):
        for primitive in plan.primitives:
            out += evaluate_primitive(primitive, x, plan.arguments(primitive, full))[0]
    return out


def jacobian(plan: Plan, x: Array, p: Array) -> tuple[Array, Array]:
    """Return model (B, N) and its derivatives by the free parameters (B, n, N)."""
    out = np.zeros((p.shape[0], x.size))
    jac = np.zeros((p.shape[0], plan.size, x.size))
    with np.errstate(all="ignore"):
        full, values = plan.transform(p)
        for primitive in plan.primitives:
            args = plan.arguments(primitive, full)
            value, derivatives = evaluate_primitive(primitive, x, args)
            out += value
            for slot, derivative in zip(primitive.slots, derivatives, strict=True):
                for e in range(plan.row[slot.index], plan.row[slot.index + 1]):
                    jac[:, plan.column[e]] += (slot.scale * values[:, e, None]) * derivative
    return out, jac


def parts(plan: Plan, x: Array, p: Array) -> dict[str, Array]:
    """Return each component's curve, shape (B, N), by component name."""
    full, _ = plan.transform(p)
    names = [component.name for component in plan.components]
    out = {name: np.zeros((p.shape[0], x.size)) for name in names}
    with np.errstate(all="ignore"):
        for primitive in plan.primitives:
            args = plan.arguments(primitive, full)
            out[names[primitive.component]] += evaluate_primitive(primitive, x, args)[0]
    return out

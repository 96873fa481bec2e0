"""Expressions of the parameter grammar as small stack programs with forward-mode derivatives.

``ast`` parses the text once; what runs is a list of (code, argument) pairs, the same list in NumPy
and in the compiled engine. Nothing is ever evaluated as Python.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spectra.component import names_in
from spectra.errors import ModelError

Array = npt.NDArray[np.float64]

CONST, LOAD, ADD, SUB, MUL, DIV, POW, NEG = range(8)
SQRT, EXP, LOG, SIN, COS, TAN, ABS, MIN, MAX = range(8, 17)

_BINARY = {ast.Add: ADD, ast.Sub: SUB, ast.Mult: MUL, ast.Div: DIV, ast.Pow: POW}
_UNARY = {"sqrt": SQRT, "exp": EXP, "log": LOG, "sin": SIN, "cos": COS, "tan": TAN, "abs": ABS}
_REDUCE = {"min": MIN, "max": MAX}


@dataclass(frozen=True)
class Program:
    """A postfix program: ``codes[i]`` with ``constants[i]`` (CONST) or ``loads[i]`` (LOAD)."""

    codes: tuple[int, ...]
    constants: tuple[float, ...]
    loads: tuple[int, ...]
    depth: int


@dataclass(frozen=True)
class Affine:
    """``offset + sum(coefficients[j] * free[j])``."""

    offset: float
    coefficients: Mapping[int, float]


def translate(expr: str, index: Mapping[str, int]) -> Program:
    """Translate an expression to a program.

    Parameters
    ----------
    expr : str
        Arithmetic in parameter names, as `spectra.component.names_in` allows it.
    index : mapping of str to int
        Place of each parameter in the full vector.

    Raises
    ------
    ModelError
        If the expression is not in the grammar.
    """
    names_in(expr)  # refuses everything outside the grammar
    ops: list[tuple[int, float, int]] = []

    def emit(node: ast.expr) -> None:
        match node:
            case ast.Constant(value=value):
                ops.append((CONST, float(value), 0))  # type: ignore[arg-type]
            case ast.Name(id="pi"):
                ops.append((CONST, math.pi, 0))
            case ast.Name(id=name):
                ops.append((LOAD, 0.0, index[name]))
            case ast.Attribute(value=ast.Name(id=owner), attr=attr):
                ops.append((LOAD, 0.0, index[f"{owner}.{attr}"]))
            case ast.BinOp(left=left, op=op, right=right):
                emit(left)
                emit(right)
                ops.append((_BINARY[type(op)], 0.0, 0))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                emit(operand)
                ops.append((NEG, 0.0, 0))
            case ast.UnaryOp(operand=operand):
                emit(operand)
            case ast.Call(func=ast.Name(id=function), args=args):
                few = 2 if function in _REDUCE else 1
                if len(args) < few or (function in _UNARY and len(args) > 1):
                    raise ModelError(
                        f"expression {expr!r}: {function} takes "
                        + ("two or more arguments" if few == 2 else "one argument")
                        + f", found {len(args)}"
                    )
                emit(args[0])
                for arg in args[1:]:
                    emit(arg)
                    ops.append((_REDUCE[function], 0.0, 0))
                if function in _UNARY:
                    ops.append((_UNARY[function], 0.0, 0))
            case _:
                raise ModelError(f"expression {expr!r}: {type(node).__name__} is not allowed")

    emit(ast.parse(expr, mode="eval").body)
    height = depth = 0
    for code, _, _ in ops:
        height += 1 if code in (CONST, LOAD) else -1 if code in (*range(ADD, NEG), MIN, MAX) else 0
        depth = max(depth, height)
    codes, constants, loads = zip(*ops, strict=True)
    return Program(codes, constants, loads, depth)


def as_affine(program: Program, known: Mapping[int, Affine]) -> Affine | None:
    """Return the program as an affine form of the free parameters, or None if it is not one.

    Parameters
    ----------
    program : Program
        The expression.
    known : mapping of int to Affine
        Affine forms of the full parameters that have one.
    """
    stack: list[Affine] = []
    for code, constant, load in zip(program.codes, program.constants, program.loads, strict=True):
        if code == CONST:
            stack.append(Affine(constant, {}))
        elif code == LOAD:
            if load not in known:
                return None
            stack.append(known[load])
        elif code == NEG:
            stack.append(_combine(stack.pop(), -1.0, Affine(0.0, {}), 0.0))
        elif code in (ADD, SUB):
            b, a = stack.pop(), stack.pop()
            stack.append(_combine(a, 1.0, b, 1.0 if code == ADD else -1.0))
        elif code in (MUL, DIV):
            b, a = stack.pop(), stack.pop()
            if code == MUL and a.coefficients and not b.coefficients:
                stack.append(_combine(a, b.offset, b, 0.0))
            elif code == MUL and not a.coefficients:
                stack.append(_combine(b, a.offset, a, 0.0))
            elif code == DIV and not b.coefficients and b.offset != 0.0:
                stack.append(Affine(a.offset / b.offset, _scaled(a, 1.0 / b.offset)))
            else:
                return None
        else:
            count = 2 if code in (POW, MIN, MAX) else 1
            args = [stack.pop() for _ in range(count)][::-1]
            if any(a.coefficients for a in args):
                return None
            value, _ = _apply(code, [(np.array([a.offset]), np.zeros((1, 0))) for a in args])
            stack.append(Affine(float(value[0]), {}))
    return stack[0]


def _scaled(a: Affine, factor: float) -> dict[int, float]:
    return {j: factor * v for j, v in a.coefficients.items()}


def _combine(a: Affine, fa: float, b: Affine, fb: float) -> Affine:
    total = _scaled(a, fa)
    for j, v in b.coefficients.items():
        total[j] = total.get(j, 0.0) + fb * v
    return Affine(fa * a.offset + fb * b.offset, {j: v for j, v in total.items() if v != 0.0})


def run(
    program: Program, full: Array, gradient: Mapping[int, Array], width: int
) -> tuple[Array, Array]:
    """Run a program for a block of spectra.

    Parameters
    ----------
    program : Program
        What to run.
    full : ndarray, shape (B, P)
        Full parameters, filled where the program loads them.
    gradient : mapping of int to ndarray, shape (B, width)
        Derivatives of the loaded parameters.
    width : int
        Number of free parameters the result depends on.

    Returns
    -------
    value : ndarray, shape (B,)
    gradient : ndarray, shape (B, width)
    """
    size = full.shape[0]
    none = np.zeros((size, width))
    stack: list[tuple[Array, Array]] = []
    for code, constant, load in zip(program.codes, program.constants, program.loads, strict=True):
        if code == CONST:
            stack.append((np.full(size, constant), none))
        elif code == LOAD:
            stack.append((full[:, load], gradient.get(load, none)))
        else:
            count = 2 if code in (ADD, SUB, MUL, DIV, POW, MIN, MAX) else 1
            args = [stack.pop() for _ in range(count)][::-1]
            stack.append(_apply(code, args))
    return stack[0]


def _apply(code: int, args: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """One operation and its derivative; outside a function's domain both are NaN."""
    a, da = args[0]
    if len(args) == 2:
        b, db = args[1]
        match code:
            case 2:
                return a + b, da + db
            case 3:
                return a - b, da - db
            case 4:
                return a * b, da * b[:, None] + db * a[:, None]
            case 5:
                return a / b, (da - db * (a / b)[:, None]) / b[:, None]
            case 6:
                value = a**b
                slope = np.where(b == 0.0, 0.0, b * a ** (b - 1.0))
                out = da * slope[:, None]
                moving = np.any(db != 0.0, axis=1)
                if moving.any():
                    out = out + np.where(
                        moving[:, None], db * (value * np.log(np.where(moving, a, 1.0)))[:, None], 0
                    )
                return value, out
            case _:
                first = (a <= b) if code == MIN else (a >= b)
                return np.where(first, a, b), np.where(first[:, None], da, db)
    match code:
        case 7:
            return -a, -da
        case 8:
            value = np.sqrt(a)
            slope = 0.5 / value
        case 9:
            value = slope = np.exp(a)
        case 10:
            value, slope = np.log(a), 1.0 / a
        case 11:
            value, slope = np.sin(a), np.cos(a)
        case 12:
            value, slope = np.cos(a), -np.sin(a)
        case 13:
            value = np.tan(a)
            slope = 1.0 + value * value
        case _:
            value, slope = np.abs(a), np.sign(a)
    return value, da * slope[:, None]

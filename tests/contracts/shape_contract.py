"""What every registered line shape has to do, as checks that a test parametrises over the registry.

Each check takes a `Shape` and raises AssertionError with what it measured. Parameters are drawn
from the shape's own limits, so that a new shape is tested without a line here.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator

import numpy as np

from spectra import _maths
from spectra.shapes import Shape

SAMPLES = 4
Values = dict[str, float]


def draw(shape: Shape, rng: np.random.Generator) -> Values:
    """Ordinary parameter values, inside the shape's limits."""
    out: Values = {}
    for name in shape.params:
        low, high = shape.limits.get(name, (-np.inf, np.inf))
        if name in shape.width:
            out[name] = float(np.exp(rng.uniform(np.log(0.3), np.log(3.0))))
        elif np.isfinite(low) and np.isfinite(high):
            out[name] = low + (high - low) * float(rng.uniform(0.05, 0.95))
        elif np.isfinite(low):
            out[name] = low + float(np.exp(rng.uniform(np.log(0.3), np.log(3.0))))
        elif name.endswith(("low", "low_edge")):
            out[name] = float(rng.uniform(-20.0, -15.0))
        elif name.endswith(("high", "high_edge")):
            out[name] = float(rng.uniform(15.0, 20.0))
        elif name in ("area", "height"):
            out[name] = float(rng.uniform(0.5, 50.0))
        elif shape.defaults.get(name):
            out[name] = shape.defaults[name] * float(rng.uniform(0.8, 1.2))
        else:
            out[name] = float(rng.uniform(-2.0, 2.0))
    return out


def samples(shape: Shape, count: int = SAMPLES) -> Iterator[Values]:
    rng = np.random.default_rng(20_261_123)
    for _ in range(count):
        yield draw(shape, rng)


def evaluate(
    function: Callable[..., object], x: np.ndarray, values: Values
) -> tuple[np.ndarray, list[np.ndarray]]:
    value, derivatives = function(x, *values.values())  # type: ignore[misc]
    full = [np.broadcast_to(np.asarray(d, dtype=float), x.shape) for d in derivatives]
    return np.broadcast_to(np.asarray(value, dtype=float), x.shape), full


def origin(shape: Shape, values: Values) -> float:
    return values[shape.center[0]] if shape.center else 0.0


def grid(shape: Shape, values: Values) -> np.ndarray:
    """Points over core and tails, none of them on the center."""
    c = origin(shape, values)
    return c + np.concatenate([np.linspace(-25.0, 25.0, 61), np.linspace(-2.0, 2.0, 40)]) + 0.0123


def nodes(low: float, high: float, break_at: float) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre panels in asinh(x - break_at), dense enough for every edge drawn above."""
    a, w = np.polynomial.legendre.leggauss(8)
    xs, ws = [], []
    for first, last in ((low, 0.0), (0.0, high)):
        v0, v1 = np.arcsinh([first, last])
        edges = np.linspace(v0, v1, max(2, int(abs(v1 - v0) / 0.02)))
        half = 0.5 * np.diff(edges)
        v = (0.5 * (edges[1:] + edges[:-1]))[:, None] + half[:, None] * a
        xs.append((break_at + np.sinh(v)).ravel())
        ws.append((half[:, None] * w * np.cosh(v)).ravel())
    return np.concatenate(xs), np.concatenate(ws)


def check_signature(shape: Shape) -> None:
    """One derivative per parameter; registered names exist; nothing is left to guess."""
    known = set(shape.params)
    for names in (shape.linear, shape.center, shape.width, tuple(shape.limits), shape.defaults):
        assert set(names) <= known, f"{shape.name}: {set(names) - known} are not parameters"
    assert shape.function.__doc__, f"{shape.name} has no docstring"
    assert shape.background or "area" in known, f"{shape.name}: a peak has an area"
    values = next(samples(shape))
    _, derivatives = evaluate(shape.function, grid(shape, values), values)
    assert len(derivatives) == len(shape.params), f"{shape.name}: {len(derivatives)} derivatives"


def check_elementwise(shape: Shape) -> None:
    """A point's value depends on that point; parameters may be columns; nothing is changed."""
    values = list(samples(shape, 2))
    x = grid(shape, values[0])
    before = x.copy()
    columns = {k: np.array([[v[k]] for v in values]) for k in shape.params}
    both, both_d = shape.function(x, *columns.values())
    assert np.array_equal(x, before), f"{shape.name} changes its input"
    for row, sample in enumerate(values):
        value, derivatives = evaluate(shape.function, x, sample)
        scale = np.max(np.abs(value))
        got = np.broadcast_to(both, (2, x.size))[row]
        assert np.allclose(got, value, rtol=1e-10, atol=1e-12 * scale), f"{shape.name}: columns"
        for name, one, two in zip(shape.params, derivatives, both_d, strict=True):
            got = np.broadcast_to(two, (2, x.size))[row]
            assert np.allclose(got, one, rtol=1e-8, atol=1e-10 * np.max(np.abs(one))), (
                f"{shape.name}: columns: d/d{name}"
            )
        alone = np.array([float(shape.function(xi, *sample.values())[0]) for xi in x[::9]])
        assert np.allclose(alone, value[::9], rtol=1e-10, atol=1e-12 * scale), (
            f"{shape.name}: a point alone differs from the same point among others"
        )


def check_derivatives(shape: Shape, function: Callable[..., object] | None = None) -> None:
    """Every derivative equals a five-point difference, to 2e-6 of its largest value."""
    function = function or shape.function
    for values in samples(shape):
        x = grid(shape, values)
        value, derivatives = evaluate(function, x, values)
        for name, derivative in zip(shape.params, derivatives, strict=True):
            h = 2e-4 * max(abs(values[name]), 0.1)

            def at(shift: float, name: str = name, values: Values = values) -> np.ndarray:
                return evaluate(function, x, {**values, name: values[name] + shift})[0]  # noqa: B023

            numeric = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h)
            floor = 1e-9 * np.max(np.abs(value)) / h
            error = np.max(np.abs(numeric - derivative))
            allowed = 2e-6 * np.max(np.abs(numeric)) + 1e-4 * floor
            assert error <= allowed, (
                f"{shape.name}: d/d{name} is off by {error:.2e} of {np.max(np.abs(numeric)):.2e} "
                f"at {values}"
            )


def check_linear(shape: Shape) -> None:
    """The value is the sum of linear parameters times their derivatives."""
    for values in samples(shape):
        value, derivatives = evaluate(shape.function, grid(shape, values), values)
        parts = [
            values[k] * d
            for k, d in zip(shape.params, derivatives, strict=True)
            if k in shape.linear
        ]
        error = np.max(np.abs(np.sum(parts, axis=0) - value))
        assert error <= 1e-12 * np.max(np.abs(value)), f"{shape.name}: not linear, {error:.2e}"


def check_area(shape: Shape) -> None:
    """The integral, over the axis or the stated window, is ``area`` to 2e-7."""
    if shape.background:
        return
    for values in samples(shape):
        c = origin(shape, values)
        low, high = (values[k] for k in shape.window) if shape.window else (-1e15, 1e15)
        x, weight = nodes(low, high, c)
        with np.errstate(all="ignore"):
            total = float(np.sum(weight * evaluate(shape.function, x, values)[0]))
        error = abs(total / values["area"] - 1.0)
        assert error < 2e-7, f"{shape.name}: integral {total:g} for area {values['area']:g}"


def check_width(shape: Shape) -> None:
    """A parameter called ``fwhm`` is the full width at half maximum of one single maximum."""
    if "fwhm" not in shape.params or shape.background:
        return
    for values in samples(shape):
        c, width = origin(shape, values), values["fwhm"]
        x = c + width * np.linspace(-4.0, 4.0, 80_001)
        y = evaluate(shape.function, x, values)[0]
        top = int(np.argmax(y))
        assert np.all(np.diff(y[: top + 1]) >= 0.0), f"{shape.name}: more than one maximum"
        assert np.all(np.diff(y[top:]) <= 0.0), f"{shape.name}: more than one maximum"
        half = 0.5 * y[top]
        left = np.interp(half, y[: top + 1], x[: top + 1])
        right = np.interp(-half, -y[top:], x[top:])
        found = (right - left) / width
        assert abs(found - 1.0) < 1e-6, f"{shape.name}: width {found:g} of fwhm at {values}"


def check_finite(shape: Shape) -> None:
    """No NaN, no infinity, no floating point exception: far away and at the ends of the limits."""
    cases = list(samples(shape, 2))
    base = cases[0]
    for name, (low, high) in shape.limits.items():
        ends = [v for v in (low, high) if np.isfinite(v)]
        if len(ends) == 1:
            ends = [low + 1e-3]
        cases += [{**base, name: v} for v in ends]
    cases += [{**base, name: 0.0} for name in base if name not in shape.limits and name != "x0"]
    for values in cases:
        c = origin(shape, values)
        far = np.array([1e-9, 1.0, 30.0, 1e3, 1e6])
        x = np.concatenate([c - far, [c], c + far])
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            try:
                value, derivatives = evaluate(shape.function, x, values)
            except FloatingPointError as error:
                raise AssertionError(f"{shape.name}: {error} at {values}") from None
        for name, array in zip(("value", *shape.params), (value, *derivatives), strict=True):
            assert np.isfinite(array).all(), f"{shape.name}: {name} is not finite at {values}"


def check_cumulative(shape: Shape) -> None:
    """The cumulative starts at 0, ends at ``area``, grows by the shape; has derivatives."""
    cumulative = shape.cumulative
    if cumulative is None:
        return
    for values in samples(shape):
        x = grid(shape, values)
        h = 1e-3
        up = evaluate(cumulative, x + h, values)[0] - evaluate(cumulative, x - h, values)[0]
        up2 = (
            evaluate(cumulative, x + 2 * h, values)[0] - evaluate(cumulative, x - 2 * h, values)[0]
        )
        slope = (8.0 * up - up2) / (12.0 * h)
        value = evaluate(shape.function, x, values)[0]
        error = np.max(np.abs(slope - value)) / np.max(np.abs(value))
        assert error < 1e-7, f"{shape.name}: the cumulative grows wrongly by {error:.2e}"
        c = origin(shape, values)
        ends = evaluate(cumulative, c + np.array([-1e9, 1e9]), values)[0] / values["area"]
        assert abs(ends[0]) < 1e-6, f"{shape.name}: the cumulative starts at {ends[0]:g}"
        if shape.window:
            low, high = (values[k] for k in shape.window)
            ends = np.diff(evaluate(cumulative, c + np.array([low, high]), values)[0])
            ends = np.array([0.0, ends[0] / values["area"]])
        assert abs(ends[1] - 1.0) < 1e-6, f"{shape.name}: the cumulative ends at {ends[1]:g}"
    check_derivatives(shape, cumulative)


def check_plain(shape: Shape) -> None:
    """Only arithmetic, the names of `_maths`, constants and functions written alike: compilable."""
    seen: set[object] = set()

    def visit(function: types.FunctionType) -> None:
        if function in seen:
            return
        seen.add(function)
        code = function.__code__
        assert not code.co_freevars, f"{shape.name}: {code.co_name} is a closure"
        for name in code.co_names:
            if name not in function.__globals__:
                assert name == "range", f"{shape.name}: {code.co_name} uses {name!r}"
                continue
            used = function.__globals__[name]
            if name in _maths.NAMES and getattr(_maths, name) is used:
                continue
            if isinstance(used, tuple):
                assert all(isinstance(v, float) for v in used), f"{shape.name}: {name}"
            elif isinstance(used, types.FunctionType):
                visit(used)
            else:
                assert isinstance(used, (int, float)), (
                    f"{shape.name}: {code.co_name} uses {name!r}, which no compiler is given"
                )

    assert isinstance(shape.function, types.FunctionType)
    visit(shape.function)
    if shape.cumulative is not None:
        assert isinstance(shape.cumulative, types.FunctionType)
        visit(shape.cumulative)


CHECKS: tuple[Callable[[Shape], None], ...] = (
    check_signature,
    check_elementwise,
    check_derivatives,
    check_linear,
    check_area,
    check_width,
    check_finite,
    check_cumulative,
    check_plain,
)

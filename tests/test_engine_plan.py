"""Expressions, ties and primitives: against plain Python, numeric derivatives and hand sums."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spectra.component import Component, Components, Curve, Param, SubLine, doublet
from spectra.errors import ModelError
from spectra.shapes import SHAPES
from workbench.engine.expressions import run, translate
from workbench.engine.plan import build, jacobian, model

INDEX = {"a": 0, "b": 1, "Li2S.area": 2}


@pytest.mark.parametrize(
    ("expr", "truth"),
    [
        ("a + 2 * b - 3", lambda a, b, c: a + 2 * b - 3),
        ("-(a - b) / Li2S.area", lambda a, b, c: -(a - b) / c),
        ("a ** 2 + b ** -0.5", lambda a, b, c: a**2 + b**-0.5),
        ("a ** b", lambda a, b, c: a**b),
        (
            "exp(-a) * sin(b) + cos(a * b)",
            lambda a, b, c: math.exp(-a) * math.sin(b) + math.cos(a * b),
        ),
        ("log(a) + sqrt(b) + tan(a) + abs(-c0)", None),
        ("max(a, b, 0.2) + min(a, b) + pi", lambda a, b, c: max(a, b, 0.2) + min(a, b) + math.pi),
        ("+a * 1e-3 / (1 + b)", lambda a, b, c: a * 1e-3 / (1 + b)),
    ],
)
def test_programs_equal_python_and_their_slopes_are_right(expr, truth):
    if truth is None:
        expr = "log(a) + sqrt(b) + tan(a) + abs(-b)"

        def truth(a, b, c):
            return math.log(a) + math.sqrt(b) + math.tan(a) + abs(-b)

    full = np.array([[0.7, 1.3, 2.1], [0.4, 0.9, 3.0]])
    program = translate(expr, INDEX)
    seeds = {k: np.tile(np.eye(3)[k], (2, 1)) for k in range(3)}
    value, slope = run(program, full, seeds, 3)
    for row in range(2):
        assert value[row] == pytest.approx(truth(*full[row]), rel=1e-14)
        for k in range(3):
            up, down = full[row].copy(), full[row].copy()
            up[k] += 1e-6
            down[k] -= 1e-6
            numeric = (truth(*up) - truth(*down)) / 2e-6
            assert slope[row, k] == pytest.approx(numeric, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize(
    "expr", ["__import__('os')", "a.b.c", "[a]", "lambda: 1", "exp(a, b)", "min(a)"]
)
def test_everything_but_arithmetic_is_refused(expr):
    with pytest.raises(ModelError):
        translate(expr, {"a": 0, "b": 1})


def line(name, area=100.0, center=5.0, **more):
    params = {"area": Param(value=area), "center": Param(value=center), "fwhm": Param(value=1.0)}
    return Component(name=name, shape="gaussian", params=params, **more)


X = np.linspace(0, 30, 400)


def gauss(area, center, fwhm):
    return SHAPES["gaussian"].function(X, area, center, fwhm)[0]


def test_doublet_and_pattern_are_sums_of_lines_with_one_area():
    plan = build(Components([line("d", lines=doublet(1.2, 0.5, 1.5))]))
    expected = gauss(200 / 3, 5.0, 1.0) + gauss(100 / 3, 6.2, 1.5)
    np.testing.assert_allclose(model(plan, X, plan.start[None])[0], expected, atol=1e-12)
    lines = (SubLine(position=1.0, weight=0.7), SubLine(position=3.0, weight=0.3, width=2.0))
    plan = build(Components([line("p", lines=lines, line_scale="ratio")]))
    expected = gauss(70, 5.0, 1.0) + gauss(30, 15.0, 2.0)
    np.testing.assert_allclose(model(plan, X, plan.start[None])[0], expected, atol=1e-12)


def test_jacobian_of_everything_together_is_the_numeric_one():
    tied = {
        "area": Param(expr="0.3 * p.area + k"),
        "center": Param(expr="p.center * sqrt(1 + k)"),
        "fwhm": Param(expr="p.fwhm"),
        "mixing": 0.4,
    }
    knots = tuple(np.linspace(0, 30, 31))
    bump = tuple(np.exp(-(((np.array(knots) - 20) / 5) ** 2)))
    comps = Components(
        [
            line("p", lines=doublet(1.1, 0.5)),
            Component(name="q", params=tied),
            Component(
                name="t",
                shape="template",
                params={"area": 7.0, "shift": 0.37},
                curve=Curve(x=knots, y=bump),
            ),
            Component(
                name="b", shape="polynomial", role="background", params={"c0": 3.0, "c1": 0.1}
            ),
        ],
        common={"k": Param(value=2.0)},
    )
    plan = build(comps)
    p = plan.start[None]
    _, jac = jacobian(plan, X, p)
    for k in range(plan.size):
        h = 1e-6 * max(1.0, abs(p[0, k]))
        up, down = p.copy(), p.copy()
        up[0, k] += h
        down[0, k] -= h
        numeric = (model(plan, X, up) - model(plan, X, down))[0] / (2 * h)
        np.testing.assert_allclose(jac[0, k], numeric, atol=2e-6 * np.abs(numeric).max() + 1e-9)
    assert [plan.names[i] for i in plan.free[plan.linear]] == [
        "p.area",
        "t.area",
        "b.c0",
        "b.c1",
    ]


def test_bounds_are_where_shapes_have_a_meaning_and_equal_bounds_hold():
    comps = Components([line("a")]).set("a.center", min=5.0, max=5.0)
    plan = build(comps)
    names = [plan.names[i] for i in plan.free]
    assert names == ["a.area", "a.fwhm"]
    assert plan.lower[1] > 0


def test_idle_parameters_and_empty_models_are_errors():
    with pytest.raises(ModelError, match="no component uses it"):
        build(Components([line("a")], common={"k": Param(value=1.0)}))
    with pytest.raises(ModelError, match="nothing to fit"):
        build(Components([]))

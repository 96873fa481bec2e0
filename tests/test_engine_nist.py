"""NIST StRD nonlinear regression sets (public domain, in tests/nist), from both starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import workbench.engine
from spectra.component import Component, Components, Param
from spectra.convention import spectrum
from spectra.shapes import SHAPES, shape
from workbench.fit import fit

FOLDER = Path(__file__).parent / "nist"

DECAY, HUMP = "nist_decay", "nist_hump"
# set: components as (shape, the numbers of their b's); peak sets run on all engines
PEAKS = {
    "Gauss1": [(DECAY, (1, 2)), (HUMP, (3, 4, 5)), (HUMP, (6, 7, 8))],
    "Gauss2": [(DECAY, (1, 2)), (HUMP, (3, 4, 5)), (HUMP, (6, 7, 8))],
    "Gauss3": [(DECAY, (1, 2)), (HUMP, (3, 4, 5)), (HUMP, (6, 7, 8))],
    "Eckerle4": [("nist_eckerle", (1, 2, 3))],
}
OTHERS = {
    "Lanczos1": [(DECAY, (1, 2)), (DECAY, (3, 4)), (DECAY, (5, 6))],
    "Lanczos2": [(DECAY, (1, 2)), (DECAY, (3, 4)), (DECAY, (5, 6))],
    "Lanczos3": [(DECAY, (1, 2)), (DECAY, (3, 4)), (DECAY, (5, 6))],
    "Misra1a": [("nist_saturation", (1, 2))],
    "Misra1b": [("nist_misra_b", (1, 2))],
    "Misra1c": [("nist_misra_c", (1, 2))],
    "Misra1d": [("nist_misra_d", (1, 2))],
    "BoxBOD": [("nist_saturation", (1, 2))],
    "MGH17": [("nist_constant", (1,)), (DECAY, (2, 4)), (DECAY, (3, 5))],
    "MGH10": [("nist_arrhenius", (1, 2, 3))],
    "Rat42": [("nist_logistic", (1, 2, 3))],
    "Rat43": [("nist_richards", (1, 2, 3, 4))],
}


@dataclass(frozen=True)
class Certified:
    starts: np.ndarray
    values: np.ndarray
    deviations: np.ndarray
    x: np.ndarray
    y: np.ndarray


def read(name):
    lines = (FOLDER / f"{name}.dat").read_text().split("\n")
    rows = [line.split("=")[1].split() for line in lines if line.strip()[:1] == "b" and "=" in line]
    table = np.array([[float(v) for v in row] for row in rows if len(row) == 4])
    at = max(k for k, line in enumerate(lines) if line.startswith("Data:"))
    data = np.array([[float(v) for v in line.split()] for line in lines[at + 1 :] if line.strip()])
    order = np.argsort(data[:, 1])
    return Certified(table[:, :2].T, table[:, 2], table[:, 3], data[order, 1], data[order, 0])


@pytest.fixture(scope="module", autouse=True)
def _users_own_shapes():
    workbench.engine.warm()
    before = set(SHAPES)

    @shape("b1", "b2", linear=("b1",), background=True)
    def nist_decay(x, b1, b2):
        e = np.exp(-b2 * x)
        return b1 * e, (e, -b1 * x * e)

    @shape("height", "center", "width", linear=("height",))
    def nist_hump(x, height, center, width):
        u = (x - center) / width
        e = np.exp(-u * u)
        slope = 2.0 * height * u * e / width
        return height * e, (e, slope, slope * u)

    @shape("size", "sigma", "center", linear=("size",))
    def nist_eckerle(x, size, sigma, center):
        u = (x - center) / sigma
        e = np.exp(-0.5 * u * u) / sigma
        return size * e, (e, size * e * (u * u - 1.0) / sigma, size * e * u / sigma)

    @shape("b1", linear=("b1",), background=True)
    def nist_constant(x, b1):
        return b1 + x * 0.0, (x * 0.0 + 1.0,)

    @shape("b1", "b2", linear=("b1",), background=True)
    def nist_saturation(x, b1, b2):
        e = np.exp(-b2 * x)
        return b1 * (1.0 - e), (1.0 - e, b1 * x * e)

    @shape("b1", "b2", linear=("b1",), background=True)
    def nist_misra_b(x, b1, b2):
        r = 1.0 / (1.0 + 0.5 * b2 * x)
        return b1 * (1.0 - r * r), (1.0 - r * r, b1 * x * r * r * r)

    @shape("b1", "b2", linear=("b1",), background=True)
    def nist_misra_c(x, b1, b2):
        r = (1.0 + 2.0 * b2 * x) ** -0.5
        return b1 * (1.0 - r), (1.0 - r, b1 * x * r * r * r)

    @shape("b1", "b2", linear=("b1",), background=True)
    def nist_misra_d(x, b1, b2):
        r = 1.0 / (1.0 + b2 * x)
        return b1 * b2 * x * r, (b2 * x * r, b1 * x * r * r)

    @shape("b1", "b2", "b3", linear=("b1",), background=True)
    def nist_arrhenius(x, b1, b2, b3):
        d = 1.0 / (x + b3)
        e = np.exp(b2 * d)
        return b1 * e, (e, b1 * e * d, -b1 * e * b2 * d * d)

    @shape("b1", "b2", "b3", linear=("b1",), background=True)
    def nist_logistic(x, b1, b2, b3):
        e = np.exp(b2 - b3 * x)
        d = 1.0 / (1.0 + e)
        return b1 * d, (d, -b1 * d * d * e, b1 * d * d * e * x)

    @shape("b1", "b2", "b3", "b4", linear=("b1",), background=True)
    def nist_richards(x, b1, b2, b3, b4):
        e = np.exp(b2 - b3 * x)
        v = b1 * (1.0 + e) ** (-1.0 / b4)
        s = -v * e / ((1.0 + e) * b4)
        return v, (v / b1, s, -s * x, v * np.log(1.0 + e) / (b4 * b4))

    yield
    for name in set(SHAPES) - before:
        del SHAPES[name]


def run(name, terms, begin, engine):
    given = read(name)
    start = given.starts[begin]
    items, flat, order = [], [], []
    for k, (kind, numbers) in enumerate(terms):
        keys = SHAPES[kind].params
        params = {key: Param(value=start[b - 1]) for key, b in zip(keys, numbers, strict=True)}
        items.append(Component(name=f"t{k}", shape=kind, role="background", params=params))
        flat += [f"t{k}.{key}" for key in keys]
        order += [b - 1 for b in numbers]
    ds = spectrum(given.y, given.x, technique="xps", axis_name="channel", units="1")
    got = fit(ds, Components(items), engine=engine)
    assert got.attrs["engine"] == engine
    value = got["value"].sel(param=flat).values
    error = got["stderr"].sel(param=flat).values
    return value, error, given.values[order], given.deviations[order]


@pytest.mark.parametrize("begin", [0, 1])
@pytest.mark.parametrize("name", sorted(PEAKS))
@pytest.mark.parametrize("engine", ["lmfit", "batch", "numpy"])
def test_peak_sets_on_every_engine(name, begin, engine):
    value, error, certified, deviation = run(name, PEAKS[name], begin, engine)
    np.testing.assert_allclose(value, certified, rtol=1e-6)
    np.testing.assert_allclose(error, deviation, rtol=1e-4)


@pytest.mark.parametrize("begin", [0, 1])
@pytest.mark.parametrize("name", sorted(OTHERS))
def test_other_sets_on_the_reference_engine(name, begin):
    value, error, certified, deviation = run(name, OTHERS[name], begin, "lmfit")
    np.testing.assert_allclose(value, certified, rtol=1e-6)
    if name != "Lanczos1":  # residuals of 1e-13: the certified deviations are rounding
        np.testing.assert_allclose(error, deviation, rtol=1e-3)

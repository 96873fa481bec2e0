"""Cubes with a known truth for the engine tests, and lmfit's own fit of them, written apart."""

from __future__ import annotations

import lmfit
import numpy as np
import xarray as xr

from spectra.component import Component, Components, Param
from spectra.convention import spectrum

LN2 = np.log(2.0)
SPLIT = 1.18
X0 = 165.0
FREE = ["a1", "c1", "w1", "f1", "a3", "c3", "w3", "f3", "a4", "c4", "w4", "f4", "b0", "b1"]
FLAT = [
    "A.area", "A.center", "A.fwhm", "A.mixing", "B.area", "B.center", "B.fwhm", "B.mixing",
    "C.area", "C.center", "C.fwhm", "C.mixing", "bg.c0", "bg.c1",
]  # fmt: skip
INF = np.inf
LOWER = [0, 160.5, 0.2, 0, 0, 162.8, 0.2, 0, 0, 166.5, 0.4, 0, -INF, -INF]
UPPER = [INF, 162.7, 6, 1, INF, 165.0, 6, 1, INF, 170.5, 8, 1, INF, INF]


def pv(x, a, c, w, f):
    """Pseudo-Voigt of area a and full width w, written independently of ``spectra.shapes``."""
    s = w / 2.0
    u = (x - c) / s
    gauss = np.sqrt(LN2 / np.pi) / s * np.exp(-LN2 * u * u)
    return a * ((1 - f) * gauss + f / (np.pi * s * (1.0 + u * u)))


def model(x, p):
    """Reference model: p of shape (..., 14) -> (..., N)."""
    q = [p[..., i, None] for i in range(14)]
    return (
        pv(x, q[0], q[1], q[2], q[3])
        + pv(x, 0.5 * q[0], q[1] + SPLIT, q[2], q[3])
        + pv(x, *q[4:8])
        + pv(x, *q[8:12])
        + q[12]
        + q[13] * (x - X0)
    )


def truth(ny, nx, *, hard=False):
    """Smooth maps of the 14 parameters; the hard ones overlap and sit at bounds."""
    yy, xx = np.meshgrid(np.linspace(0, 1, ny), np.linspace(0, 1, nx), indexing="ij")
    w1 = 0.5 + 0.5 * np.sin(2 * np.pi * (0.8 * xx + 0.3 * yy))
    w2 = np.exp(-((xx - 0.6) ** 2 + (yy - 0.4) ** 2) / 0.08)
    w3 = 0.5 + 0.5 * np.cos(2 * np.pi * (0.5 * xx - 0.9 * yy))
    p = np.empty((ny, nx, 14))
    p[..., 0] = 500 + 500 * w1
    p[..., 1] = 161.50 + 0.25 * (w3 - 0.5)
    p[..., 2] = 0.90 + 0.24 * w2
    p[..., 3] = 0.30 + 0.30 * w1
    p[..., 4] = 250 + 450 * w2
    p[..., 5] = 163.75 + 0.20 * (w1 - 0.5)
    p[..., 6] = 1.24 + 0.30 * w3
    p[..., 7] = 0.35 + 0.25 * w3
    p[..., 8] = 600 + 500 * w3
    p[..., 9] = 168.45 + 0.30 * (w2 - 0.5)
    p[..., 10] = 1.90 + 0.40 * w1
    p[..., 11] = 0.30 + 0.35 * w2
    p[..., 12] = 100 + 40 * w3
    p[..., 13] = 2.0 + 2.0 * w1
    if hard:
        p[..., 5] = 163.05 + 0.20 * (w1 - 0.5)  # inside the doublet's second line
        p[..., 3] = 0.04 * w1  # at its bound for many spectra
        p[..., 11] = 0.97
        p[..., [0, 4, 8, 12, 13]] *= 0.12  # about 12 counts of background
    return p


def cube(ny, nx, *, hard=False, points=512, seed=20240611, scale=1.0):
    """Return (spectrum, truth) with Poisson counts."""
    x = np.linspace(158.0, 173.0, points)
    p = truth(ny, nx, hard=hard)
    p[..., [0, 4, 8, 12, 13]] *= scale
    counts = np.random.default_rng(seed).poisson(model(x, p)).astype(np.uint16)
    ds = spectrum(
        counts,
        x,
        technique="xps",
        axis_name="binding_energy",
        outer={"y": np.arange(ny) * 1.0, "x": np.arange(nx) * 1.0},
    )
    return ds, p


def start(scale=1.0):
    p = np.array([700, 161.7, 1.2, 0.5, 500, 163.9, 1.6, 0.5, 800, 168.2, 2.2, 0.5, 120, 0.0])
    p[[0, 4, 8, 12]] *= scale
    return p


def components(begin=None):
    """The same model as Components: a tied doublet, two more peaks, a line."""
    p = start() if begin is None else begin

    def peak(name, k, **more):
        keys = ("area", "center", "fwhm", "mixing")
        params = {
            key: Param(
                value=p[k + i],
                min=LOWER[k + i],
                max=None if np.isinf(UPPER[k + i]) else UPPER[k + i],
            )
            for i, key in enumerate(keys)
        }
        return Component(name=name, params={**params, **more})

    tied = {
        "area": Param(expr="A.area / 2"),
        "center": Param(expr=f"A.center + {SPLIT}"),
        "fwhm": Param(expr="A.fwhm"),
        "mixing": Param(expr="A.mixing"),
    }
    ground = {
        "c0": Param(value=p[12]),
        "c1": Param(value=p[13]),
        "x0": Param(value=X0, vary=False),
    }
    return Components(
        [
            peak("A", 0),
            Component(name="A2", params=tied),
            peak("B", 4),
            peak("C", 8),
            Component(name="bg", shape="polynomial", role="background", params=ground),
        ]
    )


def lmfit_fits(ds: xr.Dataset, begin, weight=None):
    """Fit every spectrum with lmfit's leastsq and its own bounds: p, stderr, chi-square.

    With tight tolerances: lmfit's usual 1.5e-8 of chi-square stops up to 0.02 standard errors away.
    """
    x = ds["binding_energy"].values
    counts = ds["intensity"].values.reshape(-1, x.size).astype(float)
    out_p, out_e, out_c = [], [], []
    for y in counts:
        w = 1.0 / np.sqrt(np.maximum(y, 1.0)) if weight is None else weight
        params = lmfit.Parameters()
        for name, value, low, high in zip(FREE, begin, LOWER, UPPER, strict=True):
            params.add(name, value, min=low, max=high)

        def residual(q, y=y, w=w):
            return (model(x, np.array([v.value for v in q.values()])) - y) * w

        result = lmfit.Minimizer(residual, params, scale_covar=False).leastsq(
            ftol=1e-13, xtol=1e-13
        )
        out_p.append([v.value for v in result.params.values()])
        out_e.append([v.stderr or np.nan for v in result.params.values()])
        out_c.append(result.chisqr)
    return np.array(out_p), np.array(out_e), np.array(out_c)

"""The engine's table: speed side by side with its peers, in turn, in one run, on one core.

    OMP_NUM_THREADS=1 python -m benchmarks.engine [--rounds 3] [--stream]

The cube is a 64 x 64 map of 512-point spectra: an S 2p doublet, two more peaks and a line; 14 free
parameters, 4 tied ones, Poisson noise. Every entry fits the same spectra from the same start with
the same weights. Times are processor times; best of the rounds against best of the rounds.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import workbench.engine
from tests.engine_cubes import LOWER, UPPER, components, cube, model, start
from workbench.engine import compiled
from workbench.engine.data import Data
from workbench.engine.plan import build, jacobian
from workbench.engine.starts import groups
from workbench.fit import fit


def once(function: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    begin = clock()
    function()
    return clock() - begin


def lmfit_model(x: np.ndarray) -> tuple[object, object]:
    """lmfit's own composite of PseudoVoigtModels, with its derived quantities."""
    from lmfit.models import LinearModel, PseudoVoigtModel

    parts = [PseudoVoigtModel(prefix=f"{name}_") for name in ("a", "d", "b", "c")]
    whole = parts[0] + parts[1] + parts[2] + parts[3] + LinearModel()
    p = whole.make_params()
    begin = start()
    for k, name in ((0, "a"), (4, "b"), (8, "c")):
        keys = ("amplitude", "center", "sigma", "fraction")
        for i, key in enumerate(keys):
            half = 0.5 if key == "sigma" else 1.0
            p[f"{name}_{key}"].set(
                value=begin[k + i] * half, min=LOWER[k + i] * half, max=UPPER[k + i] * half
            )
    p["d_amplitude"].set(expr="0.5*a_amplitude")
    p["d_center"].set(expr="a_center + 1.18")
    p["d_sigma"].set(expr="a_sigma")
    p["d_fraction"].set(expr="a_fraction")
    p["slope"].set(value=0.0)
    p["intercept"].set(value=begin[12])
    return whole, p


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slow", type=int, default=8, help="spectra for the slow entries")
    parser.add_argument("--stream", action="store_true", help="10^6 spectra from disk")
    given = parser.parse_args()
    os.environ["INTERPHASE_THREADS"] = "1"
    workbench.engine.warm()
    ds, _ = cube(64, 64)
    x = ds["binding_energy"].values
    y = ds["intensity"].values.reshape(-1, x.size)
    plan = build(components())
    data = Data(x, y, None, None, None, "counts", False)
    division = groups((64, 64))
    table: dict[str, tuple[Callable[[], object], int]] = {}
    table["batch: Spectrum -> FitResult"] = (lambda: fit(ds, components()), 4096)
    table["batch: no covariance kept"] = (lambda: fit(ds, components(), covariance=False), 4096)
    table["batch: bare kernel"] = (
        lambda: compiled.solve(plan, data, division, covariance=False, workers=1),
        4096,
    )
    part = ds.isel(y=slice(0, 16), x=slice(0, 16))
    table["numpy engine"] = (lambda: fit(part, components(), engine="numpy"), 256)
    few = y[: given.slow].astype(float)
    whole, params = lmfit_model(x)

    def by_lmfit() -> None:
        for row in few:
            whole.fit(  # type: ignore[attr-defined]
                row, params, x=x, weights=1 / np.sqrt(np.maximum(row, 1)), scale_covar=False
            )

    table["lmfit Model.fit"] = (by_lmfit, len(few))

    from scipy.optimize import curve_fit

    rows = y[:64].astype(float)

    def by_minpack() -> None:
        for row in rows:
            curve_fit(
                lambda x, *p: model(x, np.array(p)),
                x,
                row,
                p0=start(),
                sigma=np.sqrt(np.maximum(row, 1)),
                absolute_sigma=True,
                jac=lambda x, *p: jacobian(plan, x, np.array([p]))[1][0].T,
            )

    table["scipy MINPACK, analytic Jacobian"] = (by_minpack, len(rows))
    if importlib.util.find_spec("hyperspy"):
        table["HyperSpy multifit lm"] = (_hyperspy(ds, given.slow), given.slow)
    best = dict.fromkeys(table, np.inf)
    for _ in range(given.rounds):
        for name, (function, count) in table.items():
            best[name] = min(best[name], once(function) / count)
    ours = best["batch: Spectrum -> FitResult"]
    print(f"{'entry':36s} {'us/fit':>10s} {'x slower than batch':>20s}")
    for name, seconds in sorted(best.items(), key=lambda item: item[1]):
        print(f"{name:36s} {1e6 * seconds:10.1f} {seconds / ours:20.1f}")
    kernel = best["batch: bare kernel"]
    print(
        f"xarray to xarray over the bare kernel: {best['batch: no covariance kept'] / kernel:.2f}"
    )
    _threads(cube(128, 128)[0])
    _shared()
    if given.stream:
        _stream()


def _hyperspy(ds: object, count: int) -> Callable[[], object]:
    import hyperspy.api as hs

    y = ds["intensity"].values.reshape(-1, 512)[:count].astype(float)  # type: ignore[index]
    x = ds["binding_energy"].values  # type: ignore[index]

    def run() -> None:
        s = hs.signals.Signal1D(y)
        s.axes_manager[-1].scale, s.axes_manager[-1].offset = x[1] - x[0], x[0]
        s.set_noise_variance(hs.signals.Signal1D(np.maximum(y, 1)))
        m = s.create_model()
        begin = start()
        for k in (0, None, 4, 8):
            peak = hs.model.components1D.Expression(
                "A*((1-f)*sqrt(log(2)/pi)/s*exp(-log(2)*((x-c)/s)**2)+f/(pi*s*(1+((x-c)/s)**2)))",
                name=f"p{k}",
                A=begin[k or 0] * (0.5 if k is None else 1.0),
                c=begin[(k or 0) + 1] + (1.18 if k is None else 0.0),
                s=begin[(k or 0) + 2] / 2,
                f=begin[(k or 0) + 3],
            )
            m.append(peak)
        for key, expr in (("A", "0.5*x"), ("c", "x+1.18"), ("s", "x"), ("f", "x")):
            getattr(m[1], key).twin_function_expr = expr
            getattr(m[1], key).twin = getattr(m[0], key)
        m.append(hs.model.components1D.Polynomial(order=1, a0=begin[12], a1=0.0))
        m.multifit(optimizer="lm", show_progressbar=False)

    return run


def _threads(ds: object) -> None:
    seconds = {}
    for workers in ("1", "2"):
        os.environ["INTERPHASE_THREADS"] = workers
        seconds[workers] = min(
            once(lambda: fit(ds, components(), covariance=False), time.perf_counter)
            for _ in range(4)
        )
    os.environ["INTERPHASE_THREADS"] = "1"
    print(f"two threads against one (wall clock): {seconds['1'] / seconds['2']:.2f}")


def _shared() -> None:
    ds, _ = cube(25, 40)
    every = {"center": ["y", "x"], "fwhm": ["y", "x"]}
    seconds = once(lambda: fit(ds, components(), shared=every, covariance=False))
    print(f"global fit, 1,000 spectra sharing widths and positions: {seconds:.2f} s")


def _stream() -> None:
    """Fit 10^6 spectra of 512 points from disk through dask, results to disk."""
    import dask
    import dask.array as da

    os.environ["INTERPHASE_THREADS"] = "1"
    ds, _ = cube(64, 64)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.npy"
        shape = (1024, 1024, 512)
        big = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint16, shape=shape)
        for k in range(0, 1024, 64):
            big[k : k + 64] = np.tile(ds["intensity"].values, (1, 16, 1))
        big.flush()
        del big
        lazy = da.from_array(np.load(path, mmap_mode="r"), chunks=(64, 64, 512))
        import xarray as xr

        side = {d: (d, np.arange(1024) * 1.0, {"units": "um"}) for d in ("y", "x")}
        huge = xr.Dataset(
            {"intensity": (("y", "x", "binding_energy"), lazy, {"units": "counts"})},
            coords={**side, "binding_energy": ds["binding_energy"]},
            attrs=ds.attrs,
        )
        begin = time.perf_counter()
        peak = _Peak()
        with dask.config.set(scheduler="threads", num_workers=2):
            found = fit(huge, components(), covariance=False)
            kept = [found[name] for name in ("value", "stderr", "status")]
            targets = [
                np.lib.format.open_memmap(
                    Path(folder) / f"{k}.npy", mode="w+", dtype=one.dtype, shape=one.shape
                )
                for k, one in enumerate(kept)
            ]
            da.store([one.data for one in kept], targets)
        seconds = time.perf_counter() - begin
    print(
        f"10^6 spectra streamed from disk: {seconds:.0f} s, "
        f"peak memory {peak.stop():.2f} GB without the mapped file"
    )


class _Peak:
    """Peak of the process's own memory (Linux), mapped files not counted."""

    def __init__(self) -> None:
        self.highest = 0
        self.running = True
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def _watch(self) -> None:
        while self.running:
            for line in Path("/proc/self/status").read_text().split("\n"):
                if line.startswith("RssAnon"):
                    self.highest = max(self.highest, int(line.split()[1]))
            time.sleep(0.05)

    def stop(self) -> float:
        self.running = False
        self.thread.join()
        return self.highest / 1e6


if __name__ == "__main__":
    main()

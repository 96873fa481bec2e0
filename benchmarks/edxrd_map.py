"""A full EDXRD map from file to maps of amounts and lattices: 50 positions x 200 times x 4,096.

    python -m benchmarks.edxrd_map [--lattice common|each] [--positions 50] [--times 200]

A simulated cell of four phases is written to a netCDF file first. A new process opens that file,
proposes the phases with all their lines (full intensities), fits every spectrum with its Poisson
likelihood, and makes maps of amounts, detection limits and lattices. Printed: seconds and peak
memory of each step of the second process, and the pulls of the amounts against the truth.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

import workbench as wb
from spectra.techniques import edxrd
from workbench.simulate import plating

PHASES = ("Li6PS5Cl", "Li2S", "Li3P", "LiCl")


def write(path: Path, positions: int, times: int, channels: int) -> None:
    """Simulate the map and write it."""
    history = plating()
    history = history.sel(species=list(PHASES))
    settings = {
        "positions": positions,
        "times": times,
        "channels": channels,
        "step_um": 500.0 / positions,
        "live_s": 30.0,
    }
    wb.save(wb.simulate("edxrd", history, settings=settings, seed=11), path)


def read(path: Path, lattice: str) -> None:
    """From file to maps, with a line per step."""
    begin = last = time.perf_counter()

    def lap(step: str) -> None:
        nonlocal last
        now = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{step:10s} {now - last:6.1f} s   peak memory {peak:.2f} GB", flush=True)
        last = now

    ds = wb.load(path)
    lap("open")
    comps = wb.propose(ds, PHASES, settings={"lattice": lattice})
    lap("propose")
    fit = wb.fit(ds, comps, statistic="poisson")
    lap("fit")
    amounts = wb.quantify(fit)
    lap("quantify")
    cells = edxrd.lattice(fit)
    lap("lattice")
    print(f"{'total':10s} {last - begin:6.1f} s   {np.prod(fit['redchi'].shape)} spectra")
    pull = (amounts["amount"] - ds["truth"].sel(species=amounts["species"])) / amounts["stderr"]
    codes, numbers = np.unique(fit["status"].values, return_counts=True)
    names = str(fit["status"].attrs["flag_meanings"]).split()
    print("status", {names[int(c)]: int(n) for c, n in zip(codes, numbers, strict=True)})
    print(f"reduced chi-square {float(fit['redchi'].mean()):.3f}")
    for name in PHASES:
        own = pull.sel(species=name).values
        seen = int(np.isfinite(cells["a"].sel(species=name)).sum())
        print(f"{name:9s} pulls {np.nanmean(own):+.2f} / {np.nanstd(own):.2f}, "
              f"{np.isnan(own).sum()} without amount, {seen} lattices")  # fmt: skip


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lattice", choices=("common", "each"), default="common")
    parser.add_argument("--positions", type=int, default=50)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--channels", type=int, default=4096)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.nc"
        new = multiprocessing.get_context("spawn")
        for target, args in (
            (write, (path, told.positions, told.times, told.channels)),
            (read, (path, told.lattice)),
        ):
            process = new.Process(target=target, args=args)
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()

"""The command line's pattern fits: sites with tensors, to one or several NMR spectra at once."""

from __future__ import annotations

import argparse
import sys

from .errors import UsageError


def patterns(args: argparse.Namespace) -> int:
    """Run a recipe of sites on files; exit status 2 where a parameter is not to be trusted."""
    from .nmr_recipe import read_sites_recipe
    from .terminal import print_json, print_table

    for path in args.files:
        if args.output.exists() and path.exists() and args.output.samefile(path):
            raise UsageError(f"patterns: {args.output} is a measurement; give another name")
    fit = read_sites_recipe(args.recipe).run(*args.files)
    fit.save(args.output)
    table = fit.table
    names = str(table["flag"].attrs["flag_meanings"]).split()
    rows = [
        [str(p), f"{float(v):.6g}", f"{float(e):.2g}", str(u), names[int(f)]]
        for p, v, e, u, f in zip(
            table["param"].values,
            table["value"].values,
            table["stderr"].values,
            table["units"].values,
            table["flag"].values,
            strict=True,
        )
        if names[int(f)] != "fixed"
    ]
    if args.json:
        keys = ("param", "value", "stderr", "units", "flag")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        print_table(rows, ["parameter", "value", "1 sigma", "units", "flag"])
        print(f"reduced chi-square {table.attrs['redchi']:.4g}; written: {args.output}")
    if not table.attrs["success"]:
        print(f"interphase: not converged: {table.attrs['message']}", file=sys.stderr)
    if fit.flagged:
        print(f"interphase: flagged: {', '.join(fit.flagged)}", file=sys.stderr)
    return 2 if fit.flagged else 0

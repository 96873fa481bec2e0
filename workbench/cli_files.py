"""The command line's verbs on files: what is in one, which formats there are, simulated ones."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .cli_steps import is_prepared, prepared, settings
from .errors import UsageError


def open_file(args: argparse.Namespace) -> int:
    """Show what is in a file."""
    from spectra import formats
    from spectra.formats.registry import identify

    from .terminal import describe, print_calibration, print_json, print_table
    from .verbs import open_all

    if args.region is not None or is_prepared(args):
        found = {args.region or args.file.stem: prepared(args, args.file, args.region)}
    else:
        tree = open_all(args.file, format=args.format, technique=args.technique)
        found = {name: node.to_dataset() for name, node in tree.children.items()}
    name = args.format or identify(args.file).name
    described = [{"region": region, **describe(ds)} for region, ds in found.items()]
    if args.json:
        head = {
            "file": args.file.name,
            "format": name,
            "technique": described[0]["technique"],
        }
        only = described[0] if len(described) == 1 else {}
        print_json({**head, **only, "regions": described})
    else:
        print(f"{args.file.name}: {formats.formats()[name].title}, {len(described)} region(s)")
        rows = [
            [
                d["region"],
                d["technique"],
                " x ".join(f"{k} {v}" for k, v in d["dims"].items()),
                d.get("range", ""),
                d.get("units", ""),
            ]
            for d in described
        ]
        print_table(rows, ["region", "technique", "dims", "axis", "intensity"])
        if is_prepared(args):
            for ds in found.values():
                print(f"calibration: {ds.attrs.get('calibration', 'none')}")
                print_calibration(ds)
    if args.plot is not None:
        from . import plot

        if len(found) > 1:
            raise UsageError("open --plot: several regions; name one with --region")
        _save_figure(plot.spectrum(next(iter(found.values()))), args.plot)
    return 0


def _save_figure(figure: Any, path: Path) -> None:
    from .store import atomic

    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=130, format=path.suffix.lstrip(".") or "png")


def list_formats(args: argparse.Namespace) -> int:
    """List the file formats."""
    from spectra import formats

    from .terminal import print_json, print_table

    records = sorted(formats.formats().values(), key=lambda r: (r.techniques, r.name))
    if args.json:
        print_json(
            [
                {
                    "name": r.name,
                    "title": r.title,
                    "suffixes": list(r.suffixes),
                    "techniques": list(r.techniques),
                    "extra": r.extra,
                }
                for r in records
            ]
        )
    else:
        rows = [
            [r.name, ",".join(r.techniques), " ".join(r.suffixes) or "folder", r.title]
            for r in records
        ]
        print_table(rows, ["format", "technique", "endings", "title"])
    return 0


def simulate_file(args: argparse.Namespace) -> int:
    """Simulate a measurement, or the whole demo campaign."""
    if args.technique == "campaign":
        from .demo import write_campaign

        path = write_campaign(args.output, seed=args.seed)
        print(f"written: {path}")
        return 0
    from .simulate import simulate
    from .store import save

    ds = simulate(args.technique, settings=settings(args), seed=args.seed)
    save(ds, args.output)
    print(f"written: {args.output}")
    return 0

"""The command line's fits and what is asked of their results."""

from __future__ import annotations

import argparse
import sys

from .cli_steps import refuse_both, settings, steps
from .errors import UsageError


def fit_file(args: argparse.Namespace) -> int:
    """Fit one file with species or a recipe."""
    from .recipe import Opening, Proposal, Recipe, read_recipe, recipe_from
    from .run import count_flagged, run_recipe, save_result
    from .terminal import (
        Progress,
        amounts_json,
        list_flagged,
        print_json,
        print_result,
        tell_misfit,
    )

    if (args.recipe is None) == (args.species is None):
        raise UsageError("fit: give --species A,B,C or --recipe R.yaml")
    if args.output.exists() and args.output.samefile(args.file):
        raise UsageError(f"fit: {args.output} is the measurement itself; give another name")
    if args.recipe is not None:
        refuse_both(args)
        recipe = read_recipe(args.recipe)
        if not isinstance(recipe, Recipe):
            raise UsageError(f"fit: {args.recipe.name} is a campaign; use 'interphase run'")
        if args.region is not None:
            recipe = recipe.model_copy(
                update={"open": recipe.open.model_copy(update={"region": args.region})}
            )
    else:
        from .verbs import open

        ds = open(args.file, region=args.region, format=args.format, technique=args.technique)
        species = tuple(s.strip() for s in args.species.split(",") if s.strip())
        if not species:
            raise UsageError("fit: --species is empty; 'interphase species' lists them")
        opening = Opening(region=args.region, format=args.format)
        recipe = recipe_from(
            {
                "technique": ds.attrs["technique"],
                "open": opening,
                **steps(args),
                "propose": Proposal(species=species, settings=settings(args)),
            },
            "fit",
        )
    with Progress("spectrum") as tell:
        result = run_recipe(args.file, recipe, progress=lambda n, of: tell(args.file.name, n, of))
    save_result(result, args.output)
    flagged = count_flagged(result.fit)
    if args.json:
        print_json(amounts_json(result.amounts) if result.amounts is not None else {})
    else:
        print_result(result.fit, result.amounts)
        print(f"written: {args.output}")
    if "no_amounts" in result.fit.attrs:
        print(f"no amounts: {result.fit.attrs['no_amounts']}", file=sys.stderr)
    tell_misfit(result.fit)
    if flagged:
        list_flagged(result.fit)
    return 2 if flagged else 0


def run_recipes(args: argparse.Namespace) -> int:
    """Run a recipe or campaign to a folder of results."""
    from .run import run
    from .terminal import Progress, print_json, print_table

    with Progress() as tell:
        outcomes = run(
            args.recipe,
            args.output,
            jobs=args.jobs,
            resume=args.resume,
            scheduler=args.scheduler,
            progress=tell,
        )
    if args.json:
        print_json([o.__dict__ for o in outcomes])
    else:
        rows = [
            [
                o.name,
                o.technique,
                str(o.fitted),
                str(o.flagged),
                o.error or ("kept" if o.resumed else "done"),
            ]
            for o in outcomes
        ]
        print_table(rows, ["measurement", "technique", "spectra", "flagged", "how"])
        print(f"written: {args.output}")
    for outcome in outcomes:
        if outcome.error:
            print(f"interphase: {outcome.name}: {outcome.error}", file=sys.stderr)
    if any(o.error for o in outcomes):
        return 1
    return 2 if any(o.flagged for o in outcomes) else 0


def write_report(args: argparse.Namespace) -> int:
    """Write a self-contained HTML report of a result."""
    from .report import report

    if args.output.is_file() and not args.output.read_bytes()[:64].lstrip().startswith(b"<"):
        raise UsageError(f"report: {args.output} is no page; give another name")
    report(args.result, args.output)
    print(f"written: {args.output}")
    return 0


def tell_why(args: argparse.Namespace) -> int:
    """Say what made a result."""
    from .terminal import print_json
    from .why import explain

    at = {}
    for item in args.at:
        key, _, value = item.partition("=")
        try:
            at[key] = float(value)
        except ValueError:
            raise UsageError(f"why --at {item!r}: write DIM=VALUE, for example time=3600") from None
    if args.at and args.param is None:
        raise UsageError("why: --at says of which spectrum; say which parameter with --param")
    told = explain(args.result, param=args.param, at=at)
    if args.json:
        print_json(told)
    else:
        import yaml

        print(yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=100), end="")
    return 0

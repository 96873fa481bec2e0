"""The command line: one subcommand per task, thin over the verbs.

Exit status: 0 every fit ok; 1 usage, file or recipe error (one line on stderr); 2 done, but some
fits are flagged (listed). Heavy libraries load inside the subcommand that needs them.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from references.errors import InterphaseError

from .cli_nmr import patterns
from .cli_species import identify_species, species
from .errors import UsageError

_STEP = re.compile(r"(calibrate|correct)\(ds, '(\w+)'")
"""A verb that an error asks for, as one writes it in Python."""
Serve = Callable[[Path, int | None], None]
"""How the app is served: ``(folder, port)``; given by `apps`, which this package cannot import."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}; see '{self.prog} --help'")


def main(argv: Sequence[str] | None = None, serve: Serve | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.
    serve : callable, optional
        Serves the app.

    Returns
    -------
    int
        Exit status.
    """
    try:
        args = parser().parse_args(argv)
        if args.command in ("app", "demo"):
            args.serve_with = serve
        status = args.function(args)
        sys.stdout.flush()
        return int(status)
    except InterphaseError as error:
        return _failed(str(error))
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        name = Path(error.filename).name if error.filename else "file"
        return _failed(f"{name}: {error.strerror or error}")
    except MemoryError:
        return _failed("not enough memory; select a part of the data")
    except KeyboardInterrupt:
        return _failed("stopped")
    except Exception as error:
        if os.environ.get("INTERPHASE_TRACEBACK"):
            raise
        return _failed(
            f"a fault of this program, please report it: {type(error).__name__}: {error} "
            "(INTERPHASE_TRACEBACK=1 shows where)"
        )


def _failed(message: str) -> int:
    print("interphase: " + " ".join(message.split()).removeprefix("interphase: "), file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    """Return the parser with all subcommands."""
    top = _Parser(
        prog="interphase",
        description="Read, fit and map solid-state-battery interphases.",
    )
    top.add_argument("--version", action="store_true", help="print the version and stop")
    sub = top.add_subparsers(dest="command", parser_class=_Parser, metavar="COMMAND")
    top.set_defaults(function=_no_command)

    def add(name: str, function: Callable[[Any], int], text: str) -> argparse.ArgumentParser:
        command = sub.add_parser(name, help=text, description=text)
        command.set_defaults(function=function)
        return command

    command = add("open", _open, "Show what is in a file.")
    _file_arguments(command)
    command.add_argument("--json", action="store_true", help="machine-readable")
    command.add_argument("--plot", type=Path, metavar="OUT.png", help="draw it")
    command.add_argument(
        "--recipe", type=Path, metavar="R.yaml",
        help="calibrate and correct it first, and show the calibration",
    )  # fmt: skip

    command = add("formats", _formats, "List the file formats.")
    command.add_argument("--json", action="store_true")

    command = add("species", species, "List, show or check the reference library.")
    command.add_argument("what", nargs="?", default="list", choices=["list", "show", "check"])
    command.add_argument("id", nargs="?", help="species id or alias, for show")
    command.add_argument("--library", type=Path, help="folder with species of your own")
    command.add_argument("--json", action="store_true")

    command = add("identify", identify_species, "Rank the species that a file shows by evidence.")
    _file_arguments(command)
    command.add_argument("--elements", metavar="'Li P S Cl'", help="no others are in the sample")
    command.add_argument("--candidates", metavar="A,B", help="only these species")
    command.add_argument("--precursors", metavar="A,B", help="species known to be put in")
    command.add_argument("--potential", type=float, metavar="V", help="against Li+/Li")
    command.add_argument("--library", type=Path, help="folder with species of your own")
    command.add_argument("--json", action="store_true")

    command = add("fit", _fit, "Fit one file with species or a recipe.")
    _file_arguments(command)
    command.add_argument("--species", help="comma-separated ids")
    command.add_argument("--recipe", type=Path, metavar="RECIPE.yaml")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.nc")
    command.add_argument("--json", action="store_true", help="print the amounts as JSON")

    command = add("patterns", patterns, "Fit NMR powder patterns to one or several spectra.")
    command.add_argument("files", nargs="+", type=Path, metavar="FILE")
    command.add_argument("--recipe", type=Path, required=True, metavar="SITES.yaml")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.nc")
    command.add_argument("--json", action="store_true", help="machine-readable")

    command = add("run", _run, "Run a recipe or campaign to a folder of results.")
    command.add_argument("recipe", type=Path, metavar="RECIPE_OR_CAMPAIGN.yaml")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    command.add_argument("--jobs", type=_positive, default=1, metavar="N")
    command.add_argument("--resume", action="store_true", help="keep what is unchanged")
    command.add_argument("--scheduler", metavar="ADDRESS", help="Dask scheduler to use")
    command.add_argument("--json", action="store_true")

    command = add("report", _report, "Write a self-contained HTML report of a result.")
    command.add_argument("result", type=Path, metavar="OUT.nc_OR_DIR")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="REPORT.html")

    command = add("why", _why, "Say what made a result.")
    command.add_argument("result", type=Path, metavar="OUT.nc")
    command.add_argument("--param", help="one parameter, for example Li2S.area")
    command.add_argument("--at", action="append", default=[], metavar="DIM=VALUE")
    command.add_argument("--json", action="store_true")

    command = add("doctor", _doctor, "Check this installation.")
    command.add_argument("--json", action="store_true")

    command = add("simulate", _simulate, "Simulate a measurement, or the whole demo campaign.")
    command.add_argument("technique", help="xps, nmr, raman, edxrd, ndp, or campaign")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.nc_OR_DIR")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a simulation setting"
    )

    command = add("app", _app, "Serve the web app on this machine.")
    command.add_argument("folder", type=Path, nargs="?", default=Path())
    command.add_argument("--port", type=_positive, default=None)

    command = add("demo", _demo, "Simulate, fit and balance a whole cell; write pictures.")
    command.add_argument("-o", "--output", type=Path, default=Path("demo-results"))
    command.add_argument("--serve", action="store_true", help="serve the app afterwards")
    command.add_argument("--port", type=_positive, default=None)
    return top


def _file_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path)
    command.add_argument("--region", help="one region of a file with several")
    command.add_argument("--format", help="format name, instead of asking the content")
    command.add_argument("--technique", help="where the content does not say")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _no_command(args: argparse.Namespace) -> int:
    if args.version:
        from importlib import metadata

        print(metadata.version("interphase-workbench"))
        return 0
    parser().print_help()
    return 1


def _open(args: argparse.Namespace) -> int:
    from spectra import formats
    from spectra.formats.registry import identify

    from .terminal import describe, print_calibration, print_json, print_table
    from .verbs import open, open_all

    if args.recipe is not None:
        found = {args.region or args.file.stem: _prepared(args)}
    elif args.region is not None:
        ds = open(args.file, region=args.region, format=args.format, technique=args.technique)
        found = {args.region: ds}
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
        if args.recipe is not None:
            for ds in found.values():
                print(f"calibration: {ds.attrs.get('calibration', 'none')}")
                print_calibration(ds)
    if args.plot is not None:
        from . import plot

        if len(found) > 1:
            raise UsageError("open --plot: several regions; name one with --region")
        _save_figure(plot.spectrum(next(iter(found.values()))), args.plot)
    return 0


def _prepared(args: argparse.Namespace) -> Any:
    """Open with a recipe: its region and format unless the command line names others."""
    from .recipe import read_preparation
    from .run import prepare

    recipe = read_preparation(args.recipe)
    told = {"region": args.region, "format": args.format}
    opening = recipe.open.model_copy(update={k: v for k, v in told.items() if v is not None})
    return prepare(args.file, recipe.model_copy(update={"open": opening}))


def _save_figure(figure: Any, path: Path) -> None:
    from .store import atomic

    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=130, format=path.suffix.lstrip(".") or "png")


def _formats(args: argparse.Namespace) -> int:
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


def _fit(args: argparse.Namespace) -> int:
    from .recipe import Opening, Proposal, Recipe, read_recipe, recipe_from
    from .run import count_flagged, run_recipe, save_result
    from .terminal import amounts_json, list_flagged, print_json, print_result, tell_misfit

    if (args.recipe is None) == (args.species is None):
        raise UsageError("fit: give --species A,B,C or --recipe R.yaml")
    if args.output.exists() and args.output.samefile(args.file):
        raise UsageError(f"fit: {args.output} is the measurement itself; give another name")
    if args.recipe is not None:
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
                "propose": Proposal(species=species),
            },
            "fit",
        )
    with _progress("spectrum") as tell:
        try:
            result = run_recipe(
                args.file, recipe, progress=lambda n, of: tell(args.file.name, n, of)
            )
        except InterphaseError as error:
            step = _STEP.search(str(error))
            if args.species is None or step is None:
                raise
            raise type(error)(
                f"{error} (on the command line: --recipe R.yaml with the lines 'technique: "
                f"{recipe.technique}', '{step[1]}: {{method: {step[2]}}}', 'propose: {{species: "
                f"[{args.species}]}}')"
            ) from None
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


def _run(args: argparse.Namespace) -> int:
    from .run import run
    from .terminal import print_json, print_table

    with _progress() as tell:
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


class _progress:
    """A progress bar on stderr; silent when that is not a terminal."""

    def __init__(self, unit: str = "file") -> None:
        self.unit = unit

    def __enter__(self) -> Callable[[str, int, int], None]:
        from tqdm import tqdm

        self.bar = tqdm(total=None, disable=not sys.stderr.isatty(), leave=False, unit=self.unit)

        def tell(what: str, done: int, total: int) -> None:
            self.bar.total = total
            self.bar.set_description(what)
            self.bar.update(done - self.bar.n)

        return tell

    def __exit__(self, *_: object) -> None:
        self.bar.close()


def _report(args: argparse.Namespace) -> int:
    from .report import report

    if args.output.is_file() and not args.output.read_bytes()[:64].lstrip().startswith(b"<"):
        raise UsageError(f"report: {args.output} is no page; give another name")
    report(args.result, args.output)
    print(f"written: {args.output}")
    return 0


def _why(args: argparse.Namespace) -> int:
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


def _doctor(args: argparse.Namespace) -> int:
    from .doctor import examine
    from .terminal import print_json, print_table

    findings = examine()
    if args.json:
        print_json([f.__dict__ for f in findings])
    else:
        print_table([[f.state, f.what, f.found] for f in findings], ["", "what", "found"])
    return 1 if any(f.state == "bad" for f in findings) else 0


def _simulate(args: argparse.Namespace) -> int:
    if args.technique == "campaign":
        from .demo import write_campaign

        path = write_campaign(args.output, seed=args.seed)
        print(f"written: {path}")
        return 0
    import yaml

    from .simulate import simulate
    from .store import save

    settings = {}
    for item in args.set:
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"simulate --set {item!r}: write KEY=VALUE")
        settings[key] = yaml.safe_load(value)
    ds = simulate(args.technique, settings=settings, seed=args.seed)
    save(ds, args.output)
    print(f"written: {args.output}")
    return 0


def _app(args: argparse.Namespace) -> int:
    if args.serve_with is None:
        raise UsageError("app: start it with the command 'interphase'")
    if not args.folder.is_dir():
        raise UsageError(f"app: {args.folder.name}: no such folder")
    args.serve_with(args.folder, args.port)
    return 0


def _demo(args: argparse.Namespace) -> int:
    from .demo import run_demo
    from .terminal import print_table

    with _progress() as tell:
        demo = run_demo(args.output, progress=tell)
    print_table(demo.rows, demo.head)
    print()
    print_table(demo.pulls, ["technique", "values", "mean pull", "sd of pulls"])
    print()
    for line in demo.balance:
        print(line)
    print()
    for path in demo.paths:
        print(f"written: {path}")
    if args.serve:
        if args.serve_with is None:
            raise UsageError("demo --serve: start it with the command 'interphase'")
        args.serve_with(args.output, args.port)
    return 0

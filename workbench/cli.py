"""The command line: one subcommand per task, thin over the verbs.

Exit status: 0 every fit ok; 1 usage, file or recipe error (one line on stderr); 2 done, but some
fits are flagged (listed). Heavy libraries load inside the subcommand that needs them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from references.errors import InterphaseError

from .cli_files import list_formats, open_file, simulate_file
from .cli_fit import fit_file, run_recipes, tell_why, write_report
from .cli_nmr import patterns
from .cli_species import identify_species, species
from .cli_steps import in_options
from .errors import UsageError

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
    args = None
    try:
        args = parser().parse_args(argv)
        if args.command in ("app", "demo"):
            args.serve_with = serve
        status = args.function(args)
        sys.stdout.flush()
        return int(status)
    except InterphaseError as error:
        return _failed(in_options(str(error), args))
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

    command = add("open", open_file, "Show what is in a file.")
    command.add_argument("file", type=_path)
    command.add_argument("--region", help="one region of a file with several")
    _reading(command)
    command.add_argument("--recipe", type=Path, metavar="R.yaml", help="do its steps first")
    command.add_argument("--json", action="store_true", help="machine-readable")
    command.add_argument("--plot", type=Path, metavar="OUT.png", help="draw it")

    command = add("formats", list_formats, "List the file formats.")
    command.add_argument("--json", action="store_true")

    command = add("species", species, "List, show or check the reference library.")
    command.add_argument("what", nargs="?", default="list", choices=["list", "show", "check"])
    command.add_argument("id", nargs="?", help="species id or alias, for show")
    command.add_argument("--library", type=Path, help="folder with species of your own")
    command.add_argument("--json", action="store_true")

    command = add("identify", identify_species, "Rank the species that a sample shows by evidence.")
    command.add_argument("files", nargs="+", type=_path, metavar="FILE")
    command.add_argument(
        "--region", action="append", help="one region of a file with several; may be repeated"
    )
    _reading(command)
    command.add_argument("--recipe", type=Path, metavar="R.yaml", help="do its steps first")
    command.add_argument("--elements", metavar="'Li P S Cl'", help="no others are in the sample")
    command.add_argument("--candidates", metavar="A,B", help="only these species")
    _model(command)
    command.add_argument("--precursors", metavar="A,B", help="species known to be put in")
    command.add_argument("--potential", type=float, metavar="V", help="against Li+/Li")
    command.add_argument("--library", type=Path, help="folder with species of your own")
    command.add_argument("--json", action="store_true")

    command = add("fit", fit_file, "Fit one file with species or a recipe.")
    command.add_argument("file", type=_path)
    command.add_argument("--region", help="one region of a file with several")
    _reading(command)
    command.add_argument("--species", help="comma-separated ids")
    _model(command)
    command.add_argument("--recipe", type=Path, metavar="RECIPE.yaml")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.nc")
    command.add_argument("--json", action="store_true", help="print the amounts as JSON")

    command = add("patterns", patterns, "Fit NMR powder patterns to one or several spectra.")
    command.add_argument("files", nargs="+", type=Path, metavar="FILE")
    command.add_argument("--recipe", type=Path, required=True, metavar="SITES.yaml")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.nc")
    command.add_argument("--json", action="store_true", help="machine-readable")

    command = add("run", run_recipes, "Run a recipe or campaign to a folder of results.")
    command.add_argument("recipe", type=_path, metavar="RECIPE_OR_CAMPAIGN.yaml")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    command.add_argument("--jobs", type=_positive, default=1, metavar="N")
    command.add_argument("--resume", action="store_true", help="keep what is unchanged")
    command.add_argument("--scheduler", metavar="ADDRESS", help="Dask scheduler to use")
    command.add_argument("--json", action="store_true")

    command = add("report", write_report, "Write a self-contained HTML report of a result.")
    command.add_argument("result", type=_path, metavar="OUT.nc_OR_DIR")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="REPORT.html")

    command = add("why", tell_why, "Say what made a result.")
    command.add_argument("result", type=_path, metavar="OUT.nc")
    command.add_argument("--param", help="one parameter, for example Li2S.area")
    command.add_argument("--at", action="append", default=[], metavar="DIM=VALUE")
    command.add_argument("--json", action="store_true")

    command = add("doctor", _doctor, "Check this installation.")
    command.add_argument("--json", action="store_true")

    command = add("simulate", simulate_file, "Simulate a measurement, or the whole demo campaign.")
    command.add_argument("technique", help="xps, nmr, raman, edxrd, ndp, or campaign")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.nc_OR_DIR")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a simulation setting"
    )

    command = add("app", _app, "Serve the web app on this machine.")
    command.add_argument("folder", type=Path, nargs="?", default=Path())
    command.add_argument("--port", type=_port, default=None)

    command = add("demo", _demo, "Simulate, fit and balance a whole cell; write pictures.")
    command.add_argument("-o", "--output", type=Path, default=Path("demo-results"))
    command.add_argument("--serve", action="store_true", help="serve the app afterwards")
    command.add_argument("--port", type=_port, default=None)
    return top


def _reading(command: argparse.ArgumentParser) -> None:
    """Give a command the options of how its file is read and prepared."""
    command.add_argument("--format", help="format name, instead of asking the content")
    command.add_argument("--technique", help="where the content does not say")
    command.add_argument(
        "--calibrate", action="append", default=[], metavar="METHOD",
        help="'as_recorded', or with settings 'method: line, line: C 1s, at: 284.8'",
    )  # fmt: skip
    command.add_argument(
        "--correct", action="append", default=[], metavar="METHOD", help="likewise; may be repeated"
    )


def _model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="a setting of the technique's model",
    )  # fmt: skip


def _path(text: str) -> Path:
    """Return the path with a name of its own, which messages use, where it is ``.``."""
    return Path(text) if Path(text).name else Path(text).resolve()


def _port(text: str) -> int:
    return _whole(text, 65535)


def _positive(text: str) -> int:
    return _whole(text)


def _whole(text: str, most: int | None = None) -> int:
    value = int(text) if text.isdecimal() and len(text) < 10 else 0
    if value < 1 or (most is not None and value > most):
        upto = "or more" if most is None else f"to {most}"
        raise argparse.ArgumentTypeError(f"{text!r}: must be 1 {upto}")
    return value


def _no_command(args: argparse.Namespace) -> int:
    if args.version:
        from importlib import metadata

        print(metadata.version("interphase-workbench"))
        return 0
    parser().print_help()
    return 1


def _doctor(args: argparse.Namespace) -> int:
    from .doctor import examine
    from .terminal import print_json, print_table

    findings = examine()
    if args.json:
        print_json([f.__dict__ for f in findings])
    else:
        print_table([[f.state, f.what, f.found] for f in findings], ["", "what", "found"])
    return 1 if any(f.state == "bad" for f in findings) else 0


def _app(args: argparse.Namespace) -> int:
    if args.serve_with is None:
        raise UsageError("app: start it with the command 'interphase'")
    if not args.folder.is_dir():
        raise UsageError(f"app: {args.folder.name}: no such folder")
    args.serve_with(args.folder, args.port)
    return 0


def _demo(args: argparse.Namespace) -> int:
    from .demo import run_demo
    from .terminal import Progress, print_table

    with Progress() as tell:
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

"""What the command line does to a file before it looks at it: a recipe's steps, or steps told."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UsageError

if TYPE_CHECKING:
    import xarray as xr

_VERB = re.compile(r"(calibrate|correct)\(ds, '(\w+)'")
"""A verb that an error asks for, as one writes it in Python."""


def is_prepared(args: argparse.Namespace) -> bool:
    """Whether anything is to be done to the file."""
    return args.recipe is not None or bool(args.calibrate) or bool(args.correct)


def steps(args: argparse.Namespace) -> dict[str, Any]:
    """Return the steps told by options, as a recipe holds them."""
    told = {"calibrate": args.calibrate, "correct": args.correct}
    return {verb: [_step(verb, text) for text in texts] for verb, texts in told.items() if texts}


def _step(verb: str, text: str) -> str | dict[str, Any]:
    from .yaml_text import parse

    return parse("{" + text + "}", f"--{verb} {text!r}") if ":" in text else text


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings told as ``--set KEY=VALUE``, values read as YAML."""
    from .yaml_text import parse

    told = {}
    for item in args.set:
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"{args.command} --set {item!r}: write KEY=VALUE")
        told[key] = parse(f"value: {value}", f"--set {item!r}")["value"]
    return told


def prepared(args: argparse.Namespace, file: Path, region: str | None) -> xr.Dataset:
    """Open a file and do what the recipe, or the options, say before a fit.

    The recipe's region and format hold unless the command line names others.
    """
    from .recipe import preparation_from, read_preparation
    from .run import prepare
    from .verbs import open

    told = {"region": region, "format": args.format}
    if args.recipe is not None:
        refuse_both(args)
        recipe = read_preparation(args.recipe)
        opening = recipe.open.model_copy(update={k: v for k, v in told.items() if v is not None})
        return prepare(file, recipe.model_copy(update={"open": opening}))
    ds = open(file, region=region, format=args.format, technique=args.technique)
    if not is_prepared(args):
        return ds
    technique = ds.attrs["technique"]
    data = {"technique": technique, "open": told, **steps(args)}
    return prepare(file, preparation_from(data, args.command))


def refuse_both(args: argparse.Namespace) -> None:
    """Refuse steps and settings told beside a recipe, which has its own."""
    if args.calibrate or args.correct or getattr(args, "set", None):
        raise UsageError(
            f"{args.command}: --recipe has its own steps; write --calibrate, --correct, --set in it"
        )


def in_options(message: str, args: argparse.Namespace | None) -> str:
    """Return an error's message, with the option where it asks for a verb of Python."""
    verb = _VERB.search(message)
    if verb is None or args is None or not hasattr(args, verb[1]):
        return message
    return f"{message} (on the command line: --{verb[1]} {verb[2]})"

"""YAML from strangers as plain data, and plain data as YAML: no code, no aliases, no surprises."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import yaml

from .errors import RecipeError
from .store import write_text

VERSION = 1
MAX_BYTES = 4 * 1024**2


def read(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a YAML file of at most 4 MiB.

    Raises
    ------
    RecipeError
        One line that names the file and what is wrong with it.
    """
    source = Path(path)
    if not source.is_file():
        raise RecipeError(f"{source.name}: no such file")
    if source.stat().st_size > MAX_BYTES:
        raise RecipeError(f"{source.name}: larger than {MAX_BYTES} bytes; a recipe is not")
    try:
        text = source.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{source.name}: not UTF-8 text (byte {error.start})") from None
    return parse(text, source.name)


def parse(text: str, where: str = "recipe") -> dict[str, Any]:
    """Return the keys and values of YAML text, not yet checked against any model.

    Raises
    ------
    RecipeError
        One line that names `where` and the line of the text.
    """
    try:
        if "&" in text and any(isinstance(t, yaml.AliasToken) for t in yaml.scan(text)):
            raise RecipeError(f"{where}: YAML aliases are not allowed; write it out")
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise RecipeError(f"{where}{line}: not YAML ({getattr(error, 'problem', '')})") from None
    except RecursionError:
        raise RecipeError(f"{where}: nested too deep") from None
    if not isinstance(data, dict):
        raise RecipeError(f"{where}: expected keys and values, found {type(data).__name__}")
    return data


class _NoAliases(yaml.SafeDumper):
    """Writes everything out: the reader refuses aliases, which can blow up a small file."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dump(data: Mapping[str, Any], path: str | PathLike[str] | None = None) -> str:
    """Return plain data as YAML, its version first; write it atomically if a path is given."""
    data = {"version": VERSION, **{k: v for k, v in data.items() if k != "version"}}
    text = yaml.dump(data, Dumper=_NoAliases, sort_keys=False, allow_unicode=True, width=100)
    if path is not None:
        write_text(text, Path(path))
    return text

"""Load, merge, cache, hash, export and import the library."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pydantic
import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from .errors import LibraryError, nearest
from .model import CoreLevel, Line, Nucleus, Species

ENVIRONMENT = "INTERPHASE_LIBRARY"
MAX_FILE_BYTES = 4 * 1024**2
MAX_EXPORT_BYTES = 64 * 1024**2
_HERE = Path(__file__).parent
_GENERAL = ("core_levels.yaml", "nuclei.yaml")
_FORMAT = 1


@dataclass(frozen=True)
class Library:
    """All species with what holds for core levels and nuclei.

    Parameters
    ----------
    species : mapping of str to Species
        By id, in the order of the files.
    core_levels : mapping of str to CoreLevel
        By name, ``"S 2p"``.
    nuclei : mapping of str to Nucleus
        By name, ``"31P"``.
    replaced : tuple of str
        Ids that a user's library replaced by something else.
    """

    species: Mapping[str, Species]
    core_levels: Mapping[str, CoreLevel]
    nuclei: Mapping[str, Nucleus]
    replaced: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Species:
        """Return a species by id or alias.

        Raises
        ------
        LibraryError
            If there is none; says which names are near.
        """
        found = self._by_name.get(name) or self._by_name.get(name.casefold())
        if found is None:
            raise LibraryError(f"species {name!r} is not in the library: {self._near(name)}")
        return found

    def _near(self, name: str) -> str:
        return nearest(name, self.species) + "; 'interphase species' lists all"

    def __contains__(self, name: str) -> bool:
        return name in self._by_name or name.casefold() in self._by_name

    def __iter__(self) -> Iterator[Species]:
        return iter(self.species.values())

    def __len__(self) -> int:
        return len(self.species)

    @cached_property
    def _by_name(self) -> dict[str, Species]:
        names: dict[str, Species] = {}
        for one in self.species.values():
            for alias in (one.id, *one.aliases):
                names.setdefault(alias.casefold(), one)
        names.update(self.species)
        return names

    def lines(
        self, technique: str, species: str | None = None, transition: str | None = None
    ) -> tuple[Line, ...]:
        """Return lines, main lines first within a species.

        Parameters
        ----------
        technique : str
            ``"xps"``, ``"nmr"`` or ``"raman"``.
        species : str, optional
            Id or alias; all species by default.
        transition : str, optional
            Core level, nucleus, or ``"band"``.
        """
        chosen = self.species.values() if species is None else [self[species]]
        return tuple(
            line
            for one in chosen
            for line in one.lines
            if line.technique == technique and transition in (None, line.transition)
        )

    def core_level(self, name: str) -> CoreLevel:
        """Return a core level by name (``"S 2p"``).

        Raises
        ------
        LibraryError
            If it is not in the library.
        """
        if name not in self.core_levels:
            raise LibraryError(f"core level {name!r}: {nearest(name, self.core_levels, most=60)}")
        return self.core_levels[name]

    def nucleus(self, name: str) -> Nucleus:
        """Return a nucleus by name (``"31P"``).

        Raises
        ------
        LibraryError
            If it is not in the library.
        """
        if name not in self.nuclei:
            raise LibraryError(f"nucleus {name!r}: {nearest(name, self.nuclei, most=40)}")
        return self.nuclei[name]

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the content, the same whatever the order of files or keys."""
        text = json.dumps(self.plain(), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def plain(self) -> dict[str, Any]:
        """Return the library as plain data, as `export` writes it."""
        parts: dict[str, Mapping[str, BaseModel]] = {
            "species": self.species,
            "core_levels": self.core_levels,
            "nuclei": self.nuclei,
        }
        return {
            "format": _FORMAT,
            **{
                name: {
                    key: entry.model_dump(mode="json", exclude_defaults=True)
                    for key, entry in sorted(part.items())
                }
                for name, part in parts.items()
            },
        }

    def export(self, path: Path) -> Path:
        """Write the whole library to one JSON file, atomically."""
        text = json.dumps(self.plain(), indent=1, ensure_ascii=False, sort_keys=True)
        return write_text(text, path)


def load(folder: Path | str | None = None) -> Library:
    """Load the library: the bundled one, and a user's species over it.

    Parameters
    ----------
    folder : path-like, optional
        A folder of species files (or one exported JSON file) of the user's own; by default what
        the environment variable ``INTERPHASE_LIBRARY`` names, if anything. A species of the same
        id replaces the bundled one as a whole (``Library.replaced`` lists them); so does a core
        level or nucleus of the same name in the folder's ``core_levels.yaml``, ``nuclei.yaml``.

    Returns
    -------
    Library
        The same object on each call for unchanged files.

    Raises
    ------
    LibraryError
        Naming the file, the field and what is wrong.
    """
    told = folder if folder is not None else os.environ.get(ENVIRONMENT)
    base = _bundled()
    if not told:
        return base
    own = Path(told).resolve()
    if not own.exists():
        raise LibraryError(f"{own.name}: no such folder of species; check {ENVIRONMENT}")
    return _merged(own, _stamp(own))


@cache
def _bundled() -> Library:
    files = sorted((_HERE / "species").glob("*.yaml"))
    general = [_HERE / name for name in _GENERAL]
    key = _key([*files, *general])
    kept = _from_cache(key)
    if kept is not None:
        return kept
    library = Library(
        _species(files),
        _named(general[0], CoreLevel),
        _named(general[1], Nucleus),
    )
    _to_cache(key, library)
    return library


@cache
def _merged(own: Path, stamp: tuple[Any, ...]) -> Library:
    base = _bundled()
    if own.is_file():
        added = read_export(own)
    else:
        files = _own_files(own)
        added = Library(
            _species(f for f in files if f.name not in _GENERAL),
            _named(own / _GENERAL[0], CoreLevel) if own / _GENERAL[0] in files else {},
            _named(own / _GENERAL[1], Nucleus) if own / _GENERAL[1] in files else {},
        )
    both = set(added.species) & set(base.species)
    replaced = tuple(sorted(i for i in both if added.species[i] != base.species[i]))
    return Library(
        {**base.species, **added.species},
        {**base.core_levels, **added.core_levels},
        {**base.nuclei, **added.nuclei},
        replaced,
    )


def _own_files(own: Path) -> list[Path]:
    """Return the species files of a user's folder; none may lie elsewhere or be overlooked."""
    try:
        names = sorted(own.iterdir())
    except OSError as error:
        raise LibraryError(f"{own.name}: cannot be listed ({error.strerror})") from None
    for file in names:
        if file.suffix.lower() in (".yml", ".yaml") and file.suffix != ".yaml":
            raise LibraryError(f"{file.name}: name it {file.stem}.yaml, or it is not read")
        if file.suffix == ".yaml" and file.is_symlink() and file.resolve().parent != own:
            raise LibraryError(f"{file.name}: a link to outside of the folder; copy the file")
    return [file for file in names if file.suffix == ".yaml"]


def _stamp(own: Path) -> tuple[Any, ...]:
    files = [own] if own.is_file() else sorted(own.glob("*.yaml"))
    return tuple((f.name, f.stat().st_mtime_ns, f.stat().st_size) for f in files)


def read_export(path: Path) -> Library:
    """Read a library that `Library.export` wrote.

    Raises
    ------
    LibraryError
        If the file is not such an export.
    """
    try:
        if path.stat().st_size > MAX_EXPORT_BYTES:
            raise LibraryError(f"{path.name}: larger than {MAX_EXPORT_BYTES} bytes")
        data = json.loads(path.read_text("utf-8"))
        if data["format"] != _FORMAT:
            raise LibraryError(f"{path.name}: format {data['format']!r}, not {_FORMAT}")
        library = _from_plain(data)
    except ValidationError as error:
        raise LibraryError(f"{path.name}: {_first(error)}") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise LibraryError(f"{path.name}: not an exported library ({error})") from None
    named = [(key, one.id) for key, one in library.species.items()]
    named += [(key, one.name) for key, one in library.core_levels.items()]
    named += [(key, one.name) for key, one in library.nuclei.items()]
    for key, name in named:
        if key != name:
            raise LibraryError(f"{path.name}: the entry {key!r} calls itself {name!r}")
    return library


def _from_plain(data: Mapping[str, Any]) -> Library:
    return Library(
        TypeAdapter(dict[str, Species]).validate_python(data["species"]),
        TypeAdapter(dict[str, CoreLevel]).validate_python(data["core_levels"]),
        TypeAdapter(dict[str, Nucleus]).validate_python(data["nuclei"]),
    )


def _species(files: Iterable[Path]) -> dict[str, Species]:
    found: dict[str, Species] = {}
    faults: list[tuple[Path, LibraryError]] = []
    for file in files:
        try:
            found[file.stem] = _one_species(file)
        except LibraryError as error:
            faults.append((file, error))
    if faults:
        others = ", ".join(file.name for file, _ in faults[1:6])
        more = f"; {len(faults) - 1} more cannot be read: {others}" if others else ""
        raise LibraryError(f"{faults[0][1]}{more}{', ...' if len(faults) > 6 else ''}")
    return found


def _one_species(file: Path) -> Species:
    data = _yaml(file)
    if not isinstance(data, dict):
        raise LibraryError(f"{file.name}: expected keys and values of one species")
    lines = data.get("lines")
    for line in lines if isinstance(lines, list) else ():
        if isinstance(line, dict):
            line.setdefault("species", data.get("id"))
    told = _truth(data)
    if told:
        raise LibraryError(f"{file.name}: {told}")
    try:
        one = Species.model_validate(data)
    except ValidationError as error:
        raise LibraryError(f"{file.name}: {_first(error, data)}") from None
    if one.id != file.stem:
        raise LibraryError(f"{file.name}: id {one.id!r} must be the file's name")
    return one


def _named(file: Path, model: type[Any]) -> dict[str, Any]:
    """Read a list of entries that each have a name of their own."""
    data = _yaml(file)
    if not isinstance(data, list):
        raise LibraryError(f"{file.name}: expected a list ('- name: ...')")
    told = _truth(data)
    if told:
        raise LibraryError(f"{file.name}: {told}")
    try:
        entries: list[Any] = TypeAdapter(
            list[model]  # type: ignore[valid-type]
        ).validate_python(data)
    except ValidationError as error:
        raise LibraryError(f"{file.name}: {_first(error, data)}") from None
    found: dict[str, Any] = {}
    for entry in entries:
        if found.setdefault(entry.name, entry) is not entry:
            raise LibraryError(f"{file.name}: {entry.name!r} stands twice")
    return found


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]
    """A safe loader that refuses a key written twice: YAML would keep the last one silently."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise LibraryError(f"line {key.start_mark.line + 1}: {key.value!r} stands twice")
            seen.add(key.value if isinstance(key.value, str) else None)
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


def _truth(data: Any) -> str:
    """Say where YAML made true or false of ``yes``, ``no``, ``on`` or ``off``, if anywhere."""
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", data)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, bool):
            return f"{where}: yes, no, on, off, true and false are no values here; quote a text"
        if isinstance(value, dict | list) and id(value) not in seen:
            seen.add(id(value))  # an anchor may stand in many places
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [(f"{where}.{key}".lstrip("."), part) for key, part in parts]
    return ""


def _yaml(file: Path) -> Any:
    try:
        if not file.is_file():
            raise LibraryError("not a file")
        if file.stat().st_size > MAX_FILE_BYTES:
            raise LibraryError(f"larger than {MAX_FILE_BYTES} bytes")
        return yaml.load(file.read_text("utf-8"), Loader=_Loader)  # noqa: S506 (a safe loader)
    except LibraryError as error:
        raise LibraryError(f"{file.name}: {error}") from None
    except OSError as error:
        raise LibraryError(f"{file.name}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise LibraryError(f"{file.name}: not UTF-8 text (byte {error.start})") from None
    except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError,
            TypeError, ValueError) as error:  # fmt: skip
        # PyYAML's constructors stumble over tags that do not fit their text (`!!int ''`).
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        why = str(getattr(error, "problem", None) or "").split("\n")[0][:120]
        raise LibraryError(f"{file.name}{line}: not YAML{why and f' ({why})'}") from None


def _first(error: ValidationError, data: Any = None) -> str:
    """Say the first problem in one line: where, in a reader's terms, what, and how many more."""
    problems = error.errors(include_url=False, include_input=False)
    # A misspelt key is the cause where it is also missed.
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    what = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        what = "unknown key"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return " ".join(f"{_place(list(problem['loc']), data)}: {what}{more}".split())


def _place(path: list[int | str], data: Any) -> str:
    """Name a place of a file: ``line 1 (xps Li 1s), unit`` for ``lines.0.unit``."""
    if isinstance(data, list):
        path, data = ["entries", *path], {"entries": data}
    if not (isinstance(data, dict) and len(path) > 1 and isinstance(path[1], int)):
        return ".".join(str(part) for part in path)
    group, number = str(path[0]), path[1]
    item = data[group][number]
    keys = ("technique", "transition", "label", "id", "name")
    named = [item.get(key) for key in keys] if isinstance(item, dict) else []
    told = " ".join(name for name in named if isinstance(name, str) and name)
    kind = {"entries": "entry"}.get(group, group.removesuffix("s"))
    where = f"{kind} {number + 1}" + (f" ({told})" if told else "")
    rest = ".".join(str(part) for part in path[2:])
    return f"{where}, {rest}" if rest else where


def _key(files: Iterable[Path]) -> str:
    """Hash names and contents of the bundled files, and the versions that read them."""
    digest = hashlib.sha256(f"{_FORMAT} {pydantic.VERSION}".encode())
    digest.update((_HERE / "model.py").read_bytes())
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def cache_folder() -> Path:
    """Return the folder for what can be made again; it may not exist."""
    told = os.environ.get("INTERPHASE_CACHE")
    if told:
        return Path(told)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "interphase-workbench"


def _from_cache(key: str) -> Library | None:
    try:
        data = json.loads((cache_folder() / f"library-{key[:32]}.json").read_text("utf-8"))
        return _from_plain(data)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None


def _to_cache(key: str, library: Library) -> None:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(json.dumps(library.plain()), folder / f"library-{key[:32]}.json")
    except OSError:
        return  # a cache that cannot be written costs time only


def write_text(text: str, path: Path) -> Path:
    """Write a text file, whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path

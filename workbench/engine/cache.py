"""Where compiled code is kept: one folder per version of the sources, safe for many processes.

The key holds the engine's and the shapes' sources and the versions of Python, NumPy, numba and
llvmlite (numba adds the processor), so nothing stale is ever loaded. If the user's cache folder
cannot be written, a private folder in the system's temporary folder serves; if that fails too,
nothing is cached and the NumPy engine serves new processes. A marker says that everything was
compiled once; numba replaces its files atomically, so two processes may compile at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

MARKER = "warm"
COMPILED = (
    "cache", "descent", "expressions", "fitting", "frame", "kernels", "maths", "outcome",
    "problem", "starts", "tables", "ties", "tiles", "uncertainty",
)  # fmt: skip
"""Modules whose source decides what is compiled; a shape's own source is part of its own key."""


@lru_cache(maxsize=1)
def key() -> str:
    """Hash of everything that decides what the compiled code is."""
    digest = hashlib.sha256(sys.version.encode())
    for package in ("numpy", "numba", "llvmlite"):
        try:
            digest.update(f"{package} {version(package)}".encode())
        except PackageNotFoundError:
            digest.update(package.encode())
    here = Path(__file__).resolve().parent
    spectra = here.parent.parent / "spectra"
    sources = [here / f"{name}.py" for name in COMPILED]
    for path in [*sources, *sorted(spectra.glob("_*.py"))]:
        # numba itself asks for the same place and time of change, so the marker must too
        digest.update(f"{path} {path.stat().st_mtime_ns}".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


def _base() -> list[Path]:
    """Folders to try, best first."""
    told = os.environ.get("NUMBA_CACHE_DIR")
    out = [Path(told)] if told else []
    home = os.environ.get("XDG_CACHE_HOME")
    if home:
        out.append(Path(home) / "interphase-workbench")
    elif sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        out.append(Path(os.environ["LOCALAPPDATA"]) / "interphase-workbench")
    else:
        with contextlib.suppress(RuntimeError):
            out.append(Path.home() / ".cache" / "interphase-workbench")
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    out.append(Path(tempfile.gettempdir()) / f"interphase-workbench-{owner}")
    return out


@lru_cache(maxsize=1)
def folder() -> Path | None:
    """Return the writable, private cache folder of this version; None if there is none."""
    for base in _base():
        path = base / key()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _private(path) or not _private(base):
                continue
            with tempfile.TemporaryFile(dir=path):
                return path
        except OSError:
            continue
    return None


def _private(path: Path) -> bool:
    """Whether nobody else can have put machine code there."""
    if not hasattr(os, "getuid"):
        return True
    info = path.stat()
    return info.st_uid == os.getuid() and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def readable() -> Path | None:
    """Return a cache folder that was warmed for this version, writable or not."""
    for base in _base():
        path = base / key()
        try:
            if (path / MARKER).is_file() and _private(path) and _private(base):
                return path
        except OSError:
            continue
    return None


def marked() -> bool:
    """Whether everything was compiled into the cache for this processor."""
    path = readable()
    if path is None:
        return False
    try:
        return _processor() in (path / MARKER).read_text().split("\n")
    except OSError:
        return False


def mark() -> None:
    """Record that everything is compiled for this processor."""
    path = folder()
    if path is None or marked():
        return
    known = (path / MARKER).read_text() if (path / MARKER).is_file() else ""
    with tempfile.NamedTemporaryFile("w", dir=path, delete=False) as file:
        file.write(f"{known}{_processor()}\n")
    os.replace(file.name, path / MARKER)


@lru_cache(maxsize=1)
def _processor() -> str:
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features().flatten()
    return f"{llvm.get_host_cpu_name()} {hashlib.sha256(features.encode()).hexdigest()[:12]}"


def enable() -> bool:
    """Point numba at the cache folder; return whether there is one."""
    import numba

    path = readable() or folder()
    if path is None:
        return False
    numba.config.CACHE_DIR = str(path)
    return True


CACHED = enable()
"""Whether compiled kernels are kept on disk; evaluated when the first kernel module is imported."""


KEPT: dict[str, Any] = {}


def compiled(function: Any, signature: Any, name: str) -> int:
    """Compile a function to a C function, or load it from the cache; return its address."""
    from numba.core.ccallback import CFunc
    from numba.core.sigutils import normalize_signature

    from .maths import FLAGS

    if name not in KEPT:
        made = CFunc(
            function,
            normalize_signature(signature),
            locals={},
            options={"error_model": "numpy", "fastmath": FLAGS, "nopython": True},
        )
        keyed(made, name)
        made.compile()
        KEPT[name] = made
    return int(KEPT[name].address)


def keyed(compiled: Any, name: str) -> None:
    """Give a compiled function built in a loop its own place in the disk cache.

    Numba keys such functions by their closures, which differ from process to process; here the
    key is the shape's name and source.
    """
    from numba.core.caching import FunctionCache

    class ShapeCache(FunctionCache):
        def _index_key(self, sig: Any, codegen: Any) -> Any:
            return (sig, codegen.magic_tuple(), name)

    if enable():
        compiled._cache = ShapeCache(compiled._pyfunc)

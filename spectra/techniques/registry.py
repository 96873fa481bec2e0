"""Find technique handlers: every module of this package that holds ``TECHNIQUE``."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from references.errors import nearest

from ..errors import ConventionError
from .base import Technique

_NOT_TECHNIQUES = frozenset({"base", "registry"})


@cache
def names() -> tuple[str, ...]:
    """Return the names of all techniques, sorted, without importing them."""
    package = importlib.import_module(__package__)
    return tuple(
        sorted(
            module.name
            for module in pkgutil.iter_modules(package.__path__)
            if module.name not in _NOT_TECHNIQUES and not module.name.startswith("_")
        )
    )


@cache
def get(name: str) -> Technique:
    """Return one technique's handler.

    Raises
    ------
    ConventionError
        If there is none of that name.
    """
    if name not in names():
        raise ConventionError(f"technique {name!r}: {nearest(name, names(), most=20)}")
    module = importlib.import_module(f"{__package__}.{name}")
    technique: Technique = module.TECHNIQUE
    return technique

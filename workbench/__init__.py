"""What we infer: the verbs that turn spectra into amounts of decomposition products.

``import workbench as wb``; each name is imported when it is first used, so that the command line
answers at once.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import phases, plot
    from .align import align
    from .balance import balance
    from .depth import depth_profile
    from .fit import fit
    from .identify import identify
    from .inspect import inspect
    from .quantify import quantify
    from .recipe import read_recipe, recipe
    from .report import report
    from .run import run, run_recipe
    from .simulate import plating, simulate
    from .store import load, save
    from .verbs import calibrate, correct, open, open_all, propose, select

_HOME = {
    "align": "align",
    "balance": "balance",
    "calibrate": "verbs",
    "correct": "verbs",
    "depth_profile": "depth",
    "fit": "fit",
    "identify": "identify",
    "inspect": "inspect",
    "load": "store",
    "open": "verbs",
    "open_all": "verbs",
    "plating": "simulate",
    "phases": "",
    "plot": "",
    "propose": "verbs",
    "quantify": "quantify",
    "read_recipe": "recipe",
    "recipe": "recipe",
    "report": "report",
    "run": "run",
    "run_recipe": "run",
    "save": "store",
    "select": "verbs",
    "simulate": "simulate",
}

__all__ = [
    "align",
    "balance",
    "calibrate",
    "correct",
    "depth_profile",
    "fit",
    "identify",
    "inspect",
    "load",
    "open",
    "open_all",
    "phases",
    "plating",
    "plot",
    "propose",
    "quantify",
    "read_recipe",
    "recipe",
    "report",
    "run",
    "run_recipe",
    "save",
    "select",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOME[name] or name}")
    value = getattr(module, name) if _HOME[name] else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Verbs(ModuleType):
    """Keeps a submodule from hiding the verb of the same name (``workbench.fit``)."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and _HOME.get(name)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Verbs

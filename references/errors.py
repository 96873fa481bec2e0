"""The one root of all exceptions a user is meant to read.

Every message answers in one line: where, what was found, what is allowed, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InterphaseError(Exception):
    """Base of every error the workbench raises on purpose."""


class LibraryError(InterphaseError):
    """A species file or a look-up in the reference library is at fault."""


def nearest(found: str, allowed: Iterable[str], *, most: int = 8) -> str:
    """Say what is allowed, the closest names first.

    Parameters
    ----------
    found : str
        The name that was not found.
    allowed : iterable of str
        The names that would have been.
    most : int
        How many to list when nothing is close.

    Returns
    -------
    str
        ``"did you mean 'Li2S'?"`` or ``"allowed: a, b, c"``.
    """
    names = sorted(set(allowed))
    close = difflib.get_close_matches(found, names, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(name) for name in close) + "?"
    if not names:
        return "none is known"
    listed = ", ".join(names[:most])
    return f"allowed: {listed}" + (f" and {len(names) - most} more" if len(names) > most else "")

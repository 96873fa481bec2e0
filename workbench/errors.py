"""Errors of the verbs; all rooted in ``references.errors.InterphaseError``."""

from __future__ import annotations

from references.errors import InterphaseError


class RecipeError(InterphaseError):
    """A recipe or campaign file is at fault: the message names file and key."""


class OrderError(InterphaseError):
    """A verb was called before the one it needs: the message is the call that mends it."""


class FitError(InterphaseError):
    """A fit cannot be started: data, model and settings do not go together."""


class StoreError(InterphaseError):
    """A result cannot be saved or loaded."""


class UsageError(InterphaseError):
    """The command line itself is wrong."""

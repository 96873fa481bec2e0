"""Check an installation: owners of the packages, libraries, the compiled engine."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata

from .provenance import versions

_OURS = ("references", "spectra", "workbench", "apps")


@dataclass(frozen=True)
class Finding:
    """One line of the examination: ``ok``, ``note`` or ``bad``."""

    state: str
    what: str
    found: str


def examine() -> list[Finding]:
    """Examine this installation.

    Returns
    -------
    list of Finding
        Worst last is not promised; read them all.
    """
    found = [Finding("ok", name, version) for name, version in versions().items()]
    owners = metadata.packages_distributions()
    for package in _OURS:
        names = sorted(set(owners.get(package, [])))
        alone = names in ([], ["interphase-workbench"])
        text = ", ".join(names) or "a checkout"
        if not alone:
            text += "; install in an environment of its own"
        found.append(Finding("ok" if alone else "bad", f"owner of {package}", text))
    return [*found, _library(), _engine()]


def _library() -> Finding:
    import references

    library = references.load()
    return Finding("ok", "species library", f"{len(library.species)} species, {library.hash[:12]}")


def _engine() -> Finding:
    from .engine.warm import ready

    compiled = ready()
    text = "compiled" if compiled else "not compiled yet: 'python -m workbench.engine' does it once"
    return Finding("ok" if compiled else "note", "fit engine", text)

"""Start of the console command ``interphase``.

Other distributions install packages named ``spectra`` or ``workbench`` too, and installers
overwrite silently; so before anything else this checks that all four packages are ours.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

PACKAGES = ("references", "spectra", "workbench", "apps")


def strangers() -> list[str]:
    """Return the packages that do not lie beside this one, with where they lie."""
    home = Path(__file__).resolve().parent.parent
    found = []
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None or origin.parent.parent != home:
            found.append(f"{name} ({origin.parent if origin else 'missing'})")
    return found


def main() -> int:
    """Run the command line; refuse if a package of another distribution took a name of ours."""
    taken = strangers()
    if taken:
        print(
            f"interphase: another distribution provides {', '.join(taken)}; install "
            "interphase-workbench in an environment of its own (python -m venv)",
            file=sys.stderr,
        )
        return 1
    from workbench.cli import main as run

    return run(serve=_serve)


def _serve(folder: Path, port: int | None) -> None:
    from .main import serve

    serve(folder, port)


if __name__ == "__main__":
    sys.exit(main())

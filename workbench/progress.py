"""Progress and cancellation of long work: a callback, or a bar on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import FitError

Progress = Callable[[int, int], bool | None] | bool | None


@contextmanager
def meter(progress: Progress, total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Give a function to be told how many spectra were finished since it was last called.

    Parameters
    ----------
    progress : callable, bool or None
        Called with (done, total); returning True cancels. ``True`` shows a bar on a terminal.
    total : int
        Spectra in all.
    what : str
        Named in messages.
    """
    finished = 0
    bar = None
    if progress is True and sys.stderr.isatty():
        from tqdm import tqdm

        bar = tqdm(total=total, desc=what, unit=" spectra", leave=False)

    def done(count: int) -> None:
        nonlocal finished
        finished += count
        if bar is not None:
            bar.update(count)
        if callable(progress) and progress(finished, total):
            raise FitError(f"{what}: cancelled after {finished} of {total} spectra")

    try:
        yield done
    finally:
        if bar is not None:
            bar.close()

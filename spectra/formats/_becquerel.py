"""Binary gamma spectra through becquerel, with its prints, warnings and errors made ours."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from pathlib import Path
from typing import Any

from ..errors import FormatError
from ._mca import as_counts, mca, technique_of
from .base import Options, Regions, read_bytes, source


def read_with(path: Path, options: Options, parser: str, format_name: str) -> Regions:
    """Read one spectrum with a parser module of becquerel.

    Raises
    ------
    FormatError
        If it cannot be read.
    """
    read_bytes(path, limit=64 * 1024**2)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        module = importlib.import_module(f"becquerel.parsers.{parser}")
        try:
            data, calibration = module.read(str(path))
        except Exception as error:
            raise FormatError(
                f"{path.name}: not readable as {format_name} ({type(error).__name__}: "
                f"{str(error)[:80]}); the file may be truncated: copy it again"
            ) from None
    if "counts" not in data:
        raise FormatError(f"{path.name}: holds no counts; the file may be truncated")
    params: Any = getattr(calibration, "params", None)
    ds = mca(
        as_counts(data["counts"].astype(float), path),
        technique=technique_of(options),
        source=source(path, format_name),
        scale=None if params is None else [float(p) for p in params[:3]],
        live_time=_time(data.get("livetime")),
        real_time=_time(data.get("realtime")),
        attrs={"date": str(data["start_time"])} if data.get("start_time") else None,
    )
    return {path.stem: ds}


def _time(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None

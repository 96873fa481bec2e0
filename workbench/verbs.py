"""The verbs on one Spectrum: open, select, calibrate, correct, propose.

Each is a pure function, records itself in ``history``, and dispatches on ``attrs["technique"]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from pydantic import ValidationError

import references
from references.errors import InterphaseError, nearest
from spectra import formats, techniques
from spectra.component import Components, first_problem
from spectra.convention import axis_of, check, where
from spectra.errors import FormatError
from spectra.techniques.base import Settings, Step, Technique

from .errors import OrderError, RecipeError
from .steps import record


def open(
    path: str | PathLike[str],
    *,
    region: str | None = None,
    format: str | None = None,
    technique: str | None = None,
) -> xr.Dataset:
    """Read one spectrum, series or map from a file.

    Parameters
    ----------
    path : path-like
        File, or folder for formats that are folders (a Bruker experiment).
    region : str, optional
        Which region (core level, nucleus, scan) of a file with several.
    format : str, optional
        Format name (``interphase formats`` lists them) instead of asking the content.
    technique : str, optional
        What was measured, where the content does not say.

    Returns
    -------
    xr.Dataset
        A Spectrum, or channels along time for a cell's own measurements.

    Raises
    ------
    FormatError
        If the file is not readable, or has several regions and none was named.
    """
    regions = formats.read(Path(path), format=format, technique=technique)
    name = Path(path).name
    if region is None:
        if len(regions) > 1:
            listed = ", ".join(repr(r) for r in regions)
            raise FormatError(f"{name}: {len(regions)} regions; name one: {listed}")
        region = next(iter(regions))
    elif region not in regions:
        region = _region_like(name, region, list(regions))
    ds = regions[region]
    settings = {"file": name, "region": region, "format": format, "technique": technique}
    return _with_open_step(ds, {k: v for k, v in settings.items() if v is not None})


def open_all(
    path: str | PathLike[str], *, format: str | None = None, technique: str | None = None
) -> xr.DataTree:
    """Read every region of a file as a tree with one Spectrum per leaf.

    Parameters
    ----------
    path, format, technique
        As in `open`.

    Returns
    -------
    xr.DataTree
        Children by region name (``/`` in a name becomes ``_``), in file order.
    """
    regions = formats.read(Path(path), format=format, technique=technique)
    name = Path(path).name
    leaves = {
        region.replace("/", "_"): _with_open_step(ds, {"file": name, "region": region})
        for region, ds in regions.items()
    }
    return xr.DataTree.from_dict(leaves, name=Path(path).stem)


def _region_like(file: str, region: str, known: Sequence[str]) -> str:
    """Find the one region meant by a name such as ``S 2p`` for ``S2p/12 sample``."""

    def plain(text: str) -> str:
        return "".join(text.split()).lower()

    hits = [r for r in known if plain(r) == plain(region)]
    hits = hits or [r for r in known if plain(r).startswith(plain(region))]
    if len(hits) == 1:
        return hits[0]
    if hits:
        listed = ", ".join(repr(r) for r in hits)
        raise FormatError(f"{file}: region {region!r} may mean {listed}; name one in full")
    raise FormatError(f"{file}: no region {region!r}: {nearest(region, known, most=60)}")


def _with_open_step(ds: xr.Dataset, settings: Mapping[str, Any]) -> xr.Dataset:
    ds = ds.copy(deep=False)
    lines = str(ds.attrs.get("history", "")).split("\n")
    kept = [line for line in lines if line and not line.startswith("open ")]
    ds.attrs["history"] = ""
    ds = record(ds, "open", settings)
    ds.attrs["history"] = "\n".join([ds.attrs["history"], *kept])
    return ds


def select(ds: xr.Dataset, ranges: Mapping[str, tuple[float, float]]) -> xr.Dataset:
    """Keep a range of the spectral axis or of outer dimensions, recorded for the recipe.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum.
    ranges : mapping of str to (low, high)
        Coordinate limits, both included, in the coordinate's units.

    Returns
    -------
    xr.Dataset
    """
    check(ds)
    for dim, (low, high) in ranges.items():
        if dim not in ds["intensity"].dims:
            allowed = [str(d) for d in ds["intensity"].dims]
            raise OrderError(f"{where(ds)}: no dimension {dim!r}: {nearest(dim, allowed)}")
        low, high = sorted((float(low), float(high)))
        values = ds[dim].values
        keep = (values >= low) & (values <= high)
        if keep.sum() < (2 if dim == axis_of(ds) else 1):
            raise OrderError(
                f"{where(ds)}: no {dim} between {low:g} and {high:g}; it runs "
                f"{np.nanmin(values):g} to {np.nanmax(values):g} {ds[dim].attrs.get('units', '')}"
            )
        ds = ds.isel({dim: keep})
    return record(ds, "select", {dim: list(limits) for dim, limits in ranges.items()})


def calibrate(ds: xr.Dataset, method: str | None = None, **settings: Any) -> xr.Dataset:
    """Put the spectral axis on a true scale.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum.
    method : str, optional
        One of the technique's calibrations; the first is the default.
    **settings
        The method's settings, checked against its model; unknown ones are refused.

    Returns
    -------
    xr.Dataset
        A Spectrum whose ``attrs["calibration"]`` says what was done.

    Examples
    --------
    >>> ds = calibrate(ds, line="C 1s", at=284.8)  # doctest: +SKIP
    """
    technique = techniques.get(check(ds).attrs["technique"])
    return _apply(ds, "calibrate", technique, technique.calibrations, method, settings)


def correct(ds: xr.Dataset, method: str | None = None, **settings: Any) -> xr.Dataset:
    """Mark, estimate or compute what the instrument added; counts themselves stay.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum.
    method : str, optional
        One of the technique's corrections (a static background, spikes, dead time, phase ...).
    **settings
        The method's settings, checked against its model; unknown ones are refused.

    Returns
    -------
    xr.Dataset
        A Spectrum with a variable (``background``, ``valid`` ...) or processed data.
    """
    technique = techniques.get(check(ds).attrs["technique"])
    return _apply(ds, "correct", technique, technique.corrections, method, settings)


def _apply(
    ds: xr.Dataset,
    verb: str,
    technique: Technique,
    methods: Mapping[str, Step],
    method: str | None,
    settings: Mapping[str, Any],
) -> xr.Dataset:
    if not methods:
        raise OrderError(f"{where(ds)}: {technique.name} has nothing to {verb}")
    method = next(iter(methods)) if method is None else method
    if method not in methods:
        raise OrderError(f"{where(ds)}: {verb} method {method!r}: {nearest(method, methods)}")
    step = methods[method]
    checked = checked_settings(step.settings, settings, f"{verb} {method}")
    result = step.function(ds, checked)
    given = checked.model_dump(mode="json", exclude_defaults=True)
    return record(check(result), verb, {"method": method, **given})


def checked_settings(model: type[Settings], settings: Mapping[str, Any], place: str) -> Settings:
    """Validate settings against their model.

    Raises
    ------
    RecipeError
        One line: which key, what is wrong, what is allowed.
    """
    for key in settings:
        if key not in model.model_fields:
            raise RecipeError(
                f"{place}: unknown setting {key!r}: "
                + nearest(str(key), model.model_fields, most=20)
            )
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        raise RecipeError(f"{place}: {first_problem(error)}") from None


def propose(
    ds: xr.Dataset,
    species: Sequence[str] | None = None,
    *,
    library: references.Library | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Components:
    """Turn species of the reference library into components on this spectrum's axis.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum.
    species : sequence of str
        Library ids or aliases.
    library : references.Library, optional
        Another library than the default one.
    settings : mapping, optional
        The technique's model settings (widths, shifts, background).

    Returns
    -------
    Components
        Edit them with ``.set`` and ``.tie`` before the fit.

    Raises
    ------
    OrderError
        If no species is named, or the technique fits no components.
    InterphaseError
        If a species is unknown or has nothing to show on this axis.
    """
    technique = techniques.get(check(ds).attrs["technique"])
    if technique.propose is None:
        raise OrderError(f"{where(ds)}: {technique.name} is not fitted with species")
    library = library or references.load()
    if not species:
        raise OrderError(
            f"{where(ds)}: propose needs species=[...]; 'interphase species' lists them, "
            "workbench.identify ranks them"
        )
    ids = list(dict.fromkeys(library[name].id for name in species))
    checked = checked_settings(technique.settings, settings or {}, f"propose {technique.name}")
    components = technique.propose(ds, ids, library, checked)
    if not any(c.species for c in components):
        raise InterphaseError(
            f"{where(ds)}: none of {', '.join(ids)} has a line on this axis; widen the range or "
            "name other species"
        )
    return components

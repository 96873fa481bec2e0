"""Unmixing without peaks: non-negative amounts of known spectra, and MCR-ALS where some are not.

One call, `unmix`: library species or spectra of one's own as fixed columns ("nnls"), or alternating
least squares in which each spectrum is fixed, soft (held near its reference) or free ("mcr"), with
the band of rotational ambiguity that the result leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

import references
from references.errors import nearest
from spectra import convention, techniques
from spectra.convention import axis_of, outer_dims, where

from .ambiguity import Limits
from .ambiguity import band as ambiguity_band
from .engine.plan import build, parts
from .errors import FitError
from .progress import Progress
from .provenance import stamp
from .quantify import BELOW_LIMIT, FIT_FLAGGED, FLAGS, INDISTINCT, NO_VALUE, OK
from .steps import record
from .unmix_als import (
    Found,
    Quality,
    Task,
    components_above_noise,
    data_of,
    purest,
    quality_of,
    run,
    sample_of,
    without,
)
from .verbs import propose

Array = npt.NDArray[np.float64]
Ground = Literal["none", "constant", "linear", "quadratic", "cubic"]
GROUNDS = ("none", "constant", "linear", "quadratic", "cubic")

__all__ = ["components_above_noise", "purest", "templates", "unmix"]

CONVENTION = "unmix-1"
ROOM = 3.0
"""Standard errors by which turned amounts and spectra may be below zero: among many points, some
are."""
ALIKE = 0.95
"""Correlation of two amounts from which on they are not told apart."""


def unmix(
    ds: xr.Dataset,
    count: int | None = None,
    *,
    species: Sequence[str] | None = None,
    method: Literal["nnls", "mcr"] | None = None,
    start: npt.ArrayLike | None = None,
    names: Sequence[str] | None = None,
    fixed: Sequence[int | str] = (),
    soft: Mapping[int | str, float] | None = None,
    ground: Ground = "none",
    settings: Mapping[str, Any] | None = None,
    library: references.Library | None = None,
    ambiguity: bool = False,
    iterations: int = 500,
    tolerance: float = 1e-7,
    progress: Progress = None,
) -> xr.Dataset:
    """Resolve spectra into non-negative amounts of a few spectra.

    ``"nnls"``: the spectra are known (library species or ``start``), amounts are solved exactly.
    ``"mcr"``: multivariate curve resolution by alternating least squares,
    ``data = amount @ spectrum``, both non-negative, free spectra of unit integral. Its result is
    one of many that fit equally well unless spectra or pixels are pure: ``ambiguity=True`` says how
    far it could be turned. Weights are the data's own; for counts they are made from the model.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum. A variable ``background`` is added to the model.
    count : int, optional
        Number of components for "mcr"; default those given, or as many as stand out of the noise
        (`components_above_noise`).
    species : sequence of str, optional
        Library ids: their spectra as ``workbench.propose`` makes them.
    method : {"nnls", "mcr"}, optional
        Default "nnls" if every spectrum is known and nothing asks for more, else "mcr".
    start : array_like, shape (k, N), optional
        Spectra to start from (or known ones), after those of ``species``; what lacks to ``count``
        is taken from the data: the spectra least like those there.
    names : sequence of str, optional
        Names of the spectra of ``start``.
    fixed : sequence of int or str
        Components (by number or name) that stay as they are.
    soft : mapping of int or str to float, optional
        Components held near their reference: how far one point may be off (one standard deviation),
        as a share of the reference's highest point.
    ground : {"none", "constant", "linear", "quadratic", "cubic"}
        A polynomial per spectrum, of either sign.
    settings : mapping, optional
        Of ``propose`` for the species (widths, shape); shifts are held at zero unless given.
    library : references.Library, optional
        Another library than the default one.
    ambiguity : bool
        Find the band of rotational ambiguity ("mcr").
    iterations, tolerance : int, float
        MCR ends after so many rounds, or when one lowers chi-square by less than this share.
    progress : callable or bool, optional
        Called with (round, iterations); returning True cancels.

    Returns
    -------
    xr.Dataset
        ``amount``, ``stderr``, ``limit`` (3.29 stderr: Currie 1968), ``flag`` on
        ``(*outer, component)``; ``spectrum(component, axis)``; ``redchi(*outer)``; ``ground`` if
        asked. Standard errors are those at the found spectra without the sign constraint. With
        ``ambiguity``: ``share``, ``share_low``, ``share_high`` ``(component)``, the share of the
        signal, and amounts and spectra at both ends (``amount_low`` ...). Attrs ``rounds``,
        ``converged``, ``method``.

    Raises
    ------
    FitError
        If the request does not go together with the data.
    """
    convention.check(ds)
    axis, outer = axis_of(ds), outer_dims(ds)
    data = data_of(ds)
    x = data.x
    known, labels, factor = _known(ds, species, start, names, settings, library, count)
    fixed_set, soft_map = _roles(labels, fixed, soft or {}, len(known))
    if method is None:
        plain = species is not None and count in (None, len(known)) and not fixed and not soft
        method = "nnls" if plain else "mcr"
    if method == "nnls":
        if not len(known) or count not in (None, len(known)):
            raise FitError(f"{where(ds)}: nnls needs every spectrum: pass species= or start=")
        fixed_set = set(range(len(known)))
    elif method != "mcr":
        raise FitError(f"unmix: method {method!r}: allowed: nnls, mcr")
    rows = _ground_rows(x, ground)
    if count is None:
        count = len(known) or max(components_above_noise(ds) - len(rows), 1)
    total = len(data.y)
    if not isinstance(count, int | np.integer):
        raise FitError(f"{where(ds)}: {count!r} components; give a whole number")
    if not max(1, len(known)) <= count <= min(total, x.size) and method == "mcr":
        raise FitError(
            f"{where(ds)}: {count} components from {total} spectra of {x.size} points; "
            f"allowed: {max(1, len(known))} to {min(total, x.size)}"
        )
    spectra = known
    if len(known) < count:
        more = purest(without(sample_of(data), [*known, *rows]), count - len(known))
        spectra = np.vstack([known, more]) if len(known) else more
        labels = labels + [str(k) for k in range(len(known), count)] if labels else labels
    width = np.gradient(x)
    if method == "mcr":
        # Templates keep the scale of the library's areas; anything else has unit integral.
        size = np.maximum(spectra @ width, 1e-300)
        keep = len(known) if species is not None and start is None else 0
        size[:keep] = 1.0
        spectra = spectra / size[:, None]
    softness = _softness(spectra, soft_map)
    task = Task(
        data, np.vstack([spectra, rows]), rows.shape[0], frozenset(fixed_set), softness, width
    )
    found = run(task, iterations if method == "mcr" else 1, tolerance, progress, where(ds))
    quality = quality_of(task, found)
    out = _result(ds, task, found, quality, labels, factor, axis, outer)
    out.attrs.update(method=method, rounds=found.rounds, converged=str(found.converged))
    if ambiguity:
        _add_band(out, task, found, quality, factor, axis)
    given = {
        "count": count,
        "species": list(species) if species else None,
        "method": method,
        "fixed": list(fixed) or None,
        "soft": {str(k): v for k, v in soft_map.items()} or None,
        "ground": ground if ground != "none" else None,
    }
    return record(stamp(out, ds), "unmix", {k: v for k, v in given.items() if v is not None})


def _known(
    ds: xr.Dataset,
    species: Sequence[str] | None,
    start: npt.ArrayLike | None,
    names: Sequence[str] | None,
    settings: Mapping[str, Any] | None,
    library: references.Library | None,
    count: int | None,
) -> tuple[Array, list[str], Array]:
    """Return spectra, their names (none: numbers), and what amounts are to be multiplied with."""
    size = ds.sizes[axis_of(ds)]
    spectra, factor = np.zeros((0, size)), np.zeros(0)
    labels: list[str] = []
    if species is not None:
        spectra, labels, factor = templates(ds, species, settings=settings, library=library)
    if start is not None:
        own = np.array(start, dtype=float)
        most = "k" if count is None else str(count)
        if own.ndim != 2 or own.shape[1] != size or len(own) > (count or len(own)):
            raise FitError(f"unmix: start has shape {own.shape}, not ({most}, {size})")
        if np.any(own < 0.0) or not np.all(np.isfinite(own)):
            raise FitError("unmix: start holds negative or missing values")
        if names is not None and len(names) != len(own):
            raise FitError(f"unmix: {len(names)} names for {len(own)} spectra of start")
        if names is not None or labels:
            begin = len(labels)
            labels = labels + list(names or (str(begin + k) for k in range(len(own))))
        spectra = np.vstack([spectra, own])
        factor = np.concatenate([factor, np.ones(len(own))])
    return spectra, labels, factor


def templates(
    ds: xr.Dataset,
    species: Sequence[str],
    *,
    settings: Mapping[str, Any] | None = None,
    library: references.Library | None = None,
) -> tuple[Array, list[str], Array]:
    """Return the spectra of library species on a Spectrum's axis, for an area of one.

    Parameters
    ----------
    ds : xr.Dataset
    species : sequence of str
    settings : mapping, optional
        Of ``propose``; shift and baseline are off unless given.
    library : references.Library, optional

    Returns
    -------
    spectra : ndarray, shape (k, N)
    names : list of str
        Library ids; species without a line on the axis are refused.
    factor : ndarray, shape (k,)
        Amount, as ``quantify`` states it, per unit of the spectrum.
    """
    library = library or references.load()
    technique = techniques.get(ds.attrs["technique"])
    held = {k: v for k, v in (("shift_range", 0.0), ("baseline", "none"))
            if k in technique.settings.model_fields}  # fmt: skip
    comps = propose(ds, species, library=library, settings={**held, **dict(settings or {})})
    ids = [library[name].id for name in species]
    if technique.quantify is None:
        raise FitError(f"{where(ds)}: {technique.name} has no amounts; pass start=")
    meaning = technique.quantify(comps, ds.attrs, library)
    weights = {q.species: q.weights for q in meaning.quantities}
    x = ds[axis_of(ds)].values.astype(float)
    plan = build(comps)
    owner = {f"{c.name}.area": c.species for c in comps}
    out, factor = [], []
    for name in ids:
        if name not in weights:
            raise FitError(f"{where(ds)}: {name} has no line on this axis; leave it out")
        p = plan.start.copy()
        own = [k for k, i in enumerate(plan.free) if owner.get(plan.names[i]) == name]
        p[own] = [1.0, *(0.0 for _ in own[1:])]
        drawn = parts(plan, x, p[None, :])
        curves = [drawn[c.name] for c in comps if c.species == name]
        full = dict(zip(plan.names, plan.transform(p[None, :])[0][0], strict=True))
        out.append(np.sum(curves, axis=0)[0])
        factor.append(sum(w * full[n] for n, w in weights[name].items()))
    return np.maximum(np.array(out), 0.0), ids, np.array(factor)


def _roles(
    labels: list[str],
    fixed: Sequence[int | str],
    soft: Mapping[int | str, float],
    known: int,
) -> tuple[set[int], dict[int, float]]:
    """Return fixed numbers and soft numbers with their shares."""

    def number(key: int | str) -> int:
        if isinstance(key, str):
            if key not in labels:
                raise FitError(f"unmix: component {key!r}: {nearest(key, labels)}")
            return labels.index(key)
        if not 0 <= key < known:
            raise FitError(
                f"unmix: component {key} has no reference; pass start= or species= ({known} given)"
            )
        return int(key)

    chosen = {number(k) for k in fixed}
    held = {number(k): float(v) for k, v in soft.items()}
    if chosen & set(held):
        raise FitError("unmix: a component is fixed or soft, not both")
    if any(not v > 0.0 for v in held.values()):
        raise FitError("unmix: soft shares are above zero")
    return chosen, held


def _softness(spectra: Array, soft: Mapping[int, float]) -> Array:
    """Return 1/sigma^2 of each point of each soft component; 0 where it is free."""
    out = np.zeros_like(spectra)
    for k, share in soft.items():
        out[k] = 1.0 / max(share * float(spectra[k].max()), 1e-300) ** 2
    return out


def _ground_rows(x: Array, ground: str) -> Array:
    if ground not in GROUNDS:
        raise FitError(f"unmix: ground {ground!r}: allowed: {', '.join(GROUNDS)}")
    u = 2.0 * (x - x[0]) / (x[-1] - x[0]) - 1.0
    return np.polynomial.legendre.legvander(u, GROUNDS.index(ground) - 1).T if (
        GROUNDS.index(ground)) else np.zeros((0, x.size))  # fmt: skip


def _result(
    ds: xr.Dataset,
    task: Task,
    found: Found,
    quality: Quality,
    labels: list[str],
    factor: Array,
    axis: str,
    outer: tuple[str, ...],
) -> xr.Dataset:
    n, shape = task.count, ds["intensity"].shape[:-1]
    scale = np.concatenate([factor, np.ones(n - len(factor))])
    amount, stderr = found.amount[:, :n] * scale, quality.deviation[:, :n] * scale
    dof = np.maximum(quality.ndata - len(found.rows), 1)
    redchi = quality.chisqr / dof
    poor = np.maximum(1.5, 1.0 + 5.0 * np.sqrt(2.0 / dof)) < redchi
    poor &= not task.scale
    empty = quality.ndata <= len(found.rows)
    flag = np.select(
        [
            empty[:, None] | ~np.isfinite(stderr) | (stderr <= 0.0),
            quality.alike > ALIKE,
            np.broadcast_to(poor[:, None], amount.shape),
            amount < 3.29 * stderr,
        ],
        [NO_VALUE, INDISTINCT, FIT_FLAGGED, BELOW_LIMIT],
        OK,
    ).astype(np.uint8)
    units = {"units": f"{ds['intensity'].attrs['units']} {convention.AXES[axis]}"}
    dims = (*outer, "component")
    out = xr.Dataset(
        {
            "amount": (dims, np.where(flag == NO_VALUE, np.nan, amount).reshape(*shape, n)),
            "stderr": (dims, stderr.reshape(*shape, n)),
            "limit": (dims, (3.29 * stderr).reshape(*shape, n)),
            "flag": (dims, flag.reshape(*shape, n)),
            "spectrum": (("component", axis), found.rows[:n] / scale[:, None]),
            "redchi": (outer, redchi.reshape(shape), {"units": "1"}),
        },
        coords={
            "component": np.array(labels, dtype=str) if labels else np.arange(n),
            axis: ds[axis],
            **{k: v for k, v in ds.coords.items() if set(v.dims) <= set(outer)},
        },
    )
    for name in ("amount", "stderr", "limit"):
        out[name].attrs.update(units)
    out["flag"].attrs.update(
        flag_values=np.arange(len(FLAGS), dtype=np.uint8), flag_meanings=" ".join(FLAGS)
    )
    out["spectrum"].attrs["units"] = f"1/({convention.AXES[axis]})"
    if task.grounds:
        # As large as the data: no more digits than they have.
        small = ds["intensity"].dtype.itemsize <= 4
        number = np.float32 if small else np.float64
        ground = found.amount[:, n:].astype(number) @ found.rows[n:].astype(number)
        units = {"units": ds["intensity"].attrs["units"]}
        out["ground"] = ((*outer, axis), ground.reshape(*shape, -1), units)
    out.attrs = {**ds.attrs, "convention": CONVENTION}
    return out


def _add_band(
    out: xr.Dataset, task: Task, found: Found, quality: Quality, factor: Array, axis: str
) -> None:
    """Add the extremes of each component's share, and amounts and spectra there."""
    n = task.count
    scale = np.concatenate([factor, np.ones(n - len(factor))])
    amount, spectra = found.amount[:, :n], found.rows[:n]
    error, noise = quality.deviation[:, :n], quality.noise
    floor, ceiling = np.full_like(spectra, -np.inf), np.full_like(spectra, np.inf)
    for k in np.flatnonzero(task.softness.any(axis=1)).tolist():
        room = 3.0 / np.sqrt(task.softness[k])
        reference = task.rows[k]
        floor[k] = np.minimum(reference - room, spectra[k])
        ceiling[k] = np.maximum(reference + room, spectra[k])
    seen = np.flatnonzero(quality.ndata > len(found.rows))
    got = ambiguity_band(
        amount[seen],
        spectra,
        Limits(ROOM * error[seen], ROOM * noise, floor, ceiling, tuple(sorted(task.fixed))),
    )
    unit = {"units": "1"}
    out["share"] = ("component", got.share, unit)
    out["share_low"] = ("component", got.low, unit)
    out["share_high"] = ("component", got.high, unit)
    for side, name in ((0, "low"), (1, "high")):
        turned = np.full(amount.shape, np.nan)
        shapes = np.zeros_like(spectra)
        for k in range(n):
            t = got.turns[k, side]
            one = np.linalg.inv(t)[k] @ spectra
            size = float(one @ task.width) / float(spectra[k] @ task.width)
            turned[:, k] = amount @ t[:, k] * size
            shapes[k] = one / size
        shape = out["amount"].shape
        out[f"amount_{name}"] = (out["amount"].dims, (turned * scale).reshape(shape))
        out[f"amount_{name}"].attrs["units"] = out["amount"].attrs["units"]
        out[f"spectrum_{name}"] = (("component", axis), shapes / scale[:, None])
        out[f"spectrum_{name}"].attrs["units"] = out["spectrum"].attrs["units"]

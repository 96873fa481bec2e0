"""Evidence for a set of species: deviance of its fit, penalised for its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

import references
from references.errors import InterphaseError
from spectra import techniques
from spectra.component import Component, Components, Param
from spectra.convention import COUNTS, axis_of, outer_dims

from .curves import curves
from .fit import fit
from .quantify import quantify
from .run import statistic_for
from .verbs import propose

Array = npt.NDArray[np.float64]
_BLOCKS = 3


@dataclass(frozen=True)
class Trial:
    """One set of species tried on all spectra.

    Parameters
    ----------
    species : frozenset of str
        Library ids.
    deviance : float
        Minus twice the log likelihood over that of the data themselves, summed over spectra.
    free : int
        Fitted parameters, summed over spectra.
    points : int
        Data points, summed over spectra.
    fits : tuple of (Components, xr.Dataset)
        Model and FitResult per spectrum.
    """

    species: frozenset[str]
    deviance: float
    free: int
    points: int
    fits: tuple[tuple[Components, xr.Dataset], ...]

    def bic(self, dispersion: float) -> float:
        """Bayesian information criterion with a stated dispersion.

        ``deviance / dispersion + free ln(points)`` (G. Schwarz, Ann. Stat. 6 (1978) 461); the
        dispersion of the richest model keeps a shape that the model lacks from being bought with
        species.
        """
        return self.deviance / dispersion + self.free * float(np.log(self.points))


def blocks_of(ds: xr.Dataset) -> list[xr.Dataset]:
    """Sum a series or map to at most three spectra along its first dimension.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum.

    Returns
    -------
    list of xr.Dataset
        Spectra without outer dims; counts are summed, uncertainties in quadrature.
    """
    outer = outer_dims(ds)
    if not outer:
        return [ds]
    first = outer[0]
    size = ds.sizes[first]
    edges = np.linspace(0, size, min(_BLOCKS, size) + 1).astype(int)
    return [_summed(ds.isel({first: slice(int(a), int(b))})) for a, b in pairwise(edges)]


def _summed(ds: xr.Dataset) -> xr.Dataset:
    outer = list(outer_dims(ds))
    axis = axis_of(ds)
    good = ds["valid"].astype(bool).all(outer) if "valid" in ds else None
    units = dict(ds["intensity"].attrs)
    out = xr.Dataset({"intensity": ds["intensity"].sum(outer).assign_attrs(units)})
    if "uncertainty" in ds:
        total = (ds["uncertainty"].broadcast_like(ds["intensity"]) ** 2).sum(outer) ** 0.5
        out["uncertainty"] = total.assign_attrs(ds["uncertainty"].attrs)
    if "background" in ds:
        out["background"] = ds["background"].sum(outer).assign_attrs(ds["background"].attrs)
    if good is not None:
        out["valid"] = good.assign_attrs(ds["valid"].attrs)
    out = out.assign_coords({axis: ds[axis]})
    out.attrs = dict(ds.attrs)
    count = int(np.prod([ds.sizes[d] for d in outer]))
    if "live_time_s" in out.attrs:
        out.attrs["live_time_s"] = float(out.attrs["live_time_s"]) * count
    for name in ("live_time", "real_time"):
        if name in ds:
            whole = ds[name].broadcast_like(ds["intensity"].isel({axis: 0}, drop=True))
            out[name] = whole.sum(outer).assign_attrs(ds[name].attrs)
    return out


class Trials:
    """Fits of sets of species to some spectra, each set fitted once.

    Parameters
    ----------
    spectra : sequence of xr.Dataset
        Spectra without outer dims, of one or several techniques.
    library : references.Library
    settings : mapping
        Settings of ``propose`` by technique.
    """

    def __init__(
        self,
        spectra: Sequence[xr.Dataset],
        library: references.Library,
        settings: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.spectra = list(spectra)
        self.library = library
        self.settings = settings
        self._done: dict[frozenset[str], Trial] = {}

    def __call__(self, species: frozenset[str]) -> Trial:
        """Return the trial of a set; infinite deviance where it cannot be fitted."""
        if species not in self._done:
            self._done[species] = self._try(species)
        return self._done[species]

    def _try(self, species: frozenset[str]) -> Trial:
        deviance, free, points = 0.0, 0, 0
        fits = []
        for ds in self.spectra:
            model = self._model(ds, sorted(species))
            fitted = fit(ds, model, statistic=statistic_for(ds))
            parts = curves(ds, fitted)
            deviance += _deviance(ds, parts["model"].values)
            free += sum(p.free for p in model.params.values())
            points += int(fitted["ndata"])
            fits.append((model, fitted))
            if not _positive(model, fitted):
                deviance = float("inf")
        if not np.isfinite(deviance):
            deviance = float("inf")
        return Trial(species, deviance, free, points, tuple(fits))

    def _model(self, ds: xr.Dataset, species: Sequence[str]) -> Components:
        if species:
            try:
                return propose(
                    ds,
                    species,
                    library=self.library,
                    settings=self.settings.get(str(ds.attrs["technique"])),
                )
            except InterphaseError:
                pass  # none of them has a line in this spectrum: its background alone
        return _ground(ds)

    def seen(self, ds: xr.Dataset, species: str) -> bool:
        """Whether a species has anything to show in a spectrum."""
        model = self._model(ds, [species])
        return species in model.species


def _ground(ds: xr.Dataset) -> Components:
    x = ds[axis_of(ds)].values
    y = ds["intensity"].values.astype(float)
    params = {
        "c0": Param(value=float(np.median(y))),
        "c1": Param(value=0.0),
        "c2": Param(value=0.0),
        "x0": Param(value=0.5 * float(x[0] + x[-1]), vary=False),
    }
    return Components(
        [Component(name="ground", shape="polynomial", role="background", params=params)]
    )


def _positive(model: Components, fitted: xr.Dataset) -> bool:
    """Whether no species of the set has an area clearly below zero."""
    for component in model:
        if component.species is None or "area" not in component.params:
            continue
        row = fitted.sel(param=f"{component.name}.area")
        if float(row["value"]) < -1.0 * float(row["stderr"]):
            return False
    return True


def _deviance(ds: xr.Dataset, model: Array) -> float:
    y = ds["intensity"].values.astype(float)
    used = np.isfinite(y)
    if "valid" in ds:
        used &= ds["valid"].values.astype(bool)
    if not np.all(np.isfinite(model[used])):
        return float("inf")
    y, m = y[used], model[used]
    if "uncertainty" in ds:
        return float(np.sum(((y - m) / ds["uncertainty"].values[used]) ** 2))
    if ds["intensity"].attrs["units"] == COUNTS:
        m = np.maximum(m, 1e-9)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(y > 0, y * np.log(y / m), 0.0)
        return float(2.0 * np.sum(m - y + ratio))
    scatter = float(np.median(np.abs(np.diff(y)))) / 0.9539  # of a difference of two normals
    return float(np.sum(((y - m) / max(scatter, 1e-300)) ** 2))


def noise_of(ds: xr.Dataset, model: Array) -> Array:
    """Return the standard deviation of every point under a model."""
    if "uncertainty" in ds:
        return np.asarray(ds["uncertainty"].values, dtype=float)
    if ds["intensity"].attrs["units"] == COUNTS:
        return np.sqrt(np.maximum(model, 1.0))
    y = ds["intensity"].values.astype(float)
    return np.full(y.shape, float(np.median(np.abs(np.diff(y)))) / 0.9539)


def amounts_of(trial: Trial, library: references.Library) -> list[xr.Dataset | None]:
    """Return Amounts per spectrum; None where a technique cannot quantify what was fitted."""
    found: list[xr.Dataset | None] = []
    for model, fitted in trial.fits:
        handler = techniques.get(str(fitted.attrs["technique"]))
        able = handler.quantify is not None and model.species
        found.append(quantify(fitted, library=library) if able else None)
    return found

"""Depth profiles as a step of a recipe, and their lithium as amounts."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from spectra.techniques._ndp_response import Detector, Layer
from spectra.techniques.base import Settings

from ..provenance import stamp
from ..quantify import BELOW_LIMIT, FIT_FLAGGED, FLAGS, NO_VALUE, OK
from ..steps import record, require
from .profile import depth_profile
from .solve import Choice


class Profile(Settings):
    """Lithium against depth instead of components: the settings of ``depth_profile``."""

    layers: tuple[Layer, ...] = Field(min_length=1, description="from the detector inwards")
    detector: Detector = Field(Detector(), description="resolution, dead layer, cone")
    ions: Literal["tritons", "both"] = Field("both", description="which particles get out")
    method: Literal["tikhonov", "posterior", "naive"] = Field(
        "tikhonov", description="how counts are inverted"
    )
    weight: float | Choice = Field("evidence", description="of smoothness, or how to choose it")
    cells: int = Field(60, ge=8, le=200, description="depth cells")
    background: Literal["none", "constant"] = Field("constant", description="co-fitted level")
    shift_keV: float | Literal["fit", "each"] = Field(
        0.0, description="shift of energies, keV: a number, one found, or one for each spectrum"
    )
    kernels: bool = Field(True, description="keep the averaging kernels")
    tables: bool = Field(False, description="invert again with the second table of stopping powers")
    stopping: float = Field(0.02, ge=0, le=0.2, description="standard error of stopping powers")
    in_time: float | Literal["none", "evidence", "discrepancy"] = Field(
        "none", description="smoothing from spectrum to spectrum: a weight, or how to choose it"
    )


def profiled(ds: xr.Dataset, settings: Profile) -> xr.Dataset:
    """Run `depth_profile` with a recipe's settings."""
    given: dict[str, Any] = {name: getattr(settings, name) for name in Profile.model_fields}
    return depth_profile(ds, **given)


def lithium_amounts(profile: xr.Dataset) -> xr.Dataset:
    """Return the lithium of each kind of layer as amounts, for `align` and `balance`.

    Parameters
    ----------
    profile : xr.Dataset
        What `depth_profile` returns.

    Returns
    -------
    xr.Dataset
        Convention ``"amount-1"``, kind ``"lithium"``, nmol/cm2: ``amount(*outer, species)`` by the
        layers' species (a layer without one goes by its name), with covariance, detection limit
        and flags as `quantify` gives them.
    """
    require(profile, "depth-1", "workbench.depth_profile(ds, layers)")
    outer = tuple(str(d) for d in profile["total"].dims)
    dims = (*outer, "species")
    amount = profile["by_species"].transpose(*dims).values
    covar = profile["by_species_covar"].transpose(*dims, "species_2").values
    stderr = np.sqrt(np.diagonal(covar, axis1=-2, axis2=-1))
    limit = 3.29 * stderr
    poor = profile["status"].transpose(*outer).values[..., None] == 2
    flag = np.select(
        [~np.isfinite(amount) | ~np.isfinite(stderr), poor, amount < limit],
        [NO_VALUE, FIT_FLAGGED, BELOW_LIMIT],
        OK,
    ).astype(np.uint8)
    units = {"units": "nmol/cm2"}
    meaning = {
        "flag_values": np.arange(len(FLAGS), dtype=np.uint8),
        "flag_meanings": " ".join(FLAGS),
    }
    keep = [c for c in profile.coords if set(profile[c].dims) <= set(outer)]
    out = xr.Dataset(
        {
            "amount": (dims, amount, units),
            "stderr": (dims, stderr, units),
            "limit": (dims, limit, units),
            "flag": (dims, flag, meaning),
            "covar": ((*dims, "species_2"), covar, {"units": "(nmol/cm2)^2"}),
        },
        coords={
            **{c: profile[c] for c in keep},
            "species": profile["species"].values,
            "species_2": profile["species"].values,
        },
    )
    kept = ("technique", "region", "history", "recipe", "source", "title")
    out.attrs = {k: profile.attrs[k] for k in kept if k in profile.attrs}
    out.attrs.update(convention="amount-1", kind="lithium", note=profile.attrs["note"])
    return record(stamp(out, profile), "quantify", {})

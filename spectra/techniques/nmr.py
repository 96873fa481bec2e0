"""Solid-state and operando NMR: shifts in ppm, lines by nucleus, areas that count nuclei.

The area of a line is proportional to the number of nuclei behind it if everything is excited and
relaxed; divided by the nuclei per formula unit it compares species seen by one nucleus in one
spectrum. See ``docs/nmr.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from ..component import Component, Components, Param
from ..convention import where
from ..errors import CalibrationError, ModelError
from ._nmr_image import Image, image
from ._nmr_indirect import Indirect, indirect
from ._nmr_lines import element_of, line_width, nuclei_per_formula, split_by_count
from ._nmr_noise import Noise, noise
from ._nmr_phase import Baseline, Phase, baseline, phase
from ._nmr_process import (
    Apodise,
    Delays,
    Fourier,
    Keep,
    SwapEcho,
    ZeroFill,
    apodise,
    delays,
    fourier,
    keep,
    magnitude,
    swap_echo,
    zero_fill,
)
from ._nmr_reference import (
    Absolute,
    AsRecorded,
    Reference,
    Shift,
    absolute,
    as_recorded,
    reference,
    shift,
)
from ._nmr_simulate import Simulation, simulate
from ._nmr_standard import Standard, standard
from .base import NoSettings, Quantification, Quantity, Settings, Step, Technique

if TYPE_CHECKING:
    from references import Library

LITHIUM_METAL = (
    "Li metal: the shift depends on the orientation of the metal's surface to the field (bulk "
    "susceptibility), so 'flat' and 'microstructured' are regions of the spectrum, not phases; "
    "only metal within the skin depth (about 10 um) counts."
)
RELAXATION = (
    "Areas are compared as measured: true ratios need recycle delays of five T1 of the slowest "
    "line, full excitation, and all spinning sidebands in the model."
)


class Model(Settings):
    """How species become lines."""

    shape: Literal["pseudo_voigt", "gaussian", "lorentzian"] = Field(
        "pseudo_voigt", description="line shape of every line"
    )
    widths: Literal["auto", "free", "fixed"] = Field(
        "auto",
        description="auto frees the width of a line that stands alone and fixes it where lines "
        "overlap; free and fixed do so for all",
    )
    positions: Literal["common", "each"] = Field(
        "common",
        description="common: library shifts plus one common shift; each: every line moves within "
        "its literature range",
    )
    shift_range: float = Field(2.0, ge=0, description="largest common shift, ppm; 0 holds it")
    positive: bool = Field(
        False,
        description="keep areas at zero or above; off by default, because only free areas of "
        "absent species average to zero",
    )
    baseline: Literal["none", "constant", "linear", "quadratic"] = Field(
        "linear", description="baseline fitted together with the lines"
    )
    spinning_kHz: float = Field(0.0, ge=0, description="spinning rate, kHz; 0 is static")
    sidebands: int = Field(
        0, ge=0, le=20, description="spinning sidebands on either side of each line to fit"
    )


def require_spectrum(ds: xr.Dataset) -> None:
    """Refuse raw signals, magnitude spectra and uncalibrated axes with the call that mends it.

    Raises
    ------
    ModelError
        For raw or magnitude data.
    CalibrationError
        For an axis that nobody has referenced.
    """
    if "chemical_shift" not in ds["intensity"].dims:
        raise ModelError(
            f"{where(ds)}: this is a raw signal along {ds['intensity'].dims[-1]}; "
            "call correct(ds, 'fourier') and correct(ds, 'phase') first"
        )
    if ds.attrs.get("magnitude"):
        raise ModelError(
            f"{where(ds)}: {ds.attrs['magnitude']} spectrum: areas of overlapping lines do not "
            "add in it; process from the raw signal and phase it"
        )
    if not ds.attrs.get("calibration"):
        raise CalibrationError(
            f"{where(ds)}: the shift axis has no reference; "
            "call calibrate(ds, 'reference', at=..., between=(low, high)), or "
            "calibrate(ds, 'as_recorded') to take it as it is"
        )


def propose(
    ds: xr.Dataset, species: Sequence[str], library: Library, settings: Model
) -> Components:
    """Turn species into lines of the spectrum's nucleus within its axis.

    Lines of one species that the library ties by the number of nuclei in each get tied areas;
    lines without such a number (flat and microstructured lithium metal) have areas of their own.

    Parameters
    ----------
    ds : xr.Dataset
        A referenced Spectrum on chemical shift with ``attrs["nucleus"]``.
    species : sequence of str
        Library ids.
    library : references.Library
    settings : Model

    Returns
    -------
    Components
        With the common parameter ``shift`` (ppm) where ``positions="common"``.

    Raises
    ------
    ModelError, CalibrationError
        See `require_spectrum`; or if the nucleus is not known.
    """
    require_spectrum(ds)
    nucleus = str(ds.attrs.get("nucleus", ""))
    if not nucleus:
        raise ModelError(f"{where(ds)}: no attrs['nucleus']; set it, for example '31P'")
    x = ds["chemical_shift"].values
    y = ds["intensity"].values.reshape(-1, x.size)
    level = np.nanmedian(y, axis=-1, keepdims=True)
    mean = np.nanmean(y - level, axis=0)
    found: dict[str, list[Any]] = {}
    for name in species:
        lines = [i for i in library.lines("nmr", name, nucleus) if x[0] <= i.value <= x[-1]]
        if lines:
            found[name] = lines
    every = [line for lines in found.values() for line in lines]
    items: list[Component] = []
    for name, lines in found.items():
        atoms = float(library[name].atoms.get(element_of(nucleus), 0.0))
        shares = split_by_count(lines, atoms)
        names = [name, *(f"{name}_{line.label or at}" for at, line in enumerate(lines[1:], 2))]
        for at, (label, line) in enumerate(zip(names, lines, strict=True)):
            tie = f"{shares[at] / shares[0]!r} * {name}.area" if shares and at else None
            main = _line(name, label, line, tie, every, x, mean, settings)
            items.append(main)
            if settings.spinning_kHz > 0 and settings.sidebands:
                items += _sidebands(main, ds, x, settings)
    common = {}
    if items and settings.positions == "common":
        s = settings.shift_range
        common["shift"] = Param(value=0.0, min=-s, max=s) if s > 0 else Param(value=0, vary=False)
    return Components([*items, *_baseline(x, settings)] if items else [], common)


def _line(
    species: str,
    name: str,
    line: Any,
    tie: str | None,
    every: Sequence[Any],
    x: np.ndarray,
    mean: np.ndarray,
    settings: Model,
) -> Component:
    width = line_width(line)
    low, high = line.fwhm_low or 0.3 * width, line.fwhm_high or 3.0 * width
    others = [o for o in every if o is not line]
    alone = all(abs(o.value - line.value) > 1.5 * (width + line_width(o)) for o in others)
    vary = settings.widths == "free" or (settings.widths == "auto" and alone)
    near = np.abs(x - line.value) <= width
    height = float(np.max(mean[near])) if near.any() else 0.0
    scale = float(np.max(np.abs(mean))) or 1.0
    area = max(height, 1e-3 * scale) * width * 1.2
    params: dict[str, Param] = {
        "area": Param(value=area, expr=tie)
        if tie
        else Param(value=area, min=0.0 if settings.positive else None),
        "center": Param(value=line.value, expr=f"{line.value!r} + shift")
        if settings.positions == "common"
        else Param(value=line.value, min=line.low, max=line.high),
        "fwhm": Param(value=width, min=min(low, width), max=max(high, width))
        if vary
        else Param(value=width, vary=False),
    }
    if settings.shape == "pseudo_voigt":
        mixing = line.mixing if line.mixing is not None else 0.3
        params["mixing"] = Param(value=mixing, vary=False)
    return Component(name=name, species=species, shape=settings.shape, params=params)


def _sidebands(main: Component, ds: xr.Dataset, x: np.ndarray, settings: Model) -> list[Component]:
    """Return the sidebands inside the axis, each with an area of its own."""
    spacing = settings.spinning_kHz * 1e3 / float(ds.attrs["reference_MHz"])
    made = []
    for order in [o for k in range(1, settings.sidebands + 1) for o in (-k, k)]:
        position = main.params["center"].value + order * spacing
        if not x[0] <= position <= x[-1]:
            continue
        params = {
            key: Param(value=p.value, expr=f"{main.name}.{key}") for key, p in main.params.items()
        }
        params["center"] = Param(value=position, expr=f"{main.name}.center + {order * spacing!r}")
        params["area"] = Param(value=0.1 * main.params["area"].value, min=main.params["area"].min)
        side = "p" if order > 0 else "m"
        made.append(
            main.model_copy(
                update={"name": f"{main.name}_ssb_{side}{abs(order)}", "params": params}
            )
        )
    return made


def _baseline(x: np.ndarray, settings: Model) -> list[Component]:
    if settings.baseline == "none":
        return []
    middle = 0.5 * float(x[0] + x[-1])
    params = {"c0": Param(value=0.0), "x0": Param(value=middle, vary=False)}
    if settings.baseline in ("linear", "quadratic"):
        params["c1"] = Param(value=0.0)
    if settings.baseline == "quadratic":
        params["c2"] = Param(value=0.0)
    return [Component(name="baseline", shape="polynomial", role="background", params=params)]


def quantify(components: Components, attrs: Mapping[str, Any], library: Library) -> Quantification:
    """Turn areas into shares of formula units among the species this nucleus sees.

    ``amount = sum of the species' areas / nuclei per formula unit``, then divided by the total.
    With ``attrs["amount_per_area"]`` (nmol/cm2 of nuclei per unit of area, from a standard) the
    amounts are absolute.

    Parameters
    ----------
    components : Components
    attrs : mapping
        Of the fit; ``nucleus`` is needed.
    library : references.Library

    Returns
    -------
    Quantification

    Raises
    ------
    ModelError
        If the nucleus is not stated or a species does not hold it.
    """
    nucleus = str(attrs.get("nucleus", ""))
    if not nucleus:
        raise ModelError("quantify nmr: the fit has no attrs['nucleus']; set it before the fit")
    factor = float(attrs.get("amount_per_area", 0.0))
    quantities = []
    for name in components.species:
        weight = (factor or 1.0) / nuclei_per_formula(name, nucleus, library)
        weights = {f"{c.name}.area": weight for c in components if c.species == name}
        quantities.append(Quantity(name, weights))
    note = f"Shares of formula units among the species seen by {nucleus}. {RELAXATION}"
    if factor:
        note = f"Amounts from {nucleus} areas and a standard. {RELAXATION}"
    if nucleus in ("7Li", "6Li") and "Li" in components.species:
        note += " " + LITHIUM_METAL
    kind = "amount" if factor else "fraction"
    return Quantification(tuple(quantities), "nmol/cm2" if factor else "1", kind, note)


TECHNIQUE = Technique(
    name="nmr",
    axis="chemical_shift",
    title="Nuclear magnetic resonance",
    calibrations={
        "reference": Step(Reference, reference),
        "absolute": Step(Absolute, absolute),
        "shift": Step(Shift, shift),
        "as_recorded": Step(AsRecorded, as_recorded),
    },
    corrections={
        "baseline": Step(Baseline, baseline),
        "phase": Step(Phase, phase),
        "noise": Step(Noise, noise),
        "keep": Step(Keep, keep),
        "apodise": Step(Apodise, apodise),
        "zero_fill": Step(ZeroFill, zero_fill),
        "swap_echo": Step(SwapEcho, swap_echo),
        "fourier": Step(Fourier, fourier),
        "magnitude": Step(NoSettings, magnitude),
        "delays": Step(Delays, delays),
        "indirect": Step(Indirect, indirect),
        "image": Step(Image, image),
        "standard": Step(Standard, standard),
        # Referencing comes after the transform, so it is also offered in the order of corrections.
        "reference": Step(Reference, reference),
        "absolute": Step(Absolute, absolute),
        "shift": Step(Shift, shift),
        "as_recorded": Step(AsRecorded, as_recorded),
    },
    settings=Model,
    propose=propose,
    quantify=quantify,
    simulation=Simulation,
    simulate=simulate,
    fingerprint=1,
)

"""How species become lines: settings of the model, shapes, widths, Shirley steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from ..component import Component, Components, Param, doublet, validated_components
from .base import Settings

if TYPE_CHECKING:
    from references import CoreLevel, Line

_KNOWN = ("pseudo_voigt", "gl_product", "gaussian", "voigt", "doniach_sunjic")
"""Shapes of the library that lines can be made of here."""

_ASYMMETRY = (0.1, 0.0, 0.35)
"""Start and bounds of an asymmetry the library does not state (metals: 0.02 to 0.25)."""


class Model(Settings):
    """How species become lines."""

    shift_range: float = Field(
        1.0, ge=0, description="largest common shift of all lines (charging), eV; 0 holds it"
    )
    second_domain: tuple[str, ...] = Field(
        (),
        description="species in a part of the sample that charges differently (a conductor beside "
        "an insulator): their lines follow a shift of their own, 'shift_2', and own widths",
    )
    levels: tuple[str, ...] = Field(
        (), description="core levels to use; default all that lie in the region"
    )
    level_offsets: bool = Field(
        True,
        description="several core levels in one fit: a level that no energy difference of the "
        "library links to the others may lie off by a common 'offset_<level>' within the scatter "
        "of its reported energies; off holds the library's energies",
    )
    tie_levels: bool = Field(
        False,
        description="tie the areas of one species in different core levels by atoms, sensitivity "
        "and response (joint fit of several regions)",
    )
    shape: Literal[
        "library", "pseudo_voigt", "gl_product", "gaussian", "voigt", "doniach_sunjic", "tailed"
    ] = Field(
        "library",
        description="line shape of every line; library: as the species has it (metals and graphite "
        "asymmetric, the rest pseudo-Voigt); tailed: pseudo-Voigt with an exponential tail",
    )
    mixing: float = Field(
        0.3, ge=0, le=1, description="Lorentzian share of a pseudo-Voigt or Gauss-Lorentz product"
    )
    widths: Literal["level", "each", "fixed"] = Field(
        "level",
        description="level: one free width per core level and shape (and domain); each: one per "
        "line (a metal under its oxide)",
    )
    coster_kronig: dict[str, float] = Field(
        default_factory=dict,
        description="width of the lower-j line over that of the higher-j one by core level, where "
        "Coster-Kronig decay broadens it ('Ti 2p': 1.8); 1 elsewhere",
    )
    positions: Literal["common", "each"] = Field(
        "common",
        description="common: library energies and energy differences plus one common shift; each: "
        "every line also moves within its literature range",
    )
    satellites: bool = Field(
        False,
        description="add the loss and shake-up satellites the library knows (plasmons of a metal, "
        "pi-pi* of graphite), each with a free share of its line",
    )
    background: Literal[
        "auto", "active_shirley", "active_tougaard", "linear", "constant", "none"
    ] = Field(
        "auto",
        description="co-fitted background; the active ones add a straight line to the losses of "
        "the lines; auto is active_shirley, or none where a static background is there",
    )
    positive: bool = Field(
        False,
        description="keep areas at zero or above; off by default, because only free areas of "
        "absent species average to zero",
    )


def shape_of(line: Line, settings: Model) -> str:
    """Return the name in ``SHAPES`` of a line's shape."""
    kind: str = settings.shape
    if kind == "library":
        kind = line.shape if line.shape in _KNOWN else "pseudo_voigt"
    names = {"doniach_sunjic": "doniach_sunjic_gaussian", "tailed": "pseudo_voigt_tail"}
    return names.get(kind, kind)


def lead_of(name: str, shape: str) -> str:
    """Return how far the maximum of a component lies above its ``center``, as an expression.

    For the convolved Doniach-Sunjic line a fit to its maxima, within 0.01 eV for asymmetries to
    0.2 and widths to 1 eV.
    """
    if shape != "doniach_sunjic_gaussian":
        return ""
    widths = f"(0.535 * {name}.fwhm_gaussian + 0.25 * {name}.fwhm_lorentzian)"
    return f"{name}.asymmetry * (1 + 0.4 * {name}.asymmetry) * {widths}"


def component_of(
    species: str,
    name: str,
    line: Line,
    level: CoreLevel,
    area: Param,
    center: Param,
    first: dict[tuple[str, str], str],
    settings: Model,
) -> Component:
    """Build one core-level line (a doublet where the level has one).

    Parameters
    ----------
    species, name : str
        Of the component.
    line : Line
    level : CoreLevel
    area, center : Param
    first : dict
        First component by core level and shape, whose width the others share; is added to.
    settings : Model

    Returns
    -------
    Component
    """
    shape = shape_of(line, settings)
    owner = first.setdefault((line.transition, shape), name)
    width = line.fwhm or level.fwhm

    def shared(key: str, free: Param) -> Param:
        if settings.widths == "level" and owner != name:
            return Param(value=free.value, expr=f"{owner}.{key}")
        return free

    free = Param(value=width, min=0.5 * level.fwhm_low, max=1.5 * level.fwhm_high)
    if settings.widths == "fixed":
        free = Param(value=width, vary=False)
    mixing = Param(value=settings.mixing if line.mixing is None else line.mixing, vary=False)
    natural = Param(value=level.lifetime_width or 0.1, vary=False)
    params = {"area": area, "center": center}
    if shape == "voigt":
        params |= {"fwhm_gaussian": shared("fwhm_gaussian", free), "fwhm_lorentzian": natural}
    elif shape == "doniach_sunjic_gaussian":
        start, low, high = _ASYMMETRY
        skew = Param(value=start, min=low, max=high)
        if line.asymmetry is not None:
            skew = Param(value=line.asymmetry, vary=False)
        params |= {
            "fwhm_gaussian": shared("fwhm_gaussian", free),
            "fwhm_lorentzian": natural,
            "asymmetry": skew,
        }
    elif shape == "pseudo_voigt_tail":
        tail = Param(value=0.3, min=0.0, max=3.0 * width)
        params |= {
            "fwhm_core": shared("fwhm_core", free),
            "mixing": mixing,
            "tail": shared("tail", tail),
        }
    else:
        params["fwhm"] = shared("fwhm", free)
        if shape in ("pseudo_voigt", "gl_product"):
            params["mixing"] = mixing
    wider = settings.coster_kronig.get(level.name, 1.0)
    lines = doublet(level.splitting, level.area_ratio, wider) if level.splitting else ()
    return Component(name=name, species=species, shape=shape, params=params, lines=lines)


def satellite_of(
    main: Component, number: int, value: float, low: float, high: float
) -> tuple[Component, dict[str, Param]]:
    """Build a satellite ``value`` (``low`` to ``high``) above a line, and its common parameter.

    One broad line with a free area, not negative; ``<name>_loss`` is the energy of the loss.
    """
    name = f"{main.name}_satellite" + (str(number) if number else "")
    loss = f"{name}_loss"
    lead = lead_of(main.name, main.shape)
    center = f"{main.name}.center + {loss}" + (f" + {lead}" if lead else "")
    params = {
        "area": Param(value=0.05 * main.params["area"].value, min=0.0),
        "center": Param(value=main.params["center"].value + value, expr=center),
        "fwhm": Param(value=2.5, min=1.0, max=6.0),
        "mixing": Param(value=0.3, vary=False),
    }
    component = Component(
        name=name,
        species=main.species,
        shape="pseudo_voigt",
        params=params,
        lines=tuple(line.model_copy(update={"width": 1.0}) for line in main.lines),
    )
    return component, {loss: Param(value=value, min=low, max=high)}


def is_satellite(name: str) -> bool:
    """Whether a component is a satellite that `satellite_of` made."""
    return name.rstrip("0123456789").endswith("_satellite")


class ActiveShirley(Settings):
    """A Shirley step under every peak, fitted with the peaks."""

    scale: float = Field(0.01, ge=0.0, description="start of the common step height, 1/eV")
    largest: float = Field(1.0, gt=0.0, description="its upper bound, 1/eV")


def active_shirley_under(components: Components, settings: ActiveShirley) -> Components:
    """Return the components with a co-fitted Shirley step under each of them."""
    scale = Param(value=settings.scale, min=0.0, max=settings.largest)
    return shirley_steps(components, scale=scale)


def shirley_steps(
    components: Components,
    *,
    scale: Param,
    of: Sequence[str] | None = None,
    common: str = "shirley_scale",
) -> Components:
    """Add a co-fitted Shirley step to every line, also of shapes whose integral is not closed.

    Those get the step of the nearest shape that has one, tied to their own parameters: a step does
    not show how its edge is rounded. For the convolved Doniach-Sunjic line that keeps the area
    within 1 % and the asymmetry within 0.003 (steps up to 6 % per eV).

    Parameters
    ----------
    components : Components
    scale : Param
        Start and bounds of the common scale, 1/eV.
    of : sequence of str, optional
        Names of the lines; all of role ``"peak"`` by default.
    common : str
        Name of the scale.

    Returns
    -------
    Components
    """
    from ..backgrounds import active_shirley
    from ..shapes import SHAPES

    names = [c.name for c in components if c.role == "peak"] if of is None else list(of)
    plain = [n for n in names if f"shirley_{components[n].shape}" in SHAPES]
    added = []
    for name in names:
        if name in plain:
            continue
        peak = components[name]
        stand_in, params = _stand_in(peak)
        added.append(
            Component(
                name=f"{name}_shirley",
                shape=f"shirley_{stand_in}",
                role="background",
                params={
                    "area": Param(expr=f"{name}.area"),
                    **{key: Param(expr=text) for key, text in params.items()},
                    "scale": Param(expr=common),
                },
                lines=peak.lines,
                line_scale=peak.line_scale,
            )
        )
    if plain:
        components = active_shirley(components, scale=scale, of=plain, common=common)
    return validated_components((*components, *added), {common: scale, **components.common})


def _stand_in(peak: Component) -> tuple[str, dict[str, str]]:
    """Return the shape whose integral stands in for a peak's, and its parameters' expressions."""
    own = peak.name
    if peak.shape == "doniach_sunjic_gaussian":
        return "doniach_sunjic", {
            "center": f"{own}.center + 0.2 * {own}.asymmetry * {own}.fwhm_gaussian",
            "fwhm_lorentzian": f"{own}.fwhm_lorentzian + 0.6 * {own}.fwhm_gaussian",
            "asymmetry": f"{own}.asymmetry",
        }
    if peak.shape == "pseudo_voigt_tail":
        return "pseudo_voigt", {
            "center": f"{own}.center + {own}.tail",
            "fwhm": f"sqrt({own}.fwhm_core**2 + (2.355 * {own}.tail)**2)",
            "mixing": f"{own}.mixing",
        }
    widths = " + ".join(f"{own}.{key}" for key in peak.params if key.startswith("fwhm"))
    return "pseudo_voigt", {"center": f"{own}.center", "fwhm": widths}


def start_shift(items: Sequence[Component], x: np.ndarray, mean: np.ndarray, limit: float) -> float:
    """Start the common shift where the strongest point meets the nearest line."""
    floor = np.linspace(mean[0], mean[-1], mean.size)
    top = float(x[int(np.argmax(mean - floor))])
    distance = min((top - c.params["center"].value for c in items), key=abs)
    return float(np.clip(distance, -0.8 * limit, 0.8 * limit))

"""Freedoms of a model that could be mistaken for a species: line shape, and shifted lines."""

from __future__ import annotations

from dataclasses import dataclass

import references
from spectra.component import Component, Components, Param

ASYMMETRY, MIXING = "freed_asymmetry", "freed_mixing"
MOVED = "moved_"
_SHAPED = ("pseudo_voigt", "gaussian")


@dataclass(frozen=True)
class Freedom:
    """What is free beyond the library.

    Parameters
    ----------
    shape : bool
        One asymmetry and one change of the Lorentzian share for all lines of a spectrum.
    moved : frozenset of str
        Species whose lines may leave the common shift, within their literature range.
    """

    shape: bool = False
    moved: frozenset[str] = frozenset()


RIGID = Freedom()


def with_freedom(
    components: Components, freedom: Freedom, library: references.Library
) -> Components:
    """Return components with some freedom added.

    Parameters
    ----------
    components : Components
        As ``propose`` made them.
    freedom : Freedom
    library : references.Library
        Where the literature ranges come from.

    Returns
    -------
    Components
        The same where there is nothing to free.
    """
    if freedom.moved:
        components = _moved(components, freedom.moved, library)
    if freedom.shape:
        components = _shaped(components)
    return components


def _shaped(components: Components) -> Components:
    """Free one asymmetry and, where the model fixes it, one change of the Lorentzian share."""
    lines = [c for c in components if _is_line(c)]
    if not lines:
        return components
    items = [_asymmetric(c) if _is_line(c) else c for c in components]
    common = {**components.common, ASYMMETRY: Param(value=0.05, min=-0.6, max=0.6)}
    shares = [_share(c) for c in lines if _is_fixed(c)]
    if shares:
        common[MIXING] = Param(value=0.0, min=-min(shares) - 1e-3, max=1.001 - max(shares))
    return Components(items, common)


def _is_line(component: Component) -> bool:
    own = component.role != "background" and component.species is not None
    return own and component.shape in _SHAPED


def _is_fixed(component: Component) -> bool:
    """Whether the model does not fit the Lorentzian share anyway."""
    mixing = component.params.get("mixing")
    return mixing is None or (mixing.expr is None and not mixing.vary)


def _share(component: Component) -> float:
    return component.params["mixing"].value if "mixing" in component.params else 0.0


def _asymmetric(component: Component) -> Component:
    share = _share(component)
    mixing = Param(value=share, expr=f"{share!r} + {MIXING}")
    params = {
        **component.params,
        **({"mixing": mixing} if _is_fixed(component) else {}),
        "asymmetry": Param(value=0.05, expr=ASYMMETRY),
    }
    return Component(
        name=component.name,
        species=component.species,
        shape="split_pseudo_voigt",
        role=component.role,
        params=params,
        lines=component.lines,
        line_scale=component.line_scale,
    )


def _moved(
    components: Components, species: frozenset[str], library: references.Library
) -> Components:
    common = dict(components.common)
    items = []
    for component in components:
        center = component.params.get("center")
        if component.species not in species or center is None or center.expr is None:
            items.append(component)
            continue
        near = [
            line
            for line in library[component.species].lines
            if abs(line.value - center.value) < 1e-6 * max(abs(center.value), 1.0)
        ]
        if not near or not near[0].low < near[0].high:
            items.append(component)
            continue
        line = near[0]
        name = MOVED + component.name
        low, high = min(line.low - line.value, -1e-6), max(line.high - line.value, 1e-6)
        common[name] = Param(value=0.0, min=low, max=high)
        params = {
            **component.params,
            "center": Param(value=center.value, expr=f"{center.expr} + {name}"),
        }
        items.append(component.model_copy(update={"params": params}))
    return Components(items, common)

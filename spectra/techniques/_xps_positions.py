"""Where the lines of a model lie: library energies, energy differences, common shifts.

An energy difference between two lines needs no charge reference, so it outranks the two positions:
lines that the library links by one are tied to each other. Core levels of one fit that no
difference links may lie off by a common, bounded ``offset_<level>``: their energies come from
different papers with different references.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..component import Param

if TYPE_CHECKING:
    from references import Library, Line

LEAST_OFFSET = 0.2
"""Least bound on the offset of a core level, eV: reported energies scatter by this much."""


@dataclass(frozen=True)
class Placed:
    """A line of the model: the component's name, its library line, the shift it follows.

    ``lead`` is how far the line's maximum lies above the ``center`` of its shape, as an expression
    (empty: not at all). Library energies are those of maxima.
    """

    name: str
    line: Line
    shift: str
    lead: str = ""


@dataclass(frozen=True)
class Link:
    """``one`` lies ``value`` above ``two`` (low to high), by the library."""

    one: Placed
    two: Placed
    value: float
    low: float
    high: float


def links(placed: Sequence[Placed], library: Library) -> list[Link]:
    """Return the library's energy differences between lines of this model.

    Lines that follow different shifts (two domains) are not linked.

    Parameters
    ----------
    placed : sequence of Placed
    library : references.Library

    Returns
    -------
    list of Link
    """
    found = []
    by_key = {(p.line.species, p.line.transition, p.line.label): p for p in placed}
    for species in dict.fromkeys(p.line.species for p in placed):
        for part in library[species].separations:
            if part.kind != "line":
                continue
            other = library[part.other_species].id if part.other_species else species
            level = part.other_transition or part.transition
            one = by_key.get((species, part.transition, part.label))
            two = by_key.get((other, level, part.other_label))
            if one and two and one is not two and one.shift == two.shift:
                found.append(Link(one, two, part.value, part.low, part.high))
    return found


def centers(
    placed: Sequence[Placed],
    library: Library,
    *,
    positions: Literal["common", "each"] = "common",
    offsets: bool = True,
) -> tuple[dict[str, Param], dict[str, Param]]:
    """Return the ``center`` of every line and the common parameters they use.

    Parameters
    ----------
    placed : sequence of Placed
    library : references.Library
    positions : {"common", "each"}
        Whether the library's energies and differences hold exactly, or within their ranges.
    offsets : bool
        Whether core levels that nothing links may lie off.

    Returns
    -------
    centers : dict of str to Param
        By component.
    common : dict of str to Param
        ``offset_<level>``; for ``positions="each"`` ``<component>_apart`` (a difference) and
        ``<component>_moved`` (a position; the best-known line of each shift stays on it).
    """
    known = links(placed, library)
    common: dict[str, Param] = {}
    moved = (
        _offset_levels(placed, known, library, common) if offsets and positions == "common" else {}
    )
    held = _best_known(placed)
    result: dict[str, Param] = {}
    for start in _anchors(placed, known):
        if start.name in result:
            continue
        extra = moved.get(start.line.transition)
        if positions == "each" and start.name not in held:
            line, extra = start.line, f"{start.name}_moved"
            ends = (line.low - line.value, line.high - line.value)
            common[extra] = Param(value=0.0, min=ends[0], max=ends[1])
        result[start.name] = _anchored(start, extra)
        todo = [start]
        while todo:
            here = todo.pop(0)
            for link in known:
                if here not in (link.one, link.two):
                    continue
                there = link.two if here is link.one else link.one
                if there.name in result:
                    continue
                sign = 1.0 if there is link.one else -1.0
                by = f"{sign * link.value!r}"
                if positions == "each":
                    apart = f"{there.name}_apart"
                    reach = sorted((sign * link.low, sign * link.high))
                    common[apart] = Param(value=sign * link.value, min=reach[0], max=reach[1])
                    by = apart
                text = f"{here.name}.center + {by}" + _lead(here, "+") + _lead(there, "-")
                result[there.name] = Param(value=there.line.value, expr=text)
                todo.append(there)
    return result, common


def positions(placed: Sequence[Placed], library: Library) -> dict[str, float]:
    """Return where lines lie when nothing is shifted: energy differences outrank energies.

    Parameters
    ----------
    placed : sequence of Placed
    library : references.Library

    Returns
    -------
    dict of str to float
        Binding energies by component, eV.
    """
    known = links(placed, library)
    at: dict[str, float] = {}
    for start in _anchors(placed, known):
        at.setdefault(start.name, start.line.value)
        todo = [start]
        while todo:
            here = todo.pop(0)
            for link in known:
                if here not in (link.one, link.two):
                    continue
                there = link.two if here is link.one else link.one
                if there.name not in at:
                    sign = 1.0 if there is link.one else -1.0
                    at[there.name] = at[here.name] + sign * link.value
                    todo.append(there)
    return at


def _lead(one: Placed, sign: str) -> str:
    return f" {sign} {one.lead}" if one.lead else ""


def _anchored(one: Placed, extra: str | None) -> Param:
    value = one.line.value
    text = f"{value!r} + {one.shift}" + (f" + {extra}" if extra else "") + _lead(one, "-")
    return Param(value=value, expr=text)


def _best_known(placed: Sequence[Placed]) -> set[str]:
    """Return the line with the narrowest literature range of each shift."""
    return {
        min(
            (p for p in placed if p.shift == shift),
            key=lambda p: (round(p.line.high - p.line.low, 6), p.name),
        ).name
        for shift in {p.shift for p in placed}
    }


def _anchors(placed: Sequence[Placed], known: Sequence[Link]) -> list[Placed]:
    """Order lines so that each group starts with the line the others are measured from."""

    def measured(one: Placed) -> tuple[int, int, str]:
        return (
            sum(link.one is one for link in known),
            -sum(link.two is one for link in known),
            one.name,
        )

    return sorted(placed, key=measured)


def _offset_levels(
    placed: Sequence[Placed], known: Sequence[Link], library: Library, common: dict[str, Param]
) -> dict[str, str]:
    """Give an offset to each group of core levels that no difference links to the first one.

    The first level is the one that should be strongest (atoms times sensitivity), whatever the
    order of the species: the shift is found best there.
    """
    levels = dict.fromkeys(p.line.transition for p in placed)
    if len(levels) < 2:
        return {}
    rank = {}
    for level in levels:
        factors = library.core_level(level).rsf.values()
        strength = next(iter(factors), 1.0)
        mine = [p.line for p in placed if p.line.transition == level]
        rank[level] = (-strength * sum(i.count or 1.0 for i in mine), min(i.value for i in mine))
    group = {level: {level} for level in levels}
    for link in known:
        both = group[link.one.line.transition] | group[link.two.line.transition]
        for level in both:
            group[level] = both
    first = min(levels, key=lambda k: rank[k])
    moved: dict[str, str] = {}
    for level in sorted(levels, key=lambda k: rank[k]):
        if level in moved or first in group[level]:
            continue
        here = [p for p in placed if p.line.transition in group[level]]
        limit = max(LEAST_OFFSET, *(0.5 * (p.line.high - p.line.low) for p in here))
        name = f"offset_{level.replace(' ', '_')}"
        common[name] = Param(value=0.0, min=-limit, max=limit)
        moved |= dict.fromkeys(group[level], name)
    return moved


def note(names: Sequence[str]) -> str:
    """Return the sentence on core levels whose distance was fitted, empty if there are none."""
    free = [
        name.removeprefix("offset_").replace("_", " ")
        for name in names
        if name.startswith("offset_")
    ]
    if not free:
        return ""
    return (
        f" The distance of {', '.join(free)} from the other core levels is not in the library and "
        "was fitted (offset_*)."
    )

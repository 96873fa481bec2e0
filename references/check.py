"""Find what is wrong in a library: sources, ranges, ratios, references, structures."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import LibraryError
from .library import Library
from .model import CoreLevel, Line, Nucleus, Separation, Species, StructureData, count_atoms

CLOSEST_ANGSTROM = 0.85
"""No two full sites of a structure lie nearer than this (O-H is 0.92)."""

COMPOSITION_TOLERANCE = 0.08
"""Refined occupancies of published structures miss the formula by up to this share."""
DENSITY_TOLERANCE = 2e-3
"""A stored density is that of the first structure, to three decimals."""
_AVOGADRO = 0.602214076  # formula units per mol in 1e24: g/cm3 from cubic angstrom

_UNITS = {"xps": "eV", "nmr": "ppm", "raman": "1/cm"}
_PLAUSIBLE = {"xps": (0.0, 12000.0), "nmr": (-8000.0, 8000.0), "raman": (10.0, 4200.0)}
_RATIO = {"s": 0.0, "p": 1.0 / 2.0, "d": 2.0 / 3.0, "f": 3.0 / 4.0}
_RSF_ANCHORS = {"C 1s": 1.0, "F 1s": 4.43, "S 2p": 1.677}
"""Scofield's cross sections at 1486.6 eV over C 1s; tables on another scale miss these."""


_DOI = re.compile(r"10\.\d{4,9}/[^\s]+")
_LASER = re.compile(r"any laser line|\b\d+(\.\d+)? ?nm\b")
_MOST_ATOMS = 3000
"""A larger cell is no phase of a cell's interphase: its distances are not computed."""
_SHAPES = (
    "gaussian", "lorentzian", "pseudo_voigt", "gl_product", "voigt", "doniach_sunjic",
    "doniach_sunjic_gaussian", "la", "la_gaussian", "lf", "split_pseudo_voigt",
    "sigmoid_pseudo_voigt",
)  # fmt: skip
"""Shapes a line may name; `spectra.shapes` computes them (it is not imported: it loads numpy)."""


@dataclass(frozen=True)
class Problem:
    """One fault: which entry, where in it, what is wrong."""

    entry: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.entry}: {self.where}: {self.text}"


_NO_PAPER = "no single source"


def check(library: Library, *, structures: bool = True) -> list[Problem]:
    """Check every entry of a library.

    Parameters
    ----------
    library : Library
        What is checked.
    structures : bool
        Build the structures too (takes some seconds: loads pymatgen).

    Returns
    -------
    list of Problem
        Empty if all is well.
    """
    found = [p for one in library.species.values() for p in _species(one, library)]
    found += list(_names(library))
    found += list(_families(library))
    found += [p for level in library.core_levels.values() for p in _core_level(level)]
    found += [p for nucleus in library.nuclei.values() for p in _nucleus(nucleus)]
    if structures:
        for one in library.species.values():
            for data in one.structures:
                found += list(_structure(one, data))
    return found


def _names(library: Library) -> Iterator[Problem]:
    """One name finds one species, one structure id one structure."""
    owners: dict[str, str] = {}
    for one in library.species.values():
        for alias, times in Counter(one.aliases).items():
            if times > 1 or not alias.strip():
                told = f"{alias!r} stands {times} times" if alias.strip() else "an empty name"
                yield Problem(one.id, "aliases", told)
        for name in {n.casefold() for n in (one.id, *one.aliases)}:
            other = owners.setdefault(name, one.id)
            if other != one.id:
                yield Problem(one.id, "aliases", f"{name!r} is a name of {other} too")
    structures: dict[str, str] = {}
    for one in library.species.values():
        for data in one.structures:
            other = structures.setdefault(data.id, one.id)
            if other != one.id or one.structures.count(data) > 1:
                yield Problem(one.id, f"structure {data.id}", f"{other} has one of this id")


def _families(library: Library) -> Iterator[Problem]:
    """Find a family that one species alone names and that reads like a misspelt other one."""
    members = Counter(f for one in library.species.values() for f in set(one.families))
    shared = [f for f in members if members[f] > 1]
    for one in library.species.values():
        for family in one.families:
            if not family.strip():
                yield Problem(one.id, "families", "an empty name")
            near = [f for f in shared if members[family] == 1 and _misspelt(family, f)]
            if near:
                yield Problem(
                    one.id,
                    "families",
                    f"{family!r} is named by no other species; did you mean {near[0]!r}?",
                )


def _misspelt(name: str, known: str) -> bool:
    """Whether two names differ by little, and not by being of another compound."""
    if difflib.SequenceMatcher(None, name.casefold(), known.casefold()).ratio() < 0.85:
        return False
    own = set(name.split()) - set(known.split())
    return not own or not all(_is_formula(word) for word in own)


def _is_formula(word: str) -> bool:
    try:
        return all(map(_is_element, count_atoms(word)))
    except ValueError:
        return False


def _species(one: Species, library: Library) -> Iterator[Problem]:
    try:
        content = one.atoms
    except ValueError as error:
        yield Problem(one.id, "formula", str(error))
        return
    if not one.id.isascii():
        yield Problem(
            one.id, "id", "letters of other alphabets: file systems write them differently"
        )
    if one.density is not None and one.density <= 0.0:
        yield Problem(one.id, "density", f"{one.density:g} g/cm3 is not positive")
    unknown = [e for e in content if not _is_element(e)]
    if unknown:
        yield Problem(one.id, "formula", f"{one.formula!r}: no element {', '.join(unknown)}")
    if not one.lines and not one.structures:
        yield Problem(one.id, "lines", "neither lines nor a structure: it cannot be seen")
    labels = Counter((i.technique, i.transition, i.label) for i in one.lines)
    for (technique, transition, label), number in labels.items():
        if number > 1:
            yield Problem(
                one.id, f"{technique} {transition}", f"{number} lines are labelled {label!r}"
            )
    for line in one.lines:
        for text in _line(line, content, library):
            place = f"{line.technique} {line.transition} {line.label}".strip()
            yield Problem(one.id, place, text)
    yield from _counts(one, content)
    for part in one.separations:
        for text in _separation(one, part, library):
            yield Problem(one.id, f"separation of {part.transition}", text)
    known = [line for line in one.lines if line.technique == "raman"]
    if known and max((i.relative_intensity or 0.0) for i in known) != 1.0:
        yield Problem(one.id, "raman", "no band has relative_intensity 1")


def _is_element(symbol: str) -> bool:
    from xraydb import atomic_number

    try:
        return bool(atomic_number(symbol))
    except (KeyError, ValueError):
        return False


def _line(line: Line, content: object, library: Library) -> Iterator[str]:
    if not line.source.strip():
        yield "no source"
    yield from _reports(line)
    yield from _shape(line)
    reports = [(line.source, line.confidence), *((o.source, o.confidence) for o in line.others)]
    for source, confidence in reports:
        if _NO_PAPER in source and confidence != "approximate":
            yield f"confidence {confidence!r} without a source of its own: approximate"
    if line.unit != _UNITS[line.technique]:
        yield f"unit {line.unit!r}, not {_UNITS[line.technique]!r}"
    if not line.low <= line.value <= line.high:
        yield f"value {line.value:g} is not within {line.low:g} to {line.high:g}"
    low, high = _PLAUSIBLE[line.technique]
    if not low <= line.value <= high:
        yield f"value {line.value:g} is outside {low:g} to {high:g} {line.unit}"
    if line.label and not line.label.isidentifier():
        yield f"label {line.label!r} is not an identifier"
    if line.technique in ("xps", "nmr") and not line.reference.strip():
        yield f"no {'charge' if line.technique == 'xps' else 'shift'} reference"
    if line.technique == "raman" and not _LASER.search(line.condition):
        yield "no condition: say the laser line ('532 nm'), or 'any laser line'"
    if line.technique == "xps" and line.transition not in library.core_levels:
        yield f"core level {line.transition!r} is not in core_levels.yaml"
    if line.technique == "nmr" and line.transition not in library.nuclei:
        yield f"nucleus {line.transition!r} is not in nuclei.yaml"
    nucleus = library.nuclei.get(line.transition)
    coupled = line.cq_MHz is not None or line.eta_q is not None
    if coupled and (line.technique != "nmr" or (nucleus is not None and nucleus.spin < 1.0)):
        yield "a quadrupolar coupling, which only a nucleus of spin above 1/2 has"
    element = _element(line)
    if element and isinstance(content, dict) and element not in content:
        yield f"the formula holds no {element}"


def _reports(line: Line) -> Iterator[str]:
    """Look at every DOI and at the ranges of further reports."""
    for doi in (line.doi, *(o.doi for o in line.others)):
        if doi and not _DOI.fullmatch(doi):
            yield f"doi {doi!r} is malformed: write it as 10.1021/cm546 (no URL, no 'doi:')"
    for other in line.others:
        if not other.source.strip():
            yield f"no source of the other value {other.value:g}"
        low = other.value if other.low is None else other.low
        high = other.value if other.high is None else other.high
        if not low <= other.value <= high:
            yield f"other value {other.value:g} is not within {low:g} to {high:g}"


def _shape(line: Line) -> Iterator[str]:
    """Look at widths, shares and shape parameters."""
    for name in ("fwhm", "fwhm_low", "fwhm_high", "count", "relative_intensity"):
        value = getattr(line, name)
        if value is not None and value <= 0.0:
            yield f"{name} {value:g} is not positive"
    least, most = line.fwhm_low, line.fwhm_high
    if least is not None and most is not None and not least <= (line.fwhm or least) <= most:
        yield f"fwhm {line.fwhm or least:g} is not within {least:g} to {most:g}"
    if (line.relative_intensity or 0.0) > 1.0:
        yield f"relative_intensity {line.relative_intensity:g} is above 1, the strongest band"
    for name in ("mixing", "asymmetry", "eta", "eta_q"):
        value = getattr(line, name)
        if value is not None and not 0.0 <= value <= 1.0:
            yield f"{name} {value:g} is not between 0 and 1"
    if line.shape not in _SHAPES:
        near = difflib.get_close_matches(line.shape, _SHAPES, 1)
        told = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(_SHAPES)}"
        yield f"shape {line.shape!r} is not known; {told}"


def _separation(one: Species, part: Separation, library: Library) -> Iterator[str]:
    """Compare a difference with its range and with the positions it is between."""
    if not part.source.strip():
        yield "no source"
    if part.doi and not _DOI.fullmatch(part.doi):
        yield f"doi {part.doi!r} is malformed: write it as 10.1021/cm546 (no URL, no 'doi:')"
    if not part.low <= part.value <= part.high:
        yield f"value {part.value:g} is not within {part.low:g} to {part.high:g}"
    if part.kind != "line":
        return
    other = part.other_species or one.id
    if other not in library:
        yield f"{other} is not in the library"
        return
    level = part.other_transition or part.transition
    ends = [
        [i for i in library.lines("xps", name, transition) if i.label == label]
        for name, transition, label in (
            (one.id, part.transition, part.label),
            (other, level, part.other_label),
        )
    ]
    if not all(ends):
        yield f"the line it is measured {'from' if ends[0] else 'to'} is not in the library"
        return
    upper, lower = ends[0][0], ends[1][0]
    if upper is lower:
        yield "a line measured from itself"
    if not upper.low - lower.high <= part.value <= upper.high - lower.low:
        yield f"{part.value:g} does not fit the positions {upper.value:g} and {lower.value:g}"


def _element(line: Line) -> str:
    if line.technique == "xps":
        return line.transition.partition(" ")[0]
    if line.technique == "nmr":
        return line.transition.lstrip("0123456789")
    return ""


def _counts(one: Species, content: dict[str, float] | object) -> Iterator[Problem]:
    """Atoms counted in the lines of one level or nucleus must be those of the formula."""
    assert isinstance(content, dict)
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in one.lines:
        if line.technique != "raman":
            groups.setdefault((line.technique, line.transition), []).append(line)
    for (technique, transition), lines in groups.items():
        counted = [i.count for i in lines if i.count is not None]
        total = content.get(_element(lines[0]), 0.0)
        if sum(counted) > total * (1.0 + 1e-6):
            yield Problem(
                one.id,
                f"{technique} {transition}",
                f"lines count {sum(counted):g} atoms, the formula has {total:g}",
            )
        if len(counted) == len(lines) and sum(counted) < total * (1.0 - 1e-6):
            yield Problem(
                one.id,
                f"{technique} {transition}",
                f"lines count {sum(counted):g} of {total:g} atoms",
            )


def _core_level(level: CoreLevel) -> Iterator[Problem]:
    expected = _RATIO.get(level.name[-1])
    if expected is None or not level.name.startswith(level.element + " "):
        yield Problem(level.name, "name", f"not a core level of {level.element}")
        return
    if abs(level.area_ratio - expected) > 1e-6:
        yield Problem(
            level.name, "area_ratio", f"{level.area_ratio:g}, not {expected:.4g} (l / (l + 1))"
        )
    if level.splitting < 0.0:
        yield Problem(level.name, "splitting", f"{level.splitting:g} is negative")
    elif (level.splitting > 0.0) != (expected > 0.0):
        yield Problem(level.name, "splitting", "p, d and f levels are split, s levels are not")
    if not all(source.strip() for source in level.sources):
        yield Problem(level.name, "sources", "no source")
    if not level.fwhm_low <= level.fwhm <= level.fwhm_high:
        yield Problem(level.name, "fwhm", "not within its range")
    for name, factor in level.rsf.items():
        if factor <= 0.0:
            yield Problem(level.name, "rsf", f"{name} is {factor:g}, not positive")
    if min(level.fwhm_low, level.lifetime_width or 1.0) <= 0.0:
        yield Problem(level.name, "fwhm", "a width is not positive")
    anchor = _RSF_ANCHORS.get(level.name)
    value = level.rsf.get("scofield_1486.6")
    if anchor is not None and value is not None and abs(value / anchor - 1.0) > 0.01:
        yield Problem(level.name, "rsf", f"scofield_1486.6 is {value:g}, Scofield has {anchor:g}")


def _nucleus(nucleus: Nucleus) -> Iterator[Problem]:
    name = nucleus.name
    element = name.lstrip("0123456789")
    if element == name or not _is_element(element):
        yield Problem(name, "name", "not a mass number and an element, like 31P")
    if nucleus.spin <= 0.0 or (2.0 * nucleus.spin) % 1.0:
        yield Problem(name, "spin", f"{nucleus.spin:g} is no multiple of 1/2")
    if not 0.0 <= nucleus.abundance <= 100.0:
        yield Problem(name, "abundance", f"{nucleus.abundance:g} is not between 0 and 100 percent")
    if nucleus.gyromagnetic_ratio == 0.0:
        yield Problem(name, "gyromagnetic_ratio", "zero")
    if nucleus.spin == 0.5 and nucleus.quadrupole_moment:
        yield Problem(name, "quadrupole_moment", "spin 1/2 has none")
    if not all(source.strip() for source in nucleus.sources):
        yield Problem(name, "sources", "no source")


def _structure(one: Species, data: StructureData) -> Iterator[Problem]:
    where = f"structure {data.id}"
    if not data.source.strip():
        yield Problem(one.id, where, "no source")
    if data.doi and not _DOI.fullmatch(data.doi):
        yield Problem(one.id, where, f"doi {data.doi!r} is malformed: write it as 10.1021/cm546")
    default = data is one.structures[0]
    try:
        wanted = count_atoms(data.formula)
        if default:
            for text in _differing(wanted, dict(one.atoms)):
                yield Problem(one.id, where, f"is not of the species: {text}")
    except ValueError as error:
        yield Problem(one.id, where, str(error))
        return
    if not all(map(_is_element, wanted)):
        yield Problem(one.id, where, f"{data.formula!r} names what is no element")
        return
    strange = {e for site in data.sites for e in site.elements if not _is_element(e)}
    if strange:
        yield Problem(one.id, where, f"a site holds {', '.join(sorted(strange))}: no element")
        return
    if any(n <= 0.0 for site in data.sites for n in (*site.elements.values(), len(site.elements))):
        yield Problem(one.id, where, "a site that holds nothing, or less")
        return
    if data.sites:
        from .diffraction import build, space_group

        try:
            built = build(data)
        except LibraryError as error:
            yield Problem(one.id, where, str(error).removeprefix(f"{where}: "))
            return
        number = space_group(data.space_group).int_number
        if number != data.number:
            yield Problem(
                one.id, where, f"{data.space_group} is space group {number}, not {data.number}"
            )
        if len(built) > _MOST_ATOMS:
            yield Problem(one.id, where, f"{len(built)} sites in the cell, more than {_MOST_ATOMS}")
            return
        content = built.composition
        amounts = {str(e): float(content[e]) for e in content.elements}
        for text in _differing(amounts, wanted):
            yield Problem(one.id, where, text)
        nearest = _closest(built)
        if nearest < CLOSEST_ANGSTROM:
            yield Problem(one.id, where, f"two atoms are {nearest:.2f} angstrom apart")
        density = float(built.density)
    elif data.formula_units:
        from xraydb import atomic_mass

        from .diffraction import volume

        mass = sum(n * atomic_mass(element) for element, n in wanted.items())
        density = data.formula_units * float(mass) / (volume(data) * _AVOGADRO)
    else:
        return
    if default and one.density and abs(density / one.density - 1.0) > DENSITY_TOLERANCE:
        yield Problem(one.id, "density", f"{one.density:g} g/cm3, its structure has {density:.4g}")


def _differing(found: dict[str, float], wanted: dict[str, float]) -> Iterator[str]:
    """Compare two compositions, whatever their number of formula units."""
    if set(found) != set(wanted):
        yield f"holds {', '.join(sorted(found))}, the formula {', '.join(sorted(wanted))}"
        return
    ratios = {e: found[e] / wanted[e] for e in wanted}
    middle = sorted(ratios.values())[len(ratios) // 2]
    for element, ratio in ratios.items():
        if abs(ratio / middle - 1.0) > COMPOSITION_TOLERANCE:
            yield (
                f"{found[element] / middle:.3g} {element} per formula unit, not {wanted[element]:g}"
            )


def _closest(built: object) -> float:
    """Return the shortest distance between sites that are both full."""
    import numpy as np
    from pymatgen.core import Structure

    assert isinstance(built, Structure)
    full = [i for i, site in enumerate(built) if site.species.num_atoms > 0.51]
    if len(full) < 2:
        return float("inf")
    distances = built.distance_matrix[np.ix_(full, full)]
    return float(distances[~np.eye(len(full), dtype=bool)].min())

"""Lines of sources, fluorescence and a standard, looked for and fitted one by one in the counts.

Centroids and widths do not depend on the energy scale: it only says where to look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import CalibrationError
from ._edxrd_axis import energy_of
from ._edxrd_calibrate import SOURCES, Group, Standard, reflections_of
from ._edxrd_escape import escapes
from ._edxrd_lines import Line, fit_line, significance
from ._edxrd_physics import (
    FLUORESCENCE,
    Detector,
    bragg_energy,
)
from ._edxrd_solve import Datum

if TYPE_CHECKING:
    from ._edxrd_joint import Joint

Array = npt.NDArray[np.float64]
_REACH = 2.6
"""Half width of the window of a line of known energy, in widths: far enough for tail and step."""
_CLEAR = 30.0
"""Area over its error above which the width of a line is fitted too."""


def groups_of(
    names: Sequence[str], lines: Sequence[float], detector: Detector
) -> list[tuple[str, Group]]:
    """Return named groups of lines as this detector cannot resolve them.

    Kb2 joins Kb1,3 where it lies within 2.5 widths: left out, it would pull the centroid (50 eV
    for silver on a detector of 0.65 keV).
    """
    made: list[tuple[str, Group]] = []
    for name in names:
        groups = SOURCES[name]
        element = {"109Cd": "Ag"}.get(name, name)
        for number, group in enumerate(groups):
            if number == 1 and element in FLUORESCENCE:
                beta, last = FLUORESCENCE[element][2], FLUORESCENCE[element][4]
                if last[0] - beta[0] < 2.5 * float(detector.fwhm(beta[0], fluorescence=True)):
                    group = (*group, (last[0], last[1] / beta[1]))
            made.append((name, group))
    return made + [("line", ((e, 1.0),)) for e in lines]


def resolution(
    channel: Array, counts: Array, guess: tuple[float, ...], crystal: str = "Ge"
) -> Detector | None:
    """Return a detector as wide as most of the clear single lines of a spectrum, whatever they are.

    Lines are looked for with filters of several widths; a width counts where the line fitted there
    has it. None if fewer than two lines are clear.
    """
    energy = energy_of(channel, guess)
    per = np.maximum(np.gradient(energy), 1e-9)
    best: list[float] = []
    for noise in (0.08, 0.13, 0.2, 0.33, 0.55, 0.9):
        detector = Detector(noise_keV=noise)
        z = _significance(channel, counts, guess, detector)
        tops = np.flatnonzero((z[1:-1] > z[:-2]) & (z[1:-1] >= z[2:]) & (z[1:-1] > 15.0)) + 1
        own = []
        for k in tops[np.argsort(-z[tops])][:16]:
            width = float(detector.fwhm(energy[k]) / per[k])
            line = fit_line(channel, counts, float(channel[k]), width, least=20.0)
            if line is not None and abs(np.log(line.fwhm / width)) < 0.3:
                fano2 = float(detector.fwhm(energy[k])) ** 2 - noise**2
                own.append(float(np.sqrt(max((line.fwhm * per[k]) ** 2 - fano2, 0.05**2))))
        if len(own) > len(best):
            best = own
    if len(best) < 2:
        return None
    return Detector(noise_keV=float(np.percentile(best, 30)), crystal=crystal)


def _significance(
    channel: Array, counts: Array, guess: tuple[float, ...], detector: Detector
) -> Array:
    energy = energy_of(channel, guess)
    per = np.maximum(np.gradient(energy), 1e-9)
    return significance(counts, detector.fwhm(energy.clip(1.0)) / per)


def source_lines(
    channel: Array,
    counts: Array,
    guess: tuple[float, ...],
    detector: Detector,
    settings: Joint,
    search_keV: float,
    avoid: Sequence[float] = (),
    *,
    narrow: bool,
) -> list[Datum]:
    """Return every line of known energy that is in the counts.

    Lines on one of the energies to ``avoid`` (reflections of the standard) are left out.

    Widths are fitted where a line is strong; those of weak ones are held at the detector's, since
    a free width lets a weak line wander.
    """
    energy = energy_of(channel, guess)
    low, high = max(settings.low_keV, energy[0]), min(settings.high_keV, energy[-1])
    found: list[Datum] = []
    made = groups_of(settings.sources, settings.lines, detector)
    for label, full in made:
        group, reach = _clear_of(full, np.asarray(avoid, float), detector)
        if not group or not low < group[0][0] < high:
            continue
        place = group[0][0]
        width = float(detector.fwhm(place, fluorescence=True))
        per = float(np.interp(place, energy, np.gradient(energy)))
        at = float(np.interp(place, energy, channel))
        tied = [((e - place) / per, w / group[0][1]) for e, w in group]
        local = np.abs(channel - at) < (search_keV + 3.0 * width) / per
        if local.sum() < 9:
            continue
        z = significance(counts[local], np.full(local.sum(), width / per), tied)
        z[np.abs(channel[local] - at) > search_keV / per] = -np.inf
        top = int(np.argmax(z))
        if z[top] < 5.0:
            continue
        start = float(channel[local][top])
        beside = [(e - place) / per for e in _beside(group, made, width, reach)]
        line = _fitted(channel, counts, start, width / per, tied, reach, narrow, beside)
        if line is not None:
            found.append(_datum("line", label, place, line))
    return found


def _clear_of(group: Group, avoid: Array, detector: Detector) -> tuple[Group, float]:
    """Return the members of a group that no reflection disturbs, and how far a window may reach."""
    width = float(detector.fwhm(group[0][0], fluorescence=True))
    if not avoid.size:
        return group, _REACH
    disturbed = [bool(np.min(np.abs(avoid - e)) < 1.5 * width) for e, _ in group]
    apart = max(e for e, _ in group) - min(e for e, _ in group)
    if any(disturbed) and (all(disturbed) or apart < 3.0 * width):
        return (), 0.0
    # what is disturbed stays outside the window of the rest
    gone = np.array([e for (e, _), bad in zip(group, disturbed, strict=True) if bad])
    kept = tuple(line for line, bad in zip(group, disturbed, strict=True) if not bad)
    others = np.concatenate([avoid, gone])
    low, high = min(e for e, _ in kept), max(e for e, _ in kept)
    if np.any((others > low) & (others < high)):
        return (), 0.0
    gap = float(np.min(np.minimum(np.abs(others - low), np.abs(others - high))))
    reach = min(_REACH, gap / width - 0.8)
    return (kept, reach) if reach > 0.9 else ((), 0.0)


def _fitted(
    channel: Array,
    counts: Array,
    at: float,
    width: float,
    tied: Sequence[tuple[float, float]],
    reach: float,
    narrow: bool,
    beside: Sequence[float],
) -> Line | None:
    line = fit_line(channel, counts, at, width, tied, reach=reach, beside=beside)
    if line is None or line.area < _CLEAR * line.area_stderr:
        return fit_line(
            channel, counts, at, width, tied, reach=reach, hold_width=True, beside=beside
        )
    if not narrow:  # the window follows the width found
        again = fit_line(channel, counts, line.center, line.fwhm, tied, reach=reach, beside=beside)
        line = again or line
    return line


def _beside(
    group: Group,
    made: Sequence[tuple[str, Group]],
    width: float,
    reach: float,
) -> list[float]:
    """Energies of lines of other elements and of other lines of this one near a group's window."""
    low, high = min(e for e, _ in group), max(e for e, _ in group)
    own = {e for e, _ in group}
    near = {e for _, other in made for e, _ in other}
    names = {{"109Cd": "Ag"}.get(name, name) for name, _ in made}
    near |= {FLUORESCENCE[name][4][0] for name in names if name in FLUORESCENCE}  # Kb2
    far = (reach + 1.0) * width
    return [
        e
        for e in sorted(near - own)
        if low - far < e < high + far and min(abs(e - o) for o in own) > 0.8 * width
    ]


def _datum(kind: str, label: str, known: float, line: Line) -> Datum:
    return Datum(
        kind, label, known, line.center, line.center_stderr, line.fwhm, line.fwhm_stderr, line.area
    )


def find_angle(
    channel: Array,
    counts: Array,
    guess: tuple[float, ...],
    powder: Standard,
    detector: Detector,
    start: float | None,
    search: float,
    settings: Joint,
    place: str,
) -> float:
    """Return the angle at which the standard's reflections meet the most lines of the spectrum.

    Raises
    ------
    CalibrationError
        If no angle stands out, or two do.
    """
    energy = energy_of(channel, guess)
    z = _significance(channel, counts, guess, detector)
    z = 4.0 * np.arcsinh(np.maximum(z, -2.0) / 4.0)  # one strong line must not decide
    used = np.cumsum(counts) / max(float(counts.sum()), 1.0)
    first, last = (int(k) for k in np.searchsorted(used, [1e-3, 0.999]))
    low = max(float(energy[min(first, energy.size - 1)]), settings.low_keV, 8.0)
    high = min(float(energy[min(last, energy.size - 1)]), settings.high_keV)
    lines = [e for name in settings.sources if name in SOURCES for g in SOURCES[name] for e, _ in g]
    for e in (*lines, *settings.lines, *settings.skip_keV):
        z[np.abs(energy - e) < 1.2 * float(detector.fwhm(e))] = 0.0  # known to be something else
    wide = (1.5, 40.0) if start is None else (start * (1 - search), start * (1 + search))
    trial = np.exp(np.arange(np.log(wide[0]), np.log(wide[1]) + 3e-4, 3e-4))
    score = np.zeros(trial.size)
    _, d = reflections_of(powder, float(bragg_energy(high, wide[1])))
    for k, angle in enumerate(trial):
        at = bragg_energy(d, float(angle))
        at = at[(at > low) & (at < high)][:14]
        if at.size >= 3:
            score[k] = float(np.interp(at, energy, z).sum()) / np.sqrt(at.size)
    top = int(np.argmax(score))
    away = np.abs(np.log(trial / trial[top])) > 0.02
    second = float(score[away].max()) if away.any() else 0.0
    if score[top] <= 0.0 or (start is None and second > 0.8 * score[top]):
        raise CalibrationError(
            f"{place}: no angle at which the lines are those of the standard; give guess_deg and "
            "check the standard and the energy scale"
        )
    return float(trial[top])


def reflections(
    channel: Array,
    counts: Array,
    guess: tuple[float, ...],
    angle: float,
    powder: Standard,
    detector: Detector,
    settings: Joint,
    others: Sequence[Datum],
) -> list[Datum]:
    """Return every reflection of a standard that stands alone."""
    energy = energy_of(channel, guess)
    top = min(float(energy[-1]), settings.high_keV)
    hkl, d = reflections_of(powder, float(bragg_energy(top, angle)))
    expected = bragg_energy(d, angle)
    elements = [s for s in settings.sources if s in FLUORESCENCE]
    own = [e for name in elements for e, _ in FLUORESCENCE[name]]
    own += [o.known for o in others if o.kind == "line"]
    alone = np.array([*own, *settings.skip_keV], float)
    rows: list[tuple[Datum, float]] = []
    for index, (h, spacing, place) in enumerate(zip(hkl, d, expected, strict=True)):
        width = float(detector.fwhm(place))
        gap = np.abs(np.concatenate([np.delete(expected, index), alone]) - place)
        if place < max(settings.low_keV, float(energy[0])) or (gap.size and gap.min() < 2 * width):
            continue
        reach = float(min(2.2, max(1.3, gap.min() / width - 0.9))) if gap.size else 2.2
        per = float(np.interp(place, energy, np.gradient(energy)))
        at = float(np.interp(place, energy, channel))
        local = np.abs(channel - at) < 3.5 * width / per
        if local.sum() < 9:
            continue
        z = significance(counts[local], np.full(local.sum(), width / per))
        z[np.abs(channel[local] - at) > 0.8 * width / per] = -np.inf
        best = int(np.argmax(z))
        if z[best] < 6.0:
            continue
        line = fit_line(channel, counts, float(channel[local][best]), width / per, reach=reach)
        if line is None or line.fwhm * per > 1.8 * width or line.area < 8.0 * line.area_stderr:
            continue
        label = " ".join(map(str, h))
        rows.append((_datum("reflection", label, float(spacing), line), float(place)))
    return [row for row, place in rows if not _on_escape(row, place, rows, detector)]


def _on_escape(
    row: Datum, place: float, rows: Sequence[tuple[Datum, float]], detector: Detector
) -> bool:
    """Whether an escape line of more than 2 % of this line lies within its width."""
    for other, energy in rows:
        for loss, share in escapes(energy, detector.crystal):
            if abs(energy - loss - place) < float(detector.fwhm(place)):
                lost = float(share) * other.area
                if lost > 0.02 * row.area:
                    return True
    return False

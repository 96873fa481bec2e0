"""Energy-dispersive X-ray diffraction: phases against photon energy at one scattering angle.

White beam, energy-resolving detector: ``E = hc / (2 d sin(theta))``. Everything rests on two
calibrations, channel to energy and the angle, and neither is taken from a header without being
told to. See ``docs/edxrd.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..component import Component, Components
from ..errors import ModelError, NoAmountsError
from ._edxrd_axes import cell_of_lines
from ._edxrd_calibrate import Known, Sources, StandardPowder, known, sources, standard
from ._edxrd_correct import DeadTime, Mask, dead_time, mask
from ._edxrd_elements import SumElements, element, sum_elements
from ._edxrd_flatness import flatness, plot_flatness, scale_of
from ._edxrd_incident import IncidentSpectrum, incident, incident_of
from ._edxrd_intensities import Intensities, intensities
from ._edxrd_joint import Joint, joint, lines_of
from ._edxrd_lattice import lattice, library_energy, texture
from ._edxrd_model import Model, propose
from ._edxrd_physics import Detector, Incident, measured_factors, phase_lines
from ._edxrd_pileup import Escape, PileUp, escape, pile_up
from ._edxrd_simulate import Simulation, molar_volume, simulate
from ._edxrd_smooth import smoothed
from ._edxrd_texture import TextureTest, texture_note, texture_test, widening
from ._edxrd_thermal import DebyeWaller, debye_waller
from ._edxrd_widths import broadening
from .base import Quantification, Quantity, Step, Technique

if TYPE_CHECKING:
    from references import Library

__all__ = [
    "TECHNIQUE",
    "broadening",
    "cell_of_lines",
    "element",
    "flatness",
    "incident_of",
    "lattice",
    "lines_of",
    "plot_flatness",
    "scale_of",
    "smoothed",
    "texture",
]

TEXTURE = (
    "Amounts hold for an untextured powder with many grains in the gauge, which was not tested: "
    "correct(ds, 'texture', species=[...]) tests it and widens the errors."
)


def quantify(components: Components, attrs: Mapping[str, Any], library: Library) -> Quantification:
    """Turn areas into concentrations, or into volume fractions of the phases in the model.

    ``area = scale * v * sum(j |F|^2 / V^2 S(E) / E^2 * channel width)`` with v the volume fraction
    of the phase in the gauge. With attrs ``counts_per_volume`` (counts per second and unit of v and
    strength, from a reference) and ``live_time_s`` the result is ``v / V_m`` in mmol of formula
    units per cm3; otherwise v is divided by the sum over the phases.

    Parameters
    ----------
    components : Components
    attrs : mapping
        Of the fit.
    library : references.Library

    Returns
    -------
    Quantification

    Raises
    ------
    ModelError
        In Pawley mode: free intensities carry no amounts.
    """
    phases = [c for c in components if c.species is not None and c.params["area"].expr is None]
    if len({c.species for c in phases}) < len(phases):
        raise NoAmountsError(
            "quantify edxrd: intensities are free (mode 'pawley'), they carry no amounts; propose "
            "with mode='intensities'"
        )
    factor = float(attrs.get("counts_per_volume", 0.0)) * float(attrs.get("live_time_s", 0.0))
    quantities = []
    for c in phases:
        assert c.species is not None
        per = area_per_volume(c, attrs, library)
        weight = 1.0 / per
        if factor:
            weight *= 1e3 / (factor * molar_volume(c.species, library))
        quantities.append(Quantity(c.species, {f"{c.name}.area": weight}))
    blends = blended(phases, Detector.of(attrs))
    wider = widening(attrs, {q.species: next(iter(q.weights.values())) for q in quantities})
    note = (texture_note(attrs) or TEXTURE) + (
        "" if not blends else " Blends: " + "; ".join(blends) + "."
    )
    if factor:
        return Quantification(tuple(quantities), "mmol/cm3", "amount", note, wider)
    note = "Volume fractions among the crystalline phases in the model. " + note
    return Quantification(tuple(quantities), "1", "fraction", note, wider)


def area_per_volume(component: Component, attrs: Mapping[str, Any], library: Library) -> float:
    """Return a phase's area per unit of volume fraction, from its strongest line.

    Raises
    ------
    ModelError
        If the component is not one that `propose` made.
    """
    assert component.species is not None
    energy = component.params["center"].value
    main = next((line for line in component.lines if abs(line.position - 1.0) < 1e-9), None)
    if main is None or "two_theta_deg" not in attrs:
        raise ModelError(
            f"quantify edxrd: component {component.name!r} has no powder lines or the fit no "
            "two_theta_deg; make the components with propose"
        )
    energy = library_energy(component.species, energy, attrs, library)
    lines = phase_lines(
        component.species,
        library,
        float(attrs["two_theta_deg"]),
        energy * (1.0 - 1e-6),
        energy * (1.0 + 1e-6),
        Incident.of(attrs),
        factors=measured_factors(attrs, component.species),
    )
    c0, c1, c2 = (float(attrs.get(f"c{i}_keV", 0.0)) for i in range(3))
    width = (c1**2 + 4.0 * c2 * (energy - c0)) ** 0.5  # dE/dch at that energy
    return float(lines.strength.max()) * width / main.weight


def blended(phases: list[Component], detector: Detector) -> list[str]:
    """Name pairs of phases with strong lines less than a width apart."""
    found = []
    for i, one in enumerate(phases):
        for two in phases[i + 1 :]:
            pairs = [
                (a.position * one.params["center"].value, b.position * two.params["center"].value)
                for a in one.lines
                for b in two.lines
                if a.weight > 0.1 and b.weight > 0.1
            ]
            near = [p for p in pairs if abs(p[0] - p[1]) < float(detector.fwhm(p[0]))]
            if near:
                found.append(f"{one.species} and {two.species} at {near[0][0]:.2f} keV")
    return found


TECHNIQUE = Technique(
    name="edxrd",
    axis="photon_energy",
    title="Energy-dispersive X-ray diffraction",
    calibrations={
        "known": Step(Known, known),
        "sources": Step(Sources, sources),
        "standard": Step(StandardPowder, standard),
        "joint": Step(Joint, joint),
    },
    corrections={
        "dead_time": Step(DeadTime, dead_time),
        "incident": Step(IncidentSpectrum, incident),
        "intensities": Step(Intensities, intensities),
        "debye_waller": Step(DebyeWaller, debye_waller),
        "pile_up": Step(PileUp, pile_up),
        "escape": Step(Escape, escape),
        "mask": Step(Mask, mask),
        "texture": Step(TextureTest, texture_test),
        "sum_elements": Step(SumElements, sum_elements),
    },
    settings=Model,
    propose=propose,
    quantify=quantify,
    simulation=Simulation,
    simulate=simulate,
    statistic="poisson",
    fingerprint=0,
)

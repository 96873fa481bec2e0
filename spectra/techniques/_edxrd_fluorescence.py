"""K fluorescence of collimator, shield and sample in spectra of photon energy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..component import Component, Param, SubLine
from ..errors import ModelError
from ._edxrd_axis import channel_width
from ._edxrd_physics import FLUORESCENCE, Detector, with_escape

Array = npt.NDArray[np.float64]
_SHIELDS = ("Ta", "W", "Au", "Pb")
"""Their four lines are told apart, so that diffraction lines are not taken for them."""
_CLEAR = 5.0
"""Standard errors by which each line must stand out."""


def fluorescent(
    ds: xr.Dataset, x: Array, detector: Detector, told: tuple[str, ...] | None
) -> list[Component]:
    """Return K lines as components of the background.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum on photon energy.
    x : ndarray, shape (N,)
        Its energies, keV.
    detector : Detector
    told : tuple of str, optional
        Elements, as in `elements_of`.

    Raises
    ------
    ModelError
        If the K lines of an element are not known here.
    """
    out = []
    for element in elements_of(ds, x, detector, told):
        if element not in FLUORESCENCE:
            raise ModelError(f"fluorescence {element!r}: allowed: {', '.join(FLUORESCENCE)}")
        lines = FLUORESCENCE[element]
        groups = {
            "Ka": lines[:2],
            **{f"Kb{n}": (line,) for n, line in zip("132", lines[2:], strict=True)},
        }
        for label, group in groups.items():
            own = np.array([line for line in group if x[0] < line[0] < x[-1]])
            if own.size:
                out.append(_shell(ds, f"{element}_{label}", own, detector))
    return out


def _shell(ds: xr.Dataset, name: str, own: Array, detector: Detector) -> Component:
    """Lines of one shell to one shell; filters change the ratios of the others."""
    energy, strength, parent = with_escape(own[:, 0], own[:, 1], detector)
    base = float(detector.fwhm(own[0, 0], fluorescence=True))
    width = detector.fwhm(own[:, 0], fluorescence=True)[parent] / base
    area = strength * channel_width(ds, energy)
    return Component(
        name=name,
        shape="gaussian",
        role="background",
        params={
            "area": Param(value=1.0),
            "center": Param(value=float(own[0, 0]), vary=False),
            "fwhm": Param(value=base, vary=False),
        },
        lines=tuple(
            SubLine(position=float(e - own[0, 0]), weight=float(a), width=float(w))
            for e, a, w in zip(energy, area / area.sum(), width, strict=True)
        ),
    )


def elements_of(
    ds: xr.Dataset, x: Array, detector: Detector, told: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Return the elements told, else those of attrs ``fluorescence``, else those of `showing`."""
    if told is not None:
        return told
    named = ds.attrs.get("fluorescence")
    return showing(ds, x, detector) if named is None else tuple(str(named).split())


def showing(ds: xr.Dataset, x: Array, detector: Detector) -> tuple[str, ...]:
    """Return the heavy elements whose Ka1, Ka2 and Kb1,3 all stand out, in about their ratio.

    Parameters
    ----------
    ds : xr.Dataset
        A Spectrum on photon energy; of a series or map the sum is looked at.
    x : ndarray, shape (N,)
        Its energies, keV.
    detector : Detector

    Returns
    -------
    tuple of str
    """
    intensity = ds["intensity"].transpose(..., "photon_energy")
    y = np.asarray(intensity.sum(intensity.dims[:-1]).values, dtype=float)
    found = []
    for element in _SHIELDS:
        lines = FLUORESCENCE[element]
        beta = 0.5 * (lines[2][0] + lines[3][0])
        net, error = np.array([_net(x, y, e, detector) for e in (lines[0][0], lines[1][0], beta)]).T
        if not np.all(net > _CLEAR * error):
            continue
        # Filters take more of Ka than of Kb, detectors see less of Kb; a diffraction line may lie
        # on Ka2 or on Kb.
        ratios = net[1:] / net[0]
        if np.all(ratios > (0.35, 0.15)) and np.any(ratios < (0.85, 0.8)):
            found.append(element)
    return tuple(found)


def _net(x: Array, y: Array, energy: float, detector: Detector) -> tuple[float, float]:
    """Return the counts of a line above what lies to its sides, and their error."""
    width = float(detector.fwhm(energy, fluorescence=True))
    away = (x - energy) / width
    inside = np.abs(away) < 0.75
    sides = [(away > 1.2) & (away < 2.2), (away < -1.2) & (away > -2.2)]
    if inside.sum() < 2 or min(int(s.sum()) for s in sides) < 2:
        return 0.0, 1.0
    level = min(float(np.median(y[s])) for s in sides)  # a neighbour raises one of them
    whole = float(y[inside].sum())
    return whole - level * int(inside.sum()), max(whole, 1.0) ** 0.5

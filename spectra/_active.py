"""Write co-fitted Shirley and Tougaard backgrounds: components tied to the peaks they come from."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ._tougaard import cross_section_of, losses
from .component import Component, Components, Curve, Param, validated_components
from .errors import ModelError
from .shapes import SHAPES


def active_shirley(
    components: Components,
    *,
    scale: Param | None = None,
    of: Iterable[str] | None = None,
    common: str = "shirley_scale",
) -> Components:
    """Return the components with a co-fitted Shirley background of the peaks.

    Every peak gets a background component ``<name>_shirley``, tied to all its parameters: the
    common scale (1 / axis unit) times the peak's integral from low x on. Fitted together with the
    peaks, it needs no end points (J. Vegh, Surf. Sci. 563, 183 (2004); Herrera-Gomez et al., Surf.
    Interface Anal. 46, 897 (2014)).

    Parameters
    ----------
    components : Components
        The model.
    scale : Param, optional
        Start and bounds of the scale; 0.02, not negative, if absent.
    of : iterable of str, optional
        Names of the peaks; all components of role ``"peak"`` if absent.
    common : str
        Name of the common parameter; one that exists already is kept as it is.

    Returns
    -------
    Components

    Raises
    ------
    ModelError
        If a peak's shape has no closed cumulative integral.
    """
    names = [c.name for c in components if c.role == "peak"] if of is None else list(of)
    added = []
    for name in names:
        peak = components[name]
        if f"shirley_{peak.shape}" not in SHAPES:
            able = [s.removeprefix("shirley_") for s in SHAPES if s.startswith("shirley_")]
            raise ModelError(
                f"active Shirley: component {name!r}: shape {peak.shape!r} has no cumulative "
                f"integral; use one of {', '.join(able)}, or a static shirley background"
            )
        tied = {key: Param(expr=f"{name}.{key}") for key in peak.params}
        added.append(
            Component(
                name=f"{name}_shirley",
                shape=f"shirley_{peak.shape}",
                role="background",
                params={**tied, "scale": Param(expr=common)},
                lines=peak.lines,
                line_scale=peak.line_scale,
            )
        )
    start = Param(value=0.02, min=0.0) if scale is None else scale
    return validated_components((*components, *added), {common: start, **components.common})


def active_tougaard(
    components: Components,
    *,
    material: str = "universal",
    scale: Param | None = None,
    of: Iterable[str] | None = None,
    common: str = "tougaard_b",
) -> Components:
    """Return the components with a co-fitted Tougaard background of the peaks.

    Every peak gets ``<name>_tougaard``: its area spread by the cross-section from its center on,
    with a common free B. For lines narrow against sqrt(C); the onset is rounded by the peak's
    width.

    Parameters
    ----------
    components : Components
        The model.
    material : str
        Key of `CROSS_SECTIONS`.
    scale : Param, optional
        Start and bounds of B (eV^2); the material's value, not negative, if absent.
    of : iterable of str, optional
        Names of the peaks; all components of role ``"peak"`` if absent.
    common : str
        Name of the common parameter; one that exists already is kept as it is.

    Returns
    -------
    Components

    Raises
    ------
    ModelError
        If the material is unknown, or a peak has no center, area and width.
    """
    found = cross_section_of(material, None, None, None, None)
    names = [c.name for c in components if c.role == "peak"] if of is None else list(of)
    added = []
    for name in names:
        peak = components[name]
        widths = [key for key in peak.params if key.startswith("fwhm")]
        if not widths or not {"area", "center"} <= set(peak.params):
            raise ModelError(
                f"active Tougaard: component {name!r}: shape {peak.shape!r} has no center, area "
                "and width; leave it out with of=[...]"
            )
        width = " + ".join(f"{name}.{key}" for key in widths)
        added.append(
            Component(
                name=f"{name}_tougaard",
                shape="active_tougaard",
                role="background",
                params={
                    "area": Param(expr=f"{name}.area"),
                    "center": Param(expr=f"{name}.center"),
                    "fwhm_onset": Param(expr=width),
                    "b": Param(expr=common),
                    "c": Param(value=found["c"], vary=False),
                    "sign": Param(value=found["sign"], vary=False),
                    "d": Param(value=found["d"], vary=False),
                },
                lines=peak.lines,
                line_scale=peak.line_scale,
            )
        )
    start = Param(value=found["b"], min=0.0) if scale is None else scale
    return validated_components((*components, *added), {common: start, **components.common})


def tougaard_curve(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    material: str = "universal",
    gap: float = 0.0,
    average: int = 1,
) -> Curve:
    """Return the losses of measured data as a curve for a template component.

    ``Component(shape="template", role="background", curve=tougaard_curve(x, y))`` adds them to a
    fit as one linear column whose ``area`` is a factor on the material's B (1 = the published
    cross-section). One curve serves all spectra of a fit: make it from their mean.

    Parameters
    ----------
    x, y : array_like, shape (N,)
        Axis (binding energy in eV, ascending) and intensity.
    material : str
        Key of `CROSS_SECTIONS`.
    gap : float
        Energy below which nothing is lost, eV.
    average : int
        Points averaged at the low end, whose level is not lossy and is taken off.

    Returns
    -------
    Curve

    Raises
    ------
    ModelError
        If the material is unknown or the data cannot be used.
    """
    xs = np.asarray(x, dtype=float)
    ys = np.asarray(y, dtype=float)
    if xs.ndim != 1 or xs.shape != ys.shape or xs.size < 3 or not np.all(np.diff(xs) > 0.0):
        raise ModelError("tougaard_curve: x must ascend strictly and y have its length, 3 or more")
    if not np.isfinite(ys).all():
        raise ModelError("tougaard_curve: y holds values that are not finite; bridge them first")
    kernel = cross_section_of(material, None, None, None, None)
    loss = losses(xs, ys - float(np.mean(ys[:average])), {**kernel, "gap": gap})
    return Curve(x=tuple(map(float, xs)), y=tuple(map(float, loss)))

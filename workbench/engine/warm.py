"""Whether the compiled engine can serve at once, and making it so."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from . import cache


def available() -> bool:
    """Whether there is a compiler."""
    return find_spec("numba") is not None and find_spec("llvmlite") is not None


def ready() -> bool:
    """Whether all kernels are compiled and cached for this version and this processor."""
    return available() and cache.marked()


def warm() -> bool:
    """Compile every kernel and shape into the cache; minutes never, seconds once per version.

    Returns
    -------
    bool
        Whether the cache could be written: False means that new processes start cold and use
        the NumPy engine for small work.
    """
    if not available():
        return False
    from numba.core.errors import NumbaError

    from spectra.component import Component, Components, Param
    from spectra.shapes import SHAPES

    from . import compiled, tiles
    from .data import Data
    from .plan import build
    from .starts import groups
    from .tables import SINGLE

    for shape in list(SHAPES.values()):
        if shape.name == "template":
            continue
        try:
            tiles.address(shape)
            if shape.name in SINGLE:
                tiles.address(shape, True)
        except NumbaError:
            continue  # a user's shape; the NumPy engine serves it and the result says so
    x = np.linspace(-5.0, 5.0, 64)
    plan = build(
        Components(
            [
                Component(
                    name="peak",
                    shape="gaussian",
                    params={
                        "area": Param(value=90.0, min=0.0),
                        "center": Param(value=0.1),
                        "fwhm": Param(value=2.0),
                    },
                )
            ]
        )
    )
    y = np.rint(40.0 * np.exp(-((x / 1.3) ** 2)))[None].astype(np.uint16)
    data = Data(x, y, None, None, None, "counts", False)
    compiled.solve(plan, data, groups((1,)), covariance=True, workers=1)
    if cache.folder() is None:
        return False
    cache.mark()
    return True

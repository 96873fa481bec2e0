"""The few functions line shapes are written with, elementwise on NumPy arrays.

A shape uses arithmetic, comparisons and these names only. An engine that compiles shapes binds
scalar versions to the same names (``exp`` -> ``math.exp``, ``where(c, a, b)`` -> ``a if c else
b``); for ``wofz`` and ``erfcx`` ``spectra._wofz`` has versions in plain arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

exp = np.exp
log = np.log
sqrt = np.sqrt
sin = np.sin
cos = np.cos
atan = np.arctan
where = np.where
erf = special.erf
erfcx = special.erfcx
lgamma = special.gammaln
digamma = special.psi

NAMES = (
    "exp", "log", "sqrt", "sin", "cos", "atan", "where", "erf", "erfcx", "lgamma", "digamma",
    "wofz",
)  # fmt: skip
"""What a compiling engine has to replace."""


def wofz(x: Any, y: Any) -> tuple[Any, Any]:
    """Real and imaginary part of the Faddeeva function w(x + i y), y >= 0."""
    w = special.wofz(x + 1j * y)
    return w.real, w.imag

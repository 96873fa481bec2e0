"""What the library says about the bands of one species."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from references import Line

DEFAULT_FWHM = 12.0
"""Width of a band where the literature gives none, 1/cm."""


def band_weights(bands: Sequence[Line]) -> np.ndarray:
    """Return each band's share of the species' area; unknown intensities count as 0.1."""
    relative = np.array(
        [0.1 if b.relative_intensity is None else b.relative_intensity for b in bands]
    )
    return relative / relative.sum()

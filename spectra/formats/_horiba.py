"""A LabSpec 6 document, whichever way it was stored: axes, matrix and entries made a Spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..errors import FormatError
from . import _raman

Axis = tuple[str, str, npt.NDArray]
"""Type (``Intens``, ``Spectr``, ``X`` ...), unit as written, values."""

_DIMS = {"x": "x", "y": "y", "z": "z", "time": "time", "t": "time"}


def assemble(
    path: Path,
    format_name: str,
    axes: Sequence[Axis],
    data: npt.NDArray,
    attrs: Mapping[str, object],
) -> xr.Dataset:
    """Make the Spectrum of a document.

    Parameters
    ----------
    path, format_name
        For messages and the source.
    axes : sequence of Axis
        In the document's order: intensity, spectrum, then the outer ones.
    data : ndarray, shape (spectra, points)
        Spectra in the document's order: axis 2 runs fastest.
    attrs : mapping
        Entries of the acquisition.

    Raises
    ------
    FormatError
        If the number of spectra is not that of the places and the map is none that stopped.
    """
    told = dict(attrs)
    spectral = next((i for i, entry in enumerate(axes) if entry[0].startswith("Spectr")), 1)
    axis = _raman.axis_in(path, axes[spectral][1] or "1/cm", axes[spectral][2])
    outer: dict[str, npt.NDArray] = {}
    coords: _raman.Coords = {}
    shape: list[int] = []
    over = [(e[0], e[2]) for i, e in enumerate(axes) if i not in (0, spectral)]
    over = [entry for entry in over if entry[1].size > 1]
    sizes = [v.size for _, v in over]
    if len(data) == int(np.prod(sizes)):
        for label, places in reversed(over):
            dim = _DIMS.get(label.split()[0].lower() if label else "", "scan")
            if dim in outer:
                raise FormatError(f"{path.name}: two axes {dim!r}; one of a kind is allowed")
            outer[dim] = places if dim != "scan" else np.arange(places.size)
            shape.append(places.size)
    elif len(over) == 2 and {e[0].lower() for e in over} == {"x", "y"}:
        # An interrupted map: row by row until it stopped.
        fast, slow = over
        at = np.arange(len(data))
        if at.size > fast[1].size * slow[1].size:
            raise FormatError(
                f"{path.name}: {at.size} spectra for {fast[1].size} x {slow[1].size} places"
            )
        outer, shape = {"point": at}, [at.size]
        coords = {
            fast[0].lower(): (("point",), fast[1][at % fast[1].size], "um"),
            slow[0].lower(): (("point",), slow[1][at // fast[1].size], "um"),
        }
        told["missing_spectra"] = fast[1].size * slow[1].size - at.size
    else:
        raise FormatError(
            f"{path.name}: {len(data)} spectra, axes of {' x '.join(map(str, sizes)) or 'one'}: "
            "the file is truncated; copy it again"
        )
    ds = _raman.raman(
        path,
        format_name,
        data.reshape(*shape, axis[1].size),
        axis,
        unit=axes[0][1],
        outer=outer,
        coords=coords,
        attrs=told,
    )
    return ds.sortby([str(d) for d in outer]) if outer else ds

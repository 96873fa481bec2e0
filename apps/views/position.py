"""Which spectrum of a series or map the pictures show: one slider per outer dimension."""

from __future__ import annotations

import panel as pn
import param
import xarray as xr

from spectra.convention import outer_dims

from ..state import Session


class Position(param.Parameterized):
    """Index along every outer dimension of the session's spectrum."""

    at = param.Dict(default={})

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        session.param.watch(self._reset, "spectrum")
        self._reset()

    def _reset(self, *_: object) -> None:
        ds = self._session.spectrum
        there = ds is not None and "intensity" in ds
        self.at = dict.fromkeys(outer_dims(ds), 0) if there else {}

    def panel(self) -> pn.viewable.Viewable:
        """Return the sliders, new for every spectrum."""

        def sliders(ds: xr.Dataset | None) -> pn.viewable.Viewable:
            if ds is None or "intensity" not in ds:
                return pn.Column()
            found = []
            for dim in outer_dims(ds):
                values = [f"{v:.6g} {ds[dim].attrs.get('units', '')}" for v in ds[dim].values]
                if len(values) < 2:
                    continue
                slider = pn.widgets.DiscreteSlider(
                    name=dim, options={text: i for i, text in enumerate(values)}, value=0, width=380
                )
                slider.param.watch(lambda e, dim=dim: self._move(dim, e.new), "value")
                found.append(slider)
            return pn.Column(*found)

        return pn.panel(pn.bind(sliders, self._session.param.spectrum))

    def _move(self, dim: str, to: int) -> None:
        self.at = {**self.at, dim: int(to)}

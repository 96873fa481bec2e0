"""Quantify: amounts of species as trends, maps and a table."""

from __future__ import annotations

import panel as pn
import xarray as xr

from workbench.report import amount_rows
from workbench.run import Result

from .. import figures
from ..state import Session


def view(session: Session) -> pn.viewable.Viewable:
    """Return the page."""

    def page(result: Result | None) -> pn.viewable.Viewable:
        if result is None or result.amounts is None:
            return pn.pane.Markdown("Fit first; components need species.")
        amounts = result.amounts
        rows = [f"| {' | '.join(row)} |" for row in amount_rows(amounts)]
        head = "| species | mean | 1 sigma | detection limit | flagged |"
        table = "\n".join([head, "|---|---|---|---|---|", *rows])
        note = str(amounts.attrs.get("note", ""))
        return pn.Column(
            _picture(amounts),
            pn.pane.Markdown(table, css_classes=["amounts"]),
            pn.pane.Markdown(note),
        )

    return pn.panel(pn.bind(page, session.param.result))


def _picture(amounts: xr.Dataset) -> pn.viewable.Viewable:
    dims = [str(d) for d in amounts["amount"].dims if d != "species" and amounts.sizes[d] > 1]
    flat = amounts.squeeze([d for d in amounts["amount"].dims if d not in (*dims, "species")])
    if not dims:
        return pn.Column()
    if len(dims) == 1:
        return pn.pane.Bokeh(figures.trends(flat, dims[0]))
    if len(dims) == 2:
        return pn.pane.Bokeh(figures.maps(flat, (dims[0], dims[1])))
    first = dims[0]
    slider = pn.widgets.IntSlider(name=first, start=0, end=flat.sizes[first] - 1)
    chosen = pn.bind(
        lambda i: pn.pane.Bokeh(figures.maps(flat.isel({first: i}), (dims[1], dims[2]))), slider
    )
    return pn.Column(slider, pn.panel(chosen))

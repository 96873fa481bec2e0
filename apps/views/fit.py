"""Fit: run the recipe; look at data, parts and residual of every spectrum, flags included."""

from __future__ import annotations

import panel as pn
import xarray as xr

from workbench import plot
from workbench.report import depth_rows, param_rows
from workbench.result import components_of
from workbench.run import Result, count_flagged

from .. import figures
from ..state import Session
from .position import Position


def view(session: Session, position: Position) -> pn.viewable.Viewable:
    """Return the page."""
    go = pn.widgets.Button(name="Fit", button_type="primary", css_classes=["fit"])
    go.on_click(lambda _: session.fit())

    def summary(result: Result | None) -> pn.viewable.Viewable:
        if result is None:
            return pn.pane.Markdown("Not fitted yet.")
        flagged = count_flagged(result.fit)
        if result.fit.attrs["convention"] == "depth-1":
            head = f"**{result.fit['status'].size} profiles, {flagged} flagged**"
            note = str(result.fit.attrs["note"])
            return pn.pane.Markdown("\n".join([head, "", note]), css_classes=["fitted"])
        names = str(result.fit["status"].attrs["flag_meanings"]).split()
        counts = [
            f"- {name.replace('_', ' ')}: {int((result.fit['status'] == code).sum())}"
            for code, name in enumerate(names)
            if bool((result.fit["status"] == code).any())
        ]
        head = f"**{result.fit['status'].size} spectra, {flagged} flagged**"
        engine = f"engine {result.fit.attrs['engine']}, {result.fit.attrs['statistic']}"
        return pn.pane.Markdown("\n".join([head, "", *counts, "", engine]), css_classes=["fitted"])

    def picture(result: Result | None, at: dict[str, int]) -> pn.viewable.Viewable:
        if result is None:
            return pn.Column()
        there = {d: min(i, result.fit.sizes[d] - 1) for d, i in at.items() if d in result.fit.dims}
        if result.fit.attrs["convention"] == "depth-1":
            return _depth(result.fit, there)
        rows = [f"| {' | '.join(row)} |" for row in _told(result.fit.isel(there))]
        table = "\n".join(["| parameter | value | 1 sigma | flag |", "|---|---|---|---|", *rows])
        return pn.Column(
            pn.pane.Bokeh(figures.fit(result.data, result.fit, there)),
            pn.pane.Markdown(table, css_classes=["values"]),
        )

    return pn.Row(
        pn.Column(
            go, pn.panel(pn.bind(summary, session.param.result)), position.panel(), width=420
        ),
        pn.panel(pn.bind(picture, session.param.result, position.param.at)),
    )


def _told(fit: xr.Dataset) -> list[list[str]]:
    """Return what a reader looks for: all that is free, and what is tied of the peaks."""
    ground = {c.name for c in components_of(fit) if c.role == "background"}
    return [
        row
        for row in param_rows(fit)
        if row[3] != "fixed" and not (row[3] == "tied" and row[0].partition(".")[0] in ground)
    ]


def _depth(found: xr.Dataset, at: dict[str, int]) -> pn.viewable.Viewable:
    """Return lithium against depth with its band; the series and what one cell tells below."""
    place = {d: float(found[d].values[i]) for d, i in at.items()}
    figures = [plot.depth.profile(found, at=place)]
    if found["total"].ndim == 1:
        figures.append(plot.depth.series(found))
    if "kernel" in found:
        figures.append(plot.depth.kernels(found, at=place))
    rows = [f"| {' | '.join(row)} |" for row in depth_rows(found)]
    head = ["| lithium | least | largest | median 1 sigma |", "|---|---|---|---|"]
    return pn.Column(
        *(pn.pane.Matplotlib(f, tight=True, width=760) for f in figures),
        pn.pane.Markdown("\n".join([*head, *rows]), css_classes=["values"]),
    )

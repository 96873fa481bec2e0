"""Fit: run the recipe; look at data, parts and residual of every spectrum, flags included."""

from __future__ import annotations

import panel as pn

from workbench.report import param_rows
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
        rows = [f"| {' | '.join(row)} |" for row in param_rows(result.fit.isel(there))]
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

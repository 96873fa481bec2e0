"""Calibrate and correct: choose a method of the technique, set it, apply it; remove the last."""

from __future__ import annotations

from typing import Any

import panel as pn
import xarray as xr

from .. import figures
from ..forms import Form
from ..state import Session
from .position import Position


def view(session: Session, position: Position, verb: str) -> pn.viewable.Viewable:
    """Return the page of ``calibrate`` or ``correct``."""

    def page(_: xr.Dataset | None) -> pn.viewable.Viewable:
        technique = session.technique
        if technique is None or "intensity" not in session.spectrum:
            return pn.pane.Markdown("Open a spectrum first.")
        methods = technique.calibrations if verb == "calibrate" else technique.corrections
        if not methods:
            return pn.pane.Markdown(f"{technique.title}: nothing to {verb}.")
        forms = {name: Form(step.settings) for name, step in methods.items()}
        method = pn.widgets.Select(name="method", options=list(methods), width=280)
        apply = pn.widgets.Button(name=verb.capitalize(), button_type="primary")
        back = pn.widgets.Button(name="Remove last")

        def applied(_: object) -> None:
            step = {"method": method.value, **forms[method.value].values()}
            session.set_steps(verb, [*session.draft.get(verb, []), step])

        def removed(_: object) -> None:
            session.set_steps(verb, session.draft.get(verb, [])[:-1])

        apply.on_click(applied)
        back.on_click(removed)
        shown = pn.bind(lambda name: forms[name].panel(), method)
        return pn.Column(method, shown, pn.Row(apply, back))

    def picture(
        ds: xr.Dataset | None, at: dict[str, int], draft: dict[str, Any]
    ) -> pn.viewable.Viewable:
        if ds is None or "intensity" not in ds:
            return pn.Column()
        done = [f"- {s}" for s in draft.get(verb, [])] or ["- nothing yet"]
        return pn.Column(pn.pane.Bokeh(figures.spectrum(ds, at)), pn.pane.Markdown("\n".join(done)))

    return pn.Row(
        pn.Column(pn.panel(pn.bind(page, session.param.spectrum)), width=420),
        pn.panel(pn.bind(picture, session.param.prepared, position.param.at, session.param.draft)),
    )

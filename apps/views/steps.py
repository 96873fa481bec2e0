"""Calibrate and correct: choose a method of the technique, set it, apply it; remove the last."""

from __future__ import annotations

from typing import Any

import panel as pn
import xarray as xr

from spectra.convention import axis_of

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
        if verb == "correct":
            done += [
                f"- fitted: {axis.replace('_', ' ')} {low:g} to {high:g}"
                for axis, (low, high) in draft.get("select", {}).items()
            ]
        there = {dim: min(i, ds.sizes[dim] - 1) for dim, i in at.items() if dim in ds.dims}
        return pn.Column(
            pn.pane.Bokeh(figures.spectrum(ds, there)), pn.pane.Markdown("\n".join(done))
        )

    limits = [pn.panel(pn.bind(_range, session, session.param.whole))] if verb == "correct" else []
    return pn.Row(
        pn.Column(
            pn.panel(pn.bind(page, session.param.spectrum)), *limits, position.panel(), width=420
        ),
        pn.panel(pn.bind(picture, session.param.prepared, position.param.at, session.param.draft)),
    )


def _range(session: Session, whole: xr.Dataset | None) -> pn.viewable.Viewable:
    """Return the limits of what is fitted along the spectral axis."""
    if whole is None or "intensity" not in whole:
        return pn.Column()
    axis = axis_of(whole)
    ends = float(whole[axis][0]), float(whole[axis][-1])
    chosen = session.draft.get("select", {}).get(axis)
    units = whole[axis].attrs["units"]
    low, high = (
        pn.widgets.FloatInput(name=name, value=at, width=180, css_classes=[f"range-{which}"])
        for name, at, which in zip(
            (f"{axis.replace('_', ' ')} / {units} from", "to"),
            chosen or ends,
            ("from", "to"),
            strict=True,
        )
    )
    go = pn.widgets.Button(name="Set range", css_classes=["set-range"])

    def applied(_: object) -> None:
        told = (
            ends[0] if low.value is None else float(low.value),
            ends[1] if high.value is None else float(high.value),
        )
        session.set_range(None if told == ends else told)

    go.on_click(applied)
    return pn.Card(
        pn.Row(low, high), go, title="fit only a range", collapsed=chosen is None, width=400
    )

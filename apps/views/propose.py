"""Propose: choose species and model settings, see and change the components."""

from __future__ import annotations

import pandas as pd
import panel as pn
import xarray as xr

from spectra.component import Components
from workbench.recipe import Change

from ..forms import Form
from ..own import Own
from ..state import Session

_COLUMNS = ("value", "min", "max", "vary", "expr")
_WRAPPED = "pre { white-space: pre-wrap; max-height: 320px; overflow-y: auto; }"
"""Style of the suggestion's sentences, one per species of the library."""


def view(session: Session) -> pn.viewable.Viewable:
    """Return the page."""

    def chooser(_: xr.Dataset | None) -> pn.viewable.Viewable:
        technique = session.technique
        if technique is None or technique.propose is None:
            return pn.pane.Markdown("Open a spectrum first.")
        species = pn.widgets.MultiChoice(
            name="species", options=session.candidates(), width=380, css_classes=["species"]
        )
        form = Form(technique.settings)
        go = pn.widgets.Button(name="Propose", button_type="primary", css_classes=["propose"])
        go.on_click(lambda _: session.propose(species.value, form.values()))
        elements = pn.widgets.TextInput(
            name="elements in the sample", placeholder="Li P S Cl", width=130
        )
        known = pn.widgets.TextInput(
            name="put together from", placeholder="Li6PS5Cl, Li", width=130
        )
        suggest = pn.widgets.Button(name="Suggest", css_classes=["suggest"], align="end")
        told = pn.pane.Str("", css_classes=["suggestion"], width=380, stylesheets=[_WRAPPED])

        def suggested(_: object) -> None:
            found = session.suggest(elements.value, known.value, form.values())
            if found is not None:
                species.value = [s for s in found.species if s in species.options]
                told.object = found.report()

        suggest.on_click(suggested)
        settings = pn.Card(form.panel(), title="model settings", collapsed=True, width=380)
        return pn.Column(
            pn.Row(elements, known, suggest), told, species, settings, go, _own(session)
        )

    def table(components: Components | None) -> pn.viewable.Viewable:
        if components is None:
            return pn.pane.Markdown("No components yet.")
        rows = {name: {c: getattr(p, c) for c in _COLUMNS} for name, p in components.params.items()}
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(_COLUMNS))
        frame.index.name = "parameter"
        grid = pn.widgets.Tabulator(
            frame,
            editors={"vary": {"type": "tickCross"}},
            disabled=False,
            height=430,
            width=760,
            css_classes=["components"],
        )

        def edited(event: object) -> None:
            name = str(frame.index[event.row])  # type: ignore[attr-defined]
            column, value = event.column, event.value  # type: ignore[attr-defined]
            if column in ("value", "min", "max"):
                value = None if value in (None, "") else float(value)
            if column == "expr":
                value = value or None
            session.change(name, Change(**{column: value}))

        grid.on_edit(edited)
        names = [c.name for c in components]
        gone = pn.widgets.Select(name="component", options=names, width=200)
        out = pn.widgets.Button(name="Leave out", css_classes=["leave-out"], align="end")
        out.on_click(lambda _: session.drop(gone.value))
        return pn.Column(grid, pn.Row(gone, out))

    return pn.Row(
        pn.Column(pn.panel(pn.bind(chooser, session.param.spectrum)), width=420),
        pn.panel(pn.bind(table, session.param.components)),
    )


def _own(session: Session) -> pn.viewable.Viewable:
    """Return the card for what the library does not hold: a peak, a straight background."""
    form = Form(Own, prefix="own")
    add = pn.widgets.Button(name="Add peak", css_classes=["add-peak"])
    ground = pn.widgets.Button(name="Add straight background", css_classes=["add-ground"])

    add.on_click(lambda _: session.add_peak(form.values()))
    ground.on_click(lambda _: session.add_straight())
    return pn.Card(
        form.panel(), pn.Row(add, ground), title="peaks of your own", collapsed=True, width=380
    )

"""Align and balance: the campaign's results on one clock, against a reaction."""

from __future__ import annotations

from pathlib import Path

import panel as pn

from workbench import plot
from workbench.errors import StoreError
from workbench.report import balance_rows
from workbench.store import load

from ..state import Session


def view(session: Session) -> pn.viewable.Viewable:
    """Return the page: whatever ``interphase run`` concluded in this folder."""
    cells = sorted(session.folder.rglob("cell.nc"))
    if not cells:
        return pn.pane.Markdown(
            "No campaign results in this folder; make some with `interphase run`."
        )
    choice = pn.widgets.Select(
        name="campaign", options={str(c.parent.relative_to(session.folder)): c for c in cells}
    )

    def page(path: Path) -> pn.viewable.Viewable:
        try:
            parts = [pn.pane.Matplotlib(plot.cell(load(path)), tight=True, width=900)]
            checked = path.parent / "balance.nc"
            if checked.is_file():
                result = load(checked)
                rows = [f"| {' | '.join(row)} |" for row in balance_rows(result)]
                head = "| part | chi2 | degrees | probability | verdict |"
                parts.append(pn.pane.Matplotlib(plot.balance(result), tight=True, width=900))
                parts.append(pn.pane.Markdown("\n".join([head, "|---|---|---|---|---|", *rows])))
        except StoreError as error:
            return pn.pane.Alert(str(error), alert_type="danger")
        return pn.Column(*parts)

    return pn.Column(choice, pn.panel(pn.bind(page, choice)))

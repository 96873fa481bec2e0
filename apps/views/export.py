"""Export: the page as a recipe, and result, recipe, table and report as downloads."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import panel as pn

from references.errors import InterphaseError
from workbench.report import report

from ..state import Session


def view(session: Session) -> pn.viewable.Viewable:
    """Return the page."""
    outbox = tempfile.TemporaryDirectory(prefix="interphase-")

    def shown(*_: object) -> pn.viewable.Viewable:
        try:
            text = session.recipe().to_yaml()
        except InterphaseError as error:
            return pn.pane.Markdown(f"No recipe yet: {error}")
        command = "interphase fit FILE --recipe RECIPE.yaml -o OUT.nc"
        return pn.Column(
            pn.pane.Markdown(f"This page as a recipe; run it with `{command}`:"),
            pn.widgets.CodeEditor(
                value=text, language="yaml", readonly=True, width=760, height=300,
                css_classes=["recipe"],
            ),
        )  # fmt: skip

    def file(which: int) -> io.BytesIO:
        written = session.export(Path(outbox.name))
        return io.BytesIO(written[which].read_bytes() if written else b"")

    def page() -> io.BytesIO:
        written = session.export(Path(outbox.name))
        if not written:
            return io.BytesIO()
        return io.BytesIO(report(written[0], Path(outbox.name) / "report.html").read_bytes())

    def table() -> io.BytesIO:
        if session.result is None or session.result.amounts is None:
            return io.BytesIO()
        frame = session.result.amounts[["amount", "stderr", "limit", "flag"]].to_dataframe()
        return io.BytesIO(frame.to_csv().encode())

    downloads = pn.Row(
        pn.widgets.FileDownload(
            callback=lambda: file(1), filename="recipe.yaml", css_classes=["get-recipe"]
        ),
        pn.widgets.FileDownload(
            callback=lambda: file(0), filename="result.nc", css_classes=["get-result"]
        ),
        pn.widgets.FileDownload(callback=table, filename="amounts.csv", css_classes=["get-table"]),
        pn.widgets.FileDownload(callback=page, filename="report.html", css_classes=["get-report"]),
    )
    return pn.Column(downloads, pn.panel(pn.bind(shown, session.param.draft, session.param.result)))

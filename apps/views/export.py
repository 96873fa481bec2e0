"""Export: the page as a recipe to read and to change; downloads of result, table and report."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import panel as pn

from workbench.report import report

from ..state import Session


def view(session: Session) -> pn.viewable.Viewable:
    """Return the page."""
    outbox = tempfile.TemporaryDirectory(prefix="interphase-")

    def shown(*_: object) -> pn.viewable.Viewable:
        if session.spectrum is None:
            return pn.pane.Markdown("Open a file first.")
        command = "interphase fit FILE --recipe RECIPE.yaml -o OUT.nc"
        editor = pn.widgets.CodeEditor(
            value=session.text(), language="yaml", width=760, height=300, css_classes=["recipe"]
        )
        use = pn.widgets.Button(name="Use this recipe", css_classes=["use-recipe"])
        use.on_click(lambda _: session.use(editor.value))
        return pn.Column(
            pn.pane.Markdown(f"This page as a recipe; change it here, or run it with `{command}`:"),
            editor,
            use,
        )

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

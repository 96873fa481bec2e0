"""The web app: one tab per verb over one session; served on loopback."""

from __future__ import annotations

from pathlib import Path

import panel as pn

from workbench.errors import UsageError

from .state import Session
from .views import cell, export, fit, open, propose, quantify, steps
from .views.position import Position

HOST = "127.0.0.1"
PORT = 5006


def page(folder: Path) -> pn.viewable.Viewable:
    """Return the app of one browser window on a folder of measurements."""
    session = Session(folder=folder)
    position = Position(session)

    def said(message: str, failed: bool) -> pn.viewable.Viewable:
        colour = "#B00000" if failed else "#444444"
        return pn.pane.Str(
            message or "Open a file to start.",
            styles={"color": colour, "font-size": "14px", "white-space": "normal"},
            css_classes=["message"],
            margin=(0, 10, 8, 10),
        )

    tabs = pn.Tabs(
        ("Open", open.view(session, position)),
        ("Calibrate", steps.view(session, position, "calibrate")),
        ("Correct", steps.view(session, position, "correct")),
        ("Species", propose.view(session)),
        ("Fit", fit.view(session, position)),
        ("Amounts", quantify.view(session)),
        ("Cell", cell.view(session)),
        ("Export", export.view(session)),
        dynamic=False,
    )
    return pn.Column(
        pn.pane.Markdown("# Interphase Workbench", margin=(5, 10, 0, 10)),
        pn.panel(pn.bind(said, session.param.message, session.param.failed)),
        tabs,
        sizing_mode="stretch_width",
    )


def serve(folder: Path, port: int | None = None, *, show: bool = False) -> None:
    """Serve the app until it is stopped; prints its address.

    Parameters
    ----------
    folder : Path
        Files of this folder can be opened, no others.
    port : int, optional
        Default 5006; if that is taken and none was asked for, a free one.
    show : bool
        Open a browser.

    Raises
    ------
    UsageError
        If the port that was asked for is taken.
    """
    pn.extension("tabulator", "codeeditor", notifications=False)
    chosen = _free(PORT if port is None else port)
    if port is not None and chosen != port:
        raise UsageError(f"app: port {port} is taken; name another with --port")
    print(f"serving on http://{HOST}:{chosen}/ (stop with Ctrl-C)", flush=True)
    pn.serve(
        {"/": lambda: page(folder.resolve())},
        address=HOST,
        port=chosen,
        websocket_origin=[f"{HOST}:{chosen}", f"localhost:{chosen}"],
        title="Interphase Workbench",
        show=show,
        verbose=False,
        websocket_max_message_size=768 * 1024**2,
    )


def _free(port: int) -> int:
    """Return the port, or a free one if it is taken."""
    import socket

    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])

"""Open: pick a file of the folder or drop one, choose the region, see it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import panel as pn
import xarray as xr

from spectra.convention import where
from workbench import plot
from workbench.terminal import describe

from .. import figures
from ..state import MAX_UPLOAD_BYTES, Session
from .position import Position


def view(session: Session, position: Position) -> pn.viewable.Viewable:
    """Return the page."""
    pick = pn.widgets.Select(
        name="file in this folder", options=session.files(), width=380, css_classes=["pick-file"]
    )
    go = pn.widgets.Button(name="Open", button_type="primary", css_classes=["open-file"])
    drop = pn.widgets.FileInput(name="or drop a file", multiple=False, css_classes=["drop-file"])
    region = pn.widgets.Select(name="region", options=[], width=380, css_classes=["region"])
    inbox = tempfile.TemporaryDirectory(prefix="interphase-")

    def opened(_: object) -> None:
        if pick.value:
            session.open_named(pick.value)

    def dropped(event: object) -> None:
        if drop.value:
            session.open_dropped(drop.filename, drop.value, Path(inbox.name))

    def chosen(event: object) -> None:
        if region.value and region.value != session.region:
            session.open_region(region.value)

    def listed(*_: object) -> None:
        region.param.update(options=list(session.regions), value=session.region or None)

    go.on_click(opened)
    drop.param.watch(dropped, "value")
    region.param.watch(chosen, "value")
    session.param.watch(listed, ["regions", "region"])
    listed()

    def shown(ds: xr.Dataset | None, at: dict[str, int]) -> pn.viewable.Viewable:
        if ds is None:
            return pn.pane.Markdown(
                "Pick a file, or drop one of at most "
                f"{MAX_UPLOAD_BYTES // 1024**2} MiB. A folder of TopSpin goes in as a zip."
            )
        about = describe(ds)
        lines = [f"`{where(ds)}`: {about['technique']}"]
        sizes = " x ".join(f"{name} {n}" for name, n in about["dims"].items())
        lines += [f"- {sizes}"]
        lines += [f"- {key}: {about[key]}" for key in ("range", "units") if key in about]
        if "intensity" in ds:
            state = about["calibration"] or "as the file says; not calibrated here"
            return pn.Column(
                pn.pane.Markdown("\n".join([*lines, f"- scale: {state}"])),
                pn.pane.Bokeh(figures.spectrum(ds, at)),
            )
        if ds.attrs.get("convention") == "channels-1":
            picture = pn.pane.Matplotlib(plot.channels(ds), tight=True, width=800)
            return pn.Column(pn.pane.Markdown("\n".join(lines)), picture)
        return pn.pane.Markdown("\n".join(lines))

    picture = pn.bind(shown, session.param.spectrum, position.param.at)
    return pn.Row(pn.Column(pick, go, drop, region, position.panel(), width=420), pn.panel(picture))

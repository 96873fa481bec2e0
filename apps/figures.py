"""Bokeh figures of spectra, fits and amounts for the app; flagged values look different."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from bokeh.layouts import gridplot
from bokeh.models import ColorBar, ColumnDataSource, HoverTool, LinearColorMapper, Whisker
from bokeh.plotting import figure

from spectra.convention import axis_of
from workbench.curves import curves
from workbench.plot import colours, status_of
from workbench.result import components_of

_DESCENDING = ("binding_energy", "chemical_shift")
_WIDTH, _HEIGHT = 760, 380


def _axes(axis: str, units: str, y_label: str, title: str = "", height: int = _HEIGHT) -> Any:
    fig = figure(
        width=_WIDTH,
        height=height,
        title=title,
        tools="pan,wheel_zoom,box_zoom,reset,save",
        x_axis_label=f"{axis.replace('_', ' ')} / {units}",
        y_axis_label=y_label,
    )
    fig.toolbar.logo = None
    if axis in _DESCENDING:
        fig.x_range.flipped = True
    return fig


def spectrum(ds: xr.Dataset, at: dict[str, int]) -> Any:
    """Draw one spectrum, with its static background and masked points where there are any."""
    one = ds.isel(at)
    axis = axis_of(one)
    x = one[axis].values
    units = one["intensity"].attrs["units"]
    fig = _axes(axis, one[axis].attrs["units"], f"intensity / {units}")
    y = one["intensity"].values.astype(float)
    fig.line(x, y, color="#222222", line_width=1)
    if "background" in one:
        fig.line(
            x, one["background"].values, color="#888888", line_dash="dashed", legend_label="static"
        )
    if "valid" in one:
        out = ~one["valid"].values.astype(bool)
        if out.shape == y.shape and out.any():
            fig.scatter(x[out], y[out], color="#C00000", marker="x", legend_label="masked")
    return fig


def fit(ds: xr.Dataset, result: xr.Dataset, at: dict[str, int]) -> Any:
    """Draw data, parts, model and residual of one spectrum; the status when it is not ok."""
    one, fitted = ds.isel(at), result.isel(at)
    parts = curves(one, fitted)
    axis = axis_of(one)
    x = one[axis].values
    units = one["intensity"].attrs["units"]
    status = status_of(fitted)
    title = f"reduced chi2 {float(fitted['redchi']):.2f}"
    fig = _axes(axis, one[axis].attrs["units"], f"intensity / {units}", title)
    if status != "ok":
        fig.title.text += f" - {status.replace('_', ' ')}"
        fig.title.text_color = "#C00000"
    ground = parts["background"].values
    fig.scatter(x, parts["data"].values, size=3, color="#777777", legend_label="data")
    components = components_of(fitted)
    peaks = [c.species or c.name for c in components if c.role != "background"]
    palette = colours(list(dict.fromkeys(peaks)))
    for component in components:
        if component.role == "background":
            continue
        y = parts["part"].sel(component=component.name).values
        label = component.species or component.name
        fig.varea(x, ground, ground + y, color=palette[label], alpha=0.35, legend_label=label)
    fig.line(x, ground, color="#888888", line_dash="dashed", legend_label="background")
    fig.line(x, parts["model"].values, color="black", legend_label="model")
    fig.legend.label_text_font_size = "8pt"
    fig.legend.click_policy = "hide"
    low = _axes(axis, one[axis].attrs["units"], "residual", height=150)
    low.x_range = fig.x_range
    low.line(x, parts["residual"].values, color="#444444")
    return gridplot([[fig], [low]], toolbar_location="right", merge_tools=True)


def trends(amounts: xr.Dataset, dim: str) -> Any:
    """Draw amounts with error bars along one dimension; flagged values hollow."""
    units = amounts["amount"].attrs["units"]
    label = "fraction" if units == "1" else f"amount / {units}"
    scale, unit = (3600.0, "h") if dim == "time" else (1.0, amounts[dim].attrs.get("units", "1"))
    fig = _axes(dim, unit, label)
    species = [str(s) for s in amounts["species"].values]
    names = str(amounts["flag"].attrs["flag_meanings"]).split()
    for name, colour in colours(species).items():
        one = amounts.sel(species=name)
        y, e, flag = (one[v].values for v in ("amount", "stderr", "flag"))
        source = ColumnDataSource(
            {
                "x": one[dim].values.astype(float) / scale,
                "y": y,
                "low": y - e,
                "high": y + e,
                "e": e,
                "flag": [names[int(f)] for f in flag],
                "fill": [0.0 if f >= 2 else 1.0 for f in flag],
                "species": [name] * len(y),
            }
        )
        whisker = Whisker(base="x", lower="low", upper="high", source=source, line_color=colour)
        whisker.upper_head = whisker.lower_head = None
        fig.add_layout(whisker)
        fig.scatter(
            "x", "y", source=source, size=6, color=colour, fill_alpha="fill", legend_label=name
        )
    fig.add_tools(HoverTool(tooltips=[("", "@species"), ("amount", "@y ± @e"), ("flag", "@flag")]))
    fig.add_layout(fig.legend[0], "right")
    fig.legend.label_text_font_size = "8pt"
    fig.legend.click_policy = "hide"
    return fig


def maps(amounts: xr.Dataset, dims: tuple[str, str]) -> Any:
    """Draw one map per species; flagged pixels carry a cross."""
    units = amounts["amount"].attrs["units"]
    pictures = []
    for name in amounts["species"].values:
        one = amounts[["amount", "flag"]].sel(species=name).transpose(*dims)
        y, x = (one[d].values.astype(float) for d in dims)
        image = one["amount"].values
        step = [float(np.median(np.diff(v))) if v.size > 1 else 1.0 for v in (x, y)]
        good = image[np.isfinite(image)]
        low, high = np.percentile(good, [1, 99]) if good.size else (0.0, 1.0)
        mapper = LinearColorMapper("Viridis256", low=low, high=high, nan_color="#DDDDDD")
        fig = figure(
            width=330,
            height=300,
            title=f"{name} / {units}" if units != "1" else f"{name} fraction",
            tools="pan,wheel_zoom,reset,save",
            x_axis_label=f"{dims[1]} / {one[dims[1]].attrs.get('units', '1')}",
            y_axis_label=f"{dims[0]} / {one[dims[0]].attrs.get('units', '1')}",
        )
        fig.toolbar.logo = None
        fig.image(
            image=[image],
            x=x[0] - step[0] / 2,
            y=y[0] - step[1] / 2,
            dw=step[0] * x.size,
            dh=step[1] * y.size,
            color_mapper=mapper,
        )
        fig.add_layout(ColorBar(color_mapper=mapper, width=8), "right")
        rows, columns = np.nonzero(one["flag"].values >= 2)
        if rows.size:
            fig.scatter(x[columns], y[rows], marker="x", color="white", size=4)
        pictures.append(fig)
    return gridplot(pictures, ncols=3, toolbar_location=None)

"""A self-contained HTML report of one fit or of a campaign's results: no script, nothing loaded."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .errors import StoreError
from .store import load, write_text
from .why import explain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:;
 style-src 'unsafe-inline'">
<title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; margin: .6rem 0; }
th, td { padding: .15rem .7rem .15rem 0; text-align: left; border-bottom: 1px solid #ddd; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.flagged { color: #b00000; } img { max-width: 100%; }
pre { background: #f5f5f5; padding: .7rem; overflow-x: auto; font-size: 12px; }
</style></head><body>
<h1>{{ title }}</h1>
{% for section in sections %}
<h2>{{ section.title }}</h2>
{% for line in section.lines %}<p{% if section.flagged %} class="flagged"{% endif %}>{{ line }}</p>
{% endfor %}
{% for image in section.images %}<p><img alt="{{ section.title }}"
 src="data:image/png;base64,{{ image }}"></p>
{% endfor %}
{% if section.rows %}<table><tr>{% for c in section.head %}<th>{{ c }}</th>{% endfor %}</tr>
{% for row in section.rows %}<tr>{% for c in row %}<td>{{ c }}</td>{% endfor %}</tr>
{% endfor %}</table>{% endif %}
{% if section.text %}<details><summary>Inputs, recipe, versions</summary>
<pre>{{ section.text }}</pre></details>{% endif %}
{% endfor %}
</body></html>
"""


@dataclass
class Section:
    """One part of the page."""

    title: str
    lines: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    text: str = ""
    flagged: bool = False


def report(result: str | PathLike[str], path: str | PathLike[str]) -> Path:
    """Write a report of a fit file or of a folder of results.

    Parameters
    ----------
    result : path-like
        ``OUT.nc`` of ``interphase fit``, or the folder of ``interphase run``.
    path : path-like
        The HTML file; written whole or not at all.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    StoreError
        If there is no result to report.
    """
    source = Path(result)
    if source.is_dir():
        sections = _campaign(source)
        title = _campaign_title(source)
    else:
        sections = _one(source)
        title = source.stem
    return write_text(_render(title, sections), Path(path))


def _render(title: str, sections: list[Section]) -> str:
    import jinja2

    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return page.from_string(_PAGE).render(title=title, sections=sections)


def _campaign_title(folder: Path) -> str:
    summary = folder / "summary.json"
    if summary.is_file():
        return str(json.loads(summary.read_text(encoding="utf-8")).get("campaign", folder.name))
    return folder.name


def _campaign(folder: Path) -> list[Section]:
    files = sorted(p for p in folder.glob("*.nc") if p.stem not in ("cell", "balance"))
    fits = [p for p in files if _is_fit(p)]
    if not fits:
        raise StoreError(f"{folder.name}: no fits in it; make some with 'interphase run'")
    sections = []
    if (folder / "cell.nc").is_file():
        from . import plot

        cell = load(folder / "cell.nc")
        sections.append(Section("All techniques on one clock", images=[_png(plot.cell(cell))]))
    if (folder / "balance.nc").is_file():
        sections.append(_balance(load(folder / "balance.nc")))
    for path in fits:
        sections.extend(_one(path))
    return sections


def _is_fit(path: Path) -> bool:
    try:
        return load(path).attrs["convention"] in ("fit-1", "depth-1")
    except StoreError:
        return False


def _balance(result: xr.Dataset) -> Section:
    from . import plot

    return Section(
        "Balance",
        lines=[str(result.attrs["reaction"])],
        images=[_png(plot.balance(result))],
        head=["part", "chi2", "degrees of freedom", "probability", "verdict"],
        rows=balance_rows(result),
    )


def balance_rows(result: xr.Dataset) -> list[list[str]]:
    """Return the balance check as rows of text: part, chi2, degrees, probability, verdict."""
    names = str(result["verdict"].attrs["flag_meanings"]).split()
    return [
        [
            str(part),
            f"{float(result['chi2'].sel(part=part)):.1f}",
            f"{int(result['degrees'].sel(part=part))}",
            f"{float(result['probability'].sel(part=part)):.3g}",
            names[int(result["verdict"].sel(part=part))].replace("_", " "),
        ]
        for part in result["part"].values
    ]


def _one(path: Path) -> list[Section]:
    from . import plot

    fit = load(path)
    if fit.attrs["convention"] == "depth-1":
        return [_depth(path, fit)]
    if fit.attrs["convention"] != "fit-1":
        raise StoreError(
            f"{path.name}: holds {fit.attrs['convention']}; report takes a fit or a depth profile"
        )
    section = Section(path.stem, text=_provenance(path))
    flagged, total = _count(fit)
    section.lines.append(
        f"{fit.attrs['technique'].upper()}, {total} spectra, {flagged} flagged; "
        f"engine {fit.attrs['engine']}, statistic {fit.attrs['statistic']}."
    )
    try:
        amounts = load(path, "amounts")
    except StoreError:
        amounts = None
    data = load(path, "data")
    if amounts is not None:
        truth = data.get("truth")
        section.images.append(_png(plot.amounts(amounts, truth)))
        section.lines.append(str(amounts.attrs.get("note", "")))
        section.head = ["species", "mean amount", "median 1 sigma", "detection limit", "flagged"]
        section.rows = amount_rows(amounts)
    elif fit["status"].ndim == 0:
        section.head = ["parameter", "value", "1 sigma", "flag"]
        section.rows = param_rows(fit)
    section.images.extend(_png(plot.fit(data, fit, **at)) for at in _examples(fit))
    sections = [section]
    if flagged:
        sections.append(
            Section(f"{path.stem}: flagged spectra", lines=_flagged_lines(fit), flagged=True)
        )
    return sections


def _depth(path: Path, found: xr.Dataset) -> Section:
    """Lithium against depth: profile or series, kernels, totals."""
    from .plot import depth

    section = Section(path.stem, text=_provenance(path))
    outer = [str(d) for d in found["total"].dims]
    poor = int(np.sum(found["status"].values == 2))
    section.lines = [
        f"{found.attrs['technique'].upper()}, {found['total'].size} spectra, {poor} that the "
        f"profile does not describe; method {found.attrs['method']}.",
        str(found.attrs["note"]),
    ]
    at = {d: float(found[d].values[found.sizes[d] // 2]) for d in outer}
    section.images.append(_png(depth.profile(found, at=at)))
    if len(outer) == 1:
        section.images.append(_png(depth.series(found)))
    if "kernel" in found:
        section.images.append(_png(depth.kernels(found, at=at)))
    section.head = ["lithium", "least", "largest", "median 1 sigma"]
    section.rows = depth_rows(found)
    return section


def depth_rows(found: xr.Dataset) -> list[list[str]]:
    """Return the lithium of a depth profile as rows: unit, least, largest, 1 sigma."""
    rows = []
    share = found["total_stderr"] / found["total"].where(found["total"] > 0)
    for name in ("total", "total_ug", "total_mAh"):
        one = found[name]
        rows.append(
            [
                str(one.attrs["units"]),
                f"{float(one.min()):.4g}",
                f"{float(one.max()):.4g}",
                f"{float((share * one).median()):.2g}",
            ]
        )
    return rows


def _provenance(path: Path) -> str:
    import yaml

    text = yaml.safe_dump(explain(path), sort_keys=False, allow_unicode=True, width=100)
    return text if len(text) < 60_000 else text[:60_000] + "\n..."


def _count(fit: xr.Dataset) -> tuple[int, int]:
    from .run import count_flagged

    return count_flagged(fit), int(fit["status"].size)


def _examples(fit: xr.Dataset) -> list[dict[str, float]]:
    """Choose the middle spectrum and the one of largest reduced chi-square."""
    dims = [str(d) for d in fit["status"].dims]
    if not dims:
        return [{}]
    shape = fit["status"].shape
    redchi = np.nan_to_num(fit["redchi"].values, nan=-1.0)
    worst = np.unravel_index(int(redchi.argmax()), shape)
    picks = [[n // 2 for n in shape], [int(i) for i in worst]]
    return [
        {d: float(fit[d].values[i]) for d, i in zip(dims, pick, strict=True)}
        for pick in dict.fromkeys(tuple(p) for p in picks)
    ]


def amount_rows(amounts: xr.Dataset) -> list[list[str]]:
    """Return amounts as rows of text: species, mean, 1 sigma, detection limit, flagged."""
    units = amounts["amount"].attrs["units"]
    unit = "" if units == "1" else f" {units}"
    rows = []
    for name in amounts["species"].values:
        one = amounts.sel(species=name)
        flags = one["flag"].values
        rows.append(
            [
                str(name),
                f"{float(np.nanmean(one['amount'])):.4g}{unit}",
                f"{float(np.nanmedian(one['stderr'])):.2g}{unit}",
                f"{float(np.nanmedian(one['limit'])):.2g}{unit}",
                f"{int(np.sum(flags != 0))} of {flags.size}",
            ]
        )
    return rows


def param_rows(fit: xr.Dataset) -> list[list[str]]:
    """Return the parameters of one spectrum as rows of text: name, value, 1 sigma, flag."""
    names = str(fit["flag"].attrs["flag_meanings"]).split()
    return [
        [str(p), f"{float(v):.6g}", f"{float(e):.2g}", names[int(f)]]
        for p, v, e, f in zip(
            fit["param"].values,
            fit["value"].values,
            fit["stderr"].values,
            fit["flag"].values,
            strict=True,
        )
    ]


def _flagged_lines(fit: xr.Dataset, most: int = 20) -> list[str]:
    names = str(fit["status"].attrs["flag_meanings"]).split()
    status = np.atleast_1d(fit["status"].values)
    bad = np.argwhere(status != names.index("ok"))
    dims = [str(d) for d in fit["status"].dims]
    lines = [
        ", ".join(f"{d} = {float(fit[d].values[i]):g}" for d, i in zip(dims, at, strict=False))
        + f": {names[int(status[tuple(at)])]}"
        for at in bad[:most]
    ]
    return lines + ([f"and {len(bad) - most} more"] if len(bad) > most else [])


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata=_no_date())
    return base64.b64encode(buffer.getvalue()).decode()


def _no_date() -> dict[str, Any]:
    """Keep the machine's software string out of pictures: the same input gives the same bytes."""
    return {"Software": None}

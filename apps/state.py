"""A session of the app as plain state: what is open, the recipe so far, its results. No Panel here.

Every action edits the recipe and computes with `workbench`; so the page can always print itself as
a recipe that the command line runs to the same numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import param
import xarray as xr

import references
import workbench as wb
from references.errors import InterphaseError
from spectra import formats, techniques
from spectra.component import Component, Components, validated
from spectra.convention import axis_of
from workbench import yaml_text
from workbench.errors import RecipeError
from workbench.identify import Identification
from workbench.recipe import (
    Change,
    Recipe,
    edited,
    plain,
    preparation_from,
    recipe_from,
)
from workbench.run import Result, count_flagged, prepare, proposed, run_recipe, save_result
from workbench.verbs import select

from .own import Own, peak, straight

MAX_UPLOAD_BYTES = 512 * 1024**2
MOST_FILES = 2000
_NOT_MEASURED = (".yaml", ".png")
_SAFE_NAME = re.compile(r"[^A-Za-z0-9._ ()+-]")


class Session(param.Parameterized):
    """What one browser window works on.

    The parameters are watched by the views; the methods are what a user does.
    """

    folder = param.ClassSelector(class_=Path, doc="where files are picked from")
    path = param.ClassSelector(class_=Path, default=None, allow_None=True)
    region = param.String(default="")
    regions = param.List(default=[])
    spectrum = param.ClassSelector(class_=xr.Dataset, default=None, allow_None=True)
    whole = param.ClassSelector(
        class_=xr.Dataset, default=None, allow_None=True, doc="calibrated and corrected"
    )
    prepared = param.ClassSelector(
        class_=xr.Dataset, default=None, allow_None=True, doc="the range of it that is fitted"
    )
    draft = param.Dict(default={}, doc="the recipe so far, as plain data")
    components = param.ClassSelector(class_=Components, default=None, allow_None=True)
    result = param.ClassSelector(class_=Result, default=None, allow_None=True)
    message = param.String(default="", doc="last error or remark, one line")
    failed = param.Boolean(default=False)

    def files(self) -> list[str]:
        """Return what can be picked: files of the folder and its sub-folders, sorted.

        A sub-folder that is itself a measurement (an NMR experiment, a numbered or operando
        series) stands before its files; what else is in it and has no ending is a part of it and
        left out.
        """
        found: list[str] = []
        measured: set[Path] = set()
        for path in sorted(self.folder.rglob("*")):
            inside = path.relative_to(self.folder)
            if any(part.startswith(".") for part in inside.parts):
                continue
            within = not measured.isdisjoint(path.parents)
            if path.is_dir():
                nested = within and path.parent not in measured
                if not nested and any(f.sniff(b"", path) for f in formats.formats().values()):
                    measured.add(path)
                    found.append(inside.as_posix() + "/")
            elif path.suffix == ".json":
                if _claimed(path):
                    found.append(inside.as_posix())
            elif path.suffix not in _NOT_MEASURED and (path.suffix or not within):
                found.append(inside.as_posix())
            if len(found) >= MOST_FILES:
                break
        return found

    def open_named(self, name: str) -> None:
        """Open a file of the folder; a name that leads out of it is refused."""
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            self._say(f"{name}: outside the folder of this app", failed=True)
            return
        self._open(path)

    def open_dropped(self, name: str, content: bytes, into: Path) -> None:
        """Keep a dropped file under its bare name and open it.

        Parameters
        ----------
        name : str
            As the browser says; folders in it are dropped.
        content : bytes
            At most `MAX_UPLOAD_BYTES`.
        into : Path
            A folder of this session's own.
        """
        if len(content) > MAX_UPLOAD_BYTES:
            self._say(f"{name}: larger than {MAX_UPLOAD_BYTES // 1024**2} MiB", failed=True)
            return
        bare = _SAFE_NAME.sub("_", Path(name.replace("\\", "/")).name).lstrip(".") or "dropped"
        path = into / bare
        path.write_bytes(content)
        self._open(path)

    def _open(self, path: Path) -> None:
        with self._guarded():
            names = list(formats.read(path))
            self._show(path, names, names[0])

    def open_region(self, region: str) -> None:
        """Show one region of the open file and start its recipe anew."""
        with self._guarded():
            self._show(self.path, list(self.regions), region)

    def _show(self, path: Path, regions: list[str], region: str) -> None:
        """Change file, region and everything that follows from them at once."""
        ds = wb.open(path, region=region)
        opening = {"region": region} if len(regions) > 1 else {}
        draft = {"technique": ds.attrs["technique"], "open": opening}
        with param.parameterized.batch_call_watchers(self):
            self.param.update(
                path=path,
                regions=regions,
                region=region,
                spectrum=ds,
                whole=ds,
                prepared=ds,
                draft=draft,
                components=None,
                result=None,
            )
            self._say(f"opened {path.name}")

    @property
    def technique(self) -> techniques.base.Technique | None:
        """Handler of the open spectrum's technique."""
        return None if self.spectrum is None else techniques.get(self.spectrum.attrs["technique"])

    def set_steps(self, verb: str, steps: Sequence[Mapping[str, Any]]) -> None:
        """Set the calibrations or corrections of the recipe and recompute the spectrum."""
        self._redo({**self.draft, verb: [dict(s) for s in steps]})

    def set_range(self, limits: tuple[float, float] | None) -> None:
        """Set the fitted range of the spectral axis, as calibrated; None takes all."""
        draft = {k: v for k, v in self.draft.items() if k != "select"}
        if limits is not None:
            draft["select"] = {axis_of(self.whole): list(limits)}
        self._redo(draft)

    def use(self, text: str) -> None:
        """Take over a recipe in YAML, as written by hand or exported before."""
        with self._guarded():
            if self.spectrum is None:
                raise RecipeError("open a file first: a recipe is for one technique")
            recipe = recipe_from(yaml_text.parse(text))
            if recipe.technique != self.draft["technique"]:
                raise RecipeError(
                    f"the recipe is for {recipe.technique}, the open file holds "
                    f"{self.draft['technique']}"
                )
            told = recipe.open.region
            if told and told != self.region:
                self._show(self.path, list(self.regions), told)
            self._apply({**plain(recipe), "open": self.draft["open"]})
            self._say("recipe taken over: fit now")

    def text(self) -> str:
        """Return the recipe so far in YAML, also where it says nothing yet of what is fitted."""
        return yaml_text.dump(plain(preparation_from(self.draft)))

    def _redo(self, draft: dict[str, Any]) -> None:
        with self._guarded():
            self._apply(draft)
            self._say("done")

    def _apply(self, draft: dict[str, Any]) -> None:
        ranges = draft.get("select", {})
        rest = {k: v for k, v in draft.items() if k != "select"}
        whole = prepare(self.path, preparation_from(rest))
        ds = select(whole, ranges) if ranges else whole
        self.param.update(draft=draft, whole=whole, prepared=ds, components=None, result=None)
        if draft.get("propose") or draft.get("components"):
            self._propose(draft)

    def candidates(self) -> list[str]:
        """Return ids of the library's species with lines for the open technique and nucleus."""
        if self.technique is None:
            return []
        library = references.load()
        name = self.technique.name
        lines = library.lines(name)
        nucleus = self.spectrum.attrs.get("nucleus")
        lines = tuple(x for x in lines if x.transition == nucleus) or lines
        return sorted({x.species for x in lines}) or list(library.species)

    def propose(self, species: Sequence[str], settings: Mapping[str, Any]) -> None:
        """Propose components for species."""
        if not species:
            self._say("choose species first", failed=True)
            return
        proposal = {"species": list(species), "settings": dict(settings)}
        draft = {k: v for k, v in self.draft.items() if k not in ("change", "drop")}
        with self._guarded():
            self._propose({**draft, "propose": proposal})
            self._say(f"{len(self.components)} components proposed")

    def suggest(
        self, elements: str, precursors: str = "", settings: Mapping[str, Any] | None = None
    ) -> Identification | None:
        """Rank the species that the spectrum shows; None where that fails.

        Parameters
        ----------
        elements : str
            In the sample, ``"Li P S Cl"``; empty: any.
        precursors : str
            Ids of what was put in, with commas between; their products are expected.
        settings : mapping, optional
            Of the model, where they are not its defaults.
        """
        known = [name.strip() for name in precursors.split(",") if name.strip()]
        with self._guarded():
            found = wb.identify(
                self.prepared,
                elements=elements or None,
                precursors=known,
                settings={str(self.prepared.attrs["technique"]): settings or {}},
            )
            left = " Something stays unexplained." if found.flagged else ""
            self._say(f"{', '.join(found.species) or 'nothing'} found.{left}")
            return found
        return None

    def _propose(self, draft: dict[str, Any]) -> None:
        recipe = recipe_from(draft)
        components = edited(proposed(self.prepared, recipe), recipe)
        self.param.update(draft=draft, components=components, result=None)

    def add_peak(self, told: Mapping[str, Any]) -> None:
        """Add a peak of the user's own (`own.Own`); one of that name is replaced."""
        with self._guarded():
            self._add(peak(self.prepared, validated(Own, told, where="peak of your own")))

    def add_straight(self) -> None:
        """Add a straight background that is fitted with the peaks."""
        with self._guarded():
            self._add(straight(self.prepared))

    def _add(self, component: Component) -> None:
        told = self.draft.get("components", {})
        item = component.model_dump(exclude_defaults=True)
        items = [*(i for i in told.get("items", []) if i["name"] != component.name), item]
        self._propose({**self.draft, "components": {**told, "items": items}})
        self._say(f"{component.name} added")

    def drop(self, name: str) -> None:
        """Leave out a component: one of the user's own, or a proposed one."""
        told = self.draft.get("components", {})
        own = told.get("items", [])
        kept = [i for i in own if i["name"] != name]
        changes = self.draft.get("change", {})
        draft = {
            **self.draft,
            "change": {k: v for k, v in changes.items() if k.rpartition(".")[0] != name},
            "components": {**told, "items": kept},
        }
        if len(kept) == len(own):
            draft["drop"] = [*self.draft.get("drop", []), name]
        if not kept and not told.get("stored"):
            del draft["components"]
        with self._guarded():
            self._propose(draft)
            self._say(f"{name} left out")

    def change(self, name: str, change: Change) -> None:
        """Change one parameter of the proposed components."""
        changes = {**self.draft.get("change", {}), name: change.model_dump(exclude_unset=True)}
        with self._guarded():
            self._propose({**self.draft, "change": changes})
            self._say(f"{name} changed")

    def fit(self) -> None:
        """Run the recipe on the open file."""
        with self._guarded():
            result = run_recipe(self.path, self.recipe())
            self.result = result
            flagged = count_flagged(result.fit)
            self._say(f"{result.fit['status'].size} spectra fitted, {flagged} flagged")

    def recipe(self) -> Recipe:
        """Return the recipe of the page."""
        return recipe_from(self.draft)

    def export(self, folder: Path) -> list[Path]:
        """Write result and recipe of the page; return the files."""
        if self.result is None or self.path is None:
            self._say("nothing fitted yet: fit first", failed=True)
            return []
        stem = self.path.stem + (f"_{self.region}" if len(self.regions) > 1 else "")
        stem = _SAFE_NAME.sub("_", stem).replace(" ", "_")
        recipe = folder / f"{stem}.recipe.yaml"
        self.recipe().to_yaml(recipe)
        saved = save_result(self.result, folder / f"{stem}.fit.nc")
        self._say(f"exported {saved.name} and {recipe.name}")
        return [saved, recipe]

    def _say(self, text: str, *, failed: bool = False) -> None:
        self.param.update(message=text, failed=failed)

    def _guarded(self) -> _Guard:
        return _Guard(self)


def _claimed(path: Path) -> bool:
    """Whether a format knows the file: most JSON files are summaries, some are spectra."""
    try:
        formats.identify(path)
    except InterphaseError:
        return False
    return True


class _Guard:
    """Turns an error for people into the session's message; other errors go on."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, InterphaseError):
            self.session._say(str(error), failed=True)
            return True
        return False

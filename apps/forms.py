"""Widgets for a pydantic settings model, and their values back as plain data."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal

import panel as pn
from pydantic import BaseModel
from pydantic_core import PydanticUndefined


class Form:
    """One widget per field of a settings model.

    Parameters
    ----------
    model : type of BaseModel
        Its field descriptions become the tooltips.
    prefix : str
        Before the names of the widgets, to keep them apart on one page.
    """

    def __init__(self, model: type[BaseModel], prefix: str = "") -> None:
        self.model = model
        self.widgets: dict[str, pn.widgets.Widget] = {
            name: _widget(name, field, prefix) for name, field in model.model_fields.items()
        }

    def panel(self) -> pn.Column:
        """Return the widgets in a column."""
        return pn.Column(*self.widgets.values(), margin=0)

    def values(self) -> dict[str, Any]:
        """Return what differs from the defaults, as plain data; the model checks it later."""
        given = {}
        for name, field in self.model.model_fields.items():
            value = _plain(self.widgets[name].value, field.annotation)
            default = None if field.default is PydanticUndefined else field.default
            if value is not None and value != default and value != "":
                given[name] = value
        return given


def _widget(name: str, field: Any, prefix: str) -> pn.widgets.Widget:
    label = name.replace("_", " ")
    kind, choices = _kind(field.annotation)
    default = None if field.default is PydanticUndefined else field.default
    common = {"name": label, "width": 280}
    if prefix:
        common["css_classes"] = [f"{prefix}-{name}"]
    if field.description:
        common["description"] = field.description
    if kind == "choice":
        options = choices if default in choices else [*choices]
        return pn.widgets.Select(options=options, value=default or choices[0], **common)
    if kind is bool:
        common.pop("description", None)
        return pn.widgets.Checkbox(value=bool(default), **common)
    if kind is int:
        return pn.widgets.IntInput(value=default, **common)
    if kind is float:
        return pn.widgets.FloatInput(value=default, **common)
    shown = "" if default is None else _text(default)
    return pn.widgets.TextInput(value=shown, **common)


def _kind(annotation: Any) -> tuple[Any, list[Any]]:
    """Return the kind of a field: bool, int, float, "choice" (with choices) or text."""
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return "choice", list(typing.get_args(annotation))
    if origin in (typing.Union, types.UnionType):
        inner = [a for a in typing.get_args(annotation) if a is not type(None)]
        if len(inner) == 1:
            kind, choices = _kind(inner[0])
            return kind, ([None, *choices] if kind == "choice" else choices)
        return str, []
    if annotation in (bool, int, float):
        return annotation, []
    return str, []


def _text(value: Any) -> str:
    """Write a default so that `_plain` reads it back."""
    if isinstance(value, str):
        return value
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    import yaml

    if isinstance(value, (tuple, list)):
        value = [v.model_dump(mode="json") if isinstance(v, BaseModel) else v for v in value]
    return str(yaml.safe_dump(value, default_flow_style=True, width=1000)).strip()


def _plain(value: Any, annotation: Any) -> Any:
    """Read a widget's value as plain data: texts of structured fields are YAML (safe)."""
    kind, _ = _kind(annotation)
    if not isinstance(value, str) or kind == "choice":
        return value
    inner = [a for a in typing.get_args(annotation) if a is not type(None)] or [annotation]
    if inner == [str] or annotation is str:
        return value or None
    import yaml

    try:
        return yaml.safe_load(value) if value.strip() else None
    except yaml.YAMLError:
        return value

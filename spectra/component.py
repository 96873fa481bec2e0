"""What is fitted: components with parameters in lmfit's grammar (value, bounds, fixed, expression).

Plain frozen data. ``set`` and ``tie`` return a new list; nothing is ever changed in place.
A parameter is addressed as ``"<component>.<parameter>"`` (``"Li2S.center"``); a common parameter,
such as a charging shift used in several expressions, by its bare name (``"shift"``).
"""

from __future__ import annotations

import ast
import keyword
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from references.errors import nearest

from .errors import ModelError

Role = Literal["peak", "background", "template"]


class _Unset:
    def __repr__(self) -> str:
        return "unchanged"


UNSET = _Unset()


class Frozen(BaseModel):
    """Base of the value objects: immutable, unknown keys refused, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Param(Frozen):
    """One parameter in lmfit's grammar.

    Parameters
    ----------
    value : float
        Start value (or the fixed one).
    min, max : float, optional
        Bounds; absent means unbounded.
    vary : bool
        False holds the value.
    expr : str, optional
        Arithmetic in other parameters (``"0.5 * Li2S.area"``); the parameter is then not free.
    """

    value: float = 0.0
    min: float | None = None
    max: float | None = None
    vary: bool = True
    expr: str | None = None

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Param:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        if self.expr is not None:
            names_in(self.expr)
        return self

    @property
    def free(self) -> bool:
        """Whether the fit moves this parameter."""
        return self.vary and self.expr is None

    @property
    def lower(self) -> float:
        """Lower bound, -inf where there is none."""
        return -math.inf if self.min is None else self.min

    @property
    def upper(self) -> float:
        """Upper bound, +inf where there is none."""
        return math.inf if self.max is None else self.max


class SubLine(Frozen):
    """One line of a component that has several, tied to the component's own parameters.

    Parameters
    ----------
    position : float
        Added to ``center`` (``line_scale="offset"``) or multiplied with it (``"ratio"``).
    weight : float
        Share of the component's ``area``; the weights of a component sum to 1.
    width : float
        Factor on the component's ``fwhm``.
    """

    position: float
    weight: float = Field(ge=0.0)
    width: float = Field(default=1.0, gt=0.0)


class Doublet(Frozen):
    """A spin-orbit doublet in a recipe: short for its two `SubLine` (see `doublet`)."""

    splitting: float
    ratio: float = Field(gt=0.0)
    width: float = Field(default=1.0, gt=0.0)


class Curve(Frozen):
    """A tabulated curve of unit meaning: ``area`` times ``y(x - shift)``; zero outside ``x``.

    ``x`` ascends, in the units of the spectral axis; ``y`` is per axis unit (densities) or per
    channel, as the technique that made it says.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]

    @model_validator(mode="after")
    def _matched(self) -> Curve:
        if len(self.x) != len(self.y) or len(self.x) < 2:
            raise ValueError("curve needs x and y of one length, two points or more")
        if any(b <= a for a, b in zip(self.x, self.x[1:], strict=False)):
            raise ValueError("curve x must ascend strictly")
        return self


class Component(Frozen):
    """One term of the model.

    Parameters
    ----------
    name : str
        A Python identifier, unique in the list; by custom the species id, or
        ``<species>_<label>`` for its further lines.
    species : str, optional
        Id in the reference library; absent for backgrounds and a user's own lines.
    shape : str
        Name in ``spectra.shapes.SHAPES``.
    role : {"peak", "background", "template"}
        What it stands for in quantification and pictures.
    params : dict of str to Param
        The shape's parameters; those left out take the shape's defaults (fixed).
    lines : tuple of SubLine
        Empty: one line at ``center``. A spin-orbit doublet, a band list, a powder pattern: the
        lines tied to ``center``, ``area`` and ``fwhm`` of this one component. A recipe may say
        ``doublet: {splitting: 1.18, ratio: 0.5}`` instead.
    line_scale : {"offset", "ratio"}
        How ``SubLine.position`` acts on ``center``.
    curve : Curve, optional
        For ``shape="template"``.
    """

    name: str
    species: str | None = None
    shape: str = "pseudo_voigt"
    role: Role = "peak"
    params: dict[str, Param]
    lines: tuple[SubLine, ...] = ()
    line_scale: Literal["offset", "ratio"] = "offset"
    curve: Curve | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_numbers_are_values(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("params"), Mapping):
            params = {
                key: {"value": float(p)} if isinstance(p, (int, float)) else p
                for key, p in data["params"].items()
            }
            data = {**data, "params": params}
        return data

    @model_validator(mode="before")
    @classmethod
    def _a_doublet_is_two_lines(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "doublet" not in data:
            return data
        if data.get("lines"):
            raise ValueError(f"component {data.get('name')!r}: give 'doublet' or 'lines', not both")
        two = Doublet.model_validate(data["doublet"])
        rest = {key: value for key, value in data.items() if key != "doublet"}
        return {**rest, "lines": doublet(two.splitting, two.ratio, two.width)}

    @model_validator(mode="after")
    def _consistent(self) -> Component:
        from .shapes import SHAPES

        if not self.name.isidentifier() or keyword.iskeyword(self.name):
            raise ValueError(f"component name {self.name!r} is not an identifier")
        if self.shape not in SHAPES:
            raise ValueError(
                f"component {self.name!r}: shape {self.shape!r}: {nearest(self.shape, SHAPES)}"
            )
        shape = SHAPES[self.shape]
        for key in self.params:
            if key not in shape.params:
                raise ValueError(
                    f"component {self.name!r}: {self.shape} has no parameter {key!r}: "
                    + nearest(key, shape.params)
                )
        missing = [key for key in shape.params if key not in self.params]
        for key in missing:
            if key not in shape.defaults:
                raise ValueError(f"component {self.name!r}: {self.shape} needs {key!r}")
        ordered = {
            key: self.params.get(key, Param(value=shape.defaults.get(key, 0.0), vary=False))
            for key in shape.params
        }
        self.params.clear()
        self.params.update(ordered)
        if self.lines:
            if not {"area", "center"} <= set(shape.params):
                raise ValueError(f"component {self.name!r}: {self.shape} cannot have lines")
            total = sum(line.weight for line in self.lines)
            if not math.isclose(total, 1.0, rel_tol=1e-9):
                raise ValueError(f"component {self.name!r}: line weights sum to {total:g}, not 1")
        if (self.curve is not None) != (self.shape == "template"):
            raise ValueError(f"component {self.name!r}: a curve goes with shape 'template'")
        return self


def doublet(splitting: float, ratio: float, width: float = 1.0) -> tuple[SubLine, ...]:
    """Lines of a spin-orbit doublet; ``center`` is the first, ``area`` the sum of both.

    Parameters
    ----------
    splitting : float
        Distance of the second line from the first, in axis units, signed.
    ratio : float
        Area of the second line over the first (1/2 for p, 2/3 for d, 3/4 for f).
    width : float
        Width of the second line over the first (Coster-Kronig broadening).

    Returns
    -------
    tuple of SubLine
    """
    return (
        SubLine(position=0.0, weight=1.0 / (1.0 + ratio)),
        SubLine(position=splitting, weight=ratio / (1.0 + ratio), width=width),
    )


class Components(Frozen):
    """An ordered, immutable list of components plus common parameters.

    ``Components([Component(...), ...], common={"shift": Param(...)})``
    """

    items: tuple[Component, ...] = ()
    common: dict[str, Param] = Field(default_factory=dict)

    def __init__(
        self, items: Iterable[Component] = (), common: Mapping[str, Param] | None = None
    ) -> None:
        super().__init__(**{"items": tuple(items), "common": dict(common or {})})

    @model_validator(mode="after")
    def _consistent(self) -> Components:
        seen: set[str] = set()
        for name in [*self.common, *(c.name for c in self.items)]:
            if name in seen:
                raise ValueError(f"two components or common parameters are named {name!r}")
            seen.add(name)
        flat = self.params
        for name, param in flat.items():
            if param.expr is not None:
                for used in names_in(param.expr):
                    if used not in flat:
                        raise ValueError(
                            f"{name}: expression {param.expr!r} uses {used!r}: "
                            + nearest(used, flat)
                        )
        _refuse_cycles(flat)
        return self

    def __iter__(self) -> Iterator[Component]:  # type: ignore[override]
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, name: str) -> Component:
        for component in self.items:
            if component.name == name:
                return component
        raise ModelError(f"no component {name!r}: {nearest(name, [c.name for c in self.items])}")

    def __add__(self, other: Components) -> Components:
        return Components((*self.items, *other.items), {**self.common, **other.common})

    @property
    def params(self) -> dict[str, Param]:
        """All parameters by flat name, common ones first, in a stable order."""
        flat = dict(self.common)
        for component in self.items:
            for key, param in component.params.items():
                flat[f"{component.name}.{key}"] = param
        return flat

    @property
    def species(self) -> tuple[str, ...]:
        """Species ids in order of first appearance."""
        return tuple(dict.fromkeys(c.species for c in self.items if c.species is not None))

    def set(
        self,
        name: str,
        *,
        value: float | _Unset = UNSET,
        min: float | _Unset | None = UNSET,
        max: float | _Unset | None = UNSET,
        vary: bool | _Unset = UNSET,
        expr: str | _Unset | None = UNSET,
    ) -> Components:
        """Return a copy with one parameter changed; what is not given stays.

        Parameters
        ----------
        name : str
            ``"component.parameter"`` or a common parameter.
        value, min, max, vary, expr
            As in `Param`; ``None`` clears a bound or an expression.

        Raises
        ------
        ModelError
            If the parameter does not exist or the change is inconsistent.
        """
        given = {"value": value, "min": min, "max": max, "vary": vary, "expr": expr}
        update = {key: v for key, v in given.items() if not isinstance(v, _Unset)}
        flat = self.params
        if name not in flat:
            raise ModelError(f"no parameter {name!r}: {nearest(name, flat)}")
        changed = validated(Param, {**flat[name].model_dump(), **update}, where=name)
        if name in self.common:
            return validated_components(self.items, {**self.common, name: changed})
        owner, key = name.split(".", 1)
        items = tuple(
            c.model_copy(update={"params": {**c.params, key: changed}}) if c.name == owner else c
            for c in self.items
        )
        return validated_components(items, self.common)

    def tie(self, name: str, to: str) -> Components:
        """Return a copy in which parameter ``name`` equals the expression ``to``."""
        return self.set(name, expr=to)

    def drop(self, *names: str) -> Components:
        """Return a copy without the named components."""
        for name in names:
            self[name]
        return validated_components([c for c in self.items if c.name not in names], self.common)


def validated(model: type[Any], data: Any, *, where: str) -> Any:
    """Build a pydantic model, turning its error into one line of ours."""
    from pydantic import ValidationError

    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ModelError(f"{where}: {first_problem(error)}") from None


def validated_components(items: Iterable[Component], common: Mapping[str, Param]) -> Components:
    """Build `Components`, turning pydantic's error into one line of ours."""
    from pydantic import ValidationError

    try:
        return Components(items, common)
    except ValidationError as error:
        raise ModelError(f"components: {first_problem(error)}") from None


def first_problem(error: Any) -> str:
    """Return the first problem of a pydantic ValidationError as ``key: what is wrong``."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "unknown key"
    return f"{where}: {message}" if where else message


FUNCTIONS = frozenset({"sqrt", "exp", "log", "sin", "cos", "tan", "abs", "min", "max"})
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.USub, ast.UAdd)


def names_in(expr: str) -> tuple[str, ...]:
    """Return the parameter names an expression uses; refuse everything but arithmetic.

    Parameters
    ----------
    expr : str
        Numbers, ``+ - * / **``, parentheses, ``FUNCTIONS``, and parameters written
        ``component.parameter`` or ``name``.

    Returns
    -------
    tuple of str
        Names in order of appearance, each once.

    Raises
    ------
    ModelError
        If the text is not such an expression. It is parsed, never evaluated as Python.
    """
    if len(expr) > 2000:
        raise ModelError(f"expression of {len(expr)} characters: 2000 is the limit")
    try:
        tree = ast.parse(expr, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ModelError(f"expression {expr!r} is not arithmetic in parameter names") from None
    found: dict[str, None] = {}

    def visit(node: ast.expr) -> None:
        match node:
            case ast.Constant(value=bool() | str() | bytes() | None):
                raise ModelError(f"expression {expr!r}: {node.value!r} is not a number")
            case ast.Constant(value=int() | float()):
                pass
            case ast.BinOp(left=left, op=op, right=right) if isinstance(op, _OPERATORS):
                visit(left)
                visit(right)
            case ast.UnaryOp(op=op, operand=operand) if isinstance(op, _OPERATORS):
                visit(operand)
            case ast.Call(func=ast.Name(id=function), args=args, keywords=[]):
                if function not in FUNCTIONS:
                    raise ModelError(
                        f"expression {expr!r}: function {function!r}: "
                        + nearest(function, FUNCTIONS, most=12)
                    )
                for arg in args:
                    visit(arg)
            case ast.Attribute(value=ast.Name(id=owner), attr=attr):
                found[f"{owner}.{attr}"] = None
            case ast.Name(id="pi"):
                pass
            case ast.Name(id=name):
                found[name] = None
            case _:
                raise ModelError(
                    f"expression {expr!r}: {type(node).__name__} is not allowed; use arithmetic, "
                    "parameter names and " + ", ".join(sorted(FUNCTIONS))
                )

    visit(tree.body)
    return tuple(found)


def _refuse_cycles(flat: Mapping[str, Param]) -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in done:
            return
        if name in path:
            raise ValueError("expressions form a circle: " + " -> ".join((*path, name)))
        expr = flat[name].expr
        if expr is not None:
            for used in names_in(expr):
                visit(used, (*path, name))
        done.add(name)

    for name in flat:
        visit(name, ())

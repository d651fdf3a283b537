"""What is wrong with a configuration, in a person's words, with line and nearest key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from calhard.errors import ConfigError
from calhard.plan.bounds import MetricSpec, Override
from calhard.plan.model import AuditPlan
from calhard.plan.rules import RULE, KeyPath
from calhard.plan.write import TABLE, toml_key, toml_value

PRIVATE = ("mlflow", "routes")
"""Tables whose values may be secret, so that no message repeats them."""
_LONGEST = 60
_EXPECTED = {
    "bool_type": "expected true or false",
    "dict_type": "expected a table",
    "finite_number": "expected a finite number",
    "float_type": "expected a number",
    "int_type": "expected a whole number",
    "model_type": "expected a table",
    "string_type": "expected a text in quotes",
    "string_too_short": "must not be empty",
    "tuple_type": "expected an array",
}
_LIMITS = {
    "greater_than": ("must be above {:g}", "gt"),
    "greater_than_equal": ("must be at least {:g}", "ge"),
    "less_than": ("must be below {:g}", "lt"),
    "less_than_equal": ("must be at most {:g}", "le"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a configuration; ``line`` is 0 where no line can be named."""

    line: int
    key: str
    message: str

    def __str__(self) -> str:
        """Return ``line 7: calibration.hardening.slos: …``."""
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.key}: {self.message}" if self.key else f"{place}{self.message}"


class PlanError(ConfigError):
    """A configuration that cannot be used; ``problems`` lists everything that is wrong."""

    def __init__(self, origin: str, problems: Iterable[Problem]) -> None:
        self.origin = origin
        self.problems = tuple(sorted(problems, key=lambda p: p.line))
        count = f"{len(self.problems)} problem" + ("s" if len(self.problems) > 1 else "")
        super().__init__("\n  ".join([f"{origin}: {count}", *map(str, self.problems)]))

    def __reduce__(self) -> tuple[type[PlanError], tuple[str, tuple[Problem, ...]]]:
        """Pickle by what it was made of."""
        return PlanError, (self.origin, self.problems)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a file says what: lines by path, and the keys of the plan that stand at its top."""

    lines: Mapping[KeyPath, int]
    top: frozenset[str] = frozenset()

    def problem(self, path: KeyPath, message: str) -> Problem:
        """Return the problem of a key of the file."""
        return Problem(self.line(path), dotted(path), message)

    def line(self, path: KeyPath) -> int:
        """Return the line of a key, or of the nearest table around it; 0 without any."""
        around = (path[:end] for end in range(len(path), 0, -1))
        return next((self.lines[p] for p in around if p in self.lines), 0)

    def of_plan(self, key: KeyPath) -> KeyPath:
        """Return where the file holds a key of the plan."""
        return key if key and key[0] in self.top else (*TABLE, *key)


def dotted(path: KeyPath) -> str:
    """Return a path as a person writes it: ``overrides[2].model``, counted from 1."""
    text = ""
    for step in path:
        text += f"[{step + 1}]" if isinstance(step, int) else f".{toml_key(step)}"
    return text.removeprefix(".")


def found(value: object) -> str:
    """Return what stands in the file, shortened: ``found "maybe"``."""
    if isinstance(value, Mapping):
        return "found a table"
    if isinstance(value, list | tuple):
        return "found an array"
    text = toml_value(value) if isinstance(value, str | int | float) else str(value)
    return f"found {text if len(text) <= _LONGEST else text[:_LONGEST] + '…'}"


def unknown(places: Places, path: KeyPath, known: Sequence[str]) -> Problem:
    """Return the problem of a key that is not known, with the nearest one that is."""
    near = difflib.get_close_matches(str(path[-1]), known, 1, 0.5)
    hint = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(known)}"
    return places.problem(path, f"unknown key; {hint}")


def problems_of(error: Mapping[str, Any], places: Places) -> Iterator[Problem]:
    """Yield what one of pydantic's errors says."""
    of_key = error["loc"][-1:] == ("[key]",)
    key: KeyPath = error["loc"][:-1] if of_key else error["loc"]
    if error["type"] == RULE:
        for broken in error["ctx"][RULE]:
            yield places.problem(places.of_plan((*key, *broken.key)), broken.message)
    elif error["type"] == "extra_forbidden":
        yield unknown(places, places.of_plan(key), _known_keys(key[:-1]))
    else:
        silent = of_key or key[0] in PRIVATE
        given = "" if silent else f"{found(error['input'])}; "
        yield places.problem(places.of_plan(key), given + _message(error))


def _message(error: Mapping[str, Any]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _LIMITS:
        words, limit = _LIMITS[kind]
        return words.format(context[limit])
    if kind == "literal_error":
        return f"expected {context['expected']}".replace("'", '"')
    return _EXPECTED.get(kind, str(error["msg"]).removeprefix("Value error, "))


def _known_keys(table: KeyPath) -> tuple[str, ...]:
    """Return the keys of a table of the plan."""
    model: type[BaseModel] = AuditPlan
    if table and table[0] in {"overrides", "metrics"}:
        model = Override if table[0] == "overrides" else MetricSpec
    else:
        for name in table:
            model = _section(model, str(name))
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _section(table: type[BaseModel], name: str) -> type[BaseModel]:
    annotation = table.model_fields[name].annotation
    sections = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type)]
    return next(a for a in sections if issubclass(a, BaseModel))

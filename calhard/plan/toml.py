"""``calhard.toml``: read with every error at once and its line; written as it is in force."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from calhard.errors import ConfigError
from calhard.plan.model import AuditPlan, MetricSpec, Override

Path_ = tuple[str | int, ...]
TABLE = ("calibration", "hardening")
TOP = ("fleet", "expected_models")
"""Keys that may stand at the top of the file or in the table."""


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

    def __init__(self, origin: str, problems: tuple[Problem, ...]) -> None:
        self.origin = origin
        self.problems = problems
        count = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
        super().__init__(f"{origin}: {count}\n" + "\n".join(f"  {p}" for p in problems))


def plan_from_toml(path: str | Path) -> AuditPlan:
    """Return the plan of a file.

    Raises
    ------
    ConfigError
        The file cannot be read or used; all its problems are listed.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        reason = e.strerror if isinstance(e, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{file}: cannot read the configuration: {reason}") from e
    return plan_from_text(text, str(file), file.parent)


def plan_from_text(
    text: str, origin: str = "calhard.toml", folder: Path | None = None
) -> AuditPlan:
    """Return the plan of a TOML text; a file that it names is looked up in ``folder``."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        line = re.search(r"line (\d+)", str(e))
        problem = Problem(int(line[1]) if line else 0, "", f"not TOML: {e}")
        raise PlanError(origin, (problem,)) from e
    lines = dict(_lines(text))
    settings, problems = _settings(document, lines)
    _read_expected(settings, folder or Path(), lines, problems)
    try:
        plan = AuditPlan.model_validate(settings)
    except ValidationError as e:
        problems += [_problem(dict(error), lines, document) for error in e.errors()]
        raise PlanError(origin, tuple(sorted(problems, key=lambda p: p.line))) from e
    if problems:
        raise PlanError(origin, tuple(sorted(problems, key=lambda p: p.line)))
    return plan


def _settings(
    document: Mapping[str, Any], lines: Mapping[Path_, int]
) -> tuple[dict[str, Any], list[Problem]]:
    """Return the plan's settings from where the file holds them, and what stands elsewhere."""
    problems: list[Problem] = []
    table = document.get(TABLE[0], {})
    table = table if isinstance(table, dict) else {}
    for outer, known, place in (
        (document, (*TOP, TABLE[0]), ()),
        (table, (TABLE[1],), TABLE[:1]),
    ):
        problems += [_unknown((*place, key), known, lines) for key in outer if key not in known]
    settings = table.get(TABLE[1], {})
    settings = dict(settings) if isinstance(settings, dict) else {}
    settings = {key: document[key] for key in TOP if key in document} | settings
    return settings, problems


def _unknown(path: Path_, known: tuple[str, ...], lines: Mapping[Path_, int]) -> Problem:
    near = difflib.get_close_matches(str(path[-1]), known, 1, 0.5)
    hint = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(known)}"
    return Problem(_line(path, lines), _dotted(path), f"unknown key; {hint}")


def _read_expected(
    settings: dict[str, Any], folder: Path, lines: Mapping[Path_, int], problems: list[Problem]
) -> None:
    """Replace a file name in ``expected_models`` by the models it lists, one a line."""
    name = settings.get("expected_models")
    if not isinstance(name, str):
        return
    try:
        text = (folder / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        line = _line((*TABLE, "expected_models"), lines) or lines.get(("expected_models",), 0)
        problems.append(Problem(line, "expected_models", f"cannot read {name}: {e}"))
        settings["expected_models"] = ()
        return
    settings["expected_models"] = tuple(line.strip() for line in text.splitlines() if line.strip())


def _problem(
    error: dict[str, Any], lines: Mapping[Path_, int], document: Mapping[str, Any]
) -> Problem:
    loc: Path_ = tuple(error["loc"])
    path: Path_ = loc if loc and loc[0] in TOP and loc[0] in document else (*TABLE, *loc)
    if error["type"] == "extra_forbidden":
        return _unknown(path, _known_keys(loc[:-1]), lines)
    message = str(error["msg"]).removeprefix("Value error, ")
    given = error.get("input")
    if isinstance(given, str | int | float | bool) and repr(given) not in message:
        message += f"; found {given!r}"
    return Problem(_line(path, lines), _dotted(path), message)


def _known_keys(loc: Path_) -> tuple[str, ...]:
    """Return the keys of the table at ``loc``."""
    model: type[BaseModel] = AuditPlan
    for step in loc:
        if step == "overrides":
            model = Override
        elif step == "metrics":
            model = MetricSpec
        elif isinstance(step, str) and step in model.model_fields:
            inner = model.model_fields[step].annotation
            candidates = [inner, *get_args(inner)]
            tables = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
            model = tables[0] if tables else model
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _dotted(path: Path_) -> str:
    text = ""
    for step in path:
        text += f"[{step + 1}]" if isinstance(step, int) else ("." if text else "") + step
    return text


def _line(path: Path_, lines: Mapping[Path_, int]) -> int:
    """Line of a key, or of the nearest table around it."""
    for end in range(len(path), 0, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return 0


_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(
    r"\s*((?:\"[^\"]*\"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:\"[^\"]*\"|'[^']*'|[\w-]+))*)\s*="
)
_PART = re.compile(r"\"([^\"]*)\"|'([^']*)'|([\w-]+)")


def _lines(text: str) -> Iterator[tuple[Path_, int]]:
    """Yield the path of every table and key with its line; the text is valid TOML."""
    table: Path_ = ()
    seen: dict[Path_, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header and not key:
            table = _parts(header[2])
            if header[1] == "[[":
                seen[table] = seen.get(table, -1) + 1
                yield table, number
                table = (*table, seen[table])
            yield table, number
        elif key:
            path = (*table, *_parts(key[1]))
            yield path, number


def _parts(dotted: str) -> Path_:
    return tuple(a or b or c for a, b, c in _PART.findall(dotted))


def plan_to_toml(plan: AuditPlan) -> str:
    """Return the plan as the file that would give it again; secrets are masked."""
    settings = plan.model_dump(mode="json", by_alias=True, exclude_none=True, fallback=str)
    return "\n".join(_table(TABLE, settings)) + "\n"


def _table(path: tuple[str, ...], values: Mapping[str, Any]) -> Iterator[str]:
    yield f"[{'.'.join(_name(step) for step in path)}]"
    tables = []
    for key, value in values.items():
        if isinstance(value, dict) or _is_tables(value):
            tables.append((key, value))
        else:
            yield f"{_name(key)} = {_literal(value)}"
    for key, value in tables:
        inner = (*path, key)
        if isinstance(value, dict):
            if value:
                yield ""
                yield from _table(inner, value)
            continue
        for row in value:
            first, *rest = _table(inner, row)
            yield ""
            yield f"[{first}]"
            yield from rest


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _name(key: str) -> str:
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else json.dumps(key)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return {"inf": "inf", "-inf": "-inf"}.get(str(value), repr(value))
    if isinstance(value, list):
        return "[" + ", ".join(_literal(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)

"""``calhard.toml``, read: every error at once, each with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from calhard.plan.lines import key_lines
from calhard.plan.model import AuditPlan, known_columns
from calhard.plan.problems import (
    PRIVATE,
    Places,
    PlanError,
    Problem,
    dotted,
    found,
    problems_of,
    unknown,
)
from calhard.plan.rules import KeyPath
from calhard.plan.secret import MASK, Secret, holds_secret
from calhard.plan.write import TABLE

LISTS = ("expected_models", "retired_models")
"""Keys that hold models, or the name of a file that lists them."""
TOP = ("fleet", *LISTS)
"""Keys that may stand at the top of the file or in the table."""
PRIVATE_TABLES = tuple((*TABLE, name) for name in PRIVATE)


def plan_from_toml(path: str | Path) -> AuditPlan:
    """Return the plan of a file.

    Raises
    ------
    ConfigError
        The file cannot be read or used; all its problems are listed.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        problem = Problem(line, "", "not UTF-8 text; save the file as UTF-8")
        raise PlanError(str(file), [problem]) from e
    except (OSError, ValueError) as e:
        problem = Problem(0, "", f"cannot read the configuration: {_reason(e)}")
        raise PlanError(str(file), [problem]) from e
    return plan_from_text(text, str(file), file.parent)


def plan_from_text(
    text: str, origin: str = "calhard.toml", folder: Path | None = None
) -> AuditPlan:
    """Return the plan of a TOML text; files that it names are looked up in ``folder``."""
    document, lines = _parsed(text, origin)
    top = frozenset(key for key in TOP if key in document)
    places = Places(lines, top)
    settings, problems = _settings(document, places)
    problems += _misplaced_secrets(document, places, folder or Path())
    problems += _unknown_columns(settings, places)
    for key in LISTS:
        problems += _read_list(key, settings, folder or Path(), places)
    try:
        plan = AuditPlan.model_validate(settings, context={"folder": folder})
    except ValidationError as e:
        for error in e.errors(include_url=False):
            problems += problems_of(dict(error), places)
        raise PlanError(origin, problems) from e
    if problems:
        raise PlanError(origin, problems)
    return plan


def _parsed(text: str, origin: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """Return the document and the line of every key."""
    try:
        return tomllib.loads(text), key_lines(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as e:
        at = re.search(r"line (\d+)", str(e))
        line = int(at[1]) if at else text.rstrip("\n").count("\n") + 1
        reason = re.sub(r" \(at [^)]*\)$", "", str(e))
        raise PlanError(origin, [Problem(line, "", f"not TOML: {reason}")]) from e
    except RecursionError as e:
        raise PlanError(origin, [Problem(0, "", "not TOML: nested too deeply")]) from e


def _settings(document: Mapping[str, Any], places: Places) -> tuple[dict[str, Any], list[Problem]]:
    """Return the plan's settings from where the file holds them, and what stands elsewhere."""
    problems = [_stray((key,), places) for key in document if key not in (*TOP, TABLE[0])]
    outer, wrong = _inner(document, (), TABLE[0], places)
    problems += wrong
    problems += [unknown(places, (TABLE[0], k), TABLE[1:]) for k in outer if k != TABLE[1]]
    inner, wrong = _inner(outer, TABLE[:1], TABLE[1], places)
    problems += wrong
    for key in places.top & set(inner):
        where = places.line((*TABLE, key))
        problems.append(places.problem((key,), f"given again on line {where}; keep one of them"))
    return inner | {key: document[key] for key in TOP if key in document}, problems


def _inner(
    table: Mapping[str, Any], path: KeyPath, key: str, places: Places
) -> tuple[dict[str, Any], list[Problem]]:
    inner = table.get(key, {})
    if isinstance(inner, dict):
        return dict(inner), []
    return {}, [places.problem((*path, key), f"{found(inner)}; expected a table")]


def _stray(path: KeyPath, places: Places) -> Problem:
    """A key at the top of the file that belongs into the table, or nowhere."""
    if path[-1] in AuditPlan.model_fields:
        return places.problem(path, f"unknown key here; it belongs under [{dotted(TABLE)}]")
    return unknown(places, path, (*TOP, TABLE[0]))


def _misplaced_secrets(document: Any, places: Places, folder: Path) -> Iterator[Problem]:
    """Yield secrets where none may stand, those that cannot be read now, and masks of secrets."""
    for path, text in _texts(document, ()):
        private = path[:3] in PRIVATE_TABLES
        if private and text == MASK:
            message = "this is the mask that stands for a secret; write ${env:NAME} or ${file:PATH}"
            yield places.problem(path, message)
        if not holds_secret(text):
            continue
        if not private:
            where = " and ".join(f"[{dotted(table)}]" for table in PRIVATE_TABLES)
            yield places.problem(path, f"{found(text)}; secrets may stand under {where} only")
            continue
        try:
            Secret(text, folder).reveal()  # a missing one is an error now, not in the night
        except ValueError as e:
            yield places.problem(path, str(e))


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Yield every text of a document with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*path, index))


def _unknown_columns(settings: dict[str, Any], places: Places) -> list[Problem]:
    """Take columns that no audit knows out of the settings; return them as problems."""
    columns, metrics = settings.get("columns"), settings.get("metrics", {})
    if not isinstance(columns, dict):
        return []
    known = known_columns(metrics if isinstance(metrics, dict) else ())
    settings["columns"] = {key: value for key, value in columns.items() if key in known}
    strange = [key for key in columns if key not in known]
    return [unknown(places, (*TABLE, "columns", key), known) for key in strange]


def _read_list(key: str, settings: dict[str, Any], folder: Path, places: Places) -> list[Problem]:
    """Replace the name of a file by the models it lists, one a line."""
    name = settings.get(key)
    if not isinstance(name, str) or holds_secret(name):
        return []
    settings[key] = ()
    path = places.of_plan((key,))
    try:
        text = (folder / name).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as e:
        return [places.problem(path, f"cannot read {folder / name}: {_reason(e)}")]
    models = dict.fromkeys(line.strip() for line in text.split("\n"))
    settings[key] = tuple(model for model in models if model)
    if settings[key]:
        return []
    return [places.problem(path, f"{folder / name} lists no model; write one a line")]


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

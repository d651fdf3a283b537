"""The plan as the ``calhard.toml`` that would give it again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calhard.plan.model import AuditPlan

TABLE = ("calibration", "hardening")


def plan_to_toml(plan: AuditPlan) -> str:
    """Return the effective configuration: every key that has a value; secrets are masked."""
    settings = plan.model_dump(mode="json", by_alias=True, exclude_none=True)
    return "\n".join(_table(TABLE, settings)) + "\n"


def toml_key(key: str) -> str:
    """Return a key as TOML writes it: bare where that is possible."""
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else _text(key)


def toml_value(value: Any) -> str:
    """Return a value as TOML writes it on one line; dates and the like as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    if isinstance(value, Mapping):
        pairs = [f"{toml_key(k)} = {toml_value(v)}" for k, v in value.items()]
        return "{" + ", ".join(pairs) + "}"
    return _text(str(value))


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _table(path: tuple[str, ...], values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table's lines: its values first, then the tables within it."""
    yield f"[{_dotted(path)}]"
    tables = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    arrays = {key: value for key, value in values.items() if _of_tables(value)}
    for key, value in values.items():
        if key not in tables and key not in arrays and not (key == "overrides" and not value):
            yield f"{toml_key(key)} = {toml_value(value)}"
    for key, value in tables.items():
        if value or path != TABLE:  # a route without settings is one, a plan without routes is none
            yield ""
            yield from _table((*path, key), value)
    for key, rows in arrays.items():
        for row in rows:
            header, *rest = _table((*path, key), row)
            yield from ("", f"[{header}]", *rest)


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(toml_key(step) for step in path)


def _of_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)

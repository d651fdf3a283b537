"""The configuration's reference, from the models that read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from calhard.plan import AuditPlan
from calhard.plan.write import toml_key, toml_value

TABLE = "calibration.hardening"
SECTIONS = (
    "slos",
    "windows",
    "regression",
    "measure",
    "storage",
    "alerts",
    "mlflow",
    "mlflow.source",
    "mlflow.registry",
)
INNER = {"mlflow.source": "Logged"}
"""Sections whose model has another name than they have."""
NAMES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false"}
LIMITS = {
    "minimum": "≥",
    "exclusiveMinimum": ">",
    "maximum": "≤",
    "exclusiveMaximum": "<",
}
DURATION = 'duration such as `"28d"`'
DURATIONS = (
    "windows.night",
    "windows.horizon",
    "windows.clock_skew",
    "storage.task_timeout",
    "mlflow.registry.max_age",
)
"""Durations that no schema tells from a text or a number of samples."""
OVERRIDDEN = "in place of the key of this name above, for what matches"
MORE = {
    "metrics.NAME.direction": "which way is worse",
    "automated_response": "this version plans none",
    "alerts": "this version alerts nobody",
    "routes": "read, but this version alerts nobody",
}
"""What descriptions leave out."""


def configuration() -> str:
    """Return the reference's tables, in Markdown."""
    schema = AuditPlan.json_schema()
    hardening = schema["properties"]["calibration"]["properties"]["hardening"]
    definitions = schema["$defs"]
    parts = [_section("", f"`[{TABLE}]`", hardening["properties"])]
    inner = [(name, f"[{TABLE}.{name}]", _model(name)) for name in SECTIONS]
    inner.append(("metrics.NAME", f"[{TABLE}.metrics.NAME]", "MetricSpec"))
    inner.append(("overrides", f"[[{TABLE}.overrides]]", "Override"))
    for name, title, key in inner:
        told = _joined(_sentence(definitions[key]), MORE.get(name))
        parts.append(_section(name, f"`{title}`: {told}", definitions[key].get("properties", {})))
    return "\n".join(parts)


def _model(section: str) -> str:
    """The name of a section's model: the last part, capitalized."""
    name = section.rpartition(".")[2]
    return INNER.get(section, name.capitalize())


def _sentence(model: Mapping[str, Any]) -> str:
    first = str(model["description"]).split("\n", 1)[0].replace("``", "`")
    return first[0].lower() + first[1:].rstrip(".")


def _section(name: str, title: str, properties: Mapping[str, Any]) -> str:
    rows = [
        _row(name, key, spec)
        for key, spec in properties.items()
        if f"{name}.{key}".lstrip(".") not in SECTIONS
    ]
    if not rows:
        return f"### {title}\n"
    head = ["| key | type | default | limits | |", "|---|---|---|---|---|"]
    return "\n".join([f"### {title}", "", *head, *rows, ""])


def _row(section: str, key: str, spec: Mapping[str, Any]) -> str:
    path = f"{section}.{key}".lstrip(".")
    told = _joined(spec.get("description"), MORE.get(path))
    if not told and section == "overrides":
        told = OVERRIDDEN
    if not told:
        raise KeyError(f"{path} has no description; give its field one")
    kind = DURATION if path in DURATIONS else _type(spec)
    limits = "" if path in DURATIONS else _limits(spec)
    cells = (f"`{toml_key(key)}`", kind, _default(spec), limits, told)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _joined(*parts: str | None) -> str:
    return "; ".join(part for part in parts if part)


def _alternatives(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The forms a value may have; null is none of them: a key is left out instead."""
    return [s for s in spec.get("anyOf", [spec]) if s.get("type") != "null"]


def _type(spec: Mapping[str, Any]) -> str:
    forms = spec.get("anyOf", [{k: v for k, v in spec.items() if k != "description"}])
    return " or ".join(_one_type(s) for s in forms if s.get("type") != "null")


def _one_type(spec: Mapping[str, Any]) -> str:
    if "enum" in spec:
        return ", ".join(f"`{toml_value(v)}`" for v in spec["enum"])
    if spec.get("type") == "array":
        inner = spec["items"]
        return "tables" if "$ref" in inner else f"list of {_one_type(inner)}"
    if spec.get("type") == "object":
        return "table"
    if "pattern" in spec:
        return DURATION
    if "description" in spec:  # of a form, not of the key
        return "number of samples" if spec["description"] == "samples" else "name of a file"
    return NAMES[spec["type"]]


def _default(spec: Mapping[str, Any]) -> str:
    if spec.get("default") is None:
        return "—"
    return f"`{toml_value(spec['default'])}`"


def _limits(spec: Mapping[str, Any]) -> str:
    return "; ".join(dict.fromkeys(limit for s in _alternatives(spec) for limit in _bounds(s)))


def _bounds(spec: Mapping[str, Any]) -> Iterator[str]:
    for key, sign in LIMITS.items():
        if key in spec:
            yield f"{sign} {spec[key]:g}"
    if spec.get("minLength"):
        yield "not empty"
    if "minItems" in spec:
        yield f"{spec['minItems']} of them"
    if "items" in spec:
        yield from (f"each {limit}" for limit in _bounds(spec["items"]))

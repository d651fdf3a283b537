"""The JSON schema of the file: sound in itself, and as strict as the reader."""

import json
import re
import tomllib

import pytest

from calhard.plan import AuditPlan

KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "default", "examples", "type", "properties",
    "additionalProperties", "items", "anyOf", "enum", "pattern", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "minLength", "propertyNames",
}  # fmt: skip
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
SCHEMA = AuditPlan.json_schema()


def accepts(schema, value):
    """Whether a value meets a schema, by the words that this schema uses; others are refused."""
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        return accepts(SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")], value)
    rules = [
        "anyOf" not in schema or any(accepts(s, value) for s in schema["anyOf"]),
        "enum" not in schema or value in schema["enum"],
        "type" not in schema or is_a(schema["type"], value),
    ]
    return all(rules) and accepts_parts(schema, value)


def is_a(kind, value):
    return isinstance(value, TYPES[kind]) and (not isinstance(value, bool) or kind == "boolean")


def accepts_parts(schema, value):
    if isinstance(value, dict):
        return accepts_table(schema, value)
    if isinstance(value, list):
        size = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        return size and all(accepts(schema.get("items", {}), v) for v in value)
    if isinstance(value, str):
        found = re.search(schema.get("pattern", ""), value)
        return found is not None and len(value) >= schema.get("minLength", 0)
    return not isinstance(value, int | float) or in_range(schema, value)


def accepts_table(schema, value):
    known, more = schema.get("properties", {}), schema.get("additionalProperties", True)
    for key, inner in value.items():
        if key in known:
            sound = accepts(known[key], inner)
        else:
            sound = more if isinstance(more, bool) else accepts(more, inner)
        if not sound:
            return False
    return True


def in_range(schema, value):
    infinity = float("inf")
    return schema.get("minimum", -infinity) <= value <= schema.get(
        "maximum", infinity
    ) and schema.get("exclusiveMinimum", -infinity) < value < schema.get(
        "exclusiveMaximum", infinity
    )


def test_the_schema_is_plain_json_of_the_declared_draft():
    assert json.loads(json.dumps(SCHEMA, allow_nan=False)) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_default_configuration_meets_the_schema():
    assert accepts(SCHEMA, tomllib.loads(AuditPlan().to_toml()))
    assert accepts(SCHEMA, {})


def test_every_key_is_described_and_has_a_default():
    table = SCHEMA["properties"]["calibration"]["properties"]["hardening"]["properties"]
    assert set(table) == set(AuditPlan.model_fields)
    for name in ("Slos", "Alerts", "Windows", "Regression", "Storage"):
        for key, schema in SCHEMA["$defs"][name]["properties"].items():
            assert schema["description"], key
            assert "default" in schema, key
            assert schema["default"] is None or accepts(schema, schema["default"]), key


def hardening(text):
    return f"[calibration.hardening{text}"


GOOD = [
    'fleet = "a"\nexpected_models = "models.txt"\nretired_models = ["a"]',
    hardening('.windows]\nreference = 100\nanalysis = 20\ntimezone = "Europe/Oslo"'),
    hardening('.metrics.nll]\nbound = "level"\nthreshold = 1.0\nlow = 0.0'),
    "[[calibration.hardening.overrides]]\nmodel = 'a*'\nclass = 'b'\naece_threshold = 1",
    hardening('.routes.ops]\nanything = ["goes"]'),
    hardening('.columns]\nmodel_id = "m"'),
]
BAD = [
    "typo = 1",
    hardening("]\nenabled = 1"),
    hardening(".slos]\naece_threshold = 0.0"),
    hardening(".slos]\nclamp_rate_threshold = 1.1"),
    hardening('.windows]\nreference = "28 days"'),
    hardening(".windows]\nreference = 0"),
    hardening('.regression]\nfdr = "holm"'),
    hardening(".regression]\nhead_weights = [1.0]"),
    hardening(".storage]\nkept = 1"),
    "[[calibration.hardening.overrides]]\nclass_ = 'b'",
    hardening('.columns]\nmodel_id = ""'),
]


@pytest.mark.parametrize("text", GOOD)
def test_what_the_reader_takes_meets_the_schema(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.txt").write_text("a")
    AuditPlan.from_text(text)
    assert accepts(SCHEMA, tomllib.loads(text))


@pytest.mark.parametrize("text", BAD)
def test_what_the_reader_refuses_does_not_meet_the_schema(text):
    with pytest.raises(Exception, match="problem"):
        AuditPlan.from_text(text)
    assert not accepts(SCHEMA, tomllib.loads(text))

"""Texts of the configuration that may refer to a secret."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema

from calhard.plan.secret import Secret, masked, sealed


def sealed_here(value: Any, info: ValidationInfo) -> Any:
    """Seal the secrets that a value refers to; files are looked up beside the configuration."""
    return sealed(value, (info.context or {}).get("folder"))


Text = Annotated[
    str | Secret,
    BeforeValidator(sealed_here),
    PlainSerializer(masked),
    WithJsonSchema({"type": "string", "minLength": 1}),
]
"""A text that may refer to a secret."""

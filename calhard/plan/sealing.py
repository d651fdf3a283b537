"""Texts of the configuration that may refer to a secret."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema

from calhard.plan.secret import Secret, masked, sealed


def sealed_here(value: Any, info: ValidationInfo) -> Any:
    """Seal the secrets of a value; files that it refers to are looked up beside the configuration.

    What stands in the configuration itself under ``password``, ``token`` and the like, or as a
    log-in in an address, is sealed as a reference is: no dump and no ``repr`` shows it.
    """
    return sealed(value, (info.context or {}).get("folder"), info.field_name or "")


Text = Annotated[
    str | Secret,
    BeforeValidator(sealed_here),
    PlainSerializer(masked),
    WithJsonSchema({"type": "string", "minLength": 1}),
]
"""A text that may refer to a secret, or be one."""

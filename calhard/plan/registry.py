"""How models of a fleet are found in a model registry, and what is written there."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from calhard.plan.sealing import Text
from calhard.plan.sections import Duration, Section

_ALIAS = re.compile(r"[\w-]{1,255}")


def _alias(name: str) -> str:
    if not _ALIAS.fullmatch(name) or name.lower() == "latest":
        raise ValueError('is no alias; write letters, digits, "_" and "-", such as "champion"')
    return name


def _some(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError('names no alias; write one such as ["champion"]')
    return names


def _place(text: str) -> str:
    """Refuse what no registered model can be called."""
    name, at, alias = text.rpartition("@")
    name = name if at else alias
    if at:
        _alias(alias)
    if not name.strip() or re.search(r"[/:]", name):
        raise ValueError('names no registered model; write "NAME" or "NAME@ALIAS", no "/" or ":"')
    return text


class Registry(Section):
    """How models of a fleet are found in the model registry, and what is written there."""

    snapshots: bool = Field(
        True, description="keep night by night which version every alias points at"
    )
    verdicts: bool = Field(True, description="write verdicts to model versions, as tags")
    aliases: Annotated[
        tuple[Annotated[str, AfterValidator(_alias)], ...],
        Field(strict=False),
        AfterValidator(_some),
    ] = Field(
        ("champion",), description="the alias in service: the first of these that a model has"
    )
    models: dict[Annotated[str, Field(min_length=1)], Annotated[str, AfterValidator(_place)]] = (
        Field(
            {},
            description="model_id or glob = registered model, or MODEL@ALIAS; {model_id} in it "
            "stands for the id; later wins; by default the one of the same name",
        )
    )
    max_age: Duration = Field(
        "3d", description="older nights are not set beside what the aliases point at now"
    )
    max_tags: int = Field(
        60,
        ge=0,
        description="tags written for a night, a request each: two a version whose verdict has "
        "changed, the worst verdicts first",
    )
    username: Text | None = Field(None, description="who acts (EDIT), if not who publishes")
    password: Text | None = Field(None, description="goes with the username")
    token: Text | None = Field(None, description="for bearer authentication of who acts")

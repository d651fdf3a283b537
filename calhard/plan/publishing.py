"""Where nights are published: an MLflow server, what it is told, and its model registry."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from calhard.plan.logged import Logged
from calhard.plan.registry import Registry
from calhard.plan.sealing import Text
from calhard.plan.sealing import sealed_here as sealed_here  # noqa: PLC0414  # where others look for it
from calhard.plan.sections import Positive, Section


class Mlflow(Section):
    """Where nights are published. It changes no result of a night."""

    uri: Text | None = Field(
        None,
        description="the tracking server: https://…, http://… or sqlite:///FILE; none: no MLflow",
    )
    username: Text | None = Field(None, description="for its basic authentication")
    password: Text | None = Field(None, description="goes with the username")
    token: Text | None = Field(None, description="for its bearer authentication")
    experiment: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="by default calhard/FLEET"
    )
    timeout_seconds: Positive = Field(15.0, description="longest wait for an answer")
    retries: int = Field(3, ge=0, le=10, description="how often a request is tried again")
    trailing_nights: int = Field(
        30, ge=1, le=366, description="nights of history that every fleet metric shows"
    )
    source: Logged = Logged()
    registry: Registry = Registry()

"""How metrics that teams log to MLflow become a history."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from calhard.plan.sections import Section
from calhard.schema import KEY_COLUMNS, OPTIONAL_COLUMNS

PLACEHOLDER = re.compile(r"\{(model_id|class_id)\}")
"""What stands in a pattern for the model or the class that a metric's key names."""
OF_RUN = ("tag:", "param:")
MODELS = ("run_name", "registered_model", "logged_model")
"""Where a model's name may stand beside tags and params."""

NUMBERS = ("tau", "aece_minus_tau", "ece_debiased", "n_bins")
"""Columns beside the metrics that may be logged too."""


def checked_pattern(pattern: str) -> str:
    """Return a pattern of metric keys.

    Raises
    ------
    ValueError
        A placeholder is unknown, stands twice, or nothing tells where it ends.
    """
    names = re.findall(r"\{([^}]*)\}", pattern)
    wrong = [name for name in names if name not in {"model_id", "class_id"}]
    if wrong:
        raise ValueError(f"{{{wrong[0]}}} is unknown; known are {{model_id}} and {{class_id}}")
    if len(set(names)) < len(names) or "}{" in pattern:
        raise ValueError('a placeholder stands once, with text between two: "ece/{class_id}"')
    if not PLACEHOLDER.sub("", pattern):
        raise ValueError('a key needs text of its own, such as "ece/{class_id}"')
    return pattern


def _listed(value: object) -> object:
    """One text is a list of one."""
    return (value,) if isinstance(value, str) else value


def _of_run(origin: str) -> str:
    """Refuse what is neither a tag nor a param."""
    if not origin.startswith(OF_RUN) or origin.endswith(":"):
        raise ValueError('expected "tag:NAME" or "param:NAME"')
    return origin


def _of_model(origin: str) -> str:
    """Refuse what names no model."""
    if origin in MODELS:
        return origin
    try:
        return _of_run(origin)
    except ValueError as e:
        raise ValueError(f'expected "tag:NAME", "param:NAME" or one of {", ".join(MODELS)}') from e


def _of_samples(origin: str) -> str:
    """Refuse what is no place of a number."""
    if origin.startswith("metric:") and origin != "metric:":
        checked_pattern(origin.removeprefix("metric:"))
        return origin
    try:
        return _of_run(origin)
    except ValueError as e:
        raise ValueError('expected "metric:KEY", "param:NAME" or "tag:NAME"') from e


def _free(names: Sequence[str]) -> tuple[str, ...]:
    """Refuse tags whose columns mean something else."""
    taken = [name for name in names if name in {*KEY_COLUMNS, *OPTIONAL_COLUMNS}]
    if taken:
        raise ValueError(f"{taken[0]} is a column of another meaning")
    return tuple(names)


_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_LISTED = (BeforeValidator(_listed), WithJsonSchema(_SCHEMA))
_Loose = Field(strict=False)
Name = Annotated[str, Field(min_length=1)]
Keys = Annotated[tuple[Annotated[Name, AfterValidator(checked_pattern)], ...], _Loose, *_LISTED]
Models = Annotated[tuple[Annotated[str, AfterValidator(_of_model)], ...], _Loose, *_LISTED]
Words = Annotated[tuple[Annotated[str, AfterValidator(_of_run)], ...], _Loose, *_LISTED]
Samples = Annotated[tuple[Annotated[str, AfterValidator(_of_samples)], ...], _Loose, *_LISTED]
Tags = Annotated[tuple[Name, ...], _Loose, AfterValidator(_free), *_LISTED]


class Logged(Section):
    """What ``mlflow:EXPERIMENT`` reads as a history. Places are tried in their order."""

    metrics: dict[Name, Keys] = Field(
        {},
        description="metric = the keys under which it is logged, in which {class_id} and "
        "{model_id} stand for what a key names; by default NAME and NAME/{class_id}",
    )
    model_id: Models = Field(
        (
            *("tag:model_id", "param:model_id", "tag:model_name", "param:model_name"),
            *("registered_model", "logged_model", "run_name"),
        ),
        description="where a run names its model",
    )
    class_id: Words = Field(
        ("tag:class_id", "param:class_id"),
        description="where a run names its class, if no key does; without any it is __all__",
    )
    total_samples: Samples = Field(
        (
            *("metric:total_samples", "metric:total_samples/{class_id}"),
            *("param:total_samples", "tag:total_samples"),
        ),
        description="where the number of labels behind the values stands",
    )
    model_version: Words = Field(
        ("tag:model_version", "param:model_version"), description="where a model's version stands"
    )
    tags: Tags = Field((), description="tags of runs that become columns")
    timestamp: Literal["metric", "run"] = Field(
        "metric",
        description="metric: every value at its own time; run: the last values, at the run's start",
    )
    filter: str | None = Field(
        None, min_length=1, description="runs that count, as MLflow's search writes it"
    )

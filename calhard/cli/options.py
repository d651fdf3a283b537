"""Options that several commands share, and the plan they make."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from calhard.errors import ConfigError

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

Command = TypeVar("Command", bound=Callable[..., Any])

config = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path),
    help="calhard.toml; every key has a default, so none is needed.",
)
fleet = click.option("--fleet", help="Name of the fleet in reports (overrides the configuration).")
as_of = click.option(
    "--as-of",
    metavar="ISO",
    help="The audit's moment, such as 2026-05-31T00:00Z; by default when the newest row "
    "became known: its timestamp, or its ingested_at.",
)
mlflow_uri = click.option(
    "--mlflow-uri",
    metavar="U",
    help="MLflow server, such as http://127.0.0.1:5000 (overrides the configuration).",
)
FOLDER = click.Path(path_type=Path, file_okay=False)


class NightsPlace(click.Path):
    """A folder as a path, or a URI as the text that it is."""

    name = "folder or URI"

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | str:
        """Return a folder's path, or a URI."""
        from calhard.uri import is_uri

        if isinstance(value, str) and is_uri(value):
            return value
        return cast("Path", super().convert(value, param, ctx))


class BaselineFile(click.Path):
    """A file that is there, or the text that names what is pinned."""

    name = "file or pinned"

    def __init__(self) -> None:
        super().__init__(path_type=Path, exists=True, dir_okay=False)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | str:
        """Return a file's path, or ``pinned`` with or without a number."""
        from calhard.registry.baselines.chosen import is_pinned

        if isinstance(value, str) and is_pinned(value):
            return value
        return cast("Path", super().convert(value, param, ctx))


NIGHTS = NightsPlace()
BASELINE = BaselineFile()
out_argument = click.argument("out", type=FOLDER)
nights_argument = click.argument("out", type=NIGHTS)


def _night(ctx: click.Context, option: click.Parameter, text: str | None) -> str | None:
    """Refuse what is no date."""
    try:
        return None if text is None else date.fromisoformat(text).isoformat()
    except ValueError as e:
        message = f"{text!r} is no night; write one such as 2026-05-31"
        raise click.BadParameter(message, ctx, option) from e


night = click.option(
    "--night", metavar="YYYY-MM-DD", callback=_night, help="The latest night by default."
)


def load_plan(path: Path | None, name: str | None) -> AuditPlan:
    """Return the plan of a file, or the default one, with the fleet's name from the command."""
    from calhard.plan import AuditPlan

    plan = AuditPlan() if path is None else AuditPlan.from_toml(path)
    if name == "":
        raise ConfigError("--fleet is empty; name the fleet, or leave the option out")
    return plan if name is None else plan.model_copy(update={"fleet": name})


def parse_instant(text: str | None) -> int | None:
    """Return an ISO instant as microseconds since 1970 UTC; naive ones are UTC.

    Raises
    ------
    ConfigError
        Not an ISO date or instant, or before 1990, where no history begins.
    """
    from calhard.plan.instant import instant

    return instant(text, "--as-of")

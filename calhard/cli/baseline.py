"""``calhard baseline``: values that were agreed on, pinned from a published night."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from calhard.cli import options
from calhard.cli.failures import inert
from calhard.cli.output import json_text, reader_may_leave
from calhard.cli.sending import typed
from calhard.errors import CalhardError, ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from calhard.registry.baselines import Version
    from calhard.registry.baselines.pin import Pinned

SHOWN = 20
"""Rows that `show` prints."""


@click.group("baseline", no_args_is_help=True)
def command() -> None:
    """Pin, show and list baselines: what drift is measured against.

    A baseline is a file of OUT/baselines that never changes; one of them is in force. An audit uses
    it with --baseline pinned, or any of them by number, --baseline pinned:2.

    \b
    Examples:
      calhard baseline pin nights
      calhard baseline show nights
      calhard baseline list nights
    """


@command.command("pin", no_args_is_help=True)
@options.nights_argument
@options.night
@click.option(
    "--window",
    type=click.Choice(["reference", "analysis"]),
    default="reference",
    show_default=True,
    help="Whose means: what was normal, or what was judged (to accept a new level).",
)
@click.option("--model", "models", multiple=True, metavar="GLOB", help="All models by default.")
@click.option("--class", "classes", multiple=True, metavar="GLOB", help="All classes by default.")
@click.option("--metric", "metrics", multiple=True, metavar="M", help="All by default.")
@click.option("--fresh", is_flag=True, help="Keep nothing of the baseline in force before.")
@click.option("--note", default="", help="Why; stands in the file and in the list.")
@click.option(
    "--version", "number", type=click.IntRange(1), help="Put this one into force again instead."
)
@options.config
@options.mlflow_uri
def pin(
    *,
    out: Path | str,
    night: str | None,
    window: Literal["reference", "analysis"],
    models: tuple[str, ...],
    classes: tuple[str, ...],
    metrics: tuple[str, ...],
    fresh: bool,
    note: str,
    number: int | None,
    config: Path | None,
    mlflow_uri: str | None,
) -> int:
    """Write a new baseline from a published night of OUT, and put it into force.

    Its values are the means of a window with their standard errors; what is not chosen keeps its
    value of the baseline in force before. With --mlflow-uri, or a uri under [mlflow] of the
    configuration, it goes to MLflow as well; what goes wrong there is told and changes nothing.

    \b
    Examples:
      calhard baseline pin nights
      calhard baseline pin nights --night 2026-05-31 --model 'fraud-*' --metric aece
      calhard baseline pin nights --window analysis --model fraud-eu --note 'retrained, agreed'
      calhard baseline pin nights --version 2
    """
    from calhard.registry.baselines import pin_night
    from calhard.registry.baselines.pin import pinnable, plan_of, put_into_force
    from calhard.registry.baselines.values import Selection
    from calhard.store import open_night

    settings = options.load_plan(config, None).mlflow
    if number is not None:
        if models or classes or metrics or night or fresh or note:
            raise ConfigError("--version puts a baseline that is there into force; give it alone")
        done = put_into_force(out, number)
    else:
        found = open_night(out, night)
        asked = metrics or pinnable(plan_of(found))
        chosen = Selection(window, asked, models or ("*",), classes or ("*",))
        done = pin_night(out, found, chosen, fresh=fresh, note=note)
    click.echo(inert(_told(done)))
    _send(done, settings, mlflow_uri, out, config)
    return 0


def _told(done: Pinned) -> str:
    version = done.version
    if not done.is_new:
        return f"baseline {version.number} of night {version.night} is in force: {version.place}"
    kept = f", {done.carried:,} kept" if done.carried else ""
    rows = f"{done.rows:,} models and classes{kept}"
    return (
        f"baseline {version.number} of night {version.night} is in force: {rows}\n{version.place}"
    )


def _send(
    done: Pinned, settings: Any, uri: str | None, out: Path | str, config: Path | None
) -> None:
    """Send a baseline to MLflow, if a server is named; what goes wrong is one line on stderr."""
    if not (uri or settings.uri):
        return
    from calhard.registry.baselines.send import send_baseline
    from calhard.sinks.mlflow.client import connect

    try:
        run_id = send_baseline(connect(settings, uri=uri), done.version, in_force=True)
    except CalhardError as e:
        number = str(done.version.number)
        again = typed("baseline", "pin", str(out), "--version", number, uri=uri, config=config)
        line = f"the baseline is pinned, but not in MLflow: {e}; send it later: {again}"
        click.echo(f"calhard: {inert(line)}", err=True)
        return
    click.echo(f"baseline {done.version.number} is in MLflow: run {run_id}", err=True)


@command.command("list", no_args_is_help=True)
@options.nights_argument
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_all(*, out: Path | str, as_json: bool) -> int:
    """List the baselines beside the nights of OUT; a star marks the one in force.

    \b
    Example:
      calhard baseline list nights
    """
    from calhard.registry.baselines import Shelf

    shelf = Shelf.of(out)
    current = shelf.in_force()
    rows = [_summary(version, current) for version in shelf.versions()]
    with reader_may_leave():
        if as_json:
            click.echo(json_text(rows))
            return 0
        if not rows:
            click.echo(f"{shelf.out}: no baselines; calhard baseline pin OUT writes one")
        for row in rows:
            click.echo(inert(_line(row)))
    return 0


def _line(row: dict[str, Any]) -> str:
    mark = "*" if row["in_force"] else " "
    metrics = ", ".join(row["metrics"])
    text = f"{mark} {row['version']:>4}  {row['night']}  {row['rows']:>9,} rows  {metrics}"
    return f"{text}  {row['note']}" if row["note"] else text


@command.command("show", no_args_is_help=True)
@options.nights_argument
@click.argument("number", type=click.IntRange(1), required=False, metavar="[VERSION]")
@click.option("--model", "models", multiple=True, metavar="GLOB", help="Print these rows.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(*, out: Path | str, number: int | None, models: tuple[str, ...], as_json: bool) -> int:
    """Show a baseline beside the nights of OUT, the one in force by default.

    \b
    Examples:
      calhard baseline show nights
      calhard baseline show nights 2 --model 'fraud-*'
    """
    from calhard.registry.baselines import Shelf
    from calhard.registry.baselines.chosen import pinned_version

    spelled = "pinned" if number is None else f"pinned:{number}"
    version = pinned_version(spelled, out)
    assert version is not None  # noqa: S101  # the spelling names one
    summary = _summary(version, Shelf.of(out).in_force())
    rows = _rows(version.table, models) if models else []
    with reader_may_leave():
        if as_json:
            click.echo(json_text(summary | ({"values": rows} if models else {})))
            return 0
        for name, value in summary.items():
            click.echo(inert(f"{name:<16}{_word(value)}"))
        for row in rows[:SHOWN]:
            click.echo(inert(_values(row)))
        if len(rows) > SHOWN:
            click.echo(f"… and {len(rows) - SHOWN:,} more (--json shows them)")
    return 0


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")
    return text or "-"


def _summary(version: Version, current: Version | None) -> dict[str, Any]:
    from calhard.registry.baselines.values import values_in

    about, table = version.about, version.table
    return {
        "version": version.number,
        "in_force": current is not None and version.number == current.number,
        "night": version.night,
        "revision": about["revision"],
        "fleet": about["fleet"],
        "window": about["window"],
        "models": about["models"],
        "classes": about["classes"],
        "metrics": values_in(table),
        "rows": table.num_rows,
        "onto": about["onto"],
        "note": about["note"],
        "file": str(version.place),
    }


def _rows(table: pa.Table, models: tuple[str, ...]) -> list[dict[str, Any]]:
    import pyarrow as pa

    from calhard.plan.globs import matched

    chosen = table.filter(pa.array(matched(models, table["model_id"].to_pylist())))
    found: list[dict[str, Any]] = chosen.to_pylist()
    return found


def _values(row: dict[str, Any]) -> str:
    """A row in words: each value with its standard error."""
    parts = [f"{row['model_id']} / {row['class_id']}"]
    for name, value in row.items():
        error = row.get(f"{name}_standard_error")
        if isinstance(value, float) and not name.endswith("_standard_error"):
            parts.append(f"{name} {value:.6g}" + ("" if error is None else f" ± {error:.2g}"))
    return "  ".join(parts)

"""``calhard measure``: predictions to a history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from calhard.cli import engines, options
from calhard.cli.output import json_text, reader_may_leave
from calhard.errors import CalhardError


@click.command("measure", no_args_is_help=True)
@click.argument("predictions")
@click.option(
    "--history",
    required=True,
    type=options.FOLDER,
    help="Folder of the history; created if need be, brought up to date if it is there.",
)
@click.option(
    "--period",
    default="1d",
    show_default=True,
    help='One row of the history each: "1h", "1d", "7d", "1mo", or "1000rows" of a class.',
)
@click.option(
    "--since",
    metavar="ISO",
    help="Measure again every period that ends later, and leave the earlier ones alone.",
)
@options.config
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "gpu"]),
    default="auto",
    show_default=True,
    help="What computes the metrics; auto is the processor in this version.",
)
@click.option(
    "--plot",
    nargs=3,
    multiple=True,
    metavar="MODEL CLASS FILE",
    help="Draw a reliability diagram to FILE, a .png or .svg, once measured; may be repeated.",
)
@engines.options
@click.option("--force", is_flag=True, help="Measure from what is there, all of it by default.")
@click.option("--quiet", "-q", is_flag=True, help="No progress; on stdout what was left out alone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of words.")
def command(
    *,
    predictions: str,
    history: Path,
    period: str,
    since: str | None,
    config: Path | None,
    device: str,
    plot: tuple[tuple[str, str, str], ...],
    engine: str,
    ray_address: str | None,
    workers: int | None,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Measure PREDICTIONS with their outcomes: a file, a folder or a URI, into a history.

    Of a history that is there, the periods are measured again that new or changed files touch;
    without any there is nothing to do. Rows that were measured and are no longer there are not
    missed: such periods stay as they are.

    \b
    Examples:
      calhard measure predictions/ --history history
      calhard measure log.parquet --history history --period 1h --since 2026-05-28
      calhard measure log.parquet --history history --plot ranker click diagram.png
      calhard audit history --out nights

    \b
    Exit codes:
      0  measured, or nothing to do        4  failed; the message says what was measured
      2  usage or configuration error     75  someone else is measuring into it
      3  degraded: coverage under its bound

    PREDICTIONS have the columns model_id, class_id, timestamp, score and label; weight, mask and
    example_id are optional, further text columns are tags.
    """
    from calhard.cli.progress import MEASURE, progress
    from calhard.measure.plot import plot_group
    from calhard.measure.run import measure_history
    from calhard.measure.told import alarming_lines, report_lines
    from calhard.reliability.figure import check_drawable

    plan = options.load_plan(config, None)
    for _, _, path in plot:
        check_drawable(path)
    computing = engines.chosen(engine, ray_address, workers, gpus=1.0 if device == "gpu" else 0.0)
    with computing as where, progress(quiet=quiet, stages=MEASURE, unit="tasks") as tell:
        report = measure_history(
            predictions,
            history,
            plan=plan,
            period=period,
            since=since,
            force=force,
            engine=where,
            device="gpu" if device == "gpu" else "cpu",
            progress=tell,
        )
    with reader_may_leave():
        if as_json:
            click.echo(json_text(report.to_dict()))
        else:
            for line in alarming_lines(report) if quiet else report_lines(report):
                click.echo(line)
    for model_id, class_id, path in plot:
        with _drawing():
            diagram = plot_group(history, model_id, class_id, path, since)
        click.echo(f"{path}: {diagram.verdict}", err=as_json or quiet)
    return report.exit_code


@contextmanager
def _drawing() -> Iterator[None]:
    """Say of what goes wrong that it is the picture alone."""
    try:
        yield
    except (CalhardError, OSError) as e:
        raise CalhardError(f"measured, but not drawn: {e}") from e
